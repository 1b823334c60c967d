"""How many messages a channel hands over at once, and how long each may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hailong.ports import Retryable


class Places:
    """``count`` places; whoever wants one has ``seconds`` from asking to leaving, so that a claim's lease can cover all of it."""

    def __init__(self, count: int, seconds: float) -> None:
        self._free, self._seconds = asyncio.Semaphore(count), seconds

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Raises Retryable when no place gets free in half of the time (nothing has begun), TimeoutError when the time is over.

        Half, because what begins without the time to end has an unknown outcome for nothing.
        """
        deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout(self._seconds / 2):
                await self._free.acquire()
        except TimeoutError:
            raise Retryable("All places for handing over messages were taken; nothing was sent", self._seconds) from None
        try:
            async with asyncio.timeout_at(deadline):
                yield
        finally:
            self._free.release()
