"""One fact of each topic, every field said: what the golden files were made from. Frozen like they are."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from hailong.events import (
    About,
    AlertChanged,
    CaseChanged,
    ContactPreference,
    DossierClosed,
    DossierReopened,
    Doubt,
    DrawSeed,
    EarlierStated,
    Fact,
    Predecessor,
    ProcedureChanged,
    ProviderChanged,
    QualityLooked,
    ReferenceStated,
    SurveyAnswered,
    SurveyCounted,
    SurveyDecided,
    SurveyDelivery,
    TargetChanged,
    TotalsStated,
    UnitChanged,
)

AT: Final = datetime(2026, 3, 2, 9, 30, 15, 250000, tzinfo=timezone(timedelta(hours=7)))
DAY: Final = date(2026, 3, 2)
ABOUT: Final = About(
    receiving_unit="xa-01", handling_unit="lac-son/đất đai", field="land", submission_channel="online", ending="result_returned",
    timeliness="early", month="2026-02",
)  # fmt: skip
FACTS: Final[tuple[Fact, ...]] = (
    DossierClosed(
        event_id="closed-1", registry_id="hoa-binh", dossier_ref="ref-1", source="one-stop", outcome="done_electronic", status_code=9,
        procedure_code="1.000105.000.00.00.H28", procedure_code_national="1.000105", field="land", service_level="full",
        receiving_unit="xa-01", handling_unit="lac-son/đất đai", unit_level="commune", submission_channel="online",
        result_channel="electronic", received_on=date(2026, 2, 20), due_on=date(2026, 3, 3), ended_on=DAY, heard_on=DAY,
        supplement_count=1, supplement_days=2.5, timeliness="early", fee_required=True, paid_online=False, applicant_type="business",
        submitted_by="proxy",
    ),
    DossierReopened(
        event_id="reopened-1", registry_id="hoa-binh", dossier_ref="ref-1", source="one-stop", status_code=4, reopened_on=DAY
    ),
    SurveyDecided(
        event_id="decided-1", registry_id="hoa-binh", dossier_ref="ref-1", asked=False, reason="recently_asked", rules_version="2026-11.1",
        draw=0.1234567890123, decided_on=DAY, inputs={"reach": ["sms"], "opted_out": False, "asked_before_on": "2026-02-10"},
        seed_day=DAY, arms={"wording": "b"}, weight=2,
    ),
    SurveyDelivery(
        event_id="delivery-1", registry_id="hoa-binh", survey_id="survey-1", purpose="invitation", seq=2, state="failed", at=AT,
        channel="sms", provider="twilio", code="30005", reason="unknown destination", segments=1, cost=350, about=ABOUT,
    ),
    SurveyAnswered(
        event_id="answered-1", registry_id="hoa-binh", survey_id="survey-1", questionnaire="ttp-core", questionnaire_version=1,
        mode="link", language="en", page=2, answers={"Q0": None, "Q7": ["slow", "charges"]}, nonce="nonce-1", answered_at=AT, about=ABOUT,
        act="not_me", form="short", place="desk", finished=True, signs=["burst"],
    ),
    SurveyCounted(
        event_id="hoa-binh:7", registry_id="hoa-binh", seq=7, kind="retraction", counted_at=AT.astimezone(UTC), survey_id="survey-1",
        revision=1, questionnaire="ttp-core", questionnaire_version=1, mode="link", language="vi", score=2, answers={"Q0": 2},
        reason="erased", about=ABOUT, control={"counted_on": "2026-03-01"}, place="away",
    ),
    ContactPreference(
        event_id="preference-1", registry_id="hoa-binh", contact_hash="hash-1", pepper_version=1, choice="opt_out", at=AT, door="link"
    ),
    AlertChanged(
        event_id="alert-1", registry_id="hoa-binh", alert_id="a-1", version=2, state="cleared", kind="below", unit="xa-01", at=AT,
        by="judge", note="not enough answers", evidence_seq=7, n=41, satisfied=37, target=0.87, low=0.774, high=0.961,
        since=date(2025, 12, 3), until=DAY, sentence_vi="Xã 01: đã đạt mục tiêu.", sentence_en="Xã 01: at its target.",
        field="land", expected=37.5, estimate=0.881, years=31.0, table_month="2026-03",
        doubt=Doubt(
            what="missing", where="outcomes", against="others", period="2026-02", observed=31, of=90, expected=7.5, p=1e-9, level=2.7e-5,
            numbers={"rho": 0.01},
        ),
    ),
    CaseChanged(
        event_id="case-1", registry_id="hoa-binh", case_id="c-1", version=1, state="opened", kind="charges", confidential=True,
        unit="xa-01", on=DAY, at=AT,
    ),
    UnitChanged(
        event_id="unit-1", registry_id="hoa-binh", code="xa-01", name="Xã 01", level="commune", parent="lac-son",
        valid_from=date(2020, 1, 1), valid_to=date(2025, 7, 1), seq=3, kind="xã", gso="05266", aliases=["Xa 01"],
        predecessors=[Predecessor("xa-00", "split", 0.4)], source="Nghị quyết 1676/NQ-UBTVQH15",
    ),
    TargetChanged(
        event_id="target-1", registry_id="hoa-binh", value=0.87, unit="lac-son", valid_from=date(2026, 1, 1), valid_to=date(2027, 1, 1),
        source="Kế hoạch 2026", seq=4, field="land", channel="online", question="q0",
    ),
    DrawSeed(event_id="seed-1", registry_id="hoa-binh", day=DAY, commitment="c0ffee", seed="5eed"),
    ProviderChanged(
        event_id="sms:2", registry_id="hoa-binh", channel="sms", provider="gateway", before="twilio", version=2, reason="errors", by="send",
        at=AT,
    ),
    TotalsStated(
        event_id="totals-1", registry_id="hoa-binh", unit="xa-01", month="2026-02", received=120, ended=110, overdue=4, petitions=2,
        dislikes=1, source="Cổng dịch vụ công", seq=5,
    ),
    ReferenceStated(
        event_id="reference-1", registry_id="hoa-binh", series="sipas-2022", unit="national", period="2024", value=83.94,
        scale="percent", n=36525, source="Bộ Nội vụ", seq=6,
    ),
    ProcedureChanged(
        event_id="procedure-1", registry_id="hoa-binh", code="1.001612", name="Đăng ký hộ kinh doanh", field="business", level="full",
        sensitive=True, valid_from=date(2020, 1, 1), valid_to=date(2027, 1, 1), source="Danh mục của tỉnh", seq=7,
    ),
    EarlierStated(
        event_id="earlier-1", registry_id="hoa-binh", series="slips", unit="xa-01", month="2024-05", question="overall",
        value="Rất hài lòng", place=3, places=3, satisfied_from=2, n=41, source="Phiếu giấy tại quầy", seq=8,
    ),
    QualityLooked(
        event_id="quality:2026-03-02", registry_id="hoa-binh", day=DAY, at=AT, version={"survey.counted.v1": {"0": 41}},
        judged=["endings", "counted"], standing={"xa-01|silence|endings": DAY}, quiet=["xa-02"], quiet_from=date(2026, 3, 3),
        quiet_part=0.125,
    ),
)  # fmt: skip
