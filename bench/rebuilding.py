"""rebuild: facts a second from the log into an empty store and an empty judge, beside a bare aiokafka loop that only reads and decodes."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from bench.load import History
from bench.meters import Line, Meter, Report
from bench.room import Room, room
from bench.sampled import sampling
from hailong.domain.scoring import Version
from hailong.events import decode, encode
from ops.log import Log
from ops.rebuild import ARCHIVED, rebuild
from sinks.clickhouse.comparing import drop_scratch, make_scratch

FACTS: Final = 1_000_000
WANTED: Final = 0.5
_SEED: Final = 3


async def run(profiled: bool = False, facts: int = FACTS) -> Report:
    """Two rounds of each, the bare loop first."""
    report = Report("rebuild", "facts a second")
    async with room(["kafka", "store", "setup"]) as here:
        written = await here.publish(encode(fact, at) for fact, at in History(_SEED).facts(facts))
        report.notes.append(f"{written} facts of a seeded generator, seed {_SEED}; nothing of them is kept.")
        for again in (False, True):
            version = await Log(here.settings.kafka).end(ARCHIVED)
            report.lines.append(await bare(here, version))
            with sampling(profiled and again) as profile:
                report.lines.append(await ours(here, version))
            report.profile += profile
    report.goal("rebuild, of a bare aiokafka read-and-decode", WANTED, "rebuild", "bare read and decode")
    return report


async def ours(here: Room, version: Version) -> Line:
    """The rebuild into a scratch database that is dropped again."""
    there = await asyncio.to_thread(make_scratch, here.settings, "hailong_rebuild_bench")
    meter = Meter(os.getpid(), here.others())
    rebuilt = await rebuild(here.settings, there.clickhouse_database, version)
    line = meter.line("rebuild", rebuilt.facts)
    await asyncio.to_thread(drop_scratch, there)
    return line


async def bare(here: Room, version: Version) -> Line:
    """Read and decode the same records, with nothing done to them."""
    until = {TopicPartition(topic, n): end for topic, parts in version.items() for n, end in parts.items() if end}
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=here.settings.kafka, enable_auto_commit=False, auto_offset_reset="earliest", max_partition_fetch_bytes=4 << 20
    )
    await consumer.start()
    consumer.assign(list(until))
    n, wanted = 0, sum(until.values())
    meter = Meter(os.getpid(), here.others())
    while n < wanted:
        for part, records in (await consumer.getmany(timeout_ms=500, max_records=5_000)).items():
            for record in records:
                decode(part.topic, record.value)
            n += len(records)
    line = meter.line("bare read and decode", n)
    await consumer.stop()
    return line
