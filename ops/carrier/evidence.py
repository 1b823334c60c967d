"""The journal read back by somebody else: while the carrier runs, or after it is dead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ops.carrier.reading import message_json
from ops.carrier.records import Accepted, Record, Refused, Told
from ops.carrier.register import Register


@dataclass(frozen=True)
class Evidence:
    """``messages``: every accepted message as ``/messages.json`` shows it, oldest first; ``refused``; answers to receipts (``told``)."""

    messages: tuple[dict[str, Any], ...]
    refused: tuple[Refused, ...]
    told: tuple[Told, ...]


def records(path: Path) -> Iterator[Record]:
    """Every whole line, in order; a last line without its end is left out. Raises OSError, msgspec.MsgspecError."""
    decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield decoder.decode(line)


def read(path: Path) -> Evidence:
    """All a journal tells. Raises OSError, msgspec.MsgspecError."""
    register, accepted, refused, told = Register(), list[Accepted](), list[Refused](), list[Told]()
    for record in records(path):
        register.apply(record, 0, 0)
        match record:
            case Accepted():
                accepted.append(record)
            case Refused():
                refused.append(record)
            case Told():
                told.append(record)
            case _:
                pass
    messages = tuple(message_json(message, entry) for message, entry in zip(accepted, register.after(0), strict=True))
    return Evidence(messages, tuple(refused), tuple(told))
