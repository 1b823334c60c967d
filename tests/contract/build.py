"""Builders: only the fields that matter to a test."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from hailong.events import About, DossierClosed, DossierReopened, SurveyAnswered
from hailong.ports import Claimed, Contact, Decision, DossierAct, Handover, Settlement
from sinks.ledger import Ledger, Tools, Vault

NOON = datetime(2026, 3, 2, 12, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))
ABOUT = About(
    receiving_unit="X1", handling_unit="X1", field="land", submission_channel="counter", ending="result_returned",
    timeliness="on_time", month="2026-03",
)  # fmt: skip


def tools(**changes: object) -> Tools:
    """Tools with readable hashes and numbered ids."""
    numbers = count(1)
    keys: dict[str, bytes] = {}
    fields: dict[str, object] = {
        "registry_id": "test",
        "vault": Vault(lambda month: keys.setdefault(month, month.encode().ljust(32, b"."))),
        "contact_hash": lambda kind, value: f"{kind}#{value[-6:]}",
        "code_hash": lambda code: f"hash of {code}",
        "new_id": lambda: f"id{next(numbers):06d}",
        "code_for": lambda survey, purpose, channel: f"{survey}-{purpose}-{channel}",
    }
    return Tools(**(fields | changes))  # type: ignore[arg-type]


def closed(ref: str, **changes: Any) -> DossierClosed:
    fields: dict[str, Any] = {
        "event_id": f"closed:{ref}", "registry_id": "test", "dossier_ref": ref, "source": "s", "outcome": "result_returned",
        "status_code": 10, "receiving_unit": "X1", "handling_unit": "X1", "field": "land", "received_on": date(2026, 2, 20),
        "ended_on": date(2026, 3, 2), "heard_on": date(2026, 3, 2), "timeliness": "on_time",
    }  # fmt: skip
    return DossierClosed(**(fields | changes))


def act(ref: str, phone: str | None = None, email: str | None = None, content: str = "c", **changes: Any) -> DossierAct:
    fact = closed(ref, **changes)
    return DossierAct(fact.event_id, content, fact, f"code of {ref}", NOON, None, Contact(phone, email), None, "vi")


def reopened(ref: str) -> DossierAct:
    fact = DossierReopened(
        event_id=f"reopened:{ref}", registry_id="test", dossier_ref=ref, source="s", status_code=4, reopened_on=date(2026, 3, 3)
    )
    return DossierAct(fact.event_id, "c", fact, f"code of {ref}", NOON + timedelta(hours=1), None, Contact(None, None), None, "vi")


def take(ledger: Ledger, *acts: DossierAct, now: datetime = NOON) -> list[str]:
    with ledger.begin() as tx:
        return [tx.take_act(a, now).status for a in acts]


def decide(ledger: Ledger, *refs: str, ask_at: datetime = NOON, days: int = 30, **more: Any) -> list[str]:
    """Decide to ask these dossiers; their survey ids."""
    with ledger.begin() as tx:
        slots = tx.slots_for_decision(refs)
        tx.decide(
            [
                replace(
                    Decision(s.dossier_ref, s.survey_id, s.contacts, True, None, s.reach[0], ask_at, ask_at + timedelta(days=days)), **more
                )
                for s in (slots[r] for r in refs)
            ]
        )
        return [slots[r].survey_id for r in refs]


def claim(ledger: Ledger, now: datetime = NOON, limit: int = 20, lease_s: float = 30.0, real: datetime | None = None) -> list[Claimed]:
    real = real or now
    with ledger.begin() as tx:
        return tx.claim_due(now, real, real + timedelta(seconds=lease_s), limit, "w")


def settle(ledger: Ledger, state: Any, *claims: Claimed, now: datetime = NOON, **more: Any) -> None:
    with ledger.begin() as tx:
        handed = {"handover": Handover("twilio", "", 1)} if state == "handed_over" else {}
        tx.settle(
            [
                Settlement(c, state, **(more or {k: Handover(h.provider, f"SM{c.claim_id}", h.segments) for k, h in handed.items()}))
                for c in claims
            ],
            now,
        )


def answered(survey_id: str, score: int | None, nonce: str = "n", **changes: Any) -> SurveyAnswered:
    fields: dict[str, Any] = {
        "event_id": f"{survey_id}:{nonce}:{score}", "registry_id": "test", "survey_id": survey_id, "questionnaire": "ttp-core",
        "questionnaire_version": 1, "mode": "link", "language": "vi", "page": 1, "answers": {"Q0": score}, "nonce": nonce,
        "answered_at": NOON, "about": ABOUT,
    }  # fmt: skip
    return SurveyAnswered(**(fields | changes))


def outcomes(ledger: Ledger) -> dict[str, Any]:
    with ledger.read() as reader:
        return reader.outcomes()
