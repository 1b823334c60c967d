"""From counts to figures: intervals by their published values, privacy by what it must hide."""

from __future__ import annotations

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.scoring import (
    PRIVACY_LIMIT,
    Counts,
    Figures,
    Filters,
    UnitInfo,
    information,
    percent,
    rate,
    rows,
    standing,
    suppressed,
    trend,
    wilson,
)
from hailong.domain.units import Registry, Targets
from tests.clickhouse.facts import target, unit

SCORES = st.tuples(*[st.integers(0, 40)] * 5)


@pytest.mark.parametrize(
    ("satisfied", "n", "low", "high"), [(27, 30, 0.743789, 0.965400), (21, 30, 0.521242, 0.833353), (0, 10, 0.0, 0.277533)]
)
def test_wilson_two_sided_has_its_published_values(satisfied: int, n: int, low: float, high: float) -> None:
    assert wilson(satisfied, n) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(("satisfied", "high"), [(27, 0.959323), (21, 0.816293)])
def test_wilson_one_sided_has_its_published_values(satisfied: int, high: float) -> None:
    assert wilson(satisfied, 30, z=1.644854)[1] == pytest.approx(high, abs=1e-6)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_rate_and_stays_between_none_and_all(cell: tuple[int, int]) -> None:
    satisfied, n = cell
    low, high = wilson(satisfied, n)
    share = rate(satisfied, n)
    assert share is not None
    assert 0 <= low <= share <= high <= 1


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_one_more_satisfied_never_lowers_an_end_of_the_interval(cell: tuple[int, int]) -> None:
    satisfied, n = cell
    assert wilson(satisfied, n)[0] <= wilson(satisfied + 1, n)[0]
    assert wilson(satisfied, n)[1] <= wilson(satisfied + 1, n)[1]


def test_nobody_answered_gives_no_rate_and_the_whole_interval() -> None:
    assert rate(0, 0) is None
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("share", "digits", "shown"), [(0.845, 0, 85.0), (0.8449, 0, 84.0), (0.8435, 1, 84.4), (1 / 3, 1, 33.3), (1.0, 0, 100.0)]
)
def test_percentages_round_half_up(share: float, digits: int, shown: float) -> None:
    assert math.isclose(percent(share, digits), shown)


def test_a_standing_needs_the_whole_interval_on_one_side() -> None:
    assert standing(21, 30, 0.87) == "below"
    assert standing(27, 30, 0.87) == "open"
    assert standing(400, 410, 0.87) == "reached"
    assert standing(0, 9, 0.87) == "few"


def test_a_single_hidden_unit_takes_the_next_smallest_along() -> None:
    assert suppressed({"a": 9, "b": 50, "c": 12}) == {"a": "few", "c": "neighbour"}
    assert suppressed({"a": 9, "b": 8, "c": 12}) == {"a": "few", "b": "few"}
    assert suppressed({"a": 0, "b": 50, "c": 12}) == {}
    assert suppressed({"a": 3}) == {"a": "few"}


@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 60)))
def test_what_is_hidden_never_follows_from_the_total(ns: dict[str, int]) -> None:
    hidden = {key for key in suppressed(ns) if ns[key]}
    assert all(key in hidden for key, n in ns.items() if 0 < n < PRIVACY_LIMIT)
    if hidden and sum(n > 0 for n in ns.values()) > 1:
        assert len(hidden) != 1


def test_a_trend_joins_three_months_and_hides_what_is_below_the_limit() -> None:
    line = trend({"2025-12": Counts((0, 0, 0, 0, 4)), "2026-01": Counts((0, 0, 0, 0, 5)), "2026-03": Counts((3, 0, 0, 0, 3))})
    assert [(p.month, p.n, p.rate) for p in line] == [
        ("2025-12", 0, None),
        ("2026-01", 0, None),
        ("2026-02", 0, None),
        ("2026-03", 11, 8 / 11),
    ]


def _figures(cells: dict[tuple[str, str], Counts]) -> Figures:
    return Figures(99, {}, None, cells)


UNITS = {code: UnitInfo(code, f"Xã {code}", "commune", 0.87) for code in ("A", "B", "C")}


def test_rows_keep_to_the_period_and_add_up_to_the_total() -> None:
    cells = {
        ("A", "2026-01"): Counts((0, 0, 0, 10, 10), ended=50, asked=40, reached=30),
        ("A", "2026-02"): Counts((20, 0, 0, 0, 0), ended=50),
        ("B", "2026-01"): Counts((0, 1, 0, 10, 10), 2, ended=60),
    }
    shown, total = rows(_figures(cells), Filters("2026-01", "2026-01"), UNITS)
    assert [(r.unit, r.n, r.satisfied, r.ended) for r in shown] == [("A", 20, 20, 50), ("B", 21, 20, 60), ("C", None, None, 0)]
    assert (total.n, total.satisfied, total.answered, total.ended) == (41, 40, 43, 110)


def test_under_the_limit_nothing_that_counts_answers_is_in_the_row() -> None:
    shown, _ = rows(_figures({("A", "2026-01"): Counts((0, 0, 0, 0, 9), ended=40, asked=30, reached=20, held=2)}), Filters(), UNITS)
    row = shown[0]
    assert row.held == 2, "every figure says how many are held"
    assert row.suppressed
    assert (row.n, row.satisfied, row.answered, row.scores, row.rate, row.low, row.high) == (None,) * 7
    assert (row.ended, row.asked, row.reached) == (40, 30, 20)


def test_where_all_answered_alike_the_unit_sees_a_bound_and_the_office_the_figure() -> None:
    figures = _figures({("A", "2026-01"): Counts((0, 0, 0, 0, 15)), ("B", "2026-01"): Counts((0, 20, 0, 0, 0))})
    shown, _ = rows(figures, Filters(), UNITS, bounds=True)
    assert [(r.bound, r.n, r.satisfied, r.scores, r.rate) for r in shown[:2]] == [
        ("at_least", 15, None, None, None),
        ("at_most", 20, None, None, None),
    ]
    exact, _ = rows(figures, Filters(), UNITS)
    assert [(r.bound, r.satisfied, r.rate) for r in exact[:2]] == [(None, 15, 1.0), (None, 0, 0.0)]


def test_a_unit_without_any_figure_is_listed_and_its_parent_is_not() -> None:
    registry = Registry([unit("D", "Huyện", level="district"), unit("A", "Xã A", "D"), unit("B", "Xã B", "D")])
    known = information(_figures({("A", "2026-01"): Counts(ended=1)}), registry, Targets(0.9, [target(0.87, "D")]), date(2026, 1, 1))
    assert known == {"A": UnitInfo("A", "Xã A", "commune", 0.87), "B": UnitInfo("B", "Xã B", "commune", 0.87)}
