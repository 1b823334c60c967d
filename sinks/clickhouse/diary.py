"""What happened on each local day: who was written to, by whom, who waits for another, who asked not to be written to.

Rows repeat: a fact counts once, whatever its partition.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from sinks.clickhouse.connection import translated
from sinks.clickhouse.queries import Query

_LOCAL_DAY: Final = "toDate(at, 'Asia/Ho_Chi_Minh')"
_SPAN: Final = (
    "at >= toDateTime64(concat({first:String}, ' 00:00:00'), 6, 'Asia/Ho_Chi_Minh') "
    "AND at < toDateTime64(concat({after:String}, ' 00:00:00'), 6, 'Asia/Ho_Chi_Minh')"
)
_MOMENT: Final = "toTimeZone(at, 'Asia/Ho_Chi_Minh')"
SENT: Final = Query(
    "messages by day",
    f"""
    SELECT day, purpose, provider, count(), formatDateTime(min(moment), '%H:%i'), formatDateTime(max(moment), '%H:%i') FROM (
        SELECT event_id, any({_LOCAL_DAY}) AS day, any(delivery.purpose) AS purpose, any(delivery.provider) AS provider,
            any({_MOMENT}) AS moment
        FROM delivery WHERE state = 'handed_over' AND {_SPAN} GROUP BY event_id
    ) GROUP BY day, purpose, provider ORDER BY day, purpose, provider
    """,  # noqa: S608 - our own names
)
CHOSEN: Final = Query(
    "opt-outs by day",
    f"""
    SELECT {_LOCAL_DAY} AS day, uniqExact(event_id) FROM preference WHERE choice = 'opt_out' AND {_SPAN} GROUP BY day ORDER BY day
    """,  # noqa: S608 - our own names
)
STOOD_FOR: Final = Query(
    "delays by day",
    """
    SELECT day, sum(asked_for > 1), sum(why = 'represented') FROM (
        SELECT event_id, any(decided_on) AS day, any(weight) AS asked_for, any(reason) AS why
        FROM decided WHERE decided_on >= toDate32({first:String})
            AND decided_on < toDate32({after:String}) GROUP BY event_id
    ) GROUP BY day ORDER BY day
    """,
)
QUERIES: Final = (SENT, CHOSEN, STOOD_FOR)


@dataclass
class Day:
    """One local day. ``earliest`` and ``latest`` handing over as ``HH:MM``; None when there was none."""

    on: date
    invitations: int = 0
    reminders: int = 0
    by: Counter[str] = field(default_factory=Counter)
    """Provider → messages."""
    earliest: str | None = None
    latest: str | None = None
    opt_outs: int = 0
    standing: int = 0
    """Asked after a rest, for more endings than their own."""
    represented: int = 0
    """Endings another one stands for."""


def diary(client: Client, first: date, after: date) -> list[Day]:
    """Every local day from ``first`` up to, and without, ``after``. Raises Retryable, Permanent."""
    days = {first + timedelta(days=n): Day(first + timedelta(days=n)) for n in range((after - first).days)}
    for on, purpose, provider, n, earliest, latest in _rows(client, SENT, first, after):
        day = days[on]
        day.invitations += n if purpose == "invitation" else 0
        day.reminders += n if purpose == "reminder" else 0
        day.by[provider] += n
        day.earliest = min(filter(None, (day.earliest, earliest)))
        day.latest = max(filter(None, (day.latest, latest)))
    for on, n in _rows(client, CHOSEN, first, after):
        days[on].opt_outs = n
    for on, standing, represented in _rows(client, STOOD_FOR, first, after):
        days[on].standing, days[on].represented = standing, represented
    return list(days.values())


def _rows(client: Client, query: Query, first: date, after: date) -> list[tuple[Any, ...]]:
    binds = {"first": first.isoformat(), "after": after.isoformat()}
    with translated(f"asking ClickHouse for {query.name}"):
        return [tuple(row) for row in client.query(query.sql, parameters=binds).result_rows]
