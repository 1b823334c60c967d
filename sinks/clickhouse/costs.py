"""What messages cost, from the facts of their delivery: by local day, receiving unit and channel. Echoes of a fact count once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from clickhouse_connect.driver.client import Client

from sinks.clickhouse.connection import translated
from sinks.clickhouse.queries import Query

COSTS: Final = Query(
    "costs",
    """
    SELECT day, unit, channel, count(), sum(segments), sum(cost)
    FROM (
        SELECT event_id, any(toDate(at, 'Asia/Ho_Chi_Minh')) AS day, any(receiving_unit) AS unit, any(delivery.channel) AS channel,
            any(delivery.segments) AS segments, any(delivery.cost) AS cost
        FROM delivery
        WHERE state IN ('handed_over', 'unknown') AND reason != 'no_receipt'
            AND at >= toDateTime64(concat({first:String}, ' 00:00:00'), 6, 'Asia/Ho_Chi_Minh')
            AND at < toDateTime64(concat({after:String}, ' 00:00:00'), 6, 'Asia/Ho_Chi_Minh')
        GROUP BY event_id
    )
    GROUP BY day, unit, channel
    ORDER BY day, unit, channel
    """,
)
"""A message whose receipt never came was paid when it was handed over: that step is no second one."""
QUERIES: Final = (COSTS,)


@dataclass(frozen=True)
class Cost:
    """Messages of a day, unit and channel that were handed over (or perhaps were); ``cost`` in đồng, as the price list has it."""

    day: date
    unit: str
    channel: str
    messages: int
    segments: int
    cost: int


def costs(client: Client, first: date, after: date) -> list[Cost]:
    """From the local day ``first`` up to, and without, ``after``. Raises Retryable, Permanent."""
    binds = {"first": first.isoformat(), "after": after.isoformat()}
    with translated(f"asking ClickHouse for {COSTS.name}"):
        rows = client.query(COSTS.sql, parameters=binds).result_rows
    return [Cost(day, unit, channel, int(n), int(segments), int(cost)) for day, unit, channel, n, segments, cost in rows]
