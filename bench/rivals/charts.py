"""Control charts: the monthly p-chart (W. A. Shewhart), with the rules of the English health service, and the EWMA (S. W. Roberts 1959)."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from typing import Final

from ops.alerting.running import Detector, Seen

_MONTH: Final = 30
_FEWEST: Final = 10
_SIDE: Final = 7
"""Months in a row on the bad side, or each worse than the one before."""


class Monthly:
    """Once a month: the month's rate lies ``sigmas`` below the target. A month of too few answers changes nothing."""

    def __init__(self, sigmas: float, target: float) -> None:
        self._sigmas, self._target = sigmas, target
        self._n = self._failed = 0
        self.on = False

    def take(self, seen: Seen) -> None:
        self._n += 1
        self._failed += seen.failed

    def end(self, day: int) -> None:
        if day % _MONTH == _MONTH - 1:
            if self._n >= _FEWEST:
                spread = math.sqrt(self._target * (1 - self._target) / self._n)
                self.on = self.judged((self._target - 1 + self._failed / self._n) / spread, self._failed / self._n)
            self._n = self._failed = 0

    def judged(self, distance: float, failed: float) -> bool:
        """``distance``: how many standard deviations on the bad side; ``failed``: the month's share not satisfied."""
        return distance > self._sigmas


class Ruled(Monthly):
    """The same, or one of the rules of "Making Data Count": seven months on the bad side, seven each worse, two of three near the limit."""

    def __init__(self, sigmas: float, target: float) -> None:
        super().__init__(sigmas, target)
        self._distances: deque[float] = deque(maxlen=_SIDE)
        self._shares: deque[float] = deque(maxlen=_SIDE)

    def judged(self, distance: float, failed: float) -> bool:
        self._distances.append(distance)
        self._shares.append(failed)
        lately, shares = list(self._distances), list(self._shares)
        whole = len(lately) == _SIDE
        side = whole and min(lately) > 0
        trend = whole and all(a < b for a, b in pairwise(shares))
        near = sum(d > self._sigmas * 2 / 3 for d in lately[-3:]) >= 2
        return distance > self._sigmas or side or trend or near


class Ewma:
    """The exponentially weighted mean of all answers lies ``sigmas`` below the target; on until it is back at half of that."""

    def __init__(self, share: float, sigmas: float, target: float) -> None:
        self._share, self._middle = share, 1 - target
        self._limit = sigmas * math.sqrt(share / (2 - share) * target * (1 - target))
        self._mean = self._middle
        self.on = False

    def take(self, seen: Seen) -> None:
        self._mean += self._share * (seen.failed - self._mean)
        above = self._mean - self._middle
        self.on = above > self._limit or (self.on and above > self._limit / 2)

    def end(self, day: int) -> None:
        """Days without answers change nothing."""


DETECTORS: Final = (
    Detector("p-chart", lambda z, _, target: Monthly(z, target), 3.0, 8.0, 1.0, daily=True),
    Detector("p-chart-rules", lambda z, _, target: Ruled(z, target), 3.0, 8.0, 1.0, daily=True),
    Detector("ewma", lambda z, _, target: Ewma(0.02, z, target), 3.0, 8.0, 1.0),
    Detector("ewma-slow", lambda z, _, target: Ewma(0.01, z, target), 2.95, 8.0, 1.0),
)
