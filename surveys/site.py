"""The survey site: its parts put together, its addresses, its life."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hailong.domain import links
from hailong.ports import AsyncPublisher, Clock
from hailong.settings import Settings
from surveys.asking import Asking
from surveys.form_state import Sealer
from surveys.guessing import Guard
from surveys.keeping import Keeper
from surveys.outbox import Outbox
from surveys.receipts import ReceiptDoor, Receipts
from surveys.records import Records, SiteLedger
from surveys.showing import Showing
from surveys.spool import Spool
from surveys.stopping import Stopping
from surveys.wording import Library, Office
from web.assembly import assemble
from web.headers import Policy
from web.health import Check

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Parts:
    """What the site is made of. Random names, keys and the pace of real time come from outside."""

    settings: Settings
    ledger: SiteLedger
    publisher: AsyncPublisher
    spool: Spool
    clock: Clock
    office: Office
    library: Library
    form_keys: Sequence[bytes]
    """Fernet keys; the first seals, all open."""
    new_nonce: Callable[[], str]
    monotonic: Callable[[], float]
    receipts: Mapping[str, ReceiptDoor] = field(default_factory=dict)
    """Provider → how it reports; its address is ``/receipts/PROVIDER`` under ``settings.callback_url``."""
    checks: Sequence[Check] = ()
    """More dependencies for ``/readyz`` (ledger, log); give ``needed=False``: the site takes answers without them."""
    counters: CollectorRegistry = field(default_factory=CollectorRegistry)
    close: Callable[[], Awaitable[None]] | None = None
    """Awaited last, in the site's loop (the publisher's end)."""


def build_site(parts: Parts) -> Starlette:
    """The site as an ASGI application; its lifespan drains spool and outbox and gives the spool up at the end."""
    sealer = Sealer(parts.form_keys)
    showing = Showing(parts.office, sealer)
    records = Records(parts.ledger)
    guard = Guard(parts.settings.unknown_codes_per_minute, parts.monotonic)
    keeper = Keeper(parts.publisher, parts.spool, parts.counters)
    outbox = Outbox(parts.ledger, records, parts.publisher)
    asking = Asking(parts.settings.registry_id, parts.library, records, keeper, sealer, showing, guard, parts.clock, parts.new_nonce)
    stopping = Stopping(records, outbox, showing, guard, parts.clock)
    receipts = Receipts(parts.receipts, records, parts.clock, parts.settings.callback_url)

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        keeper.start()
        outbox.start()
        try:
            yield
        finally:
            await outbox.stop()
            await keeper.stop()
            if parts.close is not None:
                await parts.close()

    return assemble(
        _routes(asking, stopping, receipts, showing),
        showing.pages,
        policy=Policy(styles=showing.pages.style_source),
        checks=[Check("spool", keeper.probe), Check("answers in the log", keeper.probe_log, needed=False), *parts.checks],
        trusted_proxies=parts.settings.trusted_proxies,
        lifespan=life,
    )


def _routes(asking: Asking, stopping: Stopping, receipts: Receipts, showing: Showing) -> list[Route]:
    async def why(request: Request) -> Response:
        return showing.why(links.parse(request.path_params.get("code", "")), showing.language(request))

    return [
        Route("/", why, name="home"),
        Route("/notice", why, name="notice"),
        Route("/receipts/{provider}", receipts.take, methods=["POST"], name="receipts"),
        Route("/{code}", _by_method(asking.show, asking.take), methods=["GET", "POST"], name="ask"),
        Route("/{code}/next", asking.show_next, name="next"),
        Route("/{code}/thanks", asking.thank, name="thanks"),
        Route("/{code}/stop", _by_method(stopping.show, stopping.take), methods=["GET", "POST"], name="stop"),
        Route("/{code}/why", why, name="why"),
    ]


def _by_method(show: Endpoint, take: Endpoint) -> Endpoint:
    """One address, so that a 405 names every method it has."""

    async def answer(request: Request) -> Response:
        return await (take if request.method == "POST" else show)(request)

    return answer
