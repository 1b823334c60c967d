"""The funnel as a drawing: numbers for the template's SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from dashboard.behind.compared import Funnel, Point
from hailong.domain.funnel import limits

WIDTH: Final = 360
HEIGHT: Final = 260
LEFT: Final = 40
_RIGHT: Final = 18
_TOP: Final = 10
BOTTOM: Final = 36
FEWEST: Final = 5
_CURVE: Final = 24
"""Places along which a limit is drawn."""
_LABEL_CLEAR: Final = 9
_LETTER: Final = 6
"""How wide a letter of a label is."""
_APART: Final = 7
"""Of a label from its dot."""


@dataclass(frozen=True)
class Dot:
    """A unit. ``label``: its name, only of who lies outside; ``end``: written to the left of it."""

    x: float
    y: float
    outside: bool
    low: bool
    label: str
    end: bool


@dataclass(frozen=True)
class Plot:
    """``curves``: the limits of 99.8 and 95 %, as SVG points; ``ticks``: (place, value) along an axis; ``left_out``: units of other
    targets, that are in the table only."""

    curves: list[tuple[str, str]]
    target: float
    aim: float
    dots: list[Dot]
    across: list[tuple[float, int]]
    up: list[tuple[float, float]]
    left_out: int


def plotted(funnel: Funnel) -> Plot | None:
    """The units of the target that most have; None with fewer than ``FEWEST``: how much units differ anyway is not seen in a handful."""
    if len(funnel.points) < FEWEST:
        return None
    aim = Counter(point.row.target for point in funnel.points).most_common(1)[0][0]
    points = [point for point in funnel.points if point.row.target == aim]
    most = max(point.limits.n for point in points)
    least = max(1, min(point.limits.n for point in points))
    floor = _floor(points)
    steps = [least + (most - least) * (i / _CURVE) ** 2 for i in range(_CURVE + 1)]
    ns = sorted({round(n) for n in steps})
    edges = [limits(n, aim, funnel.dispersion.tau) for n in ns]
    curves = [
        (name, " ".join(f"{_x(edge.n, most)},{_y(max(floor, getattr(edge, part)), floor)}" for edge in edges))
        for name, parts in (("far", ("far_low", "far_high")), ("near", ("low", "high")))
        for part in parts
    ]
    ups = [share / 10 for share in range(round(floor * 10), 11)]
    thin = ups if len(ups) <= 6 else ups[:: 2 if len(ups) <= 9 else 5] + ([1.0] if ups[-1] not in ups[:: 2 if len(ups) <= 9 else 5] else [])
    return Plot(
        curves, _y(aim, floor), aim, _dots(points, most, floor), [(_x(n, most), n) for n in _ticks(most)],
        [(_y(share, floor), share) for share in thin], len(funnel.points) - len(points),
    )  # fmt: skip


def _floor(points: Sequence[Point]) -> float:
    lowest = min(min(point.row.rate or 0.0, max(0.3, point.limits.far_low)) for point in points)
    return int(max(0.0, lowest - 0.02) * 10) / 10


def _dots(points: Sequence[Point], most: int, floor: float) -> list[Dot]:
    """Labels that would stand in the way of others, or of a dot, are left out: the table names everybody."""
    places = [(_x(point.limits.n, most), _y(point.row.rate or 0.0, floor)) for point in points]
    dots = []
    for point in sorted(points, key=lambda p: (p.row.rate or 0.0, p.row.unit)):
        x, y, outside = _x(point.limits.n, most), _y(point.row.rate or 0.0, floor), point.place != "inside"
        end = x > WIDTH / 2
        clear = outside and _clear((x, y), point.row.name, end, places)
        if clear:
            places += [(x + step * (-_LETTER if end else _LETTER), y) for step in range(1, len(point.row.name) + 1)]
        dots.append(Dot(x, y, outside, "below" in point.place, point.row.name if clear else "", end))
    return dots


def _clear(at: tuple[float, float], name: str, end: bool, places: Sequence[tuple[float, float]]) -> bool:
    x, y = at
    far = x + (-1 if end else 1) * (_APART + _LETTER * len(name))
    low, high = min(x, far), max(x, far)
    return not any(low - _LETTER <= px <= high + _LETTER and abs(py - y) < _LABEL_CLEAR and (px, py) != at for px, py in places)


def _ticks(most: int) -> list[int]:
    found = [n for n in (10, 50, 200, 500, 1000, 2000, 5000, 10_000, 50_000) if n <= most]
    return found[-4:] or [most]


def _x(n: int, most: int) -> float:
    return round(LEFT + sqrt(n / most) * (WIDTH - LEFT - _RIGHT), 1)


def _y(share: float, floor: float) -> float:
    return round(_TOP + (1 - share) / (1 - floor) * (HEIGHT - _TOP - BOTTOM), 1)
