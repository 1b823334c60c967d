"""figures: what the pages ask of the store, over invented answers, beside the same question to a flat table and to DuckDB on Parquet."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
from clickhouse_connect.driver.client import Client

from bench.meters import Goal, Latency, Report, latency
from bench.room import Room, room
from hailong.domain.scoring import Filters, Version
from ops.wiring import Wiring
from sinks.clickhouse.checkpoints import ASKED, CLOSED, DELIVERY, ENDED, Checkpoints, summed
from sinks.clickhouse.comparing import drop_scratch, make_scratch
from sinks.clickhouse.queries import COUNTED, ClickHouseFigures, Query
from sinks.clickhouse.strata import ClickHouseStrata
from sinks.clickhouse.tallies import KINDS, Tallies
from web.assembly import spare_collector

ANSWERS: Final = 1_000_000
TIMES: Final = 12
"""Each is asked so often, after once unmeasured."""
GOAL_S: Final = 0.1
_CHUNK: Final = 5_000_000
_SEED: Final = 20250701
# Ten years, 170 units of uneven size, ten fields: as many as a large province has. `n`: the number of the row; `h`: its chance.
_WHAT: Final = f"""
    concat('u', leftPad(toString(toUInt32(170 * pow((h % 100003) / 100003, 1.7))), 3, '0')) AS unit,
    concat('f', toString(intHash32(n + {_SEED}) % 10)) AS of_field,
    ['online', 'online', 'counter', 'postal'][intHash32(n + {_SEED} + 1) % 4 + 1] AS of_channel
"""
_OF: Final = "FROM (SELECT number AS n, cityHash64(number, {seed}) AS h FROM numbers({first}, {rows}))"
_AT: Final = "toDateTime64('2016-01-01 00:00:00', 6, 'UTC') + toIntervalSecond(toInt64(n / {all} * 315000000))"
# Every third record is what its person said to the other questions.
_COUNTED: Final = f"""
    INSERT INTO counted (_topic, _partition, _offset, event_id, seq, kind, counted_at, survey_id, revision, questionnaire,
        questionnaire_version, mode, language, score, answers, reason, receiving_unit, handling_unit, field, submission_channel, ending,
        timeliness, month, control, place)
    SELECT 'survey.counted.v1', 0, n, hex(h), n + 1, if(n % 3 = 2, 'detail', 'answer'), {_AT} AS at, hex(intHash64(n - (n % 3 = 2))), 0,
        'handover', 1, ['link', 'link', 'code', 'call', 'kiosk'][h % 5 + 1], 'vi',
        if(n % 3 = 2, NULL, [5, 5, 4, 4, 4, 4, 5, 3, 2, 1][h % 10 + 1]),
        if(n % 3 = 2, concat('{{{{"Q1":', toString(h % 5 + 1), ',"Q2":', toString(h % 4 + 1), ',"Q3":', toString(h % 3 + 3),
            ',"Q7":["slow"]}}}}'), ''),
        '', unit, unit, of_field, of_channel, 'returned', 'on_time', formatDateTime(at, '%Y-%m'), '', if(h % 5 = 4, 'desk', 'away')
    FROM (SELECT n, h, {_WHAT} {_OF})
"""
_CLOSED: Final = f"""
    INSERT INTO closed (_topic, _partition, _offset, event_id, dossier_ref, source, outcome, status_code, procedure_code, field,
        receiving_unit, handling_unit, unit_level, submission_channel, result_channel, received_on, ended_on, heard_on, timeliness)
    SELECT 'dossier.closed.v1', 0, n, hex(h), hex(intHash64(n)), 'one-stop', 'result_returned', 10, '1.000001', of_field, unit, unit,
        'commune', of_channel, 'counter', toDate32({_AT} AS at), toDate32(at), toDate32(at), 'on_time'
    FROM (SELECT n, h, {_WHAT} {_OF})
"""
_DELIVERY: Final = f"""
    INSERT INTO delivery (_topic, _partition, _offset, event_id, survey_id, purpose, seq, state, at, channel, provider, receiving_unit,
        handling_unit, field, submission_channel, ending, timeliness, month)
    SELECT 'survey.delivery.v1', 0, 2 * n + step, hex(h), hex(intHash64(n)), 'invitation', step, if(step = 0, 'handed_over', 'delivered'),
        {_AT} AS at, 'sms', 'twilio', unit, unit, of_field, of_channel, 'returned', 'on_time', formatDateTime(at, '%Y-%m')
    FROM (SELECT n, h, {_WHAT} {_OF}) ARRAY JOIN [0, 1] AS step WHERE step = 0 OR h % 10 > 0
