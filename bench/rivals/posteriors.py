"""What one believes of the rate, forgetting by halves; and the e-detector of Shiryaev and Roberts."""

from __future__ import annotations

import math
from typing import Final

from hailong.domain.cusum import odds_ratio
from hailong.domain.evidence import probability_below
from ops.alerting.running import Detector, Seen

_HALF_LIFE: Final = 90.0
_STRENGTH: Final = 20.0
_CLEARS: Final = 0.5
_GAPS: Final = (0.03, 0.06, 0.10, 0.15)
_FEWEST: Final = 10


class Believed:
    """P(rate < target) from a Beta prior of 20 answers at the target, answers halved every 90 days; on until it is as likely as not."""

    def __init__(self, doubt: float, target: float) -> None:
        self._raises, self._target = 1 - doubt, target
        self._n = self._satisfied = 0.0
        self._day, self._seen = 0, 0
        self.on = False

    def take(self, seen: Seen) -> None:
        left = 0.5 ** ((seen.day - self._day) / _HALF_LIFE)
        self._n, self._satisfied, self._day = self._n * left + 1, self._satisfied * left + (not seen.failed), seen.day
        self._seen += 1
        p = probability_below(self._target, self._satisfied, self._n, self._target, _STRENGTH)
        self.on = (p > self._raises and self._seen >= _FEWEST) or (self.on and p >= _CLEARS)

    def end(self, day: int) -> None:
        """Days without answers change nothing."""


class ShiryaevRoberts:
    """A mixture of likelihood ratios over four depths of the fall, summed over every possible day of it; on until it is back at a tenth.
    The setting is the logarithm of the limit."""

    def __init__(self, limit: float, target: float) -> None:
        self._limit, self._reference = math.exp(limit), 1 - target
        ratios = [odds_ratio(target, gap) for gap in _GAPS]
        self._steps = [(r / (1 - self._reference + r * self._reference), 1 / (1 - self._reference + r * self._reference)) for r in ratios]
        self._sums = [0.0] * len(ratios)
        self._seen = 0
        self.on = False

    def take(self, seen: Seen) -> None:
        self._seen += 1
        most = 10 * self._limit
        self._sums = [min((m + 1) * (bad if seen.failed else good), most) for m, (bad, good) in zip(self._sums, self._steps, strict=True)]
        mean = sum(self._sums) / len(self._sums)
        self.on = (mean > self._limit and self._seen >= _FEWEST) or (self.on and mean > self._limit / 10)

    def end(self, day: int) -> None:
        """Days without answers change nothing."""


DETECTORS: Final = (
    Detector("bayes", lambda doubt, _, target: Believed(doubt, target), 0.05, 1e-6, 0.4),
    Detector("shiryaev-roberts", lambda limit, _, target: ShiryaevRoberts(limit, target), 7.0, 14.0, 2.0),
)
