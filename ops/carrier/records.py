"""The lines of the carrier's journal: JSON, one object a line, told apart by ``kind``. Times are real and in UTC, but for ``clock``."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

ChannelName = Literal["sms", "email", "zns"]

FINAL_STATUSES = frozenset({"delivered", "undelivered", "failed"})


class PlannedStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """What will happen to an accepted message: ``status`` is reached ``after`` seconds and reported ``posts`` times."""

    status: str
    after: float
    code: int | None = None
    posts: int = 1


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="accepted"):
    """One message for one recipient, taken over for good: written before the sender is told so."""

    id: str
    at: datetime
    channel: ChannelName
    to: str
    sender: str
    body: str = ""
    """Of an SMS."""
    segments: int = 0
    encoding: str = ""
    account: str = ""
    service: str | None = None
    callback: str | None = None
    plan: tuple[PlannedStep, ...] = ()
    raw: str = ""
    """Of a mail: its octets as received, one character each (latin-1)."""
    fault: str | None = None
    """The ordered fault that met this message, if any."""
    api: str = ""
    """Whose language its receipts are in; empty: Twilio's."""
    template: str = ""
    """Of a Zalo message: the template's id. Its body lists what was filled in."""
    tracking: str = ""
    """Of a Zalo message: the sender's own mark, which comes back with every event."""
    clock: datetime | None = None
    """By the installation's clock, which the carrier reads itself: in time-lapse another moment than ``at``."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="step"):
    """An accepted message reached ``status``; its receipt, if one is planned, goes out only after this line is on disk."""

    id: str
    at: datetime
    status: str
    code: int | None = None


class Told(msgspec.Struct, frozen=True, tag_field="kind", tag="told"):
    """The receiver of a receipt answered with ``answer`` (HTTP status); None: it was given up after the last attempt."""

    id: str
    at: datetime
    status: str
    answer: int | None


class Refused(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="refused"):
    """A request that was not accepted, whatever the reason; written before the sender is told so."""

    at: datetime
    channel: ChannelName
    to: str
    sender: str
    status: int
    """HTTP status or SMTP reply code; 0 when no answer was given."""
    code: int | None = None
    fault: str | None = None
    clock: datetime | None = None


class Rated(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="rated"):
    """Somebody tapped a rating in a Zalo message; it is reported ``posts`` times under the name ``status`` (rating-1, rating-2…)."""

    id: str
    at: datetime
    status: str
    rate: int
    note: str = ""
    feedbacks: tuple[str, ...] = ()
    posts: int = 1


class Written(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="written"):
    """The recipient of message ``id`` wrote ``text`` to the short code. ``answer``: the site's HTTP status, None: there was none;
    ``reply``: what the gateway sent back to them."""

    id: str
    at: datetime
    own: str
    """The id it was passed on with."""
    text: str
    answer: int | None = None
    reply: str = ""


Record = Accepted | Step | Told | Refused | Rated | Written
