"""What was counted at a version never changes. So whoever is asked again, for a later version, counts only what came between."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Final

from hailong.domain.scoring import Counts, Version

KEPT: Final = 24
"""Answers to so many different questions are kept; one of a province's ten years by unit and month takes some 8 MB."""


@dataclass(frozen=True)
class Known:
    """Cells at a version."""

    version: Version
    seq: int
    """Of the last counted record in it."""
    counted_at: datetime | None
    cells: Mapping[tuple[str, str], Counts]

    def since(self, version: Version, topics: tuple[str, ...]) -> int | None:
        """How many offsets of ``topics`` lie between; None where ``version`` is not at or after this one."""
        came = 0
        for topic in topics:
            now, was = version.get(topic, {}), self.version.get(topic, {})
            if any(now.get(partition, 0) < end for partition, end in was.items()):
                return None
            came += sum(end - was.get(partition, 0) for partition, end in now.items())
        return came

    def plus(self, version: Version, seq: int, counted_at: datetime | None, more: list[tuple[tuple[str, str], Counts]]) -> Known:
        """The same at a later version: with what came between; cells in which nothing is left are gone."""
        cells, nothing = dict(self.cells), Counts()
        for cell, counts in more:
            found = cells.get(cell, nothing) + counts
            if found == nothing:
                cells.pop(cell, None)
            else:
                cells[cell] = found
        return Known(version, seq, counted_at, cells)


class Memory:
    """The newest answer to each question, for many threads. What is longest not asked for goes first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[Hashable, Known] = OrderedDict()

    def get(self, question: Hashable) -> Known | None:
        """What is known of it."""
        with self._lock:
            known = self._known.get(question)
            if known is not None:
                self._known.move_to_end(question)
            return known

    def keep(self, question: Hashable, known: Known, topics: tuple[str, ...]) -> None:
        """Remember it, unless something newer is known."""
        with self._lock:
            before = self._known.get(question)
            if before is None or before.since(known.version, topics) is not None:
                self._known[question] = known
                self._known.move_to_end(question)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
