"""What a form carries so that its answer needs no ledger: sealed, so that nobody reads or changes it.

Encrypted and signed with Fernet (AES-CBC with HMAC, ``cryptography``); a list of keys lets one be rotated: the first seals, all open.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from hailong.events import About, Form, Mode
from hailong.ports import Invalid

WHO: Final = 0
THANKS: Final = -1
MAX_SEALED: Final = 4096
"""Letters of the longest sealed state we read."""
MAX_SHOWN: Final = 8192
"""Letters of the longest sealed page we read."""
SHOWN_FOR: Final = timedelta(minutes=30)
"""So long a page that answered a form can be read in another language."""
DEVICE: Final = "kiosk"
"""In an address: whoever stands there uses a survey device."""
Shown = TypeVar("Shown", bound=msgspec.Struct)


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
    resumed: bool = False
    """It goes on where another form stopped: the receipt is that one's."""
    real_at: datetime | None = None
    """When its first page was shown, on a survey device this one, in real time: the installation's clock may stand still."""
    act: str = ""
    """Random name of this showing of the page: sent twice it is one act, shown again and sent again it is another."""

    @property
    def mark(self) -> str:
        """What stands before ``f=`` in its addresses: a page that cannot open the state is to know a survey device all the same."""
        return f"{DEVICE}&" if self.mode == "kiosk" else ""


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

    def seal_shown(self, shown: msgspec.Struct, now: datetime) -> str:
        """What a page said in answer to a form, as text for the addresses of its other languages."""
        return self._box.encrypt(self._encoder.encode((_name(type(shown)), now, shown))).decode()

    def open_shown(self, kind: type[Shown], sealed: str, now: datetime) -> Shown | None:
        """What such a page said; None for what is no page of that kind, or older than ``SHOWN_FOR``."""
        try:
            if len(sealed) > MAX_SHOWN:
                return None
            named, at, shown = msgspec.msgpack.decode(self._box.decrypt(sealed.encode()), type=tuple[str, datetime, kind])  # type: ignore[valid-type]
        except (InvalidToken, ValueError, msgspec.DecodeError):
            return None
        return shown if named == _name(kind) and at <= now < at + SHOWN_FOR else None


def _name(kind: type[msgspec.Struct]) -> str:
    """Pages that answer alike are told apart by where they are at home."""
    return f"{kind.__module__}.{kind.__qualname__}"
