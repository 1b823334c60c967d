"""Rates that can be compared: against a second way of computing them, and by how often their intervals hold."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.scoring import PRIVACY_LIMIT, wilson
from hailong.domain.shares import Share
from hailong.domain.standardising import LEAST, MOST, Key, Stratum, expected, shrunken, standardised, weighted

MIX = {"civil": 0.45, "social": 0.20, "business": 0.05, "construction": 0.08, "land": 0.22}
"""Of a commune, as alerts.md 5.1 has it."""


def share(low: int = 0, high: int = 80) -> st.SearchStrategy[Share]:
    return st.integers(low, high).flatmap(lambda n: st.integers(0, n).map(lambda k: Share(k, n)))


def binomial(random: Random, n: int, p: float) -> int:
    return sum(random.random() < p for _ in range(n))


# --- standardised -------------------------------------------------------------------------------------------------------------


def test_two_units_alike_in_every_field_are_alike_whatever_they_do_most() -> None:
    one = standardised({"civil": Share(90, 100), "land": Share(7, 10)}, MIX)
    other = standardised({"civil": Share(9, 10), "land": Share(70, 100)}, MIX)
    assert one is not None
    assert other is not None
    assert one.estimate.value == pytest.approx(other.estimate.value, abs=1e-12)
    assert one.estimate.value == pytest.approx((0.45 * 0.9 + 0.22 * 0.7) / 0.67, abs=1e-12)
    assert one.covered == pytest.approx(0.67)


def test_one_field_is_plain_counting_as_near_as_makes_no_difference() -> None:
    found = standardised({"land": Share(270, 300)}, {"land": 5.0})
    assert found is not None
    assert found.estimate.value == 0.9
    assert found.estimate.n_eff == pytest.approx(300)
    assert (found.estimate.low, found.estimate.high) == pytest.approx(wilson(270, 300), abs=1e-9)


def test_error_and_answers_by_hand() -> None:
    """Half civil, 27 of 30, half land, 7 of 8: p drawn to 28/32 and 8/10, variance (0.875 x 0.125/30 + 0.8 x 0.2/8) ÷ 4."""
    found = standardised({"civil": Share(27, 30), "land": Share(7, 8)}, {"civil": 1, "land": 1})
    assert found is not None
    variance = (0.875 * 0.125 / 30 + 0.16 / 8) / 4
    assert found.error == pytest.approx(variance**0.5)
    assert found.estimate.n_eff == pytest.approx(0.8375 * 0.1625 / variance)


def test_without_a_field_of_the_mix_there_is_no_rate() -> None:
    assert standardised({"other": Share(9, 10), "land": Share(0, 0)}, MIX) is None


@given(st.dictionaries(st.sampled_from(sorted(MIX)), share()))
def test_a_standardised_rate_lies_among_its_fields(fields: dict[str, Share]) -> None:
    found = standardised(fields, MIX)
    rates = [s.rate for s in fields.values() if s.rate is not None]
    assert (found is None) == (not rates)
    if found is not None:
        assert min(rates) - 1e-9 <= found.estimate.value <= max(rates) + 1e-9
        assert 0 <= found.estimate.low <= found.estimate.value <= found.estimate.high <= 1
        assert found.error > 0
        assert found.estimate.n_eff <= sum(s.n for s in fields.values())


def test_the_interval_of_a_standardised_rate_holds_the_truth() -> None:
    """400 units with a tenth of the answers the mix would need in its worst field. Were the interval of exactly 95 %, fewer than 364 of 400
    would hold with a chance of 1 in 1,500."""
    random, held = Random(20250702), 0
    rates = {"civil": 0.93, "social": 0.91, "business": 0.90, "construction": 0.83, "land": 0.80}
    answers = {"civil": 60, "social": 30, "business": 10, "construction": 5, "land": 8}
    truth = sum(MIX[name] * rates[name] for name in MIX)
    for _ in range(400):
        found = standardised({name: Share(binomial(random, n, rates[name]), n) for name, n in answers.items()}, MIX)
        assert found is not None
        held += found.estimate.low <= truth <= found.estimate.high
    assert held >= 364


# --- weighted -----------------------------------------------------------------------------------------------------------------

CELLS: st.SearchStrategy[dict[Key, Stratum]] = st.dictionaries(
    st.tuples(st.sampled_from(sorted(MIX)), st.sampled_from(["counter", "online", "postal"])),
    st.builds(Stratum, st.integers(0, 200), share()),
    max_size=15,
)


def test_who_answers_little_weighs_more() -> None:
    """Half of the endings are land, of whom a quarter of the answers come: weights 2 and 2/3."""
    found = weighted({("land", "counter"): Stratum(100, Share(15, 20)), ("civil", "online"): Stratum(100, Share(57, 60))})
    assert found is not None
    assert [cell.weight for cell in found.cells] == pytest.approx([2 / 3, 2.0])
    assert found.estimate.value == pytest.approx(0.5 * 15 / 20 + 0.5 * 57 / 60)
    assert found.estimate.n_eff == pytest.approx(80**2 / (20 * 4 + 60 * 4 / 9))
    assert found.n == 80


def test_answers_like_the_endings_are_the_plain_rate() -> None:
    found = weighted({("land", "counter"): Stratum(200, Share(15, 20)), ("civil", "online"): Stratum(600, Share(57, 60))})
    assert found is not None
    assert found.estimate.value == pytest.approx(72 / 80)
    assert (found.estimate.low, found.estimate.high) == pytest.approx(wilson(72, 80))


def test_small_cells_join_within_their_field_first_and_small_fields_each_other() -> None:
    cells = {
        ("land", "counter"): Stratum(50, Share(9, 12)),
        ("land", "online"): Stratum(30, Share(3, 4)),
        ("land", "postal"): Stratum(5, Share(0, 0)),
        ("civil", "counter"): Stratum(90, Share(30, 33)),
        ("social", "counter"): Stratum(9, Share(2, 2)),
    }
    found = weighted(cells)
    assert found is not None
    assert [cell.cells for cell in found.cells] == [
        (("civil", "counter"),),
        (("land", "counter"), ("land", "online"), ("land", "postal"), ("social", "counter")),
    ]


def test_a_weight_is_trimmed_and_says_so() -> None:
    found = weighted({("land", "counter"): Stratum(900, Share(5, 10)), ("civil", "online"): Stratum(100, Share(90, 90))})
    assert found is not None
    assert [(cell.weight, cell.trimmed) for cell in found.cells] == [(LEAST, True), (MOST, True)]


def test_nobody_answered() -> None:
    assert weighted({("land", "counter"): Stratum(50, Share(0, 0))}) is None
    assert weighted({}) is None


def test_answers_about_endings_nobody_reported_weigh_the_same() -> None:
    found = weighted({("land", "counter"): Stratum(0, Share(15, 20)), ("civil", "online"): Stratum(0, Share(57, 60))})
    assert found is not None
    assert found.estimate.value == pytest.approx(72 / 80)


@given(CELLS, st.randoms(use_true_random=False))
def test_merging_keeps_everybody_and_does_not_depend_on_the_order(cells: dict[Key, Stratum], random: Random) -> None:
    found = weighted(cells)
    shuffled = list(cells.items())
    random.shuffle(shuffled)
    assert weighted(dict(shuffled)) == found
    if found is None:
        assert not sum(s.answers.n for s in cells.values())
        return
    assert sorted(key for cell in found.cells for key in cell.cells) == sorted(cells)
    assert len(found.cells) == 1 or all(cell.stratum.answers.n >= PRIVACY_LIMIT for cell in found.cells)
    assert all(LEAST <= cell.weight <= MOST for cell in found.cells)
    assert 0 < found.estimate.n_eff <= found.n + 1e-9
    assert 0 <= found.estimate.low <= found.estimate.value <= found.estimate.high <= 1


# --- small units --------------------------------------------------------------------------------------------------------------


def test_the_published_estimate_of_a_small_unit() -> None:
    """alerts.md 6.7: 21 of 30 with a parent at 90 %."""
    assert shrunken(Share(21, 30), 0.9).value == pytest.approx(0.78)


def test_a_unit_without_answers_is_its_parent_and_very_unsure() -> None:
    found = shrunken(Share(0, 0), 0.9)
    assert found.value == pytest.approx(0.9)
    assert found.high - found.low > 0.2


def test_a_perfect_parent_is_no_certainty() -> None:
    found = shrunken(Share(3, 3), 1.0)
    assert found.low < 0.95
    assert found.value < 1


@given(share(), st.floats(0.02, 0.98))
def test_a_small_unit_lies_between_its_own_rate_and_its_parents(own: Share, parent: float) -> None:
    found = shrunken(own, parent)
    rate = parent if own.rate is None else own.rate
    assert min(rate, parent) - 1e-9 <= found.value <= max(rate, parent) + 1e-9
    assert found.low <= found.value <= found.high


def test_expected_follows_the_unit_s_own_fields() -> None:
    parent = {"civil": Share(950, 1000), "land": Share(800, 1000)}
    assert expected({"land": Share(5, 10)}, parent) == pytest.approx((800 + 50 * 0.875) / 1050)
    assert expected({"civil": Share(1, 1), "land": Share(0, 1)}, parent) == pytest.approx(0.875)
    assert expected({"new": Share(1, 4)}, parent) == pytest.approx(0.875)
    assert expected({}, parent) == pytest.approx(0.875)
    assert expected({"land": Share(5, 10)}, {}) is None
