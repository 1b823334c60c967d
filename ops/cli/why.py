"""``hailong why``: why one dossier is asked about or not, and what became of it; every use stands in the audit trail."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import timedelta
from typing import Annotated

import typer

from hailong.domain.people import clean
from ops.cli.door import Data, Json, print_json, say, wired
from ops.explaining import Sentences, told
from ops.keyboard import at_the_keyboard
from ops.local.refusal import Refusal
from ops.wiring import Wiring
from sinks.clickhouse.drawing import Draws
from sinks.ledger import Ledger
from sinks.ledger.drawing import Found, History, by_code, by_refs, history, sources
from streams.deciding import UNIT_DAYS
from web.pages import DEFAULT, LANGUAGES


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(why)


def why(
    ctx: typer.Context,
    code: Annotated[str, typer.Argument(help="of a link, a slip or, with its source, a dossier")],
    source: Annotated[str | None, typer.Option(help="of the dossier's code [default: every source is tried]")] = None,
    lang: Annotated[str, typer.Option(help=" or ".join(LANGUAGES))] = DEFAULT,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Each rule passed or not, with times and the rules' version, then each step. Never contacts, never an answer."""
    if lang not in LANGUAGES:
        raise Refusal(f"--lang {lang}: there are {' and '.join(LANGUAGES)}.", wrong_use=True)
    with wired(ctx, data) as w:
        way = looked_up(w, w.ledger("cli"), clean(code), source, at_the_keyboard())
        with closing(w.clickhouse()) as client:
            said = told(w, Draws(client, w.settings.registry_id), way)
    sentences = Sentences(lang)
    document = sentences.document(said)
    say(sentences.office_only)
    print_json(document) if as_json else sys.stdout.write("".join(f"{line}\n" for line in sentences.lines(document)))


def looked_up(w: Wiring, ledger: Ledger, code: str, source: str | None, actor: str) -> History:
    """What the ledger knows of the dossier a code leads to; the look is in the audit trail before anything is shown.

    Raises Refusal, which does not repeat the code.
    """
    with ledger.read() as reader:
        linked = by_code(reader, code) if source is None else None
        tried = sources(reader) if source is None else [source]
        found = [linked] if linked else by_refs(reader, [w.keyed.dossier_ref(one, code) for one in tried])
    one = found[0] if len(found) == 1 else None
    with ledger.begin() as tx:
        tx.audited(actor, "dossier_seen", f"dossier:{one.dossier_ref}" if one else "dossier:not found", {"door": "why"})
    if one is None:
        raise _not_found(found, source)
    since = w.clock.now().date() - timedelta(days=UNIT_DAYS)
    with ledger.read() as reader:
        return history(reader, one, since)


def _not_found(found: list[Found], source: str | None) -> Refusal:
    if found:
        return Refusal(f"Several sources have a dossier of this code: {', '.join(f.source for f in found)}. Add --source.", wrong_use=True)
    where = f"of the source {source}" if source else "of any source"
    return Refusal(
        f"No link or slip has this code, and no dossier {where}. A dossier is known once it has ended. Check the code and --source."
    )
