"""``hailong demo``: a year of a district in minutes, then figures, alerts with their mails, and pages to look at."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dashboard.view import figures_json, question, view
from hailong.domain.units import LOCAL
from hailong.events import AlertChanged
from ops.cli.tables import print_table
from ops.demo import FORTNIGHT, OVERRIDES, RATE, Agenda, fortnight, pass_year, settled, write_notice
from ops.demo_truth import always_good, truth
from ops.doors_to_try import WANTED, to_try
from ops.drawing import log_stamps, redrawn
from ops.local.refusal import Refusal
from ops.local.stack import Stack
from ops.people import first_link
from ops.wiring import Wiring
from producers.simulator import NOTE, Plan, year
from sinks.clickhouse.diary import diary
from sinks.clickhouse.drawing import Draws
from sinks.clickhouse.queries import ClickHouseFigures

START: Final = date(2026, 1, 5)
"""A Monday."""
PORT_BASE: Final = 18500
_OUT: Final = Console()


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(demo)


def demo(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="end when the year is over instead of staying up")] = False,
    seed: Annotated[int, typer.Option(help="of people, days and answers")] = 7,
    days: Annotated[int, typer.Option(min=30, max=730, help="so many days pass")] = 365,
    port_base: Annotated[int, typer.Option(help="first of the eight ports")] = PORT_BASE,
    data: Annotated[Path | None, typer.Option(help="folder of its data, made anew (default: HOME/demo)")] = None,
) -> None:
    """Let a year of Lạc Sơn pass on this machine: real parts, simulated people; nothing leaves the machine."""
    folder = (data or ctx.obj.home / "demo").absolute()
    _make_room(folder)
    raise typer.Exit(asyncio.run(_run(ctx.obj.home, folder, port_base, year(seed, START, days), once)))


def _make_room(folder: Path) -> None:
    """An earlier demonstration goes; anything else stays."""
    if not folder.exists():
        return
    if any(folder.iterdir()) and not (folder / "notice.toml").exists():
        raise Refusal(f"{folder} is not a demonstration's folder, so it is not emptied. Choose a new one with --data.", wrong_use=True)
    try:
        shutil.rmtree(folder)
    except OSError as e:
        raise Refusal(f"{folder} cannot be emptied: {e.strerror}. Choose another folder with --data.") from e


async def _run(home: Path, folder: Path, port_base: int, plan: Plan, once: bool) -> int:
    begun = time.monotonic()
    overrides = OVERRIDES | {"notice_file": str(write_notice(folder))}
    agendas: list[Agenda] = []

    def pace(settings: Any) -> Agenda:
        agendas.append(Agenda(plan, settings))
        return agendas[0]

    _OUT.print("Starting Kafka, ClickHouse's engine, the carrier, six roles and three sites …", highlight=False)
    # A Monday at nine, as proofs and benchmarks too.
    start = datetime.combine(plan.start, clock_time(9), LOCAL).replace(tzinfo=None).isoformat(timespec="minutes")
    stack = Stack(folder, home=home, port_base=port_base, clock=f"{start}@{RATE}", overrides=overrides, pace=pace)
    async with stack:
        _OUT.print(f"Up after {time.monotonic() - begun:.0f} s. {NOTE}", highlight=False, soft_wrap=True)
        await _year(stack, agendas[0], plan)
        await settled(stack.settings)
        await _report(stack, plan, time.monotonic() - begun)
        if not once:
            await _stay(stack)
    return 0


async def _year(stack: Stack, agenda: Agenda, plan: Plan) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, console=_OUT, transient=False) as progress:
        task = progress.add_task("the year", total=plan.days, said="")

        def tell(now: datetime, seen: Agenda) -> None:
            passed = (now.date() - plan.start).days
            said = f"{now.day}/{now.month}/{now.year} · {seen.handed_in:,} dossiers · {seen.thanked:,} answers"
            progress.update(task, completed=min(passed, plan.days), said=said)

        await pass_year(stack, agenda, plan, tell)


async def _report(stack: Stack, plan: Plan, seconds: float) -> None:
    wiring = Wiring(stack.settings)
    with wiring.ledger("demo").read() as reader:
        outcomes, alerts = reader.outcomes(), reader.alerts(history=True)
    store = ClickHouseFigures(wiring.clickhouse(), stack.settings.registry_id, stack.settings.default_target)
    shown = figures_json(view(store, question({}), store.version(), "office", wiring.clock.now().date()))
    _print_figures(shown)
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in outcomes["not_asked"].items())
    _say(f"{outcomes['valid']:,} dossiers ended: {outcomes['asked']:,} asked, {outcomes['waiting']:,} waiting, not asked: {reasons}.")
    _say(await asyncio.to_thread(_asked_well, wiring, plan))
    await asyncio.to_thread(_print_fortnight, wiring, plan)
    for alert in alerts:
        _say(f"\n⚑ {alert.state}, {alert.at.astimezone(LOCAL):%d/%m/%Y}: {alert.sentence_vi}\n  {alert.sentence_en}")
        if known := _known(plan, alert):
            _say(f"  {known}")
    _say(_held(plan, alerts, stack.settings.default_target))
    await _mail(stack, [a.unit for a in alerts if a.state == "raised"])
    a = stack.addresses
    _say(f"\nThe seeded commune fell on {plan.falls_on:%d/%m/%Y}. {seconds:.0f} s in all.")
    for name, what in (("dashboard", "Officers' page"), ("carrier", "Messages"), ("intake", "Intake"), ("survey", "Survey site")):
        _say(f"{what:16} {a[name]}")
    await asyncio.to_thread(_print_doors, wiring, plan, stack.addresses)
    if made := first_link(stack.settings):
        _say(f"{'To sign in':16} {made[1]}\n{'':16} sets the password of the login {made[0]}, once, within 24 hours")


def _known(plan: Plan, alert: AlertChanged) -> str:
    """What the simulation says of a raise."""
    found = truth(plan, alert) if alert.state == "raised" else None
    if found is None:
        return ""
    before = "" if found.before is None else f", {found.before:.1%} before"
    verdict = "true" if found.true else "false"
    return f"In the simulation {found.during:.1%} of the {found.n:,} people it is about are satisfied{before}: {verdict}."


def _held(plan: Plan, alerts: Sequence[AlertChanged], target: float) -> str:
    """All raises against the simulation, and the communes that were good all the time."""
    found = [(a, one) for a in alerts if a.state == "raised" and (one := truth(plan, a)) is not None]
    good = always_good(plan, target, plan.start + timedelta(days=plan.days))
    rung = sorted({a.unit for a, _ in found} & set(good))
    return (
        f"\n{len(found)} alerts about answers were raised; {sum(one.true for _, one in found)} are true in the simulation. Of {len(good)} "
        f"communes that were on target in every quarter {len(rung)} had one{': ' + ', '.join(rung) if rung else ''}."
    )


def _print_doors(wiring: Wiring, plan: Plan, addresses: Mapping[str, str]) -> None:
    """What can be tried: people of the year who were asked and are silent."""
    people = to_try(wiring, plan)
    if len(people) < WANTED:
        return
    link, code, call, sms = people
    survey, office = addresses["survey"], addresses["dashboard"]
    _say("\nTo answer yourself, for simulated people who are still silent:")
    for name, what in (
        ("Link", link.link),
        ("Dossier code", f"{survey}/code with {code.dossier_code} and {code.digits}"),
        ("By telephone", f"{office}/assist or {office}/paper with {call.dossier_code}; /calls for who was drawn to be called"),
        ("By SMS", f"{addresses['carrier']}: open the message to the person of {sms.link.rpartition('/')[2]} and answer it"),
        ("Slip, kiosk", f"bin/hailong slips print …, bin/hailong kiosk enrol --unit {link.unit} … (--data as this folder)"),
        ("Receipt", f"{survey}/receipt"),
    ):
        _say(f"  {name:14} {what}")


def _asked_well(wiring: Wiring, plan: Plan) -> str:
    """How people were written to: at which hours, who stood for whom, and whether it was drawn."""
    with closing(wiring.clickhouse()) as client:
        days = diary(client, plan.start, plan.start + timedelta(days=plan.days))
        month = f"{plan.start + timedelta(days=min(plan.days // 2, 90)):%Y-%m}"
        draws = Draws(client, wiring.settings.registry_id)
        made = redrawn(month, draws, log_stamps(wiring.settings.kafka), wiring.rules, wiring.clock.now())
    written = [day for day in days if day.earliest]
    closed = [day for day in written if wiring.rules(day.on).hours.why_closed_on(day.on)]
    standing, represented = sum(d.standing for d in days), sum(d.represented for d in days)
    lines = [
        f"{sum(d.invitations for d in days):,} invitations and {sum(d.reminders for d in days):,} reminders were handed over, from "
        f"{min(d.earliest for d in written if d.earliest)} to {max(d.latest for d in written if d.latest)}; on Sundays and holidays: "
        f"{len(closed)} days.",
        f"{standing:,} people with several endings in 30 days were asked later about one of them, which was drawn; it stands for "
        f"{represented:,} others.",
    ]
    if made is not None:
        again = made.redraw
        lines.append(
            f"The draw of {made.month}: {again.decisions:,} decisions, {again.recomputed:,} made again from the published seeds, "
            f"{len(again.differences):,} differences."
        )
    return "\n".join(lines)


def _print_fortnight(wiring: Wiring, plan: Plan) -> None:
    """Two weeks with a holiday, day by day."""
    first = fortnight(plan, wiring)
    with closing(wiring.clickhouse()) as client:
        days = diary(client, first, first + FORTNIGHT)
        news = Draws(client, wiring.settings.registry_id).changes(datetime.combine(first, clock_time(0), LOCAL))
    rows = []
    for day in days:
        hours = f"{day.earliest}–{day.latest}" if day.earliest else wiring.rules(day.on).hours.why_closed_on(day.on) or "nothing due"
        carried = ", ".join(f"{provider} {n}" for provider, n in sorted(day.by.items()))
        over = [f"{c.channel}: {c.provider} instead of {c.before} ({c.reason})" for c in news if c.at.astimezone(LOCAL).date() == day.on]
        counts = (day.invitations, day.reminders, day.standing, day.represented, day.opt_outs)
        rows.append((f"{day.on:%a %d/%m/%Y}", hours, *(f"{n:,}" if n else "" for n in counts), carried, "; ".join(over)))
    columns = ("day", "written to", "invited", "reminded", "asked for others too", "represented", "opted out", "by", "change of provider")
    print_table(columns, rows, title="a fortnight with a holiday")


def _print_figures(shown: dict[str, Any]) -> None:
    rows = []
    for row in shown["rows"]:
        span = "" if row["suppressed"] else f"{100 * row['low']:.0f}–{100 * row['high']:.0f} %"
        rate = "too few" if row["suppressed"] else f"{100 * row['rate']:.1f} %"
        counts = (row[k] if row[k] is not None else "<10" for k in ("ended", "asked", "reached", "answered"))
        rows.append((row["name"], str(row["n"] if row["n"] is not None else "<10"), rate, span, *map(str, counts)))
    print_table(("unit", "n", "satisfied", "95 %", "ended", "asked", "reached", "answered"), rows, title=f"as of {shown['as_of']}")


async def _mail(stack: Stack, units: list[str]) -> None:
    """The mail of the first alert, as the carrier has it."""
    if not units:
        _say("\nNo alert was raised.")
        return
    to = Wiring(stack.settings).directory.of(units[0], confidential=False)[0]
    async with httpx.AsyncClient(timeout=60.0) as client:
        told = await client.get(f"{stack.addresses['carrier']}/messages.json", params={"channel": "email", "to": to, "limit": 1000})
    mails = [m for m in told.json() if "⚑" in m["body"]]
    if mails:
        _say(f"\nMail to {mails[-1]['to']}: {mails[-1]['subject']}\n{mails[-1]['body']}")


async def _stay(stack: Stack) -> None:
    _say("\nIt stays up until Ctrl-C.")
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    waiting = [asyncio.create_task(stop.wait()), asyncio.create_task(stack.failed())]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _say(text: str) -> None:
    _OUT.print(text, highlight=False, markup=False, soft_wrap=True)
