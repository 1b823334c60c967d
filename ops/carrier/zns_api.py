"""Zalo's template messages (ZNS): sending, renewing the access token, and the signed events of delivery and rating.

Spoken as ``surveys/channels/zns.py`` has it. What stands in for things that happen at Zalo:

- The permission that the owner of the official account gives in a browser: a carrier that has given no token yet takes any refresh token
  once, under the right secret. From then on each refresh token is good for one renewal. ``DELETE /zns/tokens`` ends every access token.
- The recipient's tap on the stars: ``POST /zns/MESSAGE/rate`` with ``{"rate": 1–5, "note": …, "feedbacks": […]}``, or the buttons on the
  message's page. Faults of receipts that are ordered between acceptance and tap meet the rating.
- The template's text: the page lists what was filled in.

Numbers with a fixed outcome are those of the reserved block (``outcomes.py``): 001 -108, 002 and 009 -118, 003 -119, 004 -141, 006 -114,
011 -144, 029 -32 are refused; 103–108 and 200 are accepted and never delivered, of which Zalo tells nobody; 202 is reported twice. A
template id 99000NNN is answered with error -NNN, whatever that is.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from ops.carrier.faults import Faults, Order, bend
from ops.carrier.journal import Journal, JournalFailed
from ops.carrier.outcomes import RESERVED_BLOCK
from ops.carrier.receipts import Receipts
from ops.carrier.records import Accepted, PlannedStep, Rated, Refused
from ops.carrier.register import Register
from ops.carrier.twilio_api import Dropped

API = "zns"
"""``Accepted.api`` of these messages."""
TOKEN_LIFE = timedelta(hours=25)
LONGEST_TRACKING = 48

_REFUSED_NUMBERS = {"001": -108, "002": -118, "003": -119, "004": -141, "006": -114, "009": -118, "011": -144, "029": -32}
_NEVER_DELIVERED = frozenset({"103", "104", "105", "106", "107", "108", "200"})
_RESERVED_TEMPLATES = "99000"
_WORDS = {
    0: "Success",
    -32: "Too many requests at once.",
    -108: "The phone number {} is not valid.",
    -109: "The template id is not valid.",
    -111: "The template has no data.",
    -114: "The user {} cannot receive this message.",
    -118: "The Zalo account of {} does not exist or is switched off.",
    -119: "The account of {} cannot receive messages of this kind.",
    -122: "The body is no JSON.",
    -124: "The access token is not valid.",
    -132: "A parameter is not valid.",
    -141: "The user {} refuses messages of this official account.",
    -144: "The official account has used up its messages of today.",
}


class _Sent(msgspec.Struct, frozen=True):
    phone: str
    template_id: str
    template_data: dict[str, str]
    tracking_id: str = ""


class _Tap(msgspec.Struct, frozen=True):
    rate: int
    note: str = ""
    feedbacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ZnsAccount:
    """Who sends. ``webhook``: where events go; None: nowhere."""

    app_id: str
    secret: str
    """Of the application, for renewing tokens."""
    oa_secret: str
    """Of the official account, for signing events."""
    webhook: str | None


class Grants:
    """The tokens given out, kept over a restart."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        """Raises OSError, ValueError when what is there cannot be read."""
        self._path, self._now = path, now
        kept = json.loads(path.read_text("ascii")) if path.exists() else {}
        self._refresh: str | None = kept.get("refresh")
        self._access = {token: datetime.fromisoformat(end) for token, end in kept.get("access", {}).items()}

    def good(self, access: str) -> bool:
        end = self._access.get(access)
        return end is not None and self._now() < end

    def renew(self, refresh: str) -> tuple[str, str] | None:
        """(access token, refresh token) for a refresh token, which is used up by this; None when it is not the one."""
        if not refresh or (self._refresh is not None and not hmac.compare_digest(refresh.encode(), self._refresh.encode())):
            return None
        access, self._refresh = secrets.token_urlsafe(48), secrets.token_urlsafe(48)
        self._access[access] = self._now() + TOKEN_LIFE
        self._keep()
        return access, self._refresh

    def end(self) -> None:
        """Every access token, as when the permission is taken back; the refresh token stays good."""
        self._access.clear()
        self._keep()

    def _keep(self) -> None:
        self._access = {token: end for token, end in self._access.items() if self._now() < end}
        body = {"refresh": self._refresh, "access": {token: end.isoformat() for token, end in self._access.items()}}
        beside = self._path.with_suffix(".new")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="ascii") as stream:
            json.dump(body, stream)
        beside.replace(self._path)


@dataclass(frozen=True)
class ZnsApi:
    """The handlers. ``delivered_after``: seconds from acceptance to delivery."""

    journal: Journal
    register: Register
    receipts: Receipts
    faults: Faults
    grants: Grants
    account: ZnsAccount
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    delivered_after: float

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/message/template", _answering(self.send)),
            web.post("/v4/oa/access_token", _answering(self.renew)),
            web.post("/zns/{id}/rate", _answering(self.rate)),
            web.delete("/zns/tokens", _answering(self.end_tokens)),
        ]

    async def send(self, request: web.Request) -> web.Response:
        if not self.grants.good(request.headers.get("access_token", "")):
            return await self._refuse("", -124)
        octets = await request.read()
        sent = _read(octets)
        to = "" if isinstance(sent, int) else _plus(sent.phone)
        fault = self.faults.for_request("zns", to)
        if fault is not None and fault.kind != "timeout_after":
            return await self._fail(to, fault)
        wrong = sent if isinstance(sent, int) else _wrong(sent, to)
        if isinstance(sent, int) or wrong:
            return await self._refuse(to, wrong)
        message = self._accepted(sent, to, fault)
        await self.journal.append(message)
        self.receipts.follow(message.id)
        if fault is not None:
            await asyncio.sleep(fault.seconds)
            raise Dropped
        return _json(
            {"error": 0, "message": _WORDS[0], "data": {**_taken(message), "quota": {"dailyQuota": "5000", "remainingQuota": "4999"}}}
        )

    async def renew(self, request: web.Request) -> web.Response:
        fault = self.faults.for_errand("zns", "tokens")
        if fault is not None and fault.kind != "timeout_after":
            return await _broken(fault)
        form = dict(parse_qsl(await request.text()))
        if not hmac.compare_digest(request.headers.get("secret_key", "").encode(), self.account.secret.encode()):
            return _json(
                {"error": -14004, "error_name": "Invalid secret key", "error_description": "The application's secret key is wrong."}
            )
        good = form.get("grant_type") == "refresh_token" and form.get("app_id") == self.account.app_id
        given = self.grants.renew(form.get("refresh_token", "")) if good else None
        if given is None:
            return _json(
                {"error": -14014, "error_name": "Invalid refresh token", "error_description": "It was used, or is of another app."}
            )
        if fault is not None:
            await asyncio.sleep(fault.seconds)
            raise Dropped
        return _json({"access_token": given[0], "refresh_token": given[1], "expires_in": str(int(TOKEN_LIFE.total_seconds()))})

    async def rate(self, request: web.Request) -> web.Response:
        """A tap: 202, or 303 back to the page for its buttons; 400 and 404 with a sentence."""
        entry = self.register.get(request.match_info["id"])
        if entry is None or entry.channel != "zns":
            return _json({"error": "There is no such Zalo message. Its id stands in /messages.json?channel=zns."}, 404)
        by_button = request.content_type == "application/x-www-form-urlencoded"
        try:
            sent = dict(parse_qsl(await request.text())) if by_button else msgspec.json.decode(await request.read())
            tap = msgspec.convert(sent, _Tap, strict=not by_button)
        except msgspec.MsgspecError as error:
            return _json({"error": f"This rating cannot be read: {error}."}, 400)
        if not 1 <= tap.rate <= 5:
            return _json({"error": "A rating is 1 to 5."}, 400)
        fault = self.faults.for_receipts("zns", entry.to)
        posts = {"drop_receipt": 0, "double_receipt": 2}.get(fault.kind, 1) if fault else 1
        name = f"rating-{self.register.rated(entry.id) + 1}"
        rated = Rated(entry.id, self.now(), name, tap.rate, tap.note, tap.feedbacks, posts)
        await self.journal.append(rated)
        if posts:
            late = fault.seconds if fault is not None and fault.kind == "late_receipt" else 0.0
            asyncio.get_running_loop().call_later(late, self.receipts.rated, rated)
        page = f"/messages/{entry.id}" + (f"?{request.query_string}" if request.query_string else "")
        return web.Response(status=303, headers={"Location": page}) if by_button else _json({"rated": tap.rate}, 202)

    async def end_tokens(self, _: web.Request) -> web.Response:
        self.grants.end()
        return web.Response(status=204)

    def event(self, message: Accepted, status: str, _code: int | None) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of an event: a step that was reached, or a rating."""
        now = _milliseconds(self.now())
        rated = self.register.ratings.get((message.id, status))
        common = {"msg_id": message.id, "tracking_id": message.tracking}
        if rated is None:
            told: dict[str, Any] = {
                "event_name": "user_received_message",
                "sender": {"id": self.account.app_id},
                "recipient": {"id": hashlib.sha256(message.to.encode()).hexdigest()[:16]},
                "message": {**common, "delivery_time": now},
            }
        else:
            answer = {"note": rated.note, "rate": rated.rate, "feedbacks": rated.feedbacks, "submit_time": _milliseconds(rated.at)}
            told = {"event_name": "user_feedback", "oa_id": self.account.app_id, "message": {**common, **answer}}
        body = msgspec.json.encode({**told, "app_id": self.account.app_id, "timestamp": now})
        mac = event_signature(self.account.app_id, body, now, self.account.oa_secret)
        return body, {"Content-Type": "application/json", "X-ZEvent-Signature": f"mac={mac}", "User-Agent": "ZaloWebhook"}

    def _accepted(self, sent: _Sent, to: str, fault: Order | None) -> Accepted:
        return Accepted(
            id=self.new_id(),
            at=self.now(),
            channel="zns",
            to=to,
            sender=self.account.app_id,
            body="\n".join(f"{name}: {value}" for name, value in sent.template_data.items()),
            segments=1,
            callback=self.account.webhook,
            plan=bend(plan(to, self.delivered_after), self.faults.for_receipts("zns", to)),
            fault=fault.kind if fault else None,
            api=API,
            template=sent.template_id,
            tracking=sent.tracking_id,
        )

    async def _refuse(self, to: str, error: int) -> web.Response:
        await self._note(to, 200, error, None)
        return _error(error, to)

    async def _fail(self, to: str, fault: Order) -> web.Response:
        dropped = fault.kind == "timeout_before"
        await self._note(to, 0 if dropped else int(fault.kind), None, fault.kind)
        return await _broken(fault)

    async def _note(self, to: str, status: int, error: int | None, fault: str | None) -> None:
        await self.journal.append(Refused(self.now(), "zns", to, self.account.app_id, status, error, fault))


