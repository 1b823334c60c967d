"""Ports and folders for the tests of the local stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.local.ports import Ports

_BASES: Iterator[int] = iter(range(21200, 21800, 8))


@pytest.fixture
def port_base() -> int:
    """Eight ports that nobody listens on now; another eight for every test."""
    return next(base for base in _BASES if not Ports.from_base(base).taken())
