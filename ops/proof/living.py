"""The people and the accidents of ``prove asked``, as the clock's governor sees them: what they do at the moments of the script.

Time stands while they do it, as in every time-lapse; but on the evenings at the edge it passes at its own pace and waits for nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import random
import signal
import time as machine
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Final

import httpx

from hailong.domain.units import LOCAL
from hailong.ports import Retryable
from hailong.settings import Settings
from ops.local.stack import Stack
from ops.pace import InstallationPace
from ops.proof import faults
from ops.proof.breaks import bell
from ops.proof.citizens import LINK, TRIES, Visit, answer, opt_out
from ops.proof.fortnight import Act, Resident, Script, storm
from ops.proof.population import Sent
from ops.wiring import Wiring

EDGE_S: Final = 11.0
"""An evening passes from seven seconds before closing time to four after it."""
FROZEN: Final = (4.5, 8.0)
"""Between these seconds of it both workers of send stand still: what they would have done at once, they do after closing time."""
LONGEST: Final = timedelta(days=45)
"""After the last hand-in: by then nothing waits any more."""
_CITIZENS: Final = ("invitation", "reminder", "decide")
_SPEAK_AT: Final = (time(12, 7), time(21, 7))
"""When people answer: moments at which nothing is sent, so that a reminder is surely before or after them."""
_PATIENCE_S: Final = 40.0


@dataclass(frozen=True, order=True)
class _Coming:
    at: datetime
    n: int
    visit: Visit = field(compare=False)


@dataclass(frozen=True)
class _Edge:
    """Time at its own pace since a moment."""

    begun: datetime
    real: float

    def now(self) -> datetime:
        return self.begun + timedelta(seconds=self.passed())

    def passed(self) -> float:
        """Seconds."""
        return machine.monotonic() - self.real


class Life:
    """ops.clock.Pace. ``live`` does what is due until nothing waits any more."""

    def __init__(self, script: Script, settings: Settings, stack: Stack, say: Callable[[str], None]) -> None:
        self._acts = deque(script.acts())
        self._end = script.end
        self._settings, self._stack, self._say = settings, stack, say
        self._wiring = Wiring(settings)
        self._hailong = InstallationPace(settings)
        self._chance = random.Random(script.seed + 1)  # noqa: S311 (a seed is the point)
        self._people: dict[str, Resident] = {}
        self._coming: list[_Coming] = []
        self._reader = httpx.AsyncClient(timeout=30.0)
        self._after = 0
        self._listened: datetime | None = None
        self._busy = True
        self._edge: _Edge | None = None
        self._rung = False
        """Whether a worker shall fall asleep over its next reminder."""
        self.over = False
        self.sent: list[Sent] = []
        self.visits: dict[str, Visit] = {}
        self.acknowledged: set[str] = set()
        self.refused: dict[str, str] = {}
        self.reopened: set[str] = set()
        self.killed: Counter[str] = Counter()
        self.kills = 0
        self.slept = 0

    # --- what the governor asks (ops.clock.Pace)

    async def next_instant(self) -> datetime | None:
        """The earliest thing that hailong, a person or an accident waits for; on an edge, what the time is."""
        if self._edge is not None:
            return max(self._edge.now(), self.now() + timedelta(milliseconds=1))
        waiting = await self._hailong.next_instant()
        mine = [self._acts[0].at] if self._acts else []
        mine += [self._coming[0].at] if self._coming else []
        mine += [self._end] if self.now() < self._end else []
        return min([*mine, *([waiting] if waiting else [])], default=None)

    async def quiet(self) -> bool:
        """Whether nothing is under way; on an edge nobody asks."""
        if self._edge is not None:
            return True
        if self._busy or self.over or self._due() or not await self._hailong.quiet():
            return False
        if self._listened != self.now():
            self._listened = self.now()
            await self._listen()
            self.over = await asyncio.to_thread(self._nothing_waits)
        return not self._due() and not self.over

    async def close(self) -> None:
        await self._hailong.close()
        await self._reader.aclose()

    def now(self) -> datetime:
        return self._wiring.clock.now()

    def _due(self) -> bool:
        now = self.now()
        return bool((self._acts and self._acts[0].at <= now) or (self._coming and self._coming[0].at <= now))

    def _nothing_waits(self) -> bool:
        if self._acts or self._coming or self.now() < self._end:
            return False
        with self._hailong.ledger.read() as reader:
            waiting = reader.due_counts()
        return self.now() > self._end + LONGEST or not any(waiting.get(kind) for kind in _CITIZENS)

    # --- what happens

    async def live(self) -> None:
        """Do what is due, until nothing waits any more."""
        key = (self._settings.data_dir / "keys" / "intake.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(timeout=30.0) as client, httpx.AsyncClient(timeout=30.0, headers=headers) as desk:
            while not self.over:
                self._busy = True
                while self._acts and self._acts[0].at <= self.now():
                    await self._do(desk, self._acts.popleft())
                if self._rung and (pid := self._fallen_asleep()) is not None:
                    await self._sleep(pid)
                speaking = []
                while self._coming and self._coming[0].at <= self.now():
                    speaking.append(self._speak(client, heapq.heappop(self._coming).visit))
                await asyncio.gather(*speaking)
                self._busy = False
                await asyncio.sleep(0.01)

    async def _do(self, desk: httpx.AsyncClient, act: Act) -> None:
        if act.what == "hand_in":
            await self._hand_in(desk, act.sent)
        elif act.what == "reopen":
            await self._reopen(desk, act)
        elif act.what == "edge":
            await self._evening(desk, act)
        elif act.what == "storm":
            await self._storm(act)
        elif act.what == "sleep":
            bell(self._settings.data_dir).write_text("reminder", "utf-8")
            self._rung = True
        else:
            await asyncio.sleep(act.after_s)
            self._kill(act.part)

    def _kill(self, part: str) -> None:
        try:
            self._stack.kill(part)
        except (LookupError, ProcessLookupError):
            return  # it is down already, or died this very moment
        self.kills += 1
        self.killed[part] += 1
        self._say(f"{self.now():%d.%m %H:%M:%S}  kill {self.kills}: {part}")

    async def _hand_in(self, desk: httpx.AsyncClient, sent: tuple[Sent, ...]) -> None:
        for one in sent:
            self.sent.append(one)
            for address in filter(None, (one.person.phone, one.person.email)):
                assert isinstance(one.person, Resident)  # noqa: S101 (the script makes no others)
                self._people[address] = one.person
        await self._post(desk, [s.item for s in sent])

    async def _post(self, desk: httpx.AsyncClient, items: list[dict[str, Any]]) -> None:
        for attempt in range(60):
            with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
                told = await desk.post(f"{self._settings.intake_url}/v1/dossiers", json=items)
                if told.status_code in (202, 422):
                    self._take_down(items, told.json()["items"])
                    return
            await asyncio.sleep(min(0.3 * 1.5**attempt, 4.0))
        raise RuntimeError(f"intake at {self._settings.intake_url} confirmed nothing in 60 attempts; see logs/intake.log")

    def _take_down(self, items: list[dict[str, Any]], results: list[dict[str, Any]]) -> None:
        for result in results:
            code = items[result["index"]]["dossier_code"]
            if result["status"] == 202:
                self.acknowledged.add(code)
            else:
                self.refused[code] = result["error"]["reason"] if result["error"] else str(result["status"])

    async def _reopen(self, desk: httpx.AsyncClient, act: Act) -> None:
        sent = act.sent[0]
        self.reopened.add(sent.item["dossier_code"])
        later = datetime.fromisoformat(sent.item["finished_at"]) + timedelta(minutes=1)
        await self._post(desk, [sent.item | {"status_code": 4, "occurred_at": later.isoformat()}])

    # --- accidents

    async def _evening(self, desk: httpx.AsyncClient, act: Act) -> None:
        """Closing time at time's own pace: endings come in all the while, and both workers of send stand still over it."""
        self._say(f"{self.now():%d.%m %H:%M:%S}  an edge: time passes closing time at its own pace")
        edge = self._edge = _Edge(self.now(), machine.monotonic())
        freezing = asyncio.create_task(self._freeze(edge))
        posting = []
        for n, one in enumerate(act.sent):
            await asyncio.sleep(max(0.0, FROZEN[1] * n / len(act.sent) - edge.passed()))
            posting.append(asyncio.create_task(self._hand_in(desk, (one,))))
        await asyncio.sleep(max(0.0, EDGE_S - edge.passed()))
        await asyncio.gather(freezing, *posting)
        self._edge = None

    async def _freeze(self, edge: _Edge) -> None:
        await asyncio.sleep(FROZEN[0] - edge.passed())
        pids = [pid for name, pid in self._stack.pids().items() if name.startswith("send")]
        _signal(pids, signal.SIGSTOP)
        try:
            await asyncio.sleep(FROZEN[1] - edge.passed())
        finally:
            _signal(pids, signal.SIGCONT)

    async def _storm(self, act: Act) -> None:
        """The main provider of SMS refuses until the reserve has taken over; a sender is killed in it."""
        async with httpx.AsyncClient(base_url=self._stack.addresses["carrier"], timeout=5.0) as carrier:
            await faults.order(carrier, storm())
            over = await faults.carries(self._settings, "sms", faults.RESERVE, asyncio.Event())
            self._say(f"{self.now():%d.%m %H:%M:%S}  SMS refused; {'the reserve carries' if over else 'nobody took over'}")
            if act.part:
                await asyncio.sleep(act.after_s * self._chance.random())
                self._kill(act.part)
            await faults.clear(carrier)

    async def _sleep(self, pid: int) -> None:
        """A worker is asleep with reminders claimed and not handed over: their people opt out, and only then it wakes."""
        self._rung = False
        self.slept += 1
        self.killed["send asleep"] += 1
        self._say(f"{self.now():%d.%m %H:%M:%S}  a worker of send sleeps over its lease")
        try:
            async with httpx.AsyncClient(timeout=30.0) as client:
                await asyncio.gather(*(self._speak(client, visit) for visit in await asyncio.to_thread(self._claimed)))
        finally:
            _signal([pid], signal.SIGCONT)
        await asyncio.sleep(2.0)

    def _fallen_asleep(self) -> int | None:
        """The process that heard the bell; None while no reminder was claimed."""
        rung = bell(self._settings.data_dir)
        return next((int(heard.suffix[1:]) for heard in rung.parent.glob(f"{rung.name}.*")), None)

    def _claimed(self) -> list[Visit]:
        """The visits, by their invitations, of those whose reminder is claimed: they want no more messages now."""
        with self._hailong.ledger.read() as reader:
            refs = [c.ref for c in reader.claims() if c.state == "claimed" and c.purpose == "reminder"]
        codes = (self._wiring.code_for(ref, "invitation", channel) for ref in refs for channel in ("sms", "email"))
        visits = [self.visits[code] for code in codes if code in self.visits]
        for visit in visits:
            visit.wanted_out = True
        return visits

    # --- people

    async def _listen(self) -> None:
        """New messages at the carrier, once at every moment time stops at: some will answer them, some want no more."""
        try:
            told = await self._reader.get(f"{self._settings.carrier_url}/messages.json", params={"after": self._after, "limit": 1000})
        except httpx.HTTPError as e:
            raise Retryable(f"the carrier does not answer ({type(e).__name__})") from e
        for message in sorted(told.json(), key=lambda m: m["n"]):
            self._after = message["n"]
            found, person = LINK.search(message["body"]), self._people.get(message["to"])
            if found is not None and person is not None and found[1] not in self.visits:
                visit = self.visits[found[1]] = Visit(found[1], person.score, wanted_out=person.stops)
                self._intend(visit, person)

    def _intend(self, visit: Visit, person: Resident) -> None:
        r, now = self._chance, self.now().astimezone(LOCAL)
        if person.stops:
            # Half of them at a moment at which messages go out: the page must know whether theirs is under way.
            at = r.choice((datetime.combine(now.date() + timedelta(days=1), time(9), LOCAL), _speaking(now + timedelta(hours=1))))
        elif person.answers or r.random() < 0.15:
            at = _speaking(now + timedelta(hours=r.choice((1, 20, 70))))
        else:
            return
        heapq.heappush(self._coming, _Coming(at, len(self.visits), visit))

    async def _speak(self, client: httpx.AsyncClient, visit: Visit) -> None:
        """Answer or opt out, trying again like people. Time stands until what was thanked for is counted."""
        site = self._settings.survey_url
        until = machine.monotonic() + _PATIENCE_S
        for attempt in range(TRIES):
            try:
                done = await (opt_out(client, site, visit) if visit.wanted_out else answer(client, site, visit, ("slow",)))
                if done:
                    break
            except httpx.HTTPStatusError as e:
                if e.response.status_code == httpx.codes.GONE:
                    break  # the link has run out
            except httpx.HTTPError:
                pass
            await asyncio.sleep(min(0.3 * 1.5**attempt, 4.0))
        while visit.thanked and machine.monotonic() < until and not await asyncio.to_thread(self._counted, visit.code):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    def _counted(self, code: str) -> bool:
        with self._hailong.ledger.read() as reader:
            slot = reader.slot_by_code(code)
        return slot is None or slot.answered


def _speaking(at: datetime) -> datetime:
    """The next moment at which people answer."""
    today = (datetime.combine(at.date(), clock, LOCAL) for clock in _SPEAK_AT)
    return next((moment for moment in today if moment >= at), datetime.combine(at.date() + timedelta(days=1), _SPEAK_AT[0], LOCAL))


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
