"""The judge: when it raises, clears and settles; and that it can be stopped, restored and replayed at any point."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailong.domain.alert_sentences import Evidence, listed, sentences
from hailong.domain.judging import Judge
from hailong.events import AlertChanged, CaseChanged, Predecessor, SurveyCounted
from hailong.ports import Invalid
from tests.clickhouse.facts import District, control, counted, target, unit

DAY = date(2026, 1, 5)
Fact = AlertChanged | CaseChanged


class Log:
    """Counted records, numbered as they are written."""

    def __init__(self) -> None:
        self.records: list[SurveyCounted] = []

    def add(self, day: date = DAY, **fields: Any) -> SurveyCounted:
        self.records.append(counted(len(self.records) + 1, day, **fields))
        return self.records[-1]

    def answers(self, scores: list[int], day: date = DAY, **fields: Any) -> None:
        for score in scores:
            self.add(day, score=score, **fields)

    def judged(self, default_target: float = 0.87) -> list[Fact]:
        return run(Judge(default_target), self.records)


def run(judge: Judge, records: list[SurveyCounted]) -> list[Fact]:
    return [fact for record in records for fact in judge.apply(record)]


def alerts(facts: list[Fact]) -> list[AlertChanged]:
    return [f for f in facts if isinstance(f, AlertChanged)]


def states(facts: list[Fact]) -> list[tuple[str, str]]:
    return [(f.unit, f.state) for f in alerts(facts)]


def whole(facts: list[Fact]) -> list[AlertChanged]:
    """Of units as a whole; a field of the province is watched beside them."""
    return [f for f in alerts(facts) if f.field is None]


def bad_run(log: Log, days: int, unit: str = "C01", every: int = 3, start: date = DAY) -> None:
    """One answer a day, every third not satisfied."""
    for i in range(days):
        log.add(start + timedelta(days=i), score=1 if i % every == 0 else 5, unit=unit)


def test_the_reference_course_raises_on_its_nineteenth_answer() -> None:
    """alerts.md section 6, item 6: cold start, one answer a day, not satisfied on days 0, 3, 6..."""
    log = Log()
    bad_run(log, 40)
    (raised,) = whole(log.judged(0.9))
    assert (raised.evidence_seq, raised.n, raised.satisfied, raised.version, raised.by) == (19, 19, 12, 1, "judge")
    assert (raised.since, raised.until) == (DAY, DAY + timedelta(days=18))
    assert raised.expected == pytest.approx(17.1)
    assert raised.estimate is not None
    assert raised.low < raised.estimate < raised.high < 0.9
    assert raised.years is not None
    assert 17 < raised.years < 31
    assert raised.at == log.records[18].counted_at


def test_nine_answers_raise_nothing_however_bad() -> None:
    log = Log()
    log.answers([1] * 9)
    assert log.judged() == []
    log.answers([1])
    assert [f.evidence_seq for f in whole(log.judged())] == [10]


def test_a_unit_on_its_target_is_left_alone() -> None:
    log = Log()
    bad_run(log, 300, every=12)
    assert whole(log.judged(0.9)) == []


def test_not_applicable_and_later_revisions_are_no_evidence() -> None:
    log = Log()
    for _ in range(40):
        log.add(score=None)
        log.add(score=1, revision=1)
        log.add(kind="retraction", score=5, reason="changed")
    assert log.judged() == []


def test_it_clears_when_the_answers_speak_for_the_target_again() -> None:
    log = Log()
    bad_run(log, 40)
    bad_run(log, 200, every=15, start=DAY + timedelta(days=40))
    facts = [f for f in whole(log.judged(0.9)) if f.kind == "below"]
    assert [(f.state, f.version, f.alert_id) for f in facts] == [("raised", 1, facts[0].alert_id), ("cleared", 2, facts[0].alert_id)]
    assert "closed after" in facts[1].sentence_en


def test_it_settles_when_nobody_answers_for_a_year() -> None:
    log = Log()
    log.answers([1] * 30)
    for i in range(1, 368):
        log.add(DAY + timedelta(days=i), kind="day")
    facts = whole(log.judged())
    assert [(f.state, f.note, (f.until - DAY).days) for f in facts[1:]] == [("settled", "not enough answers", 366)]
    assert "no new answer" in facts[1].sentence_en


def test_after_a_repair_only_new_answers_count() -> None:
    log = Log()
    log.answers([1] * 12)
    alert_id = whole(log.judged())[0].alert_id
    log.add(kind="fixed", control={"unit": "C01", "alert_id": "another"})
    log.add(score=1)
    assert len(whole(log.judged())) == 1
    log.add(kind="fixed", control={"unit": "C01", "alert_id": alert_id})
    log.answers([1] * 5)
    assert len(whole(log.judged())) == 1
    log.answers([1] * 10)
    facts = whole(log.judged())
    assert len(facts) == 2
    assert facts[1].alert_id != alert_id


def erased(log: Log, survey: str, day: date) -> None:
    control = {"counted_on": DAY.isoformat()}
    log.add(day, kind="retraction", score=1, reason="erased", survey_id=survey, control=control)


def test_an_erased_answer_is_evidence_no_more() -> None:
    log, later = Log(), DAY + timedelta(days=1)
    for i in range(12):
        log.add(score=5 if i < 4 else 1, survey_id=f"s{i}")
    assert [f.state for f in whole(log.judged(0.9))] == ["raised"]
    for i in range(4, 10):
        erased(log, f"s{i}", later)
    facts = whole(log.judged(0.9))
    assert [f.state for f in facts] == ["raised", "cleared"]
    assert facts[1].note == "an answer was erased"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([1, 5, 5, 5, 5, 5]), min_size=20, max_size=400), st.data())
def test_who_is_erased_leaves_the_charts_as_if_they_had_never_answered(scores: list[int], data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, len(scores) - 1), max_size=5))
    log, without = Log(), Log()
    for i, score in enumerate(scores):
        log.add(DAY, score=score, survey_id=f"s{i}")
        if i not in gone:
            without.add(DAY, score=score, survey_id=f"s{i}")
    for i in gone:
        control = {"counted_on": DAY.isoformat()}
        log.add(DAY, kind="retraction", score=scores[i], reason="erased", survey_id=f"s{i}", control=control)
    one, two = Judge(0.9), Judge(0.9)
    run(one, log.records)
    run(two, without.records)
    a, b = one._watched["C01"].charts.below, two._watched["C01"].charts.below
    assert (a.answers, a.run.n, a.run.failed) == (b.answers, b.run.n, b.run.failed)
    assert a.alert.s == pytest.approx(b.alert.s)


def test_ancestors_of_the_day_and_the_field_are_judged_too() -> None:
    log = Log()
    for fact in (
        unit("P", "Tỉnh", level="province"),
        unit("D", "Huyện", "P", "district"),
        unit("C01", "Xã 01", "D"),
        unit("C02", "Xã 02", "D"),
    ):
        log.add(kind="unit", control=control(fact))
    log.answers([1] * 6, unit="C01")
    log.answers([1] * 6, unit="C02")
    assert [(f.unit, f.field) for f in alerts(log.judged())] == [("D", None), ("P", None), ("P", "land")]


def test_a_new_unit_takes_what_its_predecessors_are_still_told() -> None:
    log, merger = Log(), DAY + timedelta(days=30)
    renamed = unit("N", "Xã mới", "P", start=merger)
    renamed = type(renamed)(**{f: getattr(renamed, f) for f in renamed.__struct_fields__} | {"predecessors": [Predecessor("C01")]})
    for fact in (unit("P", "Tỉnh", level="province"), unit("C01", "Xã 01", "P", end=merger), renamed):
        log.add(kind="unit", control=control(fact))
    log.answers([1] * 12, day=merger + timedelta(days=2), unit="C01")
    assert [f.unit for f in whole(log.judged())] == ["N", "P"]


def test_the_target_of_the_dossiers_month_holds() -> None:
    log, month = Log(), date(2026, 1, 1)
    log.add(kind="unit", control=control(unit("D", "Huyện", level="district")))
    log.add(kind="unit", control=control(unit("C01", "Xã 01", "D")))
    log.add(kind="target", control=control(target(0.60)))
    log.add(kind="target", control=control(target(0.95, "D", start=month)))
    bad_run(log, 60)
    assert {(f.unit, f.target) for f in whole(log.judged())} == {("C01", 0.95), ("D", 0.95)}


def test_a_fall_that_ends_above_the_target_is_seen_against_the_units_own_past() -> None:
    log = Log()
    for code in ("C01", "C02", "C03", "C04"):
        log.add(kind="unit", control=control(unit(code, code, "P")))
    log.add(kind="unit", control=control(unit("P", "Tỉnh", level="province")))
    for i in range(700):
        day = DAY + timedelta(days=i // 2)
        for n, code in enumerate(("C01", "C02", "C03", "C04")):
            worse = code == "C01" and i > 360
            log.add(day, score=1 if (i + n) % (7 if worse else 33) == 0 else 5, unit=code)
    facts = [f for f in whole(log.judged(0.8)) if f.state == "raised"]
    assert {(f.kind, f.unit) for f in facts} >= {("declining", "C01")}
    assert all(f.kind == "declining" for f in facts)
    assert all(f.unit in ("C01", "P") for f in facts)


def test_charges_open_one_case_a_survey_that_leads_to_no_answer() -> None:
    log = Log()
    for _ in range(2):
        log.add(kind="detail", survey_id="secret-1", answers={"Q7": ["slow", "charges"]})
    log.add(kind="detail", survey_id="secret-2", answers={"Q7": ["charges"]})
    log.add(kind="detail", survey_id="secret-3", answers={"Q7": ["slow"]})
    cases = [f for f in log.judged() if isinstance(f, CaseChanged)]
    assert len({c.case_id for c in cases}) == len(cases) == 2
    assert all((c.unit, c.on, c.confidential, c.kind, c.at.hour, c.at.minute) == ("C01", DAY, True, "charges", 0, 0) for c in cases)
    assert "secret" not in repr(cases)


def test_records_out_of_their_turn_are_not_taken() -> None:
    judge = Judge(0.87)
    first, second, third = (counted(i, score=5) for i in (1, 2, 3))
    for record in (first, third, first, second):
        judge.apply(record)
    assert judge.seq == 2


def test_a_control_record_that_cannot_be_read_is_refused_and_passed() -> None:
    judge = Judge(0.87)
    with pytest.raises(Invalid):
        judge.apply(counted(1, kind="unit", control={"code": "C01"}))
    with pytest.raises(Invalid):
        judge.apply(counted(2, kind="retraction", score=1, reason="erased"))
    with pytest.raises(Invalid):
        judge.apply(counted(3, kind="fixed"))
    assert judge.seq == 3
    assert judge.apply(counted(4, score=5)) == []


@pytest.fixture(scope="module")
def records() -> list[SurveyCounted]:
    log = District(11, communes=6, days=300, per_day=12, fall=("C03", date(2025, 6, 1), 0.5)).topics["survey.counted.v1"]
    return [fact for fact in log if isinstance(fact, SurveyCounted)]


def test_a_district_with_a_falling_commune_has_its_alert(records: list[SurveyCounted]) -> None:
    facts = run(Judge(0.9), records)
    assert any(isinstance(f, CaseChanged) for f in facts)
    assert ("C03", "raised") in states(facts)


def test_a_replay_gives_the_same_facts_and_the_same_state(records: list[SurveyCounted]) -> None:
    one, two = Judge(0.9), Judge(0.9)
    assert run(one, records) == run(two, records)
    assert one.dump() == two.dump()


@settings(max_examples=6, deadline=None)
@given(st.floats(0, 1))
def test_restored_anywhere_it_goes_on_as_if_never_stopped(records: list[SurveyCounted], where: float) -> None:
    cut = int(where * len(records))
    whole, before = Judge(0.9), Judge(0.9)
    expected = run(whole, records)
    first = run(before, records[:cut])
    after = Judge(0.9, before.seq, before.dump())
    assert first + run(after, records[cut:]) == expected
    assert after.dump() == whole.dump()


def test_what_changed_is_enough_to_restore(records: list[SurveyCounted]) -> None:
    judge, kept = Judge(0.9), dict[str, bytes]()
    for i, record in enumerate(records):
        judge.apply(record)
        if i % 7 == 0:
            kept |= judge.changed()
    kept |= judge.changed()
    assert kept == {key: value for key, value in judge.dump().items() if key in kept}
    assert Judge(0.9, judge.seq, kept).dump() == judge.dump()


def evidence(**fields: Any) -> Evidence:
    said: dict[str, Any] = {"n": 34, "satisfied": 22, "expected": 30.6, "target": 0.9, "estimate": 0.77, "low": 0.66, "high": 0.87}
    said |= {"years": 31.2, "since": date(2026, 3, 12), "until": date(2026, 5, 12), "opened": date(2026, 4, 1)}
    return Evidence(**said | fields)


def test_sentences_say_what_can_be_checked_and_nothing_else() -> None:
    vi, en = sentences("raised", "below", "Xã 07", None, evidence())
    assert vi.replace("\u00a0", " ") == (
        "Xã 07: từ 12/3/2026 có 34 người trả lời, 22 người hài lòng (65 %). Nếu đơn vị đạt mục tiêu 90 % thì phải có khoảng 31 người hài "
        "lòng. Với số lượng trả lời như của đơn vị, một đơn vị đạt mục tiêu chỉ gặp kết quả như vậy khoảng 31 năm một lần. "
        "Ước tính hiện nay: 77 % (khoảng 66–87 %)."
    )
    assert en == (
        "Xã 07: since 12 March 2026, 22 of 34 answers were satisfied (65%). On its target of 90% it would be about 31. A unit truly on "
        "target, with this many answers, sees such a run about once in 31 years. Current estimate 77% (66–87%)."
    )


def test_a_short_run_does_not_tell_a_count_below_the_limit() -> None:
    for kind in ("below", "declining"):
        vi, en = sentences("raised", kind, "X", "land", evidence(n=9, satisfied=3, expected=8.0))
        assert "dưới 10" in vi
        assert "fewer than 10" in en
        assert "3 of 9" not in en
        assert ("X, field land" in en, "X, lĩnh vực đất đai" in vi) == (True, True)


def test_alerts_are_listed_open_first_with_their_newest_step() -> None:
    log = Log()
    bad_run(log, 40, unit="C01")
    bad_run(log, 200, unit="C01", every=15, start=DAY + timedelta(days=40))
    log.answers([1] * 30, day=DAY + timedelta(days=240), unit="C02")
    lines = [one for one in listed(alerts(log.judged(0.9))) if one["field"] is None and one["kind"] == "below"]
    assert [(a["unit"], a["state"], a["open"]) for a in lines] == [("C02", "raised", True), ("C01", "cleared", False)]
    assert lines[1]["raised_at"] < lines[1]["at"]


def test_a_wish_to_be_called_back_opens_a_case_of_its_own() -> None:
    log = Log()
    log.add(kind="detail", survey_id="secret-1", answers={"Q7": ["charges"]})
    for _ in range(2):
        log.add(kind="detail", survey_id="secret-1", answers={"Q9": True})
    cases = [f for f in log.judged() if isinstance(f, CaseChanged)]
    assert [c.kind for c in cases] == ["charges", "callback"]
    assert len({c.case_id for c in cases}) == 2


def test_what_is_said_at_the_desk_moves_no_detector() -> None:
    log = Log()
    for _ in range(60):
        log.add(score=1, place="desk")
    assert log.judged() == []
    for _ in range(60):
        log.add(score=1, place="away")
    assert [f.state for f in whole(log.judged())] == ["raised"]
