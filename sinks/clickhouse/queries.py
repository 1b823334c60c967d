"""Every question of ours to ClickHouse: named, in one place, with binds. Integers come back; no float of a figure is made here.

A *version* is topic → partition → first offset that is left out. Whoever asks twice with one version gets the same integers, also
after a rebuild: within a topic echoes change nothing, because entities are counted, not rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from threading import Lock
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from hailong.domain.scoring import SATISFIED, Counts, Figures, Filters, Version
from hailong.domain.telling import Newest
from hailong.domain.units import Registry, Targets
from hailong.events import Predecessor, TargetChanged, UnitChanged
from sinks.clickhouse import checkpoints, closes, tallies
from sinks.clickhouse.closes import aware
from sinks.clickhouse.connection import translated

COUNTED: Final = "survey.counted.v1"
CLOSED: Final = "dossier.closed.v1"
REOPENED: Final = "dossier.reopened.v1"
DELIVERY: Final = "survey.delivery.v1"
UNIT: Final = "unit.changed.v1"
TARGET: Final = "target.changed.v1"
_TOPICS: Final = {UNIT: "unit", TARGET: "target"}


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


# Counted records stand in their order, so that the last one is found at once; of dossiers and surveys see ``checkpoints``.
_LAST: Final = [
    f"SELECT '{topic}' AS topic, _partition, max(_offset) + 1, NULL AS last_seq, NULL AS last_at FROM {table} GROUP BY _partition"  # noqa: S608 - our own names
    for topic, table in _TOPICS.items()
]
_LAST_COUNTED: Final = """
    SELECT 'survey.counted.v1', _partition, _offset + 1, seq AS last_seq, counted_at AS last_at
    FROM (SELECT * FROM counted ORDER BY seq DESC LIMIT 1)
"""
_LAST_KNOWN: Final = " UNION ALL ".join([*_LAST, _LAST_COUNTED])
AS_OF: Final = Query("as_of", f"SELECT seq, counted_at FROM counted WHERE {_upto()} ORDER BY seq DESC LIMIT 1")  # noqa: S608 - our own names
_WITHIN: Final = """
    ({field:String} = '' OR field = {field:String}) AND ({channel:String} = '' OR submission_channel = {channel:String})
