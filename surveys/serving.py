"""Files that pages refer to: their scripts, the recordings, and the page for when there is no connection.

A page works without its script. The scripts name no code and no person, so a browser may keep them for a day; recordings are kept for
good, since their address changes with what is in them. Nothing else of this site may be kept.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from surveys.speaking import Speaking
from web.headers import Policy
from web.pages import LANGUAGES, Pages

FOLDER: Final = Path(__file__).parent / "pages"
OFFLINE: Final = "/offline"
DAY_S: Final = 86_400
YEAR_S: Final = 365 * DAY_S
_SCRIPT: Final = "text/javascript; charset=utf-8"


@cache
def script(name: str) -> str:
    """Address of a script; it changes with what is in it. Files are read once, as ``Serving`` does."""
    return f"/{name}?v={hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]}"


def worker(pages: Pages) -> str:
    """The service worker: what it is told, what pages and worker share, and then what only the worker does."""
    said = {name.upper(): "\n\n".join(pages.words[one]["offline"][name] for one in LANGUAGES) for name in ("kept", "none")}
    told = {"PAGE": OFFLINE, "SCRIPT": script("offline.js"), **said}
    shared, own = ((FOLDER / name).read_text("utf-8") for name in ("offline.js", "sw.js"))
    return "".join(f"const {name} = {json.dumps(value, ensure_ascii=False)};\n" for name, value in told.items()) + shared + own


def scripted(pages: Pages) -> dict[str, str]:
    """The header of a page that has a script: it may run ours, talk to this site, and start its worker; nothing more."""
    policy = Policy(styles=pages.style_source, scripts="'self'", connections="'self'", media="'self'", workers="'self'")
    return {"Content-Security-Policy": policy.content}


class Serving:
    """``/offline`` and files. What can be served is known from the start: no address is ever made into a path."""

    def __init__(self, pages: Pages, speaking: Speaking) -> None:
        self._pages = pages
        self._speaking = speaking
        self._scripts = {name: (FOLDER / name).read_bytes() for name in ("offline.js", "kiosk.js")}
        self._worker = worker(pages)
        self._scripted = scripted(pages)

    def routes(self) -> list[Route]:
        """Its addresses; before those that take any first word for a code."""
        return [
            Route(OFFLINE, self.offline, name="offline"),
            Route("/sw.js", self.show_worker, name="worker"),
            *(Route(f"/{name}", self.show_script, name=name) for name in self._scripts),
            Route("/audio/{lang}/{name}", self.play, name="audio"),
        ]

    async def offline(self, _request: Request) -> Response:
        """``GET /offline``: kept by the service worker, in both languages; a script says which of its sentences holds."""
        words = {one: self._pages.words[one]["offline"] for one in LANGUAGES}
        context: dict[str, Any] = {"words": words, "scripts": [script("offline.js")], "back_after": 0, "turned": []}
        return self._pages.respond("offline.html", LANGUAGES[0], headers=self._scripted, **context)

    async def show_script(self, request: Request) -> Response:
        """``GET /NAME.js``."""
        body = self._scripts[request.url.path.removeprefix("/")]
        return Response(body, media_type=_SCRIPT, headers={"Cache-Control": f"public, max-age={DAY_S}"})

    async def show_worker(self, _request: Request) -> Response:
        """``GET /sw.js``: never from a cache; it may do what a page with a script may."""
        return Response(self._worker, media_type=_SCRIPT, headers=self._scripted)

    async def play(self, request: Request) -> Response:
        """``GET /audio/LANGUAGE/NAME``: the recording; 404 where there is none. Parts of it may be asked for (RFC 9110 §14)."""
        found = self._speaking.recordings.get((request.path_params["lang"], request.path_params["name"]))
        if found is None or not found.path.is_file():
            raise HTTPException(404)
        # A recording is compressed already, and a part of it must be what was asked for.
        headers = {"Content-Encoding": "identity"}
        if found.address.endswith(f"?{request.url.query}") and request.url.query:
            headers["Cache-Control"] = f"public, max-age={YEAR_S}, immutable"
        return FileResponse(found.path, media_type=found.kind, headers=headers)
