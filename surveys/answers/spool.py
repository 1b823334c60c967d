"""Where an answer lies while the log cannot be reached: on this machine's disk, written through, and drained by itself.

One file a worker under ``data_dir/spool``, held under a file lock while the worker lives. A frame is magic, length, CRC-32 and
the record; ``append`` returns after fsync, and only then is anybody thanked. Everything is published at least once: after a crash
the whole file is published again, with the same event ids, and readers drop the echoes. Files of dead workers (lock free) are
adopted by whoever finds them. A frame torn by a crash was never acknowledged and is passed over; bytes that cannot be read
*before* a good frame mean a damaged disk: what can be read is published and the file is kept as ``*.damaged``.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from hailong import telemetry
from hailong.events import Record
from hailong.ports import AsyncPublisher, Invalid, Permanent, Retryable

MAGIC: Final = b"\xf5HLs"
_HEAD: Final = struct.Struct(">4sII")
BATCH: Final = 500
MAX_FRAME: Final = 1 << 20
_NAME: Final = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Record)


@dataclass(frozen=True)
class Found:
    """What stands in a spool file: (record, where its frame ends), and whether bytes before a good frame were unreadable."""

    records: list[tuple[Record, int]]
    damaged: bool


def frame(record: Record) -> bytes:
    """A record as it stands in the file."""
    body = _ENCODER.encode(record)
    return _HEAD.pack(MAGIC, len(body), zlib.crc32(body)) + body


def read(data: bytes, start: int = 0) -> Found:
    """The frames in ``data`` from ``start`` on."""
    records: list[tuple[Record, int]] = []
    at, skipped, damaged = start, False, False
    while at < len(data):
        record, end = _frame_at(data, at)
        if record is None:
            skipped = True
            at = data.find(MAGIC, at + 1)
            if at < 0:
                break
            continue
        damaged = damaged or skipped
        records.append((record, end))
        at = end
    return Found(records, damaged)


def _frame_at(data: bytes, at: int) -> tuple[Record | None, int]:
    if len(data) - at < _HEAD.size:
        return None, at
    magic, length, checksum = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + length
    body = data[at + _HEAD.size : end]
    if magic != MAGIC or len(body) != length or zlib.crc32(body) != checksum:
        return None, at
    try:
        return _DECODER.decode(body), end
    except msgspec.DecodeError:
        return None, at


class Spool:
    """This worker's spool. ``name`` must be unique among living workers (pid and a random part); synchronous parts run in threads."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises OSError when the folder cannot be written."""
        if not _NAME.match(name):
            raise ValueError(f"spool name {name!r}: letters, digits, - and _ only.")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / f"{name}.spool"
        self.trouble: str | None = None
        """Why it does not drain, while it does not."""
        self._fd = _locked(self.path)
        _sync_folder(folder)
        self._mutex = threading.Lock()
        self._end = self._last_good()
        self._drained = 0
        self._log = telemetry.log("surveys.answers.spool")

    def _last_good(self) -> int:
        """Where the file of an earlier run under this name ends; half a frame after it was never acknowledged."""
        found = read(self.path.read_bytes()).records
        return found[-1][1] if found else 0

    @property
    def waiting(self) -> int:
        """Bytes not published yet."""
        return self._end - self._drained

    def append(self, record: Record) -> None:
        """Return when ``record`` lies on the disk (fsync). Raises Retryable when it does not: nobody may be thanked then."""
        data = frame(record)
        if len(data) > MAX_FRAME:
            raise Invalid("too_large", None, f"A record of {len(data)} bytes does not fit into the spool.")
        with self._mutex:
            try:
                _write_all(self._fd, data, self._end)
                os.fsync(self._fd)
            except OSError as error:
                self._cut_back()
                raise Retryable(f"spool: cannot be written ({error.strerror}). Free space on the disk of HAILONG_DATA_DIR.", 5.0) from error
            self._end += len(data)

    def _cut_back(self) -> None:
        """Half a frame must not stand before the next one. If even this fails, reading finds the next frame by its magic."""
        try:
            os.ftruncate(self._fd, self._end)
        except OSError as error:
            self._log.warning("spool not cut back", reason=error.strerror)

    def check(self) -> None:
        """Raises Retryable when the spool could not take an answer now."""
        probe = self.folder / f"{self.path.stem}.probe"
        try:
            probe.write_bytes(b"ready?")
            probe.unlink()
        except OSError as error:
            raise Retryable(f"spool: cannot be written ({error.strerror}). Mend the disk of HAILONG_DATA_DIR.", 5.0) from error

    async def drain(self, publisher: AsyncPublisher) -> int:
        """Publish what waits, in order; the number of records. Raises what the publisher raises; the rest stays."""
        published = 0
        while True:
            found = await asyncio.to_thread(self._next)
            if not found:
                return published
            await publisher.publish([record for record, _ in found])
            published += len(found)
            await asyncio.to_thread(self._advance, found[-1][1])

    def _next(self) -> list[tuple[Record, int]]:
        with self._mutex:
            start, end = self._drained, self._end
        data = os.pread(self._fd, min(end - start, BATCH * 4096), start)
        return [(record, start + stop) for record, stop in read(data).records[:BATCH]]

    def _advance(self, to: int) -> None:
        with self._mutex:
            self._drained = to
            if self._drained == self._end:
                os.ftruncate(self._fd, 0)
                self._drained = self._end = 0

    async def adopt(self, publisher: AsyncPublisher) -> int:
        """Publish and remove the files of workers that are gone; the number of records. Raises what the publisher raises."""
        published = 0
        for path in sorted(self.folder.glob("*.spool")):
            if path != self.path:
                published += await self._adopt(path, publisher)
        return published

    async def _adopt(self, path: Path, publisher: AsyncPublisher) -> int:
        fd = _try_lock(path)
        if fd is None:
            return 0
        try:
            found = read(await asyncio.to_thread(path.read_bytes))
            for at in range(0, len(found.records), BATCH):
                await publisher.publish([record for record, _ in found.records[at : at + BATCH]])
            await asyncio.to_thread(self._put_away, path, found)
            return len(found.records)
        finally:
            os.close(fd)

    def _put_away(self, path: Path, found: Found) -> None:
        if not found.damaged:
            path.unlink()
            return
        path.rename(path.with_suffix(".damaged"))
        self._log.error("spool damaged: look at the disk; the file is kept as .damaged", file=path.name, published=len(found.records))

    async def keep_draining(self, publisher: AsyncPublisher, every: float = 0.5, adopt_every: float = 5.0, slowest: float = 5.0) -> None:
        """Drain for ever; run as a task. Seconds of real time; waits longer while the log is away."""
        wait, adopt_in = every, 0.0
        while True:
            try:
                await self.drain(publisher)
                if adopt_in <= 0:
                    adopted = await self.adopt(publisher)
                    adopt_in = adopt_every
                    if adopted:
                        self._log.info("spool adopted", records=adopted)
                self.trouble, wait = None, every
            except (Retryable, Permanent, Invalid) as error:
                # The record stays and is tried again: readiness names the trouble until it is gone.
                if self.trouble is None:
                    self._log.warning("spool not drained", waiting=self.waiting, **telemetry.failure(error))
                self.trouble, wait = error.reason, min(slowest, 2 * wait)
            await asyncio.sleep(wait)
            adopt_in -= wait

    def close(self) -> None:
        """Give the file up; an empty one is removed, one with answers waits for whoever adopts it."""
        with self._mutex:
            if self._end == self._drained:
                self.path.unlink(missing_ok=True)
            # A thread left over from a cancelled drain must not meet another file under this number.
            fd, self._fd = self._fd, -1
            os.close(fd)


def _write_all(fd: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(fd, data, at)
        data, at = data[written:], at + written


def _locked(path: Path) -> int:
    """A file of our own under lock. An adopter may have taken and removed it between opening and locking: then once more."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if _still_there(fd, path):
            return fd
        os.close(fd)


def _try_lock(path: Path) -> int | None:
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if _still_there(fd, path):
        return fd
    os.close(fd)
    return None


def _still_there(fd: int, path: Path) -> bool:
    try:
        return os.stat(path).st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """A new file survives a power cut only when its folder's entry is written through."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def spooled(folder: Path) -> Sequence[Record]:
    """Every record that lies in the spool files of ``folder``, for operators and proofs."""
    return [record for path in sorted(folder.glob("*.spool")) for record, _ in read(path.read_bytes()).records]
