"""A made-up province: units with volumes, mixes of fields and levels of satisfaction that are known, and two years of answers from it.

All chance comes from one hash (``uniform``), so that any program in any language makes the same answers from the same seed. Units are
numbered from 0: departments, then districts, then communes. Day 0 is a Monday. The published form has 170 units and 730 days; other
numbers of units keep the shares of levels and classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, NamedTuple

FIELDS: Final = ("civil", "social", "business", "construction", "land")
OFFSETS: Final = (0.30, 0.15, 0.0, -0.45, -0.60)
"""Of the logit of being satisfied, by field."""
YEAR: Final = 365
TARGET: Final = 0.90
"""What the published levels stand around."""

Kind = Literal["chronic", "grey", "sudden", "recovered", "slow", "faller", "good"]
_OF_170: Final[tuple[tuple[Kind, int], ...]] = (
    ("chronic", 25), ("grey", 10), ("sudden", 10), ("recovered", 8), ("slow", 12), ("faller", 8), ("good", 97),
)  # fmt: skip
_UNITS: Final = 170
_DEPARTMENTS: Final = 20
_DISTRICTS: Final = 10
_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_SLOW_DAYS: Final = 240
_RECOVERY_DAYS: Final = 150
_CAMPAIGN_DAYS: Final = 60
_SLOTS: Final = 256
"""Room for answers of a unit on a day, in the numbers the hash is asked with."""


class Answer(NamedTuple):
    day: int
    unit: int
    field: int
    satisfied: bool


class Stretch(NamedTuple):
    """A level a unit holds from a day up to, without, another."""

    unit: int
    from_day: int
    to_day: int
    level: float
    kind: Kind


def mix64(z: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & _MASK
    return z ^ z >> 31


def uniform(seed: int, tag: int, a: int, b: int = 0) -> float:
    """A number in (0, 1) that follows from four integers."""
    h = mix64((seed + _GOLDEN * (tag + 1)) & _MASK)
    h = mix64((h + _GOLDEN * (a + 1)) & _MASK)
    h = mix64((h + _GOLDEN * (b + 1)) & _MASK)
    return ((h >> 11) + 0.5) / (1 << 53)


def expit(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


@dataclass(frozen=True)
class Plan:
    """What is generated. ``response`` multiplies every unit's response rate (published: 0.15 to 0.35); ``target`` moves every level by
    its distance to 0.90; ``standard``: a level is what a unit would have with the province's mix of answers instead of its own."""

    seed: int
    units: int = _UNITS
    years: int = 2
    response: float = 1.0
    target: float = TARGET
    standard: bool = False

    @property
    def days(self) -> int:
        return YEAR * self.years


@dataclass(frozen=True)
class Unit:
    """A unit as it truly is."""

    number: int
    kind: Kind
    volume: float
    """Dossiers a month."""
    response: float
    first: float
    """Level at the beginning."""
    later: float
    """Level after the change."""
    change: int
    """Day of the change; beyond the end where there is none."""
    mix: tuple[float, ...]
    """Shares of the fields."""
    campaign: int | None
    """First day of a land campaign."""

    @property
    def daily(self) -> float:
        """Answers on an average working day."""
        return self.volume * self.response * 12 / 261

    def level(self, day: int) -> float:
        """Probability that an answer on ``day`` is satisfied, at the unit's own mix, season left out."""
        if self.kind == "slow":
            return self.first - (self.first - self.later) * min(max((day - self.change) / _SLOW_DAYS, 0.0), 1.0)
        if day < self.change or (self.kind == "recovered" and day >= self.change + _RECOVERY_DAYS):
            return self.first
        return self.later


_NEVER: Final = 1 << 30


@dataclass(frozen=True)
class Province:
    """Its units, and what happens in them."""

    plan: Plan
    units: tuple[Unit, ...] = field(init=False)

    def __post_init__(self) -> None:
        kinds = _kinds(self.plan)
        object.__setattr__(self, "units", tuple(_unit(self.plan, n, kinds[n]) for n in range(self.plan.units)))

    def truth(self) -> Iterator[Stretch]:
        """The level of every unit on every day, in stretches, in the order of units and days."""
        for unit in self.units:
            begun = 0
            for day in range(1, self.plan.days + 1):
                if day == self.plan.days or unit.level(day) != unit.level(begun):
                    yield Stretch(unit.number, begun, day, unit.level(begun), unit.kind)
                    begun = day

    def answers(self) -> Iterator[Answer]:
        """In the order of days, then of units."""
        mix = self._common_mix() if self.plan.standard else None
        for day in range(self.plan.days):
            if day % 7 < 5:
                for unit in self.units:
                    yield from self._on(unit, day, mix or unit.mix)

    def _common_mix(self) -> tuple[float, ...]:
        shares = [sum(u.mix[f] * u.volume * u.response for u in self.units) for f in range(len(FIELDS))]
        return tuple(share / sum(shares) for share in shares)

    def _on(self, unit: Unit, day: int, level_mix: tuple[float, ...]) -> Iterator[Answer]:
        seed = self.plan.seed
        n = poisson(unit.daily * busy(day), uniform(seed, 10, unit.number, day))
        if not n:
            return
        mix = _in_campaign(unit.mix) if unit.campaign is not None and 0 <= day - unit.campaign < _CAMPAIGN_DAYS else unit.mix
        middle = intercept(level_mix, unit.level(day)) + 0.10 * math.cos(2 * math.pi * (day % YEAR - 170) / YEAR)
        for slot in range(n):
            number = _SLOTS * day + slot
            of = _drawn(mix, uniform(seed, 11, unit.number, number))
            satisfied = uniform(seed, 12, unit.number, number) >= 1.0 - expit(middle + OFFSETS[of])
            yield Answer(day, unit.number, of, satisfied)


