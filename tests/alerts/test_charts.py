"""The charts by their published reference values (tolerance 1e-6), and what must hold of them for any answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailong.domain import cusum
from hailong.domain.cusum import BELOW, PUBLISHED, Below, Rule, Volume, known, odds_ratio, threshold, weight
from hailong.domain.evidence import e_bh, e_values, jeffreys, probability_below, shiryaev_roberts
from hailong.domain.exact import at_least
from hailong.domain.funnel import fewest_unsatisfied
from hailong.domain.scoring import wilson

EXACT = 1e-6
R = 12 / 7
WITHOUT_HEAD_START = Rule(PUBLISHED.base, head_start=0.0)


def close(found: Iterable[float], wanted: Sequence[float]) -> bool:
    return list(found) == pytest.approx(wanted, abs=EXACT)


def steps(failures: Sequence[bool], rule: Rule = PUBLISHED) -> tuple[list[tuple[str, int, int, int]], Below, list[float]]:
    """One answer a day: (step, day, run, not satisfied of it), the state at the end, and the sum after each answer."""
    state, sums = known(0), []
    found: list[tuple[str, int, int, int]] = []
    for day, failed in enumerate(failures):
        step = state.observe(day, failed, 0.90, rule=rule)
        sums.append(state.alert.s)
        if step is not None:
            found.append((step, day, state.run.n, state.run.failed))
    return found, state, sums


FALLEN_AND_BACK = [day % 3 == 0 and day <= 39 for day in range(120)]


def test_intervals() -> None:
    assert close(wilson(27, 30), (0.743789, 0.965400))
    assert close(wilson(21, 30), (0.521242, 0.833353))
    assert close(wilson(0, 10), (0, 0.277533))
    assert close((wilson(27, 30, 1.644854)[1], wilson(21, 30, 1.644854)[1]), (0.959323, 0.816293))
    assert close(jeffreys(27, 30), (0.756598, 0.971019))
    assert jeffreys(10, 10)[1] == 1.0
    assert jeffreys(0, 10)[0] == 0.0
    assert jeffreys(0, 0) == (0.0, 1.0)


def test_weights() -> None:
    assert close((weight(True, 0.10, R), weight(False, 0.10, R)), (0.470004, -0.068993))
    assert close((weight(True, 0.15, R), weight(False, 0.15, R)), (0.437214, -0.101783))
    assert close((odds_ratio(0.90), odds_ratio(0.87), odds_ratio(0.84)), (1.714286, 1.569801, 1.480769))
    assert math.exp(weight(True, 0.10, R)) == pytest.approx(1.6)
    assert math.exp(weight(False, 0.10, R)) == pytest.approx(14 / 15)
    with pytest.raises(ValueError, match="gap"):
        odds_ratio(0.05)


def test_sums_and_e_values() -> None:
    moves = [weight(y, 0.10, R) for y in (True, True, False, True, False, True)]
    sums = accumulate(moves[:5], lambda s, move: max(0.0, s + move))
    assert close(sums, (0.470004, 0.940007, 0.871014, 1.341018, 1.272025))
    assert close(e_values(moves), (1.6, 2.56, 2.389333, 3.822933, 3.568071, 5.708914))
    assert close(shiryaev_roberts(moves), (1.6, 4.16, 4.816, 9.3056, 9.61856, 16.989696))


def test_thresholds() -> None:
    wanted = {30: 2.960279, 60: 3.306853, 240: 4.0, 600: 4.458145, 1200: 4.804719}
    assert close((threshold(n, 4.0) for n in wanted), list(wanted.values()))
    assert (threshold(1e-9, 4.0), threshold(1e12, 4.0)) == (1.0, 12.0)
    assert Volume(0).per_year(0) == pytest.approx(60.8333, abs=1e-4)
    assert threshold(Volume(0).per_year(0), 4.0) == pytest.approx(3.313749, abs=EXACT)
    assert steps([True])[2] == pytest.approx([2.126878], abs=EXACT)


@pytest.mark.parametrize("rule", [PUBLISHED, BELOW])
def test_a_fall_is_raised_on_the_published_answer(rule: Rule) -> None:
    found, _, sums = steps(FALLEN_AND_BACK, rule)
    assert found[0] == ("raised", 18, 19, 7)
    assert sums[39] == pytest.approx(3.984671, abs=EXACT)
    assert steps([True] * 20, rule)[0] == [("raised", 9, 10, 10)]


def test_clear_days() -> None:
    assert [step[:2] for step in steps(FALLEN_AND_BACK)[0]] == [("raised", 18), ("cleared", 80)]
    assert steps(FALLEN_AND_BACK, WITHOUT_HEAD_START)[0][0] == ("raised", 33, 34, 12)
    assert [step[:2] for step in steps(FALLEN_AND_BACK, BELOW)[0]] == [("raised", 18), ("cleared", 64)], "ours is sooner"


def test_beliefs_and_exact_limits() -> None:
    assert probability_below(0.90, 27, 30, 0.90) == pytest.approx(0.449691, abs=EXACT)
    assert probability_below(0.90, 21, 30, 0.90) == pytest.approx(0.991995, abs=EXACT)
    assert at_least(9, 30, 0.10) == pytest.approx(0.00201983, abs=1e-8)
    assert [fewest_unsatisfied(n, 0.90, 0.001) for n in (10, 20, 30, 50, 100)] == [6, 8, 10, 14, 21]


def test_e_bh_rejects_the_first_three() -> None:
    values = [3.0, 9000.0, 1800.0, 1200.0, 400.0] + [0.0] * 165
    assert e_bh(values, 0.05) == [1, 2, 3]
    assert e_bh([1.0] * 170, 0.05) == []


def test_an_expected_run_stands_beside_the_one_seen() -> None:
    _, state, _ = steps([True] * 12)
    assert (state.run.n, state.run.failed) == (12, 12)
    assert state.run.expected == pytest.approx(1.2)


def test_a_repair_voids_the_evidence_and_new_evidence_raises_again() -> None:
    _, state, _ = steps([True] * 12)
    assert state.alert.on
    state.fixed(12)
    assert (state.alert.on, state.alert.s, state.watch.s, state.run.n) == (False, 0.0, 0.0, 0)
    later = [state.observe(20 + day, True, 0.90) for day in range(12)]
    assert later.count("raised") == 1


def test_the_watch_rings_before_the_alert_and_on_its_own_sum() -> None:
    state = known(0)
    watched = raised = -1
    for day in range(60):
        state.observe(day, day % 5 == 0, 0.90)
        watched = day if state.watch.on and watched < 0 else watched
        raised = day if state.alert.on and raised < 0 else raised
    assert 0 <= watched < raised


def test_a_target_that_rises_judges_each_answer_by_its_own() -> None:
    """Fails: one in eight, on target at 87 %, below at 90 %."""
    easy, hard = known(0), known(0)
    for day in range(800):
        easy.observe(day, day % 8 == 3, 0.87)
        hard.observe(day, day % 8 == 3, 0.90)
    assert easy.alert.s < hard.alert.s


def test_what_a_unit_got_long_ago_counts_less_for_its_volume() -> None:
    volume = Volume(0)
    for day in range(3000):
        volume.take(day)
    busy = volume.per_year(3000)
    assert 330 < busy < 380
    for day in range(3000, 6000, 30):
        volume.take(day)
    assert volume.per_year(6000) < 40


answers = st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.sampled_from([0.84, 0.87, 0.90]), st.floats(0.02, 0.4)), max_size=120)


def judged(state: Below, given: list[tuple[int, bool, float, float]], day: int = 0) -> tuple[list[str | None], int]:
    found: list[str | None] = []
    for pause, failed, target, reference in given:
        day += pause
        found.append(state.observe(day, failed, target, reference))
    return found, day


@settings(max_examples=60)
@given(answers, answers)
def test_a_state_put_away_and_taken_up_again_goes_on_bit_for_bit(
    before: list[tuple[int, bool, float, float]], after: list[tuple[int, bool, float, float]]
) -> None:
    state = known(0)
    _, day = judged(state, before)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Below)
    assert judged(again, after, day) == judged(state, after, day)
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(state)


@settings(max_examples=60)
@given(answers, st.integers(0, 119))
def test_one_more_complaint_never_makes_the_sum_smaller(given_: list[tuple[int, bool, float, float]], at: int) -> None:
    """Until a raise or a clear; which one comes may change what is judged after it."""
    if not given_:
        return
    worse = list(given_)
    at %= len(worse)
    worse[at] = (worse[at][0], True, *worse[at][2:])
    one, other = known(0), known(0)
    for i in range(len(given_)):
        a, b = judged(one, given_[i : i + 1], i)[0], judged(other, worse[i : i + 1], i)[0]
        if a or b:
            return
        assert other.alert.s >= one.alert.s - 1e-12


@settings(max_examples=60)
@given(answers)
def test_a_raise_stands_on_ten_answers_and_steps_alternate(given_: list[tuple[int, bool, float, float]]) -> None:
    found, _ = judged(known(0), given_)
    assert not any(found[: cusum.FEWEST - 1])
    told = [step for step in found if step]
    assert told == [("raised", "cleared")[i % 2] for i in range(len(told))]
