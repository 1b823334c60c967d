"""``/alerts``, one page an alert, and ``/quiet``: what was found, what it stands on, where to look, and what people found when they did.

Only the quality office closes an alert: who is judged by it does not say that there was nothing. Whatever was said is a fact, in the audit
trail, and may be said again; how often each detector was right follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Any, Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.gate import Gate, who_of
from dashboard.scope import Scope
from hailong.domain.access import Role
from hailong.domain.closing import VERDICTS, Verdict, precision, precision_json
from hailong.domain.quality_sentences import LANGUAGES, WORDS, period_text
from hailong.domain.quiet import Sight, quietest, told
from hailong.domain.units import LOCAL, Registry
from hailong.events import AlertChanged, QualityLooked
from hailong.ports import Clock, Invalid
from web import numbers
from web.assembly import by_method

CLOSERS: Final[frozenset[Role]] = frozenset({"quality_officer"})
LOOK_AT: Final[Mapping[str, tuple[str, frozenset[Role]]]] = {
    "intake": ("/operations", frozenset({"administrator"})),
    "messages": ("/operations", frozenset({"administrator"})),
    "answers": ("/held", frozenset({"quality_officer", "administrator"})),
    "modes": ("/held", frozenset({"quality_officer", "administrator"})),
}
"""List to look into → its page here, and who may open it."""
_PAST: Final = 50
Alerts = Callable[[], list[dict[str, Any]]]


class Reader(Protocol):
    def alert(self, alert_id: str) -> list[AlertChanged]: ...
    def last_look(self) -> QualityLooked | None: ...


class Writer(Protocol):
    def close_alert(self, alert_id: str, said: Verdict, seen: int, by: str, now: datetime) -> AlertChanged: ...


class AlertLedger(Protocol):
    """The ledger, as these pages need it."""

    def read(self) -> AbstractContextManager[Reader]: ...
    def begin(self) -> AbstractContextManager[Writer]: ...


class Seeing(Protocol):
    """What the pages ask of the figures (``dashboard.app.Views``). Every method may raise Retryable or Permanent."""

    def alerts(self, scope: Scope, listed: Alerts) -> list[dict[str, Any]]: ...
    def registry(self) -> Registry: ...
    def sights(self, scope: Scope) -> dict[str, Sight]: ...
    def today(self) -> date: ...


class AlertPages:
    """The handlers."""

    def __init__(self, gate: Gate, views: Seeing, listed: Alerts, ledger: AlertLedger, clock: Clock) -> None:
        self._gate = gate
        self._views = views
        self._listed = listed
        self._ledger = ledger
        self._clock = clock

    def routes(self) -> list[Route]:
        page = self._gate.page
        one = by_method(page(self.one), page(self.close, CLOSERS))
        return [
            Route("/alerts", page(self.all), name="alerts"),
            Route("/alerts/{id:str}", one, methods=["GET", "POST"], name="alert"),
            Route("/quiet", page(self.quiet), name="quiet"),
            Route("/api/v1/alerts/precision", self._gate.api(self.precision), name="precision"),
            Route("/api/v1/quiet", self._gate.api(self.quiet_json), name="quiet units"),
        ]

    # --- the list

    async def all(self, request: Request) -> Response:
        """``/alerts``: what stands, what nobody has judged yet, and how often each detector was right."""
        lang, scope = self._gate.pages.language(request), scope_of(request)
        alerts = await self._gate.ask(self._views.alerts, scope, self._listed)
        last = await self._gate.ask(self._last_look) if scope.doubts else None
        past = [a for a in alerts if not a["open"]]
        return self._shown(
            request, "alerts.html", **await self._names(lang), open_alerts=[a for a in alerts if a["open"]],
            unjudged=[a for a in past if a["verdict"] is None][:_PAST], judged=[a for a in past if a["verdict"] is not None][:_PAST],
            precision=precision(_verdicts(alerts)), last=last, closes=_may_close(request), doubts=scope.doubts,
        )  # fmt: skip

    async def precision(self, request: Request) -> Response:
        """``/api/v1/alerts/precision``."""
        alerts = await self._gate.ask(self._views.alerts, scope_of(request), self._listed)
        return JSONResponse(precision_json(precision(_verdicts(alerts))))

    # --- one alert

    async def one(self, request: Request) -> Response:
        """``GET /alerts/{id}``; 404 also for one that this account may not see."""
        return await self._page(request)

    async def close(self, request: Request) -> Response:
        """``POST /alerts/{id}``: somebody says what they found; 409 when somebody else did meanwhile."""
        await self._found(request)
        sent = await self._gate.sent(request)
        said = next((one for one in VERDICTS if one == sent.get("verdict")), None)
        if said is None or not sent.get("version", "").isdecimal():
            raise HTTPException(422)
        try:
            await self._gate.ask(self._close, request.path_params["id"], said, int(sent["version"][:9]), who_of(request).login)
        except Invalid:
            return await self._page(request, 409, wrong=True)
        return self._gate.to(f"/alerts/{request.path_params['id']}", request, done="1")

    def _close(self, alert_id: str, said: Verdict, seen: int, by: str) -> None:
        with self._ledger.begin() as tx:
            tx.close_alert(alert_id, said, seen, by, self._clock.now())

    async def _found(self, request: Request) -> dict[str, Any]:
        """The alert asked for, if it may be seen. Raises a 404."""
        alerts = await self._gate.ask(self._views.alerts, scope_of(request), self._listed)
        found: dict[str, Any] | None = next((a for a in alerts if a["id"] == request.path_params["id"]), None)
        if found is None:
            raise HTTPException(404)
        return found

    async def _page(self, request: Request, status: int = 200, *, wrong: bool = False) -> Response:
        lang, alert = self._gate.pages.language(request), await self._found(request)
        history = await self._gate.ask(self._history, alert["id"])
        where, roles = LOOK_AT.get((alert["doubt"] or {}).get("where", ""), ("", frozenset[Role]()))
        sights = await self._gate.ask(self._views.sights, scope_of(request))
        return self._shown(
            request, "alert.html", status, **await self._names(lang), a=alert, history=history, wrong=wrong,
            done=request.query_params.get("done") == "1", closes=_may_close(request), verdicts=VERDICTS,
            where=where if who_of(request).role in roles else "", chance=_chance(alert["doubt"], lang),
            unseen=unseen(sights[alert["unit"]], self._gate.pages.words[lang]["alerting"], lang) if alert["unit"] in sights else "",
        )  # fmt: skip

    def _history(self, alert_id: str) -> list[AlertChanged]:
        with self._ledger.read() as reader:
            return sorted(reader.alert(alert_id), key=lambda step: (step.at, step.version))

    def _last_look(self) -> QualityLooked | None:
        with self._ledger.read() as reader:
            return reader.last_look()

    # --- units too quiet to judge

    async def quiet(self, request: Request) -> Response:
        """``/quiet``: units in which a fall would stay unseen for more than a year."""
        lang = self._gate.pages.language(request)
        sights = await self._gate.ask(self._views.sights, scope_of(request))
        rows = [(one, told(one), unseen(one, self._gate.pages.words[lang]["alerting"], lang)) for one in quietest(sights)]
        return self._shown(request, "quiet.html", **await self._names(lang), rows=rows, units=len(sights), counts=scope_of(request).exact)

    async def quiet_json(self, request: Request) -> Response:
        """``/api/v1/quiet``: every unit of the scope; what counts answers moves in steps of five."""
        sights = await self._gate.ask(self._views.sights, scope_of(request))
        return JSONResponse([sight_json(one, counts=scope_of(request).exact) for one in sights.values()])

    # --- what all pages need

    async def _names(self, lang: str) -> dict[str, Any]:
        registry, today = await self._gate.ask(self._views.registry), self._views.today()
        whole = WORDS[lang if lang in LANGUAGES else "vi"]["whole"]

        words = self._gate.pages.words[lang]

        def name(unit: str) -> str:
            return registry.name(unit, today) if unit else str(whole)

        def state(name: str, alert: Mapping[str, Any]) -> str:
            own = words["alerting"]["data_states"] if alert["about"] == "data" else {}
            return str(own.get(name) or words["alerts"]["states"][name])

        return {
            "name": name,
            "state": state,
            "said": lambda alert: without_name(alert[f"sentence_{lang}"], name(alert["unit"])),
            "kind": lambda alert: WORDS[lang]["about"].get(alert["kind"]) or words["alerting"]["kinds"][alert["kind"]],
            "moment": date.fromisoformat,
            "period": lambda text: period_text(text, "vi" if lang == "vi" else "en"),
        }

    def _shown(self, request: Request, template: str, status: int = 200, **said: Any) -> Response:
        return self._gate.shown(
            request, template, status, local=lambda at: at.astimezone(LOCAL), turned=self._gate.pages.turned(f"{request.url.path}?"), **said
        )


def sight_json(one: Sight, *, counts: bool) -> dict[str, Any]:
    """As the API gives it: whole months; null under ten answers. ``counts``: answers a year as well, in steps of five."""
    per_year, seen = told(one)
    months = {"months": round(seen.months), "months_most": round(seen.months_most)} if seen else {"months": None, "months_most": None}
    more = {"answers_a_year": per_year} if counts else {}
    return {"unit": one.unit, "target": one.target, "fall_unseen": months, "quiet": one.quiet, **more}


def unseen(one: Sight, words: Mapping[str, Any], lang: str) -> str:
    """How long a fall of 10 points would stay unseen in a unit, in words."""
    _, seen = told(one)
    if seen is None:
        return str(words["unseen_few"])
    if seen.months > 24:
        return str(words["unseen_years"].format(n=numbers.number(round(seen.months / 12), lang)))
    return str(words["unseen"].format(n=numbers.number(max(1, round(seen.months)), lang)))


def scope_of(request: Request) -> Scope:
    """What whoever asks may see."""
    who = who_of(request)
    return Scope.of(who.role, who.scope)


def without_name(sentence: str, name: str) -> str:
    """A sentence that begins with its unit's name, for a place where the name stands above it."""
    rest = sentence.removeprefix(f"{name}: ")
    return rest[:1].upper() + rest[1:]


def _may_close(request: Request) -> bool:
    return who_of(request).role in CLOSERS


def _verdicts(alerts: list[dict[str, Any]]) -> list[tuple[str, Verdict | None]]:
    return [(a["kind"], a["verdict"]) for a in alerts]


def _chance(doubt: Mapping[str, Any] | None, lang: str) -> str:
    """One in how many, two digits of it; rarer than in a million a model of counts cannot say."""
    if doubt is None:
        return ""
    times = min(1_000_000, int(float(f"{1 / max(doubt['p'], 1e-9):.2g}")))
    return numbers.number(times, lang)
