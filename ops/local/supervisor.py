"""Keeps a handful of processes running: started in order, started again when they die, stopped within seconds, never left behind.

A supervisor is used as ``async with Supervisor(children, logs) as keeper`` from the process that shall own the children. It knows
nothing of hailong. Children are real processes, each the leader of a session of its own (Ctrl-C in a terminal reaches only the
supervisor), each with a log file, each on a leash: see leash.py for how they end when the supervisor dies by kill -9.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from ops.local.refusal import Refusal

FIRST_WAIT_S: Final = 0.2
LONGEST_WAIT_S: Final = 10.0
STEADY_AFTER_S: Final = 20.0
"""A child that lived so long begins again with the first wait."""
STOP_WITHIN_S: Final = 10.0
LEVEL_RESERVE_S: Final = 2.5
"""What is kept back for each group of children that is stopped later."""
TRIES_AT_START: Final = 3
CANNOT_START: Final = 2
"""The exit code with which a child says that trying again changes nothing."""
LOG_LIMIT_BYTES: Final = 10_000_000
_LEASH: Final = str(Path(__file__).with_name("leash.py"))
_POLL_S: Final = 0.05

State = Literal["waiting", "starting", "up", "down", "done", "stopped"]
Ready = Callable[[int], Awaitable[bool]]
"""Asked again and again with the child's process id until it says yes; raises nothing."""


