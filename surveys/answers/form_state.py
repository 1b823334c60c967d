"""What a form carries so that its answer needs no ledger: sealed, so that nobody reads or changes it.

Encrypted and signed with Fernet (AES-CBC with HMAC, ``cryptography``); a list of keys lets one be rotated: the first seals, all open.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from hailong.events import About, Form, Mode
from hailong.ports import Invalid

WHO: Final = 0
THANKS: Final = -1
MAX_SEALED: Final = 4096
"""Letters of the longest sealed state we read."""


class FormState(msgspec.Struct, frozen=True, array_like=True):
    """One shown page of one form. ``seen`` holds what this form was answered before, for conditions and for going back."""

    survey_id: str
    """Empty for a slip that is bound to no dossier yet: then ``slip`` names it."""
    code_hash: str
    """Of the link the form was shown under; empty for every other door."""
    about: About
    expires_at: datetime | None
    language: str
    questionnaire: str
    version: int
    nonce: str
    page: int
    """The page shown; 0: whether it is the right person; ``THANKS``: the thanks."""
    desk: str
    ended_on: date
    shown_at: datetime
    """When the form was begun."""
    seen: dict[str, Any] = {}
    again: bool = False
    """An answer stood when the form was shown."""
    mode: Mode = "link"
    form: Form = "full"
    slip: str = ""
    """Hash of an unbound slip."""
    helper: str = ""
    """Who enters it for somebody: a login. It stays in the ledger."""


class Sealer:
    """Seals form states. ``keys``: url-safe base64 of 32 bytes each (``Fernet.generate_key``); the first is the current one."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("form keys: none. Make one with Fernet.generate_key.")
        self._box = MultiFernet([Fernet(key) for key in keys])
        self._decoder = msgspec.msgpack.Decoder(FormState)
        self._encoder = msgspec.msgpack.Encoder()

    def seal(self, state: FormState) -> str:
        """The state as text for a form field or an address."""
        return self._box.encrypt(self._encoder.encode(state)).decode()

    def open(self, sealed: str) -> FormState:
        """Raises Invalid(``form_unreadable``) for what we did not seal, or sealed with a key that is gone."""
        try:
            if len(sealed) > MAX_SEALED:
                raise ValueError
            return self._decoder.decode(self._box.decrypt(sealed.encode()))
        except (InvalidToken, ValueError, msgspec.DecodeError):
            raise Invalid("form_unreadable", "form", "The form is not one of this site, or too old.") from None
