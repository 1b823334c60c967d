"""Other ways to raise an alert, as they are used elsewhere: each judges one unit, for ``hailong alerts evaluate``.

A setting is how loud it is; ``Detector.setting`` is the one it is commonly used with.
"""

from __future__ import annotations

from typing import Final

from bench.rivals import charts, drift, posteriors, windows
from ops.alerting.running import Detector

RIVALS: Final[tuple[Detector, ...]] = (*windows.DETECTORS, *charts.DETECTORS, *posteriors.DETECTORS, *drift.DETECTORS)
"""All that can be run here."""
MISSING: Final = drift.MISSING
"""Names of those whose library is not installed."""
