"""Whoever fetches everything their audience can, in every filter, day after day, learns of parcels and of no part of one.

The proof is by other worlds: logs in which, within each parcel, others gave the scores. Who sees the same documents in all of them
cannot know in which they live, whatever they compute. Where a protection is switched off, the documents differ: that is how this fails.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import pytest

from dashboard.scope import Scope
from dashboard.telling import Telling
from dashboard.view import question, seen
from hailong.domain.scoring import SATISFIED
from hailong.domain.telling import Book, closes_at
from tests.dashboard.spying import LAST, Answer, Asking, Log, as_built, quarter, rescored
from tests.dashboard.spying import seen as watched

SEEDS: Final = (1, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (2, 3, 4)))
Cell = tuple[str, str]


def satisfied(answers: Iterable[Answer]) -> int:
    return sum(a.score >= SATISFIED for a in answers)


@dataclass
class Quarter:
    """A log, its parcels, and other worlds that must look the same."""

    answers: list[Answer]

    @cached_property
    def book(self) -> Book:
        log = Log(self.answers)
        log.now = closes_at("2026-06").replace(day=20)
        everything = question({})
        return seen(log, everything, log.version(), "public", LAST).book

    @cached_property
    def parts(self) -> tuple[list[list[int]], list[int]]:
        """(places of the answers of each parcel, in their order; places of answers that are never told)."""
        of_cell: defaultdict[Cell, list[int]] = defaultdict(list)
        for i, a in enumerate(self.answers):
            of_cell[a.unit, a.month].append(i)
        batches: list[list[int]] = []
        for parcel in self.book.away:
            first = parcel.editions[0].on
            mine = [i for m in parcel.months for i in of_cell[parcel.unit, m] if self.answers[i].at.date() < first]
            batches += [mine] if len(parcel.months) > 1 else steps(mine)
        covered = {(p.unit, m) for p in self.book.away for m in p.months}
        return batches, [i for cell, places in of_cell.items() if cell not in covered for i in places]

    def world(self, upwards: bool) -> list[Answer]:
        """The same log, but within each parcel the scores go up (or down) from the first answer to the last, and whatever is never told
        is the other way round."""
        batches, never = self.parts
        scores = {i: 6 - self.answers[i].score for i in never}
        for batch in batches:
            ordered = sorted((self.answers[i].score for i in batch), reverse=not upwards)
            scores |= dict(zip(batch, ordered, strict=True))
        return rescored(self.answers, scores)

    @property
    def hidden(self) -> list[tuple[Cell, tuple[str, ...]]]:
        """Cells below the limit, each with the months it is told with; none where it is not told."""
        told = {(p.unit, m): p.months for p in self.book.away for m in p.months}
        cells = {(a.unit, a.month) for a in self.answers}
        return [(cell, told.get(cell, ())) for cell in sorted(cells) if len(told.get(cell, ())) != 1]


def steps(places: Sequence[int]) -> list[list[int]]:
    """A month as it is told while it is open: ten, five by five, and what its close adds."""
    n = len(places)
    last = n - n % 5 - 5
    cuts = [0, *range(10, last + 1, 5), n] if last >= 10 else [0, n]
    return [list(places[a:b]) for a, b in pairwise(cuts)]


@pytest.fixture(scope="module", params=SEEDS)
def here(request: pytest.FixtureRequest) -> Quarter:
    return Quarter(quarter(request.param))


def differing(here: Quarter, worlds: Sequence[bool] = (True, False), **how: Any) -> int:
    """How many documents tell the true world from the others."""
    true = watched(Log(here.answers), 7, **how)
    others = [watched(Log(here.world(upwards)), 7, **how) for upwards in worlds]
    return sum(any(other[key] != document for other in others) for key, document in true.items())


def test_the_quarter_has_what_could_be_recovered(here: Quarter) -> None:
    kinds = {len(months) for _, months in here.hidden}
    assert len(here.hidden) >= 6
    assert max(kinds) >= 2, "cells that are told only with others"
    assert any(len(steps(list(range(n)))) > 3 for n in [len(p) for p in here.parts[0]] + [p.counts.n for p in here.book.away])
    batches, never = here.parts
    assert all(len(batch) >= 5 for batch in batches)
    assert len({i for batch in batches for i in batch} | set(never)) == sum(map(len, batches)) + len(never)


def test_nobody_can_tell_which_answer_of_a_parcel_was_whose(here: Quarter) -> None:
    assert differing(here) == 0


def test_without_steps_single_answers_are_seen(here: Quarter) -> None:
    assert differing(here, [True], step=1, every=9) > 20


def with_whole_totals(log: Log, asking: Asking, telling: Telling) -> Any:
    """As if totals held all that was counted, also what their rows hide: no complementary suppression."""
    asked = question(dict(asking.query), Scope(asking.scope))
    cells = seen(log, asked, log.version(), "office", log.now.date()).on_map.figures.cells
    counts = [c for (_, month), c in cells.items() if asked.filters.holds(month) and closes_at(month) <= log.now]
    return as_built(log, asking, telling), sum(c.n for c in counts), sum(c.satisfied for c in counts)


def test_without_complementary_suppression_hidden_cells_are_seen(here: Quarter) -> None:
    assert differing(here, [True], release=with_whole_totals, every=9) > 20


def test_hidden_cells_stay_as_uncertain_as_their_parcel_leaves_them(here: Quarter) -> None:
    """The margin: of a cell of n answers in a parcel of N, S of them satisfied, the count of the satisfied stays anywhere within
    min(n, N - n, S, N - S); the first and the last month of each parcel reach the ends in the two other worlds."""
    up, down = (here.world(upwards) for upwards in (True, False))
    looked_at = 0
    for (unit, month), months in here.hidden:
        mine = [i for i, a in enumerate(here.answers) if (a.unit, a.month) == (unit, month)]
        low, high = sorted(satisfied(world[i] for i in mine) for world in (up, down))
        if not months:
            assert low == high == len(mine) - satisfied(here.answers[i] for i in mine), "nothing is known of what is never told"
        elif month in (months[0], months[-1]):
            closed = next(p.editions[0] for p in here.book.away if (p.unit, p.months) == (unit, months))
            n = sum(here.answers[i].at.date() < closed.on for i in mine)
            whole, good = closed.counts.n, closed.counts.satisfied
            assert high - low == min(n, whole - n, good, whole - good)
            assert high > low or good in (0, whole)
            looked_at += 1
    assert looked_at >= 2


def solved(equations: Sequence[Mapping[Cell, int]]) -> set[Cell]:
    """The unknowns that a system of linear equations settles, by elimination."""
    unknowns = sorted({cell for equation in equations for cell in equation})
    rows = [[Fraction(equation.get(cell, 0)) for cell in unknowns] for equation in equations]
    done = 0
    for column in range(len(unknowns)):
        at = next((i for i in range(done, len(rows)) if rows[i][column]), None)
        if at is None:
            continue
        rows[done], rows[at] = rows[at], rows[done]
        lead = rows[done] = [value / rows[done][column] for value in rows[done]]
        for i, row in enumerate(rows):
            if i != done and row[column]:
                rows[i] = [a - row[column] * b for a, b in zip(row, lead, strict=True)]
        done += 1
    return {unknowns[row.index(Fraction(1))] for row in rows[:done] if sum(map(bool, row)) == 1}


def test_a_solver_finds_no_hidden_cell_in_what_is_told_and_some_when_totals_are_whole(here: Quarter) -> None:
    hidden = {cell for cell, _ in here.hidden}
    told: list[Mapping[Cell, int]] = [{(p.unit, m): 1 for m in p.months} for p in here.book.away]
    sums: list[Mapping[Cell, int]] = [{cell: 1 for one in told for cell in one if cell[0] == unit} for unit in ("A1", "B1")]
    assert not solved([*told, *sums]) & hidden
    cells = {(a.unit, a.month) for a in here.answers}
    by_month: list[Mapping[Cell, int]] = [{c: 1 for c in cells if c[1] == month} for month in sorted({m for _, m in cells})]
    by_unit: list[Mapping[Cell, int]] = [{c: 1 for c in cells if c[0] == unit} for unit in sorted({u for u, _ in cells})]
    assert solved([*told, *by_month, *by_unit]) & hidden


def test_a_closed_month_looks_the_same_ever_after(here: Quarter) -> None:
    """But for corrections, which say so."""
    log = Log(here.answers)
    telling = Telling(log)
    asking = Asking("public", None, (("from", "2026-01"), ("to", "2026-03")))
    seen_on: list[tuple[date, Any]] = []
    for day in (closes_at("2026-03").date(), closes_at("2026-04").date(), LAST):
        log.now = closes_at("2026-03").replace(month=day.month, day=day.day)
        seen_on.append((day, as_built(log, asking, telling)))
    for (_, before), (day, after) in pairwise(seen_on):
        moved = {c["unit"] for c in after["corrections"] if c["on"] <= day.isoformat()}
        kept = [row for row in before["rows"] if not row["suppressed"] and row["unit"] not in moved]
        assert kept
        later = {row["unit"]: row for row in after["rows"]}
        assert all(later[row["unit"]]["scores"] == row["scores"] and later[row["unit"]]["n"] == row["n"] for row in kept)
