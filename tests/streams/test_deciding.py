"""decide: every ending gets its one outcome, whatever the order and however the log is cut into batches."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest

from hailong.events import DossierClosed, DossierReopened
from hailong.ports import DossierAct, Retryable, Settlement
from streams.deciding import PER_TRANSACTION
from tests.contract.build import act, reopened
from tests.streams.twins import Room, items, raws, room

DECIDED = "survey.decided.v1"


def decide(here: Room, *batches: Sequence[DossierClosed | DossierReopened], **rules: object) -> list[str]:
    """Each batch through the role; the reasons of what was refused."""
    decider = here.decider(**rules)

    async def run() -> list[str]:
        return [r.reason for batch in batches for r in await decider(items(batch))]

    return asyncio.run(run())


def facts(*acts: DossierAct) -> list[DossierClosed | DossierReopened]:
    return [a.fact for a in acts]


def later(one: DossierAct, hours: int) -> DossierAct:
    return replace(one, occurred_at=one.occurred_at + timedelta(hours=hours))


def test_nine_then_ten_is_decided_once(here: Room) -> None:
    nine = act("d1", "+84900000001", event_id="nine", status_code=9, outcome="done_electronic")
    ten = later(act("d1", "+84900000001", event_id="ten"), 2)
    here.take(nine, ten)
    decide(here, facts(nine, ten), facts(ten), facts(nine))
    (fact,) = here.log.facts(DECIDED)
    assert (fact.asked, fact.event_id) == (True, "decided:nine")
    assert here.outcomes() == {"valid": 1, "asked": 0, "waiting": 1, "not_asked": {}}


@pytest.mark.parametrize("together", [True, False])
def test_two_dossiers_of_one_phone_one_is_asked(here: Room, together: bool) -> None:
    first, second = act("d1", "+84900000001"), act("d2", "+84900000001")
    here.take(first, second)
    decide(here, *([facts(first, second)] if together else [facts(first), facts(second)]))
    assert [(f.dossier_ref, f.asked, f.reason) for f in here.log.facts(DECIDED)] == [("d1", True, None), ("d2", False, "recently_asked")]
    assert here.log.facts(DECIDED)[1].inputs["asked_before_on"] == "2026-03-02"


def test_a_shared_mail_or_person_binds_as_the_number_does(here: Room) -> None:
    acts = [
        replace(act("d1", "+84900000001", "x@example.a"), applicant_id="p"),
        act("d2", None, "x@example.a"),
        replace(act("d3", "+84900000003"), applicant_id="p"),
        act("d4", "+84900000004", "x@example.b"),
    ]
    here.take(*acts)
    decide(here, facts(*acts))
    assert {f.dossier_ref: f.reason for f in here.log.facts(DECIDED)} == {
        "d1": None,
        "d2": "recently_asked",
        "d3": "recently_asked",
        "d4": None,
    }


def test_an_echo_changes_nothing(here: Room) -> None:
    acts = [act(f"d{n}", f"+8490000000{n}") for n in range(5)]
    here.take(*acts)
    decide(here, facts(*acts))
    before = (here.log.facts(DECIDED), here.slots())
    here.clock.move(days=3)
    decide(here, facts(*acts), facts(*acts, *acts))
    assert (here.log.facts(DECIDED), here.slots()) == before
    assert len([t for t in here.log.topics() if t == DECIDED]) == 5


def test_a_dossier_the_ledger_does_not_know_is_refused_and_the_others_are_decided(here: Room) -> None:
    known = act("d1", "+84900000001")
    here.take(known)
    assert decide(here, facts(act("dX"), known)) == ["dossier_ref: the ledger knows no such dossier"]
    assert here.outcomes()["waiting"] == 1
    assert [f.dossier_ref for f in here.log.facts(DECIDED)] == ["d1"]


def test_the_fact_says_what_the_rules_saw_and_names_nobody(here: Room) -> None:
    one = act("d1", "+84900000001", "a@x.example")
    here.take(one)
    decide(here, facts(one))
    (fact,) = here.log.facts(DECIDED)
    assert fact.inputs == {"reach": ["sms", "email"], "opted_out": False, "asked_before_on": None}
    assert fact.draw == 0.5
    written = b"".join(r.value for r in here.log.records)
    assert b"84900000001" not in written
    assert b"a@x" not in written
    assert here.slots()["d1"].survey_id.encode() not in written


CLOSED_FIRST = act("d1", "+84900000001", event_id="first")
REOPENED = replace(reopened("d1"), occurred_at=CLOSED_FIRST.occurred_at + timedelta(hours=1))
CLOSED_AGAIN = later(act("d1", "+84900000001", event_id="again"), 2)


@pytest.mark.parametrize("order", list(permutations((CLOSED_FIRST, REOPENED))), ids=["closed first", "reopened first"])
@pytest.mark.parametrize("split", [True, False])
def test_a_dossier_that_goes_on_is_not_asked_about(here: Room, order: tuple[DossierAct, ...], split: bool) -> None:
    """The two facts lie in two topics: their order is nobody's promise."""
    here.take(CLOSED_FIRST, REOPENED)
    decide(here, *([[f] for f in facts(*order)] if split else [facts(*order)]))
    assert here.outcomes() == {"valid": 1, "asked": 0, "waiting": 0, "not_asked": {"reopened": 1}}
    with here.begin() as tx:
        assert tx.claim_due(here.clock.now(), here.real, here.real, 10, "w") == []


