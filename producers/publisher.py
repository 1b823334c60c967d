"""The log, for writing: one publisher for synchronous programs (kafka-python), one for asynchronous ones (aiokafka).

Both return when every record is acknowledged by all in-sync replicas. A producer that failed once is not trusted again: kafka-python's
idempotent producer stays wedged after a record outlived its delivery time-out, so it is dropped and made anew, and the caller repeats
what was not acknowledged (the ids of facts make echoes harmless).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError as AioKafkaError
from aiokafka.errors import MessageSizeTooLargeError as AioTooLarge
from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from hailong.events import Record
from hailong.ports import Permanent, Retryable

ACK_TIMEOUT_S: Final = 8.0
"""Shorter than a process is given to stop; who called repeats what was not acknowledged."""
_BATCH: Final = 128 * 1024
_REMEMBERED: Final = 10_000
"""Records that timed out and were acknowledged later, for which the caller has not asked yet."""


class KafkaPublisher:
    """hailong.ports.Publisher on kafka-python. Thread-safe. No connection is made before the first record."""

    def __init__(self, bootstrap: str, client_id: str = "hailong", timeout_s: float = ACK_TIMEOUT_S) -> None:
        self._bootstrap = bootstrap.split(",")
        self._client_id = client_id
        self._timeout = timeout_s
        self._lock = threading.Lock()
        self._producer: Any = None

    def _current(self) -> Any:
        with self._lock:
            if self._producer is None:
                self._producer = KafkaProducer(
                    bootstrap_servers=self._bootstrap,
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=5,
                    batch_size=_BATCH,
                    compression_type="gzip",  # the one codec both client libraries read
                    delivery_timeout_ms=120_000,  # never shorter than an outage: see above
                    max_block_ms=5_000,  # a request does not wait a minute for a broker that is away
                    bootstrap_timeout_ms=5_000,
                )
            return self._producer

    def publish(self, records: Sequence[Record]) -> None:
        """Raises Retryable when any record was not acknowledged; Permanent when one is larger than the broker takes."""
        if not records:
            return
        producer: Any = None
        try:
            producer = self._current()
            sent = [producer.send(r.topic, key=r.key, value=r.value, headers=list(r.headers)) for r in records]
            self._wait(sent)
        except MessageSizeTooLargeError:
            raise Permanent("a record is larger than the broker takes", "too_large") from None
        except (KafkaError, TimeoutError, AssertionError) as e:
            self._drop(producer)
            raise Retryable(
                f"the broker at {self._bootstrap[0]} does not acknowledge ({type(e).__name__}); tried again with a new producer", 2.0
            ) from e

    def _wait(self, sent: Sequence[Any]) -> None:
        """Every future's outcome, within the time-out over all of them."""
        deadline = time.monotonic() + self._timeout
        for future in sent:
            future.get(timeout=max(0.0, deadline - time.monotonic()))

    def _drop(self, producer: Any) -> None:
        """Forget a producer. Its threads are ended aside: closing one that hangs must not hold up the caller."""
        with self._lock:
            if producer is None or self._producer is not producer:
                return
            self._producer = None
        threading.Thread(target=_close_now, args=(producer,), daemon=True, name="close-producer").start()

    def check(self) -> None:
        """Return when the broker answers. Raises Retryable."""
        # A connection of its own: the producer cannot be asked (it calls itself disconnected as soon as its first connection is spare).
        if not asyncio.run(_answers(self._bootstrap, self._client_id)):
            raise Retryable(f"the broker at {self._bootstrap[0]} does not answer", 2.0)

    def close(self) -> None:
        """End the producer; every published record is acknowledged already."""
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            _close_now(producer)


def _close_now(producer: Any) -> None:
    """End a producer that has nothing more to say: what it still holds is the caller's to repeat."""
    with contextlib.suppress(KafkaError, TimeoutError):
        # close() alone waits for a flush that never ends in a wedged producer, and then leaves its threads running.
        producer._sender.force_close()
        producer.close(timeout=1)


async def _answers(bootstrap: Sequence[str], client_id: str, within: float = 3.0) -> bool:
    client = AIOKafkaClient(bootstrap_servers=list(bootstrap), client_id=client_id, request_timeout_ms=int(within * 1000))
    try:
        async with asyncio.timeout(within):
            await client.bootstrap()
            return bool(client.cluster.brokers())
    except (AioKafkaError, OSError, TimeoutError):
        return False
    finally:
        await client.close()


