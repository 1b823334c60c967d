"""What must be gone in time: contacts and codes of settled surveys, dead letters, hashes nobody needs, keys with nothing under them.

Once a day, in parts that may be repeated. A survey is settled when its dossier is not asked, when it was answered, or when its link ran
out; 30 days later nothing here leads from the dossier to a person, or from either to an answer: the slot itself is given another
survey_id. What was erased is counted in ``erasures``, by day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hailong.domain.doors import COMMENT_DAYS, TRIES_CLOSED
from hailong.ports import Erased
from sinks.ledger import schema as t
from sinks.ledger.arms import ArmsKeeping
from sinks.ledger.base import Base
from sinks.ledger.dossiers import keys_of
from sinks.ledger.leaving import Leaving
from sinks.ledger.preferring import Preferring
from sinks.ledger.vault import VaultError

KEPT: Final = timedelta(days=30)
"""From the day a survey was settled to that of its erasure."""
TIMER: Final = "timer"


class ErasingReading(Base):
    """What was erased, and what still stands."""

    def erasures(self) -> list[Erased]:
        """What was erased, by day."""
        rows = self.conn.execute(sa.select(t.erasures).order_by(t.erasures.c.day, t.erasures.c.what, t.erasures.c.key_month))
        return [Erased(r.day, r.what, r.n, r.key_month) for r in rows]

    def sealed(self) -> dict[str, dict[str, int]]:
        """Month of the key → how many ``contacts`` and ``dead_letters`` lie sealed under it."""
        found: dict[str, dict[str, int]] = {}
        letters = sa.select(t.dead_letters.c.key_month, sa.func.count()).where(_still_sealed())
        for what, counted in (
            ("contacts", sa.select(t.vault.c.key_month, sa.func.count()).group_by(t.vault.c.key_month)),
            ("dead_letters", letters.group_by(t.dead_letters.c.key_month)),
        ):
            for month, n in self.conn.execute(counted):
                found.setdefault(month, {})[what] = n
        return dict(sorted(found.items()))

    def fake_days(self) -> list[tuple[date, int, int]]:
        """(day, different texts, reports) of messages reported as not ours, the newest first."""
        f = t.fake_reports.c
        by_day = sa.select(f.day, sa.func.count(), sa.func.sum(f.n)).group_by(f.day).order_by(f.day.desc()).limit(100)
        return [(day, texts, int(n)) for day, texts, n in self.conn.execute(by_day)]

    def standing(self) -> dict[str, Any]:
        """``{settled_not_yet_erased, opted_out, peppers}``.

        ``peppers``: version → opted-out contacts that are known under it and under no later one: it must stay for them.
        """
        settled = sa.select(sa.func.count()).select_from(t.slots).where(t.slots.c.erased_on.is_(None), t.slots.c.settled_on.is_not(None))
        out = t.contacts.c.opted_out_at.is_not(None)
        alone = sa.select(t.contacts.c.pepper, sa.func.count()).where(out, t.contacts.c.newer.is_(None)).group_by(t.contacts.c.pepper)
        peppers = {str(version): n for version, n in self.conn.execute(alone.order_by(t.contacts.c.pepper))}
        waiting = self.conn.execute(settled).scalar_one()
        return {"settled_not_yet_erased": waiting, "opted_out": sum(peppers.values()), "peppers": peppers}


class Erasing(Preferring, ErasingReading, ArmsKeeping, Leaving):
    """Erasing. ``day``: the local day on which it is done; every method but the last returns how much it did, 0 when nothing is left."""

    def erase(self, day: date, now: datetime, limit: int) -> int:
        """One part of the day's work; 0 when it is done."""
        steps = (
            self._settle_days, self._erase_settled, self._erase_strays, self._seal_later, self._erase_letters, self._erase_hashes,
            self._erase_words, self._erase_beside,
        )  # fmt: skip
        return next((n for step in steps if (n := step(day, now, limit))), 0)

    def sealed_months(self) -> frozenset[str]:
        """Months whose keys something lies sealed under."""
        return frozenset(self.sealed())

    def note_key_discarded(self, month: str, day: date) -> None:
        """The key of a month is about to be discarded: counted, and in the audit trail. Once a day, however often it is said."""
        if self.insert_new(t.erasures, [{"day": day, "what": "key", "key_month": month, "n": 1}]):
            self.audited(TIMER, "key_discarded", f"key:{month}")

    def count_erased(self, day: date, what: str, by_month: Mapping[str, int]) -> None:
        """Add to what was erased on a day."""
        insert = (postgresql if self.conn.dialect.name == "postgresql" else sqlite).insert(t.erasures)
        key = [t.erasures.c.day, t.erasures.c.what, t.erasures.c.key_month]
        add = insert.on_conflict_do_update(index_elements=key, set_={"n": t.erasures.c.n + insert.excluded.n})
        rows = [{"day": day, "what": what, "key_month": month, "n": n} for month, n in sorted(by_month.items()) if n]
        if rows:
            self.conn.execute(add, rows)

    # --- settled surveys

    def _settle_days(self, day: date, now: datetime, limit: int) -> int:
        """Surveys that were settled since the last round were settled yesterday, at the latest."""
        answered = sa.exists().where(t.answers.c.survey_id == t.slots.c.survey_id)
        over = sa.or_(t.slots.c.outcome == "not_asked", t.slots.c.expires_at <= now, answered)
        open_ = sa.and_(t.slots.c.erased_on.is_(None), t.slots.c.settled_on.is_(None), t.slots.c.outcome != "waiting")
        refs = list(self.conn.execute(self.locked(sa.select(t.slots.c.dossier_ref).where(open_, over).limit(limit))).scalars())
        yesterday = day - timedelta(days=1)
        self.conn.execute(sa.update(t.slots).where(t.slots.c.dossier_ref.in_(refs)).values(settled_on=yesterday))
        return len(refs)

    def _erase_settled(self, day: date, now: datetime, limit: int) -> int:
        due = sa.and_(t.slots.c.erased_on.is_(None), t.slots.c.settled_on <= day - KEPT)
        under_way = sa.exists().where(t.claims.c.ref == t.slots.c.survey_id, t.claims.c.state == "claimed")
        slots = list(self.conn.execute(self.locked(sa.select(t.slots).where(due, ~under_way).limit(limit))))
        if slots:
            self.keep_arms([s.survey_id for s in slots], now)
            self.erase_slots(slots, day, now)
        return len(slots)

    def _erase_strays(self, day: date, now: datetime, limit: int) -> int:
        """Contacts under dossiers that are erased already: none should lie there, and none may."""
        gone = sa.select(t.slots.c.dossier_ref).where(t.slots.c.dossier_ref == t.vault.c.dossier_ref, t.slots.c.erased_on.is_not(None))
        refs = list(self.conn.execute(sa.select(t.vault.c.dossier_ref).where(gone.exists()).limit(limit)).scalars())
        if not refs:
            return 0
        months = self.conn.execute(sa.delete(t.vault).where(t.vault.c.dossier_ref.in_(refs)).returning(t.vault.c.key_month)).scalars()
        self.count_erased(day, "contacts", Counter(months))
        return len(refs)

    def erase_slots(self, slots: Sequence[Any], day: date, now: datetime) -> Counter[str]:
        """Erase what names the people of these slots (locked), and what joins them to messages and answers; what that was."""
        self.leave_before_erasure(slots, now)
        refs, surveys = [s.dossier_ref for s in slots], [s.survey_id for s in slots]
        entries = self.conn.execute(sa.delete(t.vault).where(t.vault.c.dossier_ref.in_(refs)).returning(t.vault.c.key_month)).scalars()
        contacts = Counter(entries)
        codes = self.conn.execute(sa.delete(t.codes).where(t.codes.c.survey_id.in_(surveys))).rowcount
        done = {
            "link_codes": codes,
            "applicant_ids": sum(s.person_hash is not None for s in slots),
            "slip_codes": sum(s.slip_hash is not None for s in slots),
        }
        self._forget_messages(surveys)
        self._free_contacts(slots)
        used = [s.slip_hash for s in slots if s.slip_hash is not None]
        self.conn.execute(sa.update(t.slips).where(t.slips.c.slip_hash.in_(used)).values(erased_on=day))
        b = sa.bindparam
        gone = sa.update(t.slots).where(t.slots.c.dossier_ref == b("b_ref")).values(
            survey_id=b("b_survey"), phone_hash=None, email_hash=None, person_hash=None, slip_hash=None, tail_hash=None,
            ticket_hash=None, landline=False, preferred=None, refused="",
            settled_on=sa.func.coalesce(t.slots.c.settled_on, day.isoformat()), erased_on=day,
        )  # fmt: skip
        self.conn.execute(gone, [{"b_ref": ref, "b_survey": self.tools.new_id()} for ref in refs])
        self.count_erased(day, "contacts", contacts)
        for what, n in done.items():
            self.count_erased(day, what, {"": n})
        return Counter({"contacts": contacts.total(), **done})

    def _forget_messages(self, surveys: Sequence[str]) -> None:
        """What leads from an answer to a provider's list, and so to a number."""
        mine = sa.and_(t.claims.c.ref.in_(surveys), t.claims.c.provider_id.is_not(None))
        ids = list(self.conn.execute(sa.select(t.claims.c.provider_id).where(mine)).scalars())
        self.conn.execute(sa.delete(t.receipts).where(t.receipts.c.provider_id.in_(ids)))
        self.conn.execute(sa.update(t.claims).where(mine).values(provider_id=None))

    def _free_contacts(self, slots: Sequence[Any]) -> None:
        """That these contacts were asked stands, for the cap; about what no more."""
        hashes, surveys = sorted({h for s in slots for h in keys_of(s)}), [s.survey_id for s in slots]
        for by in (t.contacts.c.asked_by, t.contacts.c.planned_by):
            mine = sa.and_(t.contacts.c.hash.in_(hashes), by.in_(surveys))
            self.conn.execute(sa.update(t.contacts).where(mine).values({by: None}))

    # --- what lies under a key whose month is over

    def _seal_later(self, day: date, now: datetime, limit: int) -> int:
        """What is still needed when its month is over moves under a later key; what does not open any more is gone already."""
        month = self.tools.vault.month(now)
        rows = list(self.conn.execute(self.locked(sa.select(t.vault).where(t.vault.c.key_month < _month(day)).limit(limit))))
        for row in rows:
            mine = t.vault.c.dossier_ref == row.dossier_ref
            try:
                opened = self.tools.vault.open(row.key_month, bytes(row.sealed), row.dossier_ref)
            except VaultError:
                self.conn.execute(sa.delete(t.vault).where(mine))
                self.count_erased(day, "contacts", {row.key_month: 1})
                continue
            sealed = self.tools.vault.seal(month, opened, row.dossier_ref)
            self.conn.execute(sa.update(t.vault).where(mine).values(key_month=month, sealed=sealed))
        return len(rows)

    def _erase_letters(self, day: date, now: datetime, limit: int) -> int:
        """Dead letters: 30 days after they were put aside when somebody has dealt with them, else when their month is over."""
        letters = t.dead_letters.c
        dealt_with = sa.and_(letters.state != "waiting", letters.at <= now - KEPT)
        due = sa.and_(_still_sealed(), sa.or_(dealt_with, letters.key_month < _month(day)))
        rows = list(self.conn.execute(self.locked(sa.select(letters.id, letters.key_month).where(due).limit(limit))))
        mine = sa.and_(letters.id.in_([r.id for r in rows]))
        self.conn.execute(sa.update(t.dead_letters).where(mine).values(sealed=b""))
        self.conn.execute(sa.update(t.dead_letters).where(mine, letters.state == "waiting").values(state="dropped"))
        self.count_erased(day, "dead_letters", Counter(r.key_month for r in rows))
        return len(rows)

    def _erase_hashes(self, day: date, now: datetime, limit: int) -> int:
        """Hashes of contacts that no opt-out, no cap and no dossier needs."""
        c, long_ago = t.contacts.c, now - max(KEPT, timedelta(days=self.tools.cap_days(now)))
        past = [sa.or_(at.is_(None), at < long_ago) for at in (c.asked_at, c.planned_at)]
        used = [sa.exists().where(column == c.hash) for column in (t.slots.c.phone_hash, t.slots.c.email_hash, t.slots.c.person_hash)]
        unneeded = sa.select(c.hash).where(c.opted_out_at.is_(None), *past, *(~one for one in used)).limit(limit)
        hashes = list(self.conn.execute(self.locked(unneeded)).scalars())
        self.conn.execute(sa.delete(t.contacts).where(c.hash.in_(hashes)))
        self.count_erased(day, "hashes", {"": len(hashes)})
        return len(hashes)

    # --- what people wrote, and what lies beside an answer for a while

    def _erase_words(self, day: date, now: datetime, limit: int) -> int:
        """Own words, a year after they came in."""
        done = 0
        for what, table in (("comments", t.comments), ("feedback", t.feedback)):
            old = sa.select(table.c.id).where(table.c.day <= day - timedelta(days=COMMENT_DAYS)).limit(limit)
            n = self.conn.execute(sa.delete(table).where(table.c.id.in_(list(self.conn.execute(old).scalars())))).rowcount
            self.count_erased(day, what, {"": n})
            done += n
        return done

    def _erase_beside(self, day: date, now: datetime, limit: int) -> int:
        """Answers to slips nobody bound in time, scans of paper, wrong digits of yesterday, notes about messages to the short code."""
        s, p = t.slip_answers, t.papers
        late = list(self.conn.execute(sa.select(s.c.id).where(s.c.keep_until <= now).limit(limit)).scalars())
        scans = list(self.conn.execute(sa.select(p.c.id).where(p.c.scan.is_not(None), p.c.scan_until <= day).limit(limit)).scalars())
        self.conn.execute(sa.delete(s).where(s.c.id.in_(late)))
        self.conn.execute(sa.update(p).where(p.c.id.in_(scans)).values(scan=None, key_month=None, answers="{}"))
        tried = self.conn.execute(sa.delete(t.tries).where(t.tries.c.since <= now - TRIES_CLOSED)).rowcount
        notes = sa.and_(t.due.c.kind.in_(("inbound", "asked_back")), t.due.c.due_at <= now - KEPT)
        noted = self.conn.execute(sa.delete(t.due).where(notes)).rowcount
        self.count_erased(day, "slip_answers", {"": len(late)})
        self.count_erased(day, "scans", {"": len(scans)})
        return len(late) + len(scans) + tried + noted


def _still_sealed() -> sa.ColumnElement[bool]:
    return sa.func.length(t.dead_letters.c.sealed) > 0


def _month(day: date) -> str:
    return day.strftime("%Y-%m")
