"""Who takes part in a crash proof: dossiers with invented people, from a seed. What is expected of each is said here, not by hailong."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from hailong.domain import slips

Expected = Literal["asked", "no_contact", "too_old", "sensitive_procedure", "undeliverable", "refused_by_intake"]
Door = Literal["http", "file"]
Way = Literal["link", "code", "slip", "call", "assisted", "paper", "kiosk"]
SENSITIVE: Final = "2.000488"
UNITS: Final = 8
"""Desks; a dossier's number tells its desk."""


def unit(n: int) -> str:
    """The code of a desk."""
    return f"X{n % UNITS:02d}"


@dataclass
class Person:
    """Somebody with a number or an address, and how they behave."""

    phone: str | None
    email: str | None
    score: int
    answers: bool
    stops: bool
    """Opts out as soon as a message is there, and answers nothing."""
    texts: bool = field(default=False, kw_only=True)
    """Answers a message by SMS, and by no other way."""


@dataclass(frozen=True)
class Sent:
    """One dossier as handed in."""

    item: dict[str, Any]
    person: Person
    expected: Expected
    door: Door
    way: Way = "link"
    """How its person answers, if at all; ``link``: by the message, or not at all."""


@dataclass
class Population:
    """Makes dossiers, one after another; the same seed gives the same ones."""

    seed: int
    start: datetime
    share_of_shared: float = 0.15
    people: list[Person] = field(default_factory=list)
    made: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 (a seed is the point)

    def one(self, door: Door) -> Sent:
        """The next dossier."""
        r, n = self._random, len(self.made)
        kind: Expected = r.choices(
            ("asked", "no_contact", "too_old", "sensitive_procedure", "undeliverable", "refused_by_intake"), (86, 4, 3, 3, 2, 2)
        )[0]
        person = self._person(n, kind)
        ended = self.start - timedelta(days=30 if kind == "too_old" else 1, minutes=r.randrange(600))
        item: dict[str, Any] = {
            "dossier_code": f"H28.{self.seed % 97:02d}-{self.start:%y%m%d}-{n:05d}",
            "status_code": r.choice((10, 10, 10, 3, 8)),
            "procedure_code": f"{SENSITIVE if kind == 'sensitive_procedure' else '1.001612'}.000.00.00.H28",
            "field_code": r.choice(("civil", "land", "business")),
            "receiving_unit_code": unit(n),
            "handling_unit_code": unit(n),
            "submission_channel": r.choice(("counter", "online", "postal")),
            "received_at": (ended - timedelta(days=5)).isoformat(),
            "finished_at": (ended - timedelta(days=9)).isoformat() if kind == "refused_by_intake" else ended.isoformat(),
            "contact": {k: v for k, v in (("phone", person.phone), ("email", person.email)) if v},
        }
        way = self._way(n, person, kind)
        if way == "slip" or (way == "kiosk" and n // UNITS % 2):
            item["slip_code"] = slips.new_code(hashlib.sha256(f"{self.seed} {n}".encode()).digest())
        elif way == "kiosk":  # a number is good on the day it was drawn: it ended this morning
            item |= {"ticket_no": str(n // UNITS + 1), "finished_at": (self.start - timedelta(minutes=70 + n % 50)).isoformat()}
        sent = Sent(item, person, kind, door, way)
        self.made.append(sent)
        return sent

    def _way(self, n: int, person: Person, kind: Expected) -> Way:
        """Of those who answer no message some come by another door; a chance of its own, so that nothing else changes."""
        r = random.Random(f"{self.seed} way {n}")  # noqa: S311 (a seed is the point)
        by_message = person.answers or person.texts or person.stops
        if kind in ("refused_by_intake", "too_old") or by_message or r.random() < 0.4:
            return "link"
        ways: tuple[Way, ...] = ("slip", "assisted", "paper", "kiosk", "kiosk")  # which has two ways of its own
        by_phone: tuple[Way, ...] = ("code", "call") if person.phone else ()
        return r.choice(ways + by_phone)

    def _person(self, n: int, kind: Expected) -> Person:
        r = self._random
        if kind == "asked" and self.people and r.random() < self.share_of_shared:
            return r.choice(self.people[-200:])
        by_phone = r.random() < 0.7 and kind != "undeliverable"
        phone = f"+84{900_000_000 + self.seed % 1000 * 10_000 + n}" if by_phone else None
        email = None if by_phone else f"nguoi-{self.seed}-{n}@dan.example"
        if kind == "undeliverable":
            email = f"refuse-550+{self.seed}-{n}@dan.example"  # an address the carrier's relay refuses
        person = Person(phone, email, r.choices((1, 2, 3, 4, 5), (4, 6, 10, 40, 40))[0], r.random() < 0.6, r.random() < 0.08)
        if kind == "no_contact":
            return Person(None, None, 3, False, False)
        if kind == "asked":
            person.texts = by_phone and not (person.answers or person.stops) and self._texts(n)
            self.people.append(person)
        return person

    def _texts(self, n: int) -> bool:
        """Whether somebody who opens no link answers by SMS; a chance of its own, as above."""
        return random.Random(f"{self.seed} texts {n}").random() < 0.35  # noqa: S311 (a seed is the point)
