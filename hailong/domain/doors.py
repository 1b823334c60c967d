"""The ways by which people answer, and where they stand while they do.

At the desk people answer otherwise than at home: a provincial centre's own slips said 96 % very satisfied where a household survey said
84 %. So the class is part of every answer, headline and alerts use what was said away from the desk, and desk modes are a series apart.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hailong.events import Form, Mode, Place

AT_DESK: Final[frozenset[Mode]] = frozenset({"kiosk", "assisted", "paper"})
SHORT: Final[frozenset[Mode]] = frozenset({"kiosk", "zns", "sms", "call"})
"""Modes with the short form; the others have the whole one."""
RESUME: Final = timedelta(days=7)
"""So long after Q0 the rest may be answered, from any device."""
CODE_TRIES: Final = 5
"""Wrong digits for one dossier code; then it is closed for ``TRIES_CLOSED``."""
TRIES_CLOSED: Final = timedelta(hours=24)
COMMENT_DAYS: Final = 365
SLIP_HELD: Final = timedelta(days=30)
"""So long an answer to a slip that is bound to no dossier yet is kept."""


def place_of(mode: Mode) -> Place:
    """Where somebody who answers this way stands."""
    return "desk" if mode in AT_DESK else "away"


def form_of(mode: Mode) -> Form:
    """Which form this way has."""
    return "short" if mode in SHORT else "full"
