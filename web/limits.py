"""Who may ask how often, and how much they may send.

Nothing about an asker is written or logged. In this process's memory an address is a keyed hash; the key is random, and a day later both
are gone: nobody can say who asked yesterday.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class TokenBucket:
    """``capacity`` at once, filling up again within ``period`` seconds. ``monotonic`` gives seconds of real time."""

    capacity: float
    period: float
    monotonic: Callable[[], float]
    _level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._level, self._at = self.capacity, self.monotonic()

    def level(self) -> float:
        """What is left."""
        now = self.monotonic()
        self._level = min(self.capacity, self._level + (now - self._at) * self.capacity / self.period)
        self._at = now
        return self._level

    def take(self) -> bool:
        """Take one if there is one."""
        there = self.level() >= 1
        self._level -= there
        return there

    def wait(self) -> int:
        """Whole seconds until there is one."""
        return max(1, int((1 - self.level()) * self.period / self.capacity) + 1)


DAY_S: Final = 86_400.0


@dataclass
class Buckets:
    """A bucket for each key, the longest unused forgotten past ``most`` of them, and all after a day. ``new_key``: random bytes."""

    capacity: float
    period: float
    monotonic: Callable[[], float]
    most: int = 10_000
    new_key: Callable[[], bytes] = lambda: secrets.token_bytes(32)
    _of: dict[bytes, TokenBucket] = field(default_factory=dict)
    _key: bytes = field(init=False, repr=False)
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._key, self._since = self.new_key(), self.monotonic()

    def of(self, asker: str) -> TokenBucket:
        """The bucket of an asker, as ``network`` names them; kept under a keyed hash for a day at most."""
        if self.monotonic() - self._since >= DAY_S:
            self._of.clear()
            self._key, self._since = self.new_key(), self.monotonic()
        key = hashlib.blake2b(asker.encode(), digest_size=16, key=self._key).digest()
        bucket = self._of.pop(key, None) or TokenBucket(self.capacity, self.period, self.monotonic)
        self._of[key] = bucket
        if len(self._of) > self.most:
            del self._of[next(iter(self._of))]
        return bucket


def network(request: Request) -> str:
    """What one asker can hardly change: the IPv4 address, or the /64 of an IPv6 one."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)


DISCARDED: Final = 32 * 1024 * 1024
"""Bytes of a refused body that are read and thrown away, so that its sender comes to read the answer."""
PATIENCE_S: Final = 10.0


class BodyLimit:
    """Refuses bodies over ``limit`` bytes with 413, declared or not, before they are read into memory.

    Many clients read an answer only after they have sent everything, and a connection that is closed with bytes unread is reset, answer
    and all. So what no handler has read is thrown away before an answer begins: ``discarded`` bytes of a body, ``patience`` seconds.
    """

    def __init__(self, app: ASGIApp, limit: int, discarded: int = DISCARDED, patience: float = PATIENCE_S) -> None:
        self.app = app
        self.limit = limit
        self.discarded = discarded
        self.patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(Headers(scope=scope), receive, self.limit)

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                await body.discard(self.discarded, self.patience)
            await send(message)

        await self.app(scope, body.receive, answered)


class _Body:
    """The body of one request as it comes in."""

    def __init__(self, headers: Headers, receive: Receive, limit: int) -> None:
        declared = headers.get("content-length", "0")
        self._receive = receive
        self._limit = limit
        self._too_long = not declared.isdigit() or int(declared) > limit
        self._read = 0
        self._begun = "100-continue" not in headers.get("expect", "").lower()
        """Who waits for our consent has sent nothing yet."""
        self._ended = declared == "0" and "transfer-encoding" not in headers

    async def receive(self) -> Message:
        """Raises HTTPException(413)."""
        if self._too_long:
            raise HTTPException(413)
        message = await self._next()
        if self._read > self._limit:
            raise HTTPException(413)
        return message

    async def discard(self, most: int, patience: float) -> None:
        """Throw away what is still to come."""
        try:
            async with asyncio.timeout(patience):
                while self._begun and not self._ended and self._read < most:
                    await self._next()
        except TimeoutError:
            return

    async def _next(self) -> Message:
        self._begun = True
        message = await self._receive()
        self._read += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        return message
