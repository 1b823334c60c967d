"""Exact probabilities against sums of whole numbers and published values."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.exact import at_least, at_most, beta_cdf, beta_quantile

PARTS = st.integers(1, 99).map(lambda p: Fraction(p, 100))


def summed(ks: range, n: int, p: Fraction) -> float:
    return float(sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in ks))


@given(st.integers(0, 60).flatmap(lambda n: st.tuples(st.integers(-1, n + 1), st.just(n))), PARTS)
def test_tails_are_the_sums_they_stand_for(count: tuple[int, int], p: Fraction) -> None:
    k, n = count
    assert at_most(k, n, float(p)) == pytest.approx(summed(range(min(k, n) + 1), n, p), rel=1e-9, abs=1e-300)
    assert at_least(k, n, float(p)) == pytest.approx(summed(range(max(k, 0), n + 1), n, p), rel=1e-9, abs=1e-300)


def test_the_published_tail_and_posteriors() -> None:
    """Values of alerts.md 6.7; Jeffreys' interval of 6.1."""
    assert at_least(9, 30, 0.1) == pytest.approx(0.00201983, abs=1e-8)
    assert beta_cdf(0.9, 18 + 27, 2 + 3) == pytest.approx(0.449691, abs=1e-6)
    assert beta_cdf(0.9, 18 + 21, 2 + 9) == pytest.approx(0.991995, abs=1e-6)
    assert [beta_quantile(q, 27.5, 3.5) for q in (0.025, 0.975)] == pytest.approx([0.756598, 0.971019], abs=1e-6)


def test_a_province_of_answers_is_not_too_many() -> None:
    """10 million answers: the normal curve with half a step is right to 1e-4 there."""
    normal = NormalDist(9_000_000, 900_000**0.5)
    assert at_most(9_001_000, 10_000_000, 0.9) == pytest.approx(normal.cdf(9_001_000.5), abs=1e-4)
    assert at_most(9_001_000, 10_000_000, 0.9) + at_least(9_001_001, 10_000_000, 0.9) == pytest.approx(1, abs=1e-9)


@given(st.floats(0.001, 0.999), st.floats(0.5, 500), st.floats(0.5, 500))
def test_a_quantile_is_where_the_distribution_says(q: float, a: float, b: float) -> None:
    assert beta_cdf(beta_quantile(q, a, b), a, b) == pytest.approx(q, abs=1e-9)


def test_the_ends_of_a_distribution() -> None:
    assert (beta_cdf(0, 2, 3), beta_cdf(1, 2, 3)) == (0, 1)
