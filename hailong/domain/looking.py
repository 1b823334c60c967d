"""A look at the quality of data, once a week: which alerts it raises and which are over, and which units are too quiet to judge. Pure.

Everything follows from the counts at one version of the log and from the look before; so a look can be made again from the log, bit for
bit, and one that is made twice says the same. Weeks are judged at the first look after them, months at the first look after they have
settled: more looks would break the promise of ``quality``. An alert is of a unit, a kind and what was counted; a finding that goes on is
the same alert.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final, Literal, get_args

from hailong.domain.hours import Hours
from hailong.domain.judging import identity
from hailong.domain.quality import SETTLED, WHOLE, Finding, What, last_week, settled_month, week_of
from hailong.domain.quality_seen import Seen, Standing, carried_on_apart, findings
from hailong.domain.quality_sentences import LANGUAGES, over, sentence
from hailong.domain.quiet import part_of, quietest, sights
from hailong.domain.scoring import Counts, Version
from hailong.domain.units import Registry, Targets
from hailong.events import AlertChanged, Doubt, QualityLooked

BY: Final = "timer"
"""Who writes these alerts."""
EVERY: Final = timedelta(weeks=1)
_WORKING: Final = Hours(days=frozenset(range(5)))
State = Literal["raised", "cleared", "settled"]


@dataclass(frozen=True)
class Sources:
    """What is looked at, all at ``version``. ``answers``: (handling unit, month) → counts; ``seq``: of the last counted record."""

    seen: Seen
    answers: Mapping[tuple[str, str], Counts]
    registry: Registry
    targets: Targets
    version: Version
    seq: int


@dataclass(frozen=True)
class Looked:
    """What a look says, and the steps of alerts that follow."""

    fact: QualityLooked
    steps: Sequence[AlertChanged]


def look(sources: Sources, day: date, at: datetime, registry_id: str, last: QualityLooked | None) -> Looked:
    """The look of the Monday ``day``, made at ``at``, after the look ``last`` (None: the first)."""
    judged = [what for what in get_args(What) if last is None or _period(day, what) != _period(last.day, what)]
    found = _found(sources, day, judged)
    before = dict(last.standing) if last is not None else {}
    standing, steps = dict(before), list[AlertChanged]()
    for key, since in sorted(before.items()):
        if _what(key) in judged and key not in found:
            del standing[key]
            steps.append(_over(sources, registry_id, key, since, day, at))
    for key, finding in sorted(found.items()):
        if key not in before:
            standing[key] = day
            steps.append(_raised(sources, registry_id, key, finding, day, at))
    fact = _fact(sources, registry_id, day, at, judged, standing)
    return Looked(fact, steps)


def found_on(seen: Seen, registry: Registry, day: date) -> list[Finding]:
    """All that is found as of ``day``, judged before or not, the rarest by chance first. ``seen`` as ``apart`` makes it."""
    return findings(seen, day, in_the_registry(seen, registry), working_days)


def carrying_on(registry: Registry, day: date) -> dict[str, date]:
    """The first day of each unit that on ``day`` carries on others."""
    rows = {code: registry.on(code, day) for code in registry.codes()}
    return {code: row.valid_from for code, row in rows.items() if row is not None and row.predecessors}


def in_the_registry(seen: Seen, registry: Registry) -> Standing:
    """Units that are there all the week or month, and those the registry never heard of. One that was merged away is silent by law."""
    known = set(registry.codes())
    cells = {unit for unit, _ in (*seen.handling, *seen.receiving, *seen.figures)}
    heard = {*seen.endings, *seen.counted, *seen.portal, *cells} - {WHOLE}

    def standing(at: date | str) -> Collection[str]:
        first, last = (at, at + timedelta(days=6)) if isinstance(at, date) else _of_month(at)
        return {unit for unit in heard if unit not in known or (registry.on(unit, first) and registry.on(unit, last))}

    return standing


def working_days(first: date) -> int:
    """Of the week of a Monday."""
    return sum(_WORKING.why_closed_on(first + timedelta(days=i)) is None for i in range(7))


def apart(seen: Seen, registry: Registry, day: date) -> Seen:
    """In a fixed order, whatever the store's was, since sums of floats follow it; and units that carry on others begun anew."""
    return carried_on_apart(_ordered(seen), carrying_on(registry, last_week(day)))


