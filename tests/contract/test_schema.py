"""What a database fills in by itself: the migrations say it as the schema does. That tables and types agree stands in test_writers.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from hailong.ports import Permanent
from sinks.ledger.engine import _engine, migrate
from sinks.ledger.schema import metadata


@pytest.mark.stack
def test_the_migrations_give_columns_the_defaults_of_the_schema(kept_database: tuple[str, object]) -> None:
    """On PostgreSQL only: of SQLite, Alembic cannot tell an empty text from none."""
    engine = _engine(kept_database[0], None)
    with engine.connect() as conn:
        differences = compare_metadata(MigrationContext.configure(conn, opts={"compare_server_default": True}), metadata)
    engine.dispose()
    assert differences == []


def test_a_file_that_is_no_database_any_more_is_named_with_the_next_step(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    migrate(f"sqlite:///{file}")
    octets = bytearray(file.read_bytes())
    octets[:3000] = b"x" * 3000
    file.write_bytes(octets)
    with pytest.raises(Permanent, match=r"ledger\.db is no database any more, or a damaged one\. Put it aside and restore"):
        migrate(f"sqlite:///{file}")