@dataclass(frozen=True)
class Child:
    """One process to keep."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    """Its whole environment."""
    ready: Ready | None = None
    """None: ready as soon as it runs."""
    after: Collection[str] = ()
    """Names of children that must be ready (or done) before it is started for the first time."""
    kind: Literal["once", "service"] = "service"
    """``once`` must end with 0 at the start of the stack and is not started again."""
    cwd: Path | None = None
    start_within_s: float = 60.0


@dataclass(frozen=True)
class Status:
    """How a child is."""

    name: str
    kind: str
    state: State
    pid: int | None
    started: datetime | None
    restarts: int
    exit_code: int | None
    """Of its last end; negative: the number of the signal."""


@dataclass
class _Kept:
    child: Child
    state: State = "waiting"
    process: Process | None = None
    started: datetime | None = None
    starts: int = 0
    exit_code: int | None = None
    was_ready: bool = False
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.returncode is None else None

    def status(self) -> Status:
        again = max(0, self.starts - 1)
        return Status(self.child.name, self.child.kind, self.state, self.pid, self.started, again, self.exit_code)


class Supervisor:
    """Owner of ``children``; their logs are ``logs/NAME.log``. ``on_change`` is called after every change of a state.

    ``watcher`` picks the leash that works without the kernel's help, as used where there is no Linux.
    """

    def __init__(
        self,
        children: Sequence[Child],
        logs: Path,
        on_change: Callable[[], None] | None = None,
        *,
        watcher: bool = sys.platform != "linux",
    ) -> None:
        self._kept = {child.name: _Kept(child) for child in children}
        self._levels = _levels(children)
        self._logs = logs
        self._on_change = on_change or (lambda: None)
        self._stopping = False
        self._failure: asyncio.Future[None] | None = None
        self._pipe = os.pipe() if watcher else None

    # --- for the owner -------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Return when every child is ready, or done. Raises Refusal naming the child that cannot be started; call stop() then."""
        self._logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._failure = asyncio.get_running_loop().create_future()
        for kept in self._kept.values():
            kept.keeping = asyncio.create_task(self._keep(kept), name=f"keep {kept.child.name}")
        all_ready = asyncio.create_task(self._all_ready())
        try:
            either: set[asyncio.Future[None]] = {all_ready, self._failure}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            all_ready.cancel()
        if self._failure.done():
            self._failure.result()

    async def _all_ready(self) -> None:
        for kept in self._kept.values():
            await kept.ready.wait()

    async def failed(self) -> None:
        """Wait until children can no longer be kept (the disk is full, say) and raise why. Never returns."""
        if self._failure is not None:
            await asyncio.shield(self._failure)

    async def stop(self) -> list[str]:
        """Stop the children, the last started first, within 10 s in all; the names of those that had to be killed."""
        self._stopping = True
        for kept in self._kept.values():  # nothing is started again from now on; what runs is still waited for below
            if kept.keeping is not None:
                kept.keeping.cancel()
        await asyncio.gather(*(k.keeping for k in self._kept.values() if k.keeping), return_exceptions=True)
        end = time.monotonic() + STOP_WITHIN_S
        killed: list[str] = []
        for later, level in reversed(list(enumerate(self._levels))):
            patience = end - time.monotonic() - LEVEL_RESERVE_S * later - 0.5
            killed += [name for name in await asyncio.gather(*(self._end(self._kept[n], patience) for n in level)) if name]
        if self._failure is not None and self._failure.done() and not self._failure.cancelled():
            self._failure.exception()  # taken note of, so that asyncio does not complain
        for end_of_pipe in self._pipe or ():
            os.close(end_of_pipe)
        self._pipe = None
        return killed

    def status(self) -> list[Status]:
        """All children in the order they were given."""
        return [kept.status() for kept in self._kept.values()]

    def pids(self) -> dict[str, int]:
        """Process ids of the children that run now, by name."""
        return {name: kept.pid for name, kept in self._kept.items() if kept.pid is not None}

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a running child a signal; its process id. It will be started again. Raises LookupError when it does not run now."""
        kept = self._kept[name]
        if kept.pid is None:
            raise LookupError(f"{name} does not run now ({kept.state})")
        if number == signal.SIGKILL:
            kept.ready.clear()  # so that is_up() after kill() means the next life
        os.kill(kept.pid, number)
        return kept.pid

    async def is_up(self, name: str, within: float) -> None:
        """Wait until a child is ready. Raises TimeoutError."""
        async with asyncio.timeout(within):
            await self._kept[name].ready.wait()

    def log(self, name: str) -> Path:
        """The child's log file."""
        return self._logs / f"{name}.log"

    # --- one child -----------------------------------------------------------------------------------------------------------

    async def _keep(self, kept: _Kept) -> None:
        for name in kept.child.after:
            await self._kept[name].ready.wait()
        begun, wait = time.monotonic(), FIRST_WAIT_S
        while True:
            started = time.monotonic()
            try:
                await self._live(kept, begun)
            except Exception as fault:
                self._fail(fault)
                return
            if kept.state == "done":
                return
            wait = FIRST_WAIT_S if time.monotonic() - started >= STEADY_AFTER_S else wait
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)

    async def _live(self, kept: _Kept, begun: float) -> None:
        """One life of a child, from its start to its end. Raises Refusal when the stack cannot come up because of it."""
        try:
            process = await self._spawn(kept)
        except OSError as fault:  # no memory, no process ids, no room for the log
            if not kept.was_ready:
                raise Refusal(f"{kept.child.name} cannot be started: {fault.strerror}. Mend that and start again.") from fault
            self._set(kept, "down")
            return
        readiness = asyncio.create_task(self._become_ready(kept, process.pid, begun))
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({readiness, ended}, return_when=asyncio.FIRST_COMPLETED)
            if readiness.done() and not ended.done():
                readiness.result()
            await asyncio.shield(ended)
        finally:
            readiness.cancel()
            await asyncio.gather(readiness, return_exceptions=True)
        _sweep(process.pid)
        self._ended(kept, process.returncode or 0)

    async def _spawn(self, kept: _Kept) -> Process:
        child = kept.child
        pipe = self._pipe[0] if self._pipe else -1
        leash = [sys.executable, "-I", "-S", _LEASH, str(os.getpid()), str(pipe)]
        with _open_log(self.log(child.name)) as log:
            kept.process = await asyncio.create_subprocess_exec(
                *leash,
                *child.argv,
                env=dict(child.env),
                cwd=child.cwd,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,
                pass_fds=[pipe] if pipe >= 0 else [],
            )
        kept.started = datetime.now(UTC)
        kept.starts += 1
        kept.ready.clear()
        self._set(kept, "starting")
        return kept.process

    async def _become_ready(self, kept: _Kept, pid: int, begun: float) -> None:
        child = kept.child
        if child.kind == "once":  # ready when done
            await asyncio.sleep(max(0.0, begun + child.start_within_s - time.monotonic()))
            raise self._not_ready(kept)
        while child.ready is not None and not await child.ready(pid):
            if not kept.was_ready and time.monotonic() - begun > child.start_within_s:
                raise self._not_ready(kept)
            await asyncio.sleep(_POLL_S)
        kept.was_ready = True
        self._set(kept, "up")
        kept.ready.set()

    def _ended(self, kept: _Kept, code: int) -> None:
        kept.exit_code = code
        kept.process = None
        if kept.child.kind == "once" and code == 0:
            self._set(kept, "done")
            kept.ready.set()
            return
        kept.ready.clear()
        self._set(kept, "down")
        if not kept.was_ready and (kept.starts >= TRIES_AT_START or code == CANNOT_START or kept.child.kind == "once"):
            raise Refusal(
                f"{kept.child.name} ended with {_how(code)} before it was ready{self._last_words(kept)} "
                f"See {self.log(kept.child.name)}, mend that, and start again."
            )

    def _not_ready(self, kept: _Kept) -> Refusal:
        return Refusal(
            f"{kept.child.name} was not ready after {kept.child.start_within_s:.0f} s{self._last_words(kept)} "
            f"See {self.log(kept.child.name)}; on a busy machine it may help to start again."
        )

    def _last_words(self, kept: _Kept) -> str:
        lines = _tail(self.log(kept.child.name))
        return f": {lines[-1]}" if lines else "."

    def _set(self, kept: _Kept, state: State) -> None:
        kept.state = state
        try:
            self._on_change()
        except OSError as fault:
            self._fail(
                Refusal(f"The stack cannot note its state: {fault.strerror}. Make room, or give the right to write, and start again.")
            )

    def _fail(self, fault: Exception) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(fault)

    async def _end(self, kept: _Kept, patience: float) -> str | None:
        """Ask a child to stop, then make it; its name if it had to be killed."""
        process, killed = kept.process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), max(0.5, patience))
            except TimeoutError:
                killed = kept.child.name
                process.kill()
                await process.wait()
            _sweep(process.pid)
            kept.exit_code = process.returncode
        kept.process = None
        kept.ready.clear()
        if kept.state not in ("done", "stopped"):
            self._set(kept, "stopped")
        return killed


def _levels(children: Sequence[Child]) -> list[list[str]]:
    """Names in groups: each child stands in a later group than those it comes after. Raises ValueError for a bad order."""
    names = {child.name for child in children}
    unknown = {name for child in children for name in child.after} - names
    if len(names) != len(children) or unknown:
        raise ValueError(f"children need names of their own and known predecessors; unknown: {sorted(unknown)}")
    order = TopologicalSorter({child.name: set(child.after) for child in children})
    try:
        order.prepare()
    except CycleError as cycle:
        raise ValueError(f"children wait for each other: {cycle.args[1]}") from cycle
    levels = []
    while order.is_active():
        levels.append(sorted(order.get_ready()))
        order.done(*levels[-1])
    return levels


def _sweep(leader: int) -> None:
    """Whatever a child left in its session ends with it: an orphan would hold its port."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


@contextlib.contextmanager
def _open_log(path: Path) -> Iterator[int]:
    """The log file for appending; a long one becomes ``NAME.log.1`` first (the one before that is given up)."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_name(path.name + ".1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _tail(path: Path, size: int = 4096) -> list[str]:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - size))
            return [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return []


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
