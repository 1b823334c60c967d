"""Who is asked, and when: every rule as one check, in a fixed order; the first that fails decides. Pure.

A verdict follows from the fact, from what is known of the person besides (``Known``, kept in the decision's inputs), from the rules
in force and from the draw: whoever has them can compute it again. It depends on the day of deciding, not on the hour; only the
moment of asking does, and that stands nowhere in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from hailong.domain import draw as lots
from hailong.domain.hours import Hours, local, midnight
from hailong.domain.rulebook import Rules, window
from hailong.events import DossierClosed, MessageChannel

Draw = Callable[[str], float]
"""Purpose → number in [0, 1): ``draw.number`` of the dossier under its day's seed."""
Detail = Mapping[str, str | int | float | bool]
"""Words, numbers and days (ISO) a check looked at; nothing that names anyone."""

REASONS: Final[dict[str, str]] = {
    "test": "a test dossier",
    "not_ended": "the dossier has not ended",
    "ends_before_start": "it ended before it was received",
    "too_old": "hailong heard of it too long after its end",
    "applicant_type": "applicants of this kind are never asked",
    "submitted_by": "who hands in for others in this way is never asked",
    "minor": "the person is a minor",
    "sensitive_procedure": "a procedure that a message by itself would betray",
    "no_contact": "no usable number or address",
    "no_channel": "the person has refused every channel there is an address for, or the rules use none of them",
    "opted_out": "the person does not want to be asked",
    "sampled_out": "the unit asks about a share of its endings, and the draw did not fall on this one",
    "recently_asked": "the person, or someone with the same number, was asked within the cap, and it would be over too late",
    "represented": "another ending of the same person, or of the same number, was drawn and stands for this one",
    "no_hour": "no hour in which people may be written to comes before its link would run out",
    "reopened": "the dossier goes on after all",
    "contact_erased": "the contact was erased before the message could be sent",
    "expired": "its link would have run out before it could be sent",
    "answered": "it was answered before the message was sent",
    "undeliverable": "the provider refused the message for good",
    "trial": "the channel is tried out: only guests are written to",
}
"""Every reason for not asking, and what it means; ``hailong outcomes`` counts by them."""

WAITING: Final[dict[str, str]] = {
    "undecided": "heard of, and not decided yet",
    "not_before": "decided: asked at the moment that was drawn",
    "resting": "the person, or someone with the same number, was asked within the cap: decided again when it is over",
    "in_flight": "claimed, and on its way to the provider",
    "over_budget": "the day's money is spent: it waits for the next day",
    "channel_off": "its channel may not write to anybody now, such as before it goes live",
}
"""Every reason for waiting."""

OUTCOMES_ENDED: Final = frozenset({"result_returned", "done_electronic", "refused", "stopped"})


@dataclass(frozen=True)
class Known:
    """What is known besides the fact when it is decided. Channels, days and counts: nobody is named."""

    reach: tuple[MessageChannel, ...]
    """Channels there is an address for."""
    unit_endings: int
    """Endings of the receiving unit in the last 90 days."""
    refused: frozenset[MessageChannel] = frozenset()
    """Channels the person does not want."""
    preferred_channel: MessageChannel | None = None
    opted_out: bool = False
    asked_at: datetime | None = None
    """The latest asking, planned or done, of this person or any of these numbers (aware)."""
    test: bool = False
    minor: bool = False
    sensitive: bool = False
    """Whether the catalogue of procedures calls the procedure so (hailong.domain.procedures); the rulebook's own list stands beside it."""

    def inputs(self) -> dict[str, Any]:
        """For the decision's record, as JSON has it; of the last asking its day only."""
        return {
            "reach": list(self.reach),
            "unit_endings": self.unit_endings,
            "refused": sorted(self.refused),
            "preferred_channel": self.preferred_channel,
            "opted_out": self.opted_out,
            "asked_on": local(self.asked_at).date().isoformat() if self.asked_at else None,
            "test": self.test,
            "minor": self.minor,
            **({"sensitive": True} if self.sensitive else {}),
        }

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> Known:
        """What ``inputs`` wrote, read again: ``checks`` finds the same. Raises KeyError, ValueError when it was not written by it."""
        asked_on = inputs["asked_on"]
        return cls(
            reach=tuple(inputs["reach"]),
            unit_endings=inputs["unit_endings"],
            refused=frozenset(inputs["refused"]),
            preferred_channel=inputs["preferred_channel"],
            opted_out=inputs["opted_out"],
            asked_at=midnight(date.fromisoformat(asked_on)) if asked_on else None,
            test=inputs["test"],
            minor=inputs["minor"],
            sensitive=inputs.get("sensitive", False),
        )


@dataclass(frozen=True)
class Check:
    """One rule, held against one ending. ``reason``: why not (or why not yet), when it did not pass."""

    rule: str
    passed: bool
    detail: Detail = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class Asked:
    """Asked by ``channel`` at ``ask_at``, until ``expires_at``. ``arms``: experiment → arm, as drawn, also where it cannot be followed."""

    channel: MessageChannel
    ask_at: datetime
    expires_at: datetime
    arms: Mapping[str, str]


