"""Claiming: every check once more at the moment of sending, then a claim that is committed before the provider is called."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, cast, get_args

import msgspec
import sqlalchemy as sa

from hailong.events import About, DeliveryState, MessageChannel, Purpose, SurveyDelivery
from hailong.ports import Claimed, Contact
from sinks.ledger import schema as t
from sinks.ledger.budgeting import Budgeting
from sinks.ledger.dossiers import Dossiers, VaultEntry, keys_of
from sinks.ledger.going import Going
from sinks.ledger.vault import VaultError

TO_CITIZENS = ("invitation", "reminder")
KINDS = (*TO_CITIZENS, "officers")
_CLOSED_DAYS = timedelta(days=1)
_LOOK_AGAIN = timedelta(minutes=5)
"""What may not leave now is looked at again after so long."""


@dataclass(frozen=True)
class _Moment:
    """When and by whom a batch is claimed."""

    now: datetime
    real_now: datetime
    lease_until: datetime
    worker: str


class Claiming(Dossiers, Budgeting, Going):
    """The first half of sending."""

    _turns: Mapping[int, str]
    """Due row → the provider that may take it now."""
    _kept_back: set[int]
    """Due rows that wait on."""
    _live: Mapping[str, Any]
    """Channels that may write to people."""

    def claim_due(self, now: datetime, real_now: datetime, lease_until: datetime, limit: int, worker: str) -> list[Claimed]:
        """Claim up to ``limit`` due messages, with every check made again at this moment (contacts locked).

        What fails a check is withdrawn; its fact goes to the outbox. A claim is unique by (ref, purpose), so a message that was
        claimed before, by whomever, is claimed again only after a definite refusal. Outside the hours only officers' mails are
        claimed. What a provider's rate does not let through now keeps its turn.
        """
        moment = _Moment(now, real_now, lease_until, worker)
        self.open_days([self.local_day(now)])
        rows = self._in_turn(KINDS if self.tools.is_open(now) else ("officers",), now, real_now, limit)
        if not rows:
            return []
        before = self._claims_before([r.ref for r in rows])
        to_citizens = [r for r in rows if r.kind in TO_CITIZENS]
        claimed = self._claim_messages(to_citizens, before, moment) if to_citizens else []
        for row in rows:
            if row.kind != "officers":
                continue
            if self._held(row, "email", self._turns[row.id], now) or not (claim := self._row(row, "officers", "email", before, moment)):
                self.give_turns_back(self._turns[row.id], 1)
            else:
                claimed.append((claim, self._officers(row, claim)))
        self._write_claims([claim for claim, _ in claimed])
        # The due rows are done: what stays open is reconciled by its claim, never taken again as due.
        self.finish_due([r.id for r in rows if r.id not in self._kept_back])
        return [c for _, c in claimed]

    def _in_turn(self, kinds: Sequence[str], now: datetime, real_now: datetime, limit: int) -> list[Any]:
        """Due rows whose provider may take them now, in order. A channel whose provider is busy does not keep the others waiting."""
        self._kept_back = set()
        self._live = self.live_channels()
        self._turns = {}
        rows, busy = self._with_turns(self._due_now(kinds, now, real_now, limit), real_now)
        # One by one: each is found by its index, however long the queue of the busy one is.
        for channel in sorted(set(get_args(MessageChannel)) - busy) if busy else ():
            found = self._due_now(kinds, now, real_now, limit - len(rows), but=[r.id for r in rows], of=channel)
            rows += self._with_turns(found, real_now)[0]
        return sorted(rows, key=lambda r: (r.due_at, r.id))

    def _with_turns(self, rows: Sequence[Any], real_now: datetime) -> tuple[list[Any], set[str]]:
        """Those whose provider may take them now, in order; and the channels that had fewer turns than rows."""
        turns = dict(self._turns)
        busy = set()
        wanted: dict[tuple[str, str], list[Any]] = {}
        for row in rows:
            wanted.setdefault((self.provider_of(row.channel), row.channel), []).append(row)
        for (provider, channel), theirs in sorted(wanted.items()):
            got = self.take_turns(provider, len(theirs), real_now)
            turns |= {row.id: provider for row in theirs[:got]}
            if got < len(theirs):
                busy.add(channel)
        self._turns = turns
        return [row for row in rows if row.id in turns], busy

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
        values |= {"provider": self._turns.get(row.id), "price": 0, "template": None}
        return {**base, **values, "lease_until": m.lease_until, "checks": 0, "attempts": base["attempts"] + 1, "seq": base["seq"] + 1}

    def _write_claims(self, claims: Sequence[dict[str, Any]]) -> None:
        self.insert_new(t.claims, [c for c in claims if c["attempts"] == 1])
        for c in claims:
            if c["attempts"] > 1:
                self.conn.execute(sa.update(t.claims).where(t.claims.c.claim_id == c["claim_id"]).values(**c))

    def _officers(self, row: Any, claim: dict[str, Any]) -> Claimed:
        payload = json.loads(row.payload)
        return Claimed(
            due_id=row.id, claim_id=claim["claim_id"], kind="officers", ref=row.ref, channel="email",
            provider=claim["provider"] or self.provider_of("email"), contact=None, address=payload["to"],
            language=payload.get("language", "vi"), expires_at=None, attempts=claim["attempts"], payload=payload,
            about=None, claimed_at=claim["claimed_at"], real_claimed_at=claim["real_claimed_at"],
        )  # fmt: skip

    # --- messages to citizens

    def _claim_messages(self, rows: Sequence[Any], before: dict[tuple[str, str], Any], m: _Moment) -> list[tuple[dict[str, Any], Claimed]]:
        refs = [r.ref for r in rows]
        slots = {s.survey_id: s for s in self.conn.execute(self.locked(sa.select(t.slots).where(t.slots.c.survey_id.in_(refs))))}
        people = self._people([slots[ref] for ref in refs if ref in slots])
        answered = set(self.conn.execute(sa.select(t.answers.c.survey_id).where(t.answers.c.survey_id.in_(refs))).scalars())
        taken = self._under_way()
        claimed: list[tuple[dict[str, Any], Claimed]] = []
        facts: list[SurveyDelivery] = []
        for row in rows:
            slot, payload = slots[row.ref], json.loads(row.payload)
            channel = cast(MessageChannel, payload["channel"])
            entry = people.entries.get(slot.dossier_ref)
            contact = Contact(entry.phone, entry.email) if entry else Contact(None, None)
            slip_code = entry.slip_code if entry else None
            check = people.why_not if row.kind == "invitation" else people.why_not_again
            why = check(slot, m.now, taken, self.tools.cap_days(m.now), row.ref in answered, contact, channel)
            to = contact.email if channel == "email" else contact.phone
            if why is None and not self.tools.welcome(channel, to):
                why = "trial"
            if why is not None:
                self.give_turns_back(self._turns[row.id], 1)
                facts += self._withdrawn(slot, row.kind, why, m.now, before)
            elif (
                (claim := self._row(row, row.kind, channel, before, m)) is None
                or self._held(row, channel, self._turns[row.id], m.now, slot)
                or not self._paid(row, slot, price := self.tools.price(channel, self._turns[row.id], slot.language, to), m.now)
            ):
                self.give_turns_back(self._turns[row.id], 1)
            else:
                claim |= {"language": slot.language, "expires_at": slot.expires_at, "price": price}
                taken.update(keys_of(slot))
                told = {"channel": channel, "provider": claim["provider"], **_put_back(before.get((row.ref, row.kind)), channel)}
                facts.append(self.step(slot, row.kind, claim["seq"], "claimed", m.now, **told))
                claimed.append((claim, self._invitation(slot, claim, contact, payload, slip_code)))
        self.put(facts, m.now)
        self._in_flight([c for _, c in claimed])
        return claimed

    def _held(self, row: Any, channel: str, provider: str, now: datetime, slot: Any = None) -> bool:
        """Whether nothing of a channel may leave now; then the message waits, and its slot says why."""
        if self.tools.may_leave(channel, provider, channel in self._live) is None:
            return False
        again = now + _LOOK_AGAIN
        self._wait(row, slot, self.tools.next_open(again) if slot is not None else again, "channel_off")
        return True

    def _wait(self, row: Any, slot: Any, until: datetime, reason: str) -> None:
        """Put a message off; of an invitation the slot says why."""
        self.postpone(row.id, until)
        self._kept_back.add(row.id)
        if row.kind == "invitation":
            self.conn.execute(sa.update(t.slots).where(t.slots.c.dossier_ref == slot.dossier_ref).values(reason=reason))

    def _paid(self, row: Any, slot: Any, price: int, now: datetime) -> bool:
        """The day's money for a message; without it the message waits for the next day, and its slot says why."""
        day = self.local_day(now)
        if self.spend(day, price):
            return True
        midnight = datetime.combine(day + _CLOSED_DAYS, time(0), self.tools.zone)
        self._wait(row, slot, self.tools.next_open(midnight), "over_budget")
        return False

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

    def _in_flight(self, claimed: Sequence[Claimed]) -> None:
        first = [c.ref for c in claimed if c.kind == "invitation"]
        if first:
            self.conn.execute(sa.update(t.slots).where(t.slots.c.survey_id.in_(first)).values(reason="in_flight"))
        codes = [(self.tools.code_for(c.ref, c.kind, c.channel), c.ref) for c in claimed]
        self.insert_new(t.codes, [{"code_hash": self.tools.code_hash(code), "survey_id": s} for code, s in codes])

    def _invitation(
        self, slot: Any, claim: dict[str, Any], contact: Contact, payload: dict[str, Any] | None = None, slip_code: str | None = None
    ) -> Claimed:
        return Claimed(
            due_id=claim["due_id"], claim_id=claim["claim_id"], kind=claim["purpose"], ref=slot.survey_id, channel=claim["channel"],
            provider=claim["provider"] or claim["channel"], contact=contact,
            address=None, language=slot.language, expires_at=slot.expires_at, attempts=claim["attempts"], payload=payload or {},
            about=msgspec.json.decode(slot.about, type=About), claimed_at=claim["claimed_at"], real_claimed_at=claim["real_claimed_at"],
            arms=json.loads(slot.arms), lease_until=claim["lease_until"],
            slip_code=slip_code,
        )  # fmt: skip

    def _withdrawn(self, slot: Any, purpose: Purpose, why: str, now: datetime, before: dict[tuple[str, str], Any]) -> list[SurveyDelivery]:
        if purpose == "invitation":
            if slot.outcome != "waiting":
                return []
            self.withdraw(slot, why)
        old = before.get((slot.survey_id, purpose))
        return [self.step(slot, purpose, old.seq + 1 if old is not None else 1, "withdrawn", now, reason=why)]

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


