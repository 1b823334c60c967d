"""What waits can be found by its channel."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("ix_due_channel", "due", ["state", "channel", "due_at"])
