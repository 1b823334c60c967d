"""The ledger's engine: connections, transactions, the outbox's other side, migrations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from hailong.ports import PendingRecord, Retryable
from sinks.ledger import schema as t
from sinks.ledger.answering import Answering
from sinks.ledger.base import Tools, record_of
from sinks.ledger.judging import Judging
from sinks.ledger.reading import LedgerReader
from sinks.ledger.settling import Settling

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_MS = 15_000
_PACE = ("cache_size=-65536", "wal_autocheckpoint=8000")
"""64 MB of pages, and a checkpoint every 32 MB: keys are hashes, so the same pages are written again and again in between."""


class Tx(Settling, Answering, Judging):
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


class Ledger:
    """hailong.ports.Ledger on SQL. ``writer`` names whose outbox this is; each role has its own."""

    def __init__(self, engine: sa.Engine, tools: Tools, writer: str) -> None:
        self._engine = engine
        self._tools = tools
        self.writer = writer

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """A write transaction. Raises Retryable when the ledger is away or locked."""
        try:
            with self._engine.begin() as conn:
                yield Tx(conn, self._tools, self.writer)
        except sa.exc.DBAPIError as e:
            raise _translated(e) from e

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
        return Ledger(self._engine, self._tools, writer)

    def pending(self, limit: int = 500) -> list[PendingRecord]:
        """Unpublished rows of this writer's outbox, in the order they were put."""
        rows = sa.select(t.outbox).where(t.outbox.c.writer == self.writer).order_by(t.outbox.c.id).limit(limit)
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

    def close(self) -> None:
        self._engine.dispose()


def open_ledger(url: str, tools: Tools, writer: str, password: str | None = None) -> Ledger:
    """A ledger at a SQLAlchemy address (``sqlite:///FILE`` or ``postgresql+psycopg://…``)."""
    return Ledger(_engine(url, password), tools, writer)


def migrate(url: str, password: str | None = None) -> None:
    """Bring the schema up to date; numbered steps, forward only."""
    engine = _engine(url, password)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
        conn.commit()
    engine.dispose()
