"""Dossiers: what was taken, the answer slots, what names people (sealed), their keyed hashes, and everything that waits."""

from __future__ import annotations

import sqlalchemy as sa

from sinks.ledger.schema.columns import Day, Moment, Serial, metadata

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
    sa.Column("unit", sa.String, nullable=False, server_default=""),
    sa.Column("minor", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("preferred", sa.String),
    sa.Column("refused", sa.String, nullable=False, server_default=""),
    sa.Column("slip_hash", sa.String, index=True),
    sa.Column("tail_hash", sa.String),
    sa.Column("landline", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("ticket_hash", sa.String, index=True),
    sa.Column("weight", sa.Integer, nullable=False, server_default="1"),
    sa.Column("arms", sa.String, nullable=False, server_default="{}"),
    sa.Column("reopened_at", Moment),
    sa.Column("settled_on", Day),
    sa.Column("erased_on", Day),
    sa.Index("ix_slots_outcome", "outcome", "reason"),
    sa.Index("ix_slots_erased_on", "erased_on", "settled_on"),
    sa.Index("ix_slots_unit", "unit", "ended_on"),
)
"""``phone_hash``: of the number, a mobile one or a ``landline``, which can only be called."""

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
    sa.Column("pepper", sa.Integer, nullable=False, server_default="1"),
    sa.Column("newer", sa.String, index=True),
)
"""``pepper``: version of the key the hash was made with; ``newer``: the hash of the same contact under a later one."""

codes = sa.Table(
    "codes",
    metadata,
    sa.Column("code_hash", sa.String, primary_key=True),
    sa.Column("survey_id", sa.String, nullable=False),
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
    sa.Column("channel", sa.String),
    sa.UniqueConstraint("kind", "ref", name="uq_due_kind"),
    sa.Index("ix_due_waiting", "state", "due_at"),
    sa.Index("ix_due_channel", "state", "channel", "due_at"),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("day", Day, primary_key=True),
    sa.Column("what", sa.String, primary_key=True),
    sa.Column("key_month", sa.String, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)
"""``key_month``: of the key it was sealed under, empty for what was not sealed."""
