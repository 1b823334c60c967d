from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sinks.ledger import migrate
from tests.streams.twins import Room, room


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty ledger, to be copied."""
    path = tmp_path_factory.mktemp("ledger") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def here(template: Path, tmp_path: Path) -> Iterator[Room]:
    with room(template, tmp_path) as made:
        yield made
