from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.local.home import REPOSITORY
from tests.end.town import Town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A whole stack with the district's units; once for all these tests, which follow one another."""
    made = Town(tmp_path_factory.mktemp("town") / "data")
    try:
        made.start()
        assert made.json("import", "units", str(REPOSITORY / "examples" / "units" / "lac-son.csv"))["changed"] > 20
        yield made
    finally:
        made.close()
