"""What is stuck, for whoever asks: the command, the officers' page, the daily mail. One list, one set of words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dashboard.operations import State, words
from sinks.ledger import LedgerReader
from surveys.answers.spool import spooled

NO_HARM_BELOW: Final[Mapping[str, int]] = {"outbox": 1000, "judge": 1000}
"""States that everything passes through: only so many at once mean that something stands still. Of every other state, one is too many."""


def states(reader: LedgerReader, spool: Path, now: datetime, real_now: datetime) -> list[State]:
    """Every state that something may be stuck in. ``spool``: folder of the survey sites' spools, which may be on another machine."""
    here = spool.is_dir()
    counts: dict[str, int | None] = dict(reader.stuck(now, real_now))
    counts["spool"] = len(spooled(spool)) if here else None
    counts["damaged"] = sum(1 for _ in spool.glob("*.damaged")) if here else None
    return [State(name, n, n is not None and n >= NO_HARM_BELOW.get(name, 1)) for name, n in counts.items()]


@dataclass(frozen=True)
class Told:
    """A state in words of one language."""

    said: str
    next: str


def told(state: State, language: str) -> Told:
    """Raises KeyError for a state without words: a test holds the two lists together."""
    said = words()[language]["states"][state.id]
    return Told(said["said"], said["next"])
