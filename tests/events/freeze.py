"""``python -m tests.events.freeze``: write the golden file of a topic that has none, or of one that gained a field: the next in number.

One that is there is never written again.
"""

from __future__ import annotations

import sys

import msgspec

from hailong.events import encode
from tests.events.build import AT, FACTS
from tests.events.test_events import GOLDEN, golden_files

if __name__ == "__main__":
    for fact in FACTS:
        record = encode(fact, AT)
        files = golden_files(record.topic)
        if files and msgspec.json.decode(files[-1].read_bytes()).keys() == msgspec.json.decode(record.value).keys():
            continue
        path = GOLDEN / (f"{record.topic}.{len(files) + 1}.json" if files else f"{record.topic}.json")
        path.write_bytes(record.value + b"\n")
        sys.stdout.write(f"{path.name}\n")
