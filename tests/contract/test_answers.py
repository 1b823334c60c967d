"""What the count role makes of submissions and of people's wishes, on every ledger."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hailong.events import SurveyCounted, decode
from sinks.ledger import Ledger, schema
from tests.contract.build import NOON, act, answered, take

LATER = NOON + timedelta(hours=1)


def counted(ledger: Ledger) -> list[Any]:
    """Everything that went into the order of counted records, in order."""
    facts = [decode(p.record.topic, p.record.value) for p in ledger.pending(1000) if p.record.topic == "survey.counted.v1"]
    return sorted((f for f in facts if isinstance(f, SurveyCounted)), key=lambda f: f.seq)


def count(ledger: Ledger, *facts: Any) -> list[Any]:
    with ledger.begin() as tx:
        return [record for fact in facts for record in tx.count(fact, NOON)]


def judged(ledger: Ledger, survey_id: str, verdict: str) -> None:
    """What a person's judgement leaves in the ledger."""
    with ledger.begin() as tx:
        mine = schema.answers.c.survey_id == survey_id
        tx.conn.execute(sa.update(schema.answers).where(mine).values(judged=verdict, judged_by="an", judged_at=LATER))
        if verdict == "released":
            tx.schedule("release", survey_id, LATER)


def test_every_record_says_where_it_was_given(ledger: Ledger) -> None:
    at_desk = answered("s1", 5, mode="kiosk", place="desk", form="short")
    first, detail = count(ledger, at_desk, answered("s1", 5, "n2", answers={"Q7": ["slow"]}, mode="kiosk", place="desk"))
    assert (first.kind, first.place, first.mode) == ("answer", "desk", "kiosk")
    assert (detail.kind, detail.place) == ("detail", "desk")


def test_somebody_else_is_a_disposition_and_no_answer(ledger: Ledger) -> None:
    wrong = answered("s1", None, "n1", event_id="wrong", answers={}, act="not_me", page=0)
    (record,) = count(ledger, wrong, wrong)
    assert (record.kind, record.reason, record.score, record.answers) == ("disposition", "not_me", None, {})
    (right,) = count(ledger, answered("s1", 4))
    assert (right.kind, right.revision) == ("answer", 0), "the right person still has the first answer"


def test_what_was_answered_since_is_known_without_what(ledger: Ledger) -> None:
    count(ledger, answered("s1", 2))
    count(ledger, answered("s1", 2, "a", event_id="a", answers={"Q7": ["slow"], "Q1": 4}))
    last = count(ledger, answered("s1", 2, "b", event_id="b", answers={}, finished=True))
    again = count(ledger, answered("s1", 2, "c", event_id="c", answers={}, finished=True))
    assert [(r.kind, r.reason) for r in last] == [("disposition", "finished")]
    assert again == []
    with ledger.begin() as tx:
        row = tx.conn.execute(sa.select(schema.answers)).one()
    assert json.loads(row.done) == ["ttp-core:Q7", "ttp-core:Q1"]
    assert json.loads(row.finished) == ["ttp-core"]


def test_a_marked_answer_is_held_and_counts_when_a_person_lets_it_go(ledger: Ledger) -> None:
    (held,) = count(ledger, answered("s1", 5, signs=["burst", "desk_network"]))
    assert (held.kind, held.reason, held.score) == ("held", "burst", 5)
    (other,) = count(ledger, answered("s1", 1, "n2"))
    assert (other.kind, other.revision) == ("held", 1), "a change of a held answer is kept beside it"
    judged(ledger, "s1", "released")
    with ledger.begin() as tx:
        assert tx.carry_out(LATER, 10) == 1
        assert tx.carry_out(LATER, 10) == 0
    first, *later = counted(ledger)[2:]
    assert (first.kind, first.reason, first.score, first.revision, first.seq) == ("answer", "released", 5, 0, 3)
    assert [(f.kind, f.reason, f.score, f.revision, f.seq) for f in later] == [
        ("retraction", "changed", 5, 0, 4),
        ("answer", None, 1, 1, 5),
    ], "its change counts after it, as any other"


