"""From counts to figures. Stores give integers; every float of a figure is made here and nowhere else.

Satisfied = 4 or 5 on the scale of 1–5; the rate is satisfied ÷ n, where "not applicable" stands outside n. Intervals are Wilson's
(E. B. Wilson 1927; Brown, Cai & DasGupta 2001 for its use with small n), two-sided 95 %.

Privacy: fewer than ``PRIVACY_LIMIT`` answers are not shown at all; when that hides exactly one unit of a list whose total is shown,
the next smallest is hidden too. What anybody but the quality office sees is made of parcels (``hailong.domain.telling``), and where all
said the same, only the end of the interval is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from statistics import NormalDist
from typing import Final, Literal

import msgspec

from hailong.domain.succession import divided
from hailong.domain.units import Registry, Targets
from hailong.events import Mode, Place, SubmissionChannel, UnitLevel

Z95: Final = NormalDist().inv_cdf(0.975)
"""1.959964: two-sided 95 %."""
PRIVACY_LIMIT: Final = 10
STEP: Final = 5
SATISFIED: Final = 4
"""Scores from here on are "satisfied"."""

Standing = Literal["below", "reached", "open", "few"]
Hidden = Literal["few", "neighbour"]
Bound = Literal["at_least", "at_most"]
Version = dict[str, dict[int, int]]
"""topic → partition → first offset that is not in the figures."""


def rate(satisfied: int, n: int) -> float | None:
    """Share of the satisfied; None when nobody answered."""
    return satisfied / n if n else None


def wilson(satisfied: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's interval of a share, (low, high) within [0, 1]; (0, 1) when nobody answered."""
    if not n:
        return 0.0, 1.0
    share = satisfied / n
    spread = z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    low = 0.0 if satisfied == 0 else max(0.0, middle - half)
    high = 1.0 if satisfied == n else min(1.0, middle + half)
    return low, high


def newcombe(k: int, n: int, other_k: int, other_n: int, z: float = Z95) -> tuple[float, float]:
    """Interval of the difference k/n - other_k/other_n of two independent shares, (low, high) within [-1, 1]; (-1, 1) when either has
    nobody.

    Method 10 of R. G. Newcombe 1998, Statistics in Medicine 17, 873-890: the distances to the Wilson limits of each, squared and added.
    """
    if not n or not other_n:
        return -1.0, 1.0
    share, other = k / n, other_k / other_n
    (low, high), (other_low, other_high) = wilson(k, n, z), wilson(other_k, other_n, z)
    below, above = math.hypot(share - low, other_high - other), math.hypot(high - share, other - other_low)
    return max(-1.0, share - other - below), min(1.0, share - other + above)


def standing(satisfied: int, n: int, target: float) -> Standing:
    """Where a figure stands: the whole interval below the target, the whole interval at or above it, open, or too few answers."""
    if n < PRIVACY_LIMIT:
        return "few"
    low, high = wilson(satisfied, n)
    if high < target:
        return "below"
    return "reached" if low >= target else "open"


def percent(share: float, digits: int = 0) -> float:
    """A share as a percentage rounded half up to ``digits``: one rule for page, mail and export."""
    scale = float(10**digits)
    return math.floor(share * 100 * scale + 0.5 + 1e-9) / scale


def suppressed(ns: dict[str, int]) -> dict[str, Hidden]:
    """Which entries of a list with a shown total stay hidden, and why: ``few`` (1–9 answers), or ``neighbour``.

    One hidden entry alone could be had as total minus the others, so the next smallest goes with it.
    Entries without any answer hide nothing.
    """
    few = [key for key, n in ns.items() if 0 < n < PRIVACY_LIMIT]
    hidden: dict[str, Hidden] = dict.fromkeys(few, "few")
    if len(few) == 1:
        others = sorted((n, key) for key, n in ns.items() if n >= PRIVACY_LIMIT)
        if others:
            hidden[others[0][1]] = "neighbour"
    return hidden


By = Literal["handling", "receiving"]
"""Whose figures: of the unit that decided, or of the one that took the dossier in."""


