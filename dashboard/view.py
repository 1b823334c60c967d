"""What the officers' page shows, worked out of figures and alerts: nothing here knows of HTTP."""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal, Protocol, get_args

from dashboard.scope import ALL, Scope
from dashboard.telling import Telling, ToldStore, told_json
from hailong.domain.projecting import Projected, projected
from hailong.domain.scoring import (
    PRIVACY_LIMIT,
    By,
    Counts,
    Figures,
    Filters,
    Row,
    UnitInfo,
    Version,
    information,
    rate,
    rows,
    wilson,
)
from hailong.domain.succession import Kept, Succession
from hailong.domain.telling import Audience, Book
from hailong.domain.units import LOCAL, Registry, Targets
from hailong.events import Mode, Place, SubmissionChannel, UnitLevel
from hailong.ports import Invalid

Alerts = Callable[[], list[dict[str, Any]]]
"""As ``hailong.domain.alert_sentences.listed`` makes them. May raise Retryable or Permanent."""
Order = Literal["name", "support"]
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_NEED: Final = {"below": 0, "open": 1, "reached": 2, "few": 3}


class FigureStore(ToldStore, Protocol):
    """Where the counts come from. Every method may raise Retryable or Permanent; one version gives the same counts for ever."""

    def version(self) -> Version: ...
    def registry(self, version: Version | None = None) -> Registry: ...
    def targets(self, version: Version | None = None) -> Targets: ...


@dataclass(frozen=True)
class Question:
    """What an address asks for, and within what: the scope is the asker's, never the address's."""

    filters: Filters
    order: Order = "name"
    scope: Scope = ALL


OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "level": get_args(UnitLevel), "order": get_args(Order), "channel": get_args(SubmissionChannel), "mode": get_args(Mode),
    "class": get_args(Place), "by": get_args(By),
}  # fmt: skip
_TEXTS: Final = {
    "field": re.compile(r"[a-z0-9_.-]{1,40}"),
    "unit": re.compile(r"[^\s/]{1,60}"),
    "question": re.compile(r"[a-z0-9-]+:[A-Z]\d+"),
}
NARROW: Final = frozenset({"field", "channel", "mode", "class", "question", "by"})
"""What only the quality office may ask for: differences of such figures would tell a desk single answers."""
ASKED: Final = ("from", "to", "view", *OPTIONS, *_TEXTS)


def question(query: Mapping[str, str], scope: Scope = ALL, *, narrow: bool = True) -> Question:
    """``from``, ``to`` (months), ``view`` (a day), ``unit``, ``level``, ``field``, ``channel``, ``mode``, ``class``, ``question``, ``by``,
    ``order``, of whoever has this scope. Without ``narrow`` those of ``NARROW`` are refused. Raises Invalid naming the parameter."""
    asked: dict[str, Any] = {name: query.get(name) or None for name in ASKED}
    for name in ("from", "to"):
        if asked[name] is not None and not _MONTH.fullmatch(asked[name]):
            raise Invalid("not_a_month", name, "write a month as YYYY-MM")
    if asked["from"] and asked["to"] and asked["from"] > asked["to"]:
        raise Invalid("ends_before_start", "to", "the period ends before it starts")
    for name, options in OPTIONS.items():
        if asked[name] is not None and asked[name] not in options:
            raise Invalid("unknown_option", name, f"one of {', '.join(options)}")
    for name, pattern in _TEXTS.items():
        if asked[name] is not None and not pattern.fullmatch(asked[name]):
            raise Invalid("unknown_option", name, "not written as such a code is")
    if not narrow and (one := next((name for name in sorted(NARROW) if asked[name] is not None), None)):
        raise Invalid("not_allowed", one, "only the quality office may ask for this")
    filters = Filters(
        asked["from"], asked["to"], asked["level"], asked["unit"], asked["field"], asked["channel"], asked["mode"],
        asked["class"] or "away", asked["question"], asked["by"] or "handling", _day_of(asked["view"]),
    )  # fmt: skip
    return Question(filters, asked["order"] or "name", scope)


