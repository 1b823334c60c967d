"""An outbox for each process: a name nobody else writes under, and what becomes of the facts a process left that is gone.

Nobody's clock is compared with another's: a process that has something unpublished lets the number beside its name rise, and who has
seen it stand still for long enough takes the outbox over. Should that be a mistake, facts are published twice, with the same bytes and in
the same order, and readers drop the echo.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from hailong.ports import AsyncPublisher, Permanent
from sinks.ledger import Ledger, Writer
from streams.guard import Outbox

log = structlog.get_logger("outboxes")
ORPHAN_AFTER_S: Final = 60.0
"""So long a living process is never without a sign of life: one every 10 s, but for a pause before the next try and two time-outs."""


def held_name(folder: Path, kind: str, new: str) -> str:
    """A name for this process's outbox, ours until it ends: one that an earlier process of this ``kind`` left, else ``new``.

    So a process that is started again finds its outbox at once. Where ``folder`` cannot be written, each process has a new name, and
    what it leaves waits for the timer.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place in itertools.count():
            held = os.open(folder / f"{kind}-{place}", os.O_RDWR | os.O_CREAT, 0o600)  # open, and with it locked, as long as we live
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(held)
                continue
            known = os.read(held, 64).decode("ascii", "replace")
            if len(known) != len(new):  # none yet, or its writing was cut off
                os.ftruncate(held, 0)
                os.pwrite(held, new.encode(), 0)
                known = new
            return f"{kind}:{known}"
    except OSError as e:
        log.info("a new outbox", kind=kind, cause=f"{folder} cannot be written ({type(e).__name__}); it is found by the timer only")
    return f"{kind}:{new}"


class Orphans:
    """Outboxes whose process is gone: found, taken over and published. Any number of processes may do this at once.

    ``ledger`` is that of the finder, whose own outbox is left to it. ``monotonic``: real seconds.
    """

    def __init__(self, ledger: Ledger, publisher: AsyncPublisher, monotonic: Callable[[], float]) -> None:
        self._ledger = ledger
        self._publisher = publisher
        self._monotonic = monotonic
        self._seen: dict[Writer, float] = {}
        """Writers as they are, and since when they have been so."""
        self._mine: dict[str, Outbox] = {}

    async def round(self) -> int:
        """Once a second or so; the number of facts published. Raises Retryable: what was taken over is tried again next time."""
        now = self._monotonic()
        found = await asyncio.to_thread(self._ledger.writers)
        others = [w for w in found if w.name not in self._mine and w.name != self._ledger.writer]
        self._seen = {w: self._seen.get(w, now) for w in others}
        for writer, since in self._seen.items():
            if now - since >= ORPHAN_AFTER_S:
                await self._end(writer)
        return await self._publish()

    async def _end(self, gone: Writer) -> None:
        if not gone.waiting:
            await asyncio.to_thread(self._ledger.forget, gone)
        elif (adopted := await asyncio.to_thread(self._ledger.adopt, gone)) is not None:
            log.info("outbox adopted", writer=gone.name)
            self._mine[gone.name] = Outbox(adopted, self._publisher)

    async def _publish(self) -> int:
        published = 0
        for name, outbox in list(self._mine.items()):
            try:
                published += await outbox.drain()
            except Permanent as e:
                # Its rows stay, and every minute somebody says so; the outboxes of others go on.
                log.error("an outbox cannot be published", writer=name, reason=e.reason)
            del self._mine[name]
        return published
