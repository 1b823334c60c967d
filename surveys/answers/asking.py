"""The questions and their answers. A GET looks into the ledger and records nothing; a POST needs only the log or the spool."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hailong.domain import links
from hailong.domain.doors import RESUME
from hailong.domain.questionnaire import Given, Page, Questionnaire, validate
from hailong.ports import Clock, Invalid, Retryable, SlotForAnswer
from surveys.answers.form_state import DEVICE, THANKS, WHO, FormState, Sealer
from surveys.answers.keeping import Keeper
from surveys.answers.pressure import Pressure
from surveys.answers.showing import AGAIN, KIOSK, KIOSK_SLOW_S, Showing, on_device
from surveys.answers.submitting import Submitting, emptied, remembered
from surveys.guessing import Guard
from surveys.records import Records
from surveys.wording import Library

INSIDE: Final = "in"
"""Where a code stands in addresses of links, this stands in those of every other door."""
FIELD: Final = "form"
"""The form field of the sealed state."""
FINISH: Final = "finish"
TURN: Final = "turn"
"""The form field of the language a page is to be shown in again, with what was picked and typed; nothing is kept."""
WRONG: Final = "wrong"
"""The form field of what the shown page was told is wrong."""
AT: Final = "at"
"""The form field of the moment an answer was given on a phone without signal."""
TRAP: Final = "website"
"""The form field no person sees; whatever fills it in is a program."""
NOT_ME: Final = "not_me"
FORGET: Final = "forget"
"""The form field of the questions whose own words are to be deleted."""
_OURS: Final = (FINISH, AT, TRAP, NOT_ME, TURN, WRONG)
_MAX_FIELDS: Final = 60
_AGO: Final = re.compile(r"[0-9]{1,7}")
LEFT_BEHIND: Final = 3 * timedelta(seconds=KIOSK_SLOW_S)
"""So old a page of a survey device is somebody else's: it had to go back by itself long before."""
PATIENCE_S: Final = 1.0
"""So long a form waits to hear whether its answer was erased; an answer needs no ledger."""
NOT_SAVED: Final = "not_saved"
HANDED_ON: Final = timedelta(minutes=30)
"""After so long a phone may be in other hands."""
WRONGS: Final = (NOT_SAVED, "required", "not_an_option", "more_than_one", "unexpected_field", "too_long")


