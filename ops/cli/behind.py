"""``figures``, ``moved``, ``outlook``, ``funnel``, ``dispositions``: figures and what stands behind them. For the quality office."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final, cast, get_args

import typer

from dashboard import behind
from dashboard.behind import Asker, Sources
from dashboard.view import Question, figures_json, question, view
from hailong.domain.quiet import sights
from hailong.domain.scoring import Filters, Version
from hailong.domain.telling import Audience
from hailong.domain.units import LOCAL, Registry
from hailong.ports import Invalid
from ops.cli.door import Data, Json, print_json, say, wired
from ops.cli.tables import print_table
from ops.local.refusal import Refusal
from sinks.clickhouse.queries import ClickHouseFigures
from sinks.clickhouse.stated import ClickHouseStated
from sinks.clickhouse.strata import ClickHouseStrata

_FIGURES: Final = (
    "unit", "n", "rate", "95 %", "standardised", "weighted", "n_eff", "shrunken", "ended", "asked", "reached", "answered",
    "fall of 10 points unseen",
)  # fmt: skip
_TOLD: Final = ("unit", "n", "rate", "95 %", "ended", "asked", "reached", "answered")
_FUNNEL: Final = ("unit", "n", "rate", "target", "99.8 % limits", "95 % limits", "place")
_OFFICE_ONLY: Final = "For the quality office: units with few answers are shown here as well; do not publish."
_TERMS: Final = {
    "service": "service: the same people served otherwise",
    "mix": "mix: other units, fields and channels make up the dossiers",
    "who": "who answered: other people among them",
    "map": "map: units that came or went",
    "difference": "together",
}
_NO_PATH: Final = {
    "no_closed_year": "no path yet: no whole calendar year of our own is closed (45 days after its last day)",
    "few": "no path yet: the first closed year has fewer than 10 answers",
    "over": "no path: the goal's year is over",
}
_RATES: Final = {
    "rr1": "response rate 1 (interviews)", "rr2": "response rate 2 (with partials)", "coop1": "cooperation rate 1",
    "ref1": "refusal rate 1", "con1": "contact rate 1",
}  # fmt: skip

From = Annotated[str | None, typer.Option("--from", help="first month, YYYY-MM")]
To = Annotated[str | None, typer.Option("--to", help="last month")]
View = Annotated[str | None, typer.Option("--view", help="the units of this day, YYYY-MM-DD; else as they were")]
Unit = Annotated[str | None, typer.Option(help="this unit and all below it")]
Level = Annotated[str | None, typer.Option(help="province | department | centre | district | commune | other")]
Field = Annotated[str | None, typer.Option(help="dossiers of this field")]
Channel = Annotated[str | None, typer.Option(help="handed in: counter | online | postal")]
ModeOf = Annotated[str | None, typer.Option(help="answered by: link | code | call | sms | zns | kiosk | assisted | paper")]
Where = Annotated[str | None, typer.Option("--class", help="answered away | desk")]
By = Annotated[str | None, typer.Option(help="of the handling | receiving unit")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (figures, moved, outlook, funnel, dispositions):
        app.command()(command)


@contextmanager
def _asking(ctx: typer.Context, data: Any) -> Iterator[tuple[Sources, Asker]]:
    """What is read, and who asks: the quality office, exactly, today."""
    with wired(ctx, data) as w:
        client = w.clickhouse()
        store = ClickHouseFigures(client, w.settings.registry_id, w.settings.default_target)
        sources = Sources(store, ClickHouseStrata(client, store), ClickHouseStated(client, w.settings.registry_id))
        yield sources, Asker(w.clock.now().astimezone(LOCAL).date())


def _question(given: Mapping[str, str | None]) -> Question:
    try:
        return question({name: value for name, value in given.items() if value})
    except Invalid as wrong:
        raise _refusal(wrong) from wrong


def _refusal(wrong: Invalid) -> Refusal:
    return Refusal(f"--{wrong.field}: {wrong.detail}", wrong_use=True)


def _known(registry: Registry, unit: str | None) -> None:
    if unit is not None and unit not in registry.codes():
        raise Refusal(f"--unit {unit}: no such unit. `hailong figures` lists those with figures.", wrong_use=True)


def figures(
    ctx: typer.Context,
    month_from: From = None,
    month_to: To = None,
    view_of: View = None,
    unit: Unit = None,
    level: Level = None,
    field: Field = None,
    channel: Channel = None,
    mode: ModeOf = None,
    where: Where = None,
    of_question: Annotated[str | None, typer.Option("--question", help="another scale, such as ttp-core:Q3")] = None,
    by: By = None,
    audience: Annotated[str, typer.Option("--for", help="office (exact) | units | public (closed months)")] = "office",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Satisfaction by unit: n, rate with its 95 % interval, the rate at one mix of fields, weighted by coverage, leaning on the parent; and
    where voices were lost. What leaves the office goes out with --for."""
    given = {"from": month_from, "to": month_to, "view": view_of, "unit": unit, "level": level, "field": field, "channel": channel}
    asked = _question(given | {"mode": mode, "class": where, "question": of_question, "by": by})
    if audience not in get_args(Audience):
        raise Refusal(f"--for {audience}: there is no such audience. Choose one of {', '.join(get_args(Audience))}.", wrong_use=True)
    with _asking(ctx, data) as (sources, asker):
        version = sources.version()
        if audience != "office":
            _tell_others(sources, asked, version, cast(Audience, audience), asker, as_json)
            return
        document = behind.compared_json(behind.compared(sources, asked, version, asker))
        store = sources.figures
        seen = sights(store.figures(Filters(), version).cells, store.registry(version), store.targets(version), asker.today)
    for row in document["rows"]:
        row["fall_unseen_months"] = one.unseen.months if (one := seen.get(row["unit"])) and one.unseen else None
    if as_json:
        print_json(document)
        return
    say(_OFFICE_ONLY)
    for name, text in document["definitions"].items():
        say(f"{name}: {text}")
    print_table(_FIGURES, map(_figures_row, document["rows"]), title=f"as of {document['as_of']}")


