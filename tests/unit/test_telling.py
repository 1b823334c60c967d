"""What figures tell: which answers make a parcel, when a month closes, and what a correction is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.scoring import Counts, Filters, total
from hailong.domain.telling import (
    AWAY,
    LIMIT,
    Book,
    Closing,
    Newest,
    closes_at,
    closing_months,
    in_steps,
    left_out,
    parcels,
    told,
)
from hailong.domain.units import LOCAL

MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04")


def answers(*scores: int) -> Counts:
    """One answer each; 0 = not applicable."""
    return Counts(tuple(scores.count(s) for s in range(1, 6)), scores.count(0))  # type: ignore[arg-type] # five of them


def good(n: int, bad: int = 0) -> Counts:
    return Counts((bad, 0, 0, 0, n))


def closings(*by_month: dict[tuple[str, str], Counts]) -> list[Closing]:
    return [Closing(month, i, cells) for i, (month, cells) in enumerate(zip(MONTHS, by_month, strict=False))]


def test_a_month_closes_45_days_after_its_end_at_local_midnight() -> None:
    assert closes_at("2026-01") == datetime(2026, 3, 18, tzinfo=LOCAL)
    assert closes_at("2025-12") == datetime(2026, 2, 15, tzinfo=LOCAL)


@pytest.mark.parametrize(
    ("began", "until", "months"),
    [
        (datetime(2026, 1, 5, tzinfo=LOCAL), datetime(2026, 3, 17, 23, tzinfo=LOCAL), ["2025-11", "2025-12"]),
        (datetime(2026, 1, 5, tzinfo=LOCAL), datetime(2026, 3, 18, tzinfo=LOCAL), ["2025-11", "2025-12", "2026-01"]),
        (datetime(2026, 3, 18, tzinfo=LOCAL), datetime(2026, 3, 18, tzinfo=LOCAL), ["2026-01"]),
        (datetime(2026, 3, 19, tzinfo=LOCAL), datetime(2026, 4, 1, tzinfo=LOCAL), []),
    ],
)
def test_months_close_one_by_one_from_the_first_record_on(began: datetime, until: datetime, months: list[str]) -> None:
    assert closing_months(began, until) == months


def test_small_months_wait_for_each_other_and_large_ones_do_not_wait() -> None:
    jan, feb, mar = {("A", "2026-01"): good(7)}, {("A", "2026-02"): good(20, 3)}, {("A", "2026-03"): good(5, 1)}
    first = jan | {("B", "2026-01"): good(10)}
    made = parcels(closings(first, first | feb, first | feb | mar))
    assert [(p.unit, p.months, p.counts.n) for p in made] == [
        ("B", ("2026-01",), 10),
        ("A", ("2026-02",), 23),
        ("A", ("2026-01", "2026-03"), 13),
    ]


def test_months_are_not_told_together_when_one_is_nearly_all_of_them() -> None:
    cells = {("A", "2026-01"): good(9), ("A", "2026-02"): good(2)}
    assert parcels(closings({}, cells)) == []
    assert [p.months for p in parcels(closings({}, cells, cells | {("A", "2026-03"): good(3)}))] == [MONTHS[:3]]


def test_a_closed_month_moves_only_by_five_answers_and_says_why() -> None:
    first = {("A", "2026-01"): good(30)}
    late, more, gone = ({("A", "2026-01"): cell} for cell in (good(34), good(35), good(24, 6)))
    (kept,) = parcels(closings(first, late))
    assert (len(kept.editions), kept.counts) == (1, good(30))
    (moved,) = parcels(closings(first, late, more, gone))
    assert [(e.counts.n, e.reason, e.on) for e in moved.editions] == [
        (30, None, closes_at("2026-01").date()),
        (35, "late", closes_at("2026-03").date()),
        (30, "late and erased", closes_at("2026-04").date()),
    ]


def test_a_parcel_that_falls_below_the_limit_is_told_no_more() -> None:
    book = Book.of(closings({("A", "2026-01"): good(12)}, {("A", "2026-01"): good(6)}))
    assert book.away[0].editions[-1].reason == "erased"
    assert AWAY.part(told({("A", "2026-01"): good(6)}, book, {}, Filters())["A", "2026-01"]) == Counts()


def test_answers_about_a_month_that_is_long_closed_are_told_at_a_later_close() -> None:
    late = {("A", "2026-01"): good(6), ("A", "2026-03"): good(6)}
    assert [(p.months, p.counts.n) for p in parcels(closings({}, {}, late))] == [(("2026-01", "2026-03"), 12)]


@given(st.lists(st.integers(0, 5), max_size=60))
def test_steps_are_the_first_answers_and_the_last_five_to_nine_are_kept_back(said: list[int]) -> None:
    seen = Counts()
    for n in range(len(said) + 1):
        step = in_steps(answers(*said[:n]), Newest(tuple(reversed(said[max(0, n - 9) : n]))))
        if step != Counts():
            assert step == answers(*said[: step.answered])
            assert step.answered % 5 == 0
            assert 5 <= n - step.answered <= 9
            assert step.n >= LIMIT
        assert step.answered == seen.answered or seen == Counts() or step.answered - seen.answered == 5, "it moves by five"
        seen = step
    assert len(said) < 15 or 0 in said or seen != Counts()


def test_where_the_newest_are_not_known_or_one_was_taken_back_nothing_is_told() -> None:
    newest = Newest((5,) * 9)
    assert in_steps(good(20), newest) == good(15)
    for missing in (None, Newest((5, 5)), Newest((5,) * 9, erased=1)):
        assert in_steps(good(20), missing) == Counts()


CELL = st.integers(0, 30).flatmap(lambda n: st.integers(0, n).map(lambda bad: good(n - bad, bad)))
TABLE = st.dictionaries(st.tuples(st.sampled_from("ABC"), st.sampled_from(MONTHS)), CELL)


@given(st.lists(TABLE, min_size=1, max_size=4))
def test_no_answer_is_in_two_parcels_and_every_parcel_is_large(tables: list[dict[tuple[str, str], Counts]]) -> None:
    months = closings(*(_sum(tables[: i + 1]) for i in range(len(tables))))
    made = parcels(months)
    covered = [(p.unit, m) for p in made for m in p.months]
    assert len(covered) == len(set(covered))
    for parcel in made:
        first = parcel.editions[0]
        at = next(c for c in months if c.on == first.on)
        sizes = [at.cells[parcel.unit, m].n for m in parcel.months]
        assert first.counts.n == sum(sizes) >= LIMIT
        assert len(sizes) == 1 or sum(sizes) - max(sizes) >= 5
    for i in range(len(months)):
        assert [(p.unit, p.months, p.editions[0]) for p in parcels(months[:i])] == [
            (p.unit, p.months, p.editions[0]) for p in made if p.editions[0].on < months[i].on
        ], "a close changes nothing of what was closed before"


def _sum(tables: list[dict[tuple[str, str], Counts]]) -> dict[tuple[str, str], Counts]:
    keys = {key for table in tables for key in table}
    return {key: total(table.get(key, Counts()) for table in tables) for key in keys}


@given(TABLE, st.sampled_from(MONTHS), st.sampled_from(MONTHS))
def test_what_is_told_and_what_is_left_out_make_the_whole(table: dict[tuple[str, str], Counts], first: str, last: str) -> None:
    book = Book.of(closings(table, table))
    filters = Filters(min(first, last), max(first, last))
    shown = told(table, book, None, filters)
    exact: Any = sum(c.answered for (_, m), c in table.items() if filters.holds(m))
    seen = sum(c.answered for (_, m), c in shown.items() if filters.holds(m))
    assert exact - seen <= left_out(table, shown, filters) < exact - seen + 5
    assert all(c.n == 0 or c.n >= LIMIT for c in shown.values())
    assert total(shown.values()).ended == total(table.values()).ended


def test_a_parcel_is_in_a_period_as_a_whole_or_not_at_all_and_once() -> None:
    cells = {("A", "2026-01"): good(6), ("A", "2026-02"): good(7), ("A", "2026-03"): good(17)}
    newest = {key: Newest((5,) * 9) for key in cells}
    book = Book.of(closings(cells, cells))
    assert book.open_from == "2026-03"

    def n(first: str | None, last: str | None, known: dict[tuple[str, str], Newest] | None = newest) -> int:
        filters = Filters(first, last)
        return sum(c.n for (_, month), c in told(cells, book, known, filters).items() if filters.holds(month))

    assert (n("2026-01", "2026-02"), n("2026-01", None), n("2026-03", None)) == (13, 23, 10)
    assert (n("2026-02", None), n(None, "2026-01"), n("2026-02", "2026-02")) == (10, 0, 0)
    assert (n(None, None, None), n("2026-03", None, None)) == (13, 0), "the public sees closed months only"
    everything = Book.of(closings(cells, cells, cells))
    assert sum(c.n for c in told(cells, everything, newest, Filters()).values()) == 30, "a closed month is told once"


def test_answers_at_the_desk_are_a_series_of_their_own() -> None:
    cells = {("A", "2026-01"): Counts((1, 0, 0, 0, 11), desk_n=5, desk_satisfied=4, held=2, ended=50)}
    more = {("A", "2026-02"): Counts((0, 0, 0, 0, 3), desk_n=7, desk_satisfied=5)}
    shown = told(cells | more, Book.of(closings(cells, cells | more)), {}, Filters())
    assert shown["A", "2026-01"] == Counts((1, 0, 0, 0, 11), held=2, ended=50)
    assert shown["A", "2026-02"] == Counts(desk_n=12, desk_satisfied=9)
