"""The survey device at a desk: ``/kiosk`` takes a number drawn there today, a slip, or a dossier code, and opens the short form.

A device is enrolled once, by an address that works once; then its browser has a cookie for these pages alone. What it opens is answered
once: here nobody answers again for somebody who did. Each page goes back to the first one by itself, and leaves nothing to the next person.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hailong.domain import slips
from hailong.domain.doors import form_of
from hailong.domain.units import LOCAL
from hailong.events import Mode
from hailong.ports import Clock, Retryable, SlotForAnswer
from surveys.answers.asking import Asking
from surveys.answers.keeping import Keeper
from surveys.answers.showing import KIOSK, Showing
from surveys.doors.entering import DossierCodes, nothing_known
from surveys.records import Records
from surveys.wording import Office
from web.assembly import by_method
from web.limits import Buckets

PAGE: Final = KIOSK
ENROL: Final = f"{PAGE}/enrol"
COOKIE: Final = "kiosk"
COOKIE_S: Final = 400 * 86_400
"""As long as browsers keep a cookie; it begins anew whenever the first screen is shown."""
OPENED, WRONG, PERIOD_S = 30, 12, 600.0
"""Questions opened, and numbers that lead nowhere, by one device in so many seconds: more is no row of people."""
MODE: Final[Mode] = "kiosk"
_LONGEST: Final = 120
_TICKET: Final = 20


class Device(Protocol):
    """An enrolled device."""

    @property
    def id(self) -> str: ...
    @property
    def unit(self) -> str: ...


class Devices(Protocol):
    """What is known of devices. Synchronous; every method raises Retryable."""

    def device(self, secret: str, now: datetime) -> Device | None: ...
    def may_enrol(self, token: str, now: datetime) -> bool: ...
    def enrol(self, token: str, secret: str, now: datetime) -> bool: ...
    def by_ticket(self, unit: str, ticket: str, now: datetime) -> SlotForAnswer | None: ...
    def slip_holds(self, slip_hash: str, now: datetime) -> bool: ...


class Kiosk:
    """``/kiosk`` and ``/kiosk/enrol/TOKEN``. Without ``codes`` there is no way by dossier code; ``new_secret``: 128 random bits or more."""

    def __init__(
        self,
        devices: Devices,
        asking: Asking,
        records: Records,
        keeper: Keeper,
        showing: Showing,
        office: Office,
        codes: DossierCodes | None,
        clock: Clock,
        monotonic: Callable[[], float],
        new_secret: Callable[[], str],
        real_now: Callable[[], datetime],
    ) -> None:
        self._devices = devices
        self._asking = asking
        self._records = records
        self._keeper = keeper
        self._showing = showing
        self._office = office
        self._codes = codes
        self._clock = clock
        self._new_secret = new_secret
        self._real_now = real_now
        self._opened = Buckets(OPENED, PERIOD_S, monotonic)
        self._wrong = Buckets(WRONG, PERIOD_S, monotonic)

    def routes(self) -> list[Route]:
        """Its addresses; before those that take any first word for a code."""
        return [
            Route(PAGE, by_method(self.show, self.take), methods=["GET", "POST"], name="kiosk"),
            Route(f"{ENROL}/{{token}}", by_method(self.show_enrol, self.enrol), methods=["GET", "POST"], name="enrol"),
        ]

    # --- the device

    async def show_enrol(self, request: Request) -> Response:
        """``GET /kiosk/enrol/TOKEN``: the button that uses the address up; looking does not."""
        token, now = request.path_params["token"], self._clock.now()
        try:
            good = await self._records.run(lambda: self._devices.may_enrol(token, now))
        except Retryable as away:
            return self._away(request, away)
        return self._page(request, "enrol" if good else "void", 200 if good else 410, token=token if good else "")

    async def enrol(self, request: Request) -> Response:
        """``POST /kiosk/enrol/TOKEN``: 303 to the first screen, with the cookie; 410 for an address that does not work."""
        token, secret, now = request.path_params["token"], self._new_secret(), self._clock.now()
        try:
            good = await self._records.run(lambda: self._devices.enrol(token, secret, now))
        except Retryable as away:
            return self._away(request, away)
        return self._remembered(request, RedirectResponse(PAGE, 303), secret) if good else self._page(request, "void", 410)

    def _remembered(self, request: Request, answer: Response, secret: str) -> Response:
        https = request.url.scheme == "https"
        answer.set_cookie(COOKIE, secret, max_age=COOKIE_S, path=PAGE, secure=https, httponly=True, samesite="strict")
        return answer

    async def _device(self, request: Request) -> Device | None:
        """The device that asks. Raises Retryable."""
        secret, now = request.cookies.get(COOKIE, ""), self._clock.now()
        return await self._records.run(lambda: self._devices.device(secret, now)) if secret else None

    # --- what people see

    async def show(self, request: Request) -> Response:
        """``GET /kiosk``: what somebody has at hand; ``?by=``: the field for it; ``?said=``: what came of it. 403 elsewhere."""
        try:
            device = await self._device(request)
        except Retryable as away:
            return self._away(request, away)
        if device is None:
            return self._page(request, "strange", 403)
        by, said = request.query_params.get("by", ""), request.query_params.get("said", "")
        if said in ("answered", "late"):
            return self._page(request, said)
        ways = self._ways()
        state = by if by in ways else "start"
        answer = self._page(request, state, said=said if said in (*ways, "many", "away") else "", ways=ways)
        return self._remembered(request, answer, request.cookies[COOKIE]) if state == "start" else answer

    def _ways(self) -> list[str]:
        return ["ticket", "slip", *(["dossier"] if self._codes is not None else [])]

    async def take(self, request: Request) -> Response:
        """``POST /kiosk``: always 303: to the question, or back to the field, so that the browser keeps nothing of what was typed."""
        async with request.form(max_files=0, max_fields=10) as sent:
            form = {name: value[:_LONGEST] for name, value in sent.items() if isinstance(value, str)}
        by = next((way for way in self._ways() if way in form), "")
        try:
            device = await self._device(request)
            if device is None or not by:
                return RedirectResponse(PAGE, 303)
            if min(self._opened.of(device.id).level(), self._wrong.of(device.id).level()) < 1:
                return self._back(request, by, "many")
            return await self._open(request, device, by, form)
        except Retryable:
            return self._back(request, by, "away")

    def _back(self, request: Request, by: str, said: str) -> Response:
        return RedirectResponse(f"{PAGE}?by={by}&said={said}&lang={self._language(request)}", 303)

    async def _open(self, request: Request, device: Device, by: str, form: Mapping[str, str]) -> Response:
        slot = await {"ticket": self._by_ticket, "slip": self._by_slip, "dossier": self._by_dossier}[by](device, form)
        lang = self._language(request)
        if slot is None and by == "slip" and (free := await self._free(form["slip"])) is not None:
            return await self._unbound(request, device, free, lang)
        if slot is None:
            self._wrong.of(device.id).take()
            return self._back(request, by, by)
        if slot.answered or slot.erased or self._keeper.kept_lately(slot.survey_id):
            return self._back(request, by, "answered")
        if slot.expires_at is not None and self._clock.now() >= slot.expires_at:
            return self._back(request, by, "late")
        self._opened.of(device.id).take()
        return self._asking.admit(slot, lang, mode=MODE, form=form_of(MODE))

    async def _by_ticket(self, device: Device, form: Mapping[str, str]) -> SlotForAnswer | None:
        ticket, now = form["ticket"].strip(), self._clock.now()
        if not ticket or len(ticket) > _TICKET:
            return None
        return await self._records.run(lambda: self._devices.by_ticket(device.unit, ticket, now))

    async def _by_slip(self, _device: Device, form: Mapping[str, str]) -> SlotForAnswer | None:
        code = slips.parse(form["slip"])
        return None if code is None else await self._records.look(lambda view: view.slot_by_slip(code))

    async def _by_dossier(self, _device: Device, form: Mapping[str, str]) -> SlotForAnswer | None:
        codes, dossier = self._codes, form["dossier"].strip()
        digits, now = unicodedata.normalize("NFKC", form.get("digits", "")).strip(), self._clock.now()
        if codes is None or not dossier or not dossier.isprintable() or not (len(digits) == 3 and digits.isascii() and digits.isdigit()):
            return None
        refs = await self._records.run(lambda: codes(dossier))
        return await self._records.do(lambda tx: tx.slot_by_dossier(refs, digits, now))

    async def _free(self, typed: str) -> str | None:
        code = slips.parse(typed)
        return None if code is None else await self._records.look(lambda view: view.free_slip(code))

    async def _unbound(self, request: Request, device: Device, slip_hash: str, lang: str) -> Response:
        """A slip of ours, and of nobody's dossier yet: the question all the same, once; its answer waits for the dossier."""
        now = self._clock.now()
        if await self._records.run(lambda: self._devices.slip_holds(slip_hash, now)):
            return self._back(request, "slip", "answered")
        self._opened.of(device.id).take()
        day = now.astimezone(LOCAL).date()
        nobody = SlotForAnswer("", nothing_known(day), None, lang, answered=False, desk="", ended_on=day)
        return RedirectResponse(self._asking.enter(self._asking.first(nobody, lang, mode=MODE, form=form_of(MODE), slip=slip_hash)), 303)

    # --- pages

    def _language(self, request: Request) -> str:
        return self._showing.language(request)

    def _away(self, request: Request, away: Retryable) -> Response:
        return self._page(request, "away", 503, {"Retry-After": str(max(1, round(away.after)))})

    def _page(
        self, request: Request, state: str, status: int = 200, headers: Mapping[str, str] | None = None, **context: object
    ) -> Response:  # fmt: skip
        lang, ways = self._language(request), self._ways()
        carried = self._showing.carried(lang, "kiosk.js", leaves=state not in ("start", "strange", "enrol", "void"))
        carried["headers"] = {**carried["headers"], **(headers or {})}
        kept = {"by": state if state in ways else "", "said": state if state in ("answered", "late") else context.get("said", "")}
        address = "?" + "".join(f"{name}={value}&" for name, value in kept.items() if value)
        said: dict[str, Any] = {"state": state, "said": "", "token": "", "ways": ways, "hotline": self._office.hotline, "now": self._now()}
        said |= {**carried, **context}
        return self._showing.pages.respond("kiosk.html", lang, status, **said, turned=self._showing.pages.turned(address))

    def _now(self) -> int:
        """Of real time: the installation's clock may stand still from one person to the next."""
        return int(1000 * self._real_now().timestamp())
