"""Inserts that may be on their way: remembered beside the process, for whoever comes after it.

A process that is killed in the middle of an insert leaves a request that may arrive late, even after its successor has asked how far
the table is. The successor repeats that part with the same boundaries, so that ClickHouse takes one of the two.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

_CELL: Final = struct.Struct("<q")
NOTHING: Final = -1


class Doubts:
    """One small file a partition, in a folder that outlives the process; it need not outlive the machine."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._open: dict[tuple[str, int], int] = {}

    def note(self, topic: str, partition: int, last: int) -> None:
        """An insert that ends with offset ``last`` is about to begin."""
        os.pwrite(self._file(topic, partition), _CELL.pack(last), 0)

    def last(self, topic: str, partition: int) -> int:
        """The offset with which the insert begun last ends; ``NOTHING`` when there was none."""
        found = os.pread(self._file(topic, partition), _CELL.size, 0)
        return int(_CELL.unpack(found)[0]) if len(found) == _CELL.size else NOTHING

    def _file(self, topic: str, partition: int) -> int:
        place = (topic, partition)
        if place not in self._open:
            self._open[place] = os.open(self._folder / f"{topic}.{partition}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._open[place]
