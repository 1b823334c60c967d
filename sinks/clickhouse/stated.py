"""What people entered from elsewhere, at a version: the newest statement about each thing. Read whole: a province's years are few rows.

Names of columns and fields are the same, so a row is its fact again.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from clickhouse_connect.driver.client import Client

from hailong.domain.procedures import Catalogue
from hailong.domain.scoring import Version
from hailong.domain.shadow import Totals
from hailong.events import STATES, TOPICS, Fact, ProcedureChanged, ReferenceStated, Statement, TotalsStated
from sinks.clickhouse.connection import translated
from sinks.clickhouse.queries import Query
from sinks.clickhouse.tables import TABLES

_TOPICS: Final[dict[type[Fact], str]] = {topic.schema: topic.name for topic in TOPICS if topic.schema in STATES}
_FIELDS: Final[dict[type[Fact], list[str]]] = {
    kind: [f.name for f in msgspec.structs.fields(kind) if f.name != "registry_id"] for kind in STATES
}
S = TypeVar("S", bound=Statement)


def _newest(kind: type[Any]) -> Query:
    table, about = TABLES[_TOPICS[kind]].name, ", ".join(STATES[kind])
    return Query(
        f"newest of {table}",
        f"""
        SELECT {", ".join(_FIELDS[kind])} FROM {table} WHERE _offset < {{end:UInt64}}
        ORDER BY {about}, seq DESC, _offset LIMIT 1 BY {about}
        """,  # noqa: S608 - our own names
    )


NEWEST: Final[dict[type[Fact], Query]] = {kind: _newest(kind) for kind in STATES}
VERSION: Final = Query(
    "version of what was stated",
    " UNION ALL ".join(f"SELECT '{t}' AS topic, max(_offset) + 1 FROM {TABLES[t].name} HAVING count() > 0" for t in _TOPICS.values()),  # noqa: S608 - our own names
)
QUERIES: Final = (VERSION, *NEWEST.values())
"""All of them, for the contract tests against any server."""


class ClickHouseStated:
    """Statements out of ClickHouse. Every method raises Retryable or Permanent; ``version``: as of ``ClickHouseFigures``, None: now."""

    def __init__(self, client: Client, registry_id: str) -> None:
        """``client`` without a session: pages ask from many threads."""
        self._client = client
        self._registry_id = registry_id

    def version(self) -> Version:
        """The newest version of the topics read here, to be kept beside that of the figures."""
        found: Version = {topic: {} for topic in _TOPICS.values()}
        for topic, following in self._rows(VERSION):
            found[topic] = {0: int(following)}
        return found

    def totals(self, version: Version | None = None) -> dict[tuple[str, str], Totals]:
        """(unit, month) → the portal's totals."""
        return {
            (t.unit, t.month): Totals(t.received, t.ended, t.overdue, t.petitions, t.dislikes) for t in self.newest(TotalsStated, version)
        }

    def references(self, version: Version | None = None) -> list[ReferenceStated]:
        """What others measured, each with its series, scale and source."""
        return self.newest(ReferenceStated, version)

    def catalogue(self, version: Version | None = None) -> Catalogue:
        """The procedures."""
        return Catalogue(self.newest(ProcedureChanged, version))

    def newest(self, kind: type[S], version: Version | None = None) -> list[S]:
        """The newest statement about each thing, with its source, in the order of what they are about."""
        at = self.version() if version is None else version
        end = at.get(_TOPICS[kind], {}).get(0, 0)
        rows = self._rows(NEWEST[kind], end=end)
        return [kind(registry_id=self._registry_id, **dict(zip(_FIELDS[kind], row, strict=True))) for row in rows]

    def _rows(self, query: Query, **binds: Any) -> list[tuple[Any, ...]]:
        with translated(f"asking ClickHouse for {query.name}"):
            return [tuple(row) for row in self._client.query(query.sql, parameters=binds).result_rows]
