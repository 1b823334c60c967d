"""How many of each arm were asked and answered, by day: what stays when surveys are erased."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

COUNTS = ("asked", "delivered", "answered", "unknown", "failed")


def upgrade() -> None:
    op.create_table(
        "arm_days",
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint("day", "experiment", "arm", name=op.f("pk_arm_days")),
    )
