"""``python -m ops.acceptance [--json]``: a line for each step; exit code 1 when one failed. ``hailong doctor --acceptance`` runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from hailong import telemetry
from hailong.settings import SettingError, load
from ops.acceptance import Step, examine
from ops.wiring import Wiring


def main(arguments: Sequence[str]) -> int:
    """0: hailong can begin here; 1: not yet; 2: a setting cannot be read."""
    try:
        settings = load()
        now = Wiring(settings).clock.now()
    except SettingError as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    telemetry.configure("acceptance", "error")
    steps = examine(settings, now)
    done = list(steps) if "--json" in arguments else list(_told(steps))
    if "--json" in arguments:
        sys.stdout.write(json.dumps([asdict(step) for step in done], ensure_ascii=False, indent=1) + "\n")
    return 0 if all(step.ok for step in done) else 1


def _told(steps: Iterator[Step]) -> Iterator[Step]:
    for step in steps:
        sys.stdout.write(f"{'ok ' if step.ok else 'NO '} {step.part:<10} {step.name}{f': {step.said}' if step.said else ''}\n")
        sys.stdout.flush()
        yield step


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
