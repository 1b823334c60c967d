"""The ledger: what must be unique, what waits, what people work on; a transaction of it, and its face."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Any, Protocol

from hailong.domain.access import AuditAct
from hailong.domain.procedures import Catalogue
from hailong.events import (
    About,
    AlertChanged,
    CountedKind,
    Fact,
    ProviderChanged,
    Statement,
    SurveyAnswered,
    SurveyCounted,
    TargetChanged,
    UnitChanged,
)
from hailong.ports.messages import Receipt
from hailong.ports.records import (
    Claimed,
    Decision,
    DossierAct,
    DueRow,
    Measure,
    OptOut,
    PendingRecord,
    ReceiptState,
    Resting,
    Settlement,
    SlotForAnswer,
    SlotForDecision,
    Taken,
)


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
    def slot_by_slip(self, slip: str) -> SlotForAnswer | None: ...
    def slip_is_ours(self, slip: str) -> bool:
        """Whether we printed this slip, bound to a dossier or not."""
        ...

    def slot_by_ticket(self, unit: str, day: date, ticket: str) -> SlotForAnswer | None: ...
    def slot_by_survey(self, survey_id: str) -> SlotForAnswer | None: ...
    def slot_by_dossier(self, refs: Sequence[str], digits: str, now: datetime) -> SlotForAnswer | None:
        """By a dossier code and the last three digits of the number given; wrong ones are counted. None never tells why."""
        ...

    def open_invitations(self, number: str, now: datetime) -> list[tuple[SlotForAnswer, tuple[str, ...]]]:
        """What a number (E.164) can answer by SMS: asked, not answered, not over, not erased; with the codes of its links.

        An opt-out does not matter.
        """
        ...

    def note_once(self, kind: str, ref: str, now: datetime) -> dict[str, Any] | None:
        """Remember that something happened; None when it is new, else what is bound to it. Nobody waits for it."""
        ...

    def bind_note(self, kind: str, ref: str, bound: Mapping[str, Any]) -> None:
        """What ``note_once`` gives for what it has noted; empty to forget it."""
        ...

    def keep_comment(self, survey_id: str, question: str, about: About, text: str, masked: int, day: date) -> None:
        """Own words, masked already; later ones replace the ones before, an empty text deletes them."""
        ...

    def keep_feedback(self, unit: str | None, text: str, masked: int, day: date) -> None:
        """Own words without a code; the same words sent again today or the day after are not kept twice."""
        ...

    def receipt_state(self, receipt_hash: str) -> ReceiptState | None: ...
    def free_slip(self, slip: str) -> str | None:
        """The hash of a slip that we printed and that leads to no dossier; None for any other."""
        ...

    def hold_slip_page(self, slip_hash: str, fact: SurveyAnswered, texts: Mapping[str, tuple[str, int]], now: datetime) -> None:
        """A page of a slip that leads to no dossier yet, kept for 30 days. ``texts``: question → (masked words, how many masked)."""
        ...

    def put_measure(self, measure: Measure, by: str, now: datetime) -> int:
        """A unit says what it did about what people said; goes into the audit trail. The same again is not put twice. ``by``: a login."""
        ...

    def ask_erasure(self, receipt_hash: str, now: datetime) -> bool:
        """The answer a receipt is of is to go; False for an unknown receipt."""
        ...

    def freeze(self, fingerprints: Sequence[tuple[str, int, str, str]], now: datetime) -> list[tuple[str, int, str]]:
        """Note the questionnaires of a site; those parts (id, version, part) that were answered in other words before."""
        ...

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
    def carry_out(self, now: datetime, limit: int) -> int:
        """What people asked of counted answers: erase, release; how many."""
        ...

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
    def put_statements(self, rows: Sequence[Statement], now: datetime) -> list[Statement]:
        """Write what people state, all of one kind, each replacing what was stated of the same thing, and put it into the outbox.

        Those that were new or another, under the ids and numbers they got; ``event_id``, ``registry_id`` and ``seq`` of ``rows`` do not
        matter.
        """
        ...

    def catalogue(self) -> Catalogue:
        """The procedures as they stand. Cheap: kept until a list changes them."""
        ...

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
