"""Messages of people to the short code: what somebody writes on the carrier's page goes to the site as the two gateways pass it on.

``json-example`` posts signed JSON and sends on what stands in ``reply.content`` of the answer; ``form-example`` asks by GET, wants ``OK``,
and sends on what follows in ``REPLY|ID|TEXT``. Both come again with the same id until the site has taken it.

The site of a message is where its receipts go. Twilio has no short code here: its messages are answered through ``json-example``.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
import msgspec
from aiohttp import web

from ops.carrier.gateway_api import FORM, JSON
from ops.carrier.journal import Journal, JournalFailed
from ops.carrier.receipts import TRY_AGAIN, wait_before
from ops.carrier.records import Accepted, Written
from ops.carrier.register import Register

LONGEST: Final = 1000
"""Letters of a message."""
_ATTEMPTS: Final = 5
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


class Said(msgspec.Struct, frozen=True):
    """A message as ``POST /inbound`` takes it. ``gateway``: who passes it on; ``url``: where to; ``sender``: E.164; ``id``: its own."""

    gateway: str
    url: str
    sender: str
    text: str
    id: str = ""


@dataclass(frozen=True)
class Outcome:
    """``status``: of the site's last answer, None when there was none; ``reply``: what the gateway sends to the person."""

    status: int | None
    reply: str = ""


def way_to(message: Accepted) -> tuple[str, str] | None:
    """(gateway, address) by which the recipient of a message can answer it; None where nothing tells."""
    parts = urlsplit(message.callback or "")
    before, found, provider = parts.path.partition("/receipts/")
    if message.channel != "sms" or not found:
        return None
    gateway = message.api if message.api in (JSON, FORM) else JSON
    path = f"{before}/inbound/{provider if message.api == gateway else f'gateway/{JSON}'}"
    return gateway, urlunsplit((parts.scheme, parts.netloc, path, "", ""))


@dataclass(frozen=True)
class ShortCode:
    """The handlers. ``token``: the secret of both gateways."""

    journal: Journal
    register: Register
    token: str
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/inbound", self.take), web.post("/messages/{id}/reply", self.reply)]

    async def take(self, request: web.Request) -> web.Response:
        """A message of anybody: 200 ``{status, reply}``; 400 with a sentence."""
        try:
            said = msgspec.json.decode(await request.read(), type=Said)
        except msgspec.MsgspecError as error:
            return _wrong(f"This message cannot be read: {error}.")
        if said.gateway not in (JSON, FORM) or len(said.text) > LONGEST:
            return _wrong(f"`gateway` must be {JSON} or {FORM}, and `text` have at most {LONGEST} letters.")
        outcome = await self._pass_on(said)
        return web.json_response({"status": outcome.status, "reply": outcome.reply})

    async def reply(self, request: web.Request) -> web.Response:
        """The recipient of a message writes back: 303 to its page; 400 and 404 with a sentence."""
        entry = self.register.get(request.match_info["id"])
        message = self.journal.read(entry.offset, entry.length) if entry else None
        way = way_to(message) if message else None
        if message is None or way is None:
            return _wrong("There is no such message, or nothing tells where its site is.", 404)
        text = str((await request.post()).get("text", ""))
        if len(text) > LONGEST:
            return _wrong(f"A message has at most {LONGEST} letters.")
        said = Said(*way, message.to, text, self.new_id())
        outcome = await self._pass_on(said)
        try:
            await self.journal.append(Written(message.id, self.now(), said.id, text, outcome.status, outcome.reply))
        except JournalFailed:
            return _wrong("The carrier's disk is full; the message was passed on all the same.", 503)
        page = f"/messages/{message.id}" + (f"?{request.query_string}" if request.query_string else "")
        return web.Response(status=303, headers={"Location": page})

    async def _pass_on(self, said: Said) -> Outcome:
        """Until the site has taken it, or five times."""
        said = said if said.id else msgspec.structs.replace(said, id=self.new_id())
        outcome = Outcome(None)
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            for failures in range(1, _ATTEMPTS + 1):
                try:
                    outcome = await (self._by_post if said.gateway == JSON else self._by_get)(session, said)
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                    outcome = Outcome(None)
                if outcome.status is not None and outcome.status < 500 and outcome.status not in TRY_AGAIN:
                    break
                if failures < _ATTEMPTS:
                    await asyncio.sleep(wait_before(failures))
        return outcome

    async def _by_post(self, session: aiohttp.ClientSession, said: Said) -> Outcome:
        body = msgspec.json.encode({"message_id": said.id, "from": {"msisdn": said.sender.removeprefix("+")}, "content": said.text})
        time = str(int(self.now().timestamp()))
        mac = hmac.new(self.token.encode(), time.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Example-Time": time, "X-Example-Signature": f"sha256={mac}"}
        async with session.post(said.url, data=body, headers=headers, allow_redirects=False) as answer:
            return Outcome(answer.status, _content(await answer.read()) if answer.status == 200 else "")

    async def _by_get(self, session: aiohttp.ClientSession, said: Said) -> Outcome:
        query = urlencode({"from": said.sender.removeprefix("+"), "content": said.text, "smsid": said.id})
        async with session.get(f"{said.url}?{query}", allow_redirects=False) as answer:
            text = (await answer.text()).strip()
            word, _, rest = text.partition("|")
            smsid, _, reply = rest.partition("|")
            if answer.status != 200 or text == "OK":
                return Outcome(answer.status)
            return Outcome(200, reply) if (word, smsid) == ("REPLY", said.id) else Outcome(500)


def _content(body: bytes) -> str:
    """``reply.content`` of an answer; empty where there is none."""
    try:
        told: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
        return str(told["reply"]["content"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return ""


def _wrong(sentence: str, status: int = 400) -> web.Response:
    return web.json_response({"error": sentence}, status=status)
