"""Where domestic gateways call us: ``/receipts/gateway/NAME`` and ``/inbound/gateway/NAME``, followed by ``/SECRET`` where described so.

Believed only when authentic; answered as the gateway wants to hear it, and only once what it told is safe. A message to the short code
answers a survey, opts its sender out, or is asked back (``surveys.inbound.replying``); nothing of it is kept but its id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hailong.ports import Clock, Invalid, Receipt, Retryable, Transaction
from surveys.channels.gateway_file import Back, Gateway, Inbound, Receipts, Reply
from surveys.channels.gateway_reports import Call, Said, authentic, receipts_of, said
from surveys.inbound.replying import CannotStop, Heard, Replying, StopNumber
from surveys.records import Records

Door = Literal["receipts", "inbound"]
_LATER: Final = 60


class GatewayDoors:
    """The doors of ``gateways``. ``stop`` None: a stop word cannot be obeyed, and is refused with 503 rather than confirmed."""

    def __init__(
        self,
        gateways: Sequence[Gateway],
        records: Records,
        replying: Replying,
        clock: Clock,
        counters: CollectorRegistry,
        stop: StopNumber | None = None,
    ) -> None:
        self._gateways = {gateway.told.name: gateway for gateway in gateways}
        self._records, self._replying, self._clock, self._stop = records, replying, clock, stop
        by = ["gateway", "outcome"]
        self._reports = Counter("hailong_gateway_receipts", "receipts of gateways, by what was done", by, registry=counters)
        self._heard = Counter("hailong_gateway_inbound", "messages to short codes, by what was done", by, registry=counters)

    def routes(self) -> list[Route]:
        both = ["GET", "POST"]
        return [
            Route("/receipts/gateway/{name}", self.report, methods=both, name="gateway receipts"),
            Route("/receipts/gateway/{name}/{secret}", self.report, methods=both, name="gateway receipts by secret"),
            Route("/inbound/gateway/{name}", self.hear, methods=both, name="gateway inbound"),
            Route("/inbound/gateway/{name}/{secret}", self.hear, methods=both, name="gateway inbound by secret"),
        ]

    async def report(self, request: Request) -> Response:
        """A delivery report: the described answer when it is stored; 400 unreadable, 403 not authentic, 404, 405, 503 ledger away."""
        gateway, way, call = await self._admitted(request, "receipts")
        try:
            reported = receipts_of(gateway, call)
        except Invalid as wrong:
            raise HTTPException(400, wrong.detail) from None
        news = [receipt for receipt in reported.receipts if receipt.status != "sent"]  # on its way says nothing that anybody acts on
        if news:
            await self._do(lambda tx: self._store(tx, news))
        name = gateway.told.name
        self._reports.labels(name, "stored").inc(len(news))
        self._reports.labels(name, "no_news").inc(len(reported.receipts) - len(news))
        self._reports.labels(name, "not_described").inc(reported.unread)
        return _answer(way.answer)

    async def hear(self, request: Request) -> Response:
        """A message to the short code; statuses as for ``report``, and 503 also while log and spool are away.

        What is to be said to the sender goes into the answer, where the description tells how.
        """
        gateway, way, call = await self._admitted(request, "inbound")
        try:
            message = said(gateway, call)
        except Invalid as wrong:
            raise HTTPException(400, wrong.detail) from None
        back = gateway.told.inbound.reply if gateway.told.inbound is not None else None
        heard = await self._heard_by(gateway, message, back)
        self._heard.labels(gateway.told.name, heard.outcome).inc()
        if back is None or not heard.text:
            return _answer(way.answer)
        return Response(back.filled({**message.told, "text": heard.text}), back.status, media_type=back.type)

    async def _heard_by(self, gateway: Gateway, message: Said, back: Back | None) -> Heard:
        """What was done with a message. Raises HTTPException(503): the gateway keeps it; silence would break a promise."""
        try:
            return await self._replying.hear(gateway.provider, message, self._stop, back)
        except CannotStop:
            self._heard.labels(gateway.told.name, "stop_refused").inc()
            raise HTTPException(503, headers={"Retry-After": str(_LATER)}) from None
        except Retryable as away:
            self._heard.labels(gateway.told.name, "put_off").inc()
            raise _later(away) from None

    async def _admitted(self, request: Request, door: Door) -> tuple[Gateway, Receipts | Inbound, Call]:
        gateway = self._gateways.get(request.path_params["name"])
        way = (gateway.told.receipts if door == "receipts" else gateway.told.inbound) if gateway is not None else None
        if gateway is None or way is None:
            raise HTTPException(404)
        if request.method != way.method:
            raise HTTPException(405, headers={"Allow": way.method})
        headers = {name.lower(): value for name, value in request.headers.items()}
        secret = request.path_params.get("secret", "")
        call = Call(request.method, request.url.path, request.url.query, headers, await request.body(), secret)
        if not authentic(gateway, way, call):
            raise HTTPException(403)
        return gateway, way, call

    def _store(self, tx: Transaction, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            tx.store_receipt(receipt, self._clock.now())

    async def _do(self, act: Callable[[Transaction], None]) -> None:
        try:
            await self._records.do(act)
        except Retryable as away:
            raise _later(away) from None


def _later(away: Retryable) -> HTTPException:
    return HTTPException(503, headers={"Retry-After": str(max(1, round(away.after)))})


def _answer(reply: Reply) -> Response:
    return Response(reply.text, reply.status, media_type=reply.type) if reply.text else Response(status_code=reply.status)
