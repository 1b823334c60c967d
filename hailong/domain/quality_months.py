"""Shares that change or stand apart: a dossier's way to an answer, contacts, desk answers, totals, answers against the record. Pure.

Two questions are asked of a unit's share. **Past**: is it what the unit's own last twelve months let expect, moved as the others moved (on
the scale of log odds)? **Others**: does it stand further from the others than units differ among each other? The first finds what
happened, the second what has always been so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import Final

from hailong.domain import overdispersed as wide
from hailong.domain.overdispersed import Moments
from hailong.domain.quality import Against, Finding, Kind, What, level, months_upto
from hailong.domain.scoring import newcombe
from hailong.domain.shares import Share, expit, logit

PAST: Final = 12
"""Months a unit is held against."""
FEWEST_MONTHS: Final = 3
FEWEST_UNITS: Final = 5
"""Others, without which it is not known how far units differ."""
FEWEST: Final = 10
"""Dossiers or answers, on every side of a comparison, without which nothing is said."""
WINDOWS: Final = (1, 3)
"""Months looked at together: a sudden change, and one that lasts, which is seen in smaller units as well."""
LONG: Final = (3, 12)
"""The same where answers are compared, of which there are few."""
_PSEUDO: Final = 50.0
"""Answers at everybody's rate that each field is given besides its own."""
_STEPS: Final = 50
"""Halvings of the search for a probability: beyond what is shown."""
DESK_POINTS: Final = 0.10
_FAR_OUT: Final = 6.635
"""Squared z that one unit in a hundred exceeds by chance."""
_ROUNDS: Final = 12
_PASSES: Final = 3

Parts = Mapping[str, Mapping[str, Share]]
"""Unit → month → k of n."""
Fields = Mapping[tuple[str, str], Mapping[str, Share]]
"""(unit, field) → month → k of n."""
Totals = Mapping[str, Mapping[str, int]]
"""Unit → month → dossiers."""


Expecting = Callable[[Collection[str]], Mapping[str, float]]
"""Units that take no part → what the others make expect of each unit."""


@dataclass(frozen=True)
class Rule:
    """What makes a share worth saying. ``grows``: whether more is the harm. Raised only where it is ``times`` what was expected (at most so
    many times where less is the harm), ``points`` away from it, and ``more`` dossiers away."""

    kind: Kind
    grows: bool
    against: tuple[Against, ...]
    times: float
    points: float = 0.0
    more: int = 3


RULES: Final[Mapping[What, Rule]] = {
    "asked": Rule("funnel", False, ("past",), 0.8),
    "reached": Rule("funnel", False, ("past",), 0.8),
    "answered": Rule("funnel", False, ("past",), 0.67),
    "missing": Rule("contacts", True, ("past", "others"), 1.5, 0.05),
    "undeliverable": Rule("contacts", True, ("past", "others"), 1.5, 0.05),
    "reused": Rule("contacts", True, ("past", "others"), 2.0, 0.03),
    "at_desk": Rule("modes", True, ("past",), 1.25, 0.10),
    "short": Rule("totals", True, ("others",), 1.5, 0.05, 5),
    "over": Rule("totals", True, ("others",), 1.5, 0.05, 5),
    "slow": Rule("record", True, ("others",), 2.0),
    "charges": Rule("record", True, ("others",), 2.0),
}
"""Product defaults: what is smaller is not worth an officer's way, however sure it is."""


def shares(what: What, parts: Parts, month: str, units: Iterable[str], promised: float = 1.0) -> list[Finding]:
    """Units of which the share called ``what`` is not what it should be in ``month``, by every question its rule asks."""
    chosen, found = set(units), list[Finding]()
    if "past" in RULES[what].against:
        for wide_months in WINDOWS:
            found += against_past(what, parts, month, chosen, wide_months, promised)
    if "others" in RULES[what].against:
        window = {unit: together(months, month, PAST) for unit, months in parts.items()}
        found += against_others(what, window, partial(_elsewhere, window), month, chosen, PAST, promised)
    return found


