"""How far the odds of ``outlook`` can be believed: asked of many invented provinces whose end is known. Pure; chance comes in.

What is invented bounds what is proved: courses of the kinds below, with numbers of answers like a province's. Real provinces may differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Final, Literal

from hailong.domain.outlook import SLOPE_SD, NoStatement, Quarter, outlook
from hailong.domain.path import Goal
from hailong.domain.shares import Share, expit, logit

EDGES: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
Course = Literal["steady", "wandering", "flattening", "step"]
COURSES: Final[tuple[Course, ...]] = ("steady", "wandering", "flattening", "step")


@dataclass(frozen=True)
class Province:
    """What hailong would have seen of it, and the underlying rate in the goal year's last quarter, a fraction."""

    quarters: tuple[Quarter, ...]
    rate: float


@dataclass(frozen=True)
class Bin:
    """Forecasts of about the same odds: their mean, and the share of them that came true."""

    odds: float
    reached: Share


@dataclass(frozen=True)
class Calibration:
    """``brier``: mean squared distance of the odds from what came, 0 is perfect; ``base``: what saying the share of all that reached it
    gives, to be beaten. ``held``: of the intervals, those that held the rate; 80 % should."""

    forecasts: int
    brier: float
    base: float
    held: Share
    bins: tuple[Bin, ...]


def province(random: Random, course: Course, closed: int, ahead: int, answers: int = 8000) -> Province:
    """A province over ``closed`` quarters from the first of 2026 on, and ``ahead`` more that nobody has seen.

    Starts at 78-91 %; slopes with a standard deviation of 0.03 logits a quarter; a wave of up to 0.1 through the year; ``answers`` a
    quarter, give or take a third.
    """
    levels = _levels(random, course, closed + ahead)
    wave, phase = random.uniform(0, 0.1), random.uniform(0, 2 * math.pi)
    quarters = []
    for i in range(closed):
        n = round(answers * random.uniform(2 / 3, 4 / 3))
        rate = expit(levels[i] + wave * math.cos(math.pi / 2 * i + phase))
        # Thousands of answers: the normal curve is the binomial one to a hundredth of a point, and a thousand times as fast.
        k = round(random.gauss(n * rate, math.sqrt(n * rate * (1 - rate))))
        quarters.append(Quarter(2026 + i // 4, i % 4 + 1, Share(min(n, max(0, k)), n)))
    return Province(tuple(quarters), expit(levels[-1]))


def calibration(provinces: Iterable[Province], goal: Goal) -> Calibration:
    """The odds of all of them held against what came. Raises ValueError when of one nothing can be said (too few quarters)."""
    said: list[tuple[float, bool]] = []
    held = Share(0, 0)
    for one in provinces:
        seen = outlook(one.quarters, goal)
        if isinstance(seen, NoStatement):
            raise ValueError(f"{seen.why}: nothing can be said from {seen.quarters} quarters. Give each province more of them.")
        said.append((seen.odds, one.rate >= goal.value))
        held = held + Share(int(seen.low <= one.rate <= seen.high), 1)
    share = sum(came for _, came in said) / len(said)
    brier = sum((odds - came) ** 2 for odds, came in said) / len(said)
    return Calibration(len(said), brier, share * (1 - share), held, _bins(said))


def _bins(said: Sequence[tuple[float, bool]]) -> tuple[Bin, ...]:
    bins = []
    for low, high in pairwise(EDGES):
        inside = [(odds, came) for odds, came in said if low <= odds < high]
        if inside:
            bins.append(Bin(sum(odds for odds, _ in inside) / len(inside), Share(sum(came for _, came in inside), len(inside))))
    return tuple(bins)


def _levels(random: Random, course: Course, length: int) -> list[float]:
    """Logits, quarter by quarter."""
    levels = [logit(random.uniform(0.78, 0.91))]
    slope, jump_at = random.gauss(0, SLOPE_SD), random.randrange(1, length)
    for i in range(1, length):
        change = slope
        if course == "wandering":
            change += random.gauss(0, 0.05)
        elif course == "flattening":
            change = slope * 2 * 0.9**i
        elif course == "step":
            change = random.gauss(0, 0.25) if i == jump_at else 0.0
        levels.append(levels[-1] + change)
    return levels
