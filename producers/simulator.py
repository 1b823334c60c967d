"""A year of a district's one-stop desks, invented from a seed: who comes, what ends when, what they think, whether they answer.

Public are two figures of the Lạc Sơn district desk's first quarter: 3,903 dossiers received, 2,658 ended. **Everything else is
simulated**: people, numbers, days, opinions. The communes are called Xã 01 … Xã 24. Shares marked [D] are defaults chosen for the
simulator, not measurements.

Pure: the same (seed, start) gives the same days, whatever ``days`` is. Times are local and on working days (public holidays are not
left out). Phone numbers lie in 0900 0xx xxx and addresses end in ``.example``: they are for a local carrier, never for a live channel.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import accumulate, product
from typing import Any, Final

from hailong.domain.dossier import ZONE, timeliness
from hailong.events import Timeliness, UnitLevel

RECEIVED: Final = 3_903
"""Dossiers received in the first quarter, as published."""
ENDED: Final = 2_658
"""Dossiers ended in it, as published."""
OPEN: Final = 1_256
"""Dossiers still open at its end, as published: 2,658 + 1,256 is 11 more than were received."""
QUARTER: Final = 91
NOTE: Final = (
    "Public: 3,903 dossiers received and 2,658 ended in the first quarter. The report also says 1,256 were still open; 2,658 and 1,256 "
    "make 3,914, 11 more than were received, and it does not say whether they were carried over. Here 3,903 come in and 2,658 end in "
    "every quarter, so 1,245 stay open. Everything else is simulated."
)
FALLS: Final = "xa-07"
"""The commune that gets worse."""
FALLS_TO: Final = 0.60
GOOD: Final = (0.91, 0.96)
"""Share of satisfied people in the other communes: from, to."""
ANSWERS: Final = 0.25

# [D] share of dossiers, share of satisfied people, working days allowed, share that is late, procedure
_FIELDS: Final[dict[str, tuple[float, float, int, float, str]]] = {
    "civil": (38, 0.92, 2, 0.006, "9.000101"),
    "land": (20, 0.76, 20, 0.06, "9.000102"),
    "business": (9, 0.90, 3, 0.006, "9.000103"),
    "social": (11, 0.88, 10, 0.006, "9.000104"),
    "justice": (5, 0.92, 8, 0.006, "2.000488"),  # reveals itself: never surveyed
    "construction": (4, 0.80, 15, 0.04, "9.000106"),
    "education": (4, 0.88, 5, 0.006, "9.000107"),
    "health": (3, 0.88, 5, 0.006, "9.000108"),
    "transport": (3, 0.87, 5, 0.006, "9.000109"),
    "other": (3, 0.88, 5, 0.006, "9.000110"),
}
_AT_THE_DISTRICT: Final = {"land", "construction", "business"}
_CHANNELS: Final = {"online": 0.66, "counter": 0.31, "postal": 0.03}
_ON_TIME: Final = 0.17
_SUPPLEMENT: Final = {"land": 0.15}
_SUPPLEMENT_ELSE: Final = 0.05
_REFUSED: Final = 0.015
_PHONE: Final = 0.93
_EMAIL: Final = 0.12
_EMAIL_BUSINESS: Final = 0.70
# Points of satisfaction [D], as steps on the logit scale from 90%.
_EFFECT: Final = {"early": 0.25, "on_time": 0.0, "overdue": -2.0, "supplement": -0.93, "refused": -2.40}
_DELAY_MEDIAN_H: Final = 3.0
_DELAY_SIGMA: Final = math.log(24) / 1.2816  # so that nine in ten answer within 72 hours
_HOURS: Final = (time(7, 30), time(11, 30), time(13, 30), time(17, 0))
_SHARED_PHONE: Final = 0.35
_NUMBERS: Final = 100_000


@dataclass(frozen=True)
class PlannedUnit:
    """A unit of the simulation."""

    code: str
    name: str
    level: UnitLevel
    parent: str | None


@dataclass(frozen=True)
class Person:
    """Somebody invented."""

    id: str
    household: int
    unit: str
    phone: str | None
    """As it was written at the desk."""
    email: str | None
    language: str
    opts_out: bool
    """Would follow the link to be asked no more, instead of answering."""


@dataclass(frozen=True)
class PlannedAnswer:
    """What this person would answer on a link, and when."""

    delay: timedelta
    """After the message came."""
    score: int
    reasons: tuple[str, ...]
    """Options of Q7; empty when the score is 4 or 5."""
    language: str
    submits: int = 1
    """2: the button was pressed twice."""
    changed_to: int | None = None
    """The score given later on the same link."""
    changed_after: timedelta = timedelta()


@dataclass(frozen=True)
class PlannedDossier:
    """A dossier with its person's opinion."""

    code: str
    unit: str
    field: str
    person: Person
    received_at: datetime
    ended_at: datetime | None
    """None: still open at the end of the year."""
    item: dict[str, Any] | None
    """As the intake takes it, once it has ended."""
    satisfaction: float
    """Probability that this person is satisfied."""
    answer: PlannedAnswer | None


