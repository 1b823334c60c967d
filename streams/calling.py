"""Calls: once a day a random part of those who did not answer, or cannot be written to, is put on the list of people to be called.

The number that decides is of the day on which hailong first heard of the dossier, like every other draw about it: it is the same on every
later day, so a second look changes nothing, and nobody chooses. Where the unit was too quiet to judge, by the list in force on that day,
the share is higher; list and shares were published before the seed was used. The work is done in parts (streams.every_day).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Final, Protocol, cast

from hailong.domain import draw as lots
from hailong.domain.calls import Calling, Candidate, Stratum, shares
from hailong.domain.rulebook import Rules
from hailong.events import QualityLooked
from hailong.ports import Clock, Transaction
from streams.every_day import EveryDay
from streams.guard import Outbox

KIND: Final = "calls"
AT: Final = time(6, 30)
"""Local time: before anybody is called, after the night's answers."""
PART: Final = 200


class CallLedger(Protocol):
    """What the round needs of a transaction besides the due table."""

    def clear_calls(self, now: datetime, real_now: datetime, limit: int) -> int: ...
    def call_candidates(self, rules: Calling, day: date, now: datetime, after: str, limit: int) -> list[Candidate]: ...
    def look_in_force(self, day: date) -> QualityLooked | None: ...
    def add_calls(self, drawn: Sequence[Candidate], rules: Calling, day: date, now: datetime, cap_days: int) -> int: ...


def calling_of(rules: Rules) -> Calling:
    """The part of the rules that is about calls."""
    gap = timedelta(hours=rules.call_gap_hours)
    return Calling(rules.call_share, rules.call_after_days, rules.call_tries, gap, rules.call_hours)


def in_stratum(one: Candidate, share: float, look: QualityLooked | None) -> Candidate:
    """With the stratum and the probability that hold for dossiers heard of on its day. ``look``: the one in force then."""
    stratum: Stratum = "quiet" if look is not None and one.unit in look.quiet else "other"
    return replace(one, stratum=stratum, share=shares(share, look.quiet_part if look is not None else 0.0)[stratum])


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
        self._rules = rules
        self._draw = draw
        self._part = part
        self._real_now = real_now
        self._daily = EveryDay(KIND, AT, self._draw_day, outbox, clock, real_now, lease_s)

    async def round(self) -> int:
        """Draw when the day's moment has come; how many were put on the list. Raises Retryable: what is not done is taken up again."""
        return await self._daily.round()

    async def _draw_day(self, now: datetime) -> int:
        while (await self._outbox.write(lambda tx: cast(CallLedger, tx).clear_calls(now, self._real_now(), self._part)))[0]:
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
        looks = {heard: ledger.look_in_force(heard) for heard in {one.heard_on for one in found}}
        placed = [in_stratum(one, calling.share, looks[one.heard_on]) for one in found]
        drawn = [one for one in placed if self._draw(one.heard_on, one.dossier_ref, lots.CALL) < one.share]
        added = ledger.add_calls(drawn, calling, day, now, rules.cap_days)
        return added, found[-1].dossier_ref if len(found) == self._part else None
