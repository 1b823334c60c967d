"""The doors' part of the ledger on SQLite and PostgreSQL: dossier codes, slips and what waits for them, receipts, what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hailong.domain.doors import CODE_TRIES, SLIP_HELD, TRIES_CLOSED
from hailong.domain.people import Keyed
from hailong.events import SurveyAnswered, UnitChanged
from hailong.ports import Decision, Measure, SlotForAnswer
from ops.entering import KEPT_S, DossierRefs
from sinks.ledger import Ledger
from sinks.ledger import schema as t
from sinks.ledger.slips import batches
from tests.contract.build import NOON, act, answered, claim, decide, reopened, settle, take

Open = Callable[..., Ledger]
PHONE = "+84912345678"
SLIP = "7KQ2MX9P"
DAY = timedelta(days=1)
TODAY = NOON.date()


@pytest.fixture
def ledger(opened: Open) -> Ledger:
    return opened()


def enter(ledger: Ledger, digits: str = "678", *refs: str, now: Any = NOON) -> SlotForAnswer | None:
    with ledger.begin() as tx:
        return tx.slot_by_dossier(refs or ("d1", "nobody"), digits, now)


def printed(ledger: Ledger, *codes: str) -> None:
    with ledger.begin() as tx:
        tx.register_slips(codes, "b", NOON)


def page(score: int | None, nonce: str = "n", **more: Any) -> SurveyAnswered:
    return answered("", score, nonce, mode="code", **more)


def hold(ledger: Ledger, fact: SurveyAnswered, texts: dict[str, tuple[str, int]] | None = None, now: Any = NOON) -> None:
    with ledger.begin() as tx:
        tx.hold_slip_page(SLIP, fact, texts or {}, now)


def bind(ledger: Ledger, ref: str = "d1", now: Any = NOON) -> str:
    with ledger.begin() as tx:
        return tx.bind_slip(SLIP, ref, now)


def came(ledger: Ledger) -> list[SurveyAnswered]:
    """Answers in the outbox."""
    found = [p.record for p in ledger.pending(1_000) if p.record.topic == "survey.answered.v1"]
    return [msgspec.json.decode(one.value, type=SurveyAnswered) for one in found]


def rows(ledger: Ledger, table: sa.Table) -> list[Any]:
    with ledger.read() as reader:
        return list(reader.conn.execute(sa.select(table)))


# --- dossier codes


def test_the_code_and_the_end_of_the_number_lead_to_the_slot_asked_or_not(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    undecided = enter(ledger)
    assert undecided is not None
    assert (undecided.expires_at, undecided.answered, undecided.desk) == (None, False, "X1")
    decide(ledger, "d1")
    asked = enter(ledger)
    assert asked is not None
    assert (asked.survey_id, asked.expires_at) == (undecided.survey_id, NOON.astimezone(UTC) + 30 * DAY)


def test_five_wrong_ones_close_a_dossier_for_a_day_and_no_other(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE), act("d2", PHONE))
    assert [enter(ledger, f"00{n}") for n in range(CODE_TRIES - 1)] == [None] * (CODE_TRIES - 1)
    assert enter(ledger) is not None, "a fifth is left"
    assert enter(ledger, "009") is None
    assert enter(ledger) is None, "the right one, too late"
    assert enter(ledger, "678", "d2") is not None
    assert enter(ledger, now=NOON + TRIES_CLOSED - timedelta(seconds=1)) is None
    assert enter(ledger, now=NOON + TRIES_CLOSED) is not None
    assert rows(ledger, t.tries) == [], "over"


def test_unknown_without_a_number_on_trial_and_reopened_lead_nowhere(ledger: Ledger) -> None:
    take(ledger, act("mail", None, "a@b.vn"), replace(act("trial", PHONE), test=True), act("again", PHONE), act("asked", PHONE))
    decide(ledger, "asked")
    for ref in ("again", "asked"):
        take(ledger, reopened(ref))
        with ledger.begin() as tx:
            tx.reopen(ref, f"reopened:{ref}")
    for ref in ("nobody", "mail", "trial", "again", "asked"):
        assert enter(ledger, "678", ref) is None
    assert {row.ref for row in rows(ledger, t.tries)} == {"mail"}, "only of what could be guessed"
    later = act("again", PHONE, event_id="closed again")
    take(ledger, replace(later, occurred_at=NOON + 2 * DAY))
    assert enter(ledger, "678", "again") is not None, "it has ended anew"


def test_of_two_sources_with_one_code_the_digits_tell(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE), act("d2", "+84912345111"))
    found = enter(ledger, "111", "d1", "d2")
    with ledger.read() as reader:
        mine = reader.slot_by_survey(found.survey_id) if found else None
        slots = {row.survey_id: row.dossier_ref for row in reader.slots()}
    assert mine is not None
    assert slots[mine.survey_id] == "d2"


def test_a_code_is_looked_for_under_every_source_as_typed_and_as_printed(ledger: Ledger) -> None:
    keyed, seconds = Keyed(b"k" * 32), [0.0]
    refs = DossierRefs(ledger, keyed, lambda: seconds[0])
    assert refs("G09-1") == []
    printed_ref, small = keyed.dossier_ref("s", "H28.99.07-260301-0042"), keyed.dossier_ref("s", "h28/ơ")
    take(ledger, act(printed_ref, PHONE), act(small, PHONE))
    dashed = "H28.99.07 \u2013 260301 \u2011 0042"
    for typed in ("H28.99.07-260301-0042", " h28.99.07-260301-0042 ", "H28.99.07 - 260301 - 0042", dashed):
        assert enter(ledger, "678", *refs(typed)) is not None
    assert enter(ledger, "678", *refs("h28/o\u031b")) is not None, "composed as intake composes it"
    take(ledger, act(keyed.dossier_ref("portal", "A1"), PHONE, source="portal"))
    assert enter(ledger, "678", *refs("A1")) is None, "sources are remembered for a minute"
    seconds[0] = KEPT_S
    assert enter(ledger, "678", *refs("A1")) is not None


def test_guesses_at_once_are_all_counted(opened: Open) -> None:
    ledger = opened()
    take(ledger, act("d1", PHONE))
    threads = [threading.Thread(target=enter, args=(opened(), f"00{n}")) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [row.n for row in rows(ledger, t.tries)] == [4]


def at_kiosk(ledger: Ledger, day: date = TODAY) -> SlotForAnswer | None:
    with ledger.read() as reader:
        return reader.slot_by_ticket("X1", day, "A042")


def test_a_ticket_leads_to_the_dossier_that_ended_and_to_no_trial(ledger: Ledger) -> None:
    first, trial = replace(act("d1", PHONE), ticket_no="A042"), replace(act("trial", PHONE), ticket_no="A042", test=True)
    take(ledger, trial)
    assert at_kiosk(ledger) is None
    take(ledger, first)
    found = at_kiosk(ledger)
    assert found is not None, "a trial with the same number is in nobody's way"
    with ledger.read() as reader:
        slot = reader.slot_by_survey(found.survey_id)
        assert {s.dossier_ref: s.survey_id for s in reader.slots()}["d1"] == found.survey_id
    assert slot == found
    take(ledger, replace(act("d2", PHONE), ticket_no="A042"))
    assert at_kiosk(ledger) is None, "nobody knows whose turn it was"


@pytest.mark.parametrize("decided", ["asked", "not asked", "undecided"])
def test_a_dossier_that_goes_on_has_no_ticket_until_it_ends_again(ledger: Ledger, decided: str) -> None:
    take(ledger, replace(act("d1", PHONE), ticket_no="A042"))
    with ledger.begin() as tx:
        (slot,) = tx.slots_for_decision(["d1"]).values()
    if decided == "asked":
        decide(ledger, "d1")
        settle(ledger, "handed_over", *claim(ledger))
    if decided == "not asked":
        with ledger.begin() as tx:
            tx.decide([Decision("d1", slot.survey_id, slot.contacts, asked=False, reason="sampled_out")])
    take(ledger, reopened("d1"))
    with ledger.begin() as tx:
        tx.reopen("d1", "reopened:d1")
    assert (at_kiosk(ledger), enter(ledger)) == (None, None)
    take(ledger, replace(act("d1", PHONE, event_id="again"), occurred_at=NOON + 2 * DAY, ticket_no="A042"))
    day = TODAY + 2 * DAY if decided == "undecided" else TODAY
    assert at_kiosk(ledger, day) is not None, "of an ending that is decided about the first ticket stands, else the last"
    assert enter(ledger) is not None


# --- slips that lead to no dossier yet


def test_what_came_in_by_a_slip_becomes_answers_of_the_dossier_it_is_bound_to(ledger: Ledger) -> None:
    printed(ledger, SLIP)
    with ledger.read() as reader:
        assert (reader.free_slip(SLIP), reader.slot_by_slip(SLIP), reader.free_slip("ANOTHER2")) == (SLIP, None, None)
    early = NOON + timedelta(hours=3)
    hold(ledger, page(2, answered_at=early))
    hold(ledger, page(2, answered_at=early))  # sent twice
    rest = page(None, event_id="p2", answers={"Q1": 3}, page=2, answered_at=NOON)
    hold(ledger, rest, {"Q8": ("chậm", 1)})
    hold(ledger, page(None, event_id="p3", answers={}, page=3), {"Q10": ("chỉ lời", 0)})
    hold(ledger, page(None, event_id="p4", answers={}, page=4, finished=True))
    assert (len(rows(ledger, t.slip_answers)), came(ledger)) == (4, [])
    take(ledger, act("d1", PHONE, field="justice"))
    assert bind(ledger, now=NOON + DAY) == "bound"
    found = came(ledger)
    (slot,) = rows(ledger, t.slots)
    assert [(f.event_id, f.answers, f.finished) for f in found] == [(":n:2", {"Q0": 2}, False), ("p2", {"Q1": 3}, False), ("p4", {}, True)]
    assert {(f.survey_id, f.about.field, f.mode) for f in found} == {(slot.survey_id, "justice", "code")}
    assert found[0].answered_at == early
    assert [(c.survey_id, c.question, c.text, c.masked) for c in rows(ledger, t.comments)] == [
        (slot.survey_id, "Q8", "chậm", 1),
        (slot.survey_id, "Q10", "chỉ lời", 0),
    ]
    assert rows(ledger, t.slip_answers) == []
    with ledger.begin() as tx:
        assert [c.kind for f in found for c in tx.count(f, NOON + DAY)] == ["answer", "detail", "disposition"]
    with ledger.read() as reader:
        assert reader.free_slip(SLIP) is None
        bound = reader.slot_by_slip(SLIP)
    assert bound is not None
    assert bound.answered


@pytest.mark.parametrize("late", [False, True])
def test_intake_binds_a_slip_with_the_ending_or_a_later_act(ledger: Ledger, late: bool) -> None:
    printed(ledger, SLIP)
    hold(ledger, page(4))
    ending = act("d1", PHONE)
    if late:
        take(ledger, act("d1", PHONE, event_id="nine", status_code=9))
        ending = replace(ending, occurred_at=NOON + DAY)
    with ledger.begin() as tx:
        taken = tx.take_act(replace(ending, slip_code=SLIP), NOON)
    (fact,) = came(ledger)
    assert fact.answers == {"Q0": 4}
    (answer,) = [p for p in ledger.pending(100) if p.record.topic == "survey.answered.v1"]
    assert answer.id < max(taken.pending), "whoever publishes the act publishes what stands before it"
    assert rows(ledger, t.slots)[0].slip_hash == SLIP


def test_a_page_that_comes_after_the_slip_was_bound_waits_for_nothing(ledger: Ledger) -> None:
    printed(ledger, SLIP)
    take(ledger, act("d1", PHONE))
    assert bind(ledger) == "bound"
    for _ in range(2):
        hold(ledger, page(5))
    assert ([f.answers for f in came(ledger)], rows(ledger, t.slip_answers)) == ([{"Q0": 5}], [])


def test_a_page_is_held_for_thirty_days(ledger: Ledger) -> None:
    printed(ledger, SLIP)
    take(ledger, act("d1", PHONE))
    hold(ledger, page(1, "old"), {"Q8": ("alt", 0)}, now=NOON)
    hold(ledger, page(2, "new"), now=NOON + DAY)
    bind(ledger, now=NOON + SLIP_HELD)
    assert [f.answers for f in came(ledger)] == [{"Q0": 2}]
    assert (rows(ledger, t.comments), rows(ledger, t.slip_answers)) == ([], [])


def test_a_slip_that_two_dossiers_name_leads_nowhere_and_holds_nothing_more(ledger: Ledger) -> None:
    printed(ledger, SLIP)
    take(ledger, replace(act("d1", PHONE), slip_code=SLIP), replace(act("d2", PHONE), slip_code=SLIP))
    with ledger.read() as reader:
        assert (reader.slot_by_slip(SLIP), reader.free_slip(SLIP)) == (None, None)
    hold(ledger, page(3))
    assert came(ledger) == []


def test_a_slip_whose_dossier_was_erased_stays_used(ledger: Ledger) -> None:
    printed(ledger, SLIP, "ANOTHER2")
    take(ledger, act("d1", PHONE), act("d2", PHONE))
    assert bind(ledger) == "bound"
    with ledger.begin() as tx:
        tx.erase_slots([slot for slot in tx.conn.execute(sa.select(t.slots)) if slot.dossier_ref == "d1"], NOON.date(), NOON)
    with ledger.read() as reader:
        (batch,) = batches(reader, NOON)
        assert (batch.made, batch.bound, batch.unbound, batch.held) == (2, 1, 1, 0)
        assert (reader.slot_by_slip(SLIP), reader.free_slip(SLIP), reader.slip_is_ours(SLIP)) == (None, None, True)
    assert bind(ledger, "d2") == "taken"


def test_the_slip_of_a_trial_leads_nowhere(ledger: Ledger) -> None:
    printed(ledger, SLIP)
    take(ledger, replace(act("trial", PHONE), test=True, slip_code=SLIP))
    with ledger.read() as reader:
        assert (reader.slot_by_slip(SLIP), reader.free_slip(SLIP)) == (None, None)


def test_a_page_that_comes_while_the_slip_is_being_bound_is_not_left_behind(opened: Open) -> None:
    ledger, other = opened(), opened()
    printed(ledger, SLIP)
    take(ledger, act("d1", PHONE))
    comes = threading.Thread(target=hold, args=(other, page(4)))
    with ledger.begin() as tx:
        tx.bind_slip(SLIP, "d1", NOON)
        comes.start()
        comes.join(0.3)  # long enough for a page that waits for nobody
    comes.join()
    assert ([f.answers for f in came(other)], rows(ledger, t.slip_answers)) == ([{"Q0": 4}], [])


# --- receipts


def test_a_receipt_tells_counted_then_erased_and_its_words_are_gone_at_once(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    (survey,) = decide(ledger, "d1")
    receipt = "receipt:n"
    with ledger.begin() as tx:
        assert (tx.receipt_state(receipt), tx.ask_erasure(receipt, NOON)) == (None, False)
        tx.count(answered(survey, 2), NOON)
        tx.keep_comment(survey, "Q8", answered(survey, 2).about, "chậm", 0, NOON.date())
    with ledger.begin() as tx:
        state = tx.receipt_state(receipt)
        assert state is not None
        assert (state.survey_id, state.state, state.counted_at) == (survey, "counted", NOON)
        assert tx.ask_erasure(receipt, NOON + DAY)
        assert tx.ask_erasure(receipt, NOON + DAY), "again"
    assert rows(ledger, t.comments) == []
    with ledger.begin() as tx:
        assert tx.carry_out(NOON + DAY, 10) == 1
        state = tx.receipt_state(receipt)
    assert state is not None
    assert state.state == "erased"


def test_a_held_answer_is_told_as_held(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    (survey,) = decide(ledger, "d1")
    with ledger.begin() as tx:
        tx.count(answered(survey, 5, signs=["burst"]), NOON)
        state = tx.receipt_state("receipt:n")
    assert state is not None
    assert state.state == "held"


# --- words without a code, and what came of it


def test_words_without_a_code_stand_apart_from_answers(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.keep_feedback(None, "chậm", 2, NOON.date())
    ((unit, text, masked, day),) = [(r.unit, r.text, r.masked, r.day) for r in rows(ledger, t.feedback)]
    assert (unit, text, masked, day) == (None, "chậm", 2, NOON.date())
    assert (rows(ledger, t.answers), rows(ledger, t.comments)) == ([], [])


def test_measures_are_read_newest_first_with_the_units_name_and_audited(virgin: Ledger) -> None:
    ledger = virgin
    unit = UnitChanged(event_id="u", registry_id="test", seq=1, code="X1", name="Xã 1", level="commune", valid_from=date(2025, 7, 1))
    said, did = {"vi": "chờ lâu", "en": "long waits"}, {"vi": "thêm quầy", "en": "another desk"}
    with ledger.begin() as tx:
        tx.put_unit(unit)
        for day, of in ((1, "X1"), (3, "X1"), (2, "X10"), (4, "X1")):
            last = tx.put_measure(Measure(of, date(2026, 3, day), said, did), "officer", NOON)
        tx.conn.execute(sa.update(t.measures).where(t.measures.c.id == last).values(withdrawn_at=NOON))
    with ledger.read() as reader:
        mine, everybody = reader.measures("X1", 10), reader.measures(None, 2)
        trail = [(line.actor, line.act, line.object) for line in reader.audit() if line.act == "measure_put"]
        assert (reader.unit_name("X1"), reader.unit_name("X"), reader.unit_name("%")) == ("Xã 1", None, None)
    assert mine == [Measure("X1", date(2026, 3, day), said, did, "Xã 1") for day in (3, 1)]
    assert [(m.unit, m.unit_name) for m in everybody] == [("X1", "Xã 1"), ("X10", "X10")]
    assert trail[-4:] == [("officer", "measure_put", f"unit:{of}") for of in ("X1", "X1", "X10", "X1")]
