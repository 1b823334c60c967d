"""Which language a page speaks."""

from __future__ import annotations

from collections.abc import Collection

from starlette.requests import Request


def asked(request: Request, known: Collection[str]) -> str | None:
    """The language asked for by ``?lang=``, if we have it."""
    wanted = request.query_params.get("lang", "")
    return wanted if wanted in known else None


def accepted(header: str, known: Collection[str], default: str) -> str:
    """The best of an Accept-Language header (RFC 9110 §12.5.4) among ``known``; the order decides between equals."""
    best, weight = default, 0.0
    for part in header.split(",")[:20]:
        tag, _, parameters = part.partition(";")
        language = tag.strip().lower().partition("-")[0]
        q = _weight(parameters)
        if language in known and q > weight:
            best, weight = language, q
    return best


def _weight(parameters: str) -> float:
    name, _, value = parameters.partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0


def choose(request: Request, known: Collection[str], default: str) -> str:
    """``?lang=``, else what the browser accepts, else ``default``."""
    return asked(request, known) or accepted(request.headers.get("accept-language", ""), known, default)
