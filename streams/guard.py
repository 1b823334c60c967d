"""Between the log and a handler: decode, retry, put aside, and acknowledge last.

A batch ends in one of three ways for each of its records: its effect is committed and its facts are in the log; it is a dead letter
with a reason; or the process died and the record comes again. A handler therefore must be safe to repeat.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol, TypeVar

import msgspec
import structlog

from hailong.domain.dossier import SOURCE
from hailong.domain.rulebook import RulebookError
from hailong.events import Fact, decode
from hailong.ports import AsyncPublisher, Clock, Invalid, PendingRecord, Permanent, Retryable, Transaction, WorkingLedger
from hailong.settings import SettingError

log = structlog.get_logger("guard")
T = TypeVar("T")
MAX_WAIT_S: Final = 10.0
ATTEMPTS: Final = 3
"""So often a record is tried alone when it makes its handler fail in a way nobody foresaw."""
TOO_LARGE: Final = "too_large"
"""Code of the publisher's Permanent for a record that is more than the broker takes."""
UNKNOWN: Final = "unknown"
_NUMBER: Final = re.compile(r"\d{9}")
_OURS: Final = (RulebookError, SettingError)
"""Errors about files of the office: sentences that name nobody."""


@dataclass(frozen=True)
class Raw:
    """A record as the consumer has it."""

    topic: str
    partition: int
    offset: int
    value: bytes | None


@dataclass(frozen=True)
class Item:
    """A decoded record and where it stood."""

    topic: str
    partition: int
    offset: int
    fact: Fact


@dataclass(frozen=True)
class Refused:
    """A record its handler cannot take, with the reason."""

    item: Item
    reason: str
    attempts: int = 1
    """So often it was tried alone."""


class Handler(Protocol):
    """A role's plain function over ports: the effects of a batch, in order. Raises Retryable; anything else is a fault."""

    async def __call__(self, batch: Sequence[Item]) -> Sequence[Refused]: ...


class _Claimed(msgspec.Struct):
    source: str = UNKNOWN


def source_of(value: bytes | None) -> str:
    """The source a record names; ``unknown`` when it cannot be read, or is no name of a source: then it may name a person."""
    try:
        claimed = msgspec.json.decode(value or b"", type=_Claimed).source
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNKNOWN
    return claimed if _names_a_source(claimed) else UNKNOWN


def _names_a_source(claimed: str) -> bool:
    return SOURCE.fullmatch(claimed) is not None and _NUMBER.search(claimed.replace("-", "")) is None


class OutboxLedger(WorkingLedger, Protocol):
    """The ledger as its outbox needs it."""

    def shorten(self, row_id: int) -> PendingRecord | None:
        """A dead letter that is more than the log takes becomes a record that says so; None when it is none, or was shortened before."""
        ...


class Outbox:
    """The other side of the ledger's outbox: publish what was committed, then mark it. The synchronous ledger runs in threads.

    ``ordered`` (count): every publish takes all that is pending, in the order it was committed, so that no gap can arise in the log.
    """

    def __init__(self, ledger: OutboxLedger, publisher: AsyncPublisher, *, ordered: bool = False) -> None:
        self.ledger = ledger
        self.publisher = publisher
        self._ordered = ordered
        self._one = asyncio.Lock()

    async def write(self, work: Callable[[Transaction], T]) -> tuple[T, list[PendingRecord]]:
        """Run ``work`` in one transaction in a thread; its result and what it put into the outbox."""
        return await asyncio.to_thread(self._write, work)

    def _write(self, work: Callable[[Transaction], T]) -> tuple[T, list[PendingRecord]]:
        with self.ledger.begin() as tx:
            result = work(tx)
        return result, tx.written

    async def anything_due(self, kinds: Sequence[str], now: datetime, real_now: datetime) -> bool:
        """Whether a row of these kinds may be taken now; locks nobody."""
        return await asyncio.to_thread(self.ledger.anything_due, kinds, now, real_now)

    async def publish(self, rows: Sequence[PendingRecord]) -> None:
        """Into the log, in order, then marked. Raises Retryable; what was committed stays in the outbox meanwhile."""
        if self._ordered:
            await self.drain()
        elif rows:
            await self._publish(rows)

    async def _publish(self, rows: Sequence[PendingRecord]) -> None:
        try:
            await self.publisher.publish([row.record for row in rows])
        except Permanent as e:
            if e.code != TOO_LARGE:
                raise
            await self._one_by_one(rows)
        await asyncio.to_thread(self.ledger.published, [row.id for row in rows])

    async def _one_by_one(self, rows: Sequence[PendingRecord]) -> None:
        """One of them is more than the log takes: a dead letter is shortened, so that it stops nobody; a fact so large is a fault."""
        for row in rows:
            try:
                await self.publisher.publish([row.record])
            except Permanent as e:
                short = await asyncio.to_thread(self.ledger.shorten, row.id) if e.code == TOO_LARGE else None
                if short is None:
                    raise
                log.warning("dead letter shortened", topic=row.record.topic, bytes=len(row.record.value))
                await self.publisher.publish([short.record])

    async def drain(self) -> int:
        """Publish all that is pending, such as an earlier life left behind; the number of records."""
        n = 0
        async with self._one:
            while rows := await asyncio.to_thread(self.ledger.pending):
                await self._publish(rows)
                n += len(rows)
        return n


