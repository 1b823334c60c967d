"""A ClickHouse for tests: the store as a process of its own, or any server named by HAILONG_TEST_CLICKHOUSE; and a way that breaks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from clickhouse_connect.driver.client import Client

from hailong.settings import Settings
from sinks.clickhouse.connection import connect
from sinks.clickhouse.migrations import migrate

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def clickhouse(folder: Path) -> Iterator[str]:
    """The address of a ClickHouse."""
    given = os.environ.get("HAILONG_TEST_CLICKHOUSE")
    if given:
        yield given
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "ops.store", "--data", str(folder), "--port", str(port), "--memory-bytes", "1500000000"]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        assert "ready" in process.stdout.readline(), "the store did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)
        process.stdout.close()


@contextmanager
def database(url: str, *, empty: bool = False) -> Iterator[Settings]:
    """Settings of a database of its own, migrated unless ``empty``; dropped afterwards."""
    settings = replace(Settings(), clickhouse_url=url, clickhouse_database=f"hailong_test_{uuid.uuid4().hex[:12]}")
    client = connect(settings, without_database=True)
    try:
        if not empty:
            migrate(client, settings)
        yield settings
    finally:
        client.command(f"DROP DATABASE IF EXISTS {settings.clickhouse_database} SYNC")
        client.close()


class Wire:
    """A TCP way to ClickHouse that can break: before a request has passed, after it and before its answer comes back, or for good."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._to = (host, int(port))
        self.breaks: Literal["request", "answer"] | None = None
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._to)
            self._ends += [near, far]
            self._pump(near, far, lambda: self.breaks == "request")
            self._pump(far, near, lambda: self.breaks == "answer")

    def _pump(self, source: socket.socket, sink: socket.socket, cut: Callable[[], bool]) -> None:
        def run() -> None:
            try:
                while chunk := source.recv(65536):
                    if cut():
                        break
                    sink.sendall(chunk)
            except OSError:
                pass
            for end in (source, sink):
                with_shutdown(end)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        for end in (self._listener, *self._ends):
            with_shutdown(end)
        for thread in self._threads:
            thread.join(5)


def with_shutdown(end: socket.socket) -> None:
    """Close both directions, so that a thread that waits on it wakes up."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        end.close()


def rows(client: Client, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in client.query(sql).result_rows]
