"""Calls in the ledger, on SQLite and PostgreSQL alike: who is drawn, whose turn it is, what came of it, who leaves the list."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hailong.domain.calls import LEASE, Calling, Candidate, Entry, Tally, masked
from hailong.domain.draw import CALL
from hailong.domain.hours import Hours
from hailong.domain.rulebook import Rules
from hailong.events import QualityLooked, SurveyCounted, decode
from hailong.ports import Invalid
from ops.calling import redrawn
from sinks.ledger import Ledger
from sinks.ledger import schema as t
from streams.calling import AT, Caller
from streams.guard import Outbox
from tests.contract.build import NOON, act, answered, claim, decide, reopened, settle, take
from tests.streams.twins import HandClock, MemoryLog

RULES = Calling(share=1.0, after_days=3, tries=3, gap=timedelta(hours=24), hours=Hours())
LATER = NOON + timedelta(days=4)
REAL = datetime(2027, 1, 4, 9, tzinfo=NOON.tzinfo)
PHONE = "+84912000001"


@pytest.fixture
def ledger(opened: Callable[..., Ledger]) -> Ledger:
    """The trail of an emptied ledger stays: it goes on where the test before ended."""
    ledger = opened()
    with ledger.begin() as tx:
        tx.position("audit")
        tx.set_position("audit", tx.audit_end()[0])
    return ledger


@pytest.fixture
def since(ledger: Ledger) -> int:
    """The last line of the trail before the test."""
    with ledger.read() as reader:
        return reader.audit_end()[0]


def asked(ledger: Ledger, *refs: str, phones: bool = True, state: str = "handed_over", **more: Any) -> list[str]:
    """Dossiers that were asked about at noon."""
    take(ledger, *(act(ref, f"+8491200{int(ref[1:]):04d}" if phones else None, f"a@{ref}.ex", **more) for ref in refs))
    ids = decide(ledger, *refs)
    settle(ledger, state, *claim(ledger))
    return ids


def candidates(ledger: Ledger, now: datetime = LATER, rules: Calling = RULES) -> list[Candidate]:
    with ledger.read() as reader:
        return reader.call_candidates(rules, now.date(), now, "", 100)


def draw(ledger: Ledger, now: datetime = LATER, cap_days: int = 30) -> int:
    found = candidates(ledger, now)
    with ledger.begin() as tx:
        return tx.add_calls(found, RULES, now.date(), now, cap_days)


def take_one(
    ledger: Ledger, by: str = "an", now: datetime = LATER, real: datetime = REAL, barred: frozenset[str] = frozenset()
) -> Entry | None:
    with ledger.begin() as tx:
        return tx.take_call(by, now, real, barred)


def own(ledger: Ledger, by: str = "an", now: datetime = LATER, real: datetime = REAL, **more: Any) -> Entry | None:
    with ledger.begin() as tx:
        return tx.own_call(by, now, real, more.pop("barred", frozenset()), **more)


def end(ledger: Ledger, entry: Entry, said: Any, now: datetime = LATER, by: str = "an", **more: Any) -> datetime | None:
    with ledger.begin() as tx:
        return tx.end_try(by, entry, said, now, RULES, **more)


def taken(ledger: Ledger, *refs: str, by: str = "an") -> Entry:
    """Somebody asked, silent, drawn and taken."""
    asked(ledger, *(refs or ("d1",)))
    assert draw(ledger)
    entry = take_one(ledger, by)
    assert entry is not None
    return entry


def call(ledger: Ledger, survey_id: str) -> Any:
    with ledger.read() as reader:
        return reader.conn.execute(sa.select(t.calls).where(t.calls.c.survey_id == survey_id)).one()


def tally(ledger: Ledger) -> Tally:
    with ledger.read() as reader:
        return reader.call_tally(date(2026, 1, 1))


def answer(ledger: Ledger, survey_id: str, **more: Any) -> None:
    with ledger.begin() as tx:
        tx.count(answered(survey_id, 4, **more), LATER)


# --- who may be drawn


def test_who_was_asked_and_stays_silent_may_be_drawn_after_some_days(ledger: Ledger) -> None:
    (survey,) = asked(ledger, "d1")
    assert candidates(ledger, NOON + timedelta(days=2)) == []
    assert candidates(ledger) == [Candidate("d1", survey, NOON.date(), "no_answer", "X1")]
    assert candidates(ledger, NOON + timedelta(days=31)) == []  # the link ran out


def test_who_is_still_to_be_reminded_waits_for_the_reminder(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    (survey,) = decide(ledger, "d1", remind_after_days=5)
    settle(ledger, "handed_over", *claim(ledger))
    assert candidates(ledger) == []
    at = NOON + timedelta(days=5)
    settle(ledger, "handed_over", *claim(ledger, at), now=at)
    assert candidates(ledger, at + timedelta(days=2)) == []
    assert [c.survey_id for c in candidates(ledger, at + timedelta(days=4))] == [survey]


def test_who_no_message_reaches_may_be_drawn(ledger: Ledger) -> None:
    asked(ledger, "d1", state="failed")
    assert [c.why for c in candidates(ledger)] == ["unreachable"]


def test_who_answered_opted_out_or_goes_on_is_never_drawn(ledger: Ledger) -> None:
    first, _, _, last = asked(ledger, "d1", "d2", "d3", "d4")
    answer(ledger, first)
    take(ledger, reopened("d3"))
    with ledger.begin() as tx:
        tx.opt_out_number("+84912000002", NOON, "1022")
        tx.reopen("d3", "reopened:d3")
    assert [c.survey_id for c in candidates(ledger)] == [last]


def test_who_is_drawn_is_on_the_list_once_and_one_number_is_called_once_within_the_cap(ledger: Ledger) -> None:
    asked(ledger, "d1")
    take(ledger, act("d2", "+84912000001", "other@x.example"))
    decide(ledger, "d2")
    with ledger.begin() as tx:
        tx.tools.cap_days(NOON)
        tx.conn.execute(sa.update(t.contacts).values(asked_at=None, asked_by=None, planned_at=None))
    settle(ledger, "handed_over", *claim(ledger))
    assert len(candidates(ledger)) == 2
    assert draw(ledger) == 1
    assert draw(ledger) == 0
    assert draw(ledger, cap_days=0) == 1


def test_without_a_number_nobody_is_put_on_the_list(ledger: Ledger) -> None:
    asked(ledger, "d1", phones=False)
    assert (len(candidates(ledger)), draw(ledger)) == (1, 0)


# --- the daily round


def test_the_round_draws_a_share_once_a_day_and_never_chooses_otherwise(ledger: Ledger) -> None:
    ids = asked(ledger, *(f"d{n}" for n in range(1, 8)))
    clock, drawn = HandClock(LATER.replace(hour=5)), {"d2", "d5", "d7"}

    def number(day: date, ref: str, purpose: str) -> float:
        assert (day, purpose) == (NOON.date(), CALL)
        return 0.05 if ref in drawn else 0.2

    rules = replace(Rules(), call_share=0.1)

    def rounds() -> list[int]:
        caller = Caller(Outbox(ledger, MemoryLog()), clock, lambda: clock.at, lambda _: rules, number, part=2)

        async def run() -> list[int]:
            return [await caller.round() for _ in range(2)]

        return asyncio.run(run())

    assert rounds() == [0, 0]  # not yet half past six
    clock.at = datetime.combine(LATER.date(), AT, NOON.tzinfo)
    assert rounds() == [3, 0]
    clock.move(days=1)
    assert rounds() == [0, 0]
    with ledger.read() as reader:
        rows = list(reader.conn.execute(sa.select(t.calls.c.survey_id, t.calls.c.next_at, t.calls.c.drawn_on)))
    assert {r.survey_id for r in rows} == {ids[1], ids[4], ids[6]}
    assert {(r.next_at.astimezone(NOON.tzinfo).hour, r.drawn_on) for r in rows} == {(8, LATER.date())}


def looked(quiet: list[str], part: float = 0.125) -> QualityLooked:
    """A look whose list holds on the day all was asked."""
    before = NOON.date() - timedelta(days=7)
    return QualityLooked(
        event_id="look", registry_id="test", day=before, at=NOON, version={}, judged=[], standing={}, quiet=quiet, quiet_from=before,
        quiet_part=part,
    )  # fmt: skip


@pytest.mark.parametrize(("quiet", "stratum", "share"), [(["X1"], "quiet", 0.45), (["X2"], "other", 0.05), ([], "other", 0.1)])
def test_people_of_units_too_quiet_to_judge_are_drawn_first(ledger: Ledger, quiet: list[str], stratum: str, share: float) -> None:
    """Half of what the others would get goes there; stratum and share are known beforehand, and stand beside who was drawn."""
    asked(ledger, *(f"d{n}" for n in range(1, 10)))
    with ledger.begin() as tx:
        tx.keep_look(looked(quiet, 0.125 if quiet else 0.0), (), NOON)
    rules = replace(Rules(), call_share=0.1)

    def number(day: date, ref: str, purpose: str) -> float:
        return int(ref[1:]) / 10 - 0.06

    clock = HandClock(LATER.replace(hour=5))

    async def rounds() -> list[int]:
        caller = Caller(Outbox(ledger, MemoryLog()), clock, lambda: REAL, lambda _: rules, number)
        early = await caller.round()
        clock.at = datetime.combine(LATER.date(), AT, NOON.tzinfo)
        return [early, await caller.round()]

    assert asyncio.run(rounds()) == [0, sum(n / 10 - 0.06 < share for n in range(1, 10))]
    with ledger.read() as reader:
        drawn = reader.drawn_calls(LATER.date())
        again = redrawn(drawn, reader.look_in_force, lambda _: rules, number)
        chosen = redrawn(drawn, lambda _: looked(["X1", "X2"]), lambda _: rules, lambda *_: 0.9)
    assert {(one.stratum, round(one.share, 9)) for one, _ in drawn} == {(stratum, share)}
    assert (again.drawn[stratum], again.differences) == (len(drawn), [])
    assert {d.what for d in chosen.differences} >= {"drawn"}


def test_a_disposition_says_with_which_probability_somebody_was_drawn(ledger: Ledger) -> None:
    entry = taken(ledger)
    end(ledger, entry, "refused")
    with ledger.begin() as tx:
        tx.carry_out(LATER, 10)
        (fact,) = [decode(w.record.topic, w.record.value) for w in tx.written]
    assert isinstance(fact, SurveyCounted)
    assert fact.control == {"final": True, "why": "no_answer", "tries": 1, "stratum": "other", "share": 1.0}


def test_the_round_closes_entries_of_who_answered_or_opted_out(ledger: Ledger) -> None:
    first, second, third = asked(ledger, "d1", "d2", "d3")
    assert draw(ledger) == 3
    answer(ledger, first)
    with ledger.begin() as tx:
        tx.opt_out_number("+84912000002", NOON, "1022")
        assert tx.clear_calls(LATER, REAL, 10) == 2
    assert [call(ledger, s).disposition for s in (first, second, third)] == ["answered_elsewhere", "opted_out", None]
    assert tally(ledger).ended == {"answered_elsewhere": 1, "opted_out": 1}


# --- one at a time


def test_a_caller_has_one_entry_and_another_gets_the_next(ledger: Ledger) -> None:
    entry = taken(ledger, "d1", "d2")
    assert take_one(ledger) == entry
    other = take_one(ledger, "binh")
    assert other is not None
    assert other.survey_id != entry.survey_id
    assert take_one(ledger, "chi") is None
    assert (entry.desk, entry.ended_on, entry.number, entry.tries) == ("X1", NOON.date(), masked("+84912000001"), ())


def test_after_the_lease_the_entry_goes_back_but_a_long_call_is_not_lost(ledger: Ledger) -> None:
    entry = taken(ledger)
    over = REAL + LEASE
    assert own(ledger, real=over, late=True) == entry
    assert own(ledger, real=over) is None
    assert take_one(ledger, "binh", real=over) is not None
    assert own(ledger, real=over, late=True) is None


def test_the_number_is_opened_for_one_look_that_stands_in_the_trail(ledger: Ledger, since: int) -> None:
    entry = taken(ledger)
    with ledger.begin() as tx:
        assert tx.reveal_number("an", entry.survey_id, REAL + timedelta(minutes=10)) == "+84912000001"
    with ledger.read() as reader:
        line = reader.audit(actor="an", after=since, limit=1000)[-1]
    assert (line.act, line.object) == ("vault_seen", f"survey:{entry.survey_id}")
    assert "84912" not in json.dumps(line.detail)
    assert own(ledger, real=REAL + LEASE) is not None  # the lease began anew


def test_nobody_is_shown_what_their_own_unit_received_or_handled(ledger: Ledger) -> None:
    asked(ledger, "d1", receiving_unit="C01", handling_unit="D1")
    assert draw(ledger) == 1
    with ledger.read() as reader:
        assert [reader.waiting_calls(LATER, REAL, barred, 5)[1] for barred in ({"C01"}, {"D1"}, {"D"}, set())] == [0, 0, 1, 1]
    for unit in ("C01", "D1"):
        assert take_one(ledger, barred=frozenset({unit})) is None
    entry = take_one(ledger, barred=frozenset({"D", "C0_"}))
    assert entry is not None
    assert own(ledger, barred=frozenset({"D1"})) is None  # the account was given another unit meanwhile
    assert call(ledger, entry.survey_id).state == "waiting"


def test_agreed_times_come_first(ledger: Ledger) -> None:
    first = taken(ledger, "d1", "d2")
    at = LATER + timedelta(hours=1)
    assert end(ledger, first, "callback_later", later=at) == at
    assert take_one(ledger, now=at, by="binh") == replace(first, tries=take_one(ledger, now=at, by="binh").tries)  # type: ignore[union-attr]


# --- what came of it


def test_three_times_nobody_picked_up_is_enough(ledger: Ledger) -> None:
    entry, now = taken(ledger), LATER
    for n in (1, 2, 3):
        found = take_one(ledger, now=now)
        assert found is not None
        assert len(found.tries) == n - 1
        following = end(ledger, found, "no_answer", now)
        assert (following is None) == (n == 3)
        assert take_one(ledger, now=now) is None
        now = following or now
    row = call(ledger, entry.survey_id)
    assert (row.state, row.tries, row.disposition) == ("done", 3, "no_answer")
    assert tally(ledger) == Tally(1, 0, {"no_answer": 1}, 0)


@pytest.mark.parametrize("said", ["refused", "not_in_service", "wrong_number", "language_barrier", "not_me"])
def test_some_answers_end_it_at_once(ledger: Ledger, said: str) -> None:
    entry = taken(ledger)
    assert end(ledger, entry, said) is None
    assert take_one(ledger, now=LATER + timedelta(days=3)) is None


def test_what_came_of_a_call_is_in_the_log_once_a_try(ledger: Ledger) -> None:
    entry = taken(ledger)
    end(ledger, entry, "busy")
    with ledger.begin() as tx:
        assert [tx.carry_out(LATER, 10), tx.carry_out(LATER, 10)] == [1, 0]
    (fact,) = [msgspec.json.decode(p.record.value, type=SurveyCounted) for p in ledger.pending() if p.record.topic == "survey.counted.v1"]
    assert (fact.kind, fact.reason, fact.mode, fact.place, fact.survey_id) == ("disposition", "busy", "call", "away", entry.survey_id)
    assert fact.about is not None
    assert fact.about.receiving_unit == "X1"


def test_interviewed_takes_that_the_questionnaire_was_begun_in_this_try(ledger: Ledger) -> None:
    entry = taken(ledger)
    with pytest.raises(Invalid, match="not_started"):
        end(ledger, entry, "answered")
    with ledger.begin() as tx:
        tx.helped(entry.survey_id, "call", "an", LATER)
    begun = own(ledger)
    assert begun is not None
    assert begun.started
    end(ledger, begun, "answered")
    assert tally(ledger).unconfirmed == 1
    answer(ledger, entry.survey_id, mode="call")
    assert tally(ledger) == Tally(1, 0, {"answered": 1}, 0)


def test_begun_before_the_last_try_is_not_begun_in_this_one(ledger: Ledger) -> None:
    entry = taken(ledger)
    with ledger.begin() as tx:
        tx.helped(entry.survey_id, "call", "an", LATER)
    end(ledger, replace(entry, started=True), "callback_later", LATER + timedelta(minutes=1), later=LATER + timedelta(hours=1))
    again = take_one(ledger, now=LATER + timedelta(hours=2))
    assert again is not None
    assert not again.started


def test_who_answers_while_the_caller_has_them_leaves_at_the_next_look(ledger: Ledger) -> None:
    entry = taken(ledger)
    answer(ledger, entry.survey_id)
    assert own(ledger) is None
    assert call(ledger, entry.survey_id).disposition == "answered_elsewhere"


def test_an_answer_given_in_the_call_is_noted_as_its_interview(ledger: Ledger) -> None:
    entry = taken(ledger)
    with ledger.begin() as tx:
        tx.helped(entry.survey_id, "call", "an", LATER)
    answer(ledger, entry.survey_id, mode="call")
    assert own(ledger) is None
    row = call(ledger, entry.survey_id)
    assert (row.disposition, row.tries, row.state) == ("answered", 1, "done")


def test_a_refusal_may_end_all_messages_too(ledger: Ledger, since: int) -> None:
    entry = taken(ledger)
    end(ledger, entry, "refused", opt_out=True)
    with ledger.begin() as tx:
        assert tx.slots_for_decision(["d1"])["d1"].opted_out
    with ledger.read() as reader:
        lines = [(e.act, e.detail) for e in reader.audit(actor="an", after=since, limit=100) if e.act in ("opted_out", "call_ended")]
    assert lines[0] == ("call_ended", {"try": 1, "disposition": "refused"})
    assert {act for act, _ in lines} == {"opted_out", "call_ended"}


def test_a_page_left_open_still_says_that_somebody_wants_no_more(ledger: Ledger) -> None:
    entry = taken(ledger)
    assert take_one(ledger, "binh", real=REAL + LEASE) is not None
    with ledger.begin() as tx:
        assert tx.held_call("binh") == entry.ref
        assert tx.held_call("an") is None
        assert tx.end_late("chi", entry.ref, "refused", LATER, opt_out=True) is None
        assert tx.end_late("an", entry.ref, "answered", LATER) is None
        assert not tx.slots_for_decision(["d1"])["d1"].opted_out
        assert tx.end_late("an", entry.ref, "refused", LATER, opt_out=True) == "kept"
        assert tx.slots_for_decision(["d1"])["d1"].opted_out
    assert call(ledger, entry.survey_id).tries == 0


def test_the_interview_that_stands_is_told_to_who_made_it(ledger: Ledger) -> None:
    entry = taken(ledger)
    with ledger.begin() as tx:
        tx.helped(entry.survey_id, "call", "an", LATER)
    answer(ledger, entry.survey_id, mode="call")
    assert own(ledger) is None
    with ledger.begin() as tx:
        assert [tx.end_late(by, entry.ref, "answered", LATER) for by in ("an", "binh")] == ["noted", None]


def test_an_unknown_disposition_is_refused_and_nothing_is_kept(ledger: Ledger) -> None:
    entry = taken(ledger)
    with pytest.raises(Invalid):
        end(ledger, entry, "rude")
    assert call(ledger, entry.survey_id).tries == 0
