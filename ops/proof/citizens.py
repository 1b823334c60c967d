"""Citizens of a proof: they read what the carrier has for them, open the link, answer, and try again like people.

What they were told is their own record, kept here and nowhere in hailong: the evidence that thanks are kept.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any, Final

import httpx

from ops.proof.population import Person

TRIES: Final = 40
"""Three minutes and more: on a busy machine a site that dies every few seconds is away for most of one."""
APART: Final = httpx.Limits(max_connections=None, max_keepalive_connections=20)
"""Everybody has a connection of their own; a common pool makes one wait for another."""
_UNDER_WAY: Final = "có thể vẫn đến nơi"
"""What the page says when it cannot promise yet that nothing more arrives: whoever reads it tries again."""
LINK: Final = re.compile(r"https?://\S+?/([0-9A-Z]{12,26})(?![0-9A-Z/])")


@dataclass
class Visit:
    """What one citizen did with one message, and what they were told."""

    code: str
    score: int
    posted: int = 0
    """Submissions of Q0 that left this side, whatever came back."""
    thanked: bool = False
    thanked_at: datetime | None = None
    """Real time at which the thanks were read."""
    gave_reasons: bool = False
    opted_out_at: datetime | None = None
    """Real time at which the page confirmed, without reserve, that no message will come."""
    wanted_out: bool = False
    given_up: bool = False
    way: str = "link"
    """By which door they come: a Way of the population, or ``sms``."""
    turned_away: Counter[str] = field(default_factory=Counter)
    """What came instead of thanks, by try."""
    kept: bool = False
    """An answer of theirs was acknowledged to whoever passed it on (the device's browser, the gateway), thanked for or not."""

    def thank(self) -> None:
        """The page gave thanks."""
        self.thanked, self.thanked_at = True, self.thanked_at or datetime.now(UTC)


@dataclass
class Citizens:
    """All of them. ``people`` finds who is behind a recipient."""

    site: str
    carrier: str
    seed: int
    people: dict[str, Person]
    visits: dict[str, Visit] = field(default_factory=dict)
    """By code."""
    text: Callable[[str, Visit], Coroutine[Any, Any, None]] | None = None
    """(number, visit): answers the message by SMS."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, stop: asyncio.Event) -> None:
        """Look for new messages until told to stop; then finish what was begun."""
        chance = random.Random(self.seed)  # noqa: S311 (a seed is the point)
        after = 0
        async with httpx.AsyncClient(timeout=8.0, limits=APART) as client:
            while not stop.is_set():
                after = await self._look(client, after, chance)
                await asyncio.sleep(0.3)
            after = await self._look(client, after, chance)
            if self._tasks:
                await asyncio.wait(self._tasks)

    def busy(self) -> int:
        """Citizens who are still at it."""
        return len(self._tasks)

    async def _look(self, client: httpx.AsyncClient, after: int, chance: random.Random) -> int:
        try:
            answer = await client.get(f"{self.carrier}/messages.json", params={"after": after, "limit": 500})
            answer.raise_for_status()
            messages = answer.json()
        except (httpx.HTTPError, ValueError):
            return after
        for message in sorted(messages, key=lambda m: m["n"]):
            after = max(after, message["n"])
            found, person = LINK.search(message["body"]), self.people.get(message["to"])
            if found is None or person is None or found[1] in self.visits:
                continue
            visit = self.visits[found[1]] = Visit(found[1], person.score, wanted_out=person.stops)
            if self.text is not None and person.texts:
                visit.way = "sms"
                self._begin(self.text(message["to"], visit))
            elif person.stops or person.answers:
                self._begin(self._go(client, visit, chance.random() * 3.0))
        return after

    def _begin(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go(self, client: httpx.AsyncClient, visit: Visit, wait: float) -> None:
        await asyncio.sleep(wait)
        for attempt in range(TRIES):
            try:
                if await (self._stop(client, visit) if visit.wanted_out else self._answer(client, visit)):
                    return
            except httpx.HTTPError as e:
                visit.turned_away[kind_of(e)] += 1
            await asyncio.sleep(min(0.5 * 1.6**attempt, 5.0))
        visit.given_up = True

    async def _answer(self, client: httpx.AsyncClient, visit: Visit) -> bool:
        return await answer(client, self.site, visit, ("slow", "attitude"))

    async def _stop(self, client: httpx.AsyncClient, visit: Visit) -> bool:
        return await opt_out(client, self.site, visit)


async def answer(
    client: httpx.AsyncClient, site: str, visit: Visit, reasons: Sequence[str], more: Sequence[Mapping[str, str | list[str]]] = ()
) -> bool:
    """Open the link and answer as ``visit`` says; whether the page gave thanks. Raises httpx.HTTPError when it cannot be reached.

    ``more``: what is given on the pages after the first ones, until the person stops.
    """
    form = read_form(await _page(client, f"{site}/{visit.code}"))
    if form.page in ("thanks", "already"):
        # An earlier try got through although its answer was lost on the way: the page thanks for it now.
        visit.thank()
        return True
    onward = form.onward if form.page == "who" else f"/{visit.code}"
    return await answer_form(client, site, visit, onward, reasons, more)


async def answer_form(
    client: httpx.AsyncClient,
    site: str,
    visit: Visit,
    address: str,
    reasons: Sequence[str],
    more: Sequence[Mapping[str, str | list[str]]] = (),
) -> bool:
    """Answer the question at an address; whether the page gave thanks, or another try need not be made."""
    form = read_form(await _page(client, f"{site}{address}"))
    visit.posted += 1
    told = await client.post(f"{site}{form.action}", data={"form": form.sealed, "Q0": str(visit.score)})
    if told.status_code != 303:
        visit.turned_away[f"{told.status_code} {read_form(told.text).page} to an answer"] += 1
        return False
    visit.thank()
    if visit.score <= 3:
        told = await _give_reasons(client, site, visit, told, reasons)
    for given in more:
        if told.status_code != 303:
            break
        form = read_form(await _page(client, f"{site}{told.headers['location']}"))
        told = await client.post(f"{site}{form.action}", data={"form": form.sealed, **given})
    return True


async def _give_reasons(client: httpx.AsyncClient, site: str, visit: Visit, told: httpx.Response, reasons: Sequence[str]) -> httpx.Response:
    """Q7 after a low score; who does not get through here has answered all the same."""
    form = read_form(await _page(client, f"{site}{told.headers['location']}"))
    if form.page == "ask-2" and reasons:
        told = await client.post(f"{site}{form.action}", data={"form": form.sealed, "Q7": list(reasons)})
        visit.gave_reasons = told.status_code == 303
    return told


async def opt_out(client: httpx.AsyncClient, site: str, visit: Visit) -> bool:
    """Press the one button; whether the page confirmed without reserve."""
    told = await client.post(f"{site}/{visit.code}/stop")
    page = read_form(told.text).page
    if told.status_code == 200 and page == "stopped" and _UNDER_WAY not in told.text:
        visit.opted_out_at = datetime.now(UTC)
        return True
    return False


def kind_of(error: httpx.HTTPError) -> str:
    """What went wrong with a request, without its address: an address has the code in it."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.response.status_code} {read_form(error.response.text).page}".rstrip()
    return type(error).__name__


async def _page(client: httpx.AsyncClient, url: str) -> str:
    answer = await client.get(url)
    answer.raise_for_status()
    return answer.text


def read_form(html: str) -> Form:
    """The form of a page, and where its link onward leads."""
    form = Form()
    HTMLParser.__init__(form)
    form.feed(html)
    return form


@dataclass
class Form(HTMLParser):
    """What a citizen needs of a page."""

    page: str = ""
    action: str = ""
    sealed: str = ""
    onward: str = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = {k: v or "" for k, v in attrs}
        if tag == "main":
            self.page = a.get("data-page", "")
        elif tag == "a" and a.get("rel") == "next":
            self.onward = a.get("href", "")
        elif tag == "form" and a.get("method") == "post":
            self.action = a.get("action", "")
        elif tag == "input" and a.get("name") == "form":
            self.sealed = a.get("value", "")
