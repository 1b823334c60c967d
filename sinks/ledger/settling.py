"""Settling: how claimed messages ended, what is still open, what providers report later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

import sqlalchemy as sa

from hailong.events import DeliveryState
from hailong.ports import Claimed, Contact, Receipt, Settlement
from sinks.ledger import schema as t
from sinks.ledger.claiming import TO_CITIZENS, Claiming
from sinks.ledger.dossiers import keys_of
from sinks.ledger.vault import VaultError

_OUTCOME: Final = {
    "handed_over": ("asked", None),
    "unknown": ("asked", "unknown"),
    "failed": ("not_asked", "undeliverable"),
    "released": ("waiting", "not_before"),
}


OPTED_OUT: Final = "opted_out"
"""Why a provider refuses who has told it not to write; adapters translate their codes into this word."""


class Settling(Claiming):
    """The second half of sending."""

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> None:
        """Write how claimed messages ended. A claim that is no longer open (settled by reconciliation meanwhile) is left as it is; so is
        one that was taken up again since: the try that is told of is settled already.
        """
        ended = [s for s in settlements if s.state != "open"]
        tries = {s.claimed.claim_id: s.claimed.attempts for s in ended}
        self.open_days({self.local_day(s.claimed.claimed_at) for s in ended})
        found = self.conn.execute(self.locked(sa.select(t.claims).where(t.claims.c.claim_id.in_([s.claimed.claim_id for s in ended]))))
        claims = {c.claim_id: c for c in found if c.state == "claimed" and c.attempts == tries[c.claim_id]}
        ended = [s for s in ended if s.claimed.claim_id in claims]
        if not ended:
            return
        slots = self._slots_of(ended)
        steps = {s.claimed.claim_id: step for s in ended if (step := self._step_of(s, slots.get(s.claimed.ref))) is not None}
        ended = [self._other_channel(s, now) for s in ended]
        self._write_ends(ended, claims, steps, now)
        for s in ended:
            if s.state == "released":
                officers = s.claimed.kind == "officers"
                at = s.retry_at or now
                self.postpone(s.claimed.due_id, at if officers else self.tools.next_open(at))
            if s.state in ("released", "failed"):
                claim = claims[s.claimed.claim_id]
                self.unspend(self.local_day(claim.claimed_at), claim.price)
        to_citizens = [s for s in ended if s.claimed.kind != "officers"]
        if to_citizens:
            self._settle_slots([s for s in to_citizens if s.claimed.kind == "invitation"], slots, now)
            self._tell_ends(to_citizens, claims, slots, steps, now)
            self._wait_for_receipts(to_citizens, now)

    def _step_of(self, s: Settlement, slot: Any) -> DeliveryState | None:
        """What the log hears of this end; None when the message only waits for its next try."""
        if s.state != "released":
            return cast(DeliveryState, s.state)
        return "withdrawn" if slot is not None and s.claimed.kind == "invitation" and _reopened(slot) else None

    def _other_channel(self, s: Settlement, now: datetime) -> Settlement:
        """A definite refusal of one channel puts the message back for the next one the person can be reached by, if there is one."""
        rest = s.claimed.payload.get("next") if s.state == "failed" and s.claimed.kind in TO_CITIZENS else None
        if not rest or s.reason == OPTED_OUT:
            return s
        payload = {**s.claimed.payload, "channel": rest[0], "next": rest[1:]}
        self.postpone(s.claimed.due_id, now, payload)
        return replace(s, state="released", retry_at=now)

    def _write_ends(self, ended: Sequence[Settlement], claims: dict[str, Any], steps: Mapping[str, DeliveryState], now: datetime) -> None:
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
                    "b_seq": claim.seq + (s.claimed.claim_id in steps), "b_provider": h.provider if h else claim.provider,
                    "b_provider_id": h.provider_id if h else claim.provider_id, "b_segments": h.segments if h else 0,
                }
            )  # fmt: skip
        self.conn.execute(statement, rows)

    def _settle_slots(self, ended: Sequence[Settlement], slots: Mapping[str, Any], now: datetime) -> None:
        """What invitations make of their dossiers; a reminder changes nothing there."""
        b = sa.bindparam
        outcome = sa.update(t.slots).where(t.slots.c.survey_id == b("b_survey")).values(outcome=b("b_outcome"), reason=b("b_reason"))
        ends = [(s, *_OUTCOME[s.state]) for s in ended]
        if ends:
            self.conn.execute(outcome, [{"b_survey": s.claimed.ref, "b_outcome": o, "b_reason": r} for s, o, r in ends])
        asked = [(slots[s.claimed.ref], s) for s, o, _ in ends if o == "asked"]
        self._remember_asked([(slot, s.claimed.claimed_at) for slot, s in asked])
        self._remind_later([(slot, s) for slot, s in asked if s.state == "handed_over"])
        for s in ended:
            slot = slots[s.claimed.ref]
            if s.state == "failed" and s.reason == OPTED_OUT:
                # Told to the provider instead of us: it holds for every channel and every later dossier.
                self.choose("opt_out", self.same(sorted(keys_of(slot))), now, "provider")
                self.withdraw(slot, OPTED_OUT)
            elif s.state == "failed":
                self.withdraw(slot, "undeliverable")
            elif s.state == "released" and _reopened(slot):
                self.withdraw(slot, "reopened")

    def _slots_of(self, ended: Sequence[Settlement]) -> dict[str, Any]:
        refs = [s.claimed.ref for s in ended]
        return {x.survey_id: x for x in self.conn.execute(self.locked(sa.select(t.slots).where(t.slots.c.survey_id.in_(refs))))}

    def _tell_ends(
        self,
        ended: Sequence[Settlement],
        claims: dict[str, Any],
        slots: Mapping[str, Any],
        steps: Mapping[str, DeliveryState],
        now: datetime,
    ) -> None:
        facts = []
        for s in ended:
            claim, h, state = claims[s.claimed.claim_id], s.handover, steps.get(s.claimed.claim_id)
            if state is not None:
                kept = state in ("handed_over", "unknown")
                facts.append(
                    self.step(
                        slots[s.claimed.ref], claim.purpose, claim.seq + 1, state, now, channel=claim.channel,
                        provider=h.provider if h else claim.provider, segments=h.segments if h else 0, code=s.code,
                        reason="reopened" if state == "withdrawn" else s.reason, cost=claim.price if kept else 0,
                    )
                )  # fmt: skip
        self.put(facts, now)

    def _remind_later(self, asked: Sequence[tuple[Any, Settlement]]) -> None:
        """One reminder, when the rules gave the invitation one, at an hour at which people may be written to."""
        rows = []
        for slot, s in asked:
            days = s.claimed.payload.get("remind_after_days")
            if days is not None:
                at = self.tools.next_open(_whole_hour(s.claimed.claimed_at + timedelta(days=days)))
                kept = {"channel": s.claimed.channel}
                row = {"kind": "reminder", "ref": slot.survey_id, "due_at": at, "state": "waiting", "payload": json.dumps(kept)}
                rows.append({**row, "channel": s.claimed.channel})
        self.insert_new(t.due, rows)

    def _wait_for_receipts(self, ended: Sequence[Settlement], now: datetime) -> None:
        """Who hands over to a provider that reports wants to hear of it."""
        at = _whole_hour(now + timedelta(days=self.tools.receipt_days))
        waiting = [s.claimed.claim_id for s in ended if s.state == "handed_over" and s.handover and s.handover.receipts]
        self.insert_new(t.due, [{"kind": "no_receipt", "ref": ref, "due_at": at, "state": "waiting", "payload": "{}"} for ref in waiting])

    def no_receipt(self, claim_id: str, now: datetime) -> None:
        """Nothing was heard of a message for days: whether it arrived is unknown."""
        found = self.conn.execute(self.locked(sa.select(t.claims).where(t.claims.c.claim_id == claim_id))).first()
        if found is None or found.state != "handed_over":
            return
        mine = t.claims.c.claim_id == claim_id
        self.conn.execute(sa.update(t.claims).where(mine).values(state="unknown", seq=found.seq + 1, reason="no_receipt"))
        slot = self.conn.execute(self.locked(sa.select(t.slots).where(t.slots.c.survey_id == found.ref))).first()
        if slot is None:
            return
        if found.purpose == "invitation" and slot.outcome == "asked":
            self.conn.execute(sa.update(t.slots).where(t.slots.c.survey_id == found.ref).values(reason="unknown"))
        more = {"channel": found.channel, "provider": found.provider, "reason": "no_receipt"}
        self.put([self.step(slot, found.purpose, found.seq + 1, "unknown", now, **more)], now)

    def _remember_asked(self, asked: Sequence[tuple[Any, datetime]]) -> None:
        """These contacts were asked; their links will run out."""
        contacts = [{"b_hash": h, "b_at": at, "b_by": slot.survey_id} for slot, at in asked for h in keys_of(slot)]
        contacts.sort(key=lambda c: c["b_hash"])  # as everybody locks them
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
        due = self.conn.execute(sa.select(t.due).where(t.due.c.id == r.due_id)).one()
        if r.purpose == "officers":
            return self._officers(due, dict(r._mapping))
        slot = self.conn.execute(sa.select(t.slots).where(t.slots.c.survey_id == r.ref)).one()
        try:
            entry = self.open_vault(slot.dossier_ref)
        except VaultError:
            entry = None
        contact = Contact(entry.phone, entry.email) if entry else Contact(None, None)
        return self._invitation(slot, dict(r._mapping), contact, json.loads(due.payload), entry.slip_code if entry else None)

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
            heard = sa.and_(t.due.c.kind == "no_receipt", t.due.c.ref.in_([r.claim_id for r in rows if r.status != "sent"]))
            self.conn.execute(sa.update(t.due).where(heard).values(state="done"))
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
            if claim.purpose == "invitation" and state == "failed":
                self._undeliverable(claim.ref)
            elif claim.purpose == "invitation":
                self._arrived(claim.ref)
            more = {"channel": claim.channel, "provider": claim.provider, "code": r.code}
            facts.append(self.step(slots[claim.ref], claim.purpose, claim.seq + 1, state, now, **more))
        self.put(facts, now)

    def _undeliverable(self, survey_id: str) -> None:
        mine = t.slots.c.survey_id == survey_id
        self.conn.execute(sa.update(t.slots).where(mine).values(outcome="not_asked", reason="undeliverable"))
        self.conn.execute(sa.update(t.contacts).where(t.contacts.c.asked_by == survey_id).values(asked_at=None, asked_by=None))

    def _arrived(self, survey_id: str) -> None:
        """What was unknown is known now."""
        mine = sa.and_(t.slots.c.survey_id == survey_id, t.slots.c.outcome == "asked", t.slots.c.reason == "unknown")
        self.conn.execute(sa.update(t.slots).where(mine).values(reason=None))

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


def _reopened(slot: Any) -> bool:
    return slot.reason == "reopened" or slot.reopened_at is not None


def _whole_hour(at: datetime) -> datetime:
    """The next whole hour: what waits for days need not wait for a second of its own."""
    floor = at.replace(minute=0, second=0, microsecond=0)
    return floor if floor == at else floor + timedelta(hours=1)
