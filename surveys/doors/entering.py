"""The doors of paper: ``/code`` takes a dossier code with the end of the telephone number, or the code of a slip; ``/s/SLIP`` is what a
slip's square leads to; ``/feedback`` takes words from who has no code, which count for nothing.

Codes are typed into forms. A GET looks nothing up: a scanner, a preview or a robot spends and records nothing. Whatever does not fit a
dossier is answered alike, and nobody learns here which dossiers exist.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import PurePosixPath
from typing import Final, Protocol

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hailong.domain import slips
from hailong.domain.masking import LIMIT, masked
from hailong.domain.units import LOCAL
from hailong.events import About
from hailong.ports import Clock, Invalid, Retryable, SlotForAnswer
from surveys.answers.asking import TRAP, Asking
from surveys.answers.showing import Showing
from surveys.answers.telling import hotline
from surveys.guessing import Guard
from surveys.records import Records
from surveys.wording import Office
from web.assembly import by_method
from web.limits import Buckets, TokenBucket, network

PAGE: Final = PurePosixPath("/code")
SLIPS: Final = PurePosixPath("/s")
FEEDBACK: Final = PurePosixPath("/feedback")
FEEDBACK_PER_MINUTE: Final = 60
"""Over all addresses; one address has a sixth of it."""
HOUR_S: Final = 3600.0
_DIGITS: Final = 3
_NONE: Final = {"dossier": "", "digits": "", "slip": ""}
_SHORTEST, _LONGEST = 4, 120


class DossierCodes(Protocol):
    """What stands for a dossier's code as typed, under every source it may come from. Synchronous; raises Retryable."""

    def __call__(self, typed: str) -> Sequence[str]: ...


