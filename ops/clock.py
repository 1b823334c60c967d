"""The clocks of an installation, and the governor of time-lapse.

Every process of a stack is given the same setting ``clock`` and makes its clock from it with :func:`make_clock`:

- ``real``: the machine's clock;
- ``offset:SECONDS``: the machine's clock, shifted; real pace;
- ``file:PATH``: eight bytes, a little-endian double of epoch seconds, mapped into memory. Only the governor writes it; one aligned store
  and one aligned load, so no reader ever sees half of a moment.

Leases, time-outs, sessions and Kafka's timestamps are real time and never come from here.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import msgspec

from hailong.ports import Clock, Retryable
from hailong.settings import SettingError

LOCAL: Final = ZoneInfo("Asia/Ho_Chi_Minh")
_DAY_S: Final = 86_400.0
_SIZE: Final = 8
LONGEST_STEP_S: Final = 0.5
"""A machine that slept does not make time leap when it wakes."""
TICK_S: Final = 0.01


@dataclass(frozen=True)
class OffsetClock:
    """The machine's clock, shifted by so many seconds (0: the real clock)."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.seconds, LOCAL)


class FileClock:
    """Reads the moment that the governor wrote last."""

    def __init__(self, path: Path) -> None:
        self._cells = _mapped(path, writable=False)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._cells[0], LOCAL)


class ClockFile:
    """The writing side of a file clock. Time in it never goes backwards."""

    def __init__(self, path: Path, start: datetime) -> None:
        """Open ``path``, made with ``start`` when absent; a later ``start`` moves an existing one forward."""
        if not path.exists():
            beside = path.with_name(f"{path.name}.new")
            beside.write_bytes(b"\0" * _SIZE)
            beside.replace(path)
        self._cells = _mapped(path, writable=True)
        self.advance(start)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._cells[0], LOCAL)

    def advance(self, moment: datetime) -> None:
        """Let it be ``moment``, unless it is later already."""
        self._cells[0] = max(self._cells[0], moment.timestamp())


