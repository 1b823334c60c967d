"""What the clock of time-lapse must know: whether hailong is done with everything that has happened, and what it waits for next."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from hailong.domain.units import LOCAL
from hailong.events import BY_NAME
from hailong.ports import Retryable
from hailong.settings import Settings
from ops.local.readiness import read_progress
from ops.topics import SUBSCRIBES
from ops.wiring import Wiring
from sinks.ledger import Ledger
from sinks.ledger.claiming import TO_CITIZENS
from sinks.ledger.reading import LedgerReader

_ASKED_EVERY_S: Final = 0.5
_WATCHED: Final = ("decide", "count", "judge")
"""Roles whose lag holds time. Send works from the ledger; archive has no clock: what it stores carries its own time."""


class InstallationPace:
    """ops.clock.Pace over the ledger and the log. Use in one event loop; ``close`` at the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wiring = Wiring(settings)
        self._consumer: Any = None
        self._committed: dict[tuple[str, TopicPartition], int] = {}
        """What a role had committed when it was last asked for."""
        self._asked: dict[str, float] = {}

    @cached_property
    def ledger(self) -> Ledger:
        # At its first use: the keys it needs are made while the stack starts.
        return self._wiring.ledger("pace")

    async def next_instant(self) -> datetime | None:
        """The earliest moment anything waits for."""
        return await asyncio.to_thread(self._next_due)

    def _next_due(self) -> datetime | None:
        with self.ledger.read() as reader:
            return self._happens(reader)

    def _happens(self, reader: LedgerReader) -> datetime | None:
        """When the next thing that waits can happen. What is due for citizens in closed hours happens when they are open again."""
        theirs, others = reader.next_due(only=TO_CITIZENS), reader.next_due(but=TO_CITIZENS)
        if theirs is not None:
            theirs = self._wiring.next_open(max(theirs, self._wiring.clock.now()))
        first = min((at for at in (theirs, others) if at is not None), default=None)
        return first.astimezone(LOCAL) if first else None

    async def quiet(self) -> bool:
        """Nothing due, nothing open, nothing unpublished, no role behind the log. Raises Retryable when it cannot be told now."""
        return await asyncio.to_thread(self._settled) and not await self._behind()

    def _settled(self) -> bool:
        with self.ledger.read() as reader:
            due = self._happens(reader)
            if due is not None and due <= self._wiring.clock.now():
                return False
            return not (reader.open_claims() or reader.undecided() or reader.unpublished())

    async def _behind(self) -> bool:
        try:
            ends = await (await self._connected()).end_offsets(_partitions())
            done = self._positions()
            for role in _WATCHED:
                for part in _partitions(role):
                    if ends[part] > done.get((role, part), 0) and ends[part] > await self._before(role, part, ends[part]):
                        return True
        except (KafkaError, OSError, TimeoutError) as e:
            raise Retryable(f"the broker at {self._settings.kafka} cannot be asked ({type(e).__name__})") from e
        return False

    async def _connected(self) -> Any:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(bootstrap_servers=self._settings.kafka, client_id="pace", enable_auto_commit=False)
            await consumer.start()
            self._consumer = consumer
        return self._consumer

    def _positions(self) -> dict[tuple[str, TopicPartition], int]:
        done: dict[tuple[str, TopicPartition], int] = {}
        for role in _WATCHED:
            for file in (self._settings.data_dir / "run" / "progress").glob(f"{role}-*.json"):
                told = read_progress(file)
                for name, position in (told.positions if told else {}).items():
                    topic, _, number = name.rpartition(":")
                    key = role, TopicPartition(topic, int(number))
                    done[key] = max(position, done.get(key, 0))
        return done

    async def _before(self, role: str, part: TopicPartition, wanted: int) -> int:
        """What a role has committed of a partition. A worker that was started again tells only of what it did since: what the one before
        it did stands there, so it is asked for again while it is less than ``wanted``, twice a second.
        """
        due = asyncio.get_running_loop().time() >= self._asked.get(role, -1.0) + _ASKED_EVERY_S
        if self._committed.get((role, part), -1) < wanted and (due or (role, part) not in self._committed):
            self._asked[role] = asyncio.get_running_loop().time()
            admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.kafka, client_id="pace")
            await admin.start()
            try:
                found = await admin.list_consumer_group_offsets(f"hailong-{role}")
            finally:
                await admin.close()
            for each in _partitions(role):
                mark = found.get(each)
                self._committed[role, each] = max(0, mark.offset) if mark is not None else 0
        return self._committed[role, part]

    async def close(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()


def _partitions(role: str | None = None) -> list[TopicPartition]:
    roles = _WATCHED if role is None else (role,)
    topics = sorted({topic for each in roles for topic in SUBSCRIBES[each]})
    return [TopicPartition(topic, number) for topic in topics for number in range(BY_NAME[topic].partitions)]
