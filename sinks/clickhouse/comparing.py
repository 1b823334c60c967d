"""A scratch database beside the live one, and whether both hold the same rows: for the rebuild from the log.

Rows are compared by sums of a keyed hash over all their columns, first by partition, then in ever smaller spans of offsets, so that a
difference among millions of rows is found in a few questions and named by its place, never by its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from hailong.ports import Permanent
from hailong.settings import Settings
from sinks.clickhouse.connection import connect, translated
from sinks.clickhouse.migrations import migrate
from sinks.clickhouse.queries import Query
from sinks.clickhouse.tables import TABLES

SPANS: Final = (1_000_000, 1_000, 1)
"""A difference is narrowed down to so many offsets, step by step."""
_HASH: Final = "sum(sipHash64(toString(tuple(*))))"
_UPTO: Final = "_partition = {partition:UInt16} AND _offset >= {first:UInt64} AND _offset < {end:UInt64}"
SPAN_SUMS: Final = {
    table.topic: Query(
        f"rows of {table.name}",
        f"SELECT intDiv(_offset, {{span:UInt64}}) AS part, count(), {_HASH} FROM {table.name} WHERE {_UPTO} GROUP BY part ORDER BY part",  # noqa: S608 - our own names
    )
    for table in TABLES.values()
}
COMPLETE_AT: Final = Query(
    "counted records at a version",
    "SELECT count(), uniqExact(seq), min(seq), max(seq) FROM counted WHERE _partition = 0 AND _offset < {end:UInt64}",
)
TWICE: Final = Query(
    "counted records stored twice",
    "SELECT seq FROM counted WHERE _partition = 0 AND _offset < {end:UInt64} GROUP BY seq HAVING count() > 1 ORDER BY seq LIMIT 5",
)
MISSING: Final = Query(
    "counted records not stored",
    "SELECT number FROM numbers(1, {last:UInt64}) WHERE number NOT IN (SELECT seq FROM counted WHERE _offset < {end:UInt64}) LIMIT 5",
)
DATABASES: Final = Query("databases", "SELECT name FROM system.databases WHERE startsWith(name, {prefix:String}) ORDER BY name")
QUERIES: Final = (*SPAN_SUMS.values(), COMPLETE_AT, TWICE, MISSING, DATABASES)
"""All of them, for the contract tests."""


def make_scratch(settings: Settings, name: str) -> Settings:
    """Settings of an empty database ``name``, made by the migrations.

    Raises Permanent when there is one with rows in it (and leaves that alone), Retryable when ClickHouse is away.
    """
    there = replace(settings, clickhouse_database=name)
    server = connect(settings, without_database=True)
    try:
        migrate(server, there)
    finally:
        server.close()
    _must_be_empty(there)
    return there


def databases(settings: Settings, prefix: str) -> list[str]:
    """Names of the server's databases that begin with ``prefix``. Raises Retryable when ClickHouse is away."""
    server = connect(settings, without_database=True)
    try:
        with translated("asking for databases"):
            return [name for (name,) in server.query(DATABASES.sql, {"prefix": prefix}).result_rows]
    finally:
        server.close()


def drop_scratch(there: Settings) -> None:
    """Drop what ``make_scratch`` made. Raises Retryable when ClickHouse is away."""
    server = connect(there, without_database=True)
    try:
        with translated(f"dropping database {there.clickhouse_database}"):
            server.command(f"DROP DATABASE IF EXISTS {there.clickhouse_database} SYNC")
    finally:
        server.close()


def _must_be_empty(settings: Settings) -> None:
    name = settings.clickhouse_database
    client = connect(settings)
    with translated(f"looking into database {name}"):
        full = [t.name for t in TABLES.values() if client.query(f"SELECT 1 FROM {t.name} LIMIT 1").result_rows]  # noqa: S608 - our own names
    client.close()
    if full:
        raise Permanent(f"The database {name} already holds rows ({full[0]}). Choose another name, or drop it first.")


@dataclass(frozen=True)
class RowsDiffer:
    """Rows of one partition that are not the same: how many each has, and one place."""

    topic: str
    partition: int
    offset: int
    here: int
    there: int


def rows_differ(here: Client, there: Client, version: Mapping[str, Mapping[int, int]]) -> list[RowsDiffer]:
    """Where two databases do not hold the same rows at ``version`` (topic → partition → first offset left out); one place a partition."""
    found = [
        _narrowed(here, there, topic, partition, end)
        for topic, parts in sorted(version.items())
        if topic in TABLES
        for partition, end in sorted(parts.items())
    ]
    return [difference for difference in found if difference is not None]


def _narrowed(here: Client, there: Client, topic: str, partition: int, end: int) -> RowsDiffer | None:
    first, last = 0, end
    rows = (0, 0)
    for span in (max(end, 1), *SPANS):
        ours, theirs = (_sums(client, topic, partition, first, last, span) for client in (here, there))
        differing = [part for part in sorted(ours.keys() | theirs.keys()) if ours.get(part) != theirs.get(part)]
        if not differing:
            return None
        if first == 0 and last == end:
            rows = (sum(n for n, _ in ours.values()), sum(n for n, _ in theirs.values()))
        first = max(first, differing[0] * span)
        last = min(last, differing[0] * span + span)
    return RowsDiffer(topic, partition, first, *rows)


def _sums(client: Client, topic: str, partition: int, first: int, end: int, span: int) -> dict[int, tuple[int, int]]:
    query = SPAN_SUMS[topic]
    binds: dict[str, Any] = {"partition": partition, "first": first, "end": end, "span": span}
    with translated(f"asking ClickHouse for {query.name}"):
        return {part: (n, total) for part, n, total in client.query(query.sql, parameters=binds).result_rows}


def counted_faults(client: Client, end: int) -> list[str]:
    """What is wrong with the counted records before offset ``end``: they must be there from 1 to the last, each once. Sentences."""
    with translated(f"asking ClickHouse for {COMPLETE_AT.name}"):
        ((stored, distinct, _, last),) = client.query(COMPLETE_AT.sql, parameters={"end": end}).result_rows
        if stored == distinct == last:
            return []
        twice = [seq for (seq,) in client.query(TWICE.sql, parameters={"end": end}).result_rows]
        missing = [seq for (seq,) in client.query(MISSING.sql, parameters={"end": end, "last": last}).result_rows]
    told = [f"{stored} counted records stand for {distinct} numbers up to {last}"]
    told += [f"stored twice: {', '.join(map(str, twice))}"] if twice else []
    return told + ([f"not stored: {', '.join(map(str, missing))}"] if missing else [])
