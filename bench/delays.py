"""latency: from a dossier's ending to its message at the carrier, from an answer to the figure, at a steady pace, spread 0."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from bench.load import REGISTRY, item, phone
from bench.meters import Latency, Report, latency
from bench.room import Room, room
from hailong.events import About, SurveyAnswered, encode
from ops.carrier.evidence import records
from ops.carrier.records import Accepted
from producers.desk import Desk

RATE: Final = 50.0
SECONDS: Final = 20.0
_PATIENCE_S: Final = 20.0
_ROLES: Final = ["decide-0", "send-0", "count-0", "judge-0", "archive-0", "timer-0"]
_ABOUT: Final = About(
    receiving_unit="C01", handling_unit="C01", field="land", submission_channel="counter", ending="result_returned", timeliness="on_time",
    month="2026-03",
)  # fmt: skip


async def delays(rate: float = RATE, seconds: float = SECONDS) -> Report:
    """Both ways, one after the other, on a whole stack."""
    report = Report("latency", f"milliseconds at {rate:.0f} a second, spread 0")
    async with room(["kafka", "store", "carrier", "setup", *_ROLES], slot_minutes=1) as here:
        n = int(rate * seconds)
        report.latencies.append(await to_the_carrier(here, n, rate))
        report.latencies.append(await to_the_figure(here, n, rate))
    report.notes.append(
        "The first by the carrier's journal (fsynced); the second until a query sees the counted answer, asked every 10 ms."
    )
    return report


async def paced(n: int, rate: float, work: Callable[[int], Coroutine[Any, Any, Any]]) -> None:
    """Start ``work(i)`` at its moment, whether the one before is done or not."""
    began = time.monotonic()
    tasks: list[asyncio.Task[Any]] = []
    for i in range(n):
        await asyncio.sleep(max(0.0, began + i / rate - time.monotonic()))
        tasks.append(asyncio.create_task(work(i)))
    await asyncio.gather(*tasks)


async def to_the_carrier(here: Room, n: int, rate: float) -> Latency:
    """From the moment a source hands its item to the intake's desk."""
    ledger, publisher = here.wiring.ledger("intake"), here.wiring.publisher("bench")
    desk = Desk(ledger, publisher, here.wiring.keyed, here.settings.registry_id)
    begun: dict[str, float] = {}
    pool = ThreadPoolExecutor(8)

    async def one(i: int) -> None:
        now = here.wiring.clock.now()
        begun[f"+84{phone(i, '1')[1:]}"] = time.time()
        await asyncio.get_running_loop().run_in_executor(pool, desk.take, [item(i, now, "1", "phone")], "bench", now)

    await paced(n, rate, one)
    journal = next((here.settings.data_dir / "carrier").glob("*.jsonl"))
    arrived: dict[str, float] = {}
    until = time.monotonic() + _PATIENCE_S
    while len(arrived) < n and time.monotonic() < until:
        await asyncio.sleep(0.5)
        arrived = {r.to: r.at.timestamp() for r in records(journal) if isinstance(r, Accepted)}
    publisher.close()
    pool.shutdown()
    return latency("event → message at the carrier", [at - begun[to] for to, at in arrived.items() if to in begun], n)


async def to_the_figure(here: Room, n: int, rate: float) -> Latency:
    """From the moment the survey site hands an answer to the broker."""
    publisher = here.wiring.aio_publisher("bench")
    begun: dict[str, float] = {}
    seen: dict[str, float] = {}

    async def one(i: int) -> None:
        fact = SurveyAnswered(
            event_id=f"bench-{i}", registry_id=REGISTRY, survey_id=f"bench-{i}", questionnaire="ttp-core", questionnaire_version=1,
            mode="link", language="vi", page=1, answers={"Q0": 5}, nonce=f"n{i}", answered_at=here.wiring.clock.now(), about=_ABOUT,
        )  # fmt: skip
        begun[fact.survey_id] = time.monotonic()
        await publisher.publish([encode(fact, fact.answered_at)])

    watching = asyncio.create_task(_watch(here, n, seen))
    await paced(n, rate, one)
    await watching
    await publisher.close()
    return latency("answer → figure", [at - begun[survey] for survey, at in seen.items() if survey in begun], n)


async def _watch(here: Room, n: int, seen: dict[str, float]) -> None:
    client, last = here.wiring.clickhouse(), 0
    until = time.monotonic() + SECONDS + _PATIENCE_S
    while len(seen) < n and time.monotonic() < until:
        sql = f"SELECT seq, survey_id FROM counted WHERE kind = 'answer' AND seq > {last}"
        rows = (await asyncio.to_thread(client.query, sql)).result_rows
        now = time.monotonic()
        for seq, survey in rows:
            seen[survey] = now
            last = max(last, seq)
        await asyncio.sleep(0.01)
