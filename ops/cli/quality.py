"""``hailong quality``: whether what hailong hears of each unit is believable; evidence, and where to look."""

from __future__ import annotations

import sys
from collections.abc import Collection
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from hailong.domain.hours import Hours, local
from hailong.domain.quality import KINDS, PROMISED, SETTLED, UNITS, WHOLE, Finding, last_week, settled_month, week_name, week_of
from hailong.domain.quality_seen import Seen, Standing, carried_on_apart, findings
from hailong.domain.quality_sentences import LANGUAGES, sentence
from hailong.domain.quality_weeks import LONGEST, PAST, Weeks, weeks_unheard
from hailong.domain.scoring import Version
from hailong.domain.units import Registry
from ops.cli.door import Data, Json, print_json, say, wired
from ops.local.refusal import Refusal
from sinks.clickhouse.quality import ClickHouseQuality
from sinks.clickhouse.queries import ClickHouseFigures
from sinks.clickhouse.stated import ClickHouseStated
from web.pages import DEFAULT

_OFFICE_ONLY: Final = "For the quality office: counts here can be small; do not publish. Findings are evidence, not conclusions."
_BACK: Final = timedelta(weeks=2 * PAST)
"""A year, and the year before it that units are held against."""


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(quality)


def quality(
    ctx: typer.Context,
    week: Annotated[str | None, typer.Option(help="as if this week had just ended, YYYY-Www [default: the last whole week]")] = None,
    lang: Annotated[str, typer.Option(help=" or ".join(LANGUAGES))] = DEFAULT,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Silence, surges, lost steps, contacts, totals, desk answers, answers against the record: each with its false-alarm rate."""
    language = next((one for one in LANGUAGES if one == lang), None)
    if language is None:
        raise Refusal(f"--lang {lang}: there are {' and '.join(LANGUAGES)}.", wrong_use=True)
    with wired(ctx, data) as w:
        today = _today(week, w.clock.now())
        with closing(w.clickhouse()) as client:
            figures = ClickHouseFigures(client, w.settings.registry_id, w.settings.default_target)
            counts, stated = ClickHouseQuality(client, figures), ClickHouseStated(client, w.settings.registry_id)
            version = counts.version() | stated.version()
            seen, registry = counts.seen(today - _BACK, version), figures.registry(version)
            portal: dict[str, dict[str, int]] = {}
            for (unit, month), totals in stated.totals(version).items():
                portal.setdefault(unit, {})[month] = totals.ended
    document = told(replace(seen, portal=portal), registry, today, version)
    say(_OFFICE_ONLY)
    if as_json:
        print_json(document)
        return
    _tell(document, language)


def told(seen: Seen, registry: Registry, today: date, version: Version) -> dict[str, Any]:
    """All findings as a document, with what is promised, and how many weeks of silence of each unit would not be noticed."""
    hours, judged = Hours(days=frozenset(range(5))), last_week(today)
    seen = carried_on_apart(seen, carrying_on(registry, judged))
    standing, sent = in_the_registry(seen, registry), Weeks(seen.endings)

    def working_days(first: date) -> int:
        return sum(hours.why_closed_on(first + timedelta(days=i)) is None for i in range(7))

    found = findings(seen, today, standing, working_days)
    return {
        "week": week_name(judged),
        "months": {what: settled_month(today, what) for what in SETTLED},
        "version": version,
        "promise": {"false_raises": PROMISED, "of_each_kind": list(KINDS), "units": UNITS, "in": "a year"},
        "portal_totals": bool(seen.portal),
        "findings": [_document(one, registry, judged) for one in found],
        "weeks_until_silence_is_noticed": {unit: weeks_unheard(sent, judged, unit) for unit in sorted(standing(judged))},
    }


def carrying_on(registry: Registry, day: date) -> dict[str, date]:
    """The first day of each unit that on ``day`` carries on others."""
    rows = {code: registry.on(code, day) for code in registry.codes()}
    return {code: row.valid_from for code, row in rows.items() if row is not None and row.predecessors}


def in_the_registry(seen: Seen, registry: Registry) -> Standing:
    """Units that are there all the week or month, and those the registry never heard of. One that was merged away is silent by law."""
    known = set(registry.codes())
    cells = {unit for unit, _ in (*seen.handling, *seen.receiving, *seen.figures)}
    heard = {*seen.endings, *seen.counted, *seen.portal, *cells} - {WHOLE}

    def standing(at: date | str) -> Collection[str]:
        first, last = (at, at + timedelta(days=6)) if isinstance(at, date) else _of_month(at)
        return {unit for unit in heard if unit not in known or (registry.on(unit, first) and registry.on(unit, last))}

    return standing


def _of_month(month: str) -> tuple[date, date]:
    first = date.fromisoformat(f"{month}-01")
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _today(week: str | None, now: datetime) -> date:
    """The day as of which is looked: now, or the Monday after ``week``."""
    today = local(now).date()
    if week is None:
        return today
    try:
        after = week_of(week) + timedelta(days=7)
    except ValueError as e:
        raise Refusal(f"--week {e}", wrong_use=True) from None
    if after > today:
        raise Refusal(f"--week {week}: it is not over yet. The last whole week is {week_name(last_week(today))}.", wrong_use=True)
    return after


def _document(one: Finding, registry: Registry, day: date) -> dict[str, Any]:
    name = registry.name(one.unit, day) if one.unit != WHOLE else ""
    said = {f"sentence_{language}": sentence(one, name, language) for language in LANGUAGES}
    evidence = {"observed": one.observed, "of": one.of, "expected": one.expected, **one.numbers}
    return {
        "unit": one.unit or None, "name": name, "kind": one.kind, "what": one.what, "against": one.against, "period": one.period, **said,
        "evidence": evidence, "p": one.p, "raised_at": one.level, "false_raises": one.false_raises, "where": one.where,
    }  # fmt: skip


def _tell(document: dict[str, Any], language: str) -> None:
    found = document["findings"]
    lines = [f"{one['kind']} · {one['period']} · {one[f'sentence_{language}']}" for one in found]
    lines += [] if found else ["Nothing found."]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    promise = document["promise"]
    say(f"Of each of the {len(KINDS)} kinds at most {promise['false_raises']:g} false raise for {promise['units']} units in a year.")
    if not document["portal_totals"]:
        say("Totals were not looked at: none are known. `hailong import totals` brings the portal's in.")
    late = sorted(unit for unit, weeks in document["weeks_until_silence_is_noticed"].items() if weeks is None)
    if late:
        say(f"Too quiet or too new for a silence of {LONGEST} weeks to be noticed: {len(late)} units (--json names them).")
