"""The ledger's engine: connections, transactions, the outbox's other side, migrations."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects import postgresql, sqlite

from hailong.ports import PendingRecord, Permanent, Retryable
from sinks.ledger import schema as t
from sinks.ledger.base import Tools, record_of
from sinks.ledger.calling import Calls
from sinks.ledger.closing import Closing
from sinks.ledger.helping import Helping
from sinks.ledger.holding import Holding
from sinks.ledger.kiosks import Kiosks
from sinks.ledger.looking import Looking
from sinks.ledger.measuring import Measuring
from sinks.ledger.people import People
from sinks.ledger.persons import Persons
from sinks.ledger.reading import LedgerReader
from sinks.ledger.settling import Settling
from sinks.ledger.slips import Slipping

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_MS = 15_000
BEAT_S: Final = 10.0
"""A writer with something in its outbox gives a sign of life at least so often."""
_PACE = ("cache_size=-65536", "wal_autocheckpoint=8000")
"""64 MB of pages, and a checkpoint every 32 MB: keys are hashes, so the same pages are written again and again in between."""


class Tx(Settling, Persons, Looking, Closing, People, Slipping, Measuring, Calls, Helping, Holding, Kiosks):
    """One transaction of the ledger (hailong.ports.Transaction)."""


def _engine(url: str, password: str | None) -> sa.Engine:
    address = sa.make_url(url)
    if password:
        address = address.set(password=password)
    if address.get_backend_name() != "sqlite":
        return sa.create_engine(address, pool_pre_ping=True, pool_size=4, max_overflow=12)
    engine = sa.create_engine(address, connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's begin event below opens transactions, not the driver
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON", *_PACE):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: sa.Connection) -> None:
        conn.exec_driver_sql("BEGIN" if conn.get_execution_options().get("read_only") else "BEGIN IMMEDIATE")

    return engine


def _translated(e: sa.exc.DBAPIError) -> Exception:
    """A database's error as one of the three: away, locked and dead-locked may be tried again; anything else is a fault of ours."""
    away = isinstance(e, (sa.exc.OperationalError, sa.exc.InterfaceError)) or e.connection_invalidated
    if away:
        return Retryable(f"the ledger cannot be used now ({type(e.orig).__name__}); it is tried again", after=0.5)
    return e


@dataclass(frozen=True)
class Writer:
    """A process's outbox, as others see it: ``beats`` stands still when nobody holds it; ``waiting``: something is in it."""

    name: str
    beats: int
    waiting: bool


