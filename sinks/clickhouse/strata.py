"""Integer counts by unit, month, field and channel, and what became of every survey: for comparing units and saying why a rate moved.

Conventions of ``queries``: one version gives the same integers for ever. Counts are read off sums; what became of decisions and
surveys off the facts themselves: a month of a province is quick; years of a hundred million answers are not.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from hailong.domain.dispositions import Doing, Seen
from hailong.domain.scoring import Counts, Filters, Version
from hailong.domain.strata import Cell, Strata
from sinks.clickhouse import checkpoints, tallies
from sinks.clickhouse.connection import translated
from sinks.clickhouse.queries import CLOSED, COUNTED, DELIVERY, ClickHouseFigures, Query

DECIDED: Final = "survey.decided.v1"
VERSION_DECIDED: Final = Query("version of decisions read", "SELECT _partition, max(_offset) + 1 FROM decided GROUP BY _partition")
UNIT_COLUMN: Final = {"handling": "handling_unit", "receiving": "receiving_unit"}
ERASED: Final = "SELECT survey_id FROM counted WHERE kind = 'retraction' AND reason = 'erased' AND seq <= {seq:UInt64}"


def upto(prefix: str = "") -> str:
    """Rows within the version, bound by ``binds_of``."""
    return f"_offset < transform(_partition, {{{prefix}partitions:Array(UInt16)}}, {{{prefix}offsets:Array(UInt64)}}, toUInt64(0))"


def binds_of(version: Version, topic: str, prefix: str = "") -> dict[str, list[int]]:
    """Of ``upto``."""
    places = sorted(version.get(topic, {}).items())
    return {f"{prefix}partitions": [p for p, _ in places], f"{prefix}offsets": [o for _, o in places]}


SEQ: Final = Query("last counted record", f"SELECT seq, counted_at FROM counted WHERE {upto()} ORDER BY seq DESC LIMIT 1")  # noqa: S608 - our own names
_WITHIN: Final = "({field:String} = '' OR field = {field:String}) AND ({channel:String} = '' OR submission_channel = {channel:String})"
_HEARD: Final = f"{_WITHIN} AND ({{mode:String}} = '' OR mode = {{mode:String}})"
_MONTHS: Final = "month >= {month_from:String} AND month <= {month_to:String}"
_DAYS: Final = "ended_on >= toDate32({day_from:String}) AND ended_on < toDate32({day_to:String})"
_OF_MONTH: Final = "if({by_month:UInt8} = 1, toString(month), '')"
_MEASURES: Final = ("one", "two", "three", "four", "five", "none")
ANSWERS: Final = {
    by: Query(
        f"answers by {by} unit, field and channel",
        tallies.summed(
            tallies.ANSWERS,
            (unit, f"{_OF_MONTH} AS of_month", "field", "submission_channel"),
            f"place = {{place:String}} AND {_MONTHS} AND {_HEARD}",
            _MEASURES,
        ),
    )
    for by, unit in UNIT_COLUMN.items()
}
_FIRST: Final = f"kind = 'answer' AND revision = 0 AND seq <= {{seq:UInt64}} AND survey_id NOT IN ({ERASED})"
DECISIONS: Final = {
    by: Query(
        f"decisions and their reasons by {by} unit",
        f"""
    SELECT {unit}, formatDateTime(ended_on, '%Y-%m') AS of_month, asked, reason, count()
    FROM (
        SELECT sipHash64(dossier_ref) AS key, asked, reason FROM decided
        WHERE {upto("decided_")} AND decided_on >= toDate32({{day_from:String}})
        ORDER BY dossier_ref, decided_on DESC, _offset DESC LIMIT 1 BY dossier_ref
    ) AS d
    INNER JOIN (
        SELECT dossier_key AS key, {unit}, ended_on FROM closed
        WHERE outcome != 'supplement_requested' AND {upto()} AND {_DAYS} AND {_WITHIN}
        ORDER BY dossier_key, ended_on, _offset LIMIT 1 BY dossier_key
    ) AS c USING key
    GROUP BY {unit}, of_month, asked, reason
    """,  # noqa: S608 - our own names
    )
    for by, unit in UNIT_COLUMN.items()
}
# One row a survey: the steps of its messages and what was counted of it, side by side, then how many look alike.
SURVEYS: Final = {
    by: Query(
        f"what became of surveys by {by} unit",
        f"""
    SELECT of_unit, of_month, state, why, later, answered, done, not_me, call, count() FROM (
        SELECT survey_id, any({unit}) AS of_unit, any(month) AS of_month,
            argMaxIf(step, at_seq, kind = 'invitation') AS state, argMaxIf(said, at_seq, kind = 'invitation' AND step = 'withdrawn') AS why,
            argMaxIf(said, at_seq, kind = 'reminder' AND step = 'withdrawn') AS later,
            max(kind = 'answer') AS answered, max(kind = 'disposition' AND said = 'finished') AS done,
            max(kind = 'disposition' AND said = 'not_me' AND step != 'call') AS not_me,
            argMaxIf(said, at_seq, kind = 'disposition' AND step = 'call') AS call
        FROM (
            SELECT survey_id, {unit}, month, toString(purpose) AS kind, toString(state) AS step, toString(reason) AS said,
                toUInt64(seq) AS at_seq
            FROM delivery WHERE {upto("delivery_")} AND {_MONTHS} AND {_WITHIN}
            UNION ALL
            SELECT survey_id, {unit}, month, toString(kind) AS kind, if(mode = 'call', 'call', '') AS step, toString(reason) AS said, seq
            FROM counted
            WHERE seq <= {{seq:UInt64}} AND {_MONTHS} AND {_WITHIN} AND (
                (kind = 'answer' AND revision = 0 AND survey_id NOT IN ({ERASED}))
                OR (kind = 'disposition' AND ((mode = 'call' AND JSONExtractBool(control, 'final'))
                    OR (reason IN ('finished', 'not_me') AND survey_id NOT IN ({ERASED}))))
            )
        )
        GROUP BY survey_id
    )
    GROUP BY of_unit, of_month, state, why, later, answered, done, not_me, call
    """,  # noqa: S608 - our own names
    )
    for by, unit in UNIT_COLUMN.items()
}
QUERIES: Final = (VERSION_DECIDED, SEQ, *ANSWERS.values(), *DECISIONS.values(), *SURVEYS.values())
"""All of them, for the contract tests against any server."""


class ClickHouseStrata:
    """Strata and surveys out of ClickHouse. Every method raises Retryable or Permanent. ``filters``: period, field, channel, mode, place,
    by; whoever shows them minds ``day``, ``unit`` and ``level``."""

    def __init__(self, client: Client, figures: ClickHouseFigures) -> None:
        """``client`` without a session: pages ask from many threads."""
        self._client = client
        self._figures = figures

    def version(self) -> Version:
        """The newest version of all that is read here."""
        decided = {int(partition): int(following) for partition, following in self._rows(VERSION_DECIDED)}
        return self._figures.version() | {DECIDED: decided}

    def strata(self, filters: Filters, version: Version, *, by_month: bool) -> Strata:
        """The counts of the period. Without ``by_month`` all months are one, named by the empty text: a thirtieth of the cells of some
        years."""
        binds = _binds(filters) | {"by_month": int(by_month)}
        spans = tallies.cover(self._seq(version), tallies.count_built(self._client, tallies.ANSWERS), self._figures.block)
        heard = binds | spans | {"mode": filters.mode or "", "place": filters.place}
        cells: defaultdict[Cell, Counts] = defaultdict(Counts)
        for unit, month, field, channel, *sums in self._rows(ANSWERS[filters.by], **heard):
            one, two, three, four, five, none = map(int, sums)
            cells[unit, month, field, channel] += Counts((one, two, three, four, five), none)
        group = (UNIT_COLUMN[filters.by], f"{_OF_MONTH} AS of_month", "field", "submission_channel")
        rows = checkpoints.summed(self._client, checkpoints.ENDED, version, group, f"{_MONTHS} AND {_WITHIN}", binds)
        for unit, month, field, channel, ended in rows:
            cells[unit, month, field, channel] += Counts(ended=int(ended))
        return Strata(dict(cells))

    def decisions(self, filters: Filters, version: Version) -> dict[tuple[str, str], dict[str | None, int]]:
        """(unit, month) → reason for not asking → dossiers; None: to be asked."""
        places = {**binds_of(version, DECIDED, "decided_"), **binds_of(version, CLOSED)}
        found: defaultdict[tuple[str, str], dict[str | None, int]] = defaultdict(dict)
        for unit, month, asked, reason, n in self._rows(DECISIONS[filters.by], **_binds(filters), **places):
            why = None if asked else reason
            found[unit, month][why] = found[unit, month].get(why, 0) + int(n)
        return dict(found)

    def surveys(self, filters: Filters, version: Version) -> dict[tuple[str, str], dict[Seen, int]]:
        """(unit, month) → what was seen of a survey → how many."""
        places = binds_of(version, DELIVERY, "delivery_")
        found: defaultdict[tuple[str, str], dict[Seen, int]] = defaultdict(dict)
        rows = self._rows(SURVEYS[filters.by], seq=self._seq(version), **_binds(filters), **places)
        for unit, month, state, why, later, answered, done, not_me, call, n in rows:
            doing: list[Doing] = []
            if answered:
                doing.append("finished" if done else "started")
            if not_me:
                doing.append("not_me")
            seen = Seen(state or None, tuple(filter(None, (why, later))), tuple(doing), call or None)
            found[unit, month][seen] = found[unit, month].get(seen, 0) + int(n)
        return dict(found)

    def as_of(self, version: Version) -> tuple[int, datetime | None]:
        """Number and time of the last counted record; 0 and None without one."""
        return next(((int(seq), at) for seq, at in self._rows(SEQ, **binds_of(version, COUNTED))), (0, None))

    def _seq(self, version: Version) -> int:
        return self.as_of(version)[0]

    def _rows(self, query: Query, **binds: Any) -> list[tuple[Any, ...]]:
        with translated(f"asking ClickHouse for {query.name}"):
            return [tuple(row) for row in self._client.query(query.sql, parameters=binds).result_rows]


def _binds(filters: Filters) -> dict[str, Any]:
    last = filters.month_to or "2199-12"
    year, month = int(last[:4]), int(last[5:7])
    return {
        "field": filters.field or "", "channel": filters.channel or "", "month_from": filters.month_from or "", "month_to": last,
        "day_from": f"{filters.month_from or '1900-01'}-01", "day_to": f"{year + month // 12:04d}-{month % 12 + 1:02d}-01",
    }  # fmt: skip
