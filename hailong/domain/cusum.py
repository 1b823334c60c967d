"""Detector A, "below the target": a risk-adjusted CUSUM of Bernoulli answers with a threshold that follows the volume.

Pure, O(1) an answer, no history read. Every answer brings its own reference: the probability that it is not satisfied where the unit meets
its target, and the target of the dossier's day, so that a target that rises by years needs no new start. S. H. Steiner et al. 2000
(risk-adjusted CUSUM); J. M. Lucas & R. B. Crosier 1982 (head start); A. Gandy & F. D.-H. Lau 2013 (a chart that is capped, not restarted).

``exp(s)`` multiplies by a predictable e-value at each answer: from ``s`` = 0 the expected number of answers until a false raise is at
least exp(threshold), whatever the order of the answers (J. Shin, A. Ramdas & A. Rinaldo 2024). The head start spends a part of that.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, Literal

import msgspec

YEAR: Final = 365
USUAL: Final = 240.0
"""Answers a year at which ``Rule.base`` is the threshold."""
GAP: Final = 0.06
"""How far below the target a unit is that shall be found."""
CLEAR_AT: Final = 0.3
FEWEST: Final = 10
"""No unit is raised on fewer answers: privacy, and nobody would believe it."""
_LEAST, _MOST = 1.0, 12.0
_SLOPE: Final = 0.5
_PRIOR_ANSWERS, _PRIOR_DAYS = 5, 30
_REMEMBERED: Final = 2 * YEAR

Step = Literal["raised", "cleared"]


class Volume(msgspec.Struct, array_like=True):
    """How many answers a year a unit gets, from what it got since it is known; after two years the older half counts for less."""

    since: int
    """Day the unit became known: of deployment, or its own first."""
    n: float = 0.0

    def per_year(self, day: int) -> float:
        """Answers a year, before any of ``day`` that was not yet taken; drawn towards 61 while little is known."""
        return YEAR * (self.n + _PRIOR_ANSWERS) / (day - self.since + _PRIOR_DAYS)

    def take(self, day: int) -> float:
        """The answers a year as they were before this answer, which is then counted. Days never fall."""
        if day - self.since > _REMEMBERED:
            self.n /= 2
            self.since = day - (day - self.since) // 2
        before = self.per_year(day)
        self.n += 1
        return before


def threshold(per_year: float, base: float) -> float:
    """Where a chart raises: higher with the volume, so that small and large units are raised falsely about equally often a year."""
    return min(max(base + _SLOPE * math.log(per_year / USUAL), _LEAST), _MOST)


@lru_cache(maxsize=4096)
def odds_ratio(target: float, gap: float = GAP) -> float:
    """The odds of not being satisfied ``gap`` below ``target``, against those at the target.

    Raises ValueError unless 0 < gap < target < 1.
    """
    if not 0 < gap < target < 1:
        raise ValueError(f"target {target}, gap {gap}: needs 0 < gap < target < 1")
    return (1 - target + gap) / (target - gap) * target / (1 - target)


def weight(failed: bool, reference: float, ratio: float) -> float:
    """What an answer adds: the log likelihood ratio of odds ``ratio`` times those of ``reference``, against ``reference``."""
    return (math.log(ratio) if failed else 0.0) - math.log(1 - reference + ratio * reference)


class Rule(msgspec.Struct, frozen=True):
    """A way to judge. ``PUBLISHED`` is the chart as its reference values describe it; ``BELOW`` raises alike and clears sooner
    (docs/decisions/0011-detectors.md)."""

    base: float
    """Threshold at 240 answers a year."""
    recovery: float | None = None
    """Log likelihood ratio, target against the level of the run, at which an alert clears; None: when ``s`` is at 0.3 of the threshold."""
    head_start: float = 0.5
    """Share of the threshold with which a unit begins."""


PUBLISHED: Final = Rule(4.0)
BELOW: Final = Rule(4.0, recovery=4.5)
WATCH: Final = Rule(2.5)
_RUN_PRIOR: Final = 30.0
_RUN_GAP: Final = 0.02
_RUN_MOST: Final = 0.20


class Run(msgspec.Struct, array_like=True):
    """The answers since the chart last left 0: what a sentence about the alert tells."""

    since: int
    n: int = 0
    failed: int = 0
    expected: float = 0.0
    """How many not satisfied a unit on its target would have had."""


class Chart(msgspec.Struct, array_like=True):
    """One CUSUM. While it is on and its rule has a ``recovery``: ``better``, the evidence that the unit is back at its target; of the
    answers of the run, ``streak_n`` with ``streak_failed`` came since that last left 0, ``past_n`` with ``past_failed`` before."""

    s: float = 0.0
    on: bool = False
    better: float = 0.0
    past_n: int = 0
    past_failed: int = 0
    streak_n: int = 0
    streak_failed: int = 0

    def step(self, x: float, h: float, failed: bool, reference: float, rule: Rule, may_raise: bool) -> Step | None:
        """Take an answer after which the sum is ``x``, its threshold ``h``."""
        self.s = 0.0 if x <= 0 else min(x, h)
        if not self.on:
            if x >= h and may_raise:
                self.on = True
                return "raised"
            return None
        if self.s <= CLEAR_AT * h if rule.recovery is None else self._recovered(failed, reference, rule.recovery):
            self.close()
            return "cleared"
        return None

    def begin(self, run: Run) -> None:
        """The run that raised is what a recovery is held against."""
        self.past_n, self.past_failed = run.n, run.failed

    def close(self) -> None:
        """Off, without evidence."""
        self.s, self.on, self.better = 0.0, False, 0.0
        self.past_n = self.past_failed = self.streak_n = self.streak_failed = 0

    def _recovered(self, failed: bool, reference: float, wanted: float) -> bool:
        """Whether the answers speak for the target against the level of the run: ``exp(wanted)`` times more likely. The answers that speak
        so are kept out of that level until they stop doing so: else a recovery would hide itself."""
        level = (self.past_failed + _RUN_PRIOR * (reference + _RUN_GAP)) / (self.past_n + _RUN_PRIOR)
        level = min(max(level, reference + _RUN_GAP), reference + _RUN_MOST)
        self.better += math.log(reference / level) if failed else math.log((1 - reference) / (1 - level))
        self.streak_n += 1
        self.streak_failed += failed
        if self.better <= 0:
            self.better = 0.0
            self.past_n += self.streak_n
            self.past_failed += self.streak_failed
            self.streak_n = self.streak_failed = 0
        return self.better >= wanted


class Below(msgspec.Struct, array_like=True):
    """The state of one unit; ``volume`` begins on the day the unit is first known (at the latest its first answer)."""

    volume: Volume
    run: Run
    answers: int = 0
    alert: Chart = msgspec.field(default_factory=Chart)
    watch: Chart = msgspec.field(default_factory=Chart)

    def observe(self, day: int, failed: bool, target: float, reference: float | None = None, rule: Rule = BELOW) -> Step | None:
        """Take one answer: the step of the alert it causes, if any; ``watch.on`` may change silently. Days never fall.

        ``reference``: the probability that it is not satisfied where the unit meets ``target``; None: 1 - target.
        """
        r = 1 - target if reference is None else reference
        step = weight(failed, r, odds_ratio(target))
        per_year = self.volume.take(day)
        h, low = threshold(per_year, rule.base), threshold(per_year, WATCH.base)
        alert, watch = self.alert, self.watch
        if not self.answers:
            alert.s, watch.s = rule.head_start * h, WATCH.head_start * low
        self.answers += 1
        x = alert.s + step
        self._run_on(day, failed, r, x <= 0)
        enough = self.answers >= FEWEST
        watch.step(watch.s + step, low, failed, r, WATCH, enough)
        done = alert.step(x, h, failed, r, rule, enough)
        if done == "raised":
            alert.begin(self.run)
        elif done == "cleared":
            self.run = Run(day)
        return done

    def _run_on(self, day: int, failed: bool, reference: float, over: bool) -> None:
        run = self.run
        if over:
            run.since, run.n, run.failed, run.expected = day, 0, 0, 0.0
        else:
            run.n += 1
            run.failed += failed
            run.expected += reference

    def fixed(self, day: int) -> None:
        """Somebody has put it right: the evidence so far is void; new evidence can raise again."""
        self.alert.close()
        self.watch.close()
        self.run = Run(day)


def known(day: int) -> Below:
    """The state of a unit that becomes known on ``day``."""
    return Below(Volume(day), Run(day))
