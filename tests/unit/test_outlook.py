"""The odds of the goal: nothing too early, right where it is plain, and as often true as they say in provinces whose end is known."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailong.domain.backtest import COURSES, Calibration, calibration, province
from hailong.domain.outlook import FEWEST, NoStatement, Outlook, Quarter, outlook
from hailong.domain.path import Goal
from hailong.domain.shares import Share

GOAL = Goal(0.90, 2030)


def course(*percents: float, n: int = 8000, first: int = 2026) -> list[Quarter]:
    return [Quarter(first + i // 4, i % 4 + 1, Share(round(p / 100 * n), n)) for i, p in enumerate(percents)]


def said(quarters: list[Quarter], goal: Goal = GOAL) -> Outlook:
    found = outlook(quarters, goal)
    assert isinstance(found, Outlook)
    return found


def test_before_eight_closed_quarters_nothing_is_said() -> None:
    seven = course(*[84.0] * 7)
    assert outlook(seven, GOAL) == NoStatement("few_quarters", 7)
    assert outlook([*seven, Quarter(2027, 4, Share(0, 0))], GOAL) == NoStatement("few_quarters", 7)
    assert isinstance(outlook(course(*[84.0] * FEWEST), GOAL), Outlook)


def test_when_the_year_is_over_nothing_is_foretold() -> None:
    assert outlook(course(*[84.0] * 20), GOAL) == NoStatement("over", 20)
    assert isinstance(outlook(course(*[84.0] * 19), GOAL), Outlook)


def test_a_province_that_stands_still_at_84_hardly_gets_there() -> None:
    assert said(course(*[84.0] * 12)).odds < 0.15


def test_a_province_that_gains_steadily_gets_there() -> None:
    """From 84 % in 0.4 points a quarter: 88.4 % after twelve, 91.6 % at the end of 2030."""
    found = said(course(*[84 + 0.4 * i for i in range(12)]))
    assert found.odds > 0.75
    assert found.low < 0.916 < found.high


def test_the_season_is_not_taken_for_a_trend() -> None:
    """Three years that end on their best quarter: 82, 84, 84, 86."""
    waves, flat = said(course(*[82.0, 84, 84, 86] * 3)), said(course(*[84.0] * 12))
    assert abs(waves.median - 0.84) < 0.015
    assert waves.odds == pytest.approx(flat.odds, abs=0.12)


def test_a_year_without_answers_is_passed_over_in_time() -> None:
    """The same two years of answers, with a year between them or not: what took twice as long promises less."""
    one, other = [84.0, 84.3, 84.6, 84.9], [87.0, 87.3, 87.6, 87.9]
    at_once = said(course(*one, first=2027) + course(*other, first=2028))
    slowly = said(course(*one, first=2026) + course(*other, first=2028))
    assert slowly.odds < at_once.odds - 0.05


def test_a_jump_is_not_taken_for_a_trend() -> None:
    """84 % for two years, 87 % in the third: it may have been a jump, and whoever went up and came down may go up again."""
    assert said(course(*[84.0] * 8, *[87.0] * 4)).odds < 0.6
    assert said(course(*[84.0] * 4, *[87.0] * 4, *[85.0] * 4)).high > 0.89


def test_a_province_that_wanders_is_less_sure_than_one_that_does_not() -> None:
    smooth, wild = said(course(*[84 + 0.2 * i for i in range(12)])), said(course(81, 83, 82, 85, 87, 84, 86, 88, 85, 83, 86, 87))
    assert wild.high - wild.low > 1.5 * (smooth.high - smooth.low)


@settings(max_examples=25)
@given(st.lists(st.floats(60, 98), min_size=8, max_size=16), st.integers(20, 20000), st.randoms(use_true_random=False))
def test_odds_are_bounded_and_do_not_depend_on_the_order(rates: list[float], n: int, random: Random) -> None:
    quarters = course(*rates, n=n)
    found = said(quarters)
    assert 0.01 <= found.odds <= 0.99
    assert 0 < found.low < found.median < found.high < 1
    random.shuffle(quarters)
    assert said(quarters) == found


@settings(max_examples=25)
@given(st.lists(st.floats(60, 98), min_size=8, max_size=10))
def test_a_higher_goal_is_never_likelier(rates: list[float]) -> None:
    odds = [said(course(*rates), Goal(value, 2030)).odds for value in (0.8, 0.85, 0.9, 0.95)]
    assert odds == sorted(odds, reverse=True)


@pytest.fixture(scope="module")
def tried() -> Calibration:
    """400 provinces of all courses, seen for 8 to 16 quarters, asked for the last quarter of the sixth year."""
    random = Random(20250709)
    provinces = []
    for i in range(400):
        closed = 8 + 4 * (i // 4 % 3)
        provinces.append(province(random, COURSES[i % 4], closed, 24 - closed))
    return calibration(provinces, Goal(0.90, 2031))


def test_odds_beat_saying_how_many_reach_it(tried: Calibration) -> None:
    assert tried.forecasts == 400
    assert tried.brier < 0.6 * tried.base


def test_odds_come_as_often_as_they_say(tried: Calibration) -> None:
    """In each fifth of the odds the share that got there differs from the mean of the odds by less than chance and a tenth allow: 3.3
    standard errors is one in a thousand."""
    assert sum(b.reached.n for b in tried.bins) == 400
    for b in tried.bins:
        share = b.reached.k / b.reached.n
        assert abs(share - b.odds) < 0.10 + 3.3 * (b.odds * (1 - b.odds) / b.reached.n) ** 0.5


def test_intervals_hold_as_often_as_they_say(tried: Calibration) -> None:
    """80 % are promised: fewer than 293 of 400 has a chance of 1 in 2,000."""
    assert tried.held.k >= 293


def test_of_too_few_quarters_there_is_no_back_test() -> None:
    with pytest.raises(ValueError, match="nothing can be said from 4 quarters"):
        calibration([province(Random(1), "steady", 4, 4)], GOAL)
