"""Does the quality of data keep its promise? Invented provinces in which nothing is wrong, and in which one thing is, from a seed.

``measured`` counts false raises for 170 units a year in every invented world, ``noticed`` how soon a harm is found. Pure; minutes long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any, Final, Literal

from hailong.domain import quality_months as monthly
from hailong.domain import quality_weeks as weekly
from hailong.domain.quality import PROMISED, UNITS, Finding, What, before
from hailong.domain.shares import Share, expit, logit

World = Literal["poisson", "gamma", "lasting", "lognormal", "own seasons"]
INSIDE: Final[tuple[World, ...]] = ("poisson", "gamma", "lasting")
"""Worlds the promise is made for; in the others the model is wrong."""
OUTSIDE: Final[tuple[World, ...]] = ("lognormal", "own seasons")
EVEN: Final = ("months", "months, 3 times as uneven")
FIRST: Final = date(2023, 1, 2)
_WEEK: Final = timedelta(days=7)
_TET: Final = (5, 6)
"""Weeks of the year in which most rest."""


@dataclass(frozen=True)
class Unit:
    """An invented unit."""

    code: str
    volume: float
    """Endings a month."""
    response: float


def units(seed: int, how_many: int = UNITS) -> list[Unit]:
    """Volumes log-uniform from 5 to 600 endings a month, response 3 to 20 %."""
    draw = Random(f"{seed}:units")  # noqa: S311 - invented data
    spans = math.log(5), math.log(600)
    return [Unit(f"U{i:03d}", math.exp(draw.uniform(*spans)), draw.uniform(0.03, 0.20)) for i in range(how_many)]


# --- weeks


def weeks_of(world: World, seed: int, province: list[Unit], years: int) -> dict[str, dict[date, int]]:
    """Weekly endings of every unit for so many years from ``FIRST`` on."""
    draw = Random(f"{seed}:{world}:weeks")  # noqa: S311 - invented data
    counts = {}
    for unit in province:
        rates = _rates(world, draw, 52 * years)
        phase = draw.uniform(0, 2 * math.pi)
        counts[unit.code] = {
            FIRST + _WEEK * w: poisson(draw, unit.volume * 12 / 52 * _season(world, w, phase) * rates[w]) for w in range(52 * years)
        }
    return counts


def _season(world: World, week: int, phase: float) -> float:
    """The province's year, with Tết; in ``own seasons`` each unit has one of its own besides."""
    whole = 1 + 0.25 * math.cos(2 * math.pi * (week - 47) / 52)
    own = 1 + 0.4 * math.cos(2 * math.pi * week / 52 + phase) if world == "own seasons" else 1.0
    return whole * own * (0.2 if week % 52 in _TET else 1.0)


