"""What the alert "below the target" can see, by how many answers a unit gets: how rarely it rings at a unit that is on target, and how long
a fall stays unseen. Pure.

The numbers are run lengths of the chart of ``cusum`` (base 4, no head start, answers independent), from 40,000 runs each for the falls and
6,000 for the false alarms; ``tests/alerts`` makes some of them again.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FALL: Final = 0.10
"""How far below the target the fall lies that is told about."""
_PER_YEAR: Final = (15, 30, 60, 120, 240, 600, 1500)


@dataclass(frozen=True)
class _At:
    """For a target, by answers a year: years between false alarms of a unit exactly on it; answers until a fall is seen, in half of all
    cases and in four of five."""

    target: float
    years: tuple[float, ...]
    median: tuple[float, ...]
    most: tuple[float, ...]


_GRID: Final = (
    _At(0.84, (71.7, 53.6, 39.8, 29.2, 21.5, 13.8, 9.1), (72, 83, 95, 107, 119, 135, 151), (114, 129, 146, 162, 177, 196, 217)),
    _At(0.87, (64.5, 48.5, 36.3, 26.5, 19.2, 12.4, 8.1), (62, 72, 82, 93, 103, 117, 131), (100, 114, 127, 141, 155, 172, 190)),
    _At(0.90, (57.4, 43.2, 32.0, 23.6, 17.1, 10.9, 7.0), (52, 60, 69, 77, 86, 98, 109), (85, 97, 108, 119, 130, 146, 160)),
)


@dataclass(frozen=True)
class Unseen:
    """How long a unit can lie 10 points below its target before it is raised: in half of all cases, and in four of five."""

    answers: float
    months: float
    answers_most: float
    months_most: float


def years_between_false_alarms(per_year: float, target: float) -> float:
    """How many years a unit exactly on ``target`` goes without a false alarm, on average. Outside what was simulated (targets of 84 to
    90 %, 15 to 1500 answers a year) the nearest is told. Raises ValueError unless ``per_year`` is above 0."""
    return _read(per_year, target, [at.years for at in _GRID])


def unseen(per_year: float, target: float) -> Unseen:
    """How long a fall of 10 points stays unseen at so many answers a year. Same bounds and error as above."""
    median = _read(per_year, target, [at.median for at in _GRID])
    most = _read(per_year, target, [at.most for at in _GRID])
    return Unseen(median, 12 * median / per_year, most, 12 * most / per_year)


def _read(per_year: float, target: float, table: Sequence[Sequence[float]]) -> float:
    if per_year <= 0:
        raise ValueError(f"{per_year} answers a year: there must be some")
    by_volume = [_between(math.log(per_year), [math.log(n) for n in _PER_YEAR], row) for row in table]
    return _between(target, [at.target for at in _GRID], by_volume)


def _between(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Straight lines between the points, level outside them."""
    if x <= xs[0]:
        return ys[0]
    if x >= xs[-1]:
        return ys[-1]
    i = bisect_right(xs, x) - 1
    return ys[i] + (ys[i + 1] - ys[i]) * (x - xs[i]) / (xs[i + 1] - xs[i])
