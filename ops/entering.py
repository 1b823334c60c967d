"""What the survey site's page for codes needs of the installation: what stands for a dossier's code, whichever source it came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from hailong.domain.people import Keyed, clean
from sinks.ledger import Ledger
from sinks.ledger.drawing import sources

KEPT_S: Final = 60.0
"""So many seconds of real time the list of sources is remembered: a new one is a rare thing, and reading it reads every dossier."""
_GAPS: Final = re.compile(r"\s+")
_DASHES: Final = re.compile(r"\s*[\u2010-\u2015\u2212\ufe58\uff0d]\s*")
"""What keyboards, and text that was copied, make of a hyphen."""


class DossierRefs:
    """surveys.doors.entering.DossierCodes over the ledger. ``monotonic``: seconds of real time."""

    def __init__(self, ledger: Ledger, keyed: Keyed, monotonic: Callable[[], float]) -> None:
        self._ledger = ledger
        self._keyed = keyed
        self._monotonic = monotonic
        self._sources: list[str] = []
        self._read_at = float("-inf")

    def __call__(self, typed: str) -> Sequence[str]:
        """The refs of a code: as it was typed, and as it is printed, in capitals, without gaps, with plain hyphens. Raises Retryable."""
        code = clean(typed)
        plain = _DASHES.sub("-", code)
        written = dict.fromkeys((code, code.upper(), plain.upper(), _GAPS.sub("", plain).upper()))
        return [self._keyed.dossier_ref(source, one) for source in self._known() for one in written]

    def _known(self) -> list[str]:
        if not self._sources or self._monotonic() - self._read_at >= KEPT_S:
            with self._ledger.read() as reader:
                self._sources = sources(reader)
            self._read_at = self._monotonic()
        return self._sources
