"""Answers, and what lies beside them: own words, wishes, questionnaires, what came of it."""

from __future__ import annotations

import sqlalchemy as sa

from sinks.ledger.schema.columns import Day, Moment, Serial, metadata

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
"""``first_score``: of revision 0, which figures count; ``done``: questions answered (and again with "-" before it, where that was
taken back), ``finished``: questionnaires, of the other pages;
``held``: the sign for which the first answer waits or waited for a person, who ``judged`` it ``released`` or ``confirmed``; ``fact``: what
came in while it is held, in order."""

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
"""Who wants to be called back by the quality office; with outcome ``withdrawn``, not any more."""

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
