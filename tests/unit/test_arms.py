"""Arms compared: Newcombe's own examples, what may be shown, what is said of a difference."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.arms import Arm, Difference, Report, Tally, changes, difference, experiments, sentence
from hailong.domain.rulebook import Rules
from hailong.domain.scoring import newcombe, wilson

A = Tally("wording", "a", asked=70, delivered=60, answered=56, open=3, unknown=2, failed=1)
B = Tally("wording", "b", asked=80, delivered=70, answered=48)


# --- the interval


@pytest.mark.parametrize(
    ("k", "n", "other_k", "other_n", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090), (6, 7, 2, 7, 0.0582, 0.8062), (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775), (0, 10, 0, 10, -0.2775, 0.2775), (10, 10, 0, 20, 0.6791, 1.0), (10, 10, 0, 10, 0.6075, 1.0),
    ],
)  # fmt: skip
def test_newcombes_interval_has_its_published_values(k: int, n: int, other_k: int, other_n: int, low: float, high: float) -> None:
    """R. G. Newcombe 1998, table II, method 10."""
    assert newcombe(k, n, other_k, other_n) == pytest.approx((low, high), abs=5e-5)


def test_newcombes_interval_by_hand() -> None:
    """Wilson of 56/70 is 0.6918 to 0.8770 and of 48/80 0.4905 to 0.7004, so the ends are 0.2 - √(0.1082² + 0.1004²) = 0.2 - 0.1476 and
    0.2 + √(0.0770² + 0.1095²) = 0.2 + 0.1339."""
    assert wilson(56, 70) == pytest.approx((0.69183, 0.87695), abs=1e-5)
    assert wilson(48, 80) == pytest.approx((0.49046, 0.70038), abs=1e-5)
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.2 - 0.14757, 0.2 + 0.13387), abs=1e-5)


COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, COUNTS)
def test_the_interval_holds_the_difference_and_turns_with_it(one: tuple[int, int], other: tuple[int, int]) -> None:
    low, high = newcombe(*one, *other)
    assert -1 <= low <= one[0] / one[1] - other[0] / other[1] <= high <= 1
    assert newcombe(*other, *one) == pytest.approx((-high, -low), abs=1e-12)


def test_of_nobody_nothing_is_known() -> None:
    assert newcombe(0, 0, 5, 10) == newcombe(5, 10, 0, 0) == (-1.0, 1.0)


# --- what is shown


def test_an_arm_shows_its_rate_over_those_asked_and_lists_the_others_apart() -> None:
    (wording,) = experiments([B, A])
    low, high = wilson(56, 70)
    assert wording.arms[0] == Arm("a", 70, 60, 56, 0.8, low, high, None, open=3, unknown=2, failed=1)
    assert [arm.arm for arm in wording.arms] == ["a", "b"]
    (d,) = wording.differences
    assert (d.arm, d.other, d.beyond_chance) == ("a", "b", True)
    assert (d.difference, d.low, d.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_an_arm_of_few_shows_no_answers_and_neither_does_the_one_that_would_give_it_away() -> None:
    few = Tally("wording", "c", asked=9, answered=4)
    (wording,) = experiments([A, B, few])
    assert [(arm.arm, arm.hidden) for arm in wording.arms] == [("a", "neighbour"), ("b", None), ("c", "few")]
    for arm in (wording.arms[0], wording.arms[2]):
        assert (arm.answered, arm.rate, arm.low, arm.high) == (None, None, None, None)
    assert [arm.asked for arm in wording.arms] == [70, 80, 9]
    assert wording.differences == ()
    (enough,) = experiments([A, B, replace(few, asked=10)])
    assert [arm.hidden for arm in enough.arms] == [None, None, None]
    assert [(d.arm, d.other) for d in enough.differences] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_an_arm_whose_invitations_are_all_young_has_no_rate_and_hides_nothing() -> None:
    (wording,) = experiments([A, B, Tally("wording", "c", open=40)])
    assert (wording.arms[2].rate, wording.arms[2].hidden, wording.arms[0].rate) == (None, None, 0.8)
    assert len(wording.differences) == 1


def test_as_json_rates_are_fractions_and_hidden_answers_null() -> None:
    said = Report(date(2026, 3, 1), date(2026, 3, 15), (), experiments([A, Tally("wording", "b", asked=3)])).as_json()
    assert (said["from"], said["followed_days"], said["experiments"][0]["experiment"]) == (date(2026, 3, 1), 14, "wording")
    assert [(arm["answered"], arm["suppressed"]) for arm in said["experiments"][0]["arms"]] == [(None, True), (None, True)]
    shown = Report(date(2026, 3, 1), date(2026, 3, 15), (), experiments([A, B])).as_json()["experiments"][0]
    assert (shown["arms"][0]["rate"], shown["differences"][0]["beyond_chance"]) == (0.8, True)
    assert {"sentence_vi", "sentence_en"} <= set(shown["differences"][0])


# --- what is said


def test_a_sentence_names_the_better_arm_first_and_says_whether_it_is_more_than_chance() -> None:
    d = difference(B, A)
    assert d.difference < 0
    assert sentence(d, "en") == (
        "“a” is answered more often than “b”, by 20 percentage points (95% interval 5.2 to 33.4). "
        "The whole interval is above 0: at 95% the difference is more than chance."
    )
    assert "cao hơn của “b” 20 điểm phần trăm (khoảng tin cậy 95\u00a0%: từ 5,2 đến 33,4)" in sentence(d, "vi")
    assert "vượt quá mức ngẫu nhiên" in sentence(d, "vi")


def test_a_difference_that_chance_may_bring_is_called_so() -> None:
    d = difference(replace(A, answered=28, asked=70), replace(B, answered=30, asked=80))
    assert "may be chance alone" in sentence(d, "en")
    assert "−" in sentence(d, "en")
    assert "có thể chỉ do ngẫu nhiên" in sentence(d, "vi")
    assert "equally often" in sentence(Difference("a", "b", 0.0, -0.1, 0.1), "en")


def test_an_end_close_to_zero_is_not_rounded_to_the_other_verdict() -> None:
    assert "0.04 to 10" in sentence(Difference("a", "b", 0.05, 0.0004, 0.1), "en")
    assert "−10 to −0.04" not in sentence(Difference("a", "b", -0.05, -0.1, -0.0004), "en")


def test_days_on_which_arms_changed_are_named_within_the_period_only() -> None:
    even, uneven = {"wording": {"a": 0.5, "b": 0.5}}, {"wording": {"a": 0.9, "b": 0.1}}
    versions = [
        Rules(valid_from=date(2026, 1, 1), experiments=even),
        Rules(valid_from=date(2026, 2, 1), experiments=even, cap_days=40),
        Rules(valid_from=date(2026, 3, 1), experiments=uneven),
        Rules(valid_from=date(2026, 5, 1)),
    ]
    assert changes(versions, date(2026, 1, 15), date(2026, 4, 1)) == (date(2026, 3, 1),)
    assert changes(versions, date(2026, 3, 1), date(2026, 4, 30)) == ()
