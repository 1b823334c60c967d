"""Starting, stopping, being killed, and saying why not."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

pytestmark = pytest.mark.stack
ROWS = 50


class Writer(threading.Thread):
    """Inserts numbered batches, each with its token, again and again until it is acknowledged."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port, self.acknowledged, self.again, self.enough = port, 0, 0, threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            while not self._sent(self.acknowledged):
                self.again += 1
                time.sleep(0.05)
            self.acknowledged += 1

    def wait_for(self, more: int) -> None:
        goal, deadline = self.acknowledged + more, time.monotonic() + 30
        while self.acknowledged < goal:
            assert time.monotonic() < deadline, "no insert was acknowledged for 30 s"
            time.sleep(0.002)

    def _sent(self, batch: int) -> bool:
        rows = [[batch * ROWS + i, "x"] for i in range(ROWS)]
        try:
            client = clickhouse_connect.get_client(host="127.0.0.1", port=self.port, autogenerate_session_id=False)
            try:
                client.insert("kept.t", rows, ["id", "text"], settings={"insert_deduplication_token": f"batch {batch}"})
            finally:
                client.close()
        except (ClickHouseError, OSError):
            return False
        return True


def test_killed_during_inserts_it_loses_nothing_acknowledged_and_doubles_nothing(tmp_path: Path, start_store: Callable[..., Any]) -> None:
    store = start_store(tmp_path)
    httpx.post(store.url, content="CREATE DATABASE kept").raise_for_status()
    ddl = "CREATE TABLE kept.t (id UInt64, text String) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 1000"
    httpx.post(store.url, content=ddl).raise_for_status()
    writer = Writer(store.port)
    writer.start()
    try:
        for pause in (0.0, 0.011, 0.005):  # at different points of an insert
            writer.wait_for(4)
            time.sleep(pause)
            store.kill()
            store.start()
        writer.wait_for(1)
    finally:
        writer.enough.set()
        writer.join()
    found = httpx.post(store.url, content="SELECT count(), uniqExact(id), max(id) FROM kept.t FORMAT TSV").text.split()
    expected = writer.acknowledged * ROWS
    assert writer.again > 0
    assert [int(n) for n in found] == [expected, expected, expected - 1]


def test_stops_within_three_seconds_even_with_a_query_running(tmp_path: Path, start_store: Callable[..., Any]) -> None:
    store = start_store(tmp_path)

    def ask() -> None:
        with pytest.raises(httpx.HTTPError):
            httpx.post(
                store.url, content="SELECT sum(sleepEachRow(1)) FROM numbers(30) SETTINGS max_block_size = 1", timeout=20
            ).raise_for_status()

    slow = threading.Thread(target=ask)
    slow.start()
    time.sleep(0.5)
    code, seconds = store.stop()
    slow.join()
    assert code == 0
    assert seconds < 3
    store.start()
    assert store.ready.startswith(f"store ready on {store.url} ")


def test_two_stores_cannot_have_one_folder(store: Any, refused_start: Callable[..., tuple[int, str]]) -> None:
    code, said = refused_start("--data", str(store.folder), "--port", "0")
    assert code == 2
    assert said == (
        f"The store cannot start. The data folder {store.folder} is in use by another store (process {store.process.pid}). "
        "Use that one, or stop it first, or choose another --data.\n"
    )


def test_a_taken_port_is_named(tmp_path: Path, refused_start: Callable[..., tuple[int, str]]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = refused_start("--data", str(tmp_path), "--port", str(port))
    assert (code, f"Port {port} on 127.0.0.1 is taken" in said) == (2, True)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, refused_start: Callable[..., tuple[int, str]]) -> None:
    (tmp_path / "file").write_text("")
    code, said = refused_start("--data", str(tmp_path / "file" / "data"), "--port", "0")
    assert (code, f"The data folder {tmp_path}/file/data cannot be written: Not a directory." in said) == (2, True)


def test_it_does_not_listen_to_the_world_without_a_password(tmp_path: Path, refused_start: Callable[..., tuple[int, str]]) -> None:
    code, said = refused_start("--data", str(tmp_path), "--port", "0", "--host", "0.0.0.0")  # noqa: S104
    assert (code, "Add --password-file" in said) == (2, True)


@pytest.mark.thorough
def test_it_ends_when_its_engine_is_broken(tmp_path: Path, start_store: Callable[..., Any]) -> None:
    store = start_store(tmp_path / "data")
    shutil.rmtree(tmp_path / "data")
    assert store.process.wait(15) == 1
    assert "has gone" in store.process.stderr.read()
