"""Rates that can be compared: one mix of fields for all units, answers weighted to the dossiers they stand for, small units leaning on
their parent. Pure; nothing here is ever fed to an alarm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hailong.domain.exact import beta_quantile
from hailong.domain.scoring import PRIVACY_LIMIT
from hailong.domain.shares import Estimate, Share, wilson_effective

LEAST: Final = 1 / 3
MOST: Final = 3.0
"""Weights are trimmed to these: beyond, a handful of answers would speak for a province (alerts.md 4.11)."""
PRIOR: Final = 20.0
"""Answers the parent's rate counts as (alerts.md 4.8)."""
PSEUDO: Final = 50.0
"""Answers the parent's mean counts as in the rate of each of its fields (alerts.md 4.6)."""
_SURE: Final = 0.01

Key = tuple[str, str]
"""(field, channel)."""


@dataclass(frozen=True)
class Standardised:
    """A unit's rate at the reference mix."""

    estimate: Estimate
    error: float
    """Standard error, as a fraction."""
    covered: float
    """Share of the reference mix in whose fields the unit has answers; the rest is left out, and the others fill its place. Two units are
    comparable as far as both are near 1."""


@dataclass(frozen=True)
class Stratum:
    """What ended and what was said in a cell."""

    ended: int
    answers: Share
    """Satisfied of n."""

    def __add__(self, other: Stratum) -> Stratum:
        return Stratum(self.ended + other.ended, self.answers + other.answers)


@dataclass(frozen=True)
class Merged:
    """Cells that are weighted as one. ``weight`` of each of its answers, after trimming (1: stands for as many dossiers as the mean)."""

    cells: tuple[Key, ...]
    stratum: Stratum
    weight: float
    trimmed: bool


@dataclass(frozen=True)
class Weighted:
    """A rate weighted by coverage, and the cells it was made from."""

    estimate: Estimate
    n: int
    """Answers, unweighted."""
    cells: tuple[Merged, ...]


def standardised(fields: Mapping[str, Share], mix: Mapping[str, float]) -> Standardised | None:
    """Direct standardisation: Σ mix x rate over the fields. ``mix``: reference shares, in any unit; None when no field of it has answers.

    Variance Σ mix² p(1-p)/n, each p drawn to a half by two answers, (s + 1)/(n + 2), so that a field without a single complaint is not
    taken for certain. The interval is Wilson's with as many answers as would give the same variance (the way of Korn & Graubard 1998,
    Survey Methodology 24, 193-201, for shares of complex samples).
    """
    present = {name: share for name, share in sorted(fields.items()) if share.n and mix.get(name, 0.0) > 0}
    whole, kept = math.fsum(mix.values()), math.fsum(mix[name] for name in present)
    if not present:
        return None
    parts = [(mix[name] / kept, share) for name, share in present.items()]
    rate = min(1.0, math.fsum(part * share.k / share.n for part, share in parts))
    drawn = [(part, share.n, (share.k + 1) / (share.n + 2)) for part, share in parts]
    variance = math.fsum(part * part * p * (1 - p) / n for part, n, p in drawn)
    middle = math.fsum(part * p for part, _, p in drawn)
    n_eff = min(middle * (1 - middle) / variance, float(sum(n for _, n, _ in drawn)))
    return Standardised(Estimate(rate, *wilson_effective(rate, n_eff), n_eff), math.sqrt(variance), kept / whole)


def weighted(cells: Mapping[Key, Stratum]) -> Weighted | None:
    """Post-stratification by field x channel (alerts.md 4.11): w = share of the endings ÷ share of the answers, trimmed; Wilson's interval
    with n_eff = (Σw)² ÷ Σw² (Kish 1965). None when nobody answered. Endings count as heard; the order of ``cells`` does not matter.
    """
    merged = _merged(cells)
    ended, n = sum(s.ended for _, s in merged), sum(s.answers.n for _, s in merged)
    if not n:
        return None
    found = [_weighed(keys, stratum, ended, n) for keys, stratum in merged]
    total = math.fsum(m.weight * m.stratum.answers.n for m in found)
    rate = math.fsum(m.weight * m.stratum.answers.k for m in found) / total
    n_eff = total * total / math.fsum(m.weight * m.weight * m.stratum.answers.n for m in found)
    return Weighted(Estimate(rate, *wilson_effective(rate, n_eff), n_eff), n, tuple(found))


def expected(own: Mapping[str, Share], parent: Mapping[str, Share]) -> float | None:
    """What the parent's rates would give with the unit's own fields, as a fraction; None when the parent has no answers.

    Each field of the parent's is drawn to its mean by ``PSEUDO`` answers. A unit without answers is expected at the parent's mean.
    """
    whole = sum(parent.values(), Share(0, 0))
    mean = whole.rate
    if mean is None:
        return None
    rates = {name: (share.k + PSEUDO * mean) / (share.n + PSEUDO) for name, share in parent.items()}
    n = sum(share.n for share in own.values())
    return math.fsum(share.n * rates.get(name, mean) for name, share in own.items()) / n if n else mean


def shrunken(own: Share, parent: float) -> Estimate:
    """A small unit's estimate: its answers and ``PRIOR`` more at the ``parent`` rate (``expected``), (s + 20 m) ÷ (n + 20).

    The interval holds the middle 95 % of that Beta distribution. That all of the parent's people were satisfied is no certainty: ``parent``
    is held within 1 and 99 %. Never shown alone where n is under the privacy limit: it tells of the parent then.
    """
    mean = min(1 - _SURE, max(_SURE, parent))
    happy, unhappy = own.k + PRIOR * mean, own.n - own.k + PRIOR * (1 - mean)
    low, high = (beta_quantile(q, happy, unhappy) for q in (0.025, 0.975))
    return Estimate(happy / (happy + unhappy), low, high, own.n + PRIOR)


def _weighed(keys: tuple[Key, ...], stratum: Stratum, ended: int, n: int) -> Merged:
    """Without a single ending heard of (all came by slips) nothing is known of the mix: the weight is 1."""
    plain = stratum.ended / ended * n / stratum.answers.n if ended else 1.0
    weight = min(MOST, max(LEAST, plain))
    return Merged(keys, stratum, weight, weight != plain)


_Group = tuple[tuple[Key, ...], Stratum]


def _merged(cells: Mapping[Key, Stratum]) -> list[_Group]:
    """Cells of ``PRIVACY_LIMIT`` answers or more, or one cell: a smaller one joins the smallest other of its field, the fields that stay
    too small join each other in the same way. Ties go by name."""
    by_field: dict[str, list[_Group]] = {}
    for key in sorted(cells):
        by_field.setdefault(key[0], []).append(((key,), cells[key]))
    within = [group for groups in by_field.values() for group in _joined(groups)]
    return sorted(_joined(within))


def _joined(groups: Sequence[_Group]) -> list[_Group]:
    left = sorted(groups, key=_size)
    while len(left) > 1 and left[0][1].answers.n < PRIVACY_LIMIT:
        (a, one), (b, other), *rest = left
        left = sorted([(tuple(sorted(a + b)), one + other), *rest], key=_size)
    return left


def _size(group: _Group) -> tuple[int, tuple[Key, ...]]:
    return group[1].answers.n, group[0]
