"""Claiming: every check once more at the moment of sending, then a claim that is committed before the provider is called."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast

import msgspec
import sqlalchemy as sa

from hailong.events import About, DeliveryState, MessageChannel, Purpose, SurveyDelivery
from hailong.ports import Claimed, Contact
from sinks.ledger import schema as t
from sinks.ledger.base import Base
from sinks.ledger.dossiers import Dossiers, VaultEntry, keys_of
from sinks.ledger.vault import VaultError

KINDS = ("invitation", "officers")


@dataclass(frozen=True)
class _Moment:
    """When and by whom a batch is claimed."""

    now: datetime
    real_now: datetime
    lease_until: datetime
    worker: str


class Claiming(Dossiers, Base):
    """The first half of sending."""

    def claim_due(self, now: datetime, real_now: datetime, lease_until: datetime, limit: int, worker: str) -> list[Claimed]:
        """Claim up to ``limit`` due messages, with every check made again at this moment (contacts locked).

        What fails a check is withdrawn; its fact goes to the outbox. A claim is unique by (ref, purpose), so a message that was
        claimed before, by whomever, is claimed again only after a definite refusal.
        """
        moment = _Moment(now, real_now, lease_until, worker)
        rows = self._due_now(KINDS, now, real_now, limit)
        if not rows:
            return []
        before = self._claims_before([r.ref for r in rows])
        invitations = [r for r in rows if r.kind == "invitation"]
        claimed = self._claim_invitations(invitations, before, moment) if invitations else []
        for row in rows:
            if row.kind == "officers" and (claim := self._row(row, "officers", "email", before, moment)):
                claimed.append((claim, self._officers(row, claim)))
        self._write_claims([claim for claim, _ in claimed])
        # The due rows are done: what stays open is reconciled by its claim, never taken again as due.
        self.finish_due([r.id for r in rows])
        return [c for _, c in claimed]

    def _claims_before(self, refs: Sequence[str]) -> dict[tuple[str, str], Any]:
        found = self.conn.execute(self.locked(sa.select(t.claims).where(t.claims.c.ref.in_(refs))))
        return {(c.ref, c.purpose): c for c in found}

    def _row(self, row: Any, purpose: str, channel: str, before: dict[tuple[str, str], Any], m: _Moment) -> dict[str, Any] | None:
        """The claim to write, new or taken up again after a definite refusal; None when another one stands."""
        old = before.get((row.ref, purpose))
        if old is not None and old.state != "released":
            return None
        new = {"claim_id": self.tools.new_id(), "ref": row.ref, "purpose": purpose, "due_id": row.id, "language": "vi"}
        base = dict(old._mapping) if old is not None else {**new, "attempts": 0, "seq": 0, "expires_at": None, "segments": 0}
        values = {"state": "claimed", "channel": channel, "worker": m.worker, "claimed_at": m.now, "real_claimed_at": m.real_now}
        return {**base, **values, "lease_until": m.lease_until, "checks": 0, "attempts": base["attempts"] + 1, "seq": base["seq"] + 1}

    def _write_claims(self, claims: Sequence[dict[str, Any]]) -> None:
        self.insert_new(t.claims, [c for c in claims if c["attempts"] == 1])
        for c in claims:
            if c["attempts"] > 1:
                self.conn.execute(sa.update(t.claims).where(t.claims.c.claim_id == c["claim_id"]).values(**c))

    def _officers(self, row: Any, claim: dict[str, Any]) -> Claimed:
        payload = json.loads(row.payload)
        return Claimed(
            due_id=row.id, claim_id=claim["claim_id"], kind="officers", ref=row.ref, channel="email", contact=None, address=payload["to"],
            language=payload.get("language", "vi"), expires_at=None, attempts=claim["attempts"], payload=payload,
            about=None, claimed_at=claim["claimed_at"], real_claimed_at=claim["real_claimed_at"],
        )  # fmt: skip

    # --- invitations

    def _claim_invitations(
        self, rows: Sequence[Any], before: dict[tuple[str, str], Any], m: _Moment
    ) -> list[tuple[dict[str, Any], Claimed]]:
        refs = [r.ref for r in rows]
        slots = {s.survey_id: s for s in self.conn.execute(self.locked(sa.select(t.slots).where(t.slots.c.survey_id.in_(refs))))}
        people = self._people([slots[ref] for ref in refs if ref in slots])
        answered = set(self.conn.execute(sa.select(t.answers.c.survey_id).where(t.answers.c.survey_id.in_(refs))).scalars())
        taken = self._under_way()
        claimed: list[tuple[dict[str, Any], Claimed]] = []
        facts: list[SurveyDelivery] = []
        for row in rows:
            slot, channel = slots[row.ref], cast(MessageChannel, json.loads(row.payload)["channel"])
            entry = people.entries.get(slot.dossier_ref)
            contact = Contact(entry.phone, entry.email) if entry else Contact(None, None)
            why = people.why_not(slot, m.now, taken, self.tools.cap_days, row.ref in answered, contact, channel)
            if why is not None:
                facts += self._withdrawn(slot, why, m.now)
            elif claim := self._row(row, "invitation", channel, before, m):
                claim |= {"language": slot.language, "expires_at": slot.expires_at}
                taken.update(keys_of(slot))
                facts.append(self.step(slot, "invitation", claim["seq"], "claimed", m.now, channel=channel))
                claimed.append((claim, self._invitation(slot, claim, contact)))
        self.put(facts, m.now)
        self._in_flight([c.ref for _, c in claimed], [c.channel for _, c in claimed])
        return claimed

    def _under_way(self) -> set[str]:
        """Contacts of messages that are claimed and not settled: they may arrive, so they count for the cap. Ask with contacts locked."""
        theirs = sa.select(t.slots.c.phone_hash, t.slots.c.email_hash, t.slots.c.person_hash)
        joined = theirs.join(t.claims, t.claims.c.ref == t.slots.c.survey_id).where(t.claims.c.state == "claimed")
        return {h for row in self.conn.execute(joined) for h in keys_of(row)}

    def _people(self, slots: Sequence[Any]) -> _People:
        refs = [s.dossier_ref for s in slots]
        hashes = sorted({h for s in slots for h in keys_of(s)})
        found = self.conn.execute(self.locked(sa.select(t.contacts).where(t.contacts.c.hash.in_(hashes)).order_by(t.contacts.c.hash)))
        sealed = self.conn.execute(sa.select(t.vault).where(t.vault.c.dossier_ref.in_(refs)))
        return _People({c.hash: c for c in found}, {v.dossier_ref: entry for v in sealed if (entry := self._readable(v))})

    def _readable(self, row: Any) -> VaultEntry | None:
        """None for an entry whose key was discarded: it is erased, and its invitation is withdrawn."""
        try:
            return self.opened(row)
        except VaultError:
            return None

    def _in_flight(self, surveys: Sequence[str], channels: Sequence[MessageChannel]) -> None:
        if surveys:
            self.conn.execute(sa.update(t.slots).where(t.slots.c.survey_id.in_(surveys)).values(reason="in_flight"))
        codes = [self.tools.code_for(s, "invitation", c) for s, c in zip(surveys, channels, strict=True)]
        self.insert_new(
            t.codes, [{"code_hash": self.tools.code_hash(code), "survey_id": s} for code, s in zip(codes, surveys, strict=True)]
        )

    def _invitation(self, slot: Any, claim: dict[str, Any], contact: Contact) -> Claimed:
        kind: Literal["invitation"] = "invitation"
        return Claimed(
            due_id=claim["due_id"], claim_id=claim["claim_id"], kind=kind, ref=slot.survey_id, channel=claim["channel"], contact=contact,
            address=None, language=slot.language, expires_at=slot.expires_at, attempts=claim["attempts"], payload={},
            about=msgspec.json.decode(slot.about, type=About), claimed_at=claim["claimed_at"], real_claimed_at=claim["real_claimed_at"],
        )  # fmt: skip

    def _withdrawn(self, slot: Any, why: str, now: datetime) -> list[SurveyDelivery]:
        if slot.outcome != "waiting":
            return []
        self.withdraw(slot, why)
        return [self.step(slot, "invitation", 1, "withdrawn", now, reason=why)]

    def step(self, slot: Any, purpose: Purpose, seq: int, state: DeliveryState, at: datetime, **more: Any) -> SurveyDelivery:
        """A step of a message as a fact."""
        return SurveyDelivery(
            event_id=f"{slot.survey_id}:{purpose}:{seq}:{state}",
            registry_id=self.tools.registry_id,
            survey_id=slot.survey_id,
            purpose=purpose,
            seq=seq,
            state=state,
            at=at,
            about=msgspec.json.decode(slot.about, type=About),
            **more,
        )


@dataclass(frozen=True)
class _People:
    """Contacts (locked) and vault entries of a batch."""

    contacts: dict[str, Any]
    entries: dict[str, VaultEntry]

    def why_not(
        self, slot: Any, now: datetime, taken: set[str], cap_days: int, answered: bool, contact: Contact, channel: MessageChannel
    ) -> str | None:
        """The first check that fails at this moment; None when the message may go. ``taken``: contacts under way."""
        if slot.outcome != "waiting":
            return slot.reason or "already_asked"
        if slot.expires_at is not None and slot.expires_at <= now:
            return "expired"
        if answered:
            return "answered"
        mine = [self.contacts[h] for h in keys_of(slot) if h in self.contacts]
        if any(c.opted_out_at is not None for c in mine):
            return "opted_out"
        since = now - timedelta(days=cap_days)
        asked = any(c.asked_at is not None and c.asked_by != slot.survey_id and c.asked_at > since for c in mine)
        if asked or (cap_days > 0 and not taken.isdisjoint(keys_of(slot))):
            return "recently_asked"
        if slot.dossier_ref not in self.entries:
            return "contact_erased"
        if (contact.phone if channel == "sms" else contact.email) is None:
            return "no_contact"
        return None
