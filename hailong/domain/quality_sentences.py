"""What a finding on the quality of data says, in words that can be checked against the counts. The words stand in quality.toml. Pure."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

from hailong.domain.alert_sentences import day_text, number
from hailong.domain.quality import WHOLE, Finding, week_of

Language = Literal["vi", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("vi", "en")
WORDS: Final[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("quality.toml").read_text("utf-8"))
_NO_BREAK: Final = "\u00a0"
_RAREST: Final = 1_000_000
"""Rarer chances are said as less than one in that: a model of counts knows nothing finer."""


def sentence(finding: Finding, name: str, language: Language) -> str:
    """What was found in the unit called ``name``, how rare that is by chance, and where to look."""
    words, of, numbers = WORDS[language], max(1, finding.of or 0), finding.numbers
    away_k, away_n = int(numbers.get("away_k", 0)), int(numbers.get("away_n", 0))
    said = words["said"]["silence" if finding.kind == "silence" else finding.what].format(
        unit=words["whole"] if finding.unit == WHOLE else name,
        period=period_text(finding.period, language),
        weeks=int(numbers.get("weeks", 0)),
        seen=finding.observed,
        of=of,
        share=_percent(finding.observed / of, language),
        expected=_count(finding.expected, language),
        usual=_percent(finding.expected / of, language),
        away_k=away_k,
        away_n=away_n,
        away=_percent(away_k / max(1, away_n), language),
        basis=words[finding.against],
    )
    return f"{said} {words['chance'].format(chance=_chance(finding.p, language), where=words['where'][finding.where])}"


def over(state: Literal["cleared", "settled"], kind: str, unit: str, name: str, since: date, language: Language) -> str:
    """What is said when an alert of a ``kind``, raised on ``since``, is over: not found any more, or the unit is not there any more."""
    words = WORDS[language]
    said = words["over"][state].format(
        unit=words["whole"] if unit == WHOLE else name, about=words["about"][kind], day=day_text(since, language)
    )  # fmt: skip
    return str(said)


def period_text(period: str, language: Language) -> str:
    """``2026-W09`` → ``tuần 9/2026 (từ 23/2/2026)``; ``2026-03`` → ``tháng 3/2026``, ``March 2026``."""
    words = WORDS[language]
    if "W" in period:
        first = week_of(period)
        year, week, _ = first.isocalendar()
        return str(words["week"].format(week=week, year=year, day=day_text(first, language)))
    first = date.fromisoformat(f"{period}-01")
    return str(words["month"].format(month=first.month, year=first.year, name=f"{first:%B}"))


def _percent(share: float, language: Language) -> str:
    return f"{number(share, 1, language)}{_NO_BREAK if language == 'vi' else ''}%"


def _count(expected: float, language: Language) -> str:
    said = f"{expected:.0f}" if expected >= 10 else f"{expected:.1f}".removesuffix(".0")
    return said.replace(".", ",") if language == "vi" else said


def _chance(p: float, language: Language) -> str:
    """One in how many, two digits of it."""
    rare = p * _RAREST > 1
    times = f"{int(float(f'{1 / p:.2g}')) if rare else _RAREST:,}"
    return str(WORDS[language]["rare" if rare else "rarer"].format(times=times.replace(",", ".") if language == "vi" else times))
