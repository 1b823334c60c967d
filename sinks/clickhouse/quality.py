"""Integer counts for the quality of data: by week as they came in, by month of the ending as dossiers went. Conventions of ``queries``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from hailong.domain.quality_seen import Cell, Fees, Said, Seen, Steps
from hailong.domain.scoring import By, Filters, Version
from sinks.clickhouse.connection import translated
from sinks.clickhouse.queries import AS_OF, CLOSED, COUNTED, DELIVERY, REOPENED, ClickHouseFigures, Query
from sinks.clickhouse.strata import ERASED, UNIT_COLUMN, binds_of, upto
from sinks.clickhouse.tallies import PLACE

# Dossiers of which the last thing heard is that they go on. Both facts know the day only: on the same day the number of acts decides.
_GOES_ON: Final = f"""
    SELECT sipHash64(dossier_ref)
    FROM (
        SELECT dossier_ref, max(reopened_on) AS again, uniqExact(event_id) AS times
        FROM reopened WHERE {upto("reopened_")} GROUP BY dossier_ref
    ) AS r
    INNER JOIN (
        SELECT dossier_ref, max(ended_on) AS last, uniqExact(event_id) AS endings
        FROM closed WHERE dossier_ref IN (SELECT dossier_ref FROM reopened WHERE {upto("reopened_")}) AND {upto()} GROUP BY dossier_ref
    ) AS c USING dossier_ref
    WHERE again > last OR (again = last AND times >= endings)
"""  # noqa: S608 - our own names
# One ending a dossier, the first: 9, then 10 is one. Almost all dossiers have a single act, so only the others are sorted out one by one.
# Two of ten million dossiers share a key with a chance of 3 in a million.
ENDINGS: Final = f"outcome != 'supplement_requested' AND {upto()} AND dossier_key NOT IN ({_GOES_ON})"
SEVERAL: Final = f"""
    SELECT dossier_key FROM closed WHERE outcome != 'supplement_requested' AND {upto()} GROUP BY dossier_key HAVING count() > 1
"""  # noqa: S608 - our own names
DECIDED: Final = "survey.decided.v1"
LEFT_OUT: Final = (
    "test", "not_ended", "ends_before_start", "applicant_type", "submitted_by", "minor", "sensitive_procedure", "no_channel", "opted_out",
    "sampled_out", "recently_asked", "represented", "reopened", "trial", "answered",
)  # fmt: skip
"""Reasons for not asking that lie with the rules, the draw or the person; the others lie with the dossier, its contact or its lateness."""

BYS: Final[tuple[By, By]] = ("handling", "receiving")
VERSION_DECIDED: Final = Query("version of decisions", "SELECT _partition, max(_offset) + 1 FROM decided GROUP BY _partition")
_FIRST_ENDINGS: Final = f"""
    SELECT * FROM closed WHERE {ENDINGS} AND dossier_key NOT IN ({SEVERAL})
    UNION ALL
    SELECT * FROM (
        SELECT * FROM closed WHERE {ENDINGS} AND dossier_key IN ({SEVERAL}) ORDER BY dossier_key, ended_on, _offset LIMIT 1 BY dossier_key
    )
