"""Units made comparable: at one mix of fields, weighted to the dossiers they stand for, leaning on their parent; and the funnel of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

from dashboard.behind.sources import Asker, Sources, as_of, kept
from dashboard.view import Question, View, figures_json, view
from hailong.domain import funnel
from hailong.domain.funnel import Dispersion, Limits, Listed, Place
from hailong.domain.scoring import PRIVACY_LIMIT, Row, Version
from hailong.domain.shares import Estimate, Share
from hailong.domain.standardising import Key, Standardised, Stratum, Weighted, expected, shrunken, standardised, weighted
from hailong.domain.strata import by_field
from hailong.domain.succession import Succession
from hailong.domain.units import Registry

DEFINITIONS: Final = {
    "standardised": (
        "rate at the reference mix: share of each field in all endings of the period (without endings: in all answers) x the unit's rate in"
        " that field; Wilson with as many answers as would give the same variance; covered: part of the mix in whose fields it has answers"
    ),
    "weighted": (
        "rate with each answer weighted by field x channel: share of the endings / share of the answers, cells under 10 answers joined,"
        " weights within 1/3 and 3; n_eff = (sum w)^2 / sum w^2 in Wilson's interval"
    ),
    "shrunken": (
        "(satisfied + 20 m) / (n + 20), m = what the parent's rates would give with the unit's own fields; the middle 95 % of that Beta"
        " distribution; shown from 10 answers on, never fed to an alarm"
    ),
    "funnel": (
        "exact binomial limits about the unit's own target, outside which lie 5 % and 0.2 % of the units that are on it, widened by"
        " sqrt(1 + tau^2 n / target (1 - target)); tau: over-dispersion about the mean of the units shown, winsorised at 10 %"
    ),
    "below_target": "exact one-sided binomial p, Benjamini-Hochberg: of the units listed at most 10 % are expected to be on target",
}


@dataclass(frozen=True)
class Comparable:
    """The three estimates of a unit that may be shown; each None where it cannot be made. ``parent``: which one it leans on, None: all
    that is seen; ``expected``: m."""

    standardised: Standardised | None
    weighted: Weighted | None
    shrunken: Estimate | None
    parent: str | None
    expected: float | None


@dataclass(frozen=True)
class Point:
    """A unit in the funnel, with the limits at its number of answers."""

    row: Row
    place: Place
    limits: Limits


@dataclass(frozen=True)
class Funnel:
    """Units with a rate that may be shown. ``left_out``: how many others the table has: without answers, with too few, or all alike."""

    dispersion: Dispersion
    points: list[Point]
    listed: list[Listed]
    left_out: int


@dataclass(frozen=True)
class Comparison:
    """``view``: the figures they stand beside; ``of``: unit → its estimates, None of those suppressed; ``whole``: all units of the table
    together, weighted; ``mix``: field → its part of the reference mix, summing to 1."""

    view: View
    of: Mapping[str, Comparable | None]
    whole: Weighted | None
    mix: Mapping[str, float]
    funnel: Funnel
    version: Version
    asker: Asker


def compared(sources: Sources, question: Question, version: Version, asker: Asker) -> Comparison:
    """The figures asked for, each unit's estimates beside them. For a question other than the first there are none: strata are of that one.

    Raises Retryable, Permanent.
    """
    shown = view(sources.figures, question, version, "office", asker.today)
    filters = question.filters
    if filters.question is not None:
        return Comparison(shown, dict.fromkeys((r.unit for r in shown.rows), None), None, {}, _funnel(shown), version, asker)
    registry = sources.figures.registry(version)
    maps = Succession(registry)
    everything = asker.strata(sources, filters, version)
    mine = kept(everything, shown.figures, asker.scope, maps, (shown.day, filters.day)).strata()
    mix = _mix(everything.strata().values())
    above = _Above(mine, registry, maps, shown.day)
    of = {row.unit: _one(row, mine.get(row.unit), mix, above, asker) for row in shown.rows}
    whole = _weighted([mine[row.unit] for row in shown.rows if row.unit in mine]) if shown.enough else None
    return Comparison(shown, of, whole, mix, _funnel(shown), version, asker)


def _mix(units: Iterable[Mapping[Key, Stratum]]) -> dict[str, float]:
    fields = by_field(_summed(units))
    ended = sum(one.ended for one in fields.values())
    counts = {name: one.ended if ended else one.answers.n for name, one in sorted(fields.items())}
    whole = sum(counts.values())
    return {name: n / whole for name, n in counts.items() if n}


def _summed(units: Iterable[Mapping[Key, Stratum]]) -> dict[Key, Stratum]:
    found: dict[Key, Stratum] = {}
    for cells in units:
        for key, stratum in cells.items():
            found[key] = found[key] + stratum if key in found else stratum
    return found


def _weighted(units: Iterable[Mapping[Key, Stratum]]) -> Weighted | None:
    return weighted({key: one for key, one in _summed(units).items() if one.ended or one.answers.n})


def _one(row: Row, cells: Mapping[Key, Stratum] | None, mix: Mapping[str, float], above: _Above, asker: Asker) -> Comparable | None:
    """None where the unit's own figure is not shown, or only the end of its interval: an estimate would tell more."""
    if row.suppressed or row.bound is not None or cells is None:
        return None
    fields = {name: one.answers for name, one in by_field(cells).items()}
    parent, around = above.of(row.unit)
    leans = expected(fields, around)
    own = sum(fields.values(), Share(0, 0))
    return Comparable(
        standardised(fields, mix), _weighted([cells]), None if leans is None else shrunken(own, leans), parent, leans
    )  # fmt: skip


