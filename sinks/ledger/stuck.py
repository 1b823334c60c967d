"""What may be stuck, state by state: one number each. What a number means and what to do about it is for whoever shows it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from sinks.ledger import schema as t
from sinks.ledger.base import Base

UNDECIDED_AFTER: Final = timedelta(minutes=30)
OVERDUE_AFTER: Final = timedelta(minutes=15)
SETTLED_WITHIN: Final = timedelta(minutes=15)
"""After the lease: a minute, then two questions to the provider, 5 minutes apart, take less."""
RECEIPT_AFTER: Final = timedelta(days=1)
STRAY_AFTER: Final = timedelta(hours=1)
LATE_AFTER: Final = timedelta(hours=1)
TRIES: Final = 3
"""So many tries that all came back are no passing fault."""
_MESSAGES: Final = ("invitation", "reminder", "officers")
_RESTING: Final = "decide"


class Stuck(Base):
    """Counting, in a consistent view."""

    def stuck(self, now: datetime, real_now: datetime) -> dict[str, int]:
        """State → how many are in it and should not be. ``now``: the installation's clock; leases are real time."""
        return {
            "undecided": self._slots("undecided", t.slots.c.taken_at < now - UNDECIDED_AFTER),
            "overdue": self._overdue(now, real_now),
            "claimed": self._claims("claimed", t.claims.c.lease_until < real_now - SETTLED_WITHIN),
            "unknown": self._claims("unknown"),
            "came_back": self._coming_back(),
            "no_receipt": self._without_receipt(now),
            "stray_receipts": self._count(t.receipts, t.receipts.c.applied.is_(False), t.receipts.c.at < now - STRAY_AFTER),
            "channel_off": self._slots("channel_off"),
            "over_budget": self._slots("over_budget"),
            "resting": self._late((_RESTING,), now, LATE_AFTER),
            "late": self._count(t.due, *_waiting(now - LATE_AFTER), t.due.c.kind.not_in((*_MESSAGES, _RESTING))),
            "outbox": self._count(t.outbox),
            "judge": self._behind(),
            "erasures": self._count(t.vault, t.vault.c.key_month < f"{now.astimezone(self.tools.zone):%Y-%m}"),
            "dead_letters": self._count(t.dead_letters, t.dead_letters.c.state == "waiting"),
            "paused": self._count(t.sources, t.sources.c.paused_at.is_not(None)),
        }

    def _count(self, table: sa.Table, *which: sa.ColumnElement[bool]) -> int:
        return self.conn.execute(sa.select(sa.func.count()).select_from(table).where(*which)).scalar_one()

    def _slots(self, reason: str, *more: sa.ColumnElement[bool]) -> int:
        return self._count(t.slots, t.slots.c.outcome == "waiting", t.slots.c.reason == reason, *more)

    def _claims(self, state: str, *more: sa.ColumnElement[bool]) -> int:
        return self._count(t.claims, t.claims.c.state == state, *more)

    def _late(self, kinds: tuple[str, ...], now: datetime, after: timedelta) -> int:
        return self._count(t.due, *_waiting(now - after), t.due.c.kind.in_(kinds))

    def _overdue(self, now: datetime, real_now: datetime) -> int:
        """Messages that should have gone. Those to citizens only while they may be written to, and have been for a while."""
        open_ = self.tools.is_open(now) and self.tools.is_open(now - OVERDUE_AFTER)
        kinds = _MESSAGES if open_ else ("officers",)
        return self._late(kinds, now, OVERDUE_AFTER)

    def _coming_back(self) -> int:
        """Messages that were not accepted, time after time, and are still to go: of one that was withdrawn the due row is done."""
        still = sa.select(t.due.c.id).where(t.due.c.kind.in_(_MESSAGES), t.due.c.state == "waiting")
        return self._claims("released", t.claims.c.attempts >= TRIES, t.claims.c.due_id.in_(still))

    def _without_receipt(self, now: datetime) -> int:
        """Handed over to a provider that reports, and nothing heard for a day."""
        since = now + timedelta(days=self.tools.receipt_days) - RECEIPT_AFTER
        return self._count(t.due, t.due.c.kind == "no_receipt", t.due.c.state == "waiting", t.due.c.due_at < since)

    def _behind(self) -> int:
        """Counted records that are not judged yet."""
        rows = self.conn.execute(sa.select(t.positions.c.name, t.positions.c.value).where(t.positions.c.name.in_(("counted", "judged"))))
        at: dict[str, Any] = {r.name: r.value for r in rows}
        return int(max(0, at.get("counted", 0) - at.get("judged", 0)))


def _waiting(before: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return t.due.c.state == "waiting", t.due.c.due_at < before
