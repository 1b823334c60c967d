"""The funnel: limits that are exact, spread that is no excuse, a monthly list that is mostly true."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.exact import at_least, at_most
from hailong.domain.funnel import ALARM, WARNING, below_target, dispersion, fewest_unsatisfied, limits, place, placed
from hailong.domain.shares import Share, expit, logit

TARGETS = st.floats(0.5, 0.97)


def binomial(random: Random, n: int, p: float) -> int:
    return sum(random.random() < p for _ in range(n))


@pytest.mark.parametrize(("n", "unsatisfied"), [(10, 6), (20, 8), (30, 10), (50, 14), (100, 21)])
def test_the_published_limits_about_ninety(n: int, unsatisfied: int) -> None:
    """alerts.md 6.7."""
    assert fewest_unsatisfied(n, 0.9) == unsatisfied
    assert place(Share(n - unsatisfied, n), 0.9) == "far_below"
    assert place(Share(n - unsatisfied + 1, n), 0.9) != "far_below"


def test_where_nothing_is_so_rare_no_number_is_enough() -> None:
    assert fewest_unsatisfied(2, 0.9) == 3
    assert place(Share(0, 2), 0.9) == "below"


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), TARGETS)
def test_a_unit_is_outside_exactly_when_its_tail_is_rarer(counts: tuple[int, int], target: float) -> None:
    k, n = counts
    below, above = at_most(k, n, target), at_least(k, n, target)
    if min(abs(tail / limit - 1) for tail in (below, above) for limit in (ALARM, WARNING)) < 1e-6:
        return
    wanted = "inside"
    if below < WARNING:
        wanted = "far_below" if below < ALARM else "below"
    elif above < WARNING:
        wanted = "far_above" if above < ALARM else "above"
    assert place(Share(k, n), target) == wanted


@given(st.integers(1, 3000), TARGETS, st.floats(0, 0.2))
def test_limits_are_nested_and_spread_only_widens_them(n: int, target: float, tau: float) -> None:
    plain, wide = limits(n, target), limits(n, target, tau)
    assert 0 <= wide.far_low <= wide.low <= target <= wide.high <= wide.far_high <= 1
    assert wide.far_low <= plain.far_low + 1e-12
    assert wide.high >= plain.high - 1e-12


def test_many_answers_come_near_the_normal_limits() -> None:
    at = limits(100_000, 0.9)
    error = math.sqrt(0.09 / 100_000)
    assert (at.low, at.high) == pytest.approx((0.9 - 1.96 * error, 0.9 + 1.96 * error), abs=1e-5)
    assert at.far_low == pytest.approx(0.9 - 3.09 * error, abs=2e-5)


def province(random: Random, rate: float, spread: float, units: int = 170) -> dict[str, Share]:
    """Units whose logits differ by ``spread``, with 15 to 300 answers."""
    found = {}
    for unit in range(units):
        n = random.randint(15, 300)
        found[f"u{unit:03}"] = Share(binomial(random, n, expit(logit(rate) + random.gauss(0, spread))), n)
    return found


def test_spread_is_found_where_it_is_and_only_there() -> None:
    """Logits with a deviation of 0.5 at 88 % are 5.3 points. 12 provinces without any: the winsorised moment is 0 in most."""
    random = Random(20250703)
    assert sum(dispersion(province(random, 0.88, 0.0)).tau > 0.01 for _ in range(12)) == 0
    found = [dispersion(province(random, 0.88, 0.5)).tau for _ in range(6)]
    assert 0.03 < sum(found) / 6 < 0.06


def test_a_target_all_miss_does_not_pass_for_spread() -> None:
    units = province(Random(20250704), 0.80, 0.0)
    assert dispersion(units).tau < 0.01
    places = [p.place for p in placed(units, dict.fromkeys(units, 0.9))]
    assert sum(p in ("below", "far_below") for p in places) > 100


def test_without_spread_the_share_outside_is_what_the_limits_say() -> None:
    """1,700 units exactly on target. Exact limits keep 5 % and 0.2 % or less outside; more than 112 and 11 come with chances under 1 in
    1,000."""
    random = Random(20250705)
    provinces = [province(random, 0.9, 0.0) for _ in range(10)]
    places = [p.place for units in provinces for p in placed(units, dict.fromkeys(units, 0.9), widened=False)]
    assert 20 < sum(p != "inside" for p in places) <= 112
    assert sum(p.startswith("far") for p in places) <= 11


def test_spread_is_not_taken_for_a_hundred_bad_units() -> None:
    units = province(Random(20250706), 0.9, 0.4)
    targets = dict.fromkeys(units, 0.9)
    strict, kind = (sum(p.place == "far_below" for p in placed(units, targets, widened)) for widened in (False, True))
    assert kind < strict / 2


@pytest.mark.parametrize("units", [{}, {"a": Share(5, 9)}, {"a": Share(9, 9), "b": Share(4, 4), "c": Share(0, 0)}])
def test_too_few_to_differ(units: dict[str, Share]) -> None:
    assert dispersion(units).tau == 0


def test_the_monthly_list_is_by_hand_benjamini_and_hochberg() -> None:
    """p: 10 of 20 in a hundred thousand; 24 of 30 is 0.073; 27 of 30 0.59. Thresholds 0.033, 0.067, 0.1."""
    units = {"good": Share(27, 30), "bad": Share(10, 20), "so": Share(24, 30), "none": Share(0, 0)}
    listed = below_target(units, dict.fromkeys(units, 0.9))
    assert [line.unit for line in listed] == ["bad"]
    assert listed[0].p == pytest.approx(at_most(10, 20, 0.9))
    listed = below_target(units, dict.fromkeys(units, 0.9), q=0.12)
    assert [line.unit for line in listed] == ["bad", "so"]


def test_the_list_of_a_month_is_mostly_true() -> None:
    """60 provinces of 40 good units (90 %, the target) and 15 bad (75 %): the false share, expected to be 10 % at most, is on average. And
    where all are good, a list comes in a tenth of the months or less: more than 17 of 100 has a chance of 1 in 200."""
    random, shares, false_months = Random(20250707), [], 0
    for i in range(160):
        good = {f"g{u}": Share(binomial(random, 40, 0.9), 40) for u in range(40)}
        bad = {f"b{u}": Share(binomial(random, 40, 0.75), 40) for u in range(15 if i < 60 else 0)}
        listed = below_target(good | bad, dict.fromkeys(good | bad, 0.9))
        if i < 60:
            shares.append(sum(line.unit in good for line in listed) / max(1, len(listed)))
        else:
            false_months += bool(listed)
    assert sum(shares) / 60 < 0.10
    assert false_months <= 17
