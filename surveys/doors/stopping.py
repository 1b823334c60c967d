"""``/{code}/stop``: no more messages; ``/{code}/start``: messages again, which only the holder of the link can choose.

Committed to the ledger before the page confirms. Whatever could have been meant as a code is told the same, whether it is one, was one,
or was cut short on its way: nobody learns here which codes exist.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from hailong.domain import links
from hailong.ports import Clock, OptOut, Retryable
from surveys.answers.showing import Showing
from surveys.guessing import Guard
from surveys.records import Records
from web.outbox import Outbox

ONE_CLICK: Final = ("List-Unsubscribe", "One-Click")
"""What a mail program posts on its own button (RFC 8058)."""
NOBODYS: Final = links.ALPHABET[: max(links.LENGTHS.values())]
"""Looked up for what was meant as a code and can be none, so that it takes the same way as one that is unknown."""


class Stopping:
    """The pages with one button. ``patience``: seconds a confirmation waits for a message under way to be settled."""

    def __init__(self, records: Records, outbox: Outbox, showing: Showing, guard: Guard, clock: Clock, patience: float = 3.0) -> None:
        self._records = records
        self._outbox = outbox
        self._showing = showing
        self._guard = guard
        self._clock = clock
        self._patience = patience

    async def show(self, request: Request) -> Response:
        """``GET``: looks nothing up, so it says the same for every code."""
        lang, code = self._showing.language(request), links.typed(request.path_params["code"])
        return self._showing.stop(code, lang) if code else self._showing.unknown(lang)

    async def take(self, request: Request) -> Response:
        """``POST``, from the button or from a mail program: 200 once committed, 503 when it could not be."""
        lang, code = self._showing.language(request), links.typed(request.path_params["code"])
        if code is None:
            return self._showing.unknown(lang)
        async with request.form(max_files=0, max_fields=10) as sent:
            door = "one_click" if sent.get(ONE_CLICK[0]) == ONE_CLICK[1] else "link"
        self._guard.admit(request, code)
        try:
            told = await self._opt_out(links.parse(code) or NOBODYS, door)
        except Retryable:
            return self._showing.stop(code, lang, failed=True)
        if told == "unknown_code":
            self._guard.unknown(request, code)
        self._outbox.wake()
        return self._showing.stopped(code, lang, under_way=told == "under_way")

    async def show_start(self, request: Request) -> Response:
        """``GET /{code}/start``: one button; looks nothing up."""
        lang, code = self._showing.language(request), links.typed(request.path_params["code"])
        return self._showing.start(code, lang) if code else self._showing.unknown(lang)

    async def start(self, request: Request) -> Response:
        """``POST /{code}/start``: 200 once committed, 503 when it could not be."""
        lang, code = self._showing.language(request), links.typed(request.path_params["code"])
        if code is None:
            return self._showing.unknown(lang)
        self._guard.admit(request, code)
        try:
            known = await self._records.do(lambda tx: tx.opt_in(links.parse(code) or NOBODYS, self._clock.now(), "link"))
        except Retryable:
            return self._showing.start(code, lang, failed=True)
        if not known:
            self._guard.unknown(request, code)
        self._outbox.wake()
        return self._showing.started(lang)

    async def _opt_out(self, code: str, door: str) -> OptOut:
        """Committed at the first call; then asked again for a while, so that most can be told that nothing more arrives."""
        until = time.monotonic() + self._patience
        while True:
            told = await self._records.do(lambda tx: tx.opt_out(code, self._clock.now(), door))
            if told != "under_way" or time.monotonic() >= until:
                return told
            await asyncio.sleep(0.25)
