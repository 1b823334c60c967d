"""``/held``, ``/call-backs`` and ``/feedback``: what waits for the quality office.

A held answer is let go or confirmed without being seen: its sign is judged, not its sense. A number is shown after a button was pressed,
and the audit trail says who pressed it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashboard.gate import Gate, who_of
from hailong.domain.access import Role
from hailong.domain.units import LOCAL
from hailong.ports import Clock

MAY: Final[frozenset[Role]] = frozenset({"quality_officer", "administrator"})
VERDICTS: Final = ("released", "confirmed")
OUTCOMES: Final = ("solved", "reached", "not_reached", "declined")


class Lists(Protocol):
    """What the pages ask of the ledger."""

    def held(self) -> Sequence[Any]: ...
    def judge(self, survey_id: str, verdict: str, by: str, now: datetime) -> bool: ...
    def call_backs(self) -> Sequence[Any]: ...
    def number(self, survey_id: str, by: str) -> str | None: ...
    def words(self, by: str) -> Sequence[Any]: ...
    def called(self, survey_id: str, outcome: str, by: str, now: datetime) -> bool: ...


class Waiting:
    """The handlers. ``name``: code of a unit → its name."""

    def __init__(self, gate: Gate, lists: Lists, name: Callable[[str], str], clock: Clock) -> None:
        self._gate = gate
        self._lists = lists
        self._name = name
        self._clock = clock

    def routes(self) -> list[Route]:
        page = self._gate.page
        return [
            Route("/held", page(self.held, MAY), methods=["GET", "POST"], name="held"),
            Route("/feedback", page(self.words, MAY), name="feedback"),
            Route("/call-backs", page(self.call_backs, MAY), methods=["GET", "POST"], name="call backs"),
        ]

    async def held(self, request: Request) -> Response:
        """``/held``: GET lists, POST judges one and comes back to the list; 422 for another verdict."""
        if request.method == "POST":
            sent = await self._gate.sent(request)
            if sent.get("verdict") not in VERDICTS:
                raise HTTPException(422)
            await self._gate.ask(self._lists.judge, sent.get("id", ""), sent["verdict"], who_of(request).login, self._clock.now())
            return RedirectResponse(f"/held?lang={self._gate.pages.language(request)}", 303)
        rows = await self._gate.ask(self._lists.held)
        return self._shown(request, "held.html", rows=[(one, self._name(one.unit), self._local(one.counted_at)) for one in rows])

    async def call_backs(self, request: Request) -> Response:
        """``/call-backs``: GET lists, POST shows a number (``show``) or notes how a call ended; 422 for another word."""
        number, of = None, ""
        if request.method == "POST":
            sent = await self._gate.sent(request)
            of = sent.get("id", "")
            if sent.get("show"):
                number = await self._gate.ask(self._lists.number, of, who_of(request).login) or ""
            elif sent.get("outcome") in OUTCOMES:
                await self._gate.ask(self._lists.called, of, sent["outcome"], who_of(request).login, self._clock.now())
                return RedirectResponse(f"/call-backs?lang={self._gate.pages.language(request)}", 303)
            else:
                raise HTTPException(422)
        rows = await self._gate.ask(self._lists.call_backs)
        listed = [(one, self._name(one.unit), self._local(one.asked_at)) for one in rows]
        return self._shown(request, "call_backs.html", rows=listed, number=number, of=of, outcomes=OUTCOMES)

    async def words(self, request: Request) -> Response:
        """``/feedback``: what people wrote without a code; each look is in the trail."""
        rows = await self._gate.ask(self._lists.words, who_of(request).login)
        return self._shown(request, "feedback.html", rows=[(one, self._name(one.unit) if one.unit else "") for one in rows])

    def _shown(self, request: Request, template: str, **said: Any) -> Response:
        return self._gate.shown(request, template, turned=self._gate.pages.turned(f"{request.url.path}?"), **said)

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(LOCAL)
