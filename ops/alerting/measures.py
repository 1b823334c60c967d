"""What the raises of a detector are worth where the truth is known. Counts of several provinces add up; shares are made at the end.

Two questions. ``target``: a unit is *bad* on a day when its level is below the target; an *episode* is a stretch of bad days, those of kind
``grey`` (just below) left out. ``past``: a unit is bad while it is at least ``FALLEN`` below the best level it had before; each such
stretch is an episode. Levels of a unit count at its own mix of fields, without the season.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, Literal

from ops.alerting.files import Answer, Truth
from ops.alerting.running import Question, Raise

YEAR: Final = 365
PROVINCE: Final = 170
"""Units that false alarms and toggles are told for."""
DELAYS: Final = (30, 60, 90)
FALLEN: Final = 0.02
_DEEP: Final = 0.025
"""So far below the target it is asked how many days were covered."""
_ROUNDING: Final = 1e-9
_MONTHS: Final = 12

Tier = Literal["S", "M", "L"]


class Episode:
    """A stretch of days ``first`` ≤ d < ``after`` on which something is wrong with a unit."""

    def __init__(self, first: int, after: int, counts: bool, ends: bool) -> None:
        self.first, self.after, self.counts = first, after, counts
        self.ends = ends
        """Whether it was over before the truth was."""


@dataclass(frozen=True)
class _Found:
    tier: Tier
    days: int | None
    answers: int | None


@dataclass
class Score:
    """Counts."""

    unit_days: int = 0
    good_days: int = 0
    raises: int = 0
    toggles: int = 0
    false: int = 0
    false_days: int = 0
    deep_days: int = 0
    deep_covered: int = 0
    episodes: list[_Found] = field(default_factory=list)
    clears: list[int | None] = field(default_factory=list)
    """Days from a recovery to the clear, of the alerts that were on when it came; None: never."""

    def __iadd__(self, other: Score) -> Score:
        for name in ("unit_days", "good_days", "raises", "toggles", "false", "false_days", "deep_days", "deep_covered"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.episodes += other.episodes
        self.clears += other.clears
        return self

    def flagged(self, within: float, tier: Tier | None = None) -> float | None:
        """Share of the episodes (of a tier) that had the alert on within so many days."""
        of = [e for e in self.episodes if tier is None or e.tier == tier]
        return sum(e.days is not None and e.days <= within for e in of) / len(of) if of else None

    def as_json(self) -> dict[str, Any]:
        """Every measure; shares are fractions, None where there is nothing to measure."""
        per_year = PROVINCE * YEAR
        return {
            "false_alarms": self.false * per_year / self.good_days if self.good_days else None,
            "precision": 1 - self.false / self.raises if self.raises else None,
            "false_days": self.false_days / self.good_days if self.good_days else None,
            "flagged": {str(days): {"all": self.flagged(days), **{tier: self.flagged(days, tier) for tier in _TIERS}} for days in DELAYS},
            "flagged_ever": self.flagged(math.inf),
            "delay_days": _middle([e.days for e in self.episodes]),
            "delay_answers": _middle([e.answers for e in self.episodes]),
            "toggles": self.toggles * per_year / self.unit_days if self.unit_days else None,
            "coverage": self.deep_covered / self.deep_days if self.deep_days else None,
            "clear_days": _middle(self.clears),
            "raises": self.raises,
            "false": self.false,
            "episodes": len(self.episodes),
        }


_TIERS: Final[tuple[Tier, ...]] = ("S", "M", "L")


def _middle(values: Sequence[int | None]) -> float | None:
    """The median, where None is longer than all; None when that is the median, or nothing was measured."""
    if not values:
        return None
    found = float(median(math.inf if v is None else v for v in values))
    return None if math.isinf(found) else found


class Yardstick:
    """The truth of a file, ready to hold raises against."""

    def __init__(self, answers: Sequence[Answer], truth: Truth, target: float) -> None:
        self._truth, self._target = truth, target
        self._days: dict[str, list[int]] = {unit: [] for unit in truth}
        for answer in answers:
            self._days[answer.unit].append(answer.day)
        self._episodes: dict[Question, dict[str, list[Episode]]] = {
            question: {unit: self._of(unit, question) for unit in truth} for question in ("target", "past")
        }

    def tier(self, unit: str) -> Tier:
        """By answers a month: S below 6, M up to 25, L above."""
        stretches = self._truth[unit]
        monthly = len(self._days[unit]) / ((stretches[-1].to_day - stretches[0].from_day) / YEAR * _MONTHS)
        if monthly < 6:
            return "S"
        return "M" if monthly <= 25 else "L"

    def score(self, raises: Sequence[Raise], question: Question, units: Collection[str] | None = None) -> Score:
        """What ``raises`` are worth for ``question``; with ``units`` those of these alone."""
        by_unit: dict[str, list[Raise]] = {}
        for one in raises:
            by_unit.setdefault(one.unit, []).append(one)
        total = Score()
        for unit in self._truth if units is None else units:
            total += self._score(unit, by_unit.get(unit, []), self._episodes[question][unit])
        return total

    def _of(self, unit: str, question: Question) -> list[Episode]:
        episodes: list[Episode] = []
        best, end = 0.0, self._truth[unit][-1].to_day
        for s in self._truth[unit]:
            best = max(best, s.level)
            wanted = self._target - _ROUNDING if question == "target" else best - FALLEN + _ROUNDING
            if s.level >= wanted:
                continue
            counts = question == "past" or s.kind != "grey"
            if episodes and episodes[-1].after == s.from_day:
                episodes[-1].after = s.to_day
                episodes[-1].counts |= counts
            else:
                episodes.append(Episode(s.from_day, s.to_day, counts, ends=False))
            episodes[-1].ends = s.to_day < end
        return episodes

    def _score(self, unit: str, raises: Sequence[Raise], episodes: Sequence[Episode]) -> Score:
        stretches = self._truth[unit]
        first, end = stretches[0].from_day, stretches[-1].to_day
        bad = [(e.first, e.after) for e in episodes]
        on = [(r.raised, end if r.cleared is None else r.cleared) for r in raises]
        deep = [(s.from_day, s.to_day) for s in stretches if s.level < self._target - _DEEP - _ROUNDING]
        bad_days, on_days = sum(b - a for a, b in bad), sum(b - a for a, b in on)
        score = Score(
            unit_days=end - first,
            good_days=end - first - bad_days,
            raises=len(raises),
            toggles=len(raises) + sum(r.cleared is not None for r in raises),
            false=sum(not any(a <= r.raised < b for a, b in bad) for r in raises),
            false_days=on_days - _common(on, bad),
            deep_days=sum(b - a for a, b in deep),
            deep_covered=_common(on, deep),
        )
        for episode in episodes:
            if episode.counts:
                score.episodes.append(self._found(unit, on, episode))
                score.clears += _clear(raises, episode)
        return score

    def _found(self, unit: str, on: Sequence[tuple[int, int]], episode: Episode) -> _Found:
        days = self._days[unit]
        for a, b in on:
            since = max(a, episode.first)
            if since < min(b, episode.after):
                answers = bisect_right(days, since) - bisect_left(days, episode.first)
                return _Found(self.tier(unit), since - episode.first, answers)
        return _Found(self.tier(unit), None, None)


def _clear(raises: Sequence[Raise], episode: Episode) -> list[int | None]:
    """Days until the alert that was on when ``episode`` ended was cleared; empty when none was."""
    if not episode.ends:
        return []
    on = [r for r in raises if r.raised < episode.after and (r.cleared is None or r.cleared >= episode.after)]
    return [None if r.cleared is None else r.cleared - episode.after for r in on]


def _common(one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> int:
    """Days in both; each is a list of stretches without overlap."""
    return sum(max(0, min(b, d) - max(a, c)) for a, b in one for c, d in other)
