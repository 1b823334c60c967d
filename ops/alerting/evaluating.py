"""Holds detectors against one province or several: at their own setting, and at the one at which they raise falsely as often as ours."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Final, get_args

from ops.alerting.files import Answer, Truth, answers_of, read_answers, read_truth, truth_of, write_raises
from ops.alerting.measures import Score, Yardstick
from ops.alerting.province import Plan, Province
from ops.alerting.running import BELOW, DECLINING, OURS, Detector, Question, Raise, Reference, Seen, run, seen_by_unit
from ops.local.refusal import Refusal

ALL: Final = "all"
_TRIES: Final = 14
_OUR_OWN: Final[dict[Question, Detector]] = {"target": BELOW, "past": DECLINING}


@dataclass(frozen=True)
class Asked:
    """What is to be evaluated: a detector's name, or ``all``."""

    target: float
    detector: str = BELOW.name
    matched: bool = False
    reference: str = "flat"


@dataclass(frozen=True)
class Trial:
    """A province to be judged."""

    units: dict[str, list[Seen]]
    yardstick: Yardstick
    target: float
    answers: int


@dataclass(frozen=True)
class Judged:
    """A detector at a setting, and what came of it."""

    detector: Detector
    setting: float
    matched: bool
    raises: list[list[Raise]]
    """By trial."""
    score: Score
    seconds: float
    """CPU."""


@dataclass(frozen=True)
class Evaluation:
    asked: Asked
    units: int
    answers: int
    judged: list[Judged]
    left_out: list[str] = field(default_factory=list)
    """Detectors whose library is not there."""


def trial(answers: Sequence[Answer], truth: Truth, target: float, reference: Reference = "flat") -> Trial:
    """Made ready once for every detector."""
    return Trial(seen_by_unit(answers, target, reference), Yardstick(answers, truth, target), target, len(answers))


def invented(plan: Plan, reference: Reference = "flat") -> Trial:
    """The trial of an invented province."""
    province = Province(plan)
    return trial(list(answers_of(province)), truth_of(province), plan.target, reference)


def evaluate_files(answers: Path, truth: Path, asked: Asked) -> Evaluation:
    """Raises Refusal: a line that cannot be taken, a detector or a reference nobody knows."""
    reference = next((r for r in get_args(Reference) if r == asked.reference), None)
    if reference is None:
        raise Refusal(f"--reference {asked.reference}: there are {' and '.join(get_args(Reference))}.", wrong_use=True)
    detectors, left_out = _asked(asked.detector)
    levels = read_truth(truth)
    one = trial(read_answers(answers, levels), levels, asked.target, reference)
    return replace(evaluate([one], detectors, asked), left_out=left_out)


def evaluate(trials: Sequence[Trial], detectors: Iterable[Detector], asked: Asked) -> Evaluation:
    """All of ``detectors`` over all of ``trials``, in their order; with ``asked.matched`` the rivals also matched."""
    judged = []
    for detector in detectors:
        judged.append(judge(detector, trials))
        if asked.matched and detector not in OURS:
            judged.append(match(detector, trials, judge(_OUR_OWN[detector.question], trials).score.false))
    return Evaluation(asked, sum(len(t.units) for t in trials), sum(t.answers for t in trials), judged)


def judge(detector: Detector, trials: Sequence[Trial], setting: float | None = None) -> Judged:
    """A detector at a setting; None: its own."""
    begun = time.process_time()
    at = detector.setting if setting is None else setting
    raises = [run(detector, one.units, one.target, at) for one in trials]
    seconds = time.process_time() - begun
    score = Score()
    for one, of_trial in zip(trials, raises, strict=True):
        score += one.yardstick.score(of_trial, detector.question)
    return Judged(detector, at, False, raises, score, seconds)


def match(detector: Detector, trials: Sequence[Trial], false: int) -> Judged:
    """The setting that comes nearest to ``false`` false raises, by halving; the louder of two that are as near."""
    quiet, loud = detector.quietest, detector.loudest
    best: Judged | None = None
    for _ in range(_TRIES):
        found = judge(detector, trials, (quiet + loud) / 2)
        if best is None or _far(found, false) <= _far(best, false):
            best = found
        if found.score.false > false:
            loud = found.setting
        else:
            quiet = found.setting
    assert best is not None  # noqa: S101  # tries are more than none
    return replace(best, matched=True)


def _far(judged: Judged, false: int) -> tuple[int, int]:
    return abs(judged.score.false - false), judged.score.false > false


def write(found: Evaluation, path: Path) -> None:
    """Every raise, ``below`` first."""
    ours_first = sorted(found.judged, key=lambda j: j.detector.name != BELOW.name)
    write_raises(
        path, ((name(one), *raised) for one in ours_first for of_trial in one.raises for raised in sorted(of_trial, key=lambda r: r.raised))
    )


def name(judged: Judged) -> str:
    """As files and tables call it: ``NAME``, or ``NAME-matched``."""
    return f"{judged.detector.name}-matched" if judged.matched else judged.detector.name


def _asked(wanted: str) -> tuple[list[Detector], list[str]]:
    """The detectors asked for, and the names of those whose library is not there. Rivals, which need libraries of the development
    environment, are imported only where they are asked for."""
    known = {d.name: d for d in OURS}
    if wanted in known:
        return [known[wanted]], []
    try:
        rivals = import_module("bench.rivals")
    except ModuleNotFoundError as e:
        raise Refusal(f"--detector {wanted}: rivals are not installed here ({e.name}). Run it from the repository.", wrong_use=True) from e
    theirs: tuple[Detector, ...] = rivals.RIVALS
    missing: tuple[str, ...] = rivals.MISSING
    if wanted == ALL:
        return [*OURS, *theirs], list(missing)
    if wanted in missing:
        raise Refusal(f"--detector {wanted}: its library `river` is not installed. `bin/test` makes an environment that has it.")
    found = [d for d in theirs if d.name == wanted]
    if not found:
        names = ", ".join([*known, *(d.name for d in theirs), *missing, ALL])
        raise Refusal(f"--detector {wanted}: no such detector. There are: {names}.", wrong_use=True)
    return found, []
