"""``python -m bench.bare_site PORT``: a Starlette page that reads a form and sends the browser on, under uvicorn as our sites set it."""

from __future__ import annotations

import sys
from typing import Final

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from web.assembly import server

_PAGE: Final = "<!doctype html><title>bare</title>" + "<p>Rất hài lòng</p>" * 400


async def take(request: Request) -> RedirectResponse:
    """Read the form; 303."""
    async with request.form() as sent:
        return RedirectResponse(f"/{request.path_params['code']}/thanks?f={len(sent)}", 303)


async def page(_request: Request) -> HTMLResponse:
    """As many bytes as our question has, made beforehand."""
    return HTMLResponse(_PAGE)


async def healthz(_request: Request) -> RedirectResponse:
    """Alive."""
    return RedirectResponse("/", 303)


def main() -> None:
    app = Starlette(routes=[Route("/healthz", healthz), Route("/{code}/next", page), Route("/{code}", take, methods=["POST"])])
    uvloop.run(uvicorn.Server(server(app, "127.0.0.1", int(sys.argv[1]))).serve())


if __name__ == "__main__":
    main()
