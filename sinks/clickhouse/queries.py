"""Every question of ours to ClickHouse: named, in one place, with binds. Integers come back; no float of a figure is made here.

A *version* is topic → partition → first offset that is left out. Whoever asks twice with one version gets the same integers, also
after a rebuild: within a topic echoes change nothing, because entities are counted, not rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from hailong.domain.scoring import SATISFIED, STEP, Counts, Figures, Filters, Version
from hailong.domain.units import Registry, Targets
from hailong.events import Predecessor, TargetChanged, UnitChanged
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


VERSION: Final = Query(
    "version",
    " UNION ALL ".join(
        f"SELECT '{topic}' AS topic, _partition, max(_offset) + 1 FROM {table} GROUP BY _partition"  # noqa: S608 - our own names
        for topic, table in _TOPICS.items()
    ),
)
AS_OF: Final = Query("as_of", f"SELECT max(seq), max(counted_at) FROM counted WHERE {_upto()}")  # noqa: S608 - our own names
_ERASED: Final = f"SELECT survey_id FROM counted WHERE kind = 'retraction' AND reason = 'erased' AND {_upto()}"  # noqa: S608
# What a person let go was held before; what a person confirmed is held no more and never counts.
_HELD: Final = f"""
    kind = 'held' AND revision = 0 AND {_upto()} AND survey_id NOT IN
        (SELECT survey_id FROM counted WHERE {_upto()} AND (kind = 'answer' OR (kind = 'disposition' AND reason = 'confirmed')))
"""  # noqa: S608 - our own names
ANSWERS: Final = Query(
    "answers",
    f"""
    SELECT handling_unit, month, countIf(away AND score = 1), countIf(away AND score = 2), countIf(away AND score = 3),
        countIf(away AND score = 4), countIf(away AND score = 5), countIf(away AND isNull(score)),
        countIf(kind = 'answer' AND revision > 0),
        countIf(desk AND score >= 1), countIf(desk AND score >= {SATISFIED}), countIf({_HELD})
    FROM (
        SELECT *, kind = 'answer' AND revision = 0 AND place != 'desk' AS away, kind = 'answer' AND revision = 0 AND place = 'desk' AS desk
        FROM counted
        WHERE kind IN ('answer', 'held') AND {_upto()} AND survey_id NOT IN ({_ERASED})
    )
    GROUP BY handling_unit, month
    """,  # noqa: S608 - our own names
)
# seq, month and score packed into one number: three times as fast as tuples.
LATEST: Final = Query(
    "latest",
    f"""
    SELECT handling_unit,
        groupArraySorted({STEP - 1})(-((toInt64(seq) * 1000000 + toInt64(replaceOne(month, '-', ''))) * 8 + ifNull(score, 0)))
    FROM counted
    WHERE kind = 'answer' AND revision = 0 AND place != 'desk' AND {_upto()} AND survey_id NOT IN ({_ERASED})
        AND month >= {{month_from:String}} AND month <= {{month_to:String}}
    GROUP BY handling_unit
    """,  # noqa: S608 - our own names
)
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
ENDED: Final = Query(
    "ended",
    f"""
    SELECT handling_unit, toYYYYMM(ended_on) AS month, count()
    FROM closed WHERE {_ENDINGS} AND dossier_key NOT IN ({_SEVERAL})
    GROUP BY handling_unit, month
    UNION ALL
    SELECT handling_unit, toYYYYMM(ended_on) AS month, count()
    FROM (
        SELECT handling_unit, ended_on FROM closed WHERE {_ENDINGS} AND dossier_key IN ({_SEVERAL})
        ORDER BY dossier_key, ended_on, _offset LIMIT 1 BY dossier_key
    )
    GROUP BY handling_unit, month
    """,  # noqa: S608 - our own names
)
# bits: 1 handed over or unknown, 2 delivered, 4 handed over by e-mail, 8 failed by e-mail (another channel may have failed before it)
ASKED: Final = Query(
    "asked",
    f"""
    SELECT handling_unit, month, countIf(bitAnd(seen, 1) > 0),
        countIf(bitAnd(seen, 1) > 0 AND (bitAnd(seen, 2) > 0 OR (bitAnd(seen, 4) > 0 AND bitAnd(seen, 8) = 0)))
    FROM (
        SELECT handling_unit, month, survey_id,
            groupBitOr(multiIf(state = 'handed_over' AND channel = 'email', 5, state IN ('handed_over', 'unknown'), 1,
                state = 'delivered', 3, channel = 'email', 8, 0)) AS seen
        FROM delivery
        WHERE purpose = 'invitation' AND state IN ('handed_over', 'unknown', 'delivered', 'failed') AND {_upto()}
        GROUP BY handling_unit, month, survey_id
    )
    GROUP BY handling_unit, month
    """,  # noqa: S608 - our own names
)
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
QUERIES: Final = (VERSION, AS_OF, ANSWERS, LATEST, ENDED, ASKED, UNITS, TARGETS, COMPLETE)
"""All of them, for the contract tests against any server."""


class ClickHouseFigures:
    """The figures of hailong out of ClickHouse. Every method raises Retryable or Permanent."""

    def __init__(self, client: Client, registry_id: str, default_target: float) -> None:
        """``client`` without a session: pages ask from many threads."""
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
        """The counts at ``version`` (None: now)."""
        at = self.version() if version is None else version
        ((as_of, counted_at),) = self._rows(AS_OF, **_binds(at, COUNTED))
        months = {"month_from": filters.month_from or "", "month_to": filters.month_to or "9999-99"}
        cells: dict[tuple[str, str], Counts] = {}
        for unit, month, one, two, three, four, five, none, revised, desk, content, held in self._rows(ANSWERS, **_binds(at, COUNTED)):
            scores = (one, two, three, four, five)
            cells[unit, month] = Counts(scores, none, revised, desk_n=desk, desk_satisfied=content, held=held)
        for unit, number, ended in self._rows(ENDED, **_binds(at, CLOSED), **_binds(at, REOPENED, "reopened_")):
            month = _month(number)
            cells[unit, month] = cells.get((unit, month), Counts()) + Counts(ended=ended)
        for unit, month, asked, reached in self._rows(ASKED, **_binds(at, DELIVERY)):
            cells[unit, month] = cells.get((unit, month), Counts()) + Counts(asked=asked, reached=reached)
        newest = self._rows(LATEST, **_binds(at, COUNTED), **months)
        latest = {unit: tuple(_unpacked(-int(packed)) for packed in answers) for unit, answers in newest}
        return Figures(int(as_of), at, counted_at if as_of else None, cells, latest)

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

    def complete(self) -> bool:
        """Whether the counted records are there from 1 to the last, each once: nothing an archive may lose or double."""
        ((stored, distinct, last),) = self._rows(COMPLETE)
        return bool(stored == distinct == last)


def _month(number: int) -> str:
    """202403 → ``2024-03``."""
    return f"{number // 100:04d}-{number % 100:02d}"


def _unpacked(packed: int) -> tuple[str, int]:
    return _month(packed // 8 % 1_000_000), packed % 8


def _binds(version: Version, topic: str, prefix: str = "") -> dict[str, list[int]]:
    places = sorted(version.get(topic, {}).items())
    return {f"{prefix}partitions": [p for p, _ in places], f"{prefix}offsets": [o for _, o in places]}
