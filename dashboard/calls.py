"""``/calls``: people who were drawn to be called, one at a time, at hours at which people are called.

The number stands on no page before somebody asks for it, and on one page then; the look stands in the trail. Whoever calls is not of the
desk that is judged: what their own unit handled, they never see.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashboard.access import Who
from dashboard.gate import Gate, who_of
from dashboard.talking import Talking
from hailong.domain.access import Role
from hailong.domain.calls import AGREED, DISPOSITIONS, LEFT, Disposition, Entry, Late
from hailong.domain.scoring import wilson
from hailong.domain.units import LOCAL
from hailong.ports import Invalid

CALLERS: Final[frozenset[Role]] = frozenset({"caller"})
LOOKERS: Final[frozenset[Role]] = frozenset({"caller", "quality_officer", "administrator"})
_DONE: Final = ("again", "ended", "none", "noted")
_LISTED: Final = 20
_TOLD: Final = timedelta(days=30)
"""So far back the page tells what became of those drawn."""
_Ended = tuple[Entry | None, datetime | None, Late | None]
"""The entry, when it was the caller's; the next try; else what was taken all the same."""
_KNOWN: Final[dict[str, Disposition]] = {one: one for one in DISPOSITIONS}


class CallPages:
    """The handlers."""

    def __init__(self, gate: Gate, talking: Talking) -> None:
        self._gate = gate
        self._talking = talking

    def routes(self) -> list[Route]:
        routes = [Route("/calls", self._gate.page(self.show, LOOKERS), name="calls")]
        doing = {"take": self.take, "number": self.number, "start": self.start, "disposition": self.end}
        for name, handler in doing.items():
            routes.append(Route(f"/calls/{name}", self._gate.page(handler, CALLERS), methods=["POST"], name=f"calls-{name}"))
        return routes

    async def show(self, request: Request) -> Response:
        """``GET /calls``: the caller's entry, or the list."""
        who = who_of(request)
        entry, noted = await self._gate.ask(self._arrive, who) if who.role in CALLERS else (None, False)
        done = request.query_params.get("done", "")
        return await self._page(request, entry=entry, done="noted" if noted else done if done in _DONE else "")

    async def take(self, request: Request) -> Response:
        """``POST /calls/take``: the next entry."""
        if not self._open():
            return await self._page(request, 409, wrong="closed")
        who = who_of(request)
        entry = await self._gate.ask(self._do, who, lambda tx, now, real, barred: tx.take_call(who.login, now, real, barred))
        return self._gate.to("/calls", request, **({} if entry is not None else {"done": "none"}))

    async def number(self, request: Request) -> Response:
        """``POST /calls/number``: shows the number, on this one page."""
        return await self._with_entry(request, self._show_number)

    async def _show_number(self, request: Request, entry: Entry) -> Response:
        who = who_of(request)
        number = await self._gate.ask(
            self._do, who, lambda tx, _now, real, _barred: tx.reveal_number(who.login, entry.survey_id, real)
        )  # fmt: skip
        return await self._page(request, entry=entry, number=number or "", wrong="" if number else "gone")

    async def start(self, request: Request) -> Response:
        """``POST /calls/start``: to the questionnaire, in the person's name."""
        return await self._with_entry(request, self._start)

    async def _start(self, request: Request, entry: Entry) -> Response:
        who = who_of(request)
        address = await self._gate.ask(self._talking.doors.open_door, entry.survey_id, "call", who.login)
        if address is None:
            return await self._page(request, 409, wrong="gone")
        await self._gate.ask(self._do, who, lambda tx, now, _real, _barred: tx.helped(entry.survey_id, "call", who.login, now))
        return RedirectResponse(address, 303)

    async def _with_entry(self, request: Request, go_on: Callable[[Request, Entry], Any]) -> Response:
        """For what is done during a call: within the hours, with the entry that stood on the page."""
        sent = await self._gate.sent(request)
        entry: Entry | None = await self._gate.ask(self._own, who_of(request))
        if entry is None or entry.ref != sent.get("entry"):
            return await self._page(request, 409, entry=entry, wrong="gone")
        if not self._open():
            return await self._page(request, 409, entry=entry, wrong="closed")
        answer: Response = await go_on(request, entry)
        return answer

    async def end(self, request: Request) -> Response:
        """``POST /calls/disposition``: what came of the call; 422 with what is wrong."""
        sent, who = await self._gate.sent(request), who_of(request)
        said = _KNOWN.get(sent.get("disposition", ""))
        try:
            later = _local(sent.get("later", ""))
            if said is None:
                raise Invalid("unknown", "disposition")
            entry, following, late = await self._gate.ask(self._end, who, sent.get("entry", ""), said, later, sent.get("opt_out") == "1")
        except Invalid as wrong:
            entry = await self._gate.ask(self._own, who)
            return await self._page(request, 422, entry=entry, wrong=wrong.reason, typed=sent)
        if entry is None and late != "noted":
            return await self._page(request, 409, wrong=late or "gone")
        return self._gate.to("/calls", request, done=late or ("ended" if following is None else "again"))

    # --- the ledger

    def _do(self, who: Who, work: Callable[[Any, datetime, datetime, frozenset[str]], Any]) -> Any:
        barred = self._talking.barred(who)
        with self._talking.ledger.begin() as tx:
            return work(tx, self._talking.clock.now(), self._talking.real_now(), barred)

    def _own(self, who: Who) -> Entry | None:
        found: Entry | None = self._do(who, lambda tx, now, real, barred: tx.own_call(who.login, now, real, barred))
        return found

    def _arrive(self, who: Who) -> tuple[Entry | None, bool]:
        """The caller's entry; and, once, whether it has just left the list with the interview they made."""

        def work(tx: Any, now: datetime, real: datetime, barred: frozenset[str]) -> tuple[Entry | None, bool]:
            held = tx.held_call(who.login)
            entry = tx.own_call(who.login, now, real, barred)
            return entry, entry is None and held is not None and tx.end_late(who.login, held, "answered", now) == "noted"

        found: tuple[Entry | None, bool] = self._do(who, work)
        return found

    def _end(self, who: Who, ref: str, said: Disposition, later: datetime | None, opt_out: bool) -> _Ended:
        def work(tx: Any, now: datetime, real: datetime, barred: frozenset[str]) -> _Ended:
            entry = tx.own_call(who.login, now, real, barred, late=True)
            if entry is None or entry.ref != ref:
                return None, None, tx.end_late(who.login, ref, said, now, opt_out=opt_out)
            rules = self._talking.rules(now.astimezone(LOCAL).date())
            return entry, tx.end_try(who.login, entry, said, now, rules, later=later, opt_out=opt_out), None

        ended: _Ended = self._do(who, work)
        return ended

    # --- the page

    def _open(self) -> bool:
        now = self._talking.clock.now()
        return self._talking.rules(now.astimezone(LOCAL).date()).hours.is_open(now)

    async def _page(
        self, request: Request, status: int = 200, *, entry: Entry | None = None, number: str = "", wrong: str = "", done: str = "",
        typed: dict[str, str] | None = None,
    ) -> Response:  # fmt: skip
        now = self._talking.clock.now().astimezone(LOCAL)
        rules, today = self._talking.rules(now.date()), now.date()
        listed, ready, tally = await self._gate.ask(self._look, who_of(request), today)
        spoken = entry.language if entry is not None and entry.language in self._gate.pages.words else "vi"
        return self._gate.shown(
            request, "calls.html", status, entry=entry, number=number, wrong=wrong, done=done, typed=typed or {}, listed=listed,
            ready=ready, tally=tally, interval=wilson(tally.interviews, tally.called), since=today - _TOLD,
            rules=rules, open=rules.hours.is_open(now), next_open=rules.hours.next_open(now),
            dispositions=DISPOSITIONS, left=LEFT, local=_moment, spoken=spoken,
            script=self._gate.pages.words[spoken]["calls"]["script"], asker=self._talking.asker[spoken],
            may_call=who_of(request).role in CALLERS, first=f"{now:%Y-%m-%dT%H:%M}",
            last=f"{now + AGREED:%Y-%m-%dT%H:%M}", turned=self._gate.pages.turned("/calls?"),
        )  # fmt: skip

    def _look(self, who: Who, today: date) -> tuple[Any, int, Any]:
        talking = self._talking
        with talking.ledger.read() as reader:
            barred = talking.own_units(who, reader) if who.role in CALLERS else frozenset()
            listed, ready = reader.waiting_calls(talking.clock.now(), talking.real_now(), barred, _LISTED)
            return listed, ready, reader.call_tally(today - _TOLD)


def _local(typed: str) -> datetime | None:
    """A moment as a form's field writes it, local. Raises Invalid."""
    try:
        at = datetime.fromisoformat(typed) if typed else None
    except ValueError:
        raise Invalid("later", "later") from None
    return at.replace(tzinfo=LOCAL) if at is not None and at.tzinfo is None else at


def _moment(at: datetime) -> datetime:
    return at.astimezone(LOCAL)
