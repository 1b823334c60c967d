"""``hailong kiosk``: enrol a survey device at a desk, list devices, close one."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from hailong.domain.units import LOCAL
from hailong.ports import Invalid
from ops.cli.door import Data, Json, print_json, say, wired
from ops.cli.tables import print_table
from ops.keyboard import at_the_keyboard
from ops.kiosks import offer
from ops.local.refusal import Refusal
from sinks.ledger.kiosks import ENROL, KioskDevice

_NAME: int = 60


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(no_args_is_help=True, help="Survey devices at desks: enrol one, list them, close one.")
    for name, command in (("enrol", enrol), ("list", listed), ("close", close)):
        group.command(name)(command)
    app.add_typer(group, name="kiosk")


def enrol(
    ctx: typer.Context,
    unit: Annotated[str, typer.Option(help="code of the desk where the device stands: its queue numbers open questions there")],
    name: Annotated[str, typer.Option(help="what the list calls the device")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A one-time address: opened on the device within 24 hours, its button makes that browser a survey device."""
    called = name.strip()
    if not 0 < len(called) <= _NAME or not called.isprintable():
        raise Refusal(f"--name: give the device a name of at most {_NAME} letters.", wrong_use=True)
    with wired(ctx, data) as w:
        now = w.clock.now()
        made = KioskDevice(secrets.token_hex(4), unit, called, now, at_the_keyboard(), None, None, None)
        try:
            address = offer(w.ledger("cli"), made, secrets.token_urlsafe(24), w.settings.survey_url)
        except Invalid as fault:
            raise Refusal(f"--unit {fault.detail}", wrong_use=True) from fault
    if as_json:
        print_json({"id": made.id, "unit": unit, "name": called, "address": address, "until": now + ENROL})
        return
    say(f"Open this on the device within 24 hours and press the button; it works once. The list calls the device {made.id}.")
    typer.echo(address)


def listed(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """Every device, the newest first."""
    with wired(ctx, data) as w:
        now = w.clock.now()
        with w.ledger("cli").read() as reader:
            found = reader.kiosks()
    if as_json:
        print_json([asdict(one) | {"state": _state(one, now)} for one in found])
        return
    if not found:
        say("No device yet. `hailong kiosk enrol --unit CODE --name NAME` makes the address that enrols one.")
        return
    rows = [[one.id, one.unit, one.name, _state(one, now), _moment(one.seen_at)] for one in found]
    print_table(("id", "unit", "name", "state", "last used"), rows)


def _state(device: KioskDevice, now: datetime) -> str:
    if device.closed_at is not None:
        return "closed"
    if device.enrolled_at is not None:
        return "enrolled"
    return "waits" if now < device.made_at + ENROL else "too late"


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(LOCAL).isoformat(timespec="minutes")


def close(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(help="id of the device, as the list has it")],
    data: Data = None,
) -> None:
    """The device opens no question any more; nor does its address, if it waits."""
    with wired(ctx, data) as w, w.ledger("cli").begin() as tx:
        done = tx.close_kiosk(device, at_the_keyboard(), w.clock.now())
    if not done:
        raise Refusal(f"{device}: no open device has this id. `hailong kiosk list` has them.")
    say(f"{device} is closed.")