def against_past(what: What, parts: Parts, month: str, units: Iterable[str], together: int = 1, promised: float = 1.0) -> list[Finding]:
    """``together`` months up to ``month`` against the unit's own twelve before them, moved as the others moved."""
    months = months_upto(month, PAST + together)
    whole = {m: sum((each[m] for each in parts.values() if m in each), Share(0, 0)) for m in months}
    courses = {unit: course for unit, each in parts.items() if (course := _course(each, whole, months[PAST:])) is not None}
    everybody = sum((course.moments for course in courses.values()), Moments())
    found = []
    for unit in sorted(set(units) & courses.keys()):
        course = courses[unit]
        rho = wide.rho_together(course.moments, everybody - course.moments)
        rho = min(wide.MOST, rho * (course.apart + 1 / course.months) + 1 / course.past.n)
        numbers = {"past_k": course.past.k, "past_n": course.past.n, "others_now": course.others_now, "others_then": course.others_then}
        one = _raised(what, "past", unit, month, course.now, course.expected, rho, {**numbers, "months": together}, promised)
        found += [one] if one else []
    return found


def against_others(
    what: What, window: Mapping[str, Share], expected_of: Expecting, month: str, units: Iterable[str], together: int, promised: float = 1.0
) -> list[Finding]:
    """Against what is expected of each from all others, as far as units differ among each other. ``window``: of ``together`` months up to
    ``month``. Units far out take no part in what is expected of the others."""
    each = {unit: part for unit, part in window.items() if part.n >= FEWEST}
    if len(each) <= FEWEST_UNITS:
        return []
    expected, rho = expected_of(()), wide.MOST
    for _ in range(_PASSES):
        rho = wide.of_units((part.k, part.n, expected[unit]) for unit, part in each.items())
        expected = expected_of({unit for unit, part in each.items() if wide.far_out(part.k, part.n, expected[unit], rho)})
    numbers = {"units": len(each), "months": together}
    found = [
        _raised(what, "others", unit, month, each[unit], expected[unit], rho, numbers, promised)
        for unit in sorted(set(units) & each.keys())
    ]
    return [one for one in found if one is not None]


def totals(portal: Totals, heard: Totals, month: str, units: Iterable[str], promised: float = 1.0) -> list[Finding]:
    """Units of which hailong heard fewer endings of ``month`` than the portal counts (short), or more (over), by more than others differ.

    Units the portal says nothing of are not judged.
    """
    chosen, found = set(units), list[Finding]()
    for wide_months in WINDOWS:
        pairs = {unit: _both(months, heard.get(unit, {}), months_upto(month, wide_months)) for unit, months in portal.items()}
        short = {unit: Share(max(0, t - h), t) for unit, (t, h) in pairs.items() if t}
        over = {unit: Share(max(0, h - t), h) for unit, (t, h) in pairs.items() if h and t}
        found += against_others("short", short, partial(_elsewhere, short), month, chosen, wide_months, promised)
        found += against_others("over", over, partial(_elsewhere, over), month, chosen, wide_months, promised)
    return found


def record(what: What, parts: Fields, month: str, units: Iterable[str], promised: float = 1.0) -> list[Finding]:
    """Units whose answers say against the record what elsewhere, in the same fields, far fewer say. ``parts``: answers about dossiers of
    which the record says that all was well, and of those the ones that say otherwise."""
    chosen, found = set(units), list[Finding]()
    for wide_months in LONG:
        cells = {key: together(months, month, wide_months) for key, months in parts.items()}
        window: dict[str, Share] = {}
        for (unit, _), part in cells.items():
            window[unit] = window.get(unit, Share(0, 0)) + part
        found += against_others(what, window, partial(_of_fields, cells, window), month, chosen, wide_months, promised)
    return found


