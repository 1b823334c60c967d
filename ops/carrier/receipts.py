"""What becomes of accepted messages: their steps, and the signed receipts sent to whoever asked for them.

A step is on disk before its receipt goes out, and a receipt is owed until its receiver's answer is on disk: after a kill the journal
tells what is still to be done. A receiver may therefore get a receipt twice, never none.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp

from ops.carrier.journal import Journal, JournalFailed
from ops.carrier.records import Accepted, PlannedStep, Rated, Step, Told
from ops.carrier.register import Register

API_VERSION = "2010-04-01"
_POSTERS = 16
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 30.0
TRY_AGAIN = frozenset({408, 425, 429})
"""HTTP statuses below 500 that say: not now."""

Speech = Callable[[Accepted, str, int | None], tuple[bytes, Mapping[str, str]]]
"""How a provider reports: a message, the status it reached, its code → body and headers of the POST."""
Way = Callable[[aiohttp.ClientSession, Accepted, str, int | None], Awaitable[int]]
"""How a provider reports that does not POST: it does so itself; the receiver's status. Raises as aiohttp does, or OSError."""


@dataclass(frozen=True)
class Post:
    """One receipt on its way: how often it has been tried in vain."""

    id: str
    status: str
    url: str
    failures: int = 0

    @property
    def receiver(self) -> str:
        return urlsplit(self.url).netloc

    def failed(self) -> Post:
        return replace(self, failures=self.failures + 1)


@dataclass
class Away:
    """A receiver that cannot be reached: one receipt at a time is tried on it, the others wait."""

    waiting: deque[Post] = field(default_factory=deque)
    tried: Post | None = None
    failures: int = 0


def signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """X-Twilio-Signature: base64 of HMAC-SHA1, under the account's token, of the URL and the sorted fields run together."""
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def wait_before(failures: int) -> float:
    """Seconds until the next attempt after so many in vain."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(failures - 1, 16))


class Receipts:
    """Runs the plans of open messages."""

    def __init__(self, journal: Journal, register: Register, token: str, retries: int, now: Callable[[], datetime]) -> None:
        self._journal, self._register, self._retries, self._now = journal, register, retries, now
        self.speeches: dict[str, Speech] = {"": partial(_twilio_form, token)}
        self.ways: dict[str, Way] = {}
        """Both by ``Accepted.api``."""
        self._due: list[tuple[str, PlannedStep]] = []
        self._wake = asyncio.Event()
        self._posts: asyncio.Queue[Post] = asyncio.Queue()
        self._away: dict[str, Away] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Go on where the journal ends."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10), connector=aiohttp.TCPConnector(limit=_POSTERS))
        self._run(self._take_steps())
        for _ in range(_POSTERS):
            self._run(self._post_receipts())
        for message_id, message in list(self._register.open.items()):
            self.follow(message_id)
            for status, count in message.posts_left():
                self._owe(message_id, status, message.callback, count)
        for rating in list(self._register.ratings.values()):
            self.rated(rating)

    def rated(self, rating: Rated) -> None:
        """Report a rating that is in the journal."""
        entry = self._register.get(rating.id)
        if entry is not None:
            self._owe(rating.id, rating.status, self._journal.read(entry.offset, entry.length).callback, rating.posts)

    def follow(self, message_id: str) -> None:
        """Have the remaining steps of an accepted message happen in their time."""
        message = self._register.open.get(message_id)
        if message is None:
            return
        loop, age = asyncio.get_running_loop(), (self._now() - message.at).total_seconds()
        for step in message.steps_left():
            loop.call_later(max(0.0, step.after - age), self._fall_due, message_id, step)

    async def stop(self) -> None:
        """Stop where we are; the journal knows the rest."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def _fall_due(self, message_id: str, step: PlannedStep) -> None:
        self._due.append((message_id, step))
        self._wake.set()

    async def _take_steps(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            due, self._due = self._due, []
            owed = {message_id: self._register.open[message_id].callback for message_id, _ in due}
            await self._write(*(Step(message_id, self._now(), step.status, step.code) for message_id, step in due))
            for message_id, step in due:
                self._owe(message_id, step.status, owed[message_id], step.posts)

    def _owe(self, message_id: str, status: str, url: str | None, count: int) -> None:
        for _ in range(count if url else 0):
            self._posts.put_nowait(Post(message_id, status, url or ""))

    async def _post_receipts(self) -> None:
        while True:
            post = await self._posts.get()
            away = self._away.get(post.receiver)
            if away is not None and away.tried is not post:
                away.waiting.append(post)
                continue
            answer = await self._post(post)
            if answer is not None:
                self._is_back(post.receiver)
            if answer is not None and answer < 500 and answer not in TRY_AGAIN:
                await self._write(Told(post.id, self._now(), post.status, answer))
            elif post.failures >= self._retries:
                await self._write(Told(post.id, self._now(), post.status, None))
                self._is_away(post.receiver) if answer is None else None
            elif answer is None:
                self._is_away(post.receiver).waiting.appendleft(post.failed())
            else:
                again = post.failed()
                asyncio.get_running_loop().call_later(wait_before(again.failures), self._posts.put_nowait, again)

    def _is_away(self, receiver: str) -> Away:
        """Note it, and have the receiver tried again later; with thousands of receipts waiting, by one of them only."""
        away = self._away.get(receiver)
        if away is None or away.tried is not None:
            away = self._away.setdefault(receiver, Away())
            away.tried, away.failures = None, away.failures + 1
            asyncio.get_running_loop().call_later(wait_before(away.failures), self._try, receiver)
        return away

    def _try(self, receiver: str) -> None:
        away = self._away.get(receiver)
        if away is not None and away.waiting:
            away.tried = away.waiting.popleft()
            self._posts.put_nowait(away.tried)
        elif away is not None:
            del self._away[receiver]

    def _is_back(self, receiver: str) -> None:
        away = self._away.pop(receiver, None)
        for post in away.waiting if away is not None else ():
            self._posts.put_nowait(post)

    async def _post(self, post: Post) -> int | None:
        """The receiver's HTTP status; None when there was no answer."""
        entry = self._register.get(post.id)
        if entry is None or self._session is None:
            raise LookupError(f"The carrier owes a receipt for {post.id}, which its journal does not have; start it again.")
        message = self._journal.read(entry.offset, entry.length)
        code = entry.code if entry.state == post.status else None
        try:
            if message.api in self.ways:
                return await self.ways[message.api](self._session, message, post.status, code)
            data, headers = self.speeches[message.api](message, post.status, code)
            async with self._session.post(post.url, data=data, headers=headers, allow_redirects=False) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _write(self, *records: Step | Told) -> None:
        """Into the journal, trying until there is room: steps must neither be lost nor end the carrier."""
        while True:
            try:
                return await self._journal.append(*records)
            except JournalFailed:
                await asyncio.sleep(1.0)


def _twilio_form(token: str, message: Accepted, status: str, code: int | None) -> tuple[bytes, Mapping[str, str]]:
    form = callback_form(message, status, code)
    return urlencode(form).encode(), {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "X-Twilio-Signature": signature(token, message.callback or "", form),
        "User-Agent": "TwilioProxy/1.1",
    }


def callback_form(message: Accepted, status: str, code: int | None) -> dict[str, str]:
    """The fields of a status callback."""
    form = {
        "MessageSid": message.id,
        "SmsSid": message.id,
        "MessageStatus": status,
        "SmsStatus": status,
        "To": message.to,
        "From": message.sender,
        "AccountSid": message.account,
        "ApiVersion": API_VERSION,
    }
    if message.service:
        form["MessagingServiceSid"] = message.service
    if code is not None:
        form["ErrorCode"] = str(code)
    return form
