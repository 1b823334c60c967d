"""``hailong demo``: a year of Lạc Sơn in time-lapse, on the real stack.

The simulated people do what people do: the desks hand in what ended, citizens open the link of their message and answer. Everything
in between is hailong itself. Time stands whenever something is still under way (``Agenda`` is what the clock's governor asks).
"""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from hailong.domain.people import normal_phone
from hailong.domain.units import LOCAL
from hailong.events import AlertChanged
from hailong.ports import Retryable
from hailong.settings import Settings
from ops.local.stack import Stack
from ops.pace import InstallationPace
from ops.proof.citizens import LINK, Visit, answer, opt_out
from ops.wiring import Wiring
from producers.registry import ALWAYS, Registrar, TargetRow, UnitRow
from producers.simulator import Plan, PlannedDossier

TARGET: Final = 0.87
HANDS_IN_AT: Final = time(12)
"""Once a working day the desks hand in what ended since."""
ANSWERS_AT: Final = (time(21),)
"""Answers come in at this moment of their day: a year has few enough of them to be over in minutes."""
OVERRIDES: Final[dict[str, Any]] = {
    "spread_minutes": 240,
    "slot_minutes": 240,
    "ask_at_once": False,
    "any_hour": False,
    "default_target": TARGET,
    "archive_within_s": 1.0,
    "provider_back_after_s": 2.0,  # real time, of which a day has little here
}
RATE: Final = 20.0
"""Days a second where nothing waits."""
FORTNIGHT: Final = timedelta(days=14)
NOTICE: Final = {
    "vi": (
        "Trình diễn. Công khai: quý I của huyện Lạc Sơn có 3.903 hồ sơ tiếp nhận, 2.658 hồ sơ kết thúc (báo cáo cộng lại lệch 11). "
        "Mọi thứ khác là mô phỏng: con người, ngày, câu trả lời, và tên các xã (Xã 01 … Xã 24)."
    ),
    "en": (
        "A demonstration. Public: in its first quarter the Lạc Sơn district received 3,903 dossiers and ended 2,658 (the report's own sums "
        "differ by 11). Everything else is simulated: people, days, answers, and the communes' names (Xã 01 … Xã 24)."
    ),
}


def notice_toml() -> str:
    """The notice as the officers' page reads it."""
    return "".join(f'{lang} = "{text}"\n' for lang, text in NOTICE.items())


@dataclass(order=True)
class _Moment:
    at: datetime
    number: int
    code: str = field(compare=False)
    dossier: PlannedDossier = field(compare=False)


MORNING: Final = timedelta(minutes=90)
"""The year is over so long after the opening hour of a working day: whoever looks at it then can also call somebody."""


