"""What the ledger lets through, when, and through whom, on SQLite and PostgreSQL: hours, money, rates, main and reserve providers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hailong.domain.hours import Hours
from hailong.domain.units import LOCAL
from hailong.domain.ways import Switching, Way
from hailong.ports import Claimed, Handover, Settlement
from sinks.ledger import Ledger, Tx
from sinks.ledger import schema as t
from tests.contract.build import NOON, act, claim, decide, outcomes, settle, take

Open = Callable[..., Ledger]
HOURS = Hours()
IN_HOURS = {"is_open": HOURS.is_open, "next_open": HOURS.next_open, "zone": LOCAL}
TUESDAY = datetime(2026, 3, 3, 8, tzinfo=LOCAL)
SECOND = timedelta(seconds=1)


def waiting(ledger: Ledger, number: int, ask_at: datetime = NOON, mail: bool = False, **more: Any) -> list[str]:
    """So many dossiers of as many people, their invitations due one after the other; their survey ids in that order."""
    refs = [f"d{n:03d}" for n in range(number)]
    take(ledger, *(act(r, f"+84900000{n:03d}", f"p@x.a{n:05d}" if mail else None) for n, r in enumerate(refs)))
    step = timedelta(microseconds=1)
    return [decide(ledger, r, ask_at=ask_at - step * (number - n), **more)[0] for n, r in enumerate(refs)]


def facts(ledger: Ledger, topic: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(p.record.value) for p in ledger.pending(10_000) if p.record.topic == topic]


def spent(ledger: Ledger) -> dict[date, int]:
    with ledger.read() as reader:
        return {day: dong for day, dong in reader.spent() if dong}


def reasons(ledger: Ledger) -> dict[str, str | None]:
    """survey_id → why it is where it is."""
    with ledger.read() as reader:
        return {s.survey_id: s.reason for s in sorted(reader.slots(), key=lambda s: s.survey_id)}


def waits_until(ledger: Ledger, ref: str) -> datetime | None:
    """When the message about it is due; None when none waits."""
    with ledger.read() as reader:
        mine = sa.and_(t.due.c.ref == ref, t.due.c.state == "waiting", t.due.c.kind.in_(("invitation", "reminder", "officers")))
        found: datetime | None = reader.conn.execute(sa.select(t.due.c.due_at).where(mine)).scalar()
        return found


def together(workers: Sequence[Ledger], work: Callable[[Ledger], Any]) -> list[Any]:
    """All at once, each in a thread; what each gave. A fault of any is the test's."""
    found: list[Any] = []
    faults: list[BaseException] = []
    start = threading.Barrier(len(workers))

    def run(ledger: Ledger) -> None:
        try:
            start.wait(10)
            found.append(work(ledger))
        except BaseException as e:
            faults.append(e)

    threads = [threading.Thread(target=run, args=(w,)) for w in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    return found


# --- hours


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 3, 2, 20, 0, tzinfo=LOCAL),
        datetime(2026, 3, 3, 7, 59, 59, 999999, LOCAL),
        datetime(2026, 3, 8, 12, 0, tzinfo=LOCAL),
        datetime(2026, 4, 30, 10, 0, tzinfo=LOCAL),
    ],
    ids=["evening", "morning", "Sunday", "holiday"],
)
def test_outside_the_hours_officers_are_written_to_and_citizens_are_not(opened: Open, at: datetime) -> None:
    ledger = opened(**IN_HOURS)
    first, second = waiting(ledger, 2, days=90)
    (asked, _) = claim(ledger, limit=2)
    settle(ledger, "handed_over", asked)
    with ledger.begin() as tx:
        tx.conn.execute(sa.update(t.claims).where(t.claims.c.ref == second).values(state="released"))
        tx.conn.execute(sa.update(t.due).where(t.due.c.ref == second).values(state="waiting"))
        tx.schedule("reminder", first, NOON, {"channel": "sms"})
        tx.schedule("officers", "digest", NOON, {"to": "office@x.example"})
    assert [c.kind for c in claim(ledger, at)] == ["officers"]
    assert sorted(c.kind for c in claim(ledger, HOURS.next_open(at))) == ["invitation", "reminder"]


