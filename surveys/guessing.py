"""How many unknown codes are looked up: over all addresses, since codes are guessed from many, and a commune shares one.

An unknown code costs one of ``per_minute``. When they are used up, addresses that sent an unknown code lately are not looked up any
more; others still are, out of a small reserve, so that whoever guesses from one place shuts nobody else out.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request

from web.limits import Buckets, TokenBucket, network


class Guard:
    """Counts unknown codes. ``monotonic``: seconds of real time."""

    def __init__(self, per_minute: int, monotonic: Callable[[], float]) -> None:
        self._all = TokenBucket(per_minute, 60, monotonic)
        self._reserve = TokenBucket(max(1, per_minute // 4), 60, monotonic)
        self._clean = Buckets(1, 60, monotonic)
        """An address is clean while its bucket is full."""

    def admit(self, request: Request) -> None:
        """Raises HTTPException(429) when no code of this address is looked up now."""
        if self._all.level() >= 1:
            return
        clean = self._clean.of(network(request)).level() >= 1
        if not (clean and self._reserve.level() >= 1):
            raise HTTPException(429, headers={"Retry-After": str(self._all.wait())})

    def unknown(self, request: Request) -> None:
        """A code of this address was unknown."""
        self._clean.of(network(request)).take()
        if not self._all.take():
            self._reserve.take()
