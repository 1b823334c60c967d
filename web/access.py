"""The access log, and the last net under a handler.

A line names the route's template, never the path: codes stand in paths. No address, no query, no header is logged.
"""

from __future__ import annotations

import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hailong import telemetry
from web.pages import Pages


def template(scope: Scope) -> str:
    """The template of the route that took a request: ``/{code}``; ``-`` where none did."""
    return getattr(scope.get("route"), "path", "-")


class AccessLog:
    """One line an answer: method, template, status, milliseconds."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.log = telemetry.log("web.access")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            spent = round(1000 * (time.perf_counter() - began), 1)
            self.log.info("request", method=scope["method"], route=template(scope), status=status, ms=spent)


class Failures:
    """Turns an error nobody expected into a page that says so, and into a log line without what the person sent."""

    def __init__(self, app: ASGIApp, pages: Pages) -> None:
        self.app = app
        self.pages = pages
        self.log = telemetry.log("web")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:
            self.log.error("request failed", route=template(scope), **_shown(error))
            if begun:
                raise
            await self.pages.error(Request(scope), HTTPException(500))(scope, receive, send)


def _shown(error: Exception) -> dict[str, Any]:
    return telemetry.failure(error)
