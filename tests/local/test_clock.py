"""The clocks, and time-lapse that waits for the work."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.ports import Retryable
from hailong.settings import SettingError
from ops.clock import LOCAL, LONGEST_STEP_S, ClockFile, Governor, TimeGoesBack, Wish, bounded, make_clock, plan, read_wish
from ops.local.home import REPOSITORY

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=LOCAL)
HOUR = timedelta(hours=1)


def test_the_real_clock_is_aware_and_local() -> None:
    now = make_clock("real").now()
    assert now.tzinfo == ZoneInfo("Asia/Ho_Chi_Minh")
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=1)


def test_an_offset_clock_is_shifted_and_runs_at_the_real_pace() -> None:
    clock = make_clock("offset:-86400")
    first = clock.now()
    time.sleep(0.05)
    assert timedelta(seconds=0.05) <= clock.now() - first < timedelta(seconds=1)
    assert abs(clock.now() - (datetime.now(UTC) - timedelta(days=1))) < timedelta(seconds=1)


def test_a_file_clock_reads_eight_little_endian_bytes_and_follows_the_writer(tmp_path: Path) -> None:
    file = ClockFile(tmp_path / "clock", MONDAY)
    clock = make_clock(f"file:{tmp_path / 'clock'}")
    assert clock.now() == MONDAY
    assert (tmp_path / "clock").read_bytes() == struct.pack("<d", MONDAY.timestamp())
    file.advance(MONDAY + HOUR)
    assert clock.now() == MONDAY + HOUR
    file.advance(MONDAY)
    assert clock.now() == MONDAY + HOUR, "time never goes backwards"


@pytest.mark.parametrize("spec", ["", "unreal", "offset:", "offset:soon", "file:", "file:/nowhere/clock"])
def test_a_clock_that_does_not_exist_is_a_setting_error(spec: str) -> None:
    with pytest.raises(SettingError, match="HAILONG_CLOCK"):
        make_clock(spec)


def test_no_reader_sees_half_of_a_moment(tmp_path: Path) -> None:
    """Another process moves between two moments whose bytes all differ; one that reads meanwhile sees only these two."""
    path = tmp_path / "clock"
    values = struct.unpack("<2d", bytes.fromhex("010101010101d141" + "fefefefefefed941"))
    ClockFile(path, datetime.fromtimestamp(values[0], LOCAL))
    writer = f"""
import sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
from pathlib import Path
from ops.clock import _mapped
cells, end = _mapped(Path({str(path)!r}), writable=True), time.monotonic() + 1.5
print(flush=True)
while time.monotonic() < end:
    for _ in range(1000):
        cells[0] = {values[1]!r}
        cells[0] = {values[0]!r}
