"""``hailong draw``: who is asked follows from published seeds, and everybody can make it again.

``verify`` makes a month's decisions again from the log's facts; ``list`` is the public list of a closed day; ``arms`` tells what the
experiments among those asked have shown; ``calls`` makes again who was drawn to be called.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import cache
from typing import Annotated, Final

import typer

from hailong.domain.arms import FOLLOWED, Arm, Report, sentence
from hailong.domain.draw_published import counted, revealed_at
from hailong.domain.hours import local
from hailong.domain.redraw import FAULTS, UNCONFIRMED
from hailong.domain.rulebook import RulebookError
from hailong.domain.scoring import PRIVACY_LIMIT
from hailong.ports import Permanent, Retryable
from ops.arms import report
from ops.calling import redrawn as redrawn_calls
from ops.cli.door import Data, Json, day_of, print_json, say, wired
from ops.cli.tables import print_table
from ops.drawing import PublicDraw, Redrawn, log_stamps, redrawn
from ops.local.refusal import Refusal
from sinks.clickhouse.drawing import Draws
from surveys.doors.drawing import as_csv

SHOWN: Final = 30
"""Differences printed; --json gives all."""
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(no_args_is_help=True, help="The draw: make a month's decisions again; the public list of a day; the experiments.")
    group.command("verify")(verify)
    group.command("list")(listed)
    group.command("arms")(arms)
    group.command("calls")(calls)
    app.add_typer(group, name="draw")


def verify(
    ctx: typer.Context,
    month: Annotated[str, typer.Option(help="month of deciding, YYYY-MM")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make every decision of a month again. Exit code 1 names what differs; 2: there is nothing to read."""
    if not _MONTH.fullmatch(month):
        raise Refusal(f"--month {month}: is no month. Write it as 2026-03.", wrong_use=True)
    with wired(ctx, data) as w:
        try:
            with closing(w.clickhouse()) as client:
                draws = Draws(client, w.settings.registry_id)
                made = redrawn(month, draws, log_stamps(w.settings.kafka), w.rules, w.clock.now())
        except (Retryable, Permanent) as e:
            raise Refusal(f"{e.reason}. Without log and store nothing can be made again.", wrong_use=True) from e
        except RulebookError as e:
            raise Refusal(str(e), wrong_use=True) from e
    if made is None:
        raise Refusal(f"Nothing was decided in {month}, so there is nothing to make again. Name a month with decisions.", wrong_use=True)
    print_json(made.as_json()) if as_json else _tell(made)
    raise typer.Exit(0 if made.passed else 1)


def _tell(made: Redrawn) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in _sentences(made)))
    if made.redraw.differences:
        rows = [[d.dossier_ref, str(d.decided_on), d.what, d.says, d.follows] for d in made.redraw.differences[:SHOWN]]
        print_table(("dossier_ref", "decided on", "what", "it says", "what follows"), rows)
    if len(made.redraw.differences) > SHOWN:
        say(f"{len(made.redraw.differences) - SHOWN} more; --json gives all.")


def _sentences(made: Redrawn) -> Iterator[str]:
    again, days = made.redraw, {seed.day for seed, _ in made.seeds}
    yield f"{made.month}: {again.decisions:,} decisions, {again.recomputed:,} made again, {len(again.differences):,} differences."
    late = [str(seed.day) for seed, _ in made.seeds if seed.late]
    for seed, state in made.faults:
        yield f"Seed of {seed.day}: {FAULTS[state]}. {again.without_seed[seed.day]:,} decisions could not be made again."
    if late:
        yield f"Committed when the day had begun, so that only the commitment's place in the log speaks for it: {', '.join(late)}."
    if waiting := [str(seed.day) for seed, state in made.seeds if state == "pending"]:
        yield f"Not over yet, so the seed is still secret: {', '.join(waiting)}. Ask again tomorrow."
    if again.unit_endings["outside"]:
        compared = f"{again.unit_endings['outside']:,} of {again.unit_endings['compared']:,}"
        yield f"Counts of a unit's endings that the facts do not bear out: {compared}. Those that change a share are differences."
    yield f"{len(days)} days' seeds were looked at. What the log alone cannot confirm was taken as the decisions say it:"
    yield from (f"  {name}, {said}: {again.unconfirmed[name]:,} decisions" for name, said in UNCONFIRMED.items())


