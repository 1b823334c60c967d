"""Errors as programs get them: JSON of one shape, in English, naming the thing, the cause and the next step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

API: Final = "/api/"
_PLAIN: Final = re.compile(r"(?!.*\d{6})[A-Za-z0-9/._-]{1,80}")
"""A path under ``/api/`` that may be repeated: nobody's number or address. Other paths hold codes."""


def asks(request: Request) -> bool:
    """Whether a program is answered: everything under ``/api/``, elsewhere whoever accepts JSON and no page."""
    accept = request.headers.get("accept", "")
    return f"{request.url.path}/".startswith(API) or ("application/json" in accept and "text/html" not in accept)


def refusal(request: Request, error: Exception, status: int, headers: Mapping[str, str], general: str) -> JSONResponse:
    """``{"error": {"status", "reason", "detail"}}``. ``general``: the detail where neither error nor request tell more."""
    phrase = HTTPStatus(status).phrase
    own = error.detail if isinstance(error, HTTPException) else phrase
    detail = own if own != phrase else _detail(request, status, headers) or general
    return JSONResponse({"error": {"status": status, "reason": phrase, "detail": detail}}, status, dict(headers))


def _detail(request: Request, status: int, headers: Mapping[str, str]) -> str | None:
    path = request.url.path
    named = path if path.startswith(API) and _PLAIN.fullmatch(path) else "this address"
    if status == 404 and (there := _addresses(request)):
        return f"{named}: there is no such address. Ask for one of these: {', '.join(there)}."
    if status == 405 and "Allow" in headers:
        return f"{named}: this address takes {headers['Allow']} only. Send such a request."
    return None


def _addresses(request: Request) -> list[str]:
    """What the site has for programs."""
    app = request.scope.get("app")
    paths = {str(getattr(route, "path", "")) for route in app.routes} if app else set()
    return sorted(path for path in paths if path.startswith(API))