def test_what_is_put_back_waits_for_an_open_hour_and_an_officers_mail_does_not(opened: Open) -> None:
    ledger = opened(**IN_HOURS)
    (citizen,) = waiting(ledger, 1)
    with ledger.begin() as tx:
        tx.schedule("officers", "digest", NOON, {"to": "office@x.example"})
    late = datetime(2026, 3, 2, 19, 59, 45, tzinfo=LOCAL)
    settle(ledger, "released", *claim(ledger, late), now=late, reason="busy", retry_at=late + 30 * SECOND)
    assert waits_until(ledger, citizen) == TUESDAY
    assert waits_until(ledger, "digest") == late + 30 * SECOND


# --- the day's money


def test_however_many_claim_the_day_s_money_is_never_overspent(opened: Open) -> None:
    ledger, *workers = (opened(**IN_HOURS, price=lambda *_: 300, daily_budget=2200) for _ in range(5))
    surveys = waiting(ledger, 24)

    def work(mine: Ledger) -> list[str]:
        return [c.ref for _ in range(4) for c in claim(mine, limit=2)]

    claimed = [ref for part in together(workers, work) for ref in part]
    assert sorted(claimed) == surveys[:7]
    assert spent(ledger) == {NOON.date(): 2100}
    assert outcomes(ledger) == {"valid": 24, "asked": 0, "waiting": 24, "not_asked": {}}


def test_what_is_withheld_says_so_and_goes_the_next_open_day(opened: Open) -> None:
    ledger = opened(**IN_HOURS, price=lambda *_: 300, daily_budget=700)
    saturday = datetime(2026, 3, 7, 19, tzinfo=LOCAL)
    monday = datetime(2026, 3, 9, 8, tzinfo=LOCAL)
    surveys = waiting(ledger, 4, saturday)
    settle(ledger, "handed_over", *claim(ledger, saturday), now=saturday)
    assert list(reasons(ledger).values()) == [None, None, "over_budget", "over_budget"]
    assert outcomes(ledger) == {"valid": 4, "asked": 2, "waiting": 2, "not_asked": {}}
    assert [waits_until(ledger, s) for s in surveys] == [None, None, monday, monday]
    assert claim(ledger, monday - SECOND) == []
    assert [c.ref for c in claim(ledger, monday)] == surveys[2:]
    assert spent(ledger) == {saturday.date(): 600, monday.date(): 600}
    assert list(reasons(ledger).values())[2:] == ["in_flight"] * 2


def test_a_withheld_reminder_waits_too_and_its_dossier_stays_asked(opened: Open) -> None:
    ledger = opened(**IN_HOURS, price=lambda *_: 300, daily_budget=300)
    first, second = waiting(ledger, 2)
    settle(ledger, "handed_over", *claim(ledger, limit=1))
    with ledger.begin() as tx:
        tx.schedule("reminder", first, NOON, {"channel": "sms"})
    assert claim(ledger) == []
    assert (waits_until(ledger, first), waits_until(ledger, second)) == (TUESDAY, TUESDAY)
    assert reasons(ledger) == {first: None, second: "over_budget"}
    assert outcomes(ledger)["asked"] == 1


def test_nothing_is_withheld_that_costs_nothing(opened: Open) -> None:
    """A budget that was lowered during the day is overdrawn already."""
    claim_one = {"price": lambda channel, *_: 0 if channel == "email" else 300}
    before = opened(**IN_HOURS, **claim_one, daily_budget=900)
    waiting(before, 4, mail=True)
    assert len(claim(before, limit=2)) == 2
    lowered = opened(**IN_HOURS, **claim_one, daily_budget=500)
    with lowered.begin() as tx:
        tx.conn.execute(sa.update(t.due).where(t.due.c.state == "waiting").values(payload='{"channel": "email"}', channel="email"))
    assert [c.channel for c in claim(lowered)] == ["email", "email"]


@pytest.mark.parametrize(("state", "kept"), [("handed_over", 300), ("unknown", 300), ("open", 300), ("failed", 0), ("released", 0)])
def test_only_what_was_surely_not_accepted_gives_its_money_back(opened: Open, state: str, kept: int) -> None:
    ledger = opened(**IN_HOURS, price=lambda *_: 300, daily_budget=1000)
    waiting(ledger, 2)
    settle(ledger, state, *claim(ledger, limit=1))
    assert spent(ledger).get(NOON.date(), 0) == kept
    settle(ledger, "handed_over", *claim(ledger, limit=1))
    assert spent(ledger)[NOON.date()] == kept + 300
    costs = {f["state"]: f["cost"] for f in facts(ledger, "survey.delivery.v1") if f.get("seq") == 2}
    assert costs["handed_over"] == 300
    assert costs.get("failed", 0) == 0


