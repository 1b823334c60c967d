"""Calls: who may be drawn, who has been, whose turn it is, and what came of each try. The number is opened for one look and dropped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from hailong.domain.calls import (
    DAYS,
    DISPOSITIONS,
    LEASE,
    UNREACHABLE,
    Calling,
    Candidate,
    Disposition,
    Entry,
    Late,
    Tally,
    Try,
    Waiting,
    entry_ref,
    masked,
    next_try,
)
from hailong.domain.units import LOCAL
from hailong.events import About
from hailong.ports import Invalid
from sinks.ledger import schema as t
from sinks.ledger.answering import Answering
from sinks.ledger.budgeting import Budgeting
from sinks.ledger.dossiers import keys_of
from sinks.ledger.going import Going
from sinks.ledger.leaving import Leaving
from sinks.ledger.preferring import mark

BY_NUMBER: Final = "sms"
"""The channel whose modes say whether people may be reached at their number."""
_REMEMBERED: Final = 200
"""Entries of a caller, back from the newest, whose pages may still be sent."""
_C = t.calls.c
_MINE = t.slots.c.survey_id == _C.survey_id
_HASHES = (t.slots.c.phone_hash, t.slots.c.email_hash, t.slots.c.person_hash)


def _answered() -> sa.ColumnElement[bool]:
    return sa.exists().where(t.answers.c.survey_id == t.slots.c.survey_id)


def _opted_out() -> sa.ColumnElement[bool]:
    return sa.exists().where(t.contacts.c.hash.in_(_HASHES), t.contacts.c.opted_out_at.is_not(None))


class CallingReading(Answering):
    """Looking."""

    def call_candidates(self, rules: Calling, day: date, now: datetime, after: str, limit: int) -> list[Candidate]:
        """Those who may be drawn, by dossier_ref from behind ``after`` on; whoever was drawn before is no candidate any more."""
        s, before = t.slots.c, now - timedelta(days=rules.after_days)
        here = sa.and_(s.erased_on.is_(None), s.reopened_at.is_(None), s.test.is_(False))
        rows = sa.select(t.slots).where(s.dossier_ref > after, here, sa.or_(_silent(now, before), _unreachable(before, day)))
        rows = rows.where(~_answered(), ~_opted_out(), ~sa.exists().where(_C.survey_id == s.survey_id)).order_by(s.dossier_ref)
        return [
            Candidate(
                r.dossier_ref, r.survey_id, _heard_on(r), "no_answer" if r.outcome == "asked" else "unreachable", _about(r).handling_unit
            )
            for r in self.conn.execute(rows.limit(limit))
        ]

    def drawn_calls(self, since: date) -> list[tuple[Candidate, date]]:
        """Everybody drawn from a day on whose dossier is still known, with the day they were drawn on, in order; of those who were drawn
        before there were strata the share is 0."""
        rows = sa.select(t.slots, _C.drawn_on, _C.why, _C.stratum, _C.share).join(t.calls, _MINE).where(_C.drawn_on >= since)
        found = self.conn.execute(rows.order_by(_C.drawn_on, t.slots.c.dossier_ref))
        return [
            (Candidate(r.dossier_ref, r.survey_id, _heard_on(r), r.why, _about(r).handling_unit, r.stratum, r.share or 0.0), r.drawn_on)
            for r in found
        ]

    def waiting_calls(self, now: datetime, real_now: datetime, barred: Collection[str], limit: int) -> tuple[list[Waiting], int]:
        """The list as a desk sees it that is judged by none of it (``barred``: its units): the next entries, and how many may be taken."""
        rows = _open(now, barred).where(_free(real_now))
        ready = self.conn.execute(sa.select(sa.func.count()).select_from(rows.where(_C.next_at <= now).subquery())).scalar_one()
        found = self.conn.execute(rows.order_by(_C.next_at, _C.survey_id).limit(limit))
        return [Waiting(r.language, r.why, r.tries, r.next_at) for r in found], ready

    def call_tally(self, since: date) -> Tally:
        """What became of everybody drawn from a day on."""
        drawn = _C.drawn_on >= since
        ended = sa.select(_C.disposition, sa.func.count()).where(drawn, _C.state == "done").group_by(_C.disposition)
        counts = {str(name): int(n) for name, n in self.conn.execute(ended)}
        counted = sa.exists().where(t.answers.c.survey_id == _C.survey_id)
        claimed = sa.select(sa.func.count()).select_from(t.calls).where(drawn, _C.disposition == "answered", ~counted)
        waiting = sa.select(sa.func.count()).select_from(t.calls).where(drawn, _C.state != "done")
        open_, unconfirmed = (self.conn.execute(one).scalar_one() for one in (waiting, claimed))
        return Tally(open_ + sum(counts.values()), open_, counts, unconfirmed)


class Calls(Leaving, CallingReading, Budgeting, Going):
    """Calling."""

    # --- the draw

    def add_calls(self, drawn: Sequence[Candidate], rules: Calling, day: date, now: datetime, cap_days: int) -> int:
        """Put these on the list; how many.

        Not whose number is not known, nor who was drawn within the cap, at the same number; nor who was not asked about this dossier by a
        message, while the cap of another one holds, or while messages to numbers may not go to them.
        """
        added = 0
        for one in drawn:
            slot = self.conn.execute(self.locked(sa.select(t.slots).where(t.slots.c.survey_id == one.survey_id))).first()
            if slot is None or not self._may_be_called(one, slot, day, cap_days):
                continue
            first = rules.hours.next_open(now)
            if one.why == "unreachable" and not self._planned(slot, now, first, cap_days):
                continue
            row = {"survey_id": one.survey_id, "drawn_on": day, "why": one.why, "state": "waiting", "tries": 0, "by": None}
            row |= {"next_at": first, "lease_until": None, "disposition": None, "stratum": one.stratum, "share": one.share}
            added += self.insert_new(t.calls, [row])
        return added

    def _may_be_called(self, one: Candidate, slot: Any, day: date, cap_days: int) -> bool:
        number = self.contact_of(slot.dossier_ref).number
        if number is None or slot.phone_hash is None or self._called_lately(slot, day, cap_days):
            return False
        return one.why == "no_answer" or self._open_to(number)

    def _open_to(self, number: str) -> bool:
        """Whether somebody who was not written to may be called: as they might be by SMS. So nobody is in a trial, or before going live."""
        way = self.provider_of(BY_NUMBER)
        return self.tools.welcome(BY_NUMBER, number) and self.tools.may_leave(BY_NUMBER, way, BY_NUMBER in self.live_channels()) is None

    def _planned(self, slot: Any, now: datetime, at: datetime, cap_days: int) -> bool:
        """Plan the asking of somebody whom nobody asks otherwise, as an invitation is planned; False while the cap of another one holds."""
        since, mine = now - timedelta(days=cap_days), slot.survey_id
        contacts = self.contacts_of(slot)
        asked = [pair for c in contacts for pair in ((c.planned_at, c.planned_by), (c.asked_at, c.asked_by)) if pair[0] is not None]
        if cap_days and any(by != mine and when > since for when, by in asked):
            return False
        plan = sa.update(t.contacts).where(t.contacts.c.hash.in_([c.hash for c in contacts]))
        self.conn.execute(plan.values(planned_at=at, planned_by=mine))
        return True

    def _called_lately(self, slot: Any, day: date, cap_days: int) -> bool:
        theirs = [c == h for c, h in ((t.slots.c.phone_hash, slot.phone_hash), (t.slots.c.person_hash, slot.person_hash)) if h]
        if not theirs or not cap_days:
            return False
        joined = sa.select(_C.survey_id).select_from(sa.join(t.calls, t.slots, _MINE))
        lately = joined.where(sa.or_(*theirs), _C.drawn_on > day - timedelta(days=cap_days))
        return self.conn.execute(lately.limit(1)).first() is not None

    # --- one entry at a time

    def take_call(self, by: str, now: datetime, real_now: datetime, barred: Collection[str]) -> Entry | None:
        """The caller's entry: the one they have, else the next one, under a lease; None when nobody waits.

        Agreed times come first, then who was tried least. Whoever answered or opted out meanwhile leaves the list here.
        """
        if (mine := self.own_call(by, now, real_now, barred)) is not None:
            return mine
        agreed = sa.case((_C.disposition == "callback_later", 0), else_=1)
        ready = _open(now, barred).where(_free(real_now), _C.next_at <= now).order_by(agreed, _C.tries, _C.next_at, _C.survey_id)
        found = self.conn.execute(self._locked_calls(ready.limit(1))).first()
        if found is None:
            return None
        self.set_call(found.survey_id, state="taken", by=by, lease_until=real_now + LEASE)
        self.audited(by, "call_taken", f"survey:{found.survey_id}", {"try": found.tries + 1})
        return self.own_call(by, now, real_now, barred)

    def _locked_calls(self, rows: sa.Select[Any]) -> sa.Select[Any]:
        return rows.with_for_update(skip_locked=True, of=t.calls) if self.conn.dialect.name == "postgresql" else rows

    def own_call(self, by: str, now: datetime, real_now: datetime, barred: Collection[str], *, late: bool = False) -> Entry | None:
        """The entry this caller has; it leaves the list when it may not be called any more, and is given back when its lease is over.

        ``late``: also after the lease, while nobody else has it: what came of a long call is not lost.
        """
        mine = sa.select(t.calls).where(_C.by == by, _C.state == "taken")
        for call in list(self.conn.execute(self.locked(mine))):
            slot = self.conn.execute(sa.select(t.slots).where(t.slots.c.survey_id == call.survey_id)).first()
            if (left := self.left(slot, now)) is not None:
                self.leave_call(call, slot, left, now)
            elif (call.lease_until <= real_now and not late) or _judged(slot, barred):
                self.set_call(call.survey_id, state="waiting", by=None, lease_until=None)
            else:
                return self._entry(call, slot, self.started(call, by))
        return None

    def _entry(self, call: Any, slot: Any, started: bool) -> Entry:
        told = self.slot_by_survey(call.survey_id)
        number = self.contact_of(slot.dossier_ref).number or ""
        rows = self.conn.execute(sa.select(t.call_tries).where(t.call_tries.c.survey_id == call.survey_id).order_by(t.call_tries.c.id))
        tries = tuple(Try(r.at, r.disposition) for r in rows)
        desk = told.desk if told is not None else ""
        return Entry(call.survey_id, slot.language, desk, slot.ended_on, call.why, masked(number), tries, call.lease_until, started)

    def reveal_number(self, by: str, survey_id: str, real_now: datetime) -> str | None:
        """The number of an entry this caller has, for the one page that shows it; the look stands in the trail. None when it is gone.

        The lease begins anew: now the call begins.
        """
        self.set_call(survey_id, lease_until=real_now + LEASE)
        slot = self.conn.execute(sa.select(t.slots).where(t.slots.c.survey_id == survey_id)).first()
        number = self.contact_of(slot.dossier_ref).number if slot is not None else None
        self.audited(by, "vault_seen", f"survey:{survey_id}", {"door": "call", "found": number is not None})
        return number

    def end_try(
        self,
        by: str,
        entry: Entry,
        said: Disposition,
        now: datetime,
        rules: Calling,
        *,
        later: datetime | None = None,
        opt_out: bool = False,
    ) -> datetime | None:
        """What came of a call, and when the next one is (None: no more). Raises Invalid.

        ``answered`` takes that the questionnaire was begun. ``opt_out``: the person wants no more messages and calls at all.
        """
        if said not in DISPOSITIONS:
            raise Invalid("unknown", "disposition", f"one of {', '.join(DISPOSITIONS)}")
        if said == "answered" and not entry.started:
            raise Invalid("not_started", "disposition", "begin the questionnaire first; an answer is given there")
        call = self.conn.execute(self.locked(sa.select(t.calls).where(_C.survey_id == entry.survey_id))).one()
        slot = self.conn.execute(sa.select(t.slots).where(t.slots.c.survey_id == entry.survey_id)).one()
        following = next_try(said, call.tries + 1, now, rules, later)
        self.end_call(call, slot, said, by, now, following)
        if opt_out:
            self._no_more(slot, by, now)
        return following

    def held_call(self, by: str) -> str | None:
        """The ``ref`` of the entry that stands as this caller's, whether or not it may still be called."""
        mine = self.conn.execute(sa.select(_C.survey_id).where(_C.by == by, _C.state == "taken").limit(1)).scalar()
        return None if mine is None else entry_ref(mine)

    def end_late(self, by: str, ref: str, said: Disposition, now: datetime, *, opt_out: bool = False) -> Late | None:
        """What can be taken of a page whose entry is not this caller's any more: ``noted``, that its interview stands already, or ``kept``,
        the person's wish not to be asked again. None: nothing, also when this caller never had the entry.
        """
        survey_id = self._had(by, ref)
        if survey_id is None:
            return None
        slot = self.conn.execute(sa.select(t.slots).where(t.slots.c.survey_id == survey_id)).first() if opt_out else None
        if kept := slot is not None and bool(keys_of(slot)):
            self._no_more(slot, by, now)
        if said == "answered" and self._interviewed(by, survey_id):
            return "noted"
        return "kept" if kept else None

    def _had(self, by: str, ref: str) -> str | None:
        """The survey of an entry this caller took of late, by the trail."""
        took = sa.select(t.audit.c.object).where(t.audit.c.actor == by, t.audit.c.act == "call_taken").order_by(t.audit.c.seq.desc())
        surveys = (str(row.object).removeprefix("survey:") for row in self.conn.execute(took.limit(_REMEMBERED)))
        return next((survey_id for survey_id in surveys if entry_ref(survey_id) == ref), None)

    def _interviewed(self, by: str, survey_id: str) -> bool:
        tries = sa.select(t.call_tries.c.by, t.call_tries.c.disposition).where(t.call_tries.c.survey_id == survey_id)
        last = self.conn.execute(tries.order_by(t.call_tries.c.id.desc()).limit(1)).first()
        return last is not None and (last.by, last.disposition) == (by, "answered")

    def _no_more(self, slot: Any, by: str, now: datetime) -> None:
        keys = sorted(keys_of(slot))
        self.insert_new(t.contacts, [{"hash": h} for h in keys])
        self.choose("opt_out", self.same(keys), now, "call")
        for key in keys:
            self.audited(by, "opted_out", f"contact:{mark(key)}", {"door": "call"})

    # --- leaving the list

    def clear_calls(self, now: datetime, real_now: datetime, limit: int) -> int:
        """Close entries nobody has (any more) that may not be called; how many."""
        rows = sa.select(t.calls).select_from(sa.outerjoin(t.calls, t.slots, _MINE)).where(_C.state != "done", _free(real_now))
        over = rows.where(sa.or_(t.slots.c.dossier_ref.is_(None), sa.not_(_callable(now)))).order_by(_C.survey_id).limit(limit)
        found = list(self.conn.execute(self._locked_calls(over)))
        for call in found:
            slot = self.conn.execute(sa.select(t.slots).where(t.slots.c.survey_id == call.survey_id)).first()
            self.leave_call(call, slot, self.left(slot, now) or "expired", now)
        return len(found)