def event_signature(app_id: str, body: bytes, timestamp: str, oa_secret: str) -> str:
    """The mac of an event: hex SHA-256 over application, body, timestamp and the official account's secret run together."""
    return hashlib.sha256(app_id.encode() + body + timestamp.encode() + oa_secret.encode()).hexdigest()


def plan(to: str, delivered_after: float) -> tuple[PlannedStep, ...]:
    """What will happen to an accepted message."""
    last = to[len(RESERVED_BLOCK) :] if to.startswith(RESERVED_BLOCK) else ""
    if last in _NEVER_DELIVERED:
        return (PlannedStep("undelivered", delivered_after, posts=0),)
    return (PlannedStep("delivered", delivered_after, posts=2 if last == "202" else 1),)


def _read(octets: bytes) -> _Sent | int:
    """What was sent, or the error."""
    try:
        return msgspec.json.decode(octets, type=_Sent)
    except msgspec.ValidationError:
        return -132
    except msgspec.DecodeError:
        return -122


def _wrong(sent: _Sent, to: str) -> int:
    """The error of a message that can be read; 0: none."""
    template, last = sent.template_id, to[len(RESERVED_BLOCK) :] if to.startswith(RESERVED_BLOCK) else ""
    if not template.isdecimal():
        return -109
    if template.startswith(_RESERVED_TEMPLATES):
        return -int(template[len(_RESERVED_TEMPLATES) :] or 109)
    if not sent.template_data:
        return -111
    if len(sent.tracking_id) > LONGEST_TRACKING:
        return -132
    if not (sent.phone.isdecimal() and sent.phone.startswith("84") and 11 <= len(sent.phone) <= 12):
        return -108
    return _REFUSED_NUMBERS.get(last, 0)


def _plus(phone: str) -> str:
    return "+" + phone if phone.isdecimal() else phone


def _taken(message: Accepted) -> dict[str, str]:
    return {"msg_id": message.id, "sent_time": _milliseconds(message.at), "sending_mode": "1"}


def _milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


async def _broken(fault: Order) -> web.Response:
    if fault.kind == "timeout_before":
        await asyncio.sleep(fault.seconds)
        raise Dropped
    headers = {} if fault.kind in ("403", "500") else {"Retry-After": str(fault.retry_after)}
    return _json({"error": {"403": -137, "429": -32}.get(fault.kind, -100), "message": "Not now."}, int(fault.kind), headers)


def _answering(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except JournalFailed:
            return _json({"error": -100, "message": "The carrier's disk is full."}, 503, {"Retry-After": "5"})
        except Dropped:
            if request.transport is not None:
                request.transport.abort()
            raise asyncio.CancelledError from None

    return answer


def _error(error: int, to: str) -> web.Response:
    return _json({"error": error, "message": _WORDS.get(error, "Refused.").format(to)})


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json", charset="utf-8")
