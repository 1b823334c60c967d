"""Going live: which channels may write to people, which test messages were handed over and seen. All moments here are real time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sinks.ledger import schema as t
from sinks.ledger.base import Base


@dataclass(frozen=True)
class Switch:
    """One switch of a channel; ``provider``: its main one then."""

    channel: str
    on: bool
    provider: str
    by: str
    at: datetime


@dataclass(frozen=True)
class Trial:
    """A test that a provider took; ``seen_at``: somebody confirmed that it arrived."""

    id: str
    channel: str
    provider: str
    language: str
    by: str
    at: datetime
    seen_by: str | None = None
    seen_at: datetime | None = None


class Going(Base):
    """The part of a transaction about it."""

    def live_channels(self) -> dict[str, Switch]:
        """Channel → the switch that lets it write to people; only those that are on."""
        newest = sa.select(sa.func.max(t.live.c.id)).group_by(t.live.c.channel)
        rows = self.conn.execute(sa.select(t.live).where(t.live.c.id.in_(newest), t.live.c.on.is_(True)).order_by(t.live.c.channel))
        return {r.channel: _switch(r) for r in rows}

    def switches(self) -> list[Switch]:
        """Every switch, oldest first."""
        return [_switch(r) for r in self.conn.execute(sa.select(t.live).order_by(t.live.c.id))]

    def switch(self, channel: str, provider: str, *, on: bool, by: str, real_now: datetime) -> bool:
        """Let a channel write to people, or not any more; False when it is so already. The caller writes the audit trail."""
        if (channel in self.live_channels()) == on:
            return False
        self.conn.execute(sa.insert(t.live).values(channel=channel, on=on, provider=provider, by=by, at=real_now))
        return True

    def note_test(self, test: Trial) -> None:
        """A provider has taken a test."""
        self.insert_new(t.test_messages, [{**vars(test)}])

    def test_seen(self, test_id: str, by: str, real_now: datetime) -> Trial | None:
        """Somebody saw it arrive; None for one that was never handed over. Seen twice, the first holds."""
        mine = t.test_messages.c.id == test_id
        unseen = sa.update(t.test_messages).where(mine, t.test_messages.c.seen_at.is_(None))
        self.conn.execute(unseen.values(seen_by=by, seen_at=real_now))
        row = self.conn.execute(sa.select(t.test_messages).where(mine)).first()
        return None if row is None else Trial(**row._mapping)

    def tests(self, channel: str | None = None) -> list[Trial]:
        """Tests that were handed over, newest first."""
        rows = sa.select(t.test_messages).order_by(t.test_messages.c.at.desc(), t.test_messages.c.id)
        rows = rows if channel is None else rows.where(t.test_messages.c.channel == channel)
        return [Trial(**r._mapping) for r in self.conn.execute(rows)]

    def last_act(self, act: str) -> datetime | None:
        """When the audit trail last says that somebody did this."""
        return self.conn.execute(sa.select(t.audit.c.at).where(t.audit.c.act == act).order_by(t.audit.c.seq.desc()).limit(1)).scalar()


def place_of(url: str) -> Path | str:
    """Where the database of a SQLAlchemy address lies: its file, or the name of its host."""
    address = sa.make_url(url)
    return Path(address.database or "") if address.get_backend_name() == "sqlite" else (address.host or "this machine")


def _switch(r: Any) -> Switch:
    return Switch(r.channel, r.on, r.provider, r.by, r.at)
