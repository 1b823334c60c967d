"""The draw: who is asked, when and by which arm follows from the day's seed and the dossier, so that nobody chooses.

The seed is of the local day on which hailong first heard of the dossier (``heard_on``). Its commitment is published the day before,
the seed itself the day after: then everybody can compute every number again. Pure; the seed comes in. RFC 2104 (HMAC), FIPS 180-4.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import date
from itertools import accumulate
from typing import Final

SAMPLE: Final = "sample"
"""Purpose: whether this dossier is among those asked about."""
MOMENT: Final = "moment"
"""Purpose: when, within the spread."""
REST: Final = "rest"
"""Purpose: which of several endings of the same person has the turn; the lowest."""
REMINDER: Final = "reminder"
"""Purpose: whether who has not answered is reminded."""
CALL: Final = "call"
"""Purpose: whether who has not answered, or cannot be written to, is called."""
PAPER: Final = "paper"
"""Purpose: whether a paper slip is entered again by another unit."""

_SEED: Final = b"hailong.draw.seed.1"
_NUMBER: Final = b"hailong.draw.number.1"
_BITS: Final = 53
"""As many as a float holds exactly."""


def commitment(day: date, seed: bytes) -> str:
    """What is published of a day's seed the day before: SHA-256, hex, of the day and the seed."""
    return hashlib.sha256(_joined(_SEED, day.isoformat().encode(), seed)).hexdigest()


def number(seed: bytes, dossier_ref: str, purpose: str) -> float:
    """The number of a dossier for a purpose, in [0, 1): the first 53 bits of HMAC-SHA256 under the seed."""
    digest = hmac.digest(seed, _joined(_NUMBER, purpose.encode(), dossier_ref.encode()), hashlib.sha256)
    return float((int.from_bytes(digest[:8], "big") >> (64 - _BITS)) / (1 << _BITS))


def of_arm(experiment: str) -> str:
    """The purpose that draws an arm of an experiment."""
    return f"arm:{experiment}"


def arm(seed: bytes, dossier_ref: str, experiment: str, shares: Mapping[str, float]) -> str:
    """The arm of a dossier in an experiment of ``{arm: share}``. Raises ValueError as ``chosen`` does."""
    return chosen(number(seed, dossier_ref, of_arm(experiment)), shares)


def chosen(drawn: float, shares: Mapping[str, float]) -> str:
    """The arm into whose share a number in [0, 1) falls; arms lie side by side in the order of their names, however they are written.

    Raises ValueError when no arm has a share.
    """
    names = sorted(name for name, share in shares.items() if share > 0)
    if not names:
        raise ValueError("an experiment needs an arm with a share above 0")
    # Added up once, in this order: a sum of its own may be rounded otherwise, by another order or another Python.
    ends = list(accumulate(shares[name] for name in names))
    return next((name for name, end in zip(names, ends, strict=True) if drawn * ends[-1] < end), names[-1])


def _joined(*parts: bytes) -> bytes:
    # Each part carries its length: ("ab", "c") and ("a", "bc") differ.
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
