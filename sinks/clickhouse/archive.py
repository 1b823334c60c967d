"""Facts into ClickHouse, each once.

One writer per partition. Every row carries its topic, partition and offset; what is at or below the highest offset absorbed is
skipped. An insert that failed may have happened: after any failure ClickHouse is asked again, and the part that was in doubt is
repeated with its own boundaries, so that its token drops it should it still arrive; also by the process that comes after one that died.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from hailong.events import Fact, SurveyCounted
from hailong.ports import Permanent
from sinks.clickhouse.checkpoints import STRIDE, Checkpoints
from sinks.clickhouse.connection import translated
from sinks.clickhouse.doubts import Doubts
from sinks.clickhouse.tables import TABLES, Table
from sinks.clickhouse.tallies import BLOCK, Tallies

COUNTED: Final = "survey.counted.v1"
BLOCK_ROWS: Final = 50_000
"""Rows of one insert at most: far below what a server would split, so that an insert stays one block, whole or not there."""
_ONE_BLOCK: Final = {
    "async_insert": 0,
    "max_insert_threads": 1,
    "max_insert_block_size": 1_000_000,
    "min_insert_block_size_rows": 1_000_000,
    "min_insert_block_size_bytes": 1_000_000_000,
}
_REPLICATED: Final = {"insert_quorum": "auto", "insert_quorum_parallel": 0}


class Archive:
    """The store of facts over ClickHouse (``hailong.ports.FactStore``)."""

    def __init__(
        self, client: Client, engine: str = "single", doubts: Doubts | None = None, block: int = BLOCK, stride: int = STRIDE
    ) -> None:
        """``client`` without a session. ``engine``: the setting ``clickhouse_engine``. ``doubts``: of whoever wrote before.

        ``block``: of the sums, as of whoever reads them; ``stride``: facts from one checkpoint to the next."""
        self._doubts = doubts
        self._inherited: set[tuple[str, int]] = set()
        self._client = client
        self._insert_settings = _ONE_BLOCK | (_REPLICATED if engine == "replicated" else {})
        replicated = _REPLICATED if engine == "replicated" else {}
        self._tallies, self._checkpoints = Tallies(client, replicated, block), Checkpoints(client, replicated, stride)
        self._read_settings = {"select_sequential_consistency": 1} if engine == "replicated" else {}
        self._next: dict[tuple[str, int], int] = {}
        self._known: set[str] = set()
        self._next_seq = 1
        self._doubtful: dict[tuple[str, int], int] = {}

    def absorbed(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """(topic, partition) → the offset to go on from, as ClickHouse says now. Topics that are not archived are left out.

        Ask at start and after every rebalance. Raises Retryable, Permanent.
        """
        found: dict[tuple[str, int], int] = {}
        for topic in topics:
            if topic in TABLES:
                found |= self._ask(TABLES[topic])
        return found

    def _ask(self, table: Table) -> dict[tuple[str, int], int]:
        last_seq = "max(seq)" if table.topic == COUNTED else "0"
        sql = f"SELECT _partition, max(_offset) + 1, {last_seq} FROM {table.name} GROUP BY _partition"  # noqa: S608 - our own names
        with translated(f"asking how far table {table.name} is"):
            rows = self._client.query(sql, settings=self._read_settings).result_rows
        found = {(table.topic, int(partition)): int(following) for partition, following, _ in rows}
        for place in [p for p in self._next if p[0] == table.topic]:
            del self._next[place]
        self._next |= found
        if table.topic == COUNTED:
            self._next_seq = max((int(seq) for _, _, seq in rows), default=0) + 1
        self._known.add(table.topic)
        return found

    def absorb(self, topic: str, partition: int, facts: Sequence[tuple[int, Fact]]) -> int:
        """Store a batch of one partition, offsets rising; the number of rows that were new.

        When it returns, they are durable. Raises Retryable (nothing is lost, call again with the same or a longer batch) or Permanent.
        """
        table = TABLES.get(topic)
        if table is None:
            raise Permanent(f"{topic}: no table takes this topic. Subscribe archive only to the topics it has tables for.")
        if topic not in self._known:
            self._ask(table)
        place = (topic, partition)
        following = self._next.get(place, 0)
        self._inherit(place, following)
        fresh = [row for row in facts if row[0] >= following]
        new = self._in_turn(fresh) if topic == COUNTED else fresh
        for part in self._parts(place, new):
            self._insert(table, partition, part)
        if topic == COUNTED:
            self._tallies.advance(self._next_seq - 1)
        self._checkpoints.absorbed(topic, len(new))
        return len(new)

    def _inherit(self, place: tuple[str, int], following: int) -> None:
        """What the process before this one had begun to insert and ClickHouse does not have (yet)."""
        if self._doubts is None or place in self._inherited:
            return
        self._inherited.add(place)
        if (last := self._doubts.last(*place)) >= following:
            self._doubtful.setdefault(place, last)

    def check(self, topic: str) -> None:
        """Return when the topic's table is there for us. Raises Retryable, Permanent."""
        table = TABLES[topic]
        with translated(f"looking at table {table.name}"):
            self._client.query(f"SELECT 1 FROM {table.name} LIMIT 0")  # noqa: S608 - our own names

    def _in_turn(self, facts: Sequence[tuple[int, Fact]]) -> list[tuple[int, Fact]]:
        """Of counted records only those whose ``seq`` is the next one: a lower one is an echo, a higher one is written again."""
        following = self._next_seq
        taken: list[tuple[int, Fact]] = []
        for row in facts:
            fact = row[1]
            if isinstance(fact, SurveyCounted) and fact.seq == following:
                taken.append(row)
                following += 1
        return taken

    def _parts(self, place: tuple[str, int], rows: list[tuple[int, Fact]]) -> list[list[tuple[int, Fact]]]:
        doubtful = self._doubtful.pop(place, -1)
        first = [row for row in rows if row[0] <= doubtful]
        rest = rows[len(first) :]
        parts = [rows[:0], *(rest[i : i + BLOCK_ROWS] for i in range(0, len(rest), BLOCK_ROWS))]
        return [part for part in (first, *parts) if part]

    def _insert(self, table: Table, partition: int, rows: list[tuple[int, Fact]]) -> None:
        first, last = rows[0][0], rows[-1][0]
        token = f"{table.topic}:{partition}:{first}-{last}"
        if self._doubts is not None:
            self._doubts.note(table.topic, partition, last)
        try:
            with translated(f"inserting {len(rows)} rows into table {table.name}"):
                self._client.insert(
                    table.name,
                    table.block(partition, rows),
                    column_names=table.column_names,
                    column_types=table.column_types(),
                    column_oriented=True,
                    settings={**self._insert_settings, "insert_deduplication_token": token},
                )
        except BaseException:
            self._known.discard(table.topic)
            self._doubtful[table.topic, partition] = last
            raise
        self._next[table.topic, partition] = last + 1
        if table.topic == COUNTED:
            self._next_seq += len(rows)
