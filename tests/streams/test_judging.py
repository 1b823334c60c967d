"""count, judge, archive: one order, judged from what was kept, stored where it stood."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from hailong.domain.judging import Judge as RealJudge
from hailong.events import AlertChanged, CaseChanged, Fact, SurveyCounted, UnitChanged
from hailong.ports import Permanent, Retryable
from streams.counting import PER_TRANSACTION, Archiving, Counter, Judging
from streams.guard import Outbox
from tests.contract.build import ABOUT, NOON, answered, closed
from tests.streams.twins import Room, items, raws

COUNTED, ALERTS = "survey.counted.v1", "alert.changed.v1"


def alert(version: int, state: Any = "raised", name: str = "a") -> AlertChanged:
    return AlertChanged(
        event_id=f"{name}{version}", registry_id="test", alert_id=name, version=version, state=state, kind="below", unit="X1", at=NOON,
        by="judge", evidence_seq=version, n=30, satisfied=20, target=0.9, low=0.5, high=0.8, since=date(2026, 1, 1),
        until=date(2026, 3, 2), sentence_vi="vi", sentence_en="en",
    )  # fmt: skip


def unit(seq: int, name: str) -> UnitChanged:
    return UnitChanged(event_id=f"u{seq}", registry_id="test", code="X1", name=name, level="commune", valid_from=date(2020, 1, 1), seq=seq)


# --- count


def counter(here: Room) -> Counter:
    return Counter(Outbox(here.ledger, here.log, ordered=True), here.clock)


def test_a_batch_is_counted_in_its_order_over_several_transactions(here: Room) -> None:
    facts = [answered(f"s{n}", 1 + n % 5) for n in range(2 * PER_TRANSACTION + 3)]
    asyncio.run(counter(here)(items(facts)))
    told = here.log.facts(COUNTED)
    assert [(f.seq, f.survey_id, f.score) for f in told] == [(n + 1, f"s{n}", 1 + n % 5) for n in range(len(facts))]


def test_what_is_sent_again_is_counted_once(here: Room) -> None:
    role = counter(here)
    facts: list[Fact] = [answered("s1", 2), unit(1, "A"), alert(1, "fixed"), alert(2, "raised")]
    for batch in (facts[:2], facts, facts[::-1]):
        asyncio.run(role(items(batch)))
    assert [(f.seq, f.kind) for f in here.log.facts(COUNTED)] == [(1, "answer"), (2, "unit"), (3, "fixed")]


def test_a_closed_alert_begins_anew_whatever_was_found_but_none_about_data(here: Room) -> None:
    data = msgspec.structs.replace(alert(3, "fixed", "d"), kind="silence", by="timer")
    asyncio.run(counter(here)(items([alert(3, "fixed", "a"), alert(3, "not_found", "b"), data])))
    assert [(f.kind, f.control["alert_id"]) for f in here.log.facts(COUNTED)] == [("fixed", "a"), ("fixed", "b")]


def test_a_failed_publish_leaves_no_gap_and_no_double(here: Room) -> None:
    facts = [answered(f"s{n}", 4) for n in range(7)]
    here.log.failures = [3, None, 0]
    asyncio.run(here.guard(counter(here)).process(raws(facts)))
    asyncio.run(Outbox(here.ledger, here.log, ordered=True).drain())
    assert [f.seq for f in here.log.facts(COUNTED)] == list(range(1, 8))


def test_a_day_record_comes_once_a_day(here: Room) -> None:
    role = counter(here)
    for hours in (0, 1, 10, 3, 24, 1):
        here.clock.move(hours=hours)
        asyncio.run(role.days())
        asyncio.run(counter(here).days())
    assert [f.control for f in here.log.facts(COUNTED)] == [{"day": "2026-03-03"}, {"day": "2026-03-04"}]


# --- judge


def counted(first: int, number: int, score: int = 1) -> list[SurveyCounted]:
    return [
        SurveyCounted(
            event_id=f"test:{seq}", registry_id="test", seq=seq, kind="answer", counted_at=NOON + timedelta(seconds=seq),
            survey_id=f"s{seq}", score=score, answers={"Q0": score}, about=ABOUT,
        )
        for seq in range(first, first + number)
    ]  # fmt: skip


def judging(here: Room) -> Judging:
    return Judging(here.outbox, lambda seq, states: RealJudge(0.9, seq, states))


def judged(here: Room) -> int:
    with here.ledger.read() as reader:
        return reader.judged()


def raised(here: Room) -> Any:
    """The alert of the unit; its field has one beside."""
    (of_unit,) = [f for f in here.log.facts(ALERTS) if f.field is None]
    return of_unit


def test_the_tenth_bad_answer_raises_and_state_and_position_are_kept_together(here: Room) -> None:
    asyncio.run(judging(here)(items(counted(1, 9))))
    assert here.log.facts(ALERTS) == []
    assert judged(here) == 9
    asyncio.run(judging(here)(items(counted(10, 1))))  # another process: it goes on from what was kept
    alert = raised(here)
    assert (alert.state, alert.n, alert.satisfied, alert.evidence_seq) == ("raised", 10, 0, 10)
    with here.ledger.read() as reader:
        assert alert.alert_id in [a.alert_id for a in reader.alerts()]


def test_records_that_are_not_the_next_are_skipped(here: Room) -> None:
    role = judging(here)
    records = counted(1, 40)
    for batch in (records[5:8], records[:10], records[:10], records[20:30], records[8:25], records[:40]):
        asyncio.run(role(items(batch)))
    assert judged(here) == 40
    assert raised(here).evidence_seq == 10


class Fails:
    """A ledger's face that breaks a commit off when it is told to."""

    def __init__(self, room: Room, times: int) -> None:
        self._ledger = room.ledger
        self.left = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def begin(self) -> Any:
        return Breaking(self, self._ledger.begin())


