"""The tables of the ledger: what must be unique, what waits, what people work on.

Moments are stored as whole microseconds since 1970 (UTC) and come back aware, so that SQLite and PostgreSQL agree to the bit.
What names a person stands only in ``vault`` and ``dead_letters``, sealed under the key of a month.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """An aware datetime as microseconds since 1970."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else EPOCH + timedelta(microseconds=int(value))


class Day(TypeDecorator[date]):
    """A local day as ``YYYY-MM-DD``."""

    impl = sa.String(10)
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.isoformat()

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> date | None:
        return None if value is None else date.fromisoformat(str(value))


# SQLite numbers rows only in a column declared INTEGER.
Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s"}
)

acts = sa.Table(
    "acts",
    metadata,
    sa.Column("event_id", sa.String, primary_key=True),
    sa.Column("dossier_ref", sa.String, nullable=False),
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("occurred_at", Moment, nullable=False),
    sa.Column("taken_at", Moment, nullable=False),
)

slots = sa.Table(
    "slots",
    metadata,
    sa.Column("dossier_ref", sa.String, primary_key=True),
    sa.Column("survey_id", sa.String, nullable=False, unique=True),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("ended_on", Day, nullable=False),
    sa.Column("occurred_at", Moment, nullable=False),
    sa.Column("received_at", Moment),
    sa.Column("language", sa.String, nullable=False),
    sa.Column("test", sa.Boolean, nullable=False, default=False),
    sa.Column("phone_hash", sa.String, index=True),
    sa.Column("email_hash", sa.String, index=True),
    sa.Column("person_hash", sa.String, index=True),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("reason", sa.String),
    sa.Column("expires_at", Moment),
    sa.Column("taken_at", Moment, nullable=False),
    sa.Index("ix_slots_outcome", "outcome", "reason"),
)

vault = sa.Table(
    "vault",
    metadata,
    sa.Column("dossier_ref", sa.String, primary_key=True),
    sa.Column("key_month", sa.String, nullable=False, index=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

contacts = sa.Table(
    "contacts",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("planned_at", Moment),
    sa.Column("planned_by", sa.String),
    sa.Column("asked_at", Moment),
    sa.Column("asked_by", sa.String),
    sa.Column("opted_out_at", Moment),
)

due = sa.Table(
    "due",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("ref", sa.String, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("state", sa.String, nullable=False, default="waiting"),
    sa.Column("lease_until", Moment),
    sa.Column("payload", sa.Text, nullable=False, default="{}"),
    sa.UniqueConstraint("kind", "ref", name="uq_due_kind"),
    sa.Index("ix_due_waiting", "state", "due_at"),
)

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("claim_id", sa.String, primary_key=True),
    sa.Column("ref", sa.String, nullable=False),
    sa.Column("purpose", sa.String, nullable=False),
    sa.Column("due_id", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("provider", sa.String),
    sa.Column("provider_id", sa.String, index=True),
    sa.Column("language", sa.String, nullable=False),
    sa.Column("worker", sa.String, nullable=False),
    sa.Column("claimed_at", Moment, nullable=False),
    sa.Column("real_claimed_at", Moment, nullable=False),
    sa.Column("lease_until", Moment, nullable=False),
    sa.Column("checks", sa.Integer, nullable=False, default=0),
    sa.Column("attempts", sa.Integer, nullable=False, default=1),
    sa.Column("seq", sa.Integer, nullable=False, default=1),
    sa.Column("settled_at", Moment),
    sa.Column("expires_at", Moment),
    sa.Column("segments", sa.Integer, nullable=False, default=0),
    sa.Column("code", sa.String),
    sa.Column("reason", sa.String),
    sa.UniqueConstraint("ref", "purpose", name="uq_claims_ref"),
)

receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("provider_id", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("code", sa.String),
    sa.Column("at", Moment, nullable=False),
    sa.Column("applied", sa.Boolean, nullable=False, default=False, index=True),
    sa.UniqueConstraint("provider_id", "provider", "status", name="uq_receipts_provider_id"),
)

codes = sa.Table(
    "codes",
    metadata,
    sa.Column("code_hash", sa.String, primary_key=True),
    sa.Column("survey_id", sa.String, nullable=False),
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("survey_id", sa.String, primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("score", sa.Integer),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("counted_at", Moment, nullable=False, index=True),
)

seen = sa.Table(
    "seen",
    metadata,
    sa.Column("event_id", sa.String, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
)

positions = sa.Table(
    "positions",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
    sa.Column("at", Moment),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("writer", sa.String, nullable=False),
    sa.Column("event_id", sa.String, nullable=False, unique=True),
    sa.Column("topic", sa.String, nullable=False),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("headers", sa.LargeBinary, nullable=False),
    sa.Index("ix_outbox_writer", "writer", "id"),
)

detectors = sa.Table(
    "detectors",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("state", sa.LargeBinary, nullable=False),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("alert_id", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("fact", sa.Text, nullable=False),
)

registry = sa.Table(
    "registry",
    metadata,
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("ref", sa.String, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("event_id", sa.String, nullable=False),
    sa.Column("fact", sa.Text, nullable=False),
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("topic", sa.String, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("state", sa.String, nullable=False, default="waiting"),
    sa.Column("key_month", sa.String, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("topic", "partition", "offset", name="uq_dead_letters_topic"),
    sa.Index("ix_dead_letters_source", "source", "at"),
)

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("paused_at", Moment),
    sa.Column("resumed_at", Moment),
    sa.Column("reason", sa.String),
)
