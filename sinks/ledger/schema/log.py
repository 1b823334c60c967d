"""Beside the log: what was counted, the outboxes, alerts and their detectors, the registry, what was put aside."""

from __future__ import annotations

import sqlalchemy as sa

from sinks.ledger.schema.columns import Moment, Serial, metadata

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

writers = sa.Table(
    "writers",
    metadata,
    sa.Column("writer", sa.String, primary_key=True),
    sa.Column("beats", sa.BigInteger, nullable=False),
)
"""Whose outbox is whose; ``beats`` rises while its process lives and has something unpublished."""

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
