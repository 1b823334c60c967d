"""Every valid dossier has exactly one outcome at every moment, and nobody is asked twice: whatever happens, in whatever order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hailong.domain.hours import Hours
from hailong.events import DossierClosed, DossierReopened
from hailong.ports import Claimed, Handover, Settlement
from tests.contract.build import NOON, act, reopened
from tests.streams.twins import ANY_HOUR, Room, items, room

PHONES, REFS, CAP = 3, 15, 30
WHAT = [
    "take", "end again", "reopen", "decide", "claim", "settle", "opt out", "wait", "crash", "expire",
    "new ending", "new ending", "everybody", "month", "opt out", "rested", "rested",
]  # fmt: skip
STEP = st.tuples(st.sampled_from(WHAT), st.integers(0, 2**16))


@dataclass
class World:
    """What happens to a ledger, and what the outside saw of it."""

    here: Room
    taken: set[str] = field(default_factory=set)
    log: list[DossierClosed | DossierReopened] = field(default_factory=list)
    open: list[Claimed] = field(default_factory=list)
    accepted: list[tuple[str, str, datetime]] = field(default_factory=list)
    """What a provider took (or may have): whose number, which slot, when."""
    reminded: Counter[str] = field(default_factory=Counter)
    opted_out: dict[str, datetime] = field(default_factory=dict)
    acts: int = 0
    hours: Hours = ANY_HOUR
    """When people may be written to."""

    def step(self, what: str, chance: random.Random) -> None:
        getattr(self, what.replace(" ", "_"))(chance)
        self.check()

    def take(self, chance: random.Random) -> None:
        ref = f"d{chance.randrange(REFS)}"
        self._act(ref, "closed", chance)

    def end_again(self, chance: random.Random) -> None:
        if self.taken:
            self._act(chance.choice(sorted(self.taken)), "closed", chance)

    def reopen(self, chance: random.Random) -> None:
        if self.taken:
            self._act(chance.choice(sorted(self.taken)), "reopened", chance)

    def _act(self, ref: str, kind: str, chance: random.Random) -> None:
        self.acts += 1
        day = self.here.clock.at.date()
        at = self.here.clock.at + timedelta(seconds=chance.randrange(-3, 4))
        if kind == "closed":
            phone = f"+84900000{int(ref[1:]) % PHONES:03d}"
            fields: dict[str, Any] = {"event_id": f"{ref}:{self.acts}", "ended_on": day, "heard_on": day}
            one = act(ref, chance.choice([phone] * 5 + [None]), chance.choice([None, f"{ref}@example.x"]), **fields)
        else:
            one = reopened(ref)
            one = type(one)(**{**one.__dict__, "event_id": f"{ref}:{self.acts}", "fact": _again(one.fact, f"{ref}:{self.acts}")})
        one = type(one)(**{**one.__dict__, "occurred_at": at})
        self.here.take(one)
        self.taken.add(ref)
        self.log.append(one.fact)

    def decide(self, chance: random.Random) -> None:
        """A batch of the log: old and new records, in any order."""
        batch = chance.sample(self.log, chance.randint(0, len(self.log)))
        asyncio.run(self.here.decider(hours=self.hours, spread_minutes=chance.choice([0, 240]), link_days=90)(items(batch)))

    def new_ending(self, chance: random.Random) -> None:
        """Taken and decided at once, as on most days."""
        self.take(chance)
        asyncio.run(self.here.decider(hours=self.hours, spread_minutes=0, link_days=90)(items(self.log)))

    def rested(self, chance: random.Random) -> None:
        """Those whose person's turn has come are decided."""
        asyncio.run(self.here.decider(hours=self.hours, spread_minutes=0, link_days=90).rested())

    def everybody(self, chance: random.Random) -> None:
        """Whatever is due is sent."""
        self.claim(chance)
        while self.open:
            self.settle(chance)

    def month(self, chance: random.Random) -> None:
        self.here.clock.at += timedelta(days=CAP + 1)

    def evening(self, chance: random.Random) -> None:
        """A moment before or after the window closes, or on a day on which it stays shut."""
        at = self.here.clock.at + timedelta(days=chance.randrange(3))
        self.here.clock.at = max(self.here.clock.at, at.replace(hour=19, minute=59) + timedelta(minutes=chance.choice([0, 1, 30])))

    def morning(self, chance: random.Random) -> None:
        self.here.clock.at = self.hours.next_open(self.here.clock.at + timedelta(minutes=chance.randrange(60)))

    def claim(self, chance: random.Random) -> None:
        now = self.here.clock.at
        with self.here.begin() as tx:
            got = tx.claim_due(now, self.here.real, self.here.real + timedelta(seconds=30), chance.randint(1, 4), "w")
        for c in got:
            assert number_of(c) not in self.opted_out, "asked although opted out"
            assert self.hours.is_open(now), f"claimed at {now}"
        self.open += got

    def settle(self, chance: random.Random) -> None:
        if not self.open:
            return
        one = self.open.pop(chance.randrange(len(self.open)))
        state: Any = chance.choice(["handed_over", "handed_over", "released", "failed", "unknown"])
        handover = Handover("twin", f"SM{one.claim_id}", 1) if state == "handed_over" else None
        with self.here.begin() as tx:
            tx.settle([Settlement(one, state, handover, retry_at=self.here.clock.at)], self.here.clock.at)
        if state in ("handed_over", "unknown"):
            self._accept(one)

    def crash(self, chance: random.Random) -> None:
        """A worker dies with its open claims; they are found and settled as unknown after their lease."""
        self.here.real += timedelta(seconds=400)
        with self.here.begin() as tx:
            stale = [c for c, _ in tx.stale_claims(self.here.real - timedelta(seconds=60), self.here.real, 20)]
            tx.settle([Settlement(c, "unknown") for c in stale], self.here.clock.at)
        gone = {c.claim_id for c in stale}
        for c in self.open:
            if c.claim_id in gone:
                self._accept(c)
        self.open = [c for c in self.open if c.claim_id not in gone]

    def _accept(self, one: Claimed) -> None:
        if one.kind == "invitation":
            self.accepted.append((number_of(one), one.ref, one.claimed_at))
        else:
            self.reminded[one.ref] += 1
            assert one.ref in {ref for _, ref, _ in self.accepted}, "reminded of what nobody asked"
            assert self.reminded[one.ref] == 1, "reminded twice"

    def opt_out(self, chance: random.Random) -> None:
        """Mostly of people something is planned for: that is where it matters."""
        waiting = {self._number(s) for s in self.here.slots().values() if s.outcome == "waiting"}
        known = [(number, ref) for number, ref, _ in self.accepted if number in waiting or chance.random() < 0.1]
        if not known:
            return
        number, ref = chance.choice(known)
        with self.here.begin() as tx:
            said = {tx.opt_out(f"{ref}-invitation-{channel}", self.here.clock.at, "link") for channel in ("sms", "email")}
        if "recorded" in said:
            self.opted_out[number] = self.here.clock.at

    @staticmethod
    def _number(slot: Any) -> str:
        return f"+84900{slot.phone_hash.rpartition('#')[2]}" if slot.phone_hash else ""

    def wait(self, chance: random.Random) -> None:
        by = chance.choice([timedelta(minutes=20), timedelta(hours=5), timedelta(days=8), timedelta(days=31)])
        self.here.clock.at += by
        self.here.real += timedelta(seconds=5)

    def expire(self, chance: random.Random) -> None:
        with self.here.begin() as tx:
            for row in tx.take_due(["expire"], self.here.clock.at, self.here.real, self.here.real, 10):
                tx.expire(row.ref, self.here.clock.at)
                tx.finish_due([row.id])

    def check(self) -> None:
        found = self.here.outcomes()
        assert found["valid"] == len(self.taken)
        assert found["asked"] + found["waiting"] + sum(found["not_asked"].values()) == len(self.taken)
        assert max(Counter(ref for _, ref, _ in self.accepted).values(), default=1) == 1, "a dossier was asked about twice"
        self._nobody_waits_for_nothing()
        self._within_the_cap()

    def _nobody_waits_for_nothing(self) -> None:
        with self.here.begin() as tx:
            due = {r.ref for r in tx.conn.exec_driver_sql("SELECT ref FROM due WHERE kind = 'invitation' AND state = 'waiting'")}
            resting = {r.ref for r in tx.conn.exec_driver_sql("SELECT ref FROM due WHERE kind = 'decide' AND state = 'waiting'")}
            claimed = {r.ref for r in tx.conn.exec_driver_sql("SELECT ref FROM claims WHERE state = 'claimed'")}
        undecided = {f.dossier_ref for f in self.log if isinstance(f, DossierClosed)}
        for slot in self.here.slots().values():
            waits = slot.outcome == "waiting"
            held = slot.survey_id in due | claimed or slot.dossier_ref in resting
            assert not waits or held or (slot.reason == "undecided" and slot.dossier_ref in undecided), slot
            assert waits or slot.survey_id not in due, slot
            assert (slot.reason == "resting") == (slot.dossier_ref in resting), slot

    def _within_the_cap(self) -> None:
        for number in {n for n, _, _ in self.accepted}:
            moments = sorted(at for n, _, at in self.accepted if n == number)
            assert all(b - a >= timedelta(days=CAP) for a, b in pairwise(moments)), moments


