"""Survey devices in the ledger, on both databases: an address works once, a secret opens, a closed device opens nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ops.kiosks import KioskBook, secret_hash
from sinks.ledger import Ledger
from sinks.ledger.kiosks import ENROL, SEEN_EVERY, KioskDevice
from tests.contract.build import ABOUT, NOON, answered

ADDRESS, SECRET = "token of the address", "secret of the browser"


@pytest.fixture
def ledger(virgin: Ledger) -> Ledger:
    return virgin


def made(ledger: Ledger, name: str = "Quầy 1", token: str = ADDRESS, **changes: Any) -> KioskDevice:
    fields: dict[str, Any] = {"id": f"k-{name}", "unit": "X1", "name": name, "made_at": NOON, "made_by": "minh"}
    device = KioskDevice(**(fields | {"enrolled_at": None, "seen_at": None, "closed_at": None} | changes))
    with ledger.begin() as tx:
        tx.make_kiosk(device, secret_hash(token))
    return device


def trail(ledger: Ledger) -> list[tuple[str, str, str]]:
    with ledger.read() as reader:
        return [(line.actor, line.act, line.object) for line in reader.audit()]


def test_an_address_enrols_one_browser_once(ledger: Ledger) -> None:
    device, book = made(ledger), KioskBook(ledger)
    assert book.device(ADDRESS, NOON) is None, "the address is no secret of a browser"
    assert book.may_enrol(ADDRESS, NOON)
    assert not book.enrol("another", SECRET, NOON)
    assert book.enrol(ADDRESS, SECRET, NOON)
    assert not book.enrol(ADDRESS, "a second browser", NOON)
    assert not book.may_enrol(ADDRESS, NOON)
    found = book.device(SECRET, NOON)
    assert found is not None
    assert (found.id, found.unit, found.enrolled_at, found.seen_at) == (device.id, "X1", NOON, NOON)
    assert trail(ledger) == [("minh", "kiosk_made", "kiosk:k-Quầy 1"), ("kiosk:k-Quầy 1", "kiosk_enrolled", "kiosk:k-Quầy 1")]


def test_an_address_is_good_for_a_day(ledger: Ledger) -> None:
    made(ledger)
    book = KioskBook(ledger)
    assert book.may_enrol(ADDRESS, NOON + ENROL - timedelta(seconds=1))
    assert not book.may_enrol(ADDRESS, NOON + ENROL)
    assert not book.enrol(ADDRESS, SECRET, NOON + ENROL)


@pytest.mark.parametrize("enrolled", [True, False])
def test_a_closed_device_opens_nothing_nor_does_its_address(ledger: Ledger, enrolled: bool) -> None:
    device, book = made(ledger), KioskBook(ledger)
    if enrolled:
        book.enrol(ADDRESS, SECRET, NOON)
    with ledger.begin() as tx:
        assert tx.close_kiosk(device.id, "lan", NOON)
        assert not tx.close_kiosk(device.id, "lan", NOON)
        assert not tx.close_kiosk("k-none", "lan", NOON)
    assert book.device(SECRET, NOON) is None
    assert not book.enrol(ADDRESS, SECRET, NOON)
    assert trail(ledger)[-1] == ("lan", "kiosk_closed", f"kiosk:{device.id}")


def test_when_it_was_seen_is_known_to_five_minutes_and_the_newest_is_listed_first(ledger: Ledger) -> None:
    book = KioskBook(ledger)
    made(ledger)
    made(ledger, "Quầy 2", "another", made_at=NOON + timedelta(hours=1))
    book.enrol(ADDRESS, SECRET, NOON)
    for later in (SEEN_EVERY - timedelta(seconds=1), SEEN_EVERY, SEEN_EVERY + timedelta(seconds=1)):
        book.device(SECRET, NOON + later)
    with ledger.read() as reader:
        assert [(one.name, one.seen_at) for one in reader.kiosks()] == [("Quầy 2", None), ("Quầy 1", NOON + SEEN_EVERY)]


def test_no_secret_is_kept(ledger: Ledger) -> None:
    made(ledger)
    KioskBook(ledger).enrol(ADDRESS, SECRET, NOON)
    with ledger.read() as reader:
        said = repr(reader.kiosks()) + repr(reader.audit())
    assert ADDRESS not in said
    assert SECRET not in said


def test_a_slip_that_holds_an_answer_is_known_while_it_holds_it(ledger: Ledger) -> None:
    book = KioskBook(ledger)
    with ledger.begin() as tx:
        tx.register_slips(["slip"], "batch", NOON)
        assert not tx.slip_holds("slip", NOON)
        tx.hold_slip_page("slip", answered("", 5, about=ABOUT, mode="kiosk"), {}, NOON)
    assert book.slip_holds("slip", NOON)
    assert not book.slip_holds("other", NOON)
    assert not book.slip_holds("slip", NOON + timedelta(days=31))
