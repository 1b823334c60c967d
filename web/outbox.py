"""Facts a site wrote into the ledger, on their way to the log: published right after the commit, then marked.

Should the site be gone before that, whoever looks after outboxes takes over what it left; nothing here is needed for nothing to be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

from hailong import telemetry
from hailong.ports import AsyncPublisher, PendingRecord, Permanent, Retryable

Run = Callable[[Callable[[], Any]], Awaitable[Any]]
"""How the site asks the ledger: in a thread; raises Retryable when it is away."""


class Unpublished(Protocol):
    """The site's own part of the outbox."""

    def pending(self, limit: int = 500) -> Sequence[PendingRecord]: ...
    def published(self, ids: Sequence[int]) -> None: ...


class Outbox:
    """Publishes this site's outbox whenever it is woken, and every ``every`` seconds of real time for what a crash left behind.

    ``name`` of the site, in the log.
    """

    def __init__(self, ledger: Unpublished, publisher: AsyncPublisher, name: str, run: Run = asyncio.to_thread, every: float = 5.0) -> None:
        self._ledger = ledger
        self._publisher = publisher
        self._run = run
        self._every = every
        self._wake = asyncio.Event()
        self._log = telemetry.log(f"{name}.outbox")
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Something was written."""
        self._wake.set()

    async def publish(self) -> int:
        """Publish what waits, in order; the number of records. Raises Retryable, Permanent; what was not marked is published again."""
        published = 0
        while rows := await self._run(self._ledger.pending):
            await self._publisher.publish([row.record for row in rows])
            await self._run(partial(self._ledger.published, [row.id for row in rows]))
            published += len(rows)
        return published

    async def keep_publishing(self) -> None:
        """For ever; run as a task."""
        troubled = False
        while True:
            self._wake.clear()
            try:
                await self.publish()
                troubled = False
            except (Retryable, Permanent) as away:
                # Nothing is lost: the rows stay in the ledger and are published in the next round.
                if not troubled:
                    self._log.warning("outbox waits", **telemetry.failure(away))
                troubled = True
            try:
                # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event.
                async with asyncio.timeout(self._every):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def start(self) -> None:
        """Begin in the background of the running loop."""
        self._task = asyncio.create_task(self.keep_publishing())

    async def stop(self) -> None:
        """Stop; what waits is published at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
