"""The supervisor, with real children."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from ops.local.home import REPOSITORY
from ops.local.refusal import Refusal
from ops.local.supervisor import LOG_LIMIT_BYTES, Child, Ready, Supervisor

pytestmark = pytest.mark.stack

SLEEP = "import time; time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


def child(name: str, code: str, **more: object) -> Child:
    return Child(name, [sys.executable, "-I", "-S", "-c", code], dict(os.environ), **more)  # type: ignore[arg-type]  # passed on


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(true: Callable[[], bool], within: float) -> bool:
    until = time.monotonic() + within
    while not true() and time.monotonic() < until:
        time.sleep(0.02)
    return true()


def says(log: Path, word: str) -> Ready:
    """Ready once ``word`` stands in the child's log."""

    def said() -> bool:
        return log.exists() and word in log.read_text()

    async def ready(_: int) -> bool:
        return said()

    return ready


def test_children_start_in_order_and_a_once_child_is_done_before_those_after_it(tmp_path: Path) -> None:
    note = f"open({str(tmp_path / 'order')!r}, 'a').write"

    async def run() -> None:
        children = [
            child("last", f"{note}('3'); {SLEEP}", after=["once"]),
            child("once", f"import time; time.sleep(0.2); {note}('2')", after=["first"], kind="once"),
            child(
                "first",
                f"import time; time.sleep(0.2); {note}('1'); print('here', flush=True); {SLEEP}",
                ready=says(tmp_path / "first.log", "here"),
            ),
        ]
        async with Supervisor(children, tmp_path) as keeper:
            assert await asyncio.to_thread(eventually, lambda: (tmp_path / "order").read_text() == "123", 5)
            assert {status.name: status.state for status in keeper.status()} == {"last": "up", "once": "done", "first": "up"}
            assert set(keeper.pids()) == {"first", "last"}

    asyncio.run(run())


def test_a_child_that_dies_is_started_again_with_growing_waits(tmp_path: Path) -> None:
    births = tmp_path / "births"
    births.touch()
    note = f"import time; open({str(births)!r}, 'a').write(f'{{time.monotonic()}}\\n')"

    async def run() -> None:
        async with Supervisor([child("mortal", note)], tmp_path) as keeper:
            assert await asyncio.to_thread(eventually, lambda: len(births.read_text().splitlines()) >= 4, 20)
            (status,) = keeper.status()
            assert status.restarts >= 3

    asyncio.run(run())
    moments = [float(line) for line in births.read_text().split()]
    waits = [later - earlier for earlier, later in pairwise(moments)]
    assert waits[0] >= 0.2
    assert waits[1] >= 0.4
    assert waits[2] >= 0.8


def test_kill_ends_a_child_and_it_comes_back_as_another_process(tmp_path: Path) -> None:
    async def run() -> None:
        async with Supervisor([child("victim", SLEEP)], tmp_path) as keeper:
            before = keeper.kill("victim")
            await keeper.is_up("victim", within=5)
            assert not alive(before)
            assert keeper.pids()["victim"] != before
            (status,) = keeper.status()
            assert (status.state, status.restarts, status.exit_code) == ("up", 1, -signal.SIGKILL)

    asyncio.run(run())


@pytest.mark.parametrize("watcher", [False, True], ids=["kernel", "pipe"])
def test_no_child_outlives_a_supervisor_that_is_killed(tmp_path: Path, watcher: bool) -> None:
    program = f"""
import asyncio, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from pathlib import Path
from ops.local.supervisor import Child, Supervisor

async def run():
    argv = [sys.executable, "-I", "-S", "-c", {DEAF!r}]
    keeper = Supervisor([Child(f"deaf{{i}}", argv, {{}}) for i in range(3)], Path({str(tmp_path)!r}), watcher={watcher})
    async with keeper:
        print(*keeper.pids().values(), flush=True)
        await asyncio.sleep(60)

asyncio.run(run())
"""
    supervisor = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    with supervisor.stdout:
        pids = [int(pid) for pid in supervisor.stdout.readline().split()]
    assert len(pids) == 3
    assert eventually(lambda: all("deaf" in (tmp_path / f"deaf{i}.log").read_text() for i in range(3)), 5)
    assert all(alive(pid) for pid in pids)
    supervisor.kill()
    supervisor.wait()
    assert eventually(lambda: not any(alive(pid) for pid in pids), 3), "a child outlived its supervisor"


