"""Looks at the quality of data: each alert raised and over once, the same again from the same, nothing judged twice."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec
import pytest

from hailong.domain.looking import BY, Looked, Sources, apart, look
from hailong.domain.quality import KINDS, WHOLE, about_data
from hailong.domain.quality_seen import Seen
from hailong.domain.quality_sentences import WORDS
from hailong.domain.quiet import quietest, sights
from hailong.domain.scoring import Counts
from hailong.domain.units import LOCAL, Registry, Targets
from hailong.events import Predecessor, QualityLooked, decode, encode
from tests.clickhouse.facts import unit
from tests.unit.test_quality import CODES, MONTHS, NOW, WEEK, everything, nothing, steady

MONDAY = NOW + WEEK
UNITS = [unit(code, f"Xã {code[1:]}", start=date(2020, 1, 1)) for code in CODES]
ANSWERS = {(code, month): Counts((0, 1, 1, 8, 10), ended=100) for code in CODES for month in MONTHS}


def sources(seen: Seen | None = None, rows: Any = tuple(UNITS), **more: Any) -> Sources:
    return Sources(seen or everything(), more.pop("answers", ANSWERS), Registry(rows), Targets(0.9), {"survey.counted.v1": {0: 41}}, 41)


def looked(found: Sources, day: date, last: QualityLooked | None = None, hour: int = 5) -> Looked:
    return look(found, day, datetime.combine(day, time(hour), LOCAL), "hoa-binh", last)


def steps(made: Looked) -> list[tuple[str, str, str, int]]:
    return [(step.unit, step.kind, step.state, step.version) for step in made.steps]


def going_on(**sent: int) -> Seen:
    """A week later, and one more: each unit sends 12, but for some."""
    endings = {code: {**weeks, NOW + WEEK: sent.get(code, 12), MONDAY + WEEK: 12} for code, weeks in everything().endings.items()}
    return replace(everything(), endings=endings)


def test_what_is_found_is_raised_with_its_sentence_and_its_evidence() -> None:
    made = looked(sources(), MONDAY)
    assert steps(made) == [("C03", "silence", "raised", 1), ("C07", "contacts", "raised", 1)]
    silent, bare = made.steps
    assert silent.sentence_vi.startswith("Xã 03: đến hết tuần 10/2026")
    assert bare.sentence_en.startswith("Xã 07: up to January 2026, 720 of 1200")
    assert bare.doubt is not None
    assert (bare.doubt.what, bare.doubt.where, bare.doubt.observed, bare.doubt.of) == ("missing", "outcomes", 720, 1200)
    assert bare.doubt.p <= bare.doubt.level
    assert {step.by for step in made.steps} == {BY}
    assert all(about_data(step) and step.evidence_seq == 41 and step.n == 0 for step in made.steps)
    assert made.fact.standing == {"C03|silence|endings": MONDAY, "C07|contacts|missing": MONDAY}


def test_what_goes_on_is_no_new_alert_and_what_is_over_is_cleared_once() -> None:
    first = looked(sources(), MONDAY)
    still = going_on(C03=0)
    assert looked(sources(still), MONDAY + WEEK, first.fact).steps == []
    seen = going_on()
    sending = looked(sources(seen), MONDAY + WEEK, first.fact)
    assert steps(sending) == [("C03", "silence", "cleared", 2)]
    assert sending.steps[0].alert_id == first.steps[0].alert_id
    assert sending.steps[0].sentence_en.startswith("Xã 03: what was found in the data (no endings heard of)")
    assert sending.fact.standing == {"C07|contacts|missing": MONDAY}
    assert looked(sources(seen), MONDAY + 2 * WEEK, sending.fact).steps == []


def test_a_month_is_judged_at_one_look_and_cleared_by_the_next_month() -> None:
    first = looked(sources(), MONDAY)
    february = looked(sources(), MONDAY + WEEK, first.fact)
    clean = replace(everything(), receiving=everything().handling)
    within = looked(sources(clean), MONDAY + 2 * WEEK, february.fact)
    assert "missing" in february.fact.judged
    assert {"missing", "asked"}.isdisjoint(within.fact.judged)
    assert {"endings", "counted"} <= set(within.fact.judged)
    assert "C07|contacts|missing" in within.fact.standing
    later = looked(sources(clean), date(2026, 5, 18), within.fact)
    assert {"missing", "asked", "slow"} <= set(later.fact.judged)
    assert ("C07", "contacts", "cleared", 2) in steps(later)


def test_a_look_made_again_in_another_order_is_the_same_to_the_bit() -> None:
    mixed = random.Random(3)

    def shuffled(counts: dict[Any, Any]) -> dict[Any, Any]:
        keys = list(counts)
        mixed.shuffle(keys)
        return {key: counts[key] for key in keys}

    seen = everything()
    other = replace(seen, endings=shuffled(dict(seen.endings)), receiving=shuffled(dict(seen.receiving)))
    one, two = looked(sources(), MONDAY), looked(sources(other, answers=shuffled(ANSWERS)), MONDAY)
    at = datetime.combine(MONDAY, time(5), LOCAL)
    assert [encode(f, at) for f in (one.fact, *one.steps)] == [encode(f, at) for f in (two.fact, *two.steps)]
    assert decode("quality.looked.v1", encode(one.fact, at).value) == one.fact
    ordered = apart(other, Registry(UNITS), MONDAY)
    assert list(ordered.endings) == sorted(ordered.endings)
    assert list(ordered.receiving) == sorted(ordered.receiving)


def test_a_unit_that_is_merged_away_has_its_alert_settled() -> None:
    first = looked(sources(), MONDAY)
    rows = [*UNITS[:3], unit("C03", "Xã 03", start=date(2020, 1, 1), end=MONDAY), *UNITS[4:]]
    made = looked(sources(rows=rows), MONDAY + WEEK, first.fact)
    assert ("C03", "silence", "settled", 2) in steps(made)


def test_the_silence_of_all_is_an_alert_of_no_unit() -> None:
    endings = {code: weeks | {NOW: 0, NOW - WEEK: 0} for code, weeks in steady().items()}
    made = looked(sources(replace(nothing(), endings=endings)), MONDAY)
    assert steps(made) == [(WHOLE, "silence", "raised", 1)]
    assert made.steps[0].sentence_vi.startswith("Toàn bộ các đơn vị")


def test_every_kind_has_words_for_its_end() -> None:
    assert all(set(WORDS[language]["about"]) == set(KINDS) for language in WORDS)


# --- units too quiet to judge


def answers(**per_month: int) -> dict[tuple[str, str], Counts]:
    return {(code, month): Counts((0, 0, 0, 0, n), ended=40) for code, n in per_month.items() for month in MONTHS}


@pytest.mark.parametrize(("per_month", "quiet"), [(0, True), (5, True), (6, False), (40, False)])
def test_a_unit_is_quiet_where_a_fall_stays_unseen_for_more_than_a_year(per_month: int, quiet: bool) -> None:
    """By the table of what alerts can see: at 72 answers a year half of all falls are seen within 71 answers, a little under a year."""
    found = sights(answers(C01=per_month), Registry(UNITS), Targets(0.9), MONDAY)["C01"]
    assert (found.per_year, found.ended, found.quiet) == (12 * per_month, 480, quiet)
    assert (found.unseen is None) is (per_month == 0)


def test_quiet_units_stand_in_the_look_and_hold_from_the_next_day_on() -> None:
    cells = answers(C01=1, C02=50) | {("C09", MONTHS[-2]): Counts((0, 0, 0, 0, 3), ended=10)}
    made = looked(sources(answers=cells), MONDAY, hour=23)
    assert made.fact.quiet == ["C01", "C09"]
    assert made.fact.quiet_from == MONDAY + timedelta(days=1)
    assert made.fact.quiet_part == pytest.approx(490 / 970)
    assert [one.unit for one in quietest(sights(cells, Registry(UNITS), Targets(0.9), MONDAY))] == ["C01", "C09"]


def test_a_new_unit_is_judged_by_the_months_it_has_and_answers_go_to_who_carries_on() -> None:
    of = [Predecessor("C01"), Predecessor("C02")]
    merged = msgspec.structs.replace(unit("N01", "Xã mới", start=date(2026, 1, 1)), predecessors=of)
    rows = [unit(c, c, start=date(2020, 1, 1), end=date(2026, 1, 1)) for c in ("C01", "C02")]
    found = sights(
        answers(C01=10, C02=20) | {("N01", MONTHS[-2]): Counts((0, 0, 0, 0, 5))}, Registry([*rows, merged]), Targets(0.9), MONDAY
    )
    assert set(found) == {"N01"}
    assert found["N01"].answers == 365
