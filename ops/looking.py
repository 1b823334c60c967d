"""Looking at the quality of data: its counts out of ClickHouse at one version, and when the archive has come far enough to look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Final

from aiokafka.structs import TopicPartition

from hailong.domain.looking import Sources
from hailong.domain.quality_weeks import PAST
from hailong.domain.scoring import Filters, Version
from hailong.ports import Retryable
from hailong.settings import Settings
from ops.log import Log
from ops.topics import SUBSCRIBES
from sinks.clickhouse.quality import ClickHouseQuality
from sinks.clickhouse.queries import ClickHouseFigures
from sinks.clickhouse.stated import ClickHouseStated

_BACK: Final = timedelta(weeks=2 * PAST)
"""A year, and the year before it that units are held against."""


class Store:
    """What a look needs, at any version. Every method raises Retryable or Permanent."""

    def __init__(self, connect: Callable[[], Any], settings: Settings) -> None:
        """``connect`` gives a client without a session; it is called at the first question."""
        self._connect = connect
        self._settings = settings

    @cached_property
    def _client(self) -> Any:
        return self._connect()

    @cached_property
    def _figures(self) -> ClickHouseFigures:
        return ClickHouseFigures(self._client, self._settings.registry_id, self._settings.default_target)

    @cached_property
    def _counts(self) -> ClickHouseQuality:
        return ClickHouseQuality(self._client, self._figures)

    @cached_property
    def _stated(self) -> ClickHouseStated:
        return ClickHouseStated(self._client, self._settings.registry_id)

    def version(self) -> Version:
        """The newest version of all that a look reads."""
        return self._counts.version() | self._stated.version()

    def at(self, day: date, version: Version | None = None) -> Sources:
        """Everything a look of ``day`` is made from, at ``version`` (None: now)."""
        at = self.version() if version is None else version
        seen, figures = self._counts.seen(day - _BACK, at), self._figures.figures(Filters(), at)
        portal: dict[str, dict[str, int]] = {}
        for (unit, month), totals in self._stated.totals(at).items():
            portal.setdefault(unit, {})[month] = totals.ended
        registry, targets = self._figures.registry(at), self._figures.targets(at)
        return Sources(replace(seen, portal=portal), figures.cells, registry, targets, at, figures.as_of)


class Archived:
    """Whether the archive holds what the log held at a moment: counts of a store that is behind would look like silence."""

    def __init__(self, kafka: str) -> None:
        self._log = Log(kafka)
        self._until: Version | None = None

    async def ready(self) -> None:
        """Raises Retryable until it does; the moment is that of the first call, and of the first one after it returned."""
        if self._until is None:
            self._until = await self._log.end(SUBSCRIBES["archive"])
        done = await self._log.acknowledged("hailong-archive")
        for topic, parts in self._until.items():
            for number, end in parts.items():
                if done.get(TopicPartition(topic, number), 0) < end:
                    place = f"{end} of {topic}, partition {number}"
                    raise Retryable(f"the archive has not come to {place}: a look would take what is missing for silence", 5.0)
        self._until = None
