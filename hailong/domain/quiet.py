"""Units too quiet to judge: how many answers a year each gets, and how long a fall of 10 points would stay unseen there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from hailong.domain.quality import before, months_upto
from hailong.domain.scoring import PRIVACY_LIMIT, STEP, Counts
from hailong.domain.seeing import Unseen, unseen
from hailong.domain.succession import Succession
from hailong.domain.units import Registry, Targets

MONTHS: Final = 12
"""Whole months before the day that answers are counted in."""
LONGEST: Final = 12.0
"""Months: where a fall of 10 points stays unseen for longer in half of all cases, a unit is too quiet to judge (product default)."""


@dataclass(frozen=True)
class Sight:
    """What can be seen of one unit. ``per_year``: answers away from the desk in the last twelve whole months, or in as many of them as
    anything ended there, made a year's."""

    unit: str
    per_year: float
    months: int
    """Of the twelve, since anything ended there."""
    answers: int
    ended: int
    target: float
    unseen: Unseen | None
    """None when nobody answered."""

    @property
    def quiet(self) -> bool:
        return self.unseen is None or self.unseen.months > LONGEST


def sights(cells: Mapping[tuple[str, str], Counts], registry: Registry, targets: Targets, day: date) -> dict[str, Sight]:
    """Of every unit that handles dossiers and is there on ``day``, by code. ``cells``: (handling unit, month) → counts.

    Counted for the unit that carries on the one that handled a dossier, if it is one alone, as the judge does.
    """
    maps = Succession(registry)
    window = set(_window(day))
    months: dict[str, dict[str, tuple[int, int]]] = {}
    for (unit, month), counts in cells.items():
        if month in window and (counts.ended or counts.n):
            each = months.setdefault(_now(maps, unit, month, day), {})
            n, ended = each.get(month, (0, 0))
            each[month] = n + counts.n, ended + counts.ended
    there = (unit for unit in sorted(months) if registry.on(unit, day) is not None or registry.latest(unit, day) is None)
    return {unit: _sight(unit, months[unit], targets.on(maps.chain(unit, day), day).value, day) for unit in there}


def part_of(quiet: Iterable[str], found: Mapping[str, Sight]) -> float:
    """Of all endings of these twelve months, those of the units ``quiet``; 0 when nothing ended."""
    all_ended = sum(sight.ended for sight in found.values())
    return sum(found[unit].ended for unit in quiet) / all_ended if all_ended else 0.0


def quietest(found: Mapping[str, Sight]) -> list[Sight]:
    """Those too quiet to judge, the quietest first."""
    return sorted((sight for sight in found.values() if sight.quiet), key=lambda one: (one.per_year, one.unit))


def told(one: Sight) -> tuple[int | None, Unseen | None]:
    """What may be said of it to anybody who may see the unit: answers a year as they follow from answers in steps of five, and how long a
    fall would stay unseen at so many; nothing under ten answers."""
    if one.answers < PRIVACY_LIMIT:
        return None, None
    per_year = 12 * (one.answers // STEP * STEP) / one.months
    return round(per_year), unseen(per_year, one.target)


def _window(day: date) -> list[str]:
    return months_upto(before(f"{day:%Y-%m}"), MONTHS)


def _now(maps: Succession, unit: str, month: str, day: date) -> str:
    parts = maps.parts(unit, month, day)
    return parts[0].unit if len(parts) == 1 else unit


def _sight(unit: str, months: Mapping[str, tuple[int, int]], target: float, day: date) -> Sight:
    names = _window(day)
    known = len(names) - names.index(min(months))
    answers = sum(n for n, _ in months.values())
    per_year = 12 * answers / known
    seen = unseen(per_year, target) if per_year else None
    return Sight(unit, per_year, known, answers, sum(ended for _, ended in months.values()), target, seen)
