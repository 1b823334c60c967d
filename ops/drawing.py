"""The draw, made again from log and store; and what the survey site shows of it.

``redrawn`` is what ``hailong draw verify`` says. ``PublicDraw`` is the port of the page ``/draw``: seeds as they were published
(ledger), lists of closed days (ClickHouse), and the line of a dossier whose code somebody types.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from hailong.domain.draw_published import Line, PublishedSeed, line_of, listed, revealed_at
from hailong.domain.hours import local
from hailong.domain.redraw import UNCONFIRMED, Commitment, Redraw, SeedRecords, SeedState, as_json, bounds
from hailong.ports import Retryable
from ops.wiring import Wiring
from sinks.clickhouse.drawing import Draws, Place
from sinks.ledger import Ledger
from sinks.ledger import drawing as records
from streams.deciding import UNIT_DAYS
from surveys.doors.drawing import DrawFound

SHOWN_DAYS: Final = 62
"""So many days stand on the public page."""
_KEPT_LISTS: Final = 40
_SETTLED: Final = timedelta(days=1)
"""After this a closed day's list can only be whole: what was decided on it has long been archived."""
_WITHIN_S: Final = 20.0


@dataclass(frozen=True)
class Stamp:
    """When a record was written: ``written`` by the broker's timestamp (real time), ``at`` by the installation's clock."""

    written: datetime
    at: datetime


Stamps = Callable[[Iterable[Place]], Mapping[Place, Stamp]]


# --- the draw made again --------------------------------------------------------------------------------------------------------


@dataclass
class Redrawn:
    """A month made again."""

    month: str
    redraw: Redraw
    seeds: list[tuple[SeedRecords, SeedState]] = field(default_factory=list)

    @property
    def faults(self) -> list[tuple[SeedRecords, SeedState]]:
        """Seeds that are not as they must be."""
        return [(seed, state) for seed, state in self.seeds if state not in ("confirmed", "pending")]

    @property
    def passed(self) -> bool:
        return not self.redraw.differences and not self.faults

    def as_json(self) -> dict[str, Any]:
        """One document."""
        made = self.redraw
        waiting = sum(made.without_seed[seed.day] for seed, state in self.seeds if state == "pending")
        return {
            "month": self.month,
            "passed": self.passed,
            "decisions": made.decisions,
            "recomputed": made.recomputed,
            "pending": waiting,
            "differences": [as_json(one) for one in made.differences],
            "seeds": [_seed_json(seed, state, made.without_seed) for seed, state in self.seeds],
            "unit_endings": {"compared": made.unit_endings["compared"], "outside": made.unit_endings["outside"]},
            "unconfirmed": [{"input": name, "decides": said, "decisions": made.unconfirmed[name]} for name, said in UNCONFIRMED.items()],
        }


def _seed_json(seed: SeedRecords, state: SeedState, without: Counter[date]) -> dict[str, Any]:
    first = min(seed.commitments, key=lambda c: c.written, default=None)
    return {
        "day": seed.day.isoformat(), "state": state, "commitment": first.commitment if first else None,
        "committed_at": first.at.isoformat() if first else None, "late": seed.late, "not_recomputed": without[seed.day],
    }  # fmt: skip


def redrawn(month: str, draws: Draws, stamps: Stamps, rules: Callable[[date], Any], now: datetime) -> Redrawn | None:
    """A month (``YYYY-MM``) of decisions made again; None when it has none. Raises Retryable, Permanent."""
    first = date.fromisoformat(f"{month}-01")
    after = (first + timedelta(days=31)).replace(day=1)
    days = draws.days(first, after)
    if not days:
        return None
    told = {day: draws.told(day) for day in days}
    used = {one.decided.seed_day for some in told.values() for one in some if one.decided.seed_day is not None}
    seeds = [(seed, seed.state(revealed_at(seed.day) < now)) for seed in seed_records(draws, stamps, sorted(used))]
    usable = {seed.day: bytes.fromhex(seed.seeds[0]) for seed, _ in seeds if _fits(seed)}
    counted = bounds(draws.endings(first - timedelta(days=UNIT_DAYS)), UNIT_DAYS)
    redraw = Redraw(rules, usable, counted)
    for day in days:
        redraw.day(told[day])
    return Redrawn(month, redraw, seeds)


def _fits(seed: SeedRecords) -> bool:
    """A seed that came too late can still be used to make the draw again: then both faults are seen."""
    return SeedRecords(seed.day, seed.commitments, seed.seeds).state(over=True) == "confirmed"


