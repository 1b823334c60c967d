"""The data folder of a stack: its subfolders, its lock, and what is told of it to other processes (``run/state.json``)."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from ops.local.refusal import Refusal

_CLAIM_WITHIN_S: Final = 1.0
"""A look at the lock from another process holds it for a moment; so do children that are just ending."""
_PID: Final = re.compile(rb"\s*([1-9][0-9]*)\s*")


class DataFolder:
    """One installation's data. Claimed by one stack at a time; readable by everybody of the same user."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock: int | None = None
        self._made: list[Path] = []

    @property
    def lock_file(self) -> Path:
        return self.run / "lock"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def progress(self) -> Path:
        return self.run / "progress"

    @property
    def state_file(self) -> Path:
        return self.run / "state.json"

    # --- made, and taken away when nothing came of it

    def make(self) -> None:
        """Make the folder and its subfolders. Raises Refusal, and leaves nothing behind then."""
        try:
            for folder in (self.path, self.run, self.logs, self.keys, self.progress):
                self._made += [one for one in reversed((folder, *folder.parents)) if not one.exists()]
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as fault:
            self._unmake()
            raise _unusable(self.path, fault) from fault

    def forsake(self, *own: Path) -> None:
        """After a start in another process that came to nothing: take away what make() made, unless a stack holds the folder now.

        ``own``: files of the caller's, which go too. As long as anything else lies in the folder, all of it stays.
        """
        try:
            lock = os.open(self.lock_file, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            self._unmake(*own)
            return
        try:
            if _locked(lock, fcntl.LOCK_EX):
                self._unmake(*own)
        finally:
            os.close(lock)

    def _unmake(self, *own: Path) -> None:
        """Only empty folders and files of ours are ever removed; whoever made the folder before, its contents are theirs."""
        ours = {self.lock_file, *own}
        if not self._made or any(path not in ours for path in self.path.rglob("*") if not path.is_dir()):
            return
        if self.run in self._made:
            for file in ours:
                file.unlink(missing_ok=True)
        for folder in reversed(self._made):
            with suppress(OSError):  # somebody's own by now, or never made
                folder.rmdir()
        self._made.clear()

    # --- held by one stack

    def claim(self) -> None:
        """Make the folder and take its lock, until release() or the end of this process. Raises Refusal."""
        until = time.monotonic() + _CLAIM_WITHIN_S
        while (lock := self._try_lock()) is None:
            if time.monotonic() > until:
                raise self.in_use(self._holder())
            time.sleep(0.05)
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock

    def _try_lock(self) -> int | None:
        """The lock file, locked; None when another process holds it, or took it away in this moment because its start was refused."""
        self.make()
        try:
            lock = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise _unusable(self.path, fault) from fault
        if _locked(lock, fcntl.LOCK_EX) and os.fstat(lock).st_nlink:
            return lock
        os.close(lock)
        return None

    def in_use(self, holder: int | None) -> Refusal:
        """What to say when another stack holds the folder."""
        process = f" (process {holder})" if holder is not None else ""
        return Refusal(
            f"The data folder {self.path} is in use by another stack{process}. "
            f"Stop that one with `bin/hailong down --data {self.path}`, or choose another folder with --data."
        )

    def release(self) -> None:
        """Give the lock back and take away the state, which nothing stands behind any more; the folder too, if nothing came into it."""
        if self._lock is not None:
            self.state_file.unlink(missing_ok=True)
            os.ftruncate(self._lock, 0)
            self._unmake()
            os.close(self._lock)
            self._lock = None

    def owner(self) -> int | None:
        """Process id of the stack that runs on this folder now, never less than 1; None when none does. Raises Refusal when the lock is
        held and does not say by whom.
        """
        until = time.monotonic() + _CLAIM_WITHIN_S
        while self._held():
            if (holder := self._holder()) is not None:
                return holder
            if time.monotonic() > until:
                raise Refusal(
                    f"A stack runs on the data folder {self.path}, but its lock file does not say in which process: somebody emptied it. "
                    f"`fuser {self.lock_file}` names the process; stop it with `kill`."
                )
            time.sleep(0.02)  # its holder has the lock and writes its number next
        return None

    def _held(self) -> bool:
        try:
            lock = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _locked(lock, fcntl.LOCK_SH)
        finally:
            os.close(lock)

    def _holder(self) -> int | None:
        """The process that wrote its number into the lock file; None while there is none in it."""
        try:
            told = _PID.fullmatch(self.lock_file.read_bytes())
        except FileNotFoundError:
            return None
        return int(told[1]) if told else None

    # --- what is told of it

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace ``run/state.json`` at one stroke: a reader sees the old or the new one. Raises OSError."""
        beside = self.state_file.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, msgspec.json.format(msgspec.json.encode(state), indent=1))
        finally:
            os.close(descriptor)
        beside.replace(self.state_file)

    def state(self) -> dict[str, Any]:
        """What the running stack says of itself. Raises Refusal when none runs; where there is no such folder, as wrong use."""
        if not self.path.is_dir():
            raise Refusal(
                f"There is no data folder {self.path}. Name the right one with --data, or start a stack there with "
                f"`bin/hailong up --data {self.path}`.",
                wrong_use=True,
            )
        try:
            told: dict[str, Any] = msgspec.json.decode(self.state_file.read_bytes()) if self.owner() else {}
        except FileNotFoundError:
            told = {}
        if not told:
            raise Refusal(f"No stack runs on the data folder {self.path}. Start one with `bin/hailong up --data {self.path}`.")
        return told


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unusable(path: Path, fault: OSError) -> Refusal:
    """What keeps the folder from being made or used, and the way out that there is."""
    there = next(one for one in (path, *path.parents) if os.path.lexists(one))
    said = f"The data folder {path} cannot be used: {fault.strerror}."
    if fault.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
        return Refusal(f"{said} Give this user the right to write in {there}, or choose another folder with --data.")
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refusal(f"{said} Make room there, or choose another folder with --data.")
    if fault.errno in (errno.ENOTDIR, errno.EEXIST):
        return Refusal(f"{said} {there} is not a folder; choose another one with --data.", wrong_use=True)
    return Refusal(f"{said} Nothing can be made in {there}; choose another folder with --data.", wrong_use=True)