def test_what_was_said_beside_a_held_answer_waits_with_it(ledger: Ledger) -> None:
    count(ledger, answered("s1", 2, signs=["burst"]))
    assert count(ledger, answered("s1", 2, "n2", event_id="n2", answers={"Q7": ["slow"]})) == []
    assert count(ledger, answered("s1", 2, "n3", event_id="n3", answers={"Q7": ["trips"], "Q1": 4})) == []
    judged(ledger, "s1", "released")
    with ledger.begin() as tx:
        tx.carry_out(LATER, 10)
    assert [(f.kind, f.revision, f.answers) for f in counted(ledger)[1:]] == [
        ("answer", 0, {"Q0": 2}),
        ("detail", 0, {"Q7": ["slow"]}),
        ("detail", 0, {"Q1": 4}),
        ("detail", 1, {"Q7": ["trips"]}),
    ]


def test_changes_while_an_answer_is_held_come_to_the_same_as_changes_of_one_that_is_not(ledger: Ledger) -> None:
    """But for the reason of the first one, and what says that it was held."""

    def pages(survey: str) -> list[Any]:
        said: list[dict[str, Any]] = [{"Q1": 2}, {"Q1": 4}, {"Q7": ["slow"]}, {"Q7": []}, {"Q0": 5}, {"Q0": 5}, {"Q0": 1}, {"Q9": True}]
        more = [{"Q9": False}, {"Q1": 4}]
        later = [
            answered(survey, 2, survey, event_id=f"{survey}{n}", answers=one, place="desk" if n % 2 else "away")
            for n, one in enumerate(said + more)
        ]
        return [answered(survey, 1, survey, answers={"Q0": 1, "Q6": "2"}, signs=["burst"] if survey == "held" else []), *later]

    count(ledger, *pages("free"), *pages("held"))
    judged(ledger, "held", "released")
    with ledger.begin() as tx:
        assert tx.carry_out(LATER, 10) == 1
        rows = {row.survey_id: row for row in tx.conn.execute(sa.select(schema.answers))}
    told = [(f.survey_id, f.kind, f.revision, f.score, f.answers, f.mode, f.place, f.control) for f in counted(ledger) if f.kind != "held"]
    free, held = ([one[1:] for one in told if one[0] == survey] for survey in ("free", "held"))
    assert len(free) > 8
    assert held == free
    for name in ("score", "first_score", "revision", "fact"):
        assert getattr(rows["held"], name) == getattr(rows["free"], name)
    assert json.loads(rows["held"].done) == json.loads(rows["free"].done)
    assert count(ledger, *pages("held")) == [], "echoes, once released too"


def test_what_was_held_by_an_earlier_version_is_let_go_too(ledger: Ledger) -> None:
    count(ledger, answered("s1", 2, signs=["burst"]))
    merged = msgspec.json.encode(answered("s1", 2, answers={"Q1": 4, "Q0": 2})).decode()
    with ledger.begin() as tx:
        tx.conn.execute(sa.update(schema.answers).values(fact=merged))
    judged(ledger, "s1", "released")
    with ledger.begin() as tx:
        tx.carry_out(LATER, 10)
    assert [(f.kind, f.answers) for f in counted(ledger)[1:]] == [("answer", {"Q0": 2}), ("detail", {"Q1": 4})]


def test_a_held_answer_that_is_erased_is_held_no_more(ledger: Ledger) -> None:
    count(ledger, answered("s1", 2, signs=["burst"]))
    with ledger.begin() as tx:
        assert tx.ask_erasure(tx.tools.receipt_hash("n"), LATER)
    with ledger.begin() as tx:
        tx.carry_out(LATER, 10)
    last = counted(ledger)[-1]
    assert (last.kind, last.reason, last.score, last.about.handling_unit) == ("disposition", "withdrawn", None, "X1")


def test_the_first_answer_to_a_question_stands_and_a_later_one_is_kept_apart(ledger: Ledger) -> None:
    count(ledger, answered("s1", 2))
    count(ledger, answered("s1", 2, "a", event_id="a", answers={"Q1": 4}))
    more = count(ledger, answered("s1", 2, "b", event_id="b", answers={"Q1": 1, "Q2": 5}))
    assert [(f.kind, f.revision, f.answers) for f in more] == [("detail", 0, {"Q2": 5}), ("detail", 1, {"Q1": 1})]


