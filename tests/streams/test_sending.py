"""send: nobody is asked twice. The claim is committed before the provider is called, and an unknown outcome is never sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from hailong.domain.hours import local
from hailong.domain.ways import Way
from hailong.events import AlertChanged, CaseChanged
from hailong.ports import Barred, Claimed, Handover, OutgoingMessage, Permanent, Receipt, Retryable, UnknownOutcome
from streams.sending import MAX_ATTEMPTS, Told
from tests.contract.build import NOON, act, decide
from tests.streams.test_judging import alert
from tests.streams.twins import ChannelTwin, Room, items, room

DELIVERY = "survey.delivery.v1"


def waiting(here: Room, number: int = 1, **fields: object) -> list[str]:
    """So many dossiers with an invitation that is due; their survey ids."""
    refs = [f"d{n:03d}" for n in range(number)]
    here.take(*(act(ref, f"+84900000{n:03d}") for n, ref in enumerate(refs)))
    return decide(here.ledger, *refs, ask_at=here.clock.now())


def until(here: Room, twin: ChannelTwin | tuple[ChannelTwin, ...], done: Callable[[], bool], within: float = 20.0, **rules: float) -> None:
    """Let a new worker's sending run until ``done`` says so; then as long again as it takes to rest."""

    async def run() -> None:
        work = asyncio.create_task(here.sender(*(twin if isinstance(twin, tuple) else (twin,)), **rules).run())
        try:
            async with asyncio.timeout(within):
                while not done():  # noqa: ASYNC110 (what it waits for is written by threads)
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.03)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await here.outbox.drain()

    asyncio.run(run())


def states(here: Room) -> list[str]:
    return sorted(c.state for c in here.claims())


def settled(here: Room) -> bool:
    return bool(here.claims()) and "claimed" not in states(here)


def test_the_claim_is_committed_before_the_provider_is_called(here: Room) -> None:
    waiting(here)
    seen: list[tuple[str, str]] = []

    def look(message: OutgoingMessage) -> None:
        (claim,) = here.claims()  # a connection of its own: it sees only what is committed
        seen.append((claim.claim_id, claim.state))
        assert claim.claim_id == message.claim_id

    twin = ChannelTwin(look=look)
    until(here, twin, lambda: settled(here))
    assert [state for _, state in seen] == ["claimed"]
    assert states(here) == ["handed_over"]
    assert here.outcomes() == {"valid": 1, "asked": 1, "waiting": 0, "not_asked": {}}
    assert [(f.seq, f.state) for f in here.log.facts(DELIVERY)] == [(1, "claimed"), (2, "handed_over")]


def test_a_refusal_that_may_pass_is_tried_again_later_and_less_and_less_often(here: Room) -> None:
    waiting(here)
    twin = ChannelTwin(orders=[Retryable("busy")] * 3)
    moments = []
    for tries in range(1, 5):
        until(here, twin, lambda tries=tries: len(twin.sent) == tries and settled(here))  # type: ignore[misc]
        with here.begin() as tx:
            following = tx.next_due()
        if tries < 4:
            moments.append((following - here.clock.at).total_seconds())
            here.clock.at = following
    assert moments == [30.0, 60.0, 120.0]
    assert states(here) == ["handed_over"]
    assert len({m.claim_id for m in twin.sent}) == 1


def test_a_provider_s_own_wait_is_kept(here: Room) -> None:
    waiting(here)
    until(here, ChannelTwin(orders=[Retryable("slow down", after=600)]), lambda: states(here) == ["released"])
    with here.begin() as tx:
        assert tx.next_due() == NOON + timedelta(seconds=600)


def test_a_provider_that_bars_us_is_left_at_once_and_no_message_waits_for_its_repair(template: Path, tmp_path: Path) -> None:
    main = ChannelTwin(provider="main", orders=[Barred("our account is not active", 300.0)] * 9)
    spare = ChannelTwin(provider="spare")
    with room(template, tmp_path, ways={"sms": Way("main", "spare")}) as here:
        waiting(here, 3)
        until(here, (main, spare), lambda: len(spare.sent) == 3 and settled(here), parallel=2)
        assert states(here) == ["handed_over"] * 3
        assert len(main.sent) == 2, "those of the one round that was under way"
        assert [(f.provider, f.before, f.reason) for f in here.log.facts("provider.changed.v1")] == [("spare", "main", "barred")]


