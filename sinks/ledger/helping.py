"""Who entered an answer for somebody; and paper slips: a part of them entered again by another unit, the scan sealed and short-lived."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from hailong.domain.papers import SCAN_DAYS, Paper, PaperTally, ToEnter, compared
from hailong.domain.units import LOCAL
from hailong.events import About, SurveyAnswered
from hailong.ports import Invalid
from sinks.ledger import schema as t
from sinks.ledger.answering import Answering
from sinks.ledger.audit import Audit
from sinks.ledger.vault import VaultError

HelpMode = Literal["call", "assisted", "paper"]
_P = t.papers.c


class HelpingReading(Answering):
    """Looking."""

    def paper_tally(self, now: datetime) -> PaperTally:
        """What was entered, and how often the second entry differs."""
        today = now.astimezone(LOCAL).date()
        late = sa.and_(_P.again, _P.again_at.is_(None), _P.scan_until <= today)
        columns = (sa.literal(True), _P.again, _P.again_at.is_not(None), late)
        counts = [sa.func.coalesce(sa.func.sum(sa.case((which, 1), else_=0)), 0) for which in columns]
        sums = [sa.func.coalesce(sa.func.sum(c), 0) for c in (_P.asked, _P.differs)]
        return PaperTally(*(int(n) for n in self.conn.execute(sa.select(*counts, *sums)).one()))

    def papers_to_enter(self, now: datetime, by: str, by_unit: str | None, barred: Collection[str], limit: int) -> list[ToEnter]:
        """Slips that wait to be entered again and may be entered by this account: of another unit than the one that did, judged by none."""
        rows = sa.select(t.papers).where(_again(now, by, by_unit, barred)).order_by(_P.entered_at, _P.id).limit(limit)
        return [self._to_enter(r) for r in self.conn.execute(rows)]

    def _to_enter(self, r: Any) -> ToEnter:
        return ToEnter(r.id, r.unit, r.entered_at.astimezone(LOCAL).date(), r.scan_until, len(r.scan or b"") > 0)


class Helping(HelpingReading, Audit):
    """Writing."""

    def helped(self, survey_id: str, mode: HelpMode, by: str, now: datetime) -> None:
        """Somebody enters an answer for somebody else: it stays in the ledger, and in the trail."""
        self.conn.execute(sa.insert(t.helped), {"survey_id": survey_id, "mode": mode, "by": by, "at": now})
        self.audited(by, "answer_entered", f"survey:{survey_id}", {"mode": mode})

    # --- paper

    def heard_of(self, survey_id: str) -> tuple[str, datetime] | None:
        """(dossier_ref, when hailong heard of its ending): what draws about it go by."""
        row = self.conn.execute(sa.select(t.slots.c.dossier_ref, t.slots.c.taken_at).where(t.slots.c.survey_id == survey_id)).first()
        return None if row is None else (row.dossier_ref, row.taken_at)

    def enter_paper(self, paper: Paper, facts: Sequence[SurveyAnswered], texts: Mapping[str, tuple[str, int]], now: datetime) -> None:
        """A slip becomes an answer. ``texts``: question → own words, masked, and how often. Raises Invalid where an answer stands.

        Of a slip that is not entered again only that it was entered is kept, and its scan for a while.
        """
        slot = self.conn.execute(self.locked(sa.select(t.slots).where(t.slots.c.survey_id == paper.survey_id))).first()
        if slot is None or slot.erased_on is not None:
            raise Invalid("unknown", "code", "no such dossier waits for an answer")
        if self.conn.execute(sa.select(t.answers.c.seq).where(t.answers.c.survey_id == paper.survey_id)).first() is not None:
            raise Invalid("answered", "code", "an answer stands already; the first one by any door counts")
        if slot.expires_at is not None and slot.expires_at <= now:
            raise Invalid("expired", "code", "the time for answers about this dossier is over")
        about, day = msgspec.json.decode(slot.about, type=About), now.astimezone(LOCAL).date()
        if not self.insert_new(t.papers, [self._paper_row(paper, about, now)]):
            raise Invalid("entered", "code", "a paper slip of this dossier was entered already")
        for question, (text, masked) in texts.items():
            self.keep_comment(paper.survey_id, question, about, text, masked, day)
        self.put(list(facts), now)
        self.helped(paper.survey_id, "paper", paper.by, now)

    def _paper_row(self, paper: Paper, about: About, now: datetime) -> dict[str, Any]:
        month = self.tools.vault.month(now)
        until = now.astimezone(LOCAL).date() + timedelta(days=SCAN_DAYS)
        sealed = self.tools.vault.seal(month, paper.scan, f"paper:{paper.survey_id}") if paper.scan else None
        # What is drawn and has no scan carries an empty one: so its answers go on the same day as if it had.
        scan = sealed if sealed is not None else b"" if paper.again else None
        return {
            "survey_id": paper.survey_id, "unit": about.receiving_unit, "entered_by": paper.by, "entered_unit": paper.by_unit,
            "entered_at": now, "answers": json.dumps(dict(paper.answers)) if paper.again else "{}",
            "key_month": month if sealed is not None else None, "scan": scan, "scan_until": until, "again": paper.again,
        }  # fmt: skip

    def paper_again(
        self, paper_id: int, by: str, by_unit: str | None, barred: Collection[str], now: datetime
    ) -> tuple[ToEnter, str, bytes] | None:
        """A slip to be entered again: it, its survey and its scan (empty when there is none); None when it is not this account's to enter.

        That the scan was looked at stands in the trail.
        """
        row = self.conn.execute(sa.select(t.papers).where(_P.id == paper_id, _again(now, by, by_unit, barred))).first()
        if row is None:
            return None
        scan = b""
        if row.scan:
            self.audited(by, "vault_seen", f"survey:{row.survey_id}", {"door": "paper"})
            try:
                scan = self.tools.vault.open(row.key_month, bytes(row.scan), f"paper:{row.survey_id}")
            except VaultError:
                scan = b""  # its key is gone: then only the slip itself can be entered again
        return self._to_enter(row), row.survey_id, scan

    def entered_again(
        self, paper_id: int, by: str, by_unit: str | None, barred: Collection[str], answers: Mapping[str, Any], questions: Sequence[str],
        now: datetime,
    ) -> tuple[int, int]:  # fmt: skip
        """The second entry: (answers compared, those that differ). Nothing counted changes by it. Raises Invalid (``gone``)."""
        mine = sa.select(t.papers).where(_P.id == paper_id, _again(now, by, by_unit, barred))
        row = self.conn.execute(self.locked(mine)).first()
        if row is None:
            raise Invalid("gone", "paper", "this slip was entered again already, or its time is over")
        asked, differs = compared(json.loads(row.answers), dict(answers), questions)
        done = {"again_by": by, "again_at": now, "asked": asked, "differs": differs, "answers": "{}"}
        self.conn.execute(sa.update(t.papers).where(_P.id == paper_id).values(**done))
        self.audited(by, "answer_entered", f"survey:{row.survey_id}", {"mode": "paper again", "asked": asked, "differs": differs})
        return asked, differs


def _again(now: datetime, by: str, by_unit: str | None, barred: Collection[str]) -> sa.ColumnElement[bool]:
    """Drawn, not entered again, its time not over; and entered by somebody else in another unit."""
    today = now.astimezone(LOCAL).date()
    waits = sa.and_(_P.again, _P.again_at.is_(None), _P.scan_until > today, _P.entered_by != by)
    other = _P.entered_unit.is_not(None) if by_unit is None else sa.or_(_P.entered_unit.is_(None), _P.entered_unit != by_unit)
    return sa.and_(waits, other, _P.unit.not_in(barred))
