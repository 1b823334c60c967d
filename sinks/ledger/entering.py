"""The doors' part of a transaction: from what somebody holds (link, slip, dossier code, ticket, receipt) to the dossier's one slot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hailong.domain.doors import CODE_TRIES, SLIP_HELD, TRIES_CLOSED
from hailong.events import About, SurveyAnswered
from hailong.ports import Measure, ReceiptState, SlotForAnswer
from sinks.ledger import schema as t
from sinks.ledger.base import Base


class Entering(Base):
    """Finding slots, and what is kept beside an answer."""

    def slot_row(self, code: str) -> Any:
        """The row of the slot a link's code leads to, or None."""
        joined = sa.select(t.slots).join(t.codes, t.codes.c.survey_id == t.slots.c.survey_id)
        return self.conn.execute(joined.where(t.codes.c.code_hash == self.tools.code_hash(code))).first()

    def slot_by_code(self, code: str) -> SlotForAnswer | None:
        """The slot a link's code leads to; None for an unknown one."""
        return self._slot(self.slot_row(code))

    def slot_by_slip(self, slip: str) -> SlotForAnswer | None:
        """The slot a slip is bound to; None for one that is unknown, or bound to none or, by mistake, to several. Trials are nobody's."""
        hashed = self.tools.slip_hash(slip)
        return None if hashed is None else self._only(sa.and_(t.slots.c.slip_hash == hashed, ~t.slots.c.test))

    def slip_is_ours(self, slip: str) -> bool:
        """Whether we printed this slip."""
        hashed = self.tools.slip_hash(slip)
        return hashed is not None and self.conn.execute(sa.select(t.slips.c.batch).where(t.slips.c.slip_hash == hashed)).first() is not None

    def slot_by_ticket(self, unit: str, day: date, ticket: str) -> SlotForAnswer | None:
        """The slot of who drew that number at that desk on that day; not of a trial, nor of a dossier that goes on."""
        return self._only(sa.and_(t.slots.c.ticket_hash == self.tools.ticket_hash(unit, day, ticket), _ended()))

    def slot_by_survey(self, survey_id: str) -> SlotForAnswer | None:
        """The slot itself."""
        return self._only(t.slots.c.survey_id == survey_id)

    def slot_by_dossier(self, refs: Sequence[str], digits: str, now: datetime) -> SlotForAnswer | None:
        """The slot of a dossier code (``refs``: what it is under each source) whose contact's number ends in ``digits``.

        None for whatever does not fit, without telling why: an unknown code, other digits, no number, too many tries, a dossier that
        goes on. Wrong digits for a known dossier are counted; after five it is closed for a day.
        """
        rows = [self._closed(row, digits, now) for row in self._known(refs)]
        return next((self._slot(row) for row in rows if row is not None), None)

    def _known(self, refs: Sequence[str]) -> list[Any]:
        ended = sa.select(t.slots).where(t.slots.c.dossier_ref.in_(refs), _ended())
        return list(self.conn.execute(self.locked(ended.order_by(t.slots.c.dossier_ref))))

    def _closed(self, row: Any, digits: str, now: datetime) -> Any:
        """The row when the digits are right and it is not closed."""
        tried = self.conn.execute(sa.select(t.tries).where(t.tries.c.ref == row.dossier_ref)).first()
        if tried is not None and now - tried.since >= TRIES_CLOSED:
            self.conn.execute(sa.delete(t.tries).where(t.tries.c.ref == row.dossier_ref))
            tried = None
        if tried is not None and tried.n >= CODE_TRIES:
            return None
        if row.tail_hash is not None and row.tail_hash == self.tools.tail_hash(row.dossier_ref, digits):
            return row
        insert = (postgresql if self.conn.dialect.name == "postgresql" else sqlite).insert(t.tries)
        once_more = insert.on_conflict_do_update(index_elements=[t.tries.c.ref], set_={"n": t.tries.c.n + 1})
        self.conn.execute(once_more, {"ref": row.dossier_ref, "n": 1, "since": now})
        return None

    def _only(self, which: sa.ColumnElement[bool]) -> SlotForAnswer | None:
        rows = list(self.conn.execute(sa.select(t.slots).where(which).limit(2)))
        return self._slot(rows[0]) if len(rows) == 1 else None

    def _slot(self, slot: Any) -> SlotForAnswer | None:
        if slot is None:
            return None
        about = msgspec.json.decode(slot.about, type=About)
        given = self.conn.execute(sa.select(t.answers).where(t.answers.c.survey_id == slot.survey_id)).first()
        return SlotForAnswer(
            survey_id=slot.survey_id,
            about=about,
            expires_at=slot.expires_at,
            language=slot.language,
            answered=given is not None,
            desk=self.unit_name(about.receiving_unit) or about.receiving_unit,
            ended_on=slot.ended_on,
            answered_at=given.counted_at if given is not None else None,
            done=tuple(json.loads(given.done)) if given is not None else (),
            finished=tuple(json.loads(given.finished)) if given is not None else (),
            erased=given is not None and given.erased_at is not None,
            receipt_hash=(given.receipt_hash or "") if given is not None else "",
        )

    def unit_name(self, code: str) -> str | None:
        """The newest name of a unit; None for a code that is none."""
        unit = sa.and_(t.registry.c.kind == "unit", t.registry.c.ref.startswith(f"{code}@", autoescape=True))
        named = self.conn.execute(sa.select(t.registry.c.fact).where(unit).order_by(t.registry.c.seq.desc())).scalar()
        return str(msgspec.json.decode(named)["name"]) if named else None

    # --- slips that lead to no dossier yet

    def free_slip(self, slip: str) -> str | None:
        """The hash of a slip that we printed and that leads to no dossier, nor ever did; None for any other."""
        hashed = self.tools.slip_hash(slip)
        unused = sa.and_(t.slips.c.erased_on.is_(None), ~sa.exists().where(t.slots.c.slip_hash == hashed))
        free = sa.select(t.slips.c.slip_hash).where(t.slips.c.slip_hash == hashed, unused)
        return None if hashed is None else self.conn.execute(free).scalar()

    def hold_slip_page(self, slip_hash: str, fact: SurveyAnswered, texts: Mapping[str, tuple[str, int]], now: datetime) -> None:
        """A page that came in by a slip which leads to no dossier: kept for 30 days; the same again changes nothing.

        ``texts``: question → (own words, masked already; how many times). Where the slip was bound since, the page is released at once.
        """
        self._slip_locked(slip_hash)
        row = {"slip_hash": slip_hash, "event_id": fact.event_id, "fact": msgspec.json.encode(fact).decode()}
        self.insert_new(t.slip_answers, [row | {"texts": json.dumps(texts), "keep_until": now + SLIP_HELD}])
        bound = list(self.conn.execute(sa.select(t.slots).where(t.slots.c.slip_hash == slip_hash).limit(2)))
        if len(bound) == 1:
            self.release_slip(slip_hash, bound[0], now)

    def release_slip(self, slip_hash: str, slot: Any, now: datetime) -> int:
        """The slip leads to ``slot`` (a row) from now on: what came in by it becomes answers of that slot, in order; how many pages."""
        if not self._slip_locked(slip_hash):
            return 0
        mine = sa.and_(t.slip_answers.c.slip_hash == slip_hash, t.slip_answers.c.keep_until > now)
        held = list(self.conn.execute(sa.select(t.slip_answers).where(mine).order_by(t.slip_answers.c.id)))
        about = msgspec.json.decode(slot.about, type=About)
        for row in held:
            said = msgspec.json.decode(row.fact, type=SurveyAnswered)
            fact = msgspec.structs.replace(said, survey_id=slot.survey_id, about=about)
            for question, (text, masked) in json.loads(row.texts).items():
                day = fact.answered_at.astimezone(self.tools.zone).date()
                self.keep_comment(fact.survey_id, question, about, text, masked, day)
            if fact.answers or fact.finished:
                self.put([fact], now)
        self.conn.execute(sa.delete(t.slip_answers).where(t.slip_answers.c.slip_hash == slip_hash))
        return len(held)

    def _slip_locked(self, slip_hash: str) -> bool:
        """Whether we printed it; whoever binds a slip and whoever holds a page of it go one after the other."""
        return self.conn.execute(self.locked(sa.select(t.slips).where(t.slips.c.slip_hash == slip_hash))).first() is not None

    # --- beside an answer

    def keep_comment(self, survey_id: str, question: str, about: About, text: str, masked: int, day: date) -> None:
        """Own words about a slot; later ones replace the ones before, none (empty) delete them, and none are kept of an answer that was
        erased or is going to be.

        ``text``: with what named anybody masked already.
        """
        mine = sa.and_(t.comments.c.survey_id == survey_id, t.comments.c.question == question)
        if self._is_erased(survey_id):
            return
        if not text:
            self.conn.execute(sa.delete(t.comments).where(mine))
            return
        row: dict[str, Any] = {"survey_id": survey_id, "question": question, "about": msgspec.json.encode(about).decode(), "text": text}
        row |= {"masked": masked, "day": day}
        if not self.insert_new(t.comments, [row]):
            self.conn.execute(sa.update(t.comments).where(mine).values(text=text, masked=masked, day=day))

    def _is_erased(self, survey_id: str) -> bool:
        """Whether erasure was asked; whoever asks for it meanwhile waits, and finds what this transaction keeps."""
        given = sa.select(t.answers.c.erased_at).where(t.answers.c.survey_id == survey_id)
        return self.conn.execute(self.locked(given)).scalar() is not None

    def keep_feedback(self, unit: str | None, text: str, masked: int, day: date) -> None:
        """Own words of somebody without a code. The same words about the same place, today or the day before, are kept once: nothing is
        counted by them, and a form that is sent twice says nothing new.
        """
        self.position("feedback")  # two at once go one after the other
        f = t.feedback.c
        same = sa.select(f.id).where(f.unit == unit, f.text == text, f.day >= day - timedelta(days=1))
        if self.conn.execute(same.limit(1)).first() is None:
            self.conn.execute(sa.insert(t.feedback), {"unit": unit, "text": text, "masked": masked, "day": day})

    def receipt_state(self, receipt_hash: str) -> ReceiptState | None:
        """What a receipt proves; None for an unknown one. What was answered is no part of it."""
        row = self.conn.execute(sa.select(t.answers).where(t.answers.c.receipt_hash == receipt_hash)).first()
        if row is None:
            return None
        state = "erased" if row.erased_at is not None else "held" if row.held and row.judged != "released" else "counted"
        return ReceiptState(row.survey_id, state, row.counted_at)  # type: ignore[arg-type]

    def ask_erasure(self, receipt_hash: str, now: datetime) -> bool:
        """Whoever holds the receipt wants the answer gone: False for an unknown one. Own words and the wish to be called back go at once,
        the rest by the count role; asked again, what came in between goes too."""
        row = self.conn.execute(self.locked(sa.select(t.answers).where(t.answers.c.receipt_hash == receipt_hash))).first()
        if row is None:
            return False
        if row.erased_at is None:
            self.conn.execute(sa.update(t.answers).where(t.answers.c.survey_id == row.survey_id).values(erased_at=now))
            self.schedule("erase_answer", row.survey_id, now)
        for beside in (t.comments, t.callbacks):
            self.conn.execute(sa.delete(beside).where(beside.c.survey_id == row.survey_id))
        return True

    # --- you said, we did

    def measures(self, unit: str | None, limit: int) -> list[Measure]:
        """What came of answers, the newest first; None: of every unit. Those that were withdrawn are left out."""
        m = t.measures.c
        wanted = sa.select(t.measures).where(m.withdrawn_at.is_(None), sa.true() if unit is None else m.unit == unit)
        rows = self.conn.execute(wanted.order_by(m.day.desc(), m.id.desc()).limit(limit))
        return [self._measure(row) for row in rows]

    def _measure(self, row: Any) -> Measure:
        said, did = {"vi": row.said_vi, "en": row.said_en}, {"vi": row.did_vi, "en": row.did_en}
        return Measure(row.unit, row.day, said, did, self.unit_name(row.unit) or row.unit)

    # --- questionnaires

    def freeze(self, fingerprints: Sequence[tuple[str, int, str, str]], now: datetime) -> list[tuple[str, int, str]]:
        """Note what is asked now (id, version, part, fingerprint); the parts that differ from what was answered before."""
        differ = []
        for name, version, part, digest in fingerprints:
            mine = sa.and_(t.questionnaires.c.id == name, t.questionnaires.c.version == version, t.questionnaires.c.part == part)
            row = {"id": name, "version": version, "part": part, "fingerprint": digest, "used_at": None}
            known = None if self.insert_new(t.questionnaires, [row]) else self.conn.execute(sa.select(t.questionnaires).where(mine)).one()
            if known is None or known.fingerprint == digest:
                continue
            if known.used_at is not None:
                differ.append((name, version, part))
            else:
                self.conn.execute(sa.update(t.questionnaires).where(mine).values(fingerprint=digest))
        return differ

    def used(self, name: str, version: int, now: datetime) -> None:
        """This version was answered: from now on it stands."""
        mine = sa.and_(t.questionnaires.c.id == name, t.questionnaires.c.version == version, t.questionnaires.c.used_at.is_(None))
        self.conn.execute(sa.update(t.questionnaires).where(mine).values(used_at=now))

    # --- by SMS

    def open_invitations(self, number: str, now: datetime) -> list[tuple[SlotForAnswer, tuple[str, ...]]]:
        """What a number (E.164) can answer by SMS: (slot, codes of its links, the invitation's first), those that ended first, first.

        Found under every pepper. Asked, not answered, not over, not erased; that the number opted out since does not matter: it writes
        by itself. A message under way may be in somebody's hand before we know that it was taken.
        """
        hashes = {self.tools.contact_hash("phone", number), *self.tools.older_hashes("phone", number).values()}
        s = t.slots.c
        answered = sa.exists().where(t.answers.c.survey_id == s.survey_id)
        written = sa.or_(s.outcome == "asked", sa.and_(s.outcome == "waiting", s.reason == "in_flight"))
        open_ = sa.and_(written, s.expires_at > now, s.erased_on.is_(None), ~s.test, ~answered)
        mine = sa.select(t.slots).where(s.phone_hash.in_(hashes), open_).order_by(s.ended_on, s.survey_id)
        found = [slot for row in self.conn.execute(mine) if (slot := self._slot(row)) is not None]
        return [(slot, tuple(self.tools.code_for(slot.survey_id, kind, "sms") for kind in ("invitation", "reminder"))) for slot in found]

    def note_once(self, kind: str, ref: str, now: datetime) -> dict[str, Any] | None:
        """Remember that something happened, in a row of the due table that nobody waits for: None when it is new, else what is bound to it.

        Whoever notes the same at the same time waits for this transaction.
        """
        if self.insert_new(t.due, [{"kind": kind, "ref": ref, "due_at": now, "state": "done", "payload": "{}", "channel": None}]):
            return None
        bound = sa.select(t.due.c.payload).where(t.due.c.kind == kind, t.due.c.ref == ref)
        noted: dict[str, Any] = json.loads(self.conn.execute(bound).scalar_one())
        return noted

    def bind_note(self, kind: str, ref: str, bound: Mapping[str, Any]) -> None:
        """What ``note_once`` gives from now on for what it has noted; empty to forget it."""
        mine = sa.and_(t.due.c.kind == kind, t.due.c.ref == ref)
        self.conn.execute(sa.update(t.due).where(mine).values(payload=json.dumps(dict(bound))))


def _ended() -> sa.ColumnElement[bool]:
    """Slots of dossiers that have ended: not of one that was reopened and has not ended again since, nor of a source's trials."""
    s = t.slots.c
    goes_on = sa.or_(s.reopened_at >= s.occurred_at, sa.and_(s.outcome == "not_asked", s.reason == "reopened"))
    return sa.and_(~sa.func.coalesce(goes_on, sa.false()), ~s.test)
