"""The officers' site: ``/``, ``/api/v1/figures``, ``/api/v1/alerts``, ``/healthz``, ``/readyz``."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard import drawing
from dashboard.view import Alerts, FigureStore, Question, View, figures_json, question, view
from hailong.domain.scoring import STEP, Version
from hailong.domain.units import LOCAL
from hailong.ports import Clock, Invalid, Permanent, Retryable
from web import numbers
from web.assembly import assemble
from web.headers import Policy
from web.health import Check
from web.pages import Pages, texts

_HERE: Final = Path(__file__).parent
_KEPT: Final = 32
_T = TypeVar("_T")


class Views:
    """Views of the newest version. One that was asked for before at the same version is not counted again."""

    def __init__(self, store: FigureStore, clock: Clock, step: int) -> None:
        self._store = store
        self._clock = clock
        self._step = step
        self._kept: OrderedDict[Question, tuple[Version, View]] = OrderedDict()
        self._lock = Lock()

    def get(self, asked: Question) -> View:
        """Raises Retryable, Permanent."""
        version = self._store.version()
        with self._lock:
            kept = self._kept.get(asked)
        if kept is not None and kept[0] == version:
            return kept[1]
        made = view(self._store, asked, version, self._step, self._clock.now().astimezone(LOCAL).date())
        with self._lock:
            self._kept[asked] = version, made
            self._kept.move_to_end(asked)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made

    def ping(self) -> None:
        """Raises Retryable, Permanent."""
        self._store.version()


def build_dashboard(
    store: FigureStore,
    alerts: Alerts,
    clock: Clock,
    *,
    notice: Mapping[str, str] | None = None,
    step: int = STEP,
    loopback_only: bool = True,
    trusted_proxies: str = "",
) -> Starlette:
    """The site.

    ``notice``: language → a text at the top of the page (what is public, what simulated). ``step``: figures of a unit move in steps
    of so many answers; 1 only where nobody but the quality office looks. ``loopback_only``: whoever does not come from this very
    machine gets 403; False only where the port itself is published on loopback.
    """
    words = texts(_HERE / "texts")
    site = {lang: str(said["site"]) for lang, said in words.items()}
    pages = Pages([_HERE / "templates"], [_HERE / "static" / "officers.css"], words, site)
    desk = _Desk(Views(store, clock, step), alerts, pages, dict(notice or {}), step, loopback_only)
    routes = [
        Route("/", desk.page, name="officers"),
        Route("/api/v1/figures", desk.figures, name="figures"),
        Route("/api/v1/alerts", desk.alerts, name="alerts"),
    ]
    checks = [Check("clickhouse", _probe(desk.views.ping)), Check("ledger", _probe(alerts), needed=False)]
    return assemble(routes, pages, policy=Policy(styles=pages.style_source), checks=checks, trusted_proxies=trusted_proxies)


def _probe(ask: Callable[[], object]) -> Callable[[], Any]:
    async def probe() -> None:
        await asyncio.to_thread(ask)

    return probe


class _Desk:
    """The handlers."""

    def __init__(self, views: Views, alerts: Alerts, pages: Pages, notice: dict[str, str], step: int, loopback_only: bool) -> None:
        self.views = views
        self._alerts = alerts
        self._pages = pages
        self._notice = notice
        self._step = step
        self._loopback_only = loopback_only

    async def page(self, request: Request) -> Response:
        """``/``."""
        self._admit(request)
        lang = self._pages.language(request)
        shown, alerts = await asyncio.gather(self._view(request), self._listed())
        return self._pages.respond("officers.html", lang, **self._context(request, lang, shown, alerts))

    def _context(self, request: Request, lang: str, shown: View, alerts: list[dict[str, Any]] | None) -> dict[str, Any]:
        kept = {name: value for name, value in request.query_params.items() if name in ("from", "to", "level", "order") and value}
        at = shown.figures.counted_at
        alerted = {a["unit"]: a["id"] for a in alerts or [] if a["open"]}
        by_need = shown.question.order == "support"
        return {
            "v": shown,
            "rows": sorted(shown.rows, key=lambda row: by_need and row.unit not in alerted),
            "open_alerts": None if alerts is None else [a for a in alerts if a["open"]],
            "past_alerts": [a for a in alerts or [] if not a["open"]],
            "alerted": alerted,
            "said": lambda alert: _without_name(alert[f"sentence_{lang}"], shown.named_unit.get(alert["unit"], "")),
            "counted_at": at.astimezone(LOCAL) if at else None,
            "notice": self._notice.get(lang, ""),
            "step": self._step,
            "drawing": drawing,
            "month": lambda month: numbers.month(month, lang),
            "moment": date.fromisoformat,
            "turned": self._pages.turned(f"?{urlencode(kept)}&" if kept else "?"),
            "query": urlencode(kept),
            "loopback_only": self._loopback_only,
        }

    async def figures(self, request: Request) -> Response:
        """``/api/v1/figures``."""

        async def answer() -> Any:
            return {**figures_json(await self._view(request)), "step": self._step}

        return await self._json(request, answer)

    async def alerts(self, request: Request) -> Response:
        """``/api/v1/alerts``."""

        async def answer() -> Any:
            try:
                return await asyncio.to_thread(self._alerts)
            except (Retryable, Permanent) as away:
                raise _unavailable(away) from away

        return await self._json(request, answer)

    async def _json(self, request: Request, answer: Callable[[], Awaitable[Any]]) -> Response:
        """A program always gets JSON, for errors too; the status of a wrong parameter is 422 here."""
        try:
            self._admit(request)
            return JSONResponse(await answer())
        except HTTPException as e:
            status = 422 if e.status_code == 400 else e.status_code
            said = {"status": status, "reason": HTTPStatus(status).phrase, "detail": e.detail}
            return JSONResponse({"error": said}, status, e.headers)

    async def _view(self, request: Request) -> View:
        try:
            asked = question(request.query_params)
        except Invalid as wrong:
            raise HTTPException(400, f"{wrong.field}: {wrong.detail}") from wrong
        try:
            return await asyncio.to_thread(self.views.get, asked)
        except (Retryable, Permanent) as away:
            raise _unavailable(away) from away

    async def _listed(self) -> list[dict[str, Any]] | None:
        """None when they cannot be read now: the figures are shown all the same, and the page says so."""
        try:
            return await asyncio.to_thread(self._alerts)
        except (Retryable, Permanent):
            return None

    def _admit(self, request: Request) -> None:
        """Until there is a sign-in: this machine only, by its own name (a foreign page may point its name here), past no proxy."""
        if not self._loopback_only:
            return
        forwarded = "x-forwarded-for" in request.headers or "forwarded" in request.headers
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        if forwarded or request.client is None or not _is_loopback(request.client.host) or not (host == "localhost" or _is_loopback(host)):
            raise HTTPException(403, "This site opens only on the machine it runs on, at a loopback address, until there is a sign-in.")


def _without_name(sentence: str, name: str) -> str:
    """A sentence that begins with its unit's name, for a place where the name stands above it."""
    rest = sentence.removeprefix(f"{name}: ")
    return rest[:1].upper() + rest[1:]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unavailable(away: Retryable | Permanent) -> HTTPException:
    after = away.after if isinstance(away, Retryable) else 60
    return HTTPException(503, away.reason, {"Retry-After": str(max(1, round(after)))})
