"""The ledger's contract, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from hailong.events import AlertChanged, SurveyCounted, SurveyDelivery, UnitChanged
from hailong.ports import Receipt, Retryable
from sinks.ledger import Ledger, VaultError, open_ledger
from tests.contract.build import NOON, act, answered, claim, closed, decide, outcomes, reopened, settle, take, tools


def facts(ledger: Ledger, topic: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(p.record.value) for p in ledger.pending(10_000) if p.record.topic == topic]


# --- intake


def test_an_act_is_taken_once_and_its_fact_waits_in_the_outbox(ledger: Ledger) -> None:
    assert take(ledger, act("d1", "+84900000001")) == ["new"]
    assert take(ledger, act("d1", "+84900000001")) == ["duplicate"]
    assert len(facts(ledger, "dossier.closed.v1")) == 1
    assert outcomes(ledger) == {"valid": 1, "asked": 0, "waiting": 1, "not_asked": {}}


def test_the_same_act_with_another_content_is_a_conflict(ledger: Ledger) -> None:
    take(ledger, act("d1"))
    assert take(ledger, act("d1", content="other")) == ["conflict"]


def test_a_duplicate_names_the_outbox_rows_that_still_wait(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        first = tx.take_act(act("d1"), NOON)
    with ledger.begin() as tx:
        again = tx.take_act(act("d1"), NOON)
    assert again.pending == first.pending
    ledger.published(first.pending)
    with ledger.begin() as tx:
        assert tx.take_act(act("d1"), NOON).pending == ()


def test_nine_then_ten_is_one_ending(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001", event_id="nine", status_code=9), act("d1", "+84900000001", event_id="ten"))
    assert outcomes(ledger)["valid"] == 1
    assert len(facts(ledger, "dossier.closed.v1")) == 2


def test_a_later_act_without_a_contact_does_not_lose_it(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001", event_id="nine"), act("d1", event_id="ten"))
    with ledger.begin() as tx:
        assert tx.contact_of("d1").phone == "+84900000001"


def test_contacts_are_sealed_and_bound_to_their_dossier(ledger: Ledger, emptied: str) -> None:
    take(ledger, act("d1", "+84900000001"), act("d2", "+84900000002"))
    with ledger.begin() as tx:
        entry = tx.open_vault("d1")
        assert entry is not None
        assert entry.phone == "+84900000001"
        rows = {r.dossier_ref: r for r in tx.conn.exec_driver_sql("SELECT dossier_ref, key_month, sealed FROM vault")}
        assert b"84900000001" not in bytes(rows["d1"].sealed)
        with pytest.raises(VaultError):
            tx.tools.vault.open(rows["d1"].key_month, bytes(rows["d1"].sealed), "d2")


def test_a_transaction_that_fails_leaves_nothing(ledger: Ledger) -> None:
    class Stopped(Exception):
        pass

    def stops() -> None:
        with ledger.begin() as tx:
            tx.take_act(act("d1"), NOON)
            raise Stopped

    with pytest.raises(Stopped):
        stops()
    assert outcomes(ledger)["valid"] == 0
    assert ledger.pending() == []


# --- decide and claim


def test_a_message_is_claimed_when_it_is_due_and_once(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1", ask_at=NOON + timedelta(hours=1))
    assert claim(ledger) == []
    (one,) = claim(ledger, NOON + timedelta(hours=1))
    assert one.contact is not None
    assert (one.contact.phone, one.channel, one.attempts) == ("+84900000001", "sms", 1)
    assert claim(ledger, NOON + timedelta(days=1)) == []


def test_two_workers_never_claim_the_same_message(ledger: Ledger, emptied: str) -> None:
    refs = [f"d{n}" for n in range(60)]
    take(ledger, *(act(r, f"+849000{n:05d}") for n, r in enumerate(refs)))
    decide(ledger, *refs)
    claimed: list[str] = []
    faults: list[Exception] = []

    def work(n: int) -> None:
        mine = open_ledger(emptied, tools(new_id=lambda: f"w{n}-{len(claimed)}-{threading.get_ident()}-{len(faults)}"), f"w{n}")
        try:
            while got := claim(mine, limit=1):
                claimed.extend(c.ref for c in got)
        except Exception as e:
            faults.append(e)
        finally:
            mine.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert faults == []
    assert sorted(claimed) == sorted(set(claimed))
    assert len(claimed) == 60


def test_a_definite_refusal_puts_a_message_back_and_a_settled_one_stays(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1")
    (first,) = claim(ledger)
    settle(ledger, "released", first, reason="busy", retry_at=NOON + timedelta(minutes=1))
    assert claim(ledger) == []
    (again,) = claim(ledger, NOON + timedelta(minutes=1))
    assert (again.claim_id, again.attempts) == (first.claim_id, 2)
    settle(ledger, "handed_over", again)
    settle(ledger, "released", again, reason="too late", retry_at=NOON)
    assert claim(ledger, NOON + timedelta(days=1)) == []
    assert outcomes(ledger) == {"valid": 1, "asked": 1, "waiting": 0, "not_asked": {}}


@pytest.mark.parametrize(
    ("state", "expected"),
    [("handed_over", (1, 0, {})), ("unknown", (1, 0, {})), ("failed", (0, 0, {"undeliverable": 1})), ("open", (0, 1, {}))],
)
def test_how_a_message_ends_is_the_outcome_of_its_dossier(ledger: Ledger, state: str, expected: tuple[int, int, dict[str, int]]) -> None:
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1")
    settle(ledger, state, *claim(ledger))
    found = outcomes(ledger)
    assert (found["asked"], found["waiting"], found["not_asked"]) == expected
    assert found["valid"] == 1


def test_someone_who_opted_out_is_not_claimed(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1")
    settle(ledger, "handed_over", *claim(ledger))
    with ledger.begin() as tx:
        assert tx.opt_out("id000001-invitation-sms", NOON, "link") == "recorded"
    take(ledger, act("d2", "+84900000001"))
    decide(ledger, "d2", ask_at=NOON + timedelta(days=40))
    assert claim(ledger, NOON + timedelta(days=40)) == []
    assert outcomes(ledger)["not_asked"] == {"opted_out": 1}
    assert [f["choice"] for f in facts(ledger, "contact.preference.v1")] == ["opt_out"]


def test_an_opt_out_says_when_a_message_is_under_way(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1")
    (one,) = claim(ledger)
    with ledger.begin() as tx:
        assert tx.opt_out("id000001-invitation-sms", NOON, "link") == "under_way"
    settle(ledger, "handed_over", one)
    with ledger.begin() as tx:
        assert tx.opt_out("id000001-invitation-sms", NOON, "link") == "recorded"
        assert tx.opt_out("nobody's", NOON, "link") == "unknown_code"


def test_a_number_asked_within_the_cap_is_not_asked_again_at_the_moment_of_sending(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"), act("d2", "+84900000001"))
    decide(ledger, "d1")
    settle(ledger, "handed_over", *claim(ledger))
    decide(ledger, "d2", ask_at=NOON + timedelta(days=29))
    assert claim(ledger, NOON + timedelta(days=29)) == []
    assert outcomes(ledger)["not_asked"] == {"recently_asked": 1}


def test_without_a_cap_somebody_may_be_asked_about_two_dossiers_at_once_whichever_worker_was_first(emptied: str) -> None:
    ledger = open_ledger(emptied, tools(cap_days=lambda _at: 0), "test")
    take(ledger, act("d1", "+84900000001"), act("d2", "+84900000001"))
    decide(ledger, "d1", "d2")
    one = claim(ledger, NOON + timedelta(seconds=1), limit=1)
    settle(ledger, "handed_over", *one, now=NOON + timedelta(seconds=1))
    assert len(claim(ledger, NOON)) == 1, "the other worker's moment is the earlier one"
    assert outcomes(ledger)["not_asked"] == {}
    ledger.close()


def test_a_decision_sees_what_is_planned_for_the_same_number(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"), act("d2", "+84900000001"))
    decide(ledger, "d1", ask_at=NOON + timedelta(hours=3))
    with ledger.begin() as tx:
        assert tx.slots_for_decision(["d2"])["d2"].last_asked_at == NOON + timedelta(hours=3)


def test_a_withdrawn_asking_frees_the_number(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"), act("d2", "+84900000001"))
    decide(ledger, "d1", ask_at=NOON + timedelta(hours=3))
    take(ledger, reopened("d1"))
    with ledger.begin() as tx:
        assert tx.reopen("d1", "reopened:d1")
        assert tx.slots_for_decision(["d2"])["d2"].last_asked_at is None
    assert outcomes(ledger)["not_asked"] == {"reopened": 1}


def test_a_reopened_dossier_that_ends_again_waits_again(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1", ask_at=NOON + timedelta(hours=3))
    with ledger.begin() as tx:
        tx.reopen("d1", "reopened:d1")
    later = act("d1", "+84900000001", event_id="again")
    later = type(later)(**{**later.__dict__, "occurred_at": NOON + timedelta(days=2)})
    take(ledger, later)
    assert outcomes(ledger)["waiting"] == 1
    decide(ledger, "d1", ask_at=NOON + timedelta(days=2))
    (one,) = claim(ledger, NOON + timedelta(days=2))
    assert one.kind == "invitation"


# --- reconcile, receipts, expiry


def test_an_open_claim_is_found_after_its_lease_and_again_after_the_gap(emptied: str) -> None:
    ledger = open_ledger(emptied, tools(reconcile_gap_s=300.0), "test")
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1")
    claim(ledger, lease_s=30)

    def stale(after_s: float) -> list[int]:
        real = NOON + timedelta(seconds=after_s)
        with ledger.begin() as tx:
            return [checks for _, checks in tx.stale_claims(real - timedelta(seconds=60), real, 20)]

    assert stale(80) == []
    assert stale(91) == [0]
    assert stale(92) == []
    assert stale(391) == []
    assert stale(392) == [1]
    ledger.close()


def test_receipts_are_applied_by_rank_whatever_their_order(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1")
    (one,) = claim(ledger)
    sid = f"SM{one.claim_id}"
    with ledger.begin() as tx:
        tx.store_receipt(Receipt("twilio", sid, "delivered", None), NOON)
        assert tx.apply_receipts(NOON, 10) == 0  # before the hand-over was settled
    settle(ledger, "handed_over", one)
    with ledger.begin() as tx:
        tx.store_receipt(Receipt("twilio", sid, "delivered", None), NOON)
        tx.store_receipt(Receipt("twilio", sid, "sent", None), NOON)
        assert tx.apply_receipts(NOON, 10) == 2
        assert tx.apply_receipts(NOON, 10) == 0
    states = [f["state"] for f in facts(ledger, "survey.delivery.v1")]
    assert states == ["claimed", "handed_over", "delivered"]
    assert [f["seq"] for f in facts(ledger, "survey.delivery.v1")] == [1, 2, 3]


def test_a_message_that_failed_later_counts_as_not_asked(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1")
    (one,) = claim(ledger)
    settle(ledger, "handed_over", one)
    with ledger.begin() as tx:
        tx.store_receipt(Receipt("twilio", f"SM{one.claim_id}", "failed", "30005"), NOON)
        tx.apply_receipts(NOON, 10)
    assert outcomes(ledger) == {"valid": 1, "asked": 0, "waiting": 0, "not_asked": {"undeliverable": 1}}


def test_a_link_nobody_answered_expires_as_a_fact(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"), act("d2", "+84900000002"))
    first, second = decide(ledger, "d1", "d2")
    settle(ledger, "handed_over", *claim(ledger))
    with ledger.begin() as tx:
        tx.count(answered(second, 5), NOON)
        due = tx.take_due(["expire"], NOON + timedelta(days=30), NOON, NOON + timedelta(minutes=1), 10)
        for row in due:
            tx.expire(row.ref, NOON + timedelta(days=30))
    assert {d.ref for d in due} == {first, second}
    assert [f["survey_id"] for f in facts(ledger, "survey.delivery.v1") if f["state"] == "expired"] == [first]


# --- what waits


def test_a_due_row_is_unique_and_taken_under_a_lease(ledger: Ledger) -> None:
    minute = timedelta(minutes=1)
    with ledger.begin() as tx:
        assert tx.schedule("digest", "2026-03-03", NOON)
        assert not tx.schedule("digest", "2026-03-03", NOON + minute)
        assert tx.next_due() == NOON
        (row,) = tx.take_due(["digest"], NOON, NOON, NOON + minute, 10)
        assert tx.take_due(["digest"], NOON, NOON, NOON + minute, 10) == []
        assert [r.id for r in tx.take_due(["digest"], NOON, NOON + 2 * minute, NOON + 3 * minute, 10)] == [row.id]
        tx.finish_due([row.id])
        assert tx.next_due() is None
        assert not tx.schedule("digest", "2026-03-03", NOON)


# --- count


def count(ledger: Ledger, *facts_: Any, now: Any = NOON) -> list[SurveyCounted]:
    with ledger.begin() as tx:
        return [c for f in facts_ for c in tx.count(f, now)]


def test_the_first_answer_of_a_slot_counts_and_an_echo_does_not(ledger: Ledger) -> None:
    (one,) = count(ledger, answered("s1", 2))
    assert (one.seq, one.kind, one.score, one.revision) == (1, "answer", 2, 0)
    assert count(ledger, answered("s1", 2)) == []
    assert count(ledger, answered("s1", 2, nonce="another form")) == []


def test_a_changed_answer_is_a_retraction_and_a_revision(ledger: Ledger) -> None:
    count(ledger, answered("s1", 2))
    out = count(ledger, answered("s1", 5, nonce="m"))
    assert [(c.seq, c.kind, c.score, c.revision, c.reason) for c in out] == [
        (2, "retraction", 2, 0, "changed"),
        (3, "answer", 5, 1, None),
    ]
    (back,) = [c for c in count(ledger, answered("s1", 2, nonce="o")) if c.kind == "answer"]
    assert (back.seq, back.revision) == (5, 2)


def test_later_pages_are_details(ledger: Ledger) -> None:
    count(ledger, answered("s1", 2))
    (one,) = count(ledger, answered("s1", None, event_id="page 2", page=2, answers={"Q7": ["slow"]}))
    assert (one.kind, one.answers, one.seq) == ("detail", {"Q7": ["slow"]}, 2)


def test_the_order_has_no_gap_and_its_time_never_falls(ledger: Ledger) -> None:
    out = count(ledger, answered("s1", 2)) + count(ledger, answered("s2", 2), now=NOON - timedelta(hours=1))
    with ledger.begin() as tx:
        out += tx.control("day", "day:2026-03-03", {"day": "2026-03-03"}, NOON - timedelta(days=1))
        assert tx.control("day", "day:2026-03-03", {"day": "2026-03-03"}, NOON) == []
    assert [c.seq for c in out] == [1, 2, 3]
    assert [c.counted_at for c in out] == [NOON] * 3


# --- judge, registry, dead letters


def test_detector_state_and_position_are_kept_together(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert tx.detector_states() == (0, {})
        tx.save_detectors(7, {"unit:X1": b"a", "registry": b"r"})
        tx.save_detectors(9, {"unit:X1": b"b"})
        assert tx.detector_states() == (9, {"unit:X1": b"b", "registry": b"r"})


def alert(version: int, state: str = "raised") -> AlertChanged:
    return AlertChanged(
        event_id=f"a{version}", registry_id="test", alert_id="a", version=version, state=state, kind="below", unit="X1", at=NOON,  # type: ignore[arg-type]
        by="judge", evidence_seq=version, n=30, satisfied=20, target=0.9, low=0.5, high=0.8, since=date(2026, 1, 1),
        until=date(2026, 3, 2), sentence_vi="vi", sentence_en="en",
    )  # fmt: skip


def test_a_second_writer_of_an_alerts_version_is_told_so(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert tx.alert_step(alert(1))
        assert not tx.alert_step(alert(1))
        assert tx.alert_step(alert(2, "cleared"))
    with ledger.read() as reader:
        assert [a.state for a in reader.alerts()] == ["cleared"]
        assert [a.state for a in reader.alerts(history=True)] == ["raised", "cleared"]


def test_a_unit_that_comes_back_to_what_it_was_has_changed_twice(ledger: Ledger) -> None:
    def put(name: str) -> bool:
        with ledger.begin() as tx:
            seq = tx.next_registry_seq()
            unit = UnitChanged(
                event_id=f"u{seq}", registry_id="test", code="X1", name=name, level="commune", valid_from=date(2020, 1, 1), seq=seq
            )
            return tx.put_unit(unit)

    assert [put("A"), put("A"), put("B"), put("A")] == [True, False, True, True]


def test_a_source_past_its_limit_is_paused_until_resumed(address: str) -> None:
    ledger = open_ledger(address, tools(dead_letter_limit=2), "test")

    def dead(offset: int) -> bool:
        with ledger.begin() as tx:
            return tx.put_dead("dossier.closed.v1", 0, offset, "decide", "upstream", "no value", 1, b"secret 0912345678", NOON)

    assert [dead(1), dead(1), dead(2)] == [True, False, True]
    with ledger.begin() as tx:
        assert tx.source_paused("upstream") is None
    dead(3)
    with ledger.begin() as tx:
        assert tx.source_paused("upstream") is not None
        assert tx.source_paused("another") is None
        assert tx.resume_source("upstream", NOON)
        assert tx.source_paused("upstream") is None
    dead(4)
    with ledger.begin() as tx:
        assert tx.source_paused("upstream") is None  # the hour begins anew with the resumption
        letter, value = tx.open_dead(1) or pytest.fail("there is one")
        assert (letter.source, value) == ("upstream", b"secret 0912345678")
    assert all(b"0912345678" not in p.record.value for p in ledger.pending())
    ledger.close()


# --- outbox


def test_the_outbox_gives_back_the_very_bytes_in_order_and_per_writer(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.put([closed("d1"), closed("d2")], NOON)
        written = list(tx.written)
    assert [p.record for p in ledger.pending()] == [w.record for w in written]
    assert ledger.for_writer("other").pending() == []
    ledger.published([written[0].id])
    assert [p.id for p in ledger.pending()] == [written[1].id]


def test_a_fact_is_not_put_twice(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert len(tx.put([closed("d1")], NOON)) == 1
        assert tx.put([closed("d1")], NOON + timedelta(hours=1)) == []


def test_a_ledger_that_is_away_may_be_tried_again(emptied: str) -> None:
    gone = emptied.replace("ledger.db", "nowhere/ledger.db") if "sqlite" in emptied else "postgresql+psycopg://nobody@127.0.0.1:1/none"
    ledger = open_ledger(gone, tools(), "test")
    with pytest.raises(Retryable), ledger.begin() as tx:
        tx.next_due()
    ledger.close()


def test_delivery_facts_carry_what_the_answer_will_be_about_and_no_dossier(ledger: Ledger) -> None:
    take(ledger, act("d1", "+84900000001"))
    decide(ledger, "d1")
    settle(ledger, "handed_over", *claim(ledger))
    values = [p.record.value for p in ledger.pending() if p.record.topic == "survey.delivery.v1"]
    assert len(values) == 2
    assert not any(b"d1" in v for v in values)
    assert msgspec.json.decode(values[0], type=SurveyDelivery).about.month == "2026-03"
