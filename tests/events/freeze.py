"""``python -m tests.events.freeze``: write the golden file of a topic that has none. One that is there is never written again."""

from __future__ import annotations

import sys
from pathlib import Path

from hailong.events import encode
from tests.events.build import AT, FACTS

GOLDEN = Path(__file__).parents[1] / "golden"

if __name__ == "__main__":
    for fact in FACTS:
        record = encode(fact, AT)
        path = GOLDEN / f"{record.topic}.json"
        if not path.exists():
            path.write_bytes(record.value + b"\n")
            sys.stdout.write(f"{path.name}\n")
