"""``/behind`` and ``/api/v1/behind``: what stands behind the figures, for the quality office: a second division of the same answers, by
field and channel, would tell others single ones.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.behind.ahead import ahead, ahead_json
from dashboard.behind.compared import Comparison, compared, compared_json, funnel_json
from dashboard.behind.gone import RATES, gone, gone_json
from dashboard.behind.moving import Span, spans, why, why_json
from dashboard.behind.plotted import BOTTOM, FEWEST, HEIGHT, LEFT, WIDTH, Plot, plotted
from dashboard.behind.sources import Asker, Sources
from dashboard.gate import Gate, who_of
from dashboard.refusing import wrong_question
from dashboard.scope import Scope
from dashboard.view import ASKED, Question, collated, question
from hailong.domain.access import Role
from hailong.domain.fields import field_name
from hailong.domain.scoring import PRIVACY_LIMIT, Version
from hailong.domain.strata import later
from hailong.domain.units import LOCAL
from hailong.ports import Clock, Invalid
from web import numbers

MAY: Final[frozenset[Role]] = frozenset({"quality_officer"})
WIDTHS: Final = (1, 3, 6, 12)
SPANS: Final = ("was", "now", "months")
_USUAL: Final = 3
_KEPT: Final = 32
_LATELY: Final = 13
"""Months, of which a year is closed."""


@dataclass(frozen=True)
class Asked:
    """What an address asks for. ``both``: the spans, None where the newest ones are meant; ``months``: their length."""

    question: Question
    both: tuple[Span, Span] | None
    months: int


@dataclass(frozen=True)
class Shown:
    """One answer: the documents as they may be seen, and what only the page needs."""

    document: dict[str, Any]
    comparison: Comparison
    plot: Plot | None
    both: tuple[Span, Span] | None
    units: list[tuple[str, str]]


class BehindPages:
    """The handlers."""

    def __init__(self, gate: Gate, sources: Sources, clock: Clock) -> None:
        self._gate = gate
        self._sources = sources
        self._clock = clock
        self._kept: OrderedDict[tuple[Asked, Asker], tuple[Version, Shown]] = OrderedDict()
        self._lock = Lock()

    def routes(self) -> list[Route]:
        return [
            Route("/behind", self._gate.page(self.page, MAY), name="behind"),
            Route("/api/v1/behind", self._gate.api(self.api, MAY), name="behind for programs"),
        ]

    async def page(self, request: Request) -> Response:
        """``/behind``."""
        asked, asker = self._asked(request)
        shown: Shown = await self._gate.ask(self._get, asked, asker)
        lang, view = self._gate.pages.language(request), shown.comparison.view
        kept = {name: value for name, value in request.query_params.items() if name in (*ASKED, *SPANS) and value}
        at = view.figures.counted_at
        said: dict[str, Any] = {
            "v": view, "d": shown.document, "plot": shown.plot, "both": shown.both, "months": asked.months, "widths": WIDTHS,
            "units": shown.units, "named": dict(shown.units),
            "digits": 1,
            "limit": PRIVACY_LIMIT, "fewest": FEWEST, "counted_at": at.astimezone(LOCAL) if at else None, "rates": RATES,
            "box": {"width": WIDTH, "height": HEIGHT, "left": LEFT, "bottom": BOTTOM},
            "field_name": field_name,
            "month": lambda month: numbers.month(month, lang), "points": lambda value, decimals=1: numbers.points(value, lang, decimals),
            "turned": self._gate.pages.turned(f"?{urlencode(kept)}&" if kept else "?"), "query": urlencode(kept),
        }  # fmt: skip
        return self._gate.shown(request, "behind.html", **said)

    async def api(self, request: Request) -> Response:
        """``/api/v1/behind``."""
        shown: Shown = await self._gate.ask(self._get, *self._asked(request))
        return JSONResponse(shown.document)

    def _asked(self, request: Request) -> tuple[Asked, Asker]:
        who = who_of(request)
        scope = Scope.of(who.role, who.scope)
        if scope.audience != "office":
            raise HTTPException(403)
        asker = Asker(self._clock.now().astimezone(LOCAL).date(), scope)
        try:
            asked = question(request.query_params, scope, narrow=True)
            asked = replace(asked, filters=replace(asked.filters, question=None))
            both, months = _spans(request)
        except Invalid as wrong:
            raise wrong_question(wrong, self._gate.pages.words, "/behind") from wrong
        return Asked(asked, both, months), asker

    def _get(self, asked: Asked, asker: Asker) -> Shown:
        version = self._sources.version()
        with self._lock:
            found = self._kept.get((asked, asker))
        if found is not None and found[0] == version:
            return found[1]
        made = _made(self._sources, asked, asker, version)
        with self._lock:
            self._kept[asked, asker] = version, made
            self._kept.move_to_end((asked, asker))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made


def _spans(request: Request) -> tuple[tuple[Span, Span] | None, int]:
    was, now, months = (request.query_params.get(name, "") for name in SPANS)
    if months and not months.isdecimal():
        raise Invalid("not_a_span", "months", "")
    if not was or not now:
        return None, int(months or _USUAL)
    try:
        return spans(was, now, int(months or _USUAL)), int(months or _USUAL)
    except Invalid as wrong:
        field = {"from": "was", "to": "now"}.get(wrong.field or "", wrong.field)
        reason = {"ends_before_start": "spans_overlap", "unknown_option": "not_a_span"}.get(wrong.reason, wrong.reason)
        raise Invalid(reason, field, wrong.detail) from wrong


def _made(sources: Sources, asked: Asked, asker: Asker, version: Version) -> Shown:
    filters = asked.question.filters
    comparison = compared(sources, asked.question, version, asker)
    both = asked.both or _newest(comparison.view.months, asked.months)
    told = why(sources, both, version, asker, unit=filters.unit, by=filters.by) if both else None
    document = {
        "figures": compared_json(comparison),
        "funnel": funnel_json(comparison),
        "moved": why_json(told) if told else None,
        "outlook": ahead_json(ahead(sources, version, asker, channel=filters.channel)),
        "dispositions": gone_json(gone(sources, _lately(asked.question, asker), version, asker)),
    }
    return Shown(document, comparison, plotted(comparison.funnel), both, _units(sources, comparison, asker, version))


def _lately(asked: Question, asker: Asker) -> Question:
    """Where no period is asked for: the dossiers of the last ``_LATELY`` months; what became of those of all years is no news."""
    filters = asked.filters
    if filters.month_from is not None or filters.month_to is not None:
        return asked
    return replace(asked, filters=replace(filters, month_from=later(f"{asker.today:%Y-%m}", -_LATELY)))


def _newest(months: list[str], length: int) -> tuple[Span, Span] | None:
    """The newest ``length`` months and as many before them; None where there are not so many."""
    if len(months) < 2 or later(months[0], 1 - 2 * length) < months[-1]:
        return None
    return spans(later(months[0], -length), months[0], length)


def _units(sources: Sources, comparison: Comparison, asker: Asker, version: Version) -> list[tuple[str, str]]:
    """Code and name of whatever the page can be limited to."""
    registry, day = sources.figures.registry(version), comparison.view.day
    codes = [code for code in registry.codes() if registry.on(code, day) is not None and asker.scope.holds(code, registry, day)]
    named: list[tuple[str, str]] = [(code, registry.name(code, day)) for code in codes]
    return sorted(named, key=lambda one: (collated(one[1]), one[0]))
