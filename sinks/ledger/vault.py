"""Sealing of what names a person: AES-256-GCM under the key of the month in which it must be gone.

The keys are files outside the database, one a month (``vault/2026-11.key``); a discarded key erases the backups of the ledger too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class VaultError(Exception):
    """A sealed value cannot be opened: its key is gone (erased), or it was changed."""


class Vault:
    """Seals and opens bytes. ``key_of`` gives the 32-byte key of a month, or raises VaultError."""

    def __init__(self, key_of: Callable[[str], bytes], keep_days: int = 60) -> None:
        self._key_of = key_of
        self._keep = timedelta(days=keep_days)

    def month(self, now: datetime) -> str:
        """The month whose key seals what comes in now: the one in which it must be gone."""
        return (now + self._keep).strftime("%Y-%m")

    def seal(self, month: str, value: bytes, bound_to: str) -> bytes:
        """``bound_to`` (the row's key) is authenticated, so that a sealed value cannot be moved to another row."""
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._key_of(month)).encrypt(nonce, value, bound_to.encode())

    def open(self, month: str, sealed: bytes, bound_to: str) -> bytes:
        """Raises VaultError."""
        if not sealed:
            raise VaultError(f"the value sealed for {month} was erased. Nothing brings it back.")
        try:
            return AESGCM(self._key_of(month)).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to.encode())
        except InvalidTag:
            raise VaultError(
                f"the sealed value of {month} does not open: wrong key, or it was changed. Restore the key of that month."
            ) from None
