"""How much a figure stands on, what the silent could do to it, and that nobody is paid for asking fewer people."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.coverage import (
    FEWEST_CALLS,
    Coverage,
    Leaning,
    leaning,
    measured,
    observed,
    pooled,
    sensitivity,
    shares,
    three,
    times_as_likely,
    worst_case,
)
from hailong.domain.scoring import Z95, Counts
from hailong.domain.shares import Share, shifted

AS_ANSWERED = Leaning(1.0, 1.0, 1.0, 100, "own")


def cover(heard: int = 100, asked: int = 90, reached: int = 80, n: int = 30, satisfied: int = 27, totals: int | None = 120) -> Coverage:
    return Coverage(heard, asked, reached, n, n, satisfied, totals)


# --- shares -------------------------------------------------------------------------------------------------------------------


def test_every_step_is_a_share_of_the_endings_known() -> None:
    found = shares(cover())
    assert (found.heard, found.asked, found.reached, found.answered) == (Share(100, 120), Share(90, 120), Share(80, 120), Share(30, 120))


@pytest.mark.parametrize("totals", [None, 99])
def test_without_totals_that_can_be_right_nobody_knows_what_was_not_heard_of(totals: int | None) -> None:
    found = cover(totals=totals)
    assert (found.basis, found.ended_known, shares(found).heard) == ("heard", 100, None)


def test_what_the_store_counted_becomes_coverage_without_the_desk() -> None:
    counts = Counts((1, 0, 0, 3, 6), not_applicable=2, ended=50, asked=40, reached=30, desk_n=9, desk_satisfied=9, held=4)
    assert Coverage.of(counts, 60) == Coverage(heard=50, asked=40, reached=30, answered=12, n=10, satisfied=9, totals=60)


# --- the three figures --------------------------------------------------------------------------------------------------------


def test_the_worst_case_spans_from_all_unhappy_to_all_happy() -> None:
    band = worst_case(cover())
    assert (band.low, band.high) == (27 / 120, 117 / 120)


def test_where_everybody_answered_the_worst_case_is_the_observed_figure() -> None:
    band = worst_case(cover(30, 30, 30, 30, 27, 30))
    assert band.low == band.high == 0.9


def test_where_nothing_ended_everything_is_possible_and_nothing_observed() -> None:
    found = three(Coverage(0, 0, 0, 0, 0, 0, 0), AS_ANSWERED)
    assert (found.observed, found.sensitivity, found.worst_case.low, found.worst_case.high) == (None, None, 0, 1)


def test_without_calls_no_sensitivity_is_made_up() -> None:
    assert three(cover(), None).sensitivity is None


@st.composite
def covers(draw: st.DrawFn) -> Coverage:
    totals = draw(st.integers(1, 400))
    heard = draw(st.integers(0, totals))
    asked = draw(st.integers(0, heard))
    reached = draw(st.integers(0, asked))
    answered = draw(st.integers(0, reached))
    n = draw(st.integers(0, answered))
    return Coverage(heard, asked, reached, answered, n, draw(st.integers(0, n)), totals)


LEANINGS = st.tuples(st.floats(0.2, 5), st.floats(1, 3)).map(lambda x: Leaning(x[0], x[0] / x[1], x[0] * x[1], 50, "own"))


@given(covers(), LEANINGS)
def test_the_first_two_figures_lie_within_the_worst_case_and_their_own_intervals(found: Coverage, lean: Leaning) -> None:
    figures = three(found, lean)
    for estimate in filter(None, (figures.observed, figures.sensitivity)):
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    if figures.sensitivity is not None:
        assert figures.worst_case.low - 1e-9 <= figures.sensitivity.value <= figures.worst_case.high + 1e-9


@given(covers())
def test_if_the_silent_are_like_the_others_the_sensitivity_is_the_observed_figure(found: Coverage) -> None:
    seen, if_alike = observed(found), sensitivity(found, AS_ANSWERED)
    assert (seen is None) == (if_alike is None)
    if seen is not None and if_alike is not None:
        assert (if_alike.value, if_alike.low, if_alike.high) == pytest.approx((seen.value, seen.low, seen.high), abs=1e-9)


def test_with_few_answers_true_odds_are_k_times_the_observed_ones() -> None:
    found, lean = cover(10**6, 10**6, 10**6, 30, 27, 10**6), Leaning(1.3, 1.1, 1.5, 200, "own")
    value = sensitivity(found, lean)
    assert value is not None
    assert value.value == pytest.approx(shifted(0.9, 1.3), abs=1e-4)
    assert times_as_likely(found, lean) == pytest.approx(1.3, abs=1e-3)


def test_k_is_the_ratio_of_two_chances_of_answering() -> None:
    """900 happy, of whom 180 answer; 100 unhappy, of whom 40 do: k = 0.4 ÷ 0.2, and the sensitivity finds the 90 % again."""
    found = cover(1000, 1000, 1000, 220, 180, 1000)
    ratio = (720 / 60) / (180 / 40)
    lean = Leaning(ratio, ratio, ratio, 780, "own")
    value = sensitivity(found, lean)
    assert value is not None
    assert value.value == pytest.approx(0.9, abs=1e-12)
    assert times_as_likely(found, lean) == pytest.approx(2.0, abs=1e-9)


@pytest.mark.parametrize("satisfied", [0, 30])
def test_no_k_where_all_said_the_same(satisfied: int) -> None:
    assert times_as_likely(cover(satisfied=satisfied), AS_ANSWERED) is None


# --- measuring how the silent differ ------------------------------------------------------------------------------------------


def test_the_ratio_by_hand() -> None:
    """(24.5 x 10.5) ÷ (6.5 x 90.5), error √(1/24.5 + 1/6.5 + 1/90.5 + 1/10.5)."""
    found = measured(Share(90, 100), Share(24, 30))
    assert found.ratio == pytest.approx(0.437314, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((0.149222, 1.281603), abs=1e-6)


def test_empty_cells_still_give_an_interval() -> None:
    found = measured(Share(40, 40), Share(0, 30))
    assert 0 < found.low < found.ratio < found.high < float("inf")


def test_few_calls_borrow_the_province_and_none_invent_nothing() -> None:
    many, few = (Share(90, 100), Share(24, FEWEST_CALLS)), (Share(9, 10), Share(20, FEWEST_CALLS - 1))
    assert leaning(many, pooled([few])) == measured(*many)
    assert leaning(few, pooled([few, many])) == pooled([many, few])
    assert leaning(few, pooled([few])) is None


def test_units_are_pooled_as_strata() -> None:
    """Mantel and Haenszel's ratio by hand: within each unit the odds are what they are, whichever of them is called more."""
    units = [(Share(80, 85), Share(20, 30)), (Share(800, 1000), Share(60, 70))]
    up, down = 20 * 5 / 115 + 60 * 200 / 1070, 10 * 80 / 115 + 10 * 800 / 1070
    found = pooled(units)
    assert found is not None
    assert found.ratio == pytest.approx(up / down)
    assert 0 < found.low < found.ratio < found.high
    assert (found.calls, found.source) == (100, "province")


