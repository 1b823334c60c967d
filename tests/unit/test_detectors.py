"""The judge: when it raises, clears and settles; and that it can be stopped, restored and replayed at any point."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailong.domain.alert_sentences import Evidence, listed, sentences
from hailong.domain.detectors import Judge
from hailong.events import AlertChanged, CaseChanged, SurveyCounted
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


def test_thirty_answers_clearly_below_the_target_raise_once_with_their_evidence() -> None:
    log = Log()
    log.answers([1] * 10 + [5] * 25)
    (raised,) = alerts(log.judged())
    assert (raised.n, raised.satisfied, raised.evidence_seq, raised.version, raised.by) == (30, 20, 30, 1, "judge")
    assert raised.high < 0.87
    assert (raised.since, raised.until) == (DAY - timedelta(days=89), DAY)
    assert raised.at == log.records[29].counted_at


def test_twenty_nine_answers_raise_nothing_however_bad() -> None:
    log = Log()
    log.answers([1] * 29)
    assert log.judged() == []


def test_an_interval_that_reaches_the_target_raises_nothing() -> None:
    log = Log()
    log.answers([1] * 7 + [5] * 23)  # 77 %, upper end 88 %
    assert log.judged() == []


def test_not_applicable_and_later_revisions_are_no_evidence() -> None:
    log = Log()
    for _ in range(40):
        log.add(score=None)
        log.add(score=1, revision=1)
        log.add(kind="retraction", score=5, reason="changed")
    assert log.judged() == []


def test_the_window_widens_day_by_day_until_it_holds_thirty() -> None:
    log = Log()
    days = [DAY + timedelta(days=7 * i) for i in range(40)]
    for i, day in enumerate(days):
        log.add(day, score=5 if i < 10 else 1)
    (raised,) = alerts(log.judged())
    assert raised.n == 30
    assert raised.since == days[0]


def test_answers_older_than_a_year_are_gone() -> None:
    log = Log()
    log.answers([1] * 29)
    log.add(DAY + timedelta(days=365), score=1)
    assert log.judged() == []


def test_it_clears_at_the_target_and_not_before() -> None:
    log = Log()
    log.answers([1] * 10 + [5] * 20)
    log.answers([5] * 46)  # 66 of 76 = 86.8 %
    assert states(log.judged()) == [("C01", "raised")]
    log.answers([5])  # 67 of 77 = 87.01 %
    facts = alerts(log.judged())
    assert [(f.state, f.version, f.alert_id) for f in facts] == [("raised", 1, facts[0].alert_id), ("cleared", 2, facts[0].alert_id)]
    assert facts[-1].evidence_seq == 77


def test_it_settles_when_the_answers_are_too_old_to_judge_by() -> None:
    log = Log()
    log.answers([1] * 30)
    for i in range(1, 366):
        log.add(DAY + timedelta(days=i), kind="day")
    facts = alerts(log.judged())
    assert [(f.state, f.note, f.until - DAY) for f in facts[1:]] == [("settled", "not enough answers", timedelta(days=365))]


def test_after_a_repair_only_new_answers_count() -> None:
    log = Log()
    log.answers([1] * 30)
    alert_id = alerts(log.judged())[0].alert_id
    log.add(kind="fixed", control={"unit": "C01", "alert_id": "another"})
    log.add(score=1)
    assert len(log.judged()) == 1
    log.add(kind="fixed", control={"unit": "C01", "alert_id": alert_id})
    log.answers([1] * 29)
    assert len(log.judged()) == 1
    log.answers([1])
    facts = alerts(log.judged())
    assert len(facts) == 2
    assert facts[1].alert_id != alert_id


def test_an_erased_answer_is_evidence_no_more() -> None:
    log = Log()
    log.answers([1] * 29)
    gone = log.add(DAY + timedelta(days=1), kind="retraction", score=1, reason="erased", control={"counted_on": DAY.isoformat()})
    log.add(DAY + timedelta(days=1), score=1)
    assert log.judged() == []
    assert gone.seq == 30
    log.add(DAY + timedelta(days=1), score=1)
    assert states(log.judged()) == [("C01", "raised")]


def test_ancestors_of_the_day_are_judged_too() -> None:
    log = Log()
    for fact in (
        unit("P", "Tỉnh", level="province"),
        unit("D", "Huyện", "P", "district"),
        unit("C01", "Xã 01", "D"),
        unit("C02", "Xã 02", "D"),
    ):
        log.add(kind="unit", control=control(fact))
    log.answers([1] * 15, unit="C01")
    log.answers([1] * 15, unit="C02")
    assert states(log.judged()) == [("D", "raised"), ("P", "raised")]


def test_the_nearest_target_in_force_on_the_day_holds() -> None:
    log = Log()
    log.add(kind="unit", control=control(unit("D", "Huyện", level="district")))
    log.add(kind="unit", control=control(unit("C01", "Xã 01", "D")))
    log.add(kind="target", control=control(target(0.99)))
    log.add(kind="target", control=control(target(0.60, "D")))
    log.add(kind="target", control=control(target(0.95, "D", start=DAY + timedelta(days=1))))
    log.answers([1] * 8 + [5] * 22)
    assert log.judged() == []
    log.add(DAY + timedelta(days=1), score=5)
    assert [(f.unit, f.target) for f in alerts(log.judged())] == [("C01", 0.95), ("D", 0.95)]


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


@settings(max_examples=25, deadline=None)
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


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=30, max_size=80), st.data())
def test_a_worse_answer_never_removes_or_delays_the_first_alert(steps: list[tuple[int, bool]], data: st.DataObject) -> None:
    worse_at = data.draw(st.integers(0, len(steps) - 1))

    def first_raise(answers: list[tuple[int, bool]]) -> float:
        log, day = Log(), DAY
        for gap, satisfied in answers:
            day += timedelta(days=gap)
            log.add(day, score=5 if satisfied else 1)
        return next((f.evidence_seq for f in alerts(log.judged(0.8))), float("inf"))

    worse = [(gap, satisfied and i != worse_at) for i, (gap, satisfied) in enumerate(steps)]
    assert first_raise(worse) <= first_raise(steps)


def test_sentences_say_what_can_be_checked_and_nothing_else() -> None:
    evidence = Evidence(34, 22, 0.87, 0.4788, 0.7851, date(2026, 2, 12), date(2026, 5, 12))
    vi, en = sentences("raised", "Xã 07", evidence)
    assert vi.replace("\u00a0", " ") == (
        "Xã 07: từ 12/2/2026 đến 12/5/2026 có 34 người trả lời, 22 người hài lòng (64,7 %; khoảng tin cậy 95 %: 47,9–78,5 %). "
        "Cả khoảng này thấp hơn mục tiêu 87 %: có bằng chứng đơn vị đang ở dưới mục tiêu."
    )
    assert en == (
        "Xã 07: from 12 February 2026 to 12 May 2026, 22 of 34 answers were satisfied (64.7%; 95% interval 47.9–78.5%). "
        "The whole interval lies below the target of 87%: evidence that the unit is below its target."
    )


def test_an_upper_end_just_under_the_target_does_not_look_as_if_it_reached_it() -> None:
    vi, en = sentences("raised", "X", Evidence(900, 760, 0.87, 0.81, 0.86997, DAY, DAY))
    assert "81–86,997" in vi
    assert "81–86.997%" in en


def test_a_settled_alert_does_not_tell_a_count_below_the_limit() -> None:
    vi, en = sentences("settled", "X", Evidence(3, 1, 0.87, 0.1, 0.8, DAY, DAY))
    assert "dưới 10" in vi
    assert "fewer than 10" in en


def test_alerts_are_listed_open_first_with_their_newest_step() -> None:
    log = Log()
    log.answers([1] * 10 + [5] * 67, unit="C01")
    log.answers([1] * 30, unit="C02")
    lines = listed(alerts(log.judged()))
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
    assert [f.state for f in alerts(log.judged())] == ["raised"]
