"""``hailong slips``: print slips, stickers and posters; bind a slip to a dossier; what became of each batch."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Final, cast, get_args

import typer

from hailong.domain import slips
from hailong.domain.people import clean
from hailong.domain.units import LOCAL, Registry
from hailong.ports import Invalid
from ops import slips as paper
from ops.cli.door import Data, Json, print_json, say, wired
from ops.cli.tables import print_table
from ops.keyboard import at_the_keyboard
from ops.local.refusal import Refusal
from ops.wiring import Wiring
from sinks.ledger import Ledger
from sinks.ledger.drawing import by_refs, sources
from sinks.ledger.slips import Binding, batches, known
from surveys.wording import office

_KINDS: Final = " | ".join(get_args(paper.Kind))
_MARK: Final = 4
"""Signs that tell two batches of a day apart."""
_FAULTS: Final[dict[slips.Fault, str]] = {
    "letters": "SLIP: it has a sign that no slip has (such as 0, 1, I, L, O). Read it off the paper again.",
    "length": f"SLIP: the code of a slip has {slips.LENGTH} signs. Type them all, and no others.",
    "check": "SLIP: one sign is wrong or two are swapped, for the last does not fit the others. Read it off the paper again.",
}
_BIND: Final = {
    "unknown": "No slip with this code was printed here. See whether it is another office's; `hailong slips list` has this one's batches.",
    "taken": "This slip leads to another dossier already, and a slip leads to one. Give out a fresh slip and bind that.",
    "has_another": "This dossier has another slip already, and a dossier has one. Use that one, and give this one to somebody else.",
}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(
        no_args_is_help=True, help="Codes on paper: print slips, stickers, posters; bind a slip to a dossier; list batches."
    )
    for name, command in (("print", print_), ("bind", bind), ("list", listed)):
        group.command(name)(command)
    app.add_typer(group, name="slips")


# --- print


def print_(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="a new PDF, for its owner only (0600)")],
    kind: Annotated[str, typer.Option(help=f"{_KINDS}: A5, one a page; A4, 24 labels of 70 × 37 mm; A4 without a code")] = "slip",
    n: Annotated[int, typer.Option("--n", min=1, max=paper.MOST, help="so many codes; of a poster there is one page")] = 1,
    unit: Annotated[str | None, typer.Option(help="code of the desk whose name stands on slip and poster")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """New codes as a PDF. They stand in that file and nowhere else: print it, then delete it."""
    wanted = _kind(kind, n)
    with wired(ctx, data) as w:
        ledger, day = w.ledger("cli"), w.clock.now().astimezone(LOCAL).date()
        imprint = paper.Imprint(office(), w.settings.survey_url, _unit(ledger, unit, day), _batch(day, wanted, unit), day)
        codes = [] if wanted == "poster" else paper.new_codes(n, secrets.token_bytes, lambda some: _taken(w, ledger, some))
        with _new_file(out, paper.printed(wanted, codes, imprint)):
            if codes:
                _note(w, ledger, codes, imprint, {"kind": wanted, "n": n, "unit": unit or "none"})
        address = w.settings.survey_url
    made = {
        "batch": imprint.batch if codes else None,
        "kind": wanted,
        "codes": len(codes),
        "pages": paper.pages(wanted, n),
        "file": str(out),
    }
    if not address.startswith("https://"):
        say(f"It leads to {address}, which others cannot reach safely: for tries only. HAILONG_SURVEY_URL names the public address.")
    if as_json:
        print_json(made)
    elif codes:
        say(f"{len(codes):,} codes of batch {imprint.batch} are in {out}, and nowhere else. Print it, then delete it.")
    else:
        say(f"The poster is in {out}; it holds no code, so it can be copied freely.")


def _kind(typed: str, n: int) -> paper.Kind:
    if typed not in get_args(paper.Kind):
        raise Refusal(f"--kind {typed}: cannot be printed. There are {_KINDS}.", wrong_use=True)
    if typed == "poster" and n > 1:
        raise Refusal(f"--n {n}: all posters are the same, so there is one page. Leave --n out, and copy it.", wrong_use=True)
    return cast(paper.Kind, typed)


def _unit(ledger: Ledger, code: str | None, day: date) -> str | None:
    """The name of a unit that is there on a day."""
    if code is None:
        return None
    with ledger.read() as reader:
        found = Registry(reader.units()).on(code, day)
    if found is None:
        raise Refusal(f"--unit {code}: no such unit today. `hailong import units` brings it in.", wrong_use=True)
    return found.name


def _batch(day: date, kind: str, unit: str | None) -> str:
    mark = slips.new_code(secrets.token_bytes(slips.RANDOM_BYTES))[:_MARK]
    return "-".join(part for part in (day.isoformat(), kind, unit, mark) if part)


def _hashes(w: Wiring, codes: Sequence[str]) -> dict[str, str]:
    """Hash → code."""
    return {hashed: code for code in codes if (hashed := w.keyed.slip_hash(code)) is not None}


def _taken(w: Wiring, ledger: Ledger, codes: Sequence[str]) -> set[str]:
    of = _hashes(w, codes)
    with ledger.read() as reader:
        return {of[hashed] for hashed in known(reader, list(of))}


def _note(w: Wiring, ledger: Ledger, codes: Sequence[str], imprint: paper.Imprint, detail: dict[str, object]) -> None:
    """The hashes of the codes into the ledger. Raises Refusal when somebody else's are the same."""
    with ledger.begin() as tx:
        if tx.register_slips(list(_hashes(w, codes)), imprint.batch, w.clock.now()) < len(codes):
            raise Refusal("Another batch was printed at the same moment and has one of these codes. Nothing was kept; print again.")
        tx.audited(at_the_keyboard(), "slip_printed", f"batch:{imprint.batch}", detail)


