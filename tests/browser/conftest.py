"""A Chromium and a survey site for the tests of this folder. HAILONG_TEST_SHOTS names the folder of the pictures (else none are made)."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from surveys.wording import TEXTS, library, page_words
from tests.browser import chromium, office
from tests.browser.citizen import LANGUAGES, Citizen, visiting
from tests.browser.office import Office

Visit = Callable[..., Citizen]
ALONE = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",)
"""No name is ever looked up: what escapes the routes of a context reaches nobody either."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They reach the site over loopback."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.stack)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium a module: Playwright's loop would be in the way of other modules' loops."""
    found = chromium.find()
    assert found is not None, chromium.MISSING
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # root has no sandbox in Chromium
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=found, args=[*ALONE, *sandbox]) as started:
        yield started


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The survey site, one for all."""
    with office.opened(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="session")
def shots() -> Path | None:
    """Where pictures and accessibility trees are kept, where somebody wants them."""
    named = os.environ.get("HAILONG_TEST_SHOTS")
    if not named:
        return None
    Path(named).mkdir(parents=True, exist_ok=True)
    return Path(named)


@pytest.fixture
def visit(browser: Browser, site: Office, shots: Path | None) -> Iterator[Visit]:
    """``visit(lang=…, screen=…, js=…)``: somebody comes; at the end of the test it is looked at what their pages did."""
    with ExitStack() as visits:

        def come(home: str = site.url, **how: Any) -> Citizen:
            return visits.enter_context(visiting(browser, home, shots, **how))

        yield come


@pytest.fixture(scope="session")
def words() -> dict[str, dict[str, Any]]:
    """Language → what the pages say."""
    return page_words()


@pytest.fixture(scope="session")
def asked() -> dict[str, dict[str, Any]]:
    """Language → what the questionnaire about a dossier says, as it is asked today."""
    current = library().current
    return {lang: tomllib.loads((TEXTS / lang / f"{current.id}-{current.version}.toml").read_text("utf-8")) for lang in LANGUAGES}
