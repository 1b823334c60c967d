"""Commands about what flows: import, outcomes, alerts, outbox, deadletters, rebuild, sql, setup.

For the quality office and operations: where the public would see less, the command says so on stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from hailong.domain.units import LOCAL
from hailong.ports import Claimed, Permanent
from ops import rebuild as rebuilding
from ops import setup as setting_up
from ops.cli import importing
from ops.cli.door import Data, Json, day_of, existing, print_json, say, settings_of, wired
from ops.cli.rights import import_optouts
from ops.cli.tables import print_table
from ops.keyboard import at_the_keyboard
from ops.local.refusal import Refusal
from ops.wiring import Wiring
from producers.desk import Desk
from producers.importer import ImportOptions, bar, import_file
from producers.mapping import load_mapping
from producers.registry import Difference, Registrar, TargetRow, UnitRow, differences, read_targets, read_units
from sinks.clickhouse.connection import asked_by_hand

_WHOLE: Final = (
    "For the quality office and operations: nothing leaves this machine, so addresses and links are shown whole; do not publish."
)
_MASKED: Final = "For the quality office and operations: a channel is live, so addresses are masked and links left out; do not publish."


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    imports = typer.Typer(no_args_is_help=True, help="Take dossiers, units, targets, opt-outs or what others measured from a file.")
    imports.command("dossiers")(import_dossiers)
    imports.command("units")(import_units)
    imports.command("targets")(import_targets)
    imports.command("optouts")(import_optouts)
    importing.register(imports)
    app.add_typer(imports, name="import")
    app.command()(outcomes)
    app.command()(outbox)
    app.command()(rebuild)
    app.command()(sql)
    app.command()(setup)


# --- import ------------------------------------------------------------------------------------------------------------------


def import_dossiers(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV or JSON lines")],
    mapping: Annotated[Path, typer.Option(help="TOML: the upstream's columns and codes → ours (see examples/)")],
    data: Data = None,
    source: Annotated[str | None, typer.Option(help="name of the source; else the mapping's")] = None,
    as_if_on_time: Annotated[
        bool, typer.Option("--as-if-on-time", help="take each line as if it had come on the day it ended (tries)")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="where refused lines are reported (default: FILE.refused.csv)")] = None,
    as_json: Json = False,
) -> None:
    """Take dossiers from a file. The same file twice changes nothing. Exit code 1 when a line was refused."""
    with wired(ctx, data) as w:
        if as_if_on_time and not w.out.only_carrier:
            raise Refusal(
                "--as-if-on-time is refused where a message could leave the carrier: people would be asked about old dossiers. "
                "Try it on a local stack.",
                wrong_use=True,
            )
        publisher = w.publisher("import")
        desk = Desk(w.ledger("intake"), publisher, w.keyed, w.settings.registry_id)
        options = ImportOptions(source=source, as_if_on_time=as_if_on_time, report=report)
        with bar(existing(file)) as advance:
            done = import_file(file, load_mapping(existing(mapping)), desk, w.clock.now(), options, advance)
        publisher.close()
        importing.noted(w, "dossiers", {"lines": done.lines, "new": done.new, "source": source or "of the mapping"})
    if as_json:
        print_json(done.as_json())
    else:
        for sentence in done.sentences():
            say(sentence)
    raise typer.Exit(0 if done.complete else 1)


def import_units(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV or JSON")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show what would change")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take the dated list of units: code, name, level, parent, valid_from, valid_to; kind, gso, aliases, predecessors, source."""
    with wired(ctx, data) as w:
        rows = read_units(existing(file))
        if dry_run:
            with w.ledger("cli").read() as reader:
                found = differences(rows, reader.units())
            print_json({"rows": len(rows), "changes": [_change(d) for d in found]}) if as_json else _told(rows, found)
            return
        publisher = w.publisher("import")
        changed = Registrar(w.ledger("cli"), publisher, w.settings.registry_id).put_units(rows, w.clock.now())
        publisher.close()
        importing.noted(w, "units", {"rows": len(rows), "changed": changed})
    print_json({"rows": len(rows), "changed": changed}) if as_json else say(f"{len(rows)} units, {changed} new or changed.")


def _change(d: Difference) -> dict[str, Any]:
    fields = {name: {"is": msgspec.to_builtins(a), "would_be": msgspec.to_builtins(b)} for name, (a, b) in d.fields.items()}
    return {"code": d.code, "valid_from": d.valid_from.isoformat(), "new": d.new, "fields": fields}


def _told(rows: Sequence[UnitRow], found: Sequence[Difference]) -> None:
    for d in found:
        what = "new" if d.new else ", ".join(f"{name}: {_shown(a)} → {_shown(b)}" for name, (a, b) in d.fields.items())
        say(f"{d.code} from {d.valid_from.isoformat()}: {what}")
    say(f"{len(rows)} units, {len(found)} would be new or changed; nothing was written.")


def _shown(value: Any) -> str:
    built = msgspec.to_builtins(value)
    return built if isinstance(built, str) and built else "nothing" if built in (None, "", []) else msgspec.json.encode(built).decode()


