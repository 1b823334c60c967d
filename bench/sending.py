"""send: messages a second of one send worker on a backlog, beside a mere take-decode-produce, and beside the channel without a ledger."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from bench.deciding import DECIDED, peer
from bench.load import phone
from bench.meters import Line, Meter, Report, between, ends
from bench.room import Room, lines_of, room
from hailong.events import MessageChannel
from hailong.ports import OutgoingMessage
from ops.wiring import Wiring

N: Final = 5_000
MAILS: Final = 1_000
WANTED: Final = 0.6
_WARM: Final = 0.1
DELIVERY: Final = "survey.delivery.v1"
_PARTS: Final = ["kafka", "store", "carrier", "setup"]


async def send(profiled: bool = False, n: int = N) -> Report:
    """One send worker with SMS, then with mail."""
    report = Report("send", "messages a second of one worker")
    async with room(_PARTS) as here:
        await _decided(here, n, "1", "phone")
        report.lines.append(await peer(here, "faust", DECIDED, n))
        report.lines.append(await peer(here, "aiokafka", DECIDED, n))
        report.lines.append(await peer(here, "quixstreams", DECIDED, n))
        report.lines.append(await channel_alone(here, "sms", n))
        file = here.settings.data_dir / "profile.txt" if profiled else None
        report.lines.append(await worker(here, "send, sms", 0, n, file))
        report.profile = lines_of(file)
        await _decided(here, MAILS, "2", "email")
        report.lines.append(await worker(here, "send, e-mail", n, MAILS))
        report.lines.append(await channel_alone(here, "email", MAILS))
        report.lines.append(await peer(here, "faust", DECIDED, n, "-again"))
    own, channel, framework = (report.best(name).cpu_us for name in ("send, sms", "sms channel alone", "faust"))
    why = (
        f"Of {own:.0f} CPU µs a message the channel itself (Twilio's SDK, one HTTP request each) takes {channel:.0f}, "
        f"taking the wake-up facts by Faust up to {framework:.0f}, the rest is the ledger: claim, checks, settlement, two facts."
    )
    report.goal("send by SMS, of Faust's take-decode-produce", WANTED, "send, sms", "faust", why)
    report.goal("send by SMS, of the SMS channel alone", 0.0, "send, sms", "sms channel alone")
    report.goal("send by e-mail, of the mail channel alone", 0.0, "send, e-mail", "email channel alone")
    return report


async def _decided(here: Room, n: int, run: str, contact: str) -> None:
    """``n`` invitations that are due."""
    async with ends(here.settings.kafka) as log:
        before = await log.of(DECIDED, 4)
        await here.take_in(n, run, only=contact)
        async with here.process("decide-0", ["ops.worker", "decide", "--slot", "0"]) as pid:
            await between("decide", lambda: log.of(DECIDED, 4), before, before + n, lambda: Meter(pid, {}))


async def worker(here: Room, name: str, before: int, n: int, profile: Path | None = None) -> Line:
    """The role, from a tenth of its backlog to the end. Each message is two facts: claimed, handed over."""
    argv = ["ops.worker", "send", "--slot", "0"]

    async def sent() -> int:
        return await log.of(DELIVERY, 4) // 2 - before

    async with ends(here.settings.kafka) as log, here.process("send-0", argv, profile=profile) as pid:
        return await between(name, sent, int(n * _WARM), n, lambda: Meter(pid, here.others()))


async def channel_alone(here: Room, kind: MessageChannel, n: int) -> Line:
    """The same adapter handing over as many messages at once as a worker does, with nothing around it."""
    out = Wiring(here.settings).out
    channel = out.open()[out.by_channel[kind].main]
    places = asyncio.Semaphore(here.settings.send_parallel)

    async def one(i: int) -> None:
        to = f"+84{phone(i, '8')[1:]}" if kind == "sms" else f"alone{i}@citizen.example"
        message = OutgoingMessage(
            f"alone-{i}", kind, to, "Khao sat", f"https://khaosat.example/{i:012d}", None, str(i), None, None, "vi"
        )  # fmt: skip
        async with places:
            await channel.send(message)

    meter = Meter(os.getpid(), here.others())
    await asyncio.gather(*(one(i) for i in range(n)))
    line = meter.line(f"{kind} channel alone", n)
    await channel.close()
    return line
