"""``hailong live``, ``provider``, ``stuck``, ``costs``: whom channels reach, who carries them, what stands still, what it costs."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from dashboard.operations import Carrier, summed
from hailong.domain.access import AuditAct
from hailong.domain.modes import Mode
from hailong.domain.units import LOCAL
from hailong.ports import Invalid
from ops import carrying, going_live
from ops.cli.door import Data, Json, print_json, say, wired
from ops.cli.tables import print_table
from ops.clock import real_now
from ops.keyboard import at_the_keyboard
from ops.local.refusal import Refusal
from ops.people import known_login
from ops.running import Running
from ops.stuck import told
from ops.wiring import Wiring
from sinks.ledger import Ledger

By = Annotated[str, typer.Option(help="login of who says so: an operator or administrator")]
Channel = Annotated[str, typer.Argument(help="sms, email, zns, print")]
_CARRIERS = ("channel", "mode", "now", "main", "reserve", "since", "why", "last 10 minutes", "rate left", "đ today", "held")


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(live)
    app.command()(stuck)
    app.command()(costs)
    group = typer.Typer(no_args_is_help=True, help="Who carries each channel: list; use one by hand; auto gives the choice back.")
    group.command("list")(listed)
    group.command("use")(use)
    group.command("auto")(auto)
    app.add_typer(group, name="provider")


# --- live


def live(
    ctx: typer.Context,
    channel: Annotated[str, typer.Argument(help="sms, email, zns")],
    by: By,
    off: Annotated[bool, typer.Option("--off", help="stop: from now on nothing of this channel goes to people; messages wait")] = False,
    data: Data = None,
) -> None:
    """Let a channel write to people. Refused until `doctor --go-live` is satisfied for it; every switch is in the audit trail."""
    with wired(ctx, data) as w:
        ledger, mode = w.ledger("cli"), w.out.reach.mode(channel)
        if off:
            _known_channel(w, ledger, channel)
        else:
            lacking = [c for c in going_live.examine(w, ledger, [channel]) if not c.ok]
            if lacking:
                sys.stderr.write("".join(going_live.line(check) for check in lacking))
                raise Refusal(f"{channel} does not go live: {len(lacking)} checks are not satisfied. `hailong doctor --go-live` shows all.")
        with ledger.begin() as tx:
            login = known_login(tx, by)
            provider = w.ways[channel].main if channel in w.ways else ""
            changed = tx.switch(channel, provider, on=not off, by=login, real_now=real_now())
            if changed:
                did: AuditAct = "channel_off" if off else "channel_live"
                tx.audited(at_the_keyboard(), did, f"channel:{channel}", {"by": login, "provider": provider})
    if off:
        say(_told_off(channel, mode, changed))
    else:
        say(f"{channel} is live: from now on it writes to people." if changed else f"{channel} is live already.")


def _known_channel(w: Wiring, ledger: Ledger, channel: str) -> None:
    """Raises Invalid for a channel that is neither set up nor live: a slip of the pen must not look like a stop."""
    with ledger.read() as reader:
        known = [*w.ways, *(one for one in reader.live_channels() if one not in w.ways)]
    if channel not in known:
        raise Invalid(
            "unknown", "channel", f"there is no channel {channel}, and nothing was switched off. Channels here are {', '.join(known)}"
        )


def _told_off(channel: str, mode: Mode, changed: bool) -> str:
    """What a channel that is off does now. Raises Refusal in a trial: what the switch does not stop goes on."""
    was = "is off" if changed else "is off already"
    if mode == "trial":
        raise Refusal(
            f"{channel} is in mode trial, which this switch does not end: guests go on being written to. To stop that too, stop `send` "
            f"(`docker compose stop send`; on one machine `bin/hailong down`), or take {channel}=trial out of HAILONG_CHANNEL_MODES and "
            f"start again."
        )
    if mode == "carrier":
        return f"{channel} {was}: its mode is carrier, so nobody is written to."
    return f"{channel} {was}: its messages wait."


# --- providers


def listed(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """Each channel's main and reserve provider, who carries it now and why, how it went lately, what it may still send and cost."""
    with wired(ctx, data) as w, w.ledger("cli").read() as reader:
        found = carrying.carriers(w, reader, w.clock.now(), real_now())
    if as_json:
        print_json([asdict(one) for one in found])
        return
    print_table(_CARRIERS, map(_row, found))