def test_after_many_refusals_it_is_given_up(here: Room) -> None:
    waiting(here)
    twin = ChannelTwin(orders=[Retryable("busy")] * 4)
    until(here, twin, lambda: states(here) == ["released"])
    with here.begin() as tx:
        tx.conn.exec_driver_sql(f"UPDATE claims SET attempts = {MAX_ATTEMPTS - 2}")
    for state in ("released", "failed"):
        here.clock.move(hours=2)
        until(here, twin, lambda state=state: states(here) == [state] and len(twin.sent) > 1)  # type: ignore[misc]
    assert len(twin.sent) == 3
    assert here.outcomes()["not_asked"] == {"undeliverable": 1}


def test_a_refusal_for_good_ends_it_and_frees_the_person(here: Room) -> None:
    waiting(here)
    until(here, ChannelTwin(orders=[Permanent("no such number", "21211")]), lambda: settled(here))
    assert [(f.state, f.code, f.reason) for f in here.log.facts(DELIVERY)][1:] == [("failed", "21211", "no such number")]
    assert here.outcomes()["not_asked"] == {"undeliverable": 1}
    here.take(act("later", "+84900000000"))
    with here.begin() as tx:
        assert tx.slots_for_decision(["later"])["later"].last_asked_at is None


@pytest.mark.parametrize(
    ("error", "accepted"),
    [(UnknownOutcome("no answer"), True), (UnknownOutcome("no"), False), (RuntimeError("x"), False), (TimeoutError(), True)],
)
def test_whatever_else_happens_it_is_found_out_and_never_sent_again(here: Room, error: Exception, accepted: bool) -> None:
    waiting(here)
    twin = ChannelTwin(orders=[error], accepts_before_failing=accepted)
    until(here, twin, lambda: len(twin.sent) == 1)
    assert states(here) == ["claimed"]
    assert twin.looked_up == 0, "not before the lease is over"
    here.real += timedelta(seconds=91)
    until(here, twin, lambda: twin.looked_up == 1 and settled(here) == accepted)
    assert states(here) == (["handed_over"] if accepted else ["claimed"])
    here.real += timedelta(seconds=299)
    until(here, twin, lambda: True)
    assert twin.looked_up == 1, "not before the gap is over"
    here.real += timedelta(seconds=2)
    until(here, twin, lambda: settled(here))
    assert states(here) == (["handed_over"] if accepted else ["unknown"])
    assert twin.looked_up == (1 if accepted else 2)
    here.clock.move(days=5)
    here.real += timedelta(days=5)
    until(here, twin, lambda: True)
    assert len(twin.sent) == 1
    assert here.outcomes() == {"valid": 1, "asked": 1, "waiting": 0, "not_asked": {}}


def test_a_provider_that_cannot_be_asked_leaves_it_unknown(here: Room) -> None:
    waiting(here)
    twin = ChannelTwin(orders=[UnknownOutcome("cut off")], can_reconcile=False)
    until(here, twin, lambda: len(twin.sent) == 1)
    here.real += timedelta(seconds=91)
    until(here, twin, lambda: settled(here))
    assert states(here) == ["unknown"]
    assert (twin.looked_up, len(twin.sent)) == (0, 1)
    assert here.log.facts(DELIVERY)[-1].reason == "open after its lease; the provider cannot be asked"


def test_a_message_that_cannot_be_made_waits_costs_nothing_and_ends_nobody(here: Room) -> None:
    waiting(here, 2)
    twin = ChannelTwin()
    sender = here.sender(twin)

    def fails(_: Claimed) -> OutgoingMessage:
        raise ValueError("this text is missing")

    sender._compose = fails
    asyncio.run(sender.round())
    asyncio.run(sender._settle())
    assert (twin.sent, states(here)) == ([], ["released"] * 2)
    assert here.outcomes()["waiting"] == 2
    here.clock.move(minutes=10)
    until(here, twin, lambda: states(here) == ["handed_over"] * 2)
    assert here.outcomes()["asked"] == 2


