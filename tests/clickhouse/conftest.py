from __future__ import annotations

from collections.abc import Iterator

import pytest

from hailong.settings import Settings
from tests.clickhouse.room import clickhouse, database


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as url:
        yield url


@pytest.fixture
def settings(address: str) -> Iterator[Settings]:
    with database(address) as made:
        yield made
