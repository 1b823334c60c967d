"""decide: decisions a second of one worker on a backlog, beside the same records merely taken, decoded and answered with a fact."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.meters import Line, Meter, Report, between, ends
from bench.room import Room, lines_of, room

N: Final = 10_000
WANTED: Final = 0.6
_WARM: Final = 0.1
CLOSED: Final = "dossier.closed.v1"
DECIDED: Final = "survey.decided.v1"


async def decide(profiled: bool = False, n: int = N) -> Report:
    """One decide worker; Faust, QuixStreams and aiokafka beside it."""
    report = Report("decide", "decisions a second of one worker")
    async with room(["kafka", "store", "setup"], profiled=profiled) as here:
        await here.take_in(n, "1")
        for kind in ("faust", "aiokafka", "quixstreams"):
            report.lines.append(await peer(here, kind, CLOSED, n))
        file = here.settings.data_dir / "profile.txt" if profiled else None
        report.lines.append(await worker(here, n, file))
        report.lines.append(await peer(here, "faust", CLOSED, n, "-again"))
        report.profile = lines_of(file)
    own, framework = report.best("decide").cpu_us, report.best("faust").cpu_us
    why = (
        f"Of {own:.0f} CPU µs a decision Faust's taking and producing take {framework:.0f}, the rest is the ledger's transaction of 20: "
        "reading the slots, writing outcome, due row, contact and fact, one fsync."
    )
    report.goal("decide, of Faust's take-decode-produce", WANTED, "decide", "faust", why)
    return report


async def worker(here: Room, n: int, profile: Path | None = None) -> Line:
    """The role, from a tenth of its backlog to the end."""
    argv = ["ops.worker", "decide", "--slot", "0"]
    async with ends(here.settings.kafka) as log, here.process("decide-0", argv, profile=profile) as pid:
        return await between("decide", lambda: log.of(DECIDED, 4), int(n * _WARM), n, lambda: Meter(pid, here.others()))


async def peer(here: Room, kind: str, topic: str, n: int, run: str = "") -> Line:
    """A peer on the same records, from a tenth to the end."""
    out = f"bench.{kind}{run}.{topic}"
    await here.make_topic(out)
    argv = ["bench.peers", kind, topic, out, here.settings.kafka]
    async with ends(here.settings.kafka) as log, here.process(f"peer-{kind}{run}", argv) as pid:
        return await between(kind, lambda: log.of(out, 4), int(n * _WARM), n, lambda: Meter(pid, here.others()))
