"""archive: rows a second into the store, beside clickhouse-connect's bare insert of the same columns; and the whole worker's."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from bench.load import History
from bench.meters import Line, Meter, Report, between
from bench.room import Room, room
from bench.sampled import sampling
from hailong.events import Fact, encode, topic_of
from hailong.settings import Settings
from ops.wiring import Wiring
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.comparing import drop_scratch, make_scratch
from sinks.clickhouse.tables import TABLES

ROWS: Final = 200_000
FROM_LOG: Final = 20_000
WANTED: Final = 0.5
_SEED: Final = 4
_SETTINGS: Final = {"async_insert": 0}
Batches = list[tuple[str, list[tuple[int, Fact]]]]


async def archive(profiled: bool = False, rows: int = ROWS) -> Report:
    """Batches as the worker makes them (500), and as large as rebuild makes them (50,000); two rounds of each."""
    report = Report("archive", "rows a second")
    facts = [fact for fact, _ in History(_SEED).facts(rows)]
    async with room(["kafka", "store", "setup"]) as here:
        for size in (500, 50_000):
            batches = _batches(facts[: rows if size > 500 else rows // 5], size)
            for again in (False, True):
                report.lines.append(await asyncio.to_thread(_measured, here, f"bare insert, {size} rows", batches, _bare))
                with sampling(profiled and again) as profile:
                    report.lines.append(await asyncio.to_thread(_measured, here, f"archive, {size} rows", batches, _ours))
                report.profile += profile
            report.goal(f"archive in batches of {size}, of a bare insert", WANTED, f"archive, {size} rows", f"bare insert, {size} rows")
        report.lines.append(await _worker(here))
    report.notes.append("Every insert is one block, fsynced before it is acknowledged, in both.")
    return report


def _batches(facts: list[Fact], size: int) -> Batches:
    rows: dict[str, list[tuple[int, Fact]]] = defaultdict(list)
    for fact in facts:
        topic = topic_of(fact).name
        rows[topic].append((len(rows[topic]), fact))
    return [(topic, part[i : i + size]) for topic, part in rows.items() for i in range(0, len(part), size)]


def _measured(here: Room, name: str, batches: Batches, way: Callable[[Settings, Batches], Callable[[], None]]) -> Line:
    there = make_scratch(here.settings, "hailong_rebuild_archive_bench")
    try:
        work = way(there, batches)
        meter = Meter(os.getpid(), here.others())
        work()
        return meter.line(name, sum(len(rows) for _, rows in batches))
    finally:
        drop_scratch(there)


def _ours(there: Settings, batches: Batches) -> Callable[[], None]:
    store = Archive(Wiring(there).clickhouse(), there.clickhouse_engine)
    store.absorbed(list(TABLES))

    def work() -> None:
        for topic, rows in batches:
            store.absorb(topic, 0, rows)

    return work


def _bare(there: Settings, batches: Batches) -> Callable[[], None]:
    """The columns lie ready: what is measured is the client and the store."""
    client = Wiring(there).clickhouse()
    ready: list[tuple[Any, list[list[Any]]]] = [(TABLES[topic], TABLES[topic].block(0, rows)) for topic, rows in batches]

    def work() -> None:
        for table, block in ready:
            client.insert(
                table.name, block, column_names=table.column_names, column_types=table.column_types(), column_oriented=True,
                settings=_SETTINGS,
            )  # fmt: skip

    return work


async def _worker(here: Room) -> Line:
    """The role itself, from the log: bounded by the stream framework."""
    n = await here.publish(encode(fact, at) for fact, at in History(_SEED).facts(FROM_LOG))
    client = here.wiring.clickhouse()
    sql = " + ".join(f"(SELECT count() FROM {table.name})" for table in TABLES.values())

    async def stored() -> int:
        return int((await asyncio.to_thread(client.query, f"SELECT {sql}")).result_rows[0][0])

    async with here.process("archive-0", ["ops.worker", "archive", "--slot", "0"]) as pid:
        return await between("archive worker, from the log", stored, n // 10, n, lambda: Meter(pid, here.others()))