def _row(c: Carrier) -> list[str]:
    since = c.since.astimezone(LOCAL).isoformat(timespec="minutes") if c.since else "the beginning"
    why = f"{c.why} ({c.by})" if c.why else ""
    lately = f"{c.taken} taken, {c.refused} refused, {c.slow} slow"
    turns = "no limit" if c.turns is None else f"{c.rate:g} a second, {c.turns:.0f} free now"
    return [c.channel, c.mode, c.now, c.main, c.reserve or "none", since, why, lately, turns, f"{c.cost_today:,}", c.held or ""]


def use(
    ctx: typer.Context, channel: Channel, provider: Annotated[str, typer.Argument(help="main or reserve")], by: By, data: Data = None
) -> None:
    """From now on this provider carries the channel, until a person says otherwise: nothing switches by itself."""
    _switch(ctx, channel, provider, by, data)


def auto(ctx: typer.Context, channel: Channel, by: By, data: Data = None) -> None:
    """Give the choice back: over to the reserve on refusals and slowness, and back after a quiet time."""
    _switch(ctx, channel, None, by, data)


def _switch(ctx: typer.Context, channel: str, provider: str | None, by: str, data: Data) -> None:
    with wired(ctx, data) as w:
        ledger, publisher = w.ledger("cli"), w.publisher("cli")
        with ledger.read() as reader:
            login = known_login(reader, by)
        try:
            now = carrying.use(w, ledger, publisher, channel, provider, carrying.Hand(login, at_the_keyboard(), real_now()))
        finally:
            publisher.close()
    say(f"{channel} is carried by {now}, {'until a person says otherwise' if provider else 'and switches by itself again'}.")


# --- stuck


def stuck(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """Everything that may stand still, with its number and the next step; exit code 1 when something does."""
    with wired(ctx, data) as w:
        found = Running(w, w.ledger("cli")).look().states
    if as_json:
        print_json([{**asdict(state), **asdict(told(state, "en"))} for state in found])
    else:
        for state in found:
            said, number = told(state, "en"), "?" if state.number is None else f"{state.number:,}"
            sys.stdout.write(f"{'NO ' if state.stuck else 'ok '} {state.id:<14} {number:>7}  {said.said}\n")
            if state.stuck:
                sys.stdout.write(f"{'':>28}{said.next}\n")
    if any(state.stuck for state in found):
        raise typer.Exit(1)


# --- costs


def costs(
    ctx: typer.Context,
    month: Annotated[str | None, typer.Option(help="YYYY-MM [default: this month]")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What messages cost, by day, unit and channel; and what is left of today's money."""
    if month is not None and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise Refusal(f"--month {month}: not a month. Write it as 2026-03.", wrong_use=True)
    with wired(ctx, data) as w:
        running = Running(w, w.ledger("cli"))
        looked = running.look()
        of, rows = (month, running.costs_of(month)) if month else running.costs()
    document: dict[str, Any] = {
        "month": of, "today": asdict(looked.money), "days": [asdict(row) for row in rows], "cost": sum(row.cost for row in rows),
    }  # fmt: skip
    if as_json:
        print_json(document)
        return
    left = f"of {looked.money.budget:,} đ a day" if looked.money.budget else "no limit a day"
    sys.stdout.write(f"Today {looked.money.spent:,} đ, {left}. {of}: {document['cost']:,} đ.\n")
    for title, key in (("unit", lambda c: (c.unit, c.channel)), ("day", lambda c: (c.day, c.channel))):
        lines = [[str(at[0]), at[1], f"{n:,}", f"{segments:,}", f"{money:,}"] for at, n, segments, money in summed(rows, key)]
        if lines:
            print_table((title, "channel", "messages", "segments", "đ"), lines)
