"""Every question of ours to ClickHouse: named, in one place, with binds. Integers come back; no float of a figure is made here.

A *version* is topic → partition → first offset that is left out. Whoever asks twice with one version gets the same integers, also
after a rebuild: within a topic echoes change nothing, because entities are counted, not rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from hailong.domain.scoring import SATISFIED, STEP, Counts, Figures, Filters, Version
from hailong.domain.units import Registry, Targets
from hailong.events import BY_NAME, Predecessor, TargetChanged, UnitChanged
from sinks.clickhouse import strides, tallies
from sinks.clickhouse.connection import translated
from sinks.clickhouse.remembering import Known, Memory

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


# Where the last stride of sums ended is known; only what is newer is looked through. Counted records stand in their order.
def _last(topic: str, table: str) -> str:
    kind = strides.KINDS.get(topic)
    if kind is None:
        return f"SELECT '{topic}' AS topic, _partition, max(_offset) + 1 FROM {table} GROUP BY _partition"  # noqa: S608 - our own names
    newest = f"SELECT argMax(version, block) FROM {kind.table} WHERE shape = '{tallies.MARK}' AND level = 0"  # noqa: S608 - our own names
    known = f"SELECT arrayJoin(mapFilter((place, n) -> startsWith(place, '{topic}/'), ({newest}))) AS one"
    parts = f"SELECT toUInt16(substring(one.1, {len(topic) + 2})) AS _partition, one.2 AS n FROM ({known})"  # noqa: S608 - our own names
    since = f"_offset >= ifNull((SELECT min(n) FROM ({parts}) HAVING count() = {BY_NAME[topic].partitions}), 0)"  # noqa: S608 - our own names
    return f"""
        SELECT '{topic}' AS topic, _partition, max(n) FROM (
            {parts} UNION ALL SELECT _partition, max(_offset) + 1 AS n FROM {table} WHERE {since} GROUP BY _partition
        ) GROUP BY _partition"""  # noqa: S608 - our own names


_LAST_COUNTED: Final = "SELECT 'survey.counted.v1', _partition, _offset + 1 FROM (SELECT * FROM counted ORDER BY seq DESC LIMIT 1)"
_LASTS: Final = [_last(topic, table) for topic, table in _TOPICS.items() if topic != COUNTED]
VERSION: Final = Query("version", " UNION ALL ".join([*_LASTS, _LAST_COUNTED]))
AS_OF: Final = Query(
    "as_of",
    f"SELECT seq, counted_at FROM counted WHERE _offset < arrayMax({{offsets:Array(UInt64)}}) AND {_upto()} ORDER BY seq DESC LIMIT 1",  # noqa: S608 - our own names
)
# The last counted record and the sums that there are, in one question: whoever asks for figures needs both first.
_NO_VERSION: Final = "CAST(map(), 'Map(String, UInt64)')"
BUILT: Final = Query(
    "where the version lies",
    " UNION ALL ".join(
        [
            f"SELECT 'as_of' AS table, toUInt8(0) AS level, seq AS n, {_NO_VERSION} AS version, counted_at FROM ({AS_OF.sql})",  # noqa: S608 - our own names
            *(f"SELECT '{k.table}', *, toDateTime64(0, 6, 'UTC') FROM ({strides.marks(k)})" for k in strides.KINDS.values()),  # noqa: S608 - our own names
            *(
                f"SELECT '{k.table}', level, max(block) + 1, {_NO_VERSION}, toDateTime64(0, 6, 'UTC') FROM {k.table}"  # noqa: S608 - our own names
                f" WHERE shape = '{tallies.MARK}' GROUP BY level"
                for k in (tallies.ANSWERS, tallies.DETAILS)
            ),
        ]
    ),
)
_ERASED: Final = "SELECT survey_id FROM counted WHERE kind = 'retraction' AND reason = 'erased' AND seq <= {seq:UInt64}"
_WITHIN: Final = """
    ({field:String} = '' OR field = {field:String}) AND ({channel:String} = '' OR submission_channel = {channel:String})
