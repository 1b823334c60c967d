"""Who is asked, and when: one test for each rule, then what holds for every ending and every order of endings."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain import draw as lots
from hailong.domain.asking import (
    OUTCOMES_ENDED,
    REASONS,
    RULES,
    WAITING,
    Asked,
    Check,
    Draw,
    Known,
    NotAsked,
    Rested,
    Turn,
    Verdict,
    Waiting,
    arms,
    checks,
    decide,
    moment,
    reminder_at,
    turns,
)
from hailong.domain.hours import Hours, midnight
from hailong.domain.rulebook import Rules
from hailong.events import ApplicantType, DossierClosed, MessageChannel, Outcome, SubmittedBy
from tests.contract.build import closed

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
TODAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 9, 7, 30, tzinfo=ZONE)
RULES_NOW = Rules(procedures=frozenset({"2.000488"}))
KNOWN = Known(reach=("sms", "email"), unit_endings=1000)
BY_RULES = (
    "test", "not_ended", "ends_before_start", "too_old", "applicant_type", "submitted_by", "minor", "sensitive_procedure", "no_contact",
    "no_channel", "opted_out", "sampled_out", "recently_asked", "no_hour",
)  # fmt: skip
"""Reasons the rules give, in their order; the others come later, when something happens to what waits."""
LATER = {"represented", "reopened", "expired", "answered", "undeliverable", "contact_erased", "trial"}
NEVER_OPEN = Hours(closed=frozenset(TODAY + timedelta(days=i) for i in range(1, 45)))


def half(purpose: str) -> float:
    return 0.5


def verdict(
    fact: DossierClosed | None = None, known: Known = KNOWN, rules: Rules = RULES_NOW, now: datetime = NOW, draw: Draw = half
) -> Verdict:
    return decide(fact or closed("d"), known, now, rules, draw)


def reason(found: Verdict) -> str | None:
    return None if isinstance(found, Asked) else found.reason


def asked(found: Verdict) -> Asked:
    assert isinstance(found, Asked)
    return found


def why(rule: str, **given_: Any) -> Check:
    fact, known, rules = given_.get("fact", closed("d")), given_.get("known", KNOWN), given_.get("rules", RULES_NOW)
    return next(c for c in checks(fact, known, NOW, rules, half) if c.rule == rule)


# --- each rule


def test_who_has_ended_and_can_be_reached_is_asked() -> None:
    found = asked(verdict())
    assert found.channel == "sms"
    assert found.ask_at == datetime(2026, 3, 2, 11, 15, tzinfo=ZONE)  # two hours from now, rounded up
    assert found.expires_at == datetime(2026, 4, 2, tzinfo=ZONE)  # the thirtieth day is whole
    assert found.arms == {}


def test_a_test_dossier_is_not_asked_about() -> None:
    assert reason(verdict(known=replace(KNOWN, test=True))) == "test"


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_way_of_ending_is_asked_about_a_refusal_too(outcome: Outcome) -> None:
    assert reason(verdict(closed("d", outcome=outcome))) == (None if outcome in OUTCOMES_ENDED else "not_ended")


def test_a_dossier_that_ended_before_it_was_received_is_wrong_and_not_asked_about() -> None:
    assert reason(verdict(closed("d", received_on=date(2026, 3, 3), ended_on=TODAY))) == "ends_before_start"
    assert reason(verdict(closed("d", received_on=TODAY, ended_on=TODAY))) is None


@pytest.mark.parametrize(("days", "why_not"), [(0, None), (14, None), (15, "too_old")])
def test_what_hailong_heard_of_too_late_is_not_asked_about(days: int, why_not: str | None) -> None:
    fact = closed("d", ended_on=TODAY - timedelta(days=days), received_on=date(2026, 1, 2))
    assert reason(verdict(fact)) == why_not


@pytest.mark.parametrize("kind", get_args(ApplicantType))
def test_kinds_of_applicants_can_be_left_out(kind: ApplicantType) -> None:
    rules = replace(RULES_NOW, applicant_types=frozenset({"state_body"}))
    assert reason(verdict(closed("d", applicant_type=kind), rules=rules)) == ("applicant_type" if kind == "state_body" else None)
    assert reason(verdict(closed("d", applicant_type=kind))) is None


@pytest.mark.parametrize("who", get_args(SubmittedBy))
def test_who_handed_in_is_asked_a_proxy_too_unless_the_rules_say_otherwise(who: SubmittedBy) -> None:
    assert reason(verdict(closed("d", submitted_by=who))) is None
    rules = replace(RULES_NOW, submitted_by=frozenset({"proxy"}))
    assert reason(verdict(closed("d", submitted_by=who), rules=rules)) == ("submitted_by" if who == "proxy" else None)


def test_minors_are_not_asked_unless_the_rules_say_otherwise() -> None:
    minor = replace(KNOWN, minor=True)
    assert reason(verdict(known=minor)) == "minor"
    assert reason(verdict(known=minor, rules=replace(RULES_NOW, minors=False))) is None


def test_a_procedure_that_a_message_would_betray_is_not_asked_about() -> None:
    assert reason(verdict(closed("d", procedure_code_national="2.000488"))) == "sensitive_procedure"
    assert reason(verdict(closed("d", procedure_code_national="2.000489"))) is None


def test_who_cannot_be_reached_is_not_asked() -> None:
    assert reason(verdict(known=replace(KNOWN, reach=()))) == "no_contact"


def test_who_refuses_every_channel_there_is_is_not_asked() -> None:
    assert reason(verdict(known=replace(KNOWN, refused=frozenset({"sms", "email"})))) == "no_channel"
    assert reason(verdict(known=replace(KNOWN, reach=("zns",)), rules=replace(RULES_NOW, channels=("sms", "email")))) == "no_channel"


def test_who_opted_out_is_not_asked() -> None:
    assert reason(verdict(known=replace(KNOWN, opted_out=True))) == "opted_out"


@pytest.mark.parametrize(("share", "why_not"), [(0.5, "sampled_out"), (0.51, None), (0.0, "sampled_out"), (1.0, None)])
def test_big_units_ask_about_their_share_small_ones_everyone(share: float, why_not: str | None) -> None:
    rules = replace(RULES_NOW, share=share)
    assert reason(verdict(rules=rules, known=replace(KNOWN, unit_endings=600))) == why_not
    assert reason(verdict(rules=rules, known=replace(KNOWN, unit_endings=599))) is None


def test_a_unit_may_have_a_share_of_its_own() -> None:
    rules = replace(RULES_NOW, unit_shares={"X1": 0.1})
    assert reason(verdict(rules=rules)) == "sampled_out"
    assert reason(verdict(closed("d", receiving_unit="X2", handling_unit="X1"), rules=rules)) is None


# --- the cap: later rather than never


def capped(days_ago: float, ended: date = TODAY, rules: Rules = RULES_NOW, now: datetime = NOW) -> Verdict:
    fact = closed("d", ended_on=ended, received_on=date(2026, 1, 1))
    return verdict(fact, replace(KNOWN, asked_at=now - timedelta(days=days_ago)), rules, now)


def test_inside_the_cap_it_rests_until_the_cap_is_over() -> None:
    assert capped(10) == Waiting(datetime(2026, 3, 22, tzinfo=ZONE), "resting")
    assert capped(-1) == Waiting(datetime(2026, 4, 2, tzinfo=ZONE))  # planned for tomorrow


@pytest.mark.parametrize(("days_ago", "why_not"), [(29, "resting"), (30, None), (31, None)])
def test_the_cap_is_over_on_its_day_whatever_the_hour(days_ago: int, why_not: str | None) -> None:
    for hour in (0, 9, 23):
        last = midnight(TODAY - timedelta(days=days_ago)) + timedelta(hours=hour)
        assert reason(verdict(known=replace(KNOWN, asked_at=last), now=midnight(TODAY))) == why_not


def test_when_the_cap_is_over_it_is_asked_not_an_hour_earlier() -> None:
    last = datetime(2026, 1, 31, 15, tzinfo=ZONE)
    found = asked(verdict(known=replace(KNOWN, asked_at=last), now=midnight(TODAY), draw=lambda purpose: 0.0))
    assert found.ask_at == last + timedelta(days=30)


@pytest.mark.parametrize(("ended_days_ago", "why_not"), [(25, "resting"), (26, "recently_asked")])
def test_it_rests_no_longer_than_the_delay_allows(ended_days_ago: int, why_not: str) -> None:
    """Twenty days of the cap are left; 45 days after its end nobody is asked any more."""
    rules = replace(RULES_NOW, too_old_days=60)
    assert reason(capped(10, TODAY - timedelta(days=ended_days_ago), rules)) == why_not


def test_without_a_delay_nothing_rests_and_without_a_cap_nothing_has_to() -> None:
    assert reason(capped(10, rules=replace(RULES_NOW, delay_days=0))) == "recently_asked"
    assert reason(capped(0, rules=replace(RULES_NOW, cap_days=0))) is None


def test_the_lowest_draw_has_the_turn_and_stands_for_the_others() -> None:
    three = [Rested("a", ("p",), 0.5), Rested("b", ("p", "e"), 0.2), Rested("c", ("e",), 0.9)]
    alone = Rested("z", ("q",), 0.1)
    assert turns([*three, alone]) == [Turn("b", ("a", "c")), Turn("z", ())]
    assert [t.weight for t in turns([*three, alone])] == [3, 1]
    assert turns([]) == []


rested = st.lists(
    st.builds(
        Rested, st.text("abcdefgh", min_size=1, max_size=4), st.lists(st.sampled_from("pqrstu"), max_size=3).map(tuple), st.floats(0, 1)
    ),
    unique_by=lambda r: r.dossier_ref,
    max_size=12,
)


@given(some=rested, seed=st.randoms(use_true_random=False))
def test_turns_are_the_same_in_any_order_everybody_is_in_one_and_no_contact_in_two(some: list[Rested], seed: Any) -> None:
    found = turns(some)
    shuffled = list(some)
    seed.shuffle(shuffled)
    assert turns(shuffled) == found
    assert sorted(ref for t in found for ref in (t.asked, *t.represented)) == sorted(r.dossier_ref for r in some)
    contacts = {r.dossier_ref: r.contacts for r in some}
    used = [c for t in found for c in {c for ref in (t.asked, *t.represented) for c in contacts[ref]}]
    assert len(used) == len(set(used))


# --- the channel, the moment, the arms, the reminder


@pytest.mark.parametrize(
    ("known", "channel"),
    [
        (Known(("email", "sms"), 0), "sms"),
        (Known(("email", "sms"), 0, refused=frozenset({"sms"})), "email"),
        (Known(("email", "sms"), 0, preferred_channel="email"), "email"),
        (Known(("email", "sms"), 0, preferred_channel="zns"), "sms"),
        (Known(("email", "sms"), 0, refused=frozenset({"email"}), preferred_channel="email"), "sms"),
        (Known(("print", "zns"), 0), "zns"),
    ],
)
def test_the_channel_is_the_first_they_can_be_reached_by_have_not_refused_and_prefer(known: Known, channel: MessageChannel) -> None:
    assert asked(verdict(known=known)).channel == channel


def test_an_arm_takes_the_channel_unless_they_prefer_another_or_cannot_be_reached_by_it() -> None:
    rules = replace(RULES_NOW, experiments={"channel": {"email": 0.9, "zns": 0.1}})
    assert asked(verdict(rules=rules)).channel == "email"
    assert asked(verdict(rules=rules, known=replace(KNOWN, preferred_channel="sms"))).channel == "sms"
    drawn_zns = asked(verdict(rules=rules, draw=lambda purpose: 0.95))
    assert (drawn_zns.channel, drawn_zns.arms) == ("sms", {"channel": "zns"})  # as drawn, though nobody has Zalo


def test_an_arm_takes_the_hour() -> None:
    rules = replace(RULES_NOW, experiments={"hour": {"08:00-10:00": 0.4, "18:00-19:30": 0.6}})
    found = asked(verdict(rules=rules))
    assert found.arms == {"hour": "18:00-19:30"}
    assert found.ask_at == datetime(2026, 3, 3, 18, 30, tzinfo=ZONE)  # two hours of it: all of today's, half an hour of tomorrow's


@pytest.mark.parametrize("how", [{"result_channel": "electronic"}, {"outcome": "done_electronic"}])
def test_after_an_electronic_result_the_next_morning_at_the_earliest(how: dict[str, Any]) -> None:
    first = asked(verdict(closed("d", **how), draw=lambda purpose: 0.0))
    assert first.ask_at == datetime(2026, 3, 3, 8, tzinfo=ZONE)
    saturday = closed("d", ended_on=date(2026, 2, 28), heard_on=date(2026, 2, 28), **how)
    late = datetime(2026, 2, 28, 9, tzinfo=ZONE)
    assert asked(verdict(saturday, now=late, draw=lambda purpose: 0.0)).ask_at == datetime(2026, 3, 2, 8, tzinfo=ZONE)
    at_once = replace(RULES_NOW, after_electronic="at_once", spread_minutes=0)
    assert asked(verdict(closed("d", **how), rules=at_once)).ask_at == NOW


def test_an_electronic_result_of_yesterday_is_asked_about_today() -> None:
    fact = closed("d", result_channel="electronic", ended_on=date(2026, 3, 1))
    assert asked(verdict(fact, draw=lambda purpose: 0.0)).ask_at == datetime(2026, 3, 2, 9, 15, tzinfo=ZONE)


def test_what_finds_no_hour_while_its_link_would_hold_is_not_asked() -> None:
    assert reason(verdict(rules=replace(RULES_NOW, hours=NEVER_OPEN))) == "no_hour"
    assert reason(verdict(rules=replace(RULES_NOW, hours=NEVER_OPEN, link_days=60))) is None


def test_one_reminder_after_its_days_at_an_open_hour_while_the_link_holds() -> None:
    at = datetime(2026, 3, 3, 10, 30, tzinfo=ZONE)
    end = at + timedelta(days=30)
    assert reminder_at(at, end, RULES_NOW, half) == datetime(2026, 3, 9, 8, tzinfo=ZONE)  # the fifth day is a Sunday
    assert reminder_at(at, end, replace(RULES_NOW, reminder_share=0.5), half) is None
    assert reminder_at(at, end, replace(RULES_NOW, reminder_share=0.51), half) is not None
    assert reminder_at(at, at + timedelta(days=5), RULES_NOW, half) is None


# --- the list of checks


def test_the_list_of_reasons_is_closed_and_each_says_what_it_means() -> None:
    assert set(REASONS) == {*BY_RULES, *LATER}
    assert set(WAITING) == {"undecided", "not_before", "resting", "in_flight", "over_budget", "channel_off"}
    assert all([*REASONS.values(), *WAITING.values()])


def test_every_rule_is_shown_with_what_it_looked_at_passed_or_not() -> None:
    found = checks(closed("d", outcome="supplement_requested"), replace(KNOWN, reach=()), NOW, RULES_NOW, half)
    assert [c.rule for c in found] == list(RULES)
    assert {c.rule: c.reason for c in found if not c.passed} == {"ended": "not_ended", "contact": "no_contact", "channel": "no_channel"}
    assert why("age").detail == {"days": 0, "too_old_days": 14}
    assert why("cap", known=replace(KNOWN, asked_at=NOW)).detail == {
        "asked_on": "2026-03-02", "until": "2026-04-01", "latest": "2026-04-16", "cap_days": 30,
    }  # fmt: skip
    assert why("sample").detail == {"draw": 0.5, "share": 1.0, "unit_endings": 1000}


def test_the_first_rule_that_forbids_it_is_the_reason() -> None:
    """All of them at once; then one after the other falls away."""
    fact: dict[str, Any] = {
        "outcome": "supplement_requested", "received_on": date(2026, 3, 3), "ended_on": date(2026, 1, 1), "applicant_type": "other",
        "submitted_by": "proxy", "procedure_code_national": "2.000488",
    }  # fmt: skip
    known: dict[str, Any] = {
        "test": True, "minor": True, "reach": (), "refused": frozenset({"sms"}), "opted_out": True, "asked_at": NOW, "unit_endings": 1000,
    }  # fmt: skip
    rules: dict[str, Any] = {
        "procedures": frozenset({"2.000488"}), "applicant_types": frozenset({"other"}), "submitted_by": frozenset({"proxy"}),
        "share": 0.5, "hours": NEVER_OPEN, "delay_days": 0,
    }  # fmt: skip
    mends: list[tuple[dict[str, Any], str, Any]] = [
        (known, "test", False),
        (fact, "outcome", "refused"),
        (fact, "received_on", date(2026, 1, 1)),
        (fact, "ended_on", TODAY),
        (fact, "applicant_type", "citizen"),
        (fact, "submitted_by", "owner"),
        (known, "minor", False),
        (fact, "procedure_code_national", None),
        (known, "reach", ("sms",)),
        (known, "refused", frozenset()),
        (known, "opted_out", False),
        (rules, "share", 1.0),
        (known, "asked_at", None),
        (rules, "hours", Hours()),
    ]
    found = [reason(verdict(closed("d", **fact), Known(**known), Rules(**rules)))]
    for where, name, mended in mends:
        where[name] = mended
        found.append(reason(verdict(closed("d", **fact), Known(**known), Rules(**rules))))
    assert tuple(found) == (*BY_RULES, None)


# --- whatever comes

CHANNELS: tuple[MessageChannel, ...] = get_args(MessageChannel)
EXPERIMENTS = {
    "channel": {"sms": 0.5, "zns": 0.5},
    "hour": {"08:00-12:00": 0.5, "12:00-20:00": 0.5},
    "link": {"link": 0.9, "link_free": 0.1},
}
moments = st.integers(0, 2 * 365 * 86_400).map(lambda s: datetime(2025, 1, 1, tzinfo=ZONE) + timedelta(seconds=s))
seeds = st.binary(min_size=16, max_size=16)
some_channels = st.lists(st.sampled_from(CHANNELS), unique=True)
facts = st.builds(
    lambda now, back, took, outcome, result, code, who: closed(
        "d",
        outcome=outcome,
        ended_on=now.date() - timedelta(days=back),
        received_on=now.date() - timedelta(days=back + took),
        heard_on=now.date(),
        result_channel=result,
        procedure_code_national=code,
        submitted_by=who,
    ),
    st.just(NOW),
    st.integers(0, 20),
    st.integers(-1, 30),
    st.sampled_from(get_args(Outcome)),
    st.sampled_from(["counter", "electronic"]),
    st.sampled_from([None, "2.000488", "1.000001"]),
    st.sampled_from(get_args(SubmittedBy)),
)
knowns = st.builds(
    Known,
    reach=some_channels.map(tuple),
    unit_endings=st.integers(0, 2000),
    refused=some_channels.map(frozenset),
    preferred_channel=st.none() | st.sampled_from(CHANNELS),
    opted_out=st.booleans(),
    asked_at=st.none() | st.timedeltas(timedelta(days=-60), timedelta(days=10)).map(lambda ago: NOW + ago),
    test=st.booleans(),
    minor=st.booleans(),
)
rule_sets = st.builds(
    Rules,
    procedures=st.just(frozenset({"2.000488"})),
    cap_days=st.sampled_from([0, 1, 30, 90]),
    delay_days=st.sampled_from([0, 45, 200]),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    spread_minutes=st.sampled_from([0, 240]),
    experiments=st.sampled_from([{}, EXPERIMENTS]),
    hours=st.sampled_from([Hours(), NEVER_OPEN, Hours(days=frozenset({6}))]),
)


def of(seed: bytes, ref: str = "d") -> Draw:
    return partial(lots.number, seed, ref)


@given(fact=facts, known=knowns, rules=rule_sets, seed=seeds)
def test_every_ending_has_exactly_one_verdict_the_first_failed_check(fact: DossierClosed, known: Known, rules: Rules, seed: bytes) -> None:
    found = decide(fact, known, NOW, rules, of(seed))
    listed = checks(fact, known, NOW, rules, of(seed))
    first = next((c for c in listed if not c.passed), None)
    assert all((c.reason is None) == c.passed for c in listed)
    assert {c.reason for c in listed} <= {None, *REASONS, *WAITING}
    assert reason(found) == (first.reason if first else None)
    if isinstance(found, Asked):
        assert found.channel in set(known.reach) & set(rules.channels) - known.refused
        assert NOW <= found.ask_at < found.expires_at
        assert rules.hours.is_open(found.ask_at)
        assert found.arms == arms(rules, of(seed))
        assert found.arms.keys() == rules.experiments.keys()
    elif isinstance(found, Waiting):
        assert NOW < found.until <= midnight(fact.ended_on + timedelta(days=rules.delay_days))
    assert decide(fact, known, NOW, rules, of(seed)) == found


@given(fact=facts, known=knowns, rules=rule_sets, seed=seeds, hour=st.integers(0, 23))
def test_who_has_the_inputs_finds_the_same_decision_again(fact: DossierClosed, known: Known, rules: Rules, seed: bytes, hour: int) -> None:
    """From the log alone: the inputs as JSON, the day and no hour."""
    found = decide(fact, known, NOW, rules, of(seed))
    again = Known.of(msgspec.json.decode(msgspec.json.encode(known.inputs())))
    later = decide(fact, again, NOW.replace(hour=hour), rules, of(seed))
    assert checks(fact, again, NOW.replace(hour=hour), rules, of(seed)) == checks(fact, known, NOW, rules, of(seed))
    if isinstance(found, Asked):
        assert isinstance(later, Asked)
        assert (later.channel, later.arms) == (found.channel, found.arms)
    else:
        assert later == found


@given(now=moments, ended=st.integers(0, 20), electronic=st.booleans(), rules=rule_sets, seed=seeds)
def test_the_moment_is_never_outside_the_window_nor_too_early(
    now: datetime, ended: int, electronic: bool, rules: Rules, seed: bytes
) -> None:
    fact = closed("d", ended_on=now.date() - timedelta(days=ended), result_channel="electronic" if electronic else "counter")
    last = now - timedelta(days=rules.cap_days) + timedelta(hours=5)
    at = moment(fact, replace(KNOWN, asked_at=last), now, rules, of(seed))
    assert rules.hours.is_open(at)
    assert at >= now
    assert rules.cap_days == 0 or at >= last + timedelta(days=rules.cap_days)
    assert not electronic or at.date() > fact.ended_on


@given(now=moments, wait=st.timedeltas(timedelta(0), timedelta(days=40)), rules=rule_sets, seed=seeds)
def test_deciding_later_never_asks_earlier(now: datetime, wait: timedelta, rules: Rules, seed: bytes) -> None:
    fact = closed("d", ended_on=now.date())
    assert moment(fact, KNOWN, now, rules, of(seed)) <= moment(fact, KNOWN, now + wait, rules, of(seed))


# --- a life: many endings of a few people, in any order


@dataclass
class Life:
    """Endings as they come and rests as they run out, with nothing but the domain's functions and who was asked when."""

    rules: Rules
    seed: bytes
    contacts: dict[str, tuple[str, ...]]
    asked: dict[str, list[datetime]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    resting: list[tuple[datetime, str, DossierClosed]] = field(default_factory=list)

    def live(self, endings: list[tuple[datetime, str]]) -> None:
        for at, ref in sorted(endings):
            self.wake(at)
            fact = closed(ref, ended_on=at.date(), heard_on=at.date(), received_on=at.date())
            self.decide_together(at, [fact])
        self.wake(datetime.max.replace(tzinfo=ZONE))

    def wake(self, until: datetime) -> None:
        while self.resting and self.resting[0][0] <= until:
            now, due = self.resting[0][0], []
            while self.resting and self.resting[0][0] <= now:
                due.append(heapq.heappop(self.resting)[2])
            self.decide_together(now, due)

    def decide_together(self, now: datetime, due: list[DossierClosed]) -> None:
        found = {f.dossier_ref: (f, decide(f, self.known(f.dossier_ref), now, self.rules, of(self.seed, f.dossier_ref))) for f in due}
        ready = [
            Rested(ref, self.contacts[ref], lots.number(self.seed, ref, lots.REST)) for ref, (_, v) in found.items() if isinstance(v, Asked)
        ]
        for turn in turns(ready):
            verdict_ = found[turn.asked][1]
            assert isinstance(verdict_, Asked)
            self.settle(turn, verdict_.ask_at)
        for ref, (fact, verdict_) in found.items():
            if isinstance(verdict_, Waiting):
                assert verdict_.until > now
                heapq.heappush(self.resting, (verdict_.until, ref, fact))
            elif isinstance(verdict_, NotAsked):
                self.outcomes[ref] = verdict_.reason

    def settle(self, turn: Turn, at: datetime) -> None:
        self.outcomes |= {turn.asked: "asked"} | dict.fromkeys(turn.represented, "represented")
        self.weights[turn.asked] = turn.weight
        for contact in self.contacts[turn.asked]:
            self.asked.setdefault(contact, []).append(at)

    def known(self, ref: str) -> Known:
        latest = max((at for c in self.contacts[ref] for at in self.asked.get(c, ())), default=None)
        return replace(KNOWN, asked_at=latest)


people = st.sampled_from([("person-1", "phone-1"), ("person-2", "phone-1"), ("person-2", "mail-2"), ("person-3",), ("mail-2", "phone-3")])
endings = st.lists(st.tuples(st.integers(0, 150 * 86_400), people), min_size=2, max_size=25)
capped_rules = st.builds(
    Rules,
    cap_days=st.sampled_from([1, 7, 30, 60]),
    delay_days=st.sampled_from([0, 10, 45, 200]),
    share=st.sampled_from([1.0, 0.7]),
    spread_minutes=st.sampled_from([0, 240, 1500]),
    experiments=st.sampled_from([{}, EXPERIMENTS]),
)


@given(come=endings, rules=capped_rules, seed=seeds)
def test_nobody_is_asked_twice_within_the_cap_whatever_comes_and_every_ending_has_its_outcome(
    come: list[tuple[int, tuple[str, ...]]], rules: Rules, seed: bytes
) -> None:
    refs = {f"d{i}": who for i, (_, who) in enumerate(come)}
    life = Life(rules, seed, refs)
    life.live([(datetime(2026, 1, 15, tzinfo=ZONE) + timedelta(seconds=at), f"d{i}") for i, (at, _) in enumerate(come)])
    for times in life.asked.values():
        assert all(b - a >= timedelta(days=rules.cap_days) for a, b in pairwise(sorted(times)))
        assert all(rules.hours.is_open(at) for at in times)
    assert life.outcomes.keys() == refs.keys()
    said = list(life.outcomes.values())
    assert sum(life.weights.values()) == said.count("asked") + said.count("represented")
    assert set(said) <= {"asked", "represented", "recently_asked", "sampled_out"}


def test_three_dossiers_in_a_week_are_one_asking_now_and_one_later_that_counts_for_two() -> None:
    life = Life(RULES_NOW, b"0123456789abcdef", dict.fromkeys(("d1", "d2", "d3"), ("phone-1",)))
    life.live([(NOW, "d1"), (NOW + timedelta(days=2), "d2"), (NOW + timedelta(days=4), "d3")])
    later = min(("d2", "d3"), key=lambda ref: lots.number(life.seed, ref, lots.REST))
    assert life.weights == {"d1": 1, later: 2}
    assert sorted(life.outcomes.values()) == ["asked", "asked", "represented"]
    first, second = life.asked["phone-1"]
    assert timedelta(days=30) <= second - first < timedelta(days=32)
