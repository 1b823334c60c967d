"""Where domestic gateways call us: ``/receipts/gateway/NAME`` and ``/inbound/gateway/NAME``, followed by ``/SECRET`` where described so.

Believed only when authentic; answered as the gateway wants to hear it, and only once what it told is committed. Of a message to the short
code nothing is kept but its id: a stop word opts its sender out, everything else is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, Counter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hailong.ports import Clock, Invalid, Receipt, Retryable, Transaction
from surveys.channels.gateway_file import Gateway, Inbound, Receipts, Reply
from surveys.channels.gateway_reports import Call, Said, authentic, receipts_of, said
from surveys.records import Records

StopNumber = Callable[[Transaction, str], object]
"""Opts a number (E.164) out, in this transaction; may be repeated."""
Door = Literal["receipts", "inbound"]
SEEN = "inbound"
"""Kind of the ledger's rows that remember which messages to the short code were taken."""
_LATER = 60


class GatewayDoors:
    """The doors of ``gateways``. ``stop`` None: a stop word cannot be obeyed, and is refused with 503 rather than confirmed."""

    def __init__(
        self, gateways: Sequence[Gateway], records: Records, clock: Clock, counters: CollectorRegistry, stop: StopNumber | None = None
    ) -> None:
        self._gateways = {gateway.told.name: gateway for gateway in gateways}
        self._records, self._clock, self._stop = records, clock, stop
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
        """A message to the short code; statuses as for ``report``."""
        gateway, way, call = await self._admitted(request, "inbound")
        try:
            message = said(gateway, call)
        except Invalid as wrong:
            raise HTTPException(400, wrong.detail) from None
        if message.stop and message.sender is not None and self._stop is None:
            self._heard.labels(gateway.told.name, "stop_refused").inc()
            raise HTTPException(503, headers={"Retry-After": str(_LATER)})  # the gateway keeps it; silence would break a promise
        outcome = await self._do(lambda tx: self._obey(tx, gateway, message))
        self._heard.labels(gateway.told.name, outcome).inc()
        return _answer(way.answer)

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

    def _obey(self, tx: Transaction, gateway: Gateway, message: Said) -> str:
        """What was done with a message; one that came before does nothing."""
        now = self._clock.now()
        if not tx.schedule(SEEN, f"{gateway.provider}:{message.id}", now):
            return "repeated"
        # remembered as done: nobody waits for it
        tx.finish_due([row.id for row in tx.take_due((SEEN,), now, now, now, 500)])
        if message.stop and message.sender is not None and self._stop is not None:
            self._stop(tx, message.sender)
            return "stopped"
        return "not_understood"

    async def _do(self, act: Callable[[Transaction], str | None]) -> str:
        try:
            return await self._records.do(act) or ""
        except Retryable as away:
            raise HTTPException(503, headers={"Retry-After": str(max(1, round(away.after)))}) from None


def _answer(reply: Reply) -> Response:
    return Response(reply.text, reply.status, media_type=reply.type) if reply.text else Response(status_code=reply.status)