def number_of(claimed: Claimed) -> str:
    assert claimed.contact is not None
    number = claimed.contact.phone if claimed.channel == "sms" else claimed.contact.email
    assert number is not None
    return number


def _again(fact: DossierClosed | DossierReopened, event_id: str) -> DossierReopened:
    assert isinstance(fact, DossierReopened)
    return DossierReopened(
        event_id=event_id, registry_id="test", dossier_ref=fact.dossier_ref, source="s", status_code=4, reopened_on=fact.reopened_on
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=40, max_size=80))
def test_one_outcome_each_and_nobody_twice(template: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    with room(template, tmp_path_factory.mktemp("world"), cap_days=lambda _: CAP, reconcile_gap_s=300.0) as here:
        world = World(here)
        for what, seed in steps:
            world.step(what, random.Random(seed))


OFFICE = Hours(closed=frozenset({NOON.date() + timedelta(days=1)}))
WITH_HOURS = st.tuples(st.sampled_from([*WHAT, "evening", "evening", "morning", "morning", "claim"]), st.integers(0, 2**16))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(WITH_HOURS, min_size=40, max_size=80))
def test_nobody_is_written_to_outside_the_window_and_the_outcomes_hold(
    template: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Nights, Sundays, holidays and a closed day: first messages, reminders and further tries all keep to the window."""
    window: dict[str, Any] = {"is_open": OFFICE.is_open, "next_open": OFFICE.next_open}
    with room(template, tmp_path_factory.mktemp("world"), cap_days=lambda _: CAP, reconcile_gap_s=300.0, **window) as here:
        world = World(here, hours=OFFICE)
        for what, seed in steps:
            world.step(what, random.Random(seed))
