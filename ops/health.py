"""Whether one process of an installation does its work: ``python -m ops.health ROLE [SLOT]`` or ``python -m ops.health SITE --port P``.

Run beside the process, in the same container: exit code 0 when it is well, else 1 and a sentence on stderr. A worker is well when the
process that wrote its progress file lives and has not stood still before records that wait; a site, when ``/readyz`` answers 200. The
timer has no records of its own: of it this only tells that it lives.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from hailong.settings import SettingError, Settings, load
from ops.local.readiness import Progress, read_progress

ROLES: Final = ("decide", "send", "count", "judge", "archive", "timer")
SITES: Final = ("intake", "survey", "dashboard")
"""As in ops.topics and ops.site; not imported from there, because this runs twice a minute beside each of them."""
STUCK_AFTER_S: Final = 120.0
"""A worker that has acknowledged nothing for so long, though records wait, is stuck."""
_WITHIN_S: Final = 5.0
_SLACK_S: Final = 2.0
"""The kernel tells the start of a process in ticks since the boot; the two clocks differ by less than this."""


class Unwell(Exception):
    """Why; a sentence."""


def site(port: int) -> None:
    """Raises Unwell unless the site on this machine's ``port`` is ready."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=_WITHIN_S)
    try:
        asked.request("GET", "/readyz")
        answer = asked.getresponse()
        said = answer.read(2_000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as e:
        raise Unwell(f"nothing answers on port {port} ({type(e).__name__})") from e
    finally:
        asked.close()
    if answer.status != http.client.OK:
        raise Unwell(f"not ready: {said}")


def worker(settings: Settings, role: str, slot: int, now: float) -> None:
    """Raises Unwell unless the worker lives and goes on. ``now``: seconds since 1970, real."""
    file = settings.data_dir / "run" / "progress" / f"{role}-{slot}.json"
    progress = read_progress(file)
    if progress is None:
        raise Unwell(f"{role}-{slot} has not started yet: there is no progress file")
    written = file.stat().st_mtime
    if not _wrote(progress.pid, written):
        raise Unwell(f"{role}-{slot}: the process that wrote its progress file is gone")
    if now - written > STUCK_AFTER_S and (waiting := asyncio.run(_waiting(settings.kafka, role, progress))):
        raise Unwell(f"{role}-{slot} has acknowledged nothing for {now - written:.0f} s, and {waiting} records wait. Its log says why.")


def _wrote(pid: int, at: float) -> bool:
    """Whether process ``pid`` lives here and did so at ``at`` already: after a restart of a container the same number is another one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    started = _started(pid)
    return started is None or started <= at + _SLACK_S


def _started(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None where the kernel has no such file."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, StopIteration):
        return None
    return boot + ticks / os.sysconf("SC_CLK_TCK")


async def _waiting(kafka: str, role: str, progress: Progress) -> int:
    """Records behind this worker's last acknowledged ones; 0 when the broker is away, which is the broker's illness and not ours."""
    at = {TopicPartition(topic, int(n)): next_ for (topic, _, n), next_ in ((k.rpartition(":"), v) for k, v in progress.positions.items())}
    if not at:
        return 0
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, client_id="hailong-health")
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, client_id="hailong-health", enable_auto_commit=False)
    try:
        async with asyncio.timeout(_WITHIN_S):
            await admin.start()
            await consumer.start()
            committed = await admin.list_consumer_group_offsets(f"hailong-{role}")
            ends = await consumer.end_offsets(list(at))
    except (KafkaError, OSError, TimeoutError):
        return 0
    finally:
        await consumer.stop()
        await admin.close()
    # A partition that went to another worker has been committed past what this one did of it.
    ours = [part for part, next_ in at.items() if part not in committed or committed[part].offset <= next_]
    return sum(max(0, ends[part] - at[part]) for part in ours)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.health", description="Whether a worker or a site on this machine is well.")
    parser.add_argument("name", choices=(*ROLES, *SITES))
    parser.add_argument("slot", type=int, nargs="?", default=0)
    parser.add_argument("--port", type=int, help="of a site")
    args = parser.parse_args(argv)
    if args.name in SITES and args.port is None:
        parser.error("a site needs --port")
    try:
        if args.name in SITES:
            site(args.port)
        else:
            worker(load(), args.name, args.slot, time.time())
    except (SettingError, Unwell) as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
