"""How a message is to go out: what the decision leaves in the ledger for the sender, from the rules to the due row."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import time, timedelta
from typing import Any

import pytest

from hailong.domain import draw as lots
from hailong.ports import Handover
from streams.timing import Timer
from tests.contract.build import act, settle
from tests.streams.twins import Room, items


def how(here: Room, **rules: Any) -> dict[str, Any] | None:
    """What is left for the sender of the one dossier; None when nobody is asked."""
    with here.begin() as tx:
        refs = [s.dossier_ref for s in tx.conn.exec_driver_sql("SELECT dossier_ref FROM slots")]
    asyncio.run(here.decider(**rules)(items([act(ref).fact for ref in refs])))
    with here.begin() as tx:
        rows = [r.payload for r in tx.conn.exec_driver_sql("SELECT payload FROM due WHERE kind = 'invitation'")]
    return json.loads(rows[0]) if rows else None


BOTH = act("d1", "+84900000001", "p@x.a00001")


@pytest.mark.parametrize(
    ("given", "rules", "channel", "after_it"),
    [
        (BOTH, {}, "sms", ["email"]),
        (BOTH, {"channels": ("email", "sms")}, "email", ["sms"]),
        (BOTH, {"channels": ("email",)}, "email", []),
        (replace(BOTH, preferred="email"), {}, "email", ["sms"]),
        (replace(BOTH, refused=("sms",)), {}, "email", []),
        (replace(BOTH, refused=("email",)), {}, "sms", []),
        (act("d1", "+84900000001"), {}, "sms", []),
    ],
    ids=["both", "mail first", "mail only", "preferred", "no sms", "no mail", "phone only"],
)
def test_the_channels_to_try_are_those_the_person_can_be_reached_by_and_has_not_refused(
    here: Room, given: Any, rules: dict[str, Any], channel: str, after_it: list[str]
) -> None:
    here.take(given)
    said = how(here, **rules)
    assert said is not None
    assert (said["channel"], said.get("next", [])) == (channel, after_it)


@pytest.mark.parametrize(
    ("rules", "days"),
    [({}, 5), ({"reminder_after_days": 9}, 9), ({"reminder_share": 0.5}, None), ({"reminder_after_days": 31}, None)],
    ids=["after five days", "after nine", "not drawn", "after the link has run out"],
)
def test_whether_somebody_is_reminded_is_drawn_with_the_decision(here: Room, rules: dict[str, Any], days: int | None) -> None:
    here.take(BOTH)
    said = how(here, **rules, draw=lambda _, purpose: 0.7 if purpose == lots.REMINDER else 0.0)
    assert said is not None
    assert said.get("remind_after_days") == days


def test_the_timer_gives_up_on_a_receipt_and_the_fact_goes_out(here: Room) -> None:
    here.take(BOTH)
    how(here)
    with here.begin() as tx:
        (one,) = tx.claim_due(here.clock.now(), here.real, here.real + timedelta(seconds=30), 10, "w")
    settle(here.ledger, "handed_over", one, handover=Handover("twin", "SM1", 1, receipts=True))
    timer = Timer(here.outbox, here.clock, lambda: here.real, time(7, 30), list, lambda _: {})
    asyncio.run(timer.round())
    assert here.slots()["d1"].reason is None
    here.clock.move(days=3)
    asyncio.run(timer.round())
    here.clock.move(days=1)
    asyncio.run(timer.round())
    assert (here.slots()["d1"].outcome, here.slots()["d1"].reason) == ("asked", "unknown")
    (fact,) = [f for f in here.log.facts("survey.delivery.v1") if f.state == "unknown"]
    assert (fact.seq, fact.reason) == (3, "no_receipt")
