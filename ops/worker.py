"""One worker of a role: ``python -m ops.worker ROLE --slot K``.

The slot is taken under a file lock: it is this worker's place in the consumer group and its name in the outbox, so two processes must
never have the same one. Ends with 1 when the framework gives up, so that the supervisor starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import time as time_of_day
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
import uvloop

from hailong import telemetry
from hailong.domain import detectors
from hailong.ports import Retryable
from hailong.settings import SettingError, Settings, load
from ops.daily import Daily
from ops.proof import breaks
from ops.topics import ROLES, SUBSCRIBES
from ops.wiring import Wiring, real_now
from producers.desk import Desk
from producers.dropfolder import DropFolder
from producers.publisher import AioPublisher
from sinks.clickhouse.archive import Archive
from streams.counting import Archiving, Counter, Judging
from streams.deciding import Decider
from streams.guard import Guard, Handler, Outbox
from streams.sending import Sender, SendingRules, Told
from streams.timing import Timer
from streams.worker import Worker, WorkerSettings, every

log = structlog.get_logger("worker")
LEFT_AFTER_S: Final = 15.0
Background = Coroutine[Any, Any, Any]


class Role:
    """The parts of one role: a handler for its topics and what runs beside it."""

    def __init__(self, wiring: Wiring, role: str, slot: int, publisher: AioPublisher) -> None:
        self.wiring = wiring
        self.role = role
        self.slot = slot
        # In time-lapse the clock waits for everyone: a slow pulse there is a slow year.
        self.pulse = 0.03 if wiring.settings.clock.startswith("file:") else 0.25
        self.worker = f"{role}-{slot}"
        self.ledger = wiring.ledger(self.worker)
        self.broken = wiring.settings.proof_break
        self.outbox = breaks.broken_outbox(self.broken, role, self.ledger, publisher, role == "count")
        self._seen: dict[int, float] = {}
        self.background: list[Background] = []
        self.closing: list[Callable[[], Awaitable[Any]]] = [publisher.close]
        self.on_assigned: Callable[[], Awaitable[Any]] | None = None
        self.handler: Handler | None = getattr(self, f"_{role}")()

    def _decide(self) -> Handler:
        w = self.wiring
        return Decider(self.outbox, w.clock, w.rules, w.settings.registry_id, w.draw)

    def _send(self) -> Handler:
        w, s = self.wiring, self.wiring.settings
        rules = SendingRules(s.send_parallel, s.lease_s, s.reconcile_after_s, s.retry_base_s, poll_s=min(self.pulse, 0.1))
        kind = breaks.ClaimlessSender if self.broken == "claim" else Sender
        channels = w.channels()
        self.closing += [channel.close for channel in channels.values()]
        sender = kind(self.outbox, w.clock, real_now, channels, w.compose, rules, self.worker)
        self.background.append(sender.run())
        words = w.words_of(w.unit_names(self.ledger))
        return Told(self.outbox, w.clock, sender.wake, w.directory.of, words, w.officers_ref)

    def _count(self) -> Handler:
        counter = Counter(self.outbox, self.wiring.clock)
        self.background.append(every(self.pulse, counter.days, "day records"))
        return counter

    def _judge(self) -> Handler:
        target = self.wiring.settings.default_target
        return Judging(self.outbox, lambda seq, states: detectors.Judge(target, seq, states))

    def _archive(self) -> Handler:
        settings = self.wiring.settings
        kind = breaks.EchoingArchive if self.broken == "dedupe" else Archive
        store = kind(self.wiring.clickhouse(), settings.clickhouse_engine)
        self.on_assigned = lambda: asyncio.to_thread(store.absorbed, SUBSCRIBES["archive"])
        return Archiving(store)

    def _timer(self) -> None:
        w, s = self.wiring, self.wiring.settings
        drop = self._drop_folder()
        daily = Daily(w, self.ledger, drop.alarm if drop else None)
        timer = Timer(self.outbox, w.clock, real_now, time.fromisoformat(s.digest_at), w.directory.office, daily.summary)
        self.background.append(every(self.pulse, timer.round, "timer"))
        self.background.append(every(1.0, self._housekeeping, "housekeeping"))

    def _drop_folder(self) -> DropFolder | None:
        """One process sweeps it: the timer's first worker."""
        w, s = self.wiring, self.wiring.settings
        if self.slot != 0:
            return None
        desk = Desk(w.ledger("intake-files"), w.publisher("intake-files"), w.keyed, s.registry_id)
        drop = DropFolder(s.data_dir / "drop", desk, w.clock.now())
        self.background.append(every(2.0, lambda: asyncio.to_thread(drop.sweep, w.clock.now()), "drop folder"))
        return drop

    async def _housekeeping(self) -> None:
        """Keys for the months to come, and facts of the command line that were not published."""
        today: date = self.wiring.clock.now().date()
        for name in self.wiring.keys.make_missing(today):
            log.info("key made", key=name)
        await self.outbox.drain()
        await self._left_behind(time_of_day.monotonic())

    async def _left_behind(self, now: float) -> None:
        """Facts of a command that died before it published them. A living one publishes its own within seconds."""
        outbox = Outbox(self.ledger.for_writer("cli"), self.outbox.publisher)
        rows = await asyncio.to_thread(outbox.ledger.pending)
        self._seen = {row.id: self._seen.get(row.id, now) for row in rows}
        await outbox.publish([row for row in rows if now - self._seen[row.id] > LEFT_AFTER_S])