def guards(per_minute: int, monotonic: Callable[[], float]) -> tuple[Guard, Guard]:
    """Who may guess how often: dossier codes, slips.

    Dossier codes can be counted up, and three digits have a thousand endings, of which five may be tried a day: so wrong ones are
    counted by the hour, a sixtieth as many as of links. As many as everybody together may try find four dossiers a day at most.
    """
    return Guard(per_minute, per_minute // 4, 5, monotonic, HOUR_S), Guard(per_minute, per_minute // 4, 1, monotonic)


def nothing_known(day: date) -> About:
    """What is said of a dossier that a slip does not lead to yet: replaced when it does."""
    return About(
        receiving_unit="", handling_unit="", field="other", submission_channel="counter", ending="result_returned",
        timeliness="unknown", month=day.strftime("%Y-%m"),
    )  # fmt: skip


class Shown(msgspec.Struct, frozen=True):
    """What the page of codes says. ``wrong``: field → what is wrong; ``given``: field → what was typed."""

    state: str
    wrong: Mapping[str, str] = {}
    given: Mapping[str, str] = {}


class ShownFeedback(msgspec.Struct, frozen=True):
    """What the page of feedback says. ``words``: what was written."""

    state: str
    words: str = ""


class Entering:
    """``/code`` and ``/s/SLIP``. Without ``codes`` there is only the way by slip."""

    def __init__(
        self,
        asking: Asking,
        records: Records,
        showing: Showing,
        office: Office,
        codes: DossierCodes | None,
        dossier_guard: Guard,
        slip_guard: Guard,
        clock: Clock,
    ) -> None:
        self._asking = asking
        self._records = records
        self._showing = showing
        self._office = office
        self._codes = codes
        self._dossier_guard = dossier_guard
        self._slip_guard = slip_guard
        self._clock = clock

    def routes(self) -> list[Route]:
        """Its addresses; before those that take any first word for a code."""
        return [
            Route(str(PAGE), by_method(self.show, self.take), methods=["GET", "POST"], name="enter"),
            Route(str(SLIPS / "{slip}"), self.show_slip, name="slip"),
        ]

    async def show(self, request: Request) -> Response:
        """``GET /code``."""
        return self._page(request, self._showing.recalled(request, Shown) or Shown("ask"))

    async def show_slip(self, request: Request) -> Response:
        """``GET /s/SLIP``: the button behind which the question is; for what is no slip's code, what is wrong with it."""
        typed = str(request.path_params.get("slip") or request.path_params["code"])
        code = slips.parse(typed)
        if code is None:
            return self._page(request, Shown("wrong", {"slip": slips.fault(typed) or "check"}, {"slip": typed[:_LONGEST]}), 404)
        lang, pages = self._showing.language(request), self._showing.pages
        turned = pages.turned(f"{SLIPS / code}?")
        return pages.respond("enter.html", lang, state="slip", faults=[], code=code, shown=slips.shown(code), turned=turned)

    async def take(self, request: Request) -> Response:
        """``POST /code``: 303 to the question; 200 where an answer stands; 422 with what to do; 410, 429, 503."""
        form = await _fields(request)
        try:
            if "slip" in form or self._codes is None:
                return await self._by_slip(request, form.get("slip", ""))
            return await self._by_dossier(request, self._codes, form)
        except Retryable as away:
            kept: dict[str, str] = {name: form[name] for name in ("dossier", "slip") if name in form}
            return self._page(request, Shown("away", given=kept), 503, {"Retry-After": str(max(1, round(away.after)))})

    async def _by_slip(self, request: Request, typed: str) -> Response:
        code = slips.parse(typed)
        if code is None:
            return self._wrong(request, {"slip": slips.fault(typed) or "check"}, slip=typed[:_LONGEST])
        self._slip_guard.admit(request)
        slot, free = await self._records.look(lambda view: (view.slot_by_slip(code), view.free_slip(code)))
        if slot is not None:
            return self._asking.admit(slot, self._showing.language(request, slot.language), mode="code")
        if free is not None:
            return self._unbound(request, free)
        self._slip_guard.unknown(request)
        return self._wrong(request, {"slip": "unknown_slip"}, slip=slips.shown(code))

    def _unbound(self, request: Request, slip_hash: str) -> Response:
        """A slip of ours, and of nobody's dossier yet: the question all the same; its answer waits for the dossier."""
        day, lang = self._clock.now().astimezone(LOCAL).date(), self._showing.language(request)
        nobody = SlotForAnswer("", nothing_known(day), None, lang, answered=False, desk="", ended_on=day)
        return RedirectResponse(self._asking.enter(self._asking.first(nobody, lang, mode="code", slip=slip_hash)), 303)

    async def _by_dossier(self, request: Request, codes: DossierCodes, form: Mapping[str, str]) -> Response:
        dossier, digits = form.get("dossier", "").strip(), unicodedata.normalize("NFKC", form.get("digits", "")).strip()
        wrong = {} if _SHORTEST <= len(dossier) <= _LONGEST and dossier.isprintable() else {"dossier": "no_dossier"}
        if not (len(digits) == _DIGITS and digits.isascii() and digits.isdigit()):
            wrong["digits"] = "no_digits"
        if wrong:
            return self._wrong(request, wrong, dossier=dossier[:_LONGEST])
        self._dossier_guard.admit(request)
        refs, now = await self._records.run(lambda: codes(dossier)), self._clock.now()
        slot = await self._records.do(lambda tx: tx.slot_by_dossier(refs, digits, now))
        if slot is None:
            self._dossier_guard.unknown(request)
            return self._wrong(request, {"dossier": "refused"}, dossier=dossier)
        return self._asking.admit(slot, self._showing.language(request, slot.language), mode="code")

    def _wrong(self, request: Request, wrong: Mapping[str, str], **given: str) -> Response:
        return self._page(request, Shown("wrong", wrong, given), 422)

    def _page(self, request: Request, shown: Shown, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        lang, turned = self._showing.language(request), self._showing.turned(str(PAGE), None if shown.state == "ask" else shown)
        return self._showing.pages.respond(
            "enter.html", lang, status, headers, state=shown.state, faults=list(shown.wrong.items()), wrong=_NONE | dict(shown.wrong),
            given=_NONE | dict(shown.given), said=self._said(), by_dossier=self._codes is not None, turned=turned,
        )  # fmt: skip

    def _said(self) -> dict[str, str]:
        return {"hotline": hotline(self._office)}


class Feedback:
    """``/feedback``: own words of somebody without a code, masked, kept for a year, never counted. ``monotonic``: seconds of real time."""

    def __init__(self, records: Records, showing: Showing, office: Office, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._records = records
        self._showing = showing
        self._office = office
        self._clock = clock
        self._all = TokenBucket(FEEDBACK_PER_MINUTE, 60, monotonic)
        self._each = Buckets(FEEDBACK_PER_MINUTE // 6, 60, monotonic)

    def routes(self) -> list[Route]:
        """Its address."""
        return [Route(str(FEEDBACK), by_method(self.show, self.take), methods=["GET", "POST"], name="feedback")]

    async def show(self, request: Request) -> Response:
        """``GET /feedback``."""
        return self._page(request, self._showing.recalled(request, ShownFeedback) or ShownFeedback("ask"))

    async def take(self, request: Request) -> Response:
        """``POST /feedback``: 200 once kept; 422 for no words or too many, which stay in the form; 429, 503."""
        form = await _fields(request)
        words = form.get("words", "")
        if form.get(TRAP):
            return self._page(request, ShownFeedback("trap", words), 422)
        try:
            said = masked(words)
        except Invalid:
            return self._page(request, ShownFeedback("too_long", words), 422)
        if not said.text:
            return self._page(request, ShownFeedback("empty"), 422)
        self._admit(request)
        day, n = self._clock.now().astimezone(LOCAL).date(), sum(said.found.values())
        try:
            await self._records.do(lambda tx: tx.keep_feedback(None, said.text, n, day))
        except Retryable as away:
            return self._page(request, ShownFeedback("away", words), 503, {"Retry-After": str(max(1, round(away.after)))})
        return self._page(request, ShownFeedback("kept"))

    def _admit(self, request: Request) -> None:
        """Raises HTTPException(429) when no more words of this address are taken now."""
        mine = self._each.of(network(request))
        if not (mine.take() and self._all.take()):
            raise HTTPException(429, headers={"Retry-After": str(max(self._all.wait(), mine.wait()))})

    def _page(self, request: Request, shown: ShownFeedback, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        turned = self._showing.turned(str(FEEDBACK), None if shown.state == "ask" else shown)
        return self._showing.pages.respond(
            "feedback.html", self._showing.language(request), status, headers, state=shown.state, words=shown.words, limit=LIMIT,
            hotline=hotline(self._office), turned=turned,
        )  # fmt: skip


async def _fields(request: Request) -> dict[str, str]:
    async with request.form(max_files=0, max_fields=10) as sent:
        return {name: value for name, value in sent.items() if isinstance(value, str)}
