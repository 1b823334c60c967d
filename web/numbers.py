"""Figures and days as people write them."""

from __future__ import annotations

from datetime import date, datetime


def number(value: int, language: str) -> str:
    """4812 → ``4.812`` (vi), ``4,812`` (en)."""
    said = f"{value:,}"
    return said.replace(",", ".") if language == "vi" else said


def percent(rate: float, language: str, decimals: int = 1) -> str:
    """A fraction → percent: 0.843 → ``84,3 %`` (vi), ``84.3%`` (en). The space does not break."""
    said = f"{100 * rate:.{decimals}f}"
    return f"{said.replace('.', ',')}\u00a0%" if language == "vi" else f"{said}%"


def points(difference: float, language: str, decimals: int = 1) -> str:
    """A difference of fractions in percentage points, with its sign: -0.0123 → ``−1,2`` (vi), ``−1.2`` (en)."""
    said = f"{abs(100 * difference):.{decimals}f}"
    sign = "" if float(said) == 0 else "−" if difference < 0 else "+"
    return sign + (said.replace(".", ",") if language == "vi" else said)


def interval(low: float, high: float, language: str) -> str:
    """Two fractions → ``80–88 %``."""
    return f"{100 * low:.0f}–{percent(high, language, 0)}"


def day(value: date, language: str) -> str:
    """``12/3/2026`` (vi), ``12 March 2026`` (en): English readers disagree about which number is the month."""
    return f"{value.day} {value:%B} {value.year}" if language == "en" else f"{value.day}/{value.month}/{value.year}"


def clock(value: datetime) -> str:
    """``9:05``: of the day in the zone it comes in, in every language."""
    return f"{value.hour}:{value:%M}"


def month(value: str, language: str) -> str:
    """``2026-03`` → ``3/2026`` (vi), ``March 2026`` (en)."""
    first = date.fromisoformat(f"{value}-01")
    return f"{first:%B} {first.year}" if language == "en" else f"{first.month}/{first.year}"