def _callable(now: datetime) -> sa.ColumnElement[bool]:
    """Slots whose people may be called."""
    s = t.slots.c
    fresh = sa.or_(s.expires_at.is_(None), s.expires_at > now)
    recent = s.ended_on >= now.astimezone(LOCAL).date() - timedelta(days=2 * DAYS)
    again = sa.or_(s.reason.is_(None), s.reason != "reopened")
    return sa.and_(s.erased_on.is_(None), s.reopened_at.is_(None), again, fresh, recent, ~_answered(), ~_opted_out())


def _open(now: datetime, barred: Collection[str]) -> sa.Select[Any]:
    """Entries that are not done with, of people who may be called, about none of these units."""
    columns = (_C.survey_id, _C.why, _C.tries, _C.next_at, _C.state, _C.disposition, t.slots.c.language)
    rows = sa.select(*columns).select_from(sa.join(t.calls, t.slots, _MINE)).where(_C.state != "done", _callable(now))
    if not barred:
        return rows
    handling = (t.slots.c.about.contains(f'"handling_unit":{msgspec.json.encode(unit).decode()}', autoescape=True) for unit in barred)
    return rows.where(t.slots.c.unit.not_in(barred), ~sa.or_(*handling))


def _heard_on(slot: Any) -> date:
    at: datetime = slot.taken_at
    return at.astimezone(LOCAL).date()


