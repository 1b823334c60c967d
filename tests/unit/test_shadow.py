"""The portal's index, computed beside ours: by hand, and within its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.shadow import Shadow, Totals, points, shadow

NUMBERS = st.integers(0, 500)
TOTALS = st.builds(Totals, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)


def test_by_hand() -> None:
    """1,000 ended, 7 overdue, 20 with a petition, 30 with a dislike: 94.3 to 96.3 %, which is all six points."""
    found = shadow(Totals(received=1100, ended=1000, overdue=7, petitions=20, dislikes=30))
    assert found == Shadow(low=0.943, high=0.963, points_low=6.0, points_high=6.0, dossiers=1000)


def test_of_the_dossiers_received() -> None:
    found = shadow(Totals(received=200, ended=100, overdue=20, petitions=10, dislikes=0), of="received")
    assert found is not None
    assert (found.low, found.dossiers) == (0.85, 200)


@pytest.mark.parametrize(("r", "expected"), [(1.0, 6.0), (0.9, 6.0), (0.45, 3.0), (0.0, 0.0), (-0.2, 0.0)])
def test_points_are_full_from_ninety_percent_on(r: float, expected: float) -> None:
    assert points(r) == pytest.approx(expected)


def test_without_dossiers_nothing_is_said() -> None:
    assert shadow(Totals(overdue=3)) is None


@given(TOTALS)
def test_the_index_stays_within_its_bounds(totals: Totals) -> None:
    found = shadow(totals)
    assert (found is None) == (totals.ended == 0)
    if found is not None:
        assert 0 <= found.low <= found.high <= 1
        assert 0 <= found.points_low <= found.points_high <= 6


@given(TOTALS, TOTALS)
def test_months_add_up(a: Totals, b: Totals) -> None:
    assert (a + b).ended == a.ended + b.ended
    assert (a + b) + Totals() == b + a
