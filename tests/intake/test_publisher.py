"""Both publishers on a real broker, which is killed and comes back."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from hailong.events import Record
from hailong.ports import Permanent, Retryable
from ops.local.broker import Broker, answers, ensure
from ops.local.home import HOME
from ops.local.java import find
from producers.publisher import AioPublisher, KafkaPublisher

pytestmark = pytest.mark.stack
TOPIC = {"num_partitions": 2, "replication_factor": 1}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RealBroker:
    """One node with a topic of two partitions for each test; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.node = Broker(folder, free_port(), free_port(), ensure(HOME), find(), memory_mb=256)
        self.topic = ""
        self.node.prepare()
        self.start()

    def new_topic(self, name: str) -> None:
        with admin(self.node.address) as client:
            client.create_topics({name: TOPIC})
        self.topic = name

    def records(self, first: int, count: int = 10) -> list[Record]:
        """Numbered records of seven keys."""
        return [
            Record(self.topic, f"k{n % 7}".encode(), f"v{n}".encode(), (("ce_id", str(n).encode()),)) for n in range(first, first + count)
        ]

    def too_large(self) -> list[Record]:
        return [Record(self.topic, b"k", b"x" * 3_000_000, ())]

    def start(self) -> None:
        with (self.node.folder / "broker.log").open("ab") as log:
            self._child = subprocess.Popen(self.node.argv(), stdout=log, stderr=log)
        end = time.monotonic() + 60
        while not asyncio.run(answers(self.node.port)):
            assert time.monotonic() < end, (self.node.folder / "broker.log").read_text()[-2000:]
            time.sleep(0.1)

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def values(self) -> list[bytes]:
        """Every record of the topic."""
        consumer = KafkaConsumer(bootstrap_servers=self.node.address, auto_offset_reset="earliest", consumer_timeout_ms=3_000)
        try:
            parts = [TopicPartition(self.topic, n) for n in range(2)]
            consumer.assign(parts)
            wanted = sum(consumer.end_offsets(parts).values())
            found: list[bytes] = []
            while len(found) < wanted:
                found += [r.value for batch in consumer.poll(timeout_ms=500).values() for r in batch]
            return found
        finally:
            consumer.close()


