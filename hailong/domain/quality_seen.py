"""Everything the quality of data is judged by, as counted, and all findings of a day. Pure.

What was sent, how dossiers became answers, totals and the record belong to the unit that handled the dossier; contacts and answers at the
desk to the one that received it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from hailong.domain import quality_months as monthly
from hailong.domain import quality_weeks as weekly
from hailong.domain.quality import Finding, What, last_week, settled_month
from hailong.domain.quality_weeks import WorkingDays
from hailong.domain.scoring import Counts
from hailong.domain.shares import Share

Cell = tuple[str, str]
"""(unit, month of the ending)"""
Fine = tuple[str, str, str, str]
"""(unit, month, field, channel of submission)"""


@dataclass(frozen=True)
class Steps:
    """How dossiers of a cell became answers. Dossiers by what was decided last; surveys by their invitation."""

    decided: int = 0
    without_contact: int = 0
    """Of them, without any number or address."""
    same_number: int = 0
    """Of them, held back only because somebody else with the same number or address was asked."""
    to_ask: int = 0
    """Of them, not left out by rules, draw or the person."""
    to_be_asked: int = 0
    """Of these, to be asked."""
    tried: int = 0
    """Invitations handed over, or refused by the provider."""
    undeliverable: int = 0
    """Of them, failed and not reached by another try."""
    asked: int = 0
    """Invitations handed over."""
    reached: int = 0
    answered: int = 0
    """Of those reached, with an answer given away from the desk."""


@dataclass(frozen=True)
class Said:
    """Answers given away from the desk."""

    answers: int = 0
    in_time: int = 0
    """About dossiers that were early or on time by the record."""
    slow: int = 0
    """Of these, with "slow" among the reasons."""
    charges: int = 0
    """With "charges beyond the rules" among the reasons."""


@dataclass(frozen=True)
class Fees:
    """Dossiers that ended."""

    ended: int = 0
    at_the_desk: int = 0
    """Of them, with a fee that was not paid online by the record."""


@dataclass(frozen=True)
class Seen:
    """Counts at one version. Weekly ones: Monday → count, endings by the day hailong heard of them, answers by the day they counted."""

    endings: Mapping[str, Mapping[date, int]]
    counted: Mapping[str, Mapping[date, int]]
    handling: Mapping[Cell, Steps]
    receiving: Mapping[Cell, Steps]
    said: Mapping[Fine, Said]
    fees: Mapping[Fine, Fees]
    figures: Mapping[Cell, Counts]
    """By receiving unit."""
    heard: Mapping[str, Mapping[str, int]]
    """Endings by handling unit and month."""
    portal: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """The portal's; empty where nobody imported them."""


Standing = Callable[[date | str], Collection[str]]
"""The units that are there in a week (its Monday) or month."""

_STEPS: Final[Mapping[What, tuple[str, str]]] = {
    "asked": ("to_be_asked", "to_ask"), "reached": ("reached", "asked"), "answered": ("answered", "reached"),
    "missing": ("without_contact", "decided"), "undeliverable": ("undeliverable", "tried"), "reused": ("same_number", "decided"),
}  # fmt: skip
_OF_DESK: Final = ("missing", "undeliverable", "reused")


def findings(seen: Seen, today: date, standing: Standing, working_days: WorkingDays) -> list[Finding]:
    """All that is found in the last whole week before ``today`` and in the months that have settled, the rarest by chance first."""
    found = _by_week(seen, last_week(today), standing, working_days)
    for what in _STEPS:
        month = settled_month(today, what)
        found += monthly.shares(what, steps(seen, what), month, standing(month))
    month = settled_month(today, "at_desk")
    units = standing(month)
    found += monthly.shares("at_desk", at_desk(seen), month, units)
    found += monthly.desk(*desk_and_away(seen), month, units)
    found += monthly.record("slow", slow(seen), month, units) + monthly.record("charges", charges(seen), month, units)
    month = settled_month(today, "short")
    found += monthly.totals(seen.portal, seen.heard, month, standing(month))
    return sorted(found, key=lambda one: (one.p, one.unit, one.what))


