"""What an alert says, in words an officer can check against the figures. Evidence, never violation; nothing that was not computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from hailong.domain.scoring import PRIVACY_LIMIT, percent, rate
from hailong.domain.units import LOCAL
from hailong.events import AlertChanged

OPEN: Final = frozenset({"raised", "acknowledged", "acting"})
NO_BREAK: Final = "\u00a0"
_MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")


@dataclass(frozen=True)
class Evidence:
    """The answers of the local days ``since`` ≤ d ≤ ``until``, and what they are held against."""

    n: int
    satisfied: int
    target: float
    low: float
    high: float
    since: date
    until: date


def listed(steps: Iterable[AlertChanged]) -> list[dict[str, Any]]:
    """Alerts as page, API and command line list them, from all their steps: the newest state, when it was raised, its sentences.

    Each: ``id, unit, kind, state, open, raised_at, at, n, satisfied, target, low, high, since, until, sentence_vi, sentence_en``;
    open ones first, then the latest first. Times are local, ISO 8601 with offset; days ISO.
    """
    by_alert: dict[str, list[AlertChanged]] = {}
    for step in sorted(steps, key=lambda s: s.version):
        by_alert.setdefault(step.alert_id, []).append(step)
    lines = [_line(history[0], history[-1]) for history in by_alert.values()]
    return sorted(lines, key=lambda a: (a["open"], a["at"], a["id"]), reverse=True)


def _line(raised: AlertChanged, newest: AlertChanged) -> dict[str, Any]:
    same = ("unit", "kind", "state", "n", "satisfied", "target", "low", "high", "sentence_vi", "sentence_en")
    times = {"raised_at": raised.at.astimezone(LOCAL).isoformat(), "at": newest.at.astimezone(LOCAL).isoformat()}
    days = {"since": newest.since.isoformat(), "until": newest.until.isoformat()}
    return {"id": newest.alert_id, "open": newest.state in OPEN, **times, **days, **{name: getattr(newest, name) for name in same}}


def number(share: float, digits: int, language: Literal["vi", "en"]) -> str:
    """A share as a percentage without its sign: ``84,3`` or ``84.3``; whole numbers without a tail."""
    text = f"{percent(share, digits):.{digits}f}"
    text = text.rstrip("0").rstrip(".") if digits and text.endswith("0") and float(text).is_integer() else text
    return text.replace(".", ",") if language == "vi" else text


def day_text(day: date, language: Literal["vi", "en"]) -> str:
    """``12/3/2026`` or ``12 March 2026``."""
    return f"{day.day}/{day.month}/{day.year}" if language == "vi" else f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def sentences(state: Literal["raised", "cleared", "settled"], name: str, evidence: Evidence) -> tuple[str, str]:
    """(Vietnamese, English) for a step of the alert "below the target" of the unit called ``name``."""
    return _vietnamese(state, name, evidence), _english(state, name, evidence)


def _digits(e: Evidence) -> int:
    """Enough digits that the interval's upper end does not look as if it reached the target."""
    return next((d for d in (1, 2, 3) if (percent(e.high, d) < percent(e.target, d)) == (e.high < e.target)), 4)


def _vietnamese(state: str, name: str, e: Evidence) -> str:
    if state == "settled":
        count = f"dưới {PRIVACY_LIMIT}" if e.n < PRIVACY_LIMIT else str(e.n)
        return (
            f"{name}: trong 365 ngày đến {day_text(e.until, 'vi')} còn {count} người trả lời, chưa đủ để đánh giá. "
            "Cảnh báo được đóng vì chưa đủ câu trả lời; như vậy chưa có nghĩa là đơn vị đã đạt mục tiêu."
        )
    d = _digits(e)
    share = number(rate(e.satisfied, e.n) or 0.0, 1, "vi")
    between = f"{number(e.low, d, 'vi')}–{number(e.high, d, 'vi')}{NO_BREAK}%"
    seen = (
        f"{name}: từ {day_text(e.since, 'vi')} đến {day_text(e.until, 'vi')} có {e.n} người trả lời, "
        f"{e.satisfied} người hài lòng ({share}{NO_BREAK}%; khoảng tin cậy 95{NO_BREAK}%: {between})."
    )
    target = f"{number(e.target, 1, 'vi')}{NO_BREAK}%"
    if state == "raised":
        return f"{seen} Cả khoảng này thấp hơn mục tiêu {target}: có bằng chứng đơn vị đang ở dưới mục tiêu."
    return f"{seen} Tỷ lệ đã trở lại mức mục tiêu {target}; cảnh báo được đóng."


def _english(state: str, name: str, e: Evidence) -> str:
    if state == "settled":
        count = f"fewer than {PRIVACY_LIMIT}" if e.n < PRIVACY_LIMIT else str(e.n)
        return (
            f"{name}: {count} answers are left in the 365 days up to {day_text(e.until, 'en')}, not enough to judge. "
            "The alert is closed for want of answers; this does not say that the unit has reached its target."
        )
    d = _digits(e)
    share = number(rate(e.satisfied, e.n) or 0.0, 1, "en")
    seen = (
        f"{name}: from {day_text(e.since, 'en')} to {day_text(e.until, 'en')}, {e.satisfied} of {e.n} answers were satisfied "
        f"({share}%; 95% interval {number(e.low, d, 'en')}–{number(e.high, d, 'en')}%)."
    )
    target = f"{number(e.target, 1, 'en')}%"
    if state == "raised":
        return f"{seen} The whole interval lies below the target of {target}: evidence that the unit is below its target."
    return f"{seen} The rate is back at the target of {target}; the alert is closed."
