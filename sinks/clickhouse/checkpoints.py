"""Sums over dossiers and surveys, of which several facts may tell: so that a figure costs a few blocks however many facts there are.

What a dossier counts for depends on all its facts up to a version, so facts cannot be summed one by one. A *checkpoint* is a version of
the topics. It holds what counting changed since the checkpoint before: for each dossier that has facts between the two, what it counts
for now less what it counted for then. Any version is all changes up to the last checkpoint before it, and the change from there. The
changes of ``FAN`` checkpoints are summed again, level by level, as in ``tallies``.

The earlier facts of a dossier are found in a copy sorted by dossier; facts themselves stand as they came. Facts that stand there twice
change nothing: a dossier is counted, not its rows. So whatever was interrupted, also after the copy, is simply done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from hailong.domain.scoring import Version
from sinks.clickhouse.connection import translated
from sinks.clickhouse.tallies import FAN, LEVELS, ONE_PART, cover

STRIDE: Final = 2_048
"""Facts from one checkpoint to the next at least; how many a question may have to read itself."""
_MOST: Final = 1_000_000
"""Facts of one partition in one checkpoint at most, when there is much to catch up with."""
DIMENSIONS: Final = ("handling_unit", "receiving_unit", "month", "field", "submission_channel")
_DIMS: Final = ", ".join(DIMENSIONS)
_PLACES: Final = ("partitions", "offsets", "more_partitions", "more_offsets")
CLOSED: Final = "dossier.closed.v1"
REOPENED: Final = "dossier.reopened.v1"
DELIVERY: Final = "survey.delivery.v1"
Places = Mapping[int, int]
"""Partition → first offset that is left out."""

_ACTS: Final = "dossier_key, act, _partition, _offset, event, day, ends, handling_unit, receiving_unit, field, submission_channel"
_CLOSED_ACTS: Final = """
    SELECT dossier_key, toInt8(0) AS act, _partition, _offset, sipHash64(event_id) AS event, ended_on AS day,
        toBool(outcome != 'supplement_requested') AS ends, handling_unit, receiving_unit, field, submission_channel
    FROM closed WHERE {span}"""
_REOPENED_ACTS: Final = """
    SELECT sipHash64(dossier_ref) AS dossier_key, toInt8(1) AS act, _partition, _offset, sipHash64(event_id) AS event, reopened_on AS day,
        toBool(0) AS ends, '' AS handling_unit, '' AS receiving_unit, '' AS field, '' AS submission_channel
    FROM reopened WHERE {span}"""
_STEPS: Final = "survey_key, _partition, _offset, seen, handling_unit, receiving_unit, month, field, submission_channel"
# bits: 1 handed over or unknown, 2 delivered, 4 handed over by e-mail, 8 failed by e-mail (another channel may have failed before it)
_DELIVERY_STEPS: Final = """
    SELECT sipHash64(survey_id) AS survey_key, _partition, _offset,
        toUInt8(multiIf(state = 'handed_over' AND channel = 'email', 5, state IN ('handed_over', 'unknown'), 1,
            state = 'delivered', 3, channel = 'email', 8, 0)) AS seen,
        handling_unit, receiving_unit, month, field, submission_channel
    FROM delivery
    WHERE purpose = 'invitation' AND state IN ('handed_over', 'unknown', 'delivered', 'failed') AND {span}"""


# Each row stands for `side` 1, what is counted now, and unless it came late also for 0, what was counted before. Of which cell a dossier
# is: of its first ending; 9, then 10 is one. It has ended unless the last thing heard is that it goes on; both facts know the day only: on
# the same day the number of acts decides. Two of ten million dossiers share a key with a chance of 3 in a million.
_SIDES: Final = "(SELECT *, arrayJoin(if(late = 1, [1], [0, 1])) AS side FROM {rows})"
_ENDED: Final = f"""
    SELECT toString(cell.1) AS handling_unit, toString(cell.2) AS receiving_unit, formatDateTime(cell.3, '%Y-%m') AS month,
        toString(cell.4) AS field, toString(cell.5) AS submission_channel, toInt64(if(side = 1, 1, -1)) AS ended
    FROM (
        SELECT side, argMinIf(tuple(handling_unit, receiving_unit, day, field, submission_channel), tuple(day, _offset), ends) AS cell,
            countIf(ends) AS endings, maxIf(day, act = 0) AS closed_on, uniqExactIf(event, act = 0) AS times_closed,
            countIf(act = 1) AS again, maxIf(day, act = 1) AS again_on, uniqExactIf(event, act = 1) AS times_again
        FROM {_SIDES} GROUP BY dossier_key, side
    )
    WHERE endings > 0 AND NOT (again > 0 AND (again_on > closed_on OR (again_on = closed_on AND times_again >= times_closed)))"""  # noqa: S608 - our own names
_ASKED: Final = f"""
    SELECT {", ".join(f"toString({d}) AS {d}" for d in DIMENSIONS)}, toInt64(if(side = 1, 1, -1)) AS asked,
        if(bitAnd(steps, 2) > 0 OR bitAnd(steps, 12) = 4, asked, 0) AS reached
    FROM (SELECT side, {_DIMS}, groupBitOr(seen) AS steps FROM {_SIDES} GROUP BY survey_key, side, {_DIMS})
    WHERE bitAnd(steps, 1) > 0"""  # noqa: S608 - our own names


@dataclass(frozen=True)
class Kind:
    """What is counted: ``table`` of its sums, ``copy`` of its facts sorted by ``key``, and the facts of each topic."""

    table: str
    copy: str
    key: str
    columns: str
    facts: tuple[tuple[str, str, str], ...]
    """(topic, table, rows of a span of it); one or two."""
    changes: str
    measures: tuple[str, ...]


ENDED: Final = Kind(
    "tally_ended", "dossier_act", "dossier_key", _ACTS,
    ((CLOSED, "closed", _CLOSED_ACTS), (REOPENED, "reopened", _REOPENED_ACTS)), _ENDED, ("ended",),
)  # fmt: skip
ASKED: Final = Kind(
    "tally_asked", "invitation_step", "survey_key", _STEPS, ((DELIVERY, "delivery", _DELIVERY_STEPS),), _ASKED, ("asked", "reached")
)  # fmt: skip
KINDS: Final = {topic: kind for kind in (ENDED, ASKED) for topic, _, _ in kind.facts}
"""By the topic of its facts."""


@dataclass(frozen=True)
class Checkpoint:
    """``number`` of them lie at or before it, from 1; 0: none. ``at``: of each topic of the kind."""

    number: int
    at: tuple[Places, ...]


def _span(first: Places, end: Places) -> str:
    """Rows from ``first`` on and before ``end``, so that the order of the table is used. Only numbers go into it."""
    spans = [(p, first.get(p, 0), following) for p, following in sorted(end.items()) if following > first.get(p, 0)]
    return " OR ".join(f"(_partition = {p:d} AND _offset >= {a:d} AND _offset < {b:d})" for p, a, b in spans) or "0"


def _beyond(first: Places) -> str:
    """Rows from ``first`` on, of every partition."""
    known = [f"(_partition = {p:d} AND _offset >= {offset:d})" for p, offset in sorted(first.items())]
    return " OR ".join([*known, f"_partition NOT IN ({', '.join(str(p) for p in sorted(first))})"]) if first else "1"


def _of(kind: Kind, version: Version) -> tuple[Places, ...]:
    return tuple({p: end for p, end in version.get(topic, {}).items() if end} for topic, _, _ in kind.facts)


def _facts(kind: Kind, before: Sequence[Places], after: Sequence[Places]) -> str:
    """The facts between two versions."""
    return " UNION ALL ".join(
        f"SELECT {kind.columns} FROM ({rows.format(span=f'({_span(b, a)})')})"  # noqa: S608 - our own names
        for (_, _, rows), b, a in zip(kind.facts, before, after, strict=True)
    )


def _changes(kind: Kind, copied: Sequence[Places], before: Sequence[Places], after: Sequence[Places]) -> str:
    """Signed rows: what each dossier or survey counts for at ``after`` less what it counted for at ``before``. ``copied``: up to where
    facts stand in the copy at least."""
    new = _facts(kind, before, after)
    within = " OR ".join(f"({f'act = {n} AND ' if len(kind.facts) > 1 else ''}({_span({}, places)}))" for n, places in enumerate(before))
    mine = f"{kind.key} IN (SELECT {kind.key} FROM ({new}))"  # noqa: S608 - our own names
    old = f"SELECT {kind.columns} FROM {kind.copy} WHERE {mine} AND ({within})"  # noqa: S608 - our own names
    if any(b.get(p, 0) > c.get(p, 0) for b, c in zip(before, copied, strict=True) for p in b):
        old += f" UNION ALL SELECT {kind.columns} FROM ({_facts(kind, copied, before)}) WHERE {mine}"  # noqa: S608 - our own names
    rows = f"(SELECT *, 1 AS late FROM ({new}) UNION ALL SELECT *, 0 AS late FROM ({old}))"  # noqa: S608 - our own names
    return kind.changes.format(rows=rows)


def last(client: Client, kind: Kind, version: Version | None = None) -> tuple[Checkpoint, list[int]]:
    """The last checkpoint at or before ``version`` (None: of all), and how many blocks of each level there are.

    Raises Retryable, Permanent, as all here do.
    """
    within, binds = "1", dict[str, list[int]]()
    if version is not None:
        for name, places in zip(("", "more_"), (*_of(kind, version), {})[:2], strict=True):
            # An index of 0 is no place of the array: its default, which lies before every offset.
            reached = f"o <= arrayElement({{at_{name}offsets:Array(UInt64)}}, indexOf({{at_{name}partitions:Array(UInt16)}}, p))"
            within += f" AND arrayAll((p, o) -> {reached}, {name}partitions, {name}offsets)"
            binds |= {f"at_{name}partitions": [*sorted(places), 65_535], f"at_{name}offsets": [*(places[p] for p in sorted(places)), 0]}
    sql = f"""
        SELECT level, max(block) + 1, argMax(tuple({", ".join(_PLACES)}), block) FROM {kind.table}
        WHERE mark = 1 AND (level > 0 OR ({within})) GROUP BY level"""  # noqa: S608 - our own names
    with translated(f"asking how far table {kind.table} sums"):
        found = {int(level): (int(n), places) for level, n, places in client.query(sql, parameters=binds).result_rows}
    number, (partitions, offsets, more_partitions, more_offsets) = found.get(0, (0, ((), (), (), ())))
    at = (dict(zip(partitions, offsets, strict=True)), dict(zip(more_partitions, more_offsets, strict=True)))
    return Checkpoint(number, at[: len(kind.facts)]), [found[level][0] if level in found else 0 for level in range(LEVELS)]


def ends(kind: Kind, since: Checkpoint) -> str:
    """Rows of topic, partition and following offset of a kind: only what came after a checkpoint is looked at."""
    return " UNION ALL ".join(
        f"SELECT '{topic}' AS topic, _partition, max(_offset) + 1 FROM {table} WHERE {_beyond(places)} GROUP BY _partition"  # noqa: S608 - our own names
        for (topic, table, _), places in zip(kind.facts, since.at, strict=True)
    )


def known_ends(kind: Kind, since: Checkpoint) -> Version:
    """How far its topics were at a checkpoint."""
    return {topic: dict(places) for (topic, _, _), places in zip(kind.facts, since.at, strict=True)}


def summed(
    client: Client, kind: Kind, version: Version, group: Sequence[str], where: str, binds: Mapping[str, Any]
) -> Sequence[Sequence[Any]]:
    """Rows of ``group`` and the kind's measures at ``version``. ``where``: over dimensions, bound by ``binds``."""
    start, built = last(client, kind, version)
    blocks = cover(start.number, built, 1)
    spans = " OR ".join(f"(level = {n} AND block >= {blocks[f'from{n}']} AND block < {blocks[f'to{n}']})" for n in range(LEVELS))
    parts = [f"SELECT {_of_cells(kind)} FROM {kind.table} WHERE mark = 0 AND ({spans}) AND ({where})"]  # noqa: S608 - our own names
    if (end := _of(kind, version)) != start.at:
        parts.append(f"SELECT {_of_cells(kind)} FROM ({_changes(kind, start.at, start.at, end)}) WHERE {where}")  # noqa: S608 - our own names
    return _grouped(client, kind, parts, group, binds)


