"""What every part of a ledger transaction stands on: the connection, the outbox, the due table, the one-line helpers of SQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hailong.events import Fact, Record, encode
from hailong.ports import DueRow, PendingRecord
from sinks.ledger import schema as t
from sinks.ledger.vault import Vault

_HEADERS = msgspec.json.Encoder()
_READ_HEADERS = msgspec.json.Decoder(list[tuple[str, str]])


@dataclass(frozen=True)
class Tools:
    """What the ledger needs besides its database; given by wiring."""

    registry_id: str
    vault: Vault
    contact_hash: Callable[[str, str], str]
    """(kind, normalised value) → keyed hash."""
    code_hash: Callable[[str], str]
    new_id: Callable[[], str]
    code_for: Callable[[str, str, str], str]
    """(survey_id, purpose, channel) → the code of the link."""
    cap_days: int = 30
    reconcile_gap_s: float = 300.0
    dead_letter_limit: int = 100


def row_of(writer: str, record: Record, event_id: str) -> dict[str, Any]:
    """A record → its row of the outbox."""
    headers = _HEADERS.encode([(k, v.decode()) for k, v in record.headers])
    return {"writer": writer, "event_id": event_id, "topic": record.topic, "key": record.key, "value": record.value, "headers": headers}


def record_of(row: Any) -> Record:
    """A row of the outbox → its record, the same bytes."""
    headers = tuple((k, v.encode()) for k, v in _READ_HEADERS.decode(row.headers))
    return Record(row.topic, bytes(row.key), bytes(row.value), headers)


class Base:
    """One transaction: a connection and who writes."""

    def __init__(self, conn: sa.Connection, tools: Tools, writer: str) -> None:
        self.conn = conn
        self.tools = tools
        self.writer = writer
        self.written: list[PendingRecord] = []
        """What this transaction put into the outbox, in order; to be published after the commit."""

    # --- SQL

    def insert_new(self, table: sa.Table, rows: Sequence[dict[str, Any]]) -> int:
        """Insert rows (same columns), leaving those whose key is there already; the number inserted."""
        if not rows:
            return 0
        dialect = postgresql if self.conn.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
        return self.conn.execute(statement, list(rows) if len(rows) > 1 else dict(rows[0])).rowcount

    def locked(self, statement: sa.Select[Any], skip: bool = False) -> sa.Select[Any]:
        """Rows locked until the end of the transaction (PostgreSQL); SQLite has one writer anyway."""
        if self.conn.dialect.name != "postgresql":
            return statement
        return statement.with_for_update(skip_locked=skip)

    def position(self, name: str) -> tuple[int, datetime | None]:
        """A named counter, locked; (0, None) when it was never set."""
        self.insert_new(t.positions, [{"name": name, "value": 0, "at": None}])
        row = self.conn.execute(self.locked(sa.select(t.positions).where(t.positions.c.name == name))).one()
        return row.value, row.at

    def set_position(self, name: str, value: int, at: datetime | None = None) -> None:
        self.conn.execute(sa.update(t.positions).where(t.positions.c.name == name).values(value=value, at=at))

    # --- outbox

    def put(self, facts: Sequence[Fact], at: datetime) -> list[int]:
        """See hailong.ports.Transaction.put."""
        return self.put_records([(fact.event_id, encode(fact, at)) for fact in facts])

    def put_records(self, records: Sequence[tuple[str, Record]]) -> list[int]:
        """(event id, record) pairs into the outbox; the ids of those that were not there."""
        if not records:
            return []
        dialect = postgresql if self.conn.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(t.outbox).on_conflict_do_nothing().returning(t.outbox.c.event_id, t.outbox.c.id)
        inserted = self.conn.execute(statement, [row_of(self.writer, record, event_id) for event_id, record in records])
        number = {row.event_id: row.id for row in inserted}
        written = [PendingRecord(number.pop(event_id), record) for event_id, record in records if event_id in number]
        self.written += sorted(written, key=lambda w: w.id)
        return [w.id for w in written]

    # --- what waits

    def schedule(self, kind: str, ref: str, due_at: datetime, payload: dict[str, Any] | None = None) -> bool:
        """See hailong.ports.Transaction.schedule."""
        row = {"kind": kind, "ref": ref, "due_at": due_at, "state": "waiting", "payload": json.dumps(payload or {})}
        return self.insert_new(t.due, [row]) == 1

    def anything_due(self, kinds: Sequence[str], now: datetime, real_now: datetime) -> bool:
        """Whether a row of these kinds may be taken now."""
        return self.conn.execute(sa.select(t.due.c.id).where(_takeable(kinds, now, real_now)).limit(1)).first() is not None

    def _due_now(self, kinds: Sequence[str], now: datetime, real_now: datetime, limit: int) -> list[Any]:
        takeable = sa.select(t.due).where(_takeable(kinds, now, real_now)).order_by(t.due.c.due_at, t.due.c.id).limit(limit)
        return list(self.conn.execute(self.locked(takeable, skip=True)))

    def take_due(self, kinds: Sequence[str], now: datetime, real_now: datetime, lease_until: datetime, limit: int) -> list[DueRow]:
        """Rows whose moment has come, under a lease in real time; a row whose lease ran out is taken again."""
        rows = self._due_now(kinds, now, real_now, limit)
        if rows:
            self.conn.execute(sa.update(t.due).where(t.due.c.id.in_([r.id for r in rows])).values(lease_until=lease_until))
        return [DueRow(r.id, r.kind, r.ref, r.due_at, json.loads(r.payload)) for r in rows]

    def finish_due(self, ids: Sequence[int]) -> None:
        """These rows are done; they stay, so that a replay inserts nothing new."""
        if ids:
            self.conn.execute(sa.update(t.due).where(t.due.c.id.in_(ids)).values(state="done", lease_until=None))

    def postpone(self, due_id: int, due_at: datetime, payload: dict[str, Any] | None = None) -> None:
        """The row waits again, until ``due_at``."""
        values: dict[str, Any] = {"state": "waiting", "lease_until": None, "due_at": due_at}
        if payload is not None:
            values["payload"] = json.dumps(payload)
        self.conn.execute(sa.update(t.due).where(t.due.c.id == due_id).values(**values))

    def next_due(self) -> datetime | None:
        """See hailong.ports.Transaction.next_due."""
        return self.conn.execute(sa.select(sa.func.min(t.due.c.due_at)).where(t.due.c.state == "waiting")).scalar()


def _takeable(kinds: Sequence[str], now: datetime, real_now: datetime) -> sa.ColumnElement[bool]:
    """Waiting, due, and under no lease."""
    free = sa.or_(t.due.c.lease_until.is_(None), t.due.c.lease_until < real_now)
    return sa.and_(t.due.c.state == "waiting", t.due.c.due_at <= now, t.due.c.kind.in_(kinds), free)
