"""What is live and what the log alone gives, on a real broker and store with the real archive and judge."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Coroutine, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.load import START, History
from hailong.domain.units import LOCAL
from hailong.events import STATES, AlertChanged, DossierClosed, Fact, Record, SurveyCounted, encode
from hailong.ports import Permanent, Retryable
from ops.local.stack import Stack
from ops.log import Log
from ops.looking import Archived, Store
from ops.rebuild import ARCHIVED, Difference, check, examine, rebuild
from ops.wiring import Wiring
from sinks.clickhouse.comparing import drop_scratch, make_scratch
from streams.guard import Outbox
from streams.looking import Looker
from tests.clickhouse.facts import closed
from tests.events.build import FACTS as FACTS_OF_ALL

pytestmark = pytest.mark.stack
PORTS = 21710
FACTS = 4000
LOOK = datetime(2025, 5, 12, 5, tzinfo=LOCAL)
FACTS_OF_DOUBT = msgspec.structs.replace(next(f for f in FACTS_OF_ALL if isinstance(f, AlertChanged)), by="timer", event_id="of-nobody")


@dataclasses.dataclass
class Standing:
    """A clock that stands."""

    at: datetime

    def now(self) -> datetime:
        return self.at


class House:
    """A stack with the roles archive and judge, in a loop of its own."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        parts = ["kafka", "store", "setup", "archive-0", "judge-0"]
        self.stack = Stack(folder, port_base=PORTS, parts=parts, clock="2026-03-02T09:00")

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def publish(self, records: list[Record]) -> None:
        self.do(self._publish(records))

    async def _publish(self, records: list[Record]) -> None:
        publisher = Wiring(self.stack.settings).aio_publisher("test")
        await publisher.publish(records)
        await publisher.close()

    def sql(self, text: str) -> list[Any]:
        client = Wiring(self.stack.settings).clickhouse()
        rows = list(client.query(text).result_rows) if text.startswith("SELECT") else [client.command(text)]
        client.close()
        return rows

    async def look(self) -> None:
        """A look at the quality of data, as the timer makes it."""
        settings, w = self.stack.settings, Wiring(self.stack.settings)
        publisher = w.aio_publisher("timer-0")
        outbox = Outbox(w.ledger("timer-0"), publisher)
        clock = Standing(LOOK - timedelta(days=3))
        looker = Looker(outbox, clock, lambda: LOOK, settings.registry_id, Archived(settings.kafka).ready, Store(w.clickhouse, settings).at)
        assert await looker.round() == 0
        clock.at, done = LOOK, 0
        while not done:
            with contextlib.suppress(Retryable):
                done = await looker.round()
        await publisher.close()

    def close(self) -> None:
        self.do(self.stack.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("rebuild") / "data")
    try:
        house.do(house.stack.start())
        house.publish([*a_log_as_crashes_leave_it(), *weeks_of_endings_and_then_none()])
        house.do(house.look())
        yield house
    finally:
        house.close()


def a_log_as_crashes_leave_it() -> list[Record]:
    """Facts with echoes, counted records out of their turn and repeated, and poison between them."""
    records: list[Record] = []
    counted: list[Record] = []
    for n, (fact, at) in enumerate(History(7, units=2).facts(FACTS)):
        record = encode(fact, at)
        records += [record, record] if n % 50 == 0 else [record]
        if isinstance(fact, SurveyCounted):
            counted.append(record)
            if fact.seq % 40 == 0:  # a writer that died before its records were acknowledged repeats them
                records += counted[-10:]
        if n % 1000 == 500:
            records += poison(fact)
        if n % 500 == 250:
            records.append(encode(a_counted_day(len(counted) + 5, at), at))
    return records + 2 * [encode(fact, START) for fact in FACTS_OF_ALL if type(fact) in STATES]


