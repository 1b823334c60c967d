"""What ``prove asked`` checks, from the carrier's journal and its own record; the rules are written down here once more, as literals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any, Final

from ops.proof.checks import Check, after_stop, doubles, privacy, too_many_unknown, without_message
from ops.proof.evidence import Evidence, Message
from ops.proof.fortnight import CAP_DAYS, DAILY_BUDGET

HERE: Final = timezone(timedelta(hours=7))
"""Viet Nam has no summer time."""
OPENS_H, CLOSES_H, SUNDAY = 8, 20, 6
CLOSED: Final = frozenset(date(2026, 2, n) for n in (16, 17, 18, 19, 20))
"""The eve of Tết and the four days after it, as decreed for 2026."""
_PRICES: Final = {"twilio": 2000, "json-example": 800}
_CHEAPER: Final = {"+8490": 750, "+8497": 700}
"""Of json-example: MobiFone and Viettel."""
_ALLOWED: Final[dict[str, frozenset[str | None]]] = {
    "asked": frozenset({None, "unknown", "represented", "recently_asked", "opted_out", "expired", "no_hour"}),
    "no_contact": frozenset({"no_contact"}),
    "sensitive_procedure": frozenset({"sensitive_procedure"}),
    "undeliverable": frozenset({"undeliverable", "unknown"}),
}
"""What may become of an ending, by what it was made as."""


@dataclass(frozen=True)
class Met:
    """What a run went through."""

    kills: int
    slept: int


def all_checks(e: Evidence) -> list[Check]:
    """Every promise about asking. Violations are examples without personal data."""
    told = [m for m in e.messages if m.clock is not None]
    invitations, reminders = _of(e, "invitation"), _of(e, "reminder")
    return [
        _check("1 outcomes", f"{len(e.acknowledged)} dossiers taken: {_summary(e)}", _outcomes(e)),
        _check("2 asked once", f"{len(invitations)} invitations and {len(reminders)} reminders in the carrier's journal", doubles(e)),
        _check("3 hours", f"{len(told)} messages by the carrier's own reading of the clock", _outside(e)),
        _check("4 cap", f"{len({m.to for m in invitations})} numbers and addresses asked", _beyond_cap(e, invitations)),
        _check("5 opt-out", f"{sum(v.opted_out_at is not None for v in e.visits.values())} opt-outs confirmed", after_stop(e)),
        _check("6 reminders", f"{len(reminders)} reminders", _reminders(e, invitations, reminders)),
        _check("7 budget", f"dearest day {max(spent(e).values(), default=0)} of {DAILY_BUDGET} đồng", _overspent(e)),
        _check("8 claims", _claims(e), [*without_message(e), *too_many_unknown(e)]),
        *privacy(e),
    ]


def met(e: Evidence, seen: Met, kills: int) -> Check:
    """That the run had what it is for: else it would pass without having proven anything."""
    reasons = Counter(s.reason for s in e.slots.values())
    went = {c["provider"] for c in e.changes}
    evening = [m for m in e.messages if m.clock is not None and _local(m).hour == CLOSES_H - 1 and _local(m).minute == 59]
    wanted = {
        "a message in the last minute of an evening": bool(evening),
        "a message that waited over Tết": any(_local(m).date() == date(2026, 2, 21) for m in e.messages if m.clock is not None),
        "a day whose money was spent": any(DAILY_BUDGET - spent_ < _PRICES["twilio"] for spent_ in spent(e).values()),
        "the reserve provider taking over, and giving back": {"twilio"} < went,
        "an SMS carried by it": any(m.api == "json-example" for m in e.messages),
        "an ending that stood for others": reasons["represented"] > 0,
        "a reminder": bool(_of(e, "reminder")),
        "an opt-out that was confirmed": any(v.opted_out_at is not None for v in e.visits.values()),
        "a worker that slept over its lease": seen.slept > 0,
        "every kill": seen.kills >= min(kills, 1),
    }
    missing = [f"there was no such thing: {name}" for name, ok in wanted.items() if not ok]
    return _check("0 met", f"{len(wanted)} things a fortnight must have", missing)


def spent(e: Evidence) -> dict[date, int]:
    """Đồng by local day, from what the carrier took and the prices of the example contracts."""
    days: dict[date, int] = defaultdict(int)
    for m in e.messages:
        if m.channel == "sms" and m.clock is not None:
            days[_local(m).date()] += _price(m)
    return dict(days)


def _price(m: Message) -> int:
    each = _PRICES[m.api] if m.api != "json-example" else _CHEAPER.get(m.to[:5], _PRICES[m.api])
    return each * m.segments


def _check(id_: str, said: str, wrong: Iterable[str]) -> Check:
    faults = list(wrong)
    return Check(id_, not faults, f"{said}; {len(faults)} violations", tuple(faults[:5]))


def _of(e: Evidence, purpose: str) -> list[Message]:
    return [m for m in e.messages if e.purpose_of.get(m.code) == purpose]


def _local(m: Message) -> datetime:
    if m.clock is None:
        raise ValueError("the carrier noted no time of the installation for a message: it was started without --clock")
    return m.clock.astimezone(HERE)


# --- 1


def _summary(e: Evidence) -> str:
    by = Counter(s.outcome for s in e.slots.values())
    return f"{by['asked']} asked + {by['waiting']} waiting + {by['not_asked']} not asked = {sum(by.values())}"


def _outcomes(e: Evidence) -> Iterator[str]:
    decided: dict[str, set[str]] = defaultdict(set)
    weights: dict[str, int] = {}
    for r in e.topic("survey.decided.v1"):
        decided[r.value["dossier_ref"]].add(r.value["event_id"])
        if r.value["asked"]:
            weights[r.value["dossier_ref"]] = r.value.get("weight", 1)
    for n, sent in enumerate(e.sent):
        code = sent.item["dossier_code"]
        slot = e.slots.get(e.reference[code])
        if slot is None:
            yield f"dossier #{n}: {'confirmed' if code in e.acknowledged else 'never confirmed'}, and unknown to the ledger"
            continue
        yield from _one(n, sent.expected, slot, len(decided[slot.dossier_ref]), code in e.reopened)
    if len(e.slots) != len(e.sent):
        yield f"{len(e.sent)} dossiers were handed in, the ledger has {len(e.slots)}"
    stood_for = sum(weight - 1 for weight in weights.values())
    represented = sum(s.reason == "represented" for s in e.slots.values())
    if stood_for != represented:
        yield f"{represented} endings are represented, and those asked say they stand for {stood_for} others"


def _one(n: int, expected: str, slot: Any, decisions: int, reopened: bool) -> Iterator[str]:
    resting = slot.outcome == "waiting" and slot.reason == "resting"
    if decisions != (0 if resting else 1):
        yield f"dossier #{n}: {slot.outcome} ({slot.reason}), with {decisions} decisions in the log"
    if resting:
        return
    if slot.outcome == "waiting":
        yield f"dossier #{n}: still waiting ({slot.reason}) when nothing was left to wait for"
    allowed = _ALLOWED[expected] | ({"reopened"} if reopened else set())
    if slot.reason not in allowed:
        yield f"dossier #{n}: made as {expected}, is {slot.outcome} ({slot.reason})"


# --- 3, 4


def _outside(e: Evidence) -> Iterator[str]:
    for m in e.messages:
        at = _local(m)
        if not OPENS_H <= at.hour < CLOSES_H:
            yield f"{e.purpose_of.get(m.code)} by {m.channel} at {at:%d.%m.%Y %H:%M:%S}: outside 08:00–20:00"
        elif at.weekday() == SUNDAY or at.date() in CLOSED:
            yield f"{e.purpose_of.get(m.code)} by {m.channel} on {at:%A %d.%m.%Y}: a closed day"


def _beyond_cap(e: Evidence, invitations: list[Message]) -> Iterator[str]:
    applicant = {e.slots[ref].survey_id: s.item["applicant_id"] for s in e.sent if (ref := e.reference[s.item["dossier_code"]]) in e.slots}
    asked: dict[str, list[date]] = defaultdict(list)
    for m in invitations:
        asked[f"number {m.to}"].append(_local(m).date())
        if (person := applicant.get(e.survey_of.get(m.code, ""))) is not None:
            asked[f"person {person}"].append(_local(m).date())
    for who, days in sorted(asked.items()):
        for first, second in pairwise(sorted(days)):
            if (second - first).days < CAP_DAYS:
                yield f"a {who.split()[0]} asked on {first} and on {second}: less than {CAP_DAYS} days"


# --- 6, 7, 8


def _reminders(e: Evidence, invitations: list[Message], reminders: list[Message]) -> Iterator[str]:
    """One at most stands in ``doubles``; here: after its invitation, and not after an answer that was thanked before."""
    asked_at = {e.survey_of[m.code]: m.at for m in invitations if m.code in e.survey_of}
    thanked: dict[str, datetime] = {}
    for v in e.visits.values():
        if v.thanked_at is not None and (survey := e.survey_of.get(v.code)) is not None:
            thanked[survey] = min(v.thanked_at, thanked.get(survey, v.thanked_at))
    for m in reminders:
        survey = e.survey_of.get(m.code, "")
        if survey not in asked_at or asked_at[survey] >= m.at:
            yield f"survey {survey[:8]}…: a reminder without an invitation before it"
        if survey in thanked and thanked[survey] < m.at:
            yield f"survey {survey[:8]}…: a reminder {(m.at - thanked[survey]).total_seconds():.1f} s after the thanks"


def _overspent(e: Evidence) -> Iterator[str]:
    for day, dong in sorted(spent(e).items()):
        if dong > DAILY_BUDGET:
            yield f"{day}: {dong} đồng, the budget is {DAILY_BUDGET}"


def _claims(e: Evidence) -> str:
    states = Counter(c.state for c in e.claims)
    return f"{len(e.claims)} claims: " + ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
