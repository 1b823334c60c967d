"""What is watched: a unit, what stands above it, or a field, each with its two detectors, and with its answers in chunks.

A chart cannot be run backwards. So each answer is kept as what the charts took of it, in chunks that begin with the charts as they were
before: an answer that is erased is taken out and its chunk, and those after it, are run again, on exactly what they had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from hailong.domain.cusum import Below, Volume
from hailong.domain.cusum import known as newly_known
from hailong.domain.decline import Decline

CHUNK: Final = 128
HALF_LIFE: Final = 90.0
"""Days after which an answer counts half in the estimate of where a unit stands now."""
Act = Literal["answer", "fixed_below", "fixed_declining"]
Kind = Literal["below", "declining"]
State = Literal["raised", "cleared", "settled"]


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """What the charts took: one answer, or that somebody declared a finding fixed."""

    act: Act
    key: str
    """Of the survey, to find an answer that is erased."""
    day: int
    failed: bool = False
    target: float = 0.0
    reference: float = 0.0
    expected: float = 0.0
    usual: float = 0.0
    """The probability of not being satisfied at the province's level, without its movement."""


class Now(msgspec.Struct, array_like=True):
    """Discounted sums: answers, those not satisfied, how many were to be expected in these fields."""

    day: int
    n: float = 0.0
    failed: float = 0.0
    usual: float = 0.0

    def take(self, entry: Entry) -> None:
        """One more answer; days never fall."""
        fade = 0.5 ** ((entry.day - self.day) / HALF_LIFE)
        self.day, self.n, self.failed, self.usual = entry.day, self.n * fade + 1, self.failed * fade, self.usual * fade + entry.usual
        self.failed += entry.failed


class Charts(msgspec.Struct, array_like=True):
    """Both detectors and the estimate: everything that follows from the entries."""

    below: Below
    decline: Decline
    now: Now

    def take(self, entry: Entry) -> list[tuple[Kind, State]]:
        """What an entry causes."""
        if entry.act == "fixed_below":
            self.below.fixed(entry.day)
        elif entry.act == "fixed_declining":
            self.decline.fixed(entry.day)
        else:
            self.now.take(entry)
            steps: list[tuple[Kind, State]] = []
            if a := self.below.observe(entry.day, entry.failed, entry.target, entry.reference):
                steps.append(("below", a))
            if b := self.decline.observe(entry.day, entry.failed, entry.expected):
                steps.append(("declining", b))
            return steps
        return []


def charts(day: int) -> Charts:
    """Of what becomes known on ``day``."""
    return Charts(newly_known(day), Decline(Volume(day)), Now(day))


class Chunk(msgspec.Struct, array_like=True):
    """Entries, and the charts as they were before them."""

    before: bytes
    entries: list[Entry] = []


class Open(msgspec.Struct, array_like=True):
    """An alert that stands."""

    alert_id: str
    since: int
    version: int = 1


class Watched(msgspec.Struct, array_like=True):
    """One of what is watched: its charts, its open alerts by kind, and its chunk that is not full."""

    charts: Charts
    chunk: Chunk
    full: int = 0
    """Chunks that are full, kept apart."""
    open: dict[str, Open] = {}


@dataclass(frozen=True)
class Taken:
    """What came of an act: what it causes, and the chunks (number → content) that are to be kept anew."""

    steps: Sequence[tuple[Kind, State]]
    chunks: dict[int, Chunk]


_PACK: Final = msgspec.msgpack.Encoder()
_CHARTS: Final = msgspec.msgpack.Decoder(Charts)


def watched(day: int) -> Watched:
    """Something that becomes known on ``day``."""
    begin = charts(day)
    return Watched(begin, Chunk(_PACK.encode(begin)))


def take(one: Watched, entry: Entry) -> Taken:
    """Take an entry."""
    one.chunk.entries.append(entry)
    steps = one.charts.take(entry)
    filled = _roll(one)
    return Taken(steps, filled)


def _roll(one: Watched) -> dict[int, Chunk]:
    if len(one.chunk.entries) < CHUNK:
        return {}
    full = {one.full: one.chunk}
    one.full += 1
    one.chunk = Chunk(_PACK.encode(one.charts))
    return full


def take_back(one: Watched, key: str, chunks: Sequence[tuple[int, Chunk]]) -> Taken:
    """Run again without the answer ``key``. ``chunks``: the full ones (number, content) from the one that may hold it on, in order.

    Steps: what is on now and was not, and the other way round. Nothing happens when the answer is not there (older than what is kept).
    """
    whole = [*chunks, (one.full, one.chunk)]
    at = next((i for i, (_, chunk) in enumerate(whole) if any(e.key == key and e.act == "answer" for e in chunk.entries)), None)
    if at is None:
        return Taken((), {})
    was = _on(one.charts)
    again = _CHARTS.decode(whole[at][1].before)
    for i, (number, chunk) in enumerate(whole[at:]):
        entries = [e for e in chunk.entries if e.key != key or e.act != "answer"] if i == 0 else chunk.entries
        whole[at + i] = number, Chunk(_PACK.encode(again), entries)
        for entry in entries:
            again.take(entry)
    one.charts, one.chunk = again, whole[-1][1]
    now = _on(again)
    steps: list[tuple[Kind, State]] = [(kind, "raised" if now[kind] else "cleared") for kind in was if was[kind] != now[kind]]
    return Taken(steps, dict(whole[at:-1]))


def _on(c: Charts) -> dict[Kind, bool]:
    return {"below": c.below.alert.on, "declining": c.decline.on}


FIXED: Final[dict[Kind, Act]] = {"below": "fixed_below", "declining": "fixed_declining"}
"""The act that gives up a chart's evidence: somebody put it right, or there are too few answers left to say anything."""
