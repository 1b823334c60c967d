"""Whether a site lives (``/healthz``) and can do its work (``/readyz``, naming what it depends on)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hailong.ports import Permanent, Retryable


@dataclass(frozen=True)
class Check:
    """One dependency. ``probe`` returns when it is there, else raises Retryable or Permanent. Without a needed one a site is not ready."""

    name: str
    probe: Callable[[], Awaitable[None]]
    needed: bool = True
    timeout: float = 2.0

    async def state(self) -> str:
        """``ok``, or what is wrong."""
        try:
            async with asyncio.timeout(self.timeout):
                await self.probe()
        except TimeoutError:
            return f"no answer within {self.timeout:g} s"
        except (Retryable, Permanent) as away:
            return away.reason
        return "ok"


async def alive(_request: Request) -> JSONResponse:
    """200 while the process answers."""
    return JSONResponse({"alive": True})


def routes(checks: Sequence[Check]) -> list[Route]:
    """``/healthz`` and ``/readyz``."""

    async def ready(_request: Request) -> JSONResponse:
        states = dict(zip([c.name for c in checks], await asyncio.gather(*(c.state() for c in checks)), strict=True))
        good = all(states[c.name] == "ok" for c in checks if c.needed)
        needed = sorted(c.name for c in checks if c.needed)
        headers = None if good else {"Retry-After": "5"}
        return JSONResponse({"ready": good, "dependencies": states, "needed": needed}, 200 if good else 503, headers)

    return [Route("/healthz", alive, name="healthz"), Route("/readyz", ready, name="readyz")]
