"""A submitted page becomes what is kept of it: a fact for the log, and own words, masked, for the ledger alone."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec

from hailong.domain.doors import place_of
from hailong.domain.masking import Masked, masked
from hailong.domain.questionnaire import Answer, Given, Page
from hailong.domain.units import LOCAL
from hailong.events import Act, Language, SurveyAnswered, encode
from hailong.ports import Clock
from surveys.answers.form_state import FormState
from surveys.answers.keeping import Keeper
from surveys.records import Records

FACT_LANGUAGES: Final[dict[str, Language]] = {"vi": "vi", "en": "en"}


class Submitting:
    """Keeps submissions. Nothing of a page is kept unless all of it is."""

    def __init__(self, registry_id: str, records: Records, keeper: Keeper, clock: Clock) -> None:
        self._registry_id = registry_id
        self._records = records
        self._keeper = keeper
        self._clock = clock

    async def keep(
        self, state: FormState, given: Given, *, finished: bool = False, signs: Sequence[str] = (), at: datetime | None = None
    ) -> None:
        """A page of ``state``. ``at``: when it was filled in, where that is not now. Raises Retryable when nothing was kept.

        A page left empty says nothing, so nothing is recorded but that the person is done, if so. Empty words delete those before.
        """
        now = self._clock.now()
        if state.slip:
            if given.texts or given.answers or finished:
                await self._hold(state, given, self._fact(state, given.answers, "page", finished, signs, at or now), now)
            if finished:
                self._keeper.finish(state.questionnaire, state.nonce)
            return
        for question, text in given.texts.items():
            await self._comment(state, question, masked(text), now.astimezone(LOCAL).date())
        if given.answers or finished:
            await self._keeper.keep(encode(self._fact(state, given.answers, "page", finished, signs, at or now), now), state.nonce)
        if finished:
            self._keeper.finish(state.questionnaire, state.nonce, state.survey_id)

    async def _hold(self, state: FormState, given: Given, fact: SurveyAnswered, now: datetime) -> None:
        """A page of a slip that leads to no dossier yet waits in the ledger: of whom it is nobody knows."""
        said = {question: masked(text) for question, text in given.texts.items()}
        texts = {question: (one.text, sum(one.found.values())) for question, one in said.items()}
        await self._records.do(lambda tx: tx.hold_slip_page(state.slip, fact, texts, now))

    async def _comment(self, state: FormState, question: str, said: Masked, day: date) -> None:
        n = sum(said.found.values())
        await self._records.do(lambda tx: tx.keep_comment(state.survey_id, question, state.about, said.text, n, day))

    async def not_me(self, state: FormState) -> None:
        """Somebody else got the message. Raises Retryable."""
        now = self._clock.now()
        await self._keeper.keep(encode(self._fact(state, {}, "not_me", False, (), now), now))

    def _fact(
        self, state: FormState, answers: Mapping[str, Answer], act: Act, finished: bool, signs: Sequence[str], at: datetime
    ) -> SurveyAnswered:
        return SurveyAnswered(
            event_id=identity(state.survey_id or state.slip, state.nonce, state.page, answers, act, finished, state.act),
            registry_id=self._registry_id,
            survey_id=state.survey_id,
            questionnaire=state.questionnaire,
            questionnaire_version=state.version,
            mode=state.mode,
            language=FACT_LANGUAGES.get(state.language, "other"),
            page=state.page,
            answers=dict(answers),
            nonce=state.nonce,
            answered_at=at,
            about=state.about,
            act=act,
            form=state.form,
            place=place_of(state.mode),
            finished=finished,
            signs=list(signs),
        )


def emptied(state: FormState, page: Page, given: Given, forget: Collection[str]) -> Given:
    """``given``, with what was left empty that had an answer as an empty one: options that this form knows were chosen; the box of a
    consent, which holds for as long as it is ticked; own words, of which ``forget`` says that they are to go."""
    left = [q for q in page.questions if q.id not in given.answers and q.id not in given.texts]
    none: dict[str, Answer] = {q.id: [] for q in left if q.kind == "many" and state.seen.get(q.id)}
    no: dict[str, Answer] = {q.id: False for q in left if q.kind == "yes"}
    gone = {q.id: "" for q in left if q.kind == "text" and q.id in forget}
    return Given({**given.answers, **none, **no}, {**given.texts, **gone})


def remembered(state: FormState, page: Page, given: Given) -> dict[str, Any]:
    """What a form was answered, this page included; of own words only that there are some."""
    asked = {q.id for q in page.questions}
    written = {
        q.id: given.texts[q.id] != "" if q.id in given.texts else state.seen.get(q.id) is True for q in page.questions if q.kind == "text"
    }
    before = {q: a for q, a in state.seen.items() if q not in asked}
    now: dict[str, Any] = {**given.answers, **written}
    return before | {q: a for q, a in now.items() if a is not False and a != []}


def identity(
    survey_id: str, nonce: str, page: int, answers: Mapping[str, Answer], act: Act = "page", finished: bool = False, shown: str = ""
) -> str:
    """Content plus the act: the same shown page sent again with the same answers is the same fact. ``shown``: name of the showing,
    where pages are shown more than once, so that choosing one, another and the first again are three facts."""
    parts: list[object] = [survey_id, nonce, page, dict(answers)]
    parts += [act, finished] if act != "page" or finished else []
    parts += [{"shown": shown}] if shown else []
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
