"""The dossier's part of a transaction: taking an act in, and deciding once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from hailong.events import About, DossierClosed, MessageChannel
from hailong.ports import Contact, Decision, DossierAct, Resting, SlotForDecision, Taken
from sinks.ledger import schema as t
from sinks.ledger.choosing import Choosing
from sinks.ledger.entering import Entering
from sinks.ledger.vault import VaultError

_B = sa.bindparam
# On the hot way: built once, for building a statement costs as much as running it.
_SLOTS = sa.select(t.slots).where(t.slots.c.dossier_ref.in_(_B("refs", expanding=True)))
_CONTACTS = sa.select(t.contacts).where(t.contacts.c.hash.in_(_B("hashes", expanding=True))).order_by(t.contacts.c.hash)
_OUTCOMES = (
    sa.update(t.slots)
    .where(t.slots.c.dossier_ref == _B("b_ref"))
    .values(outcome=_B("b_outcome"), reason=_B("b_reason"), expires_at=_B("b_expires"), arms=_B("b_arms"))
)
_PLANS = sa.update(t.contacts).where(t.contacts.c.hash == _B("b_hash")).values(planned_at=_B("b_at"), planned_by=_B("b_by"))


class VaultEntry(msgspec.Struct, frozen=True):
    """What the vault keeps of a dossier."""

    code: str
    phone: str | None = None
    email: str | None = None
    applicant_id: str | None = None
    slip_code: str | None = None
    landline: str | None = None


def about_of(fact: DossierClosed) -> About:
    """What answers about this dossier will say of it."""
    return About(
        receiving_unit=fact.receiving_unit,
        handling_unit=fact.handling_unit,
        field=fact.field,
        submission_channel=fact.submission_channel,
        ending=fact.outcome,
        timeliness=fact.timeliness,
        month=fact.ended_on.strftime("%Y-%m"),
    )


class Dossiers(Choosing, Entering):
    """Intake and decide."""

    # --- intake

    def known(self, dossier_ref: str) -> bool:
        """Whether an ending of this dossier was taken."""
        return self.conn.execute(sa.select(t.slots.c.dossier_ref).where(t.slots.c.dossier_ref == dossier_ref)).first() is not None

    def take_act(self, act: DossierAct, now: datetime) -> Taken:
        """Take one act of a dossier, once; its fact goes to the outbox.

        A second ending of a dossier (9 then 10) is a fact of its own and leaves the slot as it is, unless the dossier was reopened.
        """
        row = {
            "event_id": act.event_id,
            "dossier_ref": act.fact.dossier_ref,
            "content_hash": act.content_hash,
            "occurred_at": act.occurred_at,
            "taken_at": now,
        }
        if not self.insert_new(t.acts, [row]):
            return self._taken_before(act)
        if isinstance(act.fact, DossierClosed):
            self._take_ending(act, act.fact, now)
        return Taken("new", tuple(self.put([act.fact], now)))

    def _taken_before(self, act: DossierAct) -> Taken:
        content = self.conn.execute(sa.select(t.acts.c.content_hash).where(t.acts.c.event_id == act.event_id)).scalar_one()
        if content != act.content_hash:
            return Taken("conflict")
        waiting = self.conn.execute(sa.select(t.outbox.c.id).where(t.outbox.c.event_id == act.event_id)).scalars()
        return Taken("duplicate", tuple(waiting))

    def _take_ending(self, act: DossierAct, fact: DossierClosed, now: datetime) -> None:
        values = {
            "about": msgspec.json.encode(about_of(fact)).decode(),
            "ended_on": fact.ended_on,
            "occurred_at": act.occurred_at,
            "received_at": act.received_at,
            "language": act.language,
            "test": act.test,
            "taken_at": now,
            "outcome": "waiting",
            "reason": "undecided",
            "unit": fact.receiving_unit,
            "minor": act.minor,
            "preferred": act.preferred,
            "refused": ",".join(act.refused),
            "slip_hash": self.tools.slip_hash(act.slip_code) if act.slip_code else None,
            "tail_hash": self._tail(act),
            "landline": act.contact.phone is None and act.contact.landline is not None,
            "ticket_hash": self.tools.ticket_hash(fact.receiving_unit, act.occurred_at.astimezone(self.tools.zone).date(), act.ticket_no)
            if act.ticket_no
            else None,
            "weight": 1,
            "arms": "{}",
            "reopened_at": None,
            "settled_on": None,
            "erased_on": None,
            **self._hashes(act),
        }
        new = {"dossier_ref": fact.dossier_ref, "survey_id": self.tools.new_id(), "source": fact.source, **values}
        renewed = bool(self.insert_new(t.slots, [new])) or self._end_again(act, values)
        if renewed or not self._erased(fact.dossier_ref):
            self._keep(act, now, renewed)
            self._tie(act, now)

    def _tie(self, act: DossierAct, now: datetime) -> None:
        """The slip that came with an act, a later one's too, leads to the dossier; what came in by it before becomes its answers."""
        slip = self.tools.slip_hash(act.slip_code) if act.slip_code else None
        if slip is None:
            return
        mine = t.slots.c.dossier_ref == act.fact.dossier_ref
        self.conn.execute(sa.update(t.slots).where(mine, t.slots.c.slip_hash.is_(None)).values(slip_hash=slip))
        slot = self.conn.execute(sa.select(t.slots).where(mine, t.slots.c.slip_hash == slip)).first()
        if slot is not None:
            self.release_slip(slip, slot, now)

    def _erased(self, dossier_ref: str) -> bool:
        """Whether what named the person of a dossier is gone: a later act does not bring it back."""
        mine = sa.select(t.slots.c.erased_on).where(t.slots.c.dossier_ref == dossier_ref)
        return self.conn.execute(self.locked(mine)).scalar() is not None

    def _end_again(self, act: DossierAct, values: dict[str, Any]) -> bool:
        """A later ending: of a dossier that was reopened, it is the ending now; else only its moment is kept, for a reopening before it."""
        later = sa.and_(t.slots.c.dossier_ref == act.fact.dossier_ref, t.slots.c.occurred_at < act.occurred_at)
        reopened = sa.and_(later, t.slots.c.outcome == "not_asked", t.slots.c.reason == "reopened")
        kept = {k: v for k, v in values.items() if not (k.endswith("_hash") and v is None)}
        if act.contact.number is None:
            del kept["landline"]  # it is said of the number, which stays
        if self.conn.execute(sa.update(t.slots).where(reopened).values(**kept)).rowcount:
            return True
        self.conn.execute(sa.update(t.slots).where(later).values(occurred_at=act.occurred_at))
        return False

    def _hashes(self, act: DossierAct) -> dict[str, str | None]:
        hashed = self.hash_of
        return {
            "phone_hash": hashed("phone", act.contact.number) if act.contact.number else None,
            "email_hash": hashed("email", act.contact.email) if act.contact.email else None,
            "person_hash": hashed("person", f"{act.fact.source}:{act.applicant_id}") if act.applicant_id else None,
        }

    def _tail(self, act: DossierAct) -> str | None:
        number = act.contact.number
        return self.tools.tail_hash(act.fact.dossier_ref, number[-3:]) if number else None

    def _keep(self, act: DossierAct, now: datetime, renewed: bool) -> None:
        """What names the person. Limits are checked by the slot's hashes: what they were made of is replaced only together with them."""
        ref, month = act.fact.dossier_ref, self.tools.vault.month(now)
        said = act.contact
        told = VaultEntry(act.dossier_code, said.phone, said.email, act.applicant_id, act.slip_code, said.landline)
        known = self.open_vault(ref) or told  # a later act (9, then 10) may come without the contact
        first, second = (told, known) if renewed else (known, told)
        numbered = first if first.phone or first.landline else second  # one number, as the slot has one hash
        entry = VaultEntry(
            act.dossier_code,
            numbered.phone,
            first.email or second.email,
            first.applicant_id or second.applicant_id,
            first.slip_code or second.slip_code,
            numbered.landline,
        )
        row = {"dossier_ref": ref, "key_month": month, "sealed": self.tools.vault.seal(month, msgspec.json.encode(entry), ref)}
        if not self.insert_new(t.vault, [row]):
            self.conn.execute(sa.update(t.vault).where(t.vault.c.dossier_ref == ref).values(**row))

    def open_vault(self, dossier_ref: str) -> VaultEntry | None:
        """What names the person of a dossier; None when it was erased. Raises VaultError when its key is missing."""
        row = self.conn.execute(sa.select(t.vault).where(t.vault.c.dossier_ref == dossier_ref)).first()
        return None if row is None else self.opened(row)

    def opened(self, row: Any) -> VaultEntry:
        """A row of the vault, opened. Raises VaultError."""
        return msgspec.json.decode(self.tools.vault.open(row.key_month, bytes(row.sealed), row.dossier_ref), type=VaultEntry)

    def contact_of(self, dossier_ref: str) -> Contact:
        """The contact of a dossier, empty when it was erased or its key discarded."""
        try:
            entry = self.open_vault(dossier_ref)
        except VaultError:
            entry = None
        return Contact(entry.phone, entry.email, entry.landline) if entry else Contact(None, None)

    # --- decide

    def slots_for_decision(self, refs: Sequence[str]) -> dict[str, SlotForDecision]:
        """What is known of these dossiers; their contacts' rows are locked until the end of the transaction."""
        slots = list(self.conn.execute(self.locked(_SLOTS), {"refs": list(refs)}))
        hashes = sorted({h for s in slots for h in keys_of(s)})
        self.insert_new(t.contacts, [{"hash": h} for h in hashes])
        found = self.conn.execute(self.locked(_CONTACTS), {"hashes": hashes})
        contacts = {c.hash: c for c in found}
        return {s.dossier_ref: _slot_for_decision(s, contacts) for s in slots}

    def decide(self, decisions: Sequence[Decision]) -> None:
        """Write decisions: the outcome of the slots, the asking planned for their contacts, the waiting invitations; or their rest."""
        if not decisions:
            return
        self.conn.execute(_OUTCOMES, [_ended(d) for d in decisions])
        self._rest([d for d in decisions if d.rest_until is not None])
        asked = [d for d in decisions if d.asked and d.ask_at is not None]
        waits = {"kind": "invitation", "state": "waiting"}
        new = [{**waits, "ref": d.survey_id, "due_at": d.ask_at, "payload": _how(d), "channel": d.channel} for d in asked]
        if self.insert_new(t.due, new) < len(new):
            self._wait_again(asked)
        plans = [{"b_hash": h, "b_at": d.ask_at, "b_by": d.survey_id} for d in asked for h in d.contacts]
        if plans:
            self.conn.execute(_PLANS, plans)
        for d in decisions:
            if d.weight != 1:
                self._weigh(d.dossier_ref, d.weight)

    def _weigh(self, dossier_ref: str, weight: int) -> None:
        """This one is asked for several: so will its answer say."""
        mine = t.slots.c.dossier_ref == dossier_ref
        about = msgspec.json.decode(self.conn.execute(sa.select(t.slots.c.about).where(mine)).scalar_one(), type=About)
        said = msgspec.json.encode(msgspec.structs.replace(about, weight=weight)).decode()
        self.conn.execute(sa.update(t.slots).where(mine).values(weight=weight, about=said))

    def _rest(self, resting: Sequence[Decision]) -> None:
        for d in resting:
            said = {"ending": msgspec.to_builtins(d.ending)}
            row = {"kind": "decide", "ref": d.dossier_ref, "due_at": d.rest_until, "state": "waiting", "payload": json.dumps(said)}
            if not self.insert_new(t.due, [row]):
                mine = sa.and_(t.due.c.kind == "decide", t.due.c.ref == d.dossier_ref)
                self.conn.execute(sa.update(t.due).where(mine).values(**row, lease_until=None))

    def _wait_again(self, asked: Sequence[Decision]) -> None:
        """Dossiers that were reopened and ended again: their withdrawn invitations wait anew."""
        b = sa.bindparam
        mine = sa.and_(t.due.c.kind == "invitation", t.due.c.ref == b("b_ref"), t.due.c.state == "done")
        again = (
            sa.update(t.due)
            .where(mine)
            .values(state="waiting", lease_until=None, due_at=b("b_at"), payload=b("b_payload"), channel=b("b_by"))
        )
        self.conn.execute(again, [{"b_ref": d.survey_id, "b_at": d.ask_at, "b_payload": _how(d), "b_by": d.channel} for d in asked])

    # --- dossiers that rest

    def endings_since(self, unit: str, since: date) -> int:
        """See hailong.ports.Transaction."""
        mine = sa.and_(t.slots.c.unit == unit, t.slots.c.ended_on >= since)
        return self.conn.execute(sa.select(sa.func.count()).select_from(t.slots).where(mine)).scalar_one()

    def rested(self, now: datetime, limit: int) -> list[str]:
        """See hailong.ports.Transaction. Takes no lease: who decides first decides, the others find nothing resting."""
        over = sa.and_(t.due.c.kind == "decide", t.due.c.state == "waiting", t.due.c.due_at <= now)
        return list(self.conn.execute(sa.select(t.due.c.ref).where(over).order_by(t.due.c.due_at, t.due.c.id).limit(limit)).scalars())

    def resting_with(self, dossier_refs: Sequence[str]) -> list[Resting]:
        """See hailong.ports.Transaction."""
        resting = sa.and_(t.slots.c.outcome == "waiting", t.slots.c.reason == "resting")
        found = list(self.conn.execute(sa.select(t.slots).where(resting, t.slots.c.dossier_ref.in_(dossier_refs))))
        keys: set[str] = set()
        while more := {h for s in found for h in keys_of(s)} - keys:  # whoever shares with who shares belongs to them too
            keys |= more
            theirs = sa.or_(*(c.in_(sorted(more)) for c in (t.slots.c.phone_hash, t.slots.c.email_hash, t.slots.c.person_hash)))
            found += self.conn.execute(sa.select(t.slots).where(resting, theirs))
        refs = sorted({s.dossier_ref for s in found})
        slots = {ref: s for ref, s in self.slots_for_decision(refs).items() if s.reason == "resting"}
        waits = sa.and_(t.due.c.kind == "decide", t.due.c.state == "waiting", t.due.c.ref.in_(list(slots)))
        rows = self.conn.execute(sa.select(t.due).where(waits).order_by(t.due.c.ref))
        return [
            Resting(slots[r.ref], msgspec.convert(json.loads(r.payload)["ending"], DossierClosed, strict=False), r.due_at) for r in rows
        ]

    def end_rest(self, dossier_refs: Sequence[str]) -> None:
        """These are decided now."""
        mine = sa.and_(t.due.c.kind == "decide", t.due.c.ref.in_(dossier_refs))
        self.conn.execute(sa.update(t.due).where(mine).values(state="done", lease_until=None))

    def reopen(self, dossier_ref: str, event_id: str) -> str | None:
        """A dossier goes on: what still waits is withdrawn; what it waited for (``undecided``, ``not_before``), None if it did not.

        Nothing is withdrawn when it has ended again since: the two facts lie in two topics, in no order. A message that is under way is
        withdrawn when the provider refuses it for now.
        """
        slot = self.conn.execute(self.locked(sa.select(t.slots).where(t.slots.c.dossier_ref == dossier_ref))).first()
        at = self.conn.execute(sa.select(t.acts.c.occurred_at).where(t.acts.c.event_id == event_id)).scalar()
        if slot is None or (at is not None and at < slot.occurred_at):
            return None
        mine = sa.update(t.slots).where(t.slots.c.dossier_ref == dossier_ref)
        if slot.outcome in ("asked", "not_asked") or slot.reason == "in_flight":
            self.conn.execute(mine.values(reopened_at=at or slot.occurred_at))  # no reminder, no second try, no call
            return None
        self.withdraw(slot, "reopened")
        self.end_rest([dossier_ref])
        self.conn.execute(mine.values(occurred_at=at or slot.occurred_at))
        return str(slot.reason)

    def withdraw(self, slot: Any, reason: str) -> None:
        """The invitation of this slot will not be sent; the asking planned for its contacts is free again."""
        self.conn.execute(sa.update(t.slots).where(t.slots.c.dossier_ref == slot.dossier_ref).values(outcome="not_asked", reason=reason))
        row = sa.and_(t.due.c.kind == "invitation", t.due.c.ref == slot.survey_id)
        self.conn.execute(sa.update(t.due).where(row).values(state="done", lease_until=None))
        mine = sa.and_(t.contacts.c.hash.in_(keys_of(slot)), t.contacts.c.planned_by == slot.survey_id)
        self.conn.execute(sa.update(t.contacts).where(mine).values(planned_at=None, planned_by=None))


