"""Detectors over a file of answers: each unit by itself, in the order of its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from hailong.domain import cusum, decline
from hailong.domain.difficulty import Difficulty, Movement, Table
from ops.alerting.files import Answer

Question = Literal["target", "past"]
Reference = Literal["flat", "field"]
_MONTH: Final = 30
"""Days have no calendar here; a month is as many of them."""


class Seen(NamedTuple):
    """An answer as a detector gets it."""

    day: int
    failed: bool
    reference: float
    """Probability that it is not satisfied where the unit meets the target."""
    expected: float
    """The same as the province is, season and all."""


class Raise(NamedTuple):
    """An alert of a unit: on from a day up to, without, another; None: still on."""

    unit: str
    raised: int
    cleared: int | None


class Watcher(Protocol):
    """Judges one unit. ``on`` is looked at after each answer and, where days matter, at the end of each day."""

    on: bool

    def take(self, seen: Seen) -> None:
        """An answer; days never fall."""
        ...

    def end(self, day: int) -> None:
        """``day`` is over, with or without answers. Called only for ``Detector.daily``."""
        ...


@dataclass(frozen=True)
class Detector:
    """A way to judge, and how loud it may be set."""

    name: str
    make: Callable[[float, int, float], Watcher]
    """(setting, first day, target) → the watcher of one unit."""
    setting: float
    """Its own."""
    quietest: float
    loudest: float
    """Where to search for the setting at which it raises falsely as often as ours."""
    question: Question = "target"
    """What it raises for: below the target, or worse than its own past."""
    daily: bool = False


class _Below:
    def __init__(self, rule: cusum.Rule, first: int, target: float) -> None:
        self._state, self._rule, self._target = cusum.known(first), rule, target
        self.on = False

    def take(self, seen: Seen) -> None:
        if self._state.observe(seen.day, seen.failed, self._target, seen.reference, self._rule) is not None:
            self.on = self._state.alert.on

    def end(self, day: int) -> None:
        """Days without answers change nothing."""


class _Watch(_Below):
    def take(self, seen: Seen) -> None:
        super().take(seen)
        self.on = self._state.watch.on


class _Declining:
    def __init__(self, base: float, first: int) -> None:
        self._state, self._base = decline.Decline(cusum.Volume(first)), base
        self.on = False

    def take(self, seen: Seen) -> None:
        if self._state.observe(seen.day, seen.failed, seen.expected, self._base) is not None:
            self.on = self._state.on

    def end(self, day: int) -> None:
        """Days without answers change nothing."""


def _ruled(rule: cusum.Rule) -> Callable[[float, int, float], Watcher]:
    return lambda base, first, target: _Below(cusum.Rule(base, rule.recovery), first, target)


BELOW: Final = Detector("below", _ruled(cusum.BELOW), cusum.BELOW.base, 12.0, 1.0)
PUBLISHED: Final = Detector("published", _ruled(cusum.PUBLISHED), cusum.PUBLISHED.base, 12.0, 1.0)
WATCH: Final = Detector("watch", lambda _, first, target: _Watch(cusum.BELOW, first, target), cusum.WATCH.base, 2.5, 2.5)
DECLINING: Final = Detector("declining", lambda base, first, _: _Declining(base, first), decline.BASE, 12.0, 1.0, "past")
OURS: Final = (BELOW, DECLINING, WATCH, PUBLISHED)


def seen_by_unit(answers: Sequence[Answer], target: float, reference: Reference = "flat") -> dict[str, list[Seen]]:
    """The answers of each unit, with what their fields and the province's last weeks say of them; nothing looks ahead.

    ``flat``: every unit must reach the target at its own mix of fields. ``field``: at the province's.
    """
    difficulty, movement, flat = Difficulty(), Movement(), 1 - target
    table = Table(-1, flat, {}, {})
    references: dict[str, float] = {}
    units: dict[str, list[Seen]] = {}
    first = answers[0].day if answers else 0
    made = -1
    for day, unit, field, failed in answers:
        month, starting = day // _MONTH, day - first < _MONTH
        if month != table.month or (starting and day != made):
            table, made = difficulty.table(month, flat, running=starting), day
            references = table.references(target) if reference == "field" else {}
        expected = table.expected(field)
        movement.add(day, failed, expected)
        units.setdefault(unit, []).append(Seen(day, failed, references.get(field, flat), expected * movement.factor()))
        difficulty.add(table.month, field, failed)
    return units


def run(detector: Detector, units: dict[str, list[Seen]], target: float, setting: float | None = None) -> list[Raise]:
    """Every alert it raises, in the order of units and days."""
    first = min((seen[0].day for seen in units.values()), default=0)
    last = max((seen[-1].day for seen in units.values()), default=0)
    of_unit = _by_days if detector.daily else _by_answers
    raises: list[Raise] = []
    for unit, seen in units.items():
        watcher = detector.make(detector.setting if setting is None else setting, first, target)
        raises += of_unit(watcher, unit, seen, first, last)
    return raises


def _by_answers(watcher: Watcher, unit: str, seen: Sequence[Seen], _first: int, _last: int) -> list[Raise]:
    raises: list[Raise] = []
    raised: int | None = None
    for answer in seen:
        watcher.take(answer)
        if watcher.on != (raised is not None):
            raised = _changed(raises, unit, raised, answer.day)
    return raises if raised is None else [*raises, Raise(unit, raised, None)]


def _by_days(watcher: Watcher, unit: str, seen: Sequence[Seen], first: int, last: int) -> list[Raise]:
    raises: list[Raise] = []
    raised: int | None = None
    i = 0
    for day in range(first, last + 1):
        while i < len(seen) and seen[i].day == day:
            watcher.take(seen[i])
            i += 1
        watcher.end(day)
        if watcher.on != (raised is not None):
            raised = _changed(raises, unit, raised, day)
    return raises if raised is None else [*raises, Raise(unit, raised, None)]


def _changed(raises: list[Raise], unit: str, raised: int | None, day: int) -> int | None:
    if raised is None:
        return day
    raises.append(Raise(unit, raised, day))
    return None
