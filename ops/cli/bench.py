"""``hailong bench``: speed beside the limit or a peer, in one run, with CPU seconds."""

from __future__ import annotations

from typing import Annotated

import typer

import bench as benchmarks


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(bench)


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="decide, send, hour, latency, rebuild, archive, survey, figures; none: all")
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="where the time goes: the top functions")] = False,
    facts: Annotated[int, typer.Option(min=1000, help="facts of the rebuild")] = 1_000_000,
    answers: Annotated[int, typer.Option(min=1000, help="answers of the figures")] = 1_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout")] = False,
) -> None:
    """Benchmarks on a stack of their own. Needs the development environment (bin/test makes it): peers are compared with."""
    raise typer.Exit(benchmarks.run(names or [], as_json, profile, facts, answers))
