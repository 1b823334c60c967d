"""You said, we did, and words without a code, on SQLite and PostgreSQL: kept once, nothing deleted, who wrote in the trail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest

from hailong.ports import Invalid, Measure
from sinks.ledger import Ledger
from sinks.ledger import schema as t
from tests.contract.build import NOON

Open = Callable[..., Ledger]
MEASURE = Measure("X1", date(2026, 3, 2), {"vi": "Chờ lâu", "en": ""}, {"vi": "Thêm một quầy", "en": ""}, "X1")
BETTER = replace(MEASURE, did={"vi": "Thêm hai quầy", "en": ""})
LATER = NOON + timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def ledger(opened: Open) -> Ledger:
    return opened()


@pytest.fixture
def before(ledger: Ledger) -> int:
    """Where the trail ended: one database keeps it from test to test."""
    with ledger.read() as reader:
        return reader.audit_end()[0]


def put(ledger: Ledger, measure: Measure = MEASURE, by: str = "lan") -> int:
    with ledger.begin() as tx:
        return tx.put_measure(measure, by, NOON)


def seen(ledger: Ledger) -> list[Measure]:
    """By citizens."""
    with ledger.read() as reader:
        return reader.measures("X1", 10)


def trail(ledger: Ledger, before: int) -> list[tuple[str, str, str]]:
    with ledger.read() as reader:
        return [(line.actor, line.act, line.object) for line in reader.audit(after=before)]


def test_a_correction_takes_its_place_and_what_stood_before_is_kept(ledger: Ledger, before: int) -> None:
    first = put(ledger)
    with ledger.begin() as tx:
        second = tx.correct_measure(first, BETTER, "minh", LATER)
    assert seen(ledger) == [BETTER]
    with ledger.read() as reader:
        written = reader.written_measures(["X1"], 10)
        assert reader.written_measure(99) is None
        assert reader.written_measure(second) == written[0]
    assert [(w.number, w.measure, w.by, w.withdrawn_at) for w in written] == [
        (second, BETTER, "minh", None), (first, MEASURE, "lan", LATER),
    ]  # fmt: skip
    assert trail(ledger, before) == [("lan", "measure_put", "unit:X1"), ("minh", "measure_corrected", "unit:X1")]


def test_withdrawn_means_not_seen_and_kept(ledger: Ledger, before: int) -> None:
    number = put(ledger)
    with ledger.begin() as tx:
        assert tx.withdraw_measure(number, "minh", LATER)
        assert not tx.withdraw_measure(number, "minh", LATER)
        assert not tx.withdraw_measure(number + 1, "minh", LATER)
    assert seen(ledger) == []
    with ledger.read() as reader:
        (kept,) = reader.written_measures(None, 10)
    assert (kept.measure, kept.withdrawn_at) == (MEASURE, LATER)
    assert trail(ledger, before)[1:] == [("minh", "measure_withdrawn", "unit:X1")]


def test_what_is_not_seen_any_more_cannot_be_corrected(ledger: Ledger) -> None:
    number = put(ledger)
    with ledger.begin() as tx:
        tx.withdraw_measure(number, "minh", LATER)
    with pytest.raises(Invalid, match="gone"), ledger.begin() as tx:
        tx.correct_measure(number, BETTER, "lan", LATER)
    assert seen(ledger) == []


def test_a_form_sent_twice_writes_once(ledger: Ledger, before: int) -> None:
    first = put(ledger)
    assert put(ledger) == first
    with ledger.begin() as tx:
        second = tx.correct_measure(first, BETTER, "lan", LATER)
    with ledger.begin() as tx:
        assert tx.correct_measure(first, BETTER, "lan", LATER) == second
    assert len(trail(ledger, before)) == 2
    assert put(ledger, MEASURE) not in (first, second), "what was replaced may be written anew"


def test_only_the_units_asked_for_are_listed(ledger: Ledger) -> None:
    for unit in ("X1", "X2", "X10"):
        put(ledger, replace(MEASURE, unit=unit))
    with ledger.read() as reader:
        assert [w.measure.unit for w in reader.written_measures(["X1", "X2"], 10)] == ["X2", "X1"]
        assert len(reader.written_measures(None, 2)) == 2
        assert reader.written_measures([], 10) == []


# --- words without a code


def words(ledger: Ledger) -> int:
    with ledger.begin() as tx:
        return len(list(tx.conn.execute(t.feedback.select())))


@pytest.mark.parametrize(
    ("unit", "text", "after", "kept"),
    [(None, "chậm", 0, 1), (None, "chậm", 1, 1), (None, "chậm", 2, 2), ("X1", "chậm", 0, 2), (None, "chậm quá", 0, 2)],
    ids=["again", "next day", "two days later", "another place", "other words"],
)
def test_the_same_words_within_a_day_are_kept_once(ledger: Ledger, unit: str | None, text: str, after: int, kept: int) -> None:
    with ledger.begin() as tx:
        tx.keep_feedback(None, "chậm", 0, NOON.date())
    with ledger.begin() as tx:
        tx.keep_feedback(unit, text, 0, NOON.date() + after * DAY)
    assert words(ledger) == kept


def test_the_same_words_sent_by_two_taps_at_once_are_kept_once(ledger: Ledger) -> None:
    both = threading.Barrier(2)

    def tap() -> None:
        both.wait()
        with ledger.begin() as tx:
            tx.keep_feedback("X1", "chậm", 0, NOON.date())

    taps = [threading.Thread(target=tap) for _ in range(2)]
    for one in taps:
        one.start()
    for one in taps:
        one.join()
    assert words(ledger) == 1
