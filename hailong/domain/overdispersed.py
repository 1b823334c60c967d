"""Counts and shares that vary more than chance alone makes them: their tails, and how much more, estimated from the past. Pure.

Counts: negative binomial with variance mean + spread·mean² (spread: the relative variance of the true rate). Shares: beta-binomial, where
rho is the correlation of two dossiers of the same unit and period; variance n·p·(1 - p)·(1 + (n - 1)·rho). Both are the usual mixtures
(J. M. Hilbe, Negative Binomial Regression, 2nd ed. 2011, ch. 8; J. G. Skellam, J. R. Stat. Soc. B 1948, 10, 257-261).

Spread and rho are moments, weighted by what each period can tell, and drawn from a unit's own past towards everybody's: few weeks of a
small unit say little about its own. Half a standard error is added, since a spread that is guessed too small rings falsely.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hailong.domain.exact import at_least, beta_cdf
from hailong.domain.shares import expit, logit

LEAST: Final = 1e-4
"""Of spread and rho: under it the mixtures are Poisson and binomial for any count here."""
MOST: Final = 0.5
"""Of rho."""
_USUAL_SPREAD: Final = 0.1
_USUAL_RHO: Final = 0.02
"""Where weights are the best ones; elsewhere they are a little worse, never wrong."""
_FLOOR: Final = 0.02
"""Of what everybody's is taken to be when it says how far a unit's own may lie from it (as a spread)."""
_FLOOR_RHO: Final = 0.005
CAUTION: Final = 0.5
"""Standard errors that are added to a spread."""
_CLIPPED: Final = 6.635
"""Squared z that one unit in a hundred exceeds by chance: what lies further out counts as that."""
_ROUNDS: Final = 12
_PRECISE: Final = 1e-13
_WIDEST: Final = 3.0
"""Of the log odds between units: e^3 either way."""
_RARE: Final = 0.005
"""p(1 - p) under which a rho, and the error of it, say nothing of log odds any more: their variance is taken as there."""
_FAR: Final = 7.0
_STEP: Final = 0.1
"""Of the integral over units, in standard deviations."""


@dataclass(frozen=True)
class Moments:
    """What periods say of a spread or rho: ``total`` ÷ ``weight`` estimates it, with variance 2 ÷ ``weight``."""

    total: float = 0.0
    weight: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.total + other.total, self.weight + other.weight)

    def __sub__(self, other: Moments) -> Moments:
        return Moments(self.total - other.total, self.weight - other.weight)

    @property
    def value(self) -> float:
        """Never below 0; 0 of nothing."""
        return max(0.0, self.total / self.weight) if self.weight > 0 else 0.0


def of_counts(pairs: Iterable[tuple[float, float]]) -> Moments:
    """The spread from (observed, expected) counts. ((x - e)² - e) ÷ e² has the spread as its mean."""
    whole = Moments()
    for x, e in pairs:
        if e > 0:
            unit = (1 + _USUAL_SPREAD * e) ** 2
            whole += Moments(((x - e) ** 2 - e) / unit, e * e / unit)
    return whole


def of_neighbours(pairs: Iterable[tuple[float, float, float, float]]) -> Moments:
    """The part of the spread that stays from one period to the next, from (x, e) of a period and (x, e) of the following one."""
    whole = Moments()
    for x, e, following, expected in pairs:
        unit = (1 + _USUAL_SPREAD * e) * (1 + _USUAL_SPREAD * expected)
        whole += Moments((x - e) * (following - expected) / unit, e * expected / unit)
    return whole


def of_shares(parts: Iterable[tuple[int, int, float]]) -> Moments:
    """rho from (k, n, p): k of n where the share p was expected. ((k - np)² ÷ npq - 1) ÷ (n - 1) has rho as its mean."""
    whole = Moments()
    for k, n, p in parts:
        if n > 1 and 0 < p < 1:
            weight = ((n - 1) / (1 + (n - 1) * _USUAL_RHO)) ** 2
            whole += Moments(weight * ((k - n * p) ** 2 / (n * p * (1 - p)) - 1) / (n - 1), weight)
    return whole


def of_units(parts: Iterable[tuple[int, int, float]]) -> float:
    """rho between units, each (k, n, p) with n > 1, with ``CAUTION``. Those far out are drawn in, so that a few bad ones do not excuse
    themselves."""
    each = [((k - n * p) ** 2 / (n * p * (1 - p)), n) for k, n, p in parts if n > 1 and 0 < p < 1]
    weights = [((n - 1) / (1 + (n - 1) * _USUAL_RHO)) ** 2 for _, n in each]
    whole, rho = math.fsum(weights), MOST
    if not whole:
        return MOST
    for _ in range(_ROUNDS):
        drawn = (w * (min(z, _CLIPPED * (1 + (n - 1) * rho)) - 1) / (n - 1) for (z, n), w in zip(each, weights, strict=True))
        rho = max(0.0, math.fsum(drawn) / whole)
    return min(MOST, rho + CAUTION * math.sqrt(2 / whole) + LEAST)


def far_out(k: int, n: int, p: float, rho: float) -> bool:
    """Whether k of n lies further from the share p than one unit in a hundred does by chance."""
    return (k - n * p) ** 2 > _CLIPPED * n * p * (1 - p) * (1 + (n - 1) * rho)


def drawn_together(own: Moments, everybody: Moments, floor: float = _FLOOR) -> float:
    """A unit's spread with ``CAUTION``: its own and everybody's by their weights, as if units' spreads differed among each other
    by as much as everybody's is (but ``floor``). Never under everybody's: what looks steadier is mostly luck."""
    common = everybody.value
    prior = 2 / max(common, floor) ** 2
    weight = own.weight + prior
    value = max(0.0, (own.total + prior * common) / weight)
    return max(LEAST, max(value, common) + CAUTION * math.sqrt(2 / weight))


def rho_together(own: Moments, everybody: Moments) -> float:
    """The same of rho, at most ``MOST``."""
    return min(MOST, drawn_together(own, everybody, _FLOOR_RHO))


def count_at_least(k: int, mean: float, spread: float) -> float:
    """P(X ≥ k) of a negative binomial count. ``mean`` > 0, ``spread`` > 0."""
    return 1.0 if k <= 0 else beta_cdf(_chance(mean, spread), k, 1 / spread)


def count_at_most(k: int, mean: float, spread: float) -> float:
    """P(X ≤ k)."""
    return 0.0 if k < 0 else beta_cdf(1 - _chance(mean, spread), 1 / spread, k + 1)


def none_at_all(mean: float, spread: float) -> float:
    """P(X = 0)."""
    return math.exp(-math.log1p(mean * spread) / spread)


def share_at_most(k: int, n: int, p: float, rho: float) -> float:
    """P(K ≤ k) of a beta-binomial count of ``n``; 0 < p < 1, 0 < rho < 1."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    a, b = _shapes(p, rho)
    return min(1.0, _outward(k, n, a, b)) if k <= n * p else max(0.0, 1 - _outward(n - k - 1, n, b, a))


