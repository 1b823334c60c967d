"""Why a rate moved: parts that add up, each of which moves by its own cause alone."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.moved import Cell, Key, Moved, moved

KEYS = st.tuples(st.sampled_from("ABCD"), st.sampled_from(["land", "civil"]), st.sampled_from(["counter", "online"]))


@st.composite
def cell(draw: st.DrawFn) -> Cell:
    n = draw(st.integers(0, 60))
    return Cell(draw(st.integers(0, 200)), n, draw(st.integers(0, n)))


PERIODS = st.dictionaries(KEYS, cell(), max_size=12)
GROUNDS = st.none() | st.dictionaries(st.sampled_from("ABCD"), st.sampled_from("XY"))


def terms(found: Moved) -> list[float]:
    return [found.service, found.mix, found.who, found.map]


def sure(found: Moved | None) -> Moved:
    assert found is not None
    return found


@given(PERIODS, PERIODS, GROUNDS)
def test_parts_add_up_and_turn_round(before: dict[Key, Cell], after: dict[Key, Cell], ground: dict[str, str] | None) -> None:
    there, back = moved(before, after, ground), moved(after, before, ground)
    assert (there is None) == (back is None) == (not sum(c.n for c in before.values()) or not sum(c.n for c in after.values()))
    if there is None or back is None:
        return
    assert abs(there.rest) < 1e-9
    assert sum(terms(there)) == pytest.approx(there.after - there.before, abs=1e-9)
    assert terms(back) == pytest.approx([-term for term in terms(there)], abs=1e-9)
    assert there.service_low <= there.service <= there.service_high


@given(PERIODS)
def test_nothing_changed_nothing_moved(period: dict[Key, Cell]) -> None:
    found = moved(period, period)
    if found is not None:
        assert terms(found) == pytest.approx([0, 0, 0, 0], abs=1e-12)


def one(ended: int, n: int, satisfied: int, other: tuple[int, int, int] = (100, 40, 28)) -> dict[Key, Cell]:
    return {("A", "civil", "counter"): Cell(ended, n, satisfied), ("A", "land", "counter"): Cell(*other)}


BEFORE = one(100, 40, 38)


def test_better_service_is_service() -> None:
    found = sure(moved(BEFORE, one(100, 40, 38, (100, 40, 36))))
    assert terms(found) == pytest.approx([0.1, 0, 0, 0], abs=1e-12)


def test_more_land_is_mix() -> None:
    found = sure(moved(BEFORE, one(50, 20, 19, (150, 60, 42))))
    assert terms(found) == pytest.approx([0, -0.25 * 0.25, 0, 0], abs=1e-12)


def test_other_people_answering_is_who() -> None:
    found = sure(moved(BEFORE, one(100, 60, 57, (100, 20, 14))))
    assert terms(found) == pytest.approx([0, 0, 0.25 * 0.25, 0], abs=1e-12)


def test_a_unit_that_joins_is_the_map() -> None:
    joined = BEFORE | {("B", "land", "counter"): Cell(80, 80, 40)}
    found = sure(moved(BEFORE, joined))
    assert terms(found) == pytest.approx([0, 0, 0, 106 / 160 - 66 / 80], abs=1e-12)


OLD = {(unit, name, "counter"): Cell(100, 40, k) for unit in "AB" for name, k in [("civil", 36), ("land", 28)]}
MERGED = {("N", "civil", "counter"): Cell(200, 80, 72), ("N", "land", "counter"): Cell(200, 80, 56)}
STAYED = {("C", "civil", "counter"): Cell(50, 30, 29)}


@pytest.mark.parametrize("ground", [None, {"A": "N", "B": "N"}], ids=["not linked", "linked"])
def test_merging_units_that_behave_alike_moves_nothing(ground: dict[str, str] | None) -> None:
    found = sure(moved(OLD | STAYED, MERGED | STAYED, ground))
    assert terms(found) == pytest.approx([0, 0, 0, 0], abs=1e-12)


@given(st.dictionaries(st.tuples(st.sampled_from("ABC"), st.sampled_from(["land", "civil"]), st.just("counter")), cell()), PERIODS)
def test_a_merger_with_linked_predecessors_is_never_the_map(old: dict[Key, Cell], new: dict[Key, Cell]) -> None:
    """Whatever its predecessors were like: their ground is there before and after."""
    before = old | STAYED | {("B", "civil", "online"): Cell(5, 2, 1)}
    after = {("N", name, channel): cell for (_, name, channel), cell in new.items()} | STAYED | {("N", "civil", "post"): Cell(3, 1, 1)}
    found = sure(moved(before, after, {"A": "N", "B": "N", "C": "N"}))
    assert found.map == pytest.approx(0, abs=1e-12)


def test_a_unit_that_took_in_a_neighbour_can_be_held_against_both() -> None:
    """A at 90 % takes in B at 60 %, and nobody is served otherwise: the unit's own figure falls, and all of it is the map."""
    a, b = {("A", "land", "counter"): Cell(100, 50, 45)}, {("B", "land", "counter"): Cell(100, 50, 30)}
    after = {("A", "land", "counter"): Cell(200, 100, 75)}
    found = sure(moved(a, after, {"B": "A"}, common=(a | b, after)))
    assert terms(found) == pytest.approx([0, 0, 0, -0.15], abs=1e-12)


def test_a_new_field_changes_no_service() -> None:
    found = sure(moved(BEFORE, BEFORE | {("A", "social", "counter"): Cell(50, 20, 10)}))
    assert found.service == 0
    assert found.map == 0


def test_where_no_dossiers_are_known_nothing_is_said_of_who_answered() -> None:
    before = {key: Cell(0, c.n, c.satisfied) for key, c in BEFORE.items()}
    found = sure(moved(before, {key: Cell(0, c.n, c.satisfied) for key, c in one(0, 60, 57, (0, 20, 14)).items()}))
    assert found.who == 0
    assert found.mix == pytest.approx(0.0625)


def test_a_period_without_answers_cannot_be_compared() -> None:
    assert moved({}, BEFORE) is None
    assert moved(BEFORE, {("A", "land", "counter"): Cell(100, 0, 0)}) is None


def test_all_units_new_is_all_map() -> None:
    found = sure(moved(BEFORE, {("Z", "land", "counter"): Cell(10, 10, 5)}))
    assert terms(found) == pytest.approx([0, 0, 0, 0.5 - 66 / 80], abs=1e-12)


def binomial(random: Random, n: int, p: float) -> int:
    return sum(random.random() < p for _ in range(n))


def test_a_pure_change_of_mix_is_not_taken_for_service() -> None:
    """300 pairs of periods in which only the shares of the fields change: the service term's interval holds 0 in 95 % of them. Fewer than
    271 of 300 has a chance of 1 in 2,000."""
    random, held = Random(20250708), 0
    rates = {"civil": 0.93, "land": 0.80, "social": 0.90}
    mixes = {"civil": (60, 20), "land": (20, 70), "social": (30, 30)}
    for _ in range(300):
        before, after = (
            {("A", name, "counter"): Cell(3 * n[t], n[t], binomial(random, n[t], rates[name])) for name, n in mixes.items()} for t in (0, 1)
        )
        found = sure(moved(before, after))
        held += found.service_low <= 0 <= found.service_high
    assert held >= 271
