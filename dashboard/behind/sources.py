"""Where it all comes from, who asks, and what every document says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from dashboard.scope import ALL, Scope
from dashboard.view import FigureStore
from hailong.domain.dispositions import Seen
from hailong.domain.projecting import projected
from hailong.domain.scoring import Figures, Filters, Version
from hailong.domain.shadow import Totals
from hailong.domain.shares import Estimate, Share
from hailong.domain.strata import Strata
from hailong.domain.succession import Succession
from hailong.domain.units import LOCAL
from hailong.events import ReferenceStated


class StrataStore(Protocol):
    """Counts by field and channel, and of surveys; see ``sinks.clickhouse.strata``. Every method may raise Retryable or Permanent."""

    def version(self) -> Version: ...
    def as_of(self, version: Version) -> tuple[int, datetime | None]: ...
    def strata(self, filters: Filters, version: Version, *, by_month: bool) -> Strata: ...
    def decisions(self, filters: Filters, version: Version) -> Mapping[tuple[str, str], Mapping[str | None, int]]: ...
    def surveys(self, filters: Filters, version: Version) -> Mapping[tuple[str, str], Mapping[Seen, int]]: ...


class StatedStore(Protocol):
    """What people entered from elsewhere. Every method may raise Retryable or Permanent."""

    def version(self) -> Version: ...
    def totals(self, version: Version | None = None) -> Mapping[tuple[str, str], Totals]: ...
    def references(self, version: Version | None = None) -> Sequence[ReferenceStated]: ...


@dataclass(frozen=True)
class Sources:
    """All that is read."""

    figures: FigureStore
    strata: StrataStore
    stated: StatedStore

    def nothing(self, version: Version) -> Figures:
        """Figures without counts: number and time of ``version``, for what counts by itself."""
        seq, counted_at = self.strata.as_of(version)
        return Figures(seq, version, counted_at, {})

    def version(self) -> Version:
        """The newest of everything, taken once for a document."""
        return {**self.strata.version(), **self.stated.version()}


@dataclass(frozen=True)
class Asker:
    """The quality office, on a day: others see sums of parcels, which cannot be divided by field."""

    today: date
    scope: Scope = ALL

    def strata(self, sources: Sources, filters: Filters, version: Version) -> Strata:
        """Of the period; month by month only where units are carried to other ones, or left out."""
        return sources.strata.strata(filters, version, by_month=filters.day is not None or self.scope.unit is not None)

    def estimate(self, found: Estimate) -> dict[str, float]:
        """As it is shown."""
        return {name: round(getattr(found, name), 6) for name in ("value", "low", "high")} | {"n_eff": round(found.n_eff, 1)}


def kept(strata: Strata, like: Figures, scope: Scope, maps: Succession, on: tuple[date, date | None]) -> Strata:
    """Only what the scope holds on the first day of ``on``, and on the map of the second."""
    day, map_of = on
    mine = {key: scope.figures(part, maps, day) for key, part in strata.slices(like).items()}
    return Strata.joined({key: projected(part, maps, map_of).figures for key, part in mine.items()} if map_of else mine)


def as_of(version: Version, seq: int, counted_at: datetime | None) -> dict[str, Any]:
    """Which facts a document rests on: the last counted record, and the offset after the last fact of every topic and partition."""
    return {
        "as_of": seq,
        "counted_at": counted_at.astimezone(LOCAL).isoformat() if counted_at else None,
        "versions": {topic: {str(p): following for p, following in sorted(parts.items())} for topic, parts in sorted(version.items())},
    }


def share_json(share: Share) -> dict[str, Any]:
    """Counts, fraction and Wilson's interval."""
    low, high = share.interval
    return {"k": share.k, "n": share.n, "rate": share.rate, "low": low, "high": high}
