"""A message to a short code that answers a survey: scored when certain, asked back once when not, never guessed.

Whose survey it is tells the sender's number, by its hash; nothing of number, text and codes is kept. Which message became which answer is
known to the ledger only until the answer is safe, and the fact says nothing of it: a gateway's list of messages names numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from hailong.domain import receipts, replies
from hailong.domain.doors import form_of, place_of
from hailong.domain.links import ALPHABET
from hailong.domain.questionnaire import Answer, Page, validate
from hailong.domain.replies import QUOTED, AskBack, NotOurs, Score
from hailong.events import Mode, SurveyAnswered, encode
from hailong.ports import Clock, Invalid, SlotForAnswer, Transaction
from surveys.answers.keeping import Keeper
from surveys.answers.submitting import FACT_LANGUAGES, identity
from surveys.channels.gateway_file import Back
from surveys.channels.gateway_reports import Said, plain
from surveys.inbound.ratings import CORE
from surveys.messages.pricing import segments
from surveys.records import Records
from surveys.wording import Library, Office
from web.pages import DEFAULT

SEEN: Final = "inbound"
"""Kind of the ledger's notes which messages were taken."""
ASKED: Final = "asked_back"
"""Kind of the ledger's notes which surveys were asked back about."""
MODE: Final[Mode] = "sms"
Open = tuple[SlotForAnswer, Sequence[str]]
"""A survey that the sender can answer, and its codes."""
StopNumber = Callable[[Transaction, str], object]
"""Opts a number (E.164) out, in this transaction; may be repeated."""
Outcome = Literal["answered", "asked_back", "not_understood", "repeated", "stopped"]
_NOBODYS: Final = ALPHABET[-12:]
_LIKE_A_CODE: Final = re.compile(rf"(?!\d+[A-Z]+$)(?![A-Z]+\d+$)(?=.*[A-Z])(?=.*\d)[{ALPHABET}]{{{QUOTED},26}}")
"""``7KQ2``, ``B3NN``; not ``2NAM`` (two years) nor ``THANG3`` (March), which are words."""


class CannotStop(Exception):
    """Somebody wants no more messages, and nobody here can see to it."""


@dataclass(frozen=True)
class Heard:
    """What was done with a message, and what its sender shall read (names them nothing; empty: nothing)."""

    outcome: Outcome
    text: str = field(default="", repr=False)


def refuses(text: str, codes: Sequence[str]) -> bool:
    """Whether a text surely says "no more messages": a stop word, alone or with politeness, the keyword, a code or what looks like one.

    Never for a text that ``parse`` reads a score from: the parser knows the stop words.
    """
    words = plain(text).split()
    quoted = [word for word in words if _LIKE_A_CODE.fullmatch(word)]
    return bool(words) and isinstance(replies.parse(text, [*codes, *quoted, _NOBODYS]), NotOurs)


def read(text: str, open_: Sequence[Open]) -> replies.Reply:
    """What a text says of the surveys its sender can answer; a score comes with one of the codes."""
    codes = [code for _, own in open_ for code in own]
    found = replies.parse(text, codes)
    if found != AskBack("which") or len(open_) > 1:
        return found
    # Invitation and reminder of one survey: whichever is meant, it is the same answer.
    alone = [replies.parse(text, [code]) for code in codes]
    agreed = {one.score if isinstance(one, Score) else None for one in alone}
    return alone[0] if len(agreed) == 1 else found


def quotable(open_: Sequence[Open]) -> list[str]:
    """Of each survey the shortest beginning of its first code that is read for certain, before whatever score."""
    codes = [code for _, own in open_ for code in own]

    def certain(quoted: str, code: str) -> bool:
        return all(replies.parse(f"{quoted} {score}", codes) == Score(score, code) for score in range(1, 6))

    return [
        next((quoted for n in range(QUOTED, len(own[0])) if certain(quoted := own[0][:n], own[0])), own[0]) for _, own in open_
    ]  # fmt: skip


