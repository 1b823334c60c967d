"""``hailong rights``: what was erased when, everything about one person, erasing one person, the next pepper; and ``import optouts``."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from hailong.domain.people import normal_mail, normal_phone
from hailong.domain.units import LOCAL
from hailong.ports import Permanent, Retryable
from ops import rights
from ops.cli.door import Data, Json, existing, print_json, say, wired
from ops.cli.tables import print_table
from ops.keyboard import at_the_keyboard
from ops.local.refusal import Refusal
from ops.wiring import Wiring
from producers.optouts import OptOutReport, read_optouts, take_optouts
from producers.reports import ready
from sinks.ledger import Ledger
from sinks.ledger.persons import ContactKind

Phone = Annotated[str | None, typer.Option(help="their telephone number; - asks for it, so that it stands in no list of processes")]
Email = Annotated[str | None, typer.Option(help="their mail address; or -")]
Applicant = Annotated[str | None, typer.Option(help="SOURCE:ID, as the one-stop software knows them; or -")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(no_args_is_help=True, help="Personal data: report what was erased; export or erase one person; renew the pepper.")
    for name, command in (("report", report), ("export", export), ("erase", erase), ("pepper", pepper)):
        group.command(name)(command)
    app.add_typer(group, name="rights")


# --- report


def report(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """What was erased on which day, which keys were discarded, what still lies sealed; reported fakes."""
    with wired(ctx, data) as w, w.ledger("cli").read() as reader:
        document = rights.report(w, reader)
    if as_json:
        print_json(document)
        return
    print_table(("day", "what", "n", "key of"), [[e["day"], e["what"], f"{e['n']:,}", e["key_month"]] for e in document["erased"]])
    for line in rights.sentences(document):
        say(line)


# --- one person


def export(
    ctx: typer.Context,
    phone: Phone = None,
    email: Email = None,
    applicant: Applicant = None,
    out: Annotated[Path | None, typer.Option(help="a new file, for its owner only (0600); else stdout, if that is no terminal")] = None,
    data: Data = None,
) -> None:
    """Everything hailong can find about one person, as JSON. Make sure first who asks. Goes into the audit trail.

    By a number the dossiers of everybody who uses it are found. What was erased before, and answers that no longer lead to a dossier,
    cannot be found by anybody.
    """
    kind, value = _who(phone, email, applicant)
    if out is None and sys.stdout.isatty():
        raise Refusal("personal data is not written to a terminal. Name a file with --out, or pipe it.", wrong_use=True)
    if out is not None:
        _fresh(out).unlink()  # what cannot be written is refused before anybody is looked up
    with wired(ctx, data) as w:
        ledger = w.ledger("cli")
        with ledger.begin() as tx:  # the look is in the trail before anything is shown
            document = tx.export_person(kind, value, at_the_keyboard())
        document = rights.completed(w, document)
        with _handed_out(document, out), ledger.begin() as tx:
            tx.exported(kind, value, at_the_keyboard(), len(document["dossiers"]))
    if out is not None:
        say(f"{len(document['dossiers'])} dossiers, to {out}. Hand it to the person, then delete it here.")


@contextmanager
def _handed_out(document: dict[str, Any], out: Path | None) -> Iterator[None]:
    """Printed or written; the file does not stay when it was not written whole, or the trail did not take it."""
    if out is None:
        print_json(document)
        yield
        return
    text = rights.as_text(document)
    _fresh(out)
    try:
        out.write_text(text, "utf-8")
        yield
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _fresh(out: Path) -> Path:
    """A new, empty file for its owner only."""
    try:
        os.close(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as e:
        raise Refusal(f"--out {out}: cannot be written ({e.strerror}). Name a new file in a folder of yours.", wrong_use=True) from None
    return out


def erase(
    ctx: typer.Context,
    opt_out: Annotated[bool, typer.Option("--opt-out/--no-opt-out", help="nobody asks them again (a keyed hash stays), or nothing stays")],
    phone: Phone = None,
    email: Email = None,
    applicant: Applicant = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Erase what names one person, at their wish, and what joins them to their answers. Goes into the audit trail.

    Answers stay as counts: once the link of a dossier is gone, nobody can tell whose they are, so they cannot be found to be erased.
    """
    kind, value = _who(phone, email, applicant)
    with wired(ctx, data) as w:
        now = w.clock.now()
        ledger = w.ledger("cli")
        with ledger.begin() as tx:
            done = tx.erase_person(kind, value, now, now.astimezone(LOCAL).date(), opt_out=opt_out, by=at_the_keyboard())
        _tell(w, ledger)
    if as_json:
        print_json(done)
        return
    say(f"Erased for {done['dossiers']} dossiers: " + ", ".join(f"{what} {n}" for what, n in done.items() if what != "dossiers") + ".")
    say("Answers given before stay as counts; nobody can tell any more whose they are.")
    if done["hashes_kept"] and not opt_out:
        say("A keyed hash stays until the time between two askings is over, so that they are not asked again meanwhile.")