def test_money_goes_back_to_the_day_it_was_taken_from_and_only_once(opened: Open) -> None:
    ledger = opened(**IN_HOURS, price=lambda *_: 300, daily_budget=1000)
    waiting(ledger, 2)
    one, _ = claim(ledger)
    for _ in range(2):
        settle(ledger, "released", one, now=TUESDAY, reason="busy", retry_at=TUESDAY)
    assert spent(ledger) == {NOON.date(): 300}
    claim(ledger, TUESDAY)
    assert spent(ledger) == {NOON.date(): 300, TUESDAY.date(): 300}


# --- rates


def credit(ledger: Ledger, provider: str) -> float:
    """Turns that may be taken at once, at the moment they were last looked at."""
    with ledger.read() as reader:
        return float(reader.conn.execute(sa.select(t.rates.c.credit).where(t.rates.c.provider == provider)).scalar_one()) / 1e6


def test_however_many_claim_a_provider_s_rate_is_kept_in_order_and_nobody_s_turn_is_lost(opened: Open) -> None:
    rate = 8
    ledger, *workers = (opened(**IN_HOURS, rates={"sms": rate}) for _ in range(5))
    surveys = waiting(ledger, 40)
    claimed: list[str] = []
    for half in range(30):
        real = NOON + half * SECOND / 2
        got = together(workers, lambda mine, real=real: [c.ref for c in claim(mine, limit=3, real=real)])  # type: ignore[misc]
        now = [ref for part in got for ref in part]
        claimed += now
        assert len(claimed) <= rate * half / 2 + rate
        assert sorted(claimed) == surveys[: len(claimed)]
        if len(claimed) == len(surveys):
            break
    assert sorted(claimed) == surveys
    assert half <= 2 * (len(surveys) - rate) / rate + 1


def test_after_a_pause_no_more_than_a_second_s_worth_goes_at_once(opened: Open) -> None:
    ledger = opened(**IN_HOURS, rates={"sms": 4, "email": 0.5})
    waiting(ledger, 12, mail=True)
    assert len(claim(ledger)) == 4
    assert len(claim(ledger, real=NOON + 3600 * SECOND)) == 4
    assert claim(ledger, real=NOON) == [], "a worker whose clock is behind takes nothing more"
    assert claim(ledger, real=NOON + 3600 * SECOND) == [], "and opens no turns for the others"
    with ledger.begin() as tx:
        tx.conn.execute(sa.update(t.due).where(t.due.c.state == "waiting").values(payload='{"channel": "email"}', channel="email"))
    mails = [len(claim(ledger, real=NOON + n * SECOND)) for n in range(5)]
    assert mails == [1, 0, 1, 0, 1], "less than one a second is possible"


def test_an_idle_provider_is_not_met_by_all_the_turns_it_did_not_use(opened: Open) -> None:
    ledger = opened(**IN_HOURS, rates={"sms": 10}, saved_s=0.2)
    waiting(ledger, 30)
    assert [len(claim(ledger, real=NOON + n * SECOND / 10)) for n in range(4)] == [2, 1, 1, 1]


def test_a_channel_whose_provider_is_busy_keeps_no_other_waiting(opened: Open) -> None:
    ledger = opened(**IN_HOURS, rates={"sms": 1})
    waiting(ledger, 30, mail=True)
    with ledger.begin() as tx:
        last = tx.conn.execute(sa.select(sa.func.max(t.due.c.id))).scalar_one()
        tx.conn.execute(sa.update(t.due).where(t.due.c.id == last).values(payload='{"channel": "email"}', channel="email"))
        tx.schedule("officers", "digest", NOON, {"to": "office@x.example"})
    assert sorted(c.channel for c in claim(ledger, limit=20)) == ["email", "email", "sms"]
    assert [c.channel for c in claim(ledger, limit=20, real=NOON + SECOND)] == ["sms"]


@pytest.mark.parametrize("why", ["opted_out", "over_budget", "held", "unwelcome"])
def test_what_does_not_go_gives_its_turn_to_the_next(opened: Open, why: str) -> None:
    limits: dict[str, dict[str, Any]] = {
        "opted_out": {},
        "over_budget": {"price": lambda *_: 1, "daily_budget": 1},
        "held": {"may_leave": lambda *_: "no_carrier"},
        "unwelcome": {"welcome": lambda *_: False},
    }
    ledger = opened(**IN_HOURS, rates={"sms": 1}, **limits[why])
    first, second = waiting(ledger, 2)
    with ledger.begin() as tx:
        if why == "opted_out":
            tx.conn.execute(sa.update(t.contacts).where(t.contacts.c.planned_by == first).values(opted_out_at=NOON))
        if why == "over_budget":
            tx.open_days([NOON.date()])
            tx.spend(NOON.date(), 1)
    assert claim(ledger) == []
    assert credit(ledger, "sms") == 1
    free = opened(**IN_HOURS, rates={"sms": 1})
    assert [c.ref for c in claim(free)] == [second]


