"""How hard it is to satisfy in each field: what the province's own answers of the last twelve months say, and what of a target that leaves.

Pure, without clock: months and days come in as whole numbers. A table is made at the turn of a month and holds for all of it, so that an
answer is judged the same way whichever answers came before it that month; a stored alert can name the table's month. Only in the first
month of all it is made anew each day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from hailong.domain.shares import expit, logit

MONTHS: Final = 12
PSEUDO: Final = 50.0
"""Answers at the common rate that every field is given, so that a rare field does not swing."""
_LEAST, _MOST = 1e-6, 1 - 1e-6
_BISECTIONS: Final = 60
_WINDOW: Final = 30
_G_LOW, _G_HIGH = 0.8, 1.25


class Tally(msgspec.Struct, array_like=True):
    """Answers, and those of them not satisfied."""

    n: int = 0
    failed: int = 0


class Table(msgspec.Struct, frozen=True, array_like=True):
    """What holds during ``month``: by field the probability that an answer is not satisfied (``rates``) and its share of the answers
    (``mix``); ``common`` for a field nobody has answered about."""

    month: int
    common: float
    rates: dict[str, float]
    mix: dict[str, float]

    def expected(self, field: str) -> float:
        """The probability that an answer about ``field`` is not satisfied, at the province's level."""
        return self.rates.get(field, self.common)

    def offset(self, target: float) -> float:
        """The one constant on the logit that makes a province with this mix meet ``target`` exactly, every field as hard as it is."""
        return calibrated(self.rates, self.mix, 1 - target) if self.rates else logit(1 - target) - logit(self.common)

    def references(self, target: float) -> dict[str, float]:
        """By field the probability that an answer is not satisfied where the province meets ``target``."""
        shift = self.offset(target)
        return {field: expit(logit(rate) + shift) for field, rate in self.rates.items()}


def calibrated(rates: Mapping[str, float], mix: Mapping[str, float], wanted: float) -> float:
    """The shift of the logits of ``rates`` at which their mean over ``mix`` (shares that add up to 1) is ``wanted``, in (0, 1)."""
    logits = [(share, logit(rates[field])) for field, share in mix.items()]
    low, high = -30.0, 30.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if sum(share * expit(at + middle) for share, at in logits) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


class Difficulty(msgspec.Struct, array_like=True):
    """The province's answers by month and field, of the running month and the twelve before it."""

    months: dict[int, dict[str, Tally]] = {}

    def add(self, month: int, field: str, failed: bool, sign: int = 1) -> None:
        """One answer of ``month`` more, or with ``sign`` -1 one less (of a month still kept; else nothing)."""
        if month not in self.months and sign < 0:
            return
        tally = self.months.setdefault(month, {}).setdefault(field, Tally())
        tally.n += sign
        tally.failed += sign * failed

    def table(self, month: int, default: float, running: bool = False) -> Table:
        """What the twelve months before ``month`` say; ``default`` is the share not satisfied that is assumed where they say nothing.
        Older months are dropped. ``running``: with ``month`` itself so far, for the first weeks, before which there is nothing."""
        for old in [m for m in self.months if m < month - MONTHS]:
            del self.months[old]
        sums: dict[str, Tally] = {}
        for m in sorted(self.months):
            if m < month or running:
                for field, tally in self.months[m].items():
                    of = sums.setdefault(field, Tally())
                    of.n += tally.n
                    of.failed += tally.failed
        total = sum(t.n for t in sums.values())
        common = (sum(t.failed for t in sums.values()) + PSEUDO * default) / (total + PSEUDO)
        rates = {f: min(max((t.failed + PSEUDO * common) / (t.n + PSEUDO), _LEAST), _MOST) for f, t in sums.items()}
        return Table(month, common, rates, {f: t.n / total for f, t in sums.items()} if total else {})


class Movement(msgspec.Struct, array_like=True):
    """How the whole province moved in the last 30 days against what was expected of it: season, a new text, a new way to ask."""

    days: list[tuple[int, int, float]] = []
    """(day, not satisfied, expected), the last 30 days."""
    failed: int = 0
    expected: float = 0.0

    def add(self, day: int, failed: bool, expected: float) -> None:
        """One more answer; days never fall."""
        if not self.days or self.days[-1][0] != day:
            self.days = [d for d in self.days if d[0] > day - _WINDOW]
            self.days.append((day, 0, 0.0))
            # Summed anew once a day: sums that only grow and shrink would drift, and a replay must give the same bits.
            self.failed, self.expected = sum(d[1] for d in self.days), math.fsum(d[2] for d in self.days)
        _, o, e = self.days[-1]
        self.days[-1] = (day, o + failed, e + expected)
        self.failed += failed
        self.expected += expected

    def factor(self) -> float:
        """By how much more often than expected people were not satisfied, within 0.8 to 1.25."""
        return min(max((self.failed + PSEUDO) / (self.expected + PSEUDO), _G_LOW), _G_HIGH)
