"""What pages may know of sent messages, reports of fakes, and where facts stay for questions (ClickHouse)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

from hailong.events import Fact, MessageChannel


@dataclass(frozen=True)
class SentMessage:
    """That a message was sent, without to whom and about what."""

    on: date
    """Local day of its handing over."""
    channel: MessageChannel
    kind: Literal["invitation", "reminder"]


class SentMessages(Protocol):
    """What the page for verifying a message may know."""

    def sent_about(self, code: str) -> Sequence[SentMessage] | None:
        """The messages handed over (or perhaps so) about a dossier, oldest first; None when no slip and no message has this code.

        ``code``: of a message's link or of a slip, in capitals, without spaces and hyphens. Synchronous. Raises Retryable.
        """
        ...

    def slip_is_ours(self, code: str) -> bool:
        """Whether we printed a slip with this code, be it bound to a dossier or not. Synchronous. Raises Retryable."""
        ...


class FakeReports(Protocol):
    """Where people's reports of messages that are not ours are kept."""

    def report_fake(self, at: datetime, text_hash: str) -> None:
        """Keep one report, and see to it that somebody is told. ``text_hash``: 64 hex digits, alike for messages that differ in figures and
        codes only; of the empty text when none was pasted. Synchronous. Raises Retryable."""
        ...


class FactStore(Protocol):
    """Where facts stay for questions (ClickHouse)."""

    def absorbed(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """(topic, partition) → the offset after the highest one stored. Raises Retryable."""
        ...

    def absorb(self, topic: str, partition: int, facts: Sequence[tuple[int, Fact]]) -> int:
        """Store (offset, fact) pairs in order, skipping what is there; the number stored. Raises Retryable; may be repeated.

        Raises Permanent when the store refuses them: ``check`` tells whether they are to blame or the store.
        """
        ...

    def check(self, topic: str) -> None:
        """Return when facts of this topic could be stored now. Raises Retryable, or Permanent when the store is not in order."""
        ...
