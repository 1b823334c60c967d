"""What people may ask for: when a survey was settled and erased, versions of the pepper, what was erased, reported fakes."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("slots", sa.Column("settled_on", sa.String(10), nullable=True))
    op.add_column("slots", sa.Column("erased_on", sa.String(10), nullable=True))
    op.create_index("ix_slots_erased_on", "slots", ["erased_on", "settled_on"])
    # Hashes made so far are those of the first version.
    op.add_column("contacts", sa.Column("pepper", sa.Integer(), server_default="1", nullable=False))
    op.add_column("contacts", sa.Column("newer", sa.String(), nullable=True))
    op.create_index("ix_contacts_newer", "contacts", ["newer"])
    op.create_table(
        "erasures",
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("key_month", sa.String(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "what", "key_month", name=op.f("pk_erasures")),
    )
    op.create_table(
        "fake_reports",
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("text_hash", sa.String(64), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "text_hash", name=op.f("pk_fake_reports")),
    )
