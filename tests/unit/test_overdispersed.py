"""Tails of over-dispersed counts and shares against their definitions; spreads found again in made-up numbers."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailong.domain import overdispersed as wide
from hailong.domain.exact import at_least
from hailong.domain.overdispersed import Moments
from ops.proof.quality import binomial, poisson

SHARES = st.floats(0.02, 0.98)
RHOS = st.floats(0.001, 0.4)


def count_mass(k: int, mean: float, spread: float) -> float:
    r = 1 / spread
    logs = math.lgamma(k + r) - math.lgamma(k + 1) - math.lgamma(r) + r * math.log(r / (r + mean)) + k * math.log(mean / (r + mean))
    return math.exp(logs)


def share_mass(k: int, n: int, p: float, rho: float) -> float:
    a, b = p * (1 / rho - 1), (1 - p) * (1 / rho - 1)
    logs = math.lgamma(k + a) + math.lgamma(n - k + b) - math.lgamma(n + a + b) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.comb(n, k) * math.exp(logs)


@given(st.integers(0, 60), st.floats(0.1, 40), st.floats(0.01, 2))
def test_counts_have_the_tails_of_the_negative_binomial(k: int, mean: float, spread: float) -> None:
    below = math.fsum(count_mass(j, mean, spread) for j in range(k))
    assert wide.count_at_most(k - 1, mean, spread) == pytest.approx(below, abs=1e-9)
    assert wide.count_at_least(k, mean, spread) == pytest.approx(1 - below, abs=1e-9)
    assert wide.none_at_all(mean, spread) == pytest.approx(count_mass(0, mean, spread), rel=1e-9)


@given(st.integers(1, 80).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), SHARES, RHOS)
def test_shares_have_the_tails_of_the_beta_binomial(counts: tuple[int, int], p: float, rho: float) -> None:
    k, n = counts
    upto = math.fsum(share_mass(j, n, p, rho) for j in range(k + 1))
    assert wide.share_at_most(k, n, p, rho) == pytest.approx(upto, abs=1e-9)
    assert wide.share_at_least(k, n, p, rho) == pytest.approx(1 - upto + share_mass(k, n, p, rho), abs=1e-9)


def test_far_tails_are_exact_relative_to_themselves_and_near_poisson_and_binomial_without_spread() -> None:
    assert wide.none_at_all(9.2, 1e-7) == pytest.approx(math.exp(-9.2), rel=1e-4)
    assert wide.share_at_least(25, 100, 0.1, 1e-7) == pytest.approx(at_least(25, 100, 0.1), rel=1e-3)
    far = math.fsum(share_mass(j, 200, 0.1, 0.01) for j in range(70, 201))
    assert wide.share_at_least(70, 200, 0.1, 0.01) == pytest.approx(far, rel=1e-6)
    assert far < 1e-6


@settings(max_examples=20)
@given(st.integers(5, 40), SHARES, RHOS)
def test_a_unit_far_out_is_rarer_the_farther_and_never_rarer_than_without_differences(n: int, p: float, rho: float) -> None:
    tails = [wide.among_units_at_least(k, n, p, rho) for k in range(n + 1)]
    assert tails[0] == pytest.approx(1)
    assert all(a >= b - 1e-12 for a, b in pairwise(tails))
    assert tails[n] >= at_least(n, n, p) * 0.5


def test_spread_and_rho_are_found_again() -> None:
    draw = Random(4)
    counts = [(poisson(draw, 20 * draw.gammavariate(4, 0.25)), 20.0) for _ in range(4000)]
    assert wide.of_counts(counts).value == pytest.approx(0.25, rel=0.1)
    parts = [(binomial(draw, 60, draw.betavariate(0.2 * 19, 0.8 * 19)), 60, 0.2) for _ in range(4000)]
    assert wide.of_shares(parts).value == pytest.approx(0.05, rel=0.1)
    assert wide.of_units(parts) == pytest.approx(0.05, rel=0.15)


def test_a_few_bad_units_do_not_excuse_themselves() -> None:
    draw = Random(5)
    good = [(binomial(draw, 100, draw.betavariate(0.1 * 99, 0.9 * 99)), 100, 0.1) for _ in range(160)]
    bad = [(90, 100, 0.1)] * 5
    assert wide.of_shares(good + bad).value > 5 * wide.of_shares(good).value
    assert wide.of_units(good + bad) < 1.6 * wide.of_units(good)


def test_a_small_past_is_drawn_to_everybodys_and_never_under_it() -> None:
    everybody, steady, wild = Moments(40.0, 400.0), Moments(0.0, 5000.0), Moments(1500.0, 5000.0)
    assert wide.drawn_together(Moments(), everybody) == pytest.approx(0.1 + 0.5 * math.sqrt(2 / 200))
    assert wide.drawn_together(steady, everybody) >= 0.1
    assert 0.28 < wide.drawn_together(wild, everybody) < 0.32
    assert wide.drawn_together(Moments(), Moments()) > 0
