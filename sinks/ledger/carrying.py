"""Who carries each channel, since when and how well: questions for whoever looks after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import sqlalchemy as sa

from sinks.ledger import schema as t
from sinks.ledger.base import Base

_ONE = 1_000_000
"""As in sinks.ledger.budgeting."""


@dataclass(frozen=True)
class Change:
    """The last change of a channel's provider. ``at``: real time."""

    provider: str
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True)
class Outcomes:
    """What became of a provider's messages lately."""

    taken: int
    refused: int
    slow: int


class Carrying(Base):
    """The part of a reader about it."""

    def last_change(self, channel: str) -> Change | None:
        """None while a channel has never changed its provider."""
        row = self.conn.execute(sa.select(t.providers).where(t.providers.c.channel == channel)).first()
        return None if row is None else Change(row.provider, row.reason, row.by, row.real_at)

    def lately(self, provider: str, real_since: datetime) -> Outcomes:
        """Outcomes of the whole minutes from then on."""
        m = t.provider_minutes.c
        sums = sa.select(*(sa.func.coalesce(sa.func.sum(m[name]), 0) for name in ("taken", "refused", "slow")))
        taken, refused, slow = self.conn.execute(sums.where(m.provider == provider, m.minute >= real_since)).one()
        return Outcomes(int(taken), int(refused), int(slow))

    def turns_left(self, provider: str, real_now: datetime) -> float | None:
        """How many messages its rate lets through at this moment; None where it has no limit."""
        rate = self.tools.rates.get(provider, 0.0)
        if rate <= 0:
            return None
        most = max(rate * self.tools.saved_s, 1.0)
        row = self.conn.execute(sa.select(t.rates).where(t.rates.c.provider == provider)).first()
        if row is None:
            return most
        return float(min(most, row.credit / _ONE + max(0.0, (real_now - row.at).total_seconds()) * rate))

    def cost_of(self, provider: str, day: date) -> int:
        """Đồng of a local day's budget for messages that a provider was given and did not surely refuse, arrived or not."""
        begin = datetime.combine(day, time(0), self.tools.zone)
        mine = (t.claims.c.provider == provider, t.claims.c.claimed_at >= begin, t.claims.c.claimed_at < begin + timedelta(days=1))
        failed_later = sa.and_(t.claims.c.state == "failed", t.claims.c.provider_id.is_not(None))
        kept = sa.or_(t.claims.c.state.in_(("claimed", "handed_over", "delivered", "unknown")), failed_later)
        return int(self.conn.execute(sa.select(sa.func.coalesce(sa.func.sum(t.claims.c.price), 0)).where(*mine, kept)).scalar_one())

    def spent_on(self, day: date) -> int:
        """Đồng taken from a local day's budget."""
        return int(self.conn.execute(sa.select(t.money.c.spent).where(t.money.c.day == day)).scalar() or 0)
