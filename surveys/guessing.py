"""How many unknown codes are looked up: over all addresses, since codes are guessed from many, and a commune shares one.

An unknown code costs one of ``per_minute``. When they are used up, addresses that sent unknown codes lately are not looked up any
more; others still are, out of a reserve, so that whoever guesses from one place shuts nobody else out. The reserve is the smaller the
easier a code is guessed: a link's has 59 bits or 128, and of the latter nobody needs to be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from hailong.domain import links
from web.limits import Buckets, TokenBucket, network

UNGUESSABLE: Final = max(links.LENGTHS.values())
"""Letters of 128 bits."""


class Guard:
    """Counts unknown codes. ``reserve``: so many more a minute of clean addresses; ``mistyped``: so many a minute leave one clean;
    ``monotonic``: seconds of real time; ``period``: what stands for a minute, in seconds.
    """

    def __init__(self, per_minute: int, reserve: int, mistyped: int, monotonic: Callable[[], float], period: float = 60) -> None:
        self._all = TokenBucket(per_minute, period, monotonic)
        self._reserve = TokenBucket(max(1, reserve), period, monotonic)
        self._clean = Buckets(mistyped, period, monotonic)

    def admit(self, request: Request, code: str = "") -> None:
        """Raises HTTPException(429) when no code of this address is looked up now; never for a ``code`` that nobody guesses."""
        if len(code) >= UNGUESSABLE or self._all.level() >= 1:
            return
        clean = self._clean.of(network(request)).level() >= 1
        if not (clean and self._reserve.level() >= 1):
            raise HTTPException(429, headers={"Retry-After": str(self._all.wait())})

    def unknown(self, request: Request, code: str = "") -> None:
        """A code of this address was unknown."""
        if len(code) >= UNGUESSABLE:
            return
        self._clean.of(network(request)).take()
        if not self._all.take():
            self._reserve.take()