@dataclass(frozen=True)
class Plan:
    """A simulated time."""

    seed: int
    start: date
    days: int
    units: tuple[PlannedUnit, ...]
    dossiers: tuple[PlannedDossier, ...]
    """In the order they were received."""
    falls_on: date
    note: str = NOTE

    def received(self, first: date, end: date) -> int:
        """Dossiers received on local days ``first`` ≤ d < ``end``."""
        return sum(first <= d.received_at.date() < end for d in self.dossiers)

    def endings(self) -> list[PlannedDossier]:
        """Dossiers that end, in the order they do."""
        return sorted((d for d in self.dossiers if d.ended_at), key=lambda d: (d.ended_at, d.code))


def units() -> tuple[PlannedUnit, ...]:
    """The 24 communes, the district desk above them and the provincial centre."""
    top = PlannedUnit("hoa-binh", "Trung tâm Phục vụ hành chính công tỉnh (mô phỏng)", "province", None)
    desk = PlannedUnit("lac-son", "Bộ phận Một cửa huyện Lạc Sơn (mô phỏng)", "district", "hoa-binh")
    return (top, desk, *(PlannedUnit(f"xa-{n:02d}", f"Xã {n:02d}", "commune", "lac-son") for n in range(1, 25)))


def year(seed: int, start: date, days: int = 365) -> Plan:
    """``days`` days from ``start`` on."""
    end = start + timedelta(days=days)
    world = _World(seed, start)
    planned: list[PlannedDossier] = []
    carried: list[_Draft] = []
    for quarter in range(-(-days // QUARTER)):
        drafts, carried = world.quarter(quarter, carried)
        planned += [_until(world.planned(draft), end) for draft in drafts if draft.received_at.date() < end]
    planned.sort(key=lambda d: (d.received_at, d.code))
    return Plan(seed, start, days, units(), tuple(planned), world.falls_on)


def _until(dossier: PlannedDossier, end: date) -> PlannedDossier:
    """What ends after the simulated time is still open in it."""
    if dossier.ended_at is None or dossier.ended_at.date() < end:
        return dossier
    return replace(dossier, ended_at=None, item=None, answer=None)


@dataclass(frozen=True)
class _Draft:
    """A dossier before anybody thinks about it. ``dice``: the seed of its own chances."""

    code: str
    unit: str
    field: str
    received_at: datetime
    due: date
    ended_at: datetime
    late: Timeliness
    dice: str
    ends: bool = True


class _World:
    def __init__(self, seed: int, start: date) -> None:
        self.seed = seed
        self.start = start
        self.falls_on = _months_later(start, 3)
        self._people = _People(seed)
        communes = [u.code for u in units() if u.level == "commune"]
        dice = random.Random(f"{seed}:units")  # noqa: S311  # a simulation, not a secret
        self._sizes = {code: 1.9 if code == FALLS else 0.6 + dice.random() for code in communes}
        self._levels = {code: GOOD[0] + (GOOD[1] - GOOD[0]) * dice.random() for code in communes}
        self._shift = {code: _shift(level) for code, level in self._levels.items()}
        self._fallen = _shift(FALLS_TO)

    def quarter(self, number: int, carried: Sequence[_Draft]) -> tuple[list[_Draft], list[_Draft]]:
        """The dossiers received in a quarter, and those of them that end in the next one. As many end in it as were published."""
        first = self.start + timedelta(days=QUARTER * number)
        last = first + timedelta(days=QUARTER)
        dice = random.Random(f"{self.seed}:{number}")  # noqa: S311
        drafts = self._drafts(number, first, dice)
        own = [i for i, d in enumerate(drafts) if d.ended_at.date() < last]
        too_many = len(carried) + len(own) - ENDED
        stay_open = set(dice.sample(own, too_many))
        drafts = [replace(d, ends=i not in stay_open) for i, d in enumerate(drafts)]
        return drafts, [d for d in drafts if d.ends and d.ended_at.date() >= last]

    def _drafts(self, number: int, first: date, dice: random.Random) -> list[_Draft]:
        days = [d for d in (first + timedelta(days=i) for i in range(QUARTER)) if d.weekday() < 5]
        moments = sorted(_at_the_desk(dice.choice(days), dice) for _ in range(RECEIVED))
        codes, sizes = zip(*self._sizes.items(), strict=True)
        fields, shares = zip(*((name, one[0]) for name, one in _FIELDS.items()), strict=True)
        chosen = zip(
            dice.choices(codes, cum_weights=list(accumulate(sizes)), k=RECEIVED),
            dice.choices(fields, cum_weights=list(accumulate(shares)), k=RECEIVED),
            strict=True,
        )
        return [
            _draft(f"{self.seed}:{number}:{i}", i, unit, field, at, dice)
            for i, (at, (unit, field)) in enumerate(zip(moments, chosen, strict=True))
        ]

    def planned(self, draft: _Draft) -> PlannedDossier:
        """What its person thinks of it."""
        dice = random.Random(draft.dice)  # noqa: S311
        person = self._people.someone(draft, dice)
        if not draft.ends:
            return PlannedDossier(draft.code, draft.unit, draft.field, person, draft.received_at, None, None, 0.0, None)
        item = _item(draft, person, dice)
        refused = item["status_code"] in (3, 8)
        fallen = draft.unit == FALLS and draft.ended_at.date() >= self.falls_on
        shift = self._fallen if fallen else self._shift[draft.unit]
        chance = _logistic(shift + _opinion(draft.field, draft.late, bool(item["supplement_count"]), refused))
        answer = _answer(chance, draft.late, item, dice)
        return PlannedDossier(draft.code, draft.unit, draft.field, person, draft.received_at, draft.ended_at, item, chance, answer)


# --- days ---------------------------------------------------------------------------------------------------------------------


def _months_later(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, min(day.day, 28))


def _at_the_desk(day: date, dice: random.Random) -> datetime:
    """A moment of the morning or the afternoon, to the second."""
    opens, closes = (_HOURS[0], _HOURS[1]) if dice.random() < 0.55 else (_HOURS[2], _HOURS[3])
    begin = datetime.combine(day, opens, ZONE)
    return begin + timedelta(seconds=int(dice.random() * (datetime.combine(day, closes, ZONE) - begin).total_seconds()))


def _working_days(day: date, count: int) -> date:
    """The day ``count`` working days after ``day``."""
    weeks, rest = divmod(count, 5)
    after = day + timedelta(weeks=weeks)
    while rest:
        after += timedelta(days=1)
        rest -= after.weekday() < 5
    return after


def _draft(name: str, number: int, unit: str, field: str, received: datetime, dice: random.Random) -> _Draft:
    _, _, allowed, late_share, _ = _FIELDS[field]
    day = received.date()
    due = _working_days(day, allowed)
    drawn = dice.random()
    if drawn < late_share:
        on = _working_days(due, 1 + int(dice.random() * 6))
    elif drawn < late_share + _ON_TIME:
        on = due
    else:
        on = _working_days(day, int(dice.random() * allowed))
    ended = _at_the_desk(on, dice)
    if ended <= received:
        ended = received + timedelta(minutes=5 + 40 * dice.random())
        ended = ended.replace(microsecond=0)
    code = f"H28.99.{unit[-2:]}-{day:%y%m%d}-{number:04d}"
    return _Draft(code, unit, field, received, due, ended, timeliness(ended, due), f"{name}:mind")


# --- people -------------------------------------------------------------------------------------------------------------------


class _People:
    """Households of each commune. A few come often; some families share one phone."""

    def __init__(self, seed: int, households: int = 400) -> None:
        self._seed = seed
        self._households = households
        self._order = random.Random(f"{seed}:numbers").sample(range(_NUMBERS), _NUMBERS)  # noqa: S311

    def someone(self, draft: _Draft, dice: random.Random) -> Person:
        """The person of a dossier."""
        household = int(draft.unit[-2:]) * self._households + int(self._households * dice.random() ** 1.3)
        member = int(dice.random() * 3)
        own = random.Random(f"{self._seed}:person:{household}:{member}")  # noqa: S311
        shared = random.Random(f"{self._seed}:home:{household}").random() < _SHARED_PHONE  # noqa: S311
        number = self._order[(household * 3 + (0 if shared else member)) % _NUMBERS]
        business = draft.field == "business"
        name = f"P{household:05d}-{member}"
        return Person(
            id=name,
            household=household,
            unit=draft.unit,
            phone=_written(number, own) if own.random() < _PHONE else None,
            email=f"{name.lower()}@nguoi-dan.example" if own.random() < (_EMAIL_BUSINESS if business else _EMAIL) else None,
            language="mtq" if own.random() < 0.03 else "vi",
            opts_out=own.random() < 0.005,
        )


def _written(number: int, dice: random.Random) -> str:
    """A number as a clerk types it."""
    digits = f"{number:05d}"
    forms = (f"09000{digits}", f"0900 0{digits[:2]} {digits[2:]}", f"+849000{digits}", f"0900.0{digits[:2]}.{digits[2:]}")
    return forms[int(dice.random() * len(forms))]


# --- the dossier and the opinion ------------------------------------------------------------------------------------------------


def _pick(shares: dict[str, float], drawn: float) -> str:
    for name, share in shares.items():
        drawn -= share
        if drawn < 0:
            return name
    return next(iter(shares))


def _item(draft: _Draft, person: Person, dice: random.Random) -> dict[str, Any]:
    channel = _pick(_CHANNELS, dice.random())
    refused = dice.random() < _REFUSED
    electronic = channel == "online" and dice.random() < 0.3
    status = (3 if dice.random() < 0.67 else 8) if refused else 9 if electronic else 10
    supplement = dice.random() < _SUPPLEMENT.get(draft.field, _SUPPLEMENT_ELSE)
    item = {
        "dossier_code": draft.code,
        "status_code": status,
        "procedure_code": f"{_FIELDS[draft.field][4]}.000.00.00.H28",
        "field_code": draft.field,
        "service_level": "full" if channel == "online" else "partial",
        "receiving_unit_code": draft.unit,
        "handling_unit_code": "lac-son" if draft.field in _AT_THE_DISTRICT else draft.unit,
        "unit_level": "district" if draft.field in _AT_THE_DISTRICT else "commune",
        "submission_channel": channel,
        "result_channel": "electronic" if status == 9 else "postal" if channel == "postal" else "counter",
        "occurred_at": draft.ended_at.isoformat(),
        "received_at": draft.received_at.isoformat(),
        "due_at": draft.due.isoformat(),
        "finished_at": draft.ended_at.isoformat(),
        "supplement_count": int(supplement),
        "applicant_type": "business" if draft.field == "business" else "citizen",
        "submitted_by": _pick({"owner": 0.8, "proxy": 0.12, "assisted": 0.08}, dice.random()),
        "preferred_language": person.language,
        "applicant_id": person.id,
    }
    contact = {name: value for name, value in (("phone", person.phone), ("email", person.email)) if value}
    return item | {"contact": contact} if contact else item


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def _opinion(field: str, late: Timeliness, supplement: bool, refused: bool) -> float:
    """How this dossier moves its person, on the logit scale."""
    moved = _logit(_FIELDS[field][1]) + _EFFECT.get(late, 0.0)
    return moved + (_EFFECT["supplement"] if supplement else 0.0) + (_EFFECT["refused"] if refused else 0.0)


def _mix() -> Iterator[tuple[float, float]]:
    """(share, opinion) of every kind of dossier."""
    total = sum(one[0] for one in _FIELDS.values())
    for (field, one), late, supplement, refused in product(_FIELDS.items(), ("early", "on_time", "overdue"), (True, False), (True, False)):
        lateness = {"overdue": one[3], "on_time": _ON_TIME, "early": 1 - _ON_TIME - one[3]}[late]
        asked = _SUPPLEMENT.get(field, _SUPPLEMENT_ELSE)
        share = one[0] / total * lateness * (asked if supplement else 1 - asked) * (_REFUSED if refused else 1 - _REFUSED)
        yield share, _opinion(field, late, supplement, refused)  # type: ignore[arg-type]  # product() forgets the literals


def _shift(level: float) -> float:
    """What a unit adds to every opinion so that ``level`` of its people are satisfied."""
    mix = list(_mix())
    low, high = -10.0, 10.0
    for _ in range(50):
        middle = (low + high) / 2
        if sum(share * _logistic(middle + opinion) for share, opinion in mix) < level:
            low = middle
        else:
            high = middle
    return low


def _answer(chance: float, late: Timeliness, item: dict[str, Any], dice: random.Random) -> PlannedAnswer | None:
    if dice.random() >= ANSWERS:
        return None
    score = _score(dice.random() < chance, dice)
    delay = timedelta(hours=min(24 * 20, _DELAY_MEDIAN_H * math.exp(_DELAY_SIGMA * dice.gauss(0, 1))))
    changes = dice.random() < 0.02
    return PlannedAnswer(
        delay=delay,
        score=score,
        reasons=_reasons(score, late, item, dice),
        language="en" if dice.random() < 0.01 else "vi",
        submits=2 if dice.random() < 0.04 else 1,
        changed_to=_score(score < 4, dice) if changes else None,
        changed_after=timedelta(hours=1 + 47 * dice.random()) if changes else timedelta(),
    )


def _score(satisfied: bool, dice: random.Random) -> int:
    drawn = dice.random()
    if satisfied:
        return 5 if drawn < 0.45 else 4
    return 3 if drawn < 0.45 else 2 if drawn < 0.8 else 1


def _reasons(score: int, late: Timeliness, item: dict[str, Any], dice: random.Random) -> tuple[str, ...]:
    """Options of Q7, in the order of the questionnaire."""
    if score > 3:
        return ()
    chances = {
        "slow": 0.8 if late == "overdue" else 0.25,
        "trips": 0.5 if item["supplement_count"] else 0.2,
        "papers": 0.6 if item["supplement_count"] else 0.2,
        "attitude": 0.25,
        "charges": 0.02,
        "website": 0.25 if item["submission_channel"] == "online" else 0.0,
        "other": 0.1,
    }
    return tuple(name for name, chance in chances.items() if dice.random() < chance) or ("other",)
