"""The keys of an installation: files, apart from the database, readable by their owner only.

``identity`` (what stands for dossiers and contacts), ``draw``, ``links``, ``forms``, and ``vault/YYYY-MM`` one a month. They are made
by ``setup`` and, for the months to come, by the timer; a process that misses one says so and never makes up its own, because two
machines with different keys would no longer understand each other.
"""

from __future__ import annotations

import os
import secrets
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

from sinks.ledger import VaultError

NAMES: Final = ("identity", "draw", "links", "forms")
BYTES: Final = 32
MONTHS_AHEAD: Final = 5


class KeyMissing(Exception):
    """A key's file is not there; the message names it and the next step."""


class Keys:
    """The keys in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Read once a process: a draw and a code are made for every dossier.
        self.month = lru_cache(maxsize=36)(self._month)
        self.named = lru_cache(maxsize=len(NAMES))(self._named)

    def _named(self, name: str) -> bytes:
        """One of ``NAMES``. Raises KeyMissing."""
        return self._read(self.folder / f"{name}.key")

    def _month(self, month: str) -> bytes:
        try:
            return self._read(self.folder / "vault" / f"{month}.key")
        except KeyMissing as e:
            raise VaultError(str(e)) from None

    def _read(self, path: Path) -> bytes:
        try:
            key = path.read_bytes()
        except OSError as e:
            raise KeyMissing(
                f"the key {path.name} cannot be read ({e.strerror}). Restore it from its backup, "
                "or run `hailong setup` on a new installation."
            ) from None
        if len(key) != BYTES:
            raise KeyMissing(f"the key {path.name} is {len(key)} bytes, not {BYTES}. Restore it from its backup.")
        return key

    def make_missing(self, today: date) -> list[str]:
        """Make what is not there, the vault's keys for the months to come too; the names made. Existing keys are never touched."""
        (self.folder / "vault").mkdir(mode=0o700, parents=True, exist_ok=True)
        months = [f"vault/{m}" for m in months_from(today, MONTHS_AHEAD)]
        return [name for name in (*NAMES, *months) if _make(self.folder / f"{name}.key")]


def months_from(day: date, count: int) -> list[str]:
    """``count`` months, ``YYYY-MM``, beginning with the day's."""
    first = day.year * 12 + day.month - 1
    return [f"{m // 12:04d}-{m % 12 + 1:02d}" for m in range(first, first + count)]


def _make(path: Path) -> bool:
    """Write a new key whole or not at all; False when one is there."""
    if path.exists():
        return False
    # Containers share process ids, and a process may have died here before: the name must be nobody else's.
    draft = path.with_suffix(f".{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as f:
        f.write(os.urandom(BYTES))
        f.flush()
        os.fsync(f.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
