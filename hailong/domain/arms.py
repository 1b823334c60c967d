"""Whether one arm of an experiment is answered more often than another. From counts to rates with intervals; pure.

Definition. Asked: the invitation was surely handed over and is at least ``FOLLOWED`` old, so that everybody had the same time; answered:
an answer was counted within that time of it. Younger invitations are ``open`` and in no rate, whether answered or not: to count who has
answered already, and who has not only when the link is over, would praise whatever was asked last. A message refused for good was not
asked; one of which nobody knows whether it was accepted is ``unknown``; both are listed apart. A dossier counts for the arm that was
drawn, also where it could not be followed (intention to treat): who would drop out of an arm is not who would drop out of another.

Privacy: an arm with fewer than ``PRIVACY_LIMIT`` asked shows no answers, and neither does one that would give it away, as in figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from itertools import combinations, pairwise
from types import MappingProxyType
from typing import Any, Final, Literal

from hailong.domain.alert_sentences import NO_BREAK, number
from hailong.domain.rulebook import Rules
from hailong.domain.scoring import Hidden, newcombe, percent, rate, suppressed, wilson

FOLLOWED: Final = timedelta(days=14)
"""The same for every period and reader: who could choose it could choose the result. Long enough for the reminder to be answered."""

_AS_DRAWN: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Tally:
    """Dossiers of one arm whose invitation was tried: ``asked`` (of them ``delivered``, ``answered``), ``open``, ``unknown``, ``failed``
    exclude each other."""

    experiment: str
    arm: str
    asked: int = 0
    delivered: int = 0
    answered: int = 0
    open: int = 0
    unknown: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Arm:
    """An arm as it may be shown. ``answered``, ``rate`` and its 95 % interval are None where ``hidden`` says why, or nobody was asked."""

    arm: str
    asked: int
    delivered: int
    answered: int | None
    rate: float | None
    low: float | None
    high: float | None
    hidden: Hidden | None
    open: int
    unknown: int
    failed: int


@dataclass(frozen=True)
class Difference:
    """Answer rate of ``arm`` minus that of ``other``, with its 95 % interval."""

    arm: str
    other: str
    difference: float
    low: float
    high: float

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def turned(self) -> Difference:
        """The same, seen from the other arm."""
        return Difference(self.other, self.arm, -self.difference, -self.high, -self.low)


@dataclass(frozen=True)
class Experiment:
    """Its arms by name, and every pair of those that show a rate."""

    name: str
    arms: tuple[Arm, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Report:
    """Experiments of invitations of the local days ``first`` ≤ d ≤ ``until``. ``changed``: days in the period from which an experiment had
    other arms or shares."""

    first: date
    until: date
    changed: tuple[date, ...]
    experiments: tuple[Experiment, ...]

    def as_json(self) -> dict[str, Any]:
        """``{from, until, followed_days, changed, experiments: [{experiment, arms, differences}]}``; rates are fractions."""
        days = {"from": self.first, "until": self.until}
        found = [{"experiment": e.name, "arms": [_arm(a) for a in e.arms], "differences": _told(e)} for e in self.experiments]
        return {**days, "followed_days": FOLLOWED.days, "changed": list(self.changed), "experiments": found}


def _arm(arm: Arm) -> dict[str, Any]:
    said = asdict(arm)
    hidden = said.pop("hidden")
    return {**said, "suppressed": hidden is not None}


def _told(experiment: Experiment) -> list[dict[str, Any]]:
    return [
        {**asdict(d), "beyond_chance": d.beyond_chance, "sentence_vi": sentence(d, "vi"), "sentence_en": sentence(d, "en")}
        for d in experiment.differences
    ]


def experiments(tallies: Iterable[Tally]) -> tuple[Experiment, ...]:
    """One tally for each arm → what may be shown of every experiment, in the order of their names."""
    found: dict[str, list[Tally]] = {}
    for tally in sorted(tallies, key=lambda t: (t.experiment, t.arm)):
        found.setdefault(tally.experiment, []).append(tally)
    return tuple(_experiment(name, arms) for name, arms in found.items())


def _experiment(name: str, tallies: Sequence[Tally]) -> Experiment:
    hidden = suppressed({t.arm: t.asked for t in tallies})
    shown = [t for t in tallies if t.asked and t.arm not in hidden]
    arms = tuple(_shown(t, hidden.get(t.arm)) for t in tallies)
    return Experiment(name, arms, tuple(difference(one, other) for one, other in combinations(shown, 2)))


def _shown(t: Tally, hidden: Hidden | None) -> Arm:
    hide = hidden is not None or not t.asked
    low, high = wilson(t.answered, t.asked)
    return Arm(
        arm=t.arm,
        asked=t.asked,
        delivered=t.delivered,
        answered=None if hide else t.answered,
        rate=None if hide else rate(t.answered, t.asked),
        low=None if hide else low,
        high=None if hide else high,
        hidden=hidden,
        open=t.open,
        unknown=t.unknown,
        failed=t.failed,
    )


def difference(one: Tally, other: Tally) -> Difference:
    """Of two arms in which somebody was asked. Raises ZeroDivisionError for one without."""
    low, high = newcombe(one.answered, one.asked, other.answered, other.asked)
    return Difference(one.arm, other.arm, one.answered / one.asked - other.answered / other.asked, low, high)


def changes(versions: Sequence[Rules], first: date, until: date) -> tuple[date, ...]:
    """Days after ``first`` up to ``until`` from which the rules (the oldest first) name other experiments, arms or shares."""
    return tuple(
        new.valid_from for old, new in pairwise(versions) if first < new.valid_from <= until and old.experiments != new.experiments
    )


def sentence(d: Difference, language: Literal["vi", "en"], names: Mapping[str, str] = _AS_DRAWN) -> str:
    """What a difference says, the better arm first: how much, how sure, and whether it is more than chance at 95 %. ``names``: arm → what
    readers call it, where they call it otherwise."""
    d = replace(d, arm=names.get(d.arm, d.arm), other=names.get(d.other, d.other))
    d = d.turned() if d.difference < 0 else d
    digits = next((n for n in (1, 2, 3) if (percent(d.low, n) > 0) == (d.low > 0)), 4)
    more = number(d.difference, digits, language)
    low, high = (number(end, digits, language).replace("-", "−") for end in (d.low, d.high))
    return _vietnamese(d, more, low, high) if language == "vi" else _english(d, more, low, high)


def _vietnamese(d: Difference, more: str, low: str, high: str) -> str:
    sure = f"(khoảng tin cậy 95{NO_BREAK}%: từ {low} đến {high})"
    seen = f"Tỷ lệ trả lời của “{d.arm}” cao hơn của “{d.other}” {more} điểm phần trăm {sure}."
    if d.difference == 0:
        seen = f"Tỷ lệ trả lời của “{d.arm}” và “{d.other}” bằng nhau {sure}."
    if d.beyond_chance:
        return f"{seen} Cả khoảng này lớn hơn 0: khác biệt vượt quá mức ngẫu nhiên, ở độ tin cậy 95{NO_BREAK}%."
    return f"{seen} Khoảng này chứa số 0: khác biệt có thể chỉ do ngẫu nhiên, ở độ tin cậy 95{NO_BREAK}%."


def _english(d: Difference, more: str, low: str, high: str) -> str:
    sure = f"(95% interval {low} to {high})"
    seen = f"“{d.arm}” is answered more often than “{d.other}”, by {more} percentage points {sure}."
    if d.difference == 0:
        seen = f"“{d.arm}” and “{d.other}” are answered equally often {sure}."
    if d.beyond_chance:
        return f"{seen} The whole interval is above 0: at 95% the difference is more than chance."
    return f"{seen} The interval holds 0: at 95% the difference may be chance alone."
