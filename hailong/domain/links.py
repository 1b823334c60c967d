"""Codes of survey links: made so that none needs to be stored in clear, and read the way people type.

A code is a pseudo-random function of the slot, the purpose and the channel under the link key: whoever holds the key can make it
again (for a message that is sent later), nobody else can guess it. The ledger keeps ``code_hash`` of it.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from typing import Final

from hailong.events import MessageChannel, Purpose

ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""31 signs that are told apart in print, by hand and by ear on the phone: without 0 and O, 1, I and L."""
LENGTHS: Final[dict[MessageChannel, int]] = {"sms": 12, "email": 26, "zns": 26, "print": 12}
"""59 bits where every letter costs (one segment with the text), 128 where length is free."""
MIN_KEY_BYTES: Final = 32
_SHORTEST, _LONGEST = 4, 26
_KNOWN: Final = frozenset(ALPHABET)
_SEPARATORS: Final = frozenset("-‐‑‒–—―−.·_")


def code(link_key: bytes, survey_id: str, purpose: Purpose, channel: MessageChannel) -> str:
    """The code of a slot for one purpose and channel; the same every time.

    Raises ValueError for a key under 32 bytes or an empty survey_id.
    """
    if len(link_key) < MIN_KEY_BYTES:
        raise ValueError(f"link key: {len(link_key)} bytes are too few. Make one of {MIN_KEY_BYTES} or more.")
    if not survey_id:
        raise ValueError("survey_id: empty. A code belongs to one slot.")
    fields = b"".join(len(part).to_bytes(4, "big") + part for part in (survey_id.encode(), purpose.encode(), channel.encode()))
    number = int.from_bytes(hmac.digest(link_key, b"hailong link v1" + fields, hashlib.sha512), "big")
    letters = []
    # 512 bits against 31^26 < 2^129: the bias of the remainder is below 2^-380.
    for _ in range(LENGTHS[channel]):
        number, rest = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[rest])
    return "".join(letters)


def parse(written: str) -> str | None:
    """What was typed → the code, or None when it cannot be one. Case, spaces and hyphens do not matter; nothing is guessed."""
    kept = typed(written)
    return kept if kept is not None and len(kept) in LENGTHS.values() and _KNOWN.issuperset(kept) else None


def code_hash(written: str) -> str:
    """The hash (64 hex digits) under which the ledger knows a code, however it was typed. Raises ValueError for what is no code."""
    known = parse(written)
    if known is None:
        raise ValueError("code: not one. Ask for the letters and digits after the last / of the link.")
    return hashlib.sha256(b"hailong code v1:" + known.encode()).hexdigest()


def typed(text: str) -> str | None:
    """What was typed of any code of ours, a slip's too → capitals and digits, or None when it can be none."""
    if len(text) > 4 * _LONGEST:
        return None
    plain = unicodedata.normalize("NFKC", text).upper()
    kept = "".join(c for c in plain if not c.isspace() and c not in _SEPARATORS and unicodedata.category(c) != "Cf")
    return kept if _SHORTEST <= len(kept) <= _LONGEST and kept.isascii() and kept.isalnum() else None
