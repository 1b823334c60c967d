"""What may be sent now, by whom and for how much: rates of providers, the day's money, which provider carries a channel.

All of it are rows, changed in the transaction that claims: however many workers claim, together they stay below each limit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from hailong.events import MessageChannel, ProviderChanged
from sinks.ledger import schema as t
from sinks.ledger.base import Base

_ONE: Final = 1_000_000
"""A message in the unit of a provider's credit: whole numbers, so that two databases agree."""
_KEPT: Final = timedelta(days=1)
"""So long outcomes of a minute are kept."""
BY_HAND: Final = "by_hand"
"""Why a provider carries a channel: a person said so."""
BARRED: Final = "barred"
"""It refused our account or settings."""
AUTOMATIC: Final = "automatic"
"""A person gave the choice back."""


class Budgeting(Base):
    """Limits of the sending part of a transaction."""

    # --- rates

    def take_turns(self, provider: str, wanted: int, real_now: datetime) -> int:
        """How many of ``wanted`` messages may go to a provider now; they are taken from its rate."""
        rate = self.tools.rates.get(provider, 0.0)
        if rate <= 0:
            return wanted
        full = int(max(rate * self.tools.saved_s, 1.0) * _ONE)
        self.insert_new(t.rates, [{"provider": provider, "credit": full, "at": real_now}])
        row = self.conn.execute(self.locked(sa.select(t.rates).where(t.rates.c.provider == provider))).one()
        passed = max(0, (real_now - row.at) // timedelta(microseconds=1))
        credit = min(full, row.credit + int(passed * rate))
        turns = min(wanted, credit // _ONE)
        self._keep_credit(provider, credit - turns * _ONE, max(row.at, real_now))
        return int(turns)

    def give_turns_back(self, provider: str, turns: int) -> None:
        """Turns that were taken and not used."""
        if turns > 0 and self.tools.rates.get(provider, 0.0) > 0:
            mine = t.rates.c.provider == provider
            self.conn.execute(sa.update(t.rates).where(mine).values(credit=t.rates.c.credit + turns * _ONE))

    def _keep_credit(self, provider: str, credit: int, at: datetime) -> None:
        self.conn.execute(sa.update(t.rates).where(t.rates.c.provider == provider).values(credit=credit, at=at))

    # --- money

    def open_days(self, days: Collection[date]) -> None:
        """Lock these days' money. Whoever settles or claims begins with it: workers then stand in one line, in which no turn is overtaken,
        and never in a circle of locks.
        """
        for day in sorted(days):
            self.insert_new(t.money, [{"day": day, "spent": 0}])
            self.conn.execute(self.locked(sa.select(t.money.c.day).where(t.money.c.day == day)))

    def local_day(self, at: datetime) -> date:
        return at.astimezone(self.tools.zone).date()

    def spend(self, day: date, price: int) -> bool:
        """Take ``price`` đồng from an opened day's budget; False when less is left. A budget of 0 is no limit; what is free always goes."""
        if price == 0:
            return True
        mine = t.money.c.day == day
        if self.tools.daily_budget > 0:
            mine = sa.and_(mine, t.money.c.spent + price <= self.tools.daily_budget)
        return self.conn.execute(sa.update(t.money).where(mine).values(spent=t.money.c.spent + price)).rowcount == 1

    def unspend(self, day: date, price: int) -> None:
        """What was taken and surely not spent."""
        if price:
            self.conn.execute(sa.update(t.money).where(t.money.c.day == day).values(spent=t.money.c.spent - price))

    def spent(self) -> list[tuple[date, int]]:
        """(day, đồng), oldest first."""
        return [(r.day, r.spent) for r in self.conn.execute(sa.select(t.money).order_by(t.money.c.day))]

    # --- providers

    def provider_of(self, channel: str) -> str:
        """Who carries a channel now."""
        way = self.tools.ways.get(channel)
        if way is None or way.reserve is None:
            return way.main if way else channel
        row = self._provider_row(channel)
        return row.provider if row is not None and row.provider in (way.main, way.reserve) else way.main

    def _provider_row(self, channel: str) -> Any:
        return self.conn.execute(sa.select(t.providers).where(t.providers.c.channel == channel)).first()

    def note_outcomes(self, outcomes: Mapping[str, Sequence[str]], real_now: datetime) -> None:
        """provider → what became of its messages: ``taken``, ``refused`` (surely not accepted, may pass), ``slow`` (or unknown)."""
        minute = real_now.replace(second=0, microsecond=0)
        for provider, ends in sorted(outcomes.items()):
            counts = {name: sum(end == name for end in ends) for name in ("taken", "refused", "slow")}
            here = sa.and_(t.provider_minutes.c.provider == provider, t.provider_minutes.c.minute == minute)
            if not self.insert_new(t.provider_minutes, [{"provider": provider, "minute": minute, **counts}]):
                more = {name: t.provider_minutes.c[name] + n for name, n in counts.items()}
                self.conn.execute(sa.update(t.provider_minutes).where(here).values(**more))
                continue
            old = sa.and_(t.provider_minutes.c.provider == provider, t.provider_minutes.c.minute < minute - _KEPT)
            self.conn.execute(sa.delete(t.provider_minutes).where(old))

    def watch_providers(self, now: datetime, real_now: datetime, barred_by: Collection[str] = ()) -> list[ProviderChanged]:
        """Go over to the reserve where the main provider refuses or drags, and back after a quiet time; the changes made.

        One that bars us is left at once: the next message would fare as this one did.
        """
        changed = []
        if any(way.reserve for way in self.tools.ways.values()):
            self._one_chooses()
        for channel, way in self.tools.ways.items():
            if way.reserve is None or self._by_hand(channel):
                continue
            active = self.provider_of(channel)
            why = BARRED if way.main in barred_by else self._ails(way.main, real_now)
            if active == way.main and why is not None:
                changed.append(self.use_provider(channel, way.reserve, why, "send", now, real_now))
            elif active == way.reserve and self._rested(channel, real_now):
                changed.append(self.use_provider(channel, way.main, "quiet", "send", now, real_now))
        return changed

    def _one_chooses(self) -> None:
        """Until the end of the transaction nobody else changes a provider: what one worker saw and did, the next one sees."""
        self.position("providers")

    def _ails(self, provider: str, real_now: datetime) -> str | None:
        """What is wrong with a provider lately; None when nothing is, or too little is known."""
        since = real_now - timedelta(seconds=self.tools.switching.window_s + 60)
        last = max([since, *([at] if (at := self._since(provider)) is not None else [])])
        rows = sa.select(*(sa.func.coalesce(sa.func.sum(t.provider_minutes.c[n]), 0).label(n) for n in ("taken", "refused", "slow")))
        mine = sa.and_(t.provider_minutes.c.provider == provider, t.provider_minutes.c.minute > last)
        got = self.conn.execute(rows.where(mine)).one()
        return self.tools.switching.ailment(int(got.taken), int(got.refused), int(got.slow))

    def _since(self, provider: str) -> datetime | None:
        """The minute a provider began to carry again: what came before is forgiven."""
        at = self.conn.execute(sa.select(sa.func.max(t.providers.c.real_at)).where(t.providers.c.provider == provider)).scalar()
        return None if at is None else at.replace(second=0, microsecond=0)

    def _rested(self, channel: str, real_now: datetime) -> bool:
        row = self._provider_row(channel)
        return row is not None and real_now - row.real_at >= timedelta(seconds=self.tools.switching.back_after_s)

    def _by_hand(self, channel: str) -> bool:
        """A person chose who carries the channel: it stays so until a person says otherwise."""
        row = self._provider_row(channel)
        return row is not None and row.reason == BY_HAND

    def use_provider(self, channel: MessageChannel | str, provider: str, reason: str, by: str, now: datetime, real_now: datetime) -> Any:
        """From now on ``provider`` carries ``channel``, also what waits because the other one refused it; the fact goes to the outbox."""
        self._one_chooses()
        row, before = self._provider_row(channel), self.provider_of(channel)
        version = (row.version if row is not None else 0) + 1
        values = {"provider": provider, "version": version, "reason": reason, "by": by, "at": now, "real_at": real_now}
        if not self.insert_new(t.providers, [{"channel": channel, **values}]):
            self.conn.execute(sa.update(t.providers).where(t.providers.c.channel == channel).values(**values))
        fact = ProviderChanged(
            event_id=f"{channel}:{version}", registry_id=self.tools.registry_id, channel=channel, provider=provider,  # type: ignore[arg-type]
            before=before, version=version, reason=reason, by=by, at=now,
        )  # fmt: skip
        self.put([fact], now)
        if provider != before:
            self._go_on_with_refused_by(before, channel, now)
        return fact

    def _go_on_with_refused_by(self, provider: str, channel: str, now: datetime) -> None:
        """Messages put off until their next try by a provider that no longer carries their channel."""
        refused = sa.select(t.claims.c.due_id).where(t.claims.c.state == "released", t.claims.c.provider == provider)
        waiting = sa.and_(t.due.c.state == "waiting", t.due.c.channel == channel, t.due.c.due_at > now, t.due.c.id.in_(refused))
        for officers in (True, False):
            mine = sa.and_(waiting, (t.due.c.kind == "officers") if officers else (t.due.c.kind != "officers"))
            self.conn.execute(sa.update(t.due).where(mine).values(due_at=now if officers else self.tools.next_open(now)))
