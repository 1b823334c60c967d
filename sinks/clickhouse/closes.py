"""Where in the counted records a moment lies, and the newest answers of open months: what closed months and steps are made of."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from hailong.domain.telling import Newest, kept_back
from hailong.domain.units import LOCAL
from sinks.clickhouse.connection import translated
from sinks.clickhouse.tallies import PLACE

BEGAN: Final = "SELECT counted_at FROM counted ORDER BY seq LIMIT 1"
# The counted time never falls and numbers have no gap, so the first records before a moment are all of them.
FROM: Final = """
    SELECT seq FROM counted WHERE counted_at >= fromUnixTimestamp64Micro({moment:Int64}, 'UTC') ORDER BY seq LIMIT 1
"""
LAST: Final = "SELECT seq FROM counted ORDER BY seq DESC LIMIT 1"
# Nothing is counted of a month before it began, so only the records since then are looked at. Scores are packed behind their numbers.
NEWEST: Final = f"""
    SELECT handling_unit, month, groupArraySortedIf({kept_back()})(-(toInt64(seq) * 8 + ifNull(score, 0)), kind = 'answer'),
        countIf(kind = 'retraction')
    FROM counted
    WHERE seq > {{first:UInt64}} AND seq <= {{seq:UInt64}} AND month >= {{month:String}} AND {PLACE} = 'away'
        AND ((kind = 'answer' AND revision = 0) OR (kind = 'retraction' AND reason = 'erased'))
    GROUP BY handling_unit, month
"""  # noqa: S608 - our own names


def _rows(client: Client, what: str, sql: str, **binds: Any) -> list[tuple[Any, ...]]:
    with translated(f"asking ClickHouse for {what}"):
        return [tuple(row) for row in client.query(sql, parameters=binds).result_rows]


def aware(moment: datetime) -> datetime:
    """The store's moments are UTC, and come back without saying so."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def began(client: Client) -> datetime | None:
    """When the first record was counted. Raises Retryable, Permanent, as the others do."""
    rows = _rows(client, "the first counted record", BEGAN)
    return aware(rows[0][0]) if rows else None


def counted_before(client: Client, moment: datetime) -> int:
    """The number of the last record that was counted before ``moment`` (aware)."""
    micros = int(moment.timestamp()) * 1_000_000 + moment.microsecond
    for (seq,) in _rows(client, "what was counted before", FROM, moment=micros):
        return int(seq) - 1
    return next((int(seq) for (seq,) in _rows(client, "the last counted record", LAST)), 0)


def newest(client: Client, month: str, seq: int) -> dict[tuple[str, str], Newest]:
    """Of each unit's months from ``month`` on (empty: all), in the first ``seq`` records: the newest answers, erased ones too, and how
    many were erased."""
    first = counted_before(client, datetime.combine(date.fromisoformat(f"{month}-01"), time.min, LOCAL)) if month else 0
    rows = _rows(client, "the newest answers", NEWEST, month=month, first=first, seq=seq)
    return {(unit, of): Newest(tuple(-int(packed) % 8 for packed in scores), int(erased)) for unit, of, scores, erased in rows}
