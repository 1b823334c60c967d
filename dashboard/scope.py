"""What an account may see: all units, or one with everything under it. The only place that leaves anything out for that reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from hailong.domain.access import AT_A_DESK, Role
from hailong.domain.scoring import Figures
from hailong.domain.succession import Succession
from hailong.domain.telling import Audience
from hailong.domain.units import LOCAL, Registry


@dataclass(frozen=True)
class Scope:
    """``unit``: the top of what may be seen, None for all. ``morning``: a new alert is seen the day after it was raised."""

    unit: str | None = None
    morning: bool = False
    exact: bool = False
    """Exact figures: for whoever may see single answers anyway."""
    doubts: bool = True
    """Alerts about the quality of data, in which counts can be small."""

    @classmethod
    def of(cls, role: Role, unit: str | None) -> Scope:
        """That of an account. A desk never learns single answers; the quality office, which sees all units, sees at once."""
        exact = role == "quality_officer" and unit is None
        return cls(unit, morning=role in AT_A_DESK, exact=exact, doubts=role in ("quality_officer", "administrator"))

    @property
    def audience(self) -> Audience:
        """To whom figures are told."""
        return "office" if self.exact else "units"

    def holds(self, code: str, registry: Registry, day: date) -> bool:
        """Whether a unit lies within it, as units lie on ``day``; a unit the registry does not know then is nobody's but its own."""
        return self.unit is None or self.unit in registry.chain(code, day)

    def figures(self, figures: Figures, maps: Succession, day: date) -> Figures:
        """Only the counts of its units; number and version of the whole stay. Counts of a unit of another day are within it when all that
        carries them on is: what was divided in unknown shares belongs to whatever stands above all its parts."""
        if self.unit is None:
            return figures
        cells = {key: cell for key, cell in figures.cells.items() if self._carried(*key, maps, day)}
        return replace(figures, cells=cells)

    def _carried(self, unit: str, month: str, maps: Succession, day: date) -> bool:
        return all(self.unit in maps.chain(part.unit, day) for part in maps.parts(unit, month, day))

    def alerts(self, alerts: list[dict[str, Any]], registry: Registry, today: date) -> list[dict[str, Any]]:
        """Only those of its units (as ``hailong.domain.alert_sentences.listed`` makes them)."""
        mine = [a for a in alerts if self.holds(a["unit"], registry, today) and (self.doubts or a["about"] != "data")]
        return [a for a in mine if not self.morning or _local_day(a["raised_at"]) < today]


def codes_within(top: str, registry: Registry, day: date) -> frozenset[str]:
    """A unit and everything under it, as units lie on ``day``."""
    scope = Scope(top)
    return frozenset({top, *(code for code in registry.codes() if scope.holds(code, registry, day))})


def _local_day(moment: str) -> date:
    return datetime.fromisoformat(moment).astimezone(LOCAL).date()


ALL: Final = Scope()
