"""Messages: claims and receipts, providers, money, whom channels reach, what people reported. Of ``live`` and tests, in real time."""

from __future__ import annotations

import sqlalchemy as sa

from sinks.ledger.schema.columns import Day, Moment, Serial, metadata

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
    sa.Column("price", sa.Integer, nullable=False, server_default="0"),
    sa.Column("template", sa.String),
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

rates = sa.Table(
    "rates",
    metadata,
    sa.Column("provider", sa.String, primary_key=True),
    sa.Column("credit", sa.BigInteger, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

money = sa.Table(
    "money",
    metadata,
    sa.Column("day", Day, primary_key=True),
    sa.Column("spent", sa.BigInteger, nullable=False),
)

providers = sa.Table(
    "providers",
    metadata,
    sa.Column("channel", sa.String, primary_key=True),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("by", sa.String, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("real_at", Moment, nullable=False),
)

provider_minutes = sa.Table(
    "provider_minutes",
    metadata,
    sa.Column("provider", sa.String, primary_key=True),
    sa.Column("minute", Moment, primary_key=True),
    sa.Column("taken", sa.Integer, nullable=False),
    sa.Column("refused", sa.Integer, nullable=False),
    sa.Column("slow", sa.Integer, nullable=False),
)

live = sa.Table(
    "live",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("on", sa.Boolean, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("by", sa.String, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Index("ix_live_channel", "channel", "id"),
)
"""Every switch of a channel; the newest row of a channel holds."""

test_messages = sa.Table(
    "test_messages",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("language", sa.String, nullable=False),
    sa.Column("by", sa.String, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("seen_by", sa.String),
    sa.Column("seen_at", Moment),
)
"""Tests that were handed over, without to whom; and who saw them arrive."""

arm_days = sa.Table(
    "arm_days",
    metadata,
    sa.Column("day", Day, primary_key=True),
    sa.Column("experiment", sa.String, primary_key=True),
    sa.Column("arm", sa.String, primary_key=True),
    *(
        sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        for name in ("asked", "delivered", "answered", "unknown", "failed")
    ),
)
"""Of surveys that were erased in time, by local day of asking (sinks/ledger/arms.py)."""

fake_reports = sa.Table(
    "fake_reports",
    metadata,
    sa.Column("day", Day, primary_key=True),
    sa.Column("text_hash", sa.String(64), primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("first_at", Moment, nullable=False),
)
