"""Settling: how claimed messages ended, what is still open, what providers report later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

import sqlalchemy as sa

from hailong.events import DeliveryState
from hailong.ports import Claimed, Receipt, Settlement
from sinks.ledger import schema as t
from sinks.ledger.claiming import Claiming
from sinks.ledger.dossiers import keys_of

_OUTCOME: Final = {
    "handed_over": ("asked", None),
    "unknown": ("asked", "unknown"),
    "failed": ("not_asked", "undeliverable"),
    "released": ("waiting", "not_before"),
}


class Settling(Claiming):
    """The second half of sending."""

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> None:
        """Write how claimed messages ended. A claim that is no longer open (settled by reconciliation meanwhile) is left as it is."""
        ended = [s for s in settlements if s.state != "open"]
        found = self.conn.execute(self.locked(sa.select(t.claims).where(t.claims.c.claim_id.in_([s.claimed.claim_id for s in ended]))))
        claims = {c.claim_id: c for c in found if c.state == "claimed"}
        ended = [s for s in ended if s.claimed.claim_id in claims]
        if not ended:
            return
        self._write_ends(ended, claims, now)
        for s in ended:
            if s.state == "released":
                self.postpone(s.claimed.due_id, s.retry_at or now)
        asked = [s for s in ended if s.claimed.kind != "officers"]
        if asked:
            self._settle_slots(asked, claims, now)

    def _write_ends(self, ended: Sequence[Settlement], claims: dict[str, Any], now: datetime) -> None:
        b = sa.bindparam
        columns = ("state", "settled_at", "reason", "code", "seq", "provider", "provider_id", "segments")
        statement = sa.update(t.claims).where(t.claims.c.claim_id == b("b_claim")).values({c: b(f"b_{c}") for c in columns})
        rows = []
        for s in ended:
            h = s.handover
            claim = claims[s.claimed.claim_id]
            rows.append(
                {
                    "b_claim": s.claimed.claim_id, "b_state": s.state, "b_settled_at": now, "b_reason": s.reason, "b_code": s.code,
                    "b_seq": claim.seq + 1, "b_provider": h.provider if h else claim.provider,
                    "b_provider_id": h.provider_id if h else claim.provider_id, "b_segments": h.segments if h else 0,
                }
            )  # fmt: skip
        self.conn.execute(statement, rows)

    def _settle_slots(self, ended: Sequence[Settlement], claims: dict[str, Any], now: datetime) -> None:
        refs = [s.claimed.ref for s in ended]
        slots = {x.survey_id: x for x in self.conn.execute(self.locked(sa.select(t.slots).where(t.slots.c.survey_id.in_(refs))))}
        b = sa.bindparam
        outcome = sa.update(t.slots).where(t.slots.c.survey_id == b("b_survey")).values(outcome=b("b_outcome"), reason=b("b_reason"))
        ends = [(s, *_OUTCOME[s.state]) for s in ended]
        self.conn.execute(outcome, [{"b_survey": s.claimed.ref, "b_outcome": o, "b_reason": r} for s, o, r in ends])
        self._remember_asked([(slots[s.claimed.ref], s.claimed.claimed_at) for s, o, _ in ends if o == "asked"])
        facts = []
        for s in ended:
            slot, claim, h = slots[s.claimed.ref], claims[s.claimed.claim_id], s.handover
            if s.state == "failed":
                self.withdraw(slot, "undeliverable")
            elif s.state == "released" and slot.reason == "reopened":
                self.withdraw(slot, "reopened")
            if s.state != "released":
                facts.append(
                    self.step(
                        slot, "invitation", claim.seq + 1, cast(DeliveryState, s.state), now, channel=claim.channel,
                        provider=h.provider if h else None, segments=h.segments if h else 0, code=s.code, reason=s.reason,
                    )
                )  # fmt: skip
        self.put(facts, now)

    def _remember_asked(self, asked: Sequence[tuple[Any, datetime]]) -> None:
        """These contacts were asked; their links will run out."""
        contacts = [{"b_hash": h, "b_at": at, "b_by": slot.survey_id} for slot, at in asked for h in keys_of(slot)]
        b = sa.bindparam
        if contacts:
            mine = sa.update(t.contacts).where(t.contacts.c.hash == b("b_hash")).values(asked_at=b("b_at"), asked_by=b("b_by"))
            self.conn.execute(mine, contacts)
        expiring = [slot for slot, _ in asked if slot.expires_at is not None]
        rows = [{"kind": "expire", "ref": s.survey_id, "due_at": s.expires_at, "state": "waiting", "payload": "{}"} for s in expiring]
        self.insert_new(t.due, rows)

    # --- reconcile

    def stale_claims(self, real_before: datetime, real_now: datetime, limit: int) -> list[tuple[Claimed, int]]:
        """Open claims whose lease ran out before ``real_before`` and which nobody is looking at; with how often they were looked up."""
        free = sa.and_(t.claims.c.state == "claimed", t.claims.c.lease_until < real_before)
        rows = list(self.conn.execute(self.locked(sa.select(t.claims).where(free).limit(limit), skip=True)))
        for r in rows:
            # Looked up again only after the gap, by whoever is alive then.
            later = real_before + timedelta(seconds=self.tools.reconcile_gap_s)
            self.conn.execute(sa.update(t.claims).where(t.claims.c.claim_id == r.claim_id).values(checks=r.checks + 1, lease_until=later))
        return [(self._claimed_again(r), r.checks) for r in rows]

    def _claimed_again(self, r: Any) -> Claimed:
        if r.purpose == "officers":
            due = self.conn.execute(sa.select(t.due).where(t.due.c.id == r.due_id)).one()
            return self._officers(due, dict(r._mapping))
        slot = self.conn.execute(sa.select(t.slots).where(t.slots.c.survey_id == r.ref)).one()
        return self._invitation(slot, dict(r._mapping), self.contact_of(slot.dossier_ref))

    # --- receipts, expiry

    def store_receipt(self, receipt: Receipt, at: datetime) -> None:
        """Keep what a provider reports, once; ``apply_receipts`` applies it, also when it came before the hand-over was settled."""
        row = {"provider": receipt.provider, "provider_id": receipt.provider_id, "status": receipt.status, "code": receipt.code}
        self.insert_new(t.receipts, [{**row, "at": at, "applied": False}])

    def apply_receipts(self, now: datetime, limit: int) -> int:
        """Apply stored receipts whose message is settled, by rank (out of order and doubled ones change nothing); the number applied."""
        same = sa.and_(t.receipts.c.provider_id == t.claims.c.provider_id, t.receipts.c.provider == t.claims.c.provider)
        joined = sa.select(t.receipts, t.claims.c.claim_id).join_from(t.receipts, t.claims, same)
        rows = list(self.conn.execute(joined.where(t.receipts.c.applied.is_(False)).order_by(t.receipts.c.id).limit(limit)))
        if rows:
            self._apply(rows, now)
            self.conn.execute(sa.update(t.receipts).where(t.receipts.c.id.in_([r.id for r in rows])).values(applied=True))
        return len(rows)

    def _apply(self, rows: Sequence[Any], now: datetime) -> None:
        found = self.conn.execute(self.locked(sa.select(t.claims).where(t.claims.c.claim_id.in_([r.claim_id for r in rows]))))
        claims = {c.claim_id: c for c in found if c.state in ("handed_over", "unknown")}
        refs = [c.ref for c in claims.values() if c.purpose != "officers"]
        slots = {x.survey_id: x for x in self.conn.execute(self.locked(sa.select(t.slots).where(t.slots.c.survey_id.in_(refs))))}
        facts = []
        for r in rows:
            if r.status == "sent" or (claim := claims.pop(r.claim_id, None)) is None:
                continue
            state: Literal["delivered", "failed"] = "delivered" if r.status == "delivered" else "failed"
            mine = t.claims.c.claim_id == r.claim_id
            self.conn.execute(sa.update(t.claims).where(mine).values(state=state, seq=claim.seq + 1, code=r.code))
            if claim.purpose == "officers":
                continue
            if state == "failed":
                self._undeliverable(claim.ref)
            more = {"channel": claim.channel, "provider": claim.provider, "code": r.code}
            facts.append(self.step(slots[claim.ref], "invitation", claim.seq + 1, state, now, **more))
        self.put(facts, now)

    def _undeliverable(self, survey_id: str) -> None:
        mine = t.slots.c.survey_id == survey_id
        self.conn.execute(sa.update(t.slots).where(mine).values(outcome="not_asked", reason="undeliverable"))
        self.conn.execute(sa.update(t.contacts).where(t.contacts.c.asked_by == survey_id).values(asked_at=None, asked_by=None))

    def expire(self, survey_id: str, now: datetime) -> None:
        """A link ran out: a fact, if it was never answered."""
        slot = self.conn.execute(sa.select(t.slots).where(t.slots.c.survey_id == survey_id)).first()
        if slot is None or self.conn.execute(sa.select(t.answers.c.seq).where(t.answers.c.survey_id == survey_id)).first():
            return
        mine = sa.and_(t.claims.c.ref == survey_id, t.claims.c.purpose == "invitation")
        claim = self.conn.execute(self.locked(sa.select(t.claims).where(mine))).first()
        if claim is not None:
            self.conn.execute(sa.update(t.claims).where(t.claims.c.claim_id == claim.claim_id).values(seq=claim.seq + 1))
            self.put([self.step(slot, "invitation", claim.seq + 1, "expired", now, channel=claim.channel)], now)
