"""The survey site: its parts put together, its addresses, its life."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hailong.domain import links, slips
from hailong.ports import AsyncPublisher, Clock, FakeReports, SentMessages
from hailong.settings import Settings
from surveys.answers.asking import Asking
from surveys.answers.form_state import Sealer
from surveys.answers.keeping import Keeper
from surveys.answers.pressure import Pressure
from surveys.answers.showing import Showing
from surveys.answers.spool import Spool
from surveys.answers.submitting import Submitting
from surveys.answers.telling import PAGE as TOLD
from surveys.channels.gateway_file import Gateway
from surveys.doors.coming import Coming
from surveys.doors.drawing import DrawBook, Drawing
from surveys.doors.entering import DossierCodes, Entering, Feedback, guards
from surveys.doors.kiosk import Devices, Kiosk
from surveys.doors.proving import Proving
from surveys.doors.stopping import Stopping
from surveys.doors.verifying import PAGE, REPORT, Verifying
from surveys.guessing import Guard
from surveys.inbound.gateway_doors import GatewayDoors
from surveys.inbound.ratings import EventDoor, Ratings
from surveys.inbound.receipts import ReceiptDoor, Receipts
from surveys.inbound.replying import Replying, StopNumber
from surveys.records import Records, SiteLedger
from surveys.serving import Serving
from surveys.wording import TEXTS, Library, Office
from web.assembly import assemble, by_method
from web.headers import Policy
from web.health import Check
from web.outbox import Outbox


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
    real_now: Callable[[], datetime]
    """Real time, aware, whatever ``clock`` says: how long somebody has been sitting there."""
    receipt_for: Callable[[str], str]
    """survey_id → the code of its receipt."""
    receipts: Mapping[str, ReceiptDoor] = field(default_factory=dict)
    """Provider → how it reports; its address is ``/receipts/PROVIDER`` under ``settings.callback_url``."""
    gateways: Sequence[Gateway] = ()
    """Domestic gateways whose receipts and short codes have doors here."""
    stop_number: StopNumber | None = None
    """How a stop word sent to a short code opts its sender out; None: it cannot, and the gateway is told to come back."""
    zalo: EventDoor | None = None
    """How Zalo reports deliveries and ratings, at ``/receipts/zns``; None: that address does not exist."""
    sent: SentMessages | None = None
    """What ``/verify`` may know; without it, or without ``fakes``, there is no such page."""
    fakes: FakeReports | None = None
    draw: DrawBook | None = None
    """What ``/draw`` may know; without it there is no such page."""
    dossier_codes: DossierCodes | None = None
    """How a dossier's code becomes what stands for it; without it ``/code`` takes slips only."""
    kiosks: Devices | None = None
    """What ``/kiosk`` may know; without it there is no such page."""
    texts: Path = TEXTS
    """Folder of the languages."""
    checks: Sequence[Check] = ()
    """More dependencies for ``/readyz`` (ledger, log); give ``needed=False``: the site takes answers without them."""
    counters: CollectorRegistry = field(default_factory=CollectorRegistry)
    close: Callable[[], Awaitable[None]] | None = None
    """Awaited last, in the site's loop (the publisher's end)."""


