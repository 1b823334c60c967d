"""Messages and the ways to people that carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from hailong.events import MessageChannel


@dataclass(frozen=True)
class TemplateCall:
    """A text the provider keeps and has approved, and what is filled into it: parameter → value."""

    template_id: str
    data: Mapping[str, str]


@dataclass(frozen=True)
class OutgoingMessage:
    """One message as a channel takes it. ``token`` stands in the text, so that a provider's list can be searched for it."""

    claim_id: str
    channel: MessageChannel
    to: str
    subject: str
    text: str
    html: str | None
    token: str
    callback_url: str | None
    unsubscribe_url: str | None
    language: str
    template: TemplateCall | None = None
    """For channels that take no text of ours (ZNS)."""


@dataclass(frozen=True)
class Handover:
    """A provider has accepted a message."""

    provider: str
    provider_id: str
    segments: int
    code: str | None = None
    receipts: bool = False
    """Whether the provider reports later whether it arrived."""


@dataclass(frozen=True)
class Receipt:
    """What a provider reports later of a message it accepted."""

    provider: str
    provider_id: str
    status: Literal["sent", "delivered", "failed"]
    code: str | None


@dataclass(frozen=True)
class Rating:
    """What a person tapped in the message itself: an answer to Q0. What they wrote beside it is not taken."""

    token: str
    """Of the message, which leads to the slot."""
    act: str
    """The same for every report of the same tap."""
    score: int
    """As reported; whether it is 1–5 is for whoever takes it."""


class Channel(Protocol):
    """A way to people."""

    name: MessageChannel
    provider: str
    can_reconcile: bool
    """Whether ``find`` can tell."""

    async def send(self, message: OutgoingMessage) -> Handover:
        """Raises Retryable (surely not accepted), Permanent (surely refused), UnknownOutcome."""
        ...

    async def find(self, message: OutgoingMessage, since: datetime) -> Handover | None:
        """Whether the provider has accepted ``message`` since then. Raises Retryable when it cannot be asked now."""
        ...

    async def close(self) -> None: ...