async def run(settings: Settings, role: str, slot: int) -> int:
    """Until SIGTERM (0) or until the framework gives up (1)."""
    wiring = Wiring(settings)
    publisher = wiring.aio_publisher(f"{role}-{slot}")
    parts = Role(wiring, role, slot, publisher)
    progress = Progress(settings.data_dir / "run" / "progress" / f"{role}-{slot}.json")
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    await _patiently(parts.outbox.drain, stop)
    async with contextlib.AsyncExitStack() as stack:
        for close in parts.closing:
            stack.push_async_callback(close)
        worker = await stack.enter_async_context(_consuming(parts, settings, slot, progress)) if parts.handler else None
        progress.write({})
        tasks = [asyncio.create_task(work) for work in parts.background]
        watched = [*tasks, asyncio.create_task(stop.wait())]
        if worker is not None:
            watched.append(asyncio.create_task(worker.failed()))
        done, rest = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in done:
            if (error := task.exception()) is not None:
                log.error("the role ends", role=role, error=type(error).__name__, exc_info=error)
        return 0 if stop.is_set() else 1


@contextlib.asynccontextmanager
async def _consuming(parts: Role, settings: Settings, slot: int, progress: Progress) -> AsyncIterator[Worker]:
    assert parts.handler is not None  # noqa: S101 (the caller looked)
    guard = Guard(parts.role, parts.handler, parts.outbox, parts.wiring.clock)
    about = WorkerSettings(
        role=parts.role,
        slot=slot,
        topics=SUBSCRIBES[parts.role],
        kafka=settings.kafka,
        session_s=settings.kafka_session_s,
        commit_interval_s=settings.commit_interval_s,
        within_s=settings.archive_within_s if parts.role == "archive" else 0.05,
        folder=settings.data_dir / "run" / "faust",
        ack_first=breaks.die_after(settings.commit_interval_s) if settings.proof_break == "ack" else None,
    )
    worker = Worker(about, guard, progress.write, parts.on_assigned)
    async with worker.running():
        yield worker


async def _patiently(work: Callable[[], Awaitable[Any]], stop: asyncio.Event) -> None:
    """Until it succeeds or we are told to stop."""
    while not stop.is_set():
        try:
            await work()
            return
        except Retryable as e:
            log.warning("waits", work="outbox", reason=e.reason)
            await asyncio.sleep(min(e.after, 2.0))


class Progress:
    """What this worker has acknowledged, for whoever watches: ``{"pid", "positions": {"topic:partition": next offset}}``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._positions: dict[str, int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, positions: dict[str, int]) -> None:
        """Replaced whole, so that a reader never sees half of it."""
        self._positions |= positions
        draft = self._path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode({"pid": os.getpid(), "positions": self._positions}))
        draft.replace(self._path)


@contextlib.contextmanager
def slot_lock(folder: Path, name: str) -> Any:
    """The slot of a worker, ours until this process ends. Raises SystemExit(2) when another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.stderr.write(f"Slot {name} is taken by another process of this installation. Stop that one, or choose another --slot.\n")
            raise SystemExit(2) from None
        yield


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.worker", description="One worker of a role.")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--slot", type=int, default=0)
    args = parser.parse_args(argv)
    try:
        settings = load()
    except SettingError as e:
        sys.stderr.write(f"{e}\n")
        return 2
    telemetry.configure(f"{args.role}-{args.slot}", settings.log_level)
    with slot_lock(settings.data_dir / "run" / "slots", f"{args.role}-{args.slot}"):
        return uvloop.run(run(settings, args.role, args.slot))


if __name__ == "__main__":
    raise SystemExit(main())