def build_site(parts: Parts) -> Starlette:
    """The site as an ASGI application; its lifespan drains spool and outbox and gives the spool up at the end."""
    sealer = Sealer(parts.form_keys)
    showing = Showing(parts.office, sealer, parts.receipt_for, parts.clock, parts.texts)
    records = Records(parts.ledger)
    # A link's code of 59 bits: ten times as many guesses from fresh addresses find one of 10,000 open links in 80,000 years.
    per_minute = parts.settings.unknown_codes_per_minute
    guard = Guard(per_minute, 10 * per_minute, 3, parts.monotonic)
    typed = Guard(per_minute, per_minute // 4, 1, parts.monotonic)
    keeper = Keeper(parts.publisher, parts.spool, parts.counters)
    outbox = Outbox(parts.ledger, parts.publisher, "surveys", records.run)
    submitting = Submitting(parts.settings.registry_id, records, keeper, parts.clock)
    pressure = Pressure(parts.settings.desk_networks.split(","), parts.clock, parts.monotonic, parts.new_nonce().encode()[:64])
    asking = Asking(
        parts.library, records, keeper, submitting, sealer, showing, guard, pressure, parts.clock, parts.new_nonce, parts.real_now
    )
    stopping = Stopping(records, outbox, showing, guard, parts.clock)
    receipts = Receipts(parts.receipts, records, parts.clock, parts.settings.callback_url)

    ratings = Ratings(parts.zalo, parts.settings.registry_id, parts.library, records, keeper, parts.clock, parts.counters)

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

    dossiers, by_slip = guards(per_minute, parts.monotonic)
    entering = Entering(asking, records, showing, parts.office, parts.dossier_codes, dossiers, by_slip, parts.clock)
    gateways = GatewayDoors(
        parts.gateways, records, _replying(parts, records, keeper, showing), parts.clock, parts.counters, parts.stop_number
    )
    return assemble(
        [
            *gateways.routes(),
            *_verify(parts, records, showing, typed),
            *_draw(parts, records, showing, typed),
            *_open(parts, records, showing, entering),
            *_devices(parts, asking, records, keeper, showing),
            *Serving(showing.pages, showing.speaking).routes(),
            *_routes(asking, entering, stopping, receipts, ratings, showing),
        ],
        showing.pages,
        policy=Policy(styles=showing.pages.style_source, media="'self'"),
        checks=[Check("spool", keeper.probe), Check("answers in the log", keeper.probe_log, needed=False), *parts.checks],
        trusted_proxies=parts.settings.trusted_proxies,
        lifespan=life,
    )


def _replying(parts: Parts, records: Records, keeper: Keeper, showing: Showing) -> Replying:
    return Replying(
        parts.settings.registry_id,
        parts.library,
        records,
        keeper,
        parts.clock,
        parts.new_nonce,
        showing.pages.words,
        parts.office,
        parts.receipt_for,
    )


def _verify(parts: Parts, records: Records, showing: Showing, guard: Guard) -> list[Route]:
    if parts.sent is None or parts.fakes is None:
        return []
    page = Verifying(parts.sent, parts.fakes, records, showing, parts.office, guard, parts.clock, parts.monotonic, parts.counters)
    return [
        Route(str(PAGE), by_method(page.show, page.take), methods=["GET", "POST"], name="verify"),
        Route(str(REPORT), page.report, methods=["POST"], name="report"),
    ]


def _draw(parts: Parts, records: Records, showing: Showing, guard: Guard) -> list[Route]:
    return [] if parts.draw is None else Drawing(parts.draw, records, showing, guard, parts.monotonic).routes()


def _devices(parts: Parts, asking: Asking, records: Records, keeper: Keeper, showing: Showing) -> list[Route]:
    if parts.kiosks is None:
        return []
    kiosk = Kiosk(
        parts.kiosks, asking, records, keeper, showing, parts.office, parts.dossier_codes, parts.clock, parts.monotonic, parts.new_nonce,
        parts.real_now,
    )  # fmt: skip
    return kiosk.routes()


def _open(parts: Parts, records: Records, showing: Showing, entering: Entering) -> list[Route]:
    """What is open to everybody, with a code of paper, with a receipt, or with none."""
    per_minute = parts.settings.unknown_codes_per_minute
    receipts = Guard(per_minute, per_minute // 4, 1, parts.monotonic)
    return [
        *entering.routes(),
        *Feedback(records, showing, parts.office, parts.clock, parts.monotonic).routes(),
        *Proving(records, showing, parts.office, receipts, parts.clock).routes(),
        *Coming(records, showing).routes(),
    ]


def _routes(asking: Asking, entering: Entering, stopping: Stopping, receipts: Receipts, ratings: Ratings, showing: Showing) -> list[Route]:
    async def show(request: Request) -> Response:
        """A slip's code is typed after the address as a link's is."""
        return await (entering.show_slip if slips.parse(request.path_params["code"]) else asking.show)(request)

    async def why(request: Request) -> Response:
        return showing.why(links.parse(request.path_params.get("code", "")), showing.language(request))

    async def accessibility(request: Request) -> Response:
        return showing.accessibility(showing.language(request))

    async def tell(request: Request) -> Response:
        return showing.tell(request)

    return [
        Route("/", why, name="home"),
        Route("/notice", why, name="notice"),
        Route(TOLD, tell, name="told"),
        Route("/accessibility", accessibility, name="accessibility"),
        Route("/receipts/zns", ratings.take, methods=["POST"], name="ratings"),
        Route("/receipts/{provider}", receipts.take, methods=["POST"], name="receipts"),
        Route("/{code}", by_method(show, asking.take), methods=["GET", "POST"], name="ask"),
        Route("/{code}/next", asking.show_next, name="next"),
        Route("/{code}/thanks", asking.thank, name="thanks"),
        Route("/{code}/stop", by_method(stopping.show, stopping.take), methods=["GET", "POST"], name="stop"),
        Route("/{code}/start", by_method(stopping.show_start, stopping.start), methods=["GET", "POST"], name="start"),
        Route("/{code}/why", why, name="why"),
    ]
