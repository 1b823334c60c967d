"""Who is asked, and when: pure rules. Every ending gets exactly one outcome, with a reason of a closed list if it is "no"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from hailong.events import DossierClosed, MessageChannel
from hailong.ports import SlotForDecision

RULES_VERSION: Final = "2026-11.1"

REASONS: Final[dict[str, str]] = {
    "test": "a test dossier",
    "not_ended": "the dossier has not ended",
    "ends_before_start": "it ended before it was received",
    "too_old": "hailong heard of it too long after its end",
    "sensitive_procedure": "a procedure that a message by itself would betray",
    "no_contact": "no usable number or address",
    "opted_out": "the person does not want to be asked",
    "recently_asked": "the person, or someone with the same number, was asked within the cap",
    "reopened": "the dossier goes on after all",
    "contact_erased": "the contact was erased before the message could be sent",
    "expired": "its link would have run out before it could be sent",
    "answered": "it was answered before the message was sent",
    "undeliverable": "the provider refused the message for good",
}
"""Every reason for not asking, and what it means; ``hailong outcomes`` counts by them."""

OUTCOMES_ENDED: Final = frozenset({"result_returned", "done_electronic", "refused", "stopped"})


@dataclass(frozen=True)
class Rules:
    """The rules in force. Days and minutes as their names say; ``sensitive`` holds national procedure codes."""

    version: str = RULES_VERSION
    too_old_days: int = 14
    cap_days: int = 30
    spread_minutes: int = 240
    slot_minutes: int = 15
    link_days: int = 30
    sensitive: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Verdict:
    """What the rules say of one ending."""

    asked: bool
    reason: str | None = None
    channel: MessageChannel | None = None
    ask_at: datetime | None = None
    expires_at: datetime | None = None


def why_not(fact: DossierClosed, slot: SlotForDecision, ask_at: datetime, last_asked_at: datetime | None, rules: Rules) -> str | None:
    """The first rule that forbids asking, by name; None when none does."""
    if slot.test:
        return "test"
    if fact.outcome not in OUTCOMES_ENDED:
        return "not_ended"
    if fact.ended_on < fact.received_on:
        return "ends_before_start"
    if fact.heard_on - fact.ended_on > timedelta(days=rules.too_old_days):
        return "too_old"
    if fact.procedure_code_national in rules.sensitive:
        return "sensitive_procedure"
    if not slot.reach:
        return "no_contact"
    if slot.opted_out:
        return "opted_out"
    if last_asked_at is not None and abs(ask_at - last_asked_at) < timedelta(days=rules.cap_days):
        return "recently_asked"
    return None


def moment_of_asking(now: datetime, heard_on: date, draw: float, rules: Rules) -> datetime:
    """A moment drawn within the spread, rounded up to whole slots; at once when there is no spread, or when it has passed by.

    The draw keeps the time of asking from telling which ending it belongs to.
    """
    if rules.spread_minutes == 0 or heard_on < now.date():
        return now
    slot = timedelta(minutes=rules.slot_minutes)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    drawn = now + timedelta(minutes=draw * rules.spread_minutes) - midnight
    return midnight + -(-drawn // slot) * slot


def decide(fact: DossierClosed, slot: SlotForDecision, now: datetime, draw: float, last_asked_at: datetime | None, rules: Rules) -> Verdict:
    """One ending → its verdict. ``now`` is local; ``draw`` is in [0, 1)."""
    ask_at = moment_of_asking(now, fact.heard_on, draw, rules)
    reason = why_not(fact, slot, ask_at, last_asked_at, rules)
    if reason is not None:
        return Verdict(asked=False, reason=reason)
    return Verdict(True, None, slot.reach[0], ask_at, ask_at + timedelta(days=rules.link_days))
