"""Looks at the quality of data: once a week, on Monday morning, about the weeks and months before it; each is a fact, with its alerts.

Each look plans the next one, so that weeks in which nothing ran are made up for in their order. A process that dies in between has kept
nothing: whoever looks again, at whatever the log holds by then, is the first. What is kept, is kept together: the look, its alerts, and
that it was done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final, Protocol, cast

from hailong.domain.hours import local
from hailong.domain.looking import EVERY, Looked, Sources, look
from hailong.domain.quality import monday
from hailong.events import AlertChanged, QualityLooked
from hailong.ports import Clock, DueRow, Permanent, Retryable, Transaction
from streams.guard import Outbox

KIND: Final = "quality"
FIRST: Final = "first"
"""The row that begins it all; every other one is named by its Monday."""
AT: Final = time(5)
"""Local time: before the day's mail, after the night's imports."""


class LookLedger(Protocol):
    """What the round needs of a transaction besides the due table."""

    def last_look(self) -> QualityLooked | None: ...
    def keep_look(self, fact: QualityLooked, steps: Sequence[AlertChanged], now: datetime) -> bool: ...


class Looker:
    """``ready()`` raises Retryable until the store holds what the log held when it was first asked about a look; ``sources(day)`` reads
    what a look is made from, and may raise Retryable or Permanent; ``real_now``: of leases."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        real_now: Callable[[], datetime],
        registry_id: str,
        ready: Callable[[], Awaitable[None]],
        sources: Callable[[date], Sources],
        lease_s: float = 900.0,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._real_now = real_now
        self._registry_id = registry_id
        self._ready = ready
        self._sources = sources
        self._lease = timedelta(seconds=lease_s)
        self._begun = False

    async def round(self) -> int:
        """Look, when a Monday's moment has come; the number of looks kept (0 or 1). Raises Retryable: it is taken up again."""
        now, real = self._clock.now(), self._real_now()
        if not self._begun:
            await self._outbox.write(lambda tx: self._begin(tx, now, real))
            self._begun = True
        if not await self._outbox.anything_due([KIND], now, real):
            return 0
        await self._ready()
        (rows, last), _ = await self._outbox.write(lambda tx: self._take(tx, now, real))
        done = 0
        for row in rows:
            done += await self._one(row, last, now)
        return done

    def _take(self, tx: Transaction, now: datetime, real: datetime) -> tuple[list[DueRow], QualityLooked | None]:
        rows = tx.take_due([KIND], now, real, real + self._lease, 1)
        return rows, cast(LookLedger, tx).last_look()

    def _begin(self, tx: Transaction, now: datetime, real: datetime) -> None:
        """Once in the life of an installation."""
        if tx.schedule(KIND, FIRST, now):
            tx.finish_due([row.id for row in tx.take_due([KIND], now, real, real + self._lease, 1)])
            self._plan(tx, monday(local(now).date()) + EVERY)

    async def _one(self, row: DueRow, last: QualityLooked | None, now: datetime) -> int:
        day = date.fromisoformat(row.ref)
        try:
            sources = await asyncio.to_thread(self._sources, day)
        except (Retryable, Permanent) as e:
            await self._outbox.write(lambda tx: tx.postpone(row.id, row.due_at))  # no lease: it is taken up at once
            raise Retryable(e.reason, 10.0) from e
        looked = await asyncio.to_thread(look, sources, day, now, self._registry_id, last)
        kept, pending = await self._outbox.write(lambda tx: self._keep(tx, row, looked, now))
        await self._outbox.publish(pending)
        return int(kept)

    def _keep(self, tx: Transaction, row: DueRow, looked: Looked, now: datetime) -> bool:
        kept = cast(LookLedger, tx).keep_look(looked.fact, looked.steps, now)
        self._plan(tx, looked.fact.day + EVERY)
        tx.finish_due([row.id])
        return kept

    def _plan(self, tx: Transaction, day: date) -> None:
        tx.schedule(KIND, day.isoformat(), datetime.combine(day, AT, self._clock.now().tzinfo))
