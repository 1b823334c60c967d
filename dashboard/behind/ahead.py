"""The way to the goal: the path of targets from our own first closed year, the odds, how far odds can be believed; and, beside them and
never mixed, what others measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import lru_cache
from random import Random
from typing import Any, Final

from dashboard.behind.sources import Asker, Sources, as_of, share_json
from hailong.domain.backtest import COURSES, Calibration, calibration, province
from hailong.domain.outlook import FEWEST, NoStatement, Outlook, Quarter, outlook
from hailong.domain.path import Goal, NoPath, Path, Year, path
from hailong.domain.scoring import PRIVACY_LIMIT, Counts, Figures, Filters, Version, total
from hailong.domain.shadow import Shadow, Totals, shadow
from hailong.domain.shares import Share
from hailong.domain.strata import is_closed, last_of
from hailong.domain.succession import Succession
from hailong.domain.units import Targets
from hailong.events import ReferenceStated, SubmissionChannel

GOAL_YEAR: Final = 2030
TESTED: Final = 200
"""Invented provinces the odds are tried on."""
SEED: Final = 6
_FEWEST_ANSWERS: Final = 30
DEFINITIONS: Final = {
    "closed": "a month is closed 45 days after its last day; a quarter or year when all its months are",
    "path": "from the first whole calendar year hailong counted itself, all twelve months closed, in equal steps to the goal",
    "odds": (
        "probability that the underlying rate of the goal year's last quarter, its season taken out, is at the goal or above; local linear"
        " trend with a season on the logits of closed quarters; from 8 quarters on; held within 1 and 99 %"
    ),
    "backtest": (
        "the same odds asked of invented provinces with as many closed quarters, as far ahead, whose end is known; brier and base: mean"
        " squared distance of the odds, and of the share of all that reached it; held: intervals of 80 % that held the rate"
    ),
    "shadow": (
        "from the portal's totals, never from answers: 100 % - (overdue % + dossiers with a petition or a dislike %), of ended dossiers;"
        " low and high because totals do not say how many dossiers have both"
    ),
    "references": "figures of other measurements as people entered them; another scale, sample and question: not comparable with ours",
}


@dataclass(frozen=True)
class Ahead:
    """``quarters``, ``years``: closed ones. ``in_force``: year → the target the registry has on its last day. ``shadow`` over the months
    ``shadow_months``."""

    goal: Goal
    channel: SubmissionChannel | None
    unit: str | None
    quarters: list[Quarter]
    first_year: Year | None
    path: Path | NoPath
    in_force: Mapping[int, float]
    outlook: Outlook | NoStatement
    backtest: Calibration | None
    shadow: Shadow | None
    shadow_months: tuple[str, ...]
    references: Sequence[ReferenceStated]
    version: Version
    seq: int
    counted_at: datetime | None
    asker: Asker


def ahead(
    sources: Sources, version: Version, asker: Asker, *, goal: float | None = None, year: int = GOAL_YEAR,
    unit: str | None = None, channel: SubmissionChannel | None = None,
) -> Ahead:  # fmt: skip
    """For a unit with all below it, else all the asker may see. ``goal``: None: the target in force at the end of ``year``.

    Raises Retryable, Permanent.
    """
    filters = Filters(channel=channel)
    whole = sources.figures.figures(filters, version)
    maps = Succession(sources.figures.registry(version))
    of = unit if unit is not None else asker.scope.unit
    months = _months(whole, of, maps, asker.today)
    closed = {month: counts for month, counts in months.items() if is_closed(month, asker.today)}
    targets = sources.figures.targets(version)
    chain = maps.chain(of, asker.today) if of is not None else ()
    aim = Goal(goal if goal is not None else targets.on(chain, date(year, 12, 31), channel=channel).value, year)
    quarters, first = _quarters(closed), _first_year(closed)
    said = outlook(quarters, aim)
    way = path(first, aim)
    index, over = _shadow(sources.stated.totals(version), of, maps, asker.today)
    return Ahead(
        aim, channel, of, quarters, first, way, _in_force(targets, chain, channel, way, aim), said, _tested(quarters, aim, said), index,
        over, sources.stated.references(version), version, whole.as_of, whole.counted_at, asker,
    )  # fmt: skip


def _months(figures: Figures, unit: str | None, maps: Succession, today: date) -> dict[str, Counts]:
    """All answers of every month. A unit that is no more counts for what carries it on."""
    found: dict[str, list[Counts]] = {}
    for (code, month), counts in figures.cells.items():
        if unit is None or all(unit in maps.chain(part.unit, today) for part in maps.parts(code, month, today)):
            found.setdefault(month, []).append(counts)
    return {month: total(counts) for month, counts in sorted(found.items()) if month}


def _quarters(closed: Mapping[str, Counts]) -> list[Quarter]:
    """Of which all three months are closed and have something."""
    by: dict[tuple[int, int], list[Counts]] = {}
    for month, counts in closed.items():
        by.setdefault((int(month[:4]), (int(month[5:7]) + 2) // 3), []).append(counts)
    return [Quarter(year, n, _share(cells)) for (year, n), cells in sorted(by.items()) if len(cells) == 3]


def _first_year(closed: Mapping[str, Counts]) -> Year | None:
    """The first of which all twelve months are closed and have something."""
    years: dict[int, list[Counts]] = {}
    for month, counts in closed.items():
        years.setdefault(int(month[:4]), []).append(counts)
    return next((Year(year, _share(cells)) for year, cells in sorted(years.items()) if len(cells) == 12), None)


def _share(cells: Sequence[Counts]) -> Share:
    whole = total(cells)
    return Share(whole.satisfied, whole.n)


def _in_force(
    targets: Targets, chain: tuple[str, ...], channel: SubmissionChannel | None, way: Path | NoPath, goal: Goal
) -> dict[int, float]:
    years = [step.year for step in way.steps] if isinstance(way, Path) else [goal.year]
    return {year: targets.on(chain, date(year, 12, 31), channel=channel).value for year in years}


def _tested(quarters: Sequence[Quarter], goal: Goal, said: Outlook | NoStatement) -> Calibration | None:
    """Provinces as long watched and as far from the goal's year as this one; None where no odds are said."""
    if isinstance(said, NoStatement):
        return None
    seen = [q for q in quarters if q.answers.n]
    to_come = goal.year * 4 + 3 - seen[-1].index
    answers = max(_FEWEST_ANSWERS, round(sum(q.answers.n for q in seen) / len(seen)))
    # They begin with a year, and the goal's quarter is a year's last: up to three quarters fewer are watched, or as many more.
    over = (len(seen) + to_come) % 4
    length = len(seen) - over if len(seen) - over >= FEWEST else len(seen) - over + 4
    until = Goal(goal.value, 2025 + (length + to_come) // 4)
    return _tried(length, to_come, answers, until)


@lru_cache(maxsize=32)
def _tried(closed: int, to_come: int, answers: int, until: Goal) -> Calibration:
    random = Random(SEED)  # noqa: S311 - invented provinces, the same ones every time
    return calibration([province(random, COURSES[i % len(COURSES)], closed, to_come, answers) for i in range(TESTED)], until)


def _shadow(
    totals: Mapping[tuple[str, str], Totals], unit: str | None, maps: Succession, today: date
) -> tuple[Shadow | None, tuple[str, ...]]:
    """Of the newest twelve months that have totals. Where a unit and one above it have some, those of the upper one are taken."""
    months = sorted({month for _, month in totals})[-12:]
    kept: dict[str, list[Totals]] = {}
    for (code, month), one in sorted(totals.items()):
        chain = maps.chain(code, last_of(month))
        inside = unit is None or unit in chain or unit in maps.chain(code, today)
        if month in months and inside and not any((above, month) in totals for above in chain[1:]):
            kept.setdefault(month, []).append(one)
    whole = sum((one for ones in kept.values() for one in ones), Totals())
    return shadow(whole), tuple(sorted(kept))


def ahead_json(found: Ahead) -> dict[str, Any]:
    """``hailong outlook --json``; rates are fractions."""
    first = found.first_year
    return as_of(found.version, found.seq, found.counted_at) | {
        "goal": {"value": found.goal.value, "year": found.goal.year},
        "unit": found.unit,
        "channel": found.channel,
        "first_closed_year": first and {"year": first.year} | _seen(first.answers),
        "path": _path_json(found),
        "outlook": _outlook_json(found.outlook),
        "backtest": found.backtest and _backtest_json(found.backtest),
        "quarters": [{"year": q.year, "quarter": q.quarter} | _seen(q.answers) for q in found.quarters],
        "beside": {
            "shadow": found.shadow and asdict(found.shadow) | {"months": list(found.shadow_months)},
            "references": [
                {name: getattr(one, name) for name in ("series", "unit", "period", "value", "scale", "n", "source")}
                for one in found.references
            ],
        },
        "definitions": DEFINITIONS,
    }


def _path_json(found: Ahead) -> dict[str, Any]:
    if isinstance(found.path, NoPath):
        return {"steps": [], "why": found.path.why}
    steps = [{"year": s.year, "value": s.value, "in_force": found.in_force[s.year]} for s in found.path.steps]
    return {"steps": steps, "why": None}


def _outlook_json(said: Outlook | NoStatement) -> dict[str, Any]:
    return asdict(said) | ({"why": None} if isinstance(said, Outlook) else {})


def _backtest_json(found: Calibration) -> dict[str, Any]:
    bins = [{"odds": one.odds, "reached": share_json(one.reached)} for one in found.bins]
    return {"forecasts": found.forecasts, "brier": found.brier, "base": found.base, "held": share_json(found.held), "bins": bins}


def _seen(share: Share) -> dict[str, Any]:
    if share.n < PRIVACY_LIMIT:
        return {"suppressed": True, "n": None, "rate": None, "low": None, "high": None}
    low, high = share.interval
    return {"suppressed": False, "n": share.n, "rate": share.rate, "low": low, "high": high}
