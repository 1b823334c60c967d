"""Calls are drawn in strata, each with a probability of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("calls", sa.Column("stratum", sa.String(), server_default="other", nullable=False))
    op.add_column("calls", sa.Column("share", sa.Float()))