@contextmanager
def _new_file(out: Path, content: bytes) -> Iterator[None]:
    """Written for its owner only; it does not stay when it was not written whole, or the ledger did not take its codes."""
    try:
        place = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as e:
        raise Refusal(f"--out {out}: cannot be written ({e.strerror}). Name a new file in a folder of yours.", wrong_use=True) from None
    try:
        try:
            with os.fdopen(place, "wb") as file:
                file.write(content)
        except OSError as e:
            raise Refusal(f"--out {out}: cannot be written whole ({e.strerror}). Make room, or name another folder.") from None
        yield
    except BaseException:
        out.unlink(missing_ok=True)
        raise


# --- bind


def bind(
    ctx: typer.Context,
    slip: Annotated[str, typer.Argument(help="code of the slip, as printed")],
    dossier: Annotated[str, typer.Argument(help="code of the dossier; - asks for it, so that it stands in no list of processes")],
    source: Annotated[str | None, typer.Option(help="of the dossier's code [default: every source is tried]")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """From now on the slip leads to this dossier. Goes into the audit trail; the same again changes nothing."""
    code, wrong = slips.parse(slip), slips.fault(slip)
    if code is None or wrong is not None:
        raise Refusal(_FAULTS[wrong or "check"], wrong_use=True)
    with wired(ctx, data) as w:
        ledger = w.ledger("cli")
        ref = _dossier(w, ledger, clean(_asked() if dossier == "-" else dossier), source)
        became, kept_back = _bound(w, ledger, code, ref)
    if became in _BIND:
        raise Refusal(_BIND[became])
    if kept_back is not None:
        say(
            f"Note: answers came in by this slip, and the log did not take them: {kept_back.rstrip('.')}. They are kept, and the timer "
            "passes them on once the log is back; `hailong status` tells whether both run."
        )
    if as_json:
        print_json({"binding": became})
    else:
        say("The slip leads to the dossier." if became == "bound" else "The slip leads to this dossier already.")


def _bound(w: Wiring, ledger: Ledger, code: str, ref: str) -> tuple[Binding, str | None]:
    with closing(w.publisher("slips")) as publisher:
        try:
            return paper.bound(ledger, publisher, code, ref, w.clock.now())
        except Invalid as e:
            raise Refusal(f"{e.detail}. Take another dossier's code; this slip is still free.") from e


def _asked() -> str:
    say("Type the dossier's code and press Enter:")
    return sys.stdin.readline()


def _dossier(w: Wiring, ledger: Ledger, code: str, source: str | None) -> str:
    """The dossier_ref of a dossier's code. Raises Refusal, which does not repeat the code."""
    with ledger.read() as reader:
        tried = sources(reader) if source is None else [source]
        found = by_refs(reader, [w.keyed.dossier_ref(one, code) for one in tried])
    if len(found) > 1:
        raise Refusal(
            f"Several sources have a dossier of this code: {', '.join(sorted(f.source for f in found))}. Add --source.", wrong_use=True
        )
    if not found:
        where = f"of the source {source}" if source else "of any source"
        raise Refusal(f"No dossier {where} has this code. A dossier is known once it has ended. Check the code and --source.")
    return found[0].dossier_ref


# --- list


def listed(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """Batches, newest first: how many were made, lead to a dossier, lead to none yet, and hold an answer until they do."""
    with wired(ctx, data) as w, w.ledger("cli").read() as reader:
        found = batches(reader, w.clock.now())
    if as_json:
        print_json([asdict(one) | {"unbound": one.unbound} for one in found])
        return
    if not found:
        say("No slip was printed yet. `hailong slips print --n 24 --kind sticker --out FILE.pdf` makes a sheet.")
        return
    rows = [
        [b.batch, b.made_at.astimezone(LOCAL).isoformat(timespec="minutes"), *(f"{x:,}" for x in (b.made, b.bound, b.unbound, b.held))]
        for b in found
    ]
    print_table(("batch", "made at", "made", "bound", "unbound", "answers held"), rows)
