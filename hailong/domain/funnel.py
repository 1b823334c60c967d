"""Which units lie where chance alone would not put them: a funnel about the target instead of a league table. Pure.

Limits are probability limits about the target, not intervals about a unit: D. J. Spiegelhalter, Funnel plots for comparing institutional
performance, Statistics in Medicine 2005, 24, 1185-1202; over-dispersion by additive random effects: the same author, Handling
over-dispersion of performance indicators, Quality and Safety in Health Care 2005, 14, 347-351. For looking and for the monthly meeting,
not for the alarm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from hailong.domain.exact import at_least, at_most
from hailong.domain.shares import Share

WARNING: Final = 0.025
ALARM: Final = 0.001
"""In each tail: the limits of 95 % and 99.8 %."""
WINSORISED: Final = 0.10
"""Of the units at each end are drawn in before the spread is estimated, so that the bad ones do not excuse themselves."""
FALSE_SHARE: Final = 0.10
"""Of a monthly list, expected: Benjamini & Hochberg's q (alerts.md 4.8)."""

Place = Literal["far_below", "below", "inside", "above", "far_above"]


@dataclass(frozen=True)
class Limits:
    """Of the share of satisfied at ``n`` answers, as fractions: outside the inner ones lie 5 %, outside the outer ones 0.2 % of the units
    that are exactly on target."""

    n: int
    far_low: float
    low: float
    high: float
    far_high: float


@dataclass(frozen=True)
class Dispersion:
    """How much more units differ than chance makes them. ``phi``: winsorised mean of the squared z, 1 or less by chance alone; ``tau``:
    standard deviation of true rates between units, a fraction, 0 when chance explains all."""

    phi: float
    tau: float
    units: int


@dataclass(frozen=True)
class Placed:
    """A unit in the funnel."""

    unit: str
    answers: Share
    place: Place


@dataclass(frozen=True)
class Listed:
    """A unit of the monthly list. ``p``: probability that a unit exactly on target has as few satisfied, exact, one-sided."""

    unit: str
    answers: Share
    target: float
    p: float


def limits(n: int, target: float, tau: float = 0.0) -> Limits:
    """Limits about ``target`` (strictly between 0 and 1) at ``n`` ≥ 1 answers.

    Exact binomial ones, interpolated as in the paper's appendix so that a curve can be drawn: a unit lies beyond a limit exactly when the
    binomial tail from its count on is under the limit's probability. Over-dispersion widens each distance by √(1 + tau²n / target(1 -
    target)).
    """
    far_low, low = _lows(n, target, tau)
    far_unsatisfied, unsatisfied = _lows(n, 1 - target, tau)
    return Limits(n, far_low, low, 1 - unsatisfied, 1 - far_unsatisfied)


def place(answers: Share, target: float, tau: float = 0.0) -> Place:
    """Where a unit with at least one answer lies."""
    n, share = answers.n, answers.k / answers.n
    if share < target:
        far, near = _lows(n, target, tau)
        return "far_below" if share < far else "below" if share < near else "inside"
    far, near = _lows(n, 1 - target, tau)
    unsatisfied = (n - answers.k) / n
    return "far_above" if unsatisfied < far else "above" if unsatisfied < near else "inside"


def fewest_unsatisfied(n: int, target: float, tail: float = ALARM) -> int:
    """The least number of unsatisfied among ``n`` that a unit on target reaches with probability ``tail`` or less; n + 1 when none is so
    rare."""
    return next((k for k in range(n + 1) if at_least(k, n, 1 - target) <= tail), n + 1)


def dispersion(units: Mapping[str, Share]) -> Dispersion:
    """Estimated about the units' own mean. About a target that most units miss, the distance they have in common would pass for spread and
    hide the worst of them.

    z = (p - mean) ÷ s with s² = mean(1 - mean)/n, winsorised; tau² = max(0, (Iφ - (I - 1)) ÷ (Σw - Σw²/Σw)), w = 1/s² (the moment
    estimator of DerSimonian & Laird 1986). Winsorising makes φ a little too small, and so the limits a little too narrow.
    """
    counted = [share for share in units.values() if share.n]
    whole = sum(counted, Share(0, 0))
    if len(counted) < 2 or whole.k in (0, whole.n):
        return Dispersion(0.0, 0.0, len(counted))
    mean = whole.k / whole.n
    weights = [share.n / (mean * (1 - mean)) for share in counted]
    zs = _winsorised([(share.k / share.n - mean) * math.sqrt(w) for share, w in zip(counted, weights, strict=True)])
    squares, total = math.fsum(z * z for z in zs), math.fsum(weights)
    room = total - math.fsum(w * w for w in weights) / total
    tau2 = max(0.0, (squares - (len(counted) - 1)) / room)
    return Dispersion(squares / len(counted), math.sqrt(tau2), len(counted))


def placed(units: Mapping[str, Share], targets: Mapping[str, float], widened: bool = True) -> list[Placed]:
    """Every unit that has answers, in the order of their codes. ``widened``: with the over-dispersion of these very units."""
    tau = dispersion(units).tau if widened else 0.0
    return [Placed(unit, share, place(share, targets[unit], tau)) for unit, share in sorted(units.items()) if share.n]


def below_target(units: Mapping[str, Share], targets: Mapping[str, float], q: float = FALSE_SHARE) -> list[Listed]:
    """The monthly list: units that are below their target, the surest first; of the units on it a share of ``q`` or less is expected to be
    on target after all (Benjamini & Hochberg 1995, for units that are independent; exact p make it smaller still).
    """
    tested = [Listed(unit, s, targets[unit], at_most(s.k, s.n, targets[unit])) for unit, s in units.items() if s.n]
    tested.sort(key=lambda line: (line.p, line.unit))
    kept = max((rank for rank, line in enumerate(tested, 1) if line.p <= q * rank / len(tested)), default=0)
    return tested[:kept]


def _lows(n: int, target: float, tau: float) -> tuple[float, float]:
    """The outer and the inner limit below; those above are these for the unsatisfied."""
    wider = math.sqrt(1 + tau * tau * n / (target * (1 - target)))
    far, near = (max(0.0, target - wider * (target - _low(n, target, tail))) for tail in (ALARM, WARNING))
    return far, near


def _low(n: int, target: float, tail: float) -> float:
    """(r - α)/n: r is the least count whose lower tail reaches ``tail``, α how far it overshoots, in parts of the step."""
    r = _least_count(n, target, tail)
    under, upto = at_most(r - 1, n, target), at_most(r, n, target)
    return (r - (upto - tail) / (upto - under)) / n


def _least_count(n: int, target: float, tail: float) -> int:
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if at_most(middle, n, target) >= tail else (middle + 1, high)
    return low


def _winsorised(zs: list[float]) -> list[float]:
    ordered = sorted(zs)
    cut = int(WINSORISED * len(zs))
    least, most = ordered[cut], ordered[-1 - cut]
    return [min(most, max(least, z)) for z in zs]
