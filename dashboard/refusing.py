"""What the officers' site refuses, said in every language: the thing, the cause, the next step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from starlette.exceptions import HTTPException

from dashboard.view import OPTIONS
from hailong.ports import Invalid, Permanent, Retryable
from web.pages import Refused

Words = Mapping[str, Mapping[str, Any]]
"""Language → what the site's templates call ``t``."""
Foreign = Literal["peer", "host", "proxy"]
"""Why a request is not from this very machine: another address, another name, or past a proxy."""
_HOST: Final = re.compile(r"[A-Za-z0-9.:-]{1,80}")


def wrong_question(wrong: Invalid, words: Words, page: str = "/") -> Refused:
    """400 for an address of which a parameter cannot be used; the value is not repeated. ``page``: to be opened instead."""
    name = wrong.field or ""
    said = {}
    for lang, t in words.items():
        text = t["wrong"][wrong.reason].format(field=name, label=t["filters"][name], options=", ".join(OPTIONS.get(name, ())))
        said[lang] = {"text": text, "again": {"address": f"{page}?lang={lang}", "text": t["wrong"]["again"]}}
    return Refused(400, said)


def foreign(cause: Foreign, host: str, port: int, words: Words) -> Refused:
    """403 for whoever does not come from this very machine by its own name. ``host``: the name asked by; ``port``: the site's."""
    named = host if _HOST.fullmatch(host) else "?"
    said = {}
    for lang, t in words.items():
        text = f"{t['foreign'][cause].format(host=named)} {t['foreign']['next'].format(address=f'http://127.0.0.1:{port}/')}"
        said[lang] = {"text": text}
    return Refused(403, said)


def unavailable(away: Retryable | Permanent) -> HTTPException:
    """503 with the time to wait."""
    after = away.after if isinstance(away, Retryable) else 60
    return HTTPException(503, away.reason, {"Retry-After": str(max(1, round(after)))})


def stale(words: Words) -> Refused:
    """403 for a form that is not ours, or of another session."""
    said = {}
    for lang, t in words.items():
        told = t["access"]["stale"]
        said[lang] = {"title": told["title"], "text": told["text"], "again": {"address": f"/?lang={lang}", "text": told["again"]}}
    return Refused(403, said)
