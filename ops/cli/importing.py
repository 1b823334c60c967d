"""Commands that take in what people state from elsewhere: import totals, references, procedures, answers of earlier surveys."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
import typer

from hailong.domain.units import LOCAL
from hailong.events import EarlierStated, ProcedureChanged, ReferenceStated, TotalsStated
from ops.cli.door import Data, Json, existing, print_json, say, wired
from ops.keyboard import at_the_keyboard
from ops.wiring import Wiring
from producers.earlier import REASONS, Earlier, load_series, read_answers, report, statements
from producers.lists import Places
from producers.reports import ready
from producers.stated import Changed, Listed, Recorder, changes, read_procedures, read_references, read_totals

SHOWN: Final = 40
"""Changes a dry run prints; --json gives all."""
DryRun = Annotated[bool, typer.Option("--dry-run", help="only show what would change")]
S = TypeVar("S", TotalsStated, ReferenceStated, ProcedureChanged, EarlierStated)
Reading = Callable[[Places, date], Listed[S]]
"""(the registered units, today) → the list."""


def register(imports: typer.Typer) -> None:
    """Add this module's commands to ``import``."""
    imports.command("totals")(import_totals)
    imports.command("references")(import_references)
    imports.command("procedures")(import_procedures)
    imports.command("answers")(import_answers)


def noted(w: Wiring, what: str, detail: Mapping[str, Any]) -> None:
    """An import, in the audit trail."""
    with w.ledger("cli").begin() as tx:
        tx.audited(at_the_keyboard(), "imported", what, detail)


def import_totals(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV or JSON")],
    dry_run: DryRun = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take the portal's monthly totals: unit, month, received, ended, overdue, petitions, dislikes, source."""
    _take(ctx, data, TotalsStated, lambda places, today: read_totals(existing(file), places, today), "totals", dry_run, as_json)


def import_references(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV or JSON")],
    dry_run: DryRun = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take figures of other measurements (SIPAS, Decision 766): series, unit, period, value, scale, n, source. Shown beside ours."""
    _take(ctx, data, ReferenceStated, lambda places, today: read_references(existing(file), places, today), "references", dry_run, as_json)


def import_procedures(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV or JSON")],
    dry_run: DryRun = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take the dated catalogue: code, name, field, level, sensitive, valid_from, valid_to, source."""
    _take(ctx, data, ProcedureChanged, lambda _places, _today: read_procedures(existing(file)), "procedures", dry_run, as_json)


def _take(ctx: typer.Context, data: Path | None, kind: type[S], read: Reading[S], what: str, dry_run: bool, as_json: bool) -> None:
    with wired(ctx, data) as w:
        listed = read(_places(w), w.clock.now().astimezone(LOCAL).date())
        if dry_run:
            found = _compared(w, kind, listed.rows)
        else:
            changed = _put(w, listed.rows)
            noted(w, what, {"rows": len(listed.rows), "changed": changed})
    if dry_run:
        _show(what, len(listed.rows), found, as_json)
    elif as_json:
        print_json({"rows": len(listed.rows), "changed": changed, "masked": dict(listed.hidden)})
    else:
        say(f"{len(listed.rows)} {what}, {changed} new or changed.")
    _tell_hidden(listed.hidden)


def import_answers(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV or JSON lines")],
    mapping: Annotated[Path, typer.Option(help="TOML: the series, its scale, its columns (see examples/answers/)")],
    dry_run: DryRun = False,
    data: Data = None,
    report_to: Annotated[Path | None, typer.Option("--report", help="where refused lines are reported (default: FILE.refused.csv)")] = None,
    as_json: Json = False,
) -> None:
    """Take an earlier survey as counts, a series of its own. The same file twice changes nothing. Exit code 1 when a line was refused."""
    refusals = report_to or file.with_name(f"{file.name}.refused.csv")
    with wired(ctx, data) as w:
        known = load_series(existing(mapping))
        ready(refusals) if file.exists() else None
        found = read_answers(existing(file), known, _places(w), w.clock.now().astimezone(LOCAL).date())
        with w.ledger("cli").read() as reader:
            rows = statements(found, reader.statements(EarlierStated))
        told: dict[str, Any] = report(found) | {"rows": len(rows), "report": _reported(found, refusals)}
        if dry_run:
            differing = _compared(w, EarlierStated, rows)
        else:
            told["changed"] = _put(w, rows)
            noted(w, "answers", {name: told[name] for name in ("series", "lines", "refused", "rows", "changed")})
    if dry_run:
        _show("counts", len(rows), differing, as_json, told)
    elif as_json:
        print_json(told)
    else:
        say(f"{found.lines:,} lines: {len(rows):,} counts of the series {known.series}, {told['changed']:,} new or changed.")
    _tell_refused(found, told["report"])
    _tell_hidden(known.hidden)
    raise typer.Exit(1 if found.refused else 0)


# --- shared ---------------------------------------------------------------------------------------------------------------------


def _places(w: Wiring) -> Places:
    with w.ledger("cli").read() as reader:
        return Places(reader.units())


def _compared(w: Wiring, kind: type[S], rows: Sequence[S]) -> list[Changed]:
    with w.ledger("cli").read() as reader:
        return changes(rows, reader.statements(kind))


def _put(w: Wiring, rows: Sequence[Any]) -> int:
    publisher = w.publisher("import")
    try:
        return Recorder(w.ledger("cli"), publisher).put(rows, w.clock.now())
    finally:
        publisher.close()


def _show(what: str, n: int, found: Sequence[Changed], as_json: bool, more: Mapping[str, Any] | None = None) -> None:
    """What a dry run found."""
    if as_json:
        print_json({"rows": n, **(more or {}), "changes": [_change(c) for c in found]})
        return
    for c in found[:SHOWN]:
        about = ", ".join(str(part) for part in c.about.values())
        say(f"{about}: " + ("new" if c.new else ", ".join(f"{name}: {_shown(a)} → {_shown(b)}" for name, (a, b) in c.fields.items())))
    if len(found) > SHOWN:
        say(f"… and {len(found) - SHOWN} more; --json shows all.")
    say(f"{n} {what}, {len(found)} would be new or changed; nothing was written.")


def _change(c: Changed) -> dict[str, Any]:
    fields = {name: {"is": msgspec.to_builtins(a), "would_be": msgspec.to_builtins(b)} for name, (a, b) in c.fields.items()}
    return {"about": msgspec.to_builtins(c.about), "new": c.new, "fields": fields}


def _shown(value: Any) -> str:
    return "nothing" if value in (None, "") else str(value)


def _reported(found: Earlier, path: Path) -> str | None:
    """Where line, column and reason of what was refused stand; None when nothing was."""
    if not found.refused:
        return None
    with path.open("w", newline="", encoding="utf-8-sig") as out:  # the mark makes spreadsheets read it as UTF-8
        writer = csv.writer(out)
        writer.writerow(("line", "column", "reason"))
        writer.writerows((r.number, r.column, r.reason) for r in found.refused)
    return str(path)


def _tell_refused(found: Earlier, place: str | None) -> None:
    for reason, n in sorted(Counter(r.reason for r in found.refused).items()):
        say(f"  refused, {reason} ({REASONS[reason]}): {n:,}")
    if place:
        say(f"Refused lines stand in {place}; mend them and import the whole file again.")


def _tell_hidden(hidden: Mapping[str, int]) -> None:
    if hidden:
        kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(hidden.items()))
        say(f"Masked in the sources, for it may name or find a person: {kinds}. Name a publication and its day instead of a link.")