def _about(slot: Any) -> About:
    return msgspec.json.decode(slot.about, type=About)


def _judged(slot: Any, barred: Collection[str]) -> bool:
    about = _about(slot)
    return about.receiving_unit in barred or about.handling_unit in barred


def _free(real_now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(_C.state == "waiting", _C.lease_until <= real_now)


def _silent(now: datetime, before: datetime) -> sa.ColumnElement[bool]:
    """Asked, and no message to come or of late."""
    s, c = t.slots.c, t.claims.c
    lately = sa.exists().where(c.ref == s.survey_id, c.claimed_at > before)
    written = sa.exists().where(c.ref == s.survey_id, c.purpose == "invitation")
    coming = sa.exists().where(t.due.c.kind == "reminder", t.due.c.ref == s.survey_id, t.due.c.state == "waiting")
    return sa.and_(s.outcome == "asked", s.expires_at > now, written, ~lately, ~coming)


def _unreachable(before: datetime, day: date) -> sa.ColumnElement[bool]:
    s, c = t.slots.c, t.claims.c
    lately = sa.exists().where(c.ref == s.survey_id, c.claimed_at > before)
    recent = s.ended_on >= day - timedelta(days=DAYS)
    return sa.and_(s.outcome == "not_asked", s.reason.in_(UNREACHABLE), s.taken_at <= before, recent, ~lately)
