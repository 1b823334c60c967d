"""hour: a night's backlog at opening time and a provider that takes so many a second: how near to its limit, and nobody's turn lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import sqlalchemy as sa

from bench.deciding import DECIDED
from bench.load import LOCAL
from bench.meters import Line, Meter, Report, between, ends
from bench.room import Room, room
from bench.sending import DELIVERY
from ops.carrier.evidence import records
from ops.carrier.records import Accepted
from ops.clock import real_now
from sinks.ledger import schema

WAITING: Final = 20_000
LIMIT: Final = 100
"""Messages a second."""
SECONDS: Final = 60
WANTED: Final = 0.95
_WARM: Final = 300
_NIGHT: Final = datetime(2026, 3, 2, 5, tzinfo=LOCAL)
_OPENING: Final = datetime(2026, 3, 2, 8, tzinfo=LOCAL)
_PARTS: Final = ["kafka", "store", "carrier", "setup"]


async def hour(waiting: int = WAITING, limit: int = LIMIT, seconds: int = SECONDS) -> Report:
    """``waiting`` invitations are due at eight; one send worker, measured for ``seconds`` after its first three."""
    report = Report("hour", "messages a second of one worker")
    async with room(_PARTS, any_hour=False, provider_rates=f"twilio={limit}") as here:
        await _night(here, waiting)
        report.lines.append(Line("the provider's limit", float(limit), 0, 0.0))
        report.lines.append(await _morning(here, limit * seconds))
        turns = _turns(here)
        report.goal("at opening time, of the provider's limit", WANTED, "send, at opening time", "the provider's limit")
        report.notes += turns.told(waiting, here.settings.send_parallel)
    return report


async def _night(here: Room, n: int) -> None:
    """Decided before opening time: all of it is due at eight."""
    async with ends(here.settings.kafka) as log:
        await here.take_in(n, "1", only="phone")
        async with here.process("decide-0", ["ops.worker", "decide", "--slot", "0"], clock=_offset(_NIGHT)) as pid:
            await between("decide", lambda: log.of(DECIDED, 4), 0, n, lambda: Meter(pid, {}))


async def _morning(here: Room, n: int) -> Line:
    """From seven seconds before opening. Each message is two facts: claimed, handed over."""
    argv = ["ops.worker", "send", "--slot", "0"]

    async def sent() -> int:
        return await log.of(DELIVERY, 4) // 2

    opening = _offset(_OPENING - timedelta(seconds=7))
    async with ends(here.settings.kafka) as log, here.process("send-0", argv, clock=opening) as pid:
        return await between("send, at opening time", sent, _WARM, _WARM + n, lambda: Meter(pid, here.others()))


def _offset(moment: datetime) -> str:
    """A clock that shows ``moment`` now."""
    return f"offset:{(moment - real_now()).total_seconds():.3f}"


@dataclass(frozen=True)
class _Turns:
    """``ranks``: for each message at the carrier, oldest first, its place in the order of the due table."""

    ranks: Sequence[int]
    at: Sequence[datetime]

    def told(self, waiting: int, parallel: int) -> list[str]:
        taken = Counter(self.ranks)
        first = len(taken)
        displaced = max((abs(rank - n) for n, rank in enumerate(self.ranks)), default=0)
        missed = sum(rank not in taken for rank in range(first - parallel))
        busiest = max((sum(t < start + timedelta(seconds=1) for t in self.at[n : n + 1000]) for n, start in enumerate(self.at)), default=0)
        gap = max((b - a for a, b in pairwise(self.at)), default=timedelta())
        return [
            f"Of {waiting} waiting the carrier took {len(self.ranks)}: {sum(n - 1 for n in taken.values())} twice, {missed} of the first "
            f"{first - parallel} passed over, none more than {displaced} places from its turn ({parallel} are under way at once).",
            f"The busiest second had {busiest} messages, the longest gap was {gap.total_seconds() * 1000:.0f} ms.",
        ]


def _turns(here: Room) -> _Turns:
    """By the carrier's journal and the due table."""
    taken = [r for r in records(here.settings.data_dir / "carrier" / "journal.jsonl") if isinstance(r, Accepted)]
    ledger = here.wiring.ledger("bench")
    with ledger.read() as reader:
        order = sa.select(schema.due.c.ref).where(schema.due.c.kind == "invitation").order_by(schema.due.c.due_at, schema.due.c.id)
        rank = {ref: n for n, ref in enumerate(reader.conn.execute(order).scalars())}
        survey = reader.surveys_by_code()
    ledger.close()
    codes = (m.body.split(f"{here.settings.survey_url}/")[1].split()[0].rstrip(".,;") for m in taken)
    return _Turns([rank[survey[here.wiring.tools.code_hash(code)]] for code in codes], [m.at for m in taken])
