"""The log, read bare: from its beginning, to a stated version, without a group. For rebuild, proofs and benchmarks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from hailong.domain.scoring import Version
from hailong.events import BY_NAME
from hailong.ports import Permanent, Retryable

SILENT_S: Final = 30.0
_AT_ONCE: Final = 5_000


class Log:
    """The log, for reading from its beginning; no group, nothing is committed."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka

    @contextlib.asynccontextmanager
    async def _consumer(self) -> AsyncIterator[Any]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            client_id="hailong-rebuild",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 << 20,
        )
        try:
            await consumer.start()
            yield consumer
        except (KafkaError, OSError) as e:
            raise Retryable(f"the broker at {self._kafka} cannot be read ({type(e).__name__}). Start it, or set HAILONG_KAFKA.") from e
        finally:
            await consumer.stop()

    async def end(self, topics: Iterable[str]) -> Version:
        """The version that leaves nothing out now. Raises Permanent when a topic is not there or does not begin at its beginning."""
        version: Version = {}
        async with self._consumer() as consumer:
            there = await consumer.topics()
            for topic in topics:
                if topic not in there:
                    raise Permanent(f"the log has no topic {topic}. Run `hailong setup` on this installation first.")
                parts = [TopicPartition(topic, n) for n in range(BY_NAME[topic].partitions)]
                for part, first in (await consumer.beginning_offsets(parts)).items():
                    if first:
                        raise Permanent(f"{topic}, partition {part.partition} begins at {first}: facts before it were deleted.")
                version[topic] = {part.partition: end for part, end in (await consumer.end_offsets(parts)).items()}
        return version

    async def read(self, until: Version, after: Version | None = None) -> AsyncIterator[tuple[TopicPartition, list[Any]]]:
        """Records from the beginning (or ``after``) to ``until``, in order within a partition. Raises Retryable when nothing comes."""
        begin = {TopicPartition(t, p): (after or {}).get(t, {}).get(p, 0) for t, parts in until.items() for p in parts}
        waiting = {part: until[part.topic][part.partition] for part, at in begin.items() if at < until[part.topic][part.partition]}
        if not waiting:
            return
        async with self._consumer() as consumer:
            consumer.assign(list(waiting))
            for part in waiting:
                consumer.seek(part, begin[part])
            heard = time.monotonic()
            while waiting:
                for part, records in (await consumer.getmany(*waiting, timeout_ms=500, max_records=_AT_ONCE)).items():
                    heard = time.monotonic()
                    end = waiting[part]
                    yield part, records if records[-1].offset < end else [r for r in records if r.offset < end]
                    if records[-1].offset >= end - 1:
                        del waiting[part]
                        consumer.pause(part)
                if time.monotonic() - heard > SILENT_S:
                    raise Retryable(f"the broker at {self._kafka} has given nothing of {next(iter(waiting)).topic} for {SILENT_S:.0f} s")

    async def acknowledged(self, group: str) -> dict[TopicPartition, int]:
        """What a role has acknowledged: the offset it goes on from."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka, client_id="hailong-rebuild")
        try:
            await admin.start()
            return {part: mark.offset for part, mark in (await admin.list_consumer_group_offsets(group)).items()}
        except (KafkaError, OSError) as e:
            raise Retryable(f"the broker at {self._kafka} does not say how far {group} is ({type(e).__name__})") from e
        finally:
            await admin.close()
