"""The demonstration's fortnight lies round a holiday where there is one, and inside its plan."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from hailong.settings import Settings
from ops.demo import FORTNIGHT, fortnight
from ops.wiring import Wiring
from producers.simulator import year


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
