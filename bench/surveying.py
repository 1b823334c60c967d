"""survey: pages (GET) and answers (POST) a second of one web worker, beside a bare Starlette page and a bare aiokafka produce that waits
like the site; what an answer waits at a steady pace; what pages weigh over the wire."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, Final

import aiohttp
from aiokafka import AIOKafkaProducer

from bench.load import REGISTRY, START
from bench.meters import Goal, Latency, Line, Meter, Report, latency
from bench.room import PORTS, Room, lines_of, room
from hailong.domain import links
from hailong.events import About, Record, SurveyAnswered, encode
from ops.local.ports import Ports
from surveys.answers.asking import FIELD
from surveys.answers.form_state import FormState, Sealer
from surveys.wording import library

N: Final = 4_000
AT_ONCE: Final = 32
_BARE_PORT: Final = PORTS + 8
_WARM: Final = 200
STEADY: Final = 200
"""Answers a second, for their delay."""
STEADY_N: Final = 2_000
GOAL_MS: Final = 100.0
_ABOUT: Final = About(
    receiving_unit="C01", handling_unit="C01", field="land", submission_channel="counter", ending="result_returned", timeliness="on_time",
    month="2026-03",
)  # fmt: skip


async def survey(profiled: bool = False, n: int = N) -> Report:
    """Each POST is a citizen's first answer; 303 only after the broker has acknowledged."""
    report = Report("survey", f"answers a second, {AT_ONCE} at once")
    async with room(["kafka", "store", "setup"]) as here:
        forms = [_form(here, i) for i in range(n + _WARM)]
        async with here.process("bare", ["bench.bare_site", str(_BARE_PORT)]) as pid:
            report.lines.append(await _got(here, "bare Starlette GET", pid, _BARE_PORT, forms))
            report.lines.append(await _posted(here, "bare Starlette page", pid, _BARE_PORT, forms))
        report.lines.append(await _produced(here, n))
        port = Ports.from_base(PORTS).survey
        file = here.settings.data_dir / "profile.txt" if profiled else None
        argv = ["ops.site", "survey", "--port", str(port)]
        async with here.process("survey", argv, profile=file) as pid:
            report.lines.append(await _got(here, "survey site GET", pid, port, forms))
            report.lines.append(await _posted(here, "survey site", pid, port, forms))
            late, steady = await _steadily([_form(here, n + _WARM + i) for i in range(STEADY_N)], port)
            report.latencies.append(steady)
            report.notes.append(f"at {STEADY}/s the latest request began {late * 1000:.0f} ms after its moment")
            report.notes += await _weights(here, port)
        report.profile = lines_of(file)
    report.goal("survey GET, of a bare Starlette page", 0.0, "survey site GET", "bare Starlette GET")
    report.goal("survey POST, of a bare Starlette page", 0.0, "survey site", "bare Starlette page")
    report.goals.append(Goal(f"survey POST at {STEADY}/s: {GOAL_MS:.0f} ms over its p99", 1.0, GOAL_MS / max(steady.p99, 0.1)))
    report.notes.append("The client is on the same machine and takes its share of it: CPU apiece is the firmer figure.")
    return report


async def _got(here: Room, name: str, pid: int, port: int, forms: list[tuple[str, dict[str, str]]]) -> Line:
    base = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as client:
        await _answers(client, base)

        async def get(form: tuple[str, dict[str, str]]) -> None:
            async with client.get(f"{base}/{form[0]}/next", params={"f": form[1][FIELD]}) as answer:
                if answer.status != 200 or not await answer.read():
                    raise RuntimeError(f"{name} answered {answer.status}")

        await _at_once([lambda f=f: get(f) for f in forms[:_WARM]])  # type: ignore[misc]
        meter = Meter(pid, here.others())
        await _at_once([lambda f=f: get(f) for f in forms[_WARM:]])  # type: ignore[misc]
        return meter.line(name, len(forms) - _WARM)


async def _steadily(forms: list[tuple[str, dict[str, str]]], port: int) -> tuple[float, Latency]:
    """Answers at a steady pace, whoever is still waiting: (seconds the latest began too late, delays from its moment)."""
    took: list[float] = []
    late = 0.0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def post(form: tuple[str, dict[str, str]], moment: float) -> None:
            async with client.post(f"http://127.0.0.1:{port}/{form[0]}", data=form[1], allow_redirects=False) as answer:
                if answer.status == 303:
                    took.append(time.monotonic() - moment)

        begin, tasks = time.monotonic() + 0.1, []
        for i, form in enumerate(forms):
            moment = begin + i / STEADY
            await asyncio.sleep(max(0.0, moment - time.monotonic()))
            late = max(late, time.monotonic() - moment)
            tasks.append(asyncio.create_task(post(form, moment)))
        await asyncio.gather(*tasks)
    return late, latency(f"survey POST at {STEADY}/s", took, len(forms))


