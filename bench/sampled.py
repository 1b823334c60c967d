"""``python -m bench.sampled FILE MODULE ARGS…``: run a module as usual and write where its CPU time goes.

A timer of CPU time interrupts the process every 2 ms; what every thread does at that moment is noted, unless it only waits. The share of
a function counts the samples in which it stands anywhere on a stack (``total``) or at its top (``self``).
"""

from __future__ import annotations

import atexit
import os
import re
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

INTERVAL_S: Final = 0.002
SHOWN: Final = 30
_FRAMEWORK: Final = re.compile(r"runpy|threading.py|sampled.py|asyncio/runners|uvloop/|futures/thread|ops/worker.py")
"""What stands under everything and says nothing."""
_WAITING: Final = frozenset(
    {"select", "poll", "wait", "_worker", "_wait_for_tstate_lock", "get", "acquire", "accept", "run_forever", "run_until_complete", "run"}
)


_IMPORTING: Final = "_find_and_load"


class Sampler:
    """Counts of functions seen on the stacks."""

    def __init__(self) -> None:
        self.top: Counter[str] = Counter()
        self.anywhere: Counter[str] = Counter()
        self.samples = 0

    def __call__(self, _signal: int, frame: FrameType | None) -> None:
        frames = [f for f in sys._current_frames().values() if f.f_code.co_filename != __file__]
        for at in [*frames, *([frame] if frame is not None else [])]:
            if at.f_code.co_name not in _WAITING:
                self._note(at)

    def _note(self, frame: FrameType) -> None:
        seen: set[str] = set()
        at: FrameType | None = frame
        while at is not None:
            if at.f_code.co_name == _IMPORTING:
                return  # start-up
            seen.add(_name(at))
            at = at.f_back
        self.samples += 1
        self.top[_name(frame)] += 1
        self.anywhere.update(seen)

    def text(self) -> str:
        """The report."""
        all_ = max(self.samples, 1)
        lines = [f"{self.samples} samples"]
        for title, counts in (("self", self.top), ("total", self.anywhere)):
            shown = [(name, n) for name, n in counts.most_common() if not _FRAMEWORK.search(name)][:SHOWN]
            lines += [f"  {title} {n / all_:5.1%}  {name}" for name, n in shown]
        return "\n".join(lines) + "\n"


def _name(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    return f"{path.parent.name}/{path.name}:{frame.f_code.co_qualname}"


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
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
