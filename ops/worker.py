"""One worker of a role: ``python -m ops.worker ROLE --slot K``, or ``--slot auto`` for the first slot that is free.

The slot is taken under a file lock: it is this worker's place in the consumer group and its name in the outbox, so two processes must
never have the same one. The locks stand in ``DATA_DIR/run/slots`` and are worth what that folder is shared: ``auto`` is for workers of one
host that see the same folder; where each has a folder of its own, every one would find slot 0 free, so there slots are given by hand.
Ends with 1 when the framework gives up, so that the supervisor starts it again.
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
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import date, time
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import structlog
import uvloop

from hailong import telemetry
from hailong.domain import judging
from hailong.domain.rulebook import RulebookError
from hailong.ports import Receipt, Retryable
from hailong.settings import SettingError, Settings, load
from ops.anchors import Anchors
from ops.clock import real_now
from ops.daily import Daily
from ops.looking import Archived, Store
from ops.outboxes import Orphans
from ops.proof import breaks
from ops.reaching import refuse_tries
from ops.topics import ROLES, SUBSCRIBES
from ops.wiring import Wiring
from producers.desk import Desk
from producers.dropfolder import DropFolder
from producers.publisher import AioPublisher
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.doubts import Doubts
from streams.calling import Caller
from streams.counting import Archiving, Counter, Judging
from streams.deciding import Decider
from streams.erasing import Eraser
from streams.guard import Guard, Handler
from streams.looking import Looker
from streams.seeds import Seeds
from streams.sending import SendingRules, Told
from streams.timing import Timer
from streams.worker import Worker, WorkerSettings, every
from surveys.channels.bounces import sweep

log = structlog.get_logger("worker")
SLOTS: Final = 64
"""``--slot auto`` looks at so many; as many as ``up --workers`` gives a role."""
ALONE: Final = ("count",)
"""Roles of one worker: it writes one order without a gap (docs/decisions/0003-counted-order.md)."""
Background = Coroutine[Any, Any, Any]


class Role:
    """The parts of one role: a handler for its topics and what runs beside it."""

    def __init__(self, wiring: Wiring, role: str, slot: int, publisher: AioPublisher) -> None:
        self.wiring = wiring
        self.role = role
        self.slot = slot
        self.pulse = 0.03 if wiring.time_lapse else 0.25
        self.worker = f"{role}-{slot}"
        self.ledger = wiring.held_ledger(self.worker)
        self.broken = wiring.settings.proof_break
        self.outbox = breaks.broken_outbox(self.broken, role, self.ledger, publisher, role == "count")
        self._orphans = Orphans(self.ledger, publisher, time_of_day.monotonic)
        self._anchors = Anchors(wiring.settings.data_dir)
        self.background: list[Background] = []
        self.closing: list[Callable[[], Awaitable[Any]]] = [publisher.close]
        self.on_assigned: Callable[[], Awaitable[Any]] | None = None
        self.handler: Handler | None = getattr(self, f"_{role}")()

    def _decide(self) -> Handler:
        w = self.wiring
        decider = Decider(self.outbox, w.clock, w.office)
        self.background.append(every(self.pulse, decider.rested, "dossiers that rested"))
        return decider

    def _send(self) -> Handler:
        w, s = self.wiring, self.wiring.settings
        rules = SendingRules(s.send_parallel, s.lease_s, s.reconcile_after_s, s.retry_base_s, poll_s=min(self.pulse, 0.1))
        channels = w.channels(self.ledger)
        self.closing += [channel.close for channel in channels.values()]
        kind = breaks.sender(self.broken, s.data_dir)
        sender = kind(self.outbox, w.clock, real_now, channels, w.compose, rules, self.worker, w.is_open)
        self.background.append(sender.run())
        words = w.words_of(w.unit_names(self.ledger))
        return Told(self.outbox, w.clock, sender.wake, w.directory.of, words, w.officers_ref, w.alert_mails_from)

    def _count(self) -> Handler:
        counter = Counter(self.outbox, self.wiring.clock)
        self.background.append(every(self.pulse, counter.days, "day records"))
        self.background.append(every(max(self.pulse, 0.2), counter.wishes, "erased and released answers"))
        return counter

    def _judge(self) -> Handler:
        target = self.wiring.settings.default_target
        return Judging(self.outbox, lambda seq, states: judging.Judge(target, seq, states))

    def _archive(self) -> Handler:
        settings = self.wiring.settings
        kind = breaks.EchoingArchive if self.broken == "dedupe" else Archive
        doubts = Doubts(settings.data_dir / "run" / "archive")
        store = kind(self.wiring.clickhouse(), settings.clickhouse_engine, doubts)
        self.on_assigned = lambda: asyncio.to_thread(store.absorbed, SUBSCRIBES["archive"])
        return Archiving(store)

    def _timer(self) -> None:
        w, s = self.wiring, self.wiring.settings
        drop = self._drop_folder()
        daily = Daily(w, self.ledger, drop.alarm if drop else None)
        timer = Timer(self.outbox, w.clock, real_now, time.fromisoformat(s.digest_at), w.directory.office, daily.summary)
        self.background.append(every(self.pulse, timer.round, "timer"))
        eraser = Eraser(self.outbox, w.clock, real_now, w.keys)
        self.background.append(every(self.pulse, eraser.round, "erasing"))
        caller = Caller(self.outbox, w.clock, real_now, w.rules, w.draw)
        self.background.append(every(self.pulse, caller.round, "the draw of calls"))
        looker = Looker(self.outbox, w.clock, real_now, s.registry_id, Archived(s.kafka).ready, Store(w.clickhouse, s).at)
        self.background.append(every(0.2 if w.time_lapse else 5.0, looker.round, "looks at the quality of data"))
        if self.slot == 0:  # one process: their order in the log is theirs
            seeds = Seeds(self.outbox, w.clock, real_now, s.registry_id, w.seed)
            self.background.append(every(self.pulse, seeds.round, "seeds of the draw"))
        self.background.append(every(1.0, self._housekeeping, "housekeeping"))
        if s.bounce_maildir:
            self.background.append(every(30.0, lambda: asyncio.to_thread(self._bounces), "bounces"))

    def _bounces(self) -> None:
        """Mails that came back are receipts like any other."""
        s, clock = self.wiring.settings, self.wiring.clock

        def keep(receipt: Receipt) -> None:
            with self.ledger.begin() as tx:
                tx.store_receipt(receipt, clock.now())

        sweep(Path(s.bounce_maildir), s.mail_from.rpartition("@")[2], keep)

    def _drop_folder(self) -> DropFolder | None:
        """One process sweeps it: the timer's first worker."""
        w, s = self.wiring, self.wiring.settings
        if self.slot != 0:
            return None
        desk = Desk(w.held_ledger(f"{self.worker}-files"), w.publisher("intake-files"), w.keyed, s.registry_id)
        drop = DropFolder(s.data_dir / "drop", desk, w.clock.now())

        def sweep_drop() -> None:
            desk.drain()  # what an earlier life left
            drop.sweep(w.clock.now())

        self.background.append(every(2.0, lambda: asyncio.to_thread(sweep_drop), "drop folder"))
        return drop

    async def _housekeeping(self) -> None:
        """Keys for the months to come, anchors of the audit trail, and facts whose process is gone."""
        today: date = self.wiring.clock.now().date()
        for name in self.wiring.keys.make_missing(today):
            log.info("key made", key=name)
        await asyncio.to_thread(self._anchors.drop, self.ledger, real_now())
        await self.outbox.drain()
        await self._orphans.round()


