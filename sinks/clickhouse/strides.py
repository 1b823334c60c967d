"""Sums of endings and of invitations, exact at every version.

Their facts lie in several partitions, and what one adds depends on those before it: a dossier counts once, where it ended first, and not
while it goes on; an invitation was handed over, then delivered. So sums are made stride by stride. A stride ends at a version, the next
begins there, and its sums are what the dossiers it touches count now less what they counted before. All strides up to a version, and
the same difference for what was touched since, are the figure at any later version.

Strides are blocks of level 0 as in ``tallies``; each further level adds up ``FAN`` of the level below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from sinks.clickhouse.connection import translated
from sinks.clickhouse.tallies import FAN, LEVELS, MARK, ONE_PART, UNITS, Kind, building, cover, rows

STRIDE: Final = 32_768
"""Facts of a stride, at least."""
CLOSED: Final = "dossier.closed.v1"
REOPENED: Final = "dossier.reopened.v1"
DELIVERY: Final = "survey.delivery.v1"
Version = Mapping[str, Mapping[int, int]]
_NEVER: Final = 2**63
"""An offset that no partition has."""

_DIMS: Final = (*UNITS, "month", "field", "submission_channel")
_KEPT: Final = ((), ("field",), ("submission_channel",))
ENDED: Final = Kind("tally_ended", _DIMS, ("ended",), ("field", "submission_channel"), _KEPT)
ASKED: Final = Kind("tally_asked", _DIMS, ("asked", "reached"), ("field", "submission_channel"), _KEPT)
KINDS: Final = {CLOSED: ENDED, DELIVERY: ASKED}
"""Whose facts make a stride → its sums."""
_TOPICS: Final = {ENDED.table: {CLOSED: "closed", REOPENED: "reopened"}, ASKED.table: {DELIVERY: "delivery"}}
_LIST: Final = ", ".join(_DIMS)


def _before(bind: str) -> str:
    """Rows before an offset of their partition; those of a partition that is not named are not."""
    return f"_offset < transform(_partition, {{{bind}_partitions:Array(UInt16)}}, {{{bind}_offsets:Array(UInt64)}}, toUInt64(0))"


def _upto(table: str) -> str:
    return f"_offset < {{{table}_end:UInt64}} AND {_before(table)}"


def _touched(table: str) -> str:
    """Rows that are new in the stride. The plain numbers are for the index."""
    return f"_offset >= {{{table}_begin:UInt64}} AND {_upto(table)} AND NOT ({_before('was_' + table)})"


_KEYS: Final = f"""
    SELECT dossier_key FROM closed WHERE {_touched("closed")}
    UNION ALL SELECT sipHash64(dossier_ref) FROM reopened WHERE {_touched("reopened")}
"""  # noqa: S608 - our own names
_ENDING: Final = "outcome != 'supplement_requested'"
_OF: Final = "handling_unit, receiving_unit, formatDateTime(ended_on, '%Y-%m'), field, submission_channel"


def _acts(name: str, when: str) -> str:
    """Of a dossier's closings ``when``: where it ended first, its last day, how many there are."""
    return f"""
        argMinIf(tuple({_OF}), tuple(ended_on, _offset), {when} AND {_ENDING}) AS {name}_of, countIf({when} AND {_ENDING}) AS {name}_n,
        maxIf(ended_on, {when}) AS {name}_last, uniqExactIf(event_id, {when}) AS {name}_acts"""


def _again(name: str, when: str) -> str:
    return f"maxIf(reopened_on, {when}) AS {name}_again, uniqExactIf(event_id, {when}) AS {name}_times"


def _stands(name: str) -> str:
    """It ended and does not go on. Both facts know the day only: on the same day the number of acts decides."""
    goes_on = f"{name}_times > 0 AND ({name}_again > {name}_last OR ({name}_again = {name}_last AND {name}_times >= {name}_acts))"
    return f"{name}_n > 0 AND NOT ({goes_on})"


def _ended_rows(keys: str) -> str:
    return f"""
    SELECT side.1.1 AS handling_unit, side.1.2 AS receiving_unit, side.1.3 AS month, side.1.4 AS field, side.1.5 AS submission_channel,
        side.2 AS ended
    FROM (
        SELECT arrayJoin([tuple(was_of, -toInt64({_stands("was")})), tuple(now_of, toInt64({_stands("now")}))]) AS side
        FROM (
            SELECT dossier_key, {_acts("was", _before("was_closed"))}, {_acts("now", "1")}
            FROM closed PREWHERE dossier_key IN {keys} WHERE {_upto("closed")} GROUP BY dossier_key
        ) AS c
        LEFT JOIN (
            SELECT sipHash64(dossier_ref) AS dossier_key, {_again("was", _before("was_reopened"))}, {_again("now", "1")}
            FROM reopened WHERE dossier_key IN {keys} AND {_upto("reopened")} GROUP BY dossier_key
        ) AS r USING dossier_key
    )
    WHERE ended != 0
"""  # noqa: S608 - our own names


