"""The data folder of a stack: claimed once, never misread, and gone again when nothing came of it."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ops.cli.main import main
from ops.local import folder as folders
from ops.local.broker import LOOPBACK
from ops.local.folder import DataFolder
from ops.local.home import REPOSITORY
from ops.local.refusal import Refusal


def run(*arguments: str) -> int:
    """The exit code of a command run in this process."""
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    return leaving.value.code if isinstance(leaving.value.code, int) else 1


HOLDER = f"""
import sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
from pathlib import Path
from ops.local.folder import DataFolder
folder = DataFolder(Path(sys.argv[1]))
folder.claim()
print("claimed", flush=True)
time.sleep(60)
"""


def test_a_folder_is_claimed_once_and_free_again_when_its_holder_dies(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "claimed\n"
        assert folder.owner() == holder.pid
        with pytest.raises(Refusal, match=rf"is in use by another stack \(process {holder.pid}\)\. Stop that one with"):
            folder.claim()
        holder.kill()
    assert folder.owner() is None
    folder.claim()
    assert folder.owner() == os.getpid()
    folder.release()
    assert folder.owner() is None


# --- whose it is


def held(folder: DataFolder, text: str) -> int:
    """The lock of a folder, held as if by another process, with ``text`` in it."""
    folder.make()
    folder.lock_file.write_text(text)
    lock = os.open(folder.lock_file, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


@pytest.mark.parametrize("text", ["", "0", "-1", "no number", "12 13"])
def test_a_lock_that_names_no_process_is_never_taken_for_a_process(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`down` sends a signal to what owner() says: 0 would be its own process group, -1 every process there is."""
    monkeypatch.setattr(folders, "_CLAIM_WITHIN_S", 0.05)
    folder = DataFolder(tmp_path)
    lock = held(folder, text)
    try:
        with pytest.raises(Refusal, match=r"does not say in which process.+`fuser .+/run/lock` names the process"):
            folder.owner()
        assert run("down", "--data", str(tmp_path)) == 1
    finally:
        os.close(lock)


def test_a_holder_that_has_not_written_its_number_yet_is_waited_for(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    lock = held(folder, "")
    asked = threading.Event()
    reading = DataFolder._holder

    class Watched(DataFolder):
        def _holder(self) -> int | None:
            asked.set()
            return reading(self)

    def write() -> None:
        asked.wait(5)
        folder.lock_file.write_text("4711")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert Watched(tmp_path).owner() == 4711
    finally:
        writer.join()
        os.close(lock)


def test_a_lock_file_that_was_taken_away_meanwhile_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused start removes the folder it made, with the lock file that a second start has just opened."""
    first, second = DataFolder(tmp_path / "data"), DataFolder(tmp_path / "data")
    first.claim()
    locked = folders._locked

    def released_first(descriptor: int, how: int) -> bool:
        first.release()
        return locked(descriptor, how)

    monkeypatch.setattr(folders, "_locked", released_first)
    second.claim()
    monkeypatch.undo()
    assert second.owner() == os.getpid()
    second.release()
    assert not (tmp_path / "data").exists()


# --- where none can be made


def refusal(path: Path) -> Refusal:
    with pytest.raises(Refusal) as refused:
        DataFolder(path).claim()
    assert str(path) in str(refused.value)
    return refused.value


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_where_nothing_can_be_made_only_another_folder_helps() -> None:
    told = refusal(Path("/proc/foo"))
    assert str(told).endswith("Nothing can be made in /proc; choose another folder with --data.")
    assert told.exit_code == 2
    assert run("up", "--data", "/proc/foo") == 2


def test_below_a_file_there_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        told = refusal(path)
        assert str(told).endswith(f"{tmp_path / 'file'} is not a folder; choose another one with --data.")
        assert told.exit_code == 2


@pytest.mark.parametrize(
    ("number", "user", "advice", "code"),
    [
        (errno.EACCES, 1000, "Give this user the right to write in {there}, or choose another folder with --data.", 1),
        (errno.EACCES, 0, "Nothing can be made in {there}; choose another folder with --data.", 2),
        (errno.EROFS, 1000, "Nothing can be made in {there}; choose another folder with --data.", 2),
        (errno.ENOSPC, 1000, "Make room there, or choose another folder with --data.", 1),
    ],
)
def test_the_next_step_follows_from_the_cause(
    number: int, user: int, advice: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    told = folders._unusable(tmp_path / "a" / "b", OSError(number, os.strerror(number)))
    assert str(told).endswith(f"{os.strerror(number)}. {advice.format(there=tmp_path)}")
    assert told.exit_code == code


def test_doctor_says_so_before(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--data", "/dev/null/data") == 1
    assert "NO  writable data  /dev/null/data: nothing can be made in /dev/null (Not a directory)" in capsys.readouterr().out


# --- what a refused start leaves


def test_a_refused_start_leaves_no_folder_that_it_made(tmp_path: Path, port_base: int, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "of" / "mine" / "data"
    where = ("--data", str(data), "--port-base", str(port_base))
    assert run("up", *where, "--only", "cellar") == 2
    assert "There is no part cellar." in capsys.readouterr().err
    assert not data.parent.exists()
    with closing(socket.create_server((LOOPBACK, port_base + 5))):
        assert run("up", *where) == 1
        assert "wanted for intake" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []
        assert run("up", *where, "--detach") == 1
        assert "wanted for intake" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    folder = DataFolder(tmp_path)
    folder.claim()
    folder.release()
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]

    folder.claim()
    (tmp_path / "logs" / "stack.log").write_text("something came of it")
    folder.release()
    assert {path.name for path in tmp_path.iterdir()} == {"keys", "logs", "run"}


def test_nothing_is_taken_from_under_a_stack_that_came_meanwhile(tmp_path: Path) -> None:
    """`up --detach` made the folder, its own start was refused, and another start has the folder by now."""
    made, other = DataFolder(tmp_path / "data"), DataFolder(tmp_path / "data")
    made.make()
    other.claim()
    made.forsake()
    assert other.owner() == os.getpid()
    other.release()
    made.forsake()
    assert not (tmp_path / "data").exists()
