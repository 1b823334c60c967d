"""``hailong deadletters``: records that could not be taken, and sources that are paused because of them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from hailong.domain.units import LOCAL
from hailong.events import Record
from ops.cli.door import Data, Json, print_json, say, wired
from ops.cli.tables import print_table
from ops.keyboard import at_the_keyboard
from ops.local.refusal import Refusal


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    letters = typer.Typer(no_args_is_help=True, help="Records that could not be taken: list, show, replay, drop; resume a paused source.")
    for name, command in (("list", listed), ("show", show), ("replay", replay), ("drop", drop), ("resume", resume)):
        letters.command(name)(command)
    app.add_typer(letters, name="deadletters")


def listed(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="replayed and dropped ones too")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Records put aside, with the reason; and paused sources."""
    states = ("waiting", "replayed", "dropped") if every else ("waiting",)
    with wired(ctx, data) as w, w.ledger("cli").read() as reader:
        letters = [asdict(letter) for letter in reader.dead_letters(states)]
        paused = [{"source": s.source, "since": s.paused_at, "reason": s.reason} for s in reader.sources()]
    if as_json:
        print_json({"letters": letters, "paused": paused})
        return
    names = ("id", "at", "topic", "source", "reason", "state")
    shown = [one | {"at": one["at"].astimezone(LOCAL).isoformat(timespec="seconds")} for one in letters]
    print_table(names, [[str(one[name]) for name in names] for one in shown])
    for one in paused:
        say(f"Source {one['source']} is paused: {one['reason']}. `hailong deadletters resume {one['source']}` takes from it again.")


def show(ctx: typer.Context, letter: int, data: Data = None) -> None:
    """The original bytes of a dead letter. They may name a person: look only when you must; that you did stands in the audit trail."""
    with wired(ctx, data) as w, w.ledger("cli").begin() as tx:
        found = tx.open_dead(letter)
        tx.audited(at_the_keyboard(), "dead_letter_seen", f"dead_letter:{letter}")
    if found is None:
        raise Refusal(f"There is no dead letter {letter}. `hailong deadletters list --all` shows them.", wrong_use=True)
    say(f"{found[0].topic}: {found[0].reason}")
    sys.stdout.buffer.write(found[1] + b"\n")


def replay(ctx: typer.Context, letter: int, data: Data = None) -> None:
    """Write a dead letter to its topic once more, as it was."""
    with wired(ctx, data) as w:
        ledger, publisher = w.ledger("cli"), w.publisher("cli")
        with ledger.begin() as tx:
            found = tx.open_dead(letter)
            if found is None or not tx.settle_dead(letter, "replayed"):
                raise Refusal(f"Dead letter {letter} does not wait. `hailong deadletters list` shows those that do.", wrong_use=True)
            dead, value = found
            tx.audited(at_the_keyboard(), "dead_letter_replayed", f"dead_letter:{letter}", {"topic": dead.topic})
            tx.put_records([(f"replay:{letter}:{w.clock.now().isoformat()}", Record(dead.topic, b"replay", value, ()))])
        publisher.publish([row.record for row in tx.written])
        ledger.published([row.id for row in tx.written])
        publisher.close()
    say(f"Dead letter {letter} is in {dead.topic} again.")


def drop(ctx: typer.Context, letter: int, data: Data = None) -> None:
    """Give a dead letter up. It stays in the dead topic, sealed, as long as its key."""
    with wired(ctx, data) as w, w.ledger("cli").begin() as tx:
        if not tx.settle_dead(letter, "dropped"):
            raise Refusal(f"Dead letter {letter} does not wait. `hailong deadletters list` shows those that do.", wrong_use=True)
        tx.audited(at_the_keyboard(), "dead_letter_dropped", f"dead_letter:{letter}")
    say(f"Dead letter {letter} is dropped.")


def resume(ctx: typer.Context, source: str, data: Data = None) -> None:
    """Take from a paused source again."""
    with wired(ctx, data) as w, w.ledger("cli").begin() as tx:
        if not tx.resume_source(source, w.clock.now()):
            raise Refusal(f"Source {source} is not paused. `hailong deadletters list` shows those that are.", wrong_use=True)
        tx.audited(at_the_keyboard(), "source_resumed", f"source:{source}")
    say(f"Source {source} is taken from again.")
