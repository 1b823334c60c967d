"""Looks at the quality of data: the last one, from which the next goes on, and which units were quiet on a day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from hailong.events import AlertChanged, QualityLooked
from sinks.ledger import schema as t
from sinks.ledger.judging import Judging

_LOOKED: Final = "looked"
"""Kind of rows of the registry, by day; the position that two who look at once wait for."""


class LookingReading(Judging):
    """Looking them up."""

    def last_look(self) -> QualityLooked | None:
        """None before the first."""
        return next(self._looks(newest=True, upto=date.max), None)

    def looks(self) -> list[QualityLooked]:
        """Every one, in order."""
        return list(self._looks(newest=False, upto=date.max))

    def look_in_force(self, day: date) -> QualityLooked | None:
        """The one whose list of quiet units holds for dossiers heard of on ``day``; None where none does."""
        return next((found for found in self._looks(newest=True, upto=day) if found.quiet_from <= day), None)

    def _looks(self, *, newest: bool, upto: date) -> Iterator[QualityLooked]:
        of = sa.and_(t.registry.c.kind == _LOOKED, t.registry.c.seq <= upto.toordinal())
        order = t.registry.c.seq.desc() if newest else t.registry.c.seq
        for row in self.conn.execute(sa.select(t.registry.c.fact).where(of).order_by(order)):
            yield msgspec.json.decode(row.fact, type=QualityLooked)


class Looking(LookingReading):
    """Keeping them."""

    def keep_look(self, fact: QualityLooked, steps: Sequence[AlertChanged], now: datetime) -> bool:
        """A look and the steps of alerts that follow from it, all together into ledger and outbox; False, and nothing, when one of this
        day or a later one is there."""
        self.position(_LOOKED)
        last = self.last_look()
        if last is not None and last.day >= fact.day:
            return False
        row = {"kind": _LOOKED, "ref": fact.day.isoformat(), "seq": fact.day.toordinal(), "event_id": fact.event_id}
        self.insert_new(t.registry, [row | {"fact": msgspec.json.encode(fact).decode()}])
        for step in steps:
            self.alert_step(step)
        self.put([fact, *steps], now)
        return True
