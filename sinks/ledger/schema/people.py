"""People with accounts, and what they did; all moments here are real time."""

from __future__ import annotations

import sqlalchemy as sa

from sinks.ledger.schema.columns import Moment, metadata

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("login", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("scope", sa.String),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("password", sa.String),
    sa.Column("factor", sa.LargeBinary),
    sa.Column("factor_pending", sa.LargeBinary),
    sa.Column("factor_step", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("wait_until", Moment),
    sa.Column("disabled_at", Moment),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.String, primary_key=True),
    sa.Column("login", sa.String, nullable=False, index=True),
    sa.Column("csrf", sa.String, nullable=False),
    sa.Column("stage", sa.String, nullable=False),
    sa.Column("created_at", Moment, nullable=False, index=True),
    sa.Column("seen_at", Moment, nullable=False),
)

invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("token_hash", sa.String, primary_key=True),
    sa.Column("login", sa.String, nullable=False, index=True),
    sa.Column("purpose", sa.String, nullable=False),
    sa.Column("made_by", sa.String, nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("used_at", Moment),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("actor", sa.String, nullable=False, index=True),
    sa.Column("act", sa.String, nullable=False),
    sa.Column("object", sa.String, nullable=False, index=True),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
