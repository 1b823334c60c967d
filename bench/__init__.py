"""Benchmarks of hailong, each beside the limit or a peer in the same run, with CPU seconds. Nothing here is a test: no time is asserted.

``run`` is the command; the libraries of the peers are imported with it, not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module


def run(names: Sequence[str], as_json: bool, profile: bool = False, facts: int = 1_000_000, answers: int = 1_000_000) -> int:
    """See ``bench.command.run``; 2 when the peers' libraries are not installed (the extra ``dev``)."""
    code: int = import_module("bench.command").run(names, as_json, profile, facts, answers)
    return code