def test_what_is_left_empty_takes_back_what_stood_and_only_that(ledger: Ledger) -> None:
    def said(n: int, **answers: Any) -> list[tuple[int, str | None, dict[str, Any]]]:
        told = count(ledger, answered("s1", 2, f"n{n}", event_id=f"n{n}", answers=answers))
        return [(f.revision, f.reason, f.answers) for f in told]

    count(ledger, answered("s1", 2))
    assert said(0, Q9=False, Q7=[]) == [], "nothing stands: a box left empty says nothing"
    assert said(1, Q7=["attitude", "charges"]) == [(0, None, {"Q7": ["attitude", "charges"]})]
    assert said(2, Q7=["slow"]) == [(1, None, {"Q7": ["slow"]})]
    assert said(3, Q7=[], Q1=4) == [(0, None, {"Q1": 4}), (1, "withdrawn", {"Q7": []})]
    assert said(3, Q7=[], Q1=4) == [], "an echo"
    assert said(4, Q7=[]) == [], "it is gone already"
    assert said(5, Q7=["trips"]) == [(1, None, {"Q7": ["trips"]})], "a later answer all the same: figures count one once"
    assert said(51, Q7=[]) == [(1, "withdrawn", {"Q7": []})]
    assert said(6, Q7=["slow"], Q1=1) == [(1, None, {"Q7": ["slow"], "Q1": 1})]
    with ledger.begin() as tx:
        assert json.loads(tx.conn.execute(sa.select(schema.answers)).one().done) == ["ttp-core:Q7", "ttp-core:Q1"]


def test_a_confirmed_one_is_never_counted(ledger: Ledger) -> None:
    count(ledger, answered("s1", 5, signs=["burst"]))
    judged(ledger, "s1", "confirmed")
    with ledger.begin() as tx:
        tx.schedule("release", "s1", LATER)
        tx.carry_out(LATER, 10)
    assert [f.kind for f in counted(ledger)] == ["held"]


def test_the_receipt_proves_and_erases_and_the_erased_stay_erased(ledger: Ledger) -> None:
    count(ledger, answered("s1", 2), answered("s1", 4, "n2"))
    with ledger.begin() as tx:
        receipt = tx.tools.receipt_hash("n")
        state = tx.receipt_state(receipt)
        assert state is not None
        assert (state.state, state.counted_at) == ("counted", NOON)
        assert tx.receipt_state("nobody") is None
        tx.keep_comment("s1", "Q8", answered("s1", 2).about, "lâu", 0, NOON.date())
        assert tx.ask_erasure(receipt, LATER)
        assert tx.ask_erasure(receipt, LATER), "twice is once"
        assert not tx.ask_erasure("nobody", LATER)
        assert tx.conn.execute(sa.select(schema.comments)).all() == []
    with ledger.begin() as tx:
        assert tx.carry_out(LATER, 10) == 1
        gone = tx.receipt_state(receipt)
        assert gone is not None
        assert gone.state == "erased"
        row = tx.conn.execute(sa.select(schema.answers)).one()
        assert (row.score, row.first_score) == (None, None)
    record = counted(ledger)[-1]
    assert (record.kind, record.reason, record.score) == ("retraction", "erased", 2), "the one figures counted"
    assert record.revision == 1, "so often it was changed"
    assert record.control == {"counted_on": "2026-03-02"}
    assert msgspec.structs.asdict(record.about) == msgspec.structs.asdict(answered("s1", 2).about)
    assert count(ledger, answered("s1", 5, "n3")) == []


def test_a_change_is_counted_where_the_first_answer_was_and_says_by_which_door_it_came(ledger: Ledger) -> None:
    count(ledger, answered("s1", 2, mode="kiosk", place="desk"))
    back, changed = count(ledger, answered("s1", 4, "n2", mode="link", place="away"))
    assert (back.kind, back.mode, back.place, back.score, back.control) == ("retraction", "kiosk", "desk", 2, {})
    assert (changed.kind, changed.mode, changed.place, changed.revision) == ("answer", "kiosk", "desk", 1)
    assert changed.control == {"mode": "link", "place": "away"}
    back, changed = count(ledger, answered("s1", 5, "n3", mode="sms", place="away"))
    assert (back.mode, back.place, back.score, back.revision) == ("kiosk", "desk", 4, 1)
    assert (changed.mode, changed.control["mode"], changed.revision) == ("kiosk", "sms", 2)
    erase(ledger, "n")
    told = counted(ledger)
    assert (told[-1].reason, told[-1].mode, told[-1].place) == ("erased", "kiosk", "desk")
    assert left(told) == {("kiosk", "desk"): [0, 0]}


