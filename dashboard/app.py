"""The officers' site: figures, alerts and messages behind the gate (``dashboard.gate``), the way through it, ``/healthz``, ``/readyz``."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard import drawing, messages, operations, questionnaire
from dashboard.access import Access
from dashboard.administration import Administration
from dashboard.alerting import AlertLedger, AlertPages, scope_of, unseen, without_name
from dashboard.behind import Sources
from dashboard.behind.page import BehindPages
from dashboard.behind.sources import StatedStore, StrataStore
from dashboard.calls import CallPages
from dashboard.gate import Gate
from dashboard.helping import LARGE, HelpPages
from dashboard.managing import Managing
from dashboard.measures import BODY, MeasureLedger, MeasurePages
from dashboard.measures import PAGE as MEASURES
from dashboard.own import Own
from dashboard.refusing import wrong_question
from dashboard.scope import Scope
from dashboard.signing import Signing
from dashboard.stopping import Stopping
from dashboard.talking import Talking
from dashboard.telling import Telling
from dashboard.view import ASKED, Alerts, FigureStore, Question, View, figures_json, question, view
from dashboard.waiting import Lists, Waiting
from hailong.domain.papers import LARGEST
from hailong.domain.quiet import Sight, sights
from hailong.domain.scoring import STEP, Filters, Version
from hailong.domain.telling import Audience
from hailong.domain.units import LOCAL, Registry
from hailong.ports import Clock, Invalid, Permanent, Retryable
from web import numbers
from web.assembly import Lifespan, assemble
from web.headers import Policy
from web.health import Check
from web.limits import BodyLimit
from web.outbox import Outbox
from web.pages import Pages, texts

_HERE: Final = Path(__file__).parent
_KEPT: Final = 32
_SMALL: Final = 16_384
"""Bytes of a form without a file."""


class Views:
    """Views of the newest version. One that was asked for before at the same version is not counted again."""

    def __init__(self, store: FigureStore, clock: Clock, exact: bool) -> None:
        self._store = store
        self._clock = clock
        self._exact = exact
        self._telling = Telling(store)
        self._kept: OrderedDict[Question, tuple[Version, View]] = OrderedDict()
        self._sights: tuple[Version, date, Registry, dict[str, Sight]] | None = None
        self._lock = Lock()

    def get(self, asked: Question) -> View:
        """Raises Retryable, Permanent."""
        version = self._store.version()
        with self._lock:
            kept = self._kept.get(asked)
        if kept is not None and kept[0] == version:
            return kept[1]
        made = view(self._store, asked, version, self.audience(asked.scope), self.today(), self._telling)
        with self._lock:
            self._kept[asked] = version, made
            self._kept.move_to_end(asked)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made

    def audience(self, scope: Scope) -> Audience:
        """To whom figures of a scope are told."""
        return "office" if self._exact else scope.audience

    def today(self) -> date:
        """The installation's day."""
        return self._clock.now().astimezone(LOCAL).date()

    def alerts(self, scope: Scope, listed: Alerts) -> list[dict[str, Any]]:
        """Those of a scope. Raises Retryable, Permanent."""
        everything = scope.unit is None and not scope.morning and scope.doubts
        return listed() if everything else scope.alerts(listed(), self._store.registry(), self.today())

    def registry(self) -> Registry:
        """Raises Retryable, Permanent."""
        return self._store.registry()

    def sights(self, scope: Scope) -> dict[str, Sight]:
        """How long a fall would stay unseen in each unit of a scope. Raises Retryable, Permanent."""
        version, today = self._store.version(), self.today()
        with self._lock:
            kept = self._sights
        if kept is None or kept[:2] != (version, today):
            registry = self._store.registry(version)
            cells = self._store.figures(Filters(), version).cells
            kept = version, today, registry, sights(cells, registry, self._store.targets(version), today)
            with self._lock:
                self._sights = kept
        return {unit: sight for unit, sight in kept[3].items() if scope.holds(unit, kept[2], today)}

    def ping(self) -> None:
        """Raises Retryable, Permanent."""
        self._store.version()


@dataclass(frozen=True)
class Door:
    """What signing in needs. ``new_token`` gives 256 random bits as text; ``address``: of this site, as one-time links name it."""

    access: Access
    administration: Administration
    address: str
    monotonic: Callable[[], float]
    new_token: Callable[[], str]