def import_targets(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(metavar="VALUE|FILE", help="a fraction such as 0.87, or a CSV or JSON list")],
    valid_from: Annotated[str | None, typer.Option(help="first day, YYYY-MM-DD")] = None,
    valid_to: Annotated[str | None, typer.Option(help="first day it holds no more")] = None,
    unit: Annotated[str | None, typer.Option(help="for this unit and all below it; else for all")] = None,
    field: Annotated[str | None, typer.Option(help="for this field only")] = None,
    channel: Annotated[str | None, typer.Option(help="for dossiers handed in this way only: counter, online, postal")] = None,
    question: Annotated[str | None, typer.Option(help="for this question; else for the first")] = None,
    source: Annotated[str, typer.Option(help="who set it, where it is written")] = "quality office",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Set a target from a day on, or take a list of targets: value, valid_from, source; unit, field, channel, question, valid_to."""
    with wired(ctx, data) as w:
        if _number(what) is None:
            rows = read_targets(existing(Path(what)))
        else:
            if valid_from is None:
                raise Refusal("--valid-from is missing: the day from which the target holds, such as 2026-01-01", wrong_use=True)
            first, last = day_of("--valid-from", valid_from), day_of("--valid-to", valid_to) if valid_to else None
            narrow = {"unit": unit, "field": field, "channel": channel, "question": question}
            rows = [TargetRow(value=float(what), valid_from=first, valid_to=last, source=source, **narrow)]  # type: ignore[arg-type]
        with w.ledger("cli").read() as reader:
            known = {u.code for u in reader.units()}
        for row in rows:
            if row.unit is not None and row.unit not in known:
                raise Refusal(f"unit {row.unit}: no such unit. `hailong import units` brings it in.", wrong_use=True)
        publisher = w.publisher("import")
        new = Registrar(w.ledger("cli"), publisher, w.settings.registry_id).put_targets(rows, w.clock.now())
        publisher.close()
        importing.noted(w, "targets", {"rows": len(rows), "changed": new, "units": sorted({row.unit or "all" for row in rows})})
    print_json({"changed": new}) if as_json else say(f"{len(rows)} targets, {new} new or changed.")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def outcomes(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """Every valid dossier's outcome: asked, waiting, or not asked with the reason. The three add up."""
    with wired(ctx, data) as w, w.ledger("cli").read() as reader:
        document = reader.outcomes()
    if as_json:
        print_json(document)
        return
    kept = sum(document["not_asked"].values())
    told = [f"{document['valid']:,} valid dossiers: {document['asked']:,} asked, {document['waiting']:,} waiting, {kept:,} not asked"]
    told += [f"  {reason}: {n:,}" for reason, n in document["not_asked"].items()]
    sys.stdout.write("\n".join(told) + "\n")


def outbox(
    ctx: typer.Context,
    state: Annotated[str | None, typer.Option(help="claimed | handed_over | delivered | failed | unknown | released")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Messages as hailong knows them, newest first: to whom, what it says, its link, where it stands.

    For the quality office and operations. Where messages stay on this machine (a local stack) they are shown whole; while a channel is
    live, addresses are masked and links left out.
    """
    with wired(ctx, data) as w:
        ledger = w.ledger("cli")
        with ledger.begin() as tx:
            tx.audited(at_the_keyboard(), "message_seen", "outbox", {"state": state or "any", "limit": limit})
        with ledger.read() as reader:
            document = [_message(w, claimed, at) for claimed, at in reader.messages(state, limit)]
        whole = w.out.only_carrier
    say(_WHOLE if whole else _MASKED)
    if as_json:
        print_json(document)
        return
    rows = [[m["at"], m["channel"], m["to"], m["state"], m["subject"] or m["body"]] for m in document]
    print_table(("at", "channel", "to", "state", "subject or text"), rows)


def _message(w: Wiring, claim: Claimed, state: str) -> dict[str, Any]:
    """Where messages stay on this machine they are shown whole; else without what reaches or names a person."""
    made = w.compose(claim)
    link = f"{w.settings.survey_url.rstrip('/')}/{made.token}" if claim.kind == "invitation" else ""
    whole = w.out.only_carrier
    body = made.text if whole else made.text.replace(made.token, "…")
    return {
        "id": claim.claim_id, "at": claim.claimed_at.astimezone(LOCAL).isoformat(timespec="seconds"), "channel": claim.channel,
        "to": made.to if whole else masked(made.to), "subject": made.subject, "body": body,
        "link": link if whole else "", "state": state,
    }  # fmt: skip


def masked(address: str) -> str:
    """The shape of a number or an address, not the thing."""
    if "@" in address:
        name, _, domain = address.partition("@")
        return f"{name[:1]}…@{domain}"
    return f"{address[:3]}…{address[-2:]}" if address else ""


# --- log and store -----------------------------------------------------------------------------------------------------------


def rebuild(
    ctx: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="compare with the live figures and alerts; exit code 1 on any difference")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="leave the rebuilt database in ClickHouse")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Figures and alerts from the log alone, into an empty store and an empty judge."""
    raise typer.Exit(rebuilding.run(settings_of(ctx, data), compare=check, keep=keep, as_json=as_json))


def sql(ctx: typer.Context, query: str, data: Data = None, as_json: Json = False) -> None:
    """Ask ClickHouse. Reading only. Tables hold echoes of facts: count distinct ids."""
    with wired(ctx, data) as w:
        try:
            with asked_by_hand():
                result = w.clickhouse().query(query, settings={"readonly": 1})
        except Permanent as e:
            raise Refusal(f"{e.reason.rstrip('.')}. Mend the query.", wrong_use=True) from e
    rows = [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]
    if as_json:
        print_json(rows)
        return
    print_table(result.column_names, [list(map(_cell, row)) for row in result.result_rows])


def _cell(value: Any) -> str:
    return value.astimezone(LOCAL).isoformat() if isinstance(value, datetime) and value.tzinfo else str(value)


def setup(ctx: typer.Context, data: Data = None) -> None:
    """Keys, schemas and topics of an installation; harmless to repeat. Once per release."""
    with wired(ctx, data) as w:
        setting_up.set_up(w.settings)
    say("Ready.")