class Guard:
    """Runs a handler over batches; ``process`` returns only when every record of the batch has ended."""

    def __init__(
        self, role: str, handler: Handler, outbox: Outbox, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._role = role
        self._handler = handler
        self._outbox = outbox
        self._clock = clock
        self._sleep = sleep

    async def process(self, batch: Sequence[Raw]) -> None:
        """Never raises but when cancelled: what cannot be done now is tried again, for as long as it takes."""
        items: list[Item] = []
        for raw in batch:
            try:
                items.append(Item(raw.topic, raw.partition, raw.offset, decode(raw.topic, raw.value)))
            except ValueError as e:
                await self._put_aside(raw, str(e), 1)
        if not items:
            return
        values = {(r.topic, r.partition, r.offset): r.value for r in batch}
        for refused in await self._handle(items):
            i = refused.item
            raw = Raw(i.topic, i.partition, i.offset, values[i.topic, i.partition, i.offset])
            await self._put_aside(raw, refused.reason, refused.attempts)

    async def _handle(self, items: Sequence[Item]) -> Sequence[Refused]:
        try:
            return await self._patiently(items)
        except Invalid as e:
            if len(items) == 1:
                return [Refused(items[0], str(e))]
        except Exception as e:
            # A fault nobody foresaw: find the record that makes it, so that one does not stop the others.
            said = {"reason": str(e)} if isinstance(e, _OURS) else {}
            log.exception("handler failed", role=self._role, records=len(items), error=type(e).__name__, **said)
            if len(items) == 1:
                return await self._alone(items[0])
        middle = len(items) // 2
        return [*await self._handle(items[:middle]), *await self._handle(items[middle:])]

    async def _alone(self, item: Item) -> Sequence[Refused]:
        error = ""
        for attempt in range(2, ATTEMPTS + 1):
            try:
                return [replace(refused, attempts=attempt) for refused in await self._patiently([item])]
            except Invalid as e:
                return [Refused(item, str(e), attempt)]
            except Exception as e:
                error = type(e).__name__
        return [Refused(item, f"its handler failed {ATTEMPTS} times ({error}); see the log of {self._role}", ATTEMPTS)]

    async def _patiently(self, items: Sequence[Item]) -> Sequence[Refused]:
        wait = 0.05
        while True:
            try:
                if wait > 0.05:  # what the failed try committed is published first
                    await self._outbox.drain()
                return await self._handler(items)
            except Retryable as e:
                log.warning("waits", role=self._role, reason=e.reason, records=len(items))
                await self._sleep(max(min(wait, MAX_WAIT_S), min(e.after, MAX_WAIT_S)))
                wait *= 2

    async def _put_aside(self, raw: Raw, reason: str, attempts: int) -> None:
        source, at = source_of(raw.value), self._clock.now()

        def work(tx: Transaction) -> bool:
            return tx.put_dead(raw.topic, raw.partition, raw.offset, self._role, source, reason, attempts, raw.value or b"", at)

        again = False
        while True:
            try:
                if again:  # the letter may be committed already: then only its publishing is left
                    await self._outbox.drain()
                _, rows = await self._outbox.write(work)
                await self._outbox.publish(rows)
                return
            except Retryable as e:
                again = True
                await self._sleep(min(e.after, MAX_WAIT_S))
