"""How much of reality a figure stands on, and what those who did not answer could do to it. Pure.

Everything is about the endings of one unit (or province) in one period, as dossiers. Three figures, always named:

- **observed**: satisfied ÷ n of the answers given away from the desk. It says nothing of anybody else.
- **sensitivity**: everybody who did not answer is taken to be like those who had not answered and were called afterwards. Their odds of
  being satisfied are ``ratio`` times the odds of those who answered, and ``ratio`` is measured (``Leaning``). Since the dossiers of people
  who answered are known, only the rest is shifted; with few answers that comes to "true odds = k x observed odds", where the unhappy are
  k times as likely to answer as the happy (``times_as_likely``).
- **worst case**: nothing is assumed. Low: all who did not answer are unhappy; high: all are happy. No sampling error: these are bounds of
  the share among the very dossiers that ended.

**What cannot raise the worst case's low end.** It is satisfied ÷ ended. Where ``basis`` is ``portal``, ended comes from elsewhere and the
unit cannot make it smaller by what it tells hailong; then, of the same people and the same draw, none of these raises it, alone or
together: hiding dossiers from hailong, hiding or spoiling contacts (fewer are asked or reached), keeping unhappy people from answering or
having their answers taken back, moving answers to the desk, "not applicable" instead of a bad score. Each leaves the number of satisfied
answers as it is or lowers it. What it costs depends on whom it hits: who hides only the unhappy gains nothing and loses nothing *here*
(his observed figure rises, and his coverage falls, which is what the shares are for).

**What can raise it**, and has to be found otherwise: answers given in the name of citizens (the doors look for pressure, and calls check),
citizens talked into a better score, invented dossiers that "answer", endings moved to another unit or month, a portal whose totals the
unit itself can lower, and sampling: a unit that hides dossiers until the rules ask a larger share of small units has more answers (its
coverage says so). Where ``basis`` is ``heard``, hiding an unhappy dossier does raise it: without totals of another origin no figure can
know what it was never told. The high end, the observed figure and the sensitivity are not protected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from hailong.domain.scoring import Z95, Counts
from hailong.domain.shares import Estimate, Share, shifted

FEWEST_CALLS: Final = 30
"""Calls with a score before a unit has a ratio of its own (product default). With 24 of 30 satisfied its interval goes 2.5 times either
way; with fewer it says nothing that the province's does not say better."""

Basis = Literal["portal", "heard"]
Source = Literal["own", "province"]


@dataclass(frozen=True)
class Coverage:
    """Dossiers of a unit and period. What was said at the desk, and what waits for a person to look at, counts as no answer."""

    heard: int
    """Endings hailong was told of."""
    asked: int
    """Of them, those whose person was to be written to."""
    reached: int
    """Of them, those to whom a message was delivered."""
    answered: int
    """Answers away from the desk, "not applicable" included. Whoever came by a slip need not have been asked."""
    n: int
    """Of them, those with a score."""
    satisfied: int
    """Of them, those with 4 or 5."""
    totals: int | None = None
    """Endings by the portal's monthly totals; None when nobody imported them."""

    @classmethod
    def of(cls, counts: Counts, totals: int | None = None) -> Coverage:
        """From the integers of the store."""
        return cls(counts.ended, counts.asked, counts.reached, counts.answered, counts.n, counts.satisfied, totals)

    @property
    def ended_known(self) -> int:
        """Endings there were, as far as anybody knows: never fewer than hailong itself has seen."""
        return max(self.heard, self.asked, self.reached, self.answered, self.totals or 0)

    @property
    def basis(self) -> Basis:
        """Where ``ended_known`` comes from. Totals below what was seen are evidently incomplete: then it is ``heard``."""
        return "portal" if self.totals is not None and self.totals == self.ended_known else "heard"


@dataclass(frozen=True)
class Shares:
    """Coverage as shares of the endings known."""

    heard: Share | None
    """None without usable totals: how much hailong does not hear of is then unknown, not nothing."""
    asked: Share
    reached: Share
    answered: Share


@dataclass(frozen=True)
class Band:
    """Two ends of a figure, fractions, low ≤ high."""

    low: float
    high: float


@dataclass(frozen=True)
class Leaning:
    """How the silent differ from those who answer. ``ratio``: the odds of being satisfied of who had not answered and was called, divided
    by the odds of those who answered; above 1 the unhappy answer more readily. ``low``, ``high``: its interval, 95 %."""

    ratio: float
    low: float
    high: float
    calls: int
    """Calls with a score it rests on."""
    source: Source


@dataclass(frozen=True)
class Three:
    """The three figures of a unit and period. The first two are None when nobody answered; the second also when nobody was called."""

    observed: Estimate | None
    sensitivity: Estimate | None
    worst_case: Band


def shares(cover: Coverage) -> Shares:
    """What part of the endings each step still holds."""
    ended = cover.ended_known
    heard = Share(cover.heard, ended) if cover.basis == "portal" else None
    return Shares(heard, Share(cover.asked, ended), Share(cover.reached, ended), Share(cover.answered, ended))


