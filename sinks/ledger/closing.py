"""Closing an alert: somebody says whether there was something."""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa

from hailong.domain.closing import Verdict, closed
from hailong.events import AlertChanged
from hailong.ports import Invalid
from sinks.ledger import schema as t
from sinks.ledger.audit import Audit
from sinks.ledger.judging import Judging


class ClosingReading(Judging):
    """Looking one up."""

    def alert(self, alert_id: str) -> list[AlertChanged]:
        """Its steps, by version; empty for an id that is none."""
        rows = self.conn.execute(sa.select(t.alerts.c.fact).where(t.alerts.c.alert_id == alert_id).order_by(t.alerts.c.version)).scalars()
        return [msgspec.json.decode(text, type=AlertChanged) for text in rows]


class Closing(ClosingReading, Audit):
    """The part of a transaction that closes alerts."""

    def close_alert(self, alert_id: str, said: Verdict, seen: int, by: str, now: datetime) -> AlertChanged:
        """Write down what somebody found, as a fact. ``seen``: the newest version they had before them.

        Raises Invalid: ``gone`` for an id that is none, ``stale`` when somebody else wrote meanwhile.
        """
        history = self.alert(alert_id)
        if not history:
            raise Invalid("gone", "alert", "there is no such alert")
        step = closed(history, said, seen, by, now)
        if not self.alert_step(step):
            raise Invalid("stale", "version", "somebody else closed this alert meanwhile: open it again")
        self.audited(by, "alert_changed", f"alert:{alert_id}", {"verdict": said, "version": step.version})
        self.put([step], now)
        return step
