"""Codes of slips: eight signs of the links' alphabet, of which the last one checks the others.

The check is a sum of the signs' places in the alphabet, each with a weight of its own, that must be a multiple of 31. As 31 is prime and
no two weights are equal, one wrong sign always shows, and so does any swap of two signs.
"""

from __future__ import annotations

import unicodedata
from typing import Final, Literal

from hailong.domain import links

LENGTH: Final = 8
RANDOM_BYTES: Final = 32
"""So many leave ``new_code`` without enough signs less often than once in 10^33."""
Fault = Literal["letters", "length", "check"]

_VALUE: Final = {sign: value for value, sign in enumerate(links.ALPHABET)}
_WEIGHTS: Final = range(LENGTH, 0, -1)
_FIVE_BITS: Final = 0b11111
_LONGEST: Final = 4 * LENGTH
"""More than this, with spaces and hyphens, is no code that somebody typed."""


def new_code(random_bytes: bytes) -> str:
    """A code from random bytes (``RANDOM_BYTES``), every one as likely as any other.

    A byte's last five bits name one of 32 signs; the alphabet has 31, so the 32nd is skipped: no remainder, no bias.
    Raises ValueError when the bytes do not suffice.
    """
    signs = [links.ALPHABET[five] for byte in random_bytes if (five := byte & _FIVE_BITS) < len(links.ALPHABET)][: LENGTH - 1]
    if len(signs) < LENGTH - 1:
        raise ValueError(f"{len(random_bytes)} random bytes do not suffice for a slip's code. Give {RANDOM_BYTES}.")
    return "".join(signs) + links.ALPHABET[-_weighed("".join(signs)) % len(links.ALPHABET)]


def parse(written: str) -> str | None:
    """What was typed → the code, or None when it is none. Case, spaces and hyphens do not matter; nothing is guessed."""
    code = links.typed(written)
    return code if code is not None and _fault(code) is None else None


def fault(written: str) -> Fault | None:
    """What is wrong with what was typed; None for a code.

    ``letters``: something no slip has, such as 0, 1, I, L, O; ``length``: too short or too long; ``check``: a sign is wrong.
    """
    return None if parse(written) else _fault(_without_gaps(written)) if len(written) <= _LONGEST else "length"


def shown(code: str) -> str:
    """A code as it is printed: in two halves."""
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


def _fault(signs: str) -> Fault | None:
    if not _VALUE.keys() >= set(signs):
        return "letters"
    if len(signs) != LENGTH:
        return "length"
    return "check" if _weighed(signs) % len(links.ALPHABET) else None


def _weighed(signs: str) -> int:
    return sum(weight * _VALUE[sign] for weight, sign in zip(_WEIGHTS, signs, strict=False))


def _without_gaps(written: str) -> str:
    """Only to tell what is wrong: capitals without spaces and hyphens, whatever else there is."""
    plain = unicodedata.normalize("NFKC", written).upper()
    return "".join(c for c in plain if unicodedata.category(c) not in ("Zs", "Pd", "Pc", "Cf", "Cc") and c not in ".·−")
