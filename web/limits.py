"""Who may ask how often, and how much they may send.

Nothing about an asker is written or logged. In this process's memory an address is a keyed hash; the key is random, and a day later both
are gone: nobody can say who asked yesterday.
"""

from __future__ import annotations

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


class BodyLimit:
    """Refuses bodies over ``limit`` bytes with 413, declared or not, before they are read into memory."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        read = 0

        async def limited() -> Message:
            nonlocal read
            if not declared.isdigit() or int(declared) > self.limit:
                raise HTTPException(413)
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.limit:
                raise HTTPException(413)
            return message

        await self.app(scope, limited, send)
