"""Why a rate moved from one span of months to another: service, mix, who answered, map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from dashboard.behind.sources import Asker, Sources, as_of, kept
from hailong.domain.moved import Cell, Cells, Moved, moved
from hailong.domain.scoring import PRIVACY_LIMIT, By, Figures, Filters, Version
from hailong.domain.shares import Share
from hailong.domain.standardising import Stratum
from hailong.domain.strata import Strata, last_of, later
from hailong.domain.succession import Succession
from hailong.ports import Invalid

LONGEST: Final = 24
"""Months in a span."""
DEFINITIONS: Final = {
    "service": "sum over unit, field and channel of the mean share of answers x change of the rate: the same people served otherwise",
    "mix": "sum of the mean rate x change of the share of endings: other units, fields and channels make up the dossiers",
    "who": "sum of the mean rate x change of (share of answers - share of endings): other people among them answer",
    "map": "what units that came or went do to the rate of those that stayed; units that carry each other on are one ground",
    "service_low": "95 % interval of the service term for sampling alone, normal",
    "rest": "difference - (service + mix + who + map): rounding, under 1e-9",
}


@dataclass(frozen=True)
class Span:
    """Months, both ends included."""

    first: str
    last: str


@dataclass(frozen=True)
class Why:
    """``moved``: None when a span has fewer answers than may be shown. ``answers``: of both spans, None under the privacy limit.
    ``whole_ground``: the unit was not there in one of the spans, so what stood on its ground was taken for it. ``ground``: code and name of
    the other units that are compared with it, since they carry each other on."""

    spans: tuple[Span, Span]
    unit: str | None
    name: str
    answers: tuple[Share | None, Share | None]
    moved: Moved | None
    whole_ground: bool
    ground: tuple[tuple[str, str], ...]
    version: Version
    seq: int
    counted_at: datetime | None
    asker: Asker


def spans(month_from: str, month_to: str, months: int = 1) -> tuple[Span, Span]:
    """The ``months`` up to each of the two. Raises Invalid naming what is wrong: ``from``, ``to`` or ``months``."""
    for name, month in (("from", month_from), ("to", month_to)):
        try:
            last_of(month)
        except ValueError:
            raise Invalid("not_a_month", name, "write a month as YYYY-MM") from None
    if not 1 <= months <= LONGEST:
        raise Invalid("unknown_option", "months", f"a number of months from 1 to {LONGEST}")
    if later(month_from, months) > month_to:
        raise Invalid(
            "ends_before_start", "to", f"has to lie at least {months} months after the first, so that the two spans do not overlap"
        )
    return Span(later(month_from, 1 - months), month_from), Span(later(month_to, 1 - months), month_to)


def why(sources: Sources, both: tuple[Span, Span], version: Version, asker: Asker, *, unit: str | None = None, by: By = "handling") -> Why:
    """The terms between the two spans, for a unit with all below it, or for all that the asker may see. Raises Retryable, Permanent."""
    like = sources.nothing(version)
    registry = sources.figures.registry(version)
    maps = Succession(registry)
    days = last_of(both[0].last), last_of(both[1].last)
    all_of = [_strata(sources, span, day, version, asker, maps, like, by) for span, day in zip(both, days, strict=True)]
    of = unit if unit is not None else asker.scope.unit
    grounds = maps.grounds()
    mine = [_inside(strata, of, maps, day) for strata, day in zip(all_of, days, strict=True)]
    ground = {grounds.get(code, code) for strata in mine for code in strata.by_unit()}
    common = [_of(strata, lambda code: grounds.get(code, code) in ground) for strata in all_of]
    gone = of is not None and any(not _share(one).n and _share(other).n for one, other in zip(mine, common, strict=True))
    before, after = (_cells(strata) for strata in (common if gone else mine))
    shares = [_share(strata) for strata in (common if gone else mine)]
    enough = all(share.n >= PRIVACY_LIMIT for share in shares)
    on_common = (_cells(common[0]), _cells(common[1])) if of is not None else None
    found = moved(before, after, grounds, on_common) if enough else None
    inside = {of, *(code for strata in mine for code in strata.by_unit())}
    around = sorted({code for strata in common for code in strata.by_unit()} - inside) if of is not None else []
    seen = tuple(share if share.n >= PRIVACY_LIMIT else None for share in shares)
    name = registry.name(of, days[1]) if of is not None else ""
    named = tuple((code, registry.name(code, days[1])) for code in around)
    return Why(
        both, of, name, (seen[0], seen[1]), found, gone, named, version, like.as_of, like.counted_at, asker
    )  # fmt: skip


def _strata(
    sources: Sources, span: Span, day: date, version: Version, asker: Asker, maps: Succession, like: Figures, by: By
) -> Strata:  # fmt: skip
    filters = Filters(span.first, span.last, by=by)
    return kept(asker.strata(sources, filters, version), like, asker.scope, maps, (day, None))


def _inside(strata: Strata, unit: str | None, maps: Succession, day: date) -> Strata:
    return strata if unit is None else _of(strata, lambda code: unit in maps.chain(code, day))


def _of(strata: Strata, holds: Callable[[str], bool]) -> Strata:
    return Strata({key: counts for key, counts in strata.cells.items() if holds(key[0])})


def _cells(strata: Strata) -> Cells:
    return {(unit, *key): _cell(one) for unit, cells in strata.strata().items() for key, one in cells.items()}


def _cell(one: Stratum) -> Cell:
    return Cell(one.ended, one.answers.n, one.answers.k)


def _share(strata: Strata) -> Share:
    return sum((Share(counts.satisfied, counts.n) for counts in strata.cells.values()), Share(0, 0))


def why_json(found: Why) -> dict[str, Any]:
    """``hailong moved --json``. Fractions."""
    m = found.moved
    terms = {} if m is None else {name: getattr(m, name) for name in TERMS}
    return as_of(found.version, found.seq, found.counted_at) | {
        "unit": found.unit,
        "name": found.name,
        "from": _span_json(found.spans[0], found.answers[0]),
        "to": _span_json(found.spans[1], found.answers[1]),
        "suppressed": m is None,
        "terms": terms,
        "ground": [{"unit": code, "name": name} for code, name in found.ground],
        "whole_ground": found.whole_ground,
        "definitions": DEFINITIONS,
    }


TERMS: Final = ("before", "after", "difference", "service", "service_low", "service_high", "mix", "who", "map", "rest")


def _span_json(span: Span, share: Share | None) -> Mapping[str, Any]:
    return {"from": span.first, "to": span.last, "n": share.n if share else None, "satisfied": share.k if share else None}
