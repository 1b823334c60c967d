"""The question and its answer. A GET looks into the ledger and records nothing; a POST needs only the log or the spool."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hailong.domain import links
from hailong.domain.questionnaire import Answer, Page, validate
from hailong.events import Language, SurveyAnswered, encode
from hailong.ports import Clock, Invalid, Retryable, SlotForAnswer
from surveys.form_state import FormState, Sealer
from surveys.guessing import Guard
from surveys.keeping import Keeper
from surveys.records import Records
from surveys.showing import AGAIN, Showing
from surveys.wording import Library

FIELD = "form"
"""The form field of the sealed state."""
_MAX_FIELDS = 60
FACT_LANGUAGES: dict[str, Language] = {"vi": "vi", "en": "en"}


class Asking:
    """``/{code}`` and what follows it. ``new_nonce`` gives each shown form its own random name."""

    def __init__(
        self,
        registry_id: str,
        library: Library,
        records: Records,
        keeper: Keeper,
        sealer: Sealer,
        showing: Showing,
        guard: Guard,
        clock: Clock,
        new_nonce: Callable[[], str],
    ) -> None:
        self._registry_id = registry_id
        self._library = library
        self._records = records
        self._keeper = keeper
        self._sealer = sealer
        self._showing = showing
        self._guard = guard
        self._clock = clock
        self._new_nonce = new_nonce

    async def show(self, request: Request) -> Response:
        """``GET /{code}``."""
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
        if slot.expires_at is not None and self._clock.now() >= slot.expires_at:
            return self._showing.expired(lang, slot.expires_at, slot.desk)
        stands = slot.answered or self._keeper.kept_lately(slot.survey_id)
        if stands and AGAIN not in request.query_params:
            return self._showing.already(code, lang)
        return self._showing.form(code, self._first(code, slot, lang, again=stands), self._library.current.pages[0])

    def _first(self, code: str, slot: SlotForAnswer, lang: str, *, again: bool) -> FormState:
        asked = self._library.current
        return FormState(
            survey_id=slot.survey_id,
            code_hash=links.code_hash(code),
            about=slot.about,
            expires_at=slot.expires_at,
            language=lang,
            questionnaire=asked.id,
            version=asked.version,
            nonce=self._new_nonce(),
            page=asked.pages[0].number,
            desk=slot.desk,
            ended_on=slot.ended_on,
            again=again,
        )

    async def show_next(self, request: Request) -> Response:
        """``GET /{code}/next?f=…``: a later page; what it must know stands in ``f``."""
        try:
            code, state = self._state(request, request.query_params.get("f", ""))
            page = self._page(state)
        except Invalid:
            return self._unreadable(request)
        if state.expires_at is not None and self._clock.now() >= state.expires_at:
            return self._showing.expired(state.language, state.expires_at, state.desk)
        return self._showing.form(code, msgspec.structs.replace(state, language=self._spoken(request, state)), page)

    async def thank(self, request: Request) -> Response:
        """``GET /{code}/thanks?f=…``: only for whom we thank; anybody else is sent to the question."""
        sealed = request.query_params.get("f", "")
        try:
            code, state = self._state(request, sealed)
        except Invalid:
            code = links.parse(request.path_params["code"]) or ""
            return RedirectResponse(f"/{code}", 303)
        return self._showing.thanks(code, self._spoken(request, state), sealed, again=state.again)

    async def take(self, request: Request) -> Response:
        """``POST /{code}``: 303 when kept; 422 with what is wrong; 400, 410, 503 with what to do."""
        async with request.form(max_files=0, max_fields=_MAX_FIELDS) as sent:
            form: dict[str, list[str]] = {}
            for name, value in sent.multi_items():
                form.setdefault(name, []).append(str(value))
        try:
            code, state = self._state(request, "".join(form.pop(FIELD, [])))
            page = self._page(state)
        except Invalid:
            return self._unreadable(request)
        if state.expires_at is not None and self._clock.now() >= state.expires_at:
            return self._showing.expired(state.language, state.expires_at, state.desk)
        answers = validate(page, form)
        if isinstance(answers, Invalid):
            return self._showing.form(code, state, page, picked=form, fault=answers, status=422)
        try:
            await self._keep(state, page, answers)
        except Retryable as away:
            answer = self._showing.form(code, state, page, picked=form, fault=Invalid("not_saved"), status=503)
            answer.headers["Retry-After"] = str(max(1, round(away.after)))
            return answer
        return RedirectResponse(self._onward(code, state, answers), 303)

    async def _keep(self, state: FormState, page: Page, answers: Mapping[str, Answer]) -> None:
        if not answers:
            return  # a page left empty says nothing, so nothing is recorded
        now = self._clock.now()
        fact = SurveyAnswered(
            event_id=identity(state.survey_id, state.nonce, page.number, answers),
            registry_id=self._registry_id,
            survey_id=state.survey_id,
            questionnaire=state.questionnaire,
            questionnaire_version=state.version,
            mode="link",
            language=FACT_LANGUAGES.get(state.language, "other"),
            page=page.number,
            answers=dict(answers),
            nonce=state.nonce,
            answered_at=now,
            about=state.about,
        )
        await self._keeper.keep(encode(fact, now))

    def _onward(self, code: str, state: FormState, answers: Mapping[str, Answer]) -> str:
        """Where the browser goes after an answer: the next page whose condition holds, or the thanks."""
        questionnaire = self._library.known[state.questionnaire, state.version]
        given = {**state.seen, **answers}
        page = questionnaire.next_page(given, state.page)
        after = page.number if page else 0
        kept = {q: a for q, a in given.items() if page and q in questionnaire.needed_later(after)}
        sealed = self._sealer.seal(msgspec.structs.replace(state, page=after, seen=kept))
        return f"/{code}/{'next' if page else 'thanks'}?f={sealed}"

    def _state(self, request: Request, sealed: str) -> tuple[str, FormState]:
        """The code of the address and the state sealed for it. Raises Invalid."""
        code, state = links.parse(request.path_params["code"]), self._sealer.open(sealed)
        if code is None or links.code_hash(code) != state.code_hash:
            raise Invalid("form_unreadable", FIELD, "The form was shown under another link.")
        return code, state

    def _page(self, state: FormState) -> Page:
        questionnaire = self._library.known.get((state.questionnaire, state.version))
        page = questionnaire.page(state.page) if questionnaire else None
        if page is None:
            raise Invalid("form_unreadable", FIELD, "The form is of a questionnaire this site does not have.")
        return page

    def _spoken(self, request: Request, state: FormState) -> str:
        return self._showing.language(request) if "lang" in request.query_params else state.language

    def _unreadable(self, request: Request) -> Response:
        return self._showing.unreadable(links.parse(request.path_params["code"]) or "", self._showing.language(request))


def identity(survey_id: str, nonce: str, page: int, answers: Mapping[str, Answer]) -> str:
    """Content plus the act: the same form sent again with the same answers is the same fact."""
    parts: Sequence[object] = (survey_id, nonce, page, dict(answers))
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