"""
_REGISTERED: Final = """
    INSERT INTO unit (_topic, _partition, _offset, event_id, code, name, level, parent, valid_from, seq, kind)
    SELECT 'unit.changed.v1', 0, number, toString(number), concat('u', leftPad(toString(number), 3, '0')),
        concat('Unit ', toString(number)), 'commune', '', toDate32('2015-01-01'), number + 1, 'created' FROM numbers(170)
"""
_FLAT: Final = "CREATE TABLE flat ENGINE = MergeTree ORDER BY (handling_unit, month, seq) AS SELECT * FROM counted"
_RATE: Final = """
    SELECT handling_unit, month, count(*) AS n, sum(CASE WHEN score >= 4 THEN 1 ELSE 0 END) AS satisfied
    FROM {table} WHERE kind = 'answer' AND revision = 0 AND place = 'away' AND (field = '{field}' OR '{field}' = '')
    GROUP BY handling_unit, month
"""
_BY: Final = ("handling_unit", "month")
_PAGES: Final = {
    "all units": Filters(), "one field": Filters(field="f3"), "a question": Filters(question="handover:Q1"),
    "by receiving unit": Filters(by="receiving"),
}  # fmt: skip
_OPEN: Final = 1_000
"""The last of each topic came after the last checkpoint: as many as there ever are, two facts of each message."""
_BETWEEN: Final = 15
"""Facts of each topic that come between two views."""
_COLUMNS: Final = "handling_unit, month, kind, revision, place, field, score"


class _Timed(ClickHouseFigures):
    """Notes what each query takes, and the making of figures in Python beside them."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "bench", 0.9)
        self.took: defaultdict[str, list[float]] = defaultdict(list)

    def _rows(self, query: Query, **binds: Any) -> Sequence[Sequence[Any]]:
        with _noted(self.took[query.name]):
            return super()._rows(query, **binds)


class _noted:
    def __init__(self, into: list[float]) -> None:
        self._into = into

    def __enter__(self) -> None:
        self._at = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._into.append(time.perf_counter() - self._at)


async def figures(answers: int = ANSWERS) -> Report:
    """Queries of the pages, warm, one after the other; p95 of each against 100 ms."""
    async with room(["store"]) as here:
        return await asyncio.to_thread(_measured, here, answers)


