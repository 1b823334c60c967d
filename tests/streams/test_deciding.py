"""decide: every ending gets its one outcome, whatever the order and however the log is cut into batches."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hailong.events import DossierClosed, DossierReopened, ProcedureChanged
from hailong.ports import DossierAct, Retryable, Settlement
from streams.deciding import PER_TRANSACTION
from tests.contract.build import NOON, act, reopened
from tests.streams.twins import Room, items, raws, room

DECIDED = "survey.decided.v1"


def decide(here: Room, *batches: Sequence[DossierClosed | DossierReopened], **rules: Any) -> list[str]:
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


def told(here: Room) -> dict[str, tuple[bool, str | None, int]]:
    """dossier_ref → asked, reason, weight of its decision."""
    return {f.dossier_ref: (f.asked, f.reason, f.weight) for f in here.log.facts(DECIDED)}


def rested(here: Room, **rules: Any) -> int:
    return asyncio.run(here.decider(**rules).rested())


@pytest.mark.parametrize("together", [True, False])
def test_two_dossiers_of_one_phone_one_is_asked_and_the_other_rests_until_the_cap_is_over(here: Room, together: bool) -> None:
    first, second = act("d1", "+84900000001"), act("d2", "+84900000001")
    here.take(first, second)
    decide(here, *([facts(first, second)] if together else [facts(first), facts(second)]))
    assert told(here) == {"d1": (True, None, 1)}
    assert here.slots()["d2"].reason == "resting"
    here.clock.move(days=29)
    assert rested(here) == 0
    here.clock.move(days=1)
    assert rested(here) == 1
    assert told(here) == {"d1": (True, None, 1), "d2": (True, None, 1)}
    assert rested(here) == 0


def test_of_several_that_rested_one_is_drawn_and_stands_for_the_others(here: Room) -> None:
    acts = [act(f"d{n}", "+84900000001") for n in range(5)]
    here.take(*acts)
    decide(here, facts(*acts))
    here.clock.move(days=30)
    drawn = here.decider(draw=lambda ref, purpose: {"d3": 0.1}.get(ref, 0.9))
    assert asyncio.run(drawn.rested()) == 4
    assert told(here) == {"d0": (True, None, 1), "d3": (True, None, 4), **dict.fromkeys(["d1", "d2", "d4"], (False, "represented", 1))}
    assert msgspec.json.decode(here.slots()["d3"].about)["weight"] == 4
    assert here.outcomes() == {"valid": 5, "asked": 0, "waiting": 2, "not_asked": {"represented": 3}}
    assert {f.inputs["bound_by"] for f in here.log.facts(DECIDED) if f.reason == "represented"} == {"number"}


def test_what_changed_while_it_rested_is_seen(here: Room) -> None:
    acts = [act(f"d{n}", "+84900000001") for n in range(4)]
    here.take(*acts)
    decide(here, facts(*acts))
    again = later(reopened("d1"), 2)
    here.take(again)
    decide(here, facts(again))
    assert told(here)["d1"] == (False, "reopened", 1)
    here.clock.move(days=60)
    rested(here)
    assert told(here) == {"d0": (True, None, 1), "d1": (False, "reopened", 1), "d2": (True, None, 2), "d3": (False, "represented", 1)}


def test_a_rest_that_would_last_too_long_is_none(here: Room) -> None:
    old = act("d2", "+84900000001", ended_on=NOON.date() - timedelta(days=10), heard_on=NOON.date())
    first = act("d1", "+84900000001")
    here.take(first, old)
    decide(here, facts(first), facts(old), delay_days=39)
    assert told(here)["d2"] == (False, "recently_asked", 1)


def test_a_rest_goes_on_when_somebody_at_the_number_was_asked_meanwhile(here: Room) -> None:
    first, second = act("d1", "+84900000001"), act("d2", "+84900000001", "x@example.a")
    here.take(first, second)
    decide(here, facts(first, second))
    here.clock.move(days=20)
    third = act("d3", None, "x@example.a", ended_on=here.clock.at.date(), heard_on=here.clock.at.date())
    here.take(third)
    decide(here, facts(third))
    here.clock.move(days=10)
    assert rested(here, delay_days=90) == 1
    assert here.slots()["d2"].reason == "resting"
    here.clock.move(days=20)
    rested(here, delay_days=90)
    assert told(here)["d2"] == (True, None, 1)


def test_a_shared_mail_or_person_binds_as_the_number_does(here: Room) -> None:
    acts = [
        replace(act("d1", "+84900000001", "x@example.a"), applicant_id="p"),
        act("d2", None, "x@example.a"),
        replace(act("d3", "+84900000003"), applicant_id="p"),
        act("d4", "+84900000004", "x@example.b"),
    ]
    here.take(*acts)
    decide(here, facts(*acts))
    assert {f.dossier_ref: f.reason for f in here.log.facts(DECIDED)} == {"d1": None, "d4": None}
    assert {ref: s.reason for ref, s in here.slots().items()} == {"d1": "not_before", "d2": "resting", "d3": "resting", "d4": "not_before"}


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
    assert fact.inputs == {
        "reach": ["sms", "email"], "opted_out": False, "asked_on": None, "minor": False, "test": False, "preferred_channel": None,
        "refused": [], "unit_endings": 1, "rules_digest": "",
    }  # fmt: skip
    assert (fact.draw, fact.seed_day, fact.rules_version) == (0.5, one.fact.heard_on, "test")  # type: ignore[union-attr]
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

    def draw(ref: str, purpose: str) -> float:
        if purpose == "sample" and ref == f"d{PER_TRANSACTION:02d}" and fails.pop():
            raise Retryable("the ledger is locked", 0.0)
        fails.append(False)
        return 0.5

    decider = here.decider(draw)
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
    resting = [ref for ref, s in here.slots().items() if s.reason == "resting"]
    assert sorted([*(f.dossier_ref for f in told), *resting]) == sorted(a.fact.dossier_ref for a in acts)
    asked = [next(a.contact.phone for a in acts if a.fact.dossier_ref == f.dossier_ref) for f in told if f.asked]
    assert len(asked) == len(set(asked))
    assert here.ledger.pending() == []


def catalogued(here: Room, **changes: Any) -> None:
    row = ProcedureChanged(
        event_id="", registry_id="", seq=0, code="1.000001", name="Tên", field="civil", sensitive=True, valid_from=date(2026, 1, 1),
        source="danh mục",
    )  # fmt: skip
    with here.ledger.begin() as tx:
        tx.put_statements([msgspec.structs.replace(row, **changes)], NOON)


def test_what_the_catalogue_calls_sensitive_is_not_asked_about_and_the_inputs_say_so(here: Room) -> None:
    acts = [act(f"d{n}", f"+8490000000{n}", procedure_code_national=f"1.00000{n}") for n in (1, 2)]
    here.take(*acts)
    catalogued(here)
    decide(here, facts(*acts))
    assert told(here) == {"d1": (False, "sensitive_procedure", 1), "d2": (True, None, 1)}
    assert [f.inputs.get("sensitive") for f in here.log.facts(DECIDED)] == [True, None]


def test_what_became_sensitive_while_it_rested_is_not_asked_about(here: Room) -> None:
    first, second = (act(f"d{n}", "+84900000001", procedure_code_national="1.000001") for n in (1, 2))
    here.take(first, second)
    decide(here, facts(first, second))
    catalogued(here, valid_from=date(2026, 3, 20))  # after it ended, before it is decided about
    here.clock.move(days=30)
    assert rested(here) == 1
    assert told(here)["d2"] == (False, "sensitive_procedure", 1)