def _tell_others(sources: Sources, asked: Question, version: Version, audience: Audience, asker: Asker, as_json: bool) -> None:
    try:
        shown = view(sources.figures, asked, version, audience, asker.today)
    except Invalid as wrong:
        raise _refusal(wrong) from wrong
    document = figures_json(shown)
    if as_json:
        print_json(document)
        return
    closed = f"Months up to {shown.book.closings[-1].month} are closed" if shown.book.closings else "No month is closed yet"
    say(f"As told to {shown.audience}: {closed}; {shown.left_out} answers or fewer are in no figure here.")
    print_table(_TOLD, map(_told_row, document["rows"]), title=f"as of {document['as_of']}")


def _told_row(row: Mapping[str, Any]) -> list[str]:
    rate = "few" if row["suppressed"] else _bound(row) if row["bound"] else f"{100 * row['rate']:.1f} %"
    span = "" if row["suppressed"] else f"{100 * row['low']:.0f}–{100 * row['high']:.0f}"
    name = f"{row['name']} ({row['kept']})" if row["kept"] else row["name"]
    values = (name, row["n"], rate, span, row["ended"], row["asked"], row["reached"], row["answered"])
    return ["" if value is None else str(value) for value in values]


def _bound(row: Mapping[str, Any]) -> str:
    return f"at least {100 * row['low']:.0f} %" if row["bound"] == "at_least" else f"at most {100 * row['high']:.0f} %"


def _figures_row(row: Mapping[str, Any]) -> list[str]:
    rate = "few" if row["suppressed"] else f"{100 * row['rate']:.1f} %"
    span = "" if row["suppressed"] else f"{100 * row['low']:.0f}–{100 * row['high']:.0f}"
    name = f"{row['name']} ({row['kept']})" if row["kept"] else row["name"]
    of = row["comparable"] or dict.fromkeys(("standardised", "weighted", "shrunken"))
    n_eff = f"{of['weighted']['n_eff']:.1f}" if of["weighted"] else ""
    estimates = [_estimate(of["standardised"]), _estimate(of["weighted"]), n_eff, _estimate(of["shrunken"])]
    unseen = None if row["fall_unseen_months"] is None else f"{row['fall_unseen_months']:.0f} mo"
    values = (name, row["n"], rate, span, *estimates, row["ended"], row["asked"], row["reached"], row["answered"], unseen)
    return ["" if value is None else str(value) for value in values]