@pytest.mark.thorough
def test_stopping_ends_within_ten_seconds_even_deaf_children_the_last_started_first(tmp_path: Path) -> None:
    goodbye = f"""
import signal, sys, time
def end(*_):
    open({str(tmp_path / "order")!r}, "a").write(sys.argv[1])
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("here", flush=True)
time.sleep(60)
"""

    def polite(name: str, **more: object) -> Child:
        argv = [sys.executable, "-I", "-S", "-c", goodbye, name]
        return Child(name, argv, {}, ready=says(tmp_path / f"{name}.log", "here"), **more)  # type: ignore[arg-type]

    async def run() -> tuple[list[str], float]:
        deaf = child("deaf", DEAF, after=["a"], ready=says(tmp_path / "deaf.log", "deaf"))
        async with Supervisor([polite("a"), polite("b", after=["a"]), polite("c", after=["b"]), deaf], tmp_path) as keeper:
            begun = time.monotonic()
            return await keeper.stop(), time.monotonic() - begun

    killed, seconds = asyncio.run(run())
    assert killed == ["deaf"]
    assert seconds < 10
    assert (tmp_path / "order").read_text() == "cba"


def test_what_a_child_left_behind_ends_with_it(tmp_path: Path) -> None:
    parent = "import os, time; pid = os.fork(); pid and print(pid, flush=True); time.sleep(60)"

    async def run() -> int:
        log = tmp_path / "parent.log"
        async with Supervisor([child("parent", parent, ready=says(log, "\n"))], tmp_path) as keeper:
            grandchild = int(log.read_text())
            assert alive(grandchild)
            keeper.kill("parent")
            assert await asyncio.to_thread(eventually, lambda: not alive(grandchild), 3)
            return grandchild

    asyncio.run(run())


def test_a_child_that_cannot_start_refuses_the_stack_with_its_last_words_and_nothing_stays(tmp_path: Path) -> None:
    words = "import sys; sys.stderr.write('The cellar is flooded.\\n'); sys.exit(2)"
    keeper = Supervisor([child("other", SLEEP), child("cellar", words, ready=says(tmp_path / "never", "x"))], tmp_path)

    async def run() -> None:
        async with keeper:
            pytest.fail("it started")

    with pytest.raises(Refusal, match=re.escape("cellar ended with exit code 2 before it was ready: The cellar is flooded.")):
        asyncio.run(run())
    assert keeper.pids() == {}


def test_a_child_that_never_gets_ready_refuses_the_stack(tmp_path: Path) -> None:
    slow = child("slow", SLEEP, ready=says(tmp_path / "never", "x"), start_within_s=0.3)

    async def run() -> None:
        async with Supervisor([slow], tmp_path):
            pytest.fail("it started")

    with pytest.raises(Refusal, match="slow was not ready after"):
        asyncio.run(run())


def test_a_once_child_that_fails_refuses_the_stack(tmp_path: Path) -> None:
    async def run() -> None:
        async with Supervisor([child("migration", "raise SystemExit('no such table')", kind="once")], tmp_path):
            pytest.fail("it started")

    with pytest.raises(Refusal, match="migration ended with exit code 1 before it was ready: no such table"):
        asyncio.run(run())


def test_a_long_log_is_put_aside_when_its_child_starts(tmp_path: Path) -> None:
    (tmp_path / "talker.log").write_bytes(b"old" * LOG_LIMIT_BYTES)

    async def run() -> None:
        async with Supervisor([child("talker", f"print('new', flush=True); {SLEEP}")], tmp_path):
            assert await asyncio.to_thread(eventually, lambda: (tmp_path / "talker.log").read_text() == "new\n", 5)

    asyncio.run(run())
    assert (tmp_path / "talker.log.1").read_bytes().startswith(b"old")
    assert (tmp_path / "talker.log").stat().st_mode & 0o777 == 0o600


def test_children_that_wait_for_each_other_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="wait for each other"):
        Supervisor([child("hen", SLEEP, after=["egg"]), child("egg", SLEEP, after=["hen"])], Path("/nowhere"))
    with pytest.raises(ValueError, match="unknown: \\['ghost'\\]"):
        Supervisor([child("house", SLEEP, after=["ghost"])], Path("/nowhere"))
