"""A real process that writes to a spool and says what was acknowledged, until it is killed. Arguments: folder, name."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from hailong.events import Record
from surveys.answers.spool import Spool


def record(worker: str, number: int) -> Record:
    """A record as long as an answer, told apart by its key."""
    return Record("survey.answered.v1", f"{worker}:{number}".encode(), b'{"n":%d}' % number + b" " * 600, (("ce_id", b"%d" % number),))


if __name__ == "__main__":
    spool = Spool(Path(sys.argv[1]), sys.argv[2])
    for number in count(1):
        spool.append(record(sys.argv[2], number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
