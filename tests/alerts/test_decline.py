"""A unit against its own past; and the table of fields that both detectors are fair by."""

from __future__ import annotations

import msgspec
import pytest

from hailong.domain.cusum import Volume
from hailong.domain.decline import BUCKET_DAYS, Decline, Sums
from hailong.domain.difficulty import Difficulty, Movement, Table, calibrated

EXACT = 1e-6


def fed(state: Decline, first: int, days: int, every: int, expected: float = 0.10) -> list[tuple[str, int]]:
    """Two answers a day; each ``every``-th is not satisfied."""
    found: list[tuple[str, int]] = []
    for i in range(2 * days):
        step = state.observe(first + i // 2, i % every == 0, expected)
        if step:
            found.append((step, first + i // 2))
    return found


def test_a_fall_that_ends_above_the_target_is_seen() -> None:
    """From 97.5 % to 91 %: the target of 90 % is met throughout."""
    state = Decline(Volume(0))
    assert fed(state, 0, 2 * BUCKET_DAYS, 40) == []
    ((step, day),) = fed(state, 2 * BUCKET_DAYS, 90, 11)
    assert step == "raised"
    assert day - 2 * BUCKET_DAYS < 80
    assert state.run.failed > 2 * state.run.expected


def test_a_steady_unit_is_left_alone_whatever_its_level() -> None:
    for every in (3, 8, 40):
        assert fed(Decline(Volume(0)), 0, 8 * BUCKET_DAYS, every) == []


def test_who_comes_back_is_cleared_and_who_stays_there_is_settled() -> None:
    back = Decline(Volume(0))
    fed(back, 0, 180, 40)
    assert [s for s, _ in fed(back, 180, 60, 8) + fed(back, 240, 150, 40)] == ["raised", "cleared"]
    stays = Decline(Volume(0))
    fed(stays, 0, 180, 40)
    assert [s for s, _ in fed(stays, 180, 400, 8)] == ["raised", "settled"]
    assert stays.reference() == pytest.approx(1.25 * 1.05, abs=0.1), "its past is now what it is"


def test_it_is_silent_until_thirty_answers_are_its_past() -> None:
    state = Decline(Volume(0))
    for day in range(80):
        assert state.observe(day, True, 0.10) is None
    assert (state.base.n, state.s) == (0, 0.0)


def test_a_quarter_under_suspicion_is_held_back_from_the_past() -> None:
    state = Decline(Volume(0))
    fed(state, 0, 181, 40)
    past = msgspec.msgpack.encode(state.base)
    fed(state, 181, 90, 6)
    assert state.on
    assert msgspec.msgpack.encode(state.base) == past
    assert (state.quarters, state.held.n) == (1, 180)


def test_what_the_whole_province_does_is_not_held_against_a_unit() -> None:
    alone, together = Decline(Volume(0)), Decline(Volume(0))
    for state in (alone, together):
        fed(state, 0, 180, 12)
    assert [step for step, _ in fed(alone, 180, 90, 6)] == ["raised"]
    assert fed(together, 180, 90, 6, expected=0.10 * 1.25) == []
    assert together.s < alone.s


def test_a_repair_voids_the_evidence_but_not_the_past() -> None:
    state = Decline(Volume(0))
    fed(state, 0, 180, 40)
    fed(state, 180, 40, 4)
    assert state.on
    state.fixed(220)
    assert (state.on, state.s, state.base.n) == (False, 0.0, 360)


def months(counts: dict[str, tuple[int, int]], month: int = 0) -> Difficulty:
    difficulty = Difficulty()
    for field, (n, failed) in counts.items():
        for i in range(n):
            difficulty.add(month, field, i < failed)
    return difficulty


def test_a_field_is_as_hard_as_the_province_finds_it_drawn_to_the_mean() -> None:
    table = months({"civil": (900, 63), "land": (100, 20)}).table(1, 0.10)
    common = (83 + 50 * 0.10) / 1050
    assert table.common == pytest.approx(common)
    assert table.expected("land") == pytest.approx((20 + 50 * common) / 150)
    assert table.expected("never seen") == pytest.approx(common)
    assert table.mix == {"civil": 0.9, "land": 0.1}


def test_references_leave_the_province_exactly_on_target_and_land_harder() -> None:
    table = months({"civil": (900, 63), "land": (100, 20)}).table(1, 0.10)
    references = table.references(0.90)
    assert sum(table.mix[f] * r for f, r in references.items()) == pytest.approx(0.10, abs=EXACT)
    assert references["land"] > 0.10 > references["civil"]


def test_a_year_ago_is_forgotten_and_the_running_month_waits() -> None:
    difficulty = months({"civil": (100, 10)})
    difficulty.add(3, "civil", True)
    assert difficulty.table(3, 0.10).expected("civil") == pytest.approx(0.10)
    assert difficulty.table(3, 0.10, running=True).expected("civil") > 0.10
    assert difficulty.table(13, 0.10).mix == {"civil": 1.0}
    assert 0 not in difficulty.months
    assert difficulty.table(30, 0.10) == Table(30, 0.10, {}, {})


def test_an_answer_taken_back_leaves_the_table_as_it_was() -> None:
    difficulty = months({"civil": (50, 5)})
    before = difficulty.table(1, 0.10)
    difficulty.add(0, "civil", True)
    difficulty.add(0, "civil", True, sign=-1)
    difficulty.add(-7, "civil", True, sign=-1)
    assert difficulty.table(1, 0.10) == before


def test_calibration_finds_the_shift() -> None:
    assert calibrated({"a": 0.10}, {"a": 1.0}, 0.20) == pytest.approx(0.810930, abs=EXACT)


def test_the_province_s_movement_is_bounded_and_forgets_after_thirty_days() -> None:
    movement = Movement()
    assert movement.factor() == 1.0
    for day in range(10):
        for _ in range(100):
            movement.add(day, True, 0.10)
    assert movement.factor() == 1.25
    movement.add(100, False, 0.10)
    assert movement.factor() == pytest.approx(50 / 50.1)


def test_a_short_past_is_given_the_benefit_of_its_error() -> None:
    state = Decline(Volume(0), base=Sums(40, 3, 6.0))
    assert state.reference() == pytest.approx(6 / 9 * (1 + 0.5 / 6**0.5))
