"""What a benchmark measures with: processes' CPU seconds, ends of topics, a line of a report, a sampled profile."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time a process has used, all its threads; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


@dataclass(frozen=True)
class Line:
    """One thing that was measured. ``rate`` a second; ``cpu_us`` CPU microseconds of the measured process apiece, parts' beside it."""

    name: str
    rate: float
    n: int
    seconds: float
    cpu_us: float = 0.0
    others_cpu_us: dict[str, float] = field(default_factory=dict)
    """Of the broker, the store, the carrier: what it costs the machine."""


@dataclass(frozen=True)
class Goal:
    """``measured`` (a share of the limit's or peer's rate) against ``wanted``. ``by_cpu``: the same share of CPU seconds,
    which a machine that others use disturbs less."""

    what: str
    wanted: float
    measured: float
    by_cpu: float | None = None
    why: str = ""
    """Where the time goes, when it is missed."""

    @property
    def met(self) -> bool:
        return self.measured >= self.wanted


@dataclass
class Report:
    """What one benchmark found."""

    name: str
    unit: str
    lines: list[Line] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    profile: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """One object of the command's document."""
        goals = [{**asdict(goal), "met": goal.met} for goal in self.goals]
        return {**asdict(self), "goals": goals}

    def best(self, name: str) -> Line:
        """The fastest round of a line."""
        return max((line for line in self.lines if line.name == name), key=lambda line: line.rate)

    def goal(self, what: str, wanted: float, ours: str, theirs: str, why: str = "") -> None:
        """Compare the fastest rounds of two lines."""
        own, peer = self.best(ours), self.best(theirs)
        by_cpu = peer.cpu_us / own.cpu_us if own.cpu_us and peer.cpu_us else None
        self.goals.append(Goal(what, wanted, own.rate / peer.rate, by_cpu, why))


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    name: str
    n: int
    p50: float
    p95: float
    p99: float
    lost: int = 0
    """Events of which the effect was not seen in time."""


def latency(name: str, seconds: list[float], wanted: int) -> Latency:
    """Percentiles of measured delays (nearest rank)."""
    ordered = sorted(seconds)

    def rank(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1) if ordered else float("nan")

    return Latency(name, len(ordered), rank(0.50), rank(0.95), rank(0.99), wanted - len(ordered))


class Meter:
    """Wall and CPU between two moments. ``own``: the measured process; ``others``: name → process that works for it."""

    def __init__(self, own: int, others: dict[str, int]) -> None:
        self._own = own
        self._others = others
        self._at = time.monotonic()
        self._cpu = self._read()

    def _read(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in {"": self._own, **self._others}.items()}

    def line(self, name: str, n: int) -> Line:
        """What ``n`` things since the beginning took."""
        seconds = max(time.monotonic() - self._at, 1e-9)
        used = {part: round((cpu - self._cpu[part]) / max(n, 1) * 1e6, 2) for part, cpu in self._read().items()}
        return Line(name, round(n / seconds, 1), n, round(seconds, 3), used.pop(""), used)


class Ends:
    """How many records topics hold."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    async def of(self, topic: str, partitions: int) -> int:
        ends = await self._consumer.end_offsets([TopicPartition(topic, n) for n in range(partitions)])
        return int(sum(ends.values()))


@asynccontextmanager
async def ends(kafka: str) -> AsyncIterator[Ends]:
    """Watch topics of a broker."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        yield Ends(consumer)
    finally:
        await consumer.stop()


async def between(
    name: str, count: Callable[[], Awaitable[int]], begin: int, end: int, meter: Callable[[], Meter], within_s: float = 300.0
) -> Line:
    """Measure from the moment ``count`` reaches ``begin`` until it reaches ``end``, so that start-up is left out. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        first = await _reached(count, begin)
        measured = meter()
        last = await _reached(count, end)
    return measured.line(name, last - first)


async def _reached(count: Callable[[], Awaitable[int]], wanted: int) -> int:
    while (n := await count()) < wanted:  # noqa: ASYNC110 (other processes are watched; they set no event)
        await asyncio.sleep(0.02)
    return n
