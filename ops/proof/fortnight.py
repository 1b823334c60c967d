"""What happens in the fortnight of ``prove asked``, from a seed: who ends a dossier when, what people do, what breaks.

It begins on Tuesday 2026-02-10 and has two evenings on which time passes 20:00 at its own pace (one of them before Sunday and Tết), a
Sunday, the eve of Tết and, from the second week on, Tết itself. The limits of its rulebook are short, so that each is reached within it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Final, Literal

from hailong.domain.units import LOCAL
from ops.proof import faults
from ops.proof.population import SENSITIVE, Expected, Person, Sent

START: Final = datetime(2026, 2, 10, 7, tzinfo=LOCAL)
CAP_DAYS: Final = 7
REMIND_DAYS: Final = 2
DAILY_BUDGET: Final = 60_000
"""Đồng: the 45 SMS of the Friday morning cost more."""
RULEBOOK: Final = """\
# Limits as short as a proof: each is reached within a fortnight. Hours, Sundays and holidays are as shipped.
{versions}"""
_VERSION: Final = """
[[versions]]
version = "proof.{number}"
valid_from = {day}
source = "proof"
[versions.never]
procedures = ["{sensitive}"]
[versions.limits]
cap_days = {cap}
delay_days = 12
link_days = 12
[versions.moment]
spread_minutes = {spread}
slot_minutes = 60
[versions.reminder]
after_days = {remind}
"""
_AT_ONCE: Final = (date(2026, 2, 10), date(2026, 2, 12), date(2026, 2, 14))
"""Days on which nothing is spread: the two evenings at the edge, and the two nights before a morning on which all wait for eight."""
_CALM: Final = ((7, 2), (12, 2))
_STORM_NIGHT, _BUDGET_NIGHT = time(20, 30), time(20, 40)
_WEIGHTS: Final = {"send-0": 2, "send-1": 2, "decide-0": 2, "timer-0": 1, "store": 1, "kafka": 1}

What = Literal["hand_in", "reopen", "storm", "sleep", "edge", "kill"]


@dataclass(frozen=True)
class Act:
    """Something that is done at a moment of the installation's clock, while time stands (but for an edge).

    ``sleep``: from then on a worker falls asleep over the next reminder it claims.
    """

    at: datetime
    what: What
    sent: tuple[Sent, ...] = ()
    part: str = ""
    after_s: float = 0.0
    """Real seconds that a kill waits, so that it falls into the work of its moment."""


@dataclass(eq=False)
class Resident(Person):
    """Somebody who may have several endings; ``id`` is theirs alone, a number may be a household's."""

    id: str = ""


def rulebook(days: int) -> str:
    """The TOML of the rules: a version for each change of the spread."""
    first = START.date()
    spreads = [(first + timedelta(days=n), 0 if first + timedelta(days=n) in _AT_ONCE else 240) for n in range(days + 1)]
    changes = [(day, spread) for n, (day, spread) in enumerate(spreads) if n == 0 or spreads[n - 1][1] != spread]
    said = {"sensitive": SENSITIVE, "cap": CAP_DAYS, "remind": REMIND_DAYS}
    versions = [_VERSION.format(number=n, day=day, spread=spread, **said) for n, (day, spread) in enumerate(changes, 1)]
    return RULEBOOK.format(versions="".join(versions))


