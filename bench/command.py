"""The command ``bench``: run benchmarks one after the other, print their tables."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

from bench import archiving, deciding, delays, figuring, opening, rebuilding, sending, surveying
from bench.meters import Goal, Report
from ops.local.refusal import Refusal


@dataclass(frozen=True)
class Sizes:
    """``facts`` of the rebuild, ``answers`` of the figures."""

    facts: int = rebuilding.FACTS
    answers: int = figuring.ANSWERS


BENCHMARKS: Final[dict[str, Callable[[bool, Sizes], Awaitable[Report]]]] = {
    "decide": lambda profiled, _: deciding.decide(profiled),
    "send": lambda profiled, _: sending.send(profiled),
    "hour": lambda _, __: opening.hour(),
    "latency": lambda _, __: delays.delays(),
    "rebuild": lambda profiled, sizes: rebuilding.run(profiled, sizes.facts),
    "archive": lambda profiled, _: archiving.archive(profiled),
    "survey": lambda profiled, _: surveying.survey(profiled),
    "figures": lambda _, sizes: figuring.figures(sizes.answers),
}


def run(names: Sequence[str], as_json: bool, profile: bool = False, facts: int = rebuilding.FACTS, answers: int = figuring.ANSWERS) -> int:
    """Run the named benchmarks (none: all). 0 also when a goal is missed: that is told; 1 when one could not run; 2 for an unknown name."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.stderr.write(f"There is no benchmark {unknown[0]!r}. There are: {', '.join(BENCHMARKS)}.\n")
        return 2
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    found, failed = [], 0
    for name in names or BENCHMARKS:
        before = os.getloadavg()[0]
        try:
            report = asyncio.run(_awaited(BENCHMARKS[name](profile, Sizes(facts, answers))))
        except (Refusal, TimeoutError, RuntimeError) as e:
            sys.stderr.write(f"The benchmark {name} could not be run ({type(e).__name__}): {e}\n")
            failed = 1
            continue
        report.notes.append(f"{os.cpu_count()} cores; load when it began {before:.1f}: other work on the machine lowers rates, CPU hardly.")
        found.append(report)
        if not as_json:
            show(report, Console())
    if as_json:
        sys.stdout.write(json.dumps([report.as_json() for report in found], ensure_ascii=False) + "\n")
    return failed


async def _awaited(work: Awaitable[Report]) -> Report:
    return await work


def show(report: Report, console: Console) -> None:
    """Tables for people."""
    if report.lines:
        table = Table(title=f"{report.name}: {report.unit}", title_justify="left")
        for heading in ("", "a second", "n", "s", "CPU µs apiece", "of others"):
            table.add_column(heading, justify="left" if heading in ("", "of others") else "right")
        for line in report.lines:
            others = ", ".join(f"{name} {cpu:.0f}" for name, cpu in line.others_cpu_us.items())
            table.add_row(line.name, f"{line.rate:,.0f}", f"{line.n:,}", f"{line.seconds:.2f}", f"{line.cpu_us:.1f}", others)
        console.print(table)
    if report.latencies:
        table = Table(title=f"{report.name}: {report.unit}", title_justify="left")
        for heading in ("", "n", "p50", "p95", "p99", "not seen"):
            table.add_column(heading, justify="left" if not heading else "right")
        for one in report.latencies:
            table.add_row(one.name, f"{one.n:,}", f"{one.p50:.0f}", f"{one.p95:.0f}", f"{one.p99:.0f}", str(one.lost))
        console.print(table)
    for goal in report.goals:
        console.print(_told(goal), highlight=False)
    for text in (*report.notes, *report.profile):
        console.print(f"  {text}", highlight=False, markup=False)


def _told(goal: Goal) -> str:
    by_cpu = "" if goal.by_cpu is None else f" ({goal.by_cpu:.0%} by CPU)"
    if not goal.wanted:
        return f"  {goal.what}: {goal.measured:.0%}{by_cpu}"
    missed = "" if goal.met else f", missed by {goal.wanted - goal.measured:.0%}"
    why = f" {goal.why}" if goal.why and not goal.met else ""
    return f"  {goal.what}: {goal.measured:.0%}{by_cpu}; goal {goal.wanted:.0%}{missed}.{why}"
