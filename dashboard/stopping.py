"""``/opt-out``: who calls 1022 or stands at a desk and wants no more messages. What names them stands in the form only, in no address.

What is told is the same for a number that was heard of, one that was not, one that asked before and one a message is on its way to: nobody
learns here who was asked. So everybody is told that one handed over before may still arrive.
Asking again is for the person alone, by the link of a message of theirs; there is no page for it here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard.gate import Gate, who_of
from hailong.domain.access import AT_A_DESK, Role
from hailong.ports import Clock, Invalid

Door = Literal["1022", "desk"]
MAY: Final[frozenset[Role]] = frozenset({"desk", "caller", "unit_officer", "quality_officer", "operator", "administrator"})
"""Whoever talks with people: at the telephone, at a desk, in the office."""


class Stopping:
    """The handlers. ``clock``: of the installation."""

    def __init__(self, gate: Gate, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock

    def routes(self) -> list[Route]:
        return [Route("/opt-out", self._gate.page(self.opt_out, MAY), methods=["GET", "POST"], name="opt-out")]

    async def opt_out(self, request: Request) -> Response:
        """``/opt-out``: GET shows the form, POST commits and says so; 422 for what is neither a number nor an address."""
        if request.method == "GET":
            return self._page(request)
        sent = await self._gate.sent(request)
        contact, door = sent.get("contact", ""), sent.get("door", "")
        if door not in get_args(Door):
            return self._page(request, 422, wrong="door", contact=contact)
        try:
            await self._gate.ask(self._commit, contact, door, who_of(request).login, self._clock.now())
        except Invalid:
            return self._page(request, 422, wrong="contact", contact=contact, door=door)
        return self._page(request, done=True)  # by no address: whoever is sent one would read that it was noted

    def _commit(self, contact: str, door: Door, by: str, now: datetime) -> None:
        with self._gate.access.ledger.begin() as tx:
            tx.opt_out_number(contact, now, door, by)

    def _page(
        self, request: Request, status: int = 200, *, done: bool = False, wrong: str = "", contact: str = "", door: str = ""
    ) -> Response:
        chosen = door or ("desk" if who_of(request).role in AT_A_DESK else "1022")
        turned = self._gate.pages.turned("/opt-out?")
        said = {"done": done, "wrong": wrong, "contact": contact, "door": chosen, "doors": get_args(Door), "turned": turned}
        return self._gate.shown(request, "opt_out.html", status, **said)