# bits: 1 handed over or unknown, 2 delivered, 4 handed over by e-mail, 8 failed by e-mail (another channel may have failed before it)
_BITS: Final = """multiIf(state = 'handed_over' AND channel = 'email', 5, state IN ('handed_over', 'unknown'), 1,
    state = 'delivered', 3, channel = 'email', 8, 0)"""
_INVITED: Final = "purpose = 'invitation' AND state IN ('handed_over', 'unknown', 'delivered', 'failed')"


def _asked(seen: str) -> str:
    return f"toInt64(bitAnd({seen}, 1) > 0)"


def _reached(seen: str) -> str:
    return f"toInt64(bitAnd({seen}, 1) > 0 AND (bitAnd({seen}, 2) > 0 OR (bitAnd({seen}, 4) > 0 AND bitAnd({seen}, 8) = 0)))"


# An invitation is about one unit and month: the table is sorted by them, so that few of its granules are read.
_NEW: Final = f"FROM delivery WHERE {_INVITED} AND {_touched('delivery')}"


def _asked_rows(months: str, surveys: str) -> str:
    return f"""
    SELECT {_LIST}, {_asked("now")} - {_asked("was")} AS asked, {_reached("now")} - {_reached("was")} AS reached
    FROM (
        SELECT {_LIST}, survey_id, groupBitOr({_BITS}) AS now, groupBitOrIf({_BITS}, {_before("was_delivery")}) AS was
        FROM delivery PREWHERE purpose = 'invitation' AND month IN {months} AND survey_id IN {surveys}
        WHERE {_INVITED} AND {_upto("delivery")}
        GROUP BY {_LIST}, survey_id
    )
"""  # noqa: S608 - our own names


_ROWS: Final = {
    ENDED.table: _ended_rows(f"({_KEYS})"),
    ASKED.table: _asked_rows(f"(SELECT month {_NEW})", f"(SELECT survey_id {_NEW})"),
}
FEW: Final = 100
"""So many may be named in a question."""
TOUCHED: Final = {
    ENDED.table: f"SELECT DISTINCT dossier_key, '' FROM ({_KEYS}) LIMIT {FEW + 1}",  # noqa: S608 - our own names
    ASKED.table: f"SELECT DISTINCT survey_id, month {_NEW} LIMIT {FEW + 1}",
}
"""Which dossiers or invitations came to something between two versions; binds ``between``."""
_NAMED: Final = {
    ENDED.table: _ended_rows("{keys:Array(UInt64)}"),
    ASKED.table: _asked_rows("{months:Array(String)}", "{keys:Array(String)}"),
}


def signed(kind: Kind, where: str) -> str:
    """Signed rows that sum to a figure at a version, with the binds of ``reach``. ``where``: over dimensions."""
    return rows(kind, where, _ROWS[kind.table], prefix=f"{kind.table}_")


def since(kind: Kind, where: str, named: bool = False) -> str:
    """Signed rows of what came between two versions, with the binds of ``between``; ``named``: and those of ``naming``."""
    return f"SELECT * FROM ({(_NAMED if named else _ROWS)[kind.table]}) WHERE {where}"  # noqa: S608 - our own names


