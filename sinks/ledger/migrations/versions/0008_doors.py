"""The citizen's doors: receipts, comments, slips, calls, kiosks, paper, answers that are held."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for step in (
        _slots, _answers, _comments, _callbacks, _feedback, _tries, _slips, _slip_answers, _questionnaires, _calls, _call_tries, _helped,
        _kiosks, _papers, _measures,
    ):  # fmt: skip
        step()


def _slots() -> None:
    for name in ("tail_hash", "ticket_hash"):
        op.add_column("slots", sa.Column(name, sa.String()))
    op.create_index(op.f("ix_slots_ticket_hash"), "slots", ["ticket_hash"])


def _answers() -> None:
    for column in (
        sa.Column("first_score", sa.Integer()),
        sa.Column("about", sa.Text(), server_default="{}", nullable=False),
        sa.Column("receipt_hash", sa.String()),
        sa.Column("mode", sa.String(), server_default="link", nullable=False),
        sa.Column("done", sa.Text(), server_default="[]", nullable=False),
        sa.Column("finished", sa.Text(), server_default="[]", nullable=False),
        sa.Column("held", sa.String()),
        sa.Column("judged", sa.String()),
        sa.Column("judged_by", sa.String()),
        sa.Column("judged_at", sa.BigInteger()),
        sa.Column("erased_at", sa.BigInteger()),
        sa.Column("fact", sa.Text()),
    ):
        op.add_column("answers", column)
    op.create_index(op.f("ix_answers_receipt_hash"), "answers", ["receipt_hash"])
    op.create_index("ix_answers_held", "answers", ["held", "judged"])


def _comments() -> None:
    op.create_table(
        "comments",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("survey_id", sa.String(), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("masked", sa.Integer(), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comments")),
        sa.UniqueConstraint("survey_id", "question", name=op.f("uq_comments_survey_id")),
    )
    op.create_index(op.f("ix_comments_day"), "comments", ["day"])


def _callbacks() -> None:
    op.create_table(
        "callbacks",
        sa.Column("survey_id", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger()),
        sa.Column("done_by", sa.String()),
        sa.Column("outcome", sa.String()),
        sa.PrimaryKeyConstraint("survey_id", name=op.f("pk_callbacks")),
    )
    op.create_index(op.f("ix_callbacks_asked_at"), "callbacks", ["asked_at"])


def _feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("unit", sa.String()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("masked", sa.Integer(), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
    )
    op.create_index(op.f("ix_feedback_day"), "feedback", ["day"])


def _tries() -> None:
    op.create_table(
        "tries",
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_tries")),
    )
    op.create_index(op.f("ix_tries_since"), "tries", ["since"])


def _slips() -> None:
    op.create_table(
        "slips",
        sa.Column("slip_hash", sa.String(), nullable=False),
        sa.Column("batch", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("held_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("slip_hash", name=op.f("pk_slips")),
    )
    op.create_index(op.f("ix_slips_batch"), "slips", ["batch"])


def _slip_answers() -> None:
    op.create_table(
        "slip_answers",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("slip_hash", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("texts", sa.Text(), nullable=False),
        sa.Column("keep_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slip_answers")),
        sa.UniqueConstraint("event_id", name=op.f("uq_slip_answers_event_id")),
    )
    op.create_index(op.f("ix_slip_answers_keep_until"), "slip_answers", ["keep_until"])
    op.create_index(op.f("ix_slip_answers_slip_hash"), "slip_answers", ["slip_hash"])


def _questionnaires() -> None:
    op.create_table(
        "questionnaires",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", "version", "part", name=op.f("pk_questionnaires")),
    )


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("survey_id", sa.String(), nullable=False),
        sa.Column("drawn_on", sa.String(10), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String()),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("disposition", sa.String()),
        sa.PrimaryKeyConstraint("survey_id", name=op.f("pk_calls")),
    )
    op.create_index(op.f("ix_calls_state"), "calls", ["state", "next_at"])


def _call_tries() -> None:
    op.create_table(
        "call_tries",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("survey_id", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("disposition", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_tries")),
    )
    op.create_index(op.f("ix_call_tries_survey_id"), "call_tries", ["survey_id"])


def _helped() -> None:
    op.create_table(
        "helped",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("survey_id", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_helped")),
    )
    op.create_index(op.f("ix_helped_survey_id"), "helped", ["survey_id"])


def _kiosks() -> None:
    op.create_table(
        "kiosks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("enrolled_at", sa.BigInteger()),
        sa.Column("seen_at", sa.BigInteger()),
        sa.Column("closed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kiosks")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_kiosks_token_hash")),
    )


def _papers() -> None:
    op.create_table(
        "papers",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("survey_id", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("entered_by", sa.String(), nullable=False),
        sa.Column("entered_unit", sa.String()),
        sa.Column("entered_at", sa.BigInteger(), nullable=False),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.Column("key_month", sa.String()),
        sa.Column("scan", sa.LargeBinary()),
        sa.Column("scan_until", sa.String(10)),
        sa.Column("again", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("again_by", sa.String()),
        sa.Column("again_at", sa.BigInteger()),
        sa.Column("asked", sa.Integer()),
        sa.Column("differs", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_papers")),
        sa.UniqueConstraint("survey_id", name=op.f("uq_papers_survey_id")),
    )
    op.create_index(op.f("ix_papers_scan_until"), "papers", ["scan_until"])


def _measures() -> None:
    op.create_table(
        "measures",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("said_vi", sa.Text(), nullable=False),
        sa.Column("did_vi", sa.Text(), nullable=False),
        sa.Column("said_en", sa.Text(), nullable=False),
        sa.Column("did_en", sa.Text(), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_measures")),
    )
    op.create_index(op.f("ix_measures_unit"), "measures", ["unit"])