def _day_of(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid("not_a_day", "view", "write the day of the units as YYYY-MM-DD, or leave it out") from None


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
    days: tuple[date, ...] = ()
    """Days on which the map of units changed."""
    kept: Mapping[str, Kept] = field(default_factory=dict)
    """Units on the map that are not of its day, and why."""
    estimated: frozenset[str] = frozenset()
    """Units that got a share of another one."""
    audience: Audience = "office"
    book: Book = Book()
    """What is closed; empty for the office, which sees exact counts."""
    left_out: int = 0
    """Answers of what is asked for that are in no figure here, rounded up to whole steps."""

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


@dataclass(frozen=True)
class Seen:
    """Figures as they may be seen: within the scope, as they may be told, on the map asked for."""

    on_map: Projected
    registry: Registry
    targets: Targets
    maps: Succession
    day: date
    book: Book = Book()
    left_out: int = 0

    def units(self, question: Question) -> dict[str, UnitInfo]:
        """Of every unit that is within the scope and what is asked for."""
        within = [s for s in (question.scope, Scope(question.filters.unit)) if s.unit is not None]
        figures = self.on_map.figures
        has = {unit for unit, _ in figures.cells}
        known = information(figures, self.registry, self.targets, self.day)
        return {c: info for c, info in known.items() if c in has or all(s.unit in self.maps.chain(c, self.day) for s in within)}


def seen(store: FigureStore, question: Question, version: Version, audience: Audience, today: date, telling: Telling | None = None) -> Seen:
    """Raises Invalid for a filter that this audience may not ask for, Retryable, Permanent."""
    filters = question.filters
    registry, targets = store.registry(version), store.targets(version)
    maps, told = Succession(registry), None
    if audience == "office":
        whole = store.figures(filters, version)
    else:
        _refuse_narrow(filters)
        told = (telling or Telling(store)).figures(filters, version, audience)
        whole = told.figures
    day = filters.day or _day(filters, whole.counted_at, today)
    mine = question.scope.figures(whole, maps, day)
    if filters.unit is not None:
        mine = Scope(filters.unit).figures(mine, maps, day)
    on_map = projected(mine, maps, day) if filters.day is not None else Projected(mine)
    return Seen(on_map, registry, targets, maps, day, *((told.book, told.left_out(mine, filters)) if told else ()))


def _refuse_narrow(filters: Filters) -> None:
    """What is not asked for cannot be had as a difference: parcels are of a unit's answers, not of those of a field or a question."""
    wide = Filters(filters.month_from, filters.month_to, filters.level, filters.unit, day=filters.day)
    if filters != wide:
        narrow = ("field", "channel", "mode", "place", "question", "by")
        one = next(name for name in narrow if getattr(filters, name) != getattr(wide, name))
        raise Invalid("not_allowed", "class" if one == "place" else one, "only the quality office may ask for this")


def view(store: FigureStore, question: Question, version: Version, audience: Audience, today: date, telling: Telling | None = None) -> View:
    """The page's content at ``version``. ``telling``: keeps closed months from one view to the next. Raises as ``seen``."""
    found = seen(store, question, version, audience, today, telling)
    figures, units, day = found.on_map.figures, found.units(question), found.day
    shown, total = rows(figures, question.filters, units, bounds=audience != "office")
    levels: list[UnitLevel] = [one for one in get_args(UnitLevel) if any(info.level == one for info in units.values())]
    months = sorted({month for _, month in figures.cells if month}, reverse=True)
    top = found.registry.name(question.scope.unit, day) if question.scope.unit is not None else None
    on_map, ordered = found.on_map, _ordered(shown, question.order)
    return View(
        figures, question, ordered, total, months, levels, day, _axis(shown), top, found.maps.days(), on_map.kept, on_map.estimated,
        audience, found.book, found.left_out,
    )  # fmt: skip


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
        "filters": _asked(filters) | _limited(view.question.scope),
        "definition": "survey.counted, first answers; satisfied = 4 or 5 of 1-5; n without not applicable; Wilson 95 %",
        "breaks": [day.isoformat() for day in view.days],
        "rows": [asdict(row) | {"kept": view.kept.get(row.unit), "estimated": row.unit in view.estimated} for row in view.rows],
        "total": total,
    } | (told_json(view.book, view.audience) | {"left_out": view.left_out} if view.audience != "office" else {})


def _asked(filters: Filters) -> dict[str, Any]:
    return {
        "from": filters.month_from, "to": filters.month_to, "view": filters.day.isoformat() if filters.day else None, "unit": filters.unit,
        "level": filters.level, "field": filters.field, "channel": filters.channel, "mode": filters.mode, "class": filters.place,
        "question": filters.question, "by": filters.by,
    }  # fmt: skip


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
