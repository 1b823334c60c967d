"""Sums of the counted records, so that a figure costs a few blocks however many answers there are, and is exact at every version.

The records are numbered without a gap. Level 0 sums blocks of ``BLOCK`` numbers, each further level ``FAN`` blocks of the level below.
Any first ``seq`` records are then a few blocks of each level and fewer than ``BLOCK`` records that are read themselves. Every measure
is a signed sum: an erased answer counts -1, a held one that was released takes itself out of what is held; nothing has to be looked up
in the past, except the further questions of an erased answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from sinks.clickhouse.connection import translated

BLOCK: Final = 65_536
FAN: Final = 16
LEVELS: Final = 4
"""The highest level sums 268 million records a block."""
DIMENSIONS: Final = ("handling_unit", "receiving_unit", "month", "field", "submission_channel", "mode", "place")
MEASURES: Final = ("one", "two", "three", "four", "five", "none", "revised", "held")
_MARK: Final = "mark"
"""The place of the row that says that a block is there, also an empty one."""
ONE_PART: Final = {
    "max_threads": 1,
    "max_insert_threads": 1,
    "min_insert_block_size_rows": 50_000_000,
    "min_insert_block_size_bytes": 8_000_000_000,
    "max_insert_block_size": 50_000_000,
}
_FIRST: Final = "kind = 'answer' AND revision = 0"
_ERASED: Final = "kind = 'retraction' AND reason = 'erased'"
_SCORES: Final = dict(zip(("one", "two", "three", "four", "five"), range(1, 6), strict=True))
_SIGNED: Final = {
    **{name: f"toInt64(multiIf({_FIRST} AND score = {s}, 1, {_ERASED} AND score = {s}, -1, 0))" for name, s in _SCORES.items()},
    "none": f"toInt64(multiIf({_FIRST} AND isNull(score), 1, {_ERASED} AND isNull(score), -1, 0))",
    "revised": f"toInt64(multiIf(kind = 'answer' AND revision > 0, 1, {_ERASED}, -toInt64(revision), 0))",
    "held": (
        "toInt64(multiIf(kind = 'held' AND revision = 0, 1,"
        " (kind = 'answer' AND reason = 'released') OR (kind = 'disposition' AND reason IN ('confirmed', 'withdrawn')), -1, 0))"
    ),
}
_COUNTS: Final = (
    "(kind IN ('answer', 'held') OR (kind = 'retraction' AND reason = 'erased')"
    " OR (kind = 'disposition' AND reason IN ('confirmed', 'withdrawn')))"
)
_DIMS: Final = ", ".join(DIMENSIONS)
PLACE: Final = "if(place = '', 'away', place)"
"""Where an answer was given; the first records did not say it, and only links led to answers then."""
_SAID: Final = (
    "arrayJoin(multiIf(JSONType(pair.2) = 'Array', JSONExtract(pair.2, 'Array(String)'),"
    " JSONType(pair.2) = 'String', [JSONExtractString(pair.2)], [pair.2]))"
)


def signed(span: str) -> str:
    """The records of a span of numbers as signed rows of dimensions and measures."""
    measures = ", ".join(f"{sql} AS {name}" for name, sql in _SIGNED.items())
    dims = ", ".join(f"{PLACE} AS place" if dim == "place" else dim for dim in DIMENSIONS)
    return f"SELECT {dims}, {measures} FROM counted WHERE {span} AND {_COUNTS}"  # noqa: S608 - our own names


def details(span: str) -> str:
    """The same of the questions after the first: each answer once; those of an erased one are taken back where it was erased."""
    dims = ", ".join(f"{PLACE} AS place" if dim == "place" else dim for dim in DIMENSIONS)
    fields = f"{dims}, questionnaire, arrayJoin(JSONExtractKeysAndValuesRaw(answers)) AS pair, sign"
    erased = f"SELECT survey_id FROM counted WHERE {span} AND {_ERASED}"  # noqa: S608 - our own names
    said = "kind = 'detail' AND revision = 0"
    return f"""
        SELECT {_DIMS}, concat(questionnaire, ':', pair.1) AS question, {_SAID} AS said, sign AS times FROM (
            SELECT {fields} FROM (
                SELECT *, toInt64(1) AS sign FROM counted WHERE {span} AND {said}
                UNION ALL
                SELECT *, toInt64(-1) AS sign FROM counted WHERE {said} AND seq <= {{seq:UInt64}} AND survey_id IN ({erased})
            )
        )"""  # noqa: S608 - our own names


@dataclass(frozen=True)
class Kind:
    """One of the tables of sums: what it groups by, what it sums, the signed rows of a span that it is made of, and the table whose blocks
    are summed once more into it, if it is a coarser one."""

    table: str
    dims: tuple[str, ...]
    measures: tuple[str, ...]
    rows: Callable[[str], str]
    finer: str | None = None


_COARSE: Final = ("handling_unit", "receiving_unit", "month", "place")
ANSWERS: Final = Kind("tally", DIMENSIONS, MEASURES, signed)
DETAILS: Final = Kind("tally_detail", (*DIMENSIONS, "question", "said"), ("times",), details)
# A hundredth of the cells, for whoever does not ask for a field, a channel or a mode.
ANSWERS_WHOLE: Final = Kind("tally_whole", _COARSE, MEASURES, signed, ANSWERS.table)
DETAILS_WHOLE: Final = Kind("tally_detail_whole", (*_COARSE, "question", "said"), ("times",), details, DETAILS.table)
KINDS: Final = (ANSWERS, DETAILS, ANSWERS_WHOLE, DETAILS_WHOLE)
"""The finer ones first."""
_SINGLE: Final = "((seq > {start:UInt64} AND seq <= {head:UInt64}) OR (seq > {tail:UInt64} AND seq <= {seq:UInt64}))"
_FEW: Final = "(seq > {start:UInt64} AND seq <= {seq:UInt64})"
_BLOCKS: Final = " OR ".join(
    f"(level = {n} AND block >= {{{first}{n}:UInt32}} AND block < {{{end}{n}:UInt32}})"
    for n in range(LEVELS)
    for first, end in (("up", "top"), ("from", "to"))
)


def summed(kind: Kind, group: Sequence[str], where: str = "1", measures: Sequence[str] | None = None, *, blocks: bool = True) -> str:
    """Sums by ``group`` of a span of records, with the binds of ``cover``. ``group``: dimensions, or expressions over them that name
    themselves; ``where``: over dimensions. Without ``blocks`` of records alone, after ``start`` up to ``seq``."""
    asked = measures or kind.measures
    names, sums = ", ".join((*kind.dims, *asked)), ", ".join(f"sum({m}) AS t_{m}" for m in asked)
    keys, by = ", ".join(group), ", ".join(g.rpartition(" AS ")[2] for g in group)
    records = f"SELECT {names} FROM ({kind.rows(_SINGLE if blocks else _FEW)}) WHERE {where}"  # noqa: S608 - our own names
    built = f"SELECT {names} FROM {kind.table} WHERE ({_BLOCKS}) AND place != '{_MARK}' AND ({where}) UNION ALL "  # noqa: S608 - our own names
    return f"""
        SELECT {keys}, {sums} FROM ({built if blocks else ""}{records})
        GROUP BY {by} HAVING {" OR ".join(f"t_{m} != 0" for m in asked)}"""  # noqa: S608 - our own names


def cover(seq: int, built: Sequence[int], block: int = BLOCK, start: int = 0) -> dict[str, int]:
    """The binds of ``summed``: which blocks of which level make the records after ``start`` up to ``seq``, and which are read themselves.

    From ``start`` up the levels to ever larger blocks (``up`` to ``top``), then down them (``from`` to ``to``); before the first block
    up to ``head`` and after the last from ``tail`` on single records. ``built``: how many blocks of each level there are.
    """
    at = head = min(seq, -(-start // block) * block)
    binds: dict[str, int] = {"seq": seq, "start": start, "head": head}
    for level in range(LEVELS):
        size = block * FAN**level
        first = at // size
        end = max(first, min(-(-at // (size * FAN)) * FAN, seq // size, built[level])) if at % size == 0 else first
        binds |= {f"up{level}": first, f"top{level}": end}
        at += (end - first) * size
    for level in reversed(range(LEVELS)):
        size = block * FAN**level
        first = at // size
        end = max(first, min(seq // size, built[level])) if at % size == 0 else first
        binds |= {f"from{level}": first, f"to{level}": end}
        at += (end - first) * size
    return binds | {"tail": at}


class Tallies:
    """Keeps the sums. One writer: whoever archives the counted records."""

    def __init__(self, client: Client, settings: dict[str, Any] | None = None, block: int = BLOCK) -> None:
        """``client`` without a session; ``settings`` of every insert; ``block``: records of level 0, the same for whoever reads."""
        self._block = block
        self._client = client
        self._settings = (settings or {}) | ONE_PART
        self._built: dict[str, list[int]] = {}

    def advance(self, seq: int) -> int:
        """Build what the first ``seq`` records fill; the number of blocks built. Each is one part, there whole or not at all.

        Raises Retryable, Permanent; call again, also with the next batch: what is there is asked for anew.
        """
        made = 0
        built, self._built = self._built or {kind.table: count_built(self._client, kind) for kind in KINDS}, {}
        for kind in KINDS:
            done = built[kind.table]
            for level in range(LEVELS):
                while (done[level] + 1) * self._block * FAN**level <= seq:
                    self._build(kind, level, done[level])
                    done[level] += 1
                    made += 1
        self._built = built
        return made

    def _build(self, kind: Kind, level: int, block: int) -> None:
        names, dims = ", ".join((*kind.dims, *kind.measures)), ", ".join(kind.dims)
        if level == 0 and kind.finer is not None:
            source = f"SELECT {names} FROM {kind.finer} WHERE level = 0 AND block = {block} AND place != '{_MARK}'"  # noqa: S608 - our own names
        elif level == 0:
            end = (block + 1) * self._block
            source = kind.rows(f"seq > {block * self._block} AND seq <= {end}").replace("{seq:UInt64}", str(end))
        else:
            blocks = f"level = {level - 1} AND block >= {block * FAN} AND block < {(block + 1) * FAN}"
            source = f"SELECT {names} FROM {kind.table} WHERE ({blocks}) AND place != '{_MARK}'"  # noqa: S608 - our own names
        sums = ", ".join(f"sum({m})" for m in kind.measures)
        marked = ", ".join("'" + (_MARK if dim == "place" else "") + "'" for dim in kind.dims)
        sql = f"""
            INSERT INTO {kind.table} (level, block, {names})
            SELECT {level}, {block}, * FROM (SELECT {dims}, {sums} FROM ({source}) GROUP BY {dims} ORDER BY {dims})
            UNION ALL SELECT {level}, {block}, {marked}, {", ".join("0" for _ in kind.measures)}"""  # noqa: S608 - our own names
        with translated(f"summing block {block} of level {level} into table {kind.table}"):
            self._client.command(sql, settings=self._settings | {"insert_deduplication_token": f"{kind.table}:{level}:{block}"})


def count_built(client: Client, kind: Kind) -> list[int]:
    """How many blocks of each level there are. Raises Retryable, Permanent."""
    with translated(f"asking which sums table {kind.table} has"):
        sql = f"SELECT level, max(block) + 1 FROM {kind.table} WHERE place = '{_MARK}' GROUP BY level"  # noqa: S608 - our own names
        found = {int(level): int(n) for level, n in client.query(sql).result_rows}
    return [found.get(level, 0) for level in range(LEVELS)]
