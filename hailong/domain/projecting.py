"""Figures on the map of another day: where each unit's counts stand there, and which rows are not of that day."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date

from hailong.domain.scoring import Counts, Figures
from hailong.domain.succession import Kept, Succession


@dataclass(frozen=True)
class Projected:
    """Figures on the map of a day. ``kept``: units of another day on it, and why; ``estimated``: units that got a share of another one."""

    figures: Figures
    kept: dict[str, Kept] = field(default_factory=dict)
    estimated: frozenset[str] = frozenset()


def projected(figures: Figures, maps: Succession, day: date) -> Projected:
    """Every cell where it stands among the units of ``day``; totals stay what they are. ``figures`` must be ``stepped`` where steps are
    wanted: newest answers of several units cannot be taken back one by one."""
    cells: dict[tuple[str, str], Counts] = {}
    kept: dict[str, Kept] = {}
    estimated: set[str] = set()
    for (unit, month), cell in figures.cells.items():
        parts = maps.parts(unit, month, day)
        for part, share in zip(parts, cell.divided([p.share for p in parts]), strict=True):
            cells[part.unit, month] = cells.get((part.unit, month), Counts()) + share
            if part.kept is not None:
                kept[part.unit] = part.kept
            if part.share < 1:
                estimated.add(part.unit)
    return Projected(replace(figures, cells=cells), kept, frozenset(estimated))
