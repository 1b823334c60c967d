"""What the detectors are held to: measures over many invented provinces, beside a goal and a further goal (docs/decisions/0011)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ops.alerting.evaluating import Trial, invented, judge
from ops.alerting.files import answers_of, truth_of
from ops.alerting.measures import Score, Yardstick
from ops.alerting.province import FIELDS, Plan, Province
from ops.alerting.running import BELOW, DECLINING, Detector, run, seen_by_unit

SEEDS: Final = range(20250701, 20250721)
HELD_OUT: Final = range(20300101, 20300111)
"""Never used while anything was set."""
SHIFTED: Final = (0.84, 0.87, 0.90)
_HARD: Final = ("land", "construction")
_HEAVY, _LIGHT = 0.40, 0.15


Span = tuple[float, float]
"""What a measure shall lie within, ends included."""


@dataclass(frozen=True)
class Line:
    """A measure with what is wanted of it."""

    what: str
    found: float | None
    goal: Span
    stretch: Span

    @property
    def met(self) -> bool:
        return self.found is not None and self.goal[0] <= self.found <= self.goal[1]

    @property
    def stretched(self) -> bool:
        return self.found is not None and self.stretch[0] <= self.found <= self.stretch[1]

    def as_json(self) -> dict[str, Any]:
        wanted = {
            name: [None if math.isinf(end) else end for end in span] for name, span in (("goal", self.goal), ("stretch", self.stretch))
        }
        return {"what": self.what, "found": self.found, **wanted, "met": self.met, "stretched": self.stretched}


_Of = Callable[[dict[str, Any]], float | None]


def _flagged(days: str, tier: str = "all") -> _Of:
    def of(measures: dict[str, Any]) -> float | None:
        share: float | None = measures["flagged"][days][tier]
        return share

    return of


def _plain(name: str) -> _Of:
    def of(measures: dict[str, Any]) -> float | None:
        value: float | None = measures[name]
        return value

    return of


def _most(value: float) -> Span:
    return 0.0, value


def _least(value: float) -> Span:
    return value, math.inf


_BELOW: Final[tuple[tuple[str, _Of, Span, Span], ...]] = (
    ("false alarms of 170 units a year", _plain("false_alarms"), _most(6), _most(4)),
    ("share of raises that are true", _plain("precision"), _least(0.85), _least(0.90)),
    ("share of fine units' days under an alert", _plain("false_days"), _most(0.025), _most(0.015)),
    ("flagged in 30 days", _flagged("30"), _least(0.09), _least(0.13)),
    ("flagged in 60 days", _flagged("60"), _least(0.17), _least(0.22)),
    ("flagged in 90 days", _flagged("90"), _least(0.26), _least(0.31)),
    ("flagged in 90 days, over 25 answers a month", _flagged("90", "L"), _least(0.54), _least(0.60)),
    ("flagged within the two years", _plain("flagged_ever"), _least(0.70), _least(0.75)),
    ("median delay in days", _plain("delay_days"), _most(260), _most(200)),
    ("toggles of 170 units a year", _plain("toggles"), _most(45), _most(30)),
    ("median days from recovery to clear", _plain("clear_days"), _most(120), _most(60)),
)
_DECLINING: Final[tuple[tuple[str, _Of, Span, Span], ...]] = (
    ("declining: false alarms of 170 units a year", _plain("false_alarms"), _most(6), _most(5)),
    ("declining: flagged in 90 days", _flagged("90"), _least(0.18), _least(0.24)),
    ("declining: flagged in 90 days, over 25 answers a month", _flagged("90", "L"), _least(0.43), _least(0.55)),
)


def lines(seeds: Sequence[int] = SEEDS, response: float = 1.0) -> list[Line]:
    """Every measure of alerts over the provinces of ``seeds``; minutes for twenty of them. ``response`` multiplies the response rates."""
    found = _basic(seeds, response)
    unfair = fairness(seeds, response)
    found.append(
        Line("fairness: false alarms where land and building prevail, against where they are rare", unfair, _most(1.5), _most(1.2))
    )
    for target in SHIFTED:
        alarms: float | None = _shifted(seeds, response, target).as_json()["false_alarms"]
        found.append(Line(f"false alarms with a target of {target:.0%}", alarms, (3.5, 7), (4, 6)))
    return found


def _basic(seeds: Sequence[int], response: float) -> list[Line]:
    ours = {BELOW: Score(), DECLINING: Score()}
    for seed in seeds:
        one = invented(Plan(seed, response=response))
        for detector, score in ours.items():
            score += judge(detector, [one]).score
    asked = ((BELOW, _BELOW), (DECLINING, _DECLINING))
    return [Line(what, of(ours[d].as_json()), goal, stretch) for d, wanted in asked for what, of, goal, stretch in wanted]


def _shifted(seeds: Sequence[int], response: float, target: float) -> Score:
    score = Score()
    for seed in seeds:
        score += judge(BELOW, [invented(Plan(seed, response=response, target=target))]).score
    return score


def fairness(seeds: Sequence[int], response: float = 1.0, detector: Detector = BELOW) -> float | None:
    """False alarms of units with more than 40 % land and building, against those with less than 15 %, when a level is what a unit would
    have with the province's mix and the reference follows the field. None when the second never rang."""
    heavy, light = Score(), Score()
    for seed in seeds:
        province = Province(Plan(seed, response=response, standard=True))
        answers, truth, target = list(answers_of(province)), truth_of(province), province.plan.target
        raises = run(detector, seen_by_unit(answers, target, "field"), target)
        yardstick = Yardstick(answers, truth, target)
        share = {str(u.number): sum(u.mix[FIELDS.index(f)] for f in _HARD) for u in province.units}
        heavy += yardstick.score(raises, detector.question, [u for u, s in share.items() if s > _HEAVY])
        light += yardstick.score(raises, detector.question, [u for u, s in share.items() if s < _LIGHT])
    few, many = light.as_json()["false_alarms"], heavy.as_json()["false_alarms"]
    return many / few if few else None


def cost(trial: Trial, detector: Detector = BELOW) -> float:
    """Microseconds an answer, of this process's CPU."""
    begun = time.process_time()
    run(detector, trial.units, trial.target)
    return (time.process_time() - begun) / trial.answers * 1e6
