"""Counts of units by field and channel of submission: what comparing units, and saying why a rate moved, is made from. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from hailong.domain.scoring import Counts, Figures, total
from hailong.domain.shares import Share
from hailong.domain.standardising import Key, Stratum

CLOSES_AFTER: Final = timedelta(days=45)
"""After its last day a month is closed: what comes later is a dated correction."""

Cell = tuple[str, str, str, str]
"""(unit, month, field, channel)."""


@dataclass(frozen=True)
class Strata:
    """Counts of a period."""

    cells: Mapping[Cell, Counts]

    def by_unit(self) -> dict[str, Counts]:
        """Everything of each unit."""
        found: defaultdict[str, list[Counts]] = defaultdict(list)
        for (unit, *_), counts in self.cells.items():
            found[unit].append(counts)
        return {unit: total(counts) for unit, counts in found.items()}

    def slices(self, like: Figures) -> dict[Key, Figures]:
        """(field, channel) → its counts as figures with number and version of ``like``, for whoever keeps or moves units."""
        cut: defaultdict[Key, dict[tuple[str, str], Counts]] = defaultdict(dict)
        for (unit, month, of_field, channel), counts in self.cells.items():
            cut[of_field, channel][unit, month] = counts
        return {key: replace(like, cells=cells) for key, cells in sorted(cut.items())}

    @classmethod
    def joined(cls, slices: Mapping[Key, Figures]) -> Strata:
        """What ``slices`` cut."""
        return cls({(unit, month, *key): counts for key, part in slices.items() for (unit, month), counts in part.cells.items()})

    def strata(self) -> dict[str, dict[Key, Stratum]]:
        """Unit → (field, channel) → what ended and what was said."""
        found: defaultdict[str, dict[Key, Stratum]] = defaultdict(dict)
        for (unit, _, of_field, channel), counts in self.cells.items():
            one = Stratum(counts.ended, Share(counts.satisfied, counts.n))
            cells, key = found[unit], (of_field, channel)
            cells[key] = cells[key] + one if key in cells else one
        return dict(found)


def by_field(cells: Mapping[Key, Stratum]) -> dict[str, Stratum]:
    """The channels of a field together."""
    found: dict[str, Stratum] = {}
    for (of_field, _), stratum in cells.items():
        found[of_field] = found[of_field] + stratum if of_field in found else stratum
    return found


def first_of(month: str) -> date:
    """Its first day. Raises ValueError for what is not ``YYYY-MM``."""
    return date.fromisoformat(f"{month}-01")


def last_of(month: str) -> date:
    """Its last day. Raises ValueError."""
    first = first_of(month)
    return date(first.year + first.month // 12, first.month % 12 + 1, 1) - timedelta(days=1)


def later(month: str, by: int) -> str:
    """``by`` months later, or earlier."""
    n = int(month[:4]) * 12 + int(month[5:7]) - 1 + by
    return f"{n // 12:04d}-{n % 12 + 1:02d}"


def is_closed(month: str, today: date) -> bool:
    """Whether its figures are final but for dated corrections."""
    return today > last_of(month) + CLOSES_AFTER