"""
_HEARD: Final = _WITHIN + " AND ({mode:String} = '' OR mode = {mode:String})"
_UNIT: Final = {"handling": "handling_unit", "receiving": "receiving_unit"}
# What a cell sums: answers at the place asked for; changed and held ones there and at the desk; what was said at the desk, where that is
# not what is asked for; dossiers ended, people asked and reached. A scale's answers stand in the place of the scores.
_SCORES: Final = ("one", "two", "three", "four", "five")
_CELL: Final = (*_SCORES, "none", "revised", "held", "desk_n", "desk_satisfied", "ended", "asked", "reached")
_POINTS: Final = dict(zip((*_SCORES, "none"), ("1", "2", "3", "4", "5", "null"), strict=True))


def _cells(name: str, unit: str, sources: Sequence[tuple[Mapping[str, str], str]]) -> Query:
    """Sums by unit and month. ``sources``: (measure → expression) over signed rows."""
    parts = [
        f"SELECT {unit}, month, {', '.join(f'{known.get(m, 0)} AS c_{m}' for m in _CELL)} FROM ({rows})"  # noqa: S608 - our own names
        for known, rows in sources
    ]
    sums, some = ", ".join(f"sum(c_{m}) AS t_{m}" for m in _CELL), " OR ".join(f"t_{m} != 0" for m in _CELL)
    return Query(name, f"SELECT {unit}, month, {sums} FROM ({' UNION ALL '.join(parts)}) GROUP BY {unit}, month HAVING {some}")  # noqa: S608 - our own names


_HERE: Final = "place = {place:String}"
_AT_DESK: Final = "place = 'desk'"
_ANSWERED: Final = {
    **{m: f"if({_HERE}, {m}, 0)" for m in (*_SCORES, "none")},
    **{m: f"if({_HERE} OR {_AT_DESK}, {m}, 0)" for m in ("revised", "held")},
    "desk_n": f"if({_AT_DESK} AND NOT {_HERE}, {' + '.join(_SCORES)}, 0)",
    "desk_satisfied": f"if({_AT_DESK} AND NOT {_HERE}, {' + '.join(_SCORES[SATISFIED - 1 :])}, 0)",
}
_AROUND: Final = {k.table: ({m: m for m in k.measures}, strides.signed(k, _WITHIN)) for k in strides.KINDS.values()}
FIGURES: Final = {
    by: _cells(f"figures by {by} unit", unit, [(_ANSWERED, tallies.counted(tallies.ANSWERS, _HEARD)), *_AROUND.values()])
    for by, unit in _UNIT.items()
}
"""The same for each of the two units of a dossier, as all of these."""
_SCALE: Final = {m: f"if({_HERE} AND said = '{said}', times, 0)" for m, said in _POINTS.items()}
_ASKED: Final = _HEARD + " AND question = {question:String}"
SCALES: Final = {
    by: _cells(f"a question by {by} unit", unit, [(_SCALE, tallies.counted(tallies.DETAILS, _ASKED)), *_AROUND.values()])
    for by, unit in _UNIT.items()
}
# What came between two versions, each kind of sums by itself and few things by their names: planning a statement takes longer than
# reading what it asks for.
_SINCE: Final[dict[tuple[str, bool], tuple[Mapping[str, str], str]]] = {
    (tallies.ANSWERS.table, False): (_ANSWERED, tallies.since(tallies.ANSWERS, _HEARD)),
    (tallies.DETAILS.table, False): (_SCALE, tallies.since(tallies.DETAILS, _ASKED)),
    **{
        (k.table, named): ({m: m for m in k.measures}, strides.since(k, _WITHIN, named))
        for k in strides.KINDS.values()
        for named in (False, True)
    },
}
SINCE: Final = {
    (table, named, by): Query(
        f"what came since in {table} by {by} unit{', named' if named else ''}",
        f"SELECT {unit}, month, {', '.join(f'sum({sql}) AS t_{m}' for m, sql in known.items())} FROM ({rows}) GROUP BY {unit}, month",  # noqa: S608 - our own names
    )
    for (table, named), (known, rows) in _SINCE.items()
    for by, unit in _UNIT.items()
}
TOUCHED: Final = {table: Query(f"what was touched in {table}", sql) for table, sql in strides.TOUCHED.items()}
# seq, month and score packed into one number: three times as fast as tuples. Only whole blocks that hold the newest answers are read.
_READ: Final = "(seq > {after:UInt64} OR intDiv(seq - 1, {size:UInt64}) IN {blocks:Array(UInt64)}) AND seq <= {seq:UInt64}"
_PERIOD: Final = "month >= {month_from:String} AND month <= {month_to:String}"
LATEST: Final = {
    by: Query(
        f"latest by {by} unit",
        f"""
        SELECT {unit},
            groupArraySorted({STEP - 1})(-((toInt64(seq) * 1000000 + toInt64(replaceOne(month, '-', ''))) * 8 + ifNull(score, 0)))
        FROM counted
        WHERE kind = 'answer' AND revision = 0 AND {tallies.PLACE} = {{place:String}} AND {_READ}
            AND (empty({{units:Array(String)}}) OR {unit} IN {{units:Array(String)}})
            AND survey_id NOT IN ({_ERASED} AND seq > {{first:UInt64}} AND {_PERIOD}) AND {_PERIOD} AND {_HEARD}
        GROUP BY {unit}
        """,  # noqa: S608 - our own names
    )
    for by, unit in _UNIT.items()
}
_N: Final = " + ".join(("one", "two", "three", "four", "five", "none"))
_LOOKED: Final = 2
"""The level whose blocks are read for the newest answers, where those are not among the newest records."""
HOLDING: Final = {
    by: Query(
        f"blocks with answers by {by} unit",
        f"""
        SELECT {unit}, block, sum({_N}) FROM {tallies.ANSWERS.table}
        WHERE shape = {{shape:String}} AND level = {_LOOKED} AND block < {{end:UInt32}} AND {unit} IN {{units:Array(String)}}
            AND place = {{place:String}} AND {_PERIOD} AND {_HEARD}
        GROUP BY {unit}, block ORDER BY {unit}, block DESC
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
_BY_UNIT: Final = tuple(query for queries in (FIGURES, SCALES, SINCE, LATEST, HOLDING) for query in queries.values())
QUERIES: Final = (VERSION, AS_OF, BUILT, *TOUCHED.values(), *_BY_UNIT, UNITS, TARGETS, COMPLETE)
"""All of them, for the contract tests against any server."""


