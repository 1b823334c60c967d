"""Zalo's events: a delivery becomes a receipt, a rating tapped in the message becomes the answer to Q0.

A rating is recorded as an answer from the page is: same question, same identity (the slot, the act, the answer), so that an event that
comes twice counts once; and Zalo is told that it was taken only when the log or the spool has it. Unlike the page it needs the ledger too,
since nothing but the message's code comes with it: while the ledger is away the answer is 503, and Zalo has to come again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hailong.domain import links
from hailong.domain.questionnaire import Answer, Page, validate
from hailong.events import SurveyAnswered, encode
from hailong.ports import Clock, Invalid, Rating, Receipt, Retryable, SlotForAnswer
from surveys.answers.keeping import Keeper
from surveys.answers.submitting import FACT_LANGUAGES, identity
from surveys.records import Records
from surveys.wording import Library

CORE: Final = "Q0"
HEADER: Final = "X-ZEvent-Signature"
Answered = tuple[Page, dict[str, Answer]]
"""The page that asks Q0, and the answer to it."""
log = structlog.get_logger("surveys.inbound.ratings")


class EventDoor(Protocol):
    """The receiving end of a provider that reports more than receipts."""

    def verify(self, body: bytes, signature: str) -> bool:
        """Whether the provider signed ``body``."""
        ...

    def parse(self, body: bytes) -> Receipt | Rating | None:
        """What a verified body reports; None for what we take no part in. Raises Invalid."""
        ...


class Ratings:
    """``POST /receipts/zns``: 200 when kept or nothing of ours, 403 unsigned, 404 where there is no Zalo, 503 while it cannot be kept."""

    def __init__(
        self,
        door: EventDoor | None,
        registry_id: str,
        library: Library,
        records: Records,
        keeper: Keeper,
        clock: Clock,
        counters: CollectorRegistry,
    ) -> None:
        self._door = door
        self._registry_id = registry_id
        self._library = library
        self._records = records
        self._keeper = keeper
        self._clock = clock
        self._events = Counter("hailong_survey_zalo_events", "events of Zalo, by what became of them", ["became"], registry=counters)

    async def take(self, request: Request) -> Response:
        if self._door is None:
            raise HTTPException(404)
        body = await request.body()
        if not self._door.verify(body, request.headers.get(HEADER, "")):
            raise HTTPException(403)
        try:
            event = self._door.parse(body)
            answer = self._answer(event) if isinstance(event, Rating) else None
        except Invalid as wrong:  # it would not get better by coming again
            became = wrong.reason
            log.error("event of Zalo not taken: compare its form with the documentation", reason=wrong.reason, detail=wrong.detail)
        else:
            became = await self._kept(event, answer)
        self._events.labels(became).inc()
        return Response(status_code=200)

    async def _kept(self, event: Receipt | Rating | None, answer: Answered | None) -> str:
        """What became of it, in a word. Raises HTTPException(503)."""
        now = self._clock.now()
        try:
            if isinstance(event, Receipt):
                await self._records.do(lambda tx: tx.store_receipt(event, now))
                return "receipt"
            if event is None or answer is None:
                return "not_ours"
            slot = await self._slot(event.token)
            if slot is None:
                return "unknown"
            if slot.expires_at is not None and now >= slot.expires_at:
                return "expired"
            fact = self._fact(event, slot, *answer, now)
            await self._keeper.keep(encode(fact, now), fact.nonce)
        except Retryable as away:
            self._events.labels("put_off").inc()
            raise HTTPException(503, headers={"Retry-After": str(max(1, round(away.after)))}) from None
        return "rating"

    async def _slot(self, token: str) -> SlotForAnswer | None:
        code = links.parse(token)
        return None if code is None else await self._records.slot(code)

    def _answer(self, rating: Rating) -> Answered:
        """Raises Invalid for a rating outside the scale."""
        page = next(p for p in self._library.current.pages if any(q.id == CORE for q in p.questions))
        only = Page(page.number, tuple(q for q in page.questions if q.id == CORE))
        given = validate(only, {CORE: [str(rating.score)]})
        if isinstance(given, Invalid):
            raise given
        return page, given.answers

    def _fact(self, rating: Rating, slot: SlotForAnswer, page: Page, answers: dict[str, Answer], now: datetime) -> SurveyAnswered:
        return SurveyAnswered(
            event_id=identity(slot.survey_id, rating.act, page.number, answers),
            registry_id=self._registry_id,
            survey_id=slot.survey_id,
            questionnaire=self._library.current.id,
            questionnaire_version=self._library.current.version,
            mode="zns",
            form="short",
            language=FACT_LANGUAGES.get(slot.language, "other"),
            page=page.number,
            answers=answers,
            nonce=rating.act,
            answered_at=now,
            about=slot.about,
        )
