"""The survey devices of a proof, one at each desk: enrolled as the office does it, used by one person after the other.

Who stands before one types the number they drew, or the slip they were given, answers the short form and reads the thanks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx

from hailong.ports import Publisher
from ops.proof.citizens import Visit, read_form
from ops.proof.population import UNITS, Sent, unit
from ops.wiring import Wiring
from producers.registry import ALWAYS, Registrar, UnitRow

MOST_PAGES: Final = 4
"""Of the short form, and some."""


@dataclass
class Device:
    """A browser: it keeps its cookie for as long as the proof runs."""

    browser: httpx.AsyncClient
    in_use: asyncio.Lock = field(default_factory=asyncio.Lock)
    enrolled: bool = False


class Desks:
    """``address(unit)``: makes an address for enrolment; ``amid`` is told when an answer is about to be sent."""

    def __init__(self, site: str, address: Callable[[str], str], amid: Callable[[], None]) -> None:
        self._site = site
        self._address = address
        self._amid = amid
        self._devices: dict[str, Device] = {}

    async def close(self) -> None:
        """Switch all devices off."""
        for device in self._devices.values():
            await device.browser.aclose()

    async def answer(self, sent: Sent, visit: Visit) -> bool:
        """One try of somebody at the device of their desk; whether there is nothing more to try. Raises httpx.HTTPError, Retryable."""
        at = sent.item["receiving_unit_code"]
        if at not in self._devices:
            self._devices[at] = Device(httpx.AsyncClient(base_url=self._site, timeout=8.0))
        device = self._devices[at]
        async with device.in_use:
            if not device.enrolled:
                await self._enrol(device, at)
            return await self._stand_before(device.browser, sent, visit)

    async def _enrol(self, device: Device, at: str) -> None:
        """An address works once: when the site died over it and no cookie came, the office makes another one."""
        address = await asyncio.to_thread(self._address, at)
        shown = await _get(device.browser, address.removeprefix(self._site))
        told = await device.browser.post(read_form(shown.text).action)
        device.enrolled = told.status_code == 303

    async def _stand_before(self, browser: httpx.AsyncClient, sent: Sent, visit: Visit) -> bool:
        by, typed = next((by, sent.item[name]) for by, name in (("slip", "slip_code"), ("ticket", "ticket_no")) if name in sent.item)
        first = read_form((await _get(browser, "/kiosk")).text).page
        if first != "kiosk-start":
            visit.turned_away[first or "no page"] += 1
            return False
        field_ = read_form((await _get(browser, f"/kiosk?by={by}&lang=vi")).text)
        told = await browser.post(field_.action, data={by: typed})
        where = told.headers.get("location", "")
        if "/in/next" not in where:
            shown = read_form((await _get(browser, where)).text).page if where else ""
            if shown == "kiosk-answered" and visit.posted:
                visit.thank()  # an earlier try got through although its answer was lost on the way
            elif shown != "kiosk-answered":
                visit.turned_away[_said(where) or f"kiosk {told.status_code}"] += 1
            return shown == "kiosk-answered"
        return await self._answer(browser, where, visit)

    async def _answer(self, browser: httpx.AsyncClient, where: str, visit: Visit) -> bool:
        """The short form from its first page on, until the page of thanks is seen."""
        for n in range(MOST_PAGES):
            form = read_form((await _get(browser, where)).text)
            if form.page == "thanks":
                visit.thank()
                return True
            if n == 0:
                visit.posted += 1
                self._amid()
            answers = {"Q0": str(visit.score)} if n == 0 else {"Q7": "trips"}
            told = await browser.post(form.action, data={"form": form.sealed, **answers})
            if told.status_code != 303:
                visit.turned_away[f"kiosk answer {told.status_code}"] += 1
                return False
            visit.kept, visit.gave_reasons, where = True, n > 0, told.headers["location"]
        return False


def _said(where: str) -> str:
    """What the first screen is to say, and behind which field."""
    asked = parse_qs(urlsplit(where).query)
    return "kiosk " + " ".join(asked[name][0] for name in ("by", "said") if name in asked) if "said" in asked else ""


async def _get(browser: httpx.AsyncClient, address: str) -> httpx.Response:
    answer = await browser.get(address)
    answer.raise_for_status()
    return answer


def register(wiring: Wiring, publisher: Publisher) -> None:
    """The desks into the register of units, as `hailong import units` does: a device stands at one that is known. Raises Retryable."""
    rows = [
        UnitRow(code=unit(n), name=f"Xã {n + 1:02d}", level="commune", parent=None, valid_from=ALWAYS, valid_to=None) for n in range(UNITS)
    ]
    Registrar(wiring.ledger("cli"), publisher, wiring.settings.registry_id).put_units(rows, wiring.clock.now())