def seed_records(draws: Draws, stamps: Stamps, days: Sequence[date]) -> list[SeedRecords]:
    """What the log has of the seeds of these days."""
    rows, uses = draws.seeds(days), draws.first_uses(days)
    commits = [row for row in rows if not row.seed]
    stamp = stamps([*(row.place for row in commits), *(place for _, place in uses)])
    found = []
    for day in days:
        said = tuple(Commitment(r.commitment, stamp[r.place].written, stamp[r.place].at) for r in commits if r.day == day)
        first = min((stamp[place].written for used, place in uses if used == day), default=None)
        found.append(SeedRecords(day, said, tuple(r.seed for r in rows if r.day == day and r.seed), first))
    return found


def log_stamps(kafka: str) -> Stamps:
    """The stamps of records out of the log itself. Raises Retryable when it cannot be read."""
    return lambda places: asyncio.run(_read_stamps(kafka, sorted(set(places))))


async def _read_stamps(kafka: str, places: Sequence[Place]) -> dict[Place, Stamp]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, client_id="hailong-draw", enable_auto_commit=False, max_partition_fetch_bytes=16_384
    )
    try:
        await consumer.start()
        async with asyncio.timeout(_WITHIN_S + len(places) * 0.2):
            return {place: await _stamp(consumer, place) for place in places}
    except (KafkaError, OSError, TimeoutError) as e:
        raise Retryable(f"the log at {kafka} cannot be read ({type(e).__name__}). Start the broker, or set HAILONG_KAFKA") from e
    finally:
        await consumer.stop()


async def _stamp(consumer: Any, place: Place) -> Stamp:
    topic, partition, offset = place
    part = TopicPartition(topic, partition)
    consumer.assign([part])
    consumer.seek(part, offset)
    record = await consumer.getone(part)
    if record.offset != offset:
        raise Retryable(f"{topic}, partition {partition}: record {offset} is gone from the log. Restore the log from its backup")
    written = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    said = dict(record.headers).get("ce_time")
    return Stamp(written, datetime.fromisoformat(said.decode()) if said else written)


# --- for everybody --------------------------------------------------------------------------------------------------------------


class PublicDraw:
    """surveys.doors.drawing.DrawBook over ledger and ClickHouse, which is first asked when somebody looks. Raises Retryable, Permanent."""

    def __init__(self, wiring: Wiring, ledger: Ledger) -> None:
        self._wiring = wiring
        self._ledger = ledger
        self._store: Draws | None = None
        self._lists: OrderedDict[date, list[Line]] = OrderedDict()

    @property
    def _draws(self) -> Draws:
        if self._store is None:
            self._store = Draws(self._wiring.clickhouse(), self._wiring.settings.registry_id)
        return self._store

    def seeds(self) -> Sequence[PublishedSeed]:
        """The newest days, the newest first."""
        with self._ledger.read() as reader:
            return records.published_seeds(reader, SHOWN_DAYS)

    def lines(self, day: date) -> Sequence[Line] | None:
        """The list of a day; None while it is not over."""
        now = self._wiring.clock.now()
        if now < revealed_at(day):
            return None
        if day in self._lists:
            return self._lists[day]
        told = self._draws.told(day)
        lines = listed(line_of(one.decided, one.ending.receiving_unit if one.ending else "", self.opening) for one in told)
        if now > revealed_at(day) + _SETTLED:
            self._lists[day] = lines
            while len(self._lists) > _KEPT_LISTS:
                self._lists.popitem(last=False)
        return lines

    def find(self, code: str) -> DrawFound | None:
        """The line of a dossier by the code of a link, a slip or the dossier itself; None for an unknown one."""
        with self._ledger.read() as reader:
            found = records.by_code(reader, code)
            if found is None:
                refs = [self._wiring.keyed.dossier_ref(source, code) for source in records.sources(reader)]
                known = records.by_refs(reader, refs)
                found = known[0] if len(known) == 1 else None  # two offices that give the same code: it leads to nobody
        if found is None:
            return None
        decisions = self._draws.decisions_of(found.dossier_ref, local(found.taken_at).date())
        over = [(said, unit) for said, unit in decisions if self._wiring.clock.now() >= revealed_at(said.decided_on)]
        if not over:
            return DrawFound(None, None, None, "", "")
        said, unit = over[-1]
        opening = self.opening(said.dossier_ref)
        line = line_of(said, unit, lambda _: opening)
        return DrawFound(line, said.decided_on, said.draw if said.seed_day else None, opening.hex(), said.dossier_ref)

    def opening(self, dossier_ref: str) -> bytes:
        """What opens the id of a dossier's line: 16 bytes that only this installation can make."""
        key = self._wiring.keys.named("identity")
        return hmac.digest(key, b"hailong draw opening v1:" + dossier_ref.encode(), hashlib.sha256)[:16]
