"""Writing down who wants messages and who does not, whichever door said so."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from hailong.events import ContactPreference
from sinks.ledger import schema as t
from sinks.ledger.peppers import Peppers


class Choosing(Peppers):
    """A choice, and the facts of it."""

    def choose(self, choice: Literal["opt_out", "opt_in"], keys: Collection[str], now: datetime, door: str) -> None:
        out = t.contacts.c.opted_out_at
        new = sa.and_(t.contacts.c.hash.in_(keys), out.is_(None) if choice == "opt_out" else out.is_not(None))
        wanted = sa.select(t.contacts.c.hash, t.contacts.c.pepper).where(new).order_by(t.contacts.c.hash)
        rows = list(self.conn.execute(self.locked(wanted)))
        at = now if choice == "opt_out" else None
        self.conn.execute(sa.update(t.contacts).where(t.contacts.c.hash.in_([r.hash for r in rows])).values(opted_out_at=at))
        facts = [
            ContactPreference(
                event_id=f"{r.hash}:{choice}:{now.isoformat()}", registry_id=self.tools.registry_id,
                contact_hash=r.hash, pepper_version=r.pepper, choice=choice, at=now, door=door,
            )
            for r in rows
        ]  # fmt: skip
        self.put(facts, now)
