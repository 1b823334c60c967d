from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sinks.ledger import migrate
from tests.clickhouse.room import clickhouse


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as url:
        yield url


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty ledger, to be copied: migrating takes longer than most tests here."""
    path = tmp_path_factory.mktemp("blank") / "blank.db"
    migrate(f"sqlite:///{path}")
    return path
