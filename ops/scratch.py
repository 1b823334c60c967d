"""The database a rebuild is made in: beside the live one, gone afterwards, and gone at the next rebuild if its own was killed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from hailong.settings import Settings
from ops.clock import real_now
from sinks.clickhouse.comparing import databases, drop_scratch, make_scratch

STALE_AFTER: Final = timedelta(days=1)
"""No rebuild takes so long (100,000 facts a second were measured): what is older is nobody's any more."""
_NAME: Final = re.compile(r"_rebuild_(\d{8}_\d{6})(?:_([0-9a-f]{8}))?_(\d+)")


@contextlib.asynccontextmanager
async def scratch(settings: Settings, *, keep: bool) -> AsyncIterator[Settings]:
    """Settings of an empty database, dropped afterwards unless ``keep``. What killed rebuilds left behind is dropped first.

    Raises Retryable when ClickHouse is away.
    """
    await asyncio.to_thread(_sweep, settings)
    name = scratch_name(settings.clickhouse_database, real_now(), os.getpid(), keep=keep)
    there = await asyncio.to_thread(make_scratch, settings, name)
    try:
        yield there
    finally:
        if not keep:
            await asyncio.to_thread(drop_scratch, there)


def scratch_name(database: str, now: datetime, pid: int, *, keep: bool = False) -> str:
    """A name that says when it was made (UTC), where, and by which process. What is to be kept never looks like something left behind."""
    return f"{database}_{'kept' if keep else 'rebuild'}_{now:%Y%m%d_%H%M%S}_{_host()}_{pid}"


def _host() -> str:
    """This machine or container, within which process ids mean something: containers may share the name of their host."""
    namespace = ""
    with contextlib.suppress(OSError):  # no /proc: no containers either
        namespace = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]


def left_behind(name: str, database: str, now: datetime) -> bool:
    """Whether ``name`` is the scratch database of a rebuild of ``database`` that does not run any more.

    Here its process tells; of another machine's process nothing is known, so a rebuild there is given STALE_AFTER.
    """
    told = _NAME.fullmatch(name.removeprefix(database)) if name.startswith(database) else None
    if told is None:
        return False
    made, host, pid = told.groups()
    if host == _host() and not _lives(int(pid)):
        return True
    try:
        return now - datetime.strptime(f"{made}+0000", "%Y%m%d_%H%M%S%z") > STALE_AFTER
    except ValueError:  # no date, so no name of ours
        return False


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's; no number of a process, so nothing is known
        return True
    return True


def _sweep(settings: Settings) -> None:
    database, now = settings.clickhouse_database, real_now()
    for name in databases(settings, f"{database}_rebuild_"):
        if left_behind(name, database, now):
            drop_scratch(replace(settings, clickhouse_database=name))