"""  # noqa: S608 - our own names
"""One ending a dossier, the first, of those that do not go on: as ``checkpoints.ENDED`` counts them."""
HEARD_WEEKS: Final = Query(
    "endings by week of hearing",
    f"""
    SELECT handling_unit, toMonday(heard_on) AS week, count() FROM ({_FIRST_ENDINGS})
    WHERE heard_on >= toDate32({{since:String}}) GROUP BY handling_unit, week
    """,  # noqa: S608 - our own names
)
_ANSWERS: Final = f"kind = 'answer' AND revision = 0 AND seq <= {{seq:UInt64}} AND survey_id NOT IN ({ERASED})"
_COUNTED_ON: Final = "toDate(counted_at, 'Asia/Ho_Chi_Minh')"
COUNTED_WEEKS: Final = Query(
    "answers by week of counting",
    f"""
    SELECT handling_unit, toMonday({_COUNTED_ON}) AS week, count() FROM counted
    WHERE {_ANSWERS} AND {_COUNTED_ON} >= toDate({{since:String}}) GROUP BY handling_unit, week
    """,  # noqa: S608 - our own names
)
_LEFT_OUT: Final = ", ".join(f"'{reason}'" for reason in LEFT_OUT)
DECISIONS: Final = {
    by: Query(
        f"decisions by {by} unit",
        f"""
    SELECT {unit}, toYYYYMM(ended_on) AS month, count(), countIf(JSONLength(inputs, 'reach') = 0),
        countIf(JSONExtractString(inputs, 'bound_by') = 'number'), countIf(reason NOT IN ({_LEFT_OUT})), countIf(asked)
    FROM (
        SELECT sipHash64(dossier_ref) AS key, asked, reason, inputs FROM decided
        WHERE {upto("decided_")} AND decided_on >= toDate32({{since:String}})
        ORDER BY dossier_ref, decided_on DESC, _offset DESC LIMIT 1 BY dossier_ref
    ) AS d
    INNER JOIN (
        SELECT dossier_key AS key, {unit}, ended_on FROM closed
        WHERE outcome != 'supplement_requested' AND {upto()} AND ended_on >= toDate32({{since:String}})
        ORDER BY dossier_key, ended_on, _offset LIMIT 1 BY dossier_key
    ) AS c USING key
    WHERE JSONHas(inputs, 'reach') AND reason != 'test'
    GROUP BY {unit}, month
    """,  # noqa: S608 - our own names
    )
    for by, unit in UNIT_COLUMN.items()
}
"""Decisions without inputs (a dossier that goes on) say nothing of contacts and are in none of these."""
# bits: 1 handed over or unknown, 2 delivered, 4 handed over by e-mail, 8 failed by e-mail, 16 failed by another channel
_REACHED: Final = "bitAnd(seen, 1) > 0 AND (bitAnd(seen, 2) > 0 OR (bitAnd(seen, 4) > 0 AND bitAnd(seen, 8) = 0))"
DELIVERIES: Final = {
    by: Query(
        f"invitations by {by} unit",
        f"""
    SELECT {unit}, month, count(), countIf(bitAnd(seen, 24) > 0 AND NOT ({_REACHED})), countIf(bitAnd(seen, 1) > 0), countIf({_REACHED}),
        countIf({_REACHED} AND survey_id IN (
            SELECT survey_id FROM counted WHERE {_ANSWERS} AND {PLACE} = 'away' AND month >= {{month_from:String}}
        ))
    FROM (
        SELECT {unit}, month, survey_id,
            groupBitOr(multiIf(state = 'handed_over' AND channel = 'email', 5, state IN ('handed_over', 'unknown'), 1,
                state = 'delivered', 3, channel = 'email', 8, 16)) AS seen
        FROM delivery
        WHERE purpose = 'invitation' AND state IN ('handed_over', 'unknown', 'delivered', 'failed') AND {upto()}
            AND month >= {{month_from:String}}
        GROUP BY {unit}, month, survey_id
    )
    GROUP BY {unit}, month
    """,  # noqa: S608 - our own names
    )
    for by, unit in UNIT_COLUMN.items()
}


def _gave(reason: str) -> str:
    """Surveys that name a reason for not being satisfied."""
    return f"""survey_id IN (
        SELECT survey_id FROM counted WHERE kind = 'detail' AND revision = 0 AND seq <= {{seq:UInt64}} AND month >= {{month_from:String}}
            AND has(JSONExtract(answers, 'Q7', 'Array(String)'), '{reason}')
    )"""  # noqa: S608 - our own names


SAID: Final = Query(
    "answers and what they say against the record",
    f"""
    SELECT handling_unit, month, field, submission_channel, count(), countIf(in_time), countIf(in_time AND slow), countIf(charges)
    FROM (
        SELECT handling_unit, month, field, submission_channel, timeliness IN ('early', 'on_time') AS in_time, {_gave("slow")} AS slow,
            {_gave("charges")} AS charges
        FROM counted WHERE {_ANSWERS} AND {PLACE} = 'away' AND month >= {{month_from:String}}
    )
    GROUP BY handling_unit, month, field, submission_channel
    """,  # noqa: S608 - our own names
)
FEES: Final = Query(
    "endings with something to pay at the desk",
    f"""
    SELECT handling_unit, toYYYYMM(ended_on) AS number, field, submission_channel, count(),
        countIf(fee_required AND NOT ifNull(paid_online, false))
    FROM ({_FIRST_ENDINGS}) WHERE ended_on >= toDate32({{since:String}})
    GROUP BY handling_unit, number, field, submission_channel
    """,  # noqa: S608 - our own names
)
QUERIES: Final = (VERSION_DECIDED, HEARD_WEEKS, COUNTED_WEEKS, *DECISIONS.values(), *DELIVERIES.values(), SAID, FEES)
"""All of them, for the contract tests against any server."""


class ClickHouseQuality:
    """What ``hailong quality`` looks at. Every method raises Retryable or Permanent."""

    def __init__(self, client: Client, figures: ClickHouseFigures) -> None:
        """``client`` without a session; ``figures``: what was answered and ended is counted there."""
        self._client = client
        self._figures = figures

    def version(self) -> Version:
        """The newest version of all that is read here."""
        decided = {int(partition): int(following) for partition, following in self._rows(VERSION_DECIDED)}
        return self._figures.version() | {DECIDED: decided}

    def seen(self, since: date, version: Version | None = None) -> Seen:
        """All counts at ``version`` (None: now), from the first day of the month of ``since`` on; endings heard of, of all time."""
        at = self.version() if version is None else version
        first, month_from = since.replace(day=1), f"{since:%Y-%m}"
        seq = next((int(as_of) for as_of, _ in self._rows(AS_OF, **binds_of(at, COUNTED))), 0)
        by_handling, by_receiving = (self._figures.figures(Filters(by=by), at).cells for by in BYS)
        heard: dict[str, dict[str, int]] = {}
        for (unit, month), counts in by_handling.items():
            heard.setdefault(unit, {})[month] = counts.ended
        days = {"since": first.isoformat(), **_closed(at)}
        said = self._rows(SAID, seq=seq, month_from=month_from)
        return Seen(
            endings=_weeks(self._rows(HEARD_WEEKS, **days)),
            counted=_weeks(self._rows(COUNTED_WEEKS, seq=seq, since=first.isoformat())),
            handling=self._steps("handling", seq, first, at),
            receiving=self._steps("receiving", seq, first, at),
            said={(unit, month, field, channel): Said(*map(int, counts)) for unit, month, field, channel, *counts in said},
            fees={
                (unit, f"{number // 100}-{number % 100:02d}", field, channel): Fees(int(ended), int(due))
                for unit, number, field, channel, ended, due in self._rows(FEES, **days)
            },
            figures={cell: counts for cell, counts in by_receiving.items() if cell[1] >= month_from},
            heard=heard,
        )

    def _steps(self, by: By, seq: int, first: date, at: Version) -> dict[Cell, Steps]:
        decided = {**binds_of(at, DECIDED, "decided_"), **binds_of(at, CLOSED)}
        cells: dict[Cell, Steps] = {}
        for unit, number, *counts in self._rows(DECISIONS[by], since=first.isoformat(), **decided):
            cells[unit, f"{number // 100}-{number % 100:02d}"] = Steps(*map(int, counts))
        ways = self._rows(DELIVERIES[by], seq=seq, month_from=f"{first:%Y-%m}", **binds_of(at, DELIVERY))
        for unit, month, tried, undeliverable, asked, reached, answered in ways:
            way = {"tried": tried, "undeliverable": undeliverable, "asked": asked, "reached": reached, "answered": answered}
            cells[unit, month] = replace(cells.get((unit, month), Steps()), **{name: int(n) for name, n in way.items()})
        return cells

    def _rows(self, query: Query, **binds: Any) -> list[tuple[Any, ...]]:
        with translated(f"asking ClickHouse for {query.name}"):
            return [tuple(row) for row in self._client.query(query.sql, parameters=binds).result_rows]


def _closed(at: Version) -> dict[str, list[int]]:
    return {**binds_of(at, CLOSED), **binds_of(at, REOPENED, "reopened_")}


def _weeks(rows: Iterable[tuple[str, date, int]]) -> dict[str, dict[date, int]]:
    counts: dict[str, dict[date, int]] = {}
    for unit, week, n in rows:
        counts.setdefault(unit, {})[week] = int(n)
    return counts