def three(cover: Coverage, leaning: Leaning | None) -> Three:
    """Observed, sensitivity and worst case."""
    return Three(observed(cover), sensitivity(cover, leaning) if leaning else None, worst_case(cover))


def observed(cover: Coverage) -> Estimate | None:
    """Satisfied ÷ n with Wilson's interval; None when nobody answered."""
    share = Share(cover.satisfied, cover.n)
    return None if share.rate is None else Estimate(share.rate, *share.interval, cover.n)


def worst_case(cover: Coverage) -> Band:
    """Low: everybody without a score is unhappy; high: everybody is happy. (0, 1) when nothing ended. See the module for what it
    resists."""
    ended = cover.ended_known
    if not ended:
        return Band(0.0, 1.0)
    return Band(cover.satisfied / ended, (ended - cover.n + cover.satisfied) / ended)


def sensitivity(cover: Coverage, leaning: Leaning) -> Estimate | None:
    """The share of satisfied among all endings if the silent are like those called; None when nobody answered.

    The interval joins the sampling error of the observed rate and that of the ratio by squaring and adding their distances (Zou & Donner
    2008, Statistics in Medicine 27, 1693-1702). They are taken as independent: for a ratio of one's own that is a little too wide.
    """
    seen = observed(cover)
    if seen is None:
        return None
    known = cover.n / cover.ended_known

    def of_all(rate: float, ratio: float) -> float:
        return known * rate + (1 - known) * shifted(rate, ratio)

    value = min(1.0, of_all(seen.value, leaning.ratio))
    below = math.hypot(value - of_all(seen.low, leaning.ratio), value - of_all(seen.value, leaning.low))
    above = math.hypot(of_all(seen.high, leaning.ratio) - value, of_all(seen.value, leaning.high) - value)
    return Estimate(value, max(0.0, value - below), min(1.0, value + above), cover.n)


def times_as_likely(cover: Coverage, leaning: Leaning) -> float | None:
    """k: how many times as likely the unhappy are to answer as the happy: odds of everybody by ``sensitivity`` ÷ odds observed.

    None when nobody answered, or when all of them said the same.
    """
    whole = sensitivity(cover, leaning)
    if whole is None or cover.satisfied in (0, cover.n):
        return None
    return whole.value / (1 - whole.value) * (cover.n - cover.satisfied) / cover.satisfied


def measured(answered: Share, called: Share, source: Source = "own") -> Leaning:
    """The ratio from a 2x2 table: satisfied of those who answered, and satisfied of those who had not and were called (drawn by lot).

    Odds ratio with a half added to every cell (Haldane 1956; Anscombe 1956) and Woolf's interval of its logarithm (Woolf 1955). Who was
    called and did not answer then either stays unknown.
    """
    cells = [called.k, called.n - called.k, answered.k, answered.n - answered.k]
    happy, unhappy, happy_before, unhappy_before = (count + 0.5 for count in cells)
    ratio = happy * unhappy_before / (unhappy * happy_before)
    error = math.sqrt(sum(1 / (count + 0.5) for count in cells))
    return Leaning(ratio, ratio * math.exp(-Z95 * error), ratio * math.exp(Z95 * error), called.n, source)


def pooled(units: Sequence[tuple[Share, Share]]) -> Leaning | None:
    """The province's ratio from all units' pairs (answered, called); None with fewer than ``FEWEST_CALLS`` calls in all.

    Within a unit everybody is drawn with the same probability, between units not: quiet ones are called more. So each unit's table is a
    stratum (Mantel & Haenszel 1959) and no unit counts for more because more of its people were called; the interval of the logarithm is
    that of Robins, Breslow & Greenland 1986, Biometrics 42, 311-323. Where the strata have no ratio (all called say the same), the sums of
    all are taken as one table.
    """
    answered, called = (sum(parts, Share(0, 0)) for parts in ([a for a, _ in units], [c for _, c in units]))
    if called.n < FEWEST_CALLS:
        return None
    up = down = first = mixed = last = 0.0
    for before, one in units:
        n = before.n + one.n
        if n:
            r, s = one.k * (before.n - before.k) / n, (one.n - one.k) * before.k / n
            p, q = (one.k + before.n - before.k) / n, (one.n - one.k + before.k) / n
            up, down, first, mixed, last = up + r, down + s, first + p * r, mixed + p * s + q * r, last + q * s
    if not up or not down:
        return measured(answered, called, "province")
    ratio, error = up / down, math.sqrt((first / up**2 + mixed / (up * down) + last / down**2) / 2)
    return Leaning(ratio, ratio * math.exp(-Z95 * error), ratio * math.exp(Z95 * error), called.n, "province")


def leaning(own: tuple[Share, Share], province: Leaning | None) -> Leaning | None:
    """A unit's ratio, ``own`` being its (answered, called): its own from ``FEWEST_CALLS`` on, else the province's; None when nobody knows:
    then no figure is made up."""
    return measured(*own) if own[1].n >= FEWEST_CALLS else province