@dataclass
class Script:
    """The acts of a run, in order. The same seed, days and kills give the same ones."""

    seed: int
    days: int
    kills: int
    sleeps: bool = True
    """Whether a worker of send falls asleep in it."""
    people: list[Resident] = field(default_factory=list)
    made: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 (a seed is the point)

    @property
    def end(self) -> datetime:
        """When nothing more is handed in."""
        return START + timedelta(days=self.days)

    def acts(self) -> list[Act]:
        """Everything, by its moment; several of one moment in the order given here."""
        acts = [*self._days(), *self._evenings(), *self._specials()]
        acts += self._kills([a.at for a in acts if a.what == "hand_in"])
        return sorted((a for a in acts if a.at < self.end), key=lambda a: a.at)

    # --- dossiers

    def _days(self) -> list[Act]:
        """Two hand-ins a day, fewer on closed days; now and then a dossier goes on after all."""
        acts = []
        for n in range(self.days):
            day = START.date() + timedelta(days=n)
            closed = day.weekday() == 6 or date(2026, 2, 16) <= day <= date(2026, 2, 20)
            for at in (_moment(day, time(9, 10)), _moment(day, time(16, 20))):
                sent = self._some(3 if closed else 7, at)
                acts.append(Act(at, "hand_in", sent))
                if self._random.random() < 0.3:
                    acts.append(Act(at + timedelta(minutes=self._random.choice((1, 200))), "reopen", sent[:1]))
        return acts

    def _evenings(self) -> list[Act]:
        """Tuesday and Saturday: endings come in until after closing time, and are asked about at once."""
        # Saturday's money is spent by then: most of them get mails.
        edges = ((date(2026, 2, 10), 0.7), (date(2026, 2, 14), 0.3))
        moments = [(_moment(day, time(19, 59, 53)), by_phone) for day, by_phone in edges]
        return [Act(at, "edge", self._some(14, at, by_phone=by_phone)) for at, by_phone in moments]

    def _specials(self) -> list[Act]:
        """A night's backlog that meets a refusing provider, one that costs more than a day has, a worker that falls asleep."""
        tuesday, wednesday, thursday = (date(2026, 2, n) for n in (10, 11, 12))
        night, poor = _moment(tuesday, _STORM_NIGHT), _moment(thursday, _BUDGET_NIGHT)
        acts = [
            Act(night, "hand_in", self._some(50, night)),
            Act(_moment(wednesday, time(8)), "storm", part=f"send-{self._random.randrange(2)}" if self.kills else "", after_s=0.5),
            Act(poor, "hand_in", self._some(45, poor, by_phone=1.0, fresh=True)),
        ]
        return acts + ([Act(_moment(thursday, time(7)), "sleep")] if self.sleeps else [])

    def _some(self, n: int, at: datetime, by_phone: float = 0.7, fresh: bool = False) -> tuple[Sent, ...]:
        return tuple(self._one(at, by_phone, fresh) for _ in range(n))

    def _one(self, at: datetime, by_phone: float, fresh: bool) -> Sent:
        r, n = self._random, len(self.made)
        kinds: tuple[Expected, ...] = ("asked", "no_contact", "sensitive_procedure", "undeliverable")
        kind = "asked" if fresh else r.choices(kinds, (92, 3, 3, 2))[0]
        person = self._person(n, kind, by_phone, fresh)
        ended = at - timedelta(minutes=r.randrange(5, 300))
        item: dict[str, Any] = {
            "dossier_code": f"H28.{self.seed % 97:02d}-{at:%y%m%d}-{n:05d}",
            "status_code": r.choice((9, 10, 10, 10)) if self._spread(at) else 10,
            "procedure_code": f"{SENSITIVE if kind == 'sensitive_procedure' else '1.001612'}.000.00.00.H28",
            "field_code": r.choice(("civil", "land", "business")),
            "receiving_unit_code": f"X{n % 8:02d}",
            "handling_unit_code": f"X{n % 8:02d}",
            "submission_channel": r.choice(("counter", "online", "postal")),
            "received_at": (ended - timedelta(days=5)).isoformat(),
            "finished_at": ended.isoformat(),
            "applicant_id": person.id,
            "contact": {k: v for k, v in (("phone", person.phone), ("email", person.email)) if v},
        }
        sent = Sent(item, person, kind, "http")
        self.made.append(sent)
        return sent

    def _spread(self, at: datetime) -> bool:
        return at.date() not in _AT_ONCE

    def _person(self, n: int, kind: Expected, by_phone: float, fresh: bool) -> Resident:
        """Somebody new, somebody who was here before, or a new one of a household that shares a phone."""
        r = self._random
        new = Resident(None, None, r.choices((1, 2, 3, 4, 5), (4, 6, 10, 40, 40))[0], r.random() < 0.4, r.random() < 0.12, f"nguoi-{n}")
        if kind == "no_contact":
            return new
        if kind == "undeliverable":
            new.email = f"refuse-550+{self.seed}-{n}@dan.example"
            return new
        known = [p for p in self.people[-120:] if p.phone] if kind == "asked" and not fresh else []
        chance = r.random()
        if known and chance < 0.18:
            return r.choice(known)
        if known and chance < 0.30:
            new.phone = r.choice(known).phone
        elif r.random() < by_phone:
            new.phone = f"+84{r.choice(('90', '97', '92'))}{self.seed % 97:02d}{n:05d}"
        else:
            new.email = f"nguoi-{self.seed}-{n}@dan.example"
        if kind == "asked":
            self.people.append(new)
        return new

    # --- kills

    def _kills(self, hand_ins: Sequence[datetime]) -> list[Act]:
        """The first of all kills is the storm's; then one among reminders; then anything anywhere, but not on the two evenings."""
        r = self._random
        acts = [Act(_moment(date(2026, 2, 13), time(8)), "kill", part=self._part(), after_s=0.4 * r.random())] if self.kills > 1 else []
        moments = [at for at in hand_ins if at < self.end]
        for _ in range(self.kills - 2):
            at = r.choice(moments)
            acts.append(Act(r.choice((at, _moment(at.date(), time(8)))), "kill", part=self._part(), after_s=0.6 * r.random()))
        return acts

    def _part(self) -> str:
        return self._random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]


def storm() -> Sequence[faults.Order]:
    """What the carrier is told on the Wednesday morning."""
    return faults.BARRING


def _moment(day: date, at: time) -> datetime:
    return datetime.combine(day, at, LOCAL)
