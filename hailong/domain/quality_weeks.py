"""Silence and surge: weekly counts of a unit against its usual part of what all the others send. Pure.

The others carry holidays and seasons: in the weeks of Tết they send little, and then little is expected of each. Where all of them
together send less than ``RESTING`` of what they use to, no unit is judged by itself; the whole is, by working days.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from statistics import median
from typing import Final

from hailong.domain import overdispersed as wide
from hailong.domain.overdispersed import Moments
from hailong.domain.quality import WHOLE, Finding, Kind, What, level, week_name

PAST: Final = 52
"""Weeks a unit is held against."""
FEWEST: Final = 13
"""Weeks of past without which nothing is said."""
LONGEST: Final = 26
"""Silent weeks after which a unit counts as one that sends nothing."""
RESTING: Final = 0.6
TIMES: Final = 2.0
"""A surge is so many times what was expected, or more,"""
MORE: Final = 10
"""and so many more."""

Weekly = Mapping[str, Mapping[date, int]]
"""Unit → Monday → count; a week that is not there had none."""
WorkingDays = Callable[[date], int]
"""Of the week of a Monday."""
_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True)
class Expected:
    """A count that is expected, and its relative variance: that of the true rate and of what was estimated."""

    mean: float
    spread: float
    past: int
    """What the unit sent in the weeks it is held against,"""
    weeks: int
    """and how many these are."""


class Usual:
    """What is usual in the weeks before ``first``: each unit's part of the whole since its own first week, and how it varies."""

    def __init__(self, counts: Weekly, first: date, began: Mapping[str, date]) -> None:
        self._counts = counts
        start = min(began.values(), default=first)
        back = [first - _WEEK * i for i in range(PAST, 0, -1) if first - _WEEK * i >= start]
        self._caps = {unit: _cap([weeks.get(w, 0) for w in back if w >= began.get(unit, first)]) for unit, weeks in counts.items()}
        totals = {week: self.total(week) for week in back}
        self._middle = median(totals.values()) if totals else 0.0
        self.weeks = [week for week in back if totals[week] >= RESTING * self._middle]
        self._since = {unit: [w for w in self.weeks if w >= began.get(unit, first)] for unit in counts}
        self._past = {unit: sum(self._capped(unit, w) for w in weeks) for unit, weeks in self._since.items()}
        self._others = {unit: sum(totals[w] for w in weeks) - self._past[unit] for unit, weeks in self._since.items()}
        self._own: dict[str, Moments] = {}
        self._everybody, lasting = Moments(), Moments()
        for unit, weeks in self._since.items():
            pairs = [(counts[unit].get(w, 0), self._mean(unit, w, totals[w])) for w in weeks]
            self._own[unit] = wide.of_counts(pairs)
            self._everybody += self._own[unit]
            lasting += wide.of_neighbours([(*a, *b) for a, b in pairwise(pairs)])
        self._lasting = min(1.0, lasting.value / self._everybody.value) if self._everybody.value else 0.0

    def enough(self, unit: str) -> bool:
        """Whether the unit has a past to speak of, and others to be held against."""
        return len(self._since.get(unit, ())) >= FEWEST and self._past[unit] > 0 and self._others[unit] > 0

    def rests(self, week: date) -> bool:
        """Whether the whole sends so little that no unit is judged."""
        return self.total(week) < RESTING * self._middle

    def total(self, week: date) -> int:
        """What all units sent; one unit's surge counts only up to its cap, so that it does not make the others look silent."""
        return sum(self._capped(unit, week) for unit in self._counts)

    def expected(self, unit: str, weeks: Sequence[date]) -> Expected:
        """Of a unit with ``enough`` past in these weeks together. A spread that lasts is as wide for several weeks as for one; the rest
        evens out."""
        past, totals = self._past[unit], {week: self.total(week) for week in weeks}
        mean = sum(self._mean(unit, week, total) for week, total in totals.items())
        one = wide.drawn_together(self._own[unit], self._everybody - self._own[unit])
        spread = one * (self._lasting + (1 - self._lasting) / len(weeks)) + one / len(self._since[unit])
        return Expected(mean, spread + 1 / past + 1 / max(1, sum(totals.values())), past, len(self._since[unit]))

    def _mean(self, unit: str, week: date, total: int) -> float:
        others = self._others[unit]
        return self._past[unit] * (total - self._capped(unit, week)) / others if others > 0 else 0.0

    def _capped(self, unit: str, week: date) -> int:
        return min(self._counts[unit].get(week, 0), self._caps[unit])


class Weeks:
    """Weekly counts, and what is usual before any week, reckoned once. A unit begins in its first week with a count."""

    def __init__(self, counts: Weekly) -> None:
        self.counts = counts
        began = {unit: min((week for week, n in weeks.items() if n), default=None) for unit, weeks in counts.items()}
        self._began = {unit: week for unit, week in began.items() if week is not None}
        self._usual: dict[date, Usual] = {}

    def usual(self, first: date) -> Usual:
        """Before ``first``."""
        if first not in self._usual:
            self._usual[first] = Usual(self.counts, first, self._began)
        return self._usual[first]


