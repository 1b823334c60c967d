"""Findings on the quality of data: what is found and what not, what they say, and that false ones are as rare as promised."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from hailong.domain import quality_months as monthly
from hailong.domain import quality_weeks as weekly
from hailong.domain.quality import KINDS, LOOKS, TESTS, UNITS, WHERE, WHOLE, Finding, level, months_upto, settled_month, week_name, week_of
from hailong.domain.quality_seen import Fees, Said, Seen, Steps, carried_on_apart, charges, findings, slow
from hailong.domain.quality_sentences import LANGUAGES, WORDS, sentence
from hailong.domain.scoring import Counts
from hailong.domain.shares import Share
from hailong.domain.units import Registry
from ops.cli.quality import told
from ops.proof import quality as invented
from tests.clickhouse.facts import unit

FIRST = date(2025, 1, 6)
WEEK = timedelta(days=7)
CODES = [f"C{i:02d}" for i in range(20)]
NOW = FIRST + 60 * WEEK
MONTH = "2026-03"
MONTHS = months_upto(MONTH, 15)


def steady(each: int = 12) -> dict[str, dict[date, int]]:
    """Every unit sends the same, week by week, a little more and a little less."""
    return {code: {FIRST + WEEK * w: each + (w * 7 + i * 3) % 5 - 2 for w in range(61)} for i, code in enumerate(CODES)}


def shares(k: int, n: int) -> dict[str, dict[str, Share]]:
    """Every unit the same, month by month, a little more and a little less."""
    return {code: {month: Share(k + (m * 3 + i) % 5 - 2, n) for m, month in enumerate(MONTHS)} for i, code in enumerate(CODES)}


def five(_: date) -> int:
    return 5


def test_where_nothing_is_wrong_nothing_is_found() -> None:
    assert weekly.silence(weekly.Weeks(steady()), NOW, CODES, five) == []
    assert weekly.surge(weekly.Weeks(steady()), NOW, CODES, "endings") == []
    for what in monthly.RULES:
        if what not in ("slow", "charges", "short", "over"):
            assert monthly.shares(what, shares(30, 100), MONTH, CODES) == []


def test_a_unit_that_stops_sending_is_silent_and_the_others_are_not() -> None:
    counts = steady()
    counts["C03"] |= {NOW - WEEK: 0, NOW: 0}
    (found,) = weekly.silence(weekly.Weeks(counts), NOW, CODES, five)
    assert (found.unit, found.kind, found.observed, found.period) == ("C03", "silence", 0, "2026-W10")
    assert found.expected == pytest.approx(24, rel=0.15)
    assert found.p <= found.level == level("silence")
    assert found.numbers["weeks"] == 2


def test_holidays_of_all_are_nobodys_silence() -> None:
    counts = steady(200)
    for code in CODES[:15]:
        counts[code] |= {NOW - WEEK: 0, NOW: 0}
    assert [one.unit for one in weekly.silence(weekly.Weeks(counts), NOW, CODES, five)] == []


def test_when_nobody_sends_the_whole_is_silent_unless_nobody_works() -> None:
    counts = {code: weeks | {NOW: 0} for code, weeks in steady().items()}
    (found,) = weekly.silence(weekly.Weeks(counts), NOW, CODES, five)
    assert found.unit == WHOLE
    assert found.expected == pytest.approx(240, rel=0.1)
    assert weekly.silence(weekly.Weeks(counts), NOW, CODES, lambda week: 0 if week == NOW else 5) == []


def test_a_surge_of_one_is_found_and_makes_nobody_else_look_silent() -> None:
    counts = steady(4)
    counts["C03"][NOW] = 4000
    counts["C04"][NOW] = 0
    sent = weekly.Weeks(counts)
    assert [(one.unit, one.observed) for one in weekly.surge(sent, NOW, CODES, "endings")] == [("C03", 4000)]
    assert weekly.silence(sent, NOW, CODES, five) == []


def test_a_new_unit_is_not_judged_before_a_quarter_and_then_by_its_own_time() -> None:
    counts = steady()
    counts["NEW"] = {NOW - WEEK * i: 12 for i in range(8)}
    counts["YOUNG"] = {NOW - WEEK * i: 12 for i in range(30)}
    assert weekly.surge(weekly.Weeks(counts), NOW, counts, "endings") == []
    for code in ("NEW", "YOUNG"):
        counts[code] |= {NOW - WEEK: 0, NOW: 0}
    assert [one.unit for one in weekly.silence(weekly.Weeks(counts), NOW, counts, five)] == ["YOUNG"]


def test_how_long_a_silence_stays_unnoticed_depends_on_how_much_is_sent() -> None:
    counts = steady()
    counts["QUIET"] = {FIRST + WEEK * w: int(w % 8 == 0) for w in range(61)}
    counts["LOUD"] = {FIRST + WEEK * w: 200 + w % 7 for w in range(61)}
    sent = weekly.Weeks(counts)
    assert weekly.weeks_unheard(sent, NOW, "LOUD") == 1
    assert weekly.weeks_unheard(sent, NOW, "QUIET") is None
    assert weekly.weeks_unheard(sent, NOW, "nobody") is None


def test_a_share_that_falls_is_found_unless_everybodys_does() -> None:
    parts = shares(80, 100)
    parts["C05"][MONTH] = Share(35, 100)
    (found, *_) = monthly.shares("reached", parts, MONTH, CODES)
    assert (found.unit, found.kind, found.what, found.against, found.observed, found.of) == ("C05", "funnel", "reached", "past", 35, 100)
    assert found.expected == pytest.approx(80, abs=3)
    everybody = {code: months | {MONTH: Share(35, 100)} for code, months in parts.items()}
    assert monthly.shares("reached", everybody, MONTH, CODES) == []


def test_a_change_that_lasts_is_seen_where_a_month_of_it_is_not() -> None:
    parts = shares(24, 30)
    for month in months_upto(MONTH, 3):
        parts["C05"][month] = Share(14, 30)
    (found,) = monthly.shares("reached", parts, MONTH, CODES)
    assert found.numbers["months"] == 3


def test_what_has_always_been_so_is_found_against_the_others() -> None:
    parts = shares(5, 100)
    parts["C07"] = dict.fromkeys(MONTHS, Share(60, 100))
    assert {(one.unit, one.against) for one in monthly.shares("missing", parts, MONTH, CODES)} == {("C07", "others")}


def test_more_at_the_desk_is_a_shift_and_less_is_none() -> None:
    parts = shares(20, 100)
    parts["C01"][MONTH], parts["C02"][MONTH] = Share(80, 100), Share(0, 100)
    assert {one.unit for one in monthly.shares("at_desk", parts, MONTH, CODES)} == {"C01"}


def test_totals_that_do_not_match_are_found_in_both_directions() -> None:
    codes = [f"C{i:02d}" for i in range(46)]
    portal = {code: {MONTH: 100} for code in codes}
    heard = {code: {MONTH: 99 + i % 2} for i, code in enumerate(codes)}
    heard["C02"], heard["C03"] = {MONTH: 75}, {MONTH: 140}
    found = {(one.unit, one.what, one.observed) for one in monthly.totals(portal, heard, MONTH, codes)}
    assert found == {("C02", "short", 25), ("C03", "over", 40)}
    assert monthly.totals({}, heard, MONTH, codes) == []


def test_desk_answers_far_above_away_answers_are_found_beyond_what_desks_do_everywhere() -> None:
    here = {code: dict.fromkeys(MONTHS, Share(19, 20)) for code in CODES}
    home = {code: dict.fromkeys(MONTHS, Share(34, 40)) for code in CODES}
    assert monthly.desk(here, home, MONTH, CODES) == []
    here["C04"], home["C04"] = dict.fromkeys(MONTHS, Share(20, 20)), dict.fromkeys(MONTHS, Share(20, 40))
    found = monthly.desk(here, home, MONTH, CODES)
    assert {one.unit for one in found} == {"C04"}
    assert {(one.numbers["away_k"], one.numbers["away_n"]) for one in found} <= {(60, 120), (240, 480)}


def test_answers_against_the_record_are_found_by_field() -> None:
    """Land is slow everywhere; a unit that has only land is not to be blamed for it."""
    parts = {(code, of): dict.fromkeys(MONTHS, Share(k, n)) for code in CODES for of, k, n in (("land", 4, 20), ("civil", 1, 60))}
    parts["C00", "civil"], parts["C00", "land"] = {}, dict.fromkeys(MONTHS, Share(16, 80))
    assert monthly.record("slow", parts, MONTH, CODES) == []
    parts["C09", "civil"] = dict.fromkeys(MONTHS, Share(15, 60))
    assert {one.unit for one in monthly.record("slow", parts, MONTH, CODES)} == {"C09"}


def test_charges_are_held_against_the_record_only_where_nobody_had_to_pay() -> None:
    said = {("C01", MONTH, of, "counter"): Said(answers=10, in_time=8, slow=2, charges=3) for of in ("civil", "land", "health")}
    fees = {("C01", MONTH, "civil", "counter"): Fees(50, 0), ("C01", MONTH, "land", "counter"): Fees(50, 1)}
    seen = replace(nothing(), said=said, fees=fees)
    assert charges(seen) == {("C01", "civil"): {MONTH: Share(3, 10)}}
    assert slow(seen)["C01", "land"] == {MONTH: Share(2, 8)}


def nothing() -> Seen:
    return Seen({}, {}, {}, {}, {}, {}, {}, {})


def everything() -> Seen:
    """Nothing wrong but a silent unit and one without contacts."""
    endings = steady()
    endings["C03"] |= {NOW - WEEK: 0, NOW: 0}
    ways = {(code, month): Steps(100, 5, 2, 90, 80, 80, 4, 78, 70, 15) for code in CODES for month in MONTHS}
    bare = {("C07", month): replace(ways["C07", month], without_contact=60) for month in MONTHS}
    figures = {(code, month): Counts((0, 1, 1, 8, 10), desk_n=5, desk_satisfied=5) for code in CODES for month in MONTHS}
    heard = {code: dict.fromkeys(MONTHS, 100) for code in CODES}
    return Seen(endings, steady(), ways, ways | bare, {}, {}, figures, heard, heard)


def test_all_of_a_day_the_rarest_first() -> None:
    found = findings(everything(), NOW + WEEK, lambda _: CODES, five)
    assert {(one.unit, one.what) for one in found} == {("C03", "endings"), ("C07", "missing")}
    assert [one.p for one in found] == sorted(one.p for one in found)
    assert findings(nothing(), NOW, lambda _: [], five) == []


def test_a_unit_merged_away_is_silent_by_law() -> None:
    left = unit("C03", "Xã 3", start=date(2020, 1, 1), end=NOW - WEEK)
    document = told(everything(), Registry([left]), NOW + WEEK, {})
    assert {one["unit"] for one in document["findings"]} == {"C07"}
    assert document["week"] == week_name(NOW)
    assert document["promise"] == {"false_raises": 1.0, "of_each_kind": list(KINDS), "units": 170, "in": "a year"}
    assert document["weeks_until_silence_is_noticed"]["C01"] in (1, 2)
    assert all(one["sentence_vi"] != one["sentence_en"] for one in document["findings"])


def test_what_a_unit_was_before_it_carried_on_others_is_not_its_past() -> None:
    since = date(2026, 2, 1)
    apart = carried_on_apart(everything(), {"C07": since})
    assert min(apart.endings["C07"]) == date(2026, 2, 2)
    assert {month for code, month in apart.receiving if code == "C07"} == {"2026-02", "2026-03"}
    assert apart.endings["C01"] == everything().endings["C01"]


def test_weeks_and_months() -> None:
    assert week_of("2026-W01") == date(2025, 12, 29)
    assert week_name(date(2025, 12, 29)) == "2026-W01"
    with pytest.raises(ValueError, match="2026-W54 is no week"):
        week_of("2026-W54")
    with pytest.raises(ValueError, match="Write it as"):
        week_of("March")
    assert settled_month(date(2026, 3, 13), "reached") == "2026-01"
    assert settled_month(date(2026, 3, 15), "reached") == "2026-02"
    assert settled_month(date(2026, 3, 15), "answered") == "2025-12"


# --- sentences


@pytest.mark.parametrize("what", WHERE)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_finding_has_a_sentence_with_its_numbers_and_accuses_nobody(what: str, language: str) -> None:
    kind = monthly.RULES[what].kind if what in monthly.RULES else "desk" if what == "satisfied" else "surge"  # type: ignore[index] # of What
    numbers = {"away_k": 20, "away_n": 40, "weeks": 1}
    found = Finding("C01", kind, what, "others", "2026-W09" if kind == "surge" else MONTH, 37, 41, 12.3, 3e-5, 1e-4, numbers)  # type: ignore[arg-type] # of What
    said = sentence(found, "Xã Mẫu", language)  # type: ignore[arg-type] # of LANGUAGES
    assert said.startswith("Xã Mẫu: ")
    assert "37" in said
    assert ("33.000" if language == "vi" else "33,000") in said
    assert not {"vi phạm", "gian", "violation", "fraud", "fault", "blame"} & set(said.lower().split())
    assert "{" not in said


def test_silence_and_the_whole_say_so() -> None:
    found = Finding(WHOLE, "silence", "endings", "past", "2026-W09", 0, None, 7.25, 1e-12, 1e-4, {"weeks": 2})
    assert sentence(found, "", "vi").startswith(
        "Toàn bộ các đơn vị: đến hết tuần 9/2026 (từ 23/2/2026) không nhận được hồ sơ kết thúc nào (số tuần: 2)"
    )
    said = sentence(found, "", "en")
    assert "about 7.2" in said
    assert "less than once in 1,000,000" in said


def test_both_languages_say_everything() -> None:
    keys = [{(table, key) for table, said in WORDS[one].items() for key in (said if isinstance(said, dict) else ())} for one in LANGUAGES]
    assert keys[0] == keys[1]
    assert WORDS["vi"].keys() == WORDS["en"].keys()


# --- the promise


def test_levels_of_all_looks_sum_to_no_more_than_is_promised() -> None:
    assert all(UNITS * LOOKS[kind] * TESTS[kind] * level(kind) <= 1 for kind in KINDS)


@pytest.mark.parametrize("world", invented.INSIDE)
def test_false_raises_by_week_are_as_rare_as_promised(world: invented.World) -> None:
    """At twenty times the level, so that a short test sees enough of them: 20 for 170 units, 4.7 for 40."""
    found = invented.false_in_weeks(world, 11, years=1, how_many=40, promised=20)
    assert max(found.values()) <= 4


@pytest.mark.parametrize("widely", [1.0, 3.0])
def test_false_raises_by_month_are_as_rare_as_promised(widely: float) -> None:
    found = invented.false_in_months(12, years=1, how_many=40, widely=widely, promised=20)
    assert max(found.values()) <= 4


def test_harms_are_noticed_where_there_are_dossiers_enough() -> None:
    found, harmed = invented.noticed_silence(3, 4)["100-600"]
    assert found == harmed > 0
    found, harmed = invented.noticed_share("reused", 3, 3)["100-600"]
    assert found == harmed > 0