@contextmanager
def admin(address: str) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=address)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """kafka-python leaves the sockets of connections that failed to the garbage collector; so does each test of ours, but not longer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealBroker]:
    node = RealBroker(tmp_path_factory.mktemp("kafka"))
    yield node
    node.kill()


@pytest.fixture
def broker(node: RealBroker, request: pytest.FixtureRequest) -> RealBroker:
    node.new_topic(str(request.node.name))
    return node


def records(first: int, count: int = 10) -> list[Record]:
    return [Record("t", f"k{n % 7}".encode(), f"v{n}".encode(), (("ce_id", str(n).encode()),)) for n in range(first, first + count)]


def values(first: int, count: int = 10) -> list[bytes]:
    return [f"v{n}".encode() for n in range(first, first + count)]


def until_published(publisher: KafkaPublisher, batch: list[Record], seconds: float = 60) -> None:
    """As callers do: the same again until it is acknowledged."""
    end = time.monotonic() + seconds
    while True:
        try:
            return publisher.publish(batch)
        except Retryable as away:
            assert time.monotonic() < end
            time.sleep(min(away.after, 0.5))


@pytest.mark.thorough
def test_the_synchronous_publisher_outlives_the_broker_and_repeats_what_was_not_acknowledged(broker: RealBroker) -> None:
    before = threading.active_count()
    publisher = KafkaPublisher(broker.node.address, timeout_s=3)
    publisher.publish(broker.records(0))
    publisher.publish([])
    publisher.check()
    broker.kill()
    with pytest.raises(Retryable):
        publisher.publish(broker.records(10))
    with pytest.raises(Retryable):
        publisher.check()
    broker.start()
    until_published(publisher, broker.records(10))
    publisher.publish(broker.records(20))
    publisher.check()
    # Nothing of the failed tries came late: their producers were ended with what they held.
    assert Counter(broker.values()) == Counter(values(0, 30))
    publisher.close()
    wait_for_threads(before)


def wait_for_threads(most: int) -> None:
    """No thread of a dropped producer stays behind."""
    end = time.monotonic() + 15
    while threading.active_count() > most and time.monotonic() < end:
        time.sleep(0.1)
    assert threading.active_count() <= most, [t.name for t in threading.enumerate()]


def test_order_holds_within_a_key(broker: RealBroker) -> None:
    publisher = KafkaPublisher(broker.node.address)
    for first in range(0, 2_000, 500):
        publisher.publish(broker.records(first, 500))
    found = [int(v[1:]) for v in broker.values()]
    for key in range(7):
        of_key = [n for n in found if n % 7 == key]
        assert of_key == sorted(of_key)
    publisher.close()


def test_a_record_the_broker_never_takes_is_not_tried_for_ever(broker: RealBroker) -> None:
    publisher = KafkaPublisher(broker.node.address)
    with pytest.raises(Permanent):
        publisher.publish(broker.too_large())
    publisher.publish(broker.records(0))
    publisher.close()


@pytest.mark.thorough
def test_without_a_broker_a_request_waits_seconds_and_no_thread_is_left() -> None:
    before = threading.active_count()
    publisher = KafkaPublisher("127.0.0.1:1", timeout_s=1)
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(Retryable, match=r"127\.0\.0\.1:1"):
            publisher.publish([Record("t", b"k", b"v", ())])
        assert time.monotonic() - began < 60, "it waited as long as the library would"
    publisher.close()
    wait_for_threads(before)


@pytest.mark.thorough
def test_the_asynchronous_publisher_writes_once_what_timed_out_and_was_repeated(broker: RealBroker) -> None:
    async def story() -> None:
        publisher = AioPublisher(broker.node.address, timeout_s=2)
        await publisher.publish(broker.records(0))
        await publisher.check()
        broker.kill()
        with pytest.raises(Retryable):
            await publisher.publish(broker.records(10))
        with pytest.raises(Retryable):
            await publisher.publish(broker.records(10))
        with pytest.raises(Retryable):
            await publisher.check()
        await asyncio.to_thread(broker.start)
        await until_acknowledged(publisher, broker.records(10))
        await asyncio.gather(*(publisher.publish(broker.records(20 + 10 * n)) for n in range(5)))
        await publisher.close()

    asyncio.run(story())
    assert Counter(broker.values()) == Counter(values(0, 70))


@pytest.mark.thorough
def test_what_the_broker_acknowledged_between_two_tries_is_not_written_again(broker: RealBroker) -> None:
    async def story() -> None:
        publisher = AioPublisher(broker.node.address, timeout_s=1)
        await publisher.publish(broker.records(0))
        broker.kill()
        with pytest.raises(Retryable):
            await publisher.publish(broker.records(10))
        await asyncio.to_thread(broker.start)
        end = time.monotonic() + 60
        while not all(f.done() for f in publisher._under_way.values()):
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        for _ in range(2):  # asked for once more it is a new wish, and written
            await until_acknowledged(publisher, broker.records(10))
        await publisher.close()

    asyncio.run(story())
    assert Counter(broker.values()) == Counter(values(0, 20)) + Counter(values(10))


async def until_acknowledged(publisher: AioPublisher, batch: list[Record]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            return await publisher.publish(batch)
        except Retryable:
            await asyncio.sleep(0.2)
    raise AssertionError("not acknowledged within a minute")


@pytest.mark.thorough
def test_a_producer_that_is_dropped_writes_nothing_of_what_it_held(broker: RealBroker) -> None:
    async def story() -> None:
        publisher = AioPublisher(broker.node.address, timeout_s=1)
        await publisher.publish(broker.records(0))
        broker.kill()
        with pytest.raises(Retryable):
            await publisher.publish(broker.records(10))
        held = list(publisher._under_way.values())
        starting = asyncio.create_task(asyncio.to_thread(broker.start))
        await publisher._drop(publisher._producer)
        assert held
        assert all(f.done() for f in held), "a future nobody ends would be waited for at every repetition"
        await starting
        await until_acknowledged(publisher, broker.records(10))
        await publisher.close()

    asyncio.run(story())
    assert Counter(broker.values()) == Counter(values(0, 20))


def test_the_asynchronous_publisher_without_a_broker() -> None:
    async def story() -> None:
        publisher = AioPublisher("127.0.0.1:1", timeout_s=2)
        for _ in range(2):
            with pytest.raises(Retryable, match=r"127\.0\.0\.1:1"):
                await publisher.publish([Record("t", b"k", b"v", ())])
        with pytest.raises(Retryable):
            await publisher.check()
        await publisher.close()

    asyncio.run(story())


def test_the_asynchronous_publisher_refuses_what_is_too_large(broker: RealBroker) -> None:
    async def story() -> None:
        publisher = AioPublisher(broker.node.address)
        with pytest.raises(Permanent):
            await publisher.publish(broker.too_large())
        await publisher.publish(broker.records(0))
        await publisher.close()

    asyncio.run(story())
    assert Counter(broker.values()) == Counter(values(0))
