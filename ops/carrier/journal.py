"""An append-only file of JSON lines. What ``append`` has returned from is on the disk."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ops.carrier.records import Accepted, Record, Refused

Apply = Callable[[Record, int, int], None]
"""Told of every record in the order of the file, with its offset and length: once at the start for old ones, then as they are written."""

_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder()


class JournalUnusable(Exception):
    """The journal cannot be opened; the sentence says which, why, and what to do."""


class JournalFailed(Exception):
    """A record could not be written (disk full?): what it stood for must not be confirmed. The file is as it was before."""


class Journal:
    """The file and its writer. Records handed over while a write is under way share the next write and its fsync."""

    def __init__(self, path: Path, apply: Apply, clock: Callable[[], datetime] | None = None) -> None:
        """Lock and read ``path``, made when absent. What is asked of the carrier is noted with the moment of ``clock``. Raises
        JournalUnusable."""
        self.path = path
        self._clock = clock
        self._apply = apply
        self._waiting: list[tuple[tuple[Record, ...], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._fd = _open_locked(path)
        try:
            self._size = self._replay()
        except BaseException:
            os.close(self._fd)
            raise

    async def append(self, *records: Record) -> None:
        """Return when all of ``records`` are on the disk and applied, in this order. Raises JournalFailed."""
        if not records:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((tuple(map(self._stamped, records)), done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_waiting())
        await done

    def _stamped(self, record: Record) -> Record:
        if self._clock is None or not isinstance(record, (Accepted, Refused)):
            return record
        return replace(record, clock=self._clock())

    def read(self, offset: int, length: int) -> Accepted:
        """The accepted message at this place of the file."""
        return msgspec.json.decode(os.pread(self._fd, length, offset), type=Accepted)

    async def close(self) -> None:
        """Write what waits, then let go of the file."""
        if self._writing is not None:
            await self._writing
        self._thread.shutdown()
        os.close(self._fd)

    async def _write_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                lines = [[_encoder.encode(record) + b"\n" for record in records] for records, _ in group]
                try:
                    await loop.run_in_executor(self._thread, self._write, b"".join(b"".join(own) for own in lines))
                except OSError as error:
                    self._fail(group, error)
                else:
                    self._confirm(group, lines)
        finally:
            self._writing = None

    def _confirm(self, group: list[tuple[tuple[Record, ...], asyncio.Future[None]]], lines: list[list[bytes]]) -> None:
        for (records, done), own in zip(group, lines, strict=True):
            for record, line in zip(records, own, strict=True):
                self._apply(record, self._size, len(line))
                self._size += len(line)
            if not done.done():
                done.set_result(None)

    def _fail(self, group: list[tuple[tuple[Record, ...], asyncio.Future[None]]], error: OSError) -> None:
        reason = f"The carrier's journal {self.path} could not be written ({error.strerror}); make room on its disk."
        for _, done in group:
            if not done.done():
                done.set_exception(JournalFailed(reason))

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self._size)  # half a group would be read back as accepted
            raise

    def _replay(self) -> int:
        """Apply what is there; cut off a last line that a crash left without its end. Returns the size."""
        offset = 0
        with os.fdopen(os.dup(self._fd), "rb") as lines:
            lines.seek(0)
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    os.ftruncate(self._fd, offset)
                    break
                self._apply(_decode(line, self.path, number), offset, len(line))
                offset += len(line)
        return offset


def _decode(line: bytes, path: Path, number: int) -> Record:
    try:
        return _decoder.decode(line)
    except msgspec.MsgspecError as error:
        raise JournalUnusable(
            f"The carrier's journal {path} is damaged at line {number} ({type(error).__name__}). "
            "Put the file aside and start again, or start with another --data."
        ) from error


def _open_locked(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise JournalUnusable(
            f"The carrier cannot write its journal {path} ({error.strerror}). Choose a folder you may write to with --data."
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise JournalUnusable(
            f"The carrier's journal {path} is in use by another carrier. Stop that one, or choose another folder with --data."
        ) from error
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # else a new file's name may be lost with the power
    finally:
        os.close(directory)
    return fd
