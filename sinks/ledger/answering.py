"""The count role's part of a transaction: every submission, and what people asked of counted answers, into one total order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from hailong.domain.doors import place_of
from hailong.events import About, CountedKind, SurveyAnswered, SurveyCounted
from hailong.ports import DueRow
from sinks.ledger import changing
from sinks.ledger import schema as t
from sinks.ledger.entering import Entering

CORE: Final = "Q0"
"""The question whose answer is the satisfaction of the slot."""
CALL_BACK: Final = "Q9"
"""The question whose answer is the wish to be called back."""
WITHDRAWN: Final = "withdrawn"
"""Reason of a detail that takes the answers to its questions back, and outcome of a call back that is wished no more."""
AT_ONCE: Final = timedelta(minutes=10)
"""An answer by code so soon after the ending was probably given at the desk."""
LATELY: Final = timedelta(days=30)
MANY: Final = 3
"""So many other dossiers answered by the same number within ``LATELY`` are one too many."""
WISHES: Final = ("erase_answer", "release", "confirm", "disposition")
"""Kinds of due rows: what people asked of counted answers."""


class Answering(Entering):
    """Count."""

    def next_record(self, kind: CountedKind, now: datetime, last: tuple[int, datetime | None], **fields: Any) -> SurveyCounted:
        """The record after ``last`` (seq, counted_at)."""
        seq, at = last
        counted_at = now if at is None else max(at, now)
        registry = self.tools.registry_id
        return SurveyCounted(
            event_id=f"{registry}:{seq + 1}", registry_id=registry, seq=seq + 1, kind=kind, counted_at=counted_at, **fields
        )

    def _write(self, facts: list[SurveyCounted], caused_by: str, now: datetime) -> list[SurveyCounted]:
        if facts:
            self.set_position("counted", facts[-1].seq, facts[-1].counted_at)
        self.insert_new(t.seen, [{"event_id": caused_by, "seq": facts[-1].seq if facts else 0}])
        self.put(facts, now)
        return facts

    def _is_echo(self, event_id: str) -> bool:
        return self.conn.execute(sa.select(t.seen.c.seq).where(t.seen.c.event_id == event_id)).first() is not None

    def count(self, fact: SurveyAnswered, now: datetime) -> list[SurveyCounted]:
        """What one submission adds to the counted answers: nothing for an echo, a repeated click, or an answer that was erased.

        The first Q0 of a slot is its answer, or held where a door or the ledger saw a sign of pressure. Another Q0 is a retraction
        (reason ``changed``) and an answer with the next revision, which figures report apart, both in the mode and place of the first
        one; ``control`` of the new answer says by which it came. Other questions are a detail: the first answer to each (revision
        0), as with Q0; another one apart (revision 1), and so is that there is none any more (reason ``withdrawn``).
        """
        last = self.position("counted")
        if self._is_echo(fact.event_id):
            return []
        # Locked: whoever asks for erasure meanwhile waits, and finds what is kept beside the answer here.
        before = self.conn.execute(self.locked(sa.select(t.answers).where(t.answers.c.survey_id == fact.survey_id))).first()
        if before is not None and before.erased_at is not None:
            return self._write([], fact.event_id, now)
        line = _Line(self, fact, now, last)
        if fact.act == "not_me":
            line.add("disposition", reason="not_me")
        waits = before is not None and _waits(before)
        before = self._page(line, before)
        if waits and fact.answers:
            self._hold_too(fact)
        self._call_back(fact, now)
        if fact.answers:
            self.used(fact.questionnaire, fact.questionnaire_version, now)
        return self._write(line.out, fact.event_id, now)

    def _page(self, line: _Line, before: Any) -> Any:
        """What a page adds to ``line`` and changes of the answer ``before``, which is given back as it is then. What is said beside a held
        answer waits with it."""
        fact = line.fact
        if CORE in fact.answers and fact.act == "page":
            before = self._count_core(line, before)
        rest = {k: v for k, v in fact.answers.items() if k != CORE}
        said = changing.page(fact.questionnaire, rest, json.loads(before.done) if before is not None else ())
        if before is None or not _waits(before):
            for revision, answers in enumerate((said.first, said.again)):
                if answers:
                    line.add("detail", answers=answers, revision=revision)
            if said.gone:
                line.add("detail", answers=said.gone, revision=1, reason=WITHDRAWN)
        if before is not None:
            self._note(line, before, said.done)
        return before

    def _call_back(self, fact: SurveyAnswered, now: datetime) -> None:
        """The newest word on it holds: a wish taken back is on no list, and one given again after that is new."""
        wish = fact.answers.get(CALL_BACK)
        mine = t.callbacks.c.survey_id == fact.survey_id
        if wish is False:
            taken_back = sa.update(t.callbacks).where(mine, t.callbacks.c.done_at.is_(None))
            self.conn.execute(taken_back.values(done_at=now, done_by=None, outcome=WITHDRAWN))
        elif wish is True and not self.insert_new(
            t.callbacks, [{"survey_id": fact.survey_id, "unit": fact.about.handling_unit, "asked_at": now}]
        ):
            once_more = sa.update(t.callbacks).where(mine, t.callbacks.c.outcome == WITHDRAWN)
            self.conn.execute(once_more.values(asked_at=now, done_at=None, outcome=None))

    def _count_core(self, line: _Line, before: Any) -> Any:
        fact, score = line.fact, line.fact.answers[CORE]
        mine = t.answers.c.survey_id == fact.survey_id
        if before is None:
            sign = fact.signs[0] if fact.signs else self._sign(fact)
            first = line.add("held" if sign else "answer", score=score, answers={CORE: score}, reason=sign)
            row = {"survey_id": fact.survey_id, "revision": 0, "score": score, "seq": first.seq, "counted_at": first.counted_at}
            row |= {"first_score": score, "about": msgspec.json.encode(fact.about).decode(), "mode": fact.mode}
            row |= {"receipt_hash": self.tools.receipt_hash(fact.nonce), "held": sign}
            row["fact"] = _written([fact]) if sign else None
            self.insert_new(t.answers, [row])
        elif _latest(before) != score:
            self._change_core(line, before, score)
        return self.conn.execute(sa.select(t.answers).where(mine)).one()

    def _change_core(self, line: _Line, before: Any, score: int | None) -> None:
        """Counted where the first one was, so that its erasure takes back the changes where they were counted."""
        first = {"mode": before.mode, "place": place_of(before.mode)}
        changed = {"score": score, "revision": before.revision + 1, "answers": {CORE: score}}
        changed |= {"control": {"mode": line.fact.mode, "place": line.fact.place}}
        values = {"revision": before.revision + 1}
        if _waits(before):
            line.add("held", reason=before.held, **first, **changed)
        else:
            line.add("retraction", score=before.score, revision=before.revision, reason="changed", **first)
            line.add("answer", **first, **changed)
            values["score"] = score
        self.conn.execute(sa.update(t.answers).where(t.answers.c.survey_id == before.survey_id).values(**values))

    def _hold_too(self, fact: SurveyAnswered) -> None:
        """A later page waits beside the held answer, in its order."""
        mine = t.answers.c.survey_id == fact.survey_id
        held = self.conn.execute(sa.select(t.answers.c.fact).where(mine)).scalar_one()
        self.conn.execute(sa.update(t.answers).where(mine).values(fact=_written([*_held(held), fact])))

    def _sign(self, fact: SurveyAnswered) -> str | None:
        """What only the ledger can see of a first answer given away from the desk."""
        slot = self.conn.execute(sa.select(t.slots).where(t.slots.c.survey_id == fact.survey_id)).first()
        if slot is None or fact.place == "desk" or fact.mode == "call":
            return None
        if fact.mode == "code" and timedelta(0) <= fact.answered_at - slot.occurred_at < AT_ONCE:
            return "minutes_after"
        if slot.phone_hash is None:
            return None
        a, s = t.answers.c, t.slots.c
        lately = sa.and_(s.phone_hash == slot.phone_hash, a.counted_at > fact.answered_at - LATELY, a.survey_id != fact.survey_id)
        joined = sa.select(sa.func.count()).select_from(t.answers.join(t.slots, a.survey_id == s.survey_id)).where(lately)
        return "many_dossiers" if self.conn.execute(joined).scalar_one() >= MANY else None

    def _note(self, line: _Line, before: Any, done: Sequence[str]) -> None:
        """Which questions were answered, without what: so that somebody who comes back goes on where they stopped."""
        fact, finished = line.fact, json.loads(before.finished)
        if fact.finished and fact.questionnaire not in finished:
            finished.append(fact.questionnaire)
            line.add("disposition", reason="finished")
        values = {"done": json.dumps(done), "finished": json.dumps(finished)}
        if values != {"done": before.done, "finished": before.finished}:
            self.conn.execute(sa.update(t.answers).where(t.answers.c.survey_id == fact.survey_id).values(**values))

    # --- what people asked of counted answers

    def carry_out(self, now: datetime, limit: int) -> int:
        """Erase, release and confirm what people asked for, and note what became of calls; how many."""
        rows = self.take_due(WISHES, now, now, now, limit)
        does = {"erase_answer": self._erase_answer, "release": self._release, "confirm": self._confirm}
        for row in rows:
            if row.kind == "disposition":
                self._disposition(row, now)
            else:
                does[row.kind](row.ref, now)
        self.finish_due([row.id for row in rows])
        return len(rows)

    def _erase_answer(self, survey_id: str, now: datetime) -> None:
        """Out of the figures, and forgotten here; in the log stays that there was an answer, which names nobody. ``revision`` of the
        retraction is how often it was changed, so that sums can be taken back without looking for what they were made of."""
        row = self.conn.execute(sa.select(t.answers).where(t.answers.c.survey_id == survey_id)).first()
        if row is None or self._is_echo(f"erase:{survey_id}"):
            return
        counted = row.counted_at.astimezone(self.tools.zone).date().isoformat()
        fact = self.next_record(
            "retraction", now, self.position("counted"), survey_id=survey_id, reason="erased", score=row.first_score, mode=row.mode,
            revision=row.revision, place=place_of(row.mode), control={"counted_on": counted},
            about=msgspec.json.decode(row.about, type=About),
        )  # fmt: skip
        if _waits(row):
            waits = row.judged != "confirmed"
            withdrawn = msgspec.structs.replace(fact, kind="disposition", reason="withdrawn", score=None, revision=0, control={})
            self._write([withdrawn] if waits else [], f"erase:{survey_id}", now)
        else:
            self._write([fact], f"erase:{survey_id}", now)
        gone = sa.update(t.answers).where(t.answers.c.survey_id == survey_id)
        self.conn.execute(gone.values(score=None, first_score=None, done="[]", finished="[]", fact=None))

    def _release(self, survey_id: str, now: datetime) -> None:
        """A held answer that a person let go is counted now, and then, in order, what came while it was held, as if it came now."""
        mine = t.answers.c.survey_id == survey_id
        row = self.conn.execute(sa.select(t.answers).where(mine)).first()
        if row is None or row.fact is None or row.judged != "released" or self._is_echo(f"release:{survey_id}"):
            return
        facts = _held(row.fact)
        line = _Line(self, facts[0], now, self.position("counted"))
        first = line.add("answer", score=row.score, answers={CORE: row.score}, reason="released")
        counted = {"fact": None, "revision": 0, "done": "[]", "seq": first.seq, "counted_at": first.counted_at}
        self.conn.execute(sa.update(t.answers).where(mine).values(**counted))
        for fact in facts:
            self._page(line.of(fact), self.conn.execute(sa.select(t.answers).where(mine)).one())
        self._write(line.out, f"release:{survey_id}", now)

    def _confirm(self, survey_id: str, now: datetime) -> None:
        """A held answer that a person found to be none: it is never counted, and figures hold it no more."""
        row = self.conn.execute(sa.select(t.answers).where(t.answers.c.survey_id == survey_id)).first()
        if row is None or row.fact is None or row.judged != "confirmed" or self._is_echo(f"confirm:{survey_id}"):
            return
        line = _Line(self, _held(row.fact)[0], now, self.position("counted"))
        line.add("disposition", reason="confirmed")
        self._write(line.out, f"confirm:{survey_id}", now)

    def _disposition(self, row: DueRow, now: datetime) -> None:
        """What became of a call, or of being drawn for one; ``payload``: survey_id, reason, about, final, why, tries, stratum, share."""
        if self._is_echo(f"disposition:{row.ref}"):
            return
        said = row.payload
        about = msgspec.convert(said["about"], About) if said.get("about") else None
        fact = self.next_record(
            "disposition", now, self.position("counted"), survey_id=said["survey_id"], reason=said["reason"], mode="call", place="away",
            about=about, control={name: said[name] for name in ("final", "why", "tries", "stratum", "share") if name in said},
        )  # fmt: skip
        self._write([fact], f"disposition:{row.ref}", now)

    def control(self, kind: CountedKind, caused_by: str, control: dict[str, Any], now: datetime) -> list[SurveyCounted]:
        """A record that changes a detector (unit, target, fixed, day), in the same order as the answers; once per cause."""
        last = self.position("counted")
        if self._is_echo(caused_by):
            return []
        return self._write([self.next_record(kind, now, last, control=control)], caused_by, now)


def _waits(row: Any) -> bool:
    """Whether an answer is held, and its release, also one that was judged already, is not written yet."""
    return row.held is not None and row.fact is not None


def _held(written: str) -> list[SurveyAnswered]:
    """The pages that wait, in order; one alone before changes waited too."""
    read: SurveyAnswered | list[SurveyAnswered] = msgspec.json.decode(written, type=SurveyAnswered | list[SurveyAnswered])
    return read if isinstance(read, list) else [read]


def _written(facts: Sequence[SurveyAnswered]) -> str:
    return msgspec.json.encode(facts).decode()


def _latest(before: Any) -> int | None:
    """The newest Q0: what counts now, or will when it is let go."""
    if not _waits(before):
        return before.score  # type: ignore[no-any-return]
    return [fact.answers[CORE] for fact in _held(before.fact) if CORE in fact.answers][-1]  # type: ignore[no-any-return]


class _Line:
    """What one submission adds, in order."""

    def __init__(self, tx: Answering, fact: SurveyAnswered, now: datetime, last: tuple[int, datetime | None]) -> None:
        self.fact = fact
        self.out: list[SurveyCounted] = []
        self._tx, self._now, self._last = tx, now, last

    def of(self, fact: SurveyAnswered) -> _Line:
        """The same line, going on with another submission."""
        line = _Line(self._tx, fact, self._now, self._last)
        line.out = self.out
        return line

    def add(self, kind: CountedKind, **fields: Any) -> SurveyCounted:
        """The next record about this submission; ``fields`` before what it says itself."""
        f = self.fact
        last = (self.out[-1].seq, self.out[-1].counted_at) if self.out else self._last
        said = {"survey_id": f.survey_id, "questionnaire": f.questionnaire, "questionnaire_version": f.questionnaire_version}
        said |= {"mode": f.mode, "place": f.place, "language": f.language, "about": f.about}
        one = self._tx.next_record(kind, self._now, last, **(said | fields))
        self.out.append(one)
        return one