def share_at_least(k: int, n: int, p: float, rho: float) -> float:
    """P(K ≥ k)."""
    return share_at_most(n - k, n, 1 - p, rho)


def among_units_at_least(k: int, n: int, p: float, rho: float) -> float:
    """P(K ≥ k) where the log odds of units' shares are normal about those of ``p``, with the variance that ``rho`` is there: units differ
    with a longer tail than a beta has. By the trapezoidal rule."""
    wide, middle = min(_WIDEST, math.sqrt(rho / max(_RARE, p * (1 - p)))), logit(p)
    steps = [i * _STEP for i in range(round(-_FAR / _STEP), round(_FAR / _STEP) + 1)]
    weights = [math.exp(-z * z / 2) for z in steps]
    tails = (weight * at_least(k, n, expit(middle + wide * z)) for z, weight in zip(steps, weights, strict=True))
    return min(1.0, math.fsum(tails) / math.fsum(weights))


def _chance(mean: float, spread: float) -> float:
    return mean * spread / (1 + mean * spread)


def _shapes(p: float, rho: float) -> tuple[float, float]:
    both = 1 / rho - 1
    return p * both, (1 - p) * both


def _outward(k: int, n: int, a: float, b: float) -> float:
    """P(K ≤ k), summed from k down: on the far side of the mean the terms fall quickly."""
    term = math.exp(
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        + math.lgamma(k + a) + math.lgamma(n - k + b) - math.lgamma(n + a + b)
        + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    )  # fmt: skip
    total = 0.0
    for j in range(k, -1, -1):
        total += term
        if not j or (term < _PRECISE * total and j * (b + n - j) < (n - j + 1) * (a + j - 1)):
            break
        term *= j * (b + n - j) / ((n - j + 1) * (a + j - 1))
    return total
