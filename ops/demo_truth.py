"""What the simulation knows of an alert: how many people really were satisfied where it was raised, then and before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from statistics import fmean
from typing import Final

from hailong.domain.units import LOCAL
from hailong.events import AlertChanged
from producers.simulator import QUARTER, Plan

FELL: Final = 0.02
"""By so much lower than before is worse than the own past."""


@dataclass(frozen=True)
class Truth:
    """``during``: mean probability of being satisfied of the ``n`` dossiers that ended from the first day of the evidence to the raise;
    ``before``: of those that ended earlier, None without any; ``true``: whether the alert says what is so."""

    during: float
    before: float | None
    n: int
    true: bool


def truth(plan: Plan, alert: AlertChanged) -> Truth | None:
    """Of a raised alert about answers; None for one about the quality of data, or where nothing ended.

    ``below`` is true where fewer than the target are satisfied, ``declining`` where at least ``FELL`` fewer are than before.
    """
    if alert.doubt is not None:
        return None
    raised = alert.at.astimezone(LOCAL).date()
    within = _below(plan, alert.unit)
    ended = [
        (d.ended_at.date(), d.satisfaction)
        for d in plan.endings()
        if d.ended_at and d.item and d.item["handling_unit_code"] in within and alert.field in (None, d.field)
    ]
    during = _mean(share for on, share in ended if alert.since <= on <= raised)
    before = _mean(share for on, share in ended if on < alert.since)
    if during is None:
        return None
    bad = during < alert.target if alert.kind == "below" else before is not None and during <= before - FELL
    return Truth(during, before, sum(alert.since <= on <= raised for on, _ in ended), bad)


def always_good(plan: Plan, target: float, until: date) -> list[str]:
    """Communes of whose people at least ``target`` were satisfied in every quarter of the simulated time up to ``until``, sorted."""
    quarters: dict[str, dict[int, list[float]]] = {}
    for d in plan.endings():
        if d.ended_at and d.item and d.ended_at.date() <= until:
            quarter = (d.ended_at.date() - plan.start).days // QUARTER
            quarters.setdefault(d.item["handling_unit_code"], {}).setdefault(quarter, []).append(d.satisfaction)
    communes = {u.code for u in plan.units if u.level == "commune"}
    return sorted(unit for unit, of in quarters.items() if unit in communes and all(fmean(shares) >= target for shares in of.values()))


def _below(plan: Plan, unit: str) -> set[str]:
    """The unit and all below it."""
    found = {unit}
    while more := {u.code for u in plan.units if u.parent in found} - found:
        found |= more
    return found


def _mean(shares: Iterable[float]) -> float | None:
    known = list(shares)
    return fmean(known) if known else None
