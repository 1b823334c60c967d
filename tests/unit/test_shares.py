"""Shares, their intervals, and odds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.scoring import wilson
from hailong.domain.shares import Share, expit, logit, shifted, wilson_effective

COUNTS = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
RATES = st.floats(0.001, 0.999)


@given(COUNTS)
def test_the_interval_of_a_computed_share_is_that_of_the_counted_one(counts: tuple[int, int]) -> None:
    k, n = counts
    assert wilson_effective(k / n, n) == pytest.approx(wilson(k, n), abs=1e-12)


@given(RATES, st.floats(0.1, 1e5))
def test_an_interval_holds_its_rate_and_narrows_with_answers(rate: float, n_eff: float) -> None:
    low, high = wilson_effective(rate, n_eff)
    wider = wilson_effective(rate, n_eff / 2)
    assert 0 <= wider[0] <= low <= rate <= high <= wider[1] <= 1


def test_of_nothing_nothing_is_known() -> None:
    assert Share(0, 0).rate is None
    assert Share(0, 0).interval == wilson_effective(0.5, 0) == (0.0, 1.0)


def test_odds_of_the_unhappy_answering_more_readily() -> None:
    """alerts.md 4.11: 90 % observed, 1.3 times as likely: 92.1 %."""
    assert shifted(0.9, 1.3) == pytest.approx(0.921260, abs=1e-6)


@given(RATES, st.floats(0.01, 100))
def test_a_shift_is_one_of_the_logit_and_can_be_taken_back(rate: float, ratio: float) -> None:
    moved = shifted(rate, ratio)
    assert logit(moved) - logit(rate) == pytest.approx(logit(ratio / (1 + ratio)), abs=1e-6)
    assert shifted(moved, 1 / ratio) == pytest.approx(rate, abs=1e-9)
    assert expit(logit(rate)) == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize(("x", "share"), [(-800.0, 0.0), (0.0, 0.5), (800.0, 1.0)])
def test_no_logit_is_too_far_out(x: float, share: float) -> None:
    assert expit(x) == pytest.approx(share)
