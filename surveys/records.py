"""The ledger as a page uses it: in a thread, and not for longer than a person waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread

from hailong.ports import Ledger, Measure, ReceiptState, Retryable, SlotForAnswer, Transaction

T = TypeVar("T")


class View(Protocol):
    """What is read without locking anybody."""

    def slot_by_code(self, code: str) -> SlotForAnswer | None: ...
    def slot_by_survey(self, survey_id: str) -> SlotForAnswer | None: ...
    def slot_by_slip(self, slip: str) -> SlotForAnswer | None: ...
    def free_slip(self, slip: str) -> str | None: ...
    def receipt_state(self, receipt_hash: str) -> ReceiptState | None: ...
    def unit_name(self, code: str) -> str | None: ...
    def measures(self, unit: str | None, limit: int) -> Sequence[Measure]: ...


class SiteLedger(Ledger, Protocol):
    """The ledger with this site's outbox."""

    def read(self) -> AbstractContextManager[View]: ...


class Records:
    """Runs one transaction a thread, ``parallel`` of them at once. Every method raises Retryable when the ledger is away or too slow."""

    def __init__(self, ledger: SiteLedger, timeout: float = 5.0, parallel: int = 8) -> None:
        self._ledger = ledger
        self._timeout = timeout
        self._limiter = anyio.CapacityLimiter(parallel)

    async def slot(self, code: str) -> SlotForAnswer | None:
        """The slot a code leads to; None for an unknown one."""
        return await self.look(lambda view: view.slot_by_code(code))

    async def look(self, ask: Callable[[View], T]) -> T:
        """The value of ``ask``; nobody is locked."""

        def asked() -> T:
            with self._ledger.read() as view:
                return ask(view)

        return await self.run(asked)

    async def do(self, act: Callable[[Transaction], T]) -> T:
        """The value of ``act`` in a committed transaction. After Retryable for slowness it may still commit: acts bear repeating."""

        def committed() -> T:
            with self._ledger.begin() as transaction:
                return act(transaction)

        return await self.run(committed)

    async def run(self, work: Callable[[], T]) -> T:
        """``work`` in a thread."""
        try:
            with anyio.fail_after(self._timeout):
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
        except TimeoutError:
            raise Retryable(f"ledger: no answer within {self._timeout:g} s. Look at its disk or server.", 5.0) from None
