"""timer: whatever waits is a row of the due table. Kafka is not a timer, and a replay inserts nothing new."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from hailong.ports import Clock, DueRow, Transaction
from streams.guard import Outbox

KINDS: Final = ("expire", "no_receipt", "digest")


class Timer:
    """Expires links, gives up on receipts and makes the daily mail. Sending has its own hand on its due rows, count on its day records.

    ``summary()`` gives what the daily mail says; it is asked before the transaction, because it reads other stores.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        real_now: Callable[[], datetime],
        digest_at: time,
        office: Callable[[], Sequence[str]],
        summary: Callable[[datetime], Mapping[str, Any]],
        lease_s: float = 60.0,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._real_now = real_now
        self._digest_at = digest_at
        self._office = office
        self._summary = summary
        self._lease = timedelta(seconds=lease_s)
        self._planned: date | None = None

    async def round(self) -> int:
        """Everything whose moment has come; the number of rows."""
        now, real = self._clock.now(), self._real_now()
        if now.date() == self._planned and not await self._outbox.anything_due(KINDS, now, real):
            return 0
        rows, pending = await self._outbox.write(lambda tx: self._take(tx, now, real))
        digests = {row.id: self._summary(row.due_at.astimezone(now.tzinfo)) for row in rows if row.kind == "digest"}
        if digests:
            _, more = await self._outbox.write(lambda tx: self._send_digests(tx, rows, digests, now))
            pending += more
        await self._outbox.publish(pending)
        self._planned = now.date()
        return len(rows)

    def _take(self, tx: Transaction, now: datetime, real: datetime) -> list[DueRow]:
        self._plan_digest(tx, now)
        rows = tx.take_due(KINDS, now, real, real + self._lease, 200)
        for row in rows:
            if row.kind == "expire":
                tx.expire(row.ref, now)
            elif row.kind == "no_receipt":
                tx.no_receipt(row.ref, now)
        tx.finish_due([row.id for row in rows if row.kind != "digest"])
        return rows

    def _plan_digest(self, tx: Transaction, now: datetime) -> None:
        today = datetime.combine(now.date(), self._digest_at, now.tzinfo)
        next_one = today if today > now else today + timedelta(days=1)
        tx.schedule("digest", next_one.date().isoformat(), next_one)

    def _send_digests(self, tx: Transaction, rows: Sequence[DueRow], digests: Mapping[int, Mapping[str, Any]], now: datetime) -> None:
        for row in rows:
            if row.id in digests:
                for n, address in enumerate(self._office()):
                    tx.schedule("officers", f"digest:{row.ref}:{n}", now, {"to": address, **digests[row.id]})
                tx.finish_due([row.id])