class AioPublisher:
    """hailong.ports.AsyncPublisher on aiokafka. No connection is made before the first record.

    aiokafka goes on trying by itself while the broker is away, so a record that timed out is still under way: when the caller repeats
    it, its first sending is waited for, and nothing is written twice, also when the broker acknowledged between the two calls.
    """

    def __init__(self, bootstrap: str, client_id: str = "hailong", timeout_s: float = ACK_TIMEOUT_S) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._timeout = timeout_s
        self._producer: Any = None
        self._starting = asyncio.Lock()
        self._under_way: dict[Record, asyncio.Future[Any]] = {}

    async def start(self) -> None:
        """Connect now instead of at the first record. Raises Retryable."""
        await self._current()

    async def _current(self) -> Any:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap,
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=5,
                    max_batch_size=_BATCH,
                    request_timeout_ms=30_000,
                )
                try:
                    async with asyncio.timeout(self._timeout):
                        await producer.start()
                except (AioKafkaError, OSError, TimeoutError) as e:
                    await _stop_now(producer)
                    raise self._away(e) from e
                self._producer = producer
            return self._producer

    def _away(self, error: BaseException) -> Retryable:
        return Retryable(f"the broker at {self._bootstrap} does not acknowledge ({type(error).__name__}); tried again", 2.0)

    async def publish(self, records: Sequence[Record]) -> None:
        """Raises Retryable when any record was not acknowledged in time; Permanent when one is larger than the broker takes."""
        if not records:
            return
        producer = await self._current()
        sent: dict[Record, asyncio.Future[Any]] = {}
        try:
            async with asyncio.timeout(self._timeout):
                for record in records:
                    sent[record] = await self._sent(producer, record)
                await _all_done(list(sent.values()))
        except AioTooLarge:
            raise Permanent("a record is larger than the broker takes", "too_large") from None
        except TimeoutError as e:
            self._remember(sent)
            raise self._away(e) from e
        except AioKafkaError as e:
            await self._drop(producer)
            raise self._away(e) from e

    async def _sent(self, producer: Any, record: Record) -> asyncio.Future[Any]:
        if (earlier := self._under_way.get(record)) is not None:
            if earlier.done():
                del self._under_way[record]  # told now
            return earlier
        sent: asyncio.Future[Any] = await producer.send(record.topic, key=record.key, value=record.value, headers=list(record.headers))
        return sent

    def _remember(self, sent: dict[Record, asyncio.Future[Any]]) -> None:
        """Keep the futures of what timed out until the caller asks again; of what is never asked about again, the newest."""
        for record, future in sent.items():
            if record not in self._under_way:
                self._under_way[record] = future
                future.add_done_callback(functools.partial(self._ended, record))
        for record in [r for r, f in self._under_way.items() if f.done()][: max(0, len(self._under_way) - _REMEMBERED)]:
            del self._under_way[record]

    def _ended(self, record: Record, future: asyncio.Future[Any]) -> None:
        # An acknowledgement between two tries must be found by the second one; a failure is forgotten, so that it is sent anew.
        if future.cancelled() or future.exception() is not None:
            self._under_way.pop(record, None)

    async def _drop(self, producer: Any) -> None:
        """Forget a producer that failed; what it still holds is the callers' to repeat."""
        if self._producer is producer:
            self._producer = None
            self._under_way.clear()
            await _stop_now(producer)

    async def check(self) -> None:
        """Return when the broker answers. Raises Retryable."""
        producer = await self._current()
        try:
            async with asyncio.timeout(3):
                answered = await producer.client.force_metadata_update()
        except (AioKafkaError, OSError, TimeoutError):
            answered = False
        if not answered:
            raise Retryable(f"the broker at {self._bootstrap} does not answer", 2.0)

    async def close(self) -> None:
        """End the producer; every published record is acknowledged already."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop_now(producer)


async def _all_done(futures: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for all without cancelling any; then raise the first error there is."""
    if futures:
        await asyncio.wait(futures)
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors:
        raise errors[0]


async def _stop_now(producer: Any) -> None:
    """End a producer without its last flush: what it still holds is the callers' to repeat, and would be written twice."""
    with contextlib.suppress(AioKafkaError, OSError, TimeoutError):
        async with asyncio.timeout(5):
            await producer._sender.close()
            producer._message_accumulator.fail_all(AioKafkaError("the producer was dropped"))  # else nobody ever ends these futures
            await producer.stop()