def desk(at_desk: Parts, away: Parts, month: str, units: Iterable[str], promised: float = 1.0) -> list[Finding]:
    """Units whose people are satisfied at the desk so much more than away from it that neither chance nor what the desk does to answers
    everywhere explains it: Newcombe's interval of the difference lies above what the others' odds ratio would make of it.

    How much units differ in it beyond chance widens the interval.
    """
    chosen, found = set(units), list[Finding]()
    for wide_months in LONG:
        pairs = {unit: tuple(together(parts.get(unit, {}), month, wide_months) for parts in (at_desk, away)) for unit in away}
        usable = {unit: (here, home) for unit, (here, home) in pairs.items() if min(here.n, home.n) >= FEWEST}
        found += _desks(usable, month, chosen, wide_months, promised)
    return found


def together(months: Mapping[str, Share], month: str, times: int) -> Share:
    """Of so many months up to ``month``."""
    return sum((months[m] for m in months_upto(month, times) if m in months), Share(0, 0))


def _both(portal: Mapping[str, int], heard: Mapping[str, int], months: list[str]) -> tuple[int, int]:
    """The portal's total and hailong's, of the months the portal speaks of; nothing when it does not speak of the last."""
    told = [m for m in months if m in portal] if months[-1] in portal else []
    return sum(portal[m] for m in told), sum(heard.get(m, 0) for m in told)


def _of_fields(cells: Mapping[tuple[str, str], Share], window: Mapping[str, Share], left_out: Collection[str]) -> dict[str, float]:
    """What the other units' rates in each field make of a unit's mix."""
    fields: dict[str, Share] = {}
    for (unit, field), part in cells.items():
        if unit not in left_out:
            fields[field] = fields.get(field, Share(0, 0)) + part
    means, expected = _elsewhere(window, left_out), dict.fromkeys(window, 0.0)
    for (unit, field), part in cells.items():
        if window[unit].n:
            whole = fields.get(field, Share(0, 0))
            rest = whole if unit in left_out else _less(whole, part)
            expected[unit] += part.n / window[unit].n * (rest.k + _PSEUDO * means[unit]) / (rest.n + _PSEUDO)
    return expected


# --- a unit's course


@dataclass(frozen=True)
class _Course:
    now: Share
    past: Share
    months: int
    apart: float
    """How much of rho is left when the months now are looked at together."""
    expected: float
    moments: Moments
    others_now: float
    others_then: float


def _course(months: Mapping[str, Share], whole: Mapping[str, Share], names: list[str]) -> _Course | None:
    """Of one unit's ``months`` among those of all, ``names`` being those of now; None where it has too little now or before."""
    present = {m: months[m] for m in names if m in months and months[m].n}
    then = {m: months[m] for m in whole if m not in names and m in months and months[m].n}
    now, past = sum(present.values(), Share(0, 0)), sum(then.values(), Share(0, 0))
    if now.n < FEWEST or past.n < FEWEST or len(then) < FEWEST_MONTHS or names[-1] not in present:
        return None
    others = {m: _rate(_less(whole[m], months[m])) for m in (*then, *present)}
    usual = sum(then[m].n * others[m] for m in then) / past.n
    offset = logit((past.k + usual) / (past.n + 1)) - logit(usual)
    moved = {m: expit(logit(share) + offset) for m, share in others.items()}
    moments = wide.of_shares((part.k, part.n, moved[m]) for m, part in then.items())
    # One of the months is spent on the unit's own level.
    moments = Moments(moments.total * len(then) / (len(then) - 1), moments.weight)
    expected, others_now = (sum(part.n * rates[m] for m, part in present.items()) / now.n for rates in (moved, others))
    apart = sum(part.n * (part.n - 1) for part in present.values()) / (now.n * (now.n - 1))
    return _Course(now, past, len(then), apart, expected, moments, others_now, usual)


