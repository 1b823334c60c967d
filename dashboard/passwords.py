"""Passwords: Argon2id, and as much work for a login that nobody has as for one that somebody has."""

from __future__ import annotations

from functools import cached_property
from threading import BoundedSemaphore
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hailong.domain.access import PASSWORD_MAX, normal_password

_AT_ONCE: Final = 2
"""Each check takes 64 MB and a core: whoever sends many waits, instead of taking the machine along."""


class Passwords:
    """Makes and checks hashes; the parameters are the library's (RFC 9106, low memory) unless ``hasher`` has others."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = BoundedSemaphore(_AT_ONCE)

    def hash(self, password: str) -> str:
        """A password as it is stored."""
        with self._turns:
            return self._hasher.hash(normal_password(password))

    def fits(self, stored: str | None, password: str) -> bool:
        """Whether it is the stored one; with none stored the same work is done for nothing."""
        typed = normal_password(password)[: PASSWORD_MAX + 1]
        dummy = self._dummy
        with self._turns:
            try:
                self._hasher.verify(stored or dummy, typed)
            except (VerificationError, InvalidHashError):
                return False
        return stored is not None

    def stale(self, stored: str) -> bool:
        """Whether it was made with parameters that are no longer ours."""
        return self._hasher.check_needs_rehash(stored)

    @cached_property
    def _dummy(self) -> str:
        return self.hash("no account has this one")
