"""``python -m bench.sampled FILE MODULE ARGS…``: run a module as usual and write where its CPU time goes.

A timer of CPU time interrupts the process every 2 ms; each thread's CPU clock tells how much it has worked since, and that much is put
down to what it is doing now: under a function's name where it stands anywhere on the stack (``total``) or at its top (``self``).
"""

from __future__ import annotations

import atexit
import os
import re
import runpy
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

INTERVAL_S: Final = 0.002
SHOWN: Final = 30
_FRAMEWORK: Final = re.compile(r"runpy|threading.py|sampled.py|asyncio/runners|uvloop/|futures/thread|ops/worker.py")
"""What stands under everything and says nothing."""
_HERE: Final = Path(__file__).resolve().parents[1]
_IMPORTING: Final = "_find_and_load"


class Sampler:
    """Counts of functions seen on the stacks."""

    def __init__(self) -> None:
        self.top: Counter[str] = Counter()
        self.anywhere: Counter[str] = Counter()
        self.seconds = 0.0
        self._clocks: dict[int, float] = {}

    def __call__(self, _signal: int, interrupted: FrameType | None) -> None:
        here = threading.get_ident()
        for thread, frame in sys._current_frames().items():
            now = time.clock_gettime(time.pthread_getcpuclockid(thread))
            worked, self._clocks[thread] = now - self._clocks.get(thread, now), now
            at = interrupted if thread == here else frame
            if worked > 0 and at is not None:
                self._note(at, worked)

    def _note(self, frame: FrameType, worked: float) -> None:
        seen: set[str] = set()
        at: FrameType | None = frame
        while at is not None:
            if at.f_code.co_name == _IMPORTING:
                return  # start-up
            seen.add(_name(at))
            at = at.f_back
        self.seconds += worked
        self.top[_name(frame)] += worked  # type: ignore[assignment]  # a Counter adds up seconds as well
        for name in seen:
            self.anywhere[name] += worked  # type: ignore[assignment]

    def text(self) -> str:
        """The report: at the top of the stack, anywhere on it, and anywhere on it of our own functions."""
        lines = [f"{self.seconds:.2f} CPU seconds after start-up"]
        ours = Counter({name: n for name, n in self.anywhere.items() if name.startswith("./")})
        for title, counts in (("self", self.top), ("total", self.anywhere), ("ours", ours)):
            shown = [(name, n) for name, n in counts.most_common() if title == "self" or not _FRAMEWORK.search(name)][:SHOWN]
            lines += [f"  {title} {n / max(self.seconds, 1e-9):5.1%}  {name}" for name, n in shown]
        return "\n".join(lines) + "\n"


def _name(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    own = path.is_relative_to(_HERE) and "site-packages" not in path.parts
    return f"{'./' + str(path.relative_to(_HERE)) if own else path.parent.name + '/' + path.name}:{frame.f_code.co_qualname}"


@contextmanager
def sampling(wanted: bool) -> Iterator[list[str]]:
    """Sample this process, if wanted; the report's lines are in the list afterwards."""
    lines: list[str] = []
    if not wanted:
        yield lines
        return
    sampler = Sampler()
    before = signal.signal(signal.SIGPROF, sampler)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
    try:
        yield lines
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        lines += sampler.text().splitlines()


def main() -> None:
    report, module = Path(sys.argv[1]), sys.argv[2]
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
    pid = os.getpid()

    def write() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if os.getpid() == pid:
            report.write_text(sampler.text())

    atexit.register(write)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # a site's server ends by raising it again, which writes nothing
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
