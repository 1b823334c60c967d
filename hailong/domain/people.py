"""Numbers, addresses and the keyed hashes that stand for people and dossiers where they must not be named.

Pure: no DNS, no clock, no randomness. What comes out of ``normal_phone`` and ``normal_mail`` names a person and stays in the ledger;
what comes out of ``Keyed`` does not, as long as its key stays in its file.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from hailong.domain import links

REGION: Final = "VN"
PhoneKind = Literal["mobile", "fixed", "other"]
_MOBILE: Final = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
_SEVERAL: Final = re.compile(r"[;,/|\n]+")
_MAX_CONTACT: Final = 254


@dataclass(frozen=True)
class Phone:
    """A number in E.164 and what it is: only a ``mobile`` one can be texted."""

    e164: str
    kind: PhoneKind


def clean(text: str) -> str:
    """NFC, without spaces at the ends. Upstreams mix composed and decomposed Vietnamese."""
    return unicodedata.normalize("NFC", text).strip()


def normal_phone(raw: str, region: str = REGION) -> Phone | None:
    """A number as people write it → E.164, or None when it is none.

    Several numbers in one cell (``a; b``) give the first mobile one, else the first valid one. A number that a spreadsheet robbed
    of its leading zero is read as a national one of ``region``.
    """
    if len(raw) > _MAX_CONTACT:
        return None
    found = [phone for part in _SEVERAL.split(raw) if (phone := _one_phone(part, region))]
    mobile = [phone for phone in found if phone.kind == "mobile"]
    return next(iter(mobile or found), None)


def _one_phone(raw: str, region: str) -> Phone | None:
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    kind = phonenumbers.number_type(number)
    named: PhoneKind = "mobile" if kind in _MOBILE else "fixed" if kind == PhoneNumberType.FIXED_LINE else "other"
    return Phone(phonenumbers.format_number(number, PhoneNumberFormat.E164), named)


def normal_mail(raw: str) -> str | None:
    """An address → NFC with its domain in lower case, or None when no ordinary mail server could take it (no DNS is asked)."""
    text = clean(raw)
    if not text or len(text) > _MAX_CONTACT:
        return None
    try:
        return validate_email(text, check_deliverability=False, allow_smtputf8=False).normalized
    except EmailNotValidError:
        return None


def normal_contact(typed: str) -> tuple[Literal["phone", "email"], str] | None:
    """What a person typed as the one number or address it is meant to be, normalised; None when it is neither, or several numbers."""
    if "@" in typed:
        mail = normal_mail(typed)
        return None if mail is None else ("email", mail)
    if _SEVERAL.search(typed.strip()):
        return None
    phone = normal_phone(typed)
    return None if phone is None else ("phone", phone.e164)


class Keyed:
    """Keyed hashes (BLAKE2b, 128 bits, hex), one domain each, so that equal inputs of two kinds never give one value.

    Raises ValueError for a key shorter than 16 bytes: ten digits of a phone number can be tried out when the key can be.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("the key of the keyed hashes is shorter than 16 bytes: write 32 random bytes into its file")
        self._key = key if len(key) <= 64 else hashlib.blake2b(key).digest()

    def _hash(self, domain: bytes, *parts: str) -> str:
        # Each part carries its length: ("ab", "c") and ("a", "bc") differ.
        encoded = [part.encode() for part in parts]
        data = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
        return hashlib.blake2b(data, digest_size=16, key=self._key, person=domain).hexdigest()

    def dossier_ref(self, source: str, code: str) -> str:
        """What stands for a dossier in log and store."""
        return self._hash(b"hl.dossier", source, code)

    def act_id(self, source: str, code: str, status_code: int, at: str) -> str:
        """Identity of one act of a dossier; ``at`` is its moment in UTC, ISO 8601."""
        return self._hash(b"hl.act", source, code, str(status_code), at)

    def contact_hash(self, kind: str, value: str) -> str:
        """What stands for a normalised number (``phone``) or address (``email``: compared without regard to case, as servers do)."""
        return self._hash(b"hl.contact", kind, value.casefold() if kind == "email" else value)

    def person_hash(self, source: str, applicant_id: str) -> str:
        """What stands for a person of one source."""
        return self._hash(b"hl.person", source, applicant_id)

    def slip_hash(self, written: str) -> str | None:
        """What stands for the code of a slip, however it was typed; None for what can be no code."""
        code = links.typed(written)
        return None if code is None else self._hash(b"hl.slip", code)

    def tail_hash(self, dossier_ref: str, digits: str) -> str:
        """What stands for the last digits of the number given with a dossier."""
        return self._hash(b"hl.tail", dossier_ref, digits)

    def ticket_hash(self, unit: str, day: date, ticket: str) -> str:
        """What stands for a number drawn at a desk on a local day, however it was typed: "a12" is "A-012"."""
        return self._hash(b"hl.ticket", unit, day.isoformat(), _ticket(ticket))

    def content_hash(self, content: bytes) -> str:
        """Of everything a source said of one act."""
        return hashlib.blake2b(content, digest_size=16, key=self._key, person=b"hl.content").hexdigest()


def _ticket(written: str) -> str:
    """A number drawn at a desk without its gaps, signs and leading zeros: "a-012" is "A12"; what has neither letter nor digit, as it is."""
    plain = unicodedata.normalize("NFKC", written).upper()
    kept = "".join(sign for sign in plain if sign.isalnum())
    return re.sub(r"(?<!\d)0+(?=\d)", "", kept) or written
