"""Every question of ours to ClickHouse: named, in one place, with binds. Integers come back; no float of a figure is made here.

A *version* is topic → partition → first offset that is left out. Whoever asks twice with one version gets the same integers, also
after a rebuild: within a topic echoes change nothing, because entities are counted, not rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from hailong.domain.scoring import SATISFIED, STEP, Counts, Figures, Filters, Version
from hailong.domain.telling import Newest
from hailong.domain.units import Registry, Targets
from hailong.events import Predecessor, TargetChanged, UnitChanged
from sinks.clickhouse import closes, tallies
from sinks.clickhouse.closes import aware
from sinks.clickhouse.connection import translated

COUNTED: Final = "survey.counted.v1"
CLOSED: Final = "dossier.closed.v1"
REOPENED: Final = "dossier.reopened.v1"
DELIVERY: Final = "survey.delivery.v1"
UNIT: Final = "unit.changed.v1"
TARGET: Final = "target.changed.v1"
_TOPICS: Final = {COUNTED: "counted", CLOSED: "closed", REOPENED: "reopened", DELIVERY: "delivery", UNIT: "unit", TARGET: "target"}


_ALIASES: Final = msgspec.json.Decoder(list[str])
_PREDECESSORS: Final = msgspec.json.Decoder(list[Predecessor])


@dataclass(frozen=True)
class Query:
    """A question: its name and its SQL."""

    name: str
    sql: str


def _upto(prefix: str = "") -> str:
    """Rows within the version, bound as two arrays of the topic's partitions and their offsets."""
    return f"_offset < transform(_partition, {{{prefix}partitions:Array(UInt16)}}, {{{prefix}offsets:Array(UInt64)}}, toUInt64(0))"


