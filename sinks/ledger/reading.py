"""Questions to the ledger that change nothing: outcomes, the outbox people see, alerts, why, what is stuck."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from hailong.events import AlertChanged, TargetChanged, UnitChanged
from hailong.ports import Claimed
from sinks.ledger import schema as t
from sinks.ledger.arms import ArmsReading
from sinks.ledger.calling import CallingReading
from sinks.ledger.carrying import Carrying
from sinks.ledger.closing import ClosingReading
from sinks.ledger.erasing import ErasingReading
from sinks.ledger.helping import HelpingReading
from sinks.ledger.holding import HoldingReading
from sinks.ledger.kiosks import KiosksReading
from sinks.ledger.looking import LookingReading
from sinks.ledger.measuring import MeasuringReading
from sinks.ledger.people import PeopleReading
from sinks.ledger.settling import Settling
from sinks.ledger.stuck import Stuck


class LedgerReader(
    CallingReading, HelpingReading, HoldingReading, KiosksReading, Settling, LookingReading, PeopleReading, Stuck, Carrying, ErasingReading,
    ArmsReading, MeasuringReading, ClosingReading,
):  # fmt: skip
    """A view of the ledger at one moment."""

    def outcomes(self) -> dict[str, Any]:
        """``{valid, asked, waiting, not_asked: {reason: n}}``; the three add up to the valid dossiers."""
        rows = self.conn.execute(
            sa.select(t.slots.c.outcome, t.slots.c.reason, sa.func.count()).group_by(t.slots.c.outcome, t.slots.c.reason)
        )
        out: dict[str, Any] = {"valid": 0, "asked": 0, "waiting": 0, "not_asked": {}}
        for outcome, reason, n in rows:
            out["valid"] += n
            if outcome == "not_asked":
                out["not_asked"][reason] = n
            else:
                out[outcome] += n
        out["not_asked"] = dict(sorted(out["not_asked"].items()))
        return out

    def unknown_sends(self) -> int:
        """Messages of which nobody knows whether they were accepted."""
        return self.conn.execute(sa.select(sa.func.count()).select_from(t.claims).where(t.claims.c.state == "unknown")).scalar_one()

    def open_claims(self) -> int:
        """Messages claimed and not settled."""
        return self.conn.execute(sa.select(sa.func.count()).select_from(t.claims).where(t.claims.c.state == "claimed")).scalar_one()

    def answers(self) -> int:
        """Slots that were answered."""
        return self.conn.execute(sa.select(sa.func.count()).select_from(t.answers)).scalar_one()

    def undecided(self) -> int:
        """Endings taken and not decided yet."""
        return self.conn.execute(
            sa.select(sa.func.count()).select_from(t.slots).where(t.slots.c.outcome == "waiting", t.slots.c.reason == "undecided")
        ).scalar_one()

    def unpublished(self) -> int:
        """Facts written and not yet in the log, of all writers."""
        return self.conn.execute(sa.select(sa.func.count()).select_from(t.outbox)).scalar_one()

    def claims(self) -> list[Any]:
        """Every row of the claims, for proofs."""
        return list(self.conn.execute(sa.select(t.claims)))

    def slots(self) -> list[Any]:
        """Every row of the slots, for proofs."""
        return list(self.conn.execute(sa.select(t.slots)))

    def surveys_by_code(self) -> dict[str, str]:
        """Hash of a link's code → survey_id, for proofs."""
        return {r.code_hash: r.survey_id for r in self.conn.execute(sa.select(t.codes))}

    def messages(self, state: str | None, limit: int) -> list[tuple[Claimed, str]]:
        """Messages with their state, newest first. Those of erased slots belong to nobody any more and are left out."""
        known = sa.or_(t.claims.c.purpose == "officers", sa.exists().where(t.slots.c.survey_id == t.claims.c.ref))
        rows = sa.select(t.claims).where(known).order_by(t.claims.c.real_claimed_at.desc(), t.claims.c.claim_id).limit(limit)
        chosen = rows if state is None else rows.where(t.claims.c.state == state)
        return [(self._claimed_again(r), r.state) for r in self.conn.execute(chosen)]

    def alerts(self, *, history: bool = False) -> list[AlertChanged]:
        """The step of every alert with the highest version (or all steps), by time; how it stands: hailong.domain.closing."""
        rows = self.conn.execute(sa.select(t.alerts).order_by(t.alerts.c.alert_id, t.alerts.c.version))
        facts = [msgspec.json.decode(r.fact, type=AlertChanged) for r in rows]
        if not history:
            facts = list({f.alert_id: f for f in facts}.values())
        return sorted(facts, key=lambda f: (f.evidence_seq, f.alert_id, f.version))

    def units(self) -> list[UnitChanged]:
        """The registry's rows, in the order they were written."""
        rows = self.conn.execute(sa.select(t.registry.c.fact).where(t.registry.c.kind == "unit").order_by(t.registry.c.seq)).scalars()
        return [msgspec.json.decode(r, type=UnitChanged) for r in rows]

    def targets(self) -> list[TargetChanged]:
        """The targets' rows, in the order they were written."""
        rows = self.conn.execute(sa.select(t.registry.c.fact).where(t.registry.c.kind == "target").order_by(t.registry.c.seq)).scalars()
        return [msgspec.json.decode(r, type=TargetChanged) for r in rows]

    def sources(self) -> list[Any]:
        """Paused sources."""
        return list(self.conn.execute(sa.select(t.sources).where(t.sources.c.paused_at.is_not(None))))

    def due_counts(self) -> dict[str, int]:
        """What waits, by kind."""
        rows = self.conn.execute(sa.select(t.due.c.kind, sa.func.count()).where(t.due.c.state == "waiting").group_by(t.due.c.kind))
        return {row[0]: row[1] for row in rows}

    def answers_since(self, after: datetime, until: datetime) -> int:
        """First answers counted in a span."""
        counted = sa.and_(t.answers.c.counted_at > after, t.answers.c.counted_at <= until)
        return self.conn.execute(sa.select(sa.func.count()).select_from(t.answers).where(counted)).scalar_one()

    def judged(self) -> int:
        """The highest counted record the judge has applied."""
        return self.conn.execute(sa.select(t.positions.c.value).where(t.positions.c.name == "judged")).scalar() or 0

    def counted(self) -> int:
        """The number of the last counted record."""
        return self.conn.execute(sa.select(t.positions.c.value).where(t.positions.c.name == "counted")).scalar() or 0
