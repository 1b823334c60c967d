"""The data folder of a stack: its subfolders, its lock, and what is told of it to other processes (``run/state.json``)."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from ops.local.refusal import Refusal

_CLAIM_WITHIN_S: Final = 1.0
"""A look at the lock from another process holds it for a moment; so do children that are just ending."""


class DataFolder:
    """One installation's data. Claimed by one stack at a time; readable by everybody of the same user."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock: int | None = None

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

    def make(self) -> None:
        """Make the folder and its subfolders. Raises Refusal."""
        try:
            for folder in (self.path, self.run, self.logs, self.keys, self.progress):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as fault:
            raise self._unusable(fault) from fault

    def _unusable(self, fault: OSError) -> Refusal:
        return Refusal(
            f"The data folder {self.path} cannot be used: {fault.strerror}. "
            "Give this user the right to write there, or choose another folder with --data."
        )

    def claim(self) -> None:
        """Make the folder and take its lock, until release() or the end of this process. Raises Refusal."""
        self.make()
        try:
            lock = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise self._unusable(fault) from fault
        until = time.monotonic() + _CLAIM_WITHIN_S
        while not _locked(lock, fcntl.LOCK_EX):
            if time.monotonic() > until:
                os.close(lock)
                raise Refusal(
                    f"The data folder {self.path} is in use by another stack (process {self._holder()}). "
                    f"Stop that one with `bin/hailong down --data {self.path}`, or choose another folder with --data."
                )
            time.sleep(0.05)
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock

    def release(self) -> None:
        """Give the lock back and take away the state, which nothing stands behind any more."""
        if self._lock is not None:
            self.state_file.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def owner(self) -> int | None:
        """Process id of the stack that runs on this folder now; None when none does."""
        try:
            lock = os.open(self.run / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return None if _locked(lock, fcntl.LOCK_SH) else self._holder()
        finally:
            os.close(lock)

    def _holder(self) -> int:
        text = (self.run / "lock").read_text(encoding="ascii").strip()
        return int(text) if text.isdigit() else 0

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
        """What the running stack says of itself. Raises Refusal when none runs."""
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
