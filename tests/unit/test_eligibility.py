"""Who is asked, and when: the rules, one test for each reason, then what holds for every ending."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.eligibility import OUTCOMES_ENDED, REASONS, Rules, Verdict, decide, moment_of_asking
from hailong.events import DossierClosed, Outcome
from hailong.ports import SlotForDecision
from tests.contract.build import closed

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
NOW = datetime(2026, 3, 2, 9, 7, 30, tzinfo=ZONE)
RULES = Rules(sensitive=frozenset({"2.000488"}))
BY_RULES = ("test", "not_ended", "ends_before_start", "too_old", "sensitive_procedure", "no_contact", "opted_out", "recently_asked")
"""Reasons these rules give; the others come later, when something happens to what waits."""
LATER = {"reopened", "expired", "answered", "undeliverable", "contact_erased"}


def slot(**changes: Any) -> SlotForDecision:
    plain = SlotForDecision("d", "s", "waiting", "undecided", ("sms", "email"), ("phone#1",), False, None, "vi", False)
    return replace(plain, **changes)


def verdict(fact: DossierClosed | None = None, last: datetime | None = None, rules: Rules = RULES, **of_slot: Any) -> Verdict:
    return decide(fact or closed("d"), slot(**of_slot), NOW, 0.5, last, rules)


def test_who_has_ended_and_can_be_reached_is_asked() -> None:
    found = verdict()
    assert (found.asked, found.reason, found.channel) == (True, None, "sms")
    assert found.expires_at == (found.ask_at or NOW) + timedelta(days=30)


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_way_of_ending_is_asked_about_a_refusal_too(outcome: Outcome) -> None:
    found = verdict(closed("d", outcome=outcome))
    assert found.reason == (None if outcome in OUTCOMES_ENDED else "not_ended")


def test_a_test_dossier_is_not_asked_about() -> None:
    assert verdict(test=True).reason == "test"


def test_a_dossier_that_has_not_ended_is_not_asked_about() -> None:
    assert verdict(closed("d", outcome="supplement_requested")).reason == "not_ended"


def test_a_dossier_that_ended_before_it_was_received_is_wrong_and_not_asked_about() -> None:
    assert verdict(closed("d", received_on=date(2026, 3, 3), ended_on=date(2026, 3, 2))).reason == "ends_before_start"
    assert verdict(closed("d", received_on=date(2026, 3, 2), ended_on=date(2026, 3, 2))).asked


@pytest.mark.parametrize(("days", "asked"), [(0, True), (14, True), (15, False)])
def test_what_hailong_heard_of_too_late_is_not_asked_about(days: int, asked: bool) -> None:
    fact = closed("d", ended_on=date(2026, 3, 2) - timedelta(days=days), received_on=date(2026, 1, 2))
    assert verdict(fact).reason == (None if asked else "too_old")


def test_a_procedure_that_a_message_would_betray_is_not_asked_about() -> None:
    assert verdict(closed("d", procedure_code_national="2.000488")).reason == "sensitive_procedure"
    assert verdict(closed("d", procedure_code_national="2.000489")).asked


def test_who_cannot_be_reached_is_not_asked() -> None:
    assert verdict(reach=()).reason == "no_contact"


def test_the_first_way_to_reach_somebody_is_taken() -> None:
    assert verdict(reach=("email",)).channel == "email"


def test_who_opted_out_is_not_asked() -> None:
    assert verdict(opted_out=True).reason == "opted_out"


@pytest.mark.parametrize(("days", "asked"), [(29.9, False), (30, True), (-29.9, False), (-30, True)])
def test_one_asking_in_the_cap_planned_ones_too(days: float, asked: bool) -> None:
    at = moment_of_asking(NOW, date(2026, 3, 2), 0.5, RULES)
    assert verdict(last=at - timedelta(days=days)).reason == (None if asked else "recently_asked")


def test_the_list_of_reasons_is_closed_and_each_says_what_it_means() -> None:
    assert set(REASONS) == {*BY_RULES, *LATER}
    assert all(REASONS.values())


def test_the_first_rule_that_forbids_it_is_the_reason() -> None:
    """All of them at once; then one after the other falls away."""
    fact: dict[str, Any] = {
        "outcome": "supplement_requested", "received_on": date(2026, 3, 3), "ended_on": date(2026, 2, 1),
        "procedure_code_national": "2.000488",
    }  # fmt: skip
    of_slot: dict[str, Any] = {"test": True, "reach": (), "opted_out": True}
    mends: list[tuple[dict[str, Any], str, Any]] = [
        (of_slot, "test", False),
        (fact, "outcome", "refused"),
        (fact, "received_on", date(2026, 1, 1)),
        (fact, "ended_on", date(2026, 3, 1)),
        (fact, "procedure_code_national", None),
        (of_slot, "reach", ("sms",)),
        (of_slot, "opted_out", False),
    ]
    found = [verdict(closed("d", **fact), NOW, **of_slot).reason]
    for where, name, mended in mends:
        where[name] = mended
        found.append(verdict(closed("d", **fact), NOW, **of_slot).reason)
    assert tuple(found) == BY_RULES


# --- the moment


moments = st.integers(0, 3 * 365 * 86_400).map(lambda s: datetime(2025, 1, 1, tzinfo=ZONE) + timedelta(seconds=s))
draws = st.floats(0, 1, exclude_max=True)
spreads = st.builds(
    lambda spread, slot: Rules(spread_minutes=spread, slot_minutes=slot),
    st.sampled_from([1, 60, 240, 720]),
    st.sampled_from([1, 5, 15, 60]),
)


@given(now=moments, draw=draws, rules=spreads)
def test_it_lies_within_the_spread_on_a_slot_and_never_before_now(now: datetime, draw: float, rules: Rules) -> None:
    at = moment_of_asking(now, now.date(), draw, rules)
    slot_ = timedelta(minutes=rules.slot_minutes)
    assert now <= at < now + timedelta(minutes=rules.spread_minutes) + slot_
    midnight = datetime.combine(now.date(), time(), ZONE)
    assert (at - midnight) % slot_ == timedelta()


@given(now=moments, a=draws, b=draws, rules=spreads)
def test_a_later_draw_is_never_asked_earlier(now: datetime, a: float, b: float, rules: Rules) -> None:
    first, second = (moment_of_asking(now, now.date(), draw, rules) for draw in sorted((a, b)))
    assert first <= second


@given(now=moments, draw=draws)
def test_without_a_spread_or_when_it_has_passed_by_it_is_now(now: datetime, draw: float) -> None:
    assert moment_of_asking(now, now.date(), draw, Rules(spread_minutes=0)) == now
    assert moment_of_asking(now, now.date() - timedelta(days=1), draw, Rules()) == now


# --- whatever comes


facts = st.builds(
    lambda outcome, received, ended, heard, code: closed(
        "d", outcome=outcome, received_on=received, ended_on=ended, heard_on=max(ended, heard), procedure_code_national=code
    ),
    st.sampled_from(get_args(Outcome)),
    st.dates(date(2026, 1, 1), date(2026, 3, 5)),
    st.dates(date(2026, 1, 15), date(2026, 3, 2)),
    st.just(NOW.date()),
    st.sampled_from([None, "2.000488", "1.000001"]),
)
slots = st.builds(
    lambda reach, out, test: slot(reach=reach, opted_out=out, test=test),
    st.sampled_from([(), ("sms",), ("email",), ("sms", "email")]),
    st.booleans(),
    st.booleans(),
)


@given(fact=facts, of=slots, draw=draws, last=st.none() | st.timedeltas(timedelta(days=-60), timedelta(days=60)))
def test_every_ending_has_exactly_one_verdict(fact: DossierClosed, of: SlotForDecision, draw: float, last: timedelta | None) -> None:
    found = decide(fact, of, NOW, draw, None if last is None else NOW + last, RULES)
    if found.asked:
        assert found.reason is None
        assert found.channel in of.reach
        assert found.ask_at is not None
        assert found.expires_at is not None
        assert NOW <= found.ask_at < found.expires_at
    else:
        assert found == Verdict(asked=False, reason=found.reason)
        assert found.reason in BY_RULES
    assert decide(fact, of, NOW, draw, None if last is None else NOW + last, RULES) == found


@given(
    steps=st.lists(st.tuples(st.timedeltas(timedelta(0), timedelta(days=12)), draws), min_size=2, max_size=40),
    rules=st.sampled_from([Rules(), Rules(spread_minutes=0), Rules(spread_minutes=720, cap_days=1), Rules(cap_days=90)]),
)
def test_one_person_is_never_asked_within_the_cap_whatever_the_order(steps: list[tuple[timedelta, float]], rules: Rules) -> None:
    """Many endings of one number, decided one after the other, knowing only the latest asking."""
    now, asked = NOW, list[datetime]()
    for wait, draw in steps:
        now += wait
        fact = closed("d", ended_on=now.date(), heard_on=now.date(), received_on=date(2026, 1, 1))
        found = decide(fact, slot(), now, draw, max(asked, default=None), rules)
        if found.ask_at is not None:
            asked.append(found.ask_at)
    asked.sort()
    assert all(b - a >= timedelta(days=rules.cap_days) for a, b in pairwise(asked))