class Breaking:
    def __init__(self, ledger: Fails, inner: Any) -> None:
        self._ledger, self._inner = ledger, inner

    def __enter__(self) -> Any:
        self.tx = self._inner.__enter__()
        return self.tx

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
        if kind is None and self._ledger.left and self.tx.written:
            self._ledger.left -= 1
            away = Retryable("the ledger is away", 0.0)
            self._inner.gen.close()  # rolled back
            raise away
        return self._inner.__exit__(kind, error, trace)


def test_a_failed_commit_judges_again_from_what_was_kept(here: Room) -> None:
    fails = Fails(here, 2)
    outbox = Outbox(fails, here.log)
    role = Judging(outbox, lambda seq, states: RealJudge(0.9, seq, states))
    asyncio.run(role(items(counted(1, 8))))
    with pytest.raises(Retryable):
        asyncio.run(role(items(counted(9, 15))))
    assert judged(here) == 8
    assert here.ledger.pending() == []
    asyncio.run(here.guard(role).process(raws(counted(9, 15))))
    assert judged(here) == 23
    assert fails.left == 0
    assert raised(here).evidence_seq == 10


def test_a_failed_publish_repeats_the_very_facts(here: Room) -> None:
    here.log.failures = [0]
    asyncio.run(here.guard(judging(here)).process(raws(counted(1, 30))))
    assert raised(here).evidence_seq == 10
    assert here.ledger.pending() == []


def test_a_control_record_that_cannot_be_read_is_put_aside_and_judged_past(here: Room) -> None:
    wrong = SurveyCounted(event_id="test:1", registry_id="test", seq=1, kind="unit", counted_at=NOON, control={"code": 5})
    asyncio.run(here.guard(judging(here)).process(raws([wrong, *counted(2, 3)])))
    assert judged(here) == 4
    (letter,) = here.dead()
    assert letter.reason.startswith("control: schema")


def test_a_judge_that_breaks_is_made_anew(here: Room) -> None:
    class Broken:
        def __init__(self, seq: int) -> None:
            self.seq = seq

        def apply(self, record: SurveyCounted) -> list[AlertChanged | CaseChanged]:
            if record.seq == 3:
                raise RuntimeError
            self.seq = record.seq
            return []

        def changed(self) -> dict[str, bytes]:
            return {}

    made: list[int] = []

    def make(seq: int, _: dict[str, bytes]) -> Broken:
        made.append(seq)
        return Broken(seq)

    asyncio.run(here.guard(Judging(here.outbox, make)).process(raws(counted(1, 4))))
    assert judged(here) == 4
    assert made[0] == 0
    assert 2 in made
    assert len(here.dead()) == 1


# --- archive


class Shelf:
    """hailong.ports.FactStore in memory; away for the first ``away`` calls, locked for the first ``locked`` ones."""

    def __init__(self, away: int = 0, locked: int = 0, misfits: Sequence[str] = ()) -> None:
        self.rows: dict[tuple[str, int], dict[int, Fact]] = {}
        self._away = away
        self._locked = locked
        self._misfits = misfits

    def check(self, topic: str) -> None:
        if self._locked > 0:
            raise Permanent("the password is wrong")

    def absorbed(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        return {place: max(rows) + 1 for place, rows in self.rows.items() if place[0] in topics}

    def absorb(self, topic: str, partition: int, facts: Sequence[tuple[int, Fact]]) -> int:
        if self._away:
            self._away -= 1
            raise Retryable("ClickHouse is away", 0.0)
        if self._locked:
            self._locked -= 1
            raise Permanent("the password is wrong")
        if any(fact.event_id in self._misfits for _, fact in facts):
            raise Permanent("a fact does not fit its column")
        rows = self.rows.setdefault((topic, partition), {})
        new = {offset: fact for offset, fact in facts if offset not in rows}
        assert list(new) == sorted(new)
        rows.update(new)
        return len(new)


def test_each_partition_s_records_are_stored_in_order_with_their_offsets(here: Room) -> None:
    shelf = Shelf(away=2)
    facts = [closed("d1"), *counted(1, 3), closed("d2")]
    asyncio.run(here.guard(Archiving(shelf)).process(raws(facts)))
    assert shelf.absorbed(["dossier.closed.v1", COUNTED]) == {("dossier.closed.v1", 0): 5, (COUNTED, 0): 4}
    assert list(shelf.rows["dossier.closed.v1", 0]) == [0, 4]


def test_a_store_that_refuses_us_makes_no_dead_letters(here: Room) -> None:
    shelf = Shelf(locked=2)
    asyncio.run(here.guard(Archiving(shelf)).process(raws([closed("d1"), closed("d2")])))
    assert list(shelf.rows["dossier.closed.v1", 0]) == [0, 1]
    with here.ledger.read() as reader:
        assert reader.dead_letters() == []


def test_a_fact_that_does_not_fit_is_put_aside_alone(here: Room) -> None:
    facts = [closed("d1"), closed("d2"), closed("d3")]
    shelf = Shelf(misfits=[facts[1].event_id])
    asyncio.run(here.guard(Archiving(shelf)).process(raws(facts)))
    assert list(shelf.rows["dossier.closed.v1", 0]) == [0, 2]
    with here.ledger.read() as reader:
        assert [letter.offset for letter in reader.dead_letters()] == [1]
