"""The peers of decide and send: the same records taken, decoded, and one fact produced for each, without any of our promises.

``python -m bench.peers KIND TOPIC OUT BOOTSTRAP``: Faust as our workers set it, QuixStreams, a bare aiokafka loop. Each runs until it is
stopped; whoever measures looks at the end of OUT.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import faust
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from quixstreams import Application

from bench.load import REGISTRY, START
from hailong.events import Record, SurveyDecided, decode, encode

KINDS: Final = ("faust", "quixstreams", "aiokafka")
_BATCH: Final = 128 * 1024


def answer(topic: str, value: bytes, at: datetime = START) -> Record:
    """Decode a record and make the fact that is produced for it: the size and the work of a decision's."""
    fact: Any = decode(topic, value)
    made = SurveyDecided(
        event_id=f"{fact.dossier_ref}:decided", registry_id=REGISTRY, dossier_ref=fact.dossier_ref, asked=True, rules_version="1",
        draw=0.5, decided_on=at.date(), inputs={"reach": ["sms"], "opted_out": False, "asked_before_on": None},
    )  # fmt: skip
    return encode(made, at)


async def by_faust(topic: str, out: str, bootstrap: str) -> None:
    """Faust's own way, with the settings that were fastest here: raw topics, noack_take, awaited together, small linger."""
    app: Any = faust.App(
        f"bench-faust-{out}", broker=f"kafka://{bootstrap}", store="memory://", broker_session_timeout=8, broker_heartbeat_interval=2,
        broker_rebalance_timeout=20, broker_request_timeout=30, broker_commit_interval=1.0, broker_max_poll_records=500,
        consumer_auto_offset_reset="earliest", stream_buffer_maxsize=4096, stream_wait_empty=False, topic_disable_leader=True,
        topic_allow_declare=False, table_standby_replicas=0, producer_acks=-1, producer_linger=0.005, producer_max_batch_size=_BATCH,
        web_enabled=False, worker_redirect_stdouts=False,
    )  # fmt: skip
    raw = {"key_serializer": "raw", "value_serializer": "raw", "key_type": bytes, "value_type": bytes}
    there = app.topic(out, **raw)

    async def consume(stream: Any) -> None:
        async for events in stream.noack_take(500, within=0.05):
            sent = []
            for event in events:
                record = answer(topic, event.message.value)
                sent.append(await there.send(key=record.key, value=record.value, headers=list(record.headers)))
            await asyncio.gather(*sent)
            for event in events:
                await stream.ack(event)

    app.agent(app.topic(topic, **raw), concurrency=1)(consume)
    app.finalize()
    await app.start()
    await asyncio.Event().wait()


async def by_aiokafka(topic: str, out: str, bootstrap: str) -> None:
    """A bare loop: batches taken, decoded, produced, awaited, committed."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=f"bench-aiokafka-{out}", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5, max_batch_size=_BATCH)
    await consumer.start()
    await producer.start()
    while True:
        sent = []
        for records in (await consumer.getmany(timeout_ms=50, max_records=500)).values():
            for taken in records:
                record = answer(topic, taken.value)
                sent.append(await producer.send(out, key=record.key, value=record.value, headers=list(record.headers)))
        if sent:
            await asyncio.gather(*sent)
            await consumer.commit()


def by_quixstreams(topic: str, out: str, bootstrap: str) -> None:
    """QuixStreams: a dataframe from one topic to another."""
    app = Application(
        broker_address=bootstrap, consumer_group=f"bench-quix-{out}", auto_offset_reset="earliest", loglevel="WARNING",
        auto_create_topics=False, producer_extra_config={"acks": "all", "linger.ms": 5},
    )  # fmt: skip
    there = app.topic(out, value_serializer="bytes", key_serializer="bytes")
    frame = app.dataframe(app.topic(topic, value_deserializer="bytes", key_deserializer="bytes"))
    frame = frame.apply(lambda value: answer(topic, value).value)
    frame.to_topic(there)
    app.run()


def main() -> None:
    kind, topic, out, bootstrap = sys.argv[1:]
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    if kind == "quixstreams":
        by_quixstreams(topic, out, bootstrap)
        return
    loops: dict[str, Callable[[str, str, str], Any]] = {"faust": by_faust, "aiokafka": by_aiokafka}
    uvloop.run(loops[kind](topic, out, bootstrap))


if __name__ == "__main__":
    main()
