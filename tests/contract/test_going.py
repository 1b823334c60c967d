"""Going live, trials and by hand, on SQLite and PostgreSQL alike: what may not leave is not claimed; what stands still is counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from hailong.domain.modes import Reach, read_modes
from hailong.domain.ways import Way
from hailong.ports import Receipt
from sinks.ledger import Ledger, open_ledger
from sinks.ledger.budgeting import AUTOMATIC, BY_HAND
from sinks.ledger.carrying import Outcomes
from sinks.ledger.going import Trial
from tests.contract.build import NOON, act, claim, decide, outcomes, settle, take, tools

WAYS = {"sms": Way("main", "reserve")}
LATER = NOON + timedelta(minutes=6)


def again(address: str, **changes: object) -> Ledger:
    return open_ledger(address, tools(**changes), "test")


def held(modes: str) -> Callable[[str, str, bool], str | None]:
    return Reach(read_modes(modes)).held


def reasons(ledger: Ledger) -> list[tuple[str, str | None]]:
    with ledger.read() as reader:
        return sorted((s.outcome, s.reason) for s in reader.slots())


def stuck(ledger: Ledger, now: Any = NOON, real: Any = NOON) -> dict[str, int]:
    """Only what is not 0."""
    with ledger.read() as reader:
        return {name: n for name, n in reader.stuck(now, real).items() if n}


def switch(ledger: Ledger, on: bool, channel: str = "sms") -> bool:
    with ledger.begin() as tx:
        return tx.switch(channel, "main", on=on, by="minh", real_now=NOON)


# --- live


def test_the_newest_switch_of_a_channel_holds_and_each_stays_written(ledger: Ledger) -> None:
    assert [switch(ledger, on) for on in (False, True, True, False, True)] == [False, True, False, True, True]
    assert switch(ledger, True, "email")
    switch(ledger, False, "email")
    with ledger.read() as reader:
        assert list(reader.live_channels()) == ["sms"]
        assert [(s.channel, s.on, s.by) for s in reader.switches()] == [
            ("sms", True, "minh"), ("sms", False, "minh"), ("sms", True, "minh"), ("email", True, "minh"), ("email", False, "minh"),
        ]  # fmt: skip


def test_nothing_is_claimed_before_the_channel_is_live_and_everything_after(address: str) -> None:
    ledger = again(address, may_leave=held("sms=live"))
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1")
    assert claim(ledger) == []
    assert reasons(ledger) == [("waiting", "channel_off")]
    assert stuck(ledger)["channel_off"] == 1
    assert claim(ledger, NOON + timedelta(minutes=4)) == [], "it is looked at again every five minutes"
    switch(ledger, True)
    (claimed,) = claim(ledger, LATER)
    settle(ledger, "handed_over", claimed, now=LATER)
    assert outcomes(ledger)["asked"] == 1
    switch(ledger, False)
    take(ledger, act("d2", "+84900000002"))
    decide(ledger, "d2", ask_at=LATER)
    assert claim(ledger, LATER) == []
    ledger.close()


def test_what_is_held_keeps_neither_turn_nor_money_nor_others_back(address: str) -> None:
    fields: dict[str, Any] = {"ways": {"sms": Way("a"), "email": Way("b")}, "rates": {"a": 1.0}, "daily_budget": 500}
    ledger = again(address, may_leave=Reach(read_modes(""), carried={"b"}).held, price=lambda *_: 300, **fields)
    take(ledger, *(act(f"d{n}", f"+8490000000{n}") for n in range(3)), act("mail", email="a@x.example"))
    decide(ledger, "d0", "d1", "d2", "mail")
    assert [c.channel for c in claim(ledger)] == ["email"]
    with ledger.read() as reader:
        assert reader.spent_on(NOON.date()) == 300
        assert reader.turns_left("a", NOON) == 1.0
    ledger.close()


def test_what_is_held_too_long_expires_like_anything_else(address: str) -> None:
    ledger = again(address, may_leave=held(""))
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1", days=1)
    assert claim(ledger) == []
    assert claim(ledger, NOON + timedelta(days=2)) == []
    assert outcomes(ledger)["not_asked"] == {"expired": 1}
    ledger.close()


def test_officers_mails_wait_as_well(address: str) -> None:
    ledger = again(address, may_leave=held(""))
    with ledger.begin() as tx:
        tx.schedule("officers", "digest:1", NOON, {"to": "office@x.example", "kind": "digest"})
    assert claim(ledger) == []
    ledger.close()
    opened = again(address)
    assert claim(opened, NOON) == [], "it was put off"
    assert [c.kind for c in claim(opened, LATER)] == ["officers"]
    opened.close()


# --- trial


def test_in_a_trial_everyone_but_guests_is_withdrawn_with_the_reason(address: str) -> None:
    ledger = again(address, welcome=lambda channel, to: to == "+84900000001")
    take(ledger, act("guest", "+84900000001"), act("other", "+84900000002"), act("mail", email="a@x.example"))
    decide(ledger, "guest", "other", "mail")
    (claimed,) = claim(ledger)
    assert claimed.contact is not None
    assert claimed.contact.phone == "+84900000001"
    assert outcomes(ledger)["not_asked"] == {"trial": 2}
    with ledger.begin() as tx:
        assert tx.slots_for_decision(["other"])["other"].last_asked_at is None, "nobody was asked, so nobody is spared"
    ledger.close()


# --- tests


def test_a_test_is_seen_once_by_the_first_who_says_so(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.note_test(Trial("t1", "sms", "twilio", "vi", "cli:lan", NOON))
        tx.note_test(Trial("t2", "sms", "twilio", "vi", "cli:lan", LATER))
        assert tx.test_seen("nobody's", "minh", NOON) is None
        first, second = tx.test_seen("t1", "minh", NOON), tx.test_seen("t1", "lan", LATER)
    assert first == second == Trial("t1", "sms", "twilio", "vi", "cli:lan", NOON, "minh", NOON)
    with ledger.read() as reader:
        assert [(t.id, t.seen_by) for t in reader.tests("sms")] == [("t2", None), ("t1", "minh")]
        assert reader.tests("email") == []


# --- by hand


def test_what_a_person_chose_stays_until_a_person_gives_it_back(address: str) -> None:
    ledger = again(address, ways=WAYS)

    def watch(real: Any) -> list[str]:
        with ledger.begin() as tx:
            tx.note_outcomes({"main": ["refused"] * 20}, real)
            return [c.provider for c in tx.watch_providers(real, real)]

    def choose(provider: str, reason: str) -> None:
        with ledger.begin() as tx:
            tx.use_provider("sms", provider, reason, "minh", NOON, NOON)

    choose("main", BY_HAND)
    assert watch(NOON + timedelta(minutes=5)) == [], "it refuses, and stays"
    choose("reserve", BY_HAND)
    assert watch(NOON + timedelta(days=9)) == [], "a quiet time brings nothing back"
    with ledger.begin() as tx:
        tx.use_provider("sms", "main", AUTOMATIC, "minh", NOON, NOON)
    assert watch(NOON + timedelta(minutes=5)) == ["reserve"]
    with ledger.read() as reader:
        change = reader.last_change("sms")
        assert change is not None
        assert (change.provider, change.reason) == ("reserve", "refusals")
        assert reader.lately("main", NOON) == Outcomes(0, 40, 0)
    ledger.close()


def test_how_a_provider_does_is_told_by_the_minute_and_in_money(address: str) -> None:
    ledger = again(address, ways={"sms": Way("a")}, rates={"a": 2.0}, price=lambda *_: 700)
    take(ledger, act("d1", "+84900000001"), act("d2", "+84900000002"), act("d3", "+84900000003"))
    decide(ledger, "d1", "d2", "d3")
    first, second = claim(ledger)
    settle(ledger, "failed", first, reason="no")
    with ledger.read() as reader:
        assert reader.last_change("sms") is None
        assert (reader.turns_left("a", NOON), reader.turns_left("a", NOON + timedelta(seconds=1))) == (0.0, 2.0)
        assert reader.turns_left("b", NOON) is None
        assert (reader.cost_of("a", NOON.date()), reader.spent_on(NOON.date())) == (700, 700)
        assert reader.cost_of("a", NOON.date() + timedelta(days=1)) == 0
    assert second.provider == "a"
    ledger.close()


# --- what stands still


def test_nothing_stands_still_in_an_empty_ledger(ledger: Ledger) -> None:
    assert stuck(ledger) == {}


def test_every_state_that_stands_still_is_counted_when_its_time_is_over_and_not_before(ledger: Ledger) -> None:
    take(ledger, act("new", "+84900000001"), act("due", "+84900000002"), act("lost", "+84900000003"), act("sent", "+84900000004"))
    with ledger.begin() as tx:
        tx.conn.exec_driver_sql("DELETE FROM outbox")
        tx.schedule("decide", "d", NOON)
        tx.schedule("expire", "e", NOON)
    decide(ledger, "lost")
    (lost,) = claim(ledger)
    decide(ledger, "sent")
    (sent,) = claim(ledger)
    settle(ledger, "handed_over", sent)
    decide(ledger, "due")
    with ledger.begin() as tx:
        tx.conn.exec_driver_sql("DELETE FROM outbox")
        tx.schedule("no_receipt", sent.claim_id, NOON + timedelta(days=3))
        tx.store_receipt(Receipt("twilio", "stranger", "delivered", None), NOON)
    assert stuck(ledger) == {}
    soon = NOON + timedelta(minutes=31)
    assert stuck(ledger, soon, NOON + timedelta(minutes=14)) == {"undecided": 1, "overdue": 1}
    assert stuck(ledger, soon, soon) == {"undecided": 1, "overdue": 1, "claimed": 1}
    late = NOON + timedelta(minutes=61)
    assert {"resting": 1, "late": 1, "stray_receipts": 1}.items() <= stuck(ledger, late, late).items()
    next_day = NOON + timedelta(days=1, minutes=1)
    assert stuck(ledger, next_day, next_day)["no_receipt"] == 1
    settle(ledger, "unknown", lost, reason="gone")
    assert stuck(ledger, soon, soon) == {"undecided": 1, "overdue": 1, "unknown": 1, "outbox": 1}


def test_messages_that_come_back_time_after_time_are_counted_until_they_are_withdrawn(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1")
    for n in range(3):
        assert "came_back" not in stuck(ledger), f"after {n} tries"
        (one,) = claim(ledger)
        settle(ledger, "released", one, reason="our own", retry_at=NOON)
    assert stuck(ledger)["came_back"] == 1
    with ledger.begin() as tx:
        tx.conn.exec_driver_sql("UPDATE due SET state = 'done'")
    assert "came_back" not in stuck(ledger)


def test_messages_that_wait_for_their_hour_do_not_stand_still(address: str) -> None:
    ledger = again(address, is_open=lambda at: at < NOON + timedelta(hours=1))
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1")
    assert stuck(ledger, NOON + timedelta(minutes=20))["overdue"] == 1
    assert "overdue" not in stuck(ledger, NOON + timedelta(hours=2))
    ledger.close()


def test_contacts_whose_month_is_over_should_be_gone(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    with ledger.read() as reader:
        month = reader.conn.exec_driver_sql("SELECT key_month FROM vault").scalar_one()
    year, number = map(int, month.split("-"))
    within = NOON.replace(year=year, month=number, day=20)
    assert "erasures" not in stuck(ledger, within)
    assert stuck(ledger, within + timedelta(days=20))["erasures"] == 1


@pytest.mark.parametrize(("state", "counted"), [("waiting", 1), ("replayed", 0), ("dropped", 0)])
def test_dead_letters_and_paused_sources_wait_for_a_person(ledger: Ledger, state: str, counted: int) -> None:
    with ledger.begin() as tx:
        tx.put_dead("t", 0, 1, "decide", "s", "why", 1, b"x", NOON)
        tx.conn.exec_driver_sql(f"UPDATE dead_letters SET state = '{state}'")
        tx.conn.exec_driver_sql("DELETE FROM outbox")
        tx.conn.exec_driver_sql("INSERT INTO sources (source, paused_at) VALUES ('one-stop', 1)")
    assert stuck(ledger) == {"paused": 1} | ({"dead_letters": 1} if counted else {})
