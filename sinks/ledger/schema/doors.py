"""The doors besides the link: codes, slips, calls, kiosks, help and paper."""

from __future__ import annotations

import sqlalchemy as sa

from sinks.ledger.schema.columns import Day, Moment, Serial, metadata

tries = sa.Table(
    "tries",
    metadata,
    sa.Column("ref", sa.String, primary_key=True),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("since", Moment, nullable=False, index=True),
)
"""Wrong digits for a dossier code, since the first of them."""

slips = sa.Table(
    "slips",
    metadata,
    sa.Column("slip_hash", sa.String, primary_key=True),
    sa.Column("batch", sa.String, nullable=False, index=True),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("held_until", Moment),
    sa.Column("erased_on", Day),
)
"""Printed codes. A slip is bound to a dossier by ``slots.slip_hash``; ``erased_on``: when the dossier it was bound to was erased."""

slip_answers = sa.Table(
    "slip_answers",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("slip_hash", sa.String, nullable=False, index=True),
    sa.Column("event_id", sa.String, nullable=False, unique=True),
    sa.Column("fact", sa.Text, nullable=False),
    sa.Column("texts", sa.Text, nullable=False),
    sa.Column("keep_until", Moment, nullable=False, index=True),
)
"""Pages that came in by a slip that is bound to no dossier yet."""

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("survey_id", sa.String, primary_key=True),
    sa.Column("drawn_on", Day, nullable=False),
    sa.Column("why", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", Moment, nullable=False),
    sa.Column("by", sa.String),
    sa.Column("lease_until", Moment),
    sa.Column("disposition", sa.String),
    sa.Column("stratum", sa.String, nullable=False, server_default="other"),
    sa.Column("share", sa.Float),
    sa.Index("ix_calls_state", "state", "next_at"),
)
"""Who was drawn to be called; ``why``: no_answer or unreachable; ``state``: waiting, taken, done; ``share``: with which probability."""

call_tries = sa.Table(
    "call_tries",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("survey_id", sa.String, nullable=False, index=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("by", sa.String, nullable=False),
    sa.Column("disposition", sa.String, nullable=False),
)

helped = sa.Table(
    "helped",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("survey_id", sa.String, nullable=False, index=True),
    sa.Column("mode", sa.String, nullable=False),
    sa.Column("by", sa.String, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
"""Who entered an answer for somebody: at the desk, on the phone, from paper."""

kiosks = sa.Table(
    "kiosks",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("unit", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("token_hash", sa.String, nullable=False, unique=True),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("made_by", sa.String, nullable=False),
    sa.Column("enrolled_at", Moment),
    sa.Column("seen_at", Moment),
    sa.Column("closed_at", Moment),
)

papers = sa.Table(
    "papers",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("survey_id", sa.String, nullable=False, unique=True),
    sa.Column("unit", sa.String, nullable=False),
    sa.Column("entered_by", sa.String, nullable=False),
    sa.Column("entered_unit", sa.String),
    sa.Column("entered_at", Moment, nullable=False),
    sa.Column("answers", sa.Text, nullable=False),
    sa.Column("key_month", sa.String),
    sa.Column("scan", sa.LargeBinary),
    sa.Column("scan_until", Day, index=True),
    sa.Column("again", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("again_by", sa.String),
    sa.Column("again_at", Moment),
    sa.Column("asked", sa.Integer),
    sa.Column("differs", sa.Integer),
)
"""Paper slips entered by staff. ``again``: drawn to be entered by another unit, which found ``differs`` of ``asked`` answers otherwise."""
