from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sinks.ledger import migrate
from tests.clickhouse.room import clickhouse
from tests.dashboard.room import People


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


@pytest.fixture
def people(tmp_path: Path, blank: Path) -> Iterator[People]:
    """Accounts on a ledger of the test's own."""
    made = People(tmp_path, blank)
    yield made
    made.ledger.close()