def test_an_open_message_that_cannot_be_made_any_more_ends_as_unknown_and_not_the_worker(here: Room) -> None:
    waiting(here)
    twin = ChannelTwin(orders=[UnknownOutcome("cut off")])
    until(here, twin, lambda: len(twin.sent) == 1)
    sender = here.sender(twin)

    def fails(_: Claimed) -> OutgoingMessage:
        raise ValueError("this text is missing")

    sender._compose = fails
    for seconds in (91, 301):
        here.real += timedelta(seconds=seconds)
        asyncio.run(sender.reconcile())
    assert states(here) == ["unknown"]


def test_a_worker_that_died_while_sending_leaves_it_to_another(here: Room) -> None:
    waiting(here)
    first = ChannelTwin()
    with here.begin() as tx:
        (claimed,) = tx.claim_due(here.clock.now(), here.real, here.real + timedelta(seconds=30), 20, "dead")
    second = ChannelTwin(accepted={f"{claimed.ref}-invitation": handover(first)})
    here.real += timedelta(seconds=91)
    until(here, second, lambda: settled(here))
    assert states(here) == ["handed_over"]
    assert second.sent == []


def handover(twin: ChannelTwin) -> Handover:
    asyncio.run(twin.send(OutgoingMessage("c", "sms", "", "", "", None, "t", None, None, "vi")))
    return twin.accepted["t"]


def test_at_most_so_many_are_under_way_and_none_is_left(here: Room) -> None:
    waiting(here, 53)
    most: list[int] = []
    twin = ChannelTwin(look=lambda _: most.append(states(here).count("claimed")))
    until(here, twin, lambda: states(here) == ["handed_over"] * 53, within=20, parallel=7)
    assert twin.most_open == 7
    assert max(most) <= 7
    assert len({m.to for m in twin.sent}) == 53


def test_two_workers_share_the_work_and_double_none_of_it(here: Room) -> None:
    waiting(here, 40)
    one, two = ChannelTwin(), ChannelTwin()

    async def run() -> None:
        async with asyncio.timeout(20):
            work = [asyncio.create_task(here.sender(twin, parallel=3).run()) for twin in (one, two)]
            while states(here) != ["handed_over"] * 40:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    asyncio.run(run())
    assert len({m.to for m in one.sent + two.sent}) == 40
    assert len(one.sent) + len(two.sent) == 40


def test_an_opt_out_between_decision_and_claim_holds(here: Room) -> None:
    (earlier,) = waiting(here)
    until(here, ChannelTwin(), lambda: settled(here))
    here.take(act("second", "+84900000000"))
    decide(here.ledger, "second", ask_at=NOON + timedelta(days=31))
    here.clock.move(days=31)
    with here.begin() as tx:
        assert tx.opt_out(f"{earlier}-invitation-sms", here.clock.now(), "link") == "recorded"
    twin = ChannelTwin()
    until(here, twin, lambda: here.outcomes()["waiting"] == 0)
    assert twin.sent == []
    assert here.outcomes() == {"valid": 2, "asked": 1, "waiting": 0, "not_asked": {"opted_out": 1}}
    assert [(f.state, f.reason) for f in here.log.facts(DELIVERY)][-1] == ("withdrawn", "opted_out")


def test_a_message_whose_end_is_open_counts_for_the_cap(here: Room) -> None:
    """A worker died with the first one under way; it may arrive, so the same number gets no second one."""
    here.take(act("d1", "+84900000001"), act("d2", "+84900000001"))
    decide(here.ledger, "d1")
    with here.begin() as tx:
        assert len(tx.claim_due(here.clock.now(), here.real, here.real + timedelta(seconds=30), 20, "dead")) == 1
    decide(here.ledger, "d2")
    twin = ChannelTwin()
    until(here, twin, lambda: here.outcomes()["not_asked"] == {"recently_asked": 1})
    assert twin.sent == []


def test_a_later_act_with_another_number_does_not_get_round_the_limits(here: Room) -> None:
    """9 came with one number, 10 with another: the message goes to the number whose limits were looked at."""
    here.take(act("d1", "+84900000001", event_id="nine"))
    decide(here.ledger, "d1")
    here.take(replace(act("d1", "+84900000002", event_id="ten"), occurred_at=NOON + timedelta(hours=1)))
    twin = ChannelTwin()
    until(here, twin, lambda: settled(here))
    assert [m.to for m in twin.sent] == ["+84900000001"]


