"""Second implementations of the ports the roles stand on: a log in memory, a channel, a clock; each fails when it is ordered to."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from hailong.domain.hours import Hours
from hailong.domain.rulebook import Rules
from hailong.events import Fact, MessageChannel, Record, decode, encode
from hailong.ports import Claimed, DossierAct, Handover, OutgoingMessage, Permanent, Retryable
from sinks.ledger import Ledger, open_ledger
from streams.deciding import Decider, Office
from streams.guard import Guard, Handler, Item, Outbox, Raw
from streams.sending import Sender, SendingRules
from tests.contract.build import NOON, tools

ANY_HOUR = Hours(time.min, time.max, frozenset(range(7)), holidays=False)


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class MemoryLog:
    """hailong.ports.AsyncPublisher into a list. ``failures``: how many records each coming call still writes before it fails."""

    records: list[Record] = field(default_factory=list)
    failures: list[int | None] = field(default_factory=list)
    """None: that call succeeds."""
    most_bytes: int = 1_000_000
    """The largest value it takes."""

    async def publish(self, records: Sequence[Record]) -> None:
        await asyncio.sleep(0)
        fails = self.failures.pop(0) if self.failures else None
        for n, record in enumerate(records):
            if len(record.value) > self.most_bytes:
                raise Permanent("a record is larger than the broker takes", "too_large")
            if fails is not None and n >= fails:
                break
            self.records.append(record)
            await asyncio.sleep(0)
        if fails is not None:
            raise Retryable("the log is away", 0.01)

    def facts(self, topic: str) -> list[Any]:
        """The facts of a topic, as a reader that drops echoes has them."""
        found = {f.event_id: f for f in (decode(r.topic, r.value) for r in self.records if r.topic == topic)}
        return list(found.values())

    def topics(self) -> list[str]:
        return [r.topic for r in self.records]


@dataclass
class ChannelTwin:
    """hailong.ports.Channel that hands over at once, or does what ``orders`` say, first to last."""

    name: MessageChannel = "sms"
    provider: str = "twin"
    can_reconcile: bool = True
    orders: list[Exception | None] = field(default_factory=list)
    accepts_before_failing: bool = False
    look: Callable[[OutgoingMessage], None] = lambda _: None
    sent: list[OutgoingMessage] = field(default_factory=list)
    accepted: dict[str, Handover] = field(default_factory=dict)
    """Token → what the provider's list would say."""
    looked_up: int = 0
    open_now: int = 0
    most_open: int = 0

    async def send(self, message: OutgoingMessage) -> Handover:
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            self.look(message)
            await asyncio.sleep(0.001)
            self.sent.append(message)
            order = self.orders.pop(0) if self.orders else None
            handover = Handover(self.provider, f"SM{len(self.sent)}", 1)
            if order is None or self.accepts_before_failing:
                self.accepted[message.token] = handover
            if order is not None:
                raise order
            return handover
        finally:
            self.open_now -= 1

    async def find(self, message: OutgoingMessage, since: datetime) -> Handover | None:
        self.looked_up += 1
        return self.accepted.get(message.token)

    async def close(self) -> None:
        return


def compose(claimed: Claimed) -> OutgoingMessage:
    """A message whose token is the slot and the purpose."""
    to = claimed.address or (claimed.contact and (claimed.contact.phone or claimed.contact.email)) or ""
    token = f"{claimed.ref}-{claimed.kind}"
    return OutgoingMessage(claimed.claim_id, claimed.channel, to, "", f"about {token}", None, token, None, None, claimed.language)


@dataclass
class Room:
    """A ledger in a file, a log in memory, a clock in the hand."""

    ledger: Ledger
    log: MemoryLog
    clock: HandClock
    outbox: Outbox
    real: datetime = NOON
    """Real time, for leases."""

    def decider(self, draw: Callable[[str, str], float] = lambda ref, purpose: 0.5, **rules: Any) -> Decider:
        """Rules that ask at once and at any hour, but for what is said."""
        said: dict[str, Any] = {"version": "test", "spread_minutes": 0, "hours": ANY_HOUR, "after_electronic": "at_once"}
        given = Rules(**(said | rules))
        return Decider(self.outbox, self.clock, Office("test", lambda _: given, lambda day, ref, purpose: draw(ref, purpose)))

    def sender(self, *channels: ChannelTwin, **rules: Any) -> Sender:
        by_name: dict[str, Any] = {name: c for c in channels for name in (c.name, c.provider)}
        return Sender(self.outbox, self.clock, lambda: self.real, by_name, compose, SendingRules(**({"poll_s": 0.01} | rules)), "w")

    def guard(self, handler: Handler, waits: list[float] | None = None) -> Guard:
        async def sleep(seconds: float) -> None:
            if waits is not None:
                waits.append(seconds)
            await asyncio.sleep(0)

        return Guard("test", handler, self.outbox, self.clock, sleep)

    def take(self, *acts: DossierAct) -> None:
        """As the intake does."""
        with self.ledger.begin() as tx:
            for act in acts:
                tx.take_act(act, self.clock.now())

    def begin(self) -> Any:
        return self.ledger.begin()

    def outcomes(self) -> dict[str, Any]:
        with self.ledger.read() as reader:
            return reader.outcomes()

    def slots(self) -> dict[str, Any]:
        """dossier_ref → its row."""
        with self.ledger.read() as reader:
            return {s.dossier_ref: s for s in reader.slots()}

    def claims(self) -> list[Any]:
        with self.ledger.read() as reader:
            return reader.claims()

    def dead(self) -> list[Any]:
        with self.ledger.read() as reader:
            return reader.dead_letters()


@contextmanager
def room(template: Path, folder: Path, **changes: object) -> Iterator[Room]:
    """A room on a copy of a migrated ledger."""
    address = f"sqlite:///{shutil.copy(template, folder / 'ledger.db')}"
    ledger = open_ledger(address, tools(**changes), "test")
    log = MemoryLog()
    try:
        yield Room(ledger, log, HandClock(), Outbox(ledger, log))
    finally:
        ledger.close()


def raws(facts: Sequence[Fact], first: int = 0) -> list[Raw]:
    """Facts as the consumer has them, one partition a topic."""
    records = [encode(f, NOON) for f in facts]
    return [Raw(r.topic, 0, first + n, r.value) for n, r in enumerate(records)]


def items(facts: Sequence[Fact], first: int = 0) -> list[Item]:
    return [Item(encode(f, NOON).topic, 0, first + n, f) for n, f in enumerate(facts)]
