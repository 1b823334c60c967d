"""Looks at the quality of data: every Monday once, in order, whatever dies in between; what is kept, is kept together."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, time, timedelta

import pytest

from hailong.domain.looking import EVERY, Sources, look
from hailong.domain.units import LOCAL
from hailong.events import AlertChanged, QualityLooked, Record, decode
from hailong.ports import Permanent, Retryable
from streams.looking import Looker
from tests.streams.twins import Room
from tests.unit.test_looking import MONDAY, sources

FRIDAY = datetime.combine(MONDAY - timedelta(days=3), time(9), LOCAL)
MORNING = datetime.combine(MONDAY, time(5), LOCAL)


class Store:
    """Counts that stand still; ``fails``: what the coming questions meet."""

    def __init__(self, *fails: Exception) -> None:
        self.fails = list(fails)
        self.behind = False
        self.asked: list[date] = []

    async def ready(self) -> None:
        if self.behind:
            raise Retryable("the archive is behind", 5.0)

    def at(self, day: date) -> Sources:
        self.asked.append(day)
        if self.fails:
            raise self.fails.pop(0)
        return sources()


def looker(here: Room, store: Store) -> Looker:
    return Looker(here.outbox, here.clock, lambda: here.real, "hoa-binh", store.ready, store.at)


def begun(here: Room, store: Store) -> Looker:
    """Started on a Friday; now it is Monday, five o'clock."""
    here.clock.at = FRIDAY
    made = looker(here, store)
    assert asyncio.run(made.round()) == 0
    here.clock.at = MORNING
    return made


def looks(here: Room) -> list[date]:
    return [fact.day for fact in here.log.facts("quality.looked.v1")]


def alerts(here: Room) -> list[AlertChanged]:
    with here.ledger.read() as reader:
        return reader.alerts(history=True)


def test_the_first_look_is_on_the_next_monday_at_five(here: Room) -> None:
    store = Store()
    made = begun(here, store)
    here.clock.at -= timedelta(seconds=1)
    assert asyncio.run(made.round()) == 0
    here.clock.at += timedelta(seconds=1)
    assert [asyncio.run(made.round()), asyncio.run(made.round())] == [1, 0]
    assert looks(here) == store.asked == [MONDAY]


def test_look_and_alerts_are_one_and_stand_in_ledger_and_log_alike(here: Room) -> None:
    asyncio.run(begun(here, Store()).round())
    expected = look(sources(), MONDAY, MORNING, "hoa-binh", None)
    assert here.log.facts("quality.looked.v1") == [expected.fact]
    assert here.log.facts("alert.changed.v1") == alerts(here) == list(expected.steps)
    with here.ledger.read() as reader:
        assert reader.last_look() == expected.fact


def test_weeks_in_which_nothing_ran_are_made_up_for_in_order_and_raise_nothing_twice(here: Room) -> None:
    store = Store()
    made = begun(here, store)
    here.clock.at = MORNING + 3 * EVERY
    assert [asyncio.run(made.round()) for _ in range(5)] == [1, 1, 1, 1, 0]
    assert looks(here) == [MONDAY + n * EVERY for n in range(4)]
    raised = [a.alert_id for a in alerts(here) if a.state == "raised"]
    assert len(raised) == len(set(raised))


def test_a_log_that_is_away_gets_the_very_same_records_later(here: Room) -> None:
    here.log.failures = [1]
    made = begun(here, Store())
    with pytest.raises(Retryable):
        asyncio.run(made.round())
    before: list[Record] = list(here.log.records)
    asyncio.run(here.outbox.drain())
    assert [r.topic for r in before] == ["quality.looked.v1"]
    assert here.log.facts("alert.changed.v1") == alerts(here)
    assert asyncio.run(made.round()) == 0
    assert looks(here) == [MONDAY]


@pytest.mark.parametrize("fault", [Retryable("ClickHouse is away", 1.0), Permanent("a table is not there")])
def test_a_store_that_fails_is_asked_again_and_nothing_is_kept(here: Room, fault: Exception) -> None:
    store = Store(fault)
    made = begun(here, store)
    with pytest.raises(Retryable):
        asyncio.run(made.round())
    assert (looks(here), alerts(here)) == ([], [])
    assert asyncio.run(made.round()) == 1
    assert looks(here) == [MONDAY]


def test_nothing_is_looked_at_while_the_archive_is_behind(here: Room) -> None:
    """What has not come yet would look like silence."""
    store = Store()
    made = begun(here, store)
    store.behind = True
    with pytest.raises(Retryable):
        asyncio.run(made.round())
    assert store.asked == []
    store.behind = False
    assert asyncio.run(made.round()) == 1


def test_who_looks_second_keeps_nothing(here: Room) -> None:
    """A worker whose lease ran out while it counted: another one was at it."""
    begun(here, Store())
    first, second = (look(sources(), MONDAY, at, "hoa-binh", None) for at in (MORNING, MORNING + timedelta(hours=1)))
    with here.ledger.begin() as tx:
        assert tx.keep_look(first.fact, first.steps, MORNING)
    with here.ledger.begin() as tx:
        assert not tx.keep_look(second.fact, second.steps, MORNING)
        assert tx.written == []
    assert alerts(here) == list(first.steps)


def test_a_worker_that_died_with_its_lease_is_followed_when_that_is_over(here: Room) -> None:
    begun(here, Store())
    with here.ledger.begin() as tx:
        assert len(tx.take_due(["quality"], MORNING, here.real, here.real + timedelta(minutes=15), 1)) == 1
    store = Store()
    other = looker(here, store)
    assert asyncio.run(other.round()) == 0
    here.real += timedelta(minutes=16)
    assert asyncio.run(other.round()) == 1
    assert looks(here) == [MONDAY]


def test_which_units_are_quiet_holds_from_the_day_after_the_look(here: Room) -> None:
    first, late = (look(sources(), MONDAY + n * EVERY, MORNING + n * EVERY + timedelta(days=2 * n), "hoa-binh", None) for n in range(2))
    for made in (first, late):
        with here.ledger.begin() as tx:
            tx.keep_look(made.fact, (), MORNING)
    with here.ledger.read() as reader:
        in_force = [reader.look_in_force(MONDAY + timedelta(days=n)) for n in (0, 1, 7, 9, 10)]
    assert [found.day if found else None for found in in_force] == [None, MONDAY, MONDAY, MONDAY, MONDAY + EVERY]


def test_records_are_decoded_as_they_were_written(here: Room) -> None:
    asyncio.run(begun(here, Store()).round())
    assert all(decode(r.topic, r.value) for r in here.log.records)
    assert isinstance(decode("quality.looked.v1", here.log.records[0].value), QualityLooked)
