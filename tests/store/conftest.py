"""A store as a real process on a free port with its data in a temporary folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """One store process; start() again after kill() to come back on the same folder and port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port, self.options = folder, free_port(), options
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ops.store", "--data", str(self.folder), "--port", str(self.port), *self.options],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline()
        if "ready" not in self.ready:
            pytest.fail(f"the store did not start: {self.process.communicate(timeout=10)[1]}")

    def kill(self) -> None:
        self.process.kill()
        self._gone(10)

    def stop(self) -> tuple[int, float]:
        """Exit code, and seconds until the process had ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self._gone(15), time.monotonic() - began

    def _gone(self, within: float) -> int:
        code = self.process.wait(within)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        else:
            self._gone(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("store"), "--memory-bytes", "1500000000")
    yield running
    running.close()


@pytest.fixture
def start_store() -> Iterator[Callable[..., Running]]:
    """Starts stores of a test's own; stops them after it."""
    started: list[Running] = []

    def start(folder: Path, *options: str) -> Running:
        started.append(Running(folder, *options))
        return started[-1]

    yield start
    for running in started:
        running.close()


@pytest.fixture
def refused_start() -> Callable[..., tuple[int, str]]:
    """Runs a store that shall not come up: exit code and what it said."""

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "ops.store", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env=dict(os.environ),
        )
        return done.returncode, done.stderr

    return run


@pytest.fixture(scope="module")
def http(store: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=store.url, timeout=20) as client:
        yield client
