"""What a run of answers is worth as evidence: posterior of a small unit, e-values, and e-BH over many units.

Pure; for display, tests and the theory behind the charts, not the alarm itself: e-values alone were far too slow
(docs/decisions/0011-detectors.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from hailong.domain.exact import beta_cdf, beta_quantile


def jeffreys(satisfied: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Jeffreys' interval of a share, (low, high), with ends at 0 and 1 where all say the same; (0, 1) when nobody answered.
    L. D. Brown, T. T. Cai & A. DasGupta 2001."""
    if not n:
        return 0.0, 1.0
    a, b, tail = satisfied + 0.5, n - satisfied + 0.5, (1 - level) / 2
    low = 0.0 if satisfied == 0 else beta_quantile(tail, a, b)
    return low, 1.0 if satisfied == n else beta_quantile(1 - tail, a, b)


def probability_below(share: float, satisfied: float, n: float, mean: float, strength: float = 20.0) -> float:
    """P(rate < ``share``) after ``satisfied`` of ``n``, from a Beta prior worth ``strength`` answers at ``mean``.

    Looked at again and again it is no error rate."""
    return beta_cdf(share, satisfied + strength * mean, n - satisfied + strength * (1 - mean))


def e_values(steps: Iterable[float]) -> Iterator[float]:
    """The e-process whose logarithm moves by ``steps``: its product after each."""
    total = 0.0
    for step in steps:
        total += step
        yield math.exp(total)


def shiryaev_roberts(steps: Iterable[float]) -> Iterator[float]:
    """The sum over every possible day of a change: M = (M + 1) * e, after each step of the logarithm."""
    total = 0.0
    for step in steps:
        total = (total + 1) * math.exp(step)
        yield total


def e_bh(values: Sequence[float], alpha: float) -> list[int]:
    """Which of many hypotheses the e-BH procedure rejects, each with its e-value: places in ``values``, largest value first.

    R. Wang & A. Ramdas 2022: of these at most ``alpha`` are false in expectation, whatever the dependence. Not so for the largest value an
    e-process ever had.
    """
    order = sorted(range(len(values)), key=lambda i: -values[i])
    rejected = max((k for k, i in enumerate(order, start=1) if values[i] * alpha * k >= len(values)), default=0)
    return order[:rejected]