@dataclass(frozen=True)
class Publishing:
    """How facts that pages wrote reach the log. ``check`` raises Retryable while it is away; ``close`` is awaited last."""

    outbox: Outbox
    check: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


def build_dashboard(
    store: FigureStore,
    alerts: Alerts,
    clock: Clock,
    door: Door,
    *,
    notice: Mapping[str, str] | None = None,
    exact: bool = False,
    letters: messages.Rows | None = None,
    arms: messages.Arms | None = None,
    running: operations.Operations | None = None,
    asked: questionnaire.Rows | None = None,
    waiting: tuple[Lists, Callable[[str], str]] | None = None,
    talking: Talking | None = None,
    measures: MeasureLedger | None = None,
    alerting: AlertLedger | None = None,
    behind: tuple[StrataStore, StatedStore] | None = None,
    publishing: Publishing | None = None,
    loopback_only: bool = False,
    trusted_proxies: str = "",
) -> Starlette:
    """The site.

    ``notice``: language → a text at the top of the page (what is public, what simulated). ``exact``: everybody sees what the quality
    office sees, for trying out. ``letters``: the rows of ``/messages``, ``arms`` its comparison;
    ``asked``: what ``/questionnaire`` shows; ``running``: what ``/operations`` shows; ``waiting``: the quality office's lists and how units
    are called; ``talking``: calls, help, paper; ``measures``: "you said, we did"; ``alerting``: where alerts are closed; ``behind``: what
    ``/behind`` reads besides the figures; ``publishing``: how what forms wrote reaches the log. ``loopback_only``: whoever does not come
    from this very machine gets 403, signed in or not.
    """
    words = _words()
    site = {lang: str(said["site"]) for lang, said in words.items()}
    styles = [
        _HERE / "static" / f"{sheet}.css" for sheet in ("officers", "access", "operations", "talking", "measures", "alerting", "behind")
    ]
    pages = Pages([_HERE / "templates"], styles, words, site)
    gate = Gate(door.access, pages, loopback_only=loopback_only, new_token=door.new_token)
    if publishing is not None:
        gate.wrote = publishing.outbox.wake
    views = Views(store, clock, exact)
    desk = _Desk(views, alerts, gate, dict(notice or {}))
    routes = [
        Route("/", gate.page(desk.page), name="officers"),
        Route("/api/v1/figures", gate.api(desk.figures), name="figures"),
        Route("/api/v1/alerts", gate.api(desk.alerts), name="alerts"),
        *Signing(gate, door.monotonic).routes(),
        *Own(gate).routes(),
        *Managing(gate, door.administration, door.address).routes(),
        *Stopping(gate, clock).routes(),
    ]
    if asked is not None:
        routes.append(Route("/questionnaire", gate.page(questionnaire.page(asked, gate), questionnaire.ROLES), name="questionnaire"))
    if waiting is not None:
        routes += Waiting(gate, *waiting, clock).routes()
    if talking is not None:
        gate.talks = True
        routes += [*CallPages(gate, talking).routes(), *HelpPages(gate, talking).routes()]
    if measures is not None:
        gate.tells = True
        routes += MeasurePages(gate, measures, clock, talking.survey if talking is not None else "").routes()
    if alerting is not None:
        gate.alarms = True
        routes += AlertPages(gate, views, alerts, alerting, clock).routes()
    if behind is not None:
        gate.compares = True
        routes += BehindPages(gate, Sources(store, *behind), clock).routes()
    if running is not None:
        routes.append(Route("/operations", gate.page(operations.page(running, gate), operations.ROLES), name="operations"))
    if letters is not None:
        routes.append(Route("/messages", gate.page(messages.page(letters, gate.shown, pages.turned, arms)), name="messages"))
    checks = [Check("clickhouse", _probe(views.ping)), Check("ledger", _probe(alerts), needed=False)]
    checks += [Check("log", publishing.check, needed=False)] if publishing is not None else []
    for route in routes:
        if route.path not in LARGE:
            route.app = BodyLimit(route.app, BODY if route.path == MEASURES else _SMALL)
    policy = Policy(styles=pages.style_source, forms=f"'self' {talking.survey}" if talking is not None else "'self'")
    return assemble(
        routes, pages, policy=policy, checks=checks, trusted_proxies=trusted_proxies, body_limit=LARGEST + _SMALL,
        lifespan=_life(publishing),
    )  # fmt: skip


