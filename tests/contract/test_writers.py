"""Whose outbox is whose, on SQLite and PostgreSQL alike: signs of life, taking over what a process left, and never two at once."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from hailong.events import dead_topic
from sinks.ledger import Ledger, Writer, open_ledger
from sinks.ledger.engine import BEAT_S, MIGRATIONS, _engine
from sinks.ledger.schema import metadata
from tests.contract.build import NOON, closed, tools


class Seconds:
    """Real seconds, moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def process(ledger: Ledger, writer: str, seconds: Seconds) -> Ledger:
    """Another process's ledger."""
    return Ledger(ledger._engine, ledger._tools, writer, seconds)


def put(ledger: Ledger, *refs: str) -> list[int]:
    with ledger.begin() as tx:
        return tx.put([closed(r) for r in refs], NOON)


def beats(ledger: Ledger, writer: str) -> int:
    return next(w.beats for w in ledger.writers() if w.name == writer)


def test_the_migrations_make_what_the_schema_says(emptied: str) -> None:
    engine = _engine(emptied, None)
    with engine.connect() as conn:
        differences = compare_metadata(MigrationContext.configure(conn, opts={"compare_server_default": False}), metadata)
    engine.dispose()
    assert differences == []


def test_a_writer_gives_signs_of_life_while_it_writes_and_while_something_waits(ledger: Ledger) -> None:
    seconds = Seconds()
    mine = process(ledger, "a", seconds)
    ids = put(mine, "d1")
    assert ledger.writers() == [Writer("a", 1, True)]
    put(mine, "d2")
    mine.pending()
    assert beats(ledger, "a") == 1, "a moment later there is nothing new to say"
    seconds.at = BEAT_S
    assert [p.id for p in mine.pending()][:1] == ids
    assert beats(ledger, "a") == 2
    seconds.at = 2 * BEAT_S
    put(mine, "d3")
    assert beats(ledger, "a") == 3
    mine.published([p.id for p in mine.pending()])
    seconds.at = 3 * BEAT_S
    mine.pending()
    assert ledger.writers() == [Writer("a", 3, False)]


def test_a_transaction_that_is_not_committed_is_no_sign_of_life(ledger: Ledger) -> None:
    class Stopped(Exception):
        pass

    def stop(_conn: sa.Connection) -> None:
        raise Stopped

    mine = process(ledger, "a", Seconds())
    sa.event.listen(ledger._engine, "commit", stop)
    with pytest.raises(Stopped):
        put(mine, "d1")
    sa.event.remove(ledger._engine, "commit", stop)
    assert ledger.writers() == []
    put(mine, "d1")
    assert ledger.writers() == [Writer("a", 1, True)]


def test_an_orphan_is_taken_over_by_one(ledger: Ledger, emptied: str) -> None:
    put(process(ledger, "gone", Seconds()), *(f"d{n}" for n in range(3)))
    (orphan,) = ledger.writers()
    taken: list[Ledger] = []
    finders = [open_ledger(emptied, tools(), f"timer-{n}") for n in range(4)]
    start = threading.Barrier(4)

    def work(finder: Ledger) -> None:
        start.wait()
        if (adopted := finder.adopt(orphan)) is not None:
            taken.append(adopted)

    threads = [threading.Thread(target=work, args=(f,)) for f in finders]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    (mine,) = taken
    assert [p.record.key for p in mine.pending()] == [b"d0", b"d1", b"d2"]
    for f in finders:
        f.close()


def test_who_gave_a_sign_of_life_since_is_not_taken_over(ledger: Ledger) -> None:
    seconds = Seconds()
    alive = process(ledger, "a", seconds)
    put(alive, "d1")
    (seen,) = ledger.writers()
    seconds.at = BEAT_S
    alive.pending()
    assert ledger.adopt(seen) is None


def test_who_took_an_outbox_over_keeps_it_alive(ledger: Ledger) -> None:
    seconds = Seconds()
    put(process(ledger, "gone", seconds), "d1")
    adopted = process(ledger, "timer-0", seconds).adopt(ledger.writers()[0])
    assert adopted is not None
    adopted.pending()
    before = beats(ledger, "gone")
    seconds.at = BEAT_S
    adopted.pending()
    assert beats(ledger, "gone") == before + 1


def test_a_writer_is_forgotten_only_when_it_left_nothing(ledger: Ledger) -> None:
    mine = process(ledger, "a", Seconds())
    ids = put(mine, "d1")
    (full,) = ledger.writers()
    ledger.forget(full)
    assert ledger.writers() == [full]
    mine.published(ids)
    ledger.forget(Writer("a", full.beats + 1, False))
    assert [w.name for w in ledger.writers()] == ["a"], "it gave another sign of life"
    ledger.forget(full)
    assert ledger.writers() == []


def test_what_waits_with_a_row_is_all_of_its_writer_up_to_it(ledger: Ledger) -> None:
    first, other = process(ledger, "a", Seconds()), process(ledger, "b", Seconds())
    a1 = put(first, "d1", "d2")
    put(other, "e1")
    a2 = put(first, "d3", "d4")
    assert [p.record.key for p in other.pending_with(a2[:1])] == [b"d1", b"d2", b"d3"]
    first.published(a1 + a2)
    assert other.pending_with(a2[:1]) == []
    assert other.pending_with([]) == []


def test_a_dead_letter_is_shortened_once_and_its_bytes_stay(virgin: Ledger) -> None:
    topic = "dossier.closed.v1"
    with virgin.begin() as tx:
        tx.put_dead(topic, 0, 7, "decide", "one-stop", "no value", 1, b"x" * 1_000, NOON)
        tx.put([closed("d1")], NOON)
    letter, fact = virgin.pending()
    short = virgin.shorten(letter.id)
    assert short is not None
    assert (short.id, short.record.topic, short.record.key, short.record.value) == (
        letter.id,
        dead_topic(topic),
        b"dossier.closed.v1:0:7",
        b"",
    )
    assert short.record.headers[:-1] == letter.record.headers
    assert b"they stand in the ledger" in dict(short.record.headers)["shortened"]
    assert virgin.pending() == [short, fact], "it is published with the same bytes by whoever comes later"
    assert (virgin.shorten(letter.id), virgin.shorten(fact.id), virgin.shorten(10**6)) == (None, None, None)
    with virgin.begin() as tx:
        _, kept = tx.open_dead(1) or (None, b"")
    assert kept == b"x" * 1_000


def test_an_outbox_from_before_signs_of_life_is_found_too(emptied: str) -> None:
    """What stood in the outbox when the table came is somebody's: see migration 0002."""
    engine = _engine(emptied, None)
    with engine.begin() as conn:
        conn.execute(sa.text("DROP TABLE writers"))
        row = {"writer": "intake", "event_id": "e", "topic": "t", "key": b"k", "value": b"v", "headers": b"[]"}
        conn.execute(sa.insert(metadata.tables["outbox"]), row)
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    _rerun_0002(engine)
    engine.dispose()
    ledger = open_ledger(emptied, tools(), "test")
    assert ledger.writers() == [Writer("intake", 0, True)]
    ledger.close()


def _rerun_0002(engine: sa.Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "0002")
        conn.commit()
