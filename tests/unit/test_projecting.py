"""Figures on another day's map: nothing is lost or made, and units that behave alike show no change when they are merged."""

from __future__ import annotations

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from hailong.domain.projecting import projected
from hailong.domain.scoring import Counts, Figures, Filters, rate, total
from hailong.domain.succession import Succession
from hailong.domain.telling import Book, Newest, told
from hailong.domain.units import Registry
from tests.unit.test_succession import MERGER, REAL, histories

FIVE = st.tuples(*[st.integers(0, 40)] * 5)
COUNTS = st.builds(Counts, FIVE, *[st.integers(0, 9)] * 8)
CELLS = st.dictionaries(st.tuples(st.integers(0, 9), st.integers(0, 20)), COUNTS, max_size=25)


def figures(cells: dict[tuple[str, str], Counts]) -> Figures:
    return Figures(1, {}, None, cells)


@settings(max_examples=60, deadline=None)
@given(histories(), CELLS, st.integers(0, 900))
def test_every_map_has_the_same_total_of_every_count(registry: Registry, found: dict[tuple[int, int], Counts], after: int) -> None:
    cells = {(f"u{u}", f"{2020 + m // 12}-{m % 12 + 1:02d}"): c for (u, m), c in found.items()}
    seen = projected(figures(cells), Succession(registry), date.fromordinal(date(2020, 1, 1).toordinal() + after)).figures.cells
    assert total(seen.values()) == total(cells.values())
    for month in {m for _, m in cells}:
        assert total(c for (_, m), c in seen.items() if m == month) == total(c for (_, m), c in cells.items() if m == month)


def test_merging_units_that_behave_alike_shows_no_change() -> None:
    """Every old commune at 9 of 10 before the merger, every new one after it: no new commune's line has a step."""
    old = [c for c in REAL.codes() if (u := REAL.on(c, date(2025, 6, 30))) and u.level == "commune"]
    new = [c for c in REAL.codes() if (u := REAL.on(c, MERGER)) and u.level == "commune"]
    cells = {(code, "2025-06"): Counts((1, 0, 0, 4, 5)) for code in old} | {(code, "2025-07"): Counts((3, 0, 0, 12, 15)) for code in new}
    found = projected(figures(cells), Succession(REAL), MERGER)
    for code in new:
        assert {rate(c.satisfied, c.n) for (unit, _), c in found.figures.cells.items() if unit == code} == {0.9}
    assert set(found.kept.values()) == {"split"}
    assert len(found.kept) == 3
    assert found.estimated == frozenset()


def test_parcels_of_the_old_units_are_parcels_of_the_new_one() -> None:
    """Else the step of a merged unit would tell one answer of a part."""
    parts = ("hb-da-bac-da-bac", "hb-da-bac-hien-luong", "hb-da-bac-toan-son", "hb-da-bac-tu-ly")
    cells = {(code, "2025-06"): Counts((0, 0, 0, 3, 10)) for code in parts}
    newest = {key: Newest((4, 4, 5, 5, 5, 5, 5, 5, 5)) for key in cells}
    open_month = told({key: cell + Counts((0, 0, 0, 0, 4)) for key, cell in cells.items()}, Book(), newest, Filters())
    found = projected(Figures(1, {}, None, open_month), Succession(REAL), MERGER)
    assert found.figures.cells["pt-x-da-bac", "2025-06"] == Counts((0, 0, 0, 4, 36))
