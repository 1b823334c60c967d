"""The site most tests of this folder walk through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import hypothesis
import pytest

from tests.survey.twins import NOW, Installation, about, opened, slot

hypothesis.settings.register_profile("busy machine", deadline=None)  # no test asserts a time
hypothesis.settings.load_profile("busy machine")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Installation]:
    slots = [
        slot(),
        slot("used", answered=True),
        slot("old", expires_at=NOW - timedelta(seconds=1)),
        slot("refused", about=about("refused")),
        slot("english", language="en"),
    ]
    async with opened(tmp_path, *slots, unknown_codes_per_minute=20) as made:
        yield made
