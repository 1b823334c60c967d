"""Landlines are kept to be called; a slip whose dossier was erased stays used."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("slots", sa.Column("landline", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("slips", sa.Column("erased_on", sa.String(10)))
