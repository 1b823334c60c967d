"""seeds: every day's commitment comes before its day and its seed after, once and in order, however time leaps."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hailong.domain.draw import commitment
from hailong.domain.draw_published import PublishedSeed
from hailong.events import DrawSeed, decode
from hailong.ports import Retryable
from sinks.ledger.drawing import published_seeds
from streams.seeds import Seeds
from tests.contract.build import NOON
from tests.streams.twins import Room, room

MORNING = NOON.replace(hour=9)


def seed(day: date) -> bytes:
    return hashlib.sha256(day.isoformat().encode()).digest()


def seeds(here: Room) -> Seeds:
    return Seeds(here.outbox, here.clock, lambda: here.real, "test", seed)


def facts(here: Room) -> list[DrawSeed]:
    """Every record, echoes too."""
    found = [decode(r.topic, r.value) for r in here.log.records if r.topic == "draw.seed.v1"]
    return [f for f in found if isinstance(f, DrawSeed)]


def said(here: Room) -> list[str]:
    return [f.event_id.removeprefix("seed:2026-") for f in facts(here)]


def test_the_first_start_commits_today_and_tomorrow_and_says_that_today_is_late(here: Room) -> None:
    here.clock.at = MORNING
    role = seeds(here)
    assert [asyncio.run(role.round()), asyncio.run(role.round())] == [3, 0]
    assert said(here) == ["03-02:commit", "03-03:commit"]
    with here.ledger.read() as reader:
        first, second = published_seeds(reader, 10)[::-1]
    assert first == PublishedSeed(date(2026, 3, 2), commitment(date(2026, 3, 2), seed(date(2026, 3, 2))), MORNING)
    assert (first.late, second.late) == (True, False)


def test_a_commitment_comes_at_noon_of_the_day_before_and_the_seed_when_the_day_is_over(here: Room) -> None:
    here.clock.at = MORNING
    role = seeds(here)
    asyncio.run(role.round())
    told = []
    for moment in ("2026-03-03T00:04:59", "2026-03-03T00:05", "2026-03-03T11:59:59", "2026-03-03T12:00"):
        here.clock.at = datetime.fromisoformat(moment).replace(tzinfo=NOON.tzinfo)
        before = len(facts(here))
        asyncio.run(role.round())
        told.append(said(here)[before:])
    assert told == [[], ["03-02:reveal"], [], ["03-04:commit"]]
    assert [f.seed for f in facts(here)] == [None, None, seed(date(2026, 3, 2)).hex(), None]
    assert {f.commitment for f in facts(here) if f.day == date(2026, 3, 2)} == {commitment(date(2026, 3, 2), seed(date(2026, 3, 2)))}


def test_days_on_which_nothing_ran_are_made_up_for_in_order_and_are_late(here: Room) -> None:
    here.clock.at = MORNING
    asyncio.run(seeds(here).round())
    here.clock.at = MORNING + timedelta(days=3)
    asyncio.run(seeds(here).round())
    assert said(here)[2:] == ["03-02:reveal", "03-04:commit", "03-03:reveal", "03-05:commit", "03-04:reveal"]
    with here.ledger.read() as reader:
        late = {p.day.day: p.late for p in published_seeds(reader, 10)}
    assert late == {2: True, 3: False, 4: True, 5: True}


def test_what_the_log_did_not_take_stands_before_what_comes_later(here: Room) -> None:
    here.clock.at = MORNING
    role = seeds(here)
    here.log.failures = [1]
    with pytest.raises(Retryable):
        asyncio.run(role.round())
    here.clock.at = MORNING + timedelta(days=1)
    asyncio.run(role.round())
    assert list(dict.fromkeys(said(here))) == ["03-02:commit", "03-03:commit", "03-02:reveal"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(leaps=st.lists(st.tuples(st.integers(1, 6 * 24 * 60), st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_once_each_and_in_order_whatever_happens(
    template: object, tmp_path_factory: pytest.TempPathFactory, leaps: list[tuple[int, bool, bool]]
) -> None:
    """Time leaps, the role starts anew, the log is away."""
    with room(template, tmp_path_factory.mktemp("seeds")) as here:  # type: ignore[arg-type]  # the fixture's path
        here.clock.at = MORNING
        role = seeds(here)
        for minutes, anew, away in leaps:
            role = seeds(here) if anew else role
            here.log.failures = [1] if away else []
            try:
                asyncio.run(role.round())
            except Retryable:
                assert away
            here.log.failures = []
            here.clock.move(minutes=minutes)
            here.real += timedelta(minutes=5)
        asyncio.run(role.round())
        asyncio.run(here.outbox.drain())
        first = list(dict.fromkeys(f.event_id for f in facts(here)))
        today = here.clock.at.date()
        commits = [e.split(":")[1] for e in first if e.endswith("commit")]
        reveals = [e.split(":")[1] for e in first if e.endswith("reveal")]
        assert commits == [(MORNING.date() + timedelta(days=n)).isoformat() for n in range(len(commits))]
        assert reveals == commits[: len(reveals)]
        assert commits[-1] >= today.isoformat()
        assert all(first.index(f"seed:{day}:commit") < first.index(f"seed:{day}:reveal") for day in reveals)