@dataclass(frozen=True)
class Filters:
    """What is asked for; None = all. Months are local months ``YYYY-MM`` in which the dossiers ended, both ends included."""

    month_from: str | None = None
    month_to: str | None = None
    level: UnitLevel | None = None
    unit: str | None = None
    """This unit and all below it."""
    field: str | None = None
    channel: SubmissionChannel | None = None
    mode: Mode | None = None
    place: Place = "away"
    """The headline is what was said away from the desk; what was said at it is a series of its own."""
    question: str | None = None
    """A scale other than the first question, as ``questionnaire:question``."""
    by: By = "handling"
    day: date | None = None
    """The day whose map is used; None: units as they were."""

    def holds(self, month: str) -> bool:
        """Whether ``month`` lies in the period."""
        return (self.month_from or "") <= month and (self.month_to is None or month <= self.month_to)


class Counts(msgspec.Struct, frozen=True, gc=False):
    """Integers of one cell: how many dossiers ended, how many people were asked, reached, answered, and what they answered away from the
    desk. What was said at the desk (``desk_n``) is a series of its own; ``held`` answers wait for a person and are in no rate.
    """

    scores: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    not_applicable: int = 0
    revised: int = 0
    """Later changes of an answer; reported apart, in no rate."""
    ended: int = 0
    asked: int = 0
    reached: int = 0
    desk_n: int = 0
    desk_satisfied: int = 0
    held: int = 0

    @property
    def n(self) -> int:
        return sum(self.scores)

    @property
    def satisfied(self) -> int:
        return sum(self.scores[SATISFIED - 1 :])

    @property
    def answered(self) -> int:
        return self.n + self.not_applicable

    def __add__(self, other: Counts) -> Counts:
        a, b = self.scores, other.scores
        return Counts(
            (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4]),
            self.not_applicable + other.not_applicable,
            self.revised + other.revised,
            self.ended + other.ended,
            self.asked + other.asked,
            self.reached + other.reached,
            self.desk_n + other.desk_n,
            self.desk_satisfied + other.desk_satisfied,
            self.held + other.held,
        )

    def divided(self, shares: Sequence[float]) -> list[Counts]:
        """The counts in parts that sum to them, see ``succession.divided``."""
        split = {name: divided(getattr(self, name), shares) for name in _WHOLE_NUMBERS}
        scores = [divided(score, shares) for score in self.scores]
        return [
            Counts((scores[0][i], scores[1][i], scores[2][i], scores[3][i], scores[4][i]), **{name: split[name][i] for name in split})
            for i in range(len(shares))
        ]

    def without(self, score: int) -> Counts:
        """The same cell one answer earlier; ``score`` 0 = not applicable."""
        if score == 0:
            return msgspec.structs.replace(self, not_applicable=self.not_applicable - 1)
        a, b, c, d, e = (v - (i == score) for i, v in enumerate(self.scores, start=1))
        return msgspec.structs.replace(self, scores=(a, b, c, d, e))


_WHOLE_NUMBERS: Final = tuple(name for name in Counts.__struct_fields__ if name != "scores")


@dataclass(frozen=True)
class Figures:
    """What the store counted, at one version."""

    as_of: int
    """``seq`` of the last counted record in it."""
    version: Version
    counted_at: datetime | None
    cells: dict[tuple[str, str], Counts]
    """(handling unit, month) → counts, of all months and levels: a trend needs them."""


@dataclass(frozen=True)
class TrendPoint:
    """The three months up to ``month`` together; ``rate`` is None under the privacy limit."""

    month: str
    n: int
    rate: float | None


@dataclass(frozen=True)
class Row:
    """A figure as it may be shown. Under the limit everything that counts answers is None. With ``bound`` set, ``satisfied``,
    ``scores`` and ``rate`` are None and the share is at least ``low`` or at most ``high``."""

    unit: str
    name: str
    level: UnitLevel
    ended: int
    asked: int
    reached: int
    answered: int | None
    n: int | None
    satisfied: int | None
    scores: tuple[int, int, int, int, int] | None
    rate: float | None
    low: float | None
    high: float | None
    target: float
    standing: Standing
    suppressed: bool
    hidden: Hidden | None = None
    bound: Bound | None = None
    trend: tuple[TrendPoint, ...] = field(default=())
    held: int = 0
    """Answers that wait for a person to look at them; in no rate."""


@dataclass(frozen=True)
class UnitInfo:
    """What a page must know of a unit besides its counts."""

    code: str
    name: str
    level: UnitLevel
    target: float


