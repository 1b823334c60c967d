"""What waits for the quality office: answers held for a sign of pressure, and people who want to be called back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from hailong.events import About
from sinks.ledger import schema as t
from sinks.ledger.audit import Audit
from sinks.ledger.dossiers import Dossiers

Verdict = Literal["released", "confirmed"]
CALLED = ("reached", "not_reached", "solved", "declined")
"""How a call back may end."""


@dataclass(frozen=True)
class HeldAnswer:
    """A first answer that is not counted yet. ``id`` leads back to it; what was answered is not told: a mark says nothing of its sense."""

    id: str
    sign: str
    unit: str
    mode: str
    counted_at: datetime


@dataclass(frozen=True)
class CallBack:
    """A wish to be called back. ``reachable``: a number is still there (30 days)."""

    id: str
    unit: str
    asked_at: datetime
    reachable: bool


@dataclass(frozen=True)
class Word:
    """Own words of somebody without a code."""

    unit: str | None
    text: str
    day: date


class HoldingReading(Dossiers):
    """The lists."""

    def held_answers(self, limit: int = 200) -> list[HeldAnswer]:
        """The oldest first."""
        a = t.answers.c
        waits = sa.and_(a.held.is_not(None), a.judged.is_(None), a.erased_at.is_(None))
        rows = self.conn.execute(sa.select(t.answers).where(waits).order_by(a.counted_at, a.survey_id).limit(limit))
        return [HeldAnswer(r.survey_id, r.held, _unit(r.about), r.mode, r.counted_at) for r in rows]

    def call_backs(self, limit: int = 200) -> list[CallBack]:
        """The oldest first."""
        c = t.callbacks.c
        reach = sa.exists().where(t.slots.c.survey_id == c.survey_id, t.slots.c.phone_hash.is_not(None))
        rows = self.conn.execute(sa.select(t.callbacks, reach.label("reach")).where(c.done_at.is_(None)).order_by(c.asked_at).limit(limit))
        return [CallBack(r.survey_id, r.unit, r.asked_at, bool(r.reach)) for r in rows]

    def words_without_code(self, limit: int = 100) -> list[Word]:
        """The newest first."""
        rows = self.conn.execute(sa.select(t.feedback).order_by(t.feedback.c.day.desc(), t.feedback.c.id.desc()).limit(limit))
        return [Word(r.unit, r.text, r.day) for r in rows]


class Holding(HoldingReading, Audit):
    """What the quality office does with them. Each in the audit trail."""

    def judge_held(self, survey_id: str, verdict: Verdict, by: str, now: datetime) -> bool:
        """Let a held answer go, or confirm that it is none; the count role does the rest. False when somebody did so before."""
        a = t.answers.c
        mine = sa.and_(a.survey_id == survey_id, a.held.is_not(None), a.judged.is_(None))
        done = self.conn.execute(sa.update(t.answers).where(mine).values(judged=verdict, judged_by=by, judged_at=now)).rowcount
        if done:
            self.schedule("release" if verdict == "released" else "confirm", survey_id, now)
            self.audited(by, "answer_judged", f"answer:{survey_id[:12]}", {"verdict": verdict})
        return bool(done)

    def number_of(self, survey_id: str, by: str) -> str | None:
        """The number of somebody who wants to be called back, shown once a look; None when it is gone."""
        wished = sa.select(t.slots.c.dossier_ref).join(t.callbacks, t.callbacks.c.survey_id == t.slots.c.survey_id)
        ref = self.conn.execute(wished.where(t.callbacks.c.survey_id == survey_id, t.callbacks.c.done_at.is_(None))).scalar()
        contact = self.contact_of(ref) if ref else None
        self.audited(by, "vault_seen", f"callback:{survey_id[:12]}", {"found": bool(contact and contact.number)})
        return contact.number if contact else None

    def read_words(self, by: str) -> list[Word]:
        """What people wrote without a code, for the quality office; the look goes into the trail."""
        found = self.words_without_code()
        self.audited(by, "comment_seen", "feedback", {"n": len(found)})
        return found

    def called_back(self, survey_id: str, outcome: str, by: str, now: datetime) -> bool:
        """How a call back ended; ``not_reached`` leaves it on the list. Raises ValueError for another word."""
        if outcome not in CALLED:
            raise ValueError(f"outcome {outcome!r}: one of {', '.join(CALLED)}")
        done = None if outcome == "not_reached" else now
        mine = sa.and_(t.callbacks.c.survey_id == survey_id, t.callbacks.c.done_at.is_(None))
        found = self.conn.execute(sa.update(t.callbacks).where(mine).values(done_at=done, done_by=by, outcome=outcome)).rowcount
        if found:
            self.audited(by, "case_changed", f"callback:{survey_id[:12]}", {"outcome": outcome})
        return bool(found)


def _unit(about: str) -> str:
    read: Any = msgspec.json.decode(about, type=About)
    return str(read.handling_unit)