class Ledger:
    """hailong.ports.Ledger on SQL. ``writer`` names whose outbox this is; each process has its own.

    Signs of life stand in the table ``writers`` and are given by the way: with what is written into the outbox, and by whoever looks
    into it and finds something there. ``monotonic``: real seconds.
    """

    def __init__(self, engine: sa.Engine, tools: Tools, writer: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._tools = tools
        self.writer = writer
        self._monotonic = monotonic
        self._beaten = float("-inf")

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """A write transaction. Raises Retryable when the ledger is away or locked."""
        beaten = self._beaten
        try:
            with self._engine.begin() as conn:
                tx = Tx(conn, self._tools, self.writer)
                yield tx
                tx.write_audit()
                if tx.written:
                    beaten = self._beat(tx)
        except sa.exc.DBAPIError as e:
            raise _translated(e) from e
        self._beaten = max(self._beaten, beaten)  # committed

    def _beat(self, tx: Tx) -> float:
        """Give a sign of life when it is time; the moment of the last one."""
        now = self._monotonic()
        if now - self._beaten < BEAT_S:
            return self._beaten
        insert = (postgresql if tx.conn.dialect.name == "postgresql" else sqlite).insert(t.writers)
        beat = insert.on_conflict_do_update(index_elements=[t.writers.c.writer], set_={"beats": t.writers.c.beats + 1})
        tx.conn.execute(beat, {"writer": self.writer, "beats": 1})
        return now

    @contextmanager
    def read(self) -> Iterator[LedgerReader]:
        """A consistent view for reading; locks nobody."""
        try:
            with self._engine.connect().execution_options(read_only=True) as conn, conn.begin():
                yield LedgerReader(conn, self._tools, self.writer)
        except sa.exc.DBAPIError as e:
            raise _translated(e) from e

    def anything_due(self, kinds: Sequence[str], now: datetime, real_now: datetime) -> bool:
        """See hailong.ports.WorkingLedger."""
        with self.read() as reader:
            return reader.anything_due(kinds, now, real_now)

    def for_writer(self, writer: str) -> Ledger:
        """The same ledger with another outbox."""
        return Ledger(self._engine, self._tools, writer, self._monotonic)

    def pending(self, limit: int = 500) -> list[PendingRecord]:
        """Unpublished rows of this writer's outbox, in the order they were put."""
        rows = self._unpublished(t.outbox.c.writer == self.writer, limit)
        if rows and self._monotonic() - self._beaten >= BEAT_S:
            with self.begin() as tx:
                beaten = self._beat(tx)
            self._beaten = max(self._beaten, beaten)
        return rows

    def pending_with(self, ids: Collection[int], limit: int = 500) -> list[PendingRecord]:
        """Of the writers of these rows, whoever they are, what waits up to the last of them: published together, their order holds."""
        theirs = sa.select(t.outbox.c.writer).where(t.outbox.c.id.in_(ids))
        return self._unpublished(sa.and_(t.outbox.c.writer.in_(theirs), t.outbox.c.id <= max(ids, default=0)), limit)

    def _unpublished(self, which: sa.ColumnElement[bool], limit: int) -> list[PendingRecord]:
        rows = sa.select(t.outbox).where(which).order_by(t.outbox.c.id).limit(limit)
        try:
            with self._engine.connect().execution_options(read_only=True) as conn, conn.begin():
                return [PendingRecord(r.id, record_of(r)) for r in conn.execute(rows)]
        except sa.exc.DBAPIError as e:
            raise _translated(e) from e

    def published(self, ids: Sequence[int]) -> None:
        """These rows are acknowledged by the broker; they leave the outbox."""
        if not ids:
            return
        with self.begin() as tx:
            tx.conn.execute(sa.delete(t.outbox).where(t.outbox.c.id.in_(ids)))

    def shorten(self, row_id: int) -> PendingRecord | None:
        """A dead letter in the outbox that is more than the log takes becomes a record that says so; its bytes stay in ``dead_letters``.

        None when it is none, or was shortened before.
        """
        with self.begin() as tx:
            return tx.shorten(row_id)

    # --- outboxes of others

    def writers(self) -> list[Writer]:
        """Every writer that ever gave a sign of life and was not forgotten."""
        waiting = sa.exists().where(t.outbox.c.writer == t.writers.c.writer)
        with self.read() as reader:
            return [Writer(*row) for row in reader.conn.execute(sa.select(t.writers.c.writer, t.writers.c.beats, waiting))]

    def adopt(self, orphan: Writer) -> Ledger | None:
        """The ledger with the outbox of a writer that gives no sign of life any more; looking into it keeps it alive from now on.

        None when it gave one since, or another process was faster.
        """
        same = sa.and_(t.writers.c.writer == orphan.name, t.writers.c.beats == orphan.beats)
        with self.begin() as tx:
            mine = tx.conn.execute(sa.update(t.writers).where(same).values(beats=t.writers.c.beats + 1)).rowcount == 1
        return self.for_writer(orphan.name) if mine else None

    def forget(self, gone: Writer) -> None:
        """Nothing more is known of a writer that gave no sign of life since and left nothing."""
        same = sa.and_(t.writers.c.writer == gone.name, t.writers.c.beats == gone.beats)
        with self.begin() as tx:
            tx.conn.execute(sa.delete(t.writers).where(same, ~sa.exists().where(t.outbox.c.writer == gone.name)))

    def close(self) -> None:
        self._engine.dispose()


def open_ledger(url: str, tools: Tools, writer: str, password: str | None = None) -> Ledger:
    """A ledger at a SQLAlchemy address (``sqlite:///FILE`` or ``postgresql+psycopg://…``)."""
    return Ledger(_engine(url, password), tools, writer)


def migrate(url: str, password: str | None = None) -> None:
    """Bring the schema up to date; numbered steps, forward only. Raises Permanent when a file is no database, or a broken one."""
    engine = _engine(url, password)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    try:
        with engine.connect() as conn:
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
            conn.commit()
    except sa.exc.DatabaseError as fault:
        if getattr(fault.orig, "sqlite_errorname", "") not in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            raise
        place = engine.url.database
        raise Permanent(f"{place} is no database any more, or a damaged one. Put it aside and restore the last good copy of it.") from fault
    finally:
        engine.dispose()
