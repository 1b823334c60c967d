"""What the rooms need of the outside and of each other, as Protocols; and the three errors, named by what the caller shall do.

``Retryable``: nothing happened, try again after a while. ``Permanent``: it was refused, never try again. ``Invalid``: what came
in is wrong, put it aside with its reason. ``UnknownOutcome`` (of sending only): it may or may not have happened, find out first.
Foreign errors are translated once, at the door of the room that talks to the foreigner.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, Protocol

from hailong.events import (
    About,
    AlertChanged,
    CountedKind,
    DossierClosed,
    DossierReopened,
    Fact,
    MessageChannel,
    Record,
    SurveyAnswered,
    SurveyCounted,
    TargetChanged,
    UnitChanged,
)


class Retryable(Exception):
    """Nothing happened; try again after ``after`` seconds."""

    def __init__(self, reason: str, after: float = 1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Permanent(Exception):
    """Refused for good; trying again changes nothing. ``code`` is the provider's, if there is one."""

    def __init__(self, reason: str, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Invalid(Exception):
    """What came in is wrong. ``field`` names where; ``reason`` is a word of a closed list; ``detail`` a sentence without personal data."""

    def __init__(self, reason: str, field: str | None = None, detail: str = "") -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.reason = reason
        self.field = field
        self.detail = detail


class UnknownOutcome(Exception):
    """A message may or may not have been accepted: never sent again blindly."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Clock(Protocol):
    """The time of the installation; aware, Asia/Ho_Chi_Minh."""

    def now(self) -> datetime: ...


class AsyncPublisher(Protocol):
    """The log, for writing."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Return when every record is acknowledged by all in-sync replicas, in order within a topic's partition.

        Raises Retryable when any was not; some may have been written, so the caller repeats all of them (echoes are dropped by id).
        """
        ...


class Publisher(Protocol):
    """The log, for writing from a synchronous program; same contract."""

    def publish(self, records: Sequence[Record]) -> None: ...


# --- messages -----------------------------------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class Handover:
    """A provider has accepted a message."""

    provider: str
    provider_id: str
    segments: int
    code: str | None = None


@dataclass(frozen=True)
class Receipt:
    """What a provider reports later of a message it accepted."""

    provider: str
    provider_id: str
    status: Literal["sent", "delivered", "failed"]
    code: str | None


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


# --- the ledger: what must be unique, what waits, what people work on ----------------------------------------------------------


@dataclass(frozen=True)
class Contact:
    """Where a person can be reached; opened from the vault for one call and dropped."""

    phone: str | None
    """E.164."""
    email: str | None


@dataclass(frozen=True)
class DossierAct:
    """What intake hands to the ledger: one act of one dossier, with what the log must not know."""

    event_id: str
    content_hash: str
    """Of everything the source sent for this act: the same act with another content is a conflict."""
    fact: DossierClosed | DossierReopened
    dossier_code: str
    occurred_at: datetime
    received_at: datetime | None
    contact: Contact
    applicant_id: str | None
    language: str
    """As preferred by the person; ledger only."""
    test: bool = False


@dataclass(frozen=True)
class Taken:
    """How an act was taken: ``new``, ``duplicate`` (same identity, same content) or ``conflict`` (other content)."""

    status: Literal["new", "duplicate", "conflict"]
    pending: tuple[int, ...] = ()
    """Outbox ids still to be published."""


@dataclass(frozen=True)
class PendingRecord:
    """A row of the outbox: bytes written in the same transaction as their effect."""

    id: int
    record: Record


@dataclass(frozen=True)
class SlotForDecision:
    """What ``decide`` may know of a dossier besides the fact."""

    dossier_ref: str
    survey_id: str
    outcome: str
    reason: str | None
    reach: tuple[MessageChannel, ...]
    """Channels the vault has an address for."""
    contacts: tuple[str, ...]
    """Keyed hashes of number, address and person."""
    opted_out: bool
    last_asked_at: datetime | None
    """The latest (planned or done) asking of this person or any of these numbers."""
    language: str
    test: bool


@dataclass(frozen=True)
class Decision:
    """What ``decide`` writes: the outcome, and the waiting invitation if there is one."""

    dossier_ref: str
    survey_id: str
    contacts: tuple[str, ...]
    asked: bool
    reason: str | None = None
    channel: MessageChannel | None = None
    ask_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Claimed:
    """A message claimed for sending: committed before the provider is called; the lease is real time."""

    due_id: int
    claim_id: str
    kind: Literal["invitation", "reminder", "officers"]
    ref: str
    """survey_id, or the id of an officers' message."""
    channel: MessageChannel
    contact: Contact | None
    address: str | None
    """Recipient of an officers' message."""
    language: str
    expires_at: datetime | None
    attempts: int
    payload: dict[str, Any]
    """Of officers' messages: what the text is made from. Empty for citizens."""
    about: About | None
    claimed_at: datetime
    """By the installation's clock, which rates and caps go by; ``real_claimed_at``: as the provider's list tells time."""
    real_claimed_at: datetime


@dataclass(frozen=True)
class Settlement:
    """How a claimed message ended; ``released`` puts it back until ``retry_at`` (surely not accepted), ``open`` leaves it claimed."""

    claimed: Claimed
    state: Literal["handed_over", "failed", "unknown", "released", "open"]
    handover: Handover | None = None
    reason: str | None = None
    code: str | None = None
    retry_at: datetime | None = None


OptOut = Literal["recorded", "under_way", "unknown_code"]


@dataclass(frozen=True)
class SlotForAnswer:
    """What a door needs to know of a slot before it shows the questionnaire."""

    survey_id: str
    about: About
    expires_at: datetime | None
    language: str
    answered: bool
    desk: str
    """Name of the unit that received the dossier."""
    ended_on: date


@dataclass(frozen=True)
class DueRow:
    """Something whose moment has come."""

    id: int
    kind: str
    ref: str
    due_at: datetime
    payload: dict[str, Any]


@dataclass(frozen=True)
class DeadLetter:
    """A record that was put aside; its bytes are sealed, only ``show`` and ``replay`` open them."""

    id: int
    topic: str
    partition: int
    offset: int
    role: str
    source: str
    reason: str
    attempts: int
    at: datetime
    state: Literal["waiting", "replayed", "dropped"]


class Transaction(Protocol):
    """One transaction of the ledger. Everything in it is committed together or not at all.

    Facts that follow from an effect are put into the outbox in the same transaction and published after the commit.
    ``real_now`` and leases are real time; every other moment is the installation's clock.
    """

    written: list[PendingRecord]
    """What this transaction put into the outbox, in order; to be published after the commit."""

    def put(self, facts: Sequence[Fact], at: datetime) -> list[int]:
        """Facts into the outbox, in order; the ids of those that were not there yet (by event_id)."""
        ...

    def schedule(self, kind: str, ref: str, due_at: datetime, payload: dict[str, Any] | None = None) -> bool:
        """A row of the due table; unique by (kind, ref): False when it is there already."""
        ...

    def take_due(self, kinds: Sequence[str], now: datetime, real_now: datetime, lease_until: datetime, limit: int) -> list[DueRow]: ...
    def finish_due(self, ids: Sequence[int]) -> None: ...
    def postpone(self, due_id: int, due_at: datetime, payload: dict[str, Any] | None = None) -> None: ...
    def next_due(self) -> datetime | None:
        """The earliest moment anything waits for."""
        ...

    # intake
    def known(self, dossier_ref: str) -> bool: ...
    def take_act(self, act: DossierAct, now: datetime) -> Taken: ...
    def source_paused(self, source: str) -> str | None:
        """Why a source is paused; None when it is not."""
        ...

    # decide
    def slots_for_decision(self, refs: Sequence[str]) -> dict[str, SlotForDecision]: ...
    def decide(self, decisions: Sequence[Decision]) -> None: ...
    def reopen(self, dossier_ref: str, event_id: str) -> str | None:
        """Withdraw what still waits; what it waited for (``undecided``, ``not_before``), None if it did not or has ended again since."""
        ...

    # send
    def claim_due(self, now: datetime, real_now: datetime, lease_until: datetime, limit: int, worker: str) -> list[Claimed]: ...
    def settle(self, settlements: Sequence[Settlement], now: datetime) -> None: ...
    def stale_claims(self, real_before: datetime, real_now: datetime, limit: int) -> list[tuple[Claimed, int]]: ...
    def store_receipt(self, receipt: Receipt, at: datetime) -> None: ...
    def apply_receipts(self, now: datetime, limit: int) -> int: ...
    def expire(self, survey_id: str, now: datetime) -> None: ...

    # survey site
    def slot_by_code(self, code: str) -> SlotForAnswer | None: ...
    def opt_out(self, code: str, now: datetime, door: str) -> OptOut:
        """Opt out everything behind a code before the page confirms. ``under_way``: a claimed message may still arrive; ask again."""
        ...

    # count
    def count(self, fact: SurveyAnswered, now: datetime) -> list[SurveyCounted]: ...
    def control(self, kind: CountedKind, caused_by: str, control: dict[str, Any], now: datetime) -> list[SurveyCounted]: ...

    # judge
    def detector_states(self) -> tuple[int, dict[str, bytes]]:
        """(highest seq judged, key → state)."""
        ...

    def save_detectors(self, seq: int, states: dict[str, bytes]) -> None: ...
    def alert_step(self, fact: AlertChanged) -> bool:
        """Keep a step of an alert; False when that version is there already."""
        ...

    # registry
    def next_registry_seq(self) -> int: ...
    def put_unit(self, fact: UnitChanged) -> bool: ...
    def put_target(self, fact: TargetChanged) -> bool: ...

    # guard
    def put_dead(
        self, topic: str, partition: int, offset: int, role: str, source: str, reason: str, attempts: int, value: bytes, at: datetime
    ) -> bool:
        """Put a record aside, sealed, here and in its dead topic; False when it was put aside before."""
        ...


class Ledger(Protocol):
    """SQL behind a face of its own. Synchronous; asynchronous callers run it in a thread.

    Every method raises Retryable when the ledger is away or locked.
    """

    def begin(self) -> AbstractContextManager[Transaction]:
        """A write transaction (BEGIN IMMEDIATE on SQLite)."""
        ...

    def pending(self, limit: int = 500) -> list[PendingRecord]:
        """Unpublished rows of this writer's outbox, in the order they were put."""
        ...

    def published(self, ids: Sequence[int]) -> None: ...


class WorkingLedger(Ledger, Protocol):
    """The ledger as roles have it."""

    def anything_due(self, kinds: Sequence[str], now: datetime, real_now: datetime) -> bool:
        """Whether a row of these kinds may be taken now. Reads without locking anybody, so it may be asked often."""
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
