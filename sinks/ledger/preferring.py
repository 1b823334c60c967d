"""Who wants no more messages: opting out by every door, opting in by the person's own link. Committed before anybody confirms it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from hailong.domain.people import normal_contact
from hailong.ports import Invalid, OptOut
from sinks.ledger import schema as t
from sinks.ledger.answering import Answering
from sinks.ledger.audit import Audit
from sinks.ledger.dossiers import Dossiers, keys_of

_LETTERS: Final = str.maketrans("0123456789", "ghijkmnpqr")


def mark(contact_hash: str) -> str:
    """What stands for a contact in the audit trail: twelve letters of its hash, never digits, so that none is taken for a number."""
    return contact_hash[:12].translate(_LETTERS)


class Preferring(Dossiers, Answering, Audit):
    """Opting out and in."""

    def opt_out(self, code: str, now: datetime, door: str) -> OptOut:
        """Opt out every number, address and person behind a code; may be repeated. Who comes in under a newer pepper is known by the older.

        ``under_way`` while a message to them is claimed: it may still arrive. The caller asks again before it confirms.
        """
        keys = self._behind(code)
        if keys is None:
            return "unknown_code"
        self.choose("opt_out", keys, now, door)
        return "under_way" if self._message_under_way(keys) else "recorded"

    def opt_in(self, code: str, now: datetime, door: str) -> bool:
        """Messages may come again to everything behind a code; False for an unknown one. Only for the holder of the link."""
        keys = self._behind(code)
        if keys is not None:
            self.choose("opt_in", keys, now, door)
        return keys is not None

    def opt_out_number(self, number_or_mail: str, now: datetime, door: str, by: str | None = None) -> OptOut:
        """Opt out a number or an address as typed, known or not, under every pepper; may be repeated. ``by``: whom the trail names.

        Never ``unknown_code``: one that was never heard of is kept all the same. Raises Invalid (``not_a_contact``).
        """
        contact = normal_contact(number_or_mail)
        if contact is None:
            raise Invalid("not_a_contact", "contact", "write one telephone number or one mail address")
        keys = self.same(list(self.every_hash(*contact)))
        self.choose("opt_out", keys, now, door)
        if by is not None:
            self.audited(by, "opted_out", f"contact:{mark(self.tools.contact_hash(*contact))}", {"kind": contact[0], "door": door})
        return "under_way" if self._message_under_way(keys) else "recorded"

    def _behind(self, code: str) -> list[str] | None:
        """The hashes of everything a code leads to; None for an unknown one. Its slot is locked: nobody gives it other hashes meanwhile."""
        found = self.slot_row(code)
        if found is None:
            return None
        slot = self.conn.execute(self.locked(sa.select(t.slots).where(t.slots.c.dossier_ref == found.dossier_ref))).one()
        keys = sorted(keys_of(slot))
        self.insert_new(t.contacts, [{"hash": h} for h in keys])
        return self.same(keys)

    def _message_under_way(self, keys: Collection[str]) -> bool:
        theirs = sa.or_(t.slots.c.phone_hash.in_(keys), t.slots.c.email_hash.in_(keys), t.slots.c.person_hash.in_(keys))
        joined = sa.select(t.claims.c.claim_id).join(t.slots, t.slots.c.survey_id == t.claims.c.ref)
        return self.conn.execute(joined.where(t.claims.c.state == "claimed", theirs).limit(1)).first() is not None
