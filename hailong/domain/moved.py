"""Why a rate moved between two periods: in parts that add up to the difference. Pure.

With a = share of the answers, d = share of the dossiers and p = rate of a cell (unit, field, channel), the rate is Σ a p. From one period
to the other (Kitagawa 1955, Journal of the American Statistical Association 50, 1168-1194, its mix split in two), m̄ being the mean of
both:

    service   Σ ā Δp         people in the same unit, field and channel are served better or worse
    mix       Σ p̄ Δd         other units, fields and channels make up the dossiers
    who       Σ p̄ Δ(a - d)   other people among them answer
    map       what the units that came, or went, do to the rate of those that stayed

A unit stays when its ground does: a merged commune and its predecessors are one ground, so a merger moves nothing by itself, and what
changes on that ground is service, mix or who. Nothing is left over, and swapping the periods turns every sign.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hailong.domain.scoring import Z95
from hailong.domain.shares import Share

Key = tuple[str, str, str]
"""(unit, field, channel)."""


@dataclass(frozen=True)
class Cell:
    """Dossiers that ended, and what was answered about them."""

    ended: int
    n: int
    satisfied: int

    def __add__(self, other: Cell) -> Cell:
        return Cell(self.ended + other.ended, self.n + other.n, self.satisfied + other.satisfied)


Cells = Mapping[Key, Cell]


@dataclass(frozen=True)
class Moved:
    """Fractions, not points; ``service + mix + who + map + rest`` is ``difference`` and ``rest`` is rounding, under 1e-9."""

    before: float
    after: float
    service: float
    service_low: float
    service_high: float
    """95 % interval of the service term for its sampling error alone (normal; each p drawn to a half by two answers)."""
    mix: float
    who: float
    map: float

    @property
    def difference(self) -> float:
        return self.after - self.before

    @property
    def rest(self) -> float:
        return self.difference - math.fsum((self.service, self.mix, self.who, self.map))


@dataclass(frozen=True)
class _Pair:
    """A cell in both periods: shares of answers, of dossiers, and rates."""

    a: tuple[float, float]
    d: tuple[float, float]
    p: tuple[float, float]
    n: tuple[int, int]


@dataclass(frozen=True)
class _Terms:
    service: float
    error: float
    mix: float
    who: float


def moved(
    before: Cells,
    after: Cells,
    ground: Mapping[str, str] | None = None,
    common: tuple[Cells, Cells] | None = None,
) -> Moved | None:
    """The parts of after - before; None when a period has no answers.

    ``ground``: unit → name of the ground it stands on, the same for all units that are linked by successions (a unit not in it is its own).
    ``common``: both periods on the ground they have in common, where a caller knows it better than by dropping grounds of one period only:
    for a unit that took in a neighbour, the neighbour's earlier answers too; the map term then says what taking it in did.
    """
    rates = _rate(before.values()), _rate(after.values())
    if rates[0] is None or rates[1] is None:
        return None
    old, new = _common(_grounded(before, ground), _grounded(after, ground)) if common is None else (
        _grounded(common[0], ground), _grounded(common[1], ground),
    )  # fmt: skip
    stayed = _rate(old.values()), _rate(new.values())
    if stayed[0] is None or stayed[1] is None:
        return Moved(rates[0], rates[1], 0.0, 0.0, 0.0, 0.0, 0.0, rates[1] - rates[0])
    terms = _terms(_pairs(old, new))
    half = Z95 * terms.error
    by_map = (rates[1] - stayed[1]) - (rates[0] - stayed[0])
    return Moved(rates[0], rates[1], terms.service, terms.service - half, terms.service + half, terms.mix, terms.who, by_map)


def _rate(cells: Iterable[Cell]) -> float | None:
    return _sum(cells).rate


def _sum(cells: Iterable[Cell]) -> Share:
    return sum((Share(cell.satisfied, cell.n) for cell in cells), Share(0, 0))


def _grounded(cells: Cells, ground: Mapping[str, str] | None) -> dict[Key, Cell]:
    found: dict[Key, Cell] = {}
    for (unit, field, channel), cell in sorted(cells.items()):
        key = ((ground or {}).get(unit, unit), field, channel)
        found[key] = found[key] + cell if key in found else cell
    return found


def _common(old: dict[Key, Cell], new: dict[Key, Cell]) -> tuple[dict[Key, Cell], dict[Key, Cell]]:
    """Without the grounds that only one period has. A ground without a single dossier or answer in a period is not there."""
    there = [{key[0] for key, cell in cells.items() if cell.ended or cell.n} for cells in (old, new)]
    both = there[0] & there[1]
    return {k: c for k, c in old.items() if k[0] in both}, {k: c for k, c in new.items() if k[0] in both}


def _pairs(old: Cells, new: Cells) -> list[_Pair]:
    none = Cell(0, 0, 0)
    totals = [(sum(c.n for c in cells.values()), sum(c.ended for c in cells.values())) for cells in (old, new)]
    overall = (_sum(old.values()) + _sum(new.values())).rate or 0.0
    pairs = []
    for key in sorted(old.keys() | new.keys()):
        both = old.get(key, none), new.get(key, none)
        a0, a1 = (cell.n / n for cell, (n, _) in zip(both, totals, strict=True))
        # Where no dossiers are known, the answers are all there is: then nothing can be said of who answered.
        d0, d1 = (cell.ended / ended if ended else cell.n / n for cell, (n, ended) in zip(both, totals, strict=True))
        pairs.append(_Pair((a0, a1), (d0, d1), _rates(*both, overall), (both[0].n, both[1].n)))
    return pairs


def _rates(old: Cell, new: Cell, overall: float) -> tuple[float, float]:
    """Of a cell without answers in a period nothing is claimed: it has the rate of the other one; without any, that of all cells."""
    known = [Share(cell.satisfied, cell.n).rate for cell in (old, new)]
    first, second = known
    if first is None:
        first = overall if second is None else second
    return first, first if second is None else second


def _terms(pairs: list[_Pair]) -> _Terms:
    service = math.fsum((x.a[0] + x.a[1]) / 2 * (x.p[1] - x.p[0]) for x in pairs)
    mix = math.fsum((x.p[0] + x.p[1]) / 2 * (x.d[1] - x.d[0]) for x in pairs)
    who = math.fsum((x.p[0] + x.p[1]) / 2 * ((x.a[1] - x.d[1]) - (x.a[0] - x.d[0])) for x in pairs)
    variance = math.fsum(((x.a[0] + x.a[1]) / 2) ** 2 * _variance(x) for x in pairs)
    return _Terms(service, math.sqrt(variance), mix, who)


def _variance(pair: _Pair) -> float:
    """Of the change of a cell's rate; 0 where a period has no answers, since no change is claimed there."""
    if 0 in pair.n:
        return 0.0
    drawn = [((p * n + 1) / (n + 2), n) for p, n in zip(pair.p, pair.n, strict=True)]
    return math.fsum(p * (1 - p) / n for p, n in drawn)
