"""Whose voice is in a figure and whose is missing: coverage of each unit, and what the silent could do to its rate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Final

from dashboard.view import NARROW, FigureStore, Question, Seen, seen
from hailong.domain.coverage import Coverage, Leaning, Shares, Three, leaning, pooled, shares, three
from hailong.domain.scoring import PRIVACY_LIMIT, Counts, Filters, Version, total
from hailong.domain.shadow import Shadow, Totals, shadow
from hailong.domain.shares import Share
from hailong.events import UnitLevel
from hailong.ports import Invalid

PROVINCE: Final = "total"


@dataclass(frozen=True)
class Voice:
    """One unit of a period. ``three`` is None below the privacy limit; ``shadow``: the portal's own measure, from imported totals."""

    unit: str
    name: str
    level: UnitLevel | None
    cover: Coverage
    shares: Shares
    three: Three | None
    calls: int
    source: str | None
    """Whose calls the sensitivity rests on: ``own`` or ``province``; None when too few were called anywhere."""
    shadow: Shadow | None


def voices(store: FigureStore, totals: Mapping[tuple[str, str], Totals], question: Question, version: Version, today: date) -> list[Voice]:
    """Every unit asked for, then all of them together, in exact counts: for the quality office. Raises Invalid for a filter under which
    coverage means nothing, Retryable, Permanent."""
    filters = question.filters
    told = [name for name in NARROW - {"by"} if getattr(filters, {"class": "place"}.get(name, name)) not in (None, "away")]
    if told:
        raise Invalid("not_allowed", min(told), "coverage is of all dossiers and all answers away from the desk; leave it out")
    found = seen(store, question, version, "office", today)
    called = seen(store, replace(question, filters=replace(filters, mode="call")), version, "office", today)
    answers, calls = _by_unit(found, filters), _by_unit(called, filters)
    portal = _portal(totals, found, filters)
    units = {code: info for code, info in found.units(question).items() if filters.level in (None, info.level)}
    pairs = {code: _pair(answers.get(code, Counts()), calls.get(code, Counts())) for code in sorted(units)}
    everybody = pooled(list(pairs.values()))
    lines = [
        _voice(
            code,
            info.name,
            info.level,
            answers.get(code, Counts()),
            calls.get(code, Counts()),
            portal.get(code),
            leaning(pairs[code], everybody),
        )
        for code, info in sorted(units.items())
    ]
    whole = [portal[c] for c in units if c in portal]
    all_totals = sum(whole[1:], whole[0]) if whole and all(c in portal for c in units if answers.get(c, Counts()).ended) else None
    together, all_calls = (total(of.get(c, Counts()) for c in units) for of in (answers, calls))
    return [*lines, _voice(PROVINCE, "", None, together, all_calls, all_totals, everybody)]


def _by_unit(found: Seen, filters: Filters) -> dict[str, Counts]:
    sums: dict[str, Counts] = {}
    for (unit, month), cell in found.on_map.figures.cells.items():
        if filters.holds(month):
            sums[unit] = sums.get(unit, Counts()) + cell
    return sums


def _portal(totals: Mapping[tuple[str, str], Totals], found: Seen, filters: Filters) -> dict[str, Totals]:
    """The portal's totals of the period by unit; on another day's map only those that moved there whole."""
    sums: defaultdict[str, Totals] = defaultdict(Totals)
    for (unit, month), one in totals.items():
        if filters.holds(month):
            parts = found.maps.parts(unit, month, filters.day) if filters.day else ()
            sums[parts[0].unit if len(parts) == 1 else unit] += one
    return dict(sums)


def _pair(answers: Counts, calls: Counts) -> tuple[Share, Share]:
    """(those who answered by themselves, those who had not and were called): satisfied of scored."""
    return Share(answers.satisfied - calls.satisfied, answers.n - calls.n), Share(calls.satisfied, calls.n)


def _voice(
    unit: str, name: str, level: UnitLevel | None, answers: Counts, calls: Counts, portal: Totals | None, leans: Leaning | None
) -> Voice:
    cover = Coverage.of(answers, portal.ended if portal else None)
    enough = answers.n >= PRIVACY_LIMIT
    return Voice(
        unit, name, level, cover, shares(cover), three(cover, leans) if enough else None, calls.n, leans.source if leans else None,
        shadow(portal) if portal else None,
    )  # fmt: skip


def voices_json(lines: list[Voice]) -> list[dict[str, Any]]:
    """As ``hailong coverage --json`` gives them; rates are fractions."""
    return [asdict(line) | {"basis": line.cover.basis, "ended_known": line.cover.ended_known} for line in lines]