def _mapped(path: Path, *, writable: bool) -> memoryview[float]:
    """The file as one double in the machine's own order, which is little-endian wherever this runs. Raises SettingError."""
    try:
        descriptor = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
        try:
            cells = mmap.mmap(descriptor, _SIZE, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as fault:
        raise SettingError(f"HAILONG_CLOCK: the clock file {path} cannot be read ({fault}). Start the stack that writes it.") from fault
    return memoryview(cells).cast("d")


def make_clock(spec: str) -> Clock:
    """The clock that the setting names. Raises SettingError."""
    kind, _, value = spec.partition(":")
    if spec == "real":
        return OffsetClock()
    if kind == "offset":
        try:
            return OffsetClock(float(value))
        except ValueError:
            raise SettingError(f"HAILONG_CLOCK: {value!r} is not a number of seconds. Write offset:SECONDS.") from None
    if kind == "file" and value:
        return FileClock(Path(value))
    raise SettingError(f"HAILONG_CLOCK: {spec!r} is no clock. Write real, offset:SECONDS or file:PATH.")


# --- what --clock means -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """``--clock START[@DAYS_PER_SECOND]`` as a person wrote it; ``start`` None: the real clock."""

    start: datetime | None = None
    days_per_second: float | None = None


def read_wish(text: str) -> Wish:
    """Parse ``real``, ``START`` or ``START@DAYS_PER_SECOND``; START is ISO 8601, local time unless it says otherwise. Raises ValueError."""
    if text == "real":
        return Wish()
    start, at, rate = text.partition("@")
    moment = datetime.fromisoformat(start)
    pace = float(rate) if at else None
    if pace is not None and not 0 < pace < 1000:
        raise ValueError("days per second must lie between 0 and 1000")
    return Wish(moment if moment.tzinfo else moment.replace(tzinfo=LOCAL), pace)


class Kept(msgspec.Struct, frozen=True):
    """What a data folder remembers of its clock: how it was asked for and what the processes were given."""

    wish: str
    spec: str


class TimeGoesBack(Exception):
    """The wish lies before the folder's own time, which is ``floor``."""

    def __init__(self, floor: datetime) -> None:
        super().__init__(floor.isoformat(timespec="minutes"))
        self.floor = floor


@dataclass(frozen=True)
class ClockPlan:
    """What a stack does: the setting of its processes, and the governor's file and pace where time is governed."""

    spec: str
    file: ClockFile | None = None
    days_per_second: float | None = None


def plan(folder: Path, text: str | None, real_now: datetime) -> ClockPlan:
    """Decide the clock of a stack on ``folder`` and remember it there (``clock.json``, ``clock``).

    ``text`` None: as the folder had it, else real. The time of a folder never goes backwards: with the same START as before it goes on
    from where it was, another START may only be later. Raises ValueError (not readable), TimeGoesBack.
    """
    memory = folder / "clock.json"
    kept = msgspec.json.decode(memory.read_bytes(), type=Kept) if memory.exists() else None
    text = text if text is not None else kept.wish if kept else "real"
    wish = read_wish(text)
    begin = wish.start or real_now
    if kept is not None:
        floor = real_now if kept.spec == "real" else make_clock(kept.spec).now()
        if begin < floor and read_wish(kept.wish).start != wish.start:
            raise TimeGoesBack(floor)
        begin = max(begin, floor) if wish.start else begin
    decided = _decided(folder, wish, begin, real_now)
    memory.write_bytes(msgspec.json.encode(Kept(text, decided.spec)))
    return decided


def _decided(folder: Path, wish: Wish, begin: datetime, real_now: datetime) -> ClockPlan:
    if wish.start is None:
        return ClockPlan("real")
    if wish.days_per_second is None:
        return ClockPlan(f"offset:{(begin - real_now).total_seconds():.3f}")
    path = folder / "clock"
    return ClockPlan(f"file:{path}", ClockFile(path, begin), wish.days_per_second)


# --- time-lapse ---------------------------------------------------------------------------------------------------------------


class Pace(Protocol):
    """What the governor must know of the installation."""

    async def next_instant(self) -> datetime | None:
        """The earliest moment at which something is to happen that has not happened; None when nothing waits. Raises Retryable."""
        ...

    async def quiet(self) -> bool:
        """Whether nothing is under way: no lag in any role, no due row left. Raises Retryable when that cannot be told now."""
        ...

    async def close(self) -> None: ...


def bounded(now: datetime, wanted: datetime, instant: datetime | None, *, quiet: bool) -> datetime:
    """Where time may go from ``now`` when the pace wants ``wanted``.

    While anything is under way it stands, so that no second of latency becomes an hour. Else it goes on, and stops at every instant on
    its way: what is due then happens then, and not up to a step later.
    """
    if not quiet:
        return now
    return wanted if instant is None or instant <= now else min(wanted, instant)


class Governor:
    """Moves a file clock at ``days_per_second``, holding it wherever the installation is not done yet."""

    def __init__(
        self, file: ClockFile, days_per_second: float, pace: Pace, monotonic: Callable[[], float] = time.monotonic, tick_s: float = TICK_S
    ) -> None:
        self._file = file
        self._pace_s = days_per_second * _DAY_S
        self._pace = pace
        self._monotonic = monotonic
        self._last = monotonic()
        self._tick_s = tick_s

    async def step(self) -> None:
        """One look at the installation and one move of the clock. When the installation cannot tell how it is, time stands."""
        try:
            quiet = await self._pace.quiet()
            instant = await self._pace.next_instant()
        except Retryable:
            self._last = self._monotonic()
            return
        moment = self._monotonic()
        elapsed, self._last = min(moment - self._last, LONGEST_STEP_S), moment
        now = self._file.now()
        self._file.advance(bounded(now, now + timedelta(seconds=elapsed * self._pace_s), instant, quiet=quiet))

    async def run(self) -> None:
        """Step until cancelled."""
        self._last = self._monotonic()
        try:
            while True:
                await self.step()
                await asyncio.sleep(self._tick_s)
        finally:
            await self._pace.close()


def real_now() -> datetime:
    """The machine's time, aware."""
    return datetime.now(UTC)
