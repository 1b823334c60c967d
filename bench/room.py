"""Where benchmarks run: a local stack of their own in a temporary folder, workers started when their backlog lies ready."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from kafka.admin import KafkaAdminClient

from bench.load import item
from hailong import settings as house
from hailong.events import Record
from ops.local.home import HOME, REPOSITORY
from ops.local.stack import Stack
from ops.wiring import Wiring
from producers.desk import Desk

PORTS: Final = 21700
CLOCK: Final = "2026-03-02T09:00"
_DESK_AT_ONCE: Final = 500


class Room:
    """A running stack and what the benchmarks do with it."""

    def __init__(self, stack: Stack, profiled: bool) -> None:
        self.stack = stack
        self.settings = stack.settings
        self.wiring = Wiring(stack.settings)
        self.profiled = profiled

    def others(self) -> dict[str, int]:
        """The processes that serve a worker."""
        return {name: pid for name, pid in self.stack.pids().items() if name in ("kafka", "store", "carrier")}

    @asynccontextmanager
    async def process(self, name: str, module: list[str], *, profile: Path | None = None, **more: Any) -> AsyncIterator[int]:
        """A Python process of ours with the stack's settings; its process id. Stopped at the end by SIGTERM."""
        told = house.environment(replace(self.settings, service=name, **more))
        argv = [sys.executable, "-m", *(["bench.sampled", str(profile)] if profile else []), *module]
        log = (self.settings.data_dir / "logs" / f"bench-{name}.log").open("ab")
        child = await asyncio.create_subprocess_exec(
            *argv, env={**house.inherited(), **told, "PYTHONUNBUFFERED": "1"}, cwd=REPOSITORY, stdout=log, stderr=log
        )
        try:
            yield child.pid
        finally:
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(child.wait(), 15)
            except TimeoutError:
                child.kill()
            log.close()

    async def take_in(self, n: int, run: str, *, only: str | None = None) -> None:
        """``n`` dossiers through the intake's desk: in the ledger and in the log. ``only`` phone or email: each with that contact."""
        await asyncio.to_thread(self._take_in, n, run, only)

    def _take_in(self, n: int, run: str, only: str | None) -> None:
        ledger, publisher = self.wiring.ledger("intake"), self.wiring.publisher("bench")
        desk = Desk(ledger, publisher, self.wiring.keyed, self.settings.registry_id)
        now = self.wiring.clock.now()
        items = [item(i, now, run, only) for i in range(n)]
        for start in range(0, n, _DESK_AT_ONCE):
            desk.take(items[start : start + _DESK_AT_ONCE], "bench", now)
        publisher.close()
        ledger.close()

    async def publish(self, records: Iterable[Record]) -> int:
        """Many records as fast as may be; the number of them."""
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.kafka, acks="all", linger_ms=20, max_batch_size=1 << 19)
        await producer.start()
        n = 0
        last: list[Any] = []
        try:
            for record in records:
                last.append(await producer.send(record.topic, key=record.key, value=record.value, headers=list(record.headers)))
                n += 1
                if len(last) == 20_000:
                    await asyncio.gather(*last)
                    last.clear()
            await asyncio.gather(*last)
        finally:
            await producer.stop()
        return n

    async def make_topic(self, name: str, partitions: int = 4) -> None:
        """A topic for a peer's results."""
        await asyncio.to_thread(self._make_topic, name, partitions)

    def _make_topic(self, name: str, partitions: int) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.settings.kafka.split(","))
        admin.create_topics({name: {"num_partitions": partitions, "replication_factor": 1}})
        admin.close()


@asynccontextmanager
async def room(parts: list[str], *, profiled: bool = False, home: Path = HOME, **overrides: Any) -> AsyncIterator[Room]:
    """A stack of these parts on a new folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="hailong-bench-"))
    try:
        settings = {"spread_minutes": 0, "ask_at_once": True, **overrides}
        async with Stack(folder / "data", port_base=PORTS, parts=parts, overrides=settings, clock=CLOCK, home=home) as stack:
            yield Room(stack, profiled)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lines_of(profile: Path | None) -> list[str]:
    """The lines of a profile that a process wrote; none when none was wanted."""
    return profile.read_text(encoding="utf-8").splitlines() if profile else []
