"""SMS through Twilio's Messages API, with Twilio's own SDK.

Twilio has no idempotency key for messages. What the SDK raises is translated here, once: into "surely not accepted" (Retryable), "surely
refused" (Permanent) and "nobody knows" (UnknownOutcome). Twilio's sentences contain the number, so none of them goes any further; its
codes do.
"""

from __future__ import annotations

import asyncio
import base64
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from hailong.events import MessageChannel
from hailong.ports import Barred, Handover, OutgoingMessage, Permanent, Receipt, Retryable, UnknownOutcome
from surveys.channels.places import Places

PROVIDER = "twilio"
API = "https://api.twilio.com"

PERMANENT: Mapping[int, str] = {
    21211: "invalid_number",
    21217: "invalid_number",
    21265: "invalid_number",
    21266: "recipient_is_sender",
    21408: "region_not_enabled",
    21602: "empty_text",
    21604: "invalid_number",
    21610: "opted_out",
    21612: "no_route",
    21614: "not_a_mobile_number",
    21617: "text_too_long",
}
"""Codes that say: this message never, and why. Any other 4xx is ``refused``."""

OURS: Mapping[int, str] = {
    20003: "credentials",
    20005: "account_not_active",
    20404: "account",
    21212: "sender",
    21603: "sender",
    21606: "sender",
    21659: "sender",
    21701: "sender",
    21703: "sender",
}
"""Codes that say: these settings never. Every message would be refused alike, so none may be given up for it: they wait for the repair."""

BUSY = frozenset({20429, 21611, 14107, 63018})
"""Codes that say: not now."""

_REPAIR_WAIT = 300.0
_BUSY_WAIT = 2.0
_LONGEST_WAIT = 3600.0
_RANKED: Mapping[str, Literal["sent", "delivered", "failed"]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}
_MOST_LISTED = 1000
_CLOCK_MARGIN = timedelta(minutes=15)
"""Between our clock and Twilio's."""


