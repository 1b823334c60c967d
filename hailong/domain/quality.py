"""Is what hailong hears of a unit believable? The kinds of findings on the quality of data, and what is promised of each. Pure.

A finding is evidence that counts are not what they were or what they are elsewhere, never that somebody did wrong. It says where to look.

**The promise.** Of each kind at most ``PROMISED`` false raises for 170 units in a year, and of all ``KINDS`` together so many times that.
How it is kept: a kind looks at a unit ``LOOKS`` times a year with ``TESTS`` tests; each raises when what it sees has, if nothing is wrong,
the probability ``level(kind)`` or less. The expected number of false raises is the sum of these probabilities, however much looks and units
hang together. "Nothing is wrong" means, for counts: negative binomial around the unit's usual part of what the other units send that week;
for shares: beta-binomial around the unit's own past moved as the other units moved, or around the others'. Means and spreads are
estimated; the half that ``SPENT`` keeps back pays for that. What it does not cover, and what was measured when the model is wrong:
docs/decisions/0012-data-quality.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal, get_args

from hailong.events import AlertChanged

Kind = Literal["silence", "surge", "funnel", "totals", "contacts", "modes", "desk", "record"]
What = Literal[
    "endings", "counted", "asked", "reached", "answered", "short", "over", "missing", "undeliverable", "reused", "at_desk", "satisfied",
    "slow", "charges",
]  # fmt: skip
Against = Literal["past", "others"]
"""What was expected comes from the unit's own past, moved as the others moved; or from the other units."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
PROMISED: Final = 1.0
UNITS: Final = 170
LOOKS: Final[Mapping[Kind, int]] = {
    "silence": 52, "surge": 52, "funnel": 12, "totals": 12, "contacts": 12, "modes": 12, "desk": 12, "record": 12,
}  # fmt: skip
"""Looks at a unit in a year: after every week, or every month."""
TESTS: Final[Mapping[Kind, int]] = {
    "silence": 1, "surge": 2, "funnel": 6, "totals": 4, "contacts": 9, "modes": 2, "desk": 2, "record": 4,
}  # fmt: skip
SPENT: Final = 0.5
"""Of the promise; the rest is for what estimating costs."""
WHERE: Final[Mapping[What, str]] = {
    "endings": "intake", "counted": "answers", "asked": "outcomes", "reached": "messages", "answered": "answers", "short": "totals",
    "over": "totals", "missing": "outcomes", "undeliverable": "messages", "reused": "outcomes", "at_desk": "modes", "satisfied": "modes",
    "slow": "reasons", "charges": "reasons",
}  # fmt: skip
"""The list to look into."""
WHOLE: Final = ""
"""In place of a unit: everything hailong hears of."""
SETTLED: Final[Mapping[What, int]] = {
    "asked": 14, "reached": 14, "answered": 45, "short": 14, "over": 14, "missing": 14, "undeliverable": 14, "reused": 14, "at_desk": 45,
    "satisfied": 45, "slow": 45, "charges": 45,
}  # fmt: skip
"""Days after the end of a month from which on it is looked at: people take their time to answer."""


@dataclass(frozen=True)
class Finding:
    """What was found in one unit and period.

    ``period``: ISO week ``2026-W09`` or month ``2026-03``, the last of those looked at together. ``observed`` is a count, of ``of`` (None
    where it is a count by itself); ``expected`` on the same scale. ``p``: how probable that, or more extreme, is when nothing is wrong;
    raised because it is ``level`` or less. ``numbers``: what it rests on.
    """

    unit: str
    kind: Kind
    what: What
    against: Against
    period: str
    observed: int
    of: int | None
    expected: float
    p: float
    level: float
    numbers: Mapping[str, float]

    @property
    def where(self) -> str:
        """The list to look into."""
        return WHERE[self.what]

    @property
    def false_raises(self) -> float:
        """Promised: at most so many false ones of this kind for 170 units in a year."""
        return PROMISED


def level(kind: Kind) -> float:
    """Probability at or under which one test raises."""
    return SPENT * PROMISED / (UNITS * LOOKS[kind] * TESTS[kind])


def about_data(alert: AlertChanged) -> bool:
    """Whether an alert is about the quality of data."""
    return alert.kind in KINDS


def monday(day: date) -> date:
    """Of its week."""
    return day - timedelta(days=day.weekday())


def week_name(first: date) -> str:
    """``2026-W09`` of a Monday."""
    year, week, _ = first.isocalendar()
    return f"{year}-W{week:02d}"


def week_of(name: str) -> date:
    """The Monday of ``2026-W09``. Raises ValueError naming what is wrong."""
    year, _, week = name.partition("-W")
    try:
        return date.fromisocalendar(int(year), int(week), 1)
    except ValueError:
        raise ValueError(f"{name} is no week of the calendar. Write it as 2026-W09.") from None


def last_week(today: date) -> date:
    """The Monday of the last week that is over."""
    return monday(today) - timedelta(days=7)


def settled_month(today: date, what: What) -> str:
    """The last month that is to be looked at."""
    ended = today - timedelta(days=SETTLED[what])
    return before(f"{ended:%Y-%m}")


def before(month: str, times: int = 1) -> str:
    """The month so many months earlier."""
    n = int(month[:4]) * 12 + int(month[5:7]) - 1 - times
    return f"{n // 12:04d}-{n % 12 + 1:02d}"


def months_upto(month: str, times: int) -> list[str]:
    """So many months, the last of which is ``month``."""
    return [before(month, i) for i in reversed(range(times))]
