"""How far each worker is behind the log: end offsets minus what its group has committed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from ops.local.broker import listens
from ops.local.readiness import read_progress

_WITHIN_S: Final = 5.0
Worker = tuple[str, int]
"""(role, slot)."""


async def lags(kafka: str, progress: Path, workers: Sequence[Worker]) -> dict[Worker, int | None]:
    """Records each worker has yet to do, over the partitions it says it holds; None where that is not to be had."""
    unknown: dict[Worker, int | None] = dict.fromkeys(workers)
    if not listens(int(kafka.rpartition(":")[2])):
        return unknown
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, client_id="hailong-status")
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, client_id="hailong-status", enable_auto_commit=False)
    try:
        async with asyncio.timeout(_WITHIN_S):
            await admin.start()
            await consumer.start()
            committed = {role: await _committed(admin, role) for role in {role for role, _ in workers}}
            held = {worker: _held(progress, *worker) for worker in workers}
            ends = await consumer.end_offsets({part for parts in held.values() if parts for part in parts})
    except (KafkaError, OSError, TimeoutError):
        return unknown
    finally:
        await consumer.stop()
        await admin.close()
    return {worker: _behind(parts, ends, committed[worker[0]]) for worker, parts in held.items()}


async def _committed(admin: Any, role: str) -> dict[TopicPartition, int]:
    found = await admin.list_consumer_group_offsets(f"hailong-{role}")
    return {part: mark.offset for part, mark in found.items()}


def _held(progress: Path, role: str, slot: int) -> list[TopicPartition] | None:
    """The partitions a worker says it holds; None when it says nothing."""
    told = read_progress(progress / f"{role}-{slot}.json")
    if told is None:
        return None
    return [TopicPartition(topic, int(number)) for topic, _, number in (name.rpartition(":") for name in told.positions)]


def _behind(parts: Iterable[TopicPartition] | None, ends: dict[TopicPartition, int], committed: dict[TopicPartition, int]) -> int | None:
    return None if parts is None else sum(max(0, ends[part] - max(0, committed.get(part, 0))) for part in parts)
