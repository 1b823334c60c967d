"""How the supervisor knows that a part of the stack is ready."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from ops.local import broker
from ops.local.broker import LOOPBACK
from ops.local.supervisor import Ready


def kafka(port: int) -> Ready:
    """The broker answers a metadata request."""

    async def ready(_pid: int) -> bool:
        return await broker.answers(port)

    return ready


def http(port: int, path: str) -> Ready:
    """``GET path`` is answered with 200."""

    async def ready(_pid: int) -> bool:
        try:
            async with asyncio.timeout(2.0):
                return await _status(port, path) == 200
        except (OSError, TimeoutError, ValueError):
            return False

    return ready


async def _status(port: int, path: str) -> int:
    """The status of one answer. Raises OSError, ValueError when what answers does not speak HTTP."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n".encode())
        first = await reader.readline()
        return int(first.split()[1]) if first.startswith(b"HTTP/") else 0
    finally:
        writer.close()


class Progress(msgspec.Struct, frozen=True):
    """What a worker writes of itself to ``run/progress/ROLE-SLOT.json``."""

    pid: int
    positions: dict[str, int] = {}
    """"topic:partition" -> next offset."""


def read_progress(file: Path) -> Progress | None:
    """None when there is none, or one that is being written."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Progress)
    except (OSError, msgspec.DecodeError):
        return None


def worker(file: Path) -> Ready:
    """The process that runs now has written its progress file."""

    async def ready(pid: int) -> bool:
        progress = read_progress(file)
        return progress is not None and progress.pid == pid

    return ready
