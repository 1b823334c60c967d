"""Builders of facts with only the fields that matter, and a small invented district whose every fact comes from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from hailong.domain.units import LOCAL
from hailong.events import (
    About,
    CountedKind,
    DeliveryState,
    DossierClosed,
    DossierReopened,
    Fact,
    MessageChannel,
    SurveyCounted,
    SurveyDelivery,
    TargetChanged,
    UnitChanged,
)

REGISTRY = "test"
NOON = time(12, tzinfo=LOCAL)


def about(unit: str = "C01", month: str = "2026-01") -> About:
    return About(
        receiving_unit=unit, handling_unit=unit, field="land", submission_channel="counter", ending="result_returned", timeliness="on_time",
        month=month,
    )  # fmt: skip


def counted(seq: int, day: date = date(2026, 1, 5), *, kind: CountedKind = "answer", unit: str = "C01", **fields: Any) -> SurveyCounted:
    """A counted record; answers are about ``unit`` and of a survey of their own."""
    if kind in ("answer", "detail", "retraction", "held", "disposition"):
        fields.setdefault("survey_id", f"s{seq}")
        fields.setdefault("about", about(unit, f"{day:%Y-%m}"))
    return SurveyCounted(
        event_id=f"{REGISTRY}:{seq}",
        registry_id=REGISTRY,
        seq=seq,
        kind=kind,
        counted_at=datetime.combine(day, NOON) + timedelta(seconds=seq % 3600),
        **fields,
    )


def control(fact: UnitChanged | TargetChanged) -> dict[str, Any]:
    """A registry's fact as the content of a control record."""
    return {name: getattr(fact, name) for name in fact.__struct_fields__ if name not in ("event_id", "registry_id")}


def unit(
    code: str, name: str, parent: str | None = None, level: Any = "commune", seq: int = 1, start: date = date(2020, 1, 1),
    end: date | None = None,
) -> UnitChanged:  # fmt: skip
    return UnitChanged(
        event_id=f"unit:{code}:{seq}", registry_id=REGISTRY, code=code, name=name, level=level, parent=parent, valid_from=start,
        valid_to=end, seq=seq,
    )  # fmt: skip


def target(value: float, unit: str | None = None, seq: int = 1, start: date = date(2020, 1, 1)) -> TargetChanged:
    return TargetChanged(
        event_id=f"target:{unit}:{seq}", registry_id=REGISTRY, value=value, unit=unit, valid_from=start, source="plan", seq=seq
    )


def closed(ref: str, day: date, unit: str = "C01", act: int = 1, outcome: Any = "result_returned") -> DossierClosed:
    return DossierClosed(
        event_id=f"closed:{ref}:{act}", registry_id=REGISTRY, dossier_ref=ref, source="one-stop", outcome=outcome, status_code=10,
        receiving_unit=unit, handling_unit=unit, received_on=day, ended_on=day, heard_on=day, supplement_days=0.5, paid_online=None,
    )  # fmt: skip


def reopened(ref: str, day: date, act: int = 1) -> DossierReopened:
    return DossierReopened(
        event_id=f"reopened:{ref}:{act}", registry_id=REGISTRY, dossier_ref=ref, source="one-stop", status_code=4, reopened_on=day
    )


def delivery(
    survey: str, seq: int, state: DeliveryState, day: date, unit: str = "C01", channel: MessageChannel = "sms", purpose: Any = "invitation"
) -> SurveyDelivery:
    return SurveyDelivery(
        event_id=f"delivery:{survey}:{purpose}:{seq}", registry_id=REGISTRY, survey_id=survey, purpose=purpose, seq=seq, state=state,
        at=datetime.combine(day, NOON), channel=channel, segments=1, cost=350, about=about(unit, f"{day:%Y-%m}"),
    )  # fmt: skip


