from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clickhouse.room import clickhouse


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as url:
        yield url
