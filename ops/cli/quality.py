"""``hailong quality``: whether what hailong hears of each unit is believable; evidence, and where to look."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from hailong.domain.hours import local
from hailong.domain.looking import apart, found_on, in_the_registry
from hailong.domain.quality import KINDS, PROMISED, SETTLED, UNITS, WHOLE, Finding, last_week, settled_month, week_name, week_of
from hailong.domain.quality_seen import Seen
from hailong.domain.quality_sentences import LANGUAGES, sentence
from hailong.domain.quality_weeks import LONGEST, Weeks, weeks_unheard
from hailong.domain.scoring import Version
from hailong.domain.units import Registry
from ops.cli.door import Data, Json, print_json, say, wired
from ops.local.refusal import Refusal
from ops.looking import Store
from web.pages import DEFAULT

_OFFICE_ONLY: Final = "For the quality office: counts here can be small; do not publish. Findings are evidence, not conclusions."


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
            sources = Store(lambda: client, w.settings).at(today)
    document = told(sources.seen, sources.registry, today, sources.version)
    say(_OFFICE_ONLY)
    if as_json:
        print_json(document)
        return
    _tell(document, language)


def told(seen: Seen, registry: Registry, today: date, version: Version) -> dict[str, Any]:
    """All findings as a document, with what is promised, and how many weeks of silence of each unit would not be noticed."""
    judged = last_week(today)
    seen = apart(seen, registry, today)
    standing, sent, found = in_the_registry(seen, registry), Weeks(seen.endings), found_on(seen, registry, today)
    return {
        "week": week_name(judged),
        "months": {what: settled_month(today, what) for what in SETTLED},
        "version": version,
        "promise": {"false_raises": PROMISED, "of_each_kind": list(KINDS), "units": UNITS, "in": "a year"},
        "portal_totals": bool(seen.portal),
        "findings": [_document(one, registry, judged) for one in found],
        "weeks_until_silence_is_noticed": {unit: weeks_unheard(sent, judged, unit) for unit in sorted(standing(judged))},
    }


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
