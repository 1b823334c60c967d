"""Commands around the local stack: up, down, status, settings, doctor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from hailong import settings as house
from hailong.settings import Settings
from ops.cli.tables import print_table
from ops.clock import Pace, make_clock, read_wish
from ops.local import doctor as examination
from ops.local.folder import DataFolder
from ops.local.home import REPOSITORY
from ops.local.lag import lags
from ops.local.ports import DEFAULT_BASE, Ports
from ops.local.refusal import Refusal
from ops.local.stack import ROLES, Stack

_STOP_WITHIN_S: Final = 15.0
_START_WITHIN_S: Final = 300.0
"""The first start fetches 45 MB of jars."""
_ADDRESSES: Final = ("intake", "survey", "dashboard", "carrier", "store", "kafka")
_TOLD: Final = Console(stderr=True)

Data = Annotated[Path | None, typer.Option(help="folder of this installation's data; made if it is not there (default: HOME/data)")]
PortBase = Annotated[int, typer.Option(help="first of the eight ports")]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (up, down, status, settings, doctor):
        app.command()(command)


def _folder(ctx: typer.Context, data: Path | None) -> DataFolder:
    return DataFolder(data or ctx.obj.home / "data")


def _say(text: str) -> None:
    _TOLD.print(text, highlight=False, markup=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def _pace(given: Settings) -> Pace:
    """What the clock of time-lapse asks. Imported only then: `status` is not to wait for the adapters."""
    made: Pace = import_module("ops.pace").InstallationPace(given)
    return made


# --- up -----------------------------------------------------------------------------------------------------------------------


def up(
    ctx: typer.Context,
    data: Data = None,
    port_base: PortBase = DEFAULT_BASE,
    clock: Annotated[str | None, typer.Option(help="real | START[@DAYS_PER_SECOND], START as 2026-03-02T09:00; default: as it was")] = None,
    workers: Annotated[list[str] | None, typer.Option(help="ROLE=N, may be repeated: so many processes of that role")] = None,
    only: Annotated[list[str] | None, typer.Option(help="only this part, may be repeated: kafka, store, carrier, …; default: all")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="return when all is ready; stop it with `down`")] = False,
    no_link: Annotated[bool, typer.Option("--no-link", hidden=True, help="who started this prints the administrator's link")] = False,
) -> None:
    """Start the whole of hailong on this machine and keep it running until Ctrl-C."""
    folder = _folder(ctx, data)
    _check_clock(clock)
    counts = _counts(workers or [])
    if detach:
        _detached(folder, _again(ctx, folder, port_base, clock, workers or [], only or []))
    else:
        stack = Stack(
            folder.path,
            home=ctx.obj.home,
            port_base=port_base,
            clock=clock,
            settings=ctx.obj.settings,
            named=house.named(),
            workers=counts,
            parts=only,
            pace=_pace,
            progress=lambda done, wanted, name: _say(f"Fetching Kafka, once: {done} of {wanted} ({name})"),
        )
        asyncio.run(_kept_up(stack, link=not no_link))


def _check_clock(text: str | None) -> None:
    try:
        read_wish(text or "real")
    except ValueError as fault:
        raise Refusal(
            f"--clock {text}: cannot be read ({fault}). Write real, a moment as 2026-03-02T09:00, or one with a pace in days a second "
            "as 2026-03-02T09:00@1.2.",
            wrong_use=True,
        ) from fault


def _counts(texts: Iterable[str]) -> dict[str, int]:
    counts = {}
    for text in texts:
        role, _, number = text.partition("=")
        if role not in ROLES or not number.isdecimal() or not 1 <= int(number) <= 64:
            raise Refusal(f"--workers {text}: write ROLE=N, the role one of {', '.join(ROLES)}, N from 1 to 64.", wrong_use=True)
        if role == "count" and int(number) > 1:
            raise Refusal(f"--workers {text}: count has one worker, which writes one order without a gap. Leave it out.", wrong_use=True)
        counts[role] = int(number)
    return counts


async def _kept_up(stack: Stack, link: bool) -> None:
    """Start, tell where (and how to sign in), wait for a signal, stop. Raises Refusal."""
    told_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    begun = time.monotonic()
    stop = asyncio.create_task(told_to_stop.wait())
    try:
        with _TOLD.status("Starting…"):
            await _first(asyncio.create_task(stack.start()), stop)
        if not told_to_stop.is_set():
            _say(f"Up after {time.monotonic() - begun:.1f} s, data in {stack.folder.path}. Ctrl-C stops it.")
            _print_addresses(_of_parts(stack.addresses, stack.pids()))
            if link and "dashboard" in stack.pids():
                await asyncio.to_thread(_print_link, stack.settings)
            await _first(asyncio.create_task(stack.failed()), stop)
    finally:
        killed = await stack.stop()
    _say("Stopped." + (f" Had to be killed: {', '.join(killed)}." if killed else ""))


async def _first(work: asyncio.Task[None], stop: asyncio.Task[Any]) -> None:
    """Until ``work`` is done or somebody wants to stop, whichever comes first; then the work is called off. Raises what it raises."""
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
    else:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def _of_parts(addresses: Mapping[str, str], parts: Container[str]) -> dict[str, str]:
    """Without those of parts that were not wanted (--only): nobody answers there."""
    return {name: addresses[name] for name in _ADDRESSES if name in parts}


def _print_addresses(addresses: dict[str, str]) -> None:
    for name, address in addresses.items():
        sys.stdout.write(f"{name:<10} {address}\n")
    sys.stdout.flush()


def _print_link(settings: Settings) -> None:
    """The first administrator's one-time link, while nobody has a password yet. Shown, never logged."""
    made = import_module("ops.people").first_link(settings)
    if made is not None:
        _say(f"Nobody can sign in on the officers' page yet. This link sets the password of the login {made[0]}, once, within 24 hours:")
        _print_addresses({"sign-in": made[1]})