class Agenda:
    """What the simulated people will do, and (with the ledger) whether hailong is done with what they did."""

    def __init__(self, plan: Plan, settings: Settings) -> None:
        self._wiring = Wiring(settings)
        midnight = datetime.combine(plan.start + timedelta(days=plan.days), time(0), LOCAL)
        self._end = self._wiring.rules(midnight.date()).call_hours.next_open(midnight) + MORNING
        self._hand_in = _hand_ins(plan)
        self._bars_us: datetime | None = datetime.combine(fortnight(plan, self._wiring) + timedelta(days=1), time(0), LOCAL)
        self._answers: list[_Moment] = []
        self._known: dict[str, list[PlannedDossier]] = defaultdict(list)
        """Recipient → dossiers handed in since their last message."""
        self._after = 0
        self._listened: datetime | None = None
        self._reader = httpx.AsyncClient(timeout=30.0)
        self.handed_in = 0
        self.thanked = 0
        self.opted_out = 0
        self._busy = True
        self._hailong = InstallationPace(settings)

    # --- what the governor asks (ops.clock.Pace)

    async def next_instant(self) -> datetime | None:
        """The earliest thing hailong or a simulated person waits for."""
        waiting = await self._hailong.next_instant()
        mine = [self._hand_in[0][0]] if self._hand_in else []
        mine += [self._answers[0].at] if self._answers else []
        return min([*mine, self._end, *([waiting] if waiting else [])])

    async def quiet(self) -> bool:
        """Whether nothing is under way."""
        if self._busy or self._due() or self.now() >= self._end:
            return False
        if not await self._hailong.quiet():
            return False
        if self._listened != self.now():
            # Once at every moment time stops at: what was sent then has arrived.
            self._listened = self.now()
            await self._listen()
        return not self._due()

    async def close(self) -> None:
        await self._hailong.close()
        await self._reader.aclose()

    def now(self) -> datetime:
        return self._wiring.clock.now()

    @property
    def over(self) -> bool:
        """Whether the year has passed."""
        return self.now() >= self._end

    def _due(self) -> bool:
        now = self.now()
        return bool((self._hand_in and self._hand_in[0][0] <= now) or (self._answers and self._answers[0].at <= now))

    # --- what people do

    async def live(self) -> None:
        """Do what is due, until the year is over."""
        key = (self._wiring.settings.data_dir / "keys" / "intake.key").read_text().strip()
        async with httpx.AsyncClient(timeout=30.0, headers={"Authorization": f"Bearer {key}"}) as client:
            while not self.over:
                self._busy = True
                while self._hand_in and self._hand_in[0][0] <= self.now():
                    await self._fall_out(client)
                    await self._hand(client, self._hand_in.pop(0)[1])
                speaking = []
                while self._answers and self._answers[0].at <= self.now():
                    speaking.append(self._speak(client, heapq.heappop(self._answers)))
                await asyncio.gather(*speaking)
                self._busy = False
                await asyncio.sleep(0.01)

    async def _fall_out(self, client: httpx.AsyncClient) -> None:
        """Once, the carrier plays a provider of SMS whose account is not active: the reserve carries on."""
        if self._bars_us is None or self._bars_us > self.now():
            return
        self._bars_us = None
        order = {"kind": "403", "match": {"api": "twilio"}}
        (await client.post(f"{self._wiring.settings.carrier_url}/faults", json=[order])).raise_for_status()

    async def _hand(self, client: httpx.AsyncClient, dossiers: list[PlannedDossier]) -> None:
        for start in range(0, len(dossiers), 500):
            part = dossiers[start : start + 500]
            told = await client.post(f"{self._wiring.settings.intake_url}/v1/dossiers", json=[d.item for d in part])
            told.raise_for_status()
            if told.json()["accepted"] != len(part):
                raise RuntimeError(f"intake took {told.json()['accepted']} of {len(part)} simulated dossiers; see logs/intake.log")
            self.handed_in += len(part)
        for d in dossiers:
            for address in _addresses(d):
                self._known[address].append(d)

    async def _listen(self) -> None:
        """New messages at the carrier: some will answer them."""
        address = f"{self._wiring.settings.carrier_url}/messages.json"
        try:
            told = await self._reader.get(address, params={"after": self._after, "limit": 1000})
        except httpx.HTTPError as e:
            raise Retryable(f"the carrier does not answer ({type(e).__name__})") from e
        for message in sorted(told.json(), key=lambda m: m["n"]):
            self._after = message["n"]
            found, dossiers = LINK.search(message["body"]), self._known.pop(message["to"], None)
            if found is not None and dossiers:
                self._intend(found[1], dossiers[-1])

    def _intend(self, code: str, dossier: PlannedDossier) -> None:
        if dossier.person.opts_out or dossier.answer is not None:
            delay = dossier.answer.delay if dossier.answer else timedelta(hours=2)
            heapq.heappush(self._answers, _Moment(_moment(self.now() + delay), len(self._answers) + self._after * 1000, code, dossier))

    async def _speak(self, client: httpx.AsyncClient, moment: _Moment) -> None:
        planned, site = moment.dossier.answer, self._wiring.settings.survey_url
        visit = Visit(moment.code, planned.score if planned else 3)
        if moment.dossier.person.opts_out:
            self.opted_out += await opt_out(client, site, visit)
        elif planned is not None and await answer(client, site, visit, planned.reasons):
            self.thanked += 1