def test_changes_of_a_held_answer_count_when_it_is_let_go_and_go_with_it(ledger: Ledger) -> None:
    count(ledger, answered("s1", 5, signs=["burst"]))
    (kept,) = count(ledger, answered("s1", 1, "n2", mode="sms"))
    assert (kept.kind, kept.mode, kept.control) == ("held", "link", {"mode": "sms", "place": "away"})
    judged(ledger, "s1", "released")
    (kept,) = count(ledger, answered("s1", 3, "n3"))
    assert (kept.kind, kept.revision) == ("held", 2), "judged, and its release is not written yet"
    with ledger.begin() as tx:
        tx.carry_out(LATER, 10)
    assert left(counted(ledger)) == {("link", "away"): [1, 2]}, "counted from its release on"
    count(ledger, answered("s1", 4, "n4"))
    assert left(counted(ledger)) == {("link", "away"): [1, 3]}
    erase(ledger, "n")
    assert left(counted(ledger)) == {("link", "away"): [0, 0]}


def test_what_was_judged_and_erased_before_it_was_let_go_leaves_nothing(ledger: Ledger) -> None:
    count(ledger, answered("s1", 5, signs=["burst"]))
    with ledger.begin() as tx:
        assert tx.ask_erasure(tx.tools.receipt_hash("n"), LATER)
    judged(ledger, "s1", "released")
    with ledger.begin() as tx:
        assert tx.carry_out(LATER, 10) == 2
    assert [(f.kind, f.reason) for f in counted(ledger)] == [("held", "burst"), ("disposition", "withdrawn")]


def erase(ledger: Ledger, nonce: str) -> None:
    """As whoever has the receipt of a form does, and the count role after them."""
    with ledger.begin() as tx:
        assert tx.ask_erasure(tx.tools.receipt_hash(nonce), LATER)
    with ledger.begin() as tx:
        assert tx.carry_out(LATER, 10) == 1


def left(told: list[Any]) -> dict[tuple[str, str], list[int]]:
    """(mode, place) → answers and changes, as figures sum them."""
    sums: dict[tuple[str, str], list[int]] = {}
    for f in told:
        erased = f.kind == "retraction" and f.reason == "erased"
        if erased or f.kind == "answer":
            one = sums.setdefault((f.mode, f.place), [0, 0])
            one[0] += -1 if erased else f.revision == 0
            one[1] += -f.revision if erased else f.revision > 0
    return sums


def test_nothing_is_kept_beside_an_answer_that_was_erased(ledger: Ledger) -> None:
    count(ledger, answered("s1", 2), answered("s2", 2, "m"))
    words = (answered("s1", 2).about, "lâu", 0, NOON.date())
    with ledger.begin() as tx:
        tx.keep_comment("s2", "Q8", *words)
        assert tx.ask_erasure(tx.tools.receipt_hash("n"), LATER)
        tx.keep_comment("s1", "Q8", *words)
        tx.conn.execute(
            sa.insert(schema.comments), {"survey_id": "s1", "question": "Q9", "about": "{}", "text": "cũ", "masked": 0, "day": NOON.date()}
        )
        assert tx.ask_erasure(tx.tools.receipt_hash("n"), LATER), "again"
    with ledger.begin() as tx:
        tx.carry_out(LATER, 10)
        tx.keep_comment("s1", "Q8", *words)
        assert [row.survey_id for row in tx.conn.execute(sa.select(schema.comments))] == ["s2"]