def carried_on_apart(seen: Seen, since: Mapping[str, date]) -> Seen:
    """Without what came before the first day of units that carry on others: under the same code it was another unit. Of the week and month
    of that day the rest is kept only when it is whole."""

    def whole_week(unit: str, week: date) -> bool:
        return unit not in since or week >= since[unit]

    def whole_month(unit: str, month: str) -> bool:
        return unit not in since or date.fromisoformat(f"{month}-01") >= since[unit]

    def weeks(counts: Mapping[str, Mapping[date, int]]) -> dict[str, dict[date, int]]:
        return {unit: {w: n for w, n in each.items() if whole_week(unit, w)} for unit, each in counts.items()}

    def months(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
        return {unit: {m: n for m, n in each.items() if whole_month(unit, m)} for unit, each in counts.items()}

    return replace(
        seen,
        endings=weeks(seen.endings),
        counted=weeks(seen.counted),
        handling={cell: way for cell, way in seen.handling.items() if whole_month(*cell)},
        receiving={cell: way for cell, way in seen.receiving.items() if whole_month(*cell)},
        said={fine: said for fine, said in seen.said.items() if whole_month(fine[0], fine[1])},
        figures={cell: counts for cell, counts in seen.figures.items() if whole_month(*cell)},
        heard=months(seen.heard),
        portal=months(seen.portal),
    )


def _by_week(seen: Seen, week: date, standing: Standing, working_days: WorkingDays) -> list[Finding]:
    units, endings, counted = standing(week), weekly.Weeks(seen.endings), weekly.Weeks(seen.counted)
    found = weekly.silence(endings, week, units, working_days)
    return found + weekly.surge(endings, week, units, "endings") + weekly.surge(counted, week, units, "counted")


def steps(seen: Seen, what: What) -> dict[str, dict[str, Share]]:
    """A step of a dossier's way as a share."""
    k, n = _STEPS[what]
    cells = seen.receiving if what in _OF_DESK else seen.handling
    return _nested({cell: Share(getattr(at, k), getattr(at, n)) for cell, at in cells.items()})


def at_desk(seen: Seen) -> dict[str, dict[str, Share]]:
    """Answers given at the desk, of all with a score."""
    return _nested({cell: Share(counts.desk_n, counts.desk_n + counts.n) for cell, counts in seen.figures.items()})


def desk_and_away(seen: Seen) -> tuple[dict[str, dict[str, Share]], dict[str, dict[str, Share]]]:
    """Satisfied of the answers at the desk, and of those away from it."""
    here = _nested({cell: Share(counts.desk_satisfied, counts.desk_n) for cell, counts in seen.figures.items()})
    return here, _nested({cell: Share(counts.satisfied, counts.n) for cell, counts in seen.figures.items()})


def slow(seen: Seen) -> dict[tuple[str, str], dict[str, Share]]:
    """Who says "slow" of dossiers that were in time by the record, by unit and field."""
    parts: dict[tuple[str, str], dict[str, Share]] = {}
    for (unit, month, of, _), said in seen.said.items():
        months = parts.setdefault((unit, of), {})
        months[month] = months.get(month, Share(0, 0)) + Share(said.slow, said.in_time)
    return parts


def charges(seen: Seen) -> dict[tuple[str, str], dict[str, Share]]:
    """Who says "charges" where by the record nobody had anything to pay at the desk: no ending of that unit, month, field and channel had a
    fee that was not paid online."""
    parts: dict[tuple[str, str], dict[str, Share]] = {}
    for fine, said in seen.said.items():
        unit, month, of, _ = fine
        fees = seen.fees.get(fine, Fees())
        if fees.ended and not fees.at_the_desk:
            months = parts.setdefault((unit, of), {})
            months[month] = months.get(month, Share(0, 0)) + Share(said.charges, said.answers)
    return parts


def _nested(cells: Mapping[Cell, Share]) -> dict[str, dict[str, Share]]:
    parts: dict[str, dict[str, Share]] = {}
    for (unit, month), share in cells.items():
        parts.setdefault(unit, {})[month] = share
    return parts