def _again(
    ctx: typer.Context, folder: DataFolder, port_base: int, clock: str | None, workers: Iterable[str], only: Iterable[str]
) -> list[str]:
    """The same command for a process in another directory."""
    argv = [sys.executable, "-m", "ops", "--home", str(ctx.obj.home), "up", "--data", str(folder.path), "--port-base", str(port_base)]
    argv.append("--no-link")  # what it says goes into a file
    argv += ["--clock", clock] if clock is not None else []
    return argv + [f"--workers={one}" for one in workers] + [f"--only={one}" for one in only]


def _detached(folder: DataFolder, argv: list[str]) -> None:
    """Start ``argv`` in a session of its own and return when the stack is up. Raises Refusal, with the words of that process."""
    if (owner := folder.owner()) is not None:
        raise folder.in_use(owner)  # before its log is begun anew
    folder.make()
    log = folder.logs / "stack.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True, cwd=REPOSITORY)
    until = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise _ended(folder, log, process.returncode)
        if _is_up(folder, process.pid):
            told = folder.state()
            parts = {part["name"] for part in told["parts"]}
            _print_addresses(_of_parts(told, parts))
            if "dashboard" in parts:
                _print_link(house.load(told["settings"]))
            return
        time.sleep(0.1)
    raise Refusal(f"The stack was not up after {_START_WITHIN_S:.0f} s. See {log}, and stop it with `bin/hailong down`.")


def _ended(folder: DataFolder, log: Path, code: int) -> Refusal:
    """Why a detached start ended: its last words. Of a folder made only for it nothing stays; then the words before are told, too."""
    *before, last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [f"The stack ended at once, with {code}."]
    folder.forsake(log)
    if before and log.exists():
        before = [f"All it said: {log}"]
    for line in before:
        _say(line)
    return Refusal(last, wrong_use=code == 2)


def _is_up(folder: DataFolder, pid: int) -> bool:
    if folder.owner() != pid or not folder.state_file.exists():
        return False
    told = folder.state()  # perhaps still what an earlier stack told, that was killed
    return bool(told["supervisor"] == pid and told["state"] == "up")


# --- down, status -------------------------------------------------------------------------------------------------------------


def down(ctx: typer.Context, data: Data = None) -> None:
    """Stop the stack that runs on a data folder; nothing is lost. Done as well when none runs."""
    folder = _folder(ctx, data)
    owner = folder.owner()
    if owner is None:
        if not folder.path.is_dir():
            raise Refusal(f"There is no data folder {folder.path}, so nothing was stopped. Name the right one with --data.", wrong_use=True)
        _say(f"No stack runs on {folder.path}.")
        return
    with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
        os.kill(owner, signal.SIGTERM)
    until = time.monotonic() + _STOP_WITHIN_S
    while folder.owner() == owner:
        if time.monotonic() > until:
            raise Refusal(
                f"The stack on {folder.path} (process {owner}) did not stop within {_STOP_WITHIN_S:.0f} s. "
                f"`kill -9 {owner}` ends it and all its parts; what was acknowledged is kept."
            )
        time.sleep(0.05)
    _say(f"Stopped the stack on {folder.path}.")