def _raised(
    what: What,
    against: Against,
    unit: str,
    month: str,
    seen: Share,
    expected: float,
    rho: float,
    numbers: Mapping[str, float],
    promised: float,
) -> Finding | None:
    rule, e = RULES[what], seen.n * expected
    if rule.grows:
        worth = seen.k >= max(rule.times * e, e + rule.points * seen.n, e + rule.more)
    else:
        worth = seen.k <= min(rule.times * e, e - rule.points * seen.n, e - rule.more)
    if not worth:
        return None
    tail = wide.among_units_at_least if against == "others" else wide.share_at_least if rule.grows else wide.share_at_most
    p, limit = tail(seen.k, seen.n, expected, rho), level(rule.kind) * promised
    if p > limit:
        return None
    return Finding(unit, rule.kind, what, against, month, seen.k, seen.n, e, p, limit, {**numbers, "rho": rho})


# --- shares of others


def _elsewhere(window: Mapping[str, Share], left_out: Collection[str]) -> dict[str, float]:
    """The rate of all other units that take part."""
    whole = sum((part for unit, part in window.items() if unit not in left_out), Share(0, 0))
    return {unit: _rate(whole if unit in left_out else _less(whole, part)) for unit, part in window.items()}


def _less(whole: Share, part: Share) -> Share:
    return Share(whole.k - part.k, whole.n - part.n)


def _rate(part: Share, pseudo: float = 0.5) -> float:
    """k ÷ n with half a dossier more on either side, so that it is never 0 or 1."""
    return (part.k + pseudo) / (part.n + 2 * pseudo)


# --- desk and away


def _desks(pairs: Mapping[str, tuple[Share, Share]], month: str, units: set[str], wide_months: int, promised: float) -> list[Finding]:
    if len(pairs) <= FEWEST_UNITS:
        return []
    usual = {unit: _usual_difference(pairs, unit) for unit in pairs}
    apart = {unit: _z_beyond(*pairs[unit], usual[unit]) for unit in pairs}
    limit, wider, found = level("desk") * promised, _wider(apart.values()), []
    for unit in sorted(units & pairs.keys()):
        here, home = pairs[unit]
        p = 1 - NormalDist().cdf(apart[unit] / wider)
        if p <= limit and here.k / here.n - home.k / home.n - usual[unit] >= DESK_POINTS:
            expected = here.n * min(1.0, home.k / home.n + usual[unit])
            numbers = {"away_k": home.k, "away_n": home.n, "usual_points": 100 * usual[unit], "months": wide_months}
            found.append(Finding(unit, "desk", "satisfied", "others", month, here.k, here.n, expected, p, limit, numbers))
    return found


def _usual_difference(pairs: Mapping[str, tuple[Share, Share]], unit: str) -> float:
    """What the odds ratio between desk and away of all others makes of the unit's own rate away (drawn towards theirs by ten answers)."""
    here = sum((a for other, (a, _) in pairs.items() if other != unit), Share(0, 0))
    home = sum((b for other, (_, b) in pairs.items() if other != unit), Share(0, 0))
    own = pairs[unit][1]
    rate = (own.k + FEWEST * _rate(home)) / (own.n + FEWEST)
    return expit(logit(rate) + logit(_rate(here)) - logit(_rate(home))) - rate


def _z_beyond(here: Share, home: Share, usual: float) -> float:
    """The z at which the lower end of Newcombe's interval reaches ``usual``; 0 where the difference itself is not above it."""
    low, high = 0.0, 20.0
    if here.k / here.n - home.k / home.n <= usual:
        return 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if newcombe(here.k, here.n, home.k, home.n, middle)[0] > usual else (low, middle)
    return low


def _wider(apart: Collection[float]) -> float:
    """Square root of how much more units differ than chance makes them, 1 or more. Those below the usual have z 0 here: twice the mean
    square stands for both sides. Those far out are drawn in."""
    spread = 1.0
    for _ in range(_ROUNDS):
        spread = max(1.0, 2 * math.fsum(min(z * z, _FAR_OUT * spread) for z in apart) / len(apart))
    return math.sqrt(spread)
