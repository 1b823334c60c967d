"""Sums of the counted records, so that a figure costs a few blocks however many answers there are, and is exact at every version.

The records are numbered without a gap. Level 0 sums blocks of ``BLOCK`` numbers, each further level ``FAN`` blocks of the level below.
Any first ``seq`` records are then a few blocks of each level and fewer than ``BLOCK`` records that are read themselves. Every measure
is a signed sum: an erased answer counts -1, a held one that was released takes itself out of what is held; nothing has to be looked up
in the past, except the further questions of an erased answer.

Level 0 keeps every dimension. From level 1 on each block also holds its sums in the *shapes* that pages ask for: by one of the two units,
with at most those dimensions that are filtered by. A whole province by unit and month is then some thousand rows of a hundred million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from sinks.clickhouse.connection import translated

BLOCK: Final = 32_768
FAN: Final = 4
LEVELS: Final = 7
"""The highest level sums 134 million records a block."""
UNITS: Final = ("handling_unit", "receiving_unit")
DIMENSIONS: Final = (*UNITS, "month", "field", "submission_channel", "mode", "place")
MEASURES: Final = ("one", "two", "three", "four", "five", "none", "revised", "held")
ALL: Final = "all"
"""The shape that keeps every dimension."""
MARK: Final = "mark"
"""The shape of the row that says that a block is there, also an empty one."""
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
    """The same of the questions after the first: each answer once; those of an erased one are taken back where it was erased.

    The month is asked for because few stretches of the records hold it: what was erased is found without reading the others."""
    dims = ", ".join(f"{PLACE} AS place" if dim == "place" else dim for dim in DIMENSIONS)
    fields = f"{dims}, questionnaire, arrayJoin(JSONExtractKeysAndValuesRaw(answers)) AS pair, sign"
    erased = f"FROM counted WHERE {span} AND {_ERASED}"
    said = "kind = 'detail' AND revision = 0"
    theirs = f"survey_id IN (SELECT survey_id {erased}) AND month IN (SELECT month {erased})"
    return f"""
        SELECT {_DIMS}, concat(questionnaire, ':', pair.1) AS question, {_SAID} AS said, sign AS times FROM (
            SELECT {fields} FROM (
                SELECT *, toInt64(1) AS sign FROM counted WHERE {span} AND {said}
                UNION ALL
                SELECT *, toInt64(-1) AS sign FROM counted WHERE {said} AND seq <= {{seq:UInt64}} AND {theirs}
            )
        )"""  # noqa: S608 - our own names


@dataclass(frozen=True)
class Kind:
    """A table of sums: what it groups by, what it sums, and which of its dimensions are asked for together."""

    table: str
    dims: tuple[str, ...]
    measures: tuple[str, ...]
    filters: tuple[str, ...]
    """Dimensions that a page may filter by."""
    kept: tuple[tuple[str, ...], ...]
    """Combinations of them that have a shape of their own."""
    whole: int = LEVELS
    """Levels that have the shape ``ALL``: where there is hardly anything to add up, a higher one saves nothing."""

    def shapes(self) -> dict[str, tuple[str, ...]]:
        """Shape → the dimensions it keeps."""
        always = tuple(dim for dim in self.dims if dim not in (*UNITS, *self.filters))
        return {_shape(unit, kept): (unit, *always, *kept) for unit in UNITS for kept in self.kept}

    def shape(self, unit: str, filters: Mapping[str, Any]) -> str:
        """The shape to ask: by ``unit`` (a column), with these dimensions filtered by where the value says something."""
        asked = tuple(dim for dim in self.filters if filters.get(dim))
        return _shape(unit, asked) if asked in self.kept else ALL


def _shape(unit: str, kept: Sequence[str]) -> str:
    return "+".join((unit, *kept))


_FILTERS: Final = ("field", "submission_channel", "mode")
_KEPT: Final = ((), ("field",), ("submission_channel",), ("mode",), ("submission_channel", "mode"))
ANSWERS: Final = Kind("tally", DIMENSIONS, MEASURES, _FILTERS, _KEPT)
DETAILS: Final = Kind("tally_detail", (*DIMENSIONS, "question", "said"), ("times",), _FILTERS, _KEPT[:-1], whole=3)
_ROWS: Final = {ANSWERS.table: signed, DETAILS.table: details}
_TAIL: Final = "seq > {tail:UInt64} AND seq <= {seq:UInt64}"


def rows(kind: Kind, where: str, tail: str, measures: Sequence[str] = (), prefix: str = "") -> str:
    """Signed rows that sum to a figure: of the blocks that ``cover`` binds, and ``tail``. ``where``: over dimensions."""
    names = ", ".join((*kind.dims, *(measures or kind.measures)))
    spans = [f"(level = {n} AND block >= {{{prefix}from{n}:UInt32}} AND block < {{{prefix}to{n}:UInt32}})" for n in range(LEVELS)]
    blocks = f"(shape = '{ALL}' AND {spans[0]}) OR (shape = {{{prefix}shape:String}} AND ({' OR '.join(spans[1:])}))"
    return f"""
        SELECT {names} FROM {kind.table} WHERE ({blocks}) AND ({where})
        UNION ALL
        SELECT {names} FROM ({tail}) WHERE {where}"""  # noqa: S608 - our own names


def counted(kind: Kind, where: str) -> str:
    """``rows`` of the first ``seq`` counted records."""
    return rows(kind, where, _ROWS[kind.table](_TAIL))


def since(kind: Kind, where: str) -> str:
    """The signed rows of the records after ``tail`` up to ``seq``."""
    return f"SELECT * FROM ({_ROWS[kind.table](_TAIL)}) WHERE {where}"  # noqa: S608 - our own names


def cover(kind: Kind, seq: int, built: Sequence[int], block: int = BLOCK, shape: str = ALL) -> dict[str, Any]:
    """The binds of ``counted``: which blocks of which level make the first ``seq`` records, and where the tail begins.

    ``built``: how many blocks of each level there are.
    """
    binds: dict[str, Any] = {"seq": seq, "shape": shape}
    done = 0
    for level in reversed(range(LEVELS)):
        size = block * FAN**level
        there = built[level] if shape != ALL or level < kind.whole else 0
        first, end = done // size, min(seq // size, there)
        end = max(first, end)
        binds |= {f"from{level}": first, f"to{level}": end}
        done = max(done, end * size)
    return binds | {"tail": done}


def building(kind: Kind, level: int, block: int, source: str, version: str = "") -> str:
    """The statement that makes a block of sums: of the signed rows ``source`` at level 0, else of the blocks of the level below.

    ``version``: of a table that has that column, what its mark says there, as an expression.
    """
    columns = ("shape", *kind.dims, *kind.measures, *(("version",) if version else ()))
    parts = _parts(kind, level, block, source)
    if version:
        parts = [f"SELECT *, CAST(map(), 'Map(String, UInt64)') FROM ({part})" for part in parts]  # noqa: S608 - our own names
    told = (f"'{MARK}'", *("''" for _ in kind.dims), *("0" for _ in kind.measures), *((version,) if version else ()))
    rows = " UNION ALL ".join([*parts, f"SELECT {', '.join(told)}"])
    return f"INSERT INTO {kind.table} (level, block, {', '.join(columns)}) SELECT {level}, {block}, * FROM ({rows})"  # noqa: S608 - our own names


def _parts(kind: Kind, level: int, block: int, source: str) -> list[str]:
    """One SELECT a shape."""
    if level == 0:
        return [_grouped(kind, ALL, kind.dims, source)]
    names = ", ".join((*kind.dims, *kind.measures))
    below = f"level = {level - 1} AND block >= {block * FAN} AND block < {(block + 1) * FAN}"
    parts = [(ALL, kind.dims)] if level < kind.whole else []
    return [
        _grouped(kind, shape, kept, f"SELECT {names} FROM {kind.table} WHERE shape = '{shape if level > 1 else ALL}' AND {below}")  # noqa: S608 - our own names
        for shape, kept in [*parts, *kind.shapes().items()]
    ]


def _grouped(kind: Kind, shape: str, kept: Sequence[str], rows: str) -> str:
    dims = ", ".join(dim if dim in kept else f"'' AS {dim}" for dim in kind.dims)
    sums = ", ".join(f"sum({m})" for m in kind.measures)
    inner = ", ".join((*kept, *kind.measures))
    return f"SELECT '{shape}' AS shape, {dims}, {sums} FROM (SELECT {inner} FROM ({rows})) GROUP BY {', '.join(kept)}"  # noqa: S608 - our own names


class Tallies:
    """Keeps the sums. One writer: whoever archives the counted records."""

    def __init__(self, client: Client, settings: dict[str, Any] | None = None, block: int = BLOCK) -> None:
        """``client`` without a session; ``settings`` of every insert; ``block``: records of level 0, the same for whoever reads."""
        self._block = block
        self._client = client
        self._settings = (settings or {}) | ONE_PART
        self._built: dict[str, list[int]] = {}

    def forget(self) -> None:
        """Ask anew what is there: another may have written meanwhile."""
        self._built = {}

    def advance(self, seq: int) -> int:
        """Build what the first ``seq`` records fill; the number of blocks built. Each is one part, there whole or not at all.

        Raises Retryable, Permanent; call again, also with the next batch: what is there is asked for anew.
        """
        made = 0
        built, self._built = self._built or {kind.table: count_built(self._client, kind) for kind in (ANSWERS, DETAILS)}, {}
        for kind in (ANSWERS, DETAILS):
            done = built[kind.table]
            for level in range(LEVELS):
                while (done[level] + 1) * self._block * FAN**level <= seq:
                    self._build(kind, level, done[level])
                    done[level] += 1
                    made += 1
        self._built = built
        return made

    def _build(self, kind: Kind, level: int, block: int) -> None:
        end = (block + 1) * self._block
        source = _ROWS[kind.table](f"seq > {block * self._block} AND seq <= {end}").replace("{seq:UInt64}", str(end))
        with translated(f"summing block {block} of level {level} into table {kind.table}"):
            token = {"insert_deduplication_token": f"{kind.table}:{level}:{block}"}
            self._client.command(building(kind, level, block, source), settings=self._settings | token)


def count_built(client: Client, kind: Kind) -> list[int]:
    """How many blocks of each level there are. Raises Retryable, Permanent."""
    with translated(f"asking which sums table {kind.table} has"):
        sql = f"SELECT level, max(block) + 1 FROM {kind.table} WHERE shape = '{MARK}' GROUP BY level"  # noqa: S608 - our own names
        found = {int(level): int(n) for level, n in client.query(sql).result_rows}
    return [found.get(level, 0) for level in range(LEVELS)]