CUTS = [(3,), (1, 2), (2, 1), (1, 1, 1)]


@pytest.mark.parametrize("order", list(permutations((CLOSED_FIRST, REOPENED, CLOSED_AGAIN))))
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("taken", ["all before", "as it comes"])
def test_a_dossier_that_ended_again_waits_for_its_asking(
    template: Path, tmp_path: Path, order: tuple[DossierAct, ...], cut: tuple[int, ...], taken: str
) -> None:
    """Ended, went on, ended again: whatever order the log gives and when decide gets to it, the last ending counts."""
    with room(template, tmp_path) as here:
        if taken == "all before":
            here.take(CLOSED_FIRST, REOPENED, CLOSED_AGAIN)
        rest = list(order)
        for size in cut:
            part, rest = rest[:size], rest[size:]
            if taken == "as it comes":  # sources tell acts in any order; decide hears of them in that of the log
                here.take(*part)
            decide(here, [f for f in facts(*part) if taken == "all before" or f.dossier_ref in here.slots()])
        assert here.outcomes() == {"valid": 1, "asked": 0, "waiting": 1, "not_asked": {}}
        assert here.slots()["d1"].reason == "not_before"


def test_a_dossier_reopened_while_its_message_is_under_way_is_not_sent_to_after_a_refusal(here: Room) -> None:
    here.take(CLOSED_FIRST, REOPENED)
    decide(here, facts(CLOSED_FIRST))
    with here.begin() as tx:
        (claimed,) = tx.claim_due(here.clock.now(), here.real, here.real + timedelta(seconds=30), 10, "w")
    decide(here, facts(REOPENED))
    with here.begin() as tx:
        tx.settle([Settlement(claimed, "released", reason="busy", retry_at=here.clock.now())], here.clock.now())
    here.clock.move(hours=1)
    with here.begin() as tx:
        assert tx.claim_due(here.clock.now(), here.real, here.real, 10, "w") == []
    assert here.outcomes()["not_asked"] == {"reopened": 1}


def test_what_was_committed_is_published_although_a_later_part_fails(here: Room) -> None:
    """The 21st dossier's transaction fails: the first twenty are decided and told, and nothing is decided twice afterwards."""
    acts = [act(f"d{n:02d}", f"+84900000{n:03d}") for n in range(PER_TRANSACTION + 5)]
    here.take(*acts)
    fails = [True]

    def draw(ref: str) -> float:
        if ref == f"d{PER_TRANSACTION:02d}" and fails.pop():
            raise Retryable("the ledger is locked", 0.0)
        fails.append(False)
        return 0.5

    decider = here.decider()
    decider._draw = draw
    asyncio.run(here.guard(decider).process(raws(facts(*acts))))
    assert len([t for t in here.log.topics() if t == DECIDED]) == len(acts)
    assert here.outcomes()["waiting"] == len(acts)


@pytest.mark.parametrize("seed", range(3))
def test_a_log_that_fails_now_and_then_costs_and_doubles_nothing(here: Room, seed: int) -> None:
    chance = random.Random(seed)
    acts = [act(f"d{n:02d}", f"+84900000{chance.randrange(12):03d}") for n in range(40)]
    here.take(*acts)
    here.log.failures = [chance.choice([None, 0, 3, 15]) for _ in range(8)]
    guard = here.guard(here.decider())

    async def run() -> None:
        at = 0
        while at < len(acts):
            size = chance.randint(1, 25)
            await guard.process(raws(facts(*acts[at : at + size]), at))
            at += size
        await here.outbox.drain()

    asyncio.run(run())
    told = here.log.facts(DECIDED)
    assert sorted(f.dossier_ref for f in told) == sorted(a.fact.dossier_ref for a in acts)
    asked = [next(a.contact.phone for a in acts if a.fact.dossier_ref == f.dossier_ref) for f in told if f.asked]
    assert len(asked) == len(set(asked))
    assert here.ledger.pending() == []
