"""The checks of ``prove asked`` find each harm in evidence made for it, and nothing in evidence without."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from hailong.domain.hours import Hours
from hailong.domain.rulebook import load
from ops.clock import LOCAL
from ops.proof.asked_checks import CLOSED, Met, all_checks, met, spent
from ops.proof.citizens import Visit
from ops.proof.evidence import Evidence, LogRecord, Message
from ops.proof.fortnight import START, Act, Script, rulebook
from ops.proof.population import Person, Sent
from ops.ways import PRICES
from surveys.messages.pricing import prices

NINE = datetime(2026, 2, 24, 9, tzinfo=LOCAL)
_CODES = {"invitation": "ABCDEFGH234{}", "reminder": "ZYXWVUTS765{}"}


def slot(n: int, **more: Any) -> Any:
    return SimpleNamespace(**{"dossier_ref": f"ref-{n}", "survey_id": f"survey-{n}", "outcome": "asked", "reason": None} | more)


def message(n: int, at: datetime, purpose: str = "invitation", to: str = "+84901000001", **more: Any) -> Message:
    return Message(at, to, _CODES[purpose].format(n), "sms", "twilio", 1, at)


def evidence(*messages: Message, **more: Any) -> Evidence:
    """Two dossiers of two people, both asked; their messages."""
    items = [{"dossier_code": f"code-{n}", "applicant_id": f"person-{n}", "contact": {}} for n in (1, 2)]
    sent = [Sent(item, Person(None, None, 5, True, False), "asked", "http") for item in items]
    e = Evidence(sent, {"code-1", "code-2"}, {}, set(), 0, {}, {})
    e.reference = {f"code-{n}": f"ref-{n}" for n in (1, 2)}
    e.slots = {f"ref-{n}": slot(n) for n in (1, 2)}
    e.messages = list(messages) or [message(1, NINE), message(2, NINE, to="+84901000002")]
    for n in (1, 2):
        for purpose, code in _CODES.items():
            e.survey_of[code.format(n)], e.purpose_of[code.format(n)] = f"survey-{n}", purpose
    e.log = [decision(n) for n in (1, 2)]
    for name, value in more.items():
        setattr(e, name, value)
    return e


def decision(n: int, **more: Any) -> LogRecord:
    value = {"dossier_ref": f"ref-{n}", "event_id": f"decided-{n}", "asked": True, "weight": 1} | more
    return LogRecord("survey.decided.v1", 0, n, b"", value, ())


def broken(e: Evidence) -> set[str]:
    return {c.id for c in all_checks(e) if not c.ok}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    e = evidence(
        message(1, NINE), message(2, NINE, to="+84901000002"), message(1, NINE + timedelta(days=2), "reminder"),
        visits={_CODES["invitation"].format(1): Visit(_CODES["invitation"].format(1), 5, opted_out_at=NINE + timedelta(days=3))},
    )  # fmt: skip
    assert broken(e) == set()


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 2, 11, 7, 59, 59, tzinfo=LOCAL), datetime(2026, 2, 11, 20, 0, 0, tzinfo=LOCAL),
        datetime(2026, 2, 15, 12, tzinfo=LOCAL), datetime(2026, 2, 16, 12, tzinfo=LOCAL),
    ],
)  # fmt: skip
def test_a_message_outside_the_hours_is_found(at: datetime) -> None:
    assert "3 hours" in broken(evidence(message(1, at), message(2, NINE, to="+84901000002")))
    inside = datetime(2026, 2, 11, 19, 59, 59, tzinfo=LOCAL)
    assert broken(evidence(message(1, inside), message(2, NINE, to="+84901000002"))) == set()


def test_the_literal_days_are_those_of_the_rules() -> None:
    hours = Hours()
    days = [START.date() + timedelta(days=n) for n in range(20)]
    assert {d for d in days if hours.why_closed_on(d) == "holiday"} == CLOSED


def test_the_literal_prices_are_those_of_the_example_contracts() -> None:
    listed = prices(PRICES)
    for to in ("+84901000001", "+84971000001", "+84921000001"):
        for api, provider in (("twilio", "twilio"), ("json-example", "gateway-json-example")):
            e = evidence(Message(NINE, to, _CODES["invitation"].format(1), "sms", api, 2, NINE))
            assert spent(e) == {NINE.date(): listed.price("sms", provider, to, 2, NINE.date())}


def test_two_askings_within_the_cap_are_found_by_number_and_by_person() -> None:
    early = [message(1, NINE), message(2, NINE + timedelta(days=6))]
    assert broken(evidence(*early)) == {"4 cap"}
    assert broken(evidence(message(1, NINE), message(2, NINE + timedelta(days=7)))) == set()
    e = evidence(message(1, NINE), message(2, NINE + timedelta(days=2), to="+84901000002"))
    e.sent[1].item["applicant_id"] = "person-1"
    assert broken(e) == {"4 cap"}


def test_a_second_message_of_one_kind_is_found() -> None:
    twice = [message(1, NINE), message(1, NINE + timedelta(days=9)), message(2, NINE, to="+84901000002")]
    assert "2 asked once" in broken(evidence(*twice))
    stray = Message(NINE, "+84901000003", "NOBODYSCODE1", "sms", "twilio", 1, NINE)
    assert "2 asked once" in broken(evidence(message(1, NINE), message(2, NINE, to="+84901000002"), stray))


def test_a_message_after_a_confirmed_opt_out_is_found() -> None:
    code = _CODES["invitation"].format(1)
    out = {code: Visit(code, 3, opted_out_at=NINE + timedelta(hours=1))}
    reminded = [message(1, NINE), message(2, NINE, to="+84901000002"), message(1, NINE + timedelta(days=2), "reminder")]
    assert broken(evidence(*reminded, visits=out)) == {"5 opt-out"}


def test_a_reminder_after_the_thanks_or_without_an_invitation_is_found() -> None:
    code = _CODES["invitation"].format(1)
    thanked = {code: Visit(code, 5, thanked=True, thanked_at=NINE + timedelta(days=1))}
    reminded = [message(1, NINE), message(2, NINE, to="+84901000002"), message(1, NINE + timedelta(days=2), "reminder")]
    assert broken(evidence(*reminded, visits=thanked)) == {"6 reminders"}
    assert "6 reminders" in broken(evidence(message(2, NINE, to="+84901000002"), message(1, NINE, "reminder")))


def test_a_day_that_cost_too_much_is_found() -> None:
    dear = [Message(NINE, "+84901000001", _CODES["invitation"].format(1), "sms", "twilio", 31, NINE), message(2, NINE, to="+84901000002")]
    assert broken(evidence(*dear)) == {"7 budget"}


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"slots": {"ref-1": slot(1), "ref-2": slot(2, outcome="waiting", reason="in_flight")}}, "1 outcomes"),
        ({"slots": {"ref-1": slot(1), "ref-2": slot(2, outcome="not_asked", reason="trial")}}, "1 outcomes"),
        ({"slots": {"ref-1": slot(1)}}, "1 outcomes"),
        ({"log": [decision(1)]}, "1 outcomes"),
        ({"log": [decision(1), decision(2), decision(2, event_id="again")]}, "1 outcomes"),
        ({"log": [decision(1), decision(2, weight=2)]}, "1 outcomes"),
        ({"messages": [message(1, NINE)]}, "8 claims"),
        ({"claims": [SimpleNamespace(state="claimed", claim_id="c", purpose="reminder", reason=None)]}, "8 claims"),
        ({"claims": [SimpleNamespace(state="unknown", claim_id="c", purpose="reminder", reason="lost")]}, "8 claims"),
        ({"files": {"send.log": "wrote to +84901000001"}}, "6 nobody is named"),
    ],
)
def test_other_harm_is_found(more: dict[str, Any], found: str) -> None:
    e = evidence(**more)
    e.sent[0].item["contact"]["phone"] = "+84901000001"
    assert found in broken(e)


def test_an_ending_may_still_rest_and_another_may_stand_for_it() -> None:
    resting = {"ref-1": slot(1), "ref-2": slot(2, outcome="waiting", reason="resting")}
    assert broken(evidence(message(1, NINE), slots=resting, log=[decision(1)])) == set()
    represented = {"ref-1": slot(1), "ref-2": slot(2, outcome="not_asked", reason="represented")}
    log = [decision(1, weight=2), decision(2, asked=False)]
    assert broken(evidence(message(1, NINE), slots=represented, log=log)) == set()


def test_a_run_that_met_nothing_does_not_pass() -> None:
    missing = met(evidence(), Met(kills=0, slept=0), kills=2)
    assert not missing.ok
    assert all(text.startswith("there was no such thing") for text in missing.examples)


# --- the script


def test_the_same_seed_gives_the_same_fortnight() -> None:
    def told(seed: int) -> list[tuple[Any, ...]]:
        return [(a.at, a.what, a.part, [s.item for s in a.sent]) for a in Script(seed, 14, 4).acts()]

    assert told(3) == told(3) != told(4)


@pytest.mark.parametrize("days", [7, 14])
def test_a_fortnight_has_its_edges_and_its_kills(days: int) -> None:
    script = Script(5, days, 4)
    acts: list[Act] = script.acts()
    kinds = [a.what for a in acts]
    assert kinds.count("edge") == 2
    assert kinds.count("kill") + kinds.count("storm") == 4
    assert all(START <= a.at < script.end for a in acts)
    closed = [a for a in acts if a.what == "hand_in" and a.at.date() in CLOSED]
    assert closed, "endings come in on the eve of Tết, too"


def test_several_endings_of_one_person_and_shared_phones_are_in_it() -> None:
    made = [s for a in Script(6, 14, 2).acts() for s in a.sent if a.what == "hand_in"]
    people = [s.item["applicant_id"] for s in made]
    assert len(set(people)) < len(people)
    phones = {(s.item["applicant_id"], s.person.phone) for s in made if s.person.phone}
    assert len({phone for _, phone in phones}) < len(phones)


def test_its_rulebook_is_one() -> None:
    book = load(rulebook(14), "proof")
    assert [v.spread_minutes for v in book.versions] == [0, 240, 0, 240, 0, 240]
    assert all(v.hours == Hours() for v in book.versions), "the hours people really have"
