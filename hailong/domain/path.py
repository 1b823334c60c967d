"""Targets as steps by year, from the first whole year hailong has counted itself to the goal. Pure.

Nobody else's figure is a starting point: SIPAS and the portal's index measure something else in another way. Until the first calendar year
is closed there is no path, and that is what a page says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from hailong.domain.scoring import PRIVACY_LIMIT, percent
from hailong.domain.shares import Share

DIGITS: Final = 1
"""Of a step, in percent: 86.3 %."""

Why = Literal["no_closed_year", "few", "over"]


@dataclass(frozen=True)
class Year:
    """A calendar year of which all twelve months are closed, and its answers away from the desk."""

    year: int
    answers: Share


@dataclass(frozen=True)
class Goal:
    """A share to be reached by a calendar year: 0.9 and 2030."""

    value: float
    year: int


@dataclass(frozen=True)
class Step:
    """The target of one calendar year, valid on local days ``valid_from`` ≤ d < ``valid_to``. ``value``: fraction."""

    year: int
    value: float

    @property
    def valid_from(self) -> date:
        return date(self.year, 1, 1)

    @property
    def valid_to(self) -> date:
        return date(self.year + 1, 1, 1)


@dataclass(frozen=True)
class Path:
    """From ``start`` (measured) in equal steps to ``goal``: one for every year after the start's, the last one being the goal's."""

    start: Year
    goal: Goal
    steps: tuple[Step, ...]

    def on(self, year: int) -> float | None:
        """The target of a year: None up to the start's own, the goal from its year on."""
        if year >= self.goal.year:
            return self.goal.value
        return next((step.value for step in self.steps if step.year == year), None)


@dataclass(frozen=True)
class NoPath:
    """No path yet. ``no_closed_year``: no calendar year is closed; ``few``: its answers are under the privacy limit; ``over``: the goal's
    year was over before one was."""

    why: Why


def path(first: Year | None, goal: Goal) -> Path | NoPath:
    """The path from the first closed year. Equal steps in points, rounded to a tenth; who starts at the goal or above stays on the goal."""
    if first is None:
        return NoPath("no_closed_year")
    if first.year >= goal.year:
        return NoPath("over")
    rate = first.answers.rate
    if rate is None or first.answers.n < PRIVACY_LIMIT:
        return NoPath("few")
    years = goal.year - first.year
    steps = [Step(first.year + i, _rounded(rate + (goal.value - rate) * i / years, goal.value)) for i in range(1, years)]
    return Path(first, goal, (*steps, Step(goal.year, goal.value)))


def _rounded(value: float, most: float) -> float:
    return min(most, percent(value, DIGITS) / 100)
