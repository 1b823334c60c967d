"""The window: what is open, what is not and why, and that nothing drawn ever falls outside."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hailong.domain.hours import Hours, midnight, public_holidays

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
SHIPPED = Hours()
SUNDAY_WORKED = date(2026, 4, 19)
MOURNING = date(2026, 3, 11)
CORRECTED = Hours(closed=frozenset({MOURNING}), opened=frozenset({SUNDAY_WORKED, date(2026, 2, 17)}))
TET_EVE = date(2026, 2, 16)
FIRST_AFTER_TET = date(2026, 2, 21)


def at(day: date, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute, second), ZONE)


# --- what is open


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        (at(date(2026, 3, 9), 8), None),
        (at(date(2026, 3, 9), 7, 59, 59), "hour"),
        (at(date(2026, 3, 9), 19, 59, 59), None),
        (at(date(2026, 3, 9), 20), "hour"),
        (at(date(2026, 3, 9)), "hour"),
        (at(date(2026, 3, 14), 10), None),
        (at(date(2026, 3, 15), 10), "weekday"),
        (at(TET_EVE, 10), "holiday"),
        (at(TET_EVE, 3), "holiday"),
        (at(date(2026, 2, 20), 10), "holiday"),
        (at(FIRST_AFTER_TET, 10), None),
        (at(date(2025, 5, 2), 10), "holiday"),
        (at(date(2026, 8, 31), 10), "holiday"),
        (at(date(2026, 4, 27), 10), "holiday"),
        (at(date(2026, 11, 24), 10), "holiday"),
    ],
    ids=str,
)
def test_it_is_open_in_its_hours_on_days_on_which_people_work(moment: datetime, why: str | None) -> None:
    assert SHIPPED.why_closed(moment) == why
    assert SHIPPED.is_open(moment) == (why is None)


def test_a_province_corrects_the_calendar_by_day() -> None:
    assert CORRECTED.why_closed(at(MOURNING, 10)) == "closed_day"
    assert CORRECTED.why_closed(at(SUNDAY_WORKED, 10)) is None
    assert CORRECTED.why_closed(at(SUNDAY_WORKED, 20)) == "hour"
    assert CORRECTED.why_closed(at(date(2026, 2, 17), 10)) is None


def test_holidays_and_sundays_can_be_open() -> None:
    every_day = Hours(days=frozenset(range(7)), holidays=False)
    assert every_day.is_open(at(TET_EVE, 10))
    assert every_day.is_open(at(date(2026, 3, 15), 10))


def test_it_goes_by_local_time_whatever_the_zone_of_the_moment() -> None:
    assert SHIPPED.is_open(datetime(2026, 3, 9, 1, tzinfo=UTC))
    assert SHIPPED.why_closed(datetime(2026, 3, 8, 13, tzinfo=UTC)) == "weekday"
    assert SHIPPED.next_open(datetime(2026, 3, 9, 13, tzinfo=UTC)) == at(date(2026, 3, 10), 8)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="pass an aware one"):
        SHIPPED.is_open(datetime(2026, 3, 9, 10))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"opens": time(20), "closes": time(8)}, "closes at 08:00"),
        ({"opens": time(8), "closes": time(8)}, "closes at 08:00"),
        ({"days": frozenset()}, "weekday"),
        ({"days": frozenset({7})}, "weekday"),
        ({"closed": frozenset({MOURNING}), "opened": frozenset({MOURNING})}, "2026-03-11 is both"),
    ],
)
def test_hours_that_make_no_sense_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SHIPPED, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("year", range(2015, 2060))
def test_tet_rests_four_days_and_more_in_every_year(year: int) -> None:
    tet = [d for d in public_holidays(year) if date(year, 1, 20) <= d <= date(year, 2, 25)]
    assert len(tet) >= 5
    assert (max(tet) - min(tet)).days < 10


# --- the next open moment


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        (at(date(2026, 3, 9), 10, 7, 30), at(date(2026, 3, 9), 10, 7, 30)),
        (at(date(2026, 3, 9), 19, 59, 59), at(date(2026, 3, 9), 19, 59, 59)),
        (at(date(2026, 3, 9), 20), at(date(2026, 3, 10), 8)),
        (at(date(2026, 3, 9), 3), at(date(2026, 3, 9), 8)),
        (at(date(2026, 3, 14), 20), at(date(2026, 3, 16), 8)),
        (at(date(2026, 2, 14), 20), at(FIRST_AFTER_TET, 8)),
    ],
    ids=str,
)
def test_the_next_open_moment(moment: datetime, opens: datetime) -> None:
    assert SHIPPED.next_open(moment) == opens


def test_tet_eve_after_hours_waits_until_tet_is_over() -> None:
    last_hour = at(date(2026, 2, 14), 19, 59, 59)
    assert SHIPPED.drawn(last_hour, 0.0, 240, 15) == at(FIRST_AFTER_TET, 8)  # rounded up to a slot, it is past the hour


# --- whatever the time

seconds = st.integers(0, 13 * 365 * 86_400).map(lambda s: at(date(2019, 1, 1)) + timedelta(seconds=s))
edges = st.builds(
    lambda day, clock, off: datetime.combine(day, clock, ZONE) + timedelta(seconds=off),
    st.sampled_from([TET_EVE, FIRST_AFTER_TET, SUNDAY_WORKED, MOURNING, date(2025, 5, 2), date(2026, 8, 31), date(2026, 3, 15)]),
    st.sampled_from([time(0), time(8), time(19, 59, 59), time(20), time(23, 59, 59)]),
    st.integers(-2, 2),
)
moments = seconds | edges
draws = st.floats(0, 1, exclude_max=True)
windows = st.sampled_from([SHIPPED, CORRECTED, Hours(opens=time(7, 50), closes=time(8, 5)), Hours(days=frozenset({2}), opens=time(9, 30))])
spreads = st.sampled_from([0, 1, 240, 720, 1500])
slots = st.sampled_from([1, 7, 15, 60])


@given(moment=moments, hours=windows)
@example(moment=at(TET_EVE, 19, 59, 59), hours=SHIPPED)
def test_the_next_open_moment_is_open_never_earlier_and_nothing_open_lies_before(moment: datetime, hours: Hours) -> None:
    opens = hours.next_open(moment)
    assert hours.is_open(opens)
    assert opens >= moment
    assert hours.next_open(opens) == opens
    if opens != moment:
        assert opens.timetz() == hours.opens.replace(tzinfo=ZONE)
        assert not hours.is_open(moment)
        assert not hours.is_open(moment + (opens - moment) / 2)
        assert not hours.is_open(opens - timedelta(microseconds=1))


@given(moment=moments, draw=draws, spread=spreads, slot=slots, hours=windows)
@example(moment=at(date(2026, 3, 9), 19, 59, 59), draw=0.0, spread=240, slot=15, hours=SHIPPED)
@example(moment=at(date(2026, 2, 14), 19, 59, 59), draw=0.999, spread=240, slot=15, hours=SHIPPED)
def test_what_is_drawn_is_never_outside_the_window_nor_before_its_time(
    moment: datetime, draw: float, spread: int, slot: int, hours: Hours
) -> None:
    drawn = hours.drawn(moment, draw, spread, slot)
    assert hours.is_open(drawn)
    assert drawn >= hours.next_open(moment)
    assert drawn.tzinfo == ZONE
    if spread:
        on_a_slot = (drawn - midnight(drawn.date())) % timedelta(minutes=slot) == timedelta()
        assert on_a_slot or drawn.time() == hours.opens


@given(first=moments, wait=st.timedeltas(timedelta(0), timedelta(days=9)), draw=draws, spread=spreads, slot=slots, hours=windows)
def test_a_delay_never_shortens(first: datetime, wait: timedelta, draw: float, spread: int, slot: int, hours: Hours) -> None:
    assert hours.drawn(first, draw, spread, slot) <= hours.drawn(first + wait, draw, spread, slot)


@given(moment=moments, a=draws, b=draws, spread=spreads, slot=slots, hours=windows)
def test_a_higher_draw_is_never_earlier(moment: datetime, a: float, b: float, spread: int, slot: int, hours: Hours) -> None:
    low, high = sorted((a, b))
    assert hours.drawn(moment, low, spread, slot) <= hours.drawn(moment, high, spread, slot)


@given(moment=moments, draw=draws)
def test_only_open_time_counts_for_the_spread(moment: datetime, draw: float) -> None:
    """Four hours of open time and one slot, counted by walking over the days between."""
    drawn = SHIPPED.drawn(moment, draw, 240, 15)
    open_time, at_ = timedelta(), SHIPPED.next_open(moment)
    while at_.date() < drawn.date():
        open_time += at(at_.date(), 20) - at_
        at_ = SHIPPED.next_open(at(at_.date(), 20))
    assert open_time + (drawn - at_) <= timedelta(minutes=255)
