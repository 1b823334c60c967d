"""What the rooms need of the outside and of each other, as Protocols; and the three errors, named by what the caller shall do.

``Retryable``: nothing happened, try again after a while. ``Permanent``: it was refused, never try again. ``Invalid``: what came
in is wrong, put it aside with its reason. ``UnknownOutcome`` (of sending only): it may or may not have happened, find out first.
Foreign errors are translated once, at the door of the room that talks to the foreigner.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, Protocol

from hailong.domain.access import AuditAct
from hailong.events import (
    About,
    AlertChanged,
    CountedKind,
    DossierClosed,
    DossierReopened,
    Fact,
    MessageChannel,
    ProviderChanged,
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


class Barred(Retryable):
    """A provider refuses us, whatever the message is (account, credentials, balance); surely nothing was accepted."""


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
    minor: bool = False
    preferred: MessageChannel | None = None
    refused: tuple[MessageChannel, ...] = ()
    """Channels the person does not want to be written to by."""
    slip_code: str | None = None
    """On the slip they were given at the desk."""


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
    asked_by_number: bool = False
    """That asking binds by the number or address alone: it was of somebody else with the same one."""
    unit: str = ""
    """That received the dossier."""
    minor: bool = False
    preferred: MessageChannel | None = None
    refused: tuple[MessageChannel, ...] = ()
    """Channels the person does not want."""
    has_slip: bool = False
    """A slip with a code of its own was given out."""
    reopened: bool = False


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
    next_channels: tuple[MessageChannel, ...] = ()
    """After a definite refusal, in this order."""
    remind_after_days: int | None = None
    arms: Mapping[str, str] = field(default_factory=dict)
    weight: int = 1
    rest_until: datetime | None = None
    """Nothing is decided until then: somebody at these contacts was asked lately."""
    ending: DossierClosed | None = None
    """Of a dossier that rests: what is decided about later."""


@dataclass(frozen=True)
class Resting:
    """A dossier that waits for its person's turn."""

    slot: SlotForDecision
    ending: DossierClosed
    until: datetime


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
    provider: str = ""
    """Who carries it."""
    arms: dict[str, str] = field(default_factory=dict)
    """Experiment → arm."""
    lease_until: datetime | None = None
    """Real time; after it nothing may be handed over any more."""
    slip_code: str | None = None
    """On the person's own slip; quoted in a message without a link."""


@dataclass(frozen=True)
class Settlement:
    """How a claimed message ended; ``released`` puts it back until ``retry_at`` (surely not accepted), ``open`` leaves it claimed."""

    claimed: Claimed
    state: Literal["handed_over", "failed", "unknown", "released", "open"]
    handover: Handover | None = None
    reason: str | None = None
    code: str | None = None
    retry_at: datetime | None = None
    slow: bool = False
    """The provider took longer than it may, for the choice between providers."""
    barred: bool = False
    """The provider refuses us, whatever the message is."""


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
class Erased:
    """What was erased on a local day, and how many of it.

    ``what``: contacts, applicant_ids, slip_codes, link_codes, dead_letters, hashes, key. ``key_month``: of the key it lay sealed under,
    empty for what was not sealed.
    """

    day: date
    what: str
    n: int
    key_month: str = ""


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
    def endings_since(self, unit: str, since: date) -> int:
        """Endings of dossiers that a unit received, from a day on."""
        ...

    def rested(self, now: datetime, limit: int) -> list[str]:
        """dossier_refs whose rest is over."""
        ...

    def end_rest(self, dossier_refs: Sequence[str]) -> None: ...
    def resting_with(self, dossier_refs: Sequence[str]) -> list[Resting]:
        """Dossiers that rest and share a contact with one of these (which are among them), their contacts locked."""
        ...

    def reopen(self, dossier_ref: str, event_id: str) -> str | None:
        """Withdraw what still waits; what it waited for (``undecided``, ``resting``, …), None if it did not or has ended again since."""
        ...

    # send
    def claim_due(self, now: datetime, real_now: datetime, lease_until: datetime, limit: int, worker: str) -> list[Claimed]: ...
    def settle(self, settlements: Sequence[Settlement], now: datetime) -> None: ...
    def stale_claims(self, real_before: datetime, real_now: datetime, limit: int) -> list[tuple[Claimed, int]]: ...
    def store_receipt(self, receipt: Receipt, at: datetime) -> None: ...
    def apply_receipts(self, now: datetime, limit: int) -> int: ...
    def expire(self, survey_id: str, now: datetime) -> None: ...
    def no_receipt(self, claim_id: str, now: datetime) -> None:
        """A message of which nothing was heard for days is unknown from now on."""
        ...

    def note_outcomes(self, outcomes: Mapping[str, Sequence[str]], real_now: datetime) -> None: ...
    def watch_providers(self, now: datetime, real_now: datetime, barred_by: Collection[str] = ()) -> list[ProviderChanged]:
        """Go over to a channel's reserve where its main provider refuses or drags, at once where it bars us, and back after a quiet time.

        What waits for its next try because the old one refused it goes on with the new one.
        """
        ...

    # survey site
    def slot_by_code(self, code: str) -> SlotForAnswer | None: ...
    def opt_out(self, code: str, now: datetime, door: str) -> OptOut:
        """Opt out everything behind a code before the page confirms. ``under_way``: a claimed message may still arrive; ask again."""
        ...

    def opt_in(self, code: str, now: datetime, door: str) -> bool:
        """Messages may come again to everything behind a code; False for an unknown one. Only for who holds the link."""
        ...

    def opt_out_number(self, number_or_mail: str, now: datetime, door: str, by: str | None = None) -> OptOut:
        """Opt out a number or address as typed, whether it was heard of or not. ``by``: whom the audit trail names.

        Raises Invalid (``not_a_contact``).
        """
        ...

    # timer: what must be gone in time
    def erase(self, day: date, now: datetime, limit: int) -> int:
        """One part of a local day's erasing, which may be repeated; 0 when nothing is left to do."""
        ...

    def sealed_months(self) -> frozenset[str]:
        """Months (``YYYY-MM``) whose keys something lies sealed under."""
        ...

    def note_key_discarded(self, month: str, day: date) -> None:
        """The key of a month is about to be discarded."""
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

    def audited(self, actor: str, act: AuditAct, obj: str, detail: Mapping[str, Any] | None = None) -> None:
        """A line of the audit trail, in the same transaction. Every change by a person and every look at what names one goes there;
        ``detail`` names nobody of the public.
        """
        ...

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
