"""Figures on another day's map. Facts keep the unit as it was; whoever looks chooses the map: as it was, or the units of a day.

A unit's figures go to its successor where all of it went to one unit. A split whose shares are known divides the integers in these
shares, which is an estimate and says so. A split without known shares is never divided: the old unit stays a row of its own below
what its parts have in common. Looking back, a new unit's figures can go to the old one only where it was merely renamed or recoded;
otherwise the new unit stays a row of its own. So every map has the same total.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from hailong.domain.units import Registry
from hailong.events import SuccessionKind, UnitChanged

Kept = Literal["split", "merged", "ended"]
"""Why a unit of another day stands on a map: it was divided in unknown shares, it is made of several, or nothing carries it on."""
_WHOLE: Final = 1e-9
_LONGEST: Final = 64
"""Steps of succession that are followed; a registry in which units succeed each other in a circle ends there."""


@dataclass(frozen=True)
class Step:
    """Part of a unit went to another one on a day. ``share`` is null when nobody knows how much."""

    predecessor: str
    successor: str
    on: date
    kind: SuccessionKind
    share: float | None


@dataclass(frozen=True)
class Part:
    """Where figures stand on a map: the unit there, the share of them (1 = all), and why the unit is not one of that day."""

    unit: str
    share: float = 1.0
    kept: Kept | None = None


@dataclass(frozen=True)
class Break:
    """A day on which figures of a unit stop being comparable: which units came into it, and how."""

    on: date
    unit: str
    kinds: tuple[SuccessionKind, ...]
    predecessors: tuple[str, ...]


class Succession:
    """Who carries on whom, and the maps of days. Built from the registry's rows; a registry that changes needs a new one. What was asked
    once is kept: a page asks for every unit and month."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._found: dict[tuple[str, str, date], tuple[Part, ...]] = {}
        self._chains: dict[tuple[str, date], tuple[str, ...]] = {}
        self._onward: dict[str, list[Step]] = defaultdict(list)
        self._origins: dict[tuple[str, date], list[Step]] = defaultdict(list)
        for row in registry.rows():
            for p in row.predecessors:
                step = Step(p.code, row.code, row.valid_from, p.kind, p.share)
                self._onward[p.code].append(step)
                self._origins[row.code, row.valid_from].append(step)

    def parts(self, unit: str, month: str, day: date) -> tuple[Part, ...]:
        """Where the figures of ``unit`` in ``month`` (``YYYY-MM``) stand among the units of ``day``. Shares sum to 1."""
        found = self._found.get((unit, month, day))
        if found is None:
            found = self._found[unit, month, day] = self._parts(unit, month, day)
        return found

    def _parts(self, unit: str, month: str, day: date) -> tuple[Part, ...]:
        row = self._registry.in_month(unit, month)
        if row is None or self._registry.on(unit, day) == row:
            return (Part(unit),)
        if row.valid_from > day:
            return (self._back(row, day, _LONGEST),)
        merged: dict[tuple[str, Kept | None], float] = defaultdict(float)
        for part in self._forward(unit, row.valid_from, day, _LONGEST):
            merged[part.unit, part.kept] += part.share
        return tuple(Part(code, share, kept) for (code, kept), share in sorted(merged.items(), key=str))

    def _forward(self, unit: str, after: date, day: date, left: int) -> Iterator[Part]:
        steps = [s for s in self._onward.get(unit, ()) if after < s.on <= day]
        if not steps or not left:
            yield Part(unit, 1.0, None if self._registry.on(unit, day) is not None else "ended")
            return
        first = min(s.on for s in steps)
        steps = [s for s in steps if s.on == first]
        shares = _shares(steps)
        if shares is None:
            yield Part(unit, 1.0, "split")
            return
        for step, share in zip(steps, shares, strict=True):
            for part in self._forward(step.successor, first, day, left - 1):
                yield Part(part.unit, part.share * share, part.kept)

    def _back(self, row: UnitChanged, day: date, left: int) -> Part:
        steps = self._origins.get((row.code, row.valid_from), [])
        if len(steps) != 1 or not left:
            before = self._registry.on(row.code, row.valid_from - timedelta(days=1)) if not steps else None
            if before is not None and left:
                return Part(row.code) if before.valid_from <= day else self._back(before, day, left - 1)
            return Part(row.code, 1.0, "merged" if steps else "ended")
        (step,) = steps
        whole = [s for s in self._onward[step.predecessor] if s.on == step.on]
        old = self._registry.on(step.predecessor, step.on - timedelta(days=1))
        if len(whole) != 1 or old is None:
            return Part(row.code, 1.0, "merged")
        return Part(old.code) if old.valid_from <= day else self._back(old, day, left - 1)

    def chain(self, unit: str, day: date) -> tuple[str, ...]:
        """The unit and what it stands below on ``day``, nearest first; a unit of another day stands below what its successors (or
        predecessors) have in common."""
        found = self._chains.get((unit, day))
        if found is None:
            there = self._registry.on(unit, day) is not None
            found = self._registry.chain(unit, day) if there else (unit, *self._common(self._relatives(unit, day), day))
            self._chains[unit, day] = found
        return found

    def _relatives(self, unit: str, day: date) -> list[str]:
        """Units of ``day`` that carry on ``unit``, or that it carries on; its last known parent where there is none."""
        seen: set[str] = set()
        found: set[str] = set()
        heads = {s.successor for s in self._onward.get(unit, ()) if s.on <= day}
        if not heads:
            heads = {s.predecessor for (code, on), steps in self._origins.items() if code == unit and on > day for s in steps}
        while heads:
            seen |= heads
            found |= {h for h in heads if self._registry.on(h, day) is not None}
            further = {s.successor for h in heads for s in self._onward.get(h, ()) if s.on <= day}
            heads = further - seen
        if not found:
            last = self._registry.latest(unit, day)
            if last is not None and last.parent and self._registry.on(last.parent, day) is not None:
                return [last.parent, last.parent]
        return sorted(found)

    def _common(self, units: Sequence[str], day: date) -> tuple[str, ...]:
        """What all of ``units`` stand below on ``day``, nearest first."""
        chains = [self._registry.chain(u, day) for u in units]
        if not chains:
            return ()
        twice = len(units) == 2 and units[0] == units[1]
        above = [c if twice else c[1:] for c in chains]
        shared = set(above[0]).intersection(*above[1:])
        return tuple(u for u in above[0] if u in shared)

    def breaks(self, unit: str, first: date, last: date) -> tuple[Break, ...]:
        """The days within ``first`` < d ≤ ``last`` on which ``unit`` was made of others."""
        found = [
            Break(on, unit, tuple(sorted({s.kind for s in steps})), tuple(s.predecessor for s in steps))
            for (code, on), steps in self._origins.items()
            if code == unit and first < on <= last
        ]
        return tuple(sorted(found, key=lambda b: b.on))

    def days(self) -> tuple[date, ...]:
        """Every day on which the map changed."""
        return tuple(sorted({on for _, on in self._origins}))

    def grounds(self) -> dict[str, str]:
        """Unit → the ground it stands on, named by one of its units: the same for all that carry each other on, over all days. Units that
        nobody carries on, and that carry on nobody, are left out: each is its own."""
        over: dict[str, str] = {}

        def top(code: str) -> str:
            while over.setdefault(code, code) != code:
                over[code] = code = over[over[code]]
            return code

        for steps in self._origins.values():
            for step in steps:
                one, other = sorted((top(step.predecessor), top(step.successor)))
                over[other] = one
        return {code: top(code) for code in sorted(over)}