def test_who_had_the_answer_erased_is_called_back_no_more(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"), act("d2", "+84900000002"))
    with ledger.begin() as tx:
        one, other = (tx.slots_for_decision(["d1", "d2"])[ref].survey_id for ref in ("d1", "d2"))
    for survey, nonce in ((one, "n"), (other, "m")):
        count(ledger, answered(survey, 1, nonce), answered(survey, None, nonce, event_id=f"wish {survey}", answers={"Q9": True}, page=3))
    with ledger.begin() as tx:
        assert {wish.id for wish in tx.call_backs()} == {one, other}
        assert tx.ask_erasure(tx.tools.receipt_hash("n"), LATER)
        assert [wish.id for wish in tx.call_backs()] == [other], "at once, before the count role comes to it"
        assert (tx.number_of(one, "an"), tx.number_of(other, "an")) == (None, "+84900000002")
    assert count(ledger, answered(one, None, "n", event_id="wish again", answers={"Q9": True}, page=3)) == []
    with ledger.begin() as tx:
        assert [wish.id for wish in tx.call_backs()] == [other]


def test_a_slot_says_that_its_answer_was_erased(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    with ledger.begin() as tx:
        survey = tx.slots_for_decision(["d1"])["d1"].survey_id
    assert state(ledger, survey) == (False, False)
    count(ledger, answered(survey, 2))
    assert state(ledger, survey) == (True, False)
    with ledger.begin() as tx:
        assert tx.ask_erasure(tx.tools.receipt_hash("n"), LATER)
    assert state(ledger, survey) == (True, True), "as soon as it was asked"
    with ledger.begin() as tx:
        tx.carry_out(LATER, 10)
    assert state(ledger, survey) == (True, True)


def state(ledger: Ledger, survey: str) -> tuple[bool, bool]:
    with ledger.begin() as tx:
        slot = tx.slot_by_survey(survey)
    assert slot is not None
    return slot.answered, slot.erased


def test_a_version_that_was_answered_stands(ledger: Ledger) -> None:
    ids, words = ("ttp-core", 1, "ids", "a" * 64), ("ttp-core", 1, "vi", "b" * 64)
    with ledger.begin() as tx:
        assert tx.freeze([ids, words], NOON) == []
        assert tx.freeze([ids, ("ttp-core", 1, "vi", "c" * 64)], NOON) == [], "nobody has answered it yet"
    count(ledger, answered("s1", 5))
    with ledger.begin() as tx:
        assert tx.freeze([ids, ("ttp-core", 1, "vi", "d" * 64)], NOON) == [("ttp-core", 1, "vi")]
        assert tx.freeze([ids, ("ttp-core", 1, "vi", "c" * 64), ("ttp-core", 1, "mtq", "e" * 64)], NOON) == [], "a language may be added"
        assert tx.freeze([("ttp-core", 2, "ids", "f" * 64)], NOON) == []


@pytest.mark.parametrize(("days", "left"), [(364, 1), (365, 0)])
def test_own_words_are_gone_after_a_year(ledger: Ledger, days: int, left: int) -> None:
    with ledger.begin() as tx:
        tx.keep_comment("s1", "Q8", answered("s1", 2).about, "lâu", 0, NOON.date())
        tx.keep_comment("s1", "Q8", answered("s1", 2).about, "rất lâu", 1, NOON.date())
        assert [r.text for r in tx.conn.execute(sa.select(schema.comments))] == ["rất lâu"]
    day = NOON.date() + timedelta(days=days)
    with ledger.begin() as tx:
        while tx.erase(day, NOON + timedelta(days=days), 50):
            pass
        assert len(tx.conn.execute(sa.select(schema.comments)).all()) == left


def test_what_became_of_a_call_is_written_once(ledger: Ledger) -> None:
    about = msgspec.to_builtins(answered("s1", 2).about)
    with ledger.begin() as tx:
        tx.schedule("disposition", "s1:1", NOON, {"survey_id": "s1", "reason": "no_answer", "about": about})
        assert tx.carry_out(NOON, 10) == 1
        assert not tx.schedule("disposition", "s1:1", NOON, {"survey_id": "s1", "reason": "busy", "about": about})
        tx.carry_out(NOON, 10)
    (record,) = counted(ledger)
    assert (record.kind, record.reason, record.mode, record.survey_id) == ("disposition", "no_answer", "call", "s1")


def test_confirmed_is_said_once_so_that_figures_hold_it_no_more(ledger: Ledger) -> None:
    count(ledger, answered("s1", 5, signs=["burst"]))
    judged(ledger, "s1", "confirmed")
    with ledger.begin() as tx:
        tx.schedule("confirm", "s1", LATER)
        tx.carry_out(LATER, 10)
    assert [(f.kind, f.reason) for f in counted(ledger)] == [("held", "burst"), ("disposition", "confirmed")]


def test_what_only_the_ledger_sees_is_a_sign_too(ledger: Ledger) -> None:
    refs = [f"d{n}" for n in range(6)]
    take(ledger, *(act(ref, "+84900000001" if ref != "d5" else "+84900000002") for ref in refs))
    with ledger.begin() as tx:
        slots = {ref: one.survey_id for ref, one in tx.slots_for_decision(refs).items()}
    at = NOON + timedelta(hours=3)
    told = [count(ledger, answered(slots[ref], 5, answered_at=at))[0] for ref in refs[:5]]
    assert [(f.kind, f.reason) for f in told] == [("answer", None)] * 3 + [("held", "many_dossiers")] * 2
    soon = answered(slots["d5"], 5, mode="code", answered_at=NOON + timedelta(minutes=4))
    assert count(ledger, soon)[0].reason == "minutes_after"


def test_the_office_judges_signs_once_and_the_trail_says_who(ledger: Ledger) -> None:
    count(ledger, answered("s1", 5, signs=["burst"]), answered("s2", 4, signs=["burst"]))
    with ledger.read() as reader:
        assert [(h.id, h.sign, h.unit, h.mode) for h in reader.held_answers()] == [
            ("s1", "burst", "X1", "link"),
            ("s2", "burst", "X1", "link"),
        ]
    with ledger.begin() as tx:
        assert tx.judge_held("s1", "released", "an", LATER)
        assert not tx.judge_held("s1", "confirmed", "binh", LATER), "somebody did so before"
        assert tx.judge_held("s2", "confirmed", "an", LATER)
        assert tx.carry_out(LATER, 10) == 2
    assert [(f.kind, f.survey_id) for f in counted(ledger)[2:]] == [("answer", "s1"), ("disposition", "s2")]
    with ledger.read() as reader:
        assert reader.held_answers() == []


def test_a_wish_to_be_called_back_is_a_line_with_a_number_that_is_shown_on_demand(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    with ledger.begin() as tx:
        survey = tx.slots_for_decision(["d1"])["d1"].survey_id
    count(ledger, answered(survey, 2), answered(survey, 2, "b", event_id="b", answers={"Q9": True}))
    with ledger.read() as reader:
        (wish,) = reader.call_backs()
    assert (wish.id, wish.unit, wish.reachable) == (survey, "X1", True)
    with ledger.begin() as tx:
        assert tx.number_of(survey, "an") == "+84900000001"
        assert tx.number_of("nobody", "an") is None
        assert tx.called_back(survey, "not_reached", "an", LATER)
    with ledger.begin() as tx:
        assert len(tx.call_backs()) == 1
        assert tx.called_back(survey, "solved", "an", LATER)
        assert tx.number_of(survey, "an") is None, "nobody waits any more"
        with pytest.raises(ValueError, match="outcome"):
            tx.called_back(survey, "gone", "an", LATER)
        assert tx.call_backs() == []


def test_who_wants_to_be_called_back_no_more_is_on_no_list_and_their_number_is_not_seen(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    with ledger.begin() as tx:
        survey = tx.slots_for_decision(["d1"])["d1"].survey_id

    def wish(event_id: str, said: bool, signs: list[str] | None = None) -> None:
        count(ledger, answered(survey, 2, event_id, event_id=event_id, answers={"Q9": said}, signs=signs or []))

    def listed() -> tuple[list[str], str | None]:
        with ledger.begin() as tx:
            return [one.id for one in tx.call_backs()], tx.number_of(survey, "an")

    count(ledger, answered(survey, 2, signs=["burst"]))
    wish("a", True)
    assert listed() == ([survey], "+84900000001")
    wish("b", False)
    assert listed() == ([], None), "also of an answer that is held"
    with ledger.begin() as tx:
        assert tx.conn.execute(sa.select(schema.callbacks.c.outcome)).scalar_one() == "withdrawn"
        assert not tx.called_back(survey, "solved", "an", LATER)
    wish("a", True)
    assert listed() == ([], None), "an echo of the wish is no wish"
    wish("c", True)
    assert listed() == ([survey], "+84900000001"), "wished again"
    with ledger.begin() as tx:
        assert tx.called_back(survey, "solved", "an", LATER)
    wish("d", False)
    wish("e", True)
    with ledger.begin() as tx:
        assert tx.conn.execute(sa.select(schema.callbacks.c.outcome)).scalar_one() == "solved", "they were called: that stands"


def test_own_words_can_be_taken_back(ledger: Ledger) -> None:
    words = (answered("s1", 2).about, "lâu", 0, NOON.date())
    with ledger.begin() as tx:
        tx.keep_comment("s1", "Q8", *words)
        tx.keep_comment("s2", "Q8", *words)
        tx.keep_comment("s1", "Q8", words[0], "", 0, NOON.date())
        tx.keep_comment("s1", "Q8", words[0], "", 0, NOON.date())
        assert [row.survey_id for row in tx.conn.execute(sa.select(schema.comments))] == ["s2"]