def _estimate(found: Mapping[str, Any] | None) -> str:
    return f"{100 * found['value']:.1f} % ({100 * found['low']:.0f}–{100 * found['high']:.0f})" if found else ""


def moved(
    ctx: typer.Context,
    month_from: Annotated[str, typer.Option("--from", help="the earlier month, YYYY-MM")],
    month_to: Annotated[str, typer.Option("--to", help="the later month")],
    months: Annotated[int, typer.Option(help="compare so many months up to each of the two")] = 1,
    unit: Unit = None,
    by: By = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Why the rate moved from one month to another: service, mix, who answered, map; parts that add up to the difference."""
    asked = _question({"by": by})
    with _asking(ctx, data) as (sources, asker):
        version = sources.version()
        try:
            both = behind.spans(month_from, month_to, months)
        except Invalid as wrong:
            raise _refusal(wrong) from wrong
        _known(sources.figures.registry(version), unit)
        document = behind.why_json(behind.why(sources, both, version, asker, unit=unit, by=asked.filters.by))
    if as_json:
        print_json(document)
    else:
        _tell_moved(document)


def _tell_moved(document: Mapping[str, Any]) -> None:
    terms, first, last = document["terms"], document["from"], document["to"]
    if document["suppressed"]:
        say(f"Fewer than 10 answers in {first['from']}–{first['to']} or {last['from']}–{last['to']}: choose --months, or a larger unit.")
        return
    say(_OFFICE_ONLY)
    if document["whole_ground"]:
        say("The unit was not there in one of the two: what stood on its ground is taken for it.")
    low, high = 100 * terms["service_low"], 100 * terms["service_high"]
    rows = [(text, f"{100 * terms[name]:+.2f}", f"{low:+.2f} to {high:+.2f}" if name == "service" else "") for name, text in _TERMS.items()]
    was, now = (f"{100 * terms[name]:.2f} % (n = {one['n']})" for name, one in (("before", first), ("after", last)))
    print_table(("part", "points", "95 %"), rows, title=f"{was} → {now}, as of {document['as_of']}")


def outlook(
    ctx: typer.Context,
    goal: Annotated[float | None, typer.Option(min=0.01, max=0.99, help="share to be reached; else the target in force then")] = None,
    year: Annotated[int, typer.Option(min=2024, max=2100, help="by the end of this year")] = 2030,
    unit: Unit = None,
    channel: Channel = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """The path of targets from our own first closed year to the goal, and the odds of reaching it, held against invented provinces; beside
    it, never mixed, what others measured."""
    asked = _question({"channel": channel})
    with _asking(ctx, data) as (sources, asker):
        version = sources.version()
        _known(sources.figures.registry(version), unit)
        found = behind.ahead(sources, version, asker, goal=goal, year=year, unit=unit, channel=asked.filters.channel)
        document = behind.ahead_json(found)
    if as_json:
        print_json(document)
        return
    for line in _outlook_lines(document):
        say(line)
    print_table(("year", "target of the path", "in force"), [
        (str(s["year"]), f"{100 * s['value']:.1f} %", f"{100 * s['in_force']:.1f} %") for s in document["path"]["steps"]
    ], title=f"as of {document['as_of']}")  # fmt: skip
    rows = [
        (r["series"], r["unit"], r["period"], f"{r['value']} {r['scale']}", str(r["n"] or ""), r["source"]) for r in _references(document)
    ]
    print_table(("series", "unit", "period", "value", "n", "source"), rows, title="beside, not comparable")


def _references(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["beside"]["references"]
    return found


def _outlook_lines(document: Mapping[str, Any]) -> Iterator[str]:
    goal, odds, index = document["goal"], document["outlook"], document["beside"]["shadow"]
    yield f"Goal: {100 * goal['value']:.0f} % by the end of {goal['year']}."
    if document["path"]["why"]:
        yield f"{_NO_PATH[document['path']['why']]}."
    if odds["why"] == "few_quarters":
        yield f"No odds yet: {odds['quarters']} closed quarters of 8."
    elif odds["why"] == "over":
        yield "No odds: the goal's year is closed."
    else:
        test = document["backtest"]
        span = f"{100 * odds['low']:.1f}–{100 * odds['high']:.1f}, 80 %"
        yield f"Odds {100 * odds['odds']:.0f} %: at this pace {100 * odds['median']:.1f} % ({span}) at the end of {goal['year']},"
        yield f"  from {odds['quarters']} closed quarters. It knows nothing of what is planned."
        yield f"On {test['forecasts']} invented provinces: Brier {test['brier']:.3f}, always saying the base rate {test['base']:.3f};"
        yield from (f"  said {100 * one['odds']:.0f} %: came true {one['reached']['k']} of {one['reached']['n']}" for one in test["bins"])
        yield f"  intervals of 80 % held the rate {test['held']['k']} of {test['held']['n']} times."
    if index:
        months = f"{index['months'][0]}–{index['months'][-1]}"
        yield f"Beside, from the portal's totals {months}: {100 * index['low']:.1f}–{100 * index['high']:.1f} %"


def funnel(
    ctx: typer.Context,
    month_from: From = None,
    month_to: To = None,
    view_of: View = None,
    unit: Unit = None,
    level: Level = None,
    field: Field = None,
    channel: Channel = None,
    by: By = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Which units lie where chance alone would not put them: limits about each one's target, widened by how much units differ anyway."""
    given = {
        "from": month_from,
        "to": month_to,
        "view": view_of,
        "unit": unit,
        "level": level,
        "field": field,
        "channel": channel,
        "by": by,
    }
    asked = _question(given)
    with _asking(ctx, data) as (sources, asker):
        document = behind.funnel_json(behind.compared(sources, asked, sources.version(), asker))
    if as_json:
        print_json(document)
        return
    say(_OFFICE_ONLY)
    spread, listed = document["dispersion"], ", ".join(one["unit"] for one in document["below_target"]) or "none"
    say(f"phi {spread['phi']:.2f}, tau {100 * spread['tau']:.1f} points; {document['left_out']} others have no rate to be shown.")
    say(f"Below target (Benjamini-Hochberg, 10 %): {listed}.")
    print_table(_FUNNEL, map(_funnel_row, document["units"]), title=f"as of {document['as_of']}")


def _funnel_row(row: Mapping[str, Any]) -> list[str]:
    edge = row["limits"]
    spans = [f"{100 * edge[a]:.0f}–{100 * edge[b]:.0f} %" for a, b in (("far_low", "far_high"), ("low", "high"))]
    return [
        row["name"],
        str(row["n"]),
        f"{100 * row['rate']:.1f} %",
        f"{100 * row['target']:.0f} %",
        *spans,
        row["place"].replace("_", " "),
    ]


def dispositions(
    ctx: typer.Context,
    month_from: From = None,
    month_to: To = None,
    unit: Unit = None,
    field: Field = None,
    channel: Channel = None,
    by: By = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What became of everybody whose dossier ended in closed months; response, cooperation, refusal and contact rates as AAPOR defines
    them."""
    asked = _question({"from": month_from, "to": month_to, "unit": unit, "field": field, "channel": channel, "by": by})
    with _asking(ctx, data) as (sources, asker):
        document = behind.gone_json(behind.gone(sources, asked, sources.version(), asker))
    if as_json:
        print_json(document)
        return
    say(_OFFICE_ONLY)
    rows = [(name, "…" if n is None else str(n), document["definitions"].get(name, "")) for name, n in document["dispositions"].items()]
    title = f"{', '.join(document['months']) or 'no closed month'}; as of {document['as_of']}"
    print_table(("class", "dossiers", "meaning"), rows, title=title)
    apart = "fewer than 10" if document["uninvited"] is None else document["uninvited"]
    say(f"{document['open']} still open; {apart} answers without an invitation: in no rate.")
    if document["rates"] is None:
        say("Fewer than 10 answers: no rates.")
        return
    rates = [(text, _share(document["rates"][name])) for name, text in _RATES.items()]
    print_table(("rate", "share, 95 %"), rates)


def _share(one: Mapping[str, Any]) -> str:
    if one["rate"] is None:
        return "–"
    return f"{100 * one['rate']:.1f} % ({100 * one['low']:.1f}–{100 * one['high']:.1f}), {one['k']} of {one['n']}"
