"""``python -m ops.health``: what docker-compose.yml asks of workers and sites."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from hailong import settings as house
from hailong.settings import Settings
from ops import health
from ops.local.readiness import Progress
from ops.local.stack import Stack
from ops.setup import make_topics

HOUSE = Path(__file__).parents[2]
PORTS = 21840
TOPIC = "survey.counted.v1"


def _noted(folder: Path, pid: int, positions: dict[str, int] | None = None) -> tuple[Settings, float]:
    """Settings of a data folder with a progress file in it, and when that was written."""
    file = folder / "run" / "progress" / "judge-0.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode({"pid": pid, "positions": positions or {}}))
    return Settings(data_dir=folder), file.stat().st_mtime


def test_a_worker_that_lives_is_well(tmp_path: Path) -> None:
    settings, at = _noted(tmp_path, os.getpid())
    health.worker(settings, "judge", 0, at)


def test_a_worker_that_never_wrote_has_not_started(tmp_path: Path) -> None:
    with pytest.raises(health.Unwell, match="has not started yet"):
        health.worker(Settings(data_dir=tmp_path), "judge", 0, 0.0)


def test_a_dead_worker_is_not_well(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    settings, at = _noted(tmp_path, gone.pid)
    with pytest.raises(health.Unwell, match="is gone"):
        health.worker(settings, "judge", 0, at)


def test_another_process_with_the_same_number_is_not_the_worker(tmp_path: Path) -> None:
    """After a restart of its container a worker has the number its forerunner had."""
    settings, at = _noted(tmp_path, os.getpid())
    file = tmp_path / "run" / "progress" / "judge-0.json"
    os.utime(file, (at - 1e6, at - 1e6))
    with pytest.raises(health.Unwell, match="is gone"):
        health.worker(settings, "judge", 0, at)


@pytest.mark.stack
def test_a_broker_that_is_away_is_not_the_workers_illness(tmp_path: Path) -> None:
    settings, at = _noted(tmp_path, os.getpid(), {f"{TOPIC}:0": 1})
    health.worker(replace(settings, kafka="127.0.0.1:1"), "judge", 0, at + 2 * health.STUCK_AFTER_S)


def test_the_command_tells_by_its_exit_code(tmp_path: Path) -> None:
    def told(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "ops.health", *arguments]
        env = house.inherited() | {"HAILONG_DATA_DIR": str(tmp_path)}
        done = subprocess.run(command, cwd=HOUSE, env=env, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    code, said = told("judge", "0")
    assert code == 1
    assert said.startswith("judge-0 has not started yet")
    _noted(tmp_path, os.getpid())
    assert told("judge") == (0, "")
    assert told("dashboard")[0] == 2


@contextmanager
def _site(status: int) -> Iterator[int]:
    """Something that answers /readyz with ``status``."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(b'{"dependencies": {"log": "away"}}')

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.stack
def test_a_site_is_well_when_it_is_ready() -> None:
    with _site(200) as port:
        health.site(port)
    with _site(503) as port, pytest.raises(health.Unwell, match=r"log.*away"):
        health.site(port)


@pytest.mark.stack
def test_a_worker_that_stands_still_before_records_is_stuck(tmp_path: Path) -> None:
    async def produce(settings: Settings) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
        await producer.start()
        for _ in range(3):
            await producer.send_and_wait(TOPIC, b"{}", key=b"x", partition=0)
        await producer.stop()

    async def commit(settings: Settings, offset: int) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, group_id="hailong-judge", enable_auto_commit=False)
        await consumer.start()
        consumer.assign([TopicPartition(TOPIC, 0)])
        await consumer.commit({TopicPartition(TOPIC, 0): offset})
        await consumer.stop()

    async def seen() -> list[int]:
        def after(next_: int) -> Progress:
            return Progress(1, {f"{TOPIC}:0": next_})

        async with Stack(tmp_path / "stack", port_base=PORTS, parts={"kafka"}) as stack:
            settings = stack.settings
            await asyncio.to_thread(make_topics, settings)
            await produce(settings)
            await commit(settings, 1)
            found = [await health._waiting(settings.kafka, "judge", after(next_)) for next_ in (1, 3)]
            await commit(settings, 2)  # by another worker, which has the partition now
            return [*found, await health._waiting(settings.kafka, "judge", after(1))]

    assert asyncio.run(seen()) == [2, 0, 0]
