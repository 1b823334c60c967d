"""The survey site as a process of its own, over twins. The log is a file; while FOLDER/away exists it refuses.

Arguments: folder, port.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import uvicorn

from hailong import telemetry
from hailong.events import Record
from hailong.ports import Retryable
from surveys.answers.spool import Spool
from surveys.site import build_site
from tests.survey.twins import HandClock, MemoryLedger, MemoryLog, parts, slot
from web.assembly import server

SLOTS = [f"s-{n}" for n in range(60)]
BROKEN = "broken"


class FileLog:
    """Acknowledges what is written through."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def publish(self, records: Sequence[Record]) -> None:
        if (self._folder / "away").exists():
            raise Retryable("log: away")
        with (self._folder / "log").open("ab") as file:
            file.write(b"".join(msgspec.json.encode(r) + b"\n" for r in records))
            file.flush()
            os.fsync(file.fileno())


class Fragile(MemoryLedger):
    """Has a slot that makes it fail in a way nobody expected, with what was typed in the message."""

    def slot_by_code(self, code: str):  # type: ignore[no-untyped-def]  # as its parent
        found = super().slot_by_code(code)
        if found and found.survey_id == BROKEN:
            raise RuntimeError(f"no such thing: {code}, 0912345678")
        return found


async def main(folder: Path, port: int) -> None:
    telemetry.configure("survey", "debug")
    ledger = Fragile()
    for survey_id in [*SLOTS, BROKEN]:
        ledger.add(slot(survey_id))
    made = parts(folder / "unused", ledger, MemoryLog(), HandClock(), [0.0])
    made.spool.close()
    made = replace(
        made,
        publisher=FileLog(folder),
        spool=Spool(folder / "spool", f"w-{os.getpid()}"),
        new_nonce=lambda: uuid.uuid4().hex,
        monotonic=time.monotonic,
    )
    await uvicorn.Server(server(build_site(made), "127.0.0.1", port)).serve()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
