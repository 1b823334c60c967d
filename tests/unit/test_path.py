"""The path to the goal: from hailong's own first year, or none."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.path import Goal, NoPath, Path, Year, path
from hailong.domain.shares import Share

GOAL = Goal(0.90, 2030)


def test_from_84_in_2026_to_90_in_2030() -> None:
    found = path(Year(2026, Share(840, 1000)), GOAL)
    assert isinstance(found, Path)
    assert [(step.year, step.value) for step in found.steps] == [(2027, 0.855), (2028, 0.87), (2029, 0.885), (2030, 0.9)]
    assert (found.steps[0].valid_from, found.steps[0].valid_to) == (date(2027, 1, 1), date(2028, 1, 1))
    assert [found.on(year) for year in (2025, 2026, 2028, 2030, 2035)] == [None, None, 0.87, 0.9, 0.9]


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (None, "no_closed_year"),
        (Year(2026, Share(0, 0)), "few"),
        (Year(2026, Share(9, 9)), "few"),
        (Year(2030, Share(840, 1000)), "over"),
    ],
)
def test_until_then_there_is_no_path_and_it_says_why(first: Year | None, why: str) -> None:
    assert path(first, GOAL) == NoPath(why)  # type: ignore[arg-type]  # parametrised words


def test_who_starts_above_the_goal_stays_on_it() -> None:
    found = path(Year(2027, Share(95, 100)), GOAL)
    assert isinstance(found, Path)
    assert {step.value for step in found.steps} == {0.9}
    assert found.start.answers.rate == 0.95


@given(
    st.integers(10, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.integers(2026, 2029),
    st.floats(0.5, 0.99),
)
def test_steps_rise_evenly_and_end_on_the_goal(counts: tuple[int, int], year: int, goal: float) -> None:
    found = path(Year(year, Share(*counts)), Goal(goal, 2030))
    assert isinstance(found, Path)
    values = [step.value for step in found.steps]
    start = min(counts[0] / counts[1], goal)
    assert [step.year for step in found.steps] == list(range(year + 1, 2031))
    assert values == sorted(values)
    assert values[-1] == goal
    wanted = (goal - start) / len(values)
    rises = [b - a for a, b in zip([start, *values], values, strict=False)]
    assert all(abs(rise - wanted) <= 0.001 + 1e-9 for rise in rises)
