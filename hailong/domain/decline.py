"""Detector B, "deteriorating": a unit against its own past, whatever its level. It sees falls that end above the target.

Pure, O(1) an answer: a CUSUM of Bernoulli answers against the rate of the unit's own baseline, which grows by quarters of 90 days that were
calm. What the whole province does at the same time (``Movement.factor``) is in the expected probability, and so is the field.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from hailong.domain.cusum import CLEAR_AT, Volume, threshold

BASE: Final = 4.5
RATIO: Final = 2.0
"""Odds of not being satisfied that are looked for: twice those of the past."""
_LN_RATIO: Final = math.log(RATIO)
BUCKET_DAYS: Final = 90
HELD_AT_MOST: Final = 3
ENOUGH: Final = 30
_PRIOR: Final = 3.0
_CAUTION: Final = 0.5
"""How much of its standard error the baseline is moved up by: a short past must not look better than it was."""
_LEAST, _MOST = 0.01, 0.60

DeclineStep = Literal["raised", "cleared", "settled"]


class Sums(msgspec.Struct, array_like=True):
    """Answers, those not satisfied, and how many of these were expected."""

    n: int = 0
    failed: int = 0
    expected: float = 0.0

    def take(self, other: Sums) -> None:
        self.n += other.n
        self.failed += other.failed
        self.expected += other.expected


class Decline(msgspec.Struct, array_like=True):
    """The state of one unit; ``volume`` begins on the day the unit is first known."""

    volume: Volume
    s: float = 0.0
    on: bool = False
    base: Sums = msgspec.field(default_factory=Sums)
    bucket: Sums = msgspec.field(default_factory=Sums)
    bucket_from: int = -1
    held: Sums = msgspec.field(default_factory=Sums)
    quarters: int = 0
    """How many quarters are held."""
    run_from: int = -1
    run: Sums = msgspec.field(default_factory=Sums)
    """Since ``s`` last left 0, ``expected`` by the reference."""

    def observe(self, day: int, failed: bool, expected: float, base: float = BASE) -> DeclineStep | None:
        """Take one answer; ``expected`` is the probability of not being satisfied in its field, with the province's movement.
        Days never fall. The step it causes, if any."""
        step = self._turn_quarters(day, base)
        h = threshold(self.volume.take(day), base)
        if self.base.n >= ENOUGH:
            step = self._judge(day, failed, expected, h) or step
        self.bucket.n += 1
        self.bucket.failed += failed
        self.bucket.expected += expected
        return step

    def _judge(self, day: int, failed: bool, expected: float, h: float) -> DeclineStep | None:
        reference = min(max(self.reference() * expected, _LEAST), _MOST)
        x = self.s + (_LN_RATIO if failed else 0.0) - math.log(1 - reference + RATIO * reference)
        if x <= 0:
            self.s, self.run, self.run_from = 0.0, Sums(), day
        else:
            self.s = min(x, h)
            self.run.n += 1
            self.run.failed += failed
            self.run.expected += reference
        if not self.on and x >= h:
            self.on = True
            return "raised"
        if self.on and self.s <= CLEAR_AT * h:
            self._close(day)
            return "cleared"
        return None

    def reference(self) -> float:
        """The unit's own rate against what was expected of it, moved up a little where the past is short."""
        seen = self.base.failed + _PRIOR
        return seen / (self.base.expected + _PRIOR) * (1 + _CAUTION / math.sqrt(seen))

    def _turn_quarters(self, day: int, base: float) -> DeclineStep | None:
        """End every quarter that is over. A quarter under suspicion is held back from the baseline; after three the unit simply is at
        another level: these become its past."""
        if self.bucket_from < 0:
            self.bucket_from = day
        step: DeclineStep | None = None
        while day - self.bucket_from >= BUCKET_DAYS:
            self.bucket_from += BUCKET_DAYS
            self.held.take(self.bucket)
            self.bucket = Sums()
            if not self.on and self.s < threshold(self.volume.per_year(day), base) / 2:
                self.base.take(self.held)
                self.held, self.quarters = Sums(), 0
                continue
            self.quarters += 1
            if self.quarters >= HELD_AT_MOST:
                step = "settled" if self.on else step
                self.base, self.held, self.quarters = self.held, Sums(), 0
                self._close(day)
        return step

    def _close(self, day: int) -> None:
        self.s, self.on, self.run, self.run_from = 0.0, False, Sums(), day

    def fixed(self, day: int) -> None:
        """Somebody has put it right: the evidence so far is void, the past stays."""
        self._close(day)