def test_officers_mail_that_may_not_leave_waits_and_gives_its_turn_back(opened: Open) -> None:
    ledger = opened(rates={"email": 3}, may_leave=lambda *_: "no_carrier")
    with ledger.begin() as tx:
        tx.schedule("officers", "digest", NOON, {"to": "office@x.example"})
    assert claim(ledger) == []
    assert credit(ledger, "email") == 3
    assert (waits_until(ledger, "digest") or NOON) > NOON


@pytest.mark.parametrize("state", ["handed_over", "unknown", "failed", "delivered"])
def test_a_message_a_claim_stands_for_is_never_taken_up_again_whatever_else_the_ledger_says(opened: Open, state: str) -> None:
    """As if the dossier and its due row had been put back by mistake; and it costs neither money nor a turn."""
    ledger = opened(price=lambda *_: 300, daily_budget=1000, rates={"sms": 2})
    waiting(ledger, 1)
    claim(ledger)
    with ledger.begin() as tx:
        tx.conn.execute(sa.update(t.claims).values(state=state))
        tx.conn.execute(sa.update(t.slots).values(outcome="waiting", reason="not_before"))
        tx.conn.execute(sa.update(t.due).values(state="waiting"))
    assert claim(ledger) == []
    assert spent(ledger) == {NOON.date(): 300}
    assert credit(ledger, "sms") == 1


def test_officers_mail_keeps_to_the_rate_of_its_provider_and_remembers_it(opened: Open) -> None:
    way = {"email": Way("smtp", "relay")}
    ledger = opened(**IN_HOURS, rates={"smtp": 2}, ways=way)
    with ledger.begin() as tx:
        for n in range(3):
            tx.schedule("officers", f"digest {n}", NOON + n * SECOND / 10, {"to": "office@x.example"})
    later = NOON + SECOND
    first = claim(ledger, later)
    assert [(c.ref, c.provider) for c in first] == [("digest 0", "smtp"), ("digest 1", "smtp")]
    with ledger.begin() as tx:
        tx.use_provider("email", "relay", "refusals", "send", NOON, NOON)
        stale = tx.stale_claims(later + 91 * SECOND, later + 91 * SECOND, 10)
    assert {c.provider for c, _ in stale} == {"smtp"}, "who was given the message is asked about it"
    assert [(c.ref, c.provider) for c in claim(ledger, later)] == [("digest 2", "relay")]


def test_workers_that_settle_and_claim_never_wait_for_each_other_in_a_circle(opened: Open) -> None:
    """Each round refuses what the one before claimed, so money, rates and minutes are all written, in the same transactions."""
    ledger, *workers = (opened(**IN_HOURS, price=lambda *_: 1, daily_budget=10_000, rates={"sms": 5000, "email": 5000}) for _ in range(5))
    waiting(ledger, 40, mail=True)
    with ledger.begin() as tx:  # every second one by mail
        mails = tx.conn.execute(sa.select(t.due.c.id).order_by(t.due.c.id)).scalars().all()[::2]
        tx.conn.execute(sa.update(t.due).where(t.due.c.id.in_(mails)).values(payload='{"channel": "email"}', channel="email"))

    def work(mine: Ledger) -> int:
        ended: list[Settlement] = []
        n = 0
        for _ in range(6):
            with mine.begin() as tx:
                ended = [Settlement(c, "released", reason="busy", retry_at=NOON) for c in sent_round(tx, ended)]
            n += len(ended)
        with mine.begin() as tx:
            tx.settle(ended, NOON)
        return n

    assert sum(together(workers, work)) > 0
    assert spent(ledger) == {}


def sent_round(tx: Tx, ended: Sequence[Settlement]) -> list[Claimed]:
    """As a worker's round is (streams/sending.py)."""
    tx.settle(ended, NOON)
    claimed = tx.claim_due(NOON, NOON, NOON + 30 * SECOND, 5, "w")
    tx.note_outcomes({s.claimed.provider: ["refused"] for s in ended}, NOON)
    return claimed