def _ended(d: Decision) -> dict[str, Any]:
    outcome, reason = ("waiting", "not_before") if d.asked else ("not_asked", d.reason)
    if d.rest_until is not None:
        outcome, reason = "waiting", "resting"
    return {"b_ref": d.dossier_ref, "b_outcome": outcome, "b_reason": reason, "b_expires": d.expires_at, "b_arms": json.dumps(dict(d.arms))}


def _how(d: Decision) -> str:
    """How a message goes out: the payload of its due row."""
    how: dict[str, Any] = {"channel": d.channel}
    if d.next_channels:
        how["next"] = list(d.next_channels)
    if d.remind_after_days is not None:
        how["remind_after_days"] = d.remind_after_days
    return json.dumps(how)


def keys_of(slot: Any) -> list[str]:
    """The keyed hashes of a slot's number, address and person."""
    return [h for h in (slot.phone_hash, slot.email_hash, slot.person_hash) if h]


def _slot_for_decision(slot: Any, contacts: dict[str, Any]) -> SlotForDecision:
    keys = keys_of(slot)
    mine = [contacts[h] for h in keys]
    reach: list[MessageChannel] = []
    if slot.phone_hash and not slot.landline:
        reach += ["sms", "zns"]
    if slot.email_hash:
        reach.append("email")
    asked = {h: max((a for a in (contacts[h].planned_at, contacts[h].asked_at) if a), default=None) for h in keys}
    last = max((at for at in asked.values() if at), default=None)
    return SlotForDecision(
        dossier_ref=slot.dossier_ref,
        survey_id=slot.survey_id,
        outcome=slot.outcome,
        reason=slot.reason,
        reach=tuple(reach),
        contacts=tuple(keys),
        opted_out=any(c.opted_out_at for c in mine),
        last_asked_at=last,
        language=slot.language,
        test=slot.test,
        asked_by_number=last is not None and asked.get(slot.person_hash) != last,
        unit=slot.unit,
        minor=slot.minor,
        preferred=slot.preferred,
        refused=tuple(slot.refused.split(",")) if slot.refused else (),
        has_slip=slot.slip_hash is not None,
        reopened=slot.reopened_at is not None,
    )
