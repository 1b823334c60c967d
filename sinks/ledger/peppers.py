"""Contacts under more than one pepper: whoever was known by an older hash is known by the newest one, with everything that binds us.

A pepper is replaced by a new version beside it; the old one stays as long as an opt-out rests on it alone. Who comes in again is moved to
the newest hash in the same transaction; with one pepper none of this costs anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from sinks.ledger import schema as t
from sinks.ledger.base import Base

COLUMNS: Final = {"phone": t.slots.c.phone_hash, "email": t.slots.c.email_hash, "person": t.slots.c.person_hash}


class Peppers(Base):
    """The keyed hashes of a contact."""

    def hash_of(self, kind: str, value: str) -> str:
        """The newest hash of a contact (``phone``, ``email``, ``person``); what older ones say of it holds for it from now on."""
        newest, older = self.tools.contact_hash(kind, value), self.tools.older_hashes(kind, value)
        if older:
            self._carry_over(kind, newest, older)
        return newest

    def every_hash(self, kind: str, value: str) -> dict[str, int]:
        """Hash → version, for every pepper that stands; their rows are there afterwards."""
        found = {digest: version for version, digest in self.tools.older_hashes(kind, value).items()}
        found[self.tools.contact_hash(kind, value)] = self.tools.pepper_version()
        self.insert_new(t.contacts, [{"hash": digest, "pepper": version} for digest, version in sorted(found.items())])
        return found

    def same(self, hashes: Collection[str]) -> list[str]:
        """These, and what the same contacts are called under other peppers, as far as that is known."""
        of_these = sa.or_(t.contacts.c.hash.in_(hashes), t.contacts.c.newer.in_(hashes))
        rows = self.conn.execute(sa.select(t.contacts.c.hash, t.contacts.c.newer).where(of_these))
        return sorted({*hashes, *(h for row in rows for h in row if h is not None)})

    def _carry_over(self, kind: str, newest: str, older: Mapping[int, str]) -> None:
        hashes = list(older.values())
        self.insert_new(t.contacts, [{"hash": newest, "pepper": self.tools.pepper_version()}])
        wanted = sa.select(t.contacts).where(t.contacts.c.hash.in_([*hashes, newest])).order_by(t.contacts.c.hash)
        rows = {row.hash: row for row in self.conn.execute(self.locked(wanted))}
        known = rows.pop(newest)
        news = [row for row in rows.values() if row.newer != newest]
        if news:
            self.conn.execute(sa.update(t.contacts).where(t.contacts.c.hash == newest).values(**_bound([known, *news])))
            self.conn.execute(sa.update(t.contacts).where(t.contacts.c.hash.in_([r.hash for r in news])).values(newer=newest))
        column = COLUMNS[kind]
        self.conn.execute(sa.update(t.slots).where(column.in_(hashes)).values({column: newest}))


def _bound(rows: list[Any]) -> dict[str, Any]:
    """What binds us to a contact that several rows are about: the latest asking, the first opt-out."""
    planned = max(rows, key=lambda r: _at(r.planned_at))
    asked = max(rows, key=lambda r: _at(r.asked_at))
    out: datetime | None = min((r.opted_out_at for r in rows if r.opted_out_at is not None), default=None)
    fields = {"planned_at": planned.planned_at, "planned_by": planned.planned_by, "asked_at": asked.asked_at, "asked_by": asked.asked_by}
    return {**fields, "opted_out_at": out}


def _at(moment: datetime | None) -> datetime:
    return moment or t.EPOCH
