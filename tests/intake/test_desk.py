"""What the desk promises: kept and published once, nothing lost when ledger or broker goes away in between."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hailong.events import DossierClosed, DossierReopened
from hailong.ports import Retryable
from producers.desk import Desk, SourcePaused
from sinks.ledger import Ledger
from tests.intake.room import KEYED, NOW, item, open_room


def test_each_item_has_its_result_in_order(tmp_path: Path) -> None:
    desk, _, log = open_room(tmp_path)
    results = desk.take([item(1), {"dossier_code": "x"}, item(2), "text"], "one-stop", NOW)
    assert [(r.index, r.status, r.reason) for r in results] == [
        (0, 202, None),
        (1, 422, "missing"),
        (2, 202, None),
        (3, 422, "not_an_object"),
    ]
    assert [f.event_id for f in log.facts] == [results[0].event_id, results[2].event_id]


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    desk, _, log = open_room(tmp_path)
    desk.take([item(1)], "one-stop", NOW)
    again = desk.take([item(1), item(1)], "one-stop", NOW)
    assert [(r.status, r.duplicate) for r in again] == [(202, True), (202, True)]
    assert len(log.records) == 1


def test_the_same_act_with_another_content_is_a_conflict(tmp_path: Path) -> None:
    desk, _, log = open_room(tmp_path)
    desk.take([item(1)], "one-stop", NOW)
    (result,) = desk.take([item(1, handling_unit_code="xa-09")], "one-stop", NOW)
    assert (result.status, result.reason) == (409, "conflict")
    assert len(log.records) == 1


def test_only_a_known_ending_can_go_on(tmp_path: Path) -> None:
    desk, _, log = open_room(tmp_path)
    goes_on = item(1, status_code=4, finished_at=None, occurred_at="2025-01-20T15:00:00+07:00")
    (unknown,) = desk.take([goes_on], "one-stop", NOW)
    assert (unknown.status, unknown.reason) == (422, "not_ended")
    desk.take([item(1), goes_on], "one-stop", NOW)
    assert [type(f) for f in log.facts] == [DossierClosed, DossierReopened]


def test_what_was_committed_while_the_broker_was_away_is_drained_later(tmp_path: Path) -> None:
    desk, ledger, log = open_room(tmp_path)
    log.away = True
    with pytest.raises(Retryable):
        desk.take([item(n) for n in range(120)], "one-stop", NOW)
    assert len(ledger.pending(500)) == 120
    log.away = False
    assert desk.drain() == 120
    assert (len(log.ids()), ledger.pending(500), desk.drain()) == (120, [], 0)


def test_sending_again_after_an_outage_publishes_first(tmp_path: Path) -> None:
    desk, ledger, log = open_room(tmp_path)
    log.away = True
    with pytest.raises(Retryable):
        desk.take([item(1)], "one-stop", NOW)
    log.away = False
    (result,) = desk.take([item(1)], "one-stop", NOW)
    assert (result.status, result.duplicate) == (202, False)
    assert (len(log.records), ledger.pending(5)) == (1, [])


def test_an_acknowledgement_that_was_lost_makes_an_echo_with_the_same_bytes(tmp_path: Path) -> None:
    desk, _, log = open_room(tmp_path)
    log.acknowledges = False
    with pytest.raises(Retryable):
        desk.take([item(1)], "one-stop", NOW)
    log.acknowledges = True
    desk.take([item(1)], "one-stop", NOW)
    first, echo = log.records
    assert first == echo


def test_what_another_process_has_not_published_is_published_here_before_the_answer(tmp_path: Path) -> None:
    """The source sends again, and another process takes it: its answer is a promise too, and the other's order holds."""
    desk, ledger, log = open_room(tmp_path)
    log.away = True
    with pytest.raises(Retryable):
        desk.take([item(n) for n in range(1, 6)], "one-stop", NOW)
    gone = ledger.pending()
    other = Desk(ledger.for_writer("intake:other"), log, KEYED, "hoa-binh")
    with pytest.raises(Retryable):
        other.take([item(3), item(9)], "one-stop", NOW)
    log.away = False
    results = other.take([item(3), item(9)], "one-stop", NOW)
    assert [(r.status, r.duplicate) for r in results] == [(202, False), (202, False)]
    assert {r.event_id for r in results} <= log.ids()
    assert [r for r in log.records if r in [g.record for g in gone]] == [g.record for g in gone[:3]]
    assert [p.id for p in ledger.pending()] == [g.id for g in gone[3:]], "what nobody asked about stays its own"


def test_threads_take_in_parallel_and_every_fact_is_there(tmp_path: Path) -> None:
    desk, ledger, log = open_room(tmp_path)
    work = [threading.Thread(target=desk.take, args=([item(100 * t + n) for n in range(30)], "one-stop", NOW)) for t in range(6)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert (len(log.ids()), len(log.records), ledger.pending(5)) == (180, 180, [])


def test_a_backlog_larger_than_one_batch_goes_out_whole(tmp_path: Path) -> None:
    desk, ledger, log = open_room(tmp_path)
    log.away = True
    for start in range(0, 1200, 400):
        with pytest.raises(Retryable):
            desk.take([item(n) for n in range(start, start + 400)], "one-stop", NOW)
    log.away = False
    (result,) = desk.take([item(5000)], "one-stop", NOW)
    assert result.event_id in log.ids()
    desk.drain()
    assert (len(log.records), ledger.pending(5)) == (1201, [])


def test_nothing_is_taken_from_a_paused_source(tmp_path: Path) -> None:
    desk, ledger, log = open_room(tmp_path)
    pause(ledger, "one-stop")
    with pytest.raises(SourcePaused):
        desk.take([item(1)], "one-stop", NOW)
    with pytest.raises(SourcePaused):
        desk.take([{}], "one-stop", NOW)
    assert desk.take([item(1)], "portal", NOW)[0].status == 202
    assert len(log.records) == 1


def pause(ledger: Ledger, source: str) -> None:
    """As dead letters past the limit of a source do."""
    with ledger.begin() as tx:
        tx.pause_source(source, NOW, "more than 100 dead letters within an hour")
