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
    sa.Column("unit", sa.String, nullable=False, server_default=""),
    sa.Column("minor", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("preferred", sa.String),
    sa.Column("refused", sa.String, nullable=False, server_default=""),
    sa.Column("slip_hash", sa.String, index=True),
    sa.Column("tail_hash", sa.String),
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
    sa.Column("first_score", sa.Integer),
    sa.Column("about", sa.Text, nullable=False, server_default="{}"),
    sa.Column("receipt_hash", sa.String, index=True),
    sa.Column("mode", sa.String, nullable=False, server_default="link"),
    sa.Column("done", sa.Text, nullable=False, server_default="[]"),
    sa.Column("finished", sa.Text, nullable=False, server_default="[]"),
    sa.Column("held", sa.String),
    sa.Column("judged", sa.String),
    sa.Column("judged_by", sa.String),
    sa.Column("judged_at", Moment),
    sa.Column("erased_at", Moment),
    sa.Column("fact", sa.Text),
    sa.Index("ix_answers_held", "held", "judged"),
)
"""``first_score``: of revision 0, which figures count; ``done``: questions answered, ``finished``: questionnaires, of the other pages;
``held``: the sign for which the first answer waits or waited for a person, who ``judged`` it ``released`` or ``confirmed``; ``fact``: what
came in, while it is held."""

comments = sa.Table(
    "comments",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("survey_id", sa.String, nullable=False),
    sa.Column("question", sa.String, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("masked", sa.Integer, nullable=False),
    sa.Column("day", Day, nullable=False, index=True),
    sa.UniqueConstraint("survey_id", "question", name="uq_comments_survey_id"),
)
"""Own words, with what named anybody masked (``masked``: how many times); never in the log, kept for a year."""

callbacks = sa.Table(
    "callbacks",
    metadata,
    sa.Column("survey_id", sa.String, primary_key=True),
    sa.Column("unit", sa.String, nullable=False),
    sa.Column("asked_at", Moment, nullable=False, index=True),
    sa.Column("done_at", Moment),
    sa.Column("done_by", sa.String),
    sa.Column("outcome", sa.String),
)
"""Who wants to be called back by the quality office."""

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("unit", sa.String),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("masked", sa.Integer, nullable=False),
    sa.Column("day", Day, nullable=False, index=True),
)
"""Own words of people without a code: kept as feedback, never counted."""

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
)
"""Printed codes. A slip is bound to a dossier by ``slots.slip_hash``."""

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

questionnaires = sa.Table(
    "questionnaires",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("part", sa.String, primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("used_at", Moment),
)
"""What was asked: once a version was answered (``used_at``), its fingerprints stand."""

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
    sa.Index("ix_calls_state", "state", "next_at"),
)
"""Who was drawn to be called; ``why``: no_answer or unreachable; ``state``: waiting, taken, done."""

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

measures = sa.Table(
    "measures",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("unit", sa.String, nullable=False, index=True),
    sa.Column("said_vi", sa.Text, nullable=False),
    sa.Column("did_vi", sa.Text, nullable=False),
    sa.Column("said_en", sa.Text, nullable=False),
    sa.Column("did_en", sa.Text, nullable=False),
    sa.Column("day", Day, nullable=False),
    sa.Column("by", sa.String, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("withdrawn_at", Moment),
)
"""You said, we did: what came of answers, per unit."""

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

# --- people and what they did (sinks/ledger/people.py, sinks/ledger/audit.py); all moments here are real time

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

# --- whom channels reach (sinks/ledger/going.py); moments are real time

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

# --- what was erased, and what people reported (sinks/ledger/erasing.py, sinks/ledger/fakes.py)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("day", Day, primary_key=True),
    sa.Column("what", sa.String, primary_key=True),
    sa.Column("key_month", sa.String, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)
"""``key_month``: of the key it was sealed under, empty for what was not sealed."""

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