def _rates(world: World, draw: Random, weeks: int) -> list[float]:
    """Relative rates of one unit: none but 1, gamma of each week (sd 0.35), lasting ones (half gamma of the week, half of a month and a
    half), log-normal of each week (sd 0.5)."""
    if world == "poisson":
        return [1.0] * weeks
    if world == "lognormal":
        return [math.exp(draw.gauss(-0.125, 0.5)) for _ in range(weeks)]
    if world == "lasting":
        slow = [_gamma(draw, 0.25) for _ in range(weeks // 6 + 1)]
        return [slow[w // 6] * _gamma(draw, 0.25) for w in range(weeks)]
    return [_gamma(draw, 0.35 if world == "gamma" else 0.2) for _ in range(weeks)]


def _gamma(draw: Random, sd: float) -> float:
    return draw.gammavariate(1 / sd**2, sd**2)


def false_in_weeks(world: World, seed: int, years: int, how_many: int = UNITS, promised: float = 1.0) -> dict[str, int]:
    """False raises of silence and surge in ``years`` judged years of one invented province."""
    province = units(seed, how_many)
    counts = weeks_of(world, seed, province, years + 1)
    sent, codes, found = weekly.Weeks(counts), [unit.code for unit in province], {"silence": 0, "surge": 0}
    raises = Raises()
    for w in range(52, 52 * (years + 1)):
        week = FIRST + _WEEK * w
        found["silence"] += raises.new("silence", weekly.silence(sent, week, codes, lambda _: 5, promised))
        # Endings and answers are two such series.
        found["surge"] += 2 * raises.new("surge", weekly.surge(sent, week, codes, "endings", promised))
    return found


class Raises:
    """Counts raises: what the look before had found already is not found anew."""

    def __init__(self) -> None:
        self._before: dict[str, set[str]] = {}

    def new(self, look: str, found: list[Finding]) -> int:
        """How many of a look's findings are new."""
        now = {f"{one.unit} {one.what} {one.against}" for one in found}
        new = now - self._before.get(look, set())
        self._before[look] = now
        return len(new)


# --- months


@dataclass(frozen=True)
class Habit:
    """A share of units: its middle, how much units differ (sd of log odds), how much a unit's months do (rho), and of how many."""

    middle: float
    differ: float
    rho: float
    per_ending: float = 1.0


HABITS: Final[Mapping[What, Habit]] = {
    "asked": Habit(0.75, 0.4, 0.01), "reached": Habit(0.85, 0.5, 0.01, 0.7), "answered": Habit(0.12, 0.5, 0.004, 0.6),
    "missing": Habit(0.08, 0.8, 0.01), "undeliverable": Habit(0.06, 0.6, 0.01, 0.7), "reused": Habit(0.03, 0.6, 0.005),
    "at_desk": Habit(0.25, 0.8, 0.02, 0.12), "slow": Habit(0.03, 0.4, 0.002, 0.08), "charges": Habit(0.006, 0.5, 0.002, 0.06),
}  # fmt: skip


def months_of(what: What, seed: int, province: list[Unit], months: list[str], widely: float = 1.0) -> dict[str, dict[str, Share]]:
    """A share of every unit by month; the province as a whole moves a little every month, and a lot in the tenth (new rules).

    ``widely``: times rho, for worlds rougher than usual.
    """
    draw, habit = Random(f"{seed}:{what}:{widely}"), HABITS[what]  # noqa: S311 - invented data
    moved = [draw.gauss(0, 0.05) - (0.4 if i >= 9 else 0.0) for i in range(len(months))]
    made: dict[str, dict[str, Share]] = {}
    for unit in province:
        own = logit(habit.middle) + draw.gauss(0, habit.differ)
        made[unit.code] = {}
        for month, shift in zip(months, moved, strict=True):
            n = poisson(draw, unit.volume * habit.per_ending)
            made[unit.code][month] = Share(_beta_binomial(draw, n, expit(own + shift), habit.rho * widely), n)
    return made


def false_in_months(seed: int, years: int, how_many: int = UNITS, widely: float = 1.0, promised: float = 1.0) -> dict[str, int]:
    """False raises of everything that is looked at by month."""
    province = units(seed, how_many)
    months = [before("2026-12", i) for i in reversed(range(12 * (years + 1)))]
    codes = [unit.code for unit in province]
    found = dict.fromkeys(("funnel", "contacts", "modes", "record", "desk", "totals"), 0)
    made = {what: months_of(what, seed, province, months, widely) for what in HABITS}
    fields = {what: _in_fields(made[what]) for what in ("slow", "charges")}
    here, home = desks_of(seed, province, months)
    portal, heard = totals_of(seed, province, months)
    raises = Raises()
    for month in months[12:]:
        for what in made:
            if what in ("slow", "charges"):
                found["record"] += raises.new(what, monthly.record(what, fields[what], month, codes, promised))
            else:
                found[monthly.RULES[what].kind] += raises.new(what, monthly.shares(what, made[what], month, codes, promised))
        found["desk"] += raises.new("desk", monthly.desk(here, home, month, codes, promised))
        found["totals"] += raises.new("totals", monthly.totals(portal, heard, month, codes, promised))
    return found


def _in_fields(parts: Mapping[str, Mapping[str, Share]]) -> dict[tuple[str, str], Mapping[str, Share]]:
    return {(unit, "land"): months for unit, months in parts.items()}


def desks_of(seed: int, province: list[Unit], months: list[str]) -> tuple[dict[str, dict[str, Share]], dict[str, dict[str, Share]]]:
    """Answers at the desk and away: at the desk the odds are about 2.7 times as good, in some units more than in others."""
    draw = Random(f"{seed}:desk")  # noqa: S311 - invented data
    here: dict[str, dict[str, Share]] = {}
    home: dict[str, dict[str, Share]] = {}
    for unit in province:
        level = logit(min(0.98, max(0.6, draw.gauss(0.87, 0.05))))
        lifted = level + draw.gauss(1.0, 0.3)
        here[unit.code], home[unit.code] = {}, {}
        for month in months:
            n, m = poisson(draw, unit.volume * 0.05), poisson(draw, unit.volume * unit.response)
            here[unit.code][month] = Share(binomial(draw, n, expit(lifted)), n)
            home[unit.code][month] = Share(binomial(draw, m, expit(level)), m)
    return here, home


def totals_of(seed: int, province: list[Unit], months: list[str]) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
    """The portal's totals and what hailong heard: 1 in 200 lost, and at both ends of a month 1 in 50 counted in another one."""
    draw = Random(f"{seed}:totals")  # noqa: S311 - invented data
    portal: dict[str, dict[str, int]] = {}
    heard: dict[str, dict[str, int]] = {}
    for unit in province:
        portal[unit.code], heard[unit.code], came = {}, {}, 0
        for month in months:
            ended = poisson(draw, unit.volume)
            late = binomial(draw, ended, 0.02)
            portal[unit.code][month] = ended + came - late
            heard[unit.code][month] = ended - binomial(draw, ended, 0.005)
            came = late
    return portal, heard


# --- draws


def poisson(draw: Random, mean: float) -> int:
    """Ahrens & Dieter 1974: down by gammas, then one by one."""
    n = 0
    while mean > 30:
        m = int(mean * 7 / 8)
        x = draw.gammavariate(m, 1)
        if x > mean:
            return n + binomial(draw, m - 1, mean / x)
        n, mean = n + m, mean - x
    limit, product = math.exp(-mean), draw.random()
    while product > limit:
        n, product = n + 1, product * draw.random()
    return n


def binomial(draw: Random, n: int, p: float) -> int:
    """The same by betas: the a-th smallest of n uniform numbers."""
    k = 0
    while n > 30:
        a = 1 + n // 2
        x = draw.betavariate(a, n + 1 - a)
        if x >= p:
            n, p = a - 1, p / x
        else:
            k, n, p = k + a, n - a, (p - x) / (1 - x)
    return k + sum(draw.random() < p for _ in range(n))


def _beta_binomial(draw: Random, n: int, p: float, rho: float) -> int:
    both = 1 / rho - 1
    return binomial(draw, n, draw.betavariate(p * both, (1 - p) * both))


# --- harms

TIERS: Final[Mapping[str, tuple[float, float]]] = {"5-25": (5, 25), "25-100": (25, 100), "100-600": (100, 600)}
"""Endings a month."""
EVERY: Final = 40
"""One unit in so many is harmed."""
HARMS: Final[Mapping[What, float]] = {
    "asked": 0.50, "reached": 0.55, "answered": 0.05, "missing": 0.30, "undeliverable": 0.25, "reused": 0.20, "at_desk": 0.60,
    "slow": 0.10, "charges": 0.05,
}  # fmt: skip
"""What a share becomes."""
AFTER: Final[Mapping[What, tuple[int, ...]]] = {"slow": (3, 12), "charges": (3, 12)}
"""Months after which it is asked whether a harm has been noticed; else after 1 and 3."""


def noticed_silence(seed: int, after: int) -> dict[str, tuple[int, int]]:
    """Tier → (noticed within ``after`` weeks of silence, harmed units), in the world ``gamma``."""
    province = units(seed)
    counts, harmed = weeks_of("gamma", seed, province, 2), province[::EVERY]
    silent = [FIRST + _WEEK * w for w in range(70, 70 + after)]
    for unit in harmed:
        counts[unit.code].update(dict.fromkeys(silent, 0))
    found = {one.unit for one in weekly.silence(weekly.Weeks(counts), silent[-1], [unit.code for unit in harmed], lambda _: 5)}
    return _by_tier(harmed, found)


def noticed_surge(seed: int, times: float) -> dict[str, tuple[int, int]]:
    """Tier → (noticed, harmed): ``times`` as many as usual in one week."""
    province = units(seed)
    counts, harmed, week = weeks_of("gamma", seed, province, 2), province[::EVERY], FIRST + _WEEK * 70
    for unit in harmed:
        counts[unit.code][week] = round(counts[unit.code][week] * times)
    found = {one.unit for one in weekly.surge(weekly.Weeks(counts), week, [unit.code for unit in harmed], "endings")}
    return _by_tier(harmed, found)


def noticed_share(what: What, seed: int, after: int) -> dict[str, tuple[int, int]]:
    """Tier → (noticed in one of the first ``after`` months, harmed): a share becomes what ``HARMS`` says."""
    province, draw = units(seed), Random(f"{seed}:{what}:harm")  # noqa: S311 - invented data
    months = [before("2026-12", i) for i in reversed(range(12 + after))]
    parts, harmed, found = months_of(what, seed, province, months), province[::EVERY], set[str]()
    for unit in harmed:
        for month in months[12:]:
            n = parts[unit.code][month].n
            parts[unit.code][month] = Share(_beta_binomial(draw, n, HARMS[what], HABITS[what].rho), n)
    codes = [unit.code for unit in harmed]
    for month in months[12:]:
        against_record = what in ("slow", "charges")
        seen = monthly.record(what, _in_fields(parts), month, codes) if against_record else monthly.shares(what, parts, month, codes)
        found |= {one.unit for one in seen}
    return _by_tier(harmed, found)


def noticed_totals(seed: int, lost: float) -> dict[str, tuple[int, int]]:
    """Tier → (noticed, harmed): of one month that share of endings never heard of."""
    province, months = units(seed), ["2026-12"]
    portal, heard = totals_of(seed, province, months)
    harmed = province[::EVERY]
    for unit in harmed:
        heard[unit.code]["2026-12"] = round(heard[unit.code]["2026-12"] * (1 - lost))
    return _by_tier(harmed, {one.unit for one in monthly.totals(portal, heard, "2026-12", [unit.code for unit in harmed])})


def noticed_desk(seed: int, away: float, after: int) -> dict[str, tuple[int, int]]:
    """Tier → (noticed, harmed) after so many months: everybody satisfied at the desk, the share ``away`` of those who answer elsewhere."""
    province, draw = units(seed), Random(f"{seed}:desk:harm")  # noqa: S311 - invented data
    months = [before("2026-12", i) for i in reversed(range(after))]
    here, home = desks_of(seed, province, months)
    harmed = province[::EVERY]
    for unit in harmed:
        for month in months:
            here[unit.code][month] = Share(here[unit.code][month].n, here[unit.code][month].n)
            home[unit.code][month] = Share(binomial(draw, home[unit.code][month].n, away), home[unit.code][month].n)
    return _by_tier(harmed, {one.unit for one in monthly.desk(here, home, "2026-12", [unit.code for unit in harmed])})


def _by_tier(harmed: list[Unit], found: set[str]) -> dict[str, tuple[int, int]]:
    tiers = {name: [unit.code for unit in harmed if low <= unit.volume < high] for name, (low, high) in TIERS.items()}
    return {name: (len(found & set(codes)), len(codes)) for name, codes in tiers.items()}


# --- the whole


def measured(seeds: range, years: int = 2, promised: float = 1.0) -> dict[str, dict[str, float]]:
    """World → kind → false raises for 170 units in a year, over all ``seeds``. Minutes."""
    rates: dict[str, dict[str, float]] = {}
    spans = len(seeds) * years
    for world in (*INSIDE, *OUTSIDE):
        rates[world] = _rate([false_in_weeks(world, seed, years, promised=promised) for seed in seeds], spans)
    for widely, name in zip((1.0, 3.0), EVEN, strict=True):
        rates[name] = _rate([false_in_months(seed, years, widely=widely, promised=promised) for seed in seeds], spans)
    return rates


def noticed(seeds: range) -> dict[str, dict[str, float]]:
    """Harm → tier → share of harmed units in which it is noticed."""
    ways: dict[str, list[dict[str, tuple[int, int]]]] = {}
    for seed in seeds:
        made = {f"silent for {n} weeks": noticed_silence(seed, n) for n in (1, 2, 4, 8)}
        made |= {f"{times:g} times as many in a week": noticed_surge(seed, times) for times in (3, 5, 10)}
        for what, share in HARMS.items():
            usual = HABITS[what].middle
            made |= {f"{what} {usual:g} → {share:g}, {n} months": noticed_share(what, seed, n) for n in AFTER.get(what, (1, 3))}
        made |= {f"{100 * lost:g} % of a month not heard of": noticed_totals(seed, lost) for lost in (0.1, 0.3)}
        made |= {f"desk 100 %, away {100 * a:g} %, {n} months": noticed_desk(seed, a, n) for a in (0.75, 0.6) for n in (3, 12)}
        for harm, tiers in made.items():
            ways.setdefault(harm, []).append(tiers)
    return {
        harm: {tier: sum(t[tier][0] for t in each) / max(1, sum(t[tier][1] for t in each)) for tier in TIERS} for harm, each in ways.items()
    }


def _rate(found: list[dict[str, int]], spans: int) -> dict[str, float]:
    return {kind: sum(one[kind] for one in found) / spans for kind in found[0]}


def prove(seeds: range = range(1, 9)) -> dict[str, Any]:
    """A report as those of the other proofs: in the worlds the promise is made for, every kind keeps it; how soon harms are noticed stands
    beside. About ten minutes."""
    rates, soon = measured(seeds), noticed(seeds)
    promised_for = (*INSIDE, *EVEN)
    checks = [
        {"id": f"false raises, {world}", "ok": max(kinds.values()) <= PROMISED, "found": _told(kinds), "examples": []}
        for world, kinds in rates.items()
        if world in promised_for
    ]
    outside = {world: kinds for world, kinds in rates.items() if world not in promised_for}
    return {"passed": all(check["ok"] for check in checks), "checks": checks, "counts": {"outside the model": outside, "noticed": soon}}


def _told(kinds: Mapping[str, float]) -> str:
    return ", ".join(f"{kind} {rate:.2f}" for kind, rate in kinds.items()) + f" for {UNITS} units a year"
