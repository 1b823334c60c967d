"""One worker of a role: a Faust app around the guard. Settings follow what was measured (docs/decisions/0002-faust.md).

Raw topics, one agent with concurrency 1, ``noack_take``; the batch is acknowledged in order after the guard returns, never before
and never in part, because the framework takes an unacknowledged record before acknowledged ones for a gap and commits past it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
import structlog

from hailong.ports import Retryable
from streams.guard import Guard, Raw

log = structlog.get_logger("worker")


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker needs of the broker. ``slot`` is stable: it is the static membership of this worker."""

    role: str
    slot: int
    topics: Sequence[str]
    kafka: str
    folder: Path
    """Where the framework may keep its files."""
    session_s: int = 8
    commit_interval_s: float = 1.0
    within_s: float = 0.05
    """So long a batch may take to fill."""
    ack_first: Callable[[], Awaitable[None]] | None = None
    """Only for a proof that takes this safeguard away: acknowledge before the effect, then do this."""


class Worker:
    """Consumes a role's topics until stopped.

    ``on_progress(positions)`` is called after each acknowledged batch, ``on_assigned`` after every assignment of partitions.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        guard: Guard,
        on_progress: Callable[[dict[str, int]], None],
        on_assigned: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        self._on_assigned = on_assigned
        self._settings = settings
        self._guard = guard
        self._on_progress = on_progress
        self._positions: dict[str, int] = {}
        self.app = self._build()

    def _build(self) -> Any:
        s = self._settings
        s.folder.mkdir(parents=True, exist_ok=True)
        app = faust.App(
            f"hailong-{s.role}",
            broker=[f"kafka://{b}" for b in s.kafka.split(",")],
            store="memory://",
            datadir=str(s.folder / f"{s.role}-{s.slot}"),
            broker_session_timeout=s.session_s,
            broker_heartbeat_interval=max(1, s.session_s // 4),
            broker_rebalance_timeout=20,
            broker_request_timeout=30,
            broker_commit_interval=s.commit_interval_s,
            broker_max_poll_records=500,
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=f"{s.role}-{s.slot}",
            stream_buffer_maxsize=4096,
            stream_wait_empty=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            table_standby_replicas=0,
            producer_acks=-1,
            web_enabled=False,
            worker_redirect_stdouts=False,
        )
        topic = app.topic(*s.topics, key_serializer="raw", value_serializer="raw", key_type=bytes, value_type=bytes)
        app.agent(topic, concurrency=1, name=f"hailong.{s.role}")(self._consume)
        app.on_partitions_assigned.connect(self._assigned)
        return app

    async def _assigned(self, *_: Any, **__: Any) -> None:
        while self._on_assigned is not None:
            try:
                await self._on_assigned()
                return
            except Retryable as e:
                log.warning("waits", work="assignment", reason=e.reason)
                await asyncio.sleep(min(e.after, 2.0))

    async def _consume(self, stream: Any) -> None:
        async for events in stream.noack_take(500, within=self._settings.within_s):
            if self._settings.ack_first is not None:
                await self._acknowledge(stream, events)
                await self._settings.ack_first()
            await self._guard.process([_raw(e) for e in events])
            if self._settings.ack_first is None:
                await self._acknowledge(stream, events)

    async def _acknowledge(self, stream: Any, events: Sequence[Any]) -> None:
        for event in events:
            await stream.ack(event)
            self._positions[f"{event.message.topic}:{event.message.partition}"] = event.message.offset + 1
        self._on_progress(self._positions)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Started; stopped at the end. Raises what the framework raises when the broker is not there."""
        logging.getLogger("aiokafka").setLevel(logging.WARNING)
        self.app.finalize()
        await self.app.start()
        self._on_progress(self._positions)
        try:
            yield
        finally:
            await self.app.stop()

    async def failed(self) -> None:
        """Return when the framework has given up, so that the process can end and be started again."""
        while not self.app.crashed and not self.app.should_stop:  # noqa: ASYNC110 (the framework offers no event for it)
            await asyncio.sleep(0.25)


def _raw(event: Any) -> Raw:
    m = event.message
    return Raw(m.topic, m.partition, m.offset, m.value)


async def every(seconds: float, work: Callable[[], Awaitable[Any]], name: str) -> None:
    """Until cancelled: ``work`` every so often; what cannot be done now is done at the next turn."""
    while True:
        try:
            await work()
        except Retryable as e:
            log.warning("waits", work=name, reason=e.reason)
        await asyncio.sleep(seconds)