def naming(touched: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The binds that name what ``TOUCHED`` found: it is planned and read in half the time, where it is few."""
    return {"keys": [key for key, _ in touched], "months": sorted({month for _, month in touched})}


def topics(kind: Kind) -> tuple[str, ...]:
    """Whose facts it sums."""
    return tuple(_TOPICS[kind.table])


_FIRST: Final = "arrayAll((place, n) -> version[place] <= n, {places:Array(String)}, {ends:Array(UInt64)})"
_KNOWN: Final = "arrayAll(place -> has({places:Array(String)}, place), mapKeys(version))"


def marks(kind: Kind) -> str:
    """How many blocks of each level end at or before a version, and the version of the last: ``level, n, version``; binds ``asking``."""
    return (
        f"SELECT level, max(block) + 1, argMax(version, block) FROM {kind.table} WHERE shape = '{MARK}' AND {_FIRST} AND {_KNOWN}"  # noqa: S608 - our own names
        " GROUP BY level"
    )


def asking(version: Version) -> dict[str, Any]:
    """The binds of ``marks``."""
    there = sorted((_place(topic, p), end) for topic, parts in version.items() for p, end in parts.items() if end)
    return {"places": [place for place, _ in there], "ends": [end for _, end in there]}


def _place(topic: str, partition: int) -> str:
    return f"{topic}/{partition}"


@dataclass(frozen=True)
class Built:
    """What there is up to a version: blocks of each level, and the version at which the last stride ends."""

    levels: tuple[int, ...]
    version: dict[str, int]
    """topic/partition → offset."""

    @classmethod
    def of(cls, told: Sequence[Sequence[Any]]) -> Built:
        """Of the rows of ``marks``."""
        found = {int(level): int(n) for level, n, _ in told}
        ends = [dict(version) for level, _, version in told if level == 0]
        return cls(tuple(found.get(level, 0) for level in range(LEVELS)), ends[0] if ends else {})


def reach(kind: Kind, built: Built, version: Version, shape: str) -> dict[str, Any]:
    """The binds of ``added`` at ``version``, which is at or after ``built``'s."""
    blocks = cover(kind, built.levels[0], built.levels, 1, shape)
    binds = {f"{kind.table}_{name}": value for name, value in blocks.items() if name not in ("seq", "tail")}
    return binds | _span(kind, built.version, version)


def between(kind: Kind, was: Version, now: Version) -> dict[str, Any]:
    """The binds of ``since``: ``now`` is at or after ``was``."""
    places = {_place(topic, partition): end for topic, parts in was.items() for partition, end in parts.items()}
    return _span(kind, places, now)


def _span(kind: Kind, was: Mapping[str, int], now: Version) -> dict[str, Any]:
    binds: dict[str, Any] = {}
    for topic, table in _TOPICS[kind.table].items():
        parts = sorted(now.get(topic, {}).items())
        before = [was.get(_place(topic, p), 0) for p, _ in parts]
        fresh = [since for since, (_, end) in zip(before, parts, strict=True) if since < end]
        binds |= {
            f"{table}_partitions": [p for p, _ in parts], f"{table}_offsets": [end for _, end in parts],
            f"was_{table}_partitions": [p for p, _ in parts], f"was_{table}_offsets": before,
            f"{table}_begin": min(fresh, default=_NEVER), f"{table}_end": max((end for _, end in parts), default=0),
        }  # fmt: skip
    return binds


class Strides:
    """Keeps the sums of one kind. One writer: whoever archives partition 0 of its first topic."""

    def __init__(self, client: Client, kind: Kind, settings: dict[str, Any] | None = None, stride: int = STRIDE) -> None:
        """``client`` without a session; ``settings`` of every insert; ``stride``: facts of a stride, at least."""
        self._client = client
        self._kind = kind
        self._settings = (settings or {}) | ONE_PART
        self._stride = stride
        self._look = 0

    def due(self, following: int) -> bool:
        """Whether it is time to look, when partition 0 is filled up to ``following``: the others fill as it does."""
        return following >= self._look

    def advance(self) -> int:
        """Build a stride over what came since the last, if that is enough, and what it fills; the number of blocks built.

        Raises Retryable, Permanent; call again whenever: a stride that broke off is made again, at its new end.
        """
        topics = _TOPICS[self._kind.table]
        version = {topic: self._ends(table) for topic, table in topics.items()}
        with translated(f"asking which sums table {self._kind.table} has"):
            built = Built.of(self._client.query(marks(self._kind), parameters=asking(version)).result_rows)
        come = sum(end - built.version.get(_place(t, p), 0) for t, parts in version.items() for p, end in parts.items())
        made = 0
        levels = list(built.levels)
        self._look = self._next_look(version, built, come)
        if come >= self._stride:
            self._build(0, levels[0], reach(self._kind, built, version, ""), asking(version))
            levels[0] += 1
            made += 1
        for level in range(1, LEVELS):
            while (levels[level] + 1) * FAN <= levels[level - 1]:
                self._build(level, levels[level], {}, self._end_of((levels[level] + 1) * FAN - 1, level - 1))
                levels[level] += 1
                made += 1
        return made

    def _next_look(self, version: Version, built: Built, come: int) -> int:
        """Where partition 0 will be when a stride is full: as much of one lies there as of what has come until now."""
        first = next(iter(_TOPICS[self._kind.table]))
        here = version[first].get(0, 0)
        share = (here - built.version.get(_place(first, 0), 0)) / come if come else 1.0
        lacking = self._stride - come if come < self._stride else self._stride
        return here + max(1, int(lacking * share))

    def _ends(self, table: str) -> dict[int, int]:
        with translated(f"asking how far table {table} is"):
            sql = f"SELECT _partition, max(_offset) + 1 FROM {table} GROUP BY _partition"  # noqa: S608 - our own names
            return {int(p): int(end) for p, end in self._client.query(sql).result_rows}

    def _end_of(self, block: int, level: int) -> dict[str, Any]:
        sql = f"SELECT any(version) FROM {self._kind.table} WHERE shape = '{MARK}' AND level = {level} AND block = {block}"  # noqa: S608 - our own names
        with translated(f"asking where block {block} of table {self._kind.table} ends"):
            ((version,),) = self._client.query(sql).result_rows
        return {"places": list(version), "ends": list(version.values())}

    def _build(self, level: int, block: int, binds: dict[str, Any], end: dict[str, Any]) -> None:
        version = "mapFromArrays({places:Array(String)}, {ends:Array(UInt64)})"
        sql = building(self._kind, level, block, _ROWS[self._kind.table], version)
        token = {"insert_deduplication_token": f"{self._kind.table}:{level}:{block}"}
        with translated(f"summing block {block} of level {level} into table {self._kind.table}"):
            self._client.command(sql, parameters=binds | end, settings=self._settings | token)
