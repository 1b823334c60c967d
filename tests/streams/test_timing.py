"""timer: what waits is a row; the daily mail goes once a day, whoever looks and however often."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from hailong.ports import Retryable
from streams.timing import Timer
from tests.contract.build import NOON, act, answered, claim, decide, settle
from tests.streams.twins import Room


class Summary:
    """What the daily mail says; away for the first ``away`` calls."""

    def __init__(self, away: int = 0) -> None:
        self.asked: list[datetime] = []
        self._away = away

    def __call__(self, at: datetime) -> Mapping[str, Any]:
        self.asked.append(at)
        if self._away:
            self._away -= 1
            raise Retryable("the store is away")
        return {"kind": "digest", "on": at.date().isoformat()}


def timer(here: Room, summary: Summary) -> Timer:
    return Timer(here.outbox, here.clock, lambda: here.real, time(7, 30), lambda: ["a@x.example", "b@x.example"], summary)


def round_(*timers: Timer) -> list[int]:
    """All of them at once."""

    async def run() -> list[int]:
        return list(await asyncio.gather(*(t.round() for t in timers)))

    return asyncio.run(run())


def mails(here: Room) -> list[str]:
    with here.begin() as tx:
        return [r.ref for r in tx.conn.exec_driver_sql("SELECT ref FROM due WHERE kind = 'officers' ORDER BY ref")]


def test_the_digest_goes_once_a_day_to_each_address_even_with_two_timers(here: Room) -> None:
    summary = Summary()
    one, two = timer(here, summary), timer(here, summary)
    round_(one, two)
    assert mails(here) == []
    for _ in range(3):
        here.clock.at = datetime.combine(here.clock.at.date() + timedelta(days=1), time(7, 29, 59), NOON.tzinfo)
        here.real += timedelta(days=1)
        before = len(mails(here))
        round_(one, two)
        assert len(mails(here)) == before
        here.clock.move(seconds=2)
        for _ in range(3):
            round_(one, two)
    assert mails(here) == [f"digest:2026-03-0{d}:{n}" for d in (3, 4, 5) for n in (0, 1)]
    assert [(at.date().day, at.time()) for at in summary.asked] == [(d, time(7, 30)) for d in (3, 4, 5)]


def test_a_digest_whose_figures_were_away_comes_when_its_lease_is_over(here: Room) -> None:
    summary = Summary(away=1)
    role = timer(here, summary)
    round_(role)
    here.clock.move(days=1)
    with pytest.raises(Retryable):
        round_(role)
    assert round_(role) == [0]
    here.real += timedelta(seconds=61)
    assert round_(role) == [1]
    assert mails(here) == ["digest:2026-03-03:0", "digest:2026-03-03:1"]


def test_a_link_expires_once_and_an_answered_one_not_at_all(here: Room) -> None:
    here.take(act("d1", "+84900000001"), act("d2", "+84900000002"))
    first, second = decide(here.ledger, "d1", "d2")
    settle(here.ledger, "handed_over", *claim(here.ledger))
    with here.begin() as tx:
        tx.count(answered(second, 5), NOON)
    role = timer(here, Summary())
    here.clock.at = NOON + timedelta(days=30) - timedelta(seconds=1)
    assert "expired" not in told(here, role, role)
    here.clock.move(seconds=1)
    assert told(here, role, timer(here, Summary())).count("expired") == 1
    assert [f.survey_id for f in here.log.facts("survey.delivery.v1") if f.state == "expired"] == [first]


def told(here: Room, *timers: Timer) -> list[str]:
    round_(*timers)
    here.real += timedelta(minutes=5)
    round_(*timers)
    asyncio.run(here.outbox.drain())
    return [f.state for f in here.log.facts("survey.delivery.v1")]