def _shares(steps: Sequence[Step]) -> list[float] | None:
    """Of what went over on one day: 1 to a single successor; the known shares if they make a whole; None when it is not known."""
    if len(steps) == 1 and (steps[0].share is None or abs(steps[0].share - 1) < _WHOLE) and steps[0].kind != "split":
        return [1.0]
    shares = [s.share for s in steps if s.share is not None]
    if len(shares) == len(steps) and abs(sum(shares) - 1) < 1e-6:
        return shares
    return None


def divided(count: int, shares: Sequence[float]) -> list[int]:
    """An integer in parts that sum to it: the largest remainders get what rounding leaves, the earlier one where they are equal."""
    exact = [count * share for share in shares]
    parts = [int(e) for e in exact]
    order = sorted(range(len(shares)), key=lambda i: (parts[i] - exact[i], i))
    for i in order[: count - sum(parts)]:
        parts[i] += 1
    return parts


def faults(rows: Iterable[UnitChanged]) -> Iterator[tuple[UnitChanged, str]]:
    """What cannot be true of successions: (row, sentence)."""
    by_code: Mapping[str, list[UnitChanged]] = _by_code(rows)
    sums: dict[tuple[str, date], float] = defaultdict(float)
    for code in sorted(by_code):
        for row in by_code[code]:
            if row.predecessors and code not in {p.code for p in row.predecessors} and _before(by_code[code], row.valid_from):
                yield row, "its code was another unit's before; give it one of its own (the statistics office's code goes into gso)"
            for p in row.predecessors:
                if not _before(by_code.get(p.code, ()), row.valid_from):
                    yield row, f"its predecessor {p.code} is not in the list before {row.valid_from.isoformat()}"
                elif p.share is not None and not 0 < p.share <= 1:
                    yield row, f"the share of its predecessor {p.code} is not between 0 and 1"
                elif p.kind == "split" or p.share is not None:
                    sums[p.code, row.valid_from] += p.share or 0
                    if sums[p.code, row.valid_from] > 1 + 1e-6:
                        yield row, f"more than the whole of {p.code} goes over on {row.valid_from.isoformat()}"


def _before(rows: Iterable[UnitChanged], day: date) -> bool:
    return any(row.valid_from < day for row in rows)


def _by_code(rows: Iterable[UnitChanged]) -> dict[str, list[UnitChanged]]:
    by_code: dict[str, list[UnitChanged]] = defaultdict(list)
    for row in rows:
        by_code[row.code].append(row)
    return by_code
