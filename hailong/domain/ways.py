"""Who carries a channel: a main provider and a reserve, and when one takes over from the other. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ailment = Literal["refusals", "slowness"]


@dataclass(frozen=True)
class Way:
    """The providers of a channel. Without a reserve nothing is ever switched."""

    main: str
    reserve: str | None = None


@dataclass(frozen=True)
class Switching:
    """When a channel goes over to its reserve, and back. Seconds are real time; shares are of all outcomes in the window."""

    window_s: int = 60
    least: int = 10
    """Fewer outcomes say nothing."""
    refused_share: float = 0.3
    slow_share: float = 0.5
    back_after_s: float = 900.0
    """So long the reserve carries before the main provider is tried again."""

    def ailment(self, taken: int, refused: int, slow: int) -> Ailment | None:
        """What is wrong with a provider of which so many messages were taken, surely refused, or slow; None when nothing is."""
        total = taken + refused + slow
        if total < max(self.least, 1):
            return None
        if refused >= self.refused_share * total:
            return "refusals"
        return "slowness" if slow >= self.slow_share * total else None
