"""A site out of its routes: the same order of layers everywhere, and the same server under it."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from web import health
from web.access import AccessLog, Failures
from web.headers import Policy, SecurityHeaders
from web.limits import BodyLimit
from web.pages import Pages

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def assemble(
    routes: Sequence[BaseRoute],
    pages: Pages,
    *,
    policy: Policy,
    checks: Sequence[health.Check] = (),
    trusted_proxies: str = "",
    body_limit: int = 16_384,
    lifespan: Lifespan | None = None,
) -> Starlette:
    """A site. ``trusted_proxies``: addresses or networks, comma-separated, whose X-Forwarded-For and -Proto are believed."""
    layers: list[Middleware] = [Middleware(_cast(ProxyHeadersMiddleware), trusted_hosts=trusted_proxies)] if trusted_proxies else []
    layers += [
        Middleware(AccessLog),
        Middleware(SecurityHeaders, policy=policy),
        # What a page mirrors of its request stands beside no secret, so compression tells an eavesdropper nothing (BREACH).
        Middleware(GZipMiddleware, minimum_size=1024),
        Middleware(Failures, pages=pages),
        Middleware(BodyLimit, limit=body_limit),
    ]

    async def said(request: Request, error: Exception) -> Response:
        return pages.error(request, error)

    fixed = [*health.routes(checks), Route("/robots.txt", _robots, name="robots")]
    return Starlette(routes=[*fixed, *routes], middleware=layers, exception_handlers={HTTPException: said}, lifespan=lifespan)


def _cast(layer: Any) -> Any:
    """uvicorn types its scopes by TypedDicts of its own; at run time they are the same dicts."""
    return layer


async def _robots(_request: Request) -> Response:
    return PlainTextResponse("User-agent: *\nDisallow: /\n")


def spare_collector() -> None:
    """Let Python's collector look for cycles rarely: a page of figures makes tens of thousands of objects that have none, and going
    through them all was two fifths of its time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def server(app: Starlette, host: str, port: int) -> uvicorn.Config:
    """How a site is served: no access log of the server's own (it names paths), proxies only as the site believes them."""
    spare_collector()
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=8,
        lifespan="on",
    )


Endpoint = Callable[[Request], Awaitable[Response]]


def by_method(show: Endpoint, take: Endpoint) -> Endpoint:
    """One address for GET and POST, so that a 405 names every method it has."""

    async def answer(request: Request) -> Response:
        return await (take if request.method == "POST" else show)(request)

    return answer
