"""Who writes: an outbox of its own for each process, and its sign of life."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "writers",
        sa.Column("writer", sa.String(), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("writer", name=op.f("pk_writers")),
    )
    # What waits in the outbox now was written before writers gave signs of life; who is gone is found out like any other.
    op.execute("INSERT INTO writers (writer, beats) SELECT DISTINCT writer, 0 FROM outbox")
