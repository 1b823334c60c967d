"""Paper slips in the ledger: entered once, a part of them again by another unit, the scan sealed and gone in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hailong.domain.papers import SCAN_DAYS, Paper, PaperTally
from hailong.ports import Invalid
from sinks.ledger import Ledger
from sinks.ledger import schema as t
from tests.contract.build import NOON, act, answered, claim, decide, settle, take

SCAN = b"\xff\xd8\xff" + b"a slip as it was photographed"
ANSWERS = {"Q0": 4, "Q1": 3}
NONE: frozenset[str] = frozenset()


@pytest.fixture
def ledger(opened: Callable[..., Ledger]) -> Ledger:
    """The trail of an emptied ledger stays: it goes on where the test before ended."""
    ledger = opened()
    with ledger.begin() as tx:
        tx.position("audit")
        tx.set_position("audit", tx.audit_end()[0])
    return ledger


@pytest.fixture
def since(ledger: Ledger) -> int:
    """The last line of the trail before the test."""
    with ledger.read() as reader:
        return reader.audit_end()[0]


@pytest.fixture
def survey(ledger: Ledger) -> str:
    take(ledger, act("d1", "+84912000001"))
    (made,) = decide(ledger, "d1")
    settle(ledger, "handed_over", *claim(ledger))
    return made


def enter(
    ledger: Ledger, survey: str, *, again: bool = True, scan: bytes = SCAN, texts: Mapping[str, tuple[str, int]] | None = None
) -> None:
    fact = answered(survey, 4, mode="paper", place="desk")
    with ledger.begin() as tx:
        tx.enter_paper(Paper(survey, "lan", "C01", ANSWERS, again, scan), [fact], texts or {}, NOON)


def again(ledger: Ledger, by: str = "minh", unit: str | None = "C02", barred: frozenset[str] = NONE) -> Any:
    with ledger.begin() as tx:
        return tx.paper_again(row(ledger).id, by, unit, barred, NOON)


def row(ledger: Ledger) -> Any:
    with ledger.read() as reader:
        return reader.conn.execute(sa.select(t.papers)).one()


def tally(ledger: Ledger, days: int = 0) -> PaperTally:
    with ledger.read() as reader:
        return reader.paper_tally(NOON + timedelta(days=days))


def test_a_slip_is_an_answer_with_who_entered_it(ledger: Ledger, survey: str, since: int) -> None:
    enter(ledger, survey, texts={"Q8": ("cảm ơn [tên]", 1)})
    facts = [msgspec.json.decode(p.record.value) for p in ledger.pending() if p.record.topic == "survey.answered.v1"]
    assert [(f["mode"], f["place"]) for f in facts] == [("paper", "desk")]
    with ledger.read() as reader:
        (helped,) = reader.conn.execute(sa.select(t.helped))
        (comment,) = reader.conn.execute(sa.select(t.comments))
        assert [e.act for e in reader.audit(actor="lan", after=since, limit=9)] == ["answer_entered"]
    assert (helped.mode, helped.by, comment.text, comment.masked) == ("paper", "lan", "cảm ơn [tên]", 1)


def test_where_an_answer_stands_the_slip_is_refused(ledger: Ledger, survey: str) -> None:
    with ledger.begin() as tx:
        tx.count(answered(survey, 2), NOON)
    with pytest.raises(Invalid, match="answered"):
        enter(ledger, survey)
    assert tally(ledger).papers == 0


def test_a_slip_is_entered_once_even_before_it_is_counted(ledger: Ledger, survey: str) -> None:
    enter(ledger, survey)
    with pytest.raises(Invalid, match="entered"):
        enter(ledger, survey)


def test_the_scan_lies_sealed_and_goes_after_its_time_with_the_answers(ledger: Ledger, survey: str) -> None:
    enter(ledger, survey)
    assert b"photographed" not in bytes(row(ledger).scan)
    assert again(ledger)[2] == SCAN
    day = NOON.date() + timedelta(days=SCAN_DAYS)
    with ledger.begin() as tx:
        while tx.erase(day, NOON + timedelta(days=SCAN_DAYS), 10):
            pass
    left = row(ledger)
    assert (left.scan, left.answers, left.again) == (None, "{}", True)
    assert again(ledger) is None or tally(ledger, SCAN_DAYS).lapsed == 1


def test_of_a_slip_that_was_not_drawn_no_answers_are_kept(ledger: Ledger, survey: str) -> None:
    enter(ledger, survey, again=False, scan=b"")
    assert (row(ledger).answers, row(ledger).scan) == ("{}", None)
    assert again(ledger) is None


def test_a_drawn_slip_without_a_scan_loses_its_answers_on_the_same_day(ledger: Ledger, survey: str) -> None:
    enter(ledger, survey, scan=b"")
    found, _, scan = again(ledger)
    assert (found.scanned, scan) == (False, b"")
    with ledger.begin() as tx:
        while tx.erase(NOON.date() + timedelta(days=SCAN_DAYS), NOON + timedelta(days=SCAN_DAYS), 10):
            pass
    assert row(ledger).answers == "{}"


@pytest.mark.parametrize(
    ("by", "unit", "barred", "may"),
    [
        ("lan", "C02", NONE, False), ("minh", "C01", NONE, False), ("minh", "X1", frozenset({"X1"}), False), ("minh", "C02", NONE, True),
        ("minh", None, NONE, True),
    ],
)  # fmt: skip
def test_only_another_person_of_another_unit_that_is_not_judged_enters_it_again(
    ledger: Ledger, survey: str, by: str, unit: str | None, barred: frozenset[str], may: bool
) -> None:
    enter(ledger, survey)
    with ledger.read() as reader:
        assert bool(reader.papers_to_enter(NOON, by, unit, barred, 9)) is may
    assert (again(ledger, by, unit, barred) is not None) is may


def test_the_second_entry_is_compared_counted_once_and_forgotten(ledger: Ledger, survey: str) -> None:
    enter(ledger, survey)
    number = row(ledger).id
    with ledger.begin() as tx:
        assert tx.entered_again(number, "minh", "C02", NONE, {"Q0": 5, "Q1": 3}, ["Q0", "Q1", "Q2"], NOON) == (2, 1)
    assert tally(ledger) == PaperTally(1, 1, 1, 0, 2, 1)
    assert row(ledger).answers == "{}"
    with ledger.begin() as tx, pytest.raises(Invalid, match="gone"):
        tx.entered_again(number, "minh", "C02", NONE, {}, ["Q0"], NOON)


def test_looking_at_a_scan_stands_in_the_trail(ledger: Ledger, survey: str, since: int) -> None:
    enter(ledger, survey)
    again(ledger)
    with ledger.read() as reader:
        assert [(e.act, e.object) for e in reader.audit(actor="minh", after=since, limit=9)] == [("vault_seen", f"survey:{survey}")]