async def _weights(here: Room, port: int) -> list[str]:
    """Bytes of pages over the wire, as a browser that takes gzip gets them, without headers."""
    code, fields = _form(here, 0)
    said = []
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        for name, path in (
            ("question", f"/{code}/next?f={fields[FIELD]}"),
            ("notice", "/notice"),
            ("verify", "/verify"),
            ("code", "/code"),
        ):
            for lang in ("vi", "en"):
                joint = "&" if "?" in path else "?"
                address = f"http://127.0.0.1:{port}{path}{joint}lang={lang}"
                async with client.get(address, headers={"Accept-Encoding": "gzip"}) as answer:
                    said.append(f"{name} ({lang}): {len(await answer.read()):,} bytes")
    return ["weights: " + " · ".join(said)]


def _form(here: Room, i: int) -> tuple[str, dict[str, str]]:
    """(code, fields) as a browser sends the first page."""
    asked = library().current
    code = here.wiring.code_for(f"survey-{i}", "invitation", "sms")
    state = FormState(
        survey_id=f"survey-{i}", code_hash=links.code_hash(code), about=_ABOUT, expires_at=None, language="vi", questionnaire=asked.id,
        version=asked.version, nonce=f"{i:032x}", page=asked.pages[0].number, desk="Xã 01", ended_on=date(2026, 3, 2), shown_at=START,
    )  # fmt: skip
    sealer = Sealer([base64.urlsafe_b64encode(here.wiring.keys.named("forms"))])
    return code, {FIELD: sealer.seal(state), "Q0": "5"}


async def _posted(here: Room, name: str, pid: int, port: int, forms: list[tuple[str, dict[str, str]]]) -> Line:
    base = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as client:
        await _answers(client, base)

        async def post(form: tuple[str, dict[str, str]]) -> None:
            async with client.post(f"{base}/{form[0]}", data=form[1], allow_redirects=False) as answer:
                if answer.status != 303:
                    raise RuntimeError(f"{name} answered {answer.status}: {(await answer.text())[:200]}")

        await _at_once([lambda f=f: post(f) for f in forms[:_WARM]])  # type: ignore[misc]
        meter = Meter(pid, here.others())
        await _at_once([lambda f=f: post(f) for f in forms[_WARM:]])  # type: ignore[misc]
        return meter.line(name, len(forms) - _WARM)


async def _answers(client: aiohttp.ClientSession, base: str) -> None:
    for _ in range(200):
        try:
            async with client.get(f"{base}/healthz", allow_redirects=False):
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)
    raise RuntimeError(f"{base} does not answer")


async def _at_once(work: list[Callable[[], Awaitable[Any]]]) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(do: Callable[[], Awaitable[Any]]) -> None:
        async with places:
            await do()

    await asyncio.gather(*(one(do) for do in work))


async def _produced(here: Room, n: int) -> Line:
    """The same facts, as many at once, each waited for; with the site's linger."""
    producer: Any = AIOKafkaProducer(bootstrap_servers=here.settings.kafka, acks="all", enable_idempotence=True, linger_ms=5)
    await producer.start()

    async def send(record: Record) -> None:
        await producer.send_and_wait(record.topic, key=record.key, value=record.value, headers=list(record.headers))

    records = [_answer(i) for i in range(n)]
    meter = Meter(os.getpid(), here.others())
    await _at_once([lambda r=r: send(r) for r in records])  # type: ignore[misc]
    line = meter.line("bare aiokafka produce", n)
    await producer.stop()
    return line


def _answer(i: int) -> Record:
    fact = SurveyAnswered(
        event_id=f"bench-{i}", registry_id=REGISTRY, survey_id=f"bench-{i}", questionnaire="ttp-core", questionnaire_version=1,
        mode="link", language="vi", page=1, answers={"Q0": 5}, nonce=f"{i:032x}", answered_at=START, about=_ABOUT,
    )  # fmt: skip
    return encode(fact, START)
