"""The citizen's part of a transaction: codes, and counting in one order. Opting out: ``sinks.ledger.preferring``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from hailong.events import About, CountedKind, SurveyAnswered, SurveyCounted
from hailong.ports import SlotForAnswer
from sinks.ledger import schema as t
from sinks.ledger.base import Base

CORE = "Q0"
"""The question whose answer is the satisfaction of the slot."""


class Answering(Base):
    """Survey site and count."""

    def slot_row(self, code: str) -> Any:
        """The row of the slot a code leads to, or None."""
        joined = sa.select(t.slots).join(t.codes, t.codes.c.survey_id == t.slots.c.survey_id)
        return self.conn.execute(joined.where(t.codes.c.code_hash == self.tools.code_hash(code))).first()

    def slot_by_code(self, code: str) -> SlotForAnswer | None:
        """The slot a code leads to; None for an unknown one."""
        slot = self.slot_row(code)
        if slot is None:
            return None
        about = msgspec.json.decode(slot.about, type=About)
        unit = sa.and_(t.registry.c.kind == "unit", t.registry.c.ref.like(f"{about.receiving_unit}@%"))
        named = self.conn.execute(sa.select(t.registry.c.fact).where(unit).order_by(t.registry.c.seq.desc())).scalar()
        return SlotForAnswer(
            survey_id=slot.survey_id,
            about=about,
            expires_at=slot.expires_at,
            language=slot.language,
            answered=self.conn.execute(sa.select(t.answers.c.seq).where(t.answers.c.survey_id == slot.survey_id)).first() is not None,
            desk=msgspec.json.decode(named)["name"] if named else about.receiving_unit,
            ended_on=slot.ended_on,
        )

    # --- count

    def _next(self, kind: CountedKind, now: datetime, last: tuple[int, datetime | None], **fields: Any) -> SurveyCounted:
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
        """What one submission adds to the counted answers: nothing for an echo or a repeated click.

        The first Q0 of a slot is its answer. Another Q0 is a retraction (reason ``changed``) and an answer with the next revision,
        which figures report apart. Everything else is a detail.
        """
        last = self.position("counted")
        if self._is_echo(fact.event_id):
            return []
        out: list[SurveyCounted] = []

        def add(kind: CountedKind, **fields: Any) -> SurveyCounted:
            one = self._next(
                kind, now, (out[-1].seq, out[-1].counted_at) if out else last, survey_id=fact.survey_id, questionnaire=fact.questionnaire,
                questionnaire_version=fact.questionnaire_version, mode=fact.mode, language=fact.language, about=fact.about, **fields,
            )  # fmt: skip
            out.append(one)
            return one

        if CORE in fact.answers:
            self._count_core(fact, add)
        rest = {k: v for k, v in fact.answers.items() if k != CORE}
        if rest:
            add("detail", answers=rest, revision=self._revision(fact.survey_id))
        return self._write(out, fact.event_id, now)

    def _revision(self, survey_id: str) -> int:
        return self.conn.execute(sa.select(t.answers.c.revision).where(t.answers.c.survey_id == survey_id)).scalar() or 0

    def _count_core(self, fact: SurveyAnswered, add: Any) -> None:
        score = fact.answers[CORE]
        before = self.conn.execute(sa.select(t.answers).where(t.answers.c.survey_id == fact.survey_id)).first()
        if before is None:
            first = add("answer", score=score, answers={CORE: score})
            row = {"survey_id": fact.survey_id, "revision": 0, "score": score, "seq": first.seq, "counted_at": first.counted_at}
            self.insert_new(t.answers, [row])
        elif before.score != score:
            add("retraction", score=before.score, revision=before.revision, reason="changed")
            add("answer", score=score, revision=before.revision + 1, answers={CORE: score})
            mine = t.answers.c.survey_id == fact.survey_id
            self.conn.execute(sa.update(t.answers).where(mine).values(revision=before.revision + 1, score=score))

    def control(self, kind: CountedKind, caused_by: str, control: dict[str, Any], now: datetime) -> list[SurveyCounted]:
        """A record that changes a detector (unit, target, fixed, day), in the same order as the answers; once per cause."""
        last = self.position("counted")
        if self._is_echo(caused_by):
            return []
        return self._write([self._next(kind, now, last, control=control)], caused_by, now)
