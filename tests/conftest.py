"""Rules for every test: without the marker ``stack`` no network; nothing is left behind; properties are never timed."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("hailong", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hailong")
_GRACE_S = 5.0


LONGEST = ("tests/end/", "tests/browser/", "tests/rebuild/", "tests/intake/test_publisher", "tests/local/", "tests/store/")
"""Begun first: two processes share the files, and a long one begun last would leave the other idle."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="also what is marked thorough: the same journeys in more ways")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    items.sort(key=lambda item: next((n for n, path in enumerate(LONGEST) if path in item.nodeid), len(LONGEST)))


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that says nothing about it reaches nobody (unix sockets of the own process aside)."""
    if request.node.get_closest_marker("stack"):
        return
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: object) -> None:
        if self.family == socket.AF_UNIX:
            connect(self, address)  # type: ignore[arg-type]
            return
        raise AssertionError(f"an unmarked test connects to {address!r}: mark it `stack`, or use a twin")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No variable of the environment changed, no thread of the test still running."""
    environment, threads = dict(os.environ), set(threading.enumerate())
    yield
    assert {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"} == {
        k: v for k, v in environment.items() if k != "PYTEST_CURRENT_TEST"
    }, "the test changed the environment"
    until = time.monotonic() + _GRACE_S
    while left := [t for t in threading.enumerate() if t not in threads and not t.daemon and t.is_alive() and not _pool(t)]:
        if time.monotonic() > until:
            pytest.fail(f"the test left threads behind: {', '.join(t.name for t in left)}")
        time.sleep(0.05)


def _pool(thread: threading.Thread) -> bool:
    """Threads of interpreters' and libraries' pools end with their pool, or with the process."""
    return thread.name.startswith(("asyncio_", "ThreadPoolExecutor", "AnyIO"))