def information(figures: Figures, registry: Registry, targets: Targets, day: date) -> dict[str, UnitInfo]:
    """What is known on ``day`` of every unit that has figures, and of every registered one at the lowest level, with its target."""
    registered = [row for code in registry.codes() if (row := registry.on(code, day)) is not None]
    parents = {row.parent for row in registered}
    codes = {unit for unit, _ in figures.cells if unit} | {row.code for row in registered if row.code not in parents}
    return {code: _information(code, registry, targets, day) for code in codes}


def _information(code: str, registry: Registry, targets: Targets, day: date) -> UnitInfo:
    row = registry.latest(code, day)
    target = targets.on(registry.chain(code, day), day).value
    return UnitInfo(code, registry.name(code, day), row.level if row else "other", target)


def total(cells: Iterable[Counts]) -> Counts:
    """Their sum."""
    result = Counts()
    for cell in cells:
        result = result + cell
    return result


def trend(months: dict[str, Counts], width: int = 3) -> tuple[TrendPoint, ...]:
    """One unit's course: per month between its first and last the sum of ``width`` months, hidden under the privacy limit."""
    if not months:
        return ()
    line = _months_between(min(months), max(months))
    points = []
    for i, month in enumerate(line):
        window = total(months[m] for m in line[max(0, i - width + 1) : i + 1] if m in months)
        shown = window.n >= PRIVACY_LIMIT
        points.append(TrendPoint(month, window.n if shown else 0, rate(window.satisfied, window.n) if shown else None))
    return tuple(points)


def _months_between(first: str, last: str) -> list[str]:
    start, end = (int(m[:4]) * 12 + int(m[5:7]) - 1 for m in (first, last))
    return [f"{m // 12:04d}-{m % 12 + 1:02d}" for m in range(start, end + 1)]


def rows(figures: Figures, filters: Filters, units: dict[str, UnitInfo], *, bounds: bool = False) -> tuple[list[Row], Counts]:
    """The figures of every one of ``units`` (which holds every unit that has any) at the level asked for, in the order of their codes,
    and the total of exactly what they hold.

    ``bounds``: where all answered alike, only the end of the interval; for whoever is not the quality office.
    """
    months = _by_unit(figures)
    asked = sorted(u for u, info in units.items() if filters.level is None or info.level == filters.level)
    cells = {unit: total(c for m, c in months.get(unit, {}).items() if filters.holds(m)) for unit in asked}
    hidden = suppressed({unit: cell.n for unit, cell in cells.items()})
    shown = []
    for unit in asked:
        bound = _bound(cells[unit]) if bounds else None
        course = {month: cell for month, cell in months.get(unit, {}).items() if cell.answered}
        shown.append(_row(units[unit], cells[unit], hidden.get(unit), bound, trend(course)))
    return shown, total(cells.values())


def _by_unit(figures: Figures) -> dict[str, dict[str, Counts]]:
    by_unit: dict[str, dict[str, Counts]] = {}
    for (unit, month), cell in figures.cells.items():
        by_unit.setdefault(unit, {})[month] = cell
    return by_unit


def _bound(cell: Counts) -> Bound | None:
    if cell.satisfied == cell.n:
        return "at_least"
    return "at_most" if cell.satisfied == 0 else None


def _row(unit: UnitInfo, cell: Counts, hidden: Hidden | None, bound: Bound | None, course: tuple[TrendPoint, ...]) -> Row:
    hide = hidden is not None or cell.n < PRIVACY_LIMIT
    same = hide or bound is not None
    low, high = wilson(cell.satisfied, cell.n)
    return Row(
        unit=unit.code,
        name=unit.name,
        level=unit.level,
        ended=cell.ended,
        asked=cell.asked,
        reached=cell.reached,
        answered=None if hide else cell.answered,
        n=None if hide else cell.n,
        satisfied=None if same else cell.satisfied,
        scores=None if same else cell.scores,
        rate=None if same else rate(cell.satisfied, cell.n),
        low=None if hide else low,
        high=None if hide else high,
        target=unit.target,
        standing="few" if hide else standing(cell.satisfied, cell.n, unit.target),
        suppressed=hide,
        hidden=hidden or ("few" if hide else None),
        bound=None if hide else bound,
        trend=course,
        held=cell.held,
    )