def weeks_of_endings_and_then_none() -> list[Record]:
    """Fifteen weeks up to three before the look: everything is silent by then."""
    days = [LOOK.date() - timedelta(weeks=18 - n // 12) for n in range(15 * 12)]
    return [encode(msgspec.structs.replace(closed(f"w{n}", on), heard_on=on), START) for n, on in enumerate(days)]


def poison(fact: Fact) -> list[Record]:
    """Not JSON at all; JSON of another shape."""
    record = encode(fact, START)
    return [dataclasses.replace(record, value=b"\xff{"), dataclasses.replace(record, value=b'{"event_id": 7}')]


def one_no_column_takes(at: datetime) -> DossierClosed:
    return DossierClosed(
        event_id="too-large", registry_id="hoa-binh", dossier_ref="x", source="one-stop", outcome="result_returned",
        status_code=300, receiving_unit="C01", handling_unit="C01", received_on=at.date(), ended_on=at.date(), heard_on=at.date(),
    )  # fmt: skip


def a_counted_day(seq: int, at: datetime) -> SurveyCounted:
    return SurveyCounted(event_id=f"hoa-binh:{seq}", registry_id="hoa-binh", seq=seq, kind="day", counted_at=at)


def kinds(found: list[Difference]) -> set[str]:
    return {d.kind for d in found}


def test_the_log_alone_gives_the_same(house: House) -> None:
    assert house.do(check(house.stack.settings)) == []
    house.publish([encode(one_no_column_takes(START), START)])
    rebuilt, found = house.do(examine(house.stack.settings))
    assert found == []
    assert rebuilt.facts == sum(end for parts in rebuilt.version.values() for end in parts.values()) > FACTS
    reasons = [p.reason for p in rebuilt.put_aside]
    assert len(reasons) == 9
    assert sum("cannot be stored" in reason for reason in reasons) == 1
    assert {a.state for a in rebuilt.alerts} >= {"raised"}
    assert list(rebuilt.looks) == [LOOK.date()]
    assert [(a.unit, a.kind, a.state) for a in rebuilt.doubts.values()] == [("", "silence", "raised")]
    assert rebuilt.cases
    assert [house.sql(f"SELECT count() FROM {table}")[0][0] for table in ("total", "reference", "procedure", "earlier")] == [2] * 4
    assert rebuilt.judge_seq == house.sql("SELECT max(seq) FROM counted")[0][0] > 100
    # the same dead letters as the live archive's
    with Wiring(house.stack.settings).ledger("test").begin() as tx:
        archive = {(d.topic, d.partition, d.offset) for d in tx.dead_letters() if d.role == "archive"}
    assert archive == {(p.topic, p.partition, p.offset) for p in rebuilt.put_aside}


def test_nothing_is_left_behind(house: House) -> None:
    assert house.sql("SELECT name FROM system.databases WHERE name LIKE 'hailong_rebuild%'") == []


@pytest.mark.thorough
def test_a_log_that_grows_meanwhile_changes_nothing(house: House) -> None:
    last = house.sql("SELECT max(seq) FROM counted")[0][0]
    days = [encode(a_counted_day(seq, START.replace(day=20)), START) for seq in range(last + 1, last + 1001)]

    async def both() -> list[Difference]:
        publisher = Wiring(house.stack.settings).aio_publisher("test")

        async def grow() -> None:
            for day in days:
                await publisher.publish([day])

        growing = asyncio.create_task(grow())
        found = await check(house.stack.settings)
        await growing
        await publisher.close()
        return found

    assert house.do(both()) == []


def test_a_rebuild_stops_at_the_version_it_was_told(house: House) -> None:
    settings = house.stack.settings
    version = house.do(Log(settings.kafka).end(ARCHIVED))
    half = {topic: {number: end // 2 for number, end in parts.items()} for topic, parts in version.items()}
    there = make_scratch(settings, "hailong_rebuild_half")
    try:
        rebuilt = house.do(rebuild(settings, there.clickhouse_database, half))
        assert rebuilt.facts == sum(end for parts in half.values() for end in parts.values())
        stored = Wiring(there).clickhouse().query("SELECT max(_offset) FROM counted").result_rows[0][0]
        assert stored < half["survey.counted.v1"][0]
        with pytest.raises(Permanent, match="already holds rows"):
            make_scratch(settings, "hailong_rebuild_half")
    finally:
        drop_scratch(there)


@pytest.mark.thorough
def test_a_fact_that_was_judged_otherwise_is_found(house: House) -> None:
    settings = house.stack.settings
    rebuilt, _ = house.do(examine(settings))
    wrong = msgspec.structs.replace(rebuilt.alerts[0], n=rebuilt.alerts[0].n + 1, event_id="of-nobody", version=9)
    ledger = Wiring(settings).ledger("test")
    with ledger.begin() as tx:
        tx.alert_step(wrong)
        seq, states = tx.detector_states()
        key = next(k for k in states if k.startswith("watch:"))
        tx.save_detectors(seq, {key: b"\x92\xc4\x00\x90"})
    house.publish([encode(wrong, START)])
    found = house.do(check(settings, within_s=10))
    assert kinds(found) == {"alerts in the ledger", "alerts and cases in the log", "judge's state"}


@pytest.mark.thorough
def test_a_look_that_does_not_follow_is_found(house: House) -> None:
    last = house.do(examine(house.stack.settings))[0].looks[LOOK.date()]
    later = msgspec.structs.replace(last, day=LOOK.date() + timedelta(7), event_id="of-nobody")
    house.publish([encode(later, LOOK), encode(msgspec.structs.replace(FACTS_OF_DOUBT, at=LOOK), LOOK)])
    assert kinds(house.do(check(house.stack.settings))) >= {"looks at the quality of data", "alerts about data in the log"}


@pytest.mark.thorough
def test_a_row_that_is_missing_is_found(house: House) -> None:
    house.sql("DELETE FROM closed WHERE event_id = (SELECT event_id FROM closed WHERE handling_unit = 'C02' AND _offset > 20 LIMIT 1)")
    found = house.do(check(house.stack.settings))
    rows = [d for d in found if d.kind == "rows"]
    assert len(rows) == 1
    assert "dossier.closed.v1, partition" in rows[0].where
    assert any(d.kind == "figures" and "unit C02, month 2026-03" in d.where for d in found)


@pytest.mark.thorough
def test_a_counted_record_stored_twice_is_found(house: House) -> None:
    house.sql("INSERT INTO counted SELECT * FROM counted WHERE seq = 60")
    found = house.do(check(house.stack.settings))
    told = next(d for d in found if d.kind == "completeness")
    assert "stored twice: 60" in told.live
    assert told.rebuilt == "complete"


def test_an_archive_that_does_not_catch_up_is_named(house: House) -> None:
    archive = house.stack.pids()["archive-0"]
    os.kill(archive, signal.SIGSTOP)
    try:
        house.publish([encode(a_counted_day(10**6, START), START)])
        with pytest.raises(Retryable, match=r"live archive has taken \d+ of \d+ records of survey.counted.v1, partition 0\. See that"):
            house.do(check(house.stack.settings, within_s=0.1))
    finally:
        os.kill(archive, signal.SIGCONT)