@dataclass(frozen=True)
class NotAsked:
    """Not asked; ``reason`` is one of ``REASONS``."""

    reason: str


@dataclass(frozen=True)
class Waiting:
    """To be decided again at ``until``, the first moment of a local day; ``reason`` is ``resting``."""

    until: datetime
    reason: str = "resting"


Verdict = Asked | NotAsked | Waiting


@dataclass(frozen=True)
class _Case:
    fact: DossierClosed
    known: Known
    today: date
    rules: Rules
    draw: Draw


def checks(fact: DossierClosed, known: Known, now: datetime, rules: Rules, draw: Draw) -> list[Check]:
    """Every rule in its fixed order (``RULES``), passed or not. ``now`` is aware; only its local day counts."""
    case = _Case(fact, known, local(now).date(), rules, draw)
    return [rule(case) for rule in RULES.values()]


def decide(fact: DossierClosed, known: Known, now: datetime, rules: Rules, draw: Draw) -> Verdict:
    """One ending → its verdict: the first check that fails, or the asking. ``now`` is aware."""
    failed = next((c for c in checks(fact, known, now, rules, draw) if not c.passed), None)
    if failed is None:
        return _asked(fact, known, now, rules, draw)
    if failed.reason == "resting":
        return Waiting(midnight(date.fromisoformat(str(failed.detail["until"]))))
    return NotAsked(str(failed.reason))


def arms(rules: Rules, draw: Draw) -> dict[str, str]:
    """Experiment → arm of a dossier."""
    return {name: lots.chosen(draw(lots.of_arm(name)), shares) for name, shares in rules.experiments.items()}


def channel(known: Known, rules: Rules, drawn: str | None = None) -> MessageChannel | None:
    """The way to the person: one they can be reached by and have not refused. Their preference comes first, then the drawn arm, then
    the rules' order. None when there is none."""
    able = [c for c in rules.channels if c in known.reach and c not in known.refused]
    return next((c for wish in (known.preferred_channel, drawn) for c in able if c == wish), next(iter(able), None))


def moment(fact: DossierClosed, known: Known, now: datetime, rules: Rules, draw: Draw) -> datetime:
    """The moment of asking, local: drawn within the window, after the cap, after an electronic result from the next day on."""
    after = local(now)
    if known.asked_at is not None and rules.cap_days:
        after = max(after, local(known.asked_at) + timedelta(days=rules.cap_days))
    electronic = fact.result_channel == "electronic" or fact.outcome == "done_electronic"
    if electronic and rules.after_electronic == "next_morning":
        after = max(after, midnight(fact.ended_on + timedelta(days=1)))
    hours = _narrowed(rules.hours, arms(rules, draw).get("hour"))
    return hours.drawn(after, draw(lots.MOMENT), rules.spread_minutes, rules.slot_minutes)


def reminder_at(asked_at: datetime, expires_at: datetime, rules: Rules, draw: Draw) -> datetime | None:
    """When who has not answered is reminded, the once: the first open moment so many days after the asking. None: not drawn, or there
    is none while the link holds."""
    at = rules.hours.next_open(asked_at + timedelta(days=rules.reminder_after_days))
    return at if draw(lots.REMINDER) < rules.reminder_share and at < expires_at else None


def _asked(fact: DossierClosed, known: Known, now: datetime, rules: Rules, draw: Draw) -> Asked:
    drawn = arms(rules, draw)
    way = channel(known, rules, drawn.get("channel"))
    if way is None:
        raise ValueError("an asking needs a channel: the check for it comes before")
    ask_at = moment(fact, known, now, rules, draw)
    # The link ends with a whole day: that is what a message can say.
    return Asked(way, ask_at, midnight(ask_at.date() + timedelta(days=rules.link_days + 1)), drawn)


def _narrowed(hours: Hours, arm: str | None) -> Hours:
    """The window of an arm of the experiment ``hour``, inside the one of the rules."""
    found = window(arm) if arm else None
    return replace(hours, opens=found[0], closes=found[1]) if found else hours


# --- the rules ----------------------------------------------------------------------------------------------------------------


def _check(rule: str, passed: bool, reason: str, **detail: str | int | float | bool) -> Check:
    return Check(rule, passed, detail, None if passed else reason)


def _test(c: _Case) -> Check:
    return _check("test", not c.known.test, "test", test=c.known.test)


def _ended(c: _Case) -> Check:
    return _check("ended", c.fact.outcome in OUTCOMES_ENDED, "not_ended", outcome=c.fact.outcome)


def _order(c: _Case) -> Check:
    received, ended = c.fact.received_on, c.fact.ended_on
    return _check("order", received <= ended, "ends_before_start", received_on=received.isoformat(), ended_on=ended.isoformat())


def _age(c: _Case) -> Check:
    days = (c.fact.heard_on - c.fact.ended_on).days
    return _check("age", days <= c.rules.too_old_days, "too_old", days=days, too_old_days=c.rules.too_old_days)


