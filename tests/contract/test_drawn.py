"""Everybody drawn to be called has one final disposition, in the ledger and in the log, or is still open: at every moment.

On SQLite and PostgreSQL alike, along ways drawn at random: answers, refusals to be asked, erasures, reopenings, calls, leases that run out.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hailong.domain.calls import DISPOSITIONS, LEASE, LEFT, Calling, entry_ref
from hailong.domain.hours import Hours
from hailong.events import SurveyCounted
from hailong.ports import Contact, Decision
from sinks.ledger import Ledger
from sinks.ledger import schema as t
from tests.contract.build import NOON, act, answered, claim, decide, reopened, settle, take

Open = Callable[..., Ledger]
RULES = Calling(share=1.0, after_days=1, tries=2, gap=timedelta(hours=24), hours=Hours())
DAY = timedelta(days=1)
REFS = [f"d{n}" for n in range(8)]


@pytest.fixture
def ledger(opened: Open) -> Ledger:
    """The trail of an emptied ledger stays: it goes on where the test before ended."""
    ledger = opened()
    with ledger.begin() as tx:
        tx.position("audit")
        tx.set_position("audit", tx.audit_end()[0])
    return ledger


class Office:
    """Dossiers that were asked about (even ones) or gave a landline only, and what may happen to them."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.ledger = ledger
        self.random = random.Random(seed)
        self.now = NOON + 2 * DAY
        evens = [ref for ref in REFS if int(ref[1:]) % 2 == 0]
        take(ledger, *(replace(act(ref), contact=self.contact(ref)) for ref in REFS))
        decide(ledger, *evens)
        settle(ledger, "handed_over", *claim(ledger))
        with ledger.begin() as tx:
            rest = tx.slots_for_decision([ref for ref in REFS if ref not in evens]).values()
            tx.decide([Decision(s.dossier_ref, s.survey_id, s.contacts, asked=False, reason="no_contact") for s in rest])
            self.surveys = {s.dossier_ref: s.survey_id for s in tx.conn.execute(sa.select(t.slots))}
            tx.add_calls(tx.call_candidates(RULES, self.now.date(), self.now, "", 100), RULES, self.now.date(), self.now, 30)

    @staticmethod
    def contact(ref: str) -> Contact:
        n = int(ref[1:])
        return Contact(f"+84912{n:06d}", None) if n % 2 == 0 else Contact(None, None, f"+84218385{n:04d}")

    def step(self) -> None:
        """One thing that happens to somebody."""
        doing = (self.answers, self.opts_out, self.is_erased, self.goes_on, self.time_passes, self.clear, self.log, *[self.is_called] * 4)
        self.random.choice(doing)(self.random.choice(REFS))

    def answers(self, ref: str) -> None:
        with self.ledger.begin() as tx:
            if any(s.survey_id == self.surveys[ref] for s in tx.conn.execute(sa.select(t.slots))):
                tx.count(answered(self.surveys[ref], 4), self.now)

    def opts_out(self, ref: str) -> None:
        with self.ledger.begin() as tx:
            tx.opt_out_number(self.contact(ref).number or "", self.now, "1022")

    def is_erased(self, ref: str) -> None:
        with self.ledger.begin() as tx:
            tx.erase_person("phone", self.contact(ref).number or "", self.now, self.now.date(), opt_out=False, by="lan")

    def goes_on(self, ref: str) -> None:
        take(self.ledger, reopened(ref))
        with self.ledger.begin() as tx:
            tx.reopen(ref, f"reopened:{ref}")

    def time_passes(self, _: str) -> None:
        self.now += timedelta(hours=self.random.choice((1, 24, 24 * 10)))

    def clear(self, _: str) -> None:
        with self.ledger.begin() as tx:
            tx.clear_calls(self.now, self.now, self.random.choice((1, 10)))

    def log(self, _: str) -> None:
        with self.ledger.begin() as tx:
            tx.carry_out(self.now, 10)

    def is_called(self, _: str) -> None:
        """An entry is taken; the caller notes what came of it, begins the questionnaire, or leaves it lying."""
        by, chance = self.random.choice(("an", "binh")), self.random.random()
        with self.ledger.begin() as tx:
            entry = tx.take_call(by, self.now, self.now, frozenset())
        if entry is None or chance < 0.2:
            return
        with self.ledger.begin() as tx:
            if chance < 0.5:
                tx.helped(entry.survey_id, "call", by, self.now)
                if chance < 0.35:
                    tx.count(answered(entry.survey_id, 3, mode="call"), self.now)
            else:
                said: Any = self.random.choice([one for one in DISPOSITIONS if one not in ("answered", "callback_later")])
                tx.end_try(by, entry, said, self.now, RULES, opt_out=chance > 0.9)

    # --- what stands

    def facts(self) -> list[SurveyCounted]:
        found = [p.record.value for p in self.ledger.pending(10_000) if p.record.topic == "survey.counted.v1"]
        return [f for f in (msgspec.json.decode(one, type=SurveyCounted) for one in found) if (f.kind, f.mode) == ("disposition", "call")]

    def check(self) -> None:
        """Those drawn = the final ones + the open ones; what is final stands in the log, or waits for it, once."""
        with self.ledger.read() as reader:
            calls = {row.survey_id: row for row in reader.conn.execute(sa.select(t.calls))}
            waiting = list(
                reader.conn.execute(sa.select(t.due.c.payload).where(t.due.c.kind == "disposition", t.due.c.state != "done")).scalars()
            )
            tally = reader.call_tally(date(2026, 1, 1))
        open_ = {one for one, row in calls.items() if row.state != "done"}
        told = [(f.survey_id, f.reason) for f in self.facts() if f.control["final"]]
        told += [(p["survey_id"], p["reason"]) for p in map(msgspec.json.decode, waiting) if p["final"]]
        assert len(calls) == tally.drawn == sum(tally.classes.values()) + tally.waiting == len(REFS)
        assert Counter(told) == Counter({(one, row.disposition): 1 for one, row in calls.items() if one not in open_})
        assert {reason for _, reason in told} <= {*DISPOSITIONS, *LEFT}


