"""People of a proof who answer by SMS. The carrier plays the network and the gateway that is described; both may die under a message.

A gateway goes on until it is answered with 2xx, always with the same id; sometimes it passes a message on twice at once, or once more
after it was taken. Some people write what is not clear first, and some who read no thanks write again.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

from hailong.domain.replies import QUOTED
from ops.carrier.gateway_api import JSON
from ops.proof.citizens import Visit

RECEIPT: Final = re.compile(r"\bHL-[0-9A-Z]{3}-[0-9A-Z]{3}-[0-9A-Z]{4}\b")
"""Stands in the SMS of thanks, and in no other."""
WORDS: Final = {1: "rat khong hai long", 2: "khong hai long", 3: "binh thuong", 4: "hai long", 5: "rat hai long"}
CLEAR: Final = ("{code} {score}", "hl {score} {low}", "{low} muc {score}", "{score} {code} a", "{low} {word}", "da ma {low} {score} diem")
UNCLEAR: Final = ("?", "{low} 3 hay 4", "{code} 9", "da nhan duoc tin", "ai vay", "ok")
TIMES: Final = 3
"""So often somebody writes who reads no thanks."""
_PATIENCE: Final = 20
_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True)
class Delivered:
    """The gateway was answered with 2xx. ``reply``: what it sent to the person, if anything."""

    reply: str

    @property
    def thanks(self) -> bool:
        """Whether the person was thanked."""
        return RECEIPT.search(self.reply) is not None


class Texting:
    """``amid`` is told when an answer is about to be passed on."""

    def __init__(self, site: str, carrier: str, seed: int, amid: Callable[[], None]) -> None:
        self._url = f"{site}/inbound/gateway/{JSON}"
        self._carrier = carrier
        self._seed = seed
        self._amid = amid

    async def answer(self, number: str, visit: Visit) -> None:
        """Answer a message as ``visit`` says, until there are thanks, or the person leaves it at that."""
        r = random.Random(f"{self._seed} {visit.code}")  # noqa: S311 (a seed is the point)
        await asyncio.sleep(3 * r.random())
        persists = r.random() < 0.5
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            if r.random() < 0.25:
                await self._pass_on(client, number, said(r.choice(UNCLEAR), visit), r)
            for time in range(TIMES):
                visit.posted += 1
                self._amid()
                told = await self._pass_on(client, number, said(r.choice(CLEAR), visit, whole=time > 0), r)
                if told is not None and told.thanks:
                    visit.thank()
                if told is not None and (told.thanks or not told.reply):
                    visit.kept = True  # taken, and nothing asked back: that is the promise to the gateway
                if visit.thanked or (visit.kept and not persists):
                    return
                await asyncio.sleep(4.0)
        visit.given_up = True

    async def _pass_on(self, client: httpx.AsyncClient, number: str, text: str, r: random.Random) -> Delivered | None:
        """One message; None when nobody took it. Sometimes twice at once, sometimes once more afterwards."""
        one, twice, after = f"{r.getrandbits(96):024x}", r.random() < 0.2, r.random() < 0.3
        tries = [self._until_taken(client, number, text, one) for _ in range(1 + twice)]
        told = [t for t in await asyncio.gather(*tries) if t is not None]
        if told and after:
            told += [t for t in [await self._until_taken(client, number, text, one)] if t is not None]
        return max(told, key=lambda t: (t.thanks, t.reply), default=None)

    async def _until_taken(self, client: httpx.AsyncClient, number: str, text: str, own: str) -> Delivered | None:
        message = {"gateway": JSON, "url": self._url, "sender": number, "text": text, "id": own}
        for attempt in range(_PATIENCE):
            try:
                told = (await client.post(f"{self._carrier}/inbound", json=message)).json()
                if httpx.codes.is_success(told["status"] or 0):
                    return Delivered(told["reply"])
            except (httpx.HTTPError, ValueError, KeyError):
                pass  # the carrier died over it: whether the site has it nobody knows
            await asyncio.sleep(min(0.5 * 1.5**attempt, 5.0))
        return None


def said(pattern: str, visit: Visit, *, whole: bool = False) -> str:
    """A text about the message of ``visit``. ``whole``: with all signs of its code; else with the first ones, unless the score could be
    read as the next of them: that is rightly asked back.
    """
    code = visit.code if whole or visit.code[QUOTED] == str(visit.score) else visit.code[:QUOTED]
    return pattern.format(code=code, low=code.lower(), score=visit.score, word=WORDS[visit.score])
