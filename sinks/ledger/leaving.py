"""Leaving the list of calls: why somebody may not be called any more, and what of it goes into the log, once for everybody drawn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from hailong.domain.calls import DAYS, Disposition, Left
from hailong.domain.units import LOCAL
from sinks.ledger import schema as t
from sinks.ledger.audit import Audit
from sinks.ledger.dossiers import Dossiers, keys_of

DISPOSITION: Final = "disposition"
"""Kind of due rows: what came of a call, or of being drawn without one, for the count role to write into the log."""
_C = t.calls.c


class Leaving(Dossiers, Audit):
    """Ends of entries. Whoever calls these holds the entry's row."""

    def leave_call(self, call: Any, slot: Any, why: Left, now: datetime) -> None:
        """Somebody is done with, by no (further) call. What they answered in one that nobody has noted yet is that call's interview."""
        if why == "answered_elsewhere" and call.by is not None and self.started(call, call.by):
            self.end_call(call, slot, "answered", call.by, now, None)
            return
        self.set_call(call.survey_id, state="done", by=None, lease_until=None, disposition=why)
        self._tell(call, slot, "left", why, call.tries, now, final=True)
        if not call.tries and call.why == "unreachable" and slot is not None:  # the list itself had planned that they are asked
            mine = [c.hash for c in self.contacts_of(slot) if c.planned_by == call.survey_id]
            self.conn.execute(sa.update(t.contacts).where(t.contacts.c.hash.in_(mine)).values(planned_at=None, planned_by=None))

    def end_call(self, call: Any, slot: Any, said: Disposition, by: str, now: datetime, following: datetime | None) -> None:
        """What came of a try, and when the next one is (None: done with)."""
        n = call.tries + 1
        self.conn.execute(sa.insert(t.call_tries), {"survey_id": call.survey_id, "at": now, "by": by, "disposition": said})
        state: dict[str, Any] = {"state": "done"} if following is None else {"state": "waiting", "next_at": following}
        self.set_call(call.survey_id, tries=n, by=None, lease_until=None, disposition=said, **state)
        self._tell(call, slot, str(n), said, n, now, final=following is None)
        self.audited(by, "call_ended", f"survey:{call.survey_id}", {"try": n, "disposition": said})
        if n == 1 and call.why == "unreachable":  # nobody had asked them before: that is their asking, for the cap
            mine = [c.hash for c in self.contacts_of(slot)]
            self.conn.execute(sa.update(t.contacts).where(t.contacts.c.hash.in_(mine)).values(asked_at=now, asked_by=call.survey_id))

    def _tell(self, call: Any, slot: Any, ref: str, reason: str, tries: int, now: datetime, *, final: bool) -> None:
        told = {"survey_id": call.survey_id, "reason": reason, "mode": "call"}
        told |= {"about": msgspec.json.decode(slot.about) if slot is not None else None}
        drawn = {"stratum": call.stratum, "share": call.share} if call.share is not None else {}
        self.schedule(DISPOSITION, f"{call.survey_id}:{ref}", now, told | {"final": final, "why": call.why, "tries": tries} | drawn)

    def leave_before_erasure(self, slots: Sequence[Any], now: datetime) -> None:
        """Those of these slots (locked) who are still on the list leave it while it is known what their dossiers were about."""
        surveys = {s.survey_id: s for s in slots}
        open_ = self.locked(sa.select(t.calls).where(_C.survey_id.in_(list(surveys)), _C.state != "done").order_by(_C.survey_id))
        for call in list(self.conn.execute(open_)):
            slot = surveys[call.survey_id]
            self.leave_call(call, slot, self.left(slot, now) or "contact_erased", now)

    def left(self, slot: Any, now: datetime) -> Left | None:
        """Why somebody may not be called any more; None when they may."""
        if slot is None or slot.erased_on is not None:
            return "contact_erased"
        if self.conn.execute(sa.select(t.answers.c.seq).where(t.answers.c.survey_id == slot.survey_id)).first() is not None:
            return "answered_elsewhere"
        out = sa.select(t.contacts.c.hash).where(t.contacts.c.hash.in_(keys_of(slot)), t.contacts.c.opted_out_at.is_not(None))
        if self.conn.execute(out.limit(1)).first() is not None:
            return "opted_out"
        if slot.reopened_at is not None or slot.reason == "reopened":
            return "reopened"
        if _late(slot, now):
            return "expired"
        return "contact_erased" if self.contact_of(slot.dossier_ref).number is None else None

    def started(self, call: Any, by: str) -> bool:
        """Whether the questionnaire was begun since the last try."""
        last = sa.select(sa.func.max(t.call_tries.c.at, type_=t.call_tries.c.at.type)).where(t.call_tries.c.survey_id == call.survey_id)
        since = self.conn.execute(last).scalar() or t.EPOCH
        begun = sa.select(t.helped.c.id).where(t.helped.c.survey_id == call.survey_id, t.helped.c.by == by, t.helped.c.mode == "call")
        return self.conn.execute(begun.where(t.helped.c.at > since).limit(1)).first() is not None

    def contacts_of(self, slot: Any) -> list[Any]:
        """The rows of a slot's number, address and person, made where there are none; locked, in everybody's order."""
        keys = sorted(keys_of(slot))
        self.insert_new(t.contacts, [{"hash": h} for h in keys])
        return list(self.conn.execute(self.locked(sa.select(t.contacts).where(t.contacts.c.hash.in_(keys)).order_by(t.contacts.c.hash))))

    def set_call(self, survey_id: str, **values: Any) -> None:
        """Change an entry."""
        self.conn.execute(sa.update(t.calls).where(_C.survey_id == survey_id).values(**values))


def _late(slot: Any, now: datetime) -> bool:
    if slot.expires_at is not None and slot.expires_at <= now:
        return True
    over: bool = slot.ended_on < now.astimezone(LOCAL).date() - timedelta(days=2 * DAYS)
    return over