def fortnight(plan: Plan, wiring: Wiring) -> date:
    """The first of fourteen days worth a look: the first holiday after some weeks is in their middle, if there is one."""
    earliest = plan.start + timedelta(days=10)
    days = [earliest + timedelta(days=n) for n in range(plan.days - 10 - FORTNIGHT.days)]
    holidays = [day for day in days if wiring.rules(day).hours.why_closed_on(day) == "holiday"]
    return max(earliest, holidays[0] - timedelta(days=5)) if holidays else earliest


def _hand_ins(plan: Plan) -> list[tuple[datetime, list[PlannedDossier]]]:
    """(moment, dossiers), in order: what ended until then since the last one."""
    days: dict[date, list[PlannedDossier]] = defaultdict(list)
    for dossier in plan.endings():
        ended = dossier.ended_at
        if ended is not None:
            day = ended.astimezone(LOCAL).date() + timedelta(days=int(ended.astimezone(LOCAL).time() > HANDS_IN_AT))
            while day.weekday() > 4:
                day += timedelta(days=1)
            days[day].append(dossier)
    return [(datetime.combine(day, HANDS_IN_AT, LOCAL), days[day]) for day in sorted(days)]


def _moment(at: datetime) -> datetime:
    """The next moment at which answers come in."""
    local = at.astimezone(LOCAL)
    for clock in ANSWERS_AT:
        if local.time() <= clock:
            return datetime.combine(local.date(), clock, LOCAL)
    return datetime.combine(local.date() + timedelta(days=1), ANSWERS_AT[0], LOCAL)


def _addresses(dossier: PlannedDossier) -> list[str]:
    phone = normal_phone(dossier.person.phone) if dossier.person.phone else None
    return [a for a in (phone.e164 if phone else None, dossier.person.email) if a]


@dataclass(frozen=True)
class Passed:
    """How the year went."""

    outcomes: dict[str, Any]
    alerts: list[AlertChanged]
    mails: list[dict[str, Any]]
    handed_in: int
    thanked: int
    seconds: float


async def pass_year(stack: Stack, agenda: Agenda, plan: Plan, tell: Callable[[datetime, Agenda], None]) -> None:
    """Let the year pass; ``tell`` hears of it about twice a second."""
    wiring = Wiring(stack.settings)
    publisher = wiring.publisher("demo")
    registrar = Registrar(wiring.ledger("cli"), publisher, stack.settings.registry_id)
    rows = [UnitRow(code=u.code, name=u.name, level=u.level, parent=u.parent, valid_from=ALWAYS, valid_to=None) for u in plan.units]
    await asyncio.to_thread(registrar.put_units, rows, agenda.now())
    await asyncio.to_thread(registrar.put_targets, [TargetRow(value=TARGET, valid_from=ALWAYS, source="demo")], agenda.now())
    publisher.close()
    living = asyncio.create_task(agenda.live())
    failing = asyncio.create_task(stack.failed())
    try:
        while not living.done():
            tell(agenda.now(), agenda)
            done, _ = await asyncio.wait([living, failing], timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in (living, failing):
            task.cancel()
    tell(agenda.now(), agenda)


async def settled(settings: Settings, within_s: float = 30.0) -> None:
    """Return when ClickHouse has every counted record (or after ``within_s``)."""
    wiring = Wiring(settings)
    ledger = wiring.ledger("demo")
    client = wiring.clickhouse()
    for _ in range(round(within_s / 0.2)):
        with ledger.read() as reader:
            counted = reader.counted()
        if client.query("SELECT max(seq) FROM counted").result_rows[0][0] >= counted:
            break
        await asyncio.sleep(0.2)
    ledger.close()


def write_notice(folder: Path) -> Path:
    """The notice's file, in the data folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "notice.toml"
    path.write_text(notice_toml(), "utf-8")
    return path
