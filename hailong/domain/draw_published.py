"""What everybody may see of the draw, and when: the commitment of a day's seed, the seed, and the list of what was decided on a day.

A line of the list names no dossier. Its id is a commitment: SHA-256 over a secret opening and the dossier_ref. Whoever knows the dossier's
code is told the opening and can compute the id again; nobody else can tell which line is whose. Pure; see docs/decisions/0009-draw.md.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final, Literal, get_args

from hailong.domain.units import LOCAL
from hailong.events import SurveyDecided

PublicReason = Literal["asked", "resting", "drawn_out", "represented", "rule", "personal"]
PUBLIC_REASONS: Final[tuple[PublicReason, ...]] = get_args(PublicReason)
SMALL: Final = 5
"""Units with fewer lines on a day are not named on it: who knows the one person who was there would know what was decided."""
_LINE: Final = b"hailong.draw.line.1"
_CLASSES: Final[Mapping[PublicReason, frozenset[str]]] = {
    "resting": frozenset({"recently_asked"}),
    "drawn_out": frozenset({"sampled_out"}),
    "represented": frozenset({"represented"}),
    "rule": frozenset(
        {
            "test", "not_ended", "ends_before_start", "too_old", "applicant_type", "submitted_by", "no_hour", "reopened",
            "contact_erased", "expired", "answered", "undeliverable", "trial",
        }
    ),
    "personal": frozenset({"minor", "sensitive_procedure", "no_contact", "no_channel", "opted_out"}),
}  # fmt: skip
"""Public reason → the reasons it stands for. What would tell of the person stands in one class."""
_CLASS: Final = {reason: name for name, reasons in _CLASSES.items() for reason in reasons}


def committed_at(day: date) -> datetime:
    """When the commitment of a day's seed is due: noon of the day before."""
    return datetime.combine(day - timedelta(days=1), time(12), LOCAL)


def revealed_at(day: date) -> datetime:
    """When the seed itself is due: five minutes after its day."""
    return datetime.combine(day + timedelta(days=1), time(0, 5), LOCAL)


def public_reason(asked: bool, reason: str | None) -> PublicReason:
    """What the list says of a decision. Raises ValueError for a reason that is in no class."""
    if asked:
        return "asked"
    if reason not in _CLASS:
        raise ValueError(f"{reason}: the public list has no class for this reason. Put it into one in draw_published.")
    return _CLASS[reason]


def line_id(opening: bytes, dossier_ref: str) -> str:
    """The id of a dossier's line: 32 hex digits. ``opening``: 16 secret bytes of this dossier alone."""
    parts = (_LINE, opening, dossier_ref.encode())
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()[:32]


@dataclass(frozen=True)
class PublishedSeed:
    """What was published of a day's seed. Moments are of the installation's clock, aware."""

    day: date
    commitment: str
    committed: datetime
    seed: str | None = None
    """Hex; None until the day is over."""
    revealed: datetime | None = None

    @property
    def late(self) -> bool:
        """Whether the commitment came when the day had begun: a first day, or one on which the timer stood still."""
        return self.committed.astimezone(LOCAL).date() >= self.day


@dataclass(frozen=True)
class Line:
    """A line of a day's list."""

    id: str
    unit: str
    """Code of the receiving unit; empty where it had too few lines to be named."""
    asked: bool
    reason: PublicReason
    weight: int
    """Endings an asking stands for."""
    seed_day: date | None

    def as_json(self) -> dict[str, Any]:
        """As ``hailong draw list --json`` has it."""
        return {
            "line": self.id, "unit": self.unit or None, "decision": "asked" if self.asked else "not_asked", "reason": self.reason,
            "weight": self.weight, "seed_day": self.seed_day.isoformat() if self.seed_day else None,
        }  # fmt: skip


def line_of(decided: SurveyDecided, unit: str, opening: Callable[[str], bytes]) -> Line:
    """The line of one decision."""
    reason = public_reason(decided.asked, decided.reason)
    return Line(line_id(opening(decided.dossier_ref), decided.dossier_ref), unit, decided.asked, reason, decided.weight, decided.seed_day)


def listed(lines: Iterable[Line]) -> list[Line]:
    """The day's list as it is published: by id, so that the order tells nothing, and without the names of units with few lines."""
    found = list(lines)
    per_unit = Counter(line.unit for line in found)
    return sorted((line if per_unit[line.unit] >= SMALL else replace(line, unit="") for line in found), key=lambda line: line.id)


def counted(lines: Sequence[Line]) -> dict[PublicReason, int]:
    """How many lines each public reason has, in a fixed order, those with none left out."""
    per_reason = Counter(line.reason for line in lines)
    return {reason: per_reason[reason] for reason in PUBLIC_REASONS if per_reason[reason]}
