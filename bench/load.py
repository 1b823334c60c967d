"""The seeded load of the benchmarks: dossiers and what follows from them, as facts and as items of the intake. No chance but the seed's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from hailong.events import (
    About,
    DeliveryState,
    DossierClosed,
    Fact,
    SurveyCounted,
    SurveyDecided,
    SurveyDelivery,
    UnitChanged,
    UnitLevel,
)

LOCAL: Final = ZoneInfo("Asia/Ho_Chi_Minh")
START: Final = datetime(2026, 3, 2, 9, tzinfo=LOCAL)
"""A Monday."""
REGISTRY: Final = "hoa-binh"
UNITS: Final = 24
FIELDS: Final = ("land", "civil_status", "certification", "business", "construction")
RESPONSE: Final = 0.25
CHARGES: Final = 0.1
_PROVINCE: Final = "P17"
_STEPS: Final[tuple[DeliveryState, ...]] = ("claimed", "handed_over", "delivered")


def _id(rng: random.Random) -> str:
    return f"{rng.getrandbits(128):032x}"


def unit_code(n: int) -> str:
    """The code of the n-th commune."""
    return f"C{n + 1:02d}"


class History:
    """What a log holds after a while: per dossier an ending, a decision, an invitation's steps, and of some an answer."""

    def __init__(self, seed: int, per_second: float = 1.0, units: int = UNITS) -> None:
        self._rng = random.Random(seed)
        self._communes = units
        self._seq = 0
        self._gap = timedelta(seconds=1 / per_second)
        self._now = START

    def facts(self, n: int) -> Iterator[tuple[Fact, datetime]]:
        """``n`` facts and their moments: first the units, then dossier by dossier."""
        return islice(self._all(), n)

    def _all(self) -> Iterator[tuple[Fact, datetime]]:
        for unit in self._units():
            yield unit, self._now
            yield self._counted("unit", control={"code": unit.code, "name": unit.name, "level": unit.level, "parent": unit.parent,
                                                 "valid_from": unit.valid_from.isoformat(), "seq": unit.seq}), self._now  # fmt: skip
        while True:
            self._now += self._gap
            for fact in self._dossier():
                yield fact, self._now

    def _units(self) -> Iterator[UnitChanged]:
        rows: list[tuple[str, str, UnitLevel, str | None]] = [(_PROVINCE, "Tỉnh", "province", None)]
        rows += [(unit_code(n), f"Xã {n + 1:02d}", "commune", _PROVINCE) for n in range(self._communes)]
        for seq, (code, name, level, parent) in enumerate(rows, 1):
            yield UnitChanged(
                event_id=f"unit:{seq}", registry_id=REGISTRY, code=code, name=name, level=level, parent=parent,
                valid_from=date(2024, 1, 1), seq=seq,
            )  # fmt: skip

    def _counted(self, kind: Any, **more: Any) -> SurveyCounted:
        self._seq += 1
        return SurveyCounted(
            event_id=f"{REGISTRY}:{self._seq}", registry_id=REGISTRY, seq=self._seq, kind=kind, counted_at=self._now, **more
        )

    def _dossier(self) -> Iterator[Fact]:
        rng, today = self._rng, self._now.date()
        closed = ending(rng, today, self._communes)
        asked = rng.random() < 0.8
        yield closed
        yield SurveyDecided(
            event_id=f"{closed.dossier_ref}:decided", registry_id=REGISTRY, dossier_ref=closed.dossier_ref, asked=asked,
            reason=None if asked else "no_contact", rules_version="1", draw=rng.random(), decided_on=today,
            inputs={"reach": ["sms"] if asked else [], "opted_out": False, "asked_before_on": None},
        )  # fmt: skip
        if not asked:
            return
        survey, about = _id(rng), about_of(closed)
        for seq, state in enumerate(_STEPS, 1):
            yield SurveyDelivery(
                event_id=f"{survey}:invitation:{seq}:{state}", registry_id=REGISTRY, survey_id=survey, purpose="invitation", seq=seq,
                state=state, at=self._now, channel="sms", provider="twilio" if seq > 1 else None, segments=int(seq == 2), about=about,
            )  # fmt: skip
        if rng.random() < RESPONSE:
            yield from self._answer(survey, about)

    def _answer(self, survey: str, about: About) -> Iterator[Fact]:
        common: dict[str, Any] = {
            "survey_id": survey, "questionnaire": "ttp-core", "questionnaire_version": 1, "mode": "link", "language": "vi", "about": about,
        }  # fmt: skip
        bad = 0.4 if about.handling_unit == unit_code(0) else 0.1
        score = self._rng.choice((1, 2, 3)) if self._rng.random() < bad else self._rng.choice((4, 5))
        yield self._counted("answer", score=score, answers={"Q0": score}, **common)
        if score <= 3:
            reasons = ["waited", *(["charges"] if self._rng.random() < CHARGES else [])]
            yield self._counted("detail", answers={"Q7": reasons}, **common)


def ending(rng: random.Random, today: date, communes: int = UNITS) -> DossierClosed:
    """A dossier that ended today in one of so many communes."""
    ref, unit = _id(rng), unit_code(rng.randrange(communes))
    took = rng.randrange(1, 30)
    received = today - timedelta(days=took)
    return DossierClosed(
        event_id=f"{ref}:closed", registry_id=REGISTRY, dossier_ref=ref, source="one-stop", outcome="result_returned", status_code=10,
        procedure_code=f"1.{rng.randrange(40):06d}.H28", field=rng.choice(FIELDS), service_level="partial", receiving_unit=unit,
        handling_unit=unit, unit_level="commune", received_on=received, due_on=received + timedelta(days=20), ended_on=today,
        heard_on=today, supplement_count=rng.randrange(2), supplement_days=rng.random() * 3,
        timeliness="on_time" if took <= 20 else "overdue", fee_required=rng.random() < 0.5,
        paid_online=rng.choice((None, True, False)), applicant_type="citizen",
    )  # fmt: skip


def about_of(fact: DossierClosed) -> About:
    """What an answer about this dossier says of it."""
    return About(
        receiving_unit=fact.receiving_unit, handling_unit=fact.handling_unit, field=fact.field,
        submission_channel=fact.submission_channel, ending=fact.outcome, timeliness=fact.timeliness, month=fact.ended_on.strftime("%Y-%m"),
    )  # fmt: skip


def item(n: int, now: datetime, run: str, only: str | None = None) -> dict[str, Any]:
    """The n-th dossier of a run as an upstream sends it: ended an hour ago, with a number or an address (``only``) of its own."""
    unit = unit_code(n % UNITS)
    by_phone = n % 2 == 0 if only is None else only == "phone"
    contact = {"phone": phone(n, run)} if by_phone else {"email": f"c{n}.{run}@citizen.example"}
    return {
        "dossier_code": f"H28.{run}-260302-{n:06d}",
        "status_code": 10,
        "received_at": (now - timedelta(days=3)).isoformat(),
        "finished_at": (now - timedelta(hours=1)).isoformat(),
        "receiving_unit_code": unit,
        "handling_unit_code": unit,
        "procedure_code": "1.001612.000.00.00.H28",
        "field_code": FIELDS[n % len(FIELDS)],
        "submission_channel": "counter",
        "contact": contact,
    }


def phone(n: int, run: str) -> str:
    """The n-th person's number; another one in every run (of at most 9, named by a digit)."""
    return f"09{int(run)}{1_000_000 + n}"
