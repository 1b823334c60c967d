"""Ports and folders for the tests of the local stack."""

from __future__ import annotations

import pytest

from ops.local.ports import Ports

_USED: set[int] = set()


@pytest.fixture
def port_base(worker_id: str) -> int:
    """Eight ports that nobody listens on now; another eight for every test, and for every process that tests."""
    first = 23000 + 600 * int(worker_id.removeprefix("gw").removeprefix("master") or 0)
    base = next(b for b in range(first, first + 600, 16) if b not in _USED and not Ports.from_base(b).taken())
    _USED.add(base)
    return base
