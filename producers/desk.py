"""The core of the intake, whichever door an item comes through: understand it, keep it, publish it, say what became of it.

An act and the bytes of its fact are committed to the ledger in one transaction; then the fact is published; then it leaves the
outbox. A process killed in between leaves its fact in the outbox, where ``drain`` finds it. ``take`` answers only when the broker has
acknowledged, so that "202" is a promise.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol

from hailong.domain.dossier import REASONS, SOURCE, Parsed, parse_item
from hailong.domain.people import Keyed
from hailong.domain.procedures import Catalogue, with_field
from hailong.events import DossierReopened
from hailong.ports import Invalid, Ledger, PendingRecord, Publisher, Transaction

FROM_CATALOGUE: Final = "field_code: from_the_catalogue"
"""Noted where an ending came without a field."""
IN_ONE_TRANSACTION: Final = 50
"""Acts committed together: few enough that other writers of the ledger wait milliseconds, not longer."""
_AT_ONCE: Final = 500


class SourcePaused(Exception):
    """This source sent too much that cannot be used; nothing more is taken from it until someone resumes it."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(f"source {source!r} is paused: {why}. `hailong deadletters` shows why; resume it there")
        self.source = source
        self.why = why


@dataclass(frozen=True)
class ItemResult:
    """What became of one item. 202: its fact is in the log; 409: the same act came before with another content; 422: refused."""

    index: int
    status: int
    event_id: str | None = None
    duplicate: bool = False
    field: str | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()
    """Parts of the item that were dropped, as ``field: word``."""
    filled: tuple[str, ...] = ()
    """Parts the item came without and that were filled in, as ``field: word``."""

    def as_json(self) -> dict[str, Any]:
        """The item's part of the answer of ``POST /v1/dossiers``."""
        error = {"field": self.field, "reason": self.reason} if self.reason else None
        answer = {"index": self.index, "status": self.status, "event_id": self.event_id, "duplicate": self.duplicate, "error": error}
        return answer | {"notes": [*self.notes, *self.filled]} if self.notes or self.filled else answer


def refused_item(index: int, error: Invalid) -> ItemResult:
    """The result of an item that is refused."""
    return ItemResult(index, 422, field=error.field, reason=error.reason)


class DeskLedger(Ledger, Protocol):
    """The ledger as the desk has it."""

    def pending_with(self, ids: Collection[int], limit: int = 500) -> list[PendingRecord]:
        """Of the writers of these rows, whoever they are, what waits up to the last of them, in order."""
        ...


class Desk:
    """Takes items in. One per outbox, shared by the threads of a process; ``ledger`` is that of this process."""

    def __init__(self, ledger: DeskLedger, publisher: Publisher, keyed: Keyed, registry_id: str) -> None:
        self._ledger = ledger
        self._publisher = publisher
        self._keyed = keyed
        self._registry_id = registry_id
        self._publishing = threading.Lock()

    def take(self, items: Sequence[Any], source: str, heard_at: datetime, *, as_if_on_time: bool = False) -> list[ItemResult]:
        """Take items of ``source`` in; one result each, in order.

        Raises Retryable when ledger or broker is away: what was committed stays in the outbox and the same items may simply be sent
        again. Raises SourcePaused.
        """
        if not SOURCE.fullmatch(source):
            raise Invalid("not_a_code", "source", "a source is named by up to 32 small letters, digits and hyphens")
        parsed: list[tuple[int, Parsed]] = []
        results: dict[int, ItemResult] = {}
        for index, item in enumerate(items):
            try:
                parsed.append((index, parse_item(item, source, heard_at, self._keyed, self._registry_id, as_if_on_time=as_if_on_time)))
            except Invalid as error:
                results[index] = refused_item(index, error)
        waiting: set[int] = set()
        for start in range(0, len(parsed), IN_ONE_TRANSACTION):
            results |= self._commit(parsed[start : start + IN_ONE_TRANSACTION], source, heard_at, waiting)
        if not parsed:
            self._check_paused(source)
        self._publish(waiting)
        return [results[index] for index in sorted(results)]

    def _check_paused(self, source: str) -> None:
        with self._ledger.begin() as tx:
            _paused(tx, source)

    def _commit(self, parsed: Sequence[tuple[int, Parsed]], source: str, now: datetime, waiting: set[int]) -> dict[int, ItemResult]:
        with self._ledger.begin() as tx:
            _paused(tx, source)
            catalogue = tx.catalogue()
            taken = [_taken(tx, catalogue, index, one, now) for index, one in parsed]
        waiting.update(id_ for _, ids in taken for id_ in ids)
        return {result.index: result for result, _ in taken}

    def _publish(self, waiting: set[int]) -> None:
        """Publish until none of ``waiting`` is in an outbox; what other threads committed goes along in one batch."""
        while waiting:
            with self._publishing:
                rows = self._ledger.pending(_AT_ONCE)
                mine = waiting.intersection(row.id for row in rows)
                if not mine and len(rows) < _AT_ONCE:
                    # Another thread has published them; or they are another process's, which may be gone.
                    rows = self._ledger.pending_with(waiting, _AT_ONCE)
                    if not rows:
                        return
                self._publisher.publish([row.record for row in rows])
                ids = [row.id for row in rows]
                self._ledger.published(ids)
            waiting.difference_update(ids)

    def drain(self) -> int:
        """Publish what earlier requests or a killed process left in the outbox; the number published. Raises Retryable."""
        drained = 0
        while True:
            with self._publishing:
                rows = self._ledger.pending(_AT_ONCE)
                if not rows:
                    return drained
                self._publisher.publish([row.record for row in rows])
                self._ledger.published([row.id for row in rows])
            drained += len(rows)

    def check_ledger(self) -> None:
        """Return when the ledger answers. Raises Retryable."""
        self._ledger.pending(1)


def _paused(tx: Transaction, source: str) -> None:
    why = tx.source_paused(source)
    if why is not None:
        raise SourcePaused(source, why)


def _taken(tx: Transaction, catalogue: Catalogue, index: int, parsed: Parsed, now: datetime) -> tuple[ItemResult, tuple[int, ...]]:
    act = parsed.act
    if isinstance(act.fact, DossierReopened):
        if not tx.known(act.fact.dossier_ref):
            return refused_item(index, Invalid("not_ended", "status_code", REASONS["not_ended"])), ()
    else:
        act = replace(act, fact=with_field(act.fact, catalogue))  # no part of what the source said: sent again, it is the same act
    taken = tx.take_act(act, now)
    if taken.status == "conflict":
        return ItemResult(index, 409, act.event_id, field=None, reason="conflict", notes=parsed.notes), ()
    # Known, but not in the log yet: an earlier try ended before the broker acknowledged, so to the source it is new.
    duplicate = taken.status == "duplicate" and not taken.pending
    filled = (FROM_CATALOGUE,) if taken.status == "new" and act.fact != parsed.act.fact else ()
    return ItemResult(index, 202, act.event_id, duplicate, notes=parsed.notes, filled=filled), taken.pending
