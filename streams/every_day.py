"""Work done once a local day by one process, whoever it is: one row of the due table a day, taken under a lease.

A process that dies in between is followed by the next one, so the work bears repeating.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta

from hailong.ports import Clock, Transaction
from streams.guard import Outbox

_ROWS = 100
"""Days that may wait, after a long stop; they are done together."""


class EveryDay:
    """``kind``: of its due rows; ``at``: local time of day; ``work``: gives how much it did; ``real_now``: of leases."""

    def __init__(
        self,
        kind: str,
        at: time,
        work: Callable[[datetime], Awaitable[int]],
        outbox: Outbox,
        clock: Clock,
        real_now: Callable[[], datetime],
        lease_s: float = 300.0,
    ) -> None:
        self._kind = kind
        self._at = at
        self._work = work
        self._outbox = outbox
        self._clock = clock
        self._real_now = real_now
        self._lease = timedelta(seconds=lease_s)
        self._next: datetime | None = None

    async def round(self) -> int:
        """Work when the day's moment has come; how much was done. Raises Retryable: what is not done is taken up again."""
        now, real = self._clock.now(), self._real_now()
        if self._next is not None and now < self._next:
            return 0
        planned = self._after(now)
        done = 0
        if self._next is None or await self._outbox.anything_due([self._kind], now, real):
            rows, _ = await self._outbox.write(lambda tx: self._take(tx, planned, now, real))
            if rows:
                done = await self._work(now)
                await self._outbox.write(lambda tx: tx.finish_due(rows))
        waits = await self._outbox.anything_due([self._kind], now, real + 2 * self._lease)
        self._next = now if waits else planned  # another process is at it: look again, should it die
        return done

    def _take(self, tx: Transaction, planned: datetime, now: datetime, real: datetime) -> list[int]:
        tx.schedule(self._kind, planned.date().isoformat(), planned)
        return [row.id for row in tx.take_due([self._kind], now, real, real + self._lease, _ROWS)]

    def _after(self, now: datetime) -> datetime:
        today = datetime.combine(now.date(), self._at, now.tzinfo)
        return today if today > now else today + timedelta(days=1)
