"""Arms counted where they stand beside answers, on SQLite and PostgreSQL: who counts, from when, and for how long it can be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from hailong.domain.arms import FOLLOWED, Tally
from hailong.domain.units import LOCAL
from hailong.ports import Claimed, Handover, Receipt
from sinks.ledger import Ledger
from tests.contract.build import NOON, act, answered, claim, decide, settle, take

Open = Callable[..., Ledger]
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)
TODAY = NOON.date()
THEN = NOON + FOLLOWED
WORDING_A = {"wording": "a", "link": "link"}


@pytest.fixture
def ledger(opened: Open) -> Ledger:
    return opened(zone=LOCAL)


def invited(ledger: Ledger, ref: str, arms: Mapping[str, str], at: datetime = NOON) -> Claimed:
    """A dossier with an arm of its own, claimed and not settled yet."""
    take(ledger, act(ref, f"+8490{ref:0>7}", event_id=f"closed:{ref}"), now=at)
    decide(ledger, ref, ask_at=at, arms=dict(arms))
    (one,) = claim(ledger, at)
    return one


def asked(ledger: Ledger, ref: str, arms: Mapping[str, str] = WORDING_A, at: datetime = NOON) -> Claimed:
    one = invited(ledger, ref, arms, at)
    settle(ledger, "handed_over", one, now=at, handover=Handover("twilio", f"SM{one.claim_id}", 1, receipts=True))
    return one


def hear(ledger: Ledger, one: Claimed, status: Any) -> None:
    with ledger.begin() as tx:
        tx.store_receipt(Receipt("twilio", f"SM{one.claim_id}", status, None), NOON)
        tx.apply_receipts(NOON, 10)


def answer(ledger: Ledger, one: Claimed, at: datetime) -> None:
    with ledger.begin() as tx:
        tx.count(answered(one.ref, 5), at)


def wordings(ledger: Ledger, now: datetime = THEN, first: date = TODAY, until: date = TODAY) -> list[Tally]:
    with ledger.read() as reader:
        return [tally for tally in reader.arms(now, first, until) if tally.experiment == "wording"]


def test_who_was_asked_long_enough_ago_counts_by_what_was_drawn(ledger: Ledger) -> None:
    first, second, third = (asked(ledger, ref) for ref in "123")
    hear(ledger, first, "delivered")
    answer(ledger, first, NOON + DAY)
    answer(ledger, second, NOON + DAY)
    asked(ledger, "4", {"wording": "b", "channel": "email"})  # a number only, so it went by SMS
    with ledger.read() as reader:
        assert reader.arms(THEN, TODAY, TODAY) == [
            Tally("channel", "email", asked=1),
            Tally("link", "link", asked=3, delivered=1, answered=2),
            Tally("wording", "a", asked=3, delivered=1, answered=2),
            Tally("wording", "b", asked=1),
        ]
    assert third.arms == WORDING_A


def test_what_was_refused_for_good_or_is_unknown_is_not_asked_and_stands_apart(ledger: Ledger) -> None:
    asked(ledger, "1")
    settle(ledger, "failed", invited(ledger, "2", WORDING_A), reason="no such number")
    hear(ledger, asked(ledger, "3"), "failed")
    unknown = invited(ledger, "4", WORDING_A)
    settle(ledger, "unknown", unknown, reason="no answer")
    answer(ledger, unknown, NOON + DAY)
    invited(ledger, "5", WORDING_A)  # in flight
    assert wordings(ledger) == [Tally("wording", "a", asked=1, unknown=1, failed=2)]


def test_younger_invitations_are_open_whether_answered_or_not(ledger: Ledger) -> None:
    answer(ledger, asked(ledger, "1"), NOON + DAY)
    asked(ledger, "2")
    assert wordings(ledger, THEN - MOMENT) == [Tally("wording", "a", open=2)]
    assert wordings(ledger, THEN) == [Tally("wording", "a", asked=2, answered=1)]


def test_an_answer_after_the_time_everybody_had_does_not_count(ledger: Ledger) -> None:
    on_time, late = asked(ledger, "1"), asked(ledger, "2")
    answer(ledger, on_time, THEN)
    answer(ledger, late, THEN + MOMENT)
    assert wordings(ledger, THEN + DAY) == [Tally("wording", "a", asked=2, answered=1)]


def test_the_period_is_of_local_days_of_asking_both_included(ledger: Ledger) -> None:
    midnight = datetime(2026, 3, 3, tzinfo=LOCAL)
    for ref, at in (("1", NOON), ("2", midnight - MOMENT), ("3", midnight), ("4", midnight + DAY)):
        asked(ledger, ref, at=at)
    now = THEN + 3 * DAY
    assert wordings(ledger, now)[0].asked == 2
    assert wordings(ledger, now, TODAY + DAY, TODAY + DAY)[0].asked == 1
    assert wordings(ledger, now, TODAY, TODAY + 2 * DAY)[0].asked == 4
    assert wordings(ledger, now, TODAY - DAY, TODAY - DAY) == []


def test_dossiers_outside_every_experiment_and_reminders_are_not_counted(ledger: Ledger) -> None:
    asked(ledger, "1", {})
    take(ledger, act("2", "+84900000002"))
    decide(ledger, "2", arms=WORDING_A, remind_after_days=5)
    settle(ledger, "handed_over", *claim(ledger))
    (reminder,) = claim(ledger, NOON + 5 * DAY)
    assert reminder.kind == "reminder"
    settle(ledger, "handed_over", reminder, now=NOON + 5 * DAY)
    assert wordings(ledger, until=TODAY + 5 * DAY) == [Tally("wording", "a", asked=1)]


def test_counts_stay_when_surveys_are_erased_one_after_the_other(ledger: Ledger) -> None:
    """Who answers at once is erased a month before who never does: without them it would say that fewer and fewer answered."""
    answer(ledger, asked(ledger, "1"), NOON + timedelta(minutes=5))
    hear(ledger, asked(ledger, "2"), "delivered")
    hear(ledger, asked(ledger, "3"), "failed")
    late = asked(ledger, "4")
    erased = set()
    for days in range(1, 66):
        now = NOON + days * DAY
        if days == 16:
            answer(ledger, late, now - DAY)
        with ledger.begin() as tx:
            while tx.erase(now.date(), now, 1):
                pass
        expected = Tally("wording", "a", asked=3, delivered=1, answered=1, failed=1)
        assert now < THEN or wordings(ledger, now) == [expected]
        assert wordings(ledger, now, TODAY + DAY, TODAY + 60 * DAY) == []
        with ledger.read() as reader:
            erased.add(sum(slot.erased_on is not None for slot in reader.slots()))
    assert erased == {0, 2, 3, 4}, "at first, one by one, and in the end all"


def test_who_had_themselves_erased_is_in_no_count(ledger: Ledger) -> None:
    asked(ledger, "1")
    answer(ledger, asked(ledger, "2"), NOON + DAY)
    with ledger.begin() as tx, ledger.read() as reader:
        tx.erase_slots([slot for slot in reader.slots() if slot.dossier_ref == "2"], TODAY + DAY, NOON + DAY)
    assert wordings(ledger) == [Tally("wording", "a", asked=1)]
