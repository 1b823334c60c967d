"""A share and how sure it is; odds, and what moves them. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hailong.domain.scoring import Z95, wilson


@dataclass(frozen=True)
class Share:
    """``k`` of ``n``, both counts, 0 ≤ k ≤ n."""

    k: int
    n: int

    @property
    def rate(self) -> float | None:
        """k ÷ n as a fraction; None of nothing."""
        return self.k / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, two-sided 95 %, as fractions; (0, 1) of nothing."""
        return wilson(self.k, self.n)

    def __add__(self, other: Share) -> Share:
        return Share(self.k + other.k, self.n + other.n)


@dataclass(frozen=True)
class Estimate:
    """A fraction and the interval it is believed to lie in, low ≤ value ≤ high within [0, 1]; ``n_eff``: as many answers, each of the same
    weight, would be as sure."""

    value: float
    low: float
    high: float
    n_eff: float


def wilson_effective(rate: float, n_eff: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's interval of a share that was not counted but computed, (low, high) within [0, 1]; ``n_eff`` answers, not always a whole
    number, stand for its variance. (0, 1) for none. Of a counted share it is ``scoring.wilson``.
    """
    if n_eff <= 0:
        return 0.0, 1.0
    spread = z * z / n_eff
    middle = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(max(0.0, rate * (1 - rate)) / n_eff + spread / (4 * n_eff))
    return max(0.0, min(rate, middle - half)), min(1.0, max(rate, middle + half))


def logit(share: float) -> float:
    """ln(share ÷ (1 - share)) of a share strictly between 0 and 1."""
    return math.log(share) - math.log1p(-share)


def expit(x: float) -> float:
    """The share with that logit."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def shifted(share: float, ratio: float) -> float:
    """The share whose odds are ``ratio`` times those of ``share``: 0.9 and 1.3 give 0.921."""
    return ratio * share / (ratio * share + 1 - share)
