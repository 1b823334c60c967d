"""``hailong alerts``: the alerts of this province; and detectors held against answers of which the truth is known.

``generate`` and ``evaluate`` need nothing but files: no registry, no stack.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hailong.domain.alert_sentences import listed
from ops.alerting import evaluating
from ops.alerting.files import answers_of, truth_of, write_answers, write_truth
from ops.alerting.province import TARGET, Plan, Province
from ops.alerting.showing import show, shown
from ops.cli.door import Data, Json, existing, print_json, say, wired
from ops.cli.tables import print_table
from ops.local.refusal import Refusal


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(invoke_without_command=True, help=alerts.__doc__)
    group.callback()(alerts)
    group.command()(generate)
    group.command()(evaluate)
    app.add_typer(group, name="alerts")


def alerts(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """Alerts, newest first, with their sentence. Below: detectors held against answers of which the truth is known."""
    if ctx.invoked_subcommand is not None:
        return
    with wired(ctx, data) as w, w.ledger("cli").read() as reader:
        document = listed(reader.alerts(history=True))
    if as_json:
        print_json(document)
        return
    if document:
        print_table(("state", "raised at", "sentence"), [[a["state"], str(a["raised_at"]), a["sentence_en"]] for a in document])
    else:
        say("No alert was ever raised.")


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
