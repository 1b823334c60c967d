"""The clock of the installation, and the log for writing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from hailong.events import Record


class Clock(Protocol):
    """The time of the installation; aware, Asia/Ho_Chi_Minh."""

    def now(self) -> datetime: ...


class AsyncPublisher(Protocol):
    """The log, for writing."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Return when every record is acknowledged by all in-sync replicas, in order within a topic's partition.

        Raises Retryable when any was not; some may have been written, so the caller repeats all of them (echoes are dropped by id).
        """
        ...


class Publisher(Protocol):
    """The log, for writing from a synchronous program; same contract."""

    def publish(self, records: Sequence[Record]) -> None: ...