def test_one_unit_pooled_is_its_own_odds_ratio_with_woolfs_error() -> None:
    found = pooled([(Share(90, 100), Share(24, 30))])
    assert found is not None
    assert found.ratio == pytest.approx(24 * 10 / (6 * 90))
    assert math.log(found.high / found.ratio) == pytest.approx(Z95 * math.sqrt(1 / 24 + 1 / 6 + 1 / 90 + 1 / 10))


def test_calling_quiet_units_more_does_not_move_the_ratio() -> None:
    """The quiet unit is worse, and all of it is called: sums of all would take its level for what silence means."""
    quiet, loud = (Share(600, 1000), Share(300, 500)), (Share(9000, 10000), Share(45, 50))
    found = pooled([quiet, loud])
    assert found is not None
    assert found.ratio == pytest.approx(1.0)
    assert measured(Share(9600, 11000), Share(345, 550)).high < 0.5


def test_where_all_called_say_the_same_the_sums_are_taken() -> None:
    units = [(Share(10, 12), Share(20, 20)), (Share(10, 12), Share(20, 20))]
    assert pooled(units) == measured(Share(20, 24), Share(40, 40), "province")


def binomial(random: Random, n: int, p: float) -> int:
    return sum(random.random() < p for _ in range(n))


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.5])
def test_the_intervals_of_ratio_and_sensitivity_hold_the_truth(ratio: float) -> None:
    """300 tries each. Were the intervals of exactly 95 %, fewer than 271 of 300 would hold with a chance of 1 in 2,000."""
    random, held, whole = Random(20250701), 0, 0
    for _ in range(300):
        found = cover(1000, 1000, 1000, 200, binomial(random, 200, 0.85), 1000)
        lean = measured(Share(found.satisfied, 200), Share(binomial(random, 60, shifted(0.85, ratio)), 60))
        held += lean.low <= ratio <= lean.high
        value = sensitivity(found, lean)
        assert value is not None
        whole += value.low <= 0.2 * 0.85 + 0.8 * shifted(0.85, ratio) <= value.high
    assert held >= 271
    assert whole >= 271


