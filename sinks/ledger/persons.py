"""Everything the ledger knows of one person, to be handed to them or erased at their wish.

A person is found by a number, an address, or the id a source knows them by: by the keyed hash, under every pepper. Where a household
shares a number, what is found by it is the household's. What was erased before, by time, can no longer be found.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from hailong.ports import Retryable
from sinks.ledger import schema as t
from sinks.ledger.claiming import Claiming
from sinks.ledger.erasing import Erasing
from sinks.ledger.preferring import mark
from sinks.ledger.vault import VaultError

ContactKind = Literal["phone", "email", "person"]
_COLUMNS = {"phone": t.slots.c.phone_hash, "email": t.slots.c.email_hash, "person": t.slots.c.person_hash}
_OF_SLOT = (
    "dossier_ref", "survey_id", "source", "unit", "about", "ended_on", "occurred_at", "received_at", "taken_at", "language", "minor",
    "preferred", "refused", "outcome", "reason", "expires_at", "weight", "arms", "reopened_at",
)  # fmt: skip
_OF_MESSAGE = (
    "purpose", "channel", "provider", "provider_id", "state", "claimed_at", "settled_at", "language", "template", "segments", "price",
    "code", "reason",
)  # fmt: skip


class Persons(Erasing, Claiming):
    """One person."""

    def export_person(self, kind: ContactKind, value: str, by: str) -> dict[str, Any]:
        """``{contact, dossiers}``: preferences, and per dossier what stands in the slot, the vault, messages and the counted score.

        ``value``: normalised; of ``person`` it is ``SOURCE:ID``. That it was asked for goes into the audit trail, with the hash's mark
        and counts only; ``exported`` says afterwards that it was handed out.
        """
        hashes = self._called(kind, value)
        slots = self._dossiers_of(kind, hashes)
        found = [self._exported(slot) for slot in slots]
        self._export_audited("export_asked", kind, value, by, len(found))
        return {"contact": self._preferences(hashes), "dossiers": found}

    def exported(self, kind: ContactKind, value: str, by: str, dossiers: int) -> None:
        """An export that ``export_person`` began was made and handed out."""
        self._export_audited("exported", kind, value, by, dossiers)

    def _export_audited(self, act: Literal["export_asked", "exported"], kind: ContactKind, value: str, by: str, dossiers: int) -> None:
        self.audited(by, act, f"contact:{mark(self.tools.contact_hash(kind, value))}", {"kind": kind, "dossiers": dossiers})

    def erase_person(self, kind: ContactKind, value: str, now: datetime, day: date, *, opt_out: bool, by: str) -> dict[str, int]:
        """Erase what names a person, with what joins them to answers; how much of what. May be repeated.

        ``opt_out``: nobody asks them again, for which the keyed hash stays; else an opt-out that stood goes too, and only what the cap
        needs stays until it is over. Raises Retryable while a message to them is under way.
        """
        hashes = self._called(kind, value)
        slots = self._dossiers_of(kind, hashes)
        if self._message_under_way(hashes):
            raise Retryable("a message to this person is under way; nothing was erased. Try again in a few minutes", after=120)
        self._withdraw_due(slots, now)
        words = self._without_words([s.survey_id for s in slots])
        self.count_erased(day, "comments", {"": words})
        done = dict(self.erase_slots(slots, day, now)) if slots else {}
        self.choose("opt_out" if opt_out else "opt_in", hashes, now, "rights")
        kept = self._hashes_needed(hashes, now)
        gone = sa.delete(t.contacts).where(t.contacts.c.hash.in_(set(hashes) - kept))
        done |= {"dossiers": len(slots), "comments": words, "hashes": self.conn.execute(gone).rowcount, "hashes_kept": len(kept)}
        self.count_erased(day, "hashes", {"": done["hashes"]})
        told = {"kind": kind, "opt_out": opt_out, "dossiers": len(slots)}
        self.audited(by, "erased", f"contact:{mark(self.tools.contact_hash(kind, value))}", told)
        return done

    # --- finding

    def _called(self, kind: ContactKind, value: str) -> list[str]:
        return self.same(list(self.every_hash(kind, value)))

    def _dossiers_of(self, kind: ContactKind, hashes: Sequence[str]) -> list[Any]:
        mine = sa.select(t.slots).where(_COLUMNS[kind].in_(hashes)).order_by(t.slots.c.taken_at, t.slots.c.dossier_ref)
        return list(self.conn.execute(self.locked(mine)))

    # --- export

    def _preferences(self, hashes: Sequence[str]) -> list[dict[str, Any]]:
        c = t.contacts.c
        rows = self.conn.execute(sa.select(c.hash, c.pepper, c.planned_at, c.asked_at, c.opted_out_at).where(c.hash.in_(hashes)))
        return [dict(row._mapping) for row in rows]

    def _exported(self, slot: Any) -> dict[str, Any]:
        claims = self.conn.execute(sa.select(t.claims).where(t.claims.c.ref == slot.survey_id).order_by(t.claims.c.claimed_at))
        answer = self.conn.execute(sa.select(t.answers).where(t.answers.c.survey_id == slot.survey_id)).first()
        words = sa.select(t.comments.c.question, t.comments.c.text).order_by(t.comments.c.question)
        score = None if answer is None else {"score": answer.score, "revision": answer.revision, "counted_at": answer.counted_at}
        messages = [{name: getattr(claim, name) for name in _OF_MESSAGE} for claim in claims]
        return {
            **{name: getattr(slot, name) for name in _OF_SLOT},
            "named": self._named(slot.dossier_ref),
            "messages": messages,
            "answer": score,
            "own_words": {row.question: row.text for row in self.conn.execute(words.where(t.comments.c.survey_id == slot.survey_id))},
        }

    def _named(self, dossier_ref: str) -> dict[str, Any] | str:
        """What the vault holds; or why it cannot be shown."""
        try:
            entry = self.open_vault(dossier_ref)
        except VaultError:
            return "sealed under a key that is gone: erased"
        if entry is None:
            return "erased"
        return {name: getattr(entry, name) for name in entry.__struct_fields__}

    # --- erase

    def _without_words(self, surveys: Sequence[str]) -> int:
        """Own words and wishes to be called back go with what leads to the person; how many words went."""
        self.conn.execute(sa.delete(t.callbacks).where(t.callbacks.c.survey_id.in_(surveys)))
        return self.conn.execute(sa.delete(t.comments).where(t.comments.c.survey_id.in_(surveys))).rowcount

    def _withdraw_due(self, slots: Sequence[Any], now: datetime) -> None:
        """What waits is not sent. Endings that are not decided yet, or rest, are decided without a contact: not asked, ``no_contact``."""
        before = self._claims_before([s.survey_id for s in slots])
        for slot in slots:
            reminders = sa.and_(t.due.c.ref == slot.survey_id, t.due.c.kind == "reminder", t.due.c.state == "waiting")
            self.conn.execute(sa.update(t.due).where(reminders).values(state="done", lease_until=None))
            if slot.outcome == "waiting" and slot.reason not in ("undecided", "resting"):
                self.put(self._withdrawn(slot, "invitation", "contact_erased", now, before), now)

    def _hashes_needed(self, hashes: Sequence[str], now: datetime) -> set[str]:
        """Hashes that stand on: for an opt-out, or until the cap is over."""
        c, since = t.contacts.c, now - timedelta(days=self.tools.cap_days(now))
        needed = sa.or_(c.opted_out_at.is_not(None), c.asked_at > since)
        return set(self.conn.execute(sa.select(c.hash).where(c.hash.in_(hashes), needed)).scalars())
