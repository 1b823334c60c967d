"""The real broker and the stack around it: started, killed, started again with its data."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import subprocess
import sys
import time
import tomllib
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from hailong.events import TOPICS
from hailong.settings import Settings
from ops.cli.main import main
from ops.clock import LOCAL, make_clock
from ops.local import broker, jars
from ops.local.broker import LOOPBACK, properties
from ops.local.folder import DataFolder
from ops.local.home import HOME, REPOSITORY
from ops.local.java import find
from ops.local.lag import lags
from ops.local.refusal import Refusal
from ops.local.stack import Stack
from ops.pace import InstallationPace

pytestmark = pytest.mark.stack


async def write(kafka: str, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def read(kafka: str, topic: str, number: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            return [(await consumer.getone()).value for _ in range(number)]
    finally:
        await consumer.stop()


async def make_topic(kafka: str, topic: str, partitions: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()


@pytest.mark.thorough
def test_the_broker_keeps_its_data_over_kill_9_and_over_a_stop_also_on_other_ports(tmp_path: Path, port_base: int) -> None:
    facts = [f"fact {n}".encode() for n in range(100)]

    async def first_life() -> None:
        async with Stack(tmp_path, port_base=port_base, parts={"kafka"}) as stack:
            kafka = stack.settings.kafka
            await make_topic(kafka, "facts")
            await write(kafka, "facts", facts[:50])
            stack.kill("kafka")
            await stack.is_up("kafka", within=30)
            assert await read(kafka, "facts", 50) == facts[:50]
            await write(kafka, "facts", facts[50:])

    async def second_life() -> None:
        async with Stack(tmp_path, port_base=port_base + 8, parts={"kafka"}) as stack:
            assert await read(stack.settings.kafka, "facts", 100) == facts

    asyncio.run(first_life())
    asyncio.run(second_life())


def test_a_cluster_s_id_never_reads_as_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uuid.uuid4", lambda: UUID(bytes=b"\xf8" * 16))  # in base64 it begins with a hyphen
    broker.Broker(tmp_path, 1, 2, broker.ensure(HOME), find()).prepare()
    assert any(tmp_path.rglob("meta.properties"))


@pytest.mark.thorough
def test_lag_is_what_the_group_has_not_committed_of_the_partitions_a_worker_holds(tmp_path: Path, port_base: int) -> None:
    async def run() -> None:
        async with Stack(tmp_path, port_base=port_base, parts={"kafka"}) as stack:
            kafka, progress = stack.settings.kafka, stack.folder.progress
            await make_topic(kafka, "facts", partitions=2)
            await write(kafka, "facts", [b"x"] * 30)
            consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id="hailong-count", enable_auto_commit=False)
            await consumer.start()
            parts = [TopicPartition("facts", number) for number in (0, 1)]
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
            await consumer.commit({parts[0]: ends[parts[0]]})
            await consumer.stop()
            (progress / "count-0.json").write_text('{"pid": 1, "positions": {"facts:0": 9, "facts:1": 0}}')
            found = await lags(kafka, progress, [("count", 0), ("send", 0)])
            assert found == {("count", 0): ends[parts[1]], ("send", 0): None}

    asyncio.run(run())


@pytest.mark.thorough
def test_time_goes_on_when_a_worker_that_was_killed_had_done_what_it_never_told(tmp_path: Path, port_base: int) -> None:
    async def run() -> None:
        async with Stack(tmp_path, port_base=port_base, parts={"kafka"}) as stack:
            kafka, part = stack.settings.kafka, TopicPartition("dossier.closed.v1", 0)
            for topic in TOPICS:
                await make_topic(kafka, topic.name, topic.partitions)
            producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
            await producer.start()
            for _ in range(5):
                await producer.send_and_wait(part.topic, b"x", partition=0)
            await producer.stop()
            consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id="hailong-decide", enable_auto_commit=False)
            await consumer.start()
            consumer.assign([part])
            await consumer.commit({part: 2})
            pace = InstallationPace(stack.settings)
            assert await pace._behind()
            await consumer.commit({part: 5})
            await consumer.stop()
            end = time.monotonic() + 20
            while await pace._behind():
                assert time.monotonic() < end, "time would stand for ever"
                await asyncio.sleep(0.1)
            await pace.close()

    asyncio.run(run())


def test_a_whole_stack_tells_where_it_is_and_what_its_parts_are_told(tmp_path: Path, port_base: int) -> None:
    async def run() -> None:
        given = Settings(cap_days=7, survey_url="https://khaosat.example")
        stack = Stack(tmp_path, port_base=port_base, settings=given, overrides={"spread_minutes": 0}, parts={"store", "carrier"})
        async with stack:
            settings = stack.settings
            assert (settings.cap_days, settings.spread_minutes, settings.survey_url) == (7, 0, "https://khaosat.example")
            assert settings.clickhouse_url == f"http://{LOOPBACK}:{port_base + 2}"
            state = DataFolder(tmp_path).state()
            assert state["state"] == "up"
            assert {part["name"]: part["pid"] for part in state["parts"]} == stack.pids()
            for name in ("store", "carrier"):
                before = stack.kill(name)
                await stack.is_up(name, within=30)
                assert stack.pids()[name] != before
        with pytest.raises(Refusal, match="No stack runs on the data folder"):
            DataFolder(tmp_path).state()

    asyncio.run(run())
    keys = tmp_path / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.rglob("*") if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.rglob("*") if path.is_dir()} == {0o700}
    secret = (keys / "intake.key").read_text().strip()
    assert tomllib.loads((keys / "intake_keys.toml").read_text()) == {"local": sha256(secret.encode()).hexdigest()}
    assert set(tomllib.loads((keys / "officers.toml").read_text())) == {"office", "*"}


class Calm:
    """An installation in which nothing ever waits."""

    async def next_instant(self) -> datetime | None:
        return None

    async def close(self) -> None: ...

    async def quiet(self) -> bool:
        return True


@pytest.mark.thorough
def test_governed_time_moves_while_the_stack_is_up_and_goes_on_there_the_next_time(tmp_path: Path, port_base: int) -> None:
    start = datetime(2026, 3, 2, 9, tzinfo=LOCAL)

    async def life(clock: str | None) -> tuple[datetime, datetime]:
        async with Stack(tmp_path, port_base=port_base, clock=clock, pace=lambda _: Calm(), parts={"carrier"}) as stack:
            told = make_clock(stack.settings.clock)
            before = told.now()
            await asyncio.sleep(0.3)
            return before, told.now()

    first = asyncio.run(life("2026-03-02T09:00@10"))
    assert start <= first[0] < first[1] - timedelta(days=1)
    again = asyncio.run(life(None))
    assert first[1] <= again[0] < again[1]
    with pytest.raises(Refusal, match="time in it never goes backwards") as refused:
        asyncio.run(life("2026-03-01T09:00@10"))
    assert refused.value.exit_code == 2


def test_an_office_that_breaks_the_governor_ends_the_stack_with_the_reason(tmp_path: Path, port_base: int) -> None:
    class Broken(Calm):
        async def quiet(self) -> bool:
            raise ZeroDivisionError

    async def run() -> None:
        async with Stack(tmp_path, port_base=port_base, clock="2026-03-02@1", pace=lambda _: Broken(), parts={"carrier"}) as stack:
            await asyncio.wait_for(stack.failed(), 10)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())


def hailong(*arguments: str) -> int:
    """The exit code of a command run in this process."""
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    return int(leaving.value.code or 0)


def test_up_status_a_second_start_and_down_from_the_command_line(tmp_path: Path, port_base: int, capfd: pytest.CaptureFixture[str]) -> None:
    data = ("--data", str(tmp_path / "data"))
    only = ("--port-base", str(port_base), "--only", "carrier")
    command = [sys.executable, "-m", "ops", "up", *data, *only, "--detach"]
    said = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True).stdout
    try:
        carrier = ["carrier", f"http://{LOOPBACK}:{port_base + 3}"]
        assert [line.split() for line in said.splitlines()] == [carrier], "nobody answers at the addresses of parts that do not run"
        assert hailong("status", *data) == 0
        assert [line.split()[0] for line in capfd.readouterr().out.splitlines()][:3] == ["carrier", "keys", "clock"]
        capfd.readouterr()
        assert hailong("status", *data, "--json") == 0
        told = json.loads(capfd.readouterr().out)
        assert told["carrier"] == f"http://{LOOPBACK}:{port_base + 3}"
        assert told["kafka"] == f"{LOOPBACK}:{port_base}"
        assert Path(told["keys"]).read_text().strip()
        assert told["roles"] == []

        assert hailong("up", *data, *only) == 1
        holder = f"The data folder {data[1]} is in use by another stack (process {told['supervisor']}). Stop that one with"
        assert holder in capfd.readouterr().err

        assert hailong("up", "--data", str(tmp_path / "other"), *only) == 1
        taken = (
            f"Port {port_base + 3} on 127.0.0.1, wanted for carrier http, is taken by another program (and 1 more). Stop that program, or"
        )
        assert taken in capfd.readouterr().err
    finally:
        assert hailong("down", *data) == 0
    said = (tmp_path / "data" / "logs" / "stack.log").read_text(encoding="utf-8")
    assert said.strip().endswith("Stopped."), said  # no part had to be killed at the end of its 10 s
    assert hailong("status", *data) == 1
    assert hailong("down", *data) == 0


def test_ctrl_c_stops_a_stack_in_the_foreground_also_while_it_starts(tmp_path: Path, port_base: int) -> None:
    argv = [
        sys.executable,
        "-m",
        "ops",
        "up",
        "--data",
        str(tmp_path),
        "--port-base",
        str(port_base),
        "--only",
        "carrier",
        "--only",
        "kafka",
    ]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        folder, until = DataFolder(tmp_path), time.monotonic() + 20
        while not folder.state_file.exists() and time.monotonic() < until:
            time.sleep(0.02)
        assert folder.state()["state"] == "starting"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=15)
    assert process.returncode == 0, told
    assert told.strip().endswith("Stopped.")
    assert folder.owner() is None


def test_the_jars_are_those_of_the_lock_file_and_a_changed_one_is_noticed(tmp_path: Path) -> None:
    wanted = jars.locked()
    assert jars.lacking(broker.ensure(HOME), wanted) == []
    assert {jar.coordinates.rpartition(":")[2] for jar in wanted if jar.coordinates.startswith("org.apache.kafka:")} == {"4.3.0"}
    for jar in wanted[:3]:
        content = (HOME / "kafka" / "jars" / jar.file).read_bytes()
        (tmp_path / jar.file).write_bytes(content if jar != wanted[1] else content[:-1] + bytes([content[-1] ^ 1]))
    assert jars.lacking(tmp_path, wanted[:3]) == [wanted[1]]


def test_facts_never_expire_and_no_topic_appears_by_accident() -> None:
    lines = dict(line.split("=", 1) for line in properties(1, 2, Path("/log")).splitlines())
    assert lines["log.retention.ms"] == lines["log.retention.bytes"] == "-1"
    assert lines["auto.create.topics.enable"] == "false"
    assert lines["listeners"] == "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2"
