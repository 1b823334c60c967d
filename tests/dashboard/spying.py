"""A log of answers for a quarter, a store that counts it, and somebody who fetches everything their audience can, day after day."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any, Final

from dashboard.scope import Scope
from dashboard.telling import Telling
from dashboard.view import figures_json, question, view
from hailong.domain.scoring import STEP, Counts, Figures, Filters, Version
from hailong.domain.telling import Audience, Newest
from hailong.domain.units import LOCAL, Registry, Targets
from hailong.events import Predecessor, UnitChanged
from tests.clickhouse.facts import unit

COUNTED: Final = "survey.counted.v1"
START: Final = date(2026, 1, 5)
MERGER: Final = date(2026, 4, 1)
LAST: Final = date(2026, 8, 20)
"""By then every month of the quarter, and some after it, has closed."""
COMMUNES: Final = {"A1": 1.4, "A2": 0.35, "A3": 0.22, "B1": 0.6, "B2": 0.25}
"""Answers a day: one commune whose months are large, one between, three whose months are small."""


def units() -> list[UnitChanged]:
    """Two districts; in April two communes of the first become one."""
    rows = [unit("A", "Huyện A", level="district"), unit("B", "Huyện B", level="district")]
    rows += [unit(c, f"Xã {c}", c[0], end=MERGER if c in ("A2", "A3") else None) for c in COMMUNES]
    new = unit("A9", "Xã A9", "A", start=MERGER)
    return [*rows, replace_row(new, predecessors=[Predecessor(code=c, kind="merged") for c in ("A2", "A3")])]


def replace_row(row: UnitChanged, **fields: Any) -> UnitChanged:
    """The same row with other fields."""
    return UnitChanged(**{name: getattr(row, name) for name in row.__struct_fields__} | fields)


@dataclass(frozen=True)
class Answer:
    """One answer, as counted."""

    at: datetime
    unit: str
    month: str
    score: int


def quarter(seed: int) -> list[Answer]:
    """Answers to the dossiers of some months, most within days, a few weeks later, in the order in which they are counted."""
    draw, found = random.Random(seed), list[Answer]()
    for n in range((date(2026, 6, 30) - START).days):
        day = START + timedelta(days=n)
        for code, per_day in COMMUNES.items():
            at_work = "A9" if code in ("A2", "A3") and day >= MERGER else code
            for _ in range(sum(draw.random() < per_day / 4 for _ in range(4))):
                later = timedelta(days=draw.choice((0, 1, 1, 2, 3, 12, 30, 50)), seconds=draw.randrange(30_000, 60_000))
                at = datetime.combine(day, time(tzinfo=LOCAL)) + later
                found.append(Answer(at, at_work, f"{day:%Y-%m}", draw.choice((1, 2, 4, 4, 5, 5, 5))))
    return sorted(found, key=lambda a: a.at)


class Log:
    """A store over a list of answers; its version is how many there are. The count writes a record each midnight: ``now`` is one."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = answers
        self._times = [a.at for a in answers]
        self._registry = Registry(units())
        self._kept: dict[int, dict[tuple[str, str], Counts]] = {}
        self.now = answers[0].at

    def count(self, moment: datetime) -> int:
        return bisect_left(self._times, moment)

    def cells(self, n: int) -> dict[tuple[str, str], Counts]:
        if n not in self._kept:
            self._kept[n] = self._added(0, n)
        return self._kept[n]

    def _added(self, start: int, n: int) -> dict[tuple[str, str], Counts]:
        cells: dict[tuple[str, str], list[int]] = {}
        for a in self.answers[start:n]:
            cells.setdefault((a.unit, a.month), [0] * 5)[a.score - 1] += 1
        return {key: Counts((s[0], s[1], s[2], s[3], s[4])) for key, s in cells.items()}

    def version(self) -> Version:
        return {COUNTED: {0: self.count(self.now)}}

    def figures(self, filters: Filters, version: Version | None = None) -> Figures:
        n = (version or self.version())[COUNTED][0]
        return Figures(n, version or {}, self.now if n else None, self.cells(n))

    def began(self, version: Version) -> datetime | None:
        return self.answers[0].at if version[COUNTED][0] else None

    def answered_between(self, start: int, moment: datetime) -> tuple[int, dict[tuple[str, str], Counts]]:
        n = max(start, self.count(moment))
        return n, self._added(start, n)

    def newest(self, month: str, version: Version) -> dict[tuple[str, str], Newest]:
        found: dict[tuple[str, str], list[int]] = {}
        for a in reversed(self.answers[: version[COUNTED][0]]):
            if a.month >= month and len(scores := found.setdefault((a.unit, a.month), [])) < 9:
                scores.append(a.score)
        return {key: Newest(tuple(scores)) for key, scores in found.items()}

    @cached_property
    def targets_(self) -> Targets:
        return Targets(0.9)

    def registry(self, version: Version | None = None) -> Registry:
        return self._registry

    def targets(self, version: Version | None = None) -> Targets:
        return self.targets_


Release = Callable[[Log, "Asking", Telling], Any]
"""What is sent to somebody who asks."""


@dataclass(frozen=True)
class Asking:
    """Who asks for what."""

    audience: Audience
    scope: str | None
    query: tuple[tuple[str, str], ...]


def everything(day: date) -> Iterator[Asking]:
    """All that can be asked for on a day, by everybody."""
    months = [m for m in ("2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06") if m <= f"{day:%Y-%m}"]
    periods = [("", "")] + [(a, b) for a in months for b in months if a <= b]
    for first, last in periods:
        for map_day in ("", "2026-03-31", "2026-04-01"):
            for top in ("", "A", "B"):
                asked = {"from": first, "to": last, "view": map_day, "unit": top}
                query = tuple((name, value) for name, value in asked.items() if value)
                yield from (Asking("public", None, query), Asking("units", None, query))
                yield from (Asking("units", scope, query) for scope in ("A", "A2", "B1", "A9"))


def as_built(log: Log, asking: Asking, telling: Telling) -> Any:
    """What hailong sends."""
    asked = question(dict(asking.query), Scope(asking.scope))
    return figures_json(view(log, asked, log.version(), asking.audience, log.now.date(), telling))


def seen(log: Log, seed: int, release: Release = as_built, step: int = STEP, every: int = 1) -> dict[tuple[date, Asking], Any]:
    """What comes of asking every day: for something drawn by ``seed``, and for the plainest; once a fortnight for many. ``every``: days."""
    draw, telling, found = random.Random(seed), Telling(log, step), dict[tuple[date, Asking], Any]()
    for n in range(3, (LAST - START).days, every):
        day = START + timedelta(days=n)
        log.now = datetime.combine(day, time(tzinfo=LOCAL))
        all_of_it = list(everything(day))
        plain = [Asking("public", None, ()), Asking("units", None, ()), Asking("units", "A2", ()), Asking("units", "B1", ())]
        for asking in plain + draw.sample(all_of_it, min(len(all_of_it), 20 if n % 14 == 0 else 1)):
            found[day, asking] = release(log, asking, telling)
    return found


def rescored(answers: Sequence[Answer], scores: dict[int, int]) -> list[Answer]:
    """The same log with other scores at some places."""
    return [replace(a, score=scores.get(i, a.score)) for i, a in enumerate(answers)]
