"""Drift detectors of machine learning, from `river`: ADWIN (A. Bifet & R. Gavaldà 2007) and Page-Hinkley (E. S. Page 1954).

They tell that a mean has moved, not where it is, so they are asked the question they can answer: has the unit become worse than it was?
On from a move upwards of the share not satisfied until it is back near where it came from.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from ops.alerting.running import Detector, Seen

_THERE: Final = find_spec("river") is not None
_RIVER: Final[Any] = import_module("river.drift") if _THERE else None
_SHARE: Final = 0.02
"""Of the mean that tells when it is back."""


class _Drift:
    """A detector of river, and a mean that tells which way it moved and when that is over."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self._n, self._sum = 0, 0
        self._past = self._lately = 0.0
        self.on = False

    def take(self, seen: Seen) -> None:
        self._n += 1
        self._sum += seen.failed
        mean = self._sum / self._n
        self._lately = mean if self._n * _SHARE < 1 else self._lately + _SHARE * (seen.failed - self._lately)
        self._detector.update(int(seen.failed))
        if self._detector.drift_detected and self._lately > mean:
            self.on, self._past = True, mean
        elif self.on and self._lately <= self._past:
            self.on = False

    def end(self, day: int) -> None:
        """Days without answers change nothing."""


_BOTH: Final = (
    Detector("adwin", lambda delta, _first, _target: _Drift(_RIVER.ADWIN(delta=delta)), 0.002, 1e-9, 1.0, "past"),
    Detector(
        "page-hinkley", lambda limit, _first, _target: _Drift(_RIVER.PageHinkley(threshold=limit, mode="up")), 50.0, 50.0, 1.0, "past"
    ),
)
DETECTORS: Final = _BOTH if _THERE else ()
MISSING: Final = () if _THERE else tuple(d.name for d in _BOTH)