"""
    clock = make_clock(f"file:{path}")
    moments = {datetime.fromtimestamp(value, LOCAL) for value in values}
    seen = set()
    with subprocess.Popen([sys.executable, "-c", writer], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while process.poll() is None:
            seen |= {clock.now() for _ in range(1000)}
    assert process.returncode == 0
    assert seen == moments


# --- what --clock means -------------------------------------------------------------------------------------------------------


def test_a_wish_is_real_a_moment_or_a_moment_with_a_pace() -> None:
    assert read_wish("real") == Wish()
    assert read_wish("2026-03-02T09:00") == Wish(MONDAY)
    assert read_wish("2026-03-02T02:00Z@1.25") == Wish(MONDAY, 1.25)


@pytest.mark.parametrize("text", ["yesterday", "2026-03-02@fast", "2026-03-02@0", "2026-03-02@-1", "@1", "real@2"])
def test_other_wishes_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_wish(text)


def test_a_folder_goes_on_where_its_time_was(tmp_path: Path) -> None:
    real = datetime(2026, 11, 23, tzinfo=UTC)
    first = plan(tmp_path, "2026-03-02T09:00@1", real)
    assert first.file is not None
    assert first.days_per_second == 1
    assert first.file.now() == MONDAY
    first.file.advance(MONDAY + 5 * HOUR)
    for text in ("2026-03-02T09:00@1", "2026-03-02T09:00@2", None):
        again = plan(tmp_path, text, real)
        assert again.file is not None
        assert again.file.now() == MONDAY + 5 * HOUR
    with pytest.raises(TimeGoesBack, match="2026-03-02T14:00"):
        plan(tmp_path, "2026-03-02T10:00@1", real)
    later = plan(tmp_path, "2026-04-01T00:00", real)
    assert later.file is None
    assert abs(make_clock(later.spec).now() - datetime.now(UTC) - (datetime(2026, 4, 1, tzinfo=LOCAL) - real)) < timedelta(seconds=2)


def test_a_new_folder_has_the_real_clock_when_nothing_is_said(tmp_path: Path) -> None:
    assert plan(tmp_path, None, datetime.now(UTC)).spec == "real"
    assert plan(tmp_path, "real", datetime.now(UTC)).spec == "real"


def test_a_shifted_clock_goes_on_shifted_when_nothing_is_said(tmp_path: Path) -> None:
    start = (datetime.now(LOCAL) + timedelta(days=9)).isoformat()
    first = plan(tmp_path, start, datetime.now(UTC))
    time.sleep(0.05)
    assert (
        abs(float(plan(tmp_path, None, datetime.now(UTC)).spec.removeprefix("offset:")) - float(first.spec.removeprefix("offset:"))) < 0.01
    )


# --- time-lapse ---------------------------------------------------------------------------------------------------------------


class Office:
    """A fake installation: things due at known moments, each of which takes some looks of the governor to be done and may set another."""

    def __init__(self, file: ClockFile, due: list[datetime], seed: int) -> None:
        self.file = file
        self.due = sorted(due)
        self.done_at: list[tuple[datetime, datetime]] = []
        self.chance = random.Random(seed)
        self.work_left = 0
        self.away = 0

    async def quiet(self) -> bool:
        if self.chance.random() < 0.05:
            raise Retryable("the ledger is locked")
        now = self.file.now()
        if self.work_left:
            self.work_left -= 1
            if not self.work_left:
                self._finish(now)
            return False
        if self.due and self.due[0] <= now:
            self.work_left = self.chance.randrange(1, 6)
            return False
        return True

    def _finish(self, now: datetime) -> None:
        moment = self.due.pop(0)
        self.done_at.append((moment, now))
        if self.chance.random() < 0.3:  # one thing leads to another, a quarter of an hour later
            self.due = sorted([*self.due, moment + timedelta(minutes=15)])

    async def next_instant(self) -> datetime | None:
        return self.due[0] if self.due else None

    async def close(self) -> None: ...


@pytest.mark.parametrize("seed", range(5))
def test_no_instant_is_passed_before_its_work_is_done(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    file = ClockFile(tmp_path / "clock", MONDAY)
    office = Office(file, [MONDAY + timedelta(minutes=chance.randrange(60 * 24 * 10)) for _ in range(200)], seed)
    ticks = iter(range(10**6))
    governor = Governor(file, days_per_second=2.0, pace=office, monotonic=lambda: next(ticks) * 0.02)

    async def lapse() -> None:
        before = file.now()
        while office.due:
            await governor.step()
            assert before <= file.now()
            before = file.now()

    asyncio.run(lapse())
    assert len(office.done_at) > 200
    assert [done for _, done in office.done_at] == [due for due, _ in office.done_at], "time went on while work was not done"


def test_where_nothing_waits_time_moves_at_its_pace_and_a_machine_that_slept_does_not_leap(tmp_path: Path) -> None:
    class Empty:
        async def quiet(self) -> bool:
            return True

        async def next_instant(self) -> datetime | None:
            return None

        async def close(self) -> None: ...

    file = ClockFile(tmp_path / "clock", MONDAY)
    moments = iter([0.0, 0.25, 3600.0])
    governor = Governor(file, days_per_second=1.0, pace=Empty(), monotonic=lambda: next(moments))
    asyncio.run(governor.step())
    assert file.now() == MONDAY + timedelta(days=0.25)
    asyncio.run(governor.step())
    assert file.now() == MONDAY + timedelta(days=0.25 + LONGEST_STEP_S)


def test_a_governor_runs_on_its_own_until_it_is_called_off(tmp_path: Path) -> None:
    file = ClockFile(tmp_path / "clock", MONDAY)
    office = Office(file, [MONDAY + n * HOUR for n in range(1, 30)], seed=1)

    async def run() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(Governor(file, 20.0, office, tick_s=0.001).run(), 1.0)

    asyncio.run(run())
    assert file.now() > MONDAY + 29 * HOUR
    assert not office.due


moments = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(now=moments, ahead=st.timedeltas(timedelta(), timedelta(days=2)), instant=st.none() | moments, quiet=st.booleans())
def test_a_step_never_goes_back_beyond_the_pace_or_over_an_instant(
    now: datetime, ahead: timedelta, instant: datetime | None, quiet: bool
) -> None:
    reached = bounded(now, now + ahead, instant, quiet=quiet)
    assert now <= reached <= now + ahead
    if instant is not None and now < instant:
        assert reached <= instant
    if not quiet:
        assert reached == now
