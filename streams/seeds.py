"""The seeds of the draw: what is published of each day's seed, the day before and when it is over, once and in order.

Each day's rows are planned by those of the day before, so that days on which nothing ran are made up for, one after the other; their
commitments are late, and the moment they carry says so.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

from hailong.domain.draw import commitment
from hailong.domain.draw_published import committed_at, revealed_at
from hailong.domain.hours import local
from hailong.events import DrawSeed
from hailong.ports import Clock, DueRow, Transaction
from streams.guard import Outbox

COMMIT: Final = "seed_commit"
REVEAL: Final = "seed_reveal"
KINDS: Final = (COMMIT, REVEAL)
FIRST: Final = "first"
"""The row that begins it all; every other one is named by its day."""
_PER_ROUND: Final = 200
_DAY: Final = timedelta(days=1)


class Seeds:
    """Publishes commitments and seeds. ``seed`` gives a day's, the same every time. For one process: only then their order holds."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        real_now: Callable[[], datetime],
        registry_id: str,
        seed: Callable[[date], bytes],
        lease_s: float = 60.0,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._real_now = real_now
        self._registry_id = registry_id
        self._seed = seed
        self._lease = timedelta(seconds=lease_s)
        self._begun = False

    async def round(self) -> int:
        """Everything whose moment has come; the number of rows. Raises Retryable."""
        now, real = self._clock.now(), self._real_now()
        if self._begun and not await self._outbox.anything_due(KINDS, now, real):
            return 0
        n, _ = await self._outbox.write(lambda tx: self._take(tx, now, real))
        self._begun = True
        # All that is pending, not only what is new: what a try before this one left must stand first.
        await self._outbox.drain()
        return n

    def _take(self, tx: Transaction, now: datetime, real: datetime) -> int:
        tx.schedule(COMMIT, FIRST, now)
        n = 0
        # One by one: each plans the next, which may be the earlier of those that are due.
        while n < _PER_ROUND and (rows := tx.take_due(KINDS, now, real, real + self._lease, 1)):
            self._do(tx, rows[0], now)
            n += 1
        return n

    def _do(self, tx: Transaction, row: DueRow, now: datetime) -> None:
        if row.ref == FIRST:
            today = local(now).date()
            for day in (today, today + _DAY):
                tx.schedule(COMMIT, day.isoformat(), now)
        elif row.kind == COMMIT:
            self._commit(tx, row, date.fromisoformat(row.ref), now)
        else:
            self._reveal(tx, row, date.fromisoformat(row.ref), now)
        tx.finish_due([row.id])

    def _commit(self, tx: Transaction, row: DueRow, day: date, now: datetime) -> None:
        said = commitment(day, self._seed(day))
        tx.put([DrawSeed(event_id=f"seed:{day}:commit", registry_id=self._registry_id, day=day, commitment=said)], now)
        tx.postpone(row.id, row.due_at, {"commitment": said, "at": now.isoformat()})
        tx.schedule(REVEAL, day.isoformat(), revealed_at(day))
        tx.schedule(COMMIT, (day + _DAY).isoformat(), committed_at(day + _DAY))

    def _reveal(self, tx: Transaction, row: DueRow, day: date, now: datetime) -> None:
        seed = self._seed(day)
        said = commitment(day, seed)
        fact = DrawSeed(event_id=f"seed:{day}:reveal", registry_id=self._registry_id, day=day, commitment=said, seed=seed.hex())
        tx.put([fact], now)
        tx.postpone(row.id, row.due_at, {"seed": fact.seed, "at": now.isoformat()})