@dataclass
class District:
    """An invented district for some months: every topic's facts, in the order they would be written."""

    seed: int
    communes: int = 24
    start: date = date(2025, 4, 1)
    days: int = 365
    per_day: int = 29
    fall: tuple[str, date, float] | None = ("C07", date(2025, 7, 1), 0.60)
    topics: dict[str, list[Fact]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.topics = {name: [] for name in _TOPICS}
        codes = [f"C{i:02d}" for i in range(1, self.communes + 1)]
        units = [unit("D", "Huyện (ví dụ)", level="district"), *(unit(c, f"Xã {c[1:]}", "D") for c in codes)]
        self.topics["unit.changed.v1"] += units
        self.topics["target.changed.v1"].append(target(0.87))
        for fact in units:
            self._count("unit", self.start, control=control(fact))
        self._count("target", self.start, control=control(target(0.87)))
        weights = [self.random.uniform(0.3, 2) for _ in codes]
        for day in (self.start + timedelta(days=i) for i in range(self.days)):
            for n in range(self.per_day):
                self._dossier(f"{day:%y%m%d}{n:03d}", day, self.random.choices(codes, weights)[0])
            self._count("day", day)

    def _count(self, kind: CountedKind, day: date, **fields: Any) -> None:
        log = self.topics["survey.counted.v1"]
        log.append(counted(len(log) + 1, day, kind=kind, **fields))

    def _dossier(self, ref: str, day: date, commune: str) -> None:
        draw = self.random.random
        self.topics["dossier.closed.v1"].append(closed(f"d{ref}", day, commune))
        if draw() < 0.02:
            self.topics["dossier.closed.v1"].append(closed(f"d{ref}", day + timedelta(days=1), commune, act=2))
        if draw() < 0.01:
            self.topics["dossier.reopened.v1"].append(reopened(f"d{ref}", day + timedelta(days=draw() < 0.5)))
        if draw() < 0.65:
            self._ask(f"s{ref}", day, commune)

    def _ask(self, survey: str, day: date, commune: str) -> None:
        draw, log = self.random.random, self.topics["survey.delivery.v1"]
        channel: MessageChannel = "email" if draw() < 0.12 else "sms"
        log += [delivery(survey, 1, "due", day, commune, channel), delivery(survey, 2, "claimed", day, commune, channel)]
        if draw() < 0.03:
            log.append(delivery(survey, 3, "failed", day, commune, channel))
            return
        log.append(delivery(survey, 3, "unknown" if draw() < 0.01 else "handed_over", day, commune, channel))
        if draw() < 0.9:
            log.append(delivery(survey, 4, "delivered" if draw() < 0.95 else "failed", day, commune, channel))
        if draw() < 0.25:
            self._answer(survey, day, commune)

    def _answer(self, survey: str, day: date, commune: str) -> None:
        draw = self.random.random
        share = self.fall[2] if self.fall and commune == self.fall[0] and day >= self.fall[1] else 0.91
        good = draw() < share
        score = None if draw() < 0.03 else self.random.choice((4, 5)) if good else self.random.choice((1, 2, 3))
        told: dict[str, Any] = {"survey_id": survey, "about": about(commune, f"{day:%Y-%m}"), "mode": "link", "language": "vi"}
        self._count("answer", day, score=score, answers={"Q0": score}, **told)
        if not good and score is not None:
            self._count("detail", day, answers={"Q7": ["charges"] if draw() < 0.05 else ["slow"]}, **told)
        changed = draw() < 0.02 and score is not None
        if changed and score is not None:
            self._count("retraction", day, score=score, reason="changed", **told)
            self._count("answer", day, score=6 - score, revision=1, **told)
        if draw() < 0.01 and score is not None:
            day_said = {"counted_on": day.isoformat()}
            self._count("retraction", day, score=score, revision=int(changed), reason="erased", control=day_said, **told)

    def batches(self, size: int = 500) -> Iterator[tuple[str, int, list[tuple[int, Fact]]]]:
        """(topic, partition, (offset, fact) pairs)."""
        for topic, facts in self.topics.items():
            rows = list(enumerate(facts))
            yield from ((topic, 0, rows[i : i + size]) for i in range(0, len(rows), size))


_TOPICS = (
    "unit.changed.v1",
    "target.changed.v1",
    "dossier.closed.v1",
    "dossier.reopened.v1",
    "survey.delivery.v1",
    "survey.counted.v1",
)
