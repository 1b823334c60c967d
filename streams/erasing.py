"""Erasing: once a day what must be gone is erased, and the keys of past months that nothing lies under any more are discarded.

One row of the due table a day, however much there is; the work is done in parts of their own transactions, and a process that dies in
between is followed by the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Final, Protocol

import structlog

from hailong.ports import Clock, Transaction
from streams.guard import Outbox

log = structlog.get_logger("erasing")
KIND: Final = "erase"
AT: Final = time(0, 5)
"""Local time: nobody is written to, and the day before is over."""
PART: Final = 200
"""So many in a transaction: a page that waits for the ledger waits milliseconds."""


class MonthKeys(Protocol):
    """The keys of the vault."""

    def months(self) -> Sequence[str]:
        """Months (``YYYY-MM``) whose key is there."""
        ...

    def discard(self, month: str) -> bool:
        """Delete a key for good; False when it is not there (any more)."""
        ...


class Eraser:
    """Erases at ``AT`` every day. ``real_now``: of leases."""

    def __init__(
        self, outbox: Outbox, clock: Clock, real_now: Callable[[], datetime], keys: MonthKeys, part: int = PART, lease_s: float = 300.0
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._real_now = real_now
        self._keys = keys
        self._part = part
        self._lease = timedelta(seconds=lease_s)
        self._next: datetime | None = None

    async def round(self) -> int:
        """Erase when the day's moment has come; how much was done. Raises Retryable: what is not done is taken up again."""
        now, real = self._clock.now(), self._real_now()
        if self._next is not None and now < self._next:
            return 0
        planned = _next(now)
        done = 0
        if self._next is None or await self._outbox.anything_due([KIND], now, real):
            rows, _ = await self._outbox.write(lambda tx: self._take(tx, planned, now, real))
            if rows:
                done = await self._erase(now)
                await self._outbox.write(lambda tx: tx.finish_due(rows))
        waits = await self._outbox.anything_due([KIND], now, real + 2 * self._lease)
        self._next = now if waits else planned  # another process is at it: look again, should it die
        return done

    def _take(self, tx: Transaction, planned: datetime, now: datetime, real: datetime) -> list[int]:
        tx.schedule(KIND, planned.date().isoformat(), planned)
        return [row.id for row in tx.take_due([KIND], now, real, real + self._lease, 100)]

    async def _erase(self, now: datetime) -> int:
        day, done = now.date(), 0
        while n := (await self._outbox.write(lambda tx: tx.erase(day, now, self._part)))[0]:
            done += n
        return done + await self._discard(day)

    async def _discard(self, day: date) -> int:
        """The report comes first: a key that is gone without a word would look like a loss."""
        past = [month for month in self._keys.months() if month < day.strftime("%Y-%m")]
        if not past:
            return 0
        needed, _ = await self._outbox.write(lambda tx: tx.sealed_months())
        empty = [month for month in past if month not in needed]
        for month in empty:
            await self._outbox.write(partial(_note, month, day))
            self._keys.discard(month)
            log.info("key discarded", key=f"vault/{month}")
        return len(empty)


def _note(month: str, day: date, tx: Transaction) -> None:
    tx.note_key_discarded(month, day)


def _next(now: datetime) -> datetime:
    today = datetime.combine(now.date(), AT, now.tzinfo)
    return today if today > now else today + timedelta(days=1)