# --- nobody is paid for asking fewer ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dossier:
    """What is true of one: ``happy`` is what its person would say."""

    happy: bool
    answers: bool
    told: bool = True
    contact: bool = True
    at_desk: bool = False
    scored: bool = True


def counted(dossiers: list[Dossier], totals: int | None) -> Coverage:
    told = [d for d in dossiers if d.told]
    asked = [d for d in told if d.contact]
    answered = [d for d in asked if d.answers and not d.at_desk]
    scored = [d for d in answered if d.scored]
    happy = sum(d.happy for d in scored)
    return Coverage(len(told), len(asked), len(asked), len(answered), len(scored), happy, totals)


TRUE = st.lists(st.builds(Dossier, happy=st.booleans(), answers=st.booleans()), min_size=1, max_size=40)
KEPT = {
    "told nothing of": lambda d: replace(d, told=False),
    "without a contact": lambda d: replace(d, contact=False),
    "kept from answering": lambda d: replace(d, answers=False),
    "asked at the desk": lambda d: replace(d, at_desk=True),
    "not applicable": lambda d: replace(d, scored=False),
}


@given(TRUE, st.integers(0, 20), st.data())
def test_hiding_never_raises_the_lower_figure(true: list[Dossier], elsewhere: int, data: st.DataObject) -> None:
    """Any mixture of the five, on anybody. ``elsewhere``: endings the portal has and hailong never heard of."""
    totals = len(true) + elsewhere
    acts = data.draw(st.lists(st.none() | st.sampled_from(sorted(KEPT)), min_size=len(true), max_size=len(true)))
    bent = [d if act is None else KEPT[act](d) for d, act in zip(true, acts, strict=True)]
    honest, managed = worst_case(counted(true, totals)), worst_case(counted(bent, totals))
    assert managed.low <= honest.low


@given(TRUE, st.integers(0, 20))
def test_hiding_the_unhappy_gains_nothing_and_shows_in_the_coverage(true: list[Dossier], elsewhere: int) -> None:
    totals = len(true) + elsewhere
    bent = [d if d.happy else replace(d, told=False) for d in true]
    before, after = counted(true, totals), counted(bent, totals)
    assert worst_case(after).low == worst_case(before).low
    heard = shares(before).heard, shares(after).heard
    assert heard[0] is not None
    assert heard[1] is not None
    assert heard[0].k - heard[1].k == sum(not d.happy for d in true)


def test_without_totals_hiding_pays_and_the_basis_says_so() -> None:
    true = [Dossier(True, True)] * 8 + [Dossier(False, False)] * 2
    bent = true[:8] + [replace(d, told=False) for d in true[8:]]
    before, after = counted(true, None), counted(bent, None)
    assert worst_case(after).low > worst_case(before).low
    assert after.basis == "heard"


def test_answers_in_the_name_of_citizens_are_not_caught_here() -> None:
    true = [Dossier(True, True)] * 5 + [Dossier(False, False)] * 5
    faked = true[:5] + [Dossier(True, True)] * 5
    assert worst_case(counted(faked, 10)).low > worst_case(counted(true, 10)).low
