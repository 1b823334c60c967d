"""Anchors of the audit trail: (number, hash) of its newest line, kept apart from the database, so that a cut end is found.

The timer drops one an hour while the trail grows: as a line of a file beside the data, which ``hailong audit verify`` reads by itself,
and as a line of its log, which a log collector takes to where neither the database's nor this machine's owner can change it. Both,
because whoever can rewrite the ledger of a local stack can rewrite the file beside it, too; and because nobody compares log lines by
hand every day.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from hailong import telemetry
from hailong.ports import Retryable
from sinks.ledger import Ledger

EVERY: Final = timedelta(hours=1)
LOOK_AGAIN: Final = timedelta(minutes=1)
_LINE: Final = re.compile(r"(\d{1,18}) ([0-9a-f]{64}) \S+")
log = telemetry.log("ops.anchors")


class Anchors:
    """The file under ``data_dir``, appended to only."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "run" / "audit-anchors"
        self._next: datetime | None = None

    def read(self) -> dict[int, str]:
        """Number → hash. A line that was cut by a full disk is passed over; of a number that stands twice the first holds."""
        if not self.path.exists():
            return {}
        found = [_LINE.fullmatch(line) for line in self.path.read_text("ascii", "replace").splitlines()]
        return {int(m[1]): m[2] for m in reversed(found) if m is not None}

    def drop(self, ledger: Ledger, real_now: datetime) -> bool:
        """Keep the newest line when it is time and there is a new one; whether it was. Raises Retryable."""
        if self._next is not None and real_now < self._next:
            return False
        with ledger.read() as reader:
            seq, digest = reader.audit_end()
        kept = self.keep(seq, digest, real_now)
        self._next = real_now + (EVERY if kept else LOOK_AGAIN)
        return kept

    def keep(self, seq: int, digest: str, real_now: datetime) -> bool:
        """Append an anchor; False when that line is anchored already. Raises Retryable, the log line written."""
        if seq == 0 or seq in self.read():
            return False
        log.info("audit anchor", seq=seq, hash=digest)
        try:
            self._append(f"{seq} {digest} {real_now.isoformat(timespec='seconds')}\n")
        except OSError as e:
            raise Retryable(f"the anchors of the audit trail in {self.path} cannot be written ({e.strerror})", after=60) from e
        return True

    def _append(self, line: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="ascii") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