def busy(day: int) -> float:
    """How many come on ``day`` against the average: more towards the year's end, few around Tết."""
    of_year = day % YEAR
    season = 1 + 0.25 * math.cos(2 * math.pi * (of_year - 330) / YEAR)
    return season * 0.2 if 38 <= of_year <= 47 else season


def poisson(mean: float, u: float) -> int:
    """The number of events at which the distribution function first reaches ``u``."""
    n, mass = 0, math.exp(-mean)
    total = mass
    while total < u and n < _SLOTS - 1:
        n += 1
        mass *= mean / n
        total += mass
    return n


@lru_cache(maxsize=1 << 14)
def intercept(mix: tuple[float, ...], level: float) -> float:
    """The logit that, with the offsets of the fields, gives ``level`` over ``mix``."""
    low, high = -8.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        if sum(share * expit(middle + offset) for share, offset in zip(mix, OFFSETS, strict=True)) < level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _drawn(mix: Sequence[float], u: float) -> int:
    total = 0.0
    for number, share in enumerate(mix):
        total += share
        if u < total:
            return number
    return len(mix) - 1


def _in_campaign(mix: tuple[float, ...]) -> tuple[float, ...]:
    shares = (*mix[:-1], 2 * mix[-1])
    return tuple(share / sum(shares) for share in shares)


def _scaled(count: int, units: int) -> int:
    return round(count * units / _UNITS)


def _kinds(plan: Plan) -> dict[int, Kind]:
    """The class of each unit: drawn by the order of a number each has."""
    order = sorted(range(plan.units), key=lambda n: uniform(plan.seed, 3, n))
    kinds: list[Kind] = [kind for kind, count in _OF_170[:-1] for _ in range(_scaled(count, plan.units))]
    kinds += ["good"] * (plan.units - len(kinds))
    return dict(zip(order, kinds, strict=False))


def _unit(plan: Plan, n: int, kind: Kind) -> Unit:
    def u(tag: int, b: int = 0) -> float:
        return uniform(plan.seed, tag, n, b)

    low, high = _volumes(n, plan.units)
    first, later = _levels(kind, u(4))
    moved = plan.target - TARGET
    return Unit(
        number=n, kind=kind, volume=math.exp(math.log(low) + (math.log(high) - math.log(low)) * u(1)),
        response=(0.15 + 0.20 * u(2)) * plan.response, first=first + moved, later=later + moved, change=_change(kind, u(5)),
        mix=_mix(plan, n), campaign=100 + math.floor(500 * u(8)) if u(7) < 0.30 else None,
    )  # fmt: skip


def _volumes(n: int, units: int) -> tuple[float, float]:
    if n < _scaled(_DEPARTMENTS, units):
        return 60.0, 600.0
    return (100.0, 600.0) if n < _scaled(_DEPARTMENTS + _DISTRICTS, units) else (5.0, 250.0)


def _levels(kind: Kind, x: float) -> tuple[float, float]:
    """(at the beginning, after the change)."""
    changing = {"sudden": (0.92, 0.80), "recovered": (0.92, 0.80), "slow": (0.92, 0.82), "faller": (0.965, 0.905)}
    if kind in changing:
        return changing[kind]
    low, high = {"chronic": (0.80, 0.87), "grey": (0.87, 0.90), "good": (0.90, 0.93)}[kind]
    return low + (high - low) * x, low + (high - low) * x


def _change(kind: Kind, w: float) -> int:
    if kind == "slow":
        return 150 + math.floor(250 * w)
    return 200 + math.floor(300 * w) if kind in ("sudden", "recovered", "faller") else _NEVER


def _mix(plan: Plan, n: int) -> tuple[float, ...]:
    shares = []
    for f, base in enumerate(_base_mix(n, plan.units)):
        z = 2 * (sum(uniform(plan.seed, 6, n, 3 * f + i) for i in range(3)) - 1.5)
        shares.append(base * math.exp(0.5 * z))
    return tuple(share / sum(shares) for share in shares)


def _base_mix(n: int, units: int) -> tuple[float, ...]:
    departments = _scaled(_DEPARTMENTS, units)
    if n < min(2, departments):
        return (0.0, 0.0, 0.1, 0.1, 0.8)
    if n < min(3, departments):
        return (0.0, 0.0, 0.1, 0.8, 0.1)
    if n < departments:
        return (0.1, 0.3, 0.5, 0.05, 0.05)
    return (0.15, 0.15, 0.2, 0.2, 0.3) if n < _scaled(_DEPARTMENTS + _DISTRICTS, units) else (0.45, 0.20, 0.05, 0.08, 0.22)
