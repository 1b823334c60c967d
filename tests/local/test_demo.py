"""The demonstration's fortnight lies round a holiday where there is one, and inside its plan; its alerts are held against what is so."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest

from hailong.domain.units import LOCAL
from hailong.events import AlertChanged
from hailong.settings import Settings
from ops.demo import FORTNIGHT, TARGET, fortnight
from ops.demo_truth import always_good, truth
from ops.wiring import Wiring
from producers.simulator import FALLS, year


@pytest.mark.parametrize(
    ("start", "days", "first"),
    [
        (date(2026, 1, 5), 365, date(2026, 2, 11)),  # Tết: 16 to 20 February
        (date(2026, 1, 5), 30, date(2026, 1, 15)),  # no holiday in it
        (date(2026, 4, 20), 60, date(2026, 4, 30)),  # a holiday comes too early for five days before it
    ],
    ids=["a year", "a month without one", "at its begin"],
)
def test_the_fortnight_has_a_holiday_where_there_is_one(start: date, days: int, first: date) -> None:
    plan = year(7, start, days)
    assert fortnight(plan, Wiring(Settings())) == first
    assert first + FORTNIGHT <= plan.start + timedelta(days=plan.days)


PLAN = year(7, date(2026, 1, 5), 200)


def raised(kind: str, unit: str, since: date, on: date, field: str | None = None) -> AlertChanged:
    at = datetime.combine(on, time(9), LOCAL)
    return AlertChanged(
        event_id="e", registry_id="r", alert_id="a", version=1, state="raised", kind=kind, unit=unit, at=at, by="judge",
        evidence_seq=1, n=20, satisfied=10, target=TARGET, low=0.4, high=0.6, since=since, until=on, sentence_vi="", sentence_en="",
        field=field,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "unit", "field", "true"),
    [
        ("below", "xa-07", None, True),
        ("declining", "xa-07", None, True),
        ("below", "xa-03", None, False),
        ("declining", "xa-03", None, False),
        ("below", "hoa-binh", None, False),
        ("declining", "lac-son", None, True),  # by the commune that falls, in it
        ("below", "hoa-binh", "land", True),
        ("below", "hoa-binh", "civil", False),
    ],
)
def test_an_alert_is_held_against_what_the_simulation_knows(kind: str, unit: str, field: str | None, true: bool) -> None:
    found = truth(PLAN, raised(kind, unit, date(2026, 4, 14), date(2026, 7, 13), field))
    assert found is not None
    assert found.true is true, found
    assert found.n > 0


def test_before_the_fall_nothing_is_true_of_the_commune_that_falls() -> None:
    found = truth(PLAN, raised("below", "xa-07", date(2026, 1, 10), date(2026, 4, 1)))
    assert found is not None
    assert not found.true
    assert truth(PLAN, raised("below", "nowhere", date(2026, 1, 10), date(2026, 4, 1))) is None


def test_all_communes_are_good_but_the_one_that_falls() -> None:
    good = always_good(PLAN, TARGET, date(2026, 7, 1))
    assert len(good) == 23
    assert FALLS not in good
    assert FALLS in always_good(PLAN, TARGET, PLAN.falls_on - timedelta(days=5))
