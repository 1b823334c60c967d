"""The outbox: the very bytes that were committed, in order, none lost; ordered: no gap in the log at any moment."""

from __future__ import annotations

import asyncio
import random

import pytest

from hailong.ports import Permanent, Retryable, Transaction
from streams.guard import Outbox
from tests.contract.build import NOON, answered, closed
from tests.streams.twins import Room

COUNTED = "survey.counted.v1"


def test_what_failed_to_be_published_waits_and_comes_with_the_same_bytes(here: Room) -> None:
    async def run() -> None:
        _, rows = await here.outbox.write(lambda tx: tx.put([closed("d1"), closed("d2")], NOON))
        here.log.failures = [1]
        with pytest.raises(Retryable):
            await here.outbox.publish(rows)
        assert [p.record for p in here.ledger.pending()] == [r.record for r in rows]
        assert await here.outbox.drain() == 2
        assert here.log.records == [rows[0].record, rows[0].record, rows[1].record]
        assert here.ledger.pending() == []

    asyncio.run(run())


def test_drain_takes_more_than_one_page(here: Room) -> None:
    async def run() -> None:
        await here.outbox.write(lambda tx: tx.put([closed(f"d{n}") for n in range(1_203)], NOON))
        assert await here.outbox.drain() == 1_203
        assert [f.dossier_ref for f in here.log.facts("dossier.closed.v1")] == [f"d{n}" for n in range(1_203)]

    asyncio.run(run())


@pytest.mark.parametrize("ordered", [False, True])
def test_a_dead_letter_that_is_too_large_is_shortened_in_its_place(here: Room, ordered: bool) -> None:
    """And a crash after that publishes the short one again, not the whole one."""
    here.log.most_bytes = 600
    outbox = Outbox(here.ledger, here.log, ordered=ordered)

    def work(tx: Transaction) -> None:
        tx.put([closed("d1")], NOON)
        tx.put_dead("dossier.closed.v1", 0, 7, "decide", "one-stop", "no value", 1, b"x" * 1_000, NOON)
        tx.put([closed("d2")], NOON)

    async def run() -> None:
        _, rows = await outbox.write(work)
        here.log.failures = [None, None, None, 0]  # the log goes away before it takes the short one
        with pytest.raises(Retryable):
            await outbox.publish(rows)
        assert len(here.ledger.pending()) == 3
        await outbox.drain()

    asyncio.run(run())
    short = [r for r in here.log.records if r.topic == "dead.dossier.closed.v1"]
    assert [r.value for r in short] == [b""]
    assert [f.dossier_ref for f in here.log.facts("dossier.closed.v1")] == ["d1", "d2"]
    assert here.ledger.pending() == []


def test_a_fact_that_is_too_large_is_not_taken_away_in_silence(here: Room) -> None:
    here.log.most_bytes = 10

    async def run() -> None:
        _, rows = await here.outbox.write(lambda tx: tx.put([closed("d1")], NOON))
        with pytest.raises(Permanent):
            await here.outbox.publish(rows)

    asyncio.run(run())
    assert len(here.ledger.pending()) == 1


def test_nothing_is_published_of_a_transaction_that_failed(here: Room) -> None:
    def work(tx: object) -> None:
        tx.put([closed("d1")], NOON)  # type: ignore[attr-defined]
        raise RuntimeError

    async def run() -> None:
        with pytest.raises(RuntimeError):
            await here.outbox.write(work)
        assert await here.outbox.drain() == 0

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(4))
def test_ordered_the_log_has_no_gap_whoever_writes_and_whatever_fails(here: Room, seed: int) -> None:
    """At every moment the counted records in the log are 1, 2, 3 … up to the highest, when echoes are dropped."""
    chance = random.Random(seed)
    ordered = Outbox(here.ledger, here.log, ordered=True)
    here.log.failures = [chance.choice([None, None, 0, 1, 2]) for _ in range(25)]
    high = 0

    async def writer(name: str) -> None:
        for n in range(8):
            fact = answered(f"{name}{n}", chance.randint(1, 5))
            _, rows = await ordered.write(lambda tx, fact=fact: tx.count(fact, NOON))  # type: ignore[misc]
            try:
                await ordered.publish(rows)
            except Retryable:
                await asyncio.sleep(0)

    async def run() -> None:
        await asyncio.gather(*(writer(name) for name in "abcd"))
        here.log.failures = []
        await ordered.drain()

    asyncio.run(run())
    for record in here.log.records:
        seq = int(dict(record.headers)["ce_id"].rpartition(b":")[2])
        assert seq <= high + 1, "a record came before the one in front of it"
        high = max(high, seq)
    assert high == 32
    assert here.ledger.pending() == []


def test_an_earlier_life_s_facts_come_before_new_ones(here: Room) -> None:
    """A process died between commit and publish: the next one's first publish takes what is left, in its order."""
    with here.begin() as tx:
        tx.count(answered("s1", 1), NOON)
    ordered = Outbox(here.ledger, here.log, ordered=True)

    async def run() -> None:
        _, rows = await ordered.write(lambda tx: tx.count(answered("s2", 2), NOON))
        await ordered.publish(rows)

    asyncio.run(run())
    assert [f.seq for f in here.log.facts(COUNTED)] == [1, 2]
