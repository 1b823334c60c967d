"""What figures tell whoever is not the quality office: sums of parcels, and nothing else. No I/O.

A *parcel* is a set of answers of one unit that is told as a whole or not at all. No answer is in two parcels, and a parcel never changes
its answers by fewer than ``STEP``. Every figure that is told, of any unit, period, tree or map, also a total, is a sum of parcels. So
whatever somebody adds up, subtracts, or watches from day to day, they learn of parcels, never of a part of one. That is what complementary
suppression wants, for all filters at once: a total holds what its rows tell, so that nothing is left over to be had as a difference.

What makes a parcel:
- **A closed month.** A month closes ``CLOSES_AFTER`` its end, once: what was counted until then is the month. ``LIMIT`` answers of a unit
  are a parcel. Fewer are kept with the unit's other such months until together they are ``LIMIT`` and no month has all but ``STEP`` of
  them. What comes or goes later is a new edition with a reason, once it is ``STEP`` answers.
- **A step.** While a month is open its answers are told in the order in which they were counted: ``LIMIT`` at first, then ``STEP`` by
  ``STEP``, and always ``STEP`` to twice ``STEP`` - 1 later ones are kept back, so that the close, which tells all, tells no single one.
  A month out of which somebody took an answer back waits for its close.

Counts are not told to the last answer, scores are what is kept: whoever sits at a desk sees who comes. A parcel in which everybody said the
same tells it of all of them; a row then shows the end of the interval only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final, Literal

import msgspec

from hailong.domain.scoring import PRIVACY_LIMIT, STEP, Counts, Filters, total
from hailong.domain.units import LOCAL

LIMIT: Final = PRIVACY_LIMIT
CLOSES_AFTER: Final = timedelta(days=45)
Cells = Mapping[tuple[str, str], Counts]
"""(unit, month) → counts."""
Audience = Literal["office", "units", "public"]
"""Who reads: the quality office and whoever runs the machine (exact); units and leaders (parcels); everybody (closed months only)."""
Reason = Literal["late", "erased", "late and erased"]
"""Why a closed figure got a new edition: answers came after the close, people took theirs back, or both."""


def closes_at(month: str) -> datetime:
    """When a month ``YYYY-MM`` closes: local midnight, 45 days after its end."""
    year, number = int(month[:4]), int(month[5:])
    end = date(year + number // 12, number % 12 + 1, 1)
    return datetime.combine(end + CLOSES_AFTER, datetime.min.time(), LOCAL)


def closing_months(began: datetime, until: datetime) -> list[str]:
    """The months that closed from ``began`` to ``until``, in order; both aware."""
    first = (began - CLOSES_AFTER).astimezone(LOCAL).date().replace(day=1) - timedelta(days=1)
    found, day = [], first.replace(day=1)
    while closes_at(month := f"{day:%Y-%m}") <= until:
        if closes_at(month) >= began:
            found.append(month)
        day = (day + timedelta(days=31)).replace(day=1)
    return found


def open_from(closed: Sequence[str]) -> str:
    """The first month that is open when these have closed; empty when all are."""
    return _after(closed[-1]) if closed else ""


def _after(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}"


@dataclass(frozen=True)
class Closing:
    """A month closed. ``cells``: of all months, as counted until then; ``as_of``: the last record in them."""

    month: str
    as_of: int
    cells: Cells

    @property
    def on(self) -> date:
        return closes_at(self.month).date()


@dataclass(frozen=True)
class Edition:
    """A parcel as it stood from ``on``. The first has no reason."""

    on: date
    counts: Counts
    reason: Reason | None = None


@dataclass(frozen=True)
class Parcel:
    """Answers of a unit about ``months``, told together. The newest edition holds."""

    unit: str
    months: tuple[str, ...]
    editions: tuple[Edition, ...]

    @property
    def counts(self) -> Counts:
        return self.editions[-1].counts


@dataclass(frozen=True)
class Newest:
    """Of a unit and an open month: the scores of its newest answers, newest first (0 = not applicable), and how many were taken back."""

    scores: tuple[int, ...]
    erased: int = 0


def kept_back(step: int = STEP) -> int:
    """How many newest answers of a cell have to be known to tell it in steps."""
    return 2 * step - 1


@dataclass(frozen=True)
class Series:
    """One series of answers within counts: ``part`` is its counts alone, ``size`` how many answers they hold."""

    part: Callable[[Counts], Counts]
    size: Callable[[Counts], int]


AWAY: Final = Series(lambda c: Counts(c.scores, c.not_applicable, c.revised), lambda c: c.n)
DESK: Final = Series(lambda c: Counts(desk_n=c.desk_n, desk_satisfied=c.desk_satisfied), lambda c: c.desk_n)


def parcels(closings: Sequence[Closing], series: Series = AWAY) -> list[Parcel]:
    """The parcels of closed months, in the order in which they were made: a function of the closings, which come in the order of their
    months. One more closing only adds parcels and editions."""
    made: list[Parcel] = []
    covered: set[tuple[str, str]] = set()
    for closing in closings:
        cells = {key: series.part(cell) for key, cell in closing.cells.items() if key[1] <= closing.month}
        made = [_corrected(parcel, cells, closing.on) for parcel in made]
        for unit, months in sorted(_uncovered(cells, covered, series).items()):
            for group in _grouped({month: cells[unit, month] for month in months}, series):
                counts = total(cells[unit, month] for month in group)
                made.append(Parcel(unit, group, (Edition(closing.on, counts),)))
                covered.update((unit, month) for month in group)
    return made


def _uncovered(cells: Cells, covered: set[tuple[str, str]], series: Series) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for unit, month in sorted(cells):
        if (unit, month) not in covered and series.size(cells[unit, month]):
            found[unit].append(month)
    return found


def _grouped(months: Mapping[str, Counts], series: Series) -> Iterator[tuple[str, ...]]:
    """Months that are parcels: each that is large enough by itself, and the others together when they are."""
    sizes = {month: series.size(cell) for month, cell in months.items()}
    yield from ((month,) for month, n in sizes.items() if n >= LIMIT)
    few = {month: n for month, n in sizes.items() if n < LIMIT}
    if (together := sum(few.values())) >= LIMIT and together - max(few.values()) >= STEP:
        yield tuple(few)


def _corrected(parcel: Parcel, cells: Cells, on: date) -> Parcel:
    now = total(cells.get((parcel.unit, month), Counts()) for month in parcel.months)
    moves = list(_moves(parcel.counts, now))
    if sum(map(abs, moves)) < STEP:
        return parcel
    came, went = any(m > 0 for m in moves), any(m < 0 for m in moves)
    reason: Reason = "late and erased" if came and went else "late" if came else "erased"
    return replace(parcel, editions=(*parcel.editions, Edition(on, now, reason)))


def _moves(before: Counts, now: Counts) -> Iterator[int]:
    yield from (b - a for a, b in zip(before.scores, now.scores, strict=True))
    yield now.not_applicable - before.not_applicable
    yield now.desk_satisfied - before.desk_satisfied
    yield now.desk_n - now.desk_satisfied - before.desk_n + before.desk_satisfied


def in_steps(cell: Counts, newest: Newest | None, step: int = STEP) -> Counts:
    """What is told of an open month of a unit: its first answers, never the ``step`` to 2 ``step`` - 1 newest, nothing below ``LIMIT``."""
    whole = AWAY.part(cell)
    back = whole.answered % step + step
    if newest is None or newest.erased or len(newest.scores) < min(back, whole.answered) or whole.answered - back < LIMIT:
        return Counts()
    seen = msgspec.structs.replace(whole, revised=0)
    for score in newest.scores[:back]:
        seen = seen.without(score)
    return seen if seen.n >= LIMIT else Counts()


@dataclass(frozen=True)
class Book:
    """All that is closed: the months in their order, and the parcels of both series."""

    closings: tuple[Closing, ...] = ()
    away: tuple[Parcel, ...] = ()
    desk: tuple[Parcel, ...] = ()

    @classmethod
    def of(cls, closings: Sequence[Closing]) -> Book:
        return cls(tuple(closings), tuple(parcels(closings)), tuple(parcels(closings, DESK)))

    @property
    def open_from(self) -> str:
        return open_from([closing.month for closing in self.closings])


def told(
    cells: Cells, book: Book, newest: Mapping[tuple[str, str], Newest] | None, filters: Filters, step: int = STEP
) -> dict[tuple[str, str], Counts]:
    """Counts as they may be told of a period: a parcel stands in its last month, and is there when all its months are in the period.

    ``cells``: exact, of all months. ``newest`` is None for the public, which sees closed months only. How many dossiers ended, were
    asked about, reached, and how many answers are held, is not about what anybody said and stays.
    """
    result = {key: Counts(ended=cell.ended, asked=cell.asked, reached=cell.reached, held=cell.held) for key, cell in cells.items()}
    for unit, month, counts in (*_whole(book.away, AWAY, filters), *_whole(book.desk, DESK, filters)):
        result[unit, month] = result.get((unit, month), Counts()) + counts
    if newest is not None:
        for (unit, month), cell in cells.items():
            if month >= book.open_from:
                result[unit, month] += in_steps(cell, newest.get((unit, month)), step)
    return result


def _whole(told_of: Iterable[Parcel], series: Series, filters: Filters) -> Iterator[tuple[str, str, Counts]]:
    """Parcels that lie in the period or wholly outside it: only the latter are of no figure, but of the course before it."""
    for parcel in told_of:
        inside = {filters.holds(month) for month in parcel.months}
        if len(inside) == 1 and series.size(parcel.counts) >= LIMIT:
            yield parcel.unit, parcel.months[-1], parcel.counts


def left_out(cells: Cells, shown: Cells, filters: Filters) -> int:
    """How many answers of the period are in no told figure, rounded up to whole steps."""
    rest = sum(cell.answered - shown.get(key, Counts()).answered for key, cell in cells.items() if filters.holds(key[1]))
    return -(-max(0, rest) // STEP) * STEP
