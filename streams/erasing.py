"""Erasing: once a day what must be gone is erased, and the keys of past months that nothing lies under any more are discarded.

The work is done in parts of their own transactions (streams.every_day).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from functools import partial
from typing import Final, Protocol

import structlog

from hailong.ports import Clock, Transaction
from streams.every_day import EveryDay
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
        self._keys = keys
        self._part = part
        self._daily = EveryDay(KIND, AT, self._erase, outbox, clock, real_now, lease_s)

    async def round(self) -> int:
        """Erase when the day's moment has come; how much was done. Raises Retryable: what is not done is taken up again."""
        return await self._daily.round()

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
