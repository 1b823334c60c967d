"""``/receipt``: whoever types the code of a receipt learns that the answer is counted, held or erased, and can have it erased.

Never what was answered: nobody can demand to see it. The code is typed into a form, never part of an address; erasing takes two steps,
and a GET looks nothing up.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import PurePosixPath
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hailong.domain import links, receipts
from hailong.domain.units import LOCAL
from hailong.ports import Clock, Retryable
from surveys.answers.showing import Showing
from surveys.answers.telling import hotline
from surveys.guessing import Guard
from surveys.records import Records
from surveys.wording import Office
from web.assembly import by_method

PAGE: Final = PurePosixPath("/receipt")
ERASE, SURE = "erase", "sure"
"""What the two buttons say."""
_SIGNS: Final = receipts.LETTERS + 1
_LENGTHS: Final = (_SIGNS, _SIGNS + len(receipts.PREFIX))
_TYPED: Final = 60


class Shown(msgspec.Struct, frozen=True):
    """What the page says. ``typed``: the receipt; ``on``: the day it was counted."""

    state: str
    typed: str = ""
    on: date | None = None


class Proving:
    """The page and its two buttons."""

    def __init__(self, records: Records, showing: Showing, office: Office, guard: Guard, clock: Clock) -> None:
        self._records = records
        self._showing = showing
        self._office = office
        self._guard = guard
        self._clock = clock

    def routes(self) -> list[Route]:
        """Its address."""
        return [Route(str(PAGE), by_method(self.show, self.take), methods=["GET", "POST"], name="receipt")]

    async def show(self, request: Request) -> Response:
        """``GET /receipt``."""
        return self._page(request, self._showing.recalled(request, Shown) or Shown("ask"))

    async def take(self, request: Request) -> Response:
        """``POST /receipt``: 200 with how the answer stands, the question before erasing, or that it is erased; 422, 429, 503."""
        async with request.form(max_files=0, max_fields=5) as sent:
            typed, step = str(sent.get("code", "")), str(sent.get("step", ""))
        code = receipts.parse(typed)
        if code is None:
            return self._page(request, Shown(_fault(typed), typed[:_TYPED]), 422)
        self._guard.admit(request)
        try:
            return await self._told(request, code, step)
        except Retryable as away:
            headers = {"Retry-After": str(max(1, round(away.after)))}
            return self._page(request, Shown("erase_away" if step == SURE else "away", receipts.shown(code)), 503, headers)

    async def _told(self, request: Request, code: str, step: str) -> Response:
        hashed = receipts.receipt_hash(code)
        found = await self._records.look(lambda view: view.receipt_state(hashed))
        typed = receipts.shown(code)
        if found is None:
            self._guard.unknown(request)
            return self._page(request, Shown("unknown", typed), 422)
        state: str = found.state
        if state != "erased" and step == SURE:
            now = self._clock.now()
            await self._records.do(lambda tx: tx.ask_erasure(hashed, now))
            state = "erased_now"
        elif state != "erased" and step == ERASE:
            state = "sure"
        return self._page(request, Shown(state, typed, found.counted_at.astimezone(LOCAL).date()))

    def _page(self, request: Request, shown: Shown, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        lang, turned = self._showing.language(request), self._showing.turned(str(PAGE), None if shown.state == "ask" else shown)
        said = {"state": shown.state, "typed": shown.typed, "on": shown.on, "hotline": hotline(self._office)}
        return self._showing.pages.respond("receipt.html", lang, status, headers, **said, turned=turned)


def _fault(typed: str) -> str:
    """What is wrong with what was typed: a sign, or that it has not as many as a receipt."""
    kept = links.typed(typed)
    return "sign" if kept is not None and len(kept) in _LENGTHS else "length"
