"""Closing time: what is handed over before it is accepted before it, and what is left over does not stop time-lapse."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hailong.settings import Settings
from ops.clock import LOCAL, ClockFile
from ops.keys import Keys
from ops.pace import InstallationPace
from ops.wiring import Wiring
from sinks.ledger import migrate

CLOSING = datetime(2026, 2, 14, 20, tzinfo=LOCAL)
"""A Saturday, before Tết."""
OPENING = datetime(2026, 2, 21, 8, tzinfo=LOCAL)
SECOND = timedelta(seconds=1)


def test_nothing_is_handed_over_so_late_that_it_could_be_accepted_after_closing_time() -> None:
    wiring = Wiring(Settings(send_timeout_s=10.0))
    assert wiring.is_open(CLOSING - 11 * SECOND)
    assert wiring.next_open(CLOSING - 11 * SECOND) == CLOSING - 11 * SECOND
    for late in (10 * SECOND, SECOND, timedelta(0), -SECOND):
        assert not wiring.is_open(CLOSING - late)
        assert wiring.next_open(CLOSING - late) == OPENING
    assert wiring.is_open(OPENING)


def test_at_any_hour_there_is_no_closing_time() -> None:
    wiring = Wiring(Settings(any_hour=True))
    midnight = CLOSING + timedelta(hours=4)
    assert all(wiring.is_open(midnight + n * SECOND) for n in (-11, -9, -1, 0, 1))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation at half past eight in the evening, with a clock that is governed."""
    Keys(tmp_path / "keys").make_missing(CLOSING.date())
    migrate(f"sqlite:///{tmp_path / 'ledger.db'}")
    ClockFile(tmp_path / "clock", CLOSING + timedelta(minutes=30))
    return Settings(
        data_dir=tmp_path, keys_dir=tmp_path / "keys", ledger=f"sqlite:///{tmp_path / 'ledger.db'}", clock=f"file:{tmp_path / 'clock'}"
    )


def due(settings: Settings, kind: str, at: datetime) -> None:
    ledger = Wiring(settings).ledger("test")
    with ledger.begin() as tx:
        tx.schedule(kind, kind, at, {"channel": "sms"})
    ledger.close()


def instant(settings: Settings) -> datetime | None:
    pace = InstallationPace(settings)
    try:
        return asyncio.run(pace.next_instant())
    finally:
        pace.ledger.close()


def test_what_missed_closing_time_waits_for_the_opening_and_does_not_hold_time(settings: Settings) -> None:
    due(settings, "invitation", CLOSING - SECOND)
    due(settings, "reminder", OPENING + timedelta(hours=3))
    assert instant(settings) == OPENING


def test_what_is_no_message_to_people_happens_at_its_moment(settings: Settings) -> None:
    due(settings, "invitation", CLOSING - SECOND)
    due(settings, "expire", CLOSING + timedelta(hours=4))
    assert instant(settings) == CLOSING + timedelta(hours=4)
    due(settings, "officers", CLOSING)
    assert instant(settings) == CLOSING