class Asking:
    """``/{code}`` and what follows it. ``new_nonce`` gives each form, and each showing of its pages, a random name; ``real_now``: real
    time, by which it is told whether somebody else sits there by now."""

    def __init__(
        self,
        library: Library,
        records: Records,
        keeper: Keeper,
        submitting: Submitting,
        sealer: Sealer,
        showing: Showing,
        guard: Guard,
        pressure: Pressure,
        clock: Clock,
        new_nonce: Callable[[], str],
        real_now: Callable[[], datetime],
    ) -> None:
        self._library = library
        self._records = records
        self._keeper = keeper
        self._submitting = submitting
        self._sealer = sealer
        self._showing = showing
        self._guard = guard
        self._pressure = pressure
        self._clock = clock
        self._new_nonce = new_nonce
        self._real_now = real_now

    # --- looking

    async def show(self, request: Request) -> Response:
        """``GET /{code}``: whether it is the right person; for a slip, the question itself."""
        code, lang = links.parse(request.path_params["code"]), self._showing.language(request)
        if code is None:
            return self._showing.unknown(lang)
        self._guard.admit(request, code)
        try:
            slot = await self._records.slot(code)
        except Retryable as away:
            return self._showing.away(lang, away.after)
        if slot is None:
            self._guard.unknown(request, code)
            return self._showing.unknown(lang)
        lang = self._showing.language(request, slot.language)
        return self.begin(code, slot, lang, again=AGAIN in request.query_params)

    def begin(self, code: str, slot: SlotForAnswer, lang: str, *, again: bool) -> Response:
        """What the holder of a link sees first."""
        if slot.erased:
            return self._showing.erased(lang)
        state = self.first(slot, lang, code)
        stands = slot.answered or self._keeper.kept_lately(slot.survey_id)
        if stands and not again:
            return self._showing.already(code, state, onward=self._resumed(slot, state))
        if slot.expires_at is not None and self._clock.now() >= slot.expires_at:
            return self._showing.expired(lang, slot.expires_at, slot.desk)
        if stands:
            page = self._library.current.pages[0]
            return self._form(code, msgspec.structs.replace(state, again=True, page=page.number, act=self._new_nonce()), page)
        return self._showing.who(code, state, self._library.current.pages[0].number)

    def first(self, slot: SlotForAnswer, lang: str, code: str = "", **more: object) -> FormState:
        """The state with which a form of this slot begins. ``more``: mode, form, helper of another door than the link."""
        asked = self._library.current
        return FormState(
            survey_id=slot.survey_id,
            code_hash=links.code_hash(code) if code else "",
            about=slot.about,
            expires_at=slot.expires_at,
            language=lang,
            questionnaire=asked.id,
            version=asked.version,
            nonce=self._new_nonce(),
            page=WHO,
            desk=slot.desk,
            ended_on=slot.ended_on,
            shown_at=self._clock.now(),
            real_at=self._real_now() if more.get("mode") == DEVICE else None,
            **more,  # type: ignore[arg-type]
        )

    def admit(self, slot: SlotForAnswer, lang: str, **more: object) -> Response:
        """What somebody sees first who came by another door than a link: 303 to the question; that an answer stands, or was erased; that it
        is too late.

        ``more``: mode, form, helper.
        """
        if slot.erased:
            return self._showing.erased(lang)
        state = self.first(slot, lang, "", **more)
        if slot.answered or self._keeper.kept_lately(slot.survey_id):
            again = self.enter(msgspec.structs.replace(state, again=True))
            return self._showing.already(INSIDE, state, onward=self._resumed(slot, state), again=again)
        if slot.expires_at is not None and self._clock.now() >= slot.expires_at:
            return self._showing.expired(lang, slot.expires_at, slot.desk, "over")
        return RedirectResponse(self.enter(state), 303)

    def enter(self, state: FormState) -> str:
        """The address at which somebody answers who came by another door than a link."""
        begun = msgspec.structs.replace(state, page=self._library.current.pages[0].number)
        return f"/{INSIDE}/next?{state.mark}f={self._sealer.seal(begun)}"

    def _resumed(self, slot: SlotForAnswer, state: FormState) -> FormState | None:
        """The form that goes on where somebody stopped; None: they were done, or it is too long ago."""
        at, asked = slot.answered_at, self._library.current
        if at is None or self._clock.now() >= at + RESUME:
            return None
        page = self._open(slot, asked, [q.id for q in asked.pages[0].questions])
        more = self._library.following(asked.id, state.about) if page is None and state.form == "full" else None
        if more is not None and any(one.startswith(f"{more.id}:") for one in slot.done):
            asked, page = more, self._open(slot, more, [])
        if page is None:
            return None
        begun = msgspec.structs.replace(state, questionnaire=asked.id, version=asked.version, page=page.number)
        return msgspec.structs.replace(begun, expires_at=at + RESUME, resumed=True)

    def _open(self, slot: SlotForAnswer, asked: Questionnaire, known: list[str]) -> Page | None:
        """The first page that waits for an answer, ``known`` being answered; None: the person is done with it."""
        if asked.id in slot.finished or self._keeper.finished_lately(asked.id, slot.survey_id):
            return None
        return asked.open_to([*(one.removeprefix(f"{asked.id}:") for one in slot.done if one.startswith(f"{asked.id}:")), *known])

    async def show_next(self, request: Request) -> Response:
        """``GET /{code}/next?f=…``: a page; what it must know stands in ``f``."""
        try:
            code, state = self._state(request, request.query_params.get("f", ""))
            page = self._page(state)
        except Invalid:
            return self._unreadable(request)
        if self._over(state):
            return self._too_late(state)
        if self._left_behind(state):
            return RedirectResponse(KIOSK, 303)
        slot = await self._slot(state)
        if slot is not None and slot.erased:
            return self._gone(state, self._spoken(request, state))
        if self._finished(state, slot):
            return self._back_after_thanks(code, msgspec.structs.replace(state, language=self._spoken(request, state)))
        unsent = self._showing.unsent(request, state)
        fault = _told_wrong(unsent.wrong, page) if unsent else None
        if not fault and (state.mode == DEVICE or self._older(state, HANDED_ON)):  # what is not shown is not taken back by leaving it empty
            mine = {q.id for q in page.questions}
            state = msgspec.structs.replace(state, seen={q: a for q, a in state.seen.items() if q not in mine})
        act = state.act if fault else self._new_nonce()  # what was not taken is still to be sent: the same act
        state = msgspec.structs.replace(state, language=self._spoken(request, state), act=act)
        return self._form(code, state, page, picked=unsent.picked if unsent else self._seen(state, page), fault=fault)

    def _left_behind(self, state: FormState) -> bool:
        """Whether a survey device shows a page that was somebody else's by now."""
        return state.mode == "kiosk" and self._older(state, LEFT_BEHIND)

    def _older(self, state: FormState, than: timedelta) -> bool:
        """By real time, and so is what does not say."""
        return state.real_at is None or self._real_now() > state.real_at + than

    def _finished(self, state: FormState, slot: SlotForAnswer | None) -> bool:
        """Whether the form was sent to its end: what was answered is shown to nobody any more, whoever goes back."""
        counted = slot is not None and not state.again and state.questionnaire in slot.finished
        return counted or self._keeper.finished_lately(state.questionnaire, state.nonce)

    def _back_after_thanks(self, code: str, state: FormState) -> Response:
        """That an answer stands, and how to answer again, from the start and with nothing filled in."""
        if state.mode == "kiosk":
            return RedirectResponse(KIOSK, 303)
        afresh = msgspec.structs.replace(state, again=True, resumed=False, nonce=self._new_nonce(), seen={}, act="")
        asked = self._library.current
        again = self.enter(msgspec.structs.replace(afresh, questionnaire=asked.id, version=asked.version))
        return self._showing.already(code, state, onward=None, again=again.replace(f"/{INSIDE}/", f"/{code}/", 1))

    async def _slot(self, state: FormState) -> SlotForAnswer | None:
        """What the ledger knows; None when it cannot tell now: it takes no answer to an erased one either."""
        if not state.survey_id:
            return None
        try:
            with anyio.fail_after(PATIENCE_S):
                return await self._records.look(lambda view: view.slot_by_survey(state.survey_id))
        except (Retryable, TimeoutError):
            return None

    async def _erased(self, state: FormState) -> bool:
        """Whether the person had the answer erased."""
        slot = await self._slot(state)
        return slot is not None and slot.erased

    def _is_first(self, state: FormState, slot: SlotForAnswer | None) -> bool:
        """Whether this very form gave the first answer, as far as is known: two may be open at once."""
        if slot is not None and slot.receipt_hash:
            return self._showing.receipt_hash(state) == slot.receipt_hash
        return self._keeper.first_lately(state.survey_id) in ("", state.nonce)

    def _gone(self, state: FormState, lang: str) -> Response:
        return self._showing.erased(lang, device=state.mode == "kiosk")

    def _seen(self, state: FormState, page: Page) -> dict[str, list[str]]:
        """What was answered before on a page gone back to; not any more when the phone may have changed hands."""
        if self._older(state, HANDED_ON):
            return {}
        return {q.id: _values(state.seen[q.id]) for q in page.questions if q.id in state.seen and q.kind != "text"}

    async def thank(self, request: Request) -> Response:
        """``GET /{code}/thanks?f=…``: only for whom we thank; anybody else is sent to the question."""
        sealed = request.query_params.get("f", "")
        try:
            code, state = self._state(request, sealed)
        except Invalid:
            state = None
        if state is None or state.page != THANKS:
            code = links.parse(request.path_params["code"]) or ""
            return RedirectResponse(KIOSK if on_device(request) else f"/{code}", 303)
        if self._left_behind(state):
            return RedirectResponse(KIOSK, 303)
        slot = await self._slot(state)
        if slot is not None and slot.erased:
            return self._gone(state, self._spoken(request, state))
        if not (state.slip or state.resumed or self._is_first(state, slot)):
            state = msgspec.structs.replace(state, again=True)
        following = self._library.following(state.questionnaire, state.about) if state.form == "full" and not state.again else None
        more = None
        if following is not None:
            begun = msgspec.structs.replace(
                state, questionnaire=following.id, version=following.version, page=following.pages[0].number, seen={}
            )
            more = (self._sealer.seal(begun), len(following.pages))
        return self._showing.thanks(code, state, self._spoken(request, state), sealed, more)

    # --- answering

    async def take(self, request: Request) -> Response:
        """``POST /{code}``: 303 when kept; 422 with what is wrong; 400, 410, 503 with what to do."""
        async with request.form(max_files=0, max_fields=_MAX_FIELDS) as sent:
            form: dict[str, list[str]] = {}
            for name, value in sent.multi_items():
                form.setdefault(name, []).append(str(value))
        ours, forget = {name: "".join(form.pop(name, [])) for name in _OURS}, form.pop(FORGET, [])
        try:
            code, state = self._state(request, "".join(form.pop(FIELD, [])))
            if state.page == WHO and ours[NOT_ME]:
                return await self._not_me(code, state)
            page = self._page(state)
        except Invalid:
            return self._unreadable(request)
        if self._over(state):
            return self._too_late(state)
        if await self._erased(state):
            return self._gone(state, state.language)
        if ours[TURN] in self._showing.pages.words:
            return self._turn(code, msgspec.structs.replace(state, language=ours[TURN]), page, form, ours[WRONG])
        given = validate(page, form) if not ours[TRAP] else Invalid("unexpected_field", None, "The trap was filled in.")
        if isinstance(given, Invalid):
            return self._form(code, state, page, picked=form, fault=given, status=422)
        return await self._take(request, code, state, page, emptied(state, page, given, forget), form, ours)

    def _turn(self, code: str, state: FormState, page: Page, form: Mapping[str, list[str]], wrong: str) -> Response:
        """The page in another language, as it was filled in. Own words are shown at once: they are in no address."""
        if any("".join(form.get(q.id, ())) for q in page.questions if q.kind == "text"):
            return self._form(code, state, page, picked=form, fault=_told_wrong(wrong, page))
        return self._showing.turn(code, state, page, form, wrong)

    async def _take(
        self,
        request: Request,
        code: str,
        state: FormState,
        page: Page,
        given: Given,
        form: Mapping[str, list[str]],
        ours: Mapping[str, str],
    ) -> Response:
        seen = remembered(state, page, given)
        following = None if ours[FINISH] else self._asked(state).next_page(seen, page.number, state.form)
        signs = self._pressure.signs(request, state) if page.number == self._library.current.pages[0].number else []
        try:
            await self._submitting.keep(state, given, finished=following is None, signs=signs, at=self._given_at(state, ours[AT]))
        except Retryable as away:
            answer = self._form(code, state, page, picked=form, fault=Invalid(NOT_SAVED), status=503)
            answer.headers["Retry-After"] = str(max(1, round(away.after)))
            return answer
        onward = msgspec.structs.replace(state, page=following.number if following else THANKS, seen=seen if following else {})
        if state.mode == "kiosk":
            onward = msgspec.structs.replace(onward, shown_at=self._clock.now(), real_at=self._real_now())
        return RedirectResponse(f"/{code}/{'next' if following else 'thanks'}?{state.mark}f={self._sealer.seal(onward)}", 303)

    async def _not_me(self, code: str, state: FormState) -> Response:
        try:
            await self._submitting.not_me(state)
        except Retryable as away:
            return self._showing.away(state.language, away.after)
        return self._showing.not_me(state.language)

    def _given_at(self, state: FormState, said: str) -> datetime | None:
        """When it was filled in on a phone without signal, which tells how many seconds ago that was: not before the form was shown. What
        a page sends at once says instead for how long it may be kept, which is no such number: nothing, like anything else."""
        if not _AGO.fullmatch(said):
            return None
        now = self._clock.now()
        return max(now - timedelta(seconds=int(said)), min(state.shown_at, now))

    # --- what stands in a form

    def _form(
        self, code: str, state: FormState, page: Page, *, picked: Mapping[str, list[str]] | None = None, fault: Invalid | None = None,
        status: int = 200,
    ) -> Response:  # fmt: skip
        asked = self._asked(state)
        before = asked.page_before(state.seen, page.number, state.form)
        back = self._sealer.seal(msgspec.structs.replace(state, page=before.number)) if before else ""
        return self._showing.form(code, state, asked, page, back=back, picked=picked, fault=fault, status=status)

    def _too_late(self, state: FormState) -> Response:
        said = "expired" if state.code_hash else "over"
        device = state.mode == "kiosk"
        return self._showing.expired(state.language, state.expires_at or self._clock.now(), state.desk, said, device=device)

    def _over(self, state: FormState) -> bool:
        return state.expires_at is not None and self._clock.now() >= state.expires_at

    def _state(self, request: Request, sealed: str) -> tuple[str, FormState]:
        """The code of the address, or ``INSIDE``, and the state sealed for it. Raises Invalid."""
        written, state = request.path_params["code"], self._sealer.open(sealed)
        if state.real_at is None and state.mode != DEVICE:  # it begins where it is first shown
            state = msgspec.structs.replace(state, real_at=self._real_now())
        code = links.parse(written)
        if written == INSIDE and not state.code_hash:
            return INSIDE, state
        if code is None or links.code_hash(code) != state.code_hash:
            raise Invalid("form_unreadable", FIELD, "The form was shown under another link.")
        return code, state

    def _asked(self, state: FormState) -> Questionnaire:
        """The questionnaire; of what was answered before a resumed form stopped, that form knows nothing."""
        asked = self._library.known[state.questionnaire, state.version]
        return asked.not_knowing(state.seen) if state.resumed else asked

    def _page(self, state: FormState) -> Page:
        questionnaire = self._library.known.get((state.questionnaire, state.version))
        page = questionnaire.page(state.page) if questionnaire else None
        if page is None:
            raise Invalid("form_unreadable", FIELD, "The form is of a questionnaire this site does not have.")
        return page

    def _spoken(self, request: Request, state: FormState) -> str:
        return self._showing.language(request) if "lang" in request.query_params else state.language

    def _unreadable(self, request: Request) -> Response:
        code, lang = links.parse(request.path_params["code"]) or "", self._showing.language(request)
        return self._showing.unreadable(code, lang, device=on_device(request))


def _told_wrong(reason: str, page: Page) -> Invalid | None:
    """What a form was told is wrong, when it is turned into another language."""
    return Invalid(reason, None if reason == NOT_SAVED else page.questions[0].id) if reason in WRONGS else None


def _values(answer: object) -> list[str]:
    """An answer as the form's fields say it."""
    if answer is None:
        return ["na"]
    if isinstance(answer, list):
        return [str(one) for one in answer]
    return ["yes"] if answer is True else [str(answer)]
