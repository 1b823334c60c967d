"""Facts the site wrote into the ledger (opt-outs), on their way to the log: published after the commit, then marked."""

from __future__ import annotations

import asyncio
from functools import partial

from hailong import telemetry
from hailong.ports import AsyncPublisher, Retryable
from surveys.records import Records, SiteLedger


class Outbox:
    """Publishes this site's outbox whenever it is woken, and every ``every`` seconds of real time for what a crash left behind."""

    def __init__(self, ledger: SiteLedger, records: Records, publisher: AsyncPublisher, every: float = 5.0) -> None:
        self._ledger = ledger
        self._records = records
        self._publisher = publisher
        self._every = every
        self._wake = asyncio.Event()
        self._log = telemetry.log("surveys.outbox")
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Something was written."""
        self._wake.set()

    async def publish(self) -> int:
        """Publish what waits, in order; the number of records. Raises Retryable; what was not marked is published again."""
        published = 0
        while rows := await self._records.run(self._ledger.pending):
            await self._publisher.publish([row.record for row in rows])
            done = [row.id for row in rows]
            await self._records.run(partial(self._ledger.published, done))
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
            except Retryable as away:
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
