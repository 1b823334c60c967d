"""``hailong prove``: the promises, tested by breaking things. ``hailong bench``: speed beside the limit."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from ops.local.refusal import Refusal
from ops.proof import asked as asking
from ops.proof import numbers as measuring
from ops.proof.breaks import ASKED_BREAKS, BREAKS
from ops.proof.crash import Plan, prove

_TOLD: Final = Console(stderr=True)
PORT_BASE: Final = 18600


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    proofs = typer.Typer(no_args_is_help=True, help="Break the running system on purpose and check its promises.")
    proofs.callback()(_proofs)
    proofs.command("crash")(crash)
    proofs.command("asked")(asked)
    proofs.command("numbers")(numbers)
    app.add_typer(proofs, name="prove")


def _proofs() -> None:
    """A callback, so that `prove` is a group of commands."""


def crash(
    ctx: typer.Context,
    kills: Annotated[int, typer.Option(min=0, help="so many kill -9")] = 20,
    seed: Annotated[int, typer.Option(help="of the load, the people and the kills")] = 1,
    broken: Annotated[str, typer.Option("--break", help=f"switch a safeguard off and find the harm: {' | '.join(BREAKS)}")] = "",
    port_base: Annotated[int, typer.Option(help="first of the eight ports")] = PORT_BASE,
    data: Annotated[Path | None, typer.Option(help="keep the stack's data here (a new folder)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout")] = False,
) -> None:
    """kill -9 any process under load; then check outcomes, messages, answers, figures and privacy. Exit code 1 when harm was found."""
    if broken and broken not in BREAKS:
        raise Refusal(f"--break {broken}: no such safeguard. One of {', '.join(BREAKS)}.", wrong_use=True)
    _end(asyncio.run(prove(Plan(kills, seed, broken), ctx.obj.home, port_base, _say, data)), as_json)


def asked(
    ctx: typer.Context,
    days: Annotated[int, typer.Option(min=7, max=28, help="dossiers come in on so many days; time goes on until nothing waits")] = 14,
    kills: Annotated[int, typer.Option(min=0, help="so many kill -9")] = 2,
    seed: Annotated[int, typer.Option(help="of the dossiers, the people and the kills")] = 1,
    broken: Annotated[str, typer.Option("--break", help=f"switch a safeguard off and find the harm: {' | '.join(ASKED_BREAKS)}")] = "",
    port_base: Annotated[int, typer.Option(help="first of the eight ports")] = PORT_BASE,
    data: Annotated[Path | None, typer.Option(help="keep the stack's data here (a new folder)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout")] = False,
) -> None:
    """A fortnight around Tết in time-lapse; then check hours, cap, opt-outs, reminders, money, claims. Exit code 1 when harm was found."""
    if broken and broken not in ASKED_BREAKS:
        raise Refusal(f"--break {broken}: no such safeguard. One of {', '.join(ASKED_BREAKS)}.", wrong_use=True)
    _end(asyncio.run(asking.prove(asking.Plan(seed, days, kills, broken), ctx.obj.home, port_base, _say, data)), as_json)


def numbers(
    seeds: Annotated[int, typer.Option(min=1, help="so many invented provinces")] = 20,
    first: Annotated[int, typer.Option(help="seed of the first one")] = 20250701,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout")] = False,
) -> None:
    """What is promised of alerts, data quality, intervals and odds, on invented provinces whose truth is known. Some minutes; no stack.
    Exit code 1 when a promise is not kept."""
    _end(measuring.prove(measuring.Plan(seeds, first), _say), as_json)


def _end(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    else:
        _tell(report)
    raise typer.Exit(0 if report["passed"] else 1)


def _say(text: str) -> None:
    _TOLD.print(text, highlight=False, markup=False)


def _tell(report: dict[str, Any]) -> None:
    for check in report["checks"]:
        _say(f"{'kept  ' if check['ok'] else 'BROKEN'}  {check['id']}: {check['found']}")
        for example in check["examples"]:
            _say(f"            {example}")
    _say(json.dumps(report["counts"], ensure_ascii=False))
    _say("passed" if report["passed"] else "harm was found")
