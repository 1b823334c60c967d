"""count: every submission into one total order; judge: that order into alerts; archive: every fact into its store."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final, Protocol

import msgspec

from hailong.domain.closing import STATE
from hailong.domain.quality import about_data
from hailong.events import AlertChanged, CaseChanged, CountedKind, Fact, SurveyAnswered, SurveyCounted, TargetChanged, UnitChanged
from hailong.ports import Clock, FactStore, Invalid, Permanent, Retryable, Transaction
from streams.guard import Item, Outbox, Refused

PER_TRANSACTION: Final = 50
WISHES: Final = ("erase_answer", "release", "confirm", "disposition")
"""Kinds of due rows: what people asked of counted answers."""


class Counter:
    """The handler of ``survey.answered`` and of what changes a detector. One process writes ``survey.counted``."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock
        self._today: date | None = None

    async def __call__(self, batch: Sequence[Item]) -> Sequence[Refused]:
        for start in range(0, len(batch), PER_TRANSACTION):
            part = [i.fact for i in batch[start : start + PER_TRANSACTION]]
            _, rows = await self._outbox.write(lambda tx, part=part: self._count(tx, part))  # type: ignore[misc]
            await self._outbox.publish(rows)
        return []

    def _count(self, tx: Transaction, facts: Sequence[Fact]) -> None:
        now = self._clock.now()
        for fact in facts:
            if isinstance(fact, SurveyAnswered):
                tx.count(fact, now)
            elif control := control_of(fact):
                kind, body = control
                tx.control(kind, fact.event_id, body, now)

    async def wishes(self) -> None:
        """Erase and release what people asked for, called again and again."""
        now = self._clock.now()
        if await self._outbox.anything_due(WISHES, now, now):
            _, rows = await self._outbox.write(lambda tx: tx.carry_out(now, PER_TRANSACTION))
            await self._outbox.publish(rows)

    async def days(self) -> None:
        """Write a day record when a local day begins, and wait for the next one; called again and again."""
        now = self._clock.now()
        if now.date() == self._today:
            return
        _, rows = await self._outbox.write(lambda tx: _day(tx, now))
        await self._outbox.publish(rows)
        self._today = now.date()


def _day(tx: Transaction, now: datetime) -> None:
    tomorrow = datetime.combine(now.date() + timedelta(days=1), time(0), now.tzinfo)
    for row in tx.take_due(["day"], now, now, now, 31):
        tx.control("day", f"day:{row.ref}", {"day": row.ref}, now)
        tx.finish_due([row.id])
    tx.schedule("day", tomorrow.date().isoformat(), tomorrow)


def control_of(fact: Fact) -> tuple[CountedKind, dict[str, object]] | None:
    """The control record a fact becomes; None when it changes no detector."""
    if isinstance(fact, UnitChanged):
        return "unit", msgspec.to_builtins(fact)
    if isinstance(fact, TargetChanged):
        return "target", msgspec.to_builtins(fact)
    if isinstance(fact, AlertChanged) and fact.state in STATE.values() and not about_data(fact):
        return "fixed", {"unit": fact.unit, "alert_id": fact.alert_id, "note": fact.note}
    return None


class Judge(Protocol):
    """Detectors over the counted records (hailong.domain.judging.Judge)."""

    seq: int
    """The last record taken."""

    def apply(self, record: SurveyCounted) -> list[AlertChanged | CaseChanged]: ...
    def changed(self) -> dict[str, bytes]:
        """States changed since the last call."""
        ...


class Judging:
    """The handler of ``survey.counted``: keeps detectors' state, position and alerts in one transaction.

    ``make_judge(seq, states)`` restores a judge; it is made anew after a transaction that failed.
    """

    def __init__(self, outbox: Outbox, make_judge: Callable[[int, dict[str, bytes]], Judge]) -> None:
        self._outbox = outbox
        self._make = make_judge
        self._judge: Judge | None = None

    async def _load(self) -> Judge:
        (seq, states), _ = await self._outbox.write(lambda tx: tx.detector_states())
        return self._make(seq, states)

    async def __call__(self, batch: Sequence[Item]) -> Sequence[Refused]:
        judge, self._judge = self._judge or await self._load(), None
        before, at = judge.seq, None
        steps: list[AlertChanged | CaseChanged] = []
        refused: list[Refused] = []
        for item in batch:
            if not isinstance(item.fact, SurveyCounted):
                continue
            try:
                steps += judge.apply(item.fact)
            except Invalid as e:
                refused.append(Refused(item, f"{e}: {e.detail}"))
            at = item.fact.counted_at
        if judge.seq > before and at is not None:
            moment, states = at, judge.changed()
            _, rows = await self._outbox.write(lambda tx: self._keep(tx, judge.seq, states, steps, moment))
            self._judge = judge
            await self._outbox.publish(rows)
        self._judge = judge
        return refused

    def _keep(self, tx: Transaction, seq: int, states: dict[str, bytes], steps: Sequence[AlertChanged | CaseChanged], at: datetime) -> None:
        tx.save_detectors(seq, states)
        for step in steps:
            if isinstance(step, AlertChanged):
                tx.alert_step(step)
        tx.put(steps, at)


class Archiving:
    """The handler of every archived topic: each partition's records into the store, in order."""

    def __init__(self, store: FactStore) -> None:
        self._store = store

    async def __call__(self, batch: Sequence[Item]) -> Sequence[Refused]:
        parts: dict[tuple[str, int], list[tuple[int, Fact]]] = defaultdict(list)
        for item in batch:
            parts[item.topic, item.partition].append((item.offset, item.fact))
        for (topic, partition), facts in sorted(parts.items()):
            await asyncio.to_thread(self._absorb, topic, partition, facts)
        return []

    def _absorb(self, topic: str, partition: int, facts: Sequence[tuple[int, Fact]]) -> None:
        try:
            self._store.absorb(topic, partition, facts)
        except Permanent:
            try:
                self._store.check(topic)
            except Permanent as e:
                # The store itself refuses (password, database, table): no fact is to blame, so none is put aside.
                raise Retryable(e.reason, 5.0) from e
            raise
