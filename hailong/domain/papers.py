"""Paper slips entered by staff: what is kept of one, and how often two people who enter the same slip differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

AGAIN_SHARE: Final = 0.05
"""Of the slips entered, entered again by another unit; the draw decides which."""
SCAN_DAYS: Final = 30
"""So long a scan is kept, and so long the slip can be entered again."""
LARGEST: Final = 2 * 1024 * 1024
"""Bytes of a scan."""
Kind = Literal["image/jpeg", "image/png", "application/pdf"]
_MARKS: Final[tuple[tuple[bytes, Kind], ...]] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"%PDF-", "application/pdf"),
)


@dataclass(frozen=True)
class Paper:
    """A slip as it was entered. ``answers``: question id → answer, without own words; ``scan``: empty when there is none."""

    survey_id: str
    by: str
    by_unit: str | None
    answers: Mapping[str, Any]
    again: bool
    scan: bytes = b""


@dataclass(frozen=True)
class ToEnter:
    """A slip that waits to be entered again, as a desk sees it that neither entered it nor is judged by it."""

    id: int
    unit: str
    entered_on: date
    until: date
    scanned: bool


@dataclass(frozen=True)
class PaperTally:
    """``asked``: answers entered twice, ``differs``: of those that were not the same; ``lapsed``: drawn and not entered again in time."""

    papers: int
    drawn: int
    entered_again: int
    lapsed: int
    asked: int
    differs: int


def kind_of(scan: bytes) -> Kind | None:
    """What a file is, by its first bytes, whatever it is called; None for what is not taken."""
    return next((kind for mark, kind in _MARKS if scan.startswith(mark)), None)


def compared(first: Mapping[str, Any], second: Mapping[str, Any], questions: Sequence[str]) -> tuple[int, int]:
    """(answers compared, those that differ) of a slip entered twice. A question left out by both is not compared."""
    missing = object()
    pairs = [(first.get(q, missing), second.get(q, missing)) for q in questions if q in first or q in second]
    return len(pairs), sum(a is missing or b is missing or a != b for a, b in pairs)
