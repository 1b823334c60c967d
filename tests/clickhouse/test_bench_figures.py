"""The benchmark of figures at a tiny size: its province is what it says, and everything it asks is answered."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from rich.console import Console

from bench import flat, province
from bench.command import BENCHMARKS, show
from bench.figures import measured
from hailong.domain.scoring import Filters
from hailong.settings import Settings
from sinks.clickhouse.connection import connect
from sinks.clickhouse.queries import ClickHouseFigures
from sinks.clickhouse.strides import KINDS, Strides
from sinks.clickhouse.tallies import Tallies
from tests.clickhouse.room import rows

pytestmark = pytest.mark.stack
SIZE = province.Size(20_000, 8_000)


def test_its_records_are_numbered_and_its_figures_are_those_of_the_flat_table(settings: Settings) -> None:
    client = connect(settings)
    tallies, strides = Tallies(client, block=4096), [Strides(client, kind, stride=500) for kind in KINDS.values()]
    for seq in province.make(client, SIZE, 3):
        tallies.advance(seq)
        assert [one.advance() > 0 for one in strides] == [True, True]
    numbers = rows(client, "SELECT count(), uniqExact(seq), max(seq), countIf(_offset != seq - 1) FROM counted")
    assert numbers == [(SIZE.records, SIZE.records, SIZE.records, 0)]
    assert rows(client, "SELECT count() > 3 FROM counted WHERE reason = 'erased'") == [(True,)]
    flat.make_flat(client, SIZE.records)
    store = ClickHouseFigures(client, "bench", 0.9, 4096)
    ways = dict(zip(flat.WAYS, (Filters(), Filters(field="F00"), Filters(by="receiving")), strict=True))
    for way, filters in ways.items():
        told = {(unit, month): scores for unit, month, _, *scores in rows(client, flat.asked(way, "flat", "F00"))}
        found = {cell: list(counts.scores) for cell, counts in store.figures(filters).cells.items() if counts.answered}
        assert found == told
    ended = sum(cell.ended for cell in store.figures(Filters()).cells.values())
    assert 0.9 * SIZE.endings < ended < SIZE.endings


def test_it_measures_every_question_of_a_page_and_tells_what_is_missing(settings: Settings) -> None:
    report = measured(settings, os.getpid(), province.Size(3_000, 2_000), runs=1, slices=2)
    names = Counter(one.name for one in report.asked)
    assert {"version", "registry", "within a field", "a question's scale", "an older version"} <= names.keys()
    assert max(names.values()) == 1
    assert all(one.n == 1 and 0 < one.p50 <= one.p95 for one in report.asked)
    assert any("not scaled" in note for note in report.notes)
    assert any("DuckDB" in told for told in (*names, *report.notes))
    show(report, Console(quiet=True))
    assert "figures" in BENCHMARKS
