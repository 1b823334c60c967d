"""What the sums are measured beside: the same answers in a flat MergeTree table, and in DuckDB on Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from sinks.clickhouse.connection import translated

WAYS: Final[dict[str, tuple[str, str]]] = {
    "whole province by unit and month": ("unit", "place = 'away'"),
    "within a field": ("unit", "place = 'away' AND field = '{field}'"),
    "by receiving unit": ("desk", "place = 'away'"),
}
"""The same aggregates, as a page asks for them: the unit's column and a condition."""
_CHUNK: Final = 4_000_000
_SCORES: Final = ", ".join(f"sum(CASE WHEN score = {n} THEN 1 ELSE 0 END)" for n in range(1, 6))
_ANSWERS: Final = """
    SELECT handling_unit AS unit, receiving_unit AS desk, toDate(counted_at) AS day, month, field, submission_channel AS channel,
        mode, place, toUInt8(ifNull(score, 0)) AS score
    FROM counted
    WHERE kind = 'answer' AND revision = 0 AND seq > {first} AND seq <= {end}
        AND survey_id NOT IN (SELECT survey_id FROM counted WHERE kind = 'retraction' AND reason = 'erased')"""


def asked(way: str, table: str, field: str) -> str:
    """The SQL of a way, for both."""
    unit, where = WAYS[way]
    return f"SELECT {unit}, month, count(*), {_SCORES} FROM {table} WHERE {where.format(field=field)} GROUP BY {unit}, month"


def make_flat(client: Client, records: int) -> None:
    """The flat table beside the others. Raises Retryable, Permanent."""
    labels = ", ".join(f"{name} LowCardinality(String)" for name in ("unit", "desk", "month", "field", "channel", "mode", "place"))
    columns = "unit, desk, day, month, field, channel, mode, place, score"
    with translated("making the flat table"):
        client.command(f"CREATE TABLE flat ({labels}, day Date, score UInt8) ENGINE = MergeTree ORDER BY (unit, day)")
        for first, end in _spans(records):
            client.command(f"INSERT INTO flat ({columns}) {_ANSWERS.format(first=first, end=end)}")


def write_parquet(client: Client, records: int, folder: Path) -> int:
    """The same rows as Parquet files; their bytes. Raises Retryable, Permanent."""
    written = 0
    for n, (first, end) in enumerate(_spans(records)):
        with translated("writing the answers as Parquet"), (folder / f"answers-{n:03d}.parquet").open("wb") as out:
            for piece in client.raw_stream(_ANSWERS.format(first=first, end=end), fmt="Parquet"):
                written += out.write(piece)
    return written


def _spans(records: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + _CHUNK, records)) for first in range(0, records, _CHUNK))


def duck(folder: Path, memory: int) -> Callable[[str], list[tuple[Any, ...]]]:
    """Asks DuckDB, on two threads and with at most ``memory`` bytes. Raises RuntimeError when it is not installed."""
    try:
        engine = import_module("duckdb")
    except ImportError as fault:
        raise RuntimeError(
            "DuckDB is not installed, so it cannot be measured beside. Install the development environment (bin/test makes it)."
        ) from fault
    there = engine.connect(config={"threads": 2, "memory_limit": f"{memory // 1_000_000}MB"})
    return lambda sql: list(there.execute(sql.replace("FROM flat", f"FROM read_parquet('{folder}/*.parquet')")).fetchall())