def silence(sent: Weeks, week: date, units: Iterable[str], working_days: WorkingDays, promised: float = 1.0) -> list[Finding]:
    """Units that used to send endings and sent none up to the end of ``week`` (a Monday), for so long that it is no chance.

    ``promised``: times the promise (tests look at more than one false raise). The whole is judged as well, in the order first.
    """
    limit = level("silence") * promised
    found = [_whole_silent(sent, week, working_days, limit)]
    found += [_silent(sent, unit, week, limit) for unit in sorted(units) if unit in sent.counts]
    return [one for one in found if one is not None]


def surge(sent: Weeks, week: date, units: Iterable[str], what: What, promised: float = 1.0) -> list[Finding]:
    """Units that sent at least ``TIMES`` as many as expected in ``week``, and ``MORE`` more, beyond chance. ``what``: endings, counted."""
    usual, limit = sent.usual(week), level("surge") * promised
    if usual.rests(week):
        return []
    found = []
    for unit in sorted(units):
        observed = sent.counts.get(unit, {}).get(week, 0)
        if observed < MORE or not usual.enough(unit):
            continue
        e = usual.expected(unit, [week])
        if observed < max(TIMES * e.mean, e.mean + MORE) or not e.mean:
            continue
        p = wide.count_at_least(observed, e.mean, e.spread)
        if p <= limit:
            found.append(_finding(unit, "surge", what, week, observed, e, p, limit, 1))
    return found


def weeks_unheard(sent: Weeks, week: date, unit: str, promised: float = 1.0) -> int | None:
    """How many weeks without anything it would take from ``week`` on until silence is raised, if the others send what they use to; None:
    more than ``LONGEST``."""
    usual, limit = sent.usual(week), level("silence") * promised
    if not usual.enough(unit):
        return None
    for n in range(1, LONGEST + 1):
        e = usual.expected(unit, usual.weeks[-n:])
        if e.mean and wide.none_at_all(e.mean, e.spread) <= limit:
            return n
    return None


def _silent(sent: Weeks, unit: str, week: date, limit: float) -> Finding | None:
    run = list(_silent_weeks(sent.counts[unit], week))
    if not run:
        return None
    usual = sent.usual(run[-1])
    if not usual.enough(unit) or usual.rests(week):
        return None
    e = usual.expected(unit, [w for w in run if not usual.rests(w)])
    p = wide.none_at_all(e.mean, e.spread)
    return _finding(unit, "silence", "endings", week, 0, e, p, limit, len(run)) if p <= limit else None


def _whole_silent(sent: Weeks, week: date, working_days: WorkingDays, limit: float) -> Finding | None:
    """Nothing from anybody: then no unit can be held against the others. Expected is what a working day brought before."""
    whole = {w: sum(weeks.get(w, 0) for weeks in sent.counts.values()) for w in {w for weeks in sent.counts.values() for w in weeks}}
    run = list(_silent_weeks(whole, week))
    if not run:
        return None
    usual = sent.usual(run[-1])
    days, past = sum(map(working_days, usual.weeks)), sum(whole.get(w, 0) for w in usual.weeks)
    missed = sum(map(working_days, run))
    if len(usual.weeks) < FEWEST or not days or not missed or not past:
        return None
    pairs = [(whole.get(w, 0), past * working_days(w) / days) for w in usual.weeks]
    own = wide.of_counts(pairs)
    e = Expected(past * missed / days, wide.drawn_together(own, own) + 1 / past, past, len(usual.weeks))
    p = wide.none_at_all(e.mean, e.spread)
    return _finding(WHOLE, "silence", "endings", week, 0, e, p, limit, len(run)) if p <= limit else None


def _silent_weeks(counts: Mapping[date, int], week: date) -> Iterator[date]:
    """From ``week`` back, at most ``LONGEST``."""
    for i in range(LONGEST):
        if counts.get(week - _WEEK * i, 0):
            return
        yield week - _WEEK * i


def _finding(unit: str, kind: Kind, what: What, week: date, observed: int, e: Expected, p: float, limit: float, run: int) -> Finding:
    numbers = {"weeks": run, "past": e.past, "past_weeks": e.weeks, "spread": e.spread}
    return Finding(unit, kind, what, "past", week_name(week), observed, None, e.mean, p, limit, numbers)


def _cap(past: Sequence[int]) -> int:
    """Three times what is usual and, for few, a little more; 0 without a past: what is new cannot say how the old ones move."""
    usual = sum(past) / len(past) if past else 0.0
    return int(3 * usual + 3 * math.sqrt(usual) + 3) if past else 0
