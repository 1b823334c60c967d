"""Small drawings inside the table, as numbers for the template's SVG: the interval beside its target, and the course of the months."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hailong.domain.scoring import Row

WIDTH: Final = 160
HEIGHT: Final = 36
_EDGE: Final = 4


@dataclass(frozen=True)
class Strip:
    """x positions in a drawing of ``WIDTH``; no ``rate`` where only a bound may be shown."""

    low: float
    high: float
    rate: float | None
    target: float


@dataclass(frozen=True)
class Course:
    """``lines``: runs of months with figures, as SVG points; ``dots``: their ends; ``target``: a height."""

    lines: list[str]
    dots: list[tuple[float, float]]
    target: float


def _x(share: float, axis: float) -> float:
    return round(_EDGE + (share - axis) / (1 - axis) * (WIDTH - 2 * _EDGE), 1)


def _y(share: float, axis: float) -> float:
    clipped = max(share, axis)
    return round(HEIGHT - _EDGE - (clipped - axis) / (1 - axis) * (HEIGHT - 2 * _EDGE), 1)


def strip(row: Row, axis: float) -> Strip | None:
    """The interval of a row; None where there is no figure."""
    if row.low is None or row.high is None:
        return None
    return Strip(_x(row.low, axis), _x(row.high, axis), None if row.rate is None else _x(row.rate, axis), _x(row.target, axis))


def course(row: Row, axis: float) -> Course | None:
    """The course of a row; None with fewer than two months to show."""
    if sum(point.rate is not None for point in row.trend) < 2:
        return None
    across = (WIDTH - 2 * _EDGE) / max(1, len(row.trend) - 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for i, point in enumerate(row.trend):
        if point.rate is None:
            runs.append([])
        else:
            runs[-1].append((round(_EDGE + i * across, 1), _y(point.rate, axis)))
    drawn = [run for run in runs if run]
    return Course(
        lines=[" ".join(f"{x},{y}" for x, y in run) for run in drawn if len(run) > 1],
        dots=[run[0] for run in drawn if len(run) == 1] + [drawn[-1][-1]],
        target=_y(row.target, axis),
    )
