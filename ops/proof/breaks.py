"""Safeguards switched off, one at a time, to show that the proofs can fail. Nothing here runs unless ``proof_break`` says so.

Those of ``prove crash`` also kill their own process at the point where the missing safeguard matters, so that the harm does not wait for
luck; a worker of ``prove asked`` falls asleep there, whether the safeguard is on (``pause``) or off (``lease``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from hailong.domain.rulebook import Rules
from hailong.events import TOPICS, Fact, MessageChannel, Topic, encode
from hailong.ports import AsyncPublisher, Claimed, Contact, PendingRecord, Settlement, Transaction
from hailong.settings import Settings
from ops.wiring import Wiring
from sinks.clickhouse.archive import Archive
from sinks.ledger import Ledger, Tx
from sinks.ledger.claiming import _People
from streams.guard import Outbox
from streams.sending import Sender

BREAKS: Final = ("claim", "ack", "dedupe", "order", "outbox")
"""Of ``prove crash``."""
ASKED_BREAKS: Final = ("cap", "window", "recheck", "lease")
"""Of ``prove asked``."""
PAUSE: Final = "pause"
"""No safeguard is off; a worker of send stops itself where it is told to."""
COUNTED: Final = "survey.counted.v1"
_CHANCE: Final = 0.15


def perhaps_die(chance: float = _CHANCE) -> None:
    """kill -9 ourselves, at a point the caller chose."""
    if random.random() < chance:  # noqa: S311 (which of many moments does not matter)
        os.kill(os.getpid(), signal.SIGKILL)


def die_after(commit_interval_s: float) -> Callable[[], Awaitable[None]]:
    """ack: wait until what was acknowledged is committed, then perhaps die before its effect."""

    async def wait() -> None:
        await asyncio.sleep(1.5 * commit_interval_s)
        perhaps_die()

    return wait


class ClaimlessSender(Sender):
    """claim: the provider is called without a committed claim; the claim is written together with how it ended."""

    async def round(self) -> int:
        now, real = self._clock.now(), self._real_now()
        lease = real + timedelta(seconds=self._rules.lease_s)

        def claim(tx: Transaction) -> list[Claimed]:
            return tx.claim_due(now, real, lease, self._rules.parallel, self._worker)

        claimed, _ = await self._outbox.write(_undone(claim))
        if not claimed:
            return 0
        settlements = [await self._hand_over(c) for c in claimed]
        perhaps_die()
        by_ref = {s.claimed.ref: s for s in settlements}

        def settle(tx: Transaction) -> None:
            again = claim(tx)
            tx.settle([replace(by_ref[c.ref], claimed=c) for c in again if c.ref in by_ref], self._clock.now())

        _, rows = await self._outbox.write(settle)
        await self._outbox.publish(rows)
        return len(claimed)


class _Undo(Exception):
    pass


def _undone(work: Callable[[Transaction], list[Claimed]]) -> Callable[[Transaction], list[Claimed]]:
    """``work``, without anything of it staying."""

    def run(tx: Transaction) -> list[Claimed]:
        assert isinstance(tx, Tx)  # noqa: S101 (a proof's own wiring)
        savepoint = tx.conn.begin_nested()
        result = work(tx)
        savepoint.rollback()
        tx.written.clear()
        return result

    return run


class DyingOutbox(Outbox):
    """dedupe: dies between the broker's word and the mark, so that the next life writes the same records again."""

    async def _publish(self, rows: Sequence[PendingRecord]) -> None:
        await self.publisher.publish([row.record for row in rows])
        perhaps_die()
        self.ledger.published([row.id for row in rows])


class EchoingArchive(Archive):
    """dedupe: echoes are kept."""

    def _in_turn(self, facts: Sequence[tuple[int, Fact]]) -> list[tuple[int, Fact]]:
        return list(facts)


class ForgetfulTx(Tx):
    """outbox: the fact is not stored with its effect; it lives in this process until it is published."""

    def put(self, facts: Sequence[Fact], at: datetime) -> list[int]:
        self.written += [PendingRecord(-1, encode(fact, at)) for fact in facts]
        return [-1] * len(facts)


class ForgetfulOutbox(Outbox):
    """outbox: publishes from memory; a death between commit and publish loses the fact."""

    async def publish(self, rows: Sequence[PendingRecord]) -> None:
        if rows:
            perhaps_die()
            await self.publisher.publish([row.record for row in rows])


