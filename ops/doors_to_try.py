"""What somebody who looks at a demonstration needs to answer by every door: people of its year who were asked and are still silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ops.wiring import Wiring
from producers.simulator import Plan, PlannedDossier

WANTED: Final = 4


@dataclass(frozen=True)
class ToTry:
    """A simulated person's dossier that waits for its answer."""

    dossier_code: str
    digits: str
    """The last three of the number given."""
    link: str
    unit: str


def to_try(wiring: Wiring, plan: Plan, wanted: int = WANTED) -> list[ToTry]:
    """The newest dossiers asked about by SMS and not answered, at most so many. Raises Retryable."""
    now = wiring.clock.now()
    found: list[ToTry] = []
    with wiring.ledger("demo").read() as reader:
        open_ = (row for row in reader.slots() if row.outcome == "asked" and row.phone_hash and row.expires_at and row.expires_at > now)
        slots = {row.dossier_ref: row for row in open_}
        for dossier in sorted((d for d in plan.endings() if d.person.phone), key=lambda d: d.ended_at or d.received_at, reverse=True):
            row = slots.get(wiring.keyed.dossier_ref("local", dossier.code))
            slot = reader.slot_by_survey(row.survey_id) if row is not None else None
            if slot is not None and not slot.answered:
                found.append(_told(wiring, dossier, slot.survey_id))
            if len(found) == wanted:
                break
    return found


def _told(wiring: Wiring, dossier: PlannedDossier, survey_id: str) -> ToTry:
    digits = "".join(c for c in dossier.person.phone or "" if c.isdigit())[-3:]
    code = wiring.code_for(survey_id, "invitation", "sms")
    return ToTry(dossier.code, digits, f"{wiring.settings.survey_url.rstrip('/')}/{code}", dossier.unit)