class Replying:
    """``words``: language → what pages and messages say; ``receipt_for``: nonce → the code of its receipt.

    Raises Invalid when the questionnaire asks nothing that can be answered by one figure.
    """

    def __init__(
        self,
        registry_id: str,
        library: Library,
        records: Records,
        keeper: Keeper,
        clock: Clock,
        new_nonce: Callable[[], str],
        words: Mapping[str, Mapping[str, Any]],
        office: Office,
        receipt_for: Callable[[str], str],
    ) -> None:
        self._registry_id = registry_id
        self._asked, self._page, self._answers = library.current, *_scores(library)
        self._records = records
        self._keeper = keeper
        self._clock = clock
        self._new_nonce = new_nonce
        self._words = {language: said["sms"] for language, said in words.items()}
        self._office = office
        self._receipt_for = receipt_for

    async def hear(self, provider: str, message: Said, stop: StopNumber | None, back: Back | None) -> Heard:
        """Take a message. ``back``: how a text gets to its sender, None where it cannot.

        Raises Retryable when the ledger, or log and spool, are away, and CannotStop: then the message must come again.
        """
        ref = f"{provider}:{message.id}"
        heard, fact = await self._records.do(lambda tx: self._decide(tx, ref, message, stop, back))
        if fact is not None:
            await self._keeper.keep(encode(fact, self._clock.now()), fact.nonce)
            await self._records.do(lambda tx: tx.bind_note(SEEN, ref, {}))
        return heard

    def _decide(
        self, tx: Transaction, ref: str, message: Said, stop: StopNumber | None, back: Back | None
    ) -> tuple[Heard, SurveyAnswered | None]:
        now = self._clock.now()
        bound = tx.note_once(SEEN, ref, now)
        if bound is not None:
            return self._once_more(tx, bound, back, now)
        open_ = self._open(tx, message, now)
        if message.sender is not None and (message.stop or refuses(message.text, [code for _, own in open_ for code in own])):
            if stop is None:
                raise CannotStop
            stop(tx, message.sender)
            return Heard("stopped"), None
        found = read(message.text, open_)
        if isinstance(found, Score):
            slot = next(slot for slot, own in open_ if found.code in own)
            nonce = self._new_nonce()
            tx.bind_note(SEEN, ref, {"survey": slot.survey_id, "score": found.score, "nonce": nonce})
            return self._answered(slot, nonce, back), self._fact(slot, found.score, nonce, now)
        if isinstance(found, AskBack) and back is not None and self._asks_first(tx, open_, now):
            return Heard("asked_back", self._question(open_)), None
        return Heard("not_understood"), None

    def _once_more(
        self, tx: Transaction, bound: Mapping[str, Any], back: Back | None, now: datetime
    ) -> tuple[Heard, SurveyAnswered | None]:
        """A message that came before: what it was read as then holds, whatever else its sender could answer by now."""
        slot = tx.slot_by_survey(bound["survey"]) if bound else None
        if slot is None:
            return Heard("repeated"), None
        return self._answered(slot, bound["nonce"], back), self._fact(slot, bound["score"], bound["nonce"], now)

    def _open(self, tx: Transaction, message: Said, now: datetime) -> list[Open]:
        """Without those that this process knows to be answered: the ledger knows only once they are counted."""
        found = tx.open_invitations(message.sender, now) if message.sender is not None else []
        return [(slot, codes) for slot, codes in found if not self._keeper.kept_lately(slot.survey_id)]

    def _asks_first(self, tx: Transaction, open_: Sequence[Open], now: datetime) -> bool:
        """Whether one of the surveys was never asked back about; from now on all of them were."""
        new = [tx.note_once(ASKED, slot.survey_id, now) is None for slot, _ in open_]
        return any(new)

    def _fact(self, slot: SlotForAnswer, score: int, nonce: str, now: datetime) -> SurveyAnswered:
        answers = self._answers[score]
        return SurveyAnswered(
            event_id=identity(slot.survey_id, nonce, self._page, answers),
            registry_id=self._registry_id,
            survey_id=slot.survey_id,
            questionnaire=self._asked.id,
            questionnaire_version=self._asked.version,
            mode=MODE,
            form=form_of(MODE),
            place=place_of(MODE),
            language=FACT_LANGUAGES.get(slot.language, "other"),
            page=self._page,
            answers=dict(answers),
            nonce=nonce,
            answered_at=now,
            about=slot.about,
        )

    # --- what is said

    def _answered(self, slot: SlotForAnswer, nonce: str, back: Back | None) -> Heard:
        receipt = receipts.shown(self._receipt_for(nonce))
        return Heard("answered", self._say(slot, "thanks", receipt=receipt) if back is not None and back.thanks else "")

    def _question(self, open_: Sequence[Open]) -> str:
        first = open_[0][0]
        if len(open_) == 1:
            return self._say(first, "score")
        listed = [f"{quoted} ({slot.ended_on.day}/{slot.ended_on.month})" for (slot, _), quoted in zip(open_, quotable(open_), strict=True)]
        named = self._say(first, "which", codes=", ".join(listed))
        return named if segments(named) == 1 else self._say(first, "which_many")

    def _say(self, slot: SlotForAnswer, key: str, **more: str) -> str:
        words = self._words.get(slot.language, self._words[DEFAULT])
        return str(words[key]).format(brand=self._office.brand, **more)


def _scores(library: Library) -> tuple[int, dict[int, dict[str, Answer]]]:
    """The number of the page that asks Q0, and score → what it is as an answer."""
    page = next(p for p in library.current.pages if any(q.id == CORE for q in p.questions))
    only = Page(page.number, tuple(q for q in page.questions if q.id == CORE))
    scores = {}
    for score in range(1, 6):
        given = validate(only, {CORE: [str(score)]})
        if isinstance(given, Invalid):
            raise Invalid(given.reason, CORE, f"{library.current.source}: {CORE} is not of five points, so no SMS can answer it.")
        scores[score] = given.answers
    return page.number, scores
