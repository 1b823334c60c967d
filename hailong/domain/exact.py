"""Exact probabilities of counts: binomial tails and the Beta distribution, to about twelve digits, without a library. Pure.

All of it rests on the regularised incomplete beta function by its continued fraction (Press et al., Numerical Recipes, 3rd ed. 2007, §6.4;
Abramowitz & Stegun 1964, 26.5.8), and on 26.5.24: a binomial tail is such a function.
"""

from __future__ import annotations

import math
from typing import Final

_STEPS: Final = 10_000
_TINY: Final = 1e-300
_PRECISE: Final = 1e-15
_HALVINGS: Final = 70
"""Of [0, 1]: beyond what a float can tell apart."""


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(Y ≤ x) for Y from Beta(a, b); a and b above 0, ``x`` a share."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # The fraction converges quickly on one side of the mean only.
    if x < (a + 1) / (a + b + 2):
        return min(1.0, front * _fraction(x, a, b) / a)
    return max(0.0, 1 - front * _fraction(1 - x, b, a) / b)


def beta_quantile(q: float, a: float, b: float) -> float:
    """The share under which Beta(a, b) lies with probability ``q``, by halving."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(middle, a, b) < q else (low, middle)
    return (low + high) / 2


def at_most(k: int, n: int, p: float) -> float:
    """P(X ≤ k) for X from Binomial(n, p)."""
    if k < 0:
        return 0.0
    return 1.0 if k >= n else beta_cdf(1 - p, n - k, k + 1)


def at_least(k: int, n: int, p: float) -> float:
    """P(X ≥ k) for X from Binomial(n, p)."""
    if k <= 0:
        return 1.0
    return 0.0 if k > n else beta_cdf(p, k, n - k + 1)


def _fraction(x: float, a: float, b: float) -> float:
    """Lentz's way through the continued fraction. Raises ValueError when it does not settle, which no count up to 10⁷ does."""
    c, d = 1.0, 1 / _far(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _far(1 + even * d), _far(1 + even / c)
        value *= d * c
        d, c = 1 / _far(1 + odd * d), _far(1 + odd / c)
        value *= d * c
        if abs(d * c - 1) < _PRECISE:
            return value
    raise ValueError(f"Beta({a}, {b}) at {x}: the continued fraction does not settle. These are more answers than it is made for.")


def _far(number: float) -> float:
    return number if abs(number) > _TINY else _TINY