# Counted records stand in their order, so that the last one is found at once.
_LAST: Final = [
    f"SELECT '{topic}' AS topic, _partition, max(_offset) + 1 FROM {table} GROUP BY _partition"  # noqa: S608 - our own names
    for topic, table in _TOPICS.items()
    if topic != COUNTED
]
_LAST_COUNTED: Final = "SELECT 'survey.counted.v1', _partition, _offset + 1 FROM (SELECT * FROM counted ORDER BY seq DESC LIMIT 1)"
VERSION: Final = Query("version", " UNION ALL ".join([*_LAST, _LAST_COUNTED]))
AS_OF: Final = Query("as_of", f"SELECT seq, counted_at FROM counted WHERE {_upto()} ORDER BY seq DESC LIMIT 1")  # noqa: S608 - our own names
_ERASED: Final = "SELECT survey_id FROM counted WHERE kind = 'retraction' AND reason = 'erased' AND seq <= {seq:UInt64}"
_WITHIN: Final = """
    ({field:String} = '' OR field = {field:String}) AND ({channel:String} = '' OR submission_channel = {channel:String})
"""
_HEARD: Final = _WITHIN + " AND ({mode:String} = '' OR mode = {mode:String})"
_UNIT: Final = {"handling": "handling_unit", "receiving": "receiving_unit"}
ANSWERS: Final = {
    by: Query(f"answers by {by} unit", tallies.summed(tallies.ANSWERS, (unit, "month", "place"), _HEARD)) for by, unit in _UNIT.items()
}
"""The same for each of the two units of a dossier, as all of these."""
SCALES: Final = {
    by: Query(
        f"a question by {by} unit",
        tallies.summed(tallies.DETAILS, (unit, "month", "place", "said"), _HEARD + " AND question = {question:String}"),
    )
    for by, unit in _UNIT.items()
}
# seq, month and score packed into one number: three times as fast as tuples.
LATEST: Final = {
    by: Query(
        f"latest by {by} unit",
        f"""
        SELECT {unit},
            groupArraySorted({STEP - 1})(-((toInt64(seq) * 1000000 + toInt64(replaceOne(month, '-', ''))) * 8 + ifNull(score, 0)))
        FROM counted
        WHERE kind = 'answer' AND revision = 0 AND {tallies.PLACE} = {{place:String}} AND seq <= {{seq:UInt64}}
            AND survey_id NOT IN ({_ERASED}) AND month >= {{month_from:String}} AND month <= {{month_to:String}} AND {_HEARD}
        GROUP BY {unit}
        """,  # noqa: S608 - our own names
    )
    for by, unit in _UNIT.items()
}
# Dossiers of which the last thing heard is that they go on. Both facts know the day only: on the same day the number of acts decides.
_GOES_ON: Final = f"""
    SELECT sipHash64(dossier_ref)
    FROM (
        SELECT dossier_ref, max(reopened_on) AS again, uniqExact(event_id) AS times
        FROM reopened WHERE {_upto("reopened_")} GROUP BY dossier_ref
    ) AS r
    INNER JOIN (
        SELECT dossier_ref, max(ended_on) AS last, uniqExact(event_id) AS endings
        FROM closed WHERE dossier_ref IN (SELECT dossier_ref FROM reopened WHERE {_upto("reopened_")}) AND {_upto()} GROUP BY dossier_ref
    ) AS c USING dossier_ref
    WHERE again > last OR (again = last AND times >= endings)
"""  # noqa: S608 - our own names
# One ending a dossier, the first: 9, then 10 is one. Almost all dossiers have a single act, so only the others are sorted out one by one.
# Two of ten million dossiers share a key with a chance of 3 in a million.
_ENDINGS: Final = f"outcome != 'supplement_requested' AND {_upto()} AND dossier_key NOT IN ({_GOES_ON})"
_SEVERAL: Final = f"""
    SELECT dossier_key FROM closed WHERE outcome != 'supplement_requested' AND {_upto()} GROUP BY dossier_key HAVING count() > 1
"""  # noqa: S608 - our own names
ENDED: Final = {
    by: Query(
        f"ended by {by} unit",
        f"""
    SELECT {unit}, toYYYYMM(ended_on) AS month, count()
    FROM closed WHERE {_ENDINGS} AND {_WITHIN} AND dossier_key NOT IN ({_SEVERAL})
    GROUP BY {unit}, month
    UNION ALL
    SELECT {unit}, toYYYYMM(ended_on) AS month, count()
    FROM (
        SELECT {unit}, ended_on, field, submission_channel FROM closed WHERE {_ENDINGS} AND dossier_key IN ({_SEVERAL})
        ORDER BY dossier_key, ended_on, _offset LIMIT 1 BY dossier_key
    )
    WHERE {_WITHIN}
    GROUP BY {unit}, month
    """,  # noqa: S608 - our own names
    )
    for by, unit in _UNIT.items()
}
# bits: 1 handed over or unknown, 2 delivered, 4 handed over by e-mail, 8 failed by e-mail (another channel may have failed before it)
ASKED: Final = {
    by: Query(
        f"asked by {by} unit",
        f"""
    SELECT {unit}, month, countIf(bitAnd(seen, 1) > 0),
        countIf(bitAnd(seen, 1) > 0 AND (bitAnd(seen, 2) > 0 OR (bitAnd(seen, 4) > 0 AND bitAnd(seen, 8) = 0)))
    FROM (
        SELECT {unit}, month, survey_id,
            groupBitOr(multiIf(state = 'handed_over' AND channel = 'email', 5, state IN ('handed_over', 'unknown'), 1,
                state = 'delivered', 3, channel = 'email', 8, 0)) AS seen
        FROM delivery
        WHERE purpose = 'invitation' AND state IN ('handed_over', 'unknown', 'delivered', 'failed') AND {_upto()} AND {_WITHIN}
        GROUP BY {unit}, month, survey_id
    )
    GROUP BY {unit}, month
    """,  # noqa: S608 - our own names
    )
    for by, unit in _UNIT.items()
}
UNITS: Final = Query(
    "units",
    f"""
    SELECT event_id, code, name, level, parent, valid_from, valid_to, seq, kind, gso, aliases, predecessors, source
    FROM unit WHERE {_upto()}
    ORDER BY code, valid_from, seq, _offset
    """,  # noqa: S608 - our own names
)
TARGETS: Final = Query(
    "targets",
    f"""
    SELECT event_id, value, unit, valid_from, valid_to, source, seq, field, channel, question FROM target WHERE {_upto()}
    ORDER BY unit, valid_from, seq, _offset
    """,  # noqa: S608 - our own names
)
COMPLETE: Final = Query("complete", "SELECT count(), uniqExact(seq), max(seq) FROM counted")
_BY_UNIT: Final = tuple(query for queries in (ANSWERS, SCALES, LATEST, ENDED, ASKED) for query in queries.values())
QUERIES: Final = (VERSION, AS_OF, *_BY_UNIT, UNITS, TARGETS, COMPLETE)
"""All of them, for the contract tests against any server."""


