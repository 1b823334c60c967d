"""People of a proof who answer by another door than their message: dossier code, slip, telephone, help at the desk, paper, kiosk.

Each of them tries again until they are thanked. Slips are given out with the dossier; who helps enters through the officers' doors.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from hailong.ports import Invalid, Retryable
from ops.doors import OfficeDoors
from ops.proof.citizens import TRIES, Visit, answer_form, kind_of, read_form
from ops.proof.desks import Desks
from ops.proof.population import Sent


def key_of(dossier_code: str) -> str:
    """Under which such a visit stands among the others."""
    return f"dossier {dossier_code}"


@dataclass
class WalkIns:
    """All of them. ``visits``: shared with the citizens of links; ``doors``: of the officers."""

    site: str
    seed: int
    doors: OfficeDoors
    visits: dict[str, Visit]
    flush: Callable[[], None]
    """Publishes what the officers' doors left in their outbox; else the timer adopts it, which takes a minute."""
    desks: Desks
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def comes(self, sent: Sent) -> None:
        """Somebody's dossier was taken: they will answer about it."""
        key = key_of(sent.item["dossier_code"])
        if sent.way == "link" or key in self.visits:
            return
        self.visits[key] = Visit(key, sent.person.score, way=sent.way)
        task = asyncio.create_task(self._go(sent, self.visits[key]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def busy(self) -> int:
        """Those who are still at it."""
        return len(self._tasks)

    async def done(self) -> None:
        """Wait for everybody, then switch the devices off."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self.desks.close()

    async def _go(self, sent: Sent, visit: Visit) -> None:
        chance = random.Random(f"{self.seed} {visit.code}")  # noqa: S311 (a seed is the point)
        await asyncio.sleep(1 + 4 * chance.random())
        async with httpx.AsyncClient(timeout=8.0) as client:
            for attempt in range(TRIES):
                try:
                    if await self._enter(client, sent, visit):
                        return
                except httpx.HTTPError as e:
                    visit.turned_away[kind_of(e)] += 1
                except Retryable:
                    visit.turned_away["ledger away"] += 1
                await asyncio.sleep(min(0.5 * 1.5**attempt, 5.0))
        visit.given_up = True

    async def _enter(self, client: httpx.AsyncClient, sent: Sent, visit: Visit) -> bool:
        """One try; whether there is nothing more to try."""
        if sent.way == "paper":
            return await asyncio.to_thread(self._paper, sent, visit)
        if sent.way == "kiosk":
            return await self.desks.answer(sent, visit)
        if sent.way in ("call", "assisted"):
            address = await asyncio.to_thread(self._helped, sent)
        else:
            address = await self._by_code(client, sent, visit)
        if not address:
            return visit.thanked
        return await answer_form(client, self.site, visit, address.removeprefix(self.site), ("trips",))

    async def _by_code(self, client: httpx.AsyncClient, sent: Sent, visit: Visit) -> str:
        """The page that asks, behind the code; empty while there is none."""
        item: Mapping[str, Any] = sent.item
        typed = (
            {"slip": item["slip_code"]}
            if sent.way == "slip"
            else {"dossier": item["dossier_code"], "digits": (sent.person.phone or "")[-3:]}
        )
        told = await client.post(f"{self.site}/code", data=typed)
        if told.status_code == 200 and read_form(told.text).page == "already" and visit.posted:
            visit.thank()  # an earlier try got through although its answer was lost on the way
        return str(told.headers["location"]) if told.status_code == 303 else ""

    def _helped(self, sent: Sent) -> str:
        survey = self.doors.find(sent.item["dossier_code"])
        mode: Any = sent.way
        return (self.doors.open_door(survey, mode, "proof") or "") if survey else ""

    def _paper(self, sent: Sent, visit: Visit) -> bool:
        survey = self.doors.find(sent.item["dossier_code"])
        if survey is None:
            return False
        visit.posted += 1
        try:
            self.doors.submit_paper(survey, {"Q0": [str(visit.score)]}, "vi", "proof", None, b"")
        except Invalid as e:
            if e.reason not in ("answered", "unknown", "entered"):
                raise
        visit.thank()
        with suppress(Retryable):
            self.flush()
        return True