def _who(phone: str | None, email: str | None, applicant: str | None) -> tuple[ContactKind, str]:
    """The one person meant, normalised. Raises Refusal; its message does not repeat what was typed."""
    given = [(kind, value) for kind, value in (("phone", phone), ("email", email), ("person", applicant)) if value is not None]
    if len(given) != 1:
        raise Refusal("name one person: --phone, --email or --applicant.", wrong_use=True)
    kind, value = given[0]
    typed = _asked(kind) if value == "-" else value
    if kind == "phone":
        found = normal_phone(typed)
        normal: str | None = found.e164 if found else None
    else:
        normal = normal_mail(typed) if kind == "email" else typed.strip() if typed.strip().partition(":")[2] else None
    if normal is None:
        forms = {"phone": "a telephone number", "email": "a mail address", "person": "SOURCE:ID"}
        raise Refusal(f"what was typed is not {forms[kind]}. Check it and type it again.", wrong_use=True)
    return cast(ContactKind, kind), normal


def _asked(kind: str) -> str:
    """Typed or piped in: stdout is for the document alone."""
    say(f"Type the {kind} and press Enter:")
    return sys.stdin.readline().strip()


def pepper(ctx: typer.Context, data: Data = None) -> None:
    """Make the next version of the pepper of contacts. Opt-outs and caps go on: every version is tried. Back the new key up."""
    with wired(ctx, data) as w, w.ledger("cli").begin() as tx:
        version = w.keys.make_pepper()
        tx.audited(at_the_keyboard(), "key_made", f"key:preference/{version}")
    say(f"Version {version} is in {w.keys.folder}. Copy it to every machine that has the keys, and to their backup, today.")


# --- import optouts


def import_optouts(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, or one number or address a line")],
    data: Data = None,
    report: Annotated[Path | None, typer.Option(help="where refused lines are reported (default: FILE.refused.csv)")] = None,
    as_json: Json = False,
) -> None:
    """Opt out everybody on a list. The same file twice changes nothing. Exit code 1 when a line was refused."""
    refusals = report or file.with_name(f"{file.name}.refused.csv")
    with wired(ctx, data) as w:
        ledger = w.ledger("cli")
        existing(file)
        ready(refusals)

        def commit(contacts: Sequence[str]) -> int:
            with ledger.begin() as tx:
                return [tx.opt_out_number(contact, w.clock.now(), "list") for contact in contacts].count("under_way")

        done = take_optouts(read_optouts(file), file.name, commit)
        with ledger.begin() as tx:
            told = {"lines": done.lines, "contacts": done.contacts, "refused": done.refused.total()}
            tx.audited(at_the_keyboard(), "imported", "optouts", told)
        _tell(w, ledger)
    place = _report(done, refusals)
    if as_json:
        print_json(done.as_json() | {"report": place})
    else:
        said = f" {done.refused.total()} refused: see {place}." if place else ""
        say(f"{done.lines:,} lines, {done.contacts:,} numbers and addresses get no more messages.{said}")
        if done.under_way:
            say(f"To {done.under_way:,} of them a message was on its way already: that one may still arrive.")
    raise typer.Exit(1 if place else 0)


def _report(done: OptOutReport, path: Path) -> str | None:
    """Line and reason of what was refused."""
    if not done.refusals:
        return None
    try:
        with path.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(("line", "reason"))
            writer.writerows(done.refusals)
    except OSError as e:  # such as a disk that became full meanwhile
        raise Refusal(
            f"{done.contacts:,} numbers and addresses get no more messages, that holds; {done.refused.total()} lines were refused, and "
            f"their report {path} cannot be written ({e.strerror}). Import the file again with another --report."
        ) from e
    return str(path)


def _tell(w: Wiring, ledger: Ledger) -> None:
    """What was committed holds; the log hears of it now, or later from the timer when it is away."""
    rows: list[Any] = ledger.pending(10_000)
    if not rows:
        return
    publisher = w.publisher("cli")
    try:
        publisher.publish([row.record for row in rows])
        ledger.published([row.id for row in rows])
    except (Retryable, Permanent) as e:
        say(f"Note: committed, and told to the log later: {e.reason}.")
    finally:
        publisher.close()
