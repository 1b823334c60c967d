"""``hailong alerts``: the alerts of this province, how often they were right, and which units are too quiet for any; and detectors held
against answers of which the truth is known.

``generate`` and ``evaluate`` need nothing but files: no registry, no stack.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hailong.domain.alert_sentences import listed
from hailong.domain.closing import Precision, precision_json
from hailong.domain.closing import precision as judged
from hailong.domain.hours import local
from hailong.domain.quiet import LONGEST, Sight, quietest, sights
from hailong.domain.scoring import Filters
from ops.alerting import evaluating
from ops.alerting.files import answers_of, truth_of, write_answers, write_truth
from ops.alerting.province import TARGET, Plan, Province
from ops.alerting.showing import show, shown
from ops.cli.door import Data, Json, existing, print_json, say, wired
from ops.cli.tables import print_table
from ops.local.refusal import Refusal
from sinks.clickhouse.queries import ClickHouseFigures


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(invoke_without_command=True, help=alerts.__doc__)
    group.callback()(alerts)
    group.command("list")(list_)
    group.command()(precision)
    group.command()(quiet)
    group.command()(generate)
    group.command()(evaluate)
    app.add_typer(group, name="alerts")


def alerts(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """Alerts, newest first, with their sentence. Below: detectors held against answers of which the truth is known."""
    if ctx.invoked_subcommand is None:
        list_(ctx, data, as_json)


def list_(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """Alerts about service and about data, open ones first, with their sentence and what people found."""
    with wired(ctx, data) as w, w.ledger("cli").read() as reader:
        document = listed(reader.alerts(history=True))
    if as_json:
        print_json(document)
        return
    if document:
        columns = ("state", "about", "raised at", "found", "sentence")
        print_table(columns, [[a["state"], a["about"], a["raised_at"], a["verdict"] or "", a["sentence_en"]] for a in document])
    else:
        say("No alert was ever raised.")
    say("`hailong alerts quiet` lists the units too quiet for alerts, `hailong alerts precision` how often alerts were right.")


def precision(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """How often each detector was right, by what people found when they closed its alerts; Wilson's interval, 95 %."""
    with wired(ctx, data) as w, w.ledger("cli").read() as reader:
        found = judged((a["kind"], a["verdict"]) for a in listed(reader.alerts(history=True)))
    if as_json:
        print_json(precision_json(found))
        return
    rows = [[p.detector, *map(str, (p.raised, p.confirmed, p.not_found, p.unjudged)), _share(p)] for p in found]
    print_table(("detector", "raised", "confirmed", "not found", "not said", "precision"), rows)
    say("Of those of which somebody said what was found; the others say nothing. The officers' page /alerts asks.")


def _share(p: Precision) -> str:
    return "" if p.rate is None else f"{100 * p.rate:.0f} % ({100 * p.interval[0]:.0f}–{100 * p.interval[1]:.0f})"


def quiet(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="all units, not only those too quiet to judge")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Units too quiet to judge: a fall of 10 points would, more often than not, stay unseen for more than a year. Calls go there first."""
    with wired(ctx, data) as w, closing(w.clickhouse()) as client:
        figures = ClickHouseFigures(client, w.settings.registry_id, w.settings.default_target)
        day, version = local(w.clock.now()).date(), figures.version()
        registry = figures.registry(version)
        found = sights(figures.figures(Filters(), version).cells, registry, figures.targets(version), day)
    shown = sorted(found.values(), key=lambda one: (one.per_year, one.unit)) if every else quietest(found)
    if as_json:
        print_json([_sight(one, registry.name(one.unit, day)) for one in shown])
        return
    print_table(_SIGHT, [_sight_row(one, registry.name(one.unit, day)) for one in shown], title=f"{len(shown)} of {len(found)} units")
    say(
        f"For the quality office. Too quiet: more than {LONGEST:g} months in half of all cases. Months in which 4 of 5 are seen stand last."
    )


_SIGHT: Final = ("unit", "answers a year", "target", "fall unseen, months", "4 of 5 seen within")


def _sight(one: Sight, name: str) -> dict[str, Any]:
    months = {"months": one.unseen.months, "months_most": one.unseen.months_most} if one.unseen else {"months": None, "months_most": None}
    answers = {"answers_a_year": one.per_year, "answers": one.answers, "ended": one.ended}
    return {"unit": one.unit, "name": name, **answers, "target": one.target, "fall_unseen": months, "quiet": one.quiet}


def _sight_row(one: Sight, name: str) -> list[str]:
    months = [f"{one.unseen.months:.1f}", f"{one.unseen.months_most:.1f}"] if one.unseen else ["never", "never"]
    return [name, f"{one.per_year:.0f}", f"{100 * one.target:.0f} %", *months]


def generate(
    seed: Annotated[int, typer.Option(min=0, help="the same seed, the same answers, on every machine")],
    out: Annotated[Path, typer.Option(help="folder for answers.csv and truth.csv")],
    units: Annotated[int, typer.Option(min=1, max=10_000)] = 170,
    years: Annotated[int, typer.Option(min=1, max=20)] = 2,
    response: Annotated[float, typer.Option(min=0.01, max=2.0, help="times the response rates, of 15 to 35 %")] = 1.0,
    target: Annotated[float, typer.Option(min=0.6, max=0.92, help="levels stand around it")] = TARGET,
    standard: Annotated[
        bool, typer.Option("--standard", help="a unit's level is what it would have with the province's mix of fields")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the answers of an invented province, and the truth about it. No real answer is in them."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise Refusal(f"--out {out}: cannot be made ({e.strerror}). Name another folder.", wrong_use=True) from e
    province = Province(Plan(seed, units, years, response, target, standard))
    n = write_answers(out / "answers.csv", answers_of(province))
    write_truth(out / "truth.csv", truth_of(province))
    if as_json:
        print_json({"answers": n, "units": units, "days": province.plan.days, "files": [str(out / "answers.csv"), str(out / "truth.csv")]})
    else:
        say(f"{n:,} answers of {units} units in {province.plan.days} days: {out / 'answers.csv'}; the truth: {out / 'truth.csv'}.")


def evaluate(
    answers: Annotated[Path, typer.Option(help="CSV: day,unit,field,satisfied, in order")],
    truth: Annotated[Path, typer.Option(help="CSV: unit,from_day,to_day,level,kind; from inclusive, to exclusive")],
    target: Annotated[float, typer.Option(min=0.5, max=0.99, help="a fraction")] = TARGET,
    detector: Annotated[str, typer.Option(help="below (ours), declining, watch, published; a rival's name; or all")] = "below",
    matched: Annotated[
        bool, typer.Option("--matched", help="rivals also at the setting at which they raise falsely as often as ours")
    ] = False,
    reference: Annotated[
        str, typer.Option(help="flat: each unit must reach the target with its own mix of fields; field: with the province's")
    ] = "flat",
    out: Annotated[Path | None, typer.Option(help="CSV of the raises: detector,unit,raised_day,cleared_day")] = None,
    as_json: Json = False,
) -> None:
    """Hold detectors against answers of which the truth is known: false alarms, precision, speed. Nothing looks ahead."""
    asked = evaluating.Asked(target, detector, matched, reference)
    found = evaluating.evaluate_files(existing(answers), existing(truth), asked)
    if out is not None:
        evaluating.write(found, out)
    for name in found.left_out:
        say(f"{name}: left out, its library `river` is not installed. The development environment (bin/test makes it) has it.")
    print_json(shown(found)) if as_json else show(found)
