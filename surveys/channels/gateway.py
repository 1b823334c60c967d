"""SMS through a domestic gateway: one HTTP adapter for all of them, told by a file what each wants (``gateway_file``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import aiohttp

from hailong.events import MessageChannel
from hailong.ports import Handover, OutgoingMessage, Permanent, Retryable, UnknownOutcome
from surveys.channels.gateway_file import Gateway
from surveys.channels.gateway_wire import (
    MOST_READ,
    Incoming,
    Outgoing,
    Taken,
    client_id,
    found,
    message_words,
    question_for,
    request_for,
    taken,
)
from surveys.channels.places import Places

_AWAY_WAIT = 2.0


class _NoAnswer(Exception):
    """The request may have arrived; what came back does not tell. Not an OSError: aiohttp would send a GET again by itself."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp repeats a GET whose connection broke, and a GET may be a message here: what is lost stays lost."""
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _NoAnswer(type(error).__name__) from None


async def _body(content: aiohttp.StreamReader) -> bytes:
    """All of it, which may come in pieces, as far as it is looked at."""
    body = b""
    while len(body) < MOST_READ and (piece := await content.read(MOST_READ - len(body))):
        body += piece
    return body


class GatewaySms:
    """The channel ``sms`` by a described gateway.

    ``base_url`` stands in for the described scheme and host (the carrier). ``timeout``: seconds that one ``send`` takes at most, its
    waiting for one of ``parallel`` places included. ``now``: real time.
    """

    name: MessageChannel = "sms"

    def __init__(
        self, gateway: Gateway, *, now: Callable[[], datetime], base_url: str = "", timeout: float = 10.0, parallel: int = 20
    ) -> None:
        self.provider = gateway.provider
        self.can_reconcile = gateway.told.status is not None
        self._gateway, self._now, self._base, self._parallel = gateway, now, base_url, parallel
        self._places = Places(parallel, timeout)
        # connecting gets half of the time: a gateway out of reach is then known as such, and not as a request without an answer
        self._timeouts = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2)
        self._opened: aiohttp.ClientSession | None = None

    async def send(self, message: OutgoingMessage) -> Handover:
        """Hand over one SMS. Raises Retryable, Permanent, UnknownOutcome; cancelled from outside, the outcome is unknown too."""
        words = message_words(message, self._gateway.told.send.brand, self._now())
        request = request_for(self._gateway, words, self._base)
        try:
            async with self._places.one():
                answer = await self._ask(request)
        except TimeoutError:
            raise UnknownOutcome("The gateway did not answer in time") from None
        except _NoAnswer as error:
            raise UnknownOutcome(f"The gateway gave no usable answer ({error.reason})") from None
        return self._handover(message, taken(self._gateway, answer, words["id"], self._now()))

    async def find(self, message: OutgoingMessage, since: datetime) -> Handover | None:
        """Whether the gateway knows our id of this message. Raises Retryable; Permanent where no status is described."""
        own = client_id(message.claim_id)
        request = question_for(self._gateway, own, self._now(), self._base)
        try:
            async with self._places.one():
                answer = await self._ask(request)
        except (TimeoutError, _NoAnswer) as error:
            raise Retryable(f"The gateway's status could not be read ({type(error).__name__})", _AWAY_WAIT) from None
        known = found(self._gateway, answer, own, self._now())
        return None if known is None else self._handover(message, known)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def _ask(self, request: Outgoing) -> Incoming:
        """Raises Retryable (surely not sent), _NoAnswer, TimeoutError."""
        for _ in range(2):  # let the loop see which kept connections have been closed: a message on one of them would be of unknown outcome
            await asyncio.sleep(0)
        try:
            async with self._session().request(
                request.method, request.url, data=request.body or None, headers=request.headers, allow_redirects=False
            ) as answer:
                return Incoming(answer.status, await _body(answer.content), answer.headers.get("Retry-After"))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Retryable(f"The gateway could not be reached ({type(error).__name__}); nothing was sent", _AWAY_WAIT) from None
        except (aiohttp.InvalidURL, ValueError) as error:
            raise Permanent(f"no request can be made of this message ({type(error).__name__})") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _NoAnswer(type(error).__name__) from None

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            # 10 s: a connection that the gateway is about to close must not be used again
            connector = aiohttp.TCPConnector(limit=self._parallel, keepalive_timeout=10)
            self._opened = aiohttp.ClientSession(
                connector=connector, timeout=self._timeouts, middlewares=(_once,), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._opened

    def _handover(self, message: OutgoingMessage, known: Taken) -> Handover:
        reports = self._gateway.told.receipts is not None and message.callback_url is not None
        return Handover(self.provider, known.message_id, known.segments, known.code, reports)
