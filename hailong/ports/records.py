"""What the ledger takes and gives: acts, decisions, claims, settlements, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from hailong.events import About, DossierClosed, DossierReopened, MessageChannel, Record
from hailong.ports.messages import Handover


@dataclass(frozen=True)
class Contact:
    """Where a person can be reached; opened from the vault for one call and dropped."""

    phone: str | None
    """A mobile number, E.164."""
    email: str | None
    landline: str | None = None
    """E.164; where there is no mobile number: it can be called, and never texted."""

    @property
    def number(self) -> str | None:
        """What can be called."""
        return self.phone or self.landline


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
    ticket_no: str | None = None
    """The number they drew at the desk on the day the dossier ended."""


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
    answered_at: datetime | None = None
    """When the first answer was counted."""
    done: tuple[str, ...] = ()
    """Questions answered since, as ``questionnaire:question``."""
    finished: tuple[str, ...] = ()
    """Questionnaires the person is done with."""
    erased: bool = False
    """Whether whoever has the receipt had the answer erased, or asked for it: it stays ``answered``, and nothing more is taken."""
    receipt_hash: str = ""
    """Of the receipt of the form that gave the first answer."""


@dataclass(frozen=True)
class ReceiptState:
    """What a receipt proves of an answer, and nothing of what was answered."""

    survey_id: str
    state: Literal["counted", "held", "erased"]
    counted_at: datetime


@dataclass(frozen=True)
class Measure:
    """You said, we did: what a unit did about what people told it. ``said``, ``did``: language → a sentence or a few;
    empty in a language it was not written in, never in Vietnamese."""

    unit: str
    day: date
    said: Mapping[str, str]
    did: Mapping[str, str]
    unit_name: str = ""
    """Filled in by who reads it."""


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