@pytest.mark.parametrize("seed", range(6))
def test_drawn_is_final_and_open_at_every_moment(ledger: Ledger, seed: int) -> None:
    office = Office(ledger, seed)
    office.check()
    for _ in range(25):
        office.step()
        office.check()
    office.now += 100 * DAY
    for step in (office.clear, office.clear, office.log) * 9:
        step("")
    office.check()
    finals = [f for f in office.facts() if f.control["final"]]
    assert sorted(f.survey_id or "" for f in finals) == sorted(office.surveys.values()), "in the end everybody"
    assert all(f.about is not None and f.place == "away" for f in finals), "also of who was erased it is known what it was about"
    assert {f.control["why"] for f in finals} == {"no_answer", "unreachable"}
    assert all(f.event_id and "84912" not in repr(f) and "8421838" not in repr(f) for f in finals)


# --- one by one


def entry(ledger: Ledger, by: str = "an", now: datetime = NOON + 2 * DAY) -> Any:
    with ledger.begin() as tx:
        return tx.take_call(by, now, now, frozenset())


def reasons(office: Office) -> list[tuple[str | None, bool, int]]:
    office.log("")
    return [(f.reason, f.control["final"], f.control["tries"]) for f in office.facts()]


def test_who_leaves_after_a_try_has_the_try_and_then_why(ledger: Ledger) -> None:
    office = Office(ledger, 0)
    one = entry(ledger)
    with ledger.begin() as tx:
        tx.end_try("an", one, "busy", office.now, RULES)
    ref = next(ref for ref, survey in office.surveys.items() if survey == one.survey_id)
    office.opts_out(ref)
    for _ in range(2):
        office.clear("")
        office.clear("")
    assert reasons(office) == [("busy", False, 1), ("opted_out", True, 1)]


def test_an_interview_whose_caller_never_came_back_is_noted_when_the_lease_is_over(ledger: Ledger) -> None:
    office = Office(ledger, 0)
    one = entry(ledger)
    with ledger.begin() as tx:
        tx.helped(one.survey_id, "call", "an", office.now)
        tx.count(answered(one.survey_id, 4, mode="call"), office.now)
        assert tx.clear_calls(office.now, office.now, 10) == 0, "the caller has it"
        assert tx.clear_calls(office.now, office.now + LEASE, 10) == 1
    assert reasons(office) == [("answered", True, 1)]


def test_a_taken_entry_that_was_forgotten_leaves_the_list_too(ledger: Ledger) -> None:
    office = Office(ledger, 0)
    one = entry(ledger)
    office.answers(next(ref for ref, survey in office.surveys.items() if survey == one.survey_id))
    with ledger.begin() as tx:
        assert tx.clear_calls(office.now, office.now + LEASE, 10) == 1
    assert reasons(office) == [("answered_elsewhere", True, 0)]
    assert entry_ref(one.survey_id) not in {entry_ref(e.survey_id) for e in (entry(ledger),) if e is not None}