def changed(
    client: Client,
    kind: Kind,
    known: Checkpoint,
    before: Version,
    after: Version,
    group: Sequence[str],
    where: str,
    binds: Mapping[str, Any],
) -> Sequence[Sequence[Any]]:
    """The same of what ``after`` says and ``before`` did not, which may lie anywhere before it. ``known``: any checkpoint that there
    is, best the last."""
    at, end = _of(kind, before), _of(kind, after)
    if at == end:
        return ()
    copied = known.at or tuple({} for _ in at)
    return _grouped(client, kind, [f"SELECT {_of_cells(kind)} FROM ({_changes(kind, copied, at, end)}) WHERE {where}"], group, binds)  # noqa: S608 - our own names


def _of_cells(kind: Kind) -> str:
    return ", ".join((*DIMENSIONS, *kind.measures))


def _grouped(client: Client, kind: Kind, parts: Sequence[str], group: Sequence[str], binds: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    keys, by = ", ".join(group), ", ".join(g.rpartition(" AS ")[2] for g in group)
    sql = f"""
        SELECT {keys}, {", ".join(f"sum({m}) AS t_{m}" for m in kind.measures)} FROM ({" UNION ALL ".join(parts)})
        GROUP BY {by} HAVING {" OR ".join(f"t_{m} != 0" for m in kind.measures)}"""  # noqa: S608 - our own names
    with translated(f"asking ClickHouse for sums of table {kind.table}"):
        return client.query(sql, parameters=dict(binds)).result_rows


class Checkpoints:
    """Makes them. Two writers at once, as while partitions move, make the same one once: its sums and its mark are one part."""

    def __init__(self, client: Client, settings: dict[str, Any] | None = None, stride: int = STRIDE) -> None:
        """``client`` without a session; ``settings`` of every insert; ``stride``: facts between two."""
        self._client = client
        self._settings = (settings or {}) | ONE_PART
        self._stride = stride
        self._waiting = dict.fromkeys((kind.table for kind in (ENDED, ASKED)), stride)

    def absorbed(self, topic: str, rows: int) -> int:
        """So many facts are in ``topic``'s table now. Makes the checkpoints that are due; how many."""
        if (kind := KINDS.get(topic)) is None:
            return 0
        self._waiting[kind.table] += rows
        if self._waiting[kind.table] < self._stride:
            return 0
        made = self.advance(kind)
        self._waiting[kind.table] = 0
        return made

    def advance(self, kind: Kind) -> int:
        """Make all that is due of one kind; how many. Raises Retryable, Permanent; call again."""
        made = 0
        while True:
            start, built = last(self._client, kind)
            end = _of(kind, self._newest(kind, start))
            due = tuple({p: min(o, b.get(p, 0) + _MOST) for p, o in e.items()} for b, e in zip(start.at, end, strict=True))
            fresh = sum(o - b.get(p, 0) for b, d in zip(start.at, due, strict=True) for p, o in d.items())
            if fresh < self._stride:
                return made
            self._make(kind, start, due)
            for level in range(1, LEVELS):
                if (start.number + 1) // FAN**level > built[level]:
                    self._sum(kind, level, built[level])
            made += 1

    def _newest(self, kind: Kind, since: Checkpoint) -> Version:
        version = known_ends(kind, since)
        with translated(f"asking how far the facts of table {kind.table} are"):
            for topic, partition, following in self._client.query(ends(kind, since)).result_rows:
                version[topic][int(partition)] = int(following)
        return version

    def _make(self, kind: Kind, start: Checkpoint, due: Sequence[Places]) -> None:
        number = start.number
        for (_, table, rows), before, after in zip(kind.facts, start.at, due, strict=True):
            if before != after:
                span = rows.format(span=f"({_span(before, after)})")
                copied = f"INSERT INTO {kind.copy} ({kind.columns}) SELECT {kind.columns} FROM ({span})"  # noqa: S608 - our own names
                token = f"{table}:{number}:{sorted(before.items())}:{sorted(after.items())}"
                self._insert(f"copying rows of {table} into table {kind.copy}", copied, token)
        self._put(kind, 0, number, _changes(kind, start.at, start.at, due), due)

    def _sum(self, kind: Kind, level: int, block: int) -> None:
        names = ", ".join((*DIMENSIONS, *kind.measures))
        below = f"mark = 0 AND level = {level - 1} AND block >= {block * FAN} AND block < {(block + 1) * FAN}"
        self._put(kind, level, block, f"SELECT {names} FROM {kind.table} WHERE {below}", ())  # noqa: S608 - our own names

    def _put(self, kind: Kind, level: int, block: int, source: str, at: Sequence[Places]) -> None:
        """One part: the sums of a block, and its mark."""
        sums = ", ".join(f"sum({m}) AS t_{m}" for m in kind.measures)
        places = [list for p in (*at, {}, {})[:2] for list in (sorted(p), [p[n] for n in sorted(p)])]
        told = ", ".join(f"CAST({value} AS Array({of}))" for value, of in zip(places, ("UInt16", "UInt64") * 2, strict=True))
        empty = ", ".join(f"CAST([] AS Array({of}))" for of in ("UInt16", "UInt64") * 2)
        sql = f"""
            INSERT INTO {kind.table} (mark, level, block, {_DIMS}, {", ".join(kind.measures)}, {", ".join(_PLACES)})
            SELECT 0, {level}, {block}, *, {empty} FROM (
                SELECT {_DIMS}, {sums} FROM ({source}) GROUP BY {_DIMS} HAVING {" OR ".join(f"t_{m} != 0" for m in kind.measures)}
                ORDER BY {_DIMS}
            )
            UNION ALL SELECT 1, {level}, {block}, {", ".join("''" for _ in DIMENSIONS)}, {", ".join("0" for _ in kind.measures)}, {told}
            """  # noqa: S608 - our own names
        self._insert(f"summing block {block} of level {level} into table {kind.table}", sql, f"{kind.table}:{level}:{block}")

    def _insert(self, what: str, sql: str, token: str) -> None:
        with translated(what):
            self._client.command(sql, settings=self._settings | {"insert_deduplication_token": token})