def _measured(here: Room, answers: int) -> Report:
    report = Report("figures", f"ms, {answers:,} answers")
    there = make_scratch(here.settings, "hailong_rebuild_figures_bench")
    folder = Path(tempfile.mkdtemp(prefix="hailong-bench-parquet-"))
    try:
        client = Wiring(there).clickhouse()
        report.notes += _filled(client, answers)
        store = _Timed(client)
        version, behind = store.version(), ClickHouseStrata(client, store)
        before, _ = store.answered_between(0, datetime(2024, 1, 14, tzinfo=UTC))
        if not sum(cell.answered for cell in store.figures(Filters(), version).cells.values()):
            raise RuntimeError("the invented answers are in no figure")
        store = _Timed(client)
        store.version()
        later = _versions(version)

        def first() -> _Timed:
            store = _Timed(client)
            firsts.append(store.took)
            return store

        firsts: list[dict[str, list[float]]] = []
        asks: dict[str, Callable[[], object]] = {
            **{f"page: {name}": lambda f=f: store.figures(f, next(later)) for name, f in _PAGES.items()},  # type: ignore[misc]
            **{f"first view: {name}": lambda f=f: first().figures(f, version) for name, f in _PAGES.items()},  # type: ignore[misc]
            "query: ended by handling unit": lambda: summed(client, ENDED, version, _BY, "1", {}),
            "query: asked by handling unit": lambda: summed(client, ASKED, version, _BY, "1", {}),
            "newest answers of the open month": lambda: store.newest("2025-12", version),
            "answers between two closes": lambda: store.answered_between(before, datetime(2024, 2, 14, tzinfo=UTC)),
            "behind: a year by field and channel": lambda: behind.strata(Filters("2025-01", "2025-12"), version, by_month=True),
            "units": lambda: store.registry(version),
            "version": store.version,
        }
        spare_collector()
        for ask in asks.values():
            ask()
        store.took.clear()
        firsts.clear()
        for name, ask in asks.items():
            report.latencies.append(_asked(name, ask))
        for kept, all_took in (("", [store.took]), ("first view, ", firsts)):
            by_name: defaultdict[str, list[float]] = defaultdict(list)
            for one_took in all_took:
                for name, seconds in one_took.items():
                    by_name[name] += seconds
            report.latencies += [latency(f"of it, {kept}{name}", took, len(took)) for name, took in sorted(by_name.items())]
        for name, ask in _peers(client, folder):
            report.latencies.append(_asked(name, ask))
        for one in report.latencies:
            if one.name.startswith(("page", "newest", "answers between", "behind")):
                report.goals.append(Goal(f"{one.name}: {GOAL_S * 1000:.0f} ms over its p95", 1.0, GOAL_S * 1000 / one.p95))
    finally:
        drop_scratch(there)
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _versions(newest: Version) -> Iterator[Version]:
    """Ever newer ones: between two views of a page the province has gone on by some hundred facts."""
    ends = {topic: newest[topic][0] for topic in (COUNTED, CLOSED, DELIVERY)}
    for back in range(4 * (TIMES + 2), -1, -1):
        yield newest | {topic: {0: end - min(end // 2, back * _BETWEEN)} for topic, end in ends.items()}


def _asked(name: str, ask: Callable[[], object]) -> Latency:
    took: list[float] = []
    for _ in range(TIMES):
        with _noted(took):
            ask()
        if sum(took) > 10:
            break
    return latency(name, took, len(took))


def _filled(client: Client, answers: int) -> Iterator[str]:
    """Invent the facts within the store, sum them; what that took."""
    records = answers * 3 // 2
    tables = (("counted", _COUNTED, records), ("closed", _CLOSED, answers), ("delivery", _DELIVERY, answers))
    for table, sql, rows in tables:
        at = time.monotonic()
        _invent(client, sql, range(rows - _OPEN), rows)
        client.command(f"OPTIMIZE TABLE {table}")
        yield _kept(client, table, time.monotonic() - at)
    client.command(_REGISTERED)
    at = time.monotonic()
    blocks = Tallies(client).advance(records - _OPEN)
    yield f"{blocks} blocks of sums in {time.monotonic() - at:.0f} s"
    at, keep = time.monotonic(), Checkpoints(client)
    made = sum(keep.advance(kind) for kind in (ENDED, ASKED))
    yield f"{made} checkpoints in {time.monotonic() - at:.0f} s"
    for table in (*(kind.table for kind in KINDS), ENDED.table, ASKED.table, ENDED.copy, ASKED.copy):
        yield _kept(client, table, 0)
    for _, sql, rows in tables:
        _invent(client, sql, range(rows - _OPEN, rows), rows)


def _invent(client: Client, sql: str, numbers: range, rows: int) -> None:
    """Those ``numbers`` of ``rows`` facts."""
    for first in numbers[::_CHUNK]:
        part = {"seed": _SEED, "first": first, "rows": min(_CHUNK, numbers.stop - first), "all": rows}
        client.command(sql.format(**part), settings={"max_insert_threads": 1, "async_insert": 0})


def _kept(client: Client, table: str, seconds: float) -> str:
    sql = f"SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() AND table = '{table}'"
    ((rows, size),) = client.query(sql).result_rows
    return f"{table}: {rows:,} rows, {size / 2**20:,.0f} MiB" + (f", made in {seconds:.0f} s" if seconds else "")


def _peers(client: Client, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """The same question of a table without sums and of DuckDB, both read whole each time."""
    client.command(_FLAT)
    for name, field in (("all units", ""), ("one field", "f3")):
        sql = _RATE.format(table="flat", field=field)
        yield f"flat table: {name}", lambda sql=sql: client.query(sql).result_rows  # type: ignore[misc]
    months = [str(month) for (month,) in client.query("SELECT DISTINCT substring(month, 1, 4) FROM counted ORDER BY 1").result_rows]
    for year in months:
        rows = client.raw_query(
            f"SELECT {_COLUMNS} FROM flat WHERE startsWith(month, '{year}') ORDER BY handling_unit, month", fmt="Parquet"
        )
        (folder / f"{year}.parquet").write_bytes(rows)
    duck = duckdb.connect()
    duck.execute("SET threads = 2")
    for name, field in (("all units", ""), ("one field", "f3")):
        sql = _RATE.format(table=f"read_parquet('{folder}/*.parquet')", field=field)
        yield f"DuckDB on Parquet: {name}", lambda sql=sql: duck.execute(sql).fetchall()  # type: ignore[misc]