"""
_HEARD: Final = _WITHIN + " AND ({mode:String} = '' OR mode = {mode:String})"
_UNIT: Final = {"handling": "handling_unit", "receiving": "receiving_unit"}
_HERE: Final = "place = {place:String}"
_BESIDE: Final = "place = 'desk' AND {place:String} != 'desk'"
_SCORES: Final = ("one", "two", "three", "four", "five")
ANSWERS: Final = {
    (by, whole, few): Query(
        f"answers by {by} unit" + (", of all fields" if whole else "") + (", newest" if few else ""),
        f"""
        SELECT {unit}, month, {", ".join(f"sumIf(t_{score}, {_HERE})" for score in (*_SCORES, "none"))}, sum(t_revised),
            sumIf({" + ".join(f"t_{score}" for score in _SCORES)}, {_BESIDE}),
            sumIf({" + ".join(f"t_{score}" for score in _SCORES[SATISFIED - 1 :])}, {_BESIDE}), sum(t_held)
        FROM ({tallies.summed(kind, (unit, "month", "place"), where, blocks=not few)})
        GROUP BY {unit}, month
        """,  # noqa: S608 - our own names
    )
    for by, unit in _UNIT.items()
    for whole, kind, where in (
        (False, tallies.ANSWERS, f"({_HERE} OR place = 'desk') AND {_HEARD}"),
        (True, tallies.ANSWERS_WHOLE, f"({_HERE} OR place = 'desk')"),
    )
    for few in (False, True)
}
"""By whose unit, whether without filters of field, channel and mode, and whether of so few records that no sums are read: scores of the
class asked for; beside them the desks'."""
SCALES: Final = {
    (by, whole, few): Query(
        f"a question by {by} unit" + (", of all fields" if whole else "") + (", newest" if few else ""),
        f"""
        SELECT {unit}, month, {", ".join(f"sumIf(t_times, said = '{said}')" for said in (1, 2, 3, 4, 5, "null"))}, 0, 0, 0, 0
        FROM ({tallies.summed(kind, (unit, "month", "said"), where, blocks=not few)})
        WHERE said IN ('1', '2', '3', '4', '5', 'null') GROUP BY {unit}, month
        """,  # noqa: S608 - our own names
    )
    for by, unit in _UNIT.items()
    for whole, kind, where in (
        (False, tallies.DETAILS, f"{_HERE} AND question = {{question:String}} AND {_HEARD}"),
        (True, tallies.DETAILS_WHOLE, f"{_HERE} AND question = {{question:String}}"),
    )
    for few in (False, True)
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
_BY_UNIT: Final = tuple(query for queries in (ANSWERS, SCALES) for query in queries.values())
QUERIES: Final = (AS_OF, *_BY_UNIT, UNITS, TARGETS, COMPLETE)
"""All of them, for the contract tests against any server."""


_BY_FACTS: Final = (checkpoints.ENDED, checkpoints.ASKED)
_HELD: Final = 8
"""Of so many different questions the counts are kept."""


_FAR: Final = 2 * checkpoints.STRIDE
"""Facts of a topic between two versions from which on it is quicker to begin from the sums."""


class ClickHouseFigures:
    """The figures of hailong out of ClickHouse. Every method raises Retryable or Permanent."""

    def __init__(self, client: Client, registry_id: str, default_target: float, block: int = tallies.BLOCK) -> None:
        """``client`` without a session: pages ask from many threads. ``block``: of the sums, see ``tallies``."""
        self.block = block
        self._client = client
        self._registry_id = registry_id
        self._default_target = default_target
        self._held: OrderedDict[Filters, Figures] = OrderedDict()
        self._known = dict.fromkeys(_BY_FACTS, checkpoints.Checkpoint(0, ()))
        self._newest: tuple[Mapping[int, int], tuple[int, datetime | None]] = {}, (0, None)
        self._lock = Lock()

    def _rows(self, query: Query, **binds: Any) -> Sequence[Sequence[Any]]:
        with translated(f"asking ClickHouse for {query.name}"):
            return self._client.query(query.sql, parameters=binds).result_rows

    def version(self) -> Version:
        """The newest version there is."""
        version: Version = {topic: {} for topic in (COUNTED, *_TOPICS)}
        parts = [_LAST_KNOWN]
        for kind in _BY_FACTS:
            since = self._known[kind] = checkpoints.last(self._client, kind)[0]
            version |= checkpoints.known_ends(kind, since)
            parts.append(f"SELECT *, NULL AS last_seq, NULL AS last_at FROM ({checkpoints.ends(kind, since)})")  # noqa: S608 - our own names
        for topic, partition, following, seq, moment in self._rows(Query("version", " UNION ALL ".join(parts))):
            version[topic][int(partition)] = int(following)
            if seq is not None:
                self._newest = version[topic], (int(seq), aware(moment))
        return version

    def figures(self, filters: Filters, version: Version | None = None) -> Figures:
        """The counts at ``version`` (None: now), of units as they were: whoever shows them minds ``day``, ``unit`` and ``level``."""
        at = self.version() if version is None else version
        seq, counted_at = self._as_of(at)
        counted = Filters(
            field=filters.field, channel=filters.channel, mode=filters.mode, place=filters.place, question=filters.question, by=filters.by
        )
        with self._lock:
            held = self._held.get(counted)
        if held is None or not _follows(held, seq, at):
            group, within = (_UNIT[filters.by], "month"), _within(filters)
            rows = self._each(
                lambda: self._answers(filters, seq),
                *(partial(checkpoints.summed, self._client, kind, at, group, _WITHIN, within) for kind in _BY_FACTS),
            )
            found = Figures(seq, at, counted_at, _counts(*rows))
        else:
            found = Figures(seq, at, counted_at, _added(held.cells, self._since(held, filters, seq, at)))
        with self._lock:
            if (other := self._held.get(counted)) is None or other.as_of <= seq:
                self._held[counted] = found
                self._held.move_to_end(counted)
            while len(self._held) > _HELD:
                self._held.popitem(last=False)
        return found

    def _since(self, held: Figures, filters: Filters, seq: int, at: Version) -> dict[tuple[str, str], Counts]:
        """What a later version has more than ``held``."""
        group, within = (_UNIT[filters.by], "month"), _within(filters)
        places = held.version, at, group, _WITHIN, within
        rows = self._each(
            lambda: self._answers(filters, seq, held.as_of) if seq > held.as_of else (),
            *(partial(checkpoints.changed, self._client, kind, self._known[kind], *places) for kind in _BY_FACTS),
        )
        return _counts(*rows)

    def _each(self, *asks: Callable[[], Sequence[Sequence[Any]]]) -> list[Sequence[Sequence[Any]]]:
        """Ask for all at once: most of what a question of this size takes is its reading by ClickHouse, one core each."""
        with ThreadPoolExecutor(len(asks)) as side_by_side:
            return list(side_by_side.map(lambda ask: ask(), asks))

    def _as_of(self, at: Version) -> tuple[int, datetime | None]:
        """Number and time of the last counted record of a version."""
        places, found = self._newest
        if places and places == at.get(COUNTED):
            return found
        return next(((int(seq), aware(moment)) for seq, moment in self._rows(AS_OF, **_binds(at, COUNTED))), (0, None))

    def _answers(self, filters: Filters, seq: int, start: int = 0) -> Sequence[Sequence[Any]]:
        """What the records after ``start`` up to ``seq`` say: unit, month, scores, none, revised, of the desk n and satisfied, held."""
        within = _within(filters) | {"place": filters.place}
        whole, few = not (filters.field or filters.channel or filters.mode), 0 < seq - start <= _FAR
        if filters.question is None:
            kind, query = tallies.ANSWERS_WHOLE if whole else tallies.ANSWERS, ANSWERS[filters.by, whole, few]
        else:
            kind, query = tallies.DETAILS_WHOLE if whole else tallies.DETAILS, SCALES[filters.by, whole, few]
            within["question"] = filters.question
        spans = {"start": start, "seq": seq} if few else tallies.cover(seq, tallies.count_built(self._client, kind), self.block, start)
        return self._rows(query, **spans, **within)

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

    def answered_between(self, start: int, moment: datetime) -> tuple[int, dict[tuple[str, str], Counts]]:
        """(last record, what came) by handling unit and month: after record ``start``, counted before ``moment`` (aware)."""
        seq = max(start, closes.counted_before(self._client, moment))
        return seq, _counts(self._answers(Filters(), seq, start))

    def newest(self, month: str, version: Version) -> dict[tuple[str, str], Newest]:
        """Of each unit's months from ``month`` on (empty: all): the newest answers given away from desks, see ``closes``."""
        return closes.newest(self._client, month, self._as_of(version)[0])

    def complete(self) -> bool:
        """Whether the counted records are there from 1 to the last, each once: nothing an archive may lose or double."""
        ((stored, distinct, last),) = self._rows(COMPLETE)
        return bool(stored == distinct == last)


def _counts(
    answers: Iterable[Sequence[Any]], ended: Iterable[Sequence[Any]] = (), asked: Iterable[Sequence[Any]] = ()
) -> dict[tuple[str, str], Counts]:
    """Rows of a unit and a month as counts."""
    endings = {(unit, month): n for unit, month, n in ended}
    reach = {(unit, month): (tried, reached) for unit, month, tried, reached in asked}
    cells: dict[tuple[str, str], Counts] = {}
    for unit, month, a, b, c, d, e, none, revised, desk_n, desk_satisfied, held in answers:
        key = unit, month
        cells[key] = Counts((a, b, c, d, e), none, revised, endings.pop(key, 0), *reach.pop(key, (0, 0)), desk_n, desk_satisfied, held)
    for key in endings.keys() | reach.keys():
        tried, reached = reach.get(key, (0, 0))
        cells[key] = Counts(ended=endings.get(key, 0), asked=tried, reached=reached)
    return cells


def _added(cells: Mapping[tuple[str, str], Counts], more: Mapping[tuple[str, str], Counts]) -> dict[tuple[str, str], Counts]:
    """Both together; a cell in which nothing is left is none."""
    added, nothing = dict(cells), Counts()
    for key, counts in more.items():
        if (sum_ := added.get(key, nothing) + counts) == nothing:
            added.pop(key, None)
        else:
            added[key] = sum_
    return added


def _follows(held: Figures, seq: int, at: Version) -> bool:
    """Whether a version lies after another one, and not far."""
    if not 0 <= seq - held.as_of <= _FAR:
        return False
    for topic in checkpoints.KINDS:
        before, after = held.version.get(topic, {}), at.get(topic, {})
        if any(after.get(p, 0) < offset for p, offset in before.items()) or sum(after.values()) - sum(before.values()) > _FAR:
            return False
    return True


def _within(filters: Filters) -> dict[str, Any]:
    return {"field": filters.field or "", "channel": filters.channel or "", "mode": filters.mode or ""}


def _binds(version: Version, topic: str, prefix: str = "") -> dict[str, list[int]]:
    places = sorted(version.get(topic, {}).items())
    return {f"{prefix}partitions": [p for p, _ in places], f"{prefix}offsets": [o for _, o in places]}