# --- main and reserve

SWITCHING = Switching(window_s=60, least=10, refused_share=0.3, slow_share=0.5, back_after_s=900)
TWO = {"ways": {"sms": Way("main", "reserve"), "email": Way("smtp")}, "switching": SWITCHING}
MINUTE = timedelta(minutes=1)


def noted(ledger: Ledger, at: datetime, of: dict[str, int] | None = None, /, provider: str = "main", **ends: int) -> None:
    ends = of or ends
    with ledger.begin() as tx:
        tx.note_outcomes({provider: [end for end, n in ends.items() for _ in range(n)]}, at)


def watched(ledger: Ledger, real: datetime) -> list[tuple[str, str]]:
    """Who carries SMS from now on, and why, where that changed."""
    with ledger.begin() as tx:
        return [(f.provider, f.reason) for f in tx.watch_providers(NOON, real)]


@pytest.mark.parametrize(
    ("ends", "change"),
    [
        ({"taken": 10}, []),
        ({"taken": 7, "refused": 3}, [("reserve", "refusals")]),
        ({"taken": 8, "refused": 2}, []),
        ({"taken": 5, "slow": 5}, [("reserve", "slowness")]),
        ({"taken": 6, "slow": 4}, []),
        ({"refused": 9}, []),
    ],
    ids=["well", "refusals", "few refusals", "slowness", "a little slow", "too few to say"],
)
def test_a_channel_goes_over_when_its_main_provider_refuses_or_drags(
    opened: Open, ends: dict[str, int], change: list[tuple[str, str]]
) -> None:
    ledger, another = opened(**TWO), opened(**TWO)
    half = {k: v // 2 for k, v in ends.items()}
    noted(ledger, NOON, half)
    noted(another, NOON + 5 * SECOND, {k: v - half[k] for k, v in ends.items()})
    assert watched(ledger, NOON + 10 * SECOND) == change
    assert watched(another, NOON + 11 * SECOND) == []
    told = [(f["channel"], f["before"], f["provider"], f["version"], f["by"]) for f in facts(ledger, "provider.changed.v1")]
    assert told == [("sms", "main", "reserve", 1, "send")] * len(change)


def test_what_was_before_the_window_or_of_a_channel_without_a_reserve_changes_nothing(opened: Open) -> None:
    ledger = opened(**TWO)
    noted(ledger, NOON - 3 * MINUTE, refused=50)
    noted(ledger, NOON, provider="smtp", refused=50)
    assert watched(ledger, NOON) == []


def test_after_a_quiet_time_the_main_provider_carries_again_and_its_past_is_forgiven(opened: Open) -> None:
    ledger = opened(**TWO)
    noted(ledger, NOON, refused=20)
    assert watched(ledger, NOON) == [("reserve", "refusals")]
    noted(ledger, NOON + 14 * MINUTE, refused=20)  # of messages that were under way
    assert watched(ledger, NOON + 15 * MINUTE - SECOND) == []
    assert watched(ledger, NOON + 15 * MINUTE) == [("main", "quiet")]
    assert watched(ledger, NOON + 15 * MINUTE + SECOND) == []
    noted(ledger, NOON + 16 * MINUTE, refused=20)
    assert watched(ledger, NOON + 16 * MINUTE) == [("reserve", "refusals")]
    assert [(f["event_id"], f["version"], f["before"]) for f in facts(ledger, "provider.changed.v1")] == [
        ("sms:1", 1, "main"), ("sms:2", 2, "reserve"), ("sms:3", 3, "main"),
    ]  # fmt: skip


def test_what_a_person_chose_stays(opened: Open) -> None:
    ledger = opened(**TWO)
    with ledger.begin() as tx:
        tx.use_provider("sms", "reserve", "by_hand", "lan", NOON, NOON)
    assert watched(ledger, NOON + timedelta(days=2)) == []
    with ledger.begin() as tx:
        assert tx.provider_of("sms") == "reserve"
        assert tx.use_provider("sms", "main", "quiet", "lan", NOON, NOON).version == 2
        assert tx.provider_of("sms") == "main"


def test_a_provider_that_bars_us_is_left_at_once_and_what_it_put_off_goes_on(opened: Open) -> None:
    ledger = opened(**TWO, **IN_HOURS)
    barred, lost, never = waiting(ledger, 3)
    one, two, three = claim(ledger)
    later = NOON + 30 * MINUTE
    settle(ledger, "released", one, reason="our account", retry_at=later)
    settle(ledger, "open", two)
    with ledger.begin() as tx:
        tx.settle([Settlement(three, "failed", reason="no such number")], NOON)
        assert tx.watch_providers(NOON, NOON, ["smtp"]) == []
        assert waits_until(ledger, barred) == later
    with ledger.begin() as tx:
        ((change),) = tx.watch_providers(NOON, NOON, ["main"])
    assert (change.provider, change.before, change.reason) == ("reserve", "main", "barred")
    assert [waits_until(ledger, ref) for ref in (barred, lost, never)] == [NOON, None, None]
    assert [(c.ref, c.provider) for c in claim(ledger)] == [(barred, "reserve")]


def test_what_a_barring_provider_put_off_goes_on_at_an_open_hour(opened: Open) -> None:
    ledger = opened(**TWO, **IN_HOURS)
    (barred,) = waiting(ledger, 1)
    settle(ledger, "released", *claim(ledger), reason="our account", retry_at=TUESDAY + MINUTE)
    night = datetime(2026, 3, 2, 23, tzinfo=LOCAL)
    with ledger.begin() as tx:
        tx.watch_providers(night, night, ["main"])
    assert waits_until(ledger, barred) == TUESDAY


def test_workers_that_see_the_same_change_a_channel_once(opened: Open) -> None:
    ledger, *workers = (opened(**TWO) for _ in range(5))
    for n in range(4):
        at = NOON + n * 16 * MINUTE
        noted(ledger, at, refused=20)
        over = together(workers, lambda mine, at=at: watched(mine, at))  # type: ignore[misc]
        back = together(workers, lambda mine, at=at: watched(mine, at + 15 * MINUTE))  # type: ignore[misc]
        assert sorted(over) == [[], [], [], [("reserve", "refusals")]]
        assert sorted(back) == [[], [], [], [("main", "quiet")]]
    told = [f for w in workers for f in facts(w, "provider.changed.v1")]
    assert sorted(f["version"] for f in told) == list(range(1, 9))


def test_what_was_noted_long_ago_does_not_stay(opened: Open) -> None:
    ledger = opened(**TWO)
    for n in range(4):
        noted(ledger, NOON + n * 20 * 60 * MINUTE, taken=1)
    with ledger.read() as reader:
        assert reader.conn.execute(sa.select(sa.func.count()).select_from(t.provider_minutes)).scalar_one() <= 2


def test_an_unknown_message_is_never_given_to_the_other_provider_and_a_refused_one_is(opened: Open) -> None:
    ledger = opened(**TWO)
    lost, refused = waiting(ledger, 2)
    one, two = claim(ledger)
    assert (one.provider, two.provider) == ("main", "main")
    settle(ledger, "open", one)
    settle(ledger, "released", two, reason="busy", retry_at=NOON)
    with ledger.begin() as tx:
        tx.use_provider("sms", "reserve", "refusals", "send", NOON, NOON)
    later = NOON + 91 * SECOND
    with ledger.begin() as tx:
        ((asked_about, _),) = tx.stale_claims(later, later, 10)
    assert (asked_about.ref, asked_about.provider) == (lost, "main")
    again = claim(ledger, later)
    assert [(c.ref, c.provider, c.attempts) for c in again] == [(refused, "reserve", 2)]
    settle(ledger, "unknown", asked_about)
    settle(ledger, "handed_over", *again, handover=Handover("reserve", "R1", 1))
    with ledger.begin() as tx:
        tx.use_provider("sms", "main", "quiet", "send", NOON, NOON)
    assert claim(ledger, NOON + timedelta(days=20)) == []
    with ledger.read() as reader:
        assert {c.ref: (c.state, c.provider) for c in reader.claims()} == {lost: ("unknown", "main"), refused: ("handed_over", "reserve")}


def test_who_settles_an_earlier_try_again_does_not_touch_the_next_one(opened: Open) -> None:
    """A commit whose answer was lost is repeated: meanwhile another worker may have the message under way."""
    ledger = opened()
    waiting(ledger, 1)
    (first,) = claim(ledger)
    settle(ledger, "released", first, reason="lease_over", retry_at=NOON)
    (second,) = claim(ledger)
    settle(ledger, "released", first, reason="lease_over", retry_at=NOON)
    assert claim(ledger) == []
    settle(ledger, "handed_over", second)
    assert outcomes(ledger)["asked"] == 1