def test_a_channel_nobody_set_up_fails_the_message_and_not_the_worker(here: Room) -> None:
    waiting(here)
    until(here, ChannelTwin(name="email"), lambda: settled(here))
    assert states(here) == ["failed"]


def test_a_log_that_is_away_keeps_no_message_back_and_loses_no_fact(here: Room) -> None:
    waiting(here, 12)
    here.log.failures = [0, 1, 0]
    twin = ChannelTwin()
    until(here, twin, lambda: states(here) == ["handed_over"] * 12, parallel=4)
    facts = here.log.facts(DELIVERY)
    assert len(facts) == 24
    assert len(twin.sent) == 12
    assert here.ledger.pending() == []


def test_receipts_become_facts(here: Room) -> None:
    waiting(here)
    twin = ChannelTwin(provider="twilio")
    until(here, twin, lambda: settled(here))
    with here.begin() as tx:
        tx.store_receipt(Receipt("twilio", "SM1", "delivered", None), here.clock.now())
    until(here, twin, lambda: states(here) == ["delivered"])
    assert [f.state for f in here.log.facts(DELIVERY)] == ["claimed", "handed_over", "delivered"]


# --- officers' mail


def told(here: Room, *addresses: str, alerts_from: date | None = None) -> Told:
    def addressees(unit: str, confidential: bool) -> Sequence[str]:
        return ["office@x.example"] if confidential else [*addresses]

    return Told(
        here.outbox, here.clock, asyncio.Event(), addressees, lambda fact: {"unit": fact.unit}, lambda step, address: f"{step}:{address}",
        alerts_from,
    )  # fmt: skip


def case(version: int = 1) -> CaseChanged:
    return CaseChanged(
        event_id=f"case{version}", registry_id="test", case_id="c1", version=version, state="opened", kind="charges", confidential=True,
        unit="X1", on=NOON.date(), at=NOON,
    )  # fmt: skip


def mails(here: Room, steps: Sequence[AlertChanged | CaseChanged], *addresses: str, alerts_from: date | None = None) -> list[str]:
    role = told(here, *addresses, alerts_from=alerts_from)
    asyncio.run(role(items(steps)))
    asyncio.run(role(items(steps)))  # the same records again
    twin = ChannelTwin(name="email", provider="smtp", can_reconcile=False)
    until(here, twin, lambda: not here.ledger.anything_due(["officers"], here.clock.now(), here.real) and "claimed" not in states(here))
    assert len({(m.to, m.token) for m in twin.sent}) == len(twin.sent)
    return sorted(m.to for m in twin.sent)


def test_one_mail_for_each_address_and_step(here: Room) -> None:
    steps = [alert(1), alert(2, "cleared")]
    assert mails(here, steps, "a@x.example", "b@x.example") == ["a@x.example"] * 2 + ["b@x.example"] * 2
    assert here.outcomes()["valid"] == 0


@pytest.mark.parametrize(("day", "to"), [(1, ["office@x.example"]), (0, ["a@x.example", "office@x.example"])])
def test_before_the_first_day_of_mails_alerts_are_silent_and_cases_are_not(here: Room, day: int, to: list[str]) -> None:
    first = local(here.clock.now()).date() + timedelta(days=day)
    assert mails(here, [alert(1), case()], "a@x.example", alerts_from=first) == to


def test_only_what_an_officer_must_know_is_mailed(here: Room) -> None:
    quiet = [alert(n, state) for n, state in enumerate(("acknowledged", "acting", "fixed", "not_found"), 1)]
    assert mails(here, quiet, "a@x.example") == []


def test_a_confidential_case_goes_to_the_office_only(here: Room) -> None:
    assert mails(here, [case()], "a@x.example") == ["office@x.example"]
    with here.begin() as tx:
        payloads = [r.payload for r in tx.conn.exec_driver_sql("SELECT payload FROM due WHERE kind = 'officers'")]
    assert len(payloads) == 1
