"""``prove numbers``: what is promised of alerts, of data quality and of intervals, on provinces whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from hailong.domain.backtest import COURSES, calibration, province
from hailong.domain.path import Goal
from hailong.domain.scoring import wilson
from ops.alerting import goals
from ops.proof import quality

COVERED: Final = 0.95
_TRUTHS: Final = ((10, 0.9), (20, 0.84), (30, 0.87), (60, 0.9), (200, 0.84), (600, 0.95))
"""(answers, share of satisfied)"""
_LEAST_COVER: Final = 0.93
"""Wilson's interval covers 95 % on average and never much less (Brown, Cai & DasGupta 2001)."""


@dataclass(frozen=True)
class Plan:
    """``seeds``: so many provinces; ``first``: the first seed; ``held_out``: other seeds than those the thresholds were set on."""

    seeds: int = 20
    first: int = goals.SEEDS[0]

    @property
    def range(self) -> range:
        return range(self.first, self.first + self.seeds)


def prove(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """The report, as of every proof."""
    say(f"alerts over {plan.seeds} provinces of two years from seed {plan.first} …")
    lines = goals.lines(list(plan.range))
    checks = [_check(f"alerts: {line.what}", line.met, _told(line), []) for line in lines]
    say("intervals …")
    checks.append(_intervals(Random(plan.first)))  # noqa: S311 (a seed is the point)
    say("the odds of the goal …")
    checks.append(_odds(plan.first))
    say("data quality …")
    checks += quality.prove(range(plan.first % 1000 + 1, plan.first % 1000 + 1 + max(2, plan.seeds // 3)))["checks"]
    return {
        "seed": plan.first,
        "kills": 0,
        "passed": all(check["ok"] for check in checks),
        "checks": checks,
        "counts": {"provinces": plan.seeds, "stretch_goals_held": [line.what for line in lines if line.stretched]},
    }


def _check(name: str, ok: bool, found: Any, examples: list[str]) -> dict[str, Any]:
    return {"id": name, "ok": ok, "found": found, "examples": examples}


def _told(line: goals.Line) -> str:
    found = "nothing" if line.found is None else f"{line.found:.4g}"
    return f"{found}, wanted {_span(line.goal)}, further {_span(line.stretch)}{' (held)' if line.stretched else ''}"


def _span(span: goals.Span) -> str:
    low, high = span
    return f"at most {high:.4g}" if low <= 0 else f"at least {low:.4g}" if high == float("inf") else f"{low:.4g} to {high:.4g}"


def _intervals(draw: Random, times: int = 4000) -> dict[str, Any]:
    """How often the 95 % interval holds the truth."""
    covers = {}
    for n, truth in _TRUTHS:
        held = 0
        for _ in range(times):
            low, high = wilson(sum(draw.random() < truth for _ in range(n)), n)
            held += low <= truth <= high
        covers[f"n = {n}, {truth:.0%}"] = held / times
    mean = sum(covers.values()) / len(covers)
    ok = min(covers.values()) >= _LEAST_COVER - 0.02 and mean >= COVERED - 0.015
    return _check("intervals: Wilson's holds the truth", ok, f"{mean:.1%} on average", [f"{k}: {v:.1%}" for k, v in covers.items()])


def _odds(seed: int, provinces: int = 400) -> dict[str, Any]:
    """The odds of reaching 90 % in the sixth year, asked after 8 to 16 quarters."""
    random = Random(seed)  # noqa: S311 (a seed is the point)
    made = []
    for i in range(provinces):
        closed = 8 + 4 * (i // 4 % 3)
        made.append(province(random, COURSES[i % 4], closed, 24 - closed))
    found = calibration(made, Goal(0.90, 2031))
    held = found.held.k / found.held.n
    said = f"Brier {found.brier:.3f}, always saying the base rate {found.base:.3f}; intervals of 80 % held {held:.0%}"
    came = [f"said {b.odds:.0%}, came true {b.reached.k} of {b.reached.n}" for b in found.bins]
    return _check("outlook: better than the base rate, intervals hold", found.brier < found.base and held >= 0.75, said, came)
