"""What keeps the stack from running here, said before a person must ask."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Final

from hailong.domain.units import LOCAL
from hailong.settings import Settings
from ops.clock import real_now
from ops.local import jars, java
from ops.local.folder import DataFolder
from ops.local.ports import Ports
from ops.local.refusal import Refusal

ROOM_BYTES: Final = 2_000_000_000
"""A year of one district takes well under a tenth; the rest is for logs, merges and surprises."""
OLDEST_PYTHON: Final = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``found`` says what is there, and what to do when that will not do."""

    id: str
    ok: bool
    found: str


@dataclass(frozen=True)
class Premises:
    """What is looked at."""

    home: Path
    data: DataFolder
    ports: Ports
    settings: Settings = field(default_factory=Settings)


def examine(premises: Premises) -> list[Finding]:
    """Every check, in order."""
    return [finding for check in CHECKS for finding in check(premises)]


def _python(_: Premises) -> Iterator[Finding]:
    ok = sys.version_info[:2] >= OLDEST_PYTHON
    yield Finding("python", ok, platform.python_version() + ("" if ok else ": 3.11 or newer is needed. Name one with HAILONG_PYTHON."))


def _java(_: Premises) -> Iterator[Finding]:
    try:
        found = java.find()
        yield Finding("java", True, f"version {found.version}, {found.path}")
    except Refusal as refusal:
        yield Finding("java", False, str(refusal))


def _jars(premises: Premises) -> Iterator[Finding]:
    folder, wanted = premises.home / "kafka" / "jars", jars.locked()
    lacking = jars.lacking(folder, wanted)
    if not lacking:
        yield Finding("jars", True, f"all {len(wanted)} of Kafka with their checksums, {folder}")
        return
    megabytes = sum(jar.size for jar in lacking) / 1e6
    yield Finding(
        "jars", False, f"{len(lacking)} of {len(wanted)} lack in {folder}. `bin/hailong up` fetches them once ({megabytes:.0f} MB)."
    )


def _writable(premises: Premises) -> Iterator[Finding]:
    for name, folder in (("home", premises.home), ("data", premises.data.path)):
        there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        try:
            with tempfile.TemporaryDirectory(prefix=".hailong-", dir=there):  # asking for rights is not enough: /proc grants them to root
                yield Finding(f"writable {name}", True, str(folder))
        except OSError as fault:
            advice = f"nothing can be made in {there} ({fault.strerror}). Give this user the right, or choose another folder."
            yield Finding(f"writable {name}", False, f"{folder}: {advice}")


def _room(premises: Premises) -> Iterator[Finding]:
    there = next(path for path in (premises.data.path, *premises.data.path.parents) if os.path.exists(path))
    free = shutil.disk_usage(there).free
    ok = free >= ROOM_BYTES
    advice = "" if ok else f": less than {ROOM_BYTES / 1e9:.0f} GB. Make room, or choose another disk with --data."
    yield Finding("room", ok, f"{free / 1e9:.1f} GB free{advice}")


def _ports(premises: Premises) -> Iterator[Finding]:
    span = f"{premises.ports.kafka} to {premises.ports.dashboard}"
    owner = premises.data.owner()
    taken = premises.ports.taken()
    if not taken:
        yield Finding("ports", True, f"{span} are free")
    elif owner is not None and premises.data.state()["kafka"].endswith(f":{premises.ports.kafka}"):
        yield Finding("ports", True, f"{span} are used by the stack on this folder (process {owner})")
    else:
        names = ", ".join(f"{port} ({name.replace('_', ' ')})" for name, port in taken)
        yield Finding("ports", False, f"taken by another program: {names}. Stop it, or choose others with --port-base.")


def _files(premises: Premises) -> Iterator[Finding]:
    """Imported only here: `status` is not to wait for the adapters. The gateway's secrets are made at the start: `up` looks at them."""
    given = import_module("ops.given")
    for one in given.read(given.Wiring(premises.settings), real_now().astimezone(LOCAL).date()):
        if one.id == "gateway":
            continue
        yield Finding(one.id, one.fault is None, one.fault or one.found)


CHECKS: Final[tuple[Callable[[Premises], Iterator[Finding]], ...]] = (_python, _java, _jars, _writable, _room, _ports, _files)
