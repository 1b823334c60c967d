"""What the officers' page shows, worked out of figures and alerts: nothing here knows of HTTP."""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final, Literal, Protocol, get_args

from dashboard.scope import ALL, Scope
from hailong.domain.scoring import PRIVACY_LIMIT, Counts, Figures, Filters, Row, Version, information, rate, rows, wilson
from hailong.domain.units import LOCAL, Registry, Targets
from hailong.events import UnitLevel
from hailong.ports import Invalid

Alerts = Callable[[], list[dict[str, Any]]]
"""As ``hailong.domain.alert_sentences.listed`` makes them. May raise Retryable or Permanent."""
Order = Literal["name", "support"]
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_NEED: Final = {"below": 0, "open": 1, "reached": 2, "few": 3}


class FigureStore(Protocol):
    """Where the counts come from. Every method may raise Retryable or Permanent; one version gives the same counts for ever."""

    def version(self) -> Version: ...
    def figures(self, filters: Filters, version: Version | None = None) -> Figures: ...
    def registry(self, version: Version | None = None) -> Registry: ...
    def targets(self, version: Version | None = None) -> Targets: ...


@dataclass(frozen=True)
class Question:
    """What an address asks for, and within what: the scope is the asker's, never the address's."""

    filters: Filters
    order: Order = "name"
    scope: Scope = ALL


def question(query: Mapping[str, str], scope: Scope = ALL) -> Question:
    """``from``, ``to`` (months), ``level``, ``order``, of whoever has this scope. Raises Invalid naming the parameter."""
    asked = {name: query.get(name) or None for name in ("from", "to", "level", "order")}
    for name in ("from", "to"):
        if asked[name] is not None and not _MONTH.fullmatch(asked[name] or ""):
            raise Invalid("not_a_month", name, "write a month as YYYY-MM")
    if asked["from"] and asked["to"] and asked["from"] > asked["to"]:
        raise Invalid("ends_before_start", "to", "the period ends before it starts")
    level, order = asked["level"], asked["order"] or "name"
    known: dict[str, UnitLevel] = {one: one for one in get_args(UnitLevel)}
    if level is not None and level not in known:
        raise Invalid("unknown_option", "level", f"one of {', '.join(known)}")
    orders: dict[str, Order] = {one: one for one in get_args(Order)}
    if order not in orders:
        raise Invalid("unknown_option", "order", f"one of {', '.join(orders)}")
    return Question(Filters(asked["from"], asked["to"], known[level] if level else None), orders[order], scope)


@dataclass(frozen=True)
class Stage:
    """One stage of the way from a dossier to an answer; ``of_first`` and ``of_before`` are shares, None where nothing came before."""

    name: Literal["ended", "asked", "reached", "answered"]
    count: int
    of_first: float | None
    of_before: float | None


@dataclass(frozen=True)
class View:
    """Everything on the page."""

    figures: Figures
    question: Question
    rows: list[Row]
    total: Counts
    months: list[str]
    levels: list[UnitLevel]
    day: date
    axis: float
    """Where the scale of the small drawings begins; it ends at 1."""
    within: str | None
    """Name of the unit that the view is limited to; None for all."""

    @property
    def enough(self) -> bool:
        """Whether the total may be shown."""
        return self.total.n >= PRIVACY_LIMIT

    @property
    def rate(self) -> float:
        return rate(self.total.satisfied, self.total.n) or 0.0

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.total.satisfied, self.total.n)

    @property
    def stages(self) -> list[Stage]:
        t = self.total
        counts: list[tuple[Literal["ended", "asked", "reached", "answered"], int]]
        counts = [("ended", t.ended), ("asked", t.asked), ("reached", t.reached), ("answered", t.answered)]
        before = [None, *(count for _, count in counts)]
        return [
            Stage(name, count, rate(count, t.ended), rate(count, earlier) if earlier else None)
            for (name, count), earlier in zip(counts, before, strict=False)
        ]

    @property
    def named_unit(self) -> dict[str, str]:
        return {row.unit: row.name for row in self.rows}


