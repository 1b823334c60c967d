"""The two invented gateways of ``examples/gateways`` at the wire, written from their manuals alone: the adapter's file is not read here.

``json-example``: JSON with a bearer token; the same client id is one message; can be asked by it; receipts are signed JSON posts.
``form-example``: form fields by POST or GET with user and password; answers are lines like ``0|ID|PARTS`` with HTTP 200 whatever happened;
receipts are GETs that must be answered with ``OK``.

Both know the numbers with a fixed outcome (``outcomes``), take one brand name, and have the carrier's token as password.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode
from weakref import WeakValueDictionary

import aiohttp
import msgspec
import smsutil
from aiohttp import web

from ops.carrier.faults import Faults, Order, bend
from ops.carrier.journal import Journal, JournalFailed
from ops.carrier.outcomes import check, plan
from ops.carrier.receipts import Receipts
from ops.carrier.records import Accepted, Refused
from ops.carrier.register import Entry, Register
from ops.carrier.twilio_api import Dropped

JSON, FORM = "json-example", "form-example"
BRAND: Final = "HCC HOABINH"
USER: Final = "hcc"
_CODES: Final = {21211: 101, 21614: 102, 21610: 103, 21408: 104, 21612: 104, 21602: 105, 21617: 106, 20429: 120, 21611: 120}
"""Outcomes by Twilio's code → those of json-example; form-example has 90 less, with a minus sign. Any other: the sender is wrong."""
_WRONG_SENDER: Final = 110
_STATUSES: Final = {"sent": "1", "delivered": "2", "undelivered": "3", "failed": "3"}
_WORDS: Final = {"sent": "SENT", "delivered": "DELIVERED", "undelivered": "UNDELIVERABLE", "failed": "REJECTED"}


@dataclass(frozen=True)
class _Sent:
    """A message as a gateway got it."""

    api: str
    to: str
    brand: str
    text: str
    client_id: str
    callback: str


