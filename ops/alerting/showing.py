"""What an evaluation says: as one document, and as tables."""

from __future__ import annotations

import sys
from typing import Any, Final

from ops.alerting.evaluating import Evaluation, Judged, name
from ops.alerting.measures import DELAYS
from ops.alerting.running import Question
from ops.cli.tables import print_table

_TITLES: Final[dict[Question, str]] = {"target": "Below the target", "past": "Worse than its own past"}
_COLUMNS: Final = (
    "detector", "setting", "false/yr", "true", "false days", "30 d", "60 d", "90 d", "S/M/L 90 d", "ever", "delay d", "answers", "toggles",
    "cover", "clear d", "CPU µs",
)  # fmt: skip
_LEGEND: Final = """\
false/yr: raises of units that were fine, for 170 of them and a year. true: share of the raises. false days: share of fine units' days
under an alert. 30/60/90 d, ever: share of the bad spells with the alert on so soon (S: under 6 answers a month, M: up to 25, L: more).
delay: median, in days and answers. toggles: raises and clears for 170 units and a year. cover: share of the days more than 2.5 points
below that were under an alert. clear d: median days from recovery to the clear. Spells just below the target (grey) have no delay.
"""


def shown(found: Evaluation) -> dict[str, Any]:
    """The document of ``--json``: shares are fractions; None where there is nothing to measure."""
    return {
        "target": found.asked.target,
        "reference": found.asked.reference,
        "units": found.units,
        "answers": found.answers,
        "detectors": [_one(judged, found.answers) for judged in found.judged],
        "left_out": found.left_out,
    }


def _one(judged: Judged, answers: int) -> dict[str, Any]:
    measures = judged.score.as_json()
    return {
        "detector": judged.detector.name,
        "question": judged.detector.question,
        "setting": judged.setting,
        "matched": judged.matched,
        **measures,
        "seconds": round(judged.seconds, 3),
        "us_per_answer": round(judged.seconds / answers * 1e6, 2),
    }


def show(found: Evaluation) -> None:
    """Tables on stdout, one for each question."""
    for question, title in _TITLES.items():
        rows = [_row(one, found.answers) for one in found.judged if one.detector.question == question]
        if rows:
            print_table(_COLUMNS, rows, title=f"{title}: {found.units} units, {found.answers:,} answers, target {found.asked.target:.0%}")
    sys.stdout.write(_LEGEND)


def _row(judged: Judged, answers: int) -> list[str]:
    m = judged.score.as_json()
    at = m["flagged"]
    return [
        name(judged),
        f"{judged.setting:.4g}",
        _number(m["false_alarms"], 1),
        _share(m["precision"]),
        _share(m["false_days"], 1),
        *(_share(at[str(days)]["all"]) for days in DELAYS),
        "/".join(_share(at[str(DELAYS[-1])][tier]) for tier in "SML"),
        _share(m["flagged_ever"]),
        _number(m["delay_days"]),
        _number(m["delay_answers"]),
        _number(m["toggles"]),
        _share(m["coverage"]),
        _number(m["clear_days"]),
        f"{judged.seconds / answers * 1e6:.1f}",
    ]


def _share(share: float | None, digits: int = 0) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f}"


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
