"""Between the claim and the provider: a worker that slept, an hour that has passed; and who carries a channel when one provider ails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hailong.domain.hours import Hours
from hailong.domain.units import LOCAL
from hailong.domain.ways import Switching, Way
from hailong.ports import Permanent, Retryable, UnknownOutcome
from streams.sending import Sender, SendingRules
from tests.contract.build import act, decide
from tests.streams.twins import ChannelTwin, Room, compose, room

HOURS = Hours()
TWO = {"sms": Way("main", "reserve")}
QUICK = Switching(window_s=60, least=4, refused_share=0.5, slow_share=0.5, back_after_s=900)
RULES = SendingRules(parallel=4, lease_s=30.0, spare_s=2.0)
CHANGES = "provider.changed.v1"


@pytest.fixture
def here(template: Path, tmp_path: Path) -> Iterator[Room]:
    hours = {"is_open": HOURS.is_open, "next_open": HOURS.next_open, "zone": LOCAL}
    with room(template, tmp_path, ways=TWO, switching=QUICK, **hours) as made:
        yield made


@dataclass
class Slept:
    """Real time that jumps when it is asked for the nth time: a worker that was paused there."""

    here: Room
    at_call: int = 0
    by: timedelta = timedelta()
    clock_by: timedelta = timedelta()
    calls: int = 0

    def __call__(self) -> datetime:
        self.calls += 1
        if self.calls == self.at_call:
            self.here.real += self.by
            self.here.clock.at += self.clock_by
        return self.here.real


def sender(here: Room, *channels: ChannelTwin, slept: Slept | None = None) -> Sender:
    by_provider = {c.provider: c for c in channels}
    return Sender(here.outbox, here.clock, slept or Slept(here), by_provider, compose, RULES, "w", HOURS.is_open)


def waiting(here: Room, number: int = 1) -> None:
    """Invitations that are due."""
    refs = [f"d{n:03d}" for n in range(number)]
    here.take(*(act(ref, f"+84900000{n:03d}") for n, ref in enumerate(refs)))
    decide(here.ledger, *refs, ask_at=here.clock.now())


def rounds(work: Sender, number: int, house: bool = True) -> None:
    """So many rounds, and after each what is done beside them."""

    async def run() -> None:
        for _ in range(number):
            await work.round()
            if house:
                await work._keep_house()

    asyncio.run(run())


def states(here: Room) -> list[str]:
    return sorted(c.state for c in here.claims())


def waits_until(here: Room) -> datetime | None:
    with here.begin() as tx:
        return tx.next_due()  # type: ignore[no-any-return]


def changes(here: Room) -> list[tuple[str, str]]:
    return [(f.provider, f.reason) for f in here.log.facts(CHANGES)]


# --- too late


@pytest.mark.parametrize("slept", [29, 3600], ids=["into the spare time", "long over the lease"])
def test_a_worker_that_slept_over_its_lease_hands_nothing_over(here: Room, slept: int) -> None:
    waiting(here)
    twin = ChannelTwin(provider="main")
    # Asked for the time at the beginning of the round, and again before it hands over: it slept in between.
    rounds(sender(here, twin, slept=Slept(here, at_call=2, by=timedelta(seconds=slept))), 1)
    assert twin.sent == []
    assert states(here) == ["released"]
    assert here.claims()[0].reason == "lease_over"
    rounds(sender(here, twin), 1)
    assert len(twin.sent) == 1
    assert here.outcomes() == {"valid": 1, "asked": 1, "waiting": 0, "not_asked": {}}


def test_what_was_reconciled_while_its_worker_slept_stays_as_it_is(here: Room) -> None:
    waiting(here)
    sleeper, twin = ChannelTwin(provider="main"), ChannelTwin(provider="main", can_reconcile=False)

    async def run() -> None:
        asleep = Slept(here, at_call=2, by=timedelta(hours=1))
        work = sender(here, sleeper, slept=asleep)
        await work.round()  # claimed, slept over the lease; not settled yet
        assert await sender(here, twin).reconcile() == 1
        await work.round()

    asyncio.run(run())
    assert sleeper.sent == twin.sent == []
    assert states(here) == ["unknown"]
    rounds(sender(here, twin), 2)
    assert twin.sent == [], "an unknown message is never sent again"


def test_an_hour_that_passes_after_the_claim_keeps_citizens_from_being_written_to(here: Room) -> None:
    here.clock.at = datetime(2026, 3, 2, 19, 59, 59, tzinfo=LOCAL)
    waiting(here)
    with here.begin() as tx:
        tx.schedule("officers", "digest", here.clock.at, {"to": "office@x.example"})
    sms, mail = ChannelTwin(provider="main"), ChannelTwin(name="email", provider="email")
    rounds(sender(here, sms, mail, slept=Slept(here, at_call=2, clock_by=timedelta(seconds=1))), 1)
    assert sms.sent == []
    assert [m.to for m in mail.sent] == ["office@x.example"]
    assert states(here) == ["handed_over", "released"]
    opens = datetime(2026, 3, 3, 8, tzinfo=LOCAL)
    assert waits_until(here) == opens
    here.clock.at = opens - timedelta(seconds=1)
    rounds(sender(here, sms, mail), 1)
    assert sms.sent == []
    here.clock.at = opens
    rounds(sender(here, sms, mail), 1)
    assert len(sms.sent) == 1


# --- main and reserve


def test_a_channel_goes_over_to_its_reserve_and_nobody_is_written_to_twice(here: Room) -> None:
    waiting(here, 12)
    orders: list[Exception | None] = [UnknownOutcome("cut off"), None, *[Retryable("busy")] * 30]
    main, reserve = ChannelTwin(provider="main", orders=orders), ChannelTwin(provider="reserve")
    rounds(sender(here, main, reserve), 3)
    assert changes(here) == [("reserve", "refusals")]
    for _ in range(3):
        here.clock.move(minutes=30)
        rounds(sender(here, main, reserve), 3)
    lost, taken = main.sent[0].to, main.sent[1].to
    assert len(reserve.sent) == 10
    assert not {lost, taken} & {m.to for m in reserve.sent}
    assert len({m.to for m in main.sent + reserve.sent}) == 12
    here.real += timedelta(minutes=10)
    asyncio.run(sender(here, main, reserve).reconcile())
    here.real += timedelta(minutes=10)
    asyncio.run(sender(here, main, reserve).reconcile())
    assert states(here) == ["handed_over"] * 11 + ["unknown"]
    assert (main.looked_up, reserve.looked_up) == (2, 0), "who was given it is asked"


def test_it_comes_back_after_a_quiet_time(here: Room) -> None:
    waiting(here, 4)
    main, reserve = ChannelTwin(provider="main", orders=[Retryable("busy")] * 4), ChannelTwin(provider="reserve")
    rounds(sender(here, main, reserve), 2)
    here.real += timedelta(seconds=899)
    rounds(sender(here, main, reserve), 1)
    assert changes(here) == [("reserve", "refusals")]
    here.real += timedelta(seconds=1)
    rounds(sender(here, main, reserve), 1)
    here.take(act("later", "+84900000099"))
    decide(here.ledger, "later", ask_at=here.clock.now())
    rounds(sender(here, main, reserve), 1)
    assert changes(here) == [("reserve", "refusals"), ("main", "quiet")]
    assert (len(main.sent), len(reserve.sent)) == (5, 4), "what was refused did not wait for the main provider"


@pytest.mark.parametrize(
    ("orders", "reason"),
    [
        ([Retryable("busy")] * 4, "refusals"),
        ([UnknownOutcome("cut off")] * 4, "slowness"),
        ([Permanent("no such number")] * 4, None),
        ([None] * 4, None),
    ],
    ids=["refused", "cut off", "wrong numbers", "well"],
)
def test_what_housekeeping_settles_says_something_about_the_provider_too(
    here: Room, orders: Sequence[Exception | None], reason: str | None
) -> None:
    """A provider that drags makes each round so long that all of them are settled beside the rounds."""
    waiting(here, 4)
    main = ChannelTwin(provider="main", orders=list(orders))
    rounds(sender(here, main, ChannelTwin(provider="reserve")), 1)
    assert changes(here) == ([("reserve", reason)] if reason else [])


def test_what_the_next_round_settles_says_something_too(here: Room) -> None:
    waiting(here, 4)
    work = sender(here, ChannelTwin(provider="main", orders=[Retryable("busy")] * 4), ChannelTwin(provider="reserve"))
    rounds(work, 2, house=False)
    rounds(sender(here), 1)
    assert changes(here) == [("reserve", "refusals")]


def test_an_accepted_message_that_took_long_says_so(here: Room) -> None:
    waiting(here, 4)

    def takes_long(_: object) -> None:
        here.real += timedelta(seconds=6)

    rounds(sender(here, ChannelTwin(provider="main", look=takes_long), ChannelTwin(provider="reserve")), 1)
    assert changes(here) == [("reserve", "slowness")]
    assert here.outcomes()["asked"] == 4


def test_what_was_not_handed_over_says_nothing_about_the_provider(here: Room) -> None:
    waiting(here, 4)
    main = ChannelTwin(provider="main")
    rounds(sender(here, main, slept=Slept(here, at_call=2, by=timedelta(seconds=30))), 1)
    assert states(here) == ["released"] * 4
    assert changes(here) == []
