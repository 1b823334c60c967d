"""The access token of Zalo's API, and the refresh token it is renewed with.

A refresh token is good for one renewal, which gives the next one: whoever renews must keep what comes back, or the permission has to be
given again by hand. So the pair stands in a file (its owner's only, replaced as a whole and written through); one process at a time renews,
under a lock beside the file, after it has read the file again; and a renewal that has begun is not ended by the time-out of the message
that wanted it. Workers on several machines need the file on a disk they share whose locks hold between them.

The file at first: ``{"refresh_token": "…"}``, as given by Zalo when the owner of the official account allowed the application.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from hailong.ports import Retryable

MARGIN = timedelta(minutes=5)
"""A token that ends sooner is renewed before it is used."""
REPAIR_WAIT = 300.0
_HOLD = 5.0
"""Seconds after a renewal in vain in which none is tried: every waiting message would ask for one."""
_LOCK_WAIT = 30.0
_LOCK_POLL = 0.05


class Tokens(msgspec.Struct, frozen=True):
    """What the file holds. ``expires_at``: of the access token, real time."""

    refresh_token: str
    access_token: str = ""
    expires_at: datetime | None = None


Renew = Callable[[str], Awaitable[Tokens]]
"""A refresh token → the next pair. Raises Retryable."""


class TokenStore:
    """The tokens of one file. ``now``: real time."""

    def __init__(self, path: Path, renew: Renew, now: Callable[[], datetime]) -> None:
        self._path, self._renew, self._now = path, renew, now
        self._known = Tokens("")
        self._unkept: Tokens | None = None
        self._renewal: asyncio.Task[Tokens] | None = None
        self._hold_until = 0.0
        self._trouble: Retryable | None = None

    async def current(self) -> str:
        """An access token that is good by its time. Raises Retryable."""
        return self._known.access_token if self._good(self._known) else await self._other("")

    async def instead_of(self, refused: str) -> str:
        """Another access token, since the provider does not take this one. Raises Retryable."""
        good = self._good(self._known) and self._known.access_token != refused
        return self._known.access_token if good else await self._other(refused)

    async def close(self) -> None:
        """Return when no renewal is under way."""
        if self._renewal is not None:
            await asyncio.wait([self._renewal])

    async def _other(self, refused: str) -> str:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renewed(refused))
            self._renewal.add_done_callback(_heard)
        return (await asyncio.shield(self._renewal)).access_token

    async def _renewed(self, refused: str) -> Tokens:
        """What the file has by now, or the next pair, kept."""
        lock = await self._locked()
        try:
            tokens = self._unkept if self._unkept is not None else await asyncio.to_thread(self._read)
            if not self._good(tokens) or tokens.access_token == refused:
                tokens = await self._next(tokens)
            self._known = tokens
            return tokens
        finally:
            os.close(lock)

    async def _next(self, spent: Tokens) -> Tokens:
        clock = asyncio.get_running_loop().time
        if self._trouble is not None and clock() < self._hold_until:
            raise Retryable(self._trouble.reason, self._trouble.after)
        try:
            await asyncio.to_thread(self._keep, spent)  # a disk that takes nothing must show before the next pair is asked for
            self._unkept = await self._renew(spent.refresh_token)
            self._known = self._unkept
            await asyncio.to_thread(self._keep, self._known)
        except Retryable as trouble:
            self._trouble, self._hold_until = trouble, clock() + _HOLD
            raise
        self._trouble = self._unkept = None
        return self._known

    def _good(self, tokens: Tokens) -> bool:
        return bool(tokens.access_token) and tokens.expires_at is not None and self._now() < tokens.expires_at - MARGIN

    def _read(self) -> Tokens:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Tokens)
        except (OSError, msgspec.MsgspecError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not of the right form"
            raise Retryable(
                f"Zalo's tokens cannot be read from {self._path.name} ({reason}). Allow the application again for the official account and "
                'write {"refresh_token": "…"} into the file of HAILONG_ZNS_TOKEN_FILE; the messages wait',
                REPAIR_WAIT,
            ) from None

    def _keep(self, tokens: Tokens) -> None:
        """Raises Retryable when the disk does not take it."""
        beside = self._path.with_name(self._path.name + ".new")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as stream:
                stream.write(msgspec.json.encode(tokens))
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(self._path)
            _write_through(self._path.parent)
        except OSError as error:
            raise Retryable(
                f"Zalo's new tokens cannot be written to {self._path.name} ({error.strerror}). Make the folder of HAILONG_ZNS_TOKEN_FILE "
                "writable, with room, before this process ends",
                REPAIR_WAIT,
            ) from None

    async def _locked(self) -> int:
        """The lock beside the file, held. Raises Retryable."""
        beside = self._path.with_name(self._path.name + ".lock")
        end = asyncio.get_running_loop().time() + _LOCK_WAIT
        try:
            fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Retryable(
                f"The lock {beside.name} for Zalo's tokens cannot be made ({error.strerror}). Make the folder of "
                "HAILONG_ZNS_TOKEN_FILE writable; the messages wait",
                REPAIR_WAIT,
            ) from None
        while not _taken(fd):
            if asyncio.get_running_loop().time() > end:
                os.close(fd)
                raise Retryable("Another worker is renewing Zalo's access token and does not end; the messages wait", _HOLD)
            await asyncio.sleep(_LOCK_POLL)
        return fd


def _heard(renewal: asyncio.Task[Tokens]) -> None:
    """Its error was told to whoever waited; if nobody does any more, the next one is told."""
    if not renewal.cancelled():
        renewal.exception()


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_through(folder: Path) -> None:
    """A new name survives a power cut only with its folder's entry."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