class ClickHouseFigures:
    """The figures of hailong out of ClickHouse. Every method raises Retryable or Permanent."""

    def __init__(self, client: Client, registry_id: str, default_target: float, block: int = tallies.BLOCK) -> None:
        """``client`` without a session: pages ask from many threads. ``block``: of the sums, see ``tallies``."""
        self._block = block
        self._client = client
        self._registry_id = registry_id
        self._default_target = default_target

    def _rows(self, query: Query, **binds: Any) -> list[tuple[Any, ...]]:
        with translated(f"asking ClickHouse for {query.name}"):
            return [tuple(row) for row in self._client.query(query.sql, parameters=binds).result_rows]

    def version(self) -> Version:
        """The newest version there is."""
        version: Version = {topic: {} for topic in _TOPICS}
        for topic, partition, following in self._rows(VERSION):
            version[topic][int(partition)] = int(following)
        return version

    def figures(self, filters: Filters, version: Version | None = None) -> Figures:
        """The counts at ``version`` (None: now), of units as they were: whoever shows them minds ``day``, ``unit`` and ``level``."""
        at = self.version() if version is None else version
        ((as_of, counted_at),) = self._rows(AS_OF, **_binds(at, COUNTED)) or [(0, None)]
        seq, within = int(as_of), _within(filters)
        cells = self._answers(seq, filters, within)
        for unit, number, ended in self._rows(ENDED[filters.by], **_binds(at, CLOSED), **_binds(at, REOPENED, "reopened_"), **within):
            month = _month(number)
            cells[unit, month] = cells.get((unit, month), Counts()) + Counts(ended=ended)
        for unit, month, asked, reached in self._rows(ASKED[filters.by], **_binds(at, DELIVERY), **within):
            cells[unit, month] = cells.get((unit, month), Counts()) + Counts(asked=asked, reached=reached)
        months = {"month_from": filters.month_from or "", "month_to": filters.month_to or "9999-99"}
        newest = self._rows(LATEST[filters.by], seq=seq, place=filters.place, **within, **months)
        latest = {unit: tuple(_unpacked(-int(packed)) for packed in answers) for unit, answers in newest}
        return Figures(seq, at, aware(counted_at) if seq else None, cells, latest)

    def _answers(self, seq: int, filters: Filters, within: dict[str, str]) -> dict[tuple[str, str], Counts]:
        """What was answered at ``filters.place`` as scores, what was said elsewhere beside it."""
        cells: dict[tuple[str, str], Counts] = {}
        if filters.question is not None:
            binds = tallies.cover(seq, tallies.count_built(self._client, tallies.DETAILS), self._block)
            for unit, month, place, said, times in self._rows(SCALES[filters.by], **binds, **within, question=filters.question):
                if place == filters.place:
                    cells[unit, month] = cells.get((unit, month), Counts()) + _said(said, int(times))
            return cells
        binds = tallies.cover(seq, tallies.count_built(self._client, tallies.ANSWERS), self._block)
        for unit, month, place, *sums in self._rows(ANSWERS[filters.by], **binds, **within):
            one, two, three, four, five, none, revised, held = map(int, sums)
            scores = (one, two, three, four, five)
            if place == filters.place:
                found = Counts(scores, none, revised, held=held)
            elif place == "desk":
                found = Counts(revised=revised, desk_n=sum(scores), desk_satisfied=sum(scores[SATISFIED - 1 :]), held=held)
            else:
                continue
            cells[unit, month] = cells.get((unit, month), Counts()) + found
        return cells

    def registry(self, version: Version | None = None) -> Registry:
        """The units, with all their dated rows."""
        at = self.version() if version is None else version
        rows = self._rows(UNITS, **_binds(at, UNIT))
        return Registry(
            UnitChanged(
                event_id=event_id, registry_id=self._registry_id, code=code, name=name, level=level, parent=parent or None,
                valid_from=valid_from, valid_to=valid_to, seq=seq, kind=kind, gso=gso or None,
                aliases=_ALIASES.decode(aliases or "[]"), predecessors=_PREDECESSORS.decode(predecessors or "[]"), source=source,
            )
            for event_id, code, name, level, parent, valid_from, valid_to, seq, kind, gso, aliases, predecessors, source in rows
        )  # fmt: skip

    def targets(self, version: Version | None = None) -> Targets:
        """The targets, with all their dated rows."""
        at = self.version() if version is None else version
        rows = self._rows(TARGETS, **_binds(at, TARGET))
        return Targets(
            self._default_target,
            (
                TargetChanged(
                    event_id=event_id, registry_id=self._registry_id, value=value, unit=unit or None,
                    valid_from=valid_from, valid_to=valid_to, source=source, seq=seq,
                    field=field or None, channel=channel or None, question=question or None,
                )
                for event_id, value, unit, valid_from, valid_to, source, seq, field, channel, question in rows
            ),
        )  # fmt: skip

    def began(self, version: Version) -> datetime | None:
        """When the first record was counted; None while there is none in ``version``."""
        return closes.began(self._client) if sum(version.get(COUNTED, {}).values()) else None

    def answered_until(self, moment: datetime) -> tuple[int, dict[tuple[str, str], Counts]]:
        """(last record, answers by handling unit and month) of what was counted before ``moment`` (aware)."""
        at = {COUNTED: closes.counted_before(self._client, moment)}
        ((seq, _),) = self._rows(AS_OF, **_binds(at, COUNTED)) or [(0, None)]
        return int(seq), self._answers(int(seq), Filters(), _within(Filters())) if seq else {}

    def newest(self, month: str, version: Version) -> dict[tuple[str, str], Newest]:
        """Of each unit's months from ``month`` on (empty: all): the newest answers given away from desks, see ``closes``."""
        return closes.newest(self._client, month, version.get(COUNTED, {}))

    def complete(self) -> bool:
        """Whether the counted records are there from 1 to the last, each once: nothing an archive may lose or double."""
        ((stored, distinct, last),) = self._rows(COMPLETE)
        return bool(stored == distinct == last)


def _month(number: int) -> str:
    """202403 → ``2024-03``."""
    return f"{number // 100:04d}-{number % 100:02d}"


def _said(said: str, times: int) -> Counts:
    """An option of a scale, as counts of it."""
    if said == "null":
        return Counts(not_applicable=times)
    one, two, three, four, five = (times if said == str(score) else 0 for score in range(1, 6))
    return Counts((one, two, three, four, five))


def _within(filters: Filters) -> dict[str, str]:
    return {"field": filters.field or "", "channel": filters.channel or "", "mode": filters.mode or ""}


def _unpacked(packed: int) -> tuple[str, int]:
    return _month(packed // 8 % 1_000_000), packed % 8


def _binds(version: Version, topic: str, prefix: str = "") -> dict[str, list[int]]:
    places = sorted(version.get(topic, {}).items())
    return {f"{prefix}partitions": [p for p, _ in places], f"{prefix}offsets": [o for _, o in places]}