def status(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """Where the parts of a running stack answer, and how far each role is behind the log."""
    folder = _folder(ctx, data)
    told = folder.state()
    told.pop("settings", None)  # for other commands, not for people
    workers = [(role, int(slot)) for role, _, slot in (part["name"].rpartition("-") for part in told["parts"]) if role in ROLES]
    behind = asyncio.run(lags(told["kafka"], folder.progress, workers))
    pids = {part["name"]: part["pid"] for part in told["parts"]}
    told["roles"] = [{"role": role, "slot": slot, "pid": pids[f"{role}-{slot}"], "lag": lag} for (role, slot), lag in behind.items()]
    now = make_clock(told["clock"]).now()
    told["now"] = now.isoformat(timespec="seconds")
    if as_json:
        _print_json(told)
        return
    clock = _clock_in_words(told["clock"], told.get("days_per_second"), now)
    _print_addresses(_of_parts(told, {part["name"] for part in told["parts"]}) | {"keys": told["keys"], "clock": clock})
    lag_of = {f"{role}-{slot}": lag for (role, slot), lag in behind.items() if lag is not None}
    rows = [(p["name"], p["state"], str(p["pid"] or ""), str(p["restarts"]), str(lag_of.get(p["name"], ""))) for p in told["parts"]]
    print_table(("part", "state", "process", "starts again", "lag"), rows)


def _clock_in_words(spec: str, days_per_second: float | None, now: datetime) -> str:
    """The installation's time, and what kind of time it is: ``2026-03-02 09:14, shifted``."""
    governed = "governed" if days_per_second is None else f"governed, {days_per_second:g} days a second"
    kind = {"real": "real", "offset": "shifted", "file": governed}[spec.partition(":")[0]]
    return f"{now:%Y-%m-%d %H:%M}, {kind}"


# --- settings, doctor ---------------------------------------------------------------------------------------------------------


def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="as docs/settings.md")] = False,
    as_json: Json = False,
) -> None:
    """Every setting: name, type, default, what it is for."""
    rows = [(name, kind.replace("PosixPath", "path"), str(default), text) for name, kind, default, text in house.table()]
    if as_json:
        _print_json([dict(zip(("name", "type", "default", "help"), row, strict=True)) for row in rows])
    elif markdown:
        sys.stdout.write("".join(_markdown(rows)))
    else:
        print_table(("setting", "type", "default", "for"), rows)


def _markdown(rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    yield "| setting | type | default | for |\n|---|---|---|---|\n"
    for name, kind, default, text in rows:
        shown = f"`{default}`" if default else ""
        yield f"| `{name}` | {kind} | {shown} | {text.replace('|', chr(92) + '|')} |\n"


def doctor(
    ctx: typer.Context,
    data: Data = None,
    port_base: PortBase = DEFAULT_BASE,
    acceptance: Annotated[
        bool, typer.Option("--acceptance", help="try everything hailong asks of its ClickHouse, ledger and Kafka, in scratch places")
    ] = False,
    go_live: Annotated[bool, typer.Option("--go-live", help="everything that must be in order before a channel writes to people")] = False,
    channel: Annotated[list[str] | None, typer.Option(help="with --go-live: only this channel, may be repeated [default: all]")] = None,
    as_json: Json = False,
) -> None:
    """Look at everything that could keep the stack from running here; exit code 1 when something would."""
    if acceptance:
        raise typer.Exit(_accepted(ctx, data, as_json))
    if go_live:
        raise typer.Exit(_may_go_live(ctx, data, channel, as_json))
    premises = examination.Premises(ctx.obj.home, _folder(ctx, data), Ports.from_base(port_base), ctx.obj.settings)
    findings = examination.examine(premises)
    if as_json:
        _print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            sys.stdout.write(f"{'ok ' if finding.ok else 'NO '} {finding.id:<14} {finding.found}\n")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _may_go_live(ctx: typer.Context, data: Path | None, channels: list[str] | None, as_json: bool) -> int:
    """Imported only then: `status` is not to wait for the adapters."""
    door, going_live = import_module("ops.cli.door"), import_module("ops.going_live")
    with door.wired(ctx, data) as w:
        checks = going_live.examine(w, w.ledger("cli"), channels)
    if as_json:
        _print_json([asdict(check) for check in checks])
    else:
        sys.stdout.write("".join(map(going_live.line, checks)))
    return 0 if all(check.ok for check in checks) else 1


def _accepted(ctx: typer.Context, data: Path | None, as_json: bool) -> int:
    """In a process of its own, whose imports no other command waits for. Whose settings hold: as in ops.cli.door."""
    folder = _folder(ctx, data)
    local = data is not None or folder.state_file.exists()
    env = house.inherited() | (folder.state()["settings"] if local else house.environment(ctx.obj.settings))
    argv = [sys.executable, "-m", "ops.acceptance", *(["--json"] if as_json else [])]
    return subprocess.run(argv, cwd=REPOSITORY, env=env, check=False).returncode