async def run(settings: Settings, role: str, slot: int) -> int:
    """Until SIGTERM (0) or until the framework gives up (1)."""
    wiring = breaks.wiring(settings)
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
        within_s=settings.archive_within_s if parts.role == "archive" else 0.01 if parts.wiring.time_lapse else 0.05,
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
def taken_slot(folder: Path, role: str, wanted: int | None) -> Iterator[int]:
    """The slot ``wanted`` of a role, or with None the first that is free; ours until this process ends.

    Raises SystemExit(2), with a sentence on stderr, when other processes have it, or all of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there_are = 1 if role in ALONE else SLOTS
    for slot in range(there_are) if wanted is None else [wanted]:
        with (folder / f"{role}-{slot}.lock").open("w") as f:
            if _locked(f):
                yield slot
                return
    sys.stderr.write(
        f"No slot of {role} is free in {folder}: there are {there_are}. Stop one of its workers.\n"
        if wanted is None
        else f"Slot {role}-{wanted} is taken by another process of this installation. Stop that one, or choose another --slot, or auto.\n"
    )
    raise SystemExit(2)


def _locked(f: IO[str]) -> bool:
    try:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _slot(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no slot. Write a number from 0 on, or auto")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.worker", description="One worker of a role.")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--slot", type=_slot, default=0, help=f"its number, or auto: the first free one of {SLOTS} in the shared folder")
    parser.add_argument("--slot-file", type=Path, help="write the number taken here, for the health check beside it")
    args = parser.parse_args(argv)
    if args.role in ALONE and args.slot:
        parser.error(f"{args.role} has one worker, whose slot is 0: it writes one order without a gap")
    try:
        settings = load()
        refuse_tries(settings)
    except SettingError as e:
        sys.stderr.write(f"{e}\n")
        return 2
    with taken_slot(settings.data_dir / "run" / "slots", args.role, args.slot) as slot:
        telemetry.configure(f"{args.role}-{slot}", settings.log_level)
        if args.slot_file is not None:
            args.slot_file.write_text(f"{slot}\n")
        try:
            return uvloop.run(run(settings, args.role, slot))
        except (RulebookError, SettingError) as e:  # a file of the office that is wrong: starting again mends nothing
            sys.stderr.write(f"{e}\n")
            return 2


if __name__ == "__main__":
    raise SystemExit(main())