@dataclass(frozen=True)
class GatewayApi:
    """The handlers. ``sent_after`` and ``delivered_after`` are seconds from acceptance to the steps of an ordinary message."""

    journal: Journal
    register: Register
    receipts: Receipts
    faults: Faults
    token: str
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    sent_after: float
    delivered_after: float
    _writing: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def routes(self) -> list[web.RouteDef]:
        """Both gateways' addresses; from now on receipts of their messages speak their languages."""
        self.receipts.speeches[JSON] = self.event
        self.receipts.ways[FORM] = self.tell_by_get
        return [
            web.post(f"/{JSON}/v1/messages", _answering(self.take_json)),
            web.get(f"/{JSON}/v1/messages/{{client_id}}", _answering(self.known)),
            web.post(f"/{FORM}/send", _answering(self.take_form)),
            web.get(f"/{FORM}/send", _answering(self.take_form)),
        ]

    # --- json-example

    async def take_json(self, request: web.Request) -> web.Response:
        if not self._has_bearer(request):
            await self._note(_Sent(JSON, "", "", "", "", ""), 401, 1)
            return _result(401, 1)
        try:
            told: dict[str, Any] = msgspec.json.decode(await request.read(), type=dict[str, Any])
            client_id, number = str(told["client_id"]), str(told["recipient"]["msisdn"])
            sent = _Sent(JSON, f"+{number}", str(told["brand"]), str(told["content"]), client_id, str(told.get("callback_url") or ""))
        except (msgspec.MsgspecError, KeyError, TypeError):
            await self._note(_Sent(JSON, "", "", "", "", ""), 400, 100)
            return _result(400, 100)
        lock = self._writing.setdefault(client_id, asyncio.Lock())
        async with lock:  # the same id twice at once is one message too
            entry = self.register.get(self._id(client_id))
            return _message(202, self._read(entry)) if entry else await self._take_json(sent)

    async def _take_json(self, sent: _Sent) -> web.Response:
        fault = self.faults.for_request("sms", sent.to, JSON)
        if fault is not None and fault.kind != "timeout_after":
            await self._broken(sent, fault)
            headers = {} if fault.kind in ("403", "500") else {"Retry-After": str(fault.retry_after)}
            return web.Response(status=int(fault.kind), headers=headers, text="<html>not now</html>", content_type="text/html")
        code = _wrong(sent)
        if code:
            status = 429 if code == 120 else 400
            await self._note(sent, status, code)
            return _result(status, code)
        return _message(202, await self._accept(sent, self._id(sent.client_id), fault))

    async def known(self, request: web.Request) -> web.Response:
        if not self._has_bearer(request):
            return _result(401, 1)
        entry = self.register.get(self._id(request.match_info["client_id"]))
        return _message(200, self._read(entry)) if entry else _result(404, 404)

    def event(self, message: Accepted, status: str, code: int | None) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of a receipt."""
        told = {"message_id": message.id, "status": _WORDS[status]} | ({"error": code % 1000} if code else {})
        body, time = msgspec.json.encode(told), str(int(self.now().timestamp()))
        mac = hmac.new(self.token.encode(), time.encode() + b"." + body, hashlib.sha256).hexdigest()
        return body, {"Content-Type": "application/json", "X-Example-Time": time, "X-Example-Signature": f"sha256={mac}"}

    # --- form-example

    async def take_form(self, request: web.Request) -> web.Response:
        form = dict(request.query) if request.method == "GET" else dict(parse_qsl(await request.text(), keep_blank_values=True))
        number = form.get("phone", "")
        to = f"+84{number[1:]}" if number.startswith("0") else number
        sent = _Sent(FORM, to, form.get("brandname", ""), form.get("message", ""), form.get("ref", ""), form.get("dlr", ""))
        if form.get("username") != USER or not hmac.compare_digest(form.get("password", "").encode(), self.token.encode()):
            await self._note(sent, 200, -1)
            return _line("-1|login")
        fault = self.faults.for_request("sms", to, FORM)
        if fault is not None and fault.kind != "timeout_after":
            await self._broken(sent, fault)
            headers = {} if fault.kind in ("403", "500") else {"Retry-After": str(fault.retry_after)}
            return web.Response(status=int(fault.kind), headers=headers, text="error")
        code = _wrong(sent)
        if code:
            code = 90 - code if code != 120 else -20
            await self._note(sent, 200, code)
            return _line(f"{code}|refused")
        message = await self._accept(sent, self.new_id(), fault)
        return _line(f"0|{message.id}|{message.segments}")

    async def tell_by_get(self, session: aiohttp.ClientSession, message: Accepted, status: str, code: int | None) -> int:
        """A receipt by GET; the receiver's status, 500 where it did not say OK."""
        told = {"msgid": message.id, "status": _STATUSES[status]} | ({"err": str(code % 1000)} if code else {})
        async with session.get(f"{message.callback}?{urlencode(told)}", allow_redirects=False) as response:
            return response.status if response.status != 200 or (await response.text()).strip() == "OK" else 500

    # --- both

    async def _accept(self, sent: _Sent, message_id: str, fault: Order | None) -> Accepted:
        """Into the journal; with a fault, no answer."""
        split = smsutil.split(sent.text)
        message = Accepted(
            id=message_id,
            at=self.now(),
            channel="sms",
            to=sent.to,
            sender=sent.brand,
            body=sent.text,
            segments=len(split.parts),
            encoding="UCS-2" if split.encoding.startswith("utf_16") else "GSM-7",
            account=sent.api,
            callback=sent.callback or None,
            plan=bend(plan(sent.to, self.sent_after, self.delivered_after), self.faults.for_receipts("sms", sent.to)),
            fault=fault.kind if fault else None,
            api=sent.api,
        )
        await self.journal.append(message)
        self.receipts.follow(message.id)
        if fault is not None:
            await asyncio.sleep(fault.seconds)
            raise Dropped
        return message

    async def _broken(self, sent: _Sent, fault: Order) -> None:
        held = fault.kind == "timeout_before"
        await self._note(sent, 0 if held else int(fault.kind), None, fault.kind)
        if held:
            await asyncio.sleep(fault.seconds)
            raise Dropped

    async def _note(self, sent: _Sent, status: int, code: int | None, fault: str | None = None) -> None:
        await self.journal.append(Refused(self.now(), "sms", sent.to, sent.brand, status, code, fault))

    def _has_bearer(self, request: web.Request) -> bool:
        return hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {self.token}".encode())

    def _id(self, client_id: str) -> str:
        """Of json-example: follows from the client's, so that the journal itself tells what was taken before."""
        return "GJ" + hmac.new(self.token.encode(), client_id.encode(), hashlib.sha256).hexdigest()[:32]

    def _read(self, entry: Entry) -> Accepted:
        return self.journal.read(entry.offset, entry.length)


def _wrong(sent: _Sent) -> int:
    """json-example's code for what is wrong with a message; 0: nothing."""
    problem = check({"To": sent.to, "From": sent.brand, "Body": sent.text, "StatusCallback": sent.callback})
    if problem is not None:
        return _CODES.get(problem.code, _WRONG_SENDER)
    return 0 if sent.brand == BRAND else _WRONG_SENDER


def _result(status: int, code: int) -> web.Response:
    return _json(status, {"result": {"code": code, "text": "refused"}})


def _message(status: int, message: Accepted) -> web.Response:
    return _json(status, {"result": {"code": 0, "text": "queued"}, "message": {"id": message.id, "parts": message.segments}})


def _json(status: int, body: dict[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def _line(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/plain")


def _answering(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except JournalFailed:
            return web.Response(status=503, headers={"Retry-After": "5"}, text="disk full")
        except Dropped:
            if request.transport is not None:
                request.transport.abort()
            raise asyncio.CancelledError from None

    return answer
