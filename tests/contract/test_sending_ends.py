"""What becomes of a message and of those who wait, on SQLite and PostgreSQL: the next channel, the reminder, silence, rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hailong.domain.hours import Hours
from hailong.domain.units import LOCAL
from hailong.ports import Claimed, Decision, DossierAct, Handover, Receipt
from sinks.ledger import Ledger
from sinks.ledger import schema as t
from tests.contract.build import NOON, act, answered, claim, closed, decide, outcomes, reopened, settle, take

Open = Callable[..., Ledger]
HOURS = Hours()
IN_HOURS = {"is_open": HOURS.is_open, "next_open": HOURS.next_open, "zone": LOCAL}
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
PHONE, MAIL = "+84900000001", "p@x.a00001"


@pytest.fixture
def ledger(opened: Open) -> Ledger:
    return opened(**IN_HOURS)


def steps(ledger: Ledger, purpose: str = "invitation") -> list[tuple[int, str, str | None]]:
    """(seq, state, reason) of each fact about messages."""
    told = [msgspec.json.decode(p.record.value) for p in ledger.pending(10_000) if p.record.topic == "survey.delivery.v1"]
    return [(f["seq"], f["state"], f.get("reason")) for f in told if f["purpose"] == purpose]


def claims(ledger: Ledger) -> dict[str, Any]:
    """Purpose → its row."""
    with ledger.read() as reader:
        return {c.purpose: c for c in reader.claims()}


def slot(ledger: Ledger, ref: str = "d1") -> Any:
    with ledger.read() as reader:
        return next(s for s in reader.slots() if s.dossier_ref == ref)


def due(ledger: Ledger, kind: str) -> list[datetime]:
    """When rows of a kind are due that wait."""
    with ledger.read() as reader:
        waits = sa.select(t.due.c.due_at).where(t.due.c.kind == kind, t.due.c.state == "waiting").order_by(t.due.c.due_at)
        return list(reader.conn.execute(waits).scalars())


def asked(ledger: Ledger, phone: str | None = PHONE, mail: str | None = None, **more: Any) -> Claimed:
    """A dossier whose invitation a provider that reports has accepted."""
    take(ledger, act("d1", phone, mail))
    decide(ledger, "d1", **more)
    (one,) = claim(ledger)
    settle(ledger, "handed_over", one, handover=Handover("twilio", f"SM{one.claim_id}", 1, receipts=True))
    return one


def hear(ledger: Ledger, one: Claimed, status: Any, at: datetime = NOON) -> int:
    with ledger.begin() as tx:
        tx.store_receipt(Receipt("twilio", f"SM{one.claim_id}", status, None), at)
        return tx.apply_receipts(at, 10)


# --- the next channel


def test_a_definite_refusal_goes_on_to_the_next_channel_at_once(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE, MAIL))
    decide(ledger, "d1", channel="zns", next_channels=("sms", "email"))
    (first,) = claim(ledger)
    settle(ledger, "failed", first, reason="no such user", code="-124")
    assert outcomes(ledger) == {"valid": 1, "asked": 0, "waiting": 1, "not_asked": {}}
    (second,) = claim(ledger)
    assert (second.channel, second.claim_id, second.attempts) == ("sms", first.claim_id, 2)
    settle(ledger, "released", second, reason="busy", retry_at=NOON + MINUTE)
    (again,) = claim(ledger, NOON + MINUTE)
    assert again.channel == "sms", "what may pass is tried again by the same channel"
    settle(ledger, "failed", again, reason="no such number")
    (third,) = claim(ledger, NOON + MINUTE)
    assert (third.channel, third.payload) == ("email", {"channel": "email", "next": []})
    with ledger.begin() as tx:
        assert tx.slot_by_code(f"{third.ref}-invitation-email") is not None, "the link of every channel leads to the slot"
    settle(ledger, "handed_over", third)
    assert claim(ledger, NOON + DAY) == []
    assert steps(ledger) == [
        (1, "claimed", None), (2, "failed", "no such user"), (3, "claimed", None), (4, "claimed", "busy"), (5, "failed", "no such number"),
        (6, "claimed", None), (7, "handed_over", None),
    ]  # fmt: skip


def test_what_was_reopened_while_it_was_under_way_and_surely_not_sent_is_withdrawn_for_all_to_see(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    decide(ledger, "d1")
    (one,) = claim(ledger)
    take(ledger, reopened("d1"))
    with ledger.begin() as tx:
        tx.reopen("d1", "reopened:d1")
    settle(ledger, "released", one, reason="busy", retry_at=NOON + MINUTE)
    assert steps(ledger) == [(1, "claimed", None), (2, "withdrawn", "reopened")]
    assert claim(ledger, NOON + DAY) == []


def test_who_told_the_provider_not_to_write_is_opted_out_of_every_channel_and_for_good(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE, MAIL))
    decide(ledger, "d1", next_channels=("email",))
    (first,) = claim(ledger)
    settle(ledger, "failed", first, reason="opted_out", code="21610")
    assert outcomes(ledger) == {"valid": 1, "asked": 0, "waiting": 0, "not_asked": {"opted_out": 1}}
    assert claim(ledger, NOON + DAY) == []
    take(ledger, act("d2", None, MAIL))
    with ledger.begin() as tx:
        assert tx.slots_for_decision(["d2"])["d2"].opted_out
        told = [r.topic for r in tx.conn.execute(sa.select(t.outbox.c.topic))]
    assert told.count("contact.preference.v1") == 2  # the number's and the address's


def test_when_no_channel_is_left_it_is_undeliverable_and_the_number_is_free(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE, MAIL), act("d2", PHONE))
    decide(ledger, "d1", next_channels=("email",))
    settle(ledger, "failed", *claim(ledger), reason="no such number")
    settle(ledger, "failed", *claim(ledger), reason="no such mailbox")
    assert claim(ledger, NOON + DAY) == []
    assert outcomes(ledger)["not_asked"] == {"undeliverable": 1}
    with ledger.begin() as tx:
        assert tx.slots_for_decision(["d2"])["d2"].last_asked_at is None


def test_the_next_channel_keeps_to_the_hours_and_the_checks(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE, MAIL), act("d2", "+84900000002", "p@x.a00002"))
    decide(ledger, "d1", "d2", next_channels=("email",))
    late = datetime(2026, 3, 2, 20, 0, 1, tzinfo=LOCAL)
    settle(ledger, "failed", *claim(ledger), now=late, reason="no such number")
    assert due(ledger, "invitation") == [datetime(2026, 3, 3, 8, tzinfo=LOCAL)] * 2
    with ledger.begin() as tx:
        tx.opt_out(f"{slot(ledger).survey_id}-invitation-sms", late, "link")
    assert [c.ref for c in claim(ledger, NOON + DAY)] == [slot(ledger, "d2").survey_id]
    assert slot(ledger).reason == "opted_out"


def test_an_unknown_message_never_goes_on_to_another_channel(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE, MAIL))
    decide(ledger, "d1", next_channels=("email",))
    settle(ledger, "unknown", *claim(ledger))
    assert claim(ledger, NOON + DAY) == []
    assert (slot(ledger).outcome, slot(ledger).reason) == ("asked", "unknown")


# --- the reminder

WEEK = 7 * DAY


def remind(ledger: Ledger, now: datetime = NOON + WEEK) -> list[Claimed]:
    return [c for c in claim(ledger, now) if c.kind == "reminder"]


def test_whoever_has_not_answered_is_reminded_once_with_a_claim_and_facts_of_its_own(ledger: Ledger) -> None:
    first = asked(ledger, remind_after_days=7)
    assert due(ledger, "reminder") == [NOON + WEEK]
    assert remind(ledger, NOON + WEEK - MINUTE) == []
    (one,) = remind(ledger)
    assert (one.ref, one.channel, one.attempts, one.claim_id != first.claim_id) == (first.ref, "sms", 1, True)
    settle(ledger, "handed_over", one)
    assert steps(ledger, "reminder") == [(1, "claimed", None), (2, "handed_over", None)]
    assert steps(ledger) == [(1, "claimed", None), (2, "handed_over", None)]
    with ledger.begin() as tx:
        assert not tx.schedule("reminder", one.ref, NOON)
        assert tx.slot_by_code(f"{one.ref}-reminder-sms") is not None
    assert claim(ledger, NOON + 20 * DAY) == []
    assert due(ledger, "reminder") == []


def test_a_reminder_waits_for_a_whole_and_open_hour(ledger: Ledger) -> None:
    saturday = datetime(2026, 3, 7, 19, 20, 30, tzinfo=LOCAL)
    take(ledger, act("d1", PHONE))
    decide(ledger, "d1", ask_at=saturday, remind_after_days=3)
    settle(ledger, "handed_over", *claim(ledger, saturday), now=saturday)
    assert due(ledger, "reminder") == [datetime(2026, 3, 11, 8, tzinfo=LOCAL)]


@pytest.mark.parametrize("state", ["unknown", "failed", "released", "open"])
def test_only_who_was_handed_an_invitation_is_reminded(ledger: Ledger, state: str) -> None:
    take(ledger, act("d1", PHONE))
    decide(ledger, "d1", remind_after_days=7)
    settle(ledger, state, *claim(ledger))
    assert due(ledger, "reminder") == []


def test_what_reconciliation_found_at_the_provider_is_reminded_of_too(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    decide(ledger, "d1", remind_after_days=7)
    claim(ledger)
    later = NOON + 2 * MINUTE
    with ledger.begin() as tx:
        ((found, _),) = tx.stale_claims(later, later, 10)
    settle(ledger, "handed_over", found)
    assert due(ledger, "reminder") == [NOON + WEEK]


def answers(ledger: Ledger, survey: str) -> None:
    with ledger.begin() as tx:
        tx.count(answered(survey, 5), NOON)


def opts_out(ledger: Ledger, survey: str) -> None:
    with ledger.begin() as tx:
        tx.opt_out(f"{survey}-invitation-sms", NOON, "link")


def goes_on(ledger: Ledger, survey: str) -> None:
    take(ledger, reopened("d1"))
    with ledger.begin() as tx:
        assert tx.reopen("d1", "reopened:d1") is None


def fails_later(ledger: Ledger, survey: str) -> None:
    with ledger.begin() as tx:
        provider_id = tx.conn.execute(sa.select(t.claims.c.provider_id)).scalar_one()
        tx.store_receipt(Receipt("twilio", provider_id, "failed", "30005"), NOON)
        tx.apply_receipts(NOON, 10)


def is_asked_about_another(ledger: Ledger, survey: str) -> None:
    take(ledger, act("d2", PHONE))
    decide(ledger, "d2")
    with ledger.begin() as tx:  # as if the cap had been shorter meanwhile
        tx.conn.execute(sa.update(t.contacts).values(asked_at=NOON - 40 * DAY))
    settle(ledger, "handed_over", *claim(ledger))


def has_a_message_under_way(ledger: Ledger, survey: str) -> None:
    take(ledger, act("d2", PHONE))
    decide(ledger, "d2")
    with ledger.begin() as tx:
        tx.conn.execute(sa.update(t.contacts).values(asked_at=NOON - 40 * DAY))
    assert len(claim(ledger)) == 1


def runs_out(ledger: Ledger, survey: str) -> None:
    with ledger.begin() as tx:
        tx.conn.execute(sa.update(t.slots).values(expires_at=NOON + WEEK))


def is_erased(ledger: Ledger, survey: str) -> None:
    with ledger.begin() as tx:
        tx.conn.execute(sa.delete(t.vault))


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (answers, "answered"),
        (opts_out, "opted_out"),
        (goes_on, "reopened"),
        (fails_later, "undeliverable"),
        (is_asked_about_another, "recently_asked"),
        (has_a_message_under_way, "recently_asked"),
        (runs_out, "expired"),
        (is_erased, "contact_erased"),
    ],
    ids=lambda p: getattr(p, "__name__", p),
)
def test_a_reminder_is_withdrawn_when_something_has_come_between(
    ledger: Ledger, happens: Callable[[Ledger, str], None], reason: str
) -> None:
    first = asked(ledger, remind_after_days=7)
    happens(ledger, first.ref)
    before = slot(ledger)
    assert remind(ledger) == []
    assert steps(ledger, "reminder") == [(1, "withdrawn", reason)]
    assert (slot(ledger).outcome, slot(ledger).reason) == (before.outcome, before.reason)
    assert remind(ledger, NOON + 8 * DAY) == []


@pytest.mark.parametrize("state", ["handed_over", "failed", "unknown", "released"])
def test_however_a_reminder_ends_its_dossier_stays_asked_once(ledger: Ledger, state: str) -> None:
    asked(ledger, remind_after_days=7)
    (one,) = remind(ledger)
    before = (slot(ledger), outcomes(ledger), len(due(ledger, "expire")))
    with ledger.read() as reader:
        contact = reader.conn.execute(sa.select(t.contacts.c.asked_at)).scalar_one()
    settle(ledger, state, one, now=NOON + WEEK)
    assert (slot(ledger), outcomes(ledger), len(due(ledger, "expire"))) == before
    with ledger.read() as reader:
        assert reader.conn.execute(sa.select(t.contacts.c.asked_at)).scalar_one() == contact
    assert claims(ledger)["reminder"].state == state
    assert len(due(ledger, "reminder")) == (1 if state == "released" else 0)
    hear(ledger, one, "failed")
    assert outcomes(ledger)["asked"] == 1


# --- silence, and what comes after it


def silence(ledger: Ledger, at: datetime) -> list[str]:
    with ledger.begin() as tx:
        rows = tx.take_due(["no_receipt"], at, at, at + MINUTE, 10)
        for row in rows:
            tx.no_receipt(row.ref, at)
        tx.finish_due([row.id for row in rows])
        return [row.ref for row in rows]


def test_without_a_receipt_for_days_it_is_unknown_and_what_comes_later_still_counts(ledger: Ledger) -> None:
    one = asked(ledger)
    assert due(ledger, "no_receipt") == [NOON + 3 * DAY]
    assert silence(ledger, NOON + 3 * DAY - MINUTE) == []
    assert silence(ledger, NOON + 3 * DAY) == [one.claim_id]
    assert (slot(ledger).outcome, slot(ledger).reason, claims(ledger)["invitation"].state) == ("asked", "unknown", "unknown")
    with ledger.read() as reader:
        assert reader.unknown_sends() == 1
    assert hear(ledger, one, "delivered", NOON + 4 * DAY) == 1
    assert (slot(ledger).outcome, slot(ledger).reason, claims(ledger)["invitation"].state) == ("asked", None, "delivered")
    assert steps(ledger) == [(1, "claimed", None), (2, "handed_over", None), (3, "unknown", "no_receipt"), (4, "delivered", None)]
    assert claim(ledger, NOON + 10 * DAY) == []


def test_a_failure_that_is_told_of_after_the_silence_still_counts(ledger: Ledger) -> None:
    one = asked(ledger)
    silence(ledger, NOON + 3 * DAY)
    hear(ledger, one, "failed", NOON + 4 * DAY)
    assert outcomes(ledger) == {"valid": 1, "asked": 0, "waiting": 0, "not_asked": {"undeliverable": 1}}


@pytest.mark.parametrize(("status", "waits"), [("delivered", 0), ("failed", 0), ("sent", 1)])
def test_a_receipt_ends_the_waiting_for_it(ledger: Ledger, status: str, waits: int) -> None:
    one = asked(ledger)
    hear(ledger, one, status)
    assert len(due(ledger, "no_receipt")) == waits
    silence(ledger, NOON + 3 * DAY)
    heard = "unknown" if status == "sent" else status
    assert claims(ledger)["invitation"].state == heard
    with ledger.begin() as tx:  # a timer that had the row in its hand
        tx.no_receipt(one.claim_id, NOON + 3 * DAY)
    assert claims(ledger)["invitation"].state == heard
    assert len(steps(ledger)) == 3


def test_who_never_reports_is_not_waited_for_and_a_silent_reminder_leaves_the_dossier_alone(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    decide(ledger, "d1", remind_after_days=7)
    settle(ledger, "handed_over", *claim(ledger))
    assert due(ledger, "no_receipt") == []
    (one,) = remind(ledger)
    settle(ledger, "handed_over", one, now=NOON + WEEK, handover=Handover("twilio", "R1", 1, receipts=True))
    assert silence(ledger, NOON + WEEK + 3 * DAY) == [one.claim_id]
    assert (slot(ledger).outcome, slot(ledger).reason) == ("asked", None)
    assert steps(ledger, "reminder")[-1] == (3, "unknown", "no_receipt")


# --- rest


def rest(ledger: Ledger, *acts: DossierAct, until: datetime = NOON + 30 * DAY) -> None:
    take(ledger, *acts)
    with ledger.begin() as tx:
        slots = tx.slots_for_decision([a.fact.dossier_ref for a in acts])
        made = [
            Decision(s.dossier_ref, s.survey_id, s.contacts, False, rest_until=until, ending=closed(s.dossier_ref)) for s in slots.values()
        ]
        tx.decide(made)


def resting(ledger: Ledger, *refs: str) -> list[str]:
    with ledger.begin() as tx:
        return [r.slot.dossier_ref for r in tx.resting_with(refs)]


def test_what_rests_waits_until_its_day_and_comes_back_as_it_was_told(ledger: Ledger) -> None:
    rest(ledger, act("d1", PHONE))
    assert outcomes(ledger) == {"valid": 1, "asked": 0, "waiting": 1, "not_asked": {}}
    assert slot(ledger).reason == "resting"
    with ledger.begin() as tx:
        assert tx.rested(NOON + 30 * DAY - MINUTE, 10) == []
        assert tx.rested(NOON + 30 * DAY, 10) == ["d1"]
        (one,) = tx.resting_with(["d1"])
        assert (one.ending, one.until) == (closed("d1"), NOON + 30 * DAY)
        assert one.slot.contacts == ("phone#000001",)
    assert claim(ledger, NOON + 40 * DAY) == []


def test_who_rests_together_hangs_together_by_any_contact_however_far(ledger: Ledger) -> None:
    rest(
        ledger,
        act("d1", PHONE),
        act("d2", PHONE, MAIL),
        replace(act("d3", None, MAIL), applicant_id="p"),
        replace(act("d4", "+84900000004"), applicant_id="p"),
        act("d5", "+84900000005"),
    )
    assert resting(ledger, "d1") == ["d1", "d2", "d3", "d4"]
    assert resting(ledger, "d4") == ["d1", "d2", "d3", "d4"]
    assert resting(ledger, "d5", "d1") == ["d1", "d2", "d3", "d4", "d5"]
    decide(ledger, "d3")  # who does not rest binds nobody
    with ledger.begin() as tx:
        tx.end_rest(["d3"])
    assert resting(ledger, "d1") == ["d1", "d2"]
    assert resting(ledger, "d3") == []


def test_one_is_asked_for_all_and_the_others_are_represented(ledger: Ledger) -> None:
    acts = [act(f"d{n}", PHONE) for n in (1, 2, 3)]
    rest(ledger, *acts)
    with ledger.begin() as tx:
        group = [r.slot for r in tx.resting_with(["d1"])]
        tx.end_rest([s.dossier_ref for s in group])
        first, *others = group
        ask = Decision(
            first.dossier_ref, first.survey_id, first.contacts, True, None, "sms", NOON + 30 * DAY, NOON + 60 * DAY, weight=len(group)
        )
        tx.decide([ask, *(Decision(s.dossier_ref, s.survey_id, s.contacts, False, "represented") for s in others)])
        assert tx.rested(NOON + 90 * DAY, 10) == []
    assert outcomes(ledger) == {"valid": 3, "asked": 0, "waiting": 1, "not_asked": {"represented": 2}}
    assert [slot(ledger, f"d{n}").weight for n in (1, 2, 3)] == [3, 1, 1]
    (one,) = claim(ledger, NOON + 30 * DAY)
    assert (one.ref, one.about and one.about.weight) == (slot(ledger).survey_id, 3)


def test_a_rest_may_be_prolonged_and_is_ended_by_going_on(ledger: Ledger) -> None:
    rest(ledger, act("d1", PHONE), act("d2", PHONE))
    rest(ledger, act("d1", PHONE), until=NOON + 50 * DAY)
    with ledger.begin() as tx:
        assert tx.rested(NOON + 30 * DAY, 10) == ["d2"]
    take(ledger, reopened("d2"))
    with ledger.begin() as tx:
        assert tx.reopen("d2", "reopened:d2") == "resting"
        assert tx.rested(NOON + 50 * DAY, 10) == ["d1"]
        assert [r.slot.dossier_ref for r in tx.resting_with(["d1", "d2"])] == ["d1"]
    assert outcomes(ledger) == {"valid": 2, "asked": 0, "waiting": 1, "not_asked": {"reopened": 1}}


def test_what_went_on_while_it_rested_and_ended_again_may_rest_again(ledger: Ledger) -> None:
    rest(ledger, act("d1", PHONE))
    take(ledger, reopened("d1"))
    with ledger.begin() as tx:
        tx.reopen("d1", "reopened:d1")
    rest(ledger, replace(act("d1", PHONE, event_id="again"), occurred_at=NOON + 2 * DAY), until=NOON + 60 * DAY)
    with ledger.begin() as tx:
        assert tx.rested(NOON + 59 * DAY, 10) == []
        assert tx.rested(NOON + 60 * DAY, 10) == ["d1"]
    assert resting(ledger, "d1") == ["d1"]
