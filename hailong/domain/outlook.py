"""The odds that a province reaches its goal by a year, from its own closed quarters. Pure.

Logits of the quarters' rates are taken for a level with a slope and a yearly season, seen through sampling error: the local linear trend
(Harvey 1989, Forecasting, Structural Time Series Models and the Kalman Filter, ch. 4), filtered by Kalman's recursions. How much level and
slope change from quarter to quarter is not known from a few quarters: all of a small grid are run, and each counts by how well it foretold
the quarters there are. It extrapolates: it knows nothing of campaigns, budgets or mergers to come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist
from typing import Final, Literal

from hailong.domain.path import Goal
from hailong.domain.shares import Share, expit, logit

FEWEST: Final = 8
"""Closed quarters with answers before anything is said: two of each season."""
LEVEL_SDS: Final = (0.0, 0.02, 0.05, 0.10)
SLOPE_SDS: Final = (0.0, 0.005, 0.015)
"""Standard deviations of the changes from quarter to quarter, in logits: 0.1 is 1.3 points at 84 %."""
SLOPE_SD: Final = 0.03
"""Of the slope before any data, in logits a quarter: the root mean square of the six yearly changes of the national SIPAS, 2017-2021 and
2022-2024 (domain.md 1.3), is 0.032. The mean before any data is 0: no progress is taken for granted."""
SEASON_SD: Final = 0.1
"""Of each of the three parts of a season of four quarters (alerts.md 2: ±0.1 logit)."""
START: Final = 1.66
START_SD: Final = 1.0
"""The level before any data, in logits: 84 %, and one standard deviation to either side 66 and 93 %."""
SUREST: Final = 0.99
"""No odds beyond this, nor below its opposite: a model this small does not know more."""
_NORMAL: Final = NormalDist()
_LOW, _HIGH = 0.1, 0.9
_STATES: Final = 5

Why = Literal["few_quarters", "over"]


@dataclass(frozen=True)
class Quarter:
    """A closed quarter (``quarter`` 1-4) and its answers away from the desk."""

    year: int
    quarter: int
    answers: Share

    @property
    def index(self) -> int:
        """Quarters since the year 0."""
        return self.year * 4 + self.quarter - 1


@dataclass(frozen=True)
class Outlook:
    """``odds``: probability, within 1-99 %, that the underlying rate of the goal year's last quarter, its season taken out, is at the goal
    or above. ``median``, ``low``, ``high``: that rate, and the interval it lies in with 80 %, fractions."""

    odds: float
    median: float
    low: float
    high: float
    quarters: int


@dataclass(frozen=True)
class NoStatement:
    """Nothing is said yet (``few_quarters``: of ``FEWEST`` there are ``quarters``), or any more (``over``: the goal's year is closed)."""

    why: Why
    quarters: int


@dataclass
class _Belief:
    """Mean and covariance of (level, slope, and the three parts of the season), in logits; and how well it foretold what it has seen."""

    mean: list[float]
    cov: list[list[float]]
    log_likelihood: float = 0.0

    def forward(self, level_var: float, slope_var: float) -> None:
        """One quarter on: the level goes by the slope, and both change by chance."""
        m, p = self.mean, self.cov
        m[0] += m[1]
        p[0][0] += 2 * p[0][1] + p[1][1] + level_var
        for j in range(1, _STATES):
            p[0][j] += p[1][j]
            p[j][0] = p[0][j]
        p[1][1] += slope_var

    def see(self, seen: float, variance: float, season: tuple[float, float, float]) -> None:
        """A quarter's logit, with the variance of its sampling."""
        h = (1.0, 0.0, *season)
        carried = [sum(row[j] * h[j] for j in range(_STATES)) for row in self.cov]
        spread = variance + sum(h[i] * carried[i] for i in range(_STATES))
        miss = seen - sum(h[i] * self.mean[i] for i in range(_STATES))
        self.log_likelihood -= (math.log(2 * math.pi * spread) + miss * miss / spread) / 2
        self.mean = [m + c * miss / spread for m, c in zip(self.mean, carried, strict=True)]
        self.cov = [[p - ci * cj / spread for p, cj in zip(row, carried, strict=True)] for row, ci in zip(self.cov, carried, strict=True)]


@dataclass(frozen=True)
class _Ahead:
    """One of the grid: its weight, and where it sees the level, in logits."""

    weight: float
    level: NormalDist


def outlook(quarters: Sequence[Quarter], goal: Goal) -> Outlook | NoStatement:
    """The odds of ``goal`` from the closed quarters, in any order, each at most once; quarters without answers are passed over."""
    seen = sorted((q for q in quarters if q.answers.n), key=lambda q: q.index)
    if len(seen) < FEWEST:
        return NoStatement("few_quarters", len(seen))
    steps = goal.year * 4 + 3 - seen[-1].index
    if steps <= 0:
        return NoStatement("over", len(seen))
    ahead = _weighed([_run(seen, steps, level, slope) for level, slope in product(LEVEL_SDS, SLOPE_SDS)])
    odds = sum(a.weight * (1 - a.level.cdf(logit(goal.value))) for a in ahead)
    median, low, high = (expit(_quantile(ahead, q)) for q in (0.5, _LOW, _HIGH))
    return Outlook(min(SUREST, max(1 - SUREST, odds)), median, low, high, len(seen))


def _run(seen: Sequence[Quarter], steps: int, level_sd: float, slope_sd: float) -> tuple[float, NormalDist]:
    """Log likelihood, and the level ``steps`` quarters after the last."""
    sds = (START_SD, SLOPE_SD, SEASON_SD, SEASON_SD, SEASON_SD)
    belief = _Belief([START, 0.0, 0.0, 0.0, 0.0], [[sd * sd if i == j else 0.0 for j in range(_STATES)] for i, sd in enumerate(sds)])
    variances = level_sd * level_sd, slope_sd * slope_sd
    at = seen[0].index
    for quarter in seen:
        for _ in range(quarter.index - at):
            belief.forward(*variances)
        at = quarter.index
        belief.see(*_empirical(quarter.answers), _season(at))
    for _ in range(steps):
        belief.forward(*variances)
    return belief.log_likelihood, NormalDist(belief.mean[0], math.sqrt(belief.cov[0][0]))


def _empirical(answers: Share) -> tuple[float, float]:
    """Logit of a count and the variance of its sampling, a half added to each side (Cox & Snell 1989, Analysis of Binary Data, 2.1.6)."""
    happy, unhappy = answers.k + 0.5, answers.n - answers.k + 0.5
    return math.log(happy / unhappy), 1 / happy + 1 / unhappy


def _season(index: int) -> tuple[float, float, float]:
    """The wave through the year in two parts, and what alternates: together any four numbers whose sum is 0."""
    return ((1.0, 0.0, 1.0), (0.0, 1.0, -1.0), (-1.0, 0.0, 1.0), (0.0, -1.0, -1.0))[index % 4]


def _weighed(runs: list[tuple[float, NormalDist]]) -> list[_Ahead]:
    best = max(likelihood for likelihood, _ in runs)
    weights = [math.exp(likelihood - best) for likelihood, _ in runs]
    return [_Ahead(weight / sum(weights), level) for weight, (_, level) in zip(weights, runs, strict=True)]


def _quantile(ahead: list[_Ahead], q: float) -> float:
    reach = 10.0
    low = min(a.level.mean - reach * a.level.stdev for a in ahead)
    high = max(a.level.mean + reach * a.level.stdev for a in ahead)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(a.weight * a.level.cdf(middle) for a in ahead) < q else (low, middle)
    return (low + high) / 2
