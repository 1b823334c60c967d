"""The slots of a role's workers: each has one of its own, under a lock."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from hailong import telemetry
from ops import worker
from ops.local.home import REPOSITORY
from ops.worker import SLOTS, main, taken_slot

# kafka-python 3.0.12 reads its schemas with calls that Python 3.11 (not 3.13) calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")
OTHER = f"""
import fcntl, sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
locks = [open(path, "w") for path in sys.argv[1:]]
for lock in locks:
    fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def test_each_takes_the_first_slot_that_is_free(tmp_path: Path) -> None:
    with contextlib.ExitStack() as first, contextlib.ExitStack() as rest:
        assert first.enter_context(taken_slot(tmp_path, "decide", None)) == 0
        assert [rest.enter_context(taken_slot(tmp_path, "decide", None)) for _ in range(3)] == [1, 2, 3]
        assert rest.enter_context(taken_slot(tmp_path, "send", None)) == 0, "another role has its own"
        first.close()
        assert rest.enter_context(taken_slot(tmp_path, "decide", None)) == 0


def test_a_slot_held_by_another_process_is_free_when_that_dies(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", OTHER, str(tmp_path / "decide-0.lock")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with taken_slot(tmp_path, "decide", None) as slot:
            assert slot == 1
        other.kill()
    with taken_slot(tmp_path, "decide", None) as slot:
        assert slot == 0


def test_a_slot_by_number_that_is_taken_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with taken_slot(tmp_path, "decide", 3), pytest.raises(SystemExit) as refused, taken_slot(tmp_path, "decide", 3):
        pytest.fail("two have slot 3")
    assert refused.value.code == 2
    assert capsys.readouterr().err.startswith("Slot decide-3 is taken by another process")


def test_there_are_so_many_slots_and_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert SLOTS == 64
    monkeypatch.setattr(worker, "SLOTS", 2)
    first, second, third = (taken_slot(tmp_path, "decide", None) for _ in range(3))
    with first, second, pytest.raises(SystemExit) as refused, third:
        pytest.fail("there is no third slot")
    assert refused.value.code == 2
    assert capsys.readouterr().err == f"No slot of decide is free in {tmp_path}: there are 2. Stop one of its workers.\n"


def test_what_fails_within_a_slot_is_not_taken_for_a_slot_that_is_not_free(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), taken_slot(tmp_path, "decide", None):
        raise BlockingIOError


def test_count_has_one_worker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two would write their own orders of counted answers."""
    with taken_slot(tmp_path, "count", None), pytest.raises(SystemExit), taken_slot(tmp_path, "count", None):
        pytest.fail("a second worker of count")
    with pytest.raises(SystemExit) as refused:
        main(["count", "--slot", "1"])
    assert refused.value.code == 2
    assert "count has one worker" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["-1", "first", "1.0", "²", ""])
def test_a_slot_is_a_number_or_auto(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["decide", f"--slot={text}"])
    assert refused.value.code == 2
    assert "Write a number from 0 on, or auto" in capsys.readouterr().err


def test_the_number_that_was_taken_is_told_to_the_health_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    named: list[str] = []

    async def run(_: object, __: str, slot: int) -> int:
        ran.append(slot)
        return 0

    monkeypatch.setattr(worker, "run", run)
    monkeypatch.setattr(telemetry, "configure", lambda service, _: named.append(service))  # the logging of these tests is left as it is
    monkeypatch.setenv("HAILONG_DATA_DIR", str(tmp_path / "data"))
    with taken_slot(tmp_path / "data" / "run" / "slots", "decide", 0):
        assert main(["decide", "--slot", "auto", "--slot-file", str(tmp_path / "slot")]) == 0
    monkeypatch.undo()
    assert (ran, named) == ([1], ["decide-1"])
    assert (tmp_path / "slot").read_text() == "1\n"
