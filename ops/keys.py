"""The keys of an installation: files, apart from the database, readable by their owner only.

``identity`` (what stands for dossiers and contacts; version 1 of the pepper of contacts), ``preference/N`` (later versions of that pepper),
``draw``, ``links``, ``forms``, ``accounts`` (second factors of officers), and ``vault/YYYY-MM`` one a month. They are made by ``setup``
and, for the months to come, by the timer; a process that misses one says so and never makes up its own, because two machines with
different keys would no longer understand each other. A month's key is discarded when nothing lies under it any more.
"""

from __future__ import annotations

import os
import re
import secrets
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

from hailong.domain.people import Keyed
from sinks.ledger import VaultError

NAMES: Final = ("identity", "draw", "links", "forms", "accounts")
PEPPERS: Final = "preference"
"""Folder of the later versions of the pepper."""
BYTES: Final = 32
MONTHS_AHEAD: Final = 5
_MONTH: Final = re.compile(r"\d{4}-\d{2}")


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

    def months(self) -> list[str]:
        """Months whose key is there, in order."""
        found = (self.folder / "vault").glob("*.key")
        return sorted(path.stem for path in found if _MONTH.fullmatch(path.stem))

    def discard(self, month: str) -> bool:
        """Delete the key of a month for good, which erases every copy of what lies sealed under it; False when it is not there."""
        path = self.folder / "vault" / f"{month}.key"
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        self.month.cache_clear()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # a key that comes back after a power cut was not discarded
        finally:
            os.close(folder)
        return True

    # --- peppers of contacts

    def pepper_versions(self) -> list[int]:
        """Versions there are, in order; 1 is the key ``identity``."""
        later = (self.folder / PEPPERS).glob("*.key")
        return [1, *sorted(int(path.stem) for path in later if path.stem.isascii() and path.stem.isdigit() and int(path.stem) > 1)]

    def pepper(self, version: int) -> bytes:
        """The key of a version. Raises KeyMissing."""
        return self.named("identity") if version == 1 else self._read(self.folder / PEPPERS / f"{version}.key")

    def make_pepper(self) -> int:
        """Make the next version of the pepper; its number. Older ones stay: opt-outs rest on them."""
        (self.folder / PEPPERS).mkdir(mode=0o700, parents=True, exist_ok=True)
        version = self.pepper_versions()[-1] + 1
        while not _make(self.folder / PEPPERS / f"{version}.key"):
            version += 1
        return version


class Peppered:
    """Keyed hashes of contacts under every version of the pepper. A version that is made is known at the next call, in every process."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._known: tuple[int, dict[int, Keyed]] = (-1, {})

    def newest(self, kind: str, value: str) -> str:
        """(kind, normalised value) → hash under the newest version."""
        by_version = self._by_version()
        return by_version[max(by_version)].contact_hash(kind, value)

    def older(self, kind: str, value: str) -> dict[int, str]:
        """Version → hash under every older one."""
        by_version = self._by_version()
        return {version: keyed.contact_hash(kind, value) for version, keyed in by_version.items() if version != max(by_version)}

    def version(self) -> int:
        """The newest."""
        return max(self._by_version())

    def _by_version(self) -> dict[int, Keyed]:
        try:
            stamp = (self._keys.folder / PEPPERS).stat().st_mtime_ns
        except FileNotFoundError:
            stamp = 0
        if self._known[0] != stamp:
            self._known = stamp, {version: Keyed(self._keys.pepper(version)) for version in self._keys.pepper_versions()}
        return self._known[1]


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
