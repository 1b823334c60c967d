"""The receipt of an answer: a short code that proves it was counted and can have it erased, and tells nothing else.

``HL-7KQ-2MX-9P4T``: nine signs of a keyed hash of the form that gave the first answer (44 bits) and a check, so that a sign read wrong is
told at once. Whoever holds the key can make it again; nobody can find the slot, or what was answered, from it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from hailong.domain.links import ALPHABET, MIN_KEY_BYTES, typed

PREFIX: Final = "HL"
LETTERS: Final = 9
_KNOWN: Final = {letter: n for n, letter in enumerate(ALPHABET)}


def receipt(key: bytes, nonce: str) -> str:
    """The receipt of the answer that the form ``nonce`` gave, ten signs without prefix and hyphens: only who filled in that form has it.

    Raises ValueError for a key under 32 bytes."""
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"receipt key: {len(key)} bytes are too few. Make one of {MIN_KEY_BYTES} or more.")
    number = int.from_bytes(hmac.digest(key, b"hailong receipt v1" + nonce.encode(), hashlib.sha256), "big")
    letters = ""
    for _ in range(LETTERS):
        number, rest = divmod(number, len(ALPHABET))
        letters += ALPHABET[rest]
    return letters + check(letters)


def check(letters: str) -> str:
    """The sign that makes every single wrong sign and every swap of neighbours show: weights differ, and 31 is prime."""
    return ALPHABET[sum(weight * _KNOWN[letter] for weight, letter in enumerate(letters, 2)) % len(ALPHABET)]


def parse(written: str) -> str | None:
    """What was typed → the ten signs, or None when it is no receipt. Case, spaces and hyphens do not matter, ``HL`` may be missing."""
    kept = typed(written)
    if kept is None:
        return None
    bare = kept.removeprefix(PREFIX) if len(kept) == len(PREFIX) + LETTERS + 1 else kept
    right = len(bare) == LETTERS + 1 and _KNOWN.keys() >= set(bare) and check(bare[:-1]) == bare[-1]
    return bare if right else None


def shown(code: str) -> str:
    """As it is printed: ``HL-7KQ-2MX-9P4T``."""
    return f"{PREFIX}-{code[:3]}-{code[3:6]}-{code[6:]}"


def receipt_hash(code: str) -> str:
    """The hash (64 hex digits) under which the ledger knows a receipt."""
    return hashlib.sha256(b"hailong receipt code v1:" + code.encode()).hexdigest()