class _NoAnswer(Exception):
    """The request may have reached Twilio; what came back does not tell. ``reason`` is a word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Transport(AsyncTwilioHttpClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's transport with a base URL and a time-out, which keeps Retry-After and tells what was surely not sent.

    It writes no log: the SDK's own would write the query of a list, which holds the number.
    """

    def __init__(self, base_url: str, timeout: float, parallel: int) -> None:
        super().__init__(pool_connections=False)
        self._base = urlsplit(base_url.rstrip("/"))
        self._parallel = parallel
        # connecting gets half of the time: a Twilio out of reach is then known as such, and not as a request without an answer
        self._timeouts = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2)
        self._opened: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Raises Retryable (not sent, or told to come back), _NoAnswer (sent, no usable answer)."""
        sent = dict(headers or {})
        if auth is not None:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        for _ in range(2):  # let the loop see which kept connections have been closed: a POST on one of them would be of unknown outcome
            await asyncio.sleep(0)
        try:
            async with self._session().request(
                method.upper(), self._there(url), params=params, data=data, headers=sent, allow_redirects=allow_redirects
            ) as answer:
                text = await answer.text()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Retryable(f"Twilio could not be reached ({type(error).__name__}); nothing was sent", _BUSY_WAIT) from None
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
            raise _NoAnswer(type(error).__name__) from None
        if answer.status == 429:
            raise Retryable("Twilio has too many requests from this account at once", retry_after(answer.headers.get("Retry-After")))
        if answer.status >= 500:
            raise _NoAnswer(f"HTTP {answer.status}")
        return Response(answer.status, text, answer.headers)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            # 10 s: a connection that Twilio is about to close must not be used again, a POST on it would have an unknown outcome
            connector = aiohttp.TCPConnector(limit=self._parallel, keepalive_timeout=10)
            self._opened = aiohttp.ClientSession(connector=connector, timeout=self._timeouts)
        return self._opened

    def _there(self, url: str) -> str:
        asked = urlsplit(url)
        return urlunsplit((self._base.scheme, self._base.netloc, self._base.path + asked.path, asked.query, ""))


class TwilioSms:
    """The channel ``sms`` by Twilio.

    ``sender``: a number, an alphanumeric sender, or a messaging service (MG…). ``timeout``: seconds that one ``send`` takes at most, its
    waiting for one of ``parallel`` places included, so that a claim's lease that covers it covers everything.
    """

    name: MessageChannel = "sms"
    provider = PROVIDER
    can_reconcile = True

    def __init__(
        self, *, account_sid: str, auth_token: str, sender: str, base_url: str = API, timeout: float = 10.0, parallel: int = 20
    ) -> None:
        self._sender = {"messaging_service_sid": sender} if sender.startswith("MG") and len(sender) == 34 else {"from_": sender}
        self._places = Places(parallel, timeout)
        self._transport = _Transport(base_url, timeout, parallel)
        # an environment of its own: the SDK would otherwise read accounts and regions from the process's
        self._client = Client(account_sid, auth_token, http_client=self._transport, environment={"TWILIO": ""})

    async def send(self, message: OutgoingMessage) -> Handover:
        """Hand over one SMS. Raises Retryable, Permanent, UnknownOutcome; cancelled from outside, the outcome is unknown too."""
        try:
            async with self._places.one():
                created = await self._create(message)
        except TimeoutError:
            raise UnknownOutcome("Twilio did not answer in time") from None
        except _NoAnswer as error:
            raise UnknownOutcome(f"Twilio gave no usable answer ({error.reason})") from None
        except (TwilioRestException, TwilioServiceException) as error:
            raise _refusal(error) from None
        except (TwilioException, ValueError, KeyError) as error:
            raise UnknownOutcome(f"Twilio's answer could not be read ({type(error).__name__})") from None
        return _handover(created, message.callback_url is not None)

    async def find(self, message: OutgoingMessage, since: datetime) -> Handover | None:
        """Whether Twilio has a message with this token to this number, created after ``since`` (real time). Raises Retryable.

        Twilio's own filter by date goes by the date of *sending*, which a queued message does not have yet: it would hide the very
        message that is looked for. So the list is read by number, newest first, and the date of creation is looked at here.
        """
        earliest = since.astimezone(UTC) - _CLOCK_MARGIN
        try:
            async with self._places.one():
                async for found in await self._client.messages.stream_async(to=message.to, limit=_MOST_LISTED, page_size=50):
                    if found.date_created is not None and found.date_created < earliest:
                        break
                    if message.token in (found.body or ""):
                        return _handover(found, message.callback_url is not None)
        except (TimeoutError, _NoAnswer, TwilioException, ValueError, KeyError) as error:
            raise Retryable(f"Twilio's list could not be read ({type(error).__name__})", _BUSY_WAIT) from None
        return None

    async def close(self) -> None:
        await self._transport.close()

    async def _create(self, message: OutgoingMessage) -> Any:
        callback = {"status_callback": message.callback_url} if message.callback_url else {}
        text = unicodedata.normalize("NFC", message.text)
        return await self._client.messages.create_async(to=message.to, body=text, **self._sender, **callback)


@dataclass(frozen=True)
class TwilioReceipts:
    """The receiving end of status callbacks. ``public_base_url``: what Twilio was given, whatever a proxy made of it on the way."""

    auth_token: str
    public_base_url: str

    def verify(self, target: str, form: Mapping[str, str], signature: str) -> bool:
        """Whether Twilio signed this form. ``target``: path and query as received, under the public base URL."""
        return verify_callback(self.auth_token, self.public_base_url.rstrip("/") + "/" + target.lstrip("/"), form, signature)


def verify_callback(auth_token: str, url: str, form: Mapping[str, str], signature: str) -> bool:
    """Whether ``signature`` (X-Twilio-Signature) is that of ``form`` posted to ``url``, the public one."""
    return bool(RequestValidator(auth_token).validate(url, dict(form), signature))


def parse_callback(form: Mapping[str, str]) -> Receipt | None:
    """What a status callback reports; None for a status before *sent* or unknown to us, and for a form that is no callback.

    Callbacks come twice and out of order: apply them by rank.
    """
    status = _RANKED.get(form.get("MessageStatus", ""))
    provider_id = form.get("MessageSid", "")
    if status is None or not provider_id:
        return None
    return Receipt(PROVIDER, provider_id, status, form.get("ErrorCode") or None)


def retry_after(header: str | None) -> float:
    """Seconds of a Retry-After header; a short default when it is absent or no number (Twilio sends no dates)."""
    try:
        seconds = float(header or "")
    except ValueError:
        return _BUSY_WAIT
    return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else _BUSY_WAIT


def _handover(created: Any, reports: bool) -> Handover:
    return Handover(PROVIDER, str(created.sid), int(created.num_segments or 0), str(created.status), reports)


def _refusal(error: TwilioRestException | TwilioServiceException) -> Retryable | Permanent:
    code, status = int(error.code or 0), int(error.status)
    if code in PERMANENT:
        return Permanent(PERMANENT[code], str(code))
    if code in BUSY:
        return Retryable(f"Twilio cannot take more messages now (code {code})", _BUSY_WAIT)
    if code in OURS or status in (401, 403):
        word = OURS.get(code, "credentials")
        return Barred(f"Twilio refuses our settings ({word}, code {code}); correct them, the messages wait", _REPAIR_WAIT)
    return Permanent("refused", str(code or status))
