"""What a database fills in by itself: the migrations say it as the schema does. That tables and types agree stands in test_writers.py."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sinks.ledger.engine import _engine
from sinks.ledger.schema import metadata


@pytest.mark.stack
def test_the_migrations_give_columns_the_defaults_of_the_schema(kept_database: tuple[str, object]) -> None:
    """On PostgreSQL only: of SQLite, Alembic cannot tell an empty text from none."""
    engine = _engine(kept_database[0], None)
    with engine.connect() as conn:
        differences = compare_metadata(MigrationContext.configure(conn, opts={"compare_server_default": True}), metadata)
    engine.dispose()
    assert differences == []
