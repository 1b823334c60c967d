"""What Zalo reports of template messages: that one was received, that somebody tapped a rating in it.

Events are JSON, POSTed to one address for the whole application and signed with the official account's secret:
``X-ZEvent-Signature: mac=sha256(app_id + body + timestamp + secret)``, hex. As described by the vendor's public documentation and spoken by
this project's carrier; not confirmed against Zalo (whether it sends again what was not acknowledged is not known either): verify with your
account. There is no event for a message that never arrives. What people write beside a rating is not read: there is no place for it yet.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

import msgspec

from hailong.ports import Invalid, Rating, Receipt
from surveys.channels.zns import PROVIDER

SIGNATURE_HEADER: Final = "X-ZEvent-Signature"
_Word = str | int


class _Signed(msgspec.Struct, frozen=True):
    timestamp: _Word


class _Named(msgspec.Struct, frozen=True):
    event_name: str = ""


class _Message(msgspec.Struct, frozen=True):
    msg_id: _Word = ""
    tracking_id: _Word = ""


class _Received(msgspec.Struct, frozen=True):
    message: _Message


class _Tapped(_Message, frozen=True, kw_only=True):
    rate: int
    submit_time: _Word


class _Feedback(msgspec.Struct, frozen=True):
    message: _Tapped


@dataclass(frozen=True)
class ZnsEvents:
    """The receiving end. ``secret``: of the official account; without one nothing is believed."""

    app_id: str
    secret: str

    def verify(self, body: bytes, signature: str) -> bool:
        """Whether Zalo signed this body, for our application. ``signature``: the header as it came."""
        try:
            signed = msgspec.json.decode(body, type=_Signed)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return False
        if not self.secret:
            return False
        mac = hashlib.sha256(self.app_id.encode() + body + str(signed.timestamp).encode() + self.secret.encode()).hexdigest()
        return hmac.compare_digest(mac.encode(), signature.removeprefix("mac=").strip().lower().encode())

    def parse(self, body: bytes) -> Receipt | Rating | None:
        """What a verified body reports; None for events of other kinds. Raises Invalid for one of these kinds that cannot be read."""
        try:
            kind = msgspec.json.decode(body, type=_Named).event_name
            if kind == "user_received_message":
                message = msgspec.json.decode(body, type=_Received).message
                # Zalo has one such event for every message to the account's followers; ours are known by their mark
                return Receipt(PROVIDER, str(message.msg_id), "delivered", None) if message.msg_id and message.tracking_id else None
            if kind == "user_feedback":
                return _rating(msgspec.json.decode(body, type=_Feedback, strict=False).message)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Invalid("unreadable_event", None, "An event of Zalo is not of the form its documentation describes.") from None
        return None


def _rating(tapped: _Tapped) -> Rating:
    act = f"{len(str(tapped.msg_id))}:{tapped.msg_id}:{tapped.submit_time}"
    return Rating(str(tapped.tracking_id), hashlib.sha256(b"hailong zns rating v1:" + act.encode()).hexdigest()[:32], tapped.rate)
