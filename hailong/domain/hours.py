"""When people may be written to: the hours, weekdays and holidays of the rules, always in local time.

Everything that sends goes by the same window: first messages, reminders, further tries, fail-over. Pure: the moment comes in.
Public holidays with Tết and the days swapped for them come from the library ``holidays``; a province corrects them by day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal

from holidays import country_holidays

from hailong.domain.units import LOCAL

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WhyClosed = Literal["hour", "weekday", "holiday", "closed_day"]


@lru_cache(maxsize=64)
def public_holidays(year: int) -> frozenset[date]:
    """The days of a year on which Viet Nam rests by law: Tết, days off in lieu and swapped days included."""
    return frozenset(country_holidays("VN", years=year))


def midnight(day: date) -> datetime:
    """The first moment of a local day."""
    return datetime.combine(day, time(), LOCAL)


def local(at: datetime) -> datetime:
    """An aware moment in local time. Raises ValueError for one without a zone: it could be seven hours off."""
    if at.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be held against the hours: pass an aware one")
    return at.astimezone(LOCAL)


@dataclass(frozen=True)
class Hours:
    """The window: ``opens`` ≤ local time < ``closes`` on open days.

    ``days``: weekdays that are open, 0 is Monday. ``closed``: further days that are not; ``opened``: days that are, whatever
    weekday or holiday they fall on. Raises ValueError when it could never be open, or when a day is both.
    """

    opens: time = time(8)
    closes: time = time(20)
    days: frozenset[int] = frozenset(range(6))
    holidays: bool = True
    """Whether public holidays are closed."""
    closed: frozenset[date] = frozenset()
    opened: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if self.closes <= self.opens:
            raise ValueError(f"closes at {self.closes:%H:%M}, not after it opens at {self.opens:%H:%M}")
        if not self.days or not self.days <= set(range(7)):
            raise ValueError("no weekday is open, or one is none of 0 to 6")
        if both := self.closed & self.opened:
            raise ValueError(f"{min(both)} is both closed and opened")

    def is_open(self, at: datetime) -> bool:
        """Whether people may be written to at that moment (aware)."""
        return self.why_closed(at) is None

    def why_closed(self, at: datetime) -> WhyClosed | None:
        """What keeps the window shut at that moment (aware): the day before the hour; None when it is open."""
        at = local(at)
        why = self.why_closed_on(at.date())
        if why is None and not self.opens <= at.time() < self.closes:
            return "hour"
        return why

    def why_closed_on(self, day: date) -> WhyClosed | None:
        """What keeps the whole local day shut; None when it has its hours."""
        if day in self.opened:
            return None
        if day in self.closed:
            return "closed_day"
        if self.holidays and day in public_holidays(day.year):
            return "holiday"
        return None if day.weekday() in self.days else "weekday"

    def next_open(self, at: datetime) -> datetime:
        """The first open moment from ``at`` (aware) on, in local time: ``at`` itself when it is open."""
        at = local(at)
        day = at.date()
        if self.why_closed_on(day) is None and at.time() < self.closes:
            return max(at, datetime.combine(day, self.opens, LOCAL))
        day += timedelta(days=1)
        while self.why_closed_on(day) is not None:
            day += timedelta(days=1)
        return datetime.combine(day, self.opens, LOCAL)

    def drawn(self, after: datetime, draw: float, spread_minutes: int, slot_minutes: int) -> datetime:
        """A moment drawn within the next ``spread_minutes`` of open time from ``after`` (aware) on, rounded up to a slot of the day.

        ``draw`` is in [0, 1). Never before ``after``, never outside the window; neither a later ``after`` nor a higher draw ever
        gives an earlier moment. Without a spread it is the first open moment, unrounded.
        """
        at = self.next_open(after)
        if spread_minutes == 0:
            return at
        left = timedelta(minutes=draw * spread_minutes)
        while (rest := datetime.combine(at.date(), self.closes, LOCAL) - at) <= left:
            left -= rest
            at = self.next_open(at + rest)
        first, slot = midnight(at.date()), timedelta(minutes=slot_minutes)
        return self.next_open(first + -(-(at + left - first) // slot) * slot)