Answers = tuple[tuple[str, int], ...]
"""Months and scores, the newest first."""
_COUNTS: Final = (COUNTED, CLOSED, REOPENED, DELIVERY)
_LITTLE: Final = 16_384
"""From so many facts on it is quicker to begin with the sums."""


class ClickHouseFigures:
    """The figures of hailong out of ClickHouse. Every method raises Retryable or Permanent."""

    def __init__(self, client: Client, registry_id: str, default_target: float, block: int = tallies.BLOCK) -> None:
        """``client`` without a session: pages ask from many threads. ``block``: of the sums, see ``tallies``."""
        self._block = block
        self._memory = Memory()
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

    def figures(self, filters: Filters, version: Version | None = None, latest_of: Collection[str] | None = None) -> Figures:
        """The counts at ``version`` (None: now), of units as they were: whoever shows them minds ``day``, ``unit`` and ``level``.

        ``latest_of``: the units whose newest answers are wanted (None: all), for figures that move in steps.
        """
        at = self.version() if version is None else version
        wanted = latest_of is None or bool(latest_of)
        with ThreadPoolExecutor(1) as beside:
            newest = beside.submit(self._newest, filters, at, latest_of) if wanted and filters.month_to is None else None
            known = self._known(filters, at)
            answered = known if filters.question is None or not wanted else self._known(replace(filters, question=None), at)
            first = {} if newest is None else newest.result()
        latest = self._latest(answered, filters, latest_of, first) if wanted else {}
        return Figures(known.seq, at, known.counted_at, dict(known.cells), latest)

    def _as_of(self, at: Version) -> tuple[int, datetime | None]:
        ((seq, counted_at),) = self._rows(AS_OF, **_binds(at, COUNTED)) or [(0, None)]
        return int(seq), counted_at

    def _known(self, filters: Filters, at: Version) -> Known:
        """The cells at a version: those known of one before it and what came between, if that is little; else from the sums."""
        question = (filters.by, filters.field, filters.channel, filters.mode, filters.place, filters.question)
        before = self._memory.get(question)
        came = before.since(at, _COUNTS) if before is not None else None
        known = self._counted(filters, at) if before is None or came is None or came > _LITTLE else self._later(before, filters, at)
        self._memory.keep(question, known, _COUNTS)
        return known

    def _counted(self, filters: Filters, at: Version) -> Known:
        built, (seq, counted_at) = self._built(at)
        kind, unit, dims = _answers(filters), _UNIT[filters.by], _dims(filters)
        binds = tallies.cover(kind, seq, built[kind.table].levels, self._block, kind.shape(unit, dims))
        for around in strides.KINDS.values():
            binds |= strides.reach(around, built[around.table], at, around.shape(unit, dims))
        asked = FIGURES if filters.question is None else SCALES
        return Known(at, seq, counted_at, dict(self._sums(asked[filters.by], filters, binds)))

    def _later(self, known: Known, filters: Filters, at: Version) -> Known:
        """What came between, of each kind of facts that did, asked for side by side."""
        asked: list[Callable[[], list[tuple[tuple[str, str], Counts]]]] = []
        for kind in strides.KINDS.values():
            if known.since(at, strides.topics(kind)):
                asked.append(partial(self._since, kind.table, filters, strides.between(kind, known.version, at)))
        with ThreadPoolExecutor(len(strides.KINDS)) as pool:
            beside = [pool.submit(ask) for ask in asked]
            seq, counted_at = self._as_of(at) if known.since(at, (COUNTED,)) else (known.seq, known.counted_at)
            more = self._since(_answers(filters).table, filters, {"tail": known.seq, "seq": seq}) if seq > known.seq else []
            return known.plus(at, seq, counted_at, [*more, *chain.from_iterable(told.result() for told in beside)])

    def _since(self, table: str, filters: Filters, binds: dict[str, Any]) -> list[tuple[tuple[str, str], Counts]]:
        named = False
        if table in TOUCHED:
            touched = self._rows(TOUCHED[table], **binds)
            if not touched:
                return []
            named = len(touched) <= strides.FEW
            binds = binds | (strides.naming(touched) if named else {})
        measures = _SINCE[table, named][0]
        rows = self._rows(SINCE[table, named, filters.by], **binds, **_bound(filters))
        return [((unit, month), _counts(dict(zip(measures, sums, strict=True)))) for unit, month, *sums in rows]

    def _sums(self, query: Query, filters: Filters, binds: dict[str, Any]) -> list[tuple[tuple[str, str], Counts]]:
        with translated(f"asking ClickHouse for {query.name}"):
            columns = self._client.query(query.sql, parameters=binds | _bound(filters)).result_columns
        return [
            ((u, month), Counts((a, b, c, d, e), none, revised, ended, asked, reached, desk, satisfied, held))
            for u, month, a, b, c, d, e, none, revised, held, desk, satisfied, ended, asked, reached in zip(*columns, strict=True)
        ]

    def _built(self, at: Version) -> tuple[dict[str, strides.Built], tuple[int, datetime | None]]:
        """What sums there are up to a version, and its last counted record: number and moment."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        for table, *row in self._rows(BUILT, **_binds(at, COUNTED), **strides.asking(at)):
            found.setdefault(table, []).append(tuple(row))
        kinds = (tallies.ANSWERS, tallies.DETAILS, *strides.KINDS.values())
        ((_, seq, _, counted_at),) = found.get("as_of", [(0, 0, {}, None)])
        return {kind.table: strides.Built.of([row[:3] for row in found.get(kind.table, [])]) for kind in kinds}, (int(seq), counted_at)

    def _newest(self, filters: Filters, at: Version, units: Collection[str] | None) -> dict[str, Answers]:
        """The newest answers among the newest records."""
        seq, _ = self._as_of(at)
        return self._read(seq, filters, units, max(0, seq - (4 if units is None else 1) * self._block))

    def _latest(self, known: Known, filters: Filters, units: Collection[str] | None, first: dict[str, Answers]) -> dict[str, Answers]:
        """The newest answers of each unit: what was found ``first``, then where the sums say that the others lie, then anywhere."""
        answered: dict[str, int] = {}
        for (unit, month), counts in known.cells.items():
            if filters.holds(month) and (units is None or unit in units):
                answered[unit] = answered.get(unit, 0) + counts.answered
        wanted = {unit: min(n, STEP - 1) for unit, n in answered.items() if n > 0}
        found = {unit: answers for unit, answers in first.items() if unit in wanted}
        for anywhere in (False, True):
            lacking = {unit: n for unit, n in wanted.items() if len(found.get(unit, ())) < n}
            if lacking:
                after, blocks = (0, []) if anywhere else self._holding(known.seq, filters, lacking)
                found |= self._read(known.seq, filters, lacking, after, blocks)
        return found

    def _read(
        self, seq: int, filters: Filters, units: Collection[str] | None, after: int, blocks: Sequence[int] = ()
    ) -> dict[str, Answers]:
        size = self._block * tallies.FAN**_LOOKED
        places = {"after": after, "size": size, "blocks": list(blocks), "first": min([after, *(b * size for b in blocks)])}
        asked = {"place": filters.place, "units": list(units or ()), **_period(filters), **_within(filters)}
        rows = self._rows(LATEST[filters.by], seq=seq, **places, **asked)
        return {unit: tuple(_unpacked(-int(one)) for one in packed) for unit, packed in rows}

    def _holding(self, seq: int, filters: Filters, wanted: Mapping[str, int]) -> tuple[int, list[int]]:
        """Blocks that hold the newest answers of units, at least so many as far as the sums tell, and where those after them begin."""
        end = seq // (self._block * tallies.FAN**_LOOKED)
        shape = tallies.ANSWERS.shape(_UNIT[filters.by], _dims(filters))
        binds = {"shape": shape, "end": end, "units": list(wanted), "place": filters.place, **_period(filters), **_within(filters)}
        seen, blocks = dict.fromkeys(wanted, 0), set[int]()
        for unit, block, n in self._rows(HOLDING[filters.by], **binds):
            if seen[unit] < wanted[unit]:
                seen[unit] += int(n)
                blocks.add(int(block))
        return end * self._block * tallies.FAN**_LOOKED, sorted(blocks)

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


def _bound(filters: Filters) -> dict[str, str]:
    return {"place": filters.place, **_within(filters)} | ({} if filters.question is None else {"question": filters.question})


def _counts(told: Mapping[str, int]) -> Counts:
    """Of measures by their names; what is not told is 0."""
    one, two, three, four, five = (told.get(score, 0) for score in _SCORES)
    beside = {name: told.get(name, 0) for name in ("revised", "held", "desk_n", "desk_satisfied", "ended", "asked", "reached")}
    return Counts((one, two, three, four, five), told.get("none", 0), **beside)


def _answers(filters: Filters) -> tallies.Kind:
    return tallies.ANSWERS if filters.question is None else tallies.DETAILS


def _period(filters: Filters) -> dict[str, str]:
    return {"month_from": filters.month_from or "", "month_to": filters.month_to or "9999-99"}


def _dims(filters: Filters) -> dict[str, str | None]:
    """The filters by the names of their columns."""
    return {"field": filters.field, "submission_channel": filters.channel, "mode": filters.mode}


def _within(filters: Filters) -> dict[str, str]:
    return {"field": filters.field or "", "channel": filters.channel or "", "mode": filters.mode or ""}


def _unpacked(packed: int) -> tuple[str, int]:
    return _month(packed // 8 % 1_000_000), packed % 8


def _binds(version: Version, topic: str, prefix: str = "") -> dict[str, list[int]]:
    places = sorted(version.get(topic, {}).items())
    return {f"{prefix}partitions": [p for p, _ in places], f"{prefix}offsets": [o for _, o in places]}
