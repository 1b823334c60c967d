"""What units did about what people said: written by people, so every line of it goes into the audit trail; nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from hailong.domain.access import AuditAct
from hailong.domain.measures import LANGUAGES, Written
from hailong.ports import Invalid, Measure
from sinks.ledger import schema as t
from sinks.ledger.audit import Audit
from sinks.ledger.entering import Entering

_M: Final = t.measures.c


class MeasuringReading(Entering):
    """Looking, for those who write them."""

    def written_measures(self, units: Collection[str] | None, limit: int) -> list[Written]:
        """Of these units (None: all), the newest first, those that citizens do not see any more included."""
        mine = sa.true() if units is None else _M.unit.in_(units)
        rows = self.conn.execute(sa.select(t.measures).where(mine).order_by(_M.day.desc(), _M.id.desc()).limit(limit))
        return [self._written(row) for row in rows]

    def written_measure(self, number: int) -> Written | None:
        """One; None for a number that is none."""
        row = self.conn.execute(sa.select(t.measures).where(_M.id == number)).first()
        return None if row is None else self._written(row)

    def _written(self, row: Any) -> Written:
        return Written(row.id, self._measure(row), row.by, row.at, row.withdrawn_at)


class Measuring(MeasuringReading, Audit):
    """The part of a transaction that is about "you said, we did"."""

    def put_measure(self, measure: Measure, by: str, now: datetime) -> int:
        """A unit says what it did about what people said; the number of it. The same that stands already (a form sent twice) is not put
        again. ``by``: a login. Raises KeyError for a language missing.
        """
        self.position("measures")  # two at once go one after the other
        return self._standing(measure) or self._put(measure, by, now, "measure_put", {})

    def correct_measure(self, number: int, measure: Measure, by: str, now: datetime) -> int:
        """Citizens see ``measure`` instead; the number of it. What stood before is kept. A form sent twice corrects once.

        Raises Invalid (``gone``) for a number that is none, or that citizens do not see any more.
        """
        if not self._off(number, now):
            standing = self._standing(measure)
            if standing is None:
                raise Invalid("gone", None, "it was withdrawn or corrected meanwhile: open the page again")
            return standing
        return self._put(measure, by, now, "measure_corrected", {"instead_of": number})

    def withdraw_measure(self, number: int, by: str, now: datetime) -> bool:
        """Citizens do not see it any more; it is kept. False when they did not before."""
        if not self._off(number, now):
            return False
        unit = self.conn.execute(sa.select(_M.unit).where(_M.id == number)).scalar_one()
        self.audited(by, "measure_withdrawn", f"unit:{unit}", {"measure": number})
        return True

    def _put(self, measure: Measure, by: str, now: datetime, act: AuditAct, more: dict[str, Any]) -> int:
        row = {"unit": measure.unit, "day": measure.day, "by": by, "at": now, "withdrawn_at": None} | _texts(measure)
        number = int(self.conn.execute(sa.insert(t.measures).values(**row).returning(_M.id)).scalar_one())
        self.audited(by, act, f"unit:{measure.unit}", {"measure": number, "on": measure.day.isoformat()} | more)
        return number

    def _standing(self, measure: Measure) -> int | None:
        same = [getattr(_M, name) == text for name, text in _texts(measure).items()]
        stands = sa.select(_M.id).where(_M.unit == measure.unit, _M.day == measure.day, _M.withdrawn_at.is_(None), *same)
        return self.conn.execute(stands.limit(1)).scalar()

    def _off(self, number: int, now: datetime) -> bool:
        off = sa.update(t.measures).where(_M.id == number, _M.withdrawn_at.is_(None)).values(withdrawn_at=now)
        return self.conn.execute(off).rowcount == 1


def _texts(measure: Measure) -> dict[str, str]:
    """The columns of what was said and done."""
    parts = {"said": measure.said, "did": measure.did}
    return {f"{part}_{lang}": said[lang] for part, said in parts.items() for lang in LANGUAGES}
