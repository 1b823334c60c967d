"""ClickHouse: the tables from nothing, facts of every topic each once, every question of ours."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from hailong.domain.scoring import Filters
from hailong.events import BY_NAME, Fact
from hailong.settings import Settings
from ops.acceptance.sample import sample
from ops.acceptance.step import Step, must, tried
from sinks.clickhouse import comparing, costs, diary, drawing, queries, stated, strata
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.comparing import counted_faults, drop_scratch, make_scratch, rows_differ
from sinks.clickhouse.connection import connect, ping, translated
from sinks.clickhouse.queries import ClickHouseFigures, Query
from sinks.clickhouse.tables import TABLES, Table

PART: Final = "clickhouse"
QUERIES: Final = (
    *queries.QUERIES, *comparing.QUERIES, *drawing.QUERIES, *costs.QUERIES, *diary.QUERIES, *stated.QUERIES, *strata.QUERIES,
)  # fmt: skip
_DAYS: Final = ("first", "last", "after", "since", "day", "day_from", "day_to")
"""Binds that are days, as text."""
_BIND: Final = re.compile(r"\{(\w+):([^}]+)\}")
_FACTS: Final = 6
_RIGHTS: Final = (
    "Give HAILONG_CLICKHOUSE_USER the rights CREATE DATABASE, DROP DATABASE, CREATE TABLE, INSERT and SELECT on hailong*, "
    "and try again with `hailong doctor --acceptance`."
)
_NEWER: Final = "Use ClickHouse 24.8 or newer; an older one lacks a function or a setting that is used here."
_ONCE: Final = "Without it a fact could be counted twice: on a replicated cluster set HAILONG_CLICKHOUSE_ENGINE to replicated."


class _Forgetful(Archive):
    """Does not ask what is there: an insert whose answer was lost, made again with its token."""

    def _ask(self, table: Table) -> dict[tuple[str, int], int]:
        self._known.add(table.topic)
        return {}


def examine_clickhouse(settings: Settings, name: str, now: datetime) -> Generator[Step]:
    """The steps, in a scratch database that is dropped afterwards."""
    yield (reached := tried(PART, "reached", partial(_reached, settings), "Without it there are no figures; facts are kept in Kafka."))
    if not reached.ok:
        return
    made: list[Settings] = []
    try:
        yield (tables := tried(PART, "tables", lambda: made.append(make_scratch(settings, name)), _RIGHTS))
        if tables.ok:
            yield from _inside(made[0], now)
    finally:
        dropped = tried(PART, "scratch database dropped", lambda: _drop(settings, name), f"Drop the database {name} by hand.")
    yield dropped


def _reached(settings: Settings) -> str:
    client = connect(settings, without_database=True)
    try:
        ping(client)
        with translated("asking ClickHouse for its version"):
            return f"version {client.command('SELECT version()')}"
    finally:
        client.close()


def _drop(settings: Settings, name: str) -> None:
    drop_scratch(replace(settings, clickhouse_database=name))


def _inside(there: Settings, now: datetime) -> Iterator[Step]:
    client = connect(there)
    try:
        archive = Archive(client, there.clickhouse_engine)
        for topic, table in TABLES.items():
            yield tried(PART, f"facts of {topic}, each once", partial(_stored, client, there, archive, table, now), _ONCE)
        for query in QUERIES:
            yield tried(PART, f"question: {query.name}", partial(_asked, client, query), _NEWER)
        yield tried(PART, "figures", partial(_figures, client, there), _NEWER)
    finally:
        client.close()


def facts_of(topic: str, now: datetime) -> list[tuple[int, Fact]]:
    """(offset, fact): some with every field said, some with as few as may be."""
    return [(n - 1, sample(BY_NAME[topic], n, now, full=n % 2 == 1)) for n in range(1, _FACTS + 1)]


def _stored(client: Any, there: Settings, archive: Archive, table: Table, now: datetime) -> str:
    facts = facts_of(table.topic, now)
    must(archive.absorb(table.topic, 0, facts) == _FACTS, "They were not all taken as new.")
    again = Archive(client, there.clickhouse_engine)
    must(again.absorb(table.topic, 0, facts) == 0, "ClickHouse does not find again what it was given.")
    _Forgetful(client, there.clickhouse_engine).absorb(table.topic, 0, facts)  # as after an answer that was lost
    must(_rows(client, table) == _FACTS, "An insert that was repeated with its token was stored twice.")
    must(again.absorb(table.topic, 1, facts[:1]) == (0 if table.topic == queries.COUNTED else 1), "Partitions are mixed up.")
    return f"{_FACTS} rows"


def _rows(client: Any, table: Table) -> int:
    with translated(f"counting the rows of {table.name}"):
        return int(client.query(f"SELECT count() FROM {table.name}").result_rows[0][0])  # noqa: S608 - our own names


def _asked(client: Any, query: Query) -> str:
    binds = {bind: _bound(bind, kind) for bind, kind in _BIND.findall(query.sql)}
    with translated(f"asking ClickHouse for {query.name}"):
        return f"{len(client.query(query.sql, parameters=binds).result_rows)} rows"


def _bound(bind: str, kind: str) -> Any:
    if kind.startswith("Array"):
        return [0, 1]
    text = "2026-03-02" if bind in _DAYS else ""
    return text if kind == "String" else 1


def _figures(client: Any, there: Settings) -> str:
    store = ClickHouseFigures(client, there.registry_id, there.default_target)
    version = store.version()
    found = store.figures(Filters(), version)
    must(found == store.figures(Filters(), version), "The same version gave two figures.")
    must(found.as_of == _FACTS and store.complete(), "The counted records are not there from 1 to the last, each once.")
    must(not counted_faults(client, _FACTS), "The counted records are not complete.")
    must(not rows_differ(client, client, version), "The same rows are told to differ.")
    must(bool(store.registry(version).codes()), "The units were not found.")
    store.targets(version)
    return f"as of {found.as_of}"
