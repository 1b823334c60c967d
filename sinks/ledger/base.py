"""What every part of a ledger transaction stands on: the connection, the outbox, the due table, the one-line helpers of SQL."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hailong.domain.ways import Switching, Way
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
    """(kind, normalised value) → keyed hash, under the newest pepper."""
    code_hash: Callable[[str], str]
    new_id: Callable[[], str]
    code_for: Callable[[str, str, str], str]
    """(survey_id, purpose, channel) → the code of the link."""
    is_open: Callable[[datetime], bool] = lambda _: True
    """Whether messages may go to citizens at a moment."""
    next_open: Callable[[datetime], datetime] = lambda at: at
    """The next moment at which they may."""
    may_leave: Callable[[str, str, bool], str | None] = lambda _channel, _provider, _live: None
    """(channel, provider, whether it is live) → why nothing may be handed over now; the messages wait."""
    welcome: Callable[[str, str | None], bool] = lambda _channel, _to: True
    """(channel, number or address) → whether a citizen there may be written to at all."""
    price: Callable[[str, str, str, str | None], int] = lambda _channel, _provider, _language, _to: 0
    """(channel, provider, language, number or address) → the most a message costs, in đồng."""
    ways: Mapping[str, Way] = field(default_factory=dict)
    """Channel → its providers."""
    switching: Switching = Switching()
    rates: Mapping[str, float] = field(default_factory=dict)
    """Provider → messages a second; none or 0: no limit."""
    saved_s: float = 1.0
    """Turns of so many seconds may be saved up by a provider that was idle: what a worker claims at once."""
    daily_budget: int = 0
    """Đồng a local day over all channels; 0: no limit."""
    receipt_days: int = 3
    """Without a receipt for so long, whether a message arrived is unknown."""
    slip_hash: Callable[[str], str | None] = lambda code: code
    """What is typed off a slip → its look-up key; None for what can be no code."""
    tail_hash: Callable[[str, str], str] = lambda ref, digits: f"{ref}:{digits}"
    """(dossier_ref, last digits of a number) → keyed hash."""
    ticket_hash: Callable[[str, date, str], str] = lambda unit, day, ticket: f"{unit}:{day}:{ticket}"
    """(unit, local day, number drawn there) → keyed hash."""
    receipt_hash: Callable[[str], str] = lambda nonce: f"receipt:{nonce}"
    """Nonce of the form that gave the first answer → hash of its receipt's code."""
    zone: tzinfo = UTC
    """Of local days."""
    cap_days: Callable[[datetime], int] = lambda _: 30
    """Between two askings of a person or number, by the rules of a moment."""
    reconcile_gap_s: float = 300.0
    dead_letter_limit: int = 100
    real_now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """Real time, of the audit trail."""
    older_hashes: Callable[[str, str], Mapping[int, str]] = lambda _kind, _value: {}
    """(kind, normalised value) → version → keyed hash, under every older pepper that stands."""
    pepper_version: Callable[[], int] = lambda: 1
    """Of ``contact_hash``."""
    kept: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """What was read and holds until its number in ``positions`` changes: name → (number, what)."""


def row_of(writer: str, record: Record, event_id: str) -> dict[str, Any]:
    """A record → its row of the outbox."""
    headers = _HEADERS.encode([(k, v.decode()) for k, v in record.headers])
    return {"writer": writer, "event_id": event_id, "topic": record.topic, "key": record.key, "value": record.value, "headers": headers}


def record_of(row: Any) -> Record:
    """A row of the outbox → its record, the same bytes."""
    headers = tuple((k, v.encode()) for k, v in _READ_HEADERS.decode(row.headers))
    return Record(row.topic, bytes(row.key), bytes(row.value), headers)


# Statements of the hot way are built and hashed once, not at every call.


@functools.cache
def _insert_new(dialect: str, table: sa.Table) -> Any:
    """Insert what is not there yet; the rowcount tells how much that was."""
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    return insert.on_conflict_do_nothing().execution_options(preserve_rowcount=True)


@functools.cache
def _put_new(dialect: str) -> Any:
    """Into the outbox what is not there yet; gives (event_id, id) of it."""
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(t.outbox)
    return insert.on_conflict_do_nothing().returning(t.outbox.c.event_id, t.outbox.c.id)


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
        statement = _insert_new(self.conn.dialect.name, table)
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
        statement = _put_new(self.conn.dialect.name)
        inserted = self.conn.execute(statement, [row_of(self.writer, record, event_id) for event_id, record in records])
        number = {row.event_id: row.id for row in inserted}
        written = [PendingRecord(number.pop(event_id), record) for event_id, record in records if event_id in number]
        self.written += sorted(written, key=lambda w: w.id)
        return [w.id for w in written]

    # --- what waits

    def schedule(self, kind: str, ref: str, due_at: datetime, payload: dict[str, Any] | None = None) -> bool:
        """See hailong.ports.Transaction.schedule."""
        channel = "email" if kind == "officers" else (payload or {}).get("channel")
        row = {"kind": kind, "ref": ref, "due_at": due_at, "state": "waiting", "payload": json.dumps(payload or {}), "channel": channel}
        return self.insert_new(t.due, [row]) == 1

    def anything_due(self, kinds: Sequence[str], now: datetime, real_now: datetime) -> bool:
        """Whether a row of these kinds may be taken now."""
        return self.conn.execute(sa.select(t.due.c.id).where(_takeable(kinds, now, real_now)).limit(1)).first() is not None

    def _due_now(
        self, kinds: Sequence[str], now: datetime, real_now: datetime, limit: int, but: Sequence[int] = (), of: str | None = None
    ) -> list[Any]:
        """In the order they are due; ``but`` these rows, and only ``of`` this channel where one is named."""
        takeable = sa.select(t.due).where(_takeable(kinds, now, real_now))
        if but:
            takeable = takeable.where(t.due.c.id.not_in(but))
        if of is not None:
            takeable = takeable.where(t.due.c.channel == of)
        return list(self.conn.execute(self.locked(takeable.order_by(t.due.c.due_at, t.due.c.id).limit(limit), skip=True)))

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
            values |= {"payload": json.dumps(payload)} | ({"channel": payload["channel"]} if "channel" in payload else {})
        self.conn.execute(sa.update(t.due).where(t.due.c.id == due_id).values(**values))

    def next_due(self, *, only: Sequence[str] | None = None, but: Sequence[str] = ()) -> datetime | None:
        """See hailong.ports.Transaction.next_due. ``only`` these kinds, or all ``but`` these."""
        waiting = sa.and_(t.due.c.state == "waiting", t.due.c.kind.not_in(but) if only is None else t.due.c.kind.in_(only))
        return self.conn.execute(sa.select(sa.func.min(t.due.c.due_at)).where(waiting)).scalar()


def _takeable(kinds: Sequence[str], now: datetime, real_now: datetime) -> sa.ColumnElement[bool]:
    """Waiting, due, and under no lease."""
    free = sa.or_(t.due.c.lease_until.is_(None), t.due.c.lease_until < real_now)
    return sa.and_(t.due.c.state == "waiting", t.due.c.due_at <= now, t.due.c.kind.in_(kinds), free)