class _Above:
    """What units lean on: answers by field of what stands above them."""

    def __init__(self, mine: Mapping[str, Mapping[Key, Stratum]], registry: Registry, maps: Succession, day: date) -> None:
        self._registry, self._maps, self._day = registry, maps, day
        below: defaultdict[str, list[Mapping[Key, Stratum]]] = defaultdict(list)
        for code, cells in mine.items():
            for above in maps.chain(code, day):
                below[above].append(cells)
        self._fields = {above: _answers(around) for above, around in below.items() if len(around) > 1}
        self._all = _answers(mine.values())

    def of(self, unit: str) -> tuple[str | None, Mapping[str, Share]]:
        """Name and answers of the nearest unit above that holds others too and has enough answers; else of all, without a name."""
        for above in self._maps.chain(unit, self._day)[1:]:
            fields = self._fields.get(above, {})
            if sum(share.n for share in fields.values()) >= PRIVACY_LIMIT:
                return self._registry.name(above, self._day), fields
        return None, self._all


def _answers(units: Iterable[Mapping[Key, Stratum]]) -> dict[str, Share]:
    return {name: one.answers for name, one in by_field(_summed(units)).items()}


def _funnel(shown: View) -> Funnel:
    drawn = [row for row in shown.rows if row.rate is not None and row.n and row.satisfied is not None and 0 < row.target < 1]
    shares = {row.unit: Share(row.satisfied or 0, row.n or 0) for row in drawn}
    targets = {row.unit: row.target for row in drawn}
    spread = funnel.dispersion(shares)
    points = [
        Point(row, funnel.place(shares[row.unit], row.target, spread.tau), funnel.limits(shares[row.unit].n, row.target, spread.tau))
        for row in drawn
    ]
    return Funnel(spread, points, funnel.below_target(shares, targets), len(shown.rows) - len(drawn))


def compared_json(found: Comparison) -> dict[str, Any]:
    """``hailong figures --json``: that of the figures, with ``comparable`` in every row. Rates are fractions."""
    document = figures_json(found.view)
    for row in document["rows"]:
        row["comparable"] = _comparable_json(found.of.get(row["unit"]), found.asker)
    document["total"]["weighted"] = _weighted_json(found.whole, found.asker)
    names = ("standardised", "weighted", "shrunken")
    return document | {
        "reference_mix": dict(found.mix),
        "definitions": {"rate": document["definition"]} | {name: DEFINITIONS[name] for name in names},
    }


def _comparable_json(one: Comparable | None, asker: Asker) -> dict[str, Any] | None:
    if one is None:
        return None
    level = one.standardised and asker.estimate(one.standardised.estimate) | {"covered": round(one.standardised.covered, 2)}
    leans = one.shrunken and asker.estimate(one.shrunken) | {"parent": one.parent}
    return {"standardised": level, "weighted": _weighted_json(one.weighted, asker), "shrunken": leans}


def _weighted_json(one: Weighted | None, asker: Asker) -> dict[str, Any] | None:
    if one is None:
        return None
    told: dict[str, Any] = asker.estimate(one.estimate)
    return told | {"n": one.n, "trimmed": sum(cell.trimmed for cell in one.cells)}


def funnel_json(found: Comparison) -> dict[str, Any]:
    """``hailong funnel --json``: every unit that may be shown with its limits, and the monthly list."""
    f, figures = found.funnel, found.view.figures
    asked = figures_json(found.view)["filters"]
    return as_of(found.version, figures.as_of, figures.counted_at) | {
        "filters": asked,
        "definitions": {name: DEFINITIONS[name] for name in ("funnel", "below_target")},
        "dispersion": asdict(f.dispersion),
        "units": [_point_json(point) for point in f.points],
        "below_target": [
            {"unit": one.unit, "n": one.answers.n, "satisfied": one.answers.k, "target": one.target, "p": one.p} for one in f.listed
        ],
        "left_out": f.left_out,
    }


def _point_json(point: Point) -> dict[str, Any]:
    row = point.row
    told = {name: getattr(row, name) for name in ("unit", "name", "n", "satisfied", "rate", "target")}
    return told | {"place": point.place, "limits": asdict(point.limits)}