def listed(
    ctx: typer.Context,
    day: Annotated[str, typer.Option(help="day of deciding, YYYY-MM-DD")],
    as_csv_file: Annotated[bool, typer.Option("--csv", help="as the survey site gives it out")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What was decided on a closed day, as it is published: no names, the line's id is a commitment."""
    on = day_of("--day", day)
    with wired(ctx, data) as w:
        lines = PublicDraw(w, w.ledger("cli")).lines(on)
    if lines is None:
        raise Refusal(f"{on} is not over. Its list is published at {revealed_at(on):%H:%M} on {revealed_at(on).date()}.")
    if as_json:
        print_json([line.as_json() for line in lines])
    elif as_csv_file:
        sys.stdout.write(as_csv(lines))
    else:
        found = counted(lines)
        print_table(("reason", "lines"), [[reason, f"{n:,}"] for reason, n in found.items()], title=f"{on}: {len(lines):,} decisions")
        say("--csv and --json give every line.")


def arms(
    ctx: typer.Context,
    first: Annotated[str | None, typer.Option("--from", help="first day of asking, YYYY-MM-DD (default: 90 days before the last)")] = None,
    until: Annotated[str | None, typer.Option(help="last day of asking, YYYY-MM-DD (default: today)")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Answer rates of the arms of each experiment, with intervals, and whether they differ by more than chance.

    For the quality office and operations: the public does not see it.
    """
    begin, end = first and day_of("--from", first), until and day_of("--until", until)
    if begin and end and end < begin:
        raise Refusal(f"--until {end}: lies before --from {begin}. Write that day or a later one.", wrong_use=True)
    with wired(ctx, data) as w:
        found = report(w, w.ledger("cli"), begin or None, end or None)
    print_json(found.as_json()) if as_json else _tell_arms(found)


def _tell_arms(found: Report) -> None:
    for experiment in found.experiments:
        print_table(_ARM, [_row(arm) for arm in experiment.arms], title=f"{experiment.name}:")
        sys.stdout.write("".join(f"{sentence(d, 'en')}\n" for d in experiment.differences) + "\n")
    for line in _about_arms(found):
        say(line)


def calls(
    ctx: typer.Context,
    since: Annotated[str | None, typer.Option("--from", help="first day of drawing, YYYY-MM-DD (default: 90 days ago)")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make again who was drawn to be called: number, stratum (units too quiet to judge, the others) and share. Exit code 1: differences.

    It needs the ledger, because no fact joins a dossier to its survey; list and shares themselves are facts.
    """
    with wired(ctx, data) as w, w.ledger("cli").read() as reader:
        first = day_of("--from", since) if since else local(w.clock.now()).date() - _CALLS_BACK
        made = redrawn_calls(reader.drawn_calls(first), cache(reader.look_in_force), cache(w.rules), w.draw)
    if as_json:
        print_json(made.as_json())
    else:
        drawn = ", ".join(f"{stratum} {n:,}" for stratum, n in sorted(made.drawn.items())) or "nobody"
        say(f"Drawn to be called since {first}, by stratum: {drawn}; {made.before:,} before there were strata.")
        rows = [[d.dossier_ref, str(d.drawn_on), d.what, d.says, d.follows] for d in made.differences[:SHOWN]]
        if rows:
            print_table(("dossier_ref", "drawn on", "what", "it says", "what follows"), rows)
        say(f"{len(made.differences):,} differences." if made.differences else "Everybody follows from seed, list and rules.")
    raise typer.Exit(1 if made.differences else 0)


_CALLS_BACK: Final = timedelta(days=90)
_ARM: Final = ("arm", "asked", "delivered", "answered", "rate", "95% interval", "open", "unknown", "failed")


def _row(arm: Arm) -> list[str]:
    answers = ["hidden" if arm.hidden else "-", "-", "-"]
    if arm.rate is not None:
        answers = [f"{arm.answered:,}", f"{arm.rate:.1%}", f"{arm.low:.1%} to {arm.high:.1%}"]
    return [arm.arm, f"{arm.asked:,}", f"{arm.delivered:,}", *answers, f"{arm.open:,}", f"{arm.unknown:,}", f"{arm.failed:,}"]


def _about_arms(found: Report) -> Iterator[str]:
    if not found.experiments:
        step = "Name one in the rules (experiments.wording, hour, channel or link), or choose another period"
        yield f"No experiment has an arm among those asked from {found.first} to {found.until}. {step}."
    if found.changed:
        on = ", ".join(map(str, found.changed))
        yield f"Arms or shares changed on {on}: rates compare within one version of the rules only. Ask for days on one side of it."
    if found.experiments:
        yield from _METHOD


_METHOD: Final = (
    f"Asked: surely handed over, at least {FOLLOWED.days} days ago. Answered: counted within {FOLLOWED.days} days of it. Open: handed over "
    "since then, in no rate. Unknown: perhaps handed over; failed: refused for good; neither counts as asked.",
    "Each dossier counts for the arm that was drawn, also where it could not be followed, as when a person has no such channel.",
    f"Hidden: fewer than {PRIVACY_LIMIT} asked, or next to such an arm. An interval holds for one comparison, looked at once.",
)