def view(store: FigureStore, question: Question, version: Version, step: int, today: date) -> View:
    """The page's content at ``version``. Raises Retryable, Permanent."""
    whole, scope = store.figures(question.filters, version), question.scope
    registry, targets = store.registry(version), store.targets(version)
    day = _day(question.filters, whole.counted_at, today)
    figures = scope.figures(whole, registry, day)
    known = information(figures, registry, targets, day)
    units = {code: info for code, info in known.items() if scope.holds(code, registry, day)}
    shown, total = rows(figures, question.filters, units, step)
    levels: list[UnitLevel] = [one for one in get_args(UnitLevel) if any(info.level == one for info in units.values())]
    months = sorted({month for _, month in figures.cells if month}, reverse=True)
    within = registry.name(scope.unit, day) if scope.unit is not None else None
    return View(figures, question, _ordered(shown, question.order), total, months, levels, day, _axis(shown), within)


def _day(filters: Filters, counted_at: datetime | None, today: date) -> date:
    """The day whose names and targets hold: the last of the period, as far as it has come."""
    last = counted_at.astimezone(LOCAL).date() if counted_at else today
    if filters.month_to is None:
        return last
    year, month = int(filters.month_to[:4]), int(filters.month_to[5:])
    return min(last, date(year, month, calendar.monthrange(year, month)[1]))


def _ordered(shown: list[Row], order: Order) -> list[Row]:
    by_name = sorted(shown, key=lambda row: (collated(row.name), row.unit))
    if order == "name":
        return by_name
    return sorted(by_name, key=lambda row: (_NEED[row.standing], (row.high if row.high is not None else 1.0) - row.target))


def collated(name: str) -> str:
    """A key that sorts Vietnamese names as readers look for them: letters first, marks after."""
    plain = unicodedata.normalize("NFD", name.casefold().replace("đ", "d\u0338"))
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return f"{letters}\x00{plain}"


def _axis(shown: Sequence[Row]) -> float:
    lows = [row.low for row in shown if row.low is not None] + [row.target for row in shown]
    return int(max(0.0, min(lows, default=0.5) - 0.02) * 10) / 10


def figures_json(view: View) -> dict[str, Any]:
    """The figures as ``/api/v1/figures`` and ``hailong figures --json`` give them; rates are fractions."""
    filters = view.question.filters
    total = {**_counted(view.total, view.enough), "ended": view.total.ended, "asked": view.total.asked, "reached": view.total.reached}
    return {
        "as_of": view.figures.as_of,
        "counted_at": view.figures.counted_at.astimezone(LOCAL).isoformat() if view.figures.counted_at else None,
        "versions": {
            topic: {str(p): offset for p, offset in sorted(parts.items())} for topic, parts in sorted(view.figures.version.items())
        },
        "filters": {"from": filters.month_from, "to": filters.month_to, "level": filters.level} | _limited(view.question.scope),
        "rows": [asdict(row) for row in view.rows],
        "total": total,
    }


def _limited(scope: Scope) -> dict[str, Any]:
    return {"within": scope.unit} if scope.unit is not None else {}


def _counted(counts: Counts, enough: bool) -> dict[str, Any]:
    low, high = wilson(counts.satisfied, counts.n)
    shown = {
        "n": counts.n,
        "satisfied": counts.satisfied,
        "scores": counts.scores,
        "rate": rate(counts.satisfied, counts.n),
        "low": low,
        "high": high,
        "answered": counts.answered,
        "revised": counts.revised,
    }
    desk = counts.desk_n >= PRIVACY_LIMIT
    apart = {"desk_n": counts.desk_n if desk else None, "desk_satisfied": counts.desk_satisfied if desk else None, "held": counts.held}
    return {name: value if enough else None for name, value in shown.items()} | {"suppressed": not enough} | apart
