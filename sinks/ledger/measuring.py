"""What units did about what people said: written by people, so every line of it goes into the audit trail."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from hailong.ports import Measure
from sinks.ledger import schema as t
from sinks.ledger.audit import Audit


class Measuring(Audit):
    """The part of a transaction that is about "you said, we did"."""

    def put_measure(self, measure: Measure, by: str, now: datetime) -> int:
        """A unit says what it did about what people said; the number of it. ``by``: a login. Raises KeyError for a language missing."""
        row = {"unit": measure.unit, "day": measure.day, "by": by, "at": now, "withdrawn_at": None}
        row |= {f"said_{one}": measure.said[one] for one in ("vi", "en")} | {f"did_{one}": measure.did[one] for one in ("vi", "en")}
        number = int(self.conn.execute(sa.insert(t.measures).values(**row).returning(t.measures.c.id)).scalar_one())
        self.audited(by, "measure_put", f"unit:{measure.unit}", {"measure": number, "on": measure.day.isoformat()})
        return number