class ScatteringTx(Tx):
    """order: counted records go to any of four partitions."""

    def put(self, facts: Sequence[Fact], at: datetime) -> list[int]:
        records = [(f.event_id, encode(f, at)) for f in facts]
        return self.put_records([(i, replace(r, key=i.encode()) if r.topic == COUNTED else r) for i, r in records])


class _Trusting(_People):
    """recheck: as it was when the message was planned, so it still is."""

    def why_not(
        self, slot: Any, now: datetime, taken: set[str], cap_days: int, answered: bool, contact: Contact, channel: MessageChannel
    ) -> str | None:
        return super().why_not(slot, now, taken, cap_days, False, contact, channel)

    def why_not_again(
        self, slot: Any, now: datetime, taken: set[str], cap_days: int, answered: bool, contact: Contact, channel: MessageChannel
    ) -> str | None:
        return super().why_not_again(slot, now, taken, cap_days, False, contact, channel)


class TrustingTx(Tx):
    """recheck: neither an opt-out nor an answer is looked at again at the moment of sending."""

    def _people(self, slots: Sequence[Any]) -> _People:
        people = super()._people(slots)
        contacts = {h: SimpleNamespace(**{**c._mapping, "opted_out_at": None}) for h, c in people.contacts.items()}
        return _Trusting(contacts, people.entries)


class CaplessWiring(Wiring):
    """cap: neither decide nor a claim knows of it, so nothing rests."""

    def rules(self, day: date) -> Rules:
        return replace(super().rules(day), cap_days=0)


class TirelessWiring(Wiring):
    """window: the hours are not looked at when a message is claimed, nor when it is handed over."""

    def is_open(self, at: datetime) -> bool:
        return True


class PausingSender(Sender):
    """Stops its own process (SIGSTOP) between claiming and handing over, when the bell is rung for that kind of message."""

    bell: Path

    async def _hand_over(self, c: Claimed) -> Settlement:
        with contextlib.suppress(FileNotFoundError):
            if self.bell.read_text("utf-8") == c.kind:
                self.bell.rename(self.bell.with_suffix(f".{os.getpid()}"))  # one worker, once; whoever rang it sees who sleeps
                os.kill(os.getpid(), signal.SIGSTOP)
        return await super()._hand_over(c)


class Sleepwalker(PausingSender):
    """lease: who slept over it hands over all the same."""

    def _too_late(self, c: Claimed) -> str | None:
        return super()._too_late(replace(c, lease_until=None))


class BrokenLedger(Ledger):
    """A ledger whose transactions are of another kind."""

    def __init__(self, ledger: Ledger, kind: type[Tx]) -> None:
        super().__init__(ledger._engine, ledger._tools, ledger.writer)
        self._kind = kind

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        with super().begin() as tx:
            tx.__class__ = self._kind
            yield tx


def broken_outbox(kind: str, role: str, ledger: Ledger, publisher: AsyncPublisher, ordered: bool) -> Outbox:
    """The outbox of a role with one safeguard off; a sound one where the break does not concern it."""
    if kind == "outbox" and role in ("decide", "count"):
        return ForgetfulOutbox(BrokenLedger(ledger, ForgetfulTx), publisher, ordered=ordered)
    if kind == "dedupe" and role == "count":
        return DyingOutbox(ledger, publisher, ordered=ordered)
    if kind == "recheck" and role == "send":
        return Outbox(BrokenLedger(ledger, TrustingTx), publisher, ordered=ordered)
    if kind == "order" and role == "count":
        return Outbox(BrokenLedger(ledger, ScatteringTx), publisher, ordered=ordered)
    return Outbox(ledger, publisher, ordered=ordered)


def sender(kind: str, data_dir: Path) -> type[Sender]:
    """The sender of a worker, with one safeguard off where the break concerns it."""
    if kind == "claim":
        return ClaimlessSender
    if kind in (PAUSE, "lease"):
        PausingSender.bell = bell(data_dir)
        return Sleepwalker if kind == "lease" else PausingSender
    return Sender


def bell(data_dir: Path) -> Path:
    """The file into which the kind of message is written at which a worker of send shall fall asleep."""
    return data_dir / "run" / "pause"


def wiring(settings: Settings) -> Wiring:
    """The parts of a worker, with one safeguard off where the break concerns them."""
    kinds: dict[str, type[Wiring]] = {"cap": CaplessWiring, "window": TirelessWiring}
    return kinds.get(settings.proof_break, Wiring)(settings)


def topics(kind: str) -> tuple[Topic, ...]:
    """The topics to create: with ``order``, counted records have four partitions."""
    return tuple(replace(t, partitions=4) if kind == "order" and t.name == COUNTED else t for t in TOPICS)
