"""Rules on the answers of the last days, looked at every evening. Like ours, none raises on fewer than ten answers, which helps them."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from hailong.domain.scoring import wilson
from ops.alerting.running import Detector, Seen

_FEWEST: Final = 10


class Window:
    """Answers of the last ``width`` days."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._days: deque[tuple[int, int]] = deque()
        self.n = self.failed = 0

    def take(self, day: int, failed: bool) -> None:
        self._days.append((day, failed))
        self.n += 1
        self.failed += failed

    def until(self, day: int) -> list[tuple[int, int]]:
        """Forget what is too old on ``day``; what was forgotten."""
        gone = []
        while self._days and self._days[0][0] <= day - self._width:
            gone.append(self._days.popleft())
            self.n -= 1
            self.failed -= gone[-1][1]
        return gone

    @property
    def satisfied(self) -> int:
        return self.n - self.failed


class Naive:
    """The rate of the last 30 days lies below the target (less a margin), with enough answers: what dashboards ship."""

    def __init__(self, fewest: int, margin: float, target: float) -> None:
        self._fewest, self._limit = fewest, target - margin
        self._window = Window(30)
        self.on = False

    def take(self, seen: Seen) -> None:
        self._window.take(seen.day, seen.failed)

    def end(self, day: int) -> None:
        self._window.until(day)
        w = self._window
        self.on = w.n >= self._fewest and w.satisfied < self._limit * w.n


class Wilson:
    """The upper end of Wilson's interval lies below the target; with ``hysteresis`` on until the rate is back at it."""

    def __init__(self, width: int, hysteresis: bool, z: float, target: float) -> None:
        self._z, self._target, self._hysteresis = z, target, hysteresis
        self._window = Window(width)
        self.on = False

    def take(self, seen: Seen) -> None:
        self._window.take(seen.day, seen.failed)

    def end(self, day: int) -> None:
        self._window.until(day)
        w = self._window
        high = wilson(w.satisfied, w.n, self._z)[1] if w.n >= _FEWEST else 1.0
        self.on = high < self._target or (self._hysteresis and self.on and w.satisfied < self._target * w.n)


class TwoProportions:
    """The last 30 days against the 90 before: the usual test of two shares."""

    def __init__(self, z: float) -> None:
        self._z = z
        self._recent, self._before = Window(30), Window(90)
        self.on = False

    def take(self, seen: Seen) -> None:
        self._recent.take(seen.day, seen.failed)

    def end(self, day: int) -> None:
        for old, failed in self._recent.until(day):
            self._before.take(old, bool(failed))
        self._before.until(day - 30)
        self.on = self._score() > self._z

    def _score(self) -> float:
        a, b = self._recent, self._before
        if a.n < _FEWEST or b.n < _FEWEST:
            return 0.0
        pooled = (a.failed + b.failed) / (a.n + b.n)
        spread = math.sqrt(pooled * (1 - pooled) * (1 / a.n + 1 / b.n))
        return (a.failed / a.n - b.failed / b.n) / spread if spread else 0.0


DETECTORS: Final = (
    Detector("naive-10", lambda margin, _, target: Naive(10, margin, target), 0.0, 0.6, 0.0, daily=True),
    Detector("naive-30", lambda margin, _, target: Naive(30, margin, target), 0.0, 0.6, 0.0, daily=True),
    Detector("wilson-30d", lambda z, _, target: Wilson(30, False, z, target), 1.959964, 8.0, 1.0, daily=True),
    Detector("wilson-90d", lambda z, _, target: Wilson(90, True, z, target), 3.090232, 8.0, 1.0, daily=True),
    Detector("two-proportions", lambda z, _first, _target: TwoProportions(z), 3.0, 8.0, 1.0, "past", daily=True),
)
