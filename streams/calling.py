"""Calls: once a day a random part of those who did not answer, or cannot be written to, is put on the list of people to be called.

The number that decides is of the day on which hailong first heard of the dossier, like every other draw about it: it is the same on every
later day, so a second look changes nothing, and nobody chooses. One row of the due table a day; the work is done in parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final, Protocol, cast

from hailong.domain import draw as lots
from hailong.domain.calls import Calling, Candidate
from hailong.domain.rulebook import Rules
from hailong.ports import Clock, Transaction
from streams.guard import Outbox

KIND: Final = "calls"
AT: Final = time(6, 30)
"""Local time: before anybody is called, after the night's answers."""
PART: Final = 200


class CallLedger(Protocol):
    """What the round needs of a transaction besides the due table."""

    def clear_calls(self, now: datetime, limit: int) -> int: ...
    def call_candidates(self, rules: Calling, day: date, now: datetime, after: str, limit: int) -> list[Candidate]: ...
    def add_calls(self, drawn: Sequence[Candidate], rules: Calling, day: date, now: datetime, cap_days: int) -> int: ...


def calling_of(rules: Rules) -> Calling:
    """The part of the rules that is about calls."""
    gap = timedelta(hours=rules.call_gap_hours)
    return Calling(rules.call_share, rules.call_after_days, rules.call_tries, gap, rules.call_hours)


class Caller:
    """Draws at ``AT`` every day. ``draw(day, dossier_ref, purpose)``: as ``streams.deciding.Office`` has it; ``real_now``: of leases."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        real_now: Callable[[], datetime],
        rules: Callable[[date], Rules],
        draw: Callable[[date, str, str], float],
        part: int = PART,
        lease_s: float = 300.0,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._real_now = real_now
        self._rules = rules
        self._draw = draw
        self._part = part
        self._lease = timedelta(seconds=lease_s)
        self._next: datetime | None = None

    async def round(self) -> int:
        """Draw when the day's moment has come; how many were put on the list. Raises Retryable: what is not done is taken up again."""
        now, real = self._clock.now(), self._real_now()
        if self._next is not None and now < self._next:
            return 0
        planned = _next(now)
        added = 0
        if self._next is None or await self._outbox.anything_due([KIND], now, real):
            rows, _ = await self._outbox.write(lambda tx: self._take(tx, planned, now, real))
            if rows:
                added = await self._draw_day(now)
                await self._outbox.write(lambda tx: tx.finish_due(rows))
        waits = await self._outbox.anything_due([KIND], now, real + 2 * self._lease)
        self._next = now if waits else planned  # another process is at it: look again, should it die
        return added

    def _take(self, tx: Transaction, planned: datetime, now: datetime, real: datetime) -> list[int]:
        tx.schedule(KIND, planned.date().isoformat(), planned)
        return [row.id for row in tx.take_due([KIND], now, real, real + self._lease, 100)]

    async def _draw_day(self, now: datetime) -> int:
        while (await self._outbox.write(lambda tx: cast(CallLedger, tx).clear_calls(now, self._part)))[0]:
            pass
        rules = self._rules(now.date())
        calling, added, after = calling_of(rules), 0, ""
        while calling.share > 0:
            (n, last), _ = await self._outbox.write(lambda tx, after=after: self._draw_part(tx, rules, calling, now, after))  # type: ignore[misc]
            added += n
            if last is None:
                break
            after = last
        return added

    def _draw_part(self, tx: Transaction, rules: Rules, calling: Calling, now: datetime, after: str) -> tuple[int, str | None]:
        """How many were put on the list, and behind which dossier to go on (None: that was all)."""
        ledger, day = cast(CallLedger, tx), now.date()
        found = ledger.call_candidates(calling, day, now, after, self._part)
        drawn = [one for one in found if self._draw(one.heard_on, one.dossier_ref, lots.CALL) < calling.share]
        added = ledger.add_calls(drawn, calling, day, now, rules.cap_days)
        return added, found[-1].dossier_ref if len(found) == self._part else None


def _next(now: datetime) -> datetime:
    today = datetime.combine(now.date(), AT, now.tzinfo)
    return today if today > now else today + timedelta(days=1)