def _ordered(seen: Seen) -> Seen:
    def nested(counts: Mapping[str, Mapping[date, int]]) -> dict[str, dict[date, int]]:
        return {unit: dict(sorted(counts[unit].items())) for unit in sorted(counts)}

    return replace(
        seen,
        endings=nested(seen.endings),
        counted=nested(seen.counted),
        handling=dict(sorted(seen.handling.items())),
        receiving=dict(sorted(seen.receiving.items())),
        said=dict(sorted(seen.said.items())),
        fees=dict(sorted(seen.fees.items())),
        figures=dict(sorted(seen.figures.items())),
        heard={unit: dict(sorted(months.items())) for unit, months in sorted(seen.heard.items())},
        portal={unit: dict(sorted(months.items())) for unit, months in sorted(seen.portal.items())},
    )


def _found(sources: Sources, day: date, judged: Collection[str]) -> dict[str, Finding]:
    """By key; of several about the same the rarest."""
    found: dict[str, Finding] = {}
    for one in found_on(apart(sources.seen, sources.registry, day), sources.registry, day):
        if one.what in judged:
            found.setdefault(f"{one.unit}|{one.kind}|{one.what}", one)
    return found


def _period(day: date, what: What) -> str | date:
    return settled_month(day, what) if what in SETTLED else last_week(day)


def _of_month(month: str) -> tuple[date, date]:
    first = date.fromisoformat(f"{month}-01")
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _what(key: str) -> str:
    return key.rpartition("|")[2]


# --- facts


def _fact(sources: Sources, registry_id: str, day: date, at: datetime, judged: list[What], standing: dict[str, date]) -> QualityLooked:
    sight = sights(sources.answers, sources.registry, sources.targets, day)
    quiet = sorted(one.unit for one in quietest(sight))
    return QualityLooked(
        event_id=f"quality:{day.isoformat()}",
        registry_id=registry_id,
        day=day,
        at=at,
        version={topic: {str(p): n for p, n in sorted(parts.items())} for topic, parts in sorted(sources.version.items())},
        judged=[str(what) for what in judged],
        standing=dict(sorted(standing.items())),
        quiet=quiet,
        quiet_from=max(day, at.date()) + timedelta(days=1),
        quiet_part=part_of(quiet, sight),
    )


def _raised(sources: Sources, registry_id: str, key: str, one: Finding, day: date, at: datetime) -> AlertChanged:
    name = _name(sources, one.unit, day)
    vi, en = (sentence(one, name, language) for language in LANGUAGES)
    numbers = {name: float(value) for name, value in sorted(one.numbers.items())}
    doubt = Doubt(
        what=one.what, where=one.where, against=one.against, period=one.period, observed=one.observed, of=one.of, expected=one.expected,
        p=one.p, level=one.level, numbers=numbers,
    )  # fmt: skip
    first = week_of(one.period) if "W" in one.period else date.fromisoformat(f"{one.period}-01")
    return _step(sources, registry_id, key, day, at, "raised", first, day, vi, en, doubt)


def _over(sources: Sources, registry_id: str, key: str, since: date, day: date, at: datetime) -> AlertChanged:
    unit, kind, _ = key.split("|")
    gone = unit != WHOLE and sources.registry.latest(unit, day) is not None and sources.registry.on(unit, day) is None
    state: Literal["cleared", "settled"] = "settled" if gone else "cleared"
    vi, en = (over(state, kind, unit, _name(sources, unit, day), since, language) for language in LANGUAGES)
    return _step(sources, registry_id, key, since, at, state, since, day, vi, en, None)


def _step(
    sources: Sources, registry_id: str, key: str, since: date, at: datetime, state: State, first: date, day: date, vi: str, en: str,
    doubt: Doubt | None,
) -> AlertChanged:  # fmt: skip
    """``since``: the Monday on which it was raised, which names it."""
    unit, kind, _ = key.split("|")
    alert_id = identity("alert", registry_id, key, since.isoformat())
    version = 1 if state == "raised" else 2
    return AlertChanged(
        event_id=identity("alert.changed", alert_id, version, state), registry_id=registry_id, alert_id=alert_id, version=version,
        state=state, kind=kind, unit=unit, at=at, by=BY, evidence_seq=sources.seq, n=0, satisfied=0, target=0.0, low=0.0, high=0.0,
        since=first, until=day - timedelta(days=1), sentence_vi=vi, sentence_en=en, doubt=doubt,
    )  # fmt: skip


def _name(sources: Sources, unit: str, day: date) -> str:
    return sources.registry.name(unit, last_week(day)) if unit != WHOLE else ""
