"""Facts into ClickHouse, each once: echoes, restarts, rebalances, and inserts that failed or only seemed to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from hailong.events import TOPICS, AlertChanged, CaseChanged, ContactPreference, Fact, SurveyDecided
from hailong.ports import Permanent, Retryable
from hailong.settings import Settings
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.connection import connect
from sinks.clickhouse.doubts import Doubts
from sinks.clickhouse.queries import ClickHouseFigures
from sinks.clickhouse.tables import TABLES
from tests.clickhouse.facts import closed, control, counted, delivery, reopened, target, unit
from tests.clickhouse.room import Wire, rows

pytestmark = pytest.mark.stack
DAY = date(2026, 1, 5)
AT = datetime(2026, 1, 5, 5, tzinfo=UTC)
COUNTED = "survey.counted.v1"
CLOSED = "dossier.closed.v1"


@pytest.fixture
def wire(settings: Settings) -> Iterator[Wire]:
    wire = Wire(settings.clickhouse_url)
    yield wire
    wire.close()


def endings(first: int, last: int) -> list[tuple[int, Fact]]:
    return [(i, closed(f"d{i}", DAY)) for i in range(first, last)]


def answers(*seqs: int, offset: int = 0) -> list[tuple[int, Fact]]:
    return [(offset + i, counted(seq, DAY, score=5)) for i, seq in enumerate(seqs)]


def stored(settings: Settings, table: str = "closed") -> list[int]:
    return [int(str(offset)) for (offset,) in rows(connect(settings), f"SELECT _offset FROM {table} ORDER BY _offset")]


def test_every_archived_topic_has_a_table_and_answers_have_none() -> None:
    assert set(TABLES) == {t.name for t in TOPICS} - {"survey.answered.v1"}


def test_one_fact_of_every_topic_is_there_as_it_was(settings: Settings) -> None:
    facts: dict[str, Fact] = {
        CLOSED: closed("d1", DAY),
        "dossier.reopened.v1": reopened("d1", DAY),
        "survey.decided.v1": SurveyDecided(
            event_id="e", registry_id="r", dossier_ref="d1", asked=False, reason="opted_out", rules_version="1", draw=0.25, decided_on=DAY,
            inputs={"reach": ["sms"]},
        ),
        "survey.delivery.v1": delivery("s1", 3, "handed_over", DAY),
        COUNTED: counted(1, DAY, score=4, answers={"Q0": 4}),
        "contact.preference.v1": ContactPreference(
            event_id="e", registry_id="r", contact_hash="h", pepper_version=1, choice="opt_out", at=AT, door="page"
        ),
        "alert.changed.v1": AlertChanged(
            event_id="e", registry_id="r", alert_id="a", version=1, state="raised", kind="below", unit="C01", at=AT, by="judge",
            evidence_seq=9, n=30, satisfied=20, target=0.87, low=0.1, high=0.8, since=DAY, until=DAY, sentence_vi="Câu", sentence_en="S",
        ),
        "case.changed.v1": CaseChanged(
            event_id="e", registry_id="r", case_id="c", version=1, state="opened", kind="charges", confidential=True, unit="C01",
            on=DAY, at=AT,
        ),
        "unit.changed.v1": unit("C01", "Xã 01", "D"),
        "target.changed.v1": target(0.87),
    }  # fmt: skip
    archive = Archive(connect(settings))
    for topic, fact in facts.items():
        assert archive.absorb(topic, 3, [(41, fact)]) == 1
    assert archive.absorbed(list(facts)) == {(topic, 3): 42 for topic in facts}
    client = connect(settings)
    assert rows(client, "SELECT _topic, _partition, _offset, event_id, paid_online, supplement_days, received_on FROM closed") == [
        (CLOSED, 3, 41, "closed:d1:1", None, 0.5, DAY)
    ]
    assert rows(client, "SELECT reason, draw, inputs FROM decided") == [("opted_out", 0.25, '{"reach":["sms"]}')]
    assert rows(client, "SELECT handling_unit, month, cost, toString(at) FROM delivery") == [
        ("C01", "2026-01", 350, "2026-01-05 05:00:00.000000")
    ]
    assert rows(client, "SELECT score, answers, control, month FROM counted") == [(4, '{"Q0":4}', "", "2026-01")]
    assert rows(client, "SELECT sentence_vi, note, toString(at) FROM alert") == [("Câu", "", "2026-01-05 05:00:00.000000")]
    assert rows(client, "SELECT confidential, `on` FROM case") == [(True, DAY)]
    assert rows(client, "SELECT name, parent, valid_to FROM unit") == [("Xã 01", "D", None)]


def test_what_is_there_is_skipped_also_by_the_next_process(settings: Settings) -> None:
    archive = Archive(connect(settings))
    assert archive.absorb(CLOSED, 0, endings(0, 10)) == 10
    assert archive.absorb(CLOSED, 0, endings(5, 12)) == 2
    again = Archive(connect(settings))
    assert again.absorb(CLOSED, 0, endings(0, 13)) == 1
    assert stored(settings) == list(range(13))


def test_partitions_are_kept_apart(settings: Settings) -> None:
    archive = Archive(connect(settings))
    archive.absorb(CLOSED, 0, endings(0, 5))
    archive.absorb(CLOSED, 2, endings(0, 3))
    assert archive.absorbed([CLOSED, "survey.answered.v1"]) == {(CLOSED, 0): 5, (CLOSED, 2): 3}


def test_after_a_rebalance_clickhouse_is_asked_what_another_writer_stored(settings: Settings) -> None:
    mine, other = Archive(connect(settings)), Archive(connect(settings))
    mine.absorb(CLOSED, 0, endings(0, 5))
    other.absorb(CLOSED, 0, endings(0, 9))
    assert mine.absorbed([CLOSED]) == {(CLOSED, 0): 9}
    assert mine.absorb(CLOSED, 0, endings(3, 10)) == 1
    assert stored(settings) == list(range(10))


def test_counted_records_are_taken_only_in_their_turn(settings: Settings) -> None:
    archive = Archive(connect(settings))
    assert archive.absorb(COUNTED, 0, answers(1, 2, 2, 4, 3, 1)) == 3
    assert archive.absorb(COUNTED, 0, answers(5, 3, 4, 5, offset=6)) == 2
    assert rows(connect(settings), "SELECT seq, _offset FROM counted ORDER BY seq") == [(1, 0), (2, 1), (3, 4), (4, 8), (5, 9)]
    assert Archive(connect(settings)).absorb(COUNTED, 0, answers(5, 6, offset=10)) == 1
    assert ClickHouseFigures(connect(settings), "test", 0.9).complete()


def test_a_batch_is_one_part_however_many_units_and_months(settings: Settings) -> None:
    facts: list[tuple[int, Fact]] = [
        (i, counted(i + 1, date(2024 + i % 3, 1 + i % 12, 1 + i % 28), unit=f"C{i % 50}", score=5)) for i in range(3000)
    ]
    Archive(connect(settings)).absorb(COUNTED, 0, facts)
    sql = "SELECT count() FROM system.parts WHERE active AND table = 'counted' AND database = currentDatabase()"
    assert rows(connect(settings), sql) == [(1,)]


def test_a_table_is_durable_and_unpartitioned(settings: Settings) -> None:
    sql = "SELECT partition_key, create_table_query FROM system.tables WHERE database = currentDatabase() AND name = 'counted'"
    ((partition_key, made),) = rows(connect(settings), sql)
    assert partition_key == ""
    assert "fsync_after_insert = 1" in str(made)


def test_an_insert_that_failed_is_done_again(settings: Settings, wire: Wire) -> None:
    archive = Archive(connect(replace(settings, clickhouse_url=wire.url)))
    archive.absorb(COUNTED, 0, answers(1, 2))
    archive.absorbed([CLOSED])
    wire.breaks = "request"
    with pytest.raises(Retryable):
        archive.absorb(CLOSED, 0, endings(0, 4))
    wire.breaks = None
    archive.absorb(CLOSED, 0, endings(0, 6))
    assert archive.absorb(COUNTED, 0, answers(3, offset=2)) == 1
    assert stored(settings) == list(range(6))


def test_an_insert_that_happened_though_its_answer_was_lost_is_not_doubled(settings: Settings, wire: Wire) -> None:
    archive = Archive(connect(replace(settings, clickhouse_url=wire.url)))
    archive.absorb(CLOSED, 0, endings(0, 2))
    archive.absorb(COUNTED, 0, answers(1, 2))
    wire.breaks = "answer"
    for topic, facts in ((CLOSED, endings(2, 5)), (COUNTED, answers(3, 4, offset=2))):
        with pytest.raises(Retryable):
            archive.absorb(topic, 0, facts)
    assert (len(stored(settings)), len(stored(settings, "counted"))) == (5, 4)
    wire.breaks = None
    assert archive.absorb(CLOSED, 0, endings(2, 8)) == 3
    assert archive.absorb(COUNTED, 0, answers(3, 4, 5, offset=2)) == 1
    assert stored(settings) == list(range(8))
    assert stored(settings, "counted") == list(range(5))


def test_a_request_that_arrives_after_it_was_given_up_is_dropped(settings: Settings, wire: Wire) -> None:
    """It may still be under way when its rows are repeated, with more behind them: they go in a block of the same rows again."""
    archive, late = Archive(connect(replace(settings, clickhouse_url=wire.url))), Archive(connect(settings))
    assert archive.absorbed([CLOSED]) == late.absorbed([CLOSED]) == {}
    wire.breaks = "request"
    with pytest.raises(Retryable):
        archive.absorb(CLOSED, 0, endings(0, 5))
    wire.breaks = None
    assert archive.absorb(CLOSED, 0, endings(0, 8)) == 8
    late.absorb(CLOSED, 0, endings(0, 5))
    assert stored(settings) == list(range(8))


def test_a_request_that_arrives_after_its_process_died_is_dropped(settings: Settings, wire: Wire, tmp_path: Path) -> None:
    """Whoever comes after asks how far the table is, finds nothing, and goes on with more rows: first those in doubt, as they were."""
    died, late = Archive(connect(replace(settings, clickhouse_url=wire.url)), doubts=Doubts(tmp_path)), Archive(connect(settings))
    late.absorbed([CLOSED])
    died.absorb(CLOSED, 1, endings(0, 2))
    wire.breaks = "request"
    with pytest.raises(Retryable):
        died.absorb(CLOSED, 0, endings(0, 5))
    successor = Archive(connect(settings), doubts=Doubts(tmp_path))
    assert successor.absorb(CLOSED, 0, endings(0, 8)) == 8
    assert successor.absorb(CLOSED, 1, endings(0, 3)) == 1, "what is there is in no doubt"
    late.absorb(CLOSED, 0, endings(0, 5))
    assert stored(settings) == sorted([*range(8), *range(3)])


def test_a_store_that_is_away_is_worth_another_try(settings: Settings, wire: Wire) -> None:
    archive = Archive(connect(replace(settings, clickhouse_url=wire.url)))
    wire.close()
    with pytest.raises(Retryable):
        archive.absorbed([CLOSED])


def test_a_topic_without_a_table_is_a_mistake_of_ours(settings: Settings) -> None:
    with pytest.raises(Permanent, match=r"survey\.answered\.v1"):
        Archive(connect(settings)).absorb("survey.answered.v1", 0, [])


def test_a_fact_that_does_not_fit_its_column_is_refused_without_quoting_it(settings: Settings) -> None:
    bad = msgspec.structs.replace(closed("d1", DAY), supplement_count=70_000)
    with pytest.raises(Permanent) as refused:
        Archive(connect(settings)).absorb(CLOSED, 0, [(0, bad)])
    assert "d1" not in refused.value.reason


def test_control_records_stand_between_the_answers(settings: Settings) -> None:
    facts: list[tuple[int, Fact]] = [
        (0, counted(1, DAY, kind="unit", control=control(unit("C01", "Xã 01")))),
        (1, counted(2, DAY, score=5)),
        (2, counted(3, DAY, kind="day")),
    ]
    assert Archive(connect(settings)).absorb(COUNTED, 0, facts) == 3
    assert rows(connect(settings), "SELECT kind, handling_unit, score FROM counted ORDER BY seq") == [
        ("unit", "", None), ("answer", "C01", 5), ("day", "", None),
    ]  # fmt: skip
