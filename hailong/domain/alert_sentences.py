"""What an alert says, in words an officer can check against the figures. Evidence, never violation; nothing that was not computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

import msgspec

from hailong.domain.closing import OPEN, by_alert, standing, verdict, verdict_step
from hailong.domain.fields import field_name
from hailong.domain.quality import about_data
from hailong.domain.scoring import PRIVACY_LIMIT, percent, rate
from hailong.domain.units import LOCAL
from hailong.events import AlertChanged

NO_BREAK: Final = "\u00a0"
_MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")


@dataclass(frozen=True)
class Evidence:
    """What a step of an alert stands on: the run of answers of the local days ``since`` ≤ d ≤ ``until``, what was to be expected of them,
    and where the unit is likely to stand now. A run is chosen because it looks bad, so it is never told without the estimate."""

    n: int
    satisfied: int
    expected: float
    """How many of the ``n`` would have been satisfied on target, or as before."""
    target: float
    estimate: float
    low: float
    high: float
    years: float | None
    since: date
    until: date
    opened: date


_TOLD: Final = (
    "unit", "field", "kind", "state", "n", "satisfied", "expected", "target", "estimate", "low", "high", "years", "evidence_seq",
    "table_month", "sentence_vi", "sentence_en",
)  # fmt: skip


def listed(steps: Iterable[AlertChanged]) -> list[dict[str, Any]]:
    """Alerts as page, API and command line list them, from all their steps: how each stands, when it was raised, its sentences.

    Each: ``id, unit, field, kind, about, state, open, version, raised_at, at, n, satisfied, expected, target, estimate, low, high, years,
    evidence_seq, table_month, since, until, sentence_vi, sentence_en, doubt, verdict, verdict_by, verdict_at``; ``about``: ``answers`` or
    ``data``, then ``doubt`` is its evidence; ``version``: the newest; ``verdict``: what people found, null while nobody said.
    Open ones first, then the latest first. Times are local, ISO 8601 with offset; days ISO.
    """
    lines = [_line(history) for history in by_alert(steps).values()]
    return sorted(lines, key=lambda a: (a["open"], a["at"], a["id"]), reverse=True)


def _line(history: Sequence[AlertChanged]) -> dict[str, Any]:
    raised, now, said = history[0], standing(history), verdict_step(history)
    times = {"raised_at": _local(raised.at), "at": _local(now.at)}
    days = {"since": now.since.isoformat(), "until": now.until.isoformat()}
    people = {"verdict": verdict(history), "verdict_by": said.by if said else None, "verdict_at": _local(said.at) if said else None}
    return {
        "id": now.alert_id, "open": now.state in OPEN, "version": max(step.version for step in history),
        "about": "data" if about_data(raised) else "answers", **times, **days, **{name: getattr(now, name) for name in _TOLD},
        "doubt": msgspec.to_builtins(raised.doubt), **people,
    }  # fmt: skip


def _local(at: datetime) -> str:
    return at.astimezone(LOCAL).isoformat()


def number(share: float, digits: int, language: Literal["vi", "en"]) -> str:
    """A share as a percentage without its sign: ``84,3`` or ``84.3``; whole numbers without a tail."""
    text = f"{percent(share, digits):.{digits}f}"
    text = text.rstrip("0").rstrip(".") if digits and text.endswith("0") and float(text).is_integer() else text
    return text.replace(".", ",") if language == "vi" else text


def day_text(day: date, language: Literal["vi", "en"]) -> str:
    """``12/3/2026`` or ``12 March 2026``."""
    return f"{day.day}/{day.month}/{day.year}" if language == "vi" else f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


Words = Literal["vi", "en"]
State = Literal["raised", "cleared", "settled"]


def sentences(state: State, kind: Literal["below", "declining"], name: str, field: str | None, e: Evidence) -> tuple[str, str]:
    """(Vietnamese, English) for a step of an alert of the unit called ``name``, about one ``field`` in it or about all."""
    vi, en = name, name
    if field is not None:
        vi, en = f"{name}, lĩnh vực {field_name(field, 'vi')}", f"{name}, field {field_name(field, 'en')}"
    if state == "raised":
        seen = _raised_below(e) if kind == "below" else _raised_declining(e)
    else:
        seen = _cleared(e) if state == "cleared" else _settled(kind)
    return f"{vi}: {seen[0]}", f"{en}: {seen[1]}"


def _share(share: float, language: Words) -> str:
    return f"{number(share, 0, language)}{NO_BREAK}%" if language == "vi" else f"{number(share, 0, language)}%"


def _estimate(e: Evidence) -> tuple[str, str]:
    low, high = int(percent(e.low)), int(percent(e.high))
    vi = f"Ước tính hiện nay: {_share(e.estimate, 'vi')} (khoảng {low}–{high}{NO_BREAK}%)."
    return vi, f"Current estimate {_share(e.estimate, 'en')} ({low}–{high}%)."


def _run(e: Evidence) -> tuple[str, str]:
    if e.n < PRIVACY_LIMIT:
        return (
            f"từ {day_text(e.since, 'vi')} có dưới {PRIVACY_LIMIT} người trả lời trong chuỗi này.",
            f"since {day_text(e.since, 'en')}, fewer than {PRIVACY_LIMIT} answers are in this run.",
        )
    if not e.satisfied:  # what all of them said is not told: each of them would be known
        return (
            f"từ {day_text(e.since, 'vi')} có {e.n} người trả lời, nhiều nhất 1 người hài lòng.",
            f"since {day_text(e.since, 'en')}, at most 1 of {e.n} answers was satisfied.",
        )
    share = rate(e.satisfied, e.n) or 0.0
    return (
        f"từ {day_text(e.since, 'vi')} có {e.n} người trả lời, {e.satisfied} người hài lòng ({_share(share, 'vi')}).",
        f"since {day_text(e.since, 'en')}, {e.satisfied} of {e.n} answers were satisfied ({_share(share, 'en')}).",
    )


def _raised_below(e: Evidence) -> tuple[str, str]:
    (vi, en), (now_vi, now_en) = _run(e), _estimate(e)
    wanted, years = round(e.expected), round(e.years or 0)
    target_vi, target_en = number(e.target, 1, "vi"), number(e.target, 1, "en")
    if e.n >= PRIVACY_LIMIT:
        vi += f" Nếu đơn vị đạt mục tiêu {target_vi}{NO_BREAK}% thì phải có khoảng {wanted} người hài lòng."
        en += f" On its target of {target_en}% it would be about {wanted}."
    return (
        f"{vi} Với số lượng trả lời như của đơn vị, một đơn vị đạt mục tiêu chỉ gặp kết quả như vậy khoảng {years} năm một lần. {now_vi}",
        f"{en} A unit truly on target, with this many answers, sees such a run about once in {years} years. {now_en}",
    )


def _raised_declining(e: Evidence) -> tuple[str, str]:
    (vi, en), (now_vi, now_en) = _run(e), _estimate(e)
    if e.n >= PRIVACY_LIMIT:
        wanted = round(e.expected)
        vi += f" Nếu như trước đây của chính đơn vị thì phải có khoảng {wanted} người hài lòng."
        en += f" As the unit was before, it would be about {wanted}."
    return f"{vi} Đây là dấu hiệu kém đi so với chính đơn vị trước đây. {now_vi}", f"{en} This is worse than the unit's own past. {now_en}"


def _cleared(e: Evidence) -> tuple[str, str]:
    (now_vi, now_en), days = _estimate(e), (e.until - e.opened).days
    return (
        f"các câu trả lời gần đây đã trở lại gần mức mục tiêu {number(e.target, 1, 'vi')}{NO_BREAK}%; cảnh báo được đóng sau {days} ngày. "
        f"{now_vi}",
        f"recent answers are back near the target of {number(e.target, 1, 'en')}%; the alert is closed after {days} days. {now_en}",
    )


def _settled(kind: str) -> tuple[str, str]:
    if kind == "declining":
        return (
            "ba quý liền ở một mức khác trước, nay được lấy làm mức của chính đơn vị; cảnh báo được đóng. "
            "Như vậy chưa có nghĩa là đơn vị đã đạt mục tiêu.",
            "for three quarters it has been at another level than before, which is now taken as its own; the alert is closed. "
            "This does not say that the unit has reached its target.",
        )
    return (
        "đã một năm không có câu trả lời mới, chưa đủ để đánh giá. Cảnh báo được đóng vì chưa đủ câu trả lời; "
        "như vậy chưa có nghĩa là đơn vị đã đạt mục tiêu.",
        "for a year there has been no new answer, not enough to judge. The alert is closed for want of answers; "
        "this does not say that the unit has reached its target.",
    )
