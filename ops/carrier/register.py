"""What the carrier knows by heart: an index over the journal, made by applying its records. Texts stay on the disk."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from ops.carrier.records import Accepted, ChannelName, PlannedStep, Rated, Record, Refused, Step, Told, Written

_RANK = {"queued": 0, "accepted": 0, "sent": 1, "delivered": 2, "undelivered": 2, "failed": 2}


@dataclass(slots=True)
class Entry:
    """One accepted message. ``n`` counts from 1 in the order of acceptance; ``offset`` and ``length`` tell where the journal has it."""

    n: int
    id: str
    at: datetime
    channel: ChannelName
    to: str
    state: str
    code: int | None
    updated: datetime
    sent_at: datetime | None
    offset: int
    length: int


@dataclass(slots=True)
class Open:
    """A message with steps or receipts still to come."""

    at: datetime
    callback: str | None
    plan: tuple[PlannedStep, ...]
    done: set[str] = field(default_factory=set)
    told: Counter[str] = field(default_factory=Counter)

    def steps_left(self) -> list[PlannedStep]:
        return [step for step in self.plan if step.status not in self.done]

    def posts_left(self) -> list[tuple[str, int]]:
        """(status, receipts still owed) of the steps already reached."""
        if self.callback is None:
            return []
        owed = [(step.status, step.posts - self.told[step.status]) for step in self.plan if step.status in self.done]
        return [(status, count) for status, count in owed if count > 0]


class Register:
    """The index. Only ``apply`` changes it."""

    def __init__(self) -> None:
        self.open: dict[str, Open] = {}
        self.refused = 0
        self.ratings: dict[tuple[str, str], Rated] = {}
        """By message and name, with the reports still owed."""
        self._rated: Counter[str] = Counter()
        self._written: dict[str, list[Written]] = {}
        self._entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._by_to: dict[tuple[ChannelName, str], list[int]] = {}

    def apply(self, record: Record, offset: int, length: int) -> None:
        match record:
            case Accepted():
                self._accept(record, offset, length)
            case Step():
                self._step(record)
            case Told():
                self._tell(record)
            case Refused():
                self.refused += 1
            case Rated():
                self._rated[record.id] += 1
                if record.posts:
                    self.ratings[record.id, record.status] = record
            case Written():
                self._written.setdefault(record.id, []).append(record)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, message_id: str) -> Entry | None:
        return self._by_id.get(message_id)

    def written(self, message_id: str) -> list[Written]:
        """What the recipient of a message wrote to the short code, in order."""
        return self._written.get(message_id, [])

    def after(self, n: int) -> Iterator[Entry]:
        """Messages accepted after the ``n``-th, oldest first."""
        for index in range(max(n, 0), len(self._entries)):
            yield self._entries[index]

    def before(self, n: int | None = None) -> Iterator[Entry]:
        """Messages accepted before the ``n``-th (all, if None), newest first."""
        last = len(self._entries) if n is None else min(n - 1, len(self._entries))
        for index in range(last - 1, -1, -1):
            yield self._entries[index]

    def to(self, channel: ChannelName, to: str, before: int | None = None) -> Iterator[Entry]:
        """Messages to exactly this recipient, newest first."""
        numbers = self._by_to.get((channel, to), [])
        last = len(numbers) if before is None else bisect_left(numbers, before)
        for index in range(last - 1, -1, -1):
            yield self._entries[numbers[index] - 1]

    def _accept(self, record: Accepted, offset: int, length: int) -> None:
        n = len(self._entries) + 1
        state = "accepted" if record.channel == "email" else "queued"
        entry = Entry(n, record.id, record.at, record.channel, record.to, state, None, record.at, None, offset, length)
        self._entries.append(entry)
        self._by_id[record.id] = entry
        self._by_to.setdefault((record.channel, record.to), []).append(n)
        if record.plan:
            self.open[record.id] = Open(record.at, record.callback, record.plan)

    def _step(self, record: Step) -> None:
        entry = self._by_id[record.id]
        if _RANK[record.status] >= _RANK[entry.state]:
            entry.state, entry.code = record.status, record.code
        entry.updated = record.at
        entry.sent_at = entry.sent_at or record.at
        self.open[record.id].done.add(record.status)
        self._close_if_done(record.id)

    def rated(self, message_id: str) -> int:
        """How often a message was rated."""
        return self._rated[message_id]

    def _tell(self, record: Told) -> None:
        rating = self.ratings.pop((record.id, record.status), None)
        if rating is not None:
            if rating.posts > 1:
                self.ratings[record.id, record.status] = replace(rating, posts=rating.posts - 1)
        elif record.id in self.open:
            self.open[record.id].told[record.status] += 1
            self._close_if_done(record.id)

    def _close_if_done(self, message_id: str) -> None:
        message = self.open[message_id]
        if not message.steps_left() and not message.posts_left():
            del self.open[message_id]