def _life(publishing: Publishing | None) -> Lifespan:
    """While the site runs, its outbox is published."""

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        if publishing is None:
            yield
            return
        publishing.outbox.start()
        try:
            yield
        finally:
            await publishing.outbox.stop()
            await publishing.close()

    return life


def _words() -> dict[str, dict[str, Any]]:
    """Language → what the templates call ``t``."""
    read = {name: texts(_HERE / "texts" / name) for name in ("access", "alerting", "behind", "measures", "talking")}
    said = {}
    for lang, words in texts(_HERE / "texts").items():
        talk = read["talking"][lang]
        rooms = {"access": read["access"][lang], "operations": operations.words()[lang], "measures": read["measures"][lang]}
        rooms |= {name: read[name][lang] for name in ("alerting", "behind")}
        said[lang] = words | rooms | {"talking": talk["nav"], "calls": talk["calls"], "helping": talk["helping"]}
    return said


def _probe(ask: Callable[[], object]) -> Callable[[], Any]:
    async def probe() -> None:
        await asyncio.to_thread(ask)

    return probe


class _Desk:
    """The handlers."""

    def __init__(self, views: Views, alerts: Alerts, gate: Gate, notice: dict[str, str]) -> None:
        self._views = views
        self._alerts = alerts
        self._gate = gate
        self._pages = gate.pages
        self._notice = notice

    async def page(self, request: Request) -> Response:
        """``/``."""
        lang = self._pages.language(request)
        shown, alerts = await asyncio.gather(self._view(request), self._listed(request))
        sights = await self._gate.ask(self._views.sights, scope_of(request))
        words = self._pages.words[lang]["alerting"]
        unseens = {unit: unseen(sight, words, lang) for unit, sight in sights.items()}
        return self._gate.shown(request, "officers.html", **self._context(request, lang, shown, alerts), unseen=unseens)

    def _context(self, request: Request, lang: str, shown: View, alerts: list[dict[str, Any]] | None) -> dict[str, Any]:
        kept = {name: value for name, value in request.query_params.items() if name in ASKED and value}
        at = shown.figures.counted_at
        alerted = {a["unit"]: a["id"] for a in alerts or [] if a["open"]}
        by_need = shown.question.order == "support"
        return {
            "v": shown,
            "rows": sorted(shown.rows, key=lambda row: by_need and row.unit not in alerted),
            "open_alerts": None if alerts is None else [a for a in alerts if a["open"]],
            "past_alerts": [a for a in alerts or [] if not a["open"]],
            "alerted": alerted,
            "said": lambda alert: without_name(alert[f"sentence_{lang}"], shown.named_unit.get(alert["unit"], "")),
            "counted_at": at.astimezone(LOCAL) if at else None,
            "notice": self._notice.get(lang, ""),
            "step": STEP,
            "drawing": drawing,
            "month": lambda month: numbers.month(month, lang),
            "moment": date.fromisoformat,
            "before": lambda day: day - timedelta(days=1),
            "turned": self._pages.turned(f"?{urlencode(kept)}&" if kept else "?"),
            "query": urlencode(kept),
        }

    async def figures(self, request: Request) -> Response:
        """``/api/v1/figures``."""
        shown = await self._view(request)
        return JSONResponse({**figures_json(shown), "step": 1 if shown.audience == "office" else STEP})

    async def alerts(self, request: Request) -> Response:
        """``/api/v1/alerts``."""
        return JSONResponse(await self._gate.ask(self._views.alerts, scope_of(request), self._alerts))

    async def _view(self, request: Request) -> View:
        try:
            scope = scope_of(request)
            asked = question(request.query_params, scope, narrow=self._views.audience(scope) == "office")
        except Invalid as wrong:
            raise wrong_question(wrong, self._pages.words) from wrong
        shown: View = await self._gate.ask(self._views.get, asked)
        return shown

    async def _listed(self, request: Request) -> list[dict[str, Any]] | None:
        """None when they cannot be read now: the figures are shown all the same, and the page says so."""
        try:
            return await asyncio.to_thread(self._views.alerts, scope_of(request), self._alerts)
        except (Retryable, Permanent):
            return None
