"""Kafka: topics as hailong makes them, both producers, a role's consumer group with its acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError as AioKafkaError
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from hailong.events import BY_NAME, Record, encode
from hailong.ports import Retryable
from hailong.settings import Settings
from ops.acceptance.sample import sample
from ops.acceptance.step import Step, must, tried
from ops.setup import FOREVER
from producers.publisher import AioPublisher, KafkaPublisher

PART: Final = "kafka"
RECORDS: Final = 60
PARTITIONS: Final = 4
WITHIN_S: Final = 30.0
_START: Final = "Start Kafka, or set HAILONG_KAFKA to its bootstrap servers."
_TOPICS: Final = "Give hailong's user the right to create topics, and set HAILONG_KAFKA_REPLICATION to no more than there are brokers."
_WRITE: Final = "The brokers must take idempotent writes acknowledged by all: see min.insync.replicas and the right to WRITE."
_READ: Final = "Give hailong's user READ and DESCRIBE on topics and on groups hailong*; Kafka must be 2.4 or newer (static membership)."


def examine_kafka(settings: Settings, name: str, now: datetime) -> Iterator[Step]:
    """The steps, on a scratch topic and group that are deleted afterwards."""
    place = _Place(settings, name, now)
    yield (made := tried(PART, "topic made, kept for ever", place.make, _TOPICS if place.there() else _START))
    if not made.ok:
        return
    try:
        yield tried(PART, "written by intake's producer", place.write, _WRITE)
        yield tried(PART, "written by the roles' producer", place.write_too, _WRITE)
        yield tried(PART, "read by a group, each once and in order", place.read, _READ)
        yield tried(PART, "acknowledged by a group", place.acknowledged, _READ)
    finally:
        gone = tried(PART, "scratch topic deleted", place.delete, f"Delete the topic {name} and the group {name} by hand.")
    yield gone


class _Place:
    """A scratch topic."""

    def __init__(self, settings: Settings, name: str, now: datetime) -> None:
        self._settings = settings
        self._name = name
        facts = [sample(BY_NAME["dossier.closed.v1"], n, now, full=True) for n in range(RECORDS)]
        encoded = [encode(fact, now) for fact in facts]
        self._records = [Record(name, b"%d" % (n % 7), r.value, r.headers) for n, r in enumerate(encoded)]

    def there(self) -> bool:
        """Whether a broker answers at all."""
        try:
            KafkaPublisher(self._settings.kafka, "acceptance").check()
        except Retryable:
            return False
        return True

    def make(self) -> str:
        spec = {"num_partitions": PARTITIONS, "replication_factor": self._settings.kafka_replication, "configs": FOREVER}
        self._admin(lambda admin: admin.create_topics({self._name: spec}))
        return f"{PARTITIONS} partitions, {self._settings.kafka_replication} replicas"

    def delete(self) -> None:
        self._admin(lambda admin: admin.delete_topics([self._name]))

    def _admin(self, work: Callable[[Any], Any]) -> Any:
        try:
            admin = KafkaAdminClient(bootstrap_servers=self._settings.kafka.split(","), client_id="acceptance", bootstrap_timeout_ms=5_000)
            try:
                return work(admin)
            finally:
                admin.close()
        except KafkaError as e:
            raise Retryable(f"the broker at {self._settings.kafka} refuses or does not answer ({type(e).__name__}).") from e

    def write(self) -> str:
        publisher = KafkaPublisher(self._settings.kafka, "acceptance")
        try:
            publisher.publish(self._records[: RECORDS // 2])
        finally:
            publisher.close()
        return f"{RECORDS // 2} records"

    def write_too(self) -> str:
        async def publish() -> None:
            publisher = AioPublisher(self._settings.kafka, "acceptance")
            try:
                await publisher.publish(self._records[RECORDS // 2 :])
            finally:
                await publisher.close()

        self._run(publish())
        return f"{RECORDS - RECORDS // 2} records"

    def read(self) -> str:
        """As a role does: static membership, from the beginning, acknowledged by hand."""
        found = self._run(self._consume(RECORDS))
        wanted = [(r.key, r.value) for r in self._records]
        must(sorted(found) == sorted(wanted), f"{len(found)} records came of {RECORDS} written.")
        for key in {key for key, _ in wanted}:
            must([v for k, v in found if k == key] == [v for k, v in wanted if k == key], "Records of one key came in another order.")
        return f"{len(found)} records"

    def acknowledged(self) -> str:
        """The next one of the group goes on where the last one ended."""
        must(self._run(self._consume(0)) == [], "What was acknowledged came again.")
        return ""

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return asyncio.run(work)
        except (AioKafkaError, OSError, TimeoutError) as e:
            raise Retryable(f"the broker at {self._settings.kafka} does not do it within {WITHIN_S:.0f} s ({type(e).__name__}).") from e

    async def _consume(self, number: int) -> list[tuple[bytes, bytes]]:
        consumer = AIOKafkaConsumer(
            self._name, bootstrap_servers=self._settings.kafka, group_id=self._name, group_instance_id="acceptance-0",
            enable_auto_commit=False, auto_offset_reset="earliest", session_timeout_ms=6_000, heartbeat_interval_ms=1_500,
        )  # fmt: skip
        found: list[tuple[bytes, bytes]] = []
        try:
            async with asyncio.timeout(WITHIN_S):
                await consumer.start()
                empty = 0
                while len(found) < number or empty < 2:
                    batches = await consumer.getmany(timeout_ms=500)
                    found += [(m.key, m.value) for records in batches.values() for m in records]
                    empty = 0 if batches else empty + bool(consumer.assignment())
                if found:
                    await consumer.commit()
        finally:
            await consumer.stop()
        return found