def _applicant(c: _Case) -> Check:
    kind = c.fact.applicant_type
    return _check("applicant", kind not in c.rules.applicant_types, "applicant_type", applicant_type=kind)


def _submitter(c: _Case) -> Check:
    who = c.fact.submitted_by
    return _check("submitter", who not in c.rules.submitted_by, "submitted_by", submitted_by=who)


def _minor(c: _Case) -> Check:
    return _check("minor", not (c.known.minor and c.rules.minors), "minor", minor=c.known.minor)


def _procedure(c: _Case) -> Check:
    code = c.fact.procedure_code_national
    sensitive = c.known.sensitive or code in c.rules.procedures
    return _check("procedure", not sensitive, "sensitive_procedure", procedure=code or "unknown")


def _contact(c: _Case) -> Check:
    return _check("contact", bool(c.known.reach), "no_contact", reach=" ".join(c.known.reach))


def _channel(c: _Case) -> Check:
    drawn = arms(c.rules, c.draw).get("channel")
    way = channel(c.known, c.rules, drawn)
    refused, preferred = " ".join(sorted(c.known.refused)), c.known.preferred_channel or ""
    order = " ".join(c.rules.channels)
    return _check("channel", way is not None, "no_channel", channel=way or "", refused=refused, preferred=preferred, order=order)


def _opt_out(c: _Case) -> Check:
    return _check("opt_out", not c.known.opted_out, "opted_out", opted_out=c.known.opted_out)


def _sample(c: _Case) -> Check:
    share = c.rules.share_of(c.fact.receiving_unit, c.known.unit_endings)
    drawn = c.draw(lots.SAMPLE)
    return _check("sample", drawn < share, "sampled_out", draw=drawn, share=share, unit_endings=c.known.unit_endings)


def _cap(c: _Case) -> Check:
    """By days, not hours: then the inputs in the log are enough to compute it again."""
    if c.known.asked_at is None or not c.rules.cap_days:
        return _check("cap", True, "", cap_days=c.rules.cap_days)
    asked_on = local(c.known.asked_at).date()
    until, latest = asked_on + timedelta(days=c.rules.cap_days), c.fact.ended_on + timedelta(days=c.rules.delay_days)
    reason = "resting" if until <= latest else "recently_asked"
    days = {"asked_on": asked_on.isoformat(), "until": until.isoformat(), "latest": latest.isoformat()}
    return _check("cap", c.today >= until, reason, cap_days=c.rules.cap_days, **days)


def _hour(c: _Case) -> Check:
    """By days again. That today may still have its hour does not count: the rest of it may be too short for the draw."""
    first = c.rules.hours.next_open(midnight(c.today + timedelta(days=1))).date()
    before = c.today + timedelta(days=c.rules.link_days)
    return _check("hour", first <= before, "no_hour", next_open_on=first.isoformat(), before=before.isoformat())


RULES: Final[dict[str, Callable[[_Case], Check]]] = {
    "test": _test,
    "ended": _ended,
    "order": _order,
    "age": _age,
    "applicant": _applicant,
    "submitter": _submitter,
    "minor": _minor,
    "procedure": _procedure,
    "contact": _contact,
    "channel": _channel,
    "opt_out": _opt_out,
    "sample": _sample,
    "cap": _cap,
    "hour": _hour,
}
"""Rule → its check, in the order in which they decide."""


# --- whose turn it is when a cap is over --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rested:
    """An ending that rested and that no rule keeps from being asked about any more. ``draw``: its number for ``draw.REST``."""

    dossier_ref: str
    contacts: tuple[str, ...]
    """Keyed hashes of person, number and address."""
    draw: float


@dataclass(frozen=True)
class Turn:
    """One ending is asked about and stands for the others, whose reason is ``represented``."""

    asked: str
    represented: tuple[str, ...]

    @property
    def weight(self) -> int:
        """Endings it stands for, itself included."""
        return 1 + len(self.represented)


def turns(rested: Sequence[Rested]) -> list[Turn]:
    """Endings that are decided together → one asking for all that hang together by a contact: the lowest draw, whatever their order."""
    found = []
    for group in _by_contact(rested):
        first, *others = sorted(group, key=lambda r: (r.draw, r.dossier_ref))
        found.append(Turn(first.dossier_ref, tuple(sorted(r.dossier_ref for r in others))))
    return sorted(found, key=lambda turn: turn.asked)


def _by_contact(rested: Sequence[Rested]) -> list[list[Rested]]:
    """Groups in which nobody shares a contact with anybody of another."""
    groups: list[tuple[set[str], list[Rested]]] = []
    for one in rested:
        contacts, members = set(one.contacts), [one]
        apart = []
        for group in groups:
            if contacts.isdisjoint(group[0]):
                apart.append(group)
            else:
                contacts |= group[0]
                members += group[1]
        groups = [*apart, (contacts, members)]
    return [members for _, members in groups]
