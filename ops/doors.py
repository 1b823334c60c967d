"""Where officers enter answers for somebody: what the officers' site gets of the questionnaire and of its sealed addresses."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, Literal

from dashboard.talking import Asked, Talking
from hailong.domain import draw as lots
from hailong.domain.doors import place_of
from hailong.domain.masking import masked
from hailong.domain.papers import AGAIN_SHARE, Paper
from hailong.domain.people import Keyed
from hailong.domain.questionnaire import NOT_APPLICABLE, YES, Given, Page, Question, Words, validate
from hailong.domain.units import LOCAL
from hailong.events import Form, Mode, SurveyAnswered
from hailong.ports import Clock, Invalid, SlotForAnswer
from ops.clock import real_now
from ops.wiring import Wiring
from sinks.ledger import Ledger
from sinks.ledger.drawing import by_code, by_refs, sources
from streams.calling import calling_of
from surveys.answers.asking import INSIDE
from surveys.answers.form_state import FormState, Sealer
from surveys.answers.submitting import FACT_LANGUAGES, identity
from surveys.wording import Library, library, office
from web.pages import DEFAULT, LANGUAGES

_FORM: Final[Mapping[str, Form]] = {"call": "short", "assisted": "full", "paper": "full"}
_PAPER: Final[Mode] = "paper"


class OfficeDoors:
    """dashboard.talking.Doors. ``draw(day, dossier_ref, purpose)`` is in [0, 1); ``new_nonce`` names each form."""

    def __init__(
        self,
        ledger: Ledger,
        sealer: Sealer,
        questions: Library,
        keyed: Keyed,
        clock: Clock,
        registry_id: str,
        survey_url: str,
        draw: Callable[[date, str, str], float],
        new_nonce: Callable[[], str],
    ) -> None:
        self._ledger = ledger
        self._sealer = sealer
        self._library = questions
        self._keyed = keyed
        self._clock = clock
        self._registry_id = registry_id
        self._survey_url = survey_url.rstrip("/")
        self._draw = draw
        self._new_nonce = new_nonce

    def find(self, code: str) -> str | None:
        """By a slip's code, or by the dossier's under whichever source; two dossiers of one code lead nowhere. Raises Retryable."""
        typed = " ".join(code.split())
        with self._ledger.read() as reader:
            found = by_code(reader, typed)
            if found is None:
                known = by_refs(reader, [self._keyed.dossier_ref(source, typed) for source in sources(reader)])
                found = known[0] if len(known) == 1 else None
        return found.survey_id if found is not None else None

    def open_door(self, survey_id: str, mode: Literal["call", "assisted"], login: str) -> str | None:
        """See dashboard.talking.Doors."""
        slot, now = self._awaited(survey_id), self._clock.now()
        if slot is None:
            return None
        asked = self._library.current
        state = FormState(
            survey_id=slot.survey_id, code_hash="", about=slot.about, expires_at=slot.expires_at, language=_language(slot.language),
            questionnaire=asked.id, version=asked.version, nonce=self._new_nonce(), page=asked.pages[0].number, desk=slot.desk,
            ended_on=slot.ended_on, shown_at=now, mode=mode, form=_FORM[mode], helper=login,
        )  # fmt: skip
        return f"{self._survey_url}/{INSIDE}/next?f={self._sealer.seal(state)}"

    def _awaited(self, survey_id: str) -> SlotForAnswer | None:
        """The slot, while an answer is awaited."""
        with self._ledger.read() as reader:
            slot = reader.slot_by_survey(survey_id)
        if slot is None or slot.answered or (slot.expires_at is not None and slot.expires_at <= self._clock.now()):
            return None
        return slot

    # --- paper

    def questions(self, language: str) -> Sequence[Asked]:
        """See dashboard.talking.Doors."""
        asked = self._library.current
        words = asked.words[_language(language)]
        every = [(page.when is not None, q) for page in asked.pages for q in page.questions]
        return [
            Asked(q.id, q.kind, words.question(q), words.said[q.id].hint, q.required, conditional, _options(q, words))
            for conditional, q in every
        ]

    def answers(self, form: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
        """See dashboard.talking.Doors."""
        return {question: answer for _, given in self._read(form) for question, answer in given.answers.items()}

    def _read(self, form: Mapping[str, Sequence[str]]) -> list[tuple[Page, Given]]:
        """Page by page, as the questionnaire would have shown them. Raises Invalid."""
        asked = self._library.current
        known = {q.id for page in asked.pages for q in page.questions}
        if set(form) - known:
            raise Invalid("unexpected_field", None, "The form has a field that the slip does not ask for.")
        seen: dict[str, Any] = {}
        read: list[tuple[Page, Given]] = []
        for page in asked.pages:
            if page.when is not None and not page.when.holds(seen):
                continue
            given = validate(page, {q.id: form[q.id] for q in page.questions if q.id in form})
            if isinstance(given, Invalid):
                raise given
            seen |= given.answers
            read.append((page, given))
        return read

    def submit_paper(
        self, survey_id: str, form: Mapping[str, Sequence[str]], language: str, login: str, unit: str | None, scan: bytes
    ) -> bool:
        """See dashboard.talking.Doors. Facts go by the ledger's outbox, in the transaction that keeps the slip."""
        now, read = self._clock.now(), self._read(form)
        with self._ledger.begin() as tx:
            slot = tx.slot_by_survey(survey_id)
            ref = tx.heard_of(survey_id)
            if slot is None or ref is None:
                raise Invalid("unknown", "code", "no such dossier waits for an answer")
            again = self._draw(ref[1].astimezone(LOCAL).date(), ref[0], lots.PAPER) < AGAIN_SHARE
            answers = {question: answer for _, given in read for question, answer in given.answers.items()}
            words = {question: masked(text) for _, given in read for question, text in given.texts.items()}
            texts = {question: (said.text, sum(said.found.values())) for question, said in words.items()}
            paper = Paper(survey_id, login, unit, answers, again, scan)
            tx.enter_paper(paper, self._facts(slot, [(p, g) for p, g in read if g.answers], language, now), texts, now)
        return again

    def _facts(self, slot: SlotForAnswer, read: Sequence[tuple[Page, Given]], language: str, now: datetime) -> list[SurveyAnswered]:
        asked, nonce = self._library.current, self._new_nonce()
        facts = []
        for n, (page, given) in enumerate(read, 1):
            last = n == len(read)
            facts.append(
                SurveyAnswered(
                    event_id=identity(slot.survey_id, nonce, page.number, given.answers, "page", last), registry_id=self._registry_id,
                    survey_id=slot.survey_id, questionnaire=asked.id, questionnaire_version=asked.version, mode=_PAPER,
                    language=FACT_LANGUAGES.get(language, "other"), page=page.number, answers=dict(given.answers), nonce=nonce,
                    answered_at=now, about=slot.about, form=_FORM[_PAPER], place=place_of(_PAPER), finished=last,
                )
            )  # fmt: skip
        return facts


def _language(said: str) -> str:
    return said if said in LANGUAGES else DEFAULT


def _options(question: Question, words: Words) -> list[tuple[str, str]]:
    if question.kind == "text":
        return []
    if question.kind == "yes":
        return [(YES, "")]
    said = [(one, words.option(question, one)) for one in question.options]
    return [*said, (NOT_APPLICABLE, words.not_applicable)] if question.not_applicable else said


def office_doors(wiring: Wiring, ledger: Ledger) -> OfficeDoors:
    """The officers' doors of this installation."""
    s = wiring.settings
    sealer = Sealer([base64.urlsafe_b64encode(wiring.keys.named("forms"))])

    def new_nonce() -> str:
        return secrets.token_hex(16)

    return OfficeDoors(ledger, sealer, library(), wiring.keyed, wiring.clock, s.registry_id, s.survey_url, wiring.draw, new_nonce)


def talking(wiring: Wiring, ledger: Ledger) -> Talking:
    """Calls, help at the desk and paper for the officers' site."""
    s, clock = wiring.settings, wiring.clock
    doors = office_doors(wiring, ledger)
    return Talking(ledger, doors, clock, real_now, lambda day: calling_of(wiring.rules(day)), office().name, s.survey_url, time.monotonic)