def _put_back(old: Any, channel: str) -> dict[str, Any]:
    """Why the try before was put back: no fact was written of it, unless its channel refused for good and gave way to another."""
    return {"code": old.code, "reason": old.reason} if old is not None and old.channel == channel else {}


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
        if (why := self._over(slot, now, answered)) is not None:
            return why
        mine = self._of(slot)
        since = now - timedelta(days=cap_days)
        asked = any(c.asked_at is not None and c.asked_by != slot.survey_id and c.asked_at > since for c in mine)
        # Without a cap nothing is asked too soon, not even what another worker began after this one's "now".
        if cap_days > 0 and (asked or not taken.isdisjoint(keys_of(slot))):
            return "recently_asked"
        return self._unreachable(slot, contact, channel)

    def why_not_again(
        self, slot: Any, now: datetime, taken: set[str], cap_days: int, answered: bool, contact: Contact, channel: MessageChannel
    ) -> str | None:
        """The same for a reminder: whoever was asked, has not answered and still may be written to. The cap is that of their invitation."""
        if slot.outcome != "asked":
            return slot.reason or "not_asked"
        if (why := self._over(slot, now, answered)) is not None:
            return why
        mine = self._of(slot)
        if any(c.asked_by is not None and c.asked_by != slot.survey_id for c in mine) or not taken.isdisjoint(keys_of(slot)):
            return "recently_asked"  # somebody at this number was asked about something else since
        return self._unreachable(slot, contact, channel)

    def _of(self, slot: Any) -> list[Any]:
        return [self.contacts[h] for h in keys_of(slot) if h in self.contacts]

    def _over(self, slot: Any, now: datetime, answered: bool) -> str | None:
        """What ends every writing about a dossier, a first message or a reminder."""
        if slot.expires_at is not None and slot.expires_at <= now:
            return "expired"
        if answered:
            return "answered"
        if any(c.opted_out_at is not None for c in self._of(slot)):
            return "opted_out"
        return "reopened" if slot.reopened_at is not None else None

    def _unreachable(self, slot: Any, contact: Contact, channel: MessageChannel) -> str | None:
        if slot.dossier_ref not in self.entries:
            return "contact_erased"
        if (contact.email if channel == "email" else contact.phone) is None and channel != "print":
            return "no_contact"
        return None
