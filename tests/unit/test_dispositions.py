"""AAPOR's classes and rates: every end of the closed lists has its class, and the formulas are the published ones."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain import calls
from hailong.domain.asking import REASONS
from hailong.domain.dispositions import (
    CALLED,
    CLASSES,
    DONE,
    LEFT,
    NOT_ASKED,
    SILENT,
    Class,
    Dispositions,
    Doing,
    Outside,
    counted,
    final,
    rates,
)
from hailong.domain.shares import Share
from hailong.events import DeliveryState

ANY = (*CLASSES, *get_args(Outside))


def test_every_reason_for_not_asking_has_a_class() -> None:
    assert set(NOT_ASKED) == set(REASONS)


def test_every_state_of_a_message_has_a_class_or_is_no_end() -> None:
    assert set(SILENT) == set(get_args(DeliveryState))
    assert {state for state, name in SILENT.items() if name is None} == {"due", "claimed"}


def test_every_call_and_every_way_off_the_list_has_a_class() -> None:
    assert set(CALLED) == set(calls.DISPOSITIONS)
    assert set(LEFT) == set(calls.LEFT)
    assert set(DONE) == set(get_args(Doing))


def test_calls_have_the_class_the_callers_list_has() -> None:
    letters = {"interview": "I", "refusal": "R", "noncontact": "NC", "other": "O"}
    assert {said: letters[calls.CLASS[said]] for said in calls.DISPOSITIONS} == CALLED


def test_classes_are_aapors_or_outside() -> None:
    assert {*DONE.values(), *CALLED.values()} <= set(CLASSES)
    assert {*NOT_ASKED.values(), *LEFT.values()} <= set(ANY)


def test_the_formulas_by_hand() -> None:
    found = rates(Dispositions(I=50, P=10, R=8, O=2, NC=20, UO=4, UH=6, not_eligible=7, not_selected=900))
    assert found.rr1 == Share(50, 100)
    assert found.rr2 == Share(60, 100)
    assert found.coop1 == Share(50, 70)
    assert found.ref1 == Share(8, 100)
    assert found.con1 == Share(70, 100)


def test_of_nobody_there_is_no_rate() -> None:
    assert rates(Dispositions(not_selected=5)).rr1.rate is None


@given(st.fixed_dictionaries({name: st.integers(0, 50) for name in ANY}))
def test_rates_keep_their_order(numbers: dict[Class | Outside, int]) -> None:
    d = counted(numbers)
    found = rates(d)
    assert d.sample + d.not_eligible + d.not_selected == sum(numbers.values())
    assert 0 <= found.rr1.k <= found.rr2.k <= found.con1.k <= found.con1.n
    assert found.coop1.n == found.con1.k
    assert found.ref1.k + found.rr2.k <= d.sample


@pytest.mark.parametrize(
    ("found", "one"),
    [
        (["NC", "I"], "I"),
        ([DONE["started"], SILENT["delivered"]], "P"),
        ([DONE["opted_out"], DONE["started"]], "P"),
        ([CALLED["refused"], SILENT["delivered"]], "R"),
        ([SILENT["unknown"], CALLED["no_answer"]], "NC"),
        ([DONE["finished"], NOT_ASKED["reopened"]], "not_eligible"),
        ([NOT_ASKED["sampled_out"], DONE["finished"]], "I"),
        ([SILENT["due"]], None),
        ([], None),
    ],
)
def test_of_all_that_is_known_one_class_stays(found: list[Class | Outside | None], one: str | None) -> None:
    assert final(found) == one
