"""Twilio's Messages API, version 2010-04-01, as far as sending, fetching and listing go."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
import smsutil
from aiohttp import web

from ops.carrier.faults import Faults, Order, bend
from ops.carrier.journal import Journal, JournalFailed
from ops.carrier.outcomes import Problem, check, plan, problem
from ops.carrier.receipts import API_VERSION, Receipts
from ops.carrier.records import Accepted, Refused
from ops.carrier.register import Entry, Register

API = "twilio"
_ACCOUNT = re.compile(r"AC[0-9a-f]{32}")
_MAX_PAGE = 1000
_DEFAULT_PAGE = 50


class Dropped(Exception):
    """The connection is to be cut without an answer."""


@dataclass(frozen=True)
class TwilioApi:
    """The handlers. ``sent_after`` and ``delivered_after`` are seconds from acceptance to the steps of an ordinary message."""

    journal: Journal
    register: Register
    receipts: Receipts
    faults: Faults
    token: str
    account: str | None
    """The only account there is; None: any, with the token."""
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    sent_after: float
    delivered_after: float

    def routes(self) -> list[web.RouteDef]:
        base = f"/{API_VERSION}/Accounts/{{account}}/Messages"
        return [
            web.post(base + ".json", self._answering(self.create)),
            web.get(base + ".json", self._answering(self.list)),
            web.get(base + "/{sid}.json", self._answering(self.fetch)),
            web.route("*", "/" + API_VERSION + "/{rest:.*}", self._answering(self.missing)),
        ]

    async def create(self, request: web.Request) -> web.Response:
        account = self._authenticated(request)
        if account is None:
            return await self._refuse({}, problem(20003))
        form = dict(parse_qsl(await request.text(), keep_blank_values=True))
        fault = self.faults.for_request("sms", form.get("To", ""), API)
        if fault is not None and fault.kind != "timeout_after":
            return await self._fail(form, fault)
        wrong = check(form)
        if wrong is not None:
            return await self._refuse(form, wrong)
        message = self._accepted(account, form, fault)
        await self.journal.append(message)
        self.receipts.follow(message.id)
        if fault is not None:
            await asyncio.sleep(fault.seconds)
            raise Dropped
        entry = self.register.get(message.id)
        return _json(resource(message, entry), 201)

    async def fetch(self, request: web.Request) -> web.Response:
        if self._authenticated(request) is None:
            return _problem(problem(20003))
        entry = self.register.get(request.match_info["sid"])
        if entry is None or entry.channel != "sms":
            return _problem(problem(20404, request.path))
        return _json(resource(self._read(entry), entry), 200)

    async def list(self, request: web.Request) -> web.Response:
        account = self._authenticated(request)
        if account is None:
            return _problem(problem(20003))
        size = min(max(_number(request.query.get("PageSize"), _DEFAULT_PAGE), 1), _MAX_PAGE)
        page = max(_number(request.query.get("Page"), 0), 0)
        token = request.query.get("PageToken", "")
        last = self.register.get(token.removeprefix("PA"))
        found = self._matching(request.query, account, before=last.n if last else None)
        found = islice(found, 0 if last else page * size, None)
        shown = list(islice(found, size + 1))
        return _json(_page(request, shown[:size], page, size, more=len(shown) > size), 200)

    async def missing(self, request: web.Request) -> web.Response:
        wrong = problem(20003) if self._authenticated(request) is None else problem(20404, request.path)
        return _problem(wrong)

    def _answering(self, handler: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except JournalFailed:
                return _problem(problem(20503), {"Retry-After": "5"})
            except Dropped:
                if request.transport is not None:
                    request.transport.abort()
                raise asyncio.CancelledError from None

        return answer

    def _authenticated(self, request: web.Request) -> str | None:
        """The account the request is for, if its credentials are right."""
        account = request.match_info.get("account", self.account or "")
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        same = hmac.compare_digest(password.encode(), self.token.encode())
        known = user == self.account if self.account else bool(_ACCOUNT.fullmatch(user))
        return user if scheme.lower() == "basic" and same and known and account in (user, "") else None

    def _accepted(self, account: str, form: Mapping[str, str], fault: Order | None) -> Accepted:
        to, body = form["To"].strip(), form["Body"]
        split = smsutil.split(body)
        service = form.get("MessagingServiceSid")
        steps = bend(plan(to, self.sent_after, self.delivered_after), self.faults.for_receipts("sms", to))
        return Accepted(
            id=self.new_id(),
            at=self.now(),
            channel="sms",
            to=to,
            sender=form.get("From") or service or "",
            body=body,
            segments=len(split.parts),
            encoding="UCS-2" if split.encoding.startswith("utf_16") else "GSM-7",
            account=account,
            service=service,
            callback=form.get("StatusCallback") or None,
            plan=steps,
            fault=fault.kind if fault else None,
        )

    async def _refuse(
        self, form: Mapping[str, str], wrong: Problem, headers: dict[str, str] | None = None, fault: str | None = None
    ) -> web.Response:
        await self._record(form, wrong.status, wrong.code, fault)
        return _problem(wrong, headers)

    async def _fail(self, form: Mapping[str, str], fault: Order) -> web.Response:
        if fault.kind == "timeout_before":
            await self._record(form, 0, None, fault.kind)
            await asyncio.sleep(fault.seconds)
            raise Dropped
        wrong = problem({"403": 20005, "429": 20429, "500": 20500, "503": 20503}[fault.kind])
        headers = {} if fault.kind in ("403", "500") else {"Retry-After": str(fault.retry_after)}
        return await self._refuse(form, wrong, headers, fault.kind)

    async def _record(self, form: Mapping[str, str], status: int, code: int | None, fault: str | None) -> None:
        sender = form.get("From") or form.get("MessagingServiceSid") or ""
        await self.journal.append(Refused(self.now(), "sms", form.get("To", ""), sender, status, code, fault))

    def _read(self, entry: Entry) -> Accepted:
        return self.journal.read(entry.offset, entry.length)

    def _matching(self, query: Mapping[str, str], account: str, before: int | None) -> Iterator[tuple[Accepted, Entry]]:
        to, sender = query.get("To"), query.get("From")
        entries = self.register.to("sms", to, before) if to else self.register.before(before)
        for entry in entries:
            if entry.channel != "sms" or not _sent_within(entry.sent_at, query):
                continue
            message = self._read(entry)
            if message.account == account and sender in (None, "", message.sender):
                yield message, entry


def resource(message: Accepted, entry: Entry | None) -> dict[str, Any]:
    """A message as the API shows it."""
    uri = f"/{API_VERSION}/Accounts/{message.account}/Messages/{message.id}"
    state = entry.state if entry else "queued"
    return {
        "account_sid": message.account,
        "api_version": API_VERSION,
        "body": message.body,
        "date_created": _rfc2822(message.at),
        "date_sent": _rfc2822(entry.sent_at) if entry and entry.sent_at else None,
        "date_updated": _rfc2822(entry.updated if entry else message.at),
        "direction": "outbound-api",
        "error_code": entry.code if entry else None,
        "error_message": f"Not delivered ({entry.code})." if entry and entry.code else None,
        "from": message.sender,
        "messaging_service_sid": message.service,
        "num_media": "0",
        "num_segments": str(message.segments),
        "price": None,
        "price_unit": "USD",
        "sid": message.id,
        "status": state,
        "subresource_uris": {"media": uri + "/Media.json"},
        "to": message.to,
        "uri": uri + ".json",
    }


def _page(request: web.Request, shown: list[tuple[Accepted, Entry]], page: int, size: int, *, more: bool) -> dict[str, Any]:
    filters = {name: value for name, value in request.query.items() if name not in ("Page", "PageSize", "PageToken")}

    def uri(number: int, token: str | None = None) -> str:
        query = filters | {"PageSize": str(size), "Page": str(number)} | ({"PageToken": token} if token else {})
        return f"{request.path}?{urlencode(query)}"

    return {
        "messages": [resource(message, entry) for message, entry in shown],
        "first_page_uri": uri(0),
        "next_page_uri": uri(page + 1, "PA" + shown[-1][0].id) if more else None,
        "previous_page_uri": uri(page - 1) if page else None,
        "uri": request.path_qs,
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": page * size + max(len(shown) - 1, 0),
    }


def _sent_within(sent: datetime | None, query: Mapping[str, str]) -> bool:
    """Whether DateSent, DateSent> and DateSent< (a day, or a moment, in UTC) let it pass. What is not sent yet passes no bound."""
    on, since, until = query.get("DateSent"), query.get("DateSent>"), query.get("DateSent<")
    if not (on or since or until):
        return True
    if sent is None:
        return False
    return (not on or sent.date() == _moment(on).date()) and (not since or sent >= _moment(since)) and (not until or sent <= _moment(until))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise web.HTTPBadRequest(text="DateSent must be a day or a moment as in ISO 8601.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdecimal() else otherwise


def _rfc2822(moment: datetime) -> str:
    return format_datetime(moment)


def _problem(wrong: Problem, headers: dict[str, str] | None = None) -> web.Response:
    more = f"https://www.twilio.com/docs/errors/{wrong.code}"
    body = {"code": wrong.code, "message": wrong.message, "more_info": more, "status": wrong.status}
    extra = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if wrong.status == 401 else {}
    return _json(body, wrong.status, extra | (headers or {}))


def _json(body: dict[str, Any], status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json", charset="utf-8")
