"""figures: what a page asks for, at millions of answers, beside a flat table and DuckDB; how much memory and disk it takes."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from bench import flat, province
from bench.meters import Asked, Goal, Line, Meter, Report, asked, cpu_seconds, peak_memory
from bench.room import room
from hailong.domain.scoring import Filters, Version
from hailong.settings import Settings
from sinks.clickhouse.comparing import drop_scratch, make_scratch
from sinks.clickhouse.connection import connect, translated
from sinks.clickhouse.queries import ClickHouseFigures
from sinks.clickhouse.strides import KINDS, Strides
from sinks.clickhouse.tallies import Tallies

ANSWERS: Final = 5_000_000
ENDINGS: Final = 4_000_000
RUNS: Final = 30
WITHIN_MS: Final = 100.0
MEMORY: Final = 2_000_000_000
_COMES: Final = {"survey.counted.v1": 5, "dossier.closed.v1": 1, "survey.delivery.v1": 3}
"""Facts a partition that come between one question and the next: some minutes of a working day."""
_PAGES: Final = 16
"""Questions with versions of their own, at most."""
_STATED: Final = "endings and deliveries are a province's, 4 million at most; they are not scaled with the answers"
Ask = Callable[[int], Any]


async def figures(answers: int = ANSWERS, runs: int = RUNS) -> Report:
    """``answers`` counted answers of ten years in a store of its own."""
    async with room(["store"]) as here:
        there = await asyncio.to_thread(make_scratch, here.settings, "hailong_rebuild_figures_bench")
        try:
            return await asyncio.to_thread(measured, there, here.others()["store"], province.Size(answers, min(answers, ENDINGS)), runs)
        finally:
            await asyncio.to_thread(drop_scratch, there)


@dataclass(frozen=True)
class Made:
    """A province that lies in the store."""

    client: Client
    store: int
    """The store's process."""
    version: Version
    older: list[Version]
    """What was the newest version earlier."""


def measured(there: Settings, store: int, size: province.Size, runs: int = RUNS, slices: int = province.SLICES) -> Report:
    """Make the province in an empty database and ask; ``store``: process id of the ClickHouse that serves it."""
    report = Report("figures", "milliseconds a question")
    client = connect(there)
    made = _make(report, client, store, size, slices)
    report.notes.append(
        f"{size.answers:,} counted answers ({size.records:,} records) of ten years, {province.UNITS} units; {size.endings:,} endings,"
        f" {size.deliveries:,} deliveries: {_STATED}."
    )
    report.asked += _pages(made, runs)
    worst = max(report.asked, key=lambda one: one.p95)
    report.goals.append(Goal(f"{WITHIN_MS:.0f} ms, of the slowest page question's p95 ({worst.name})", 1.0, WITHIN_MS / worst.p95))
    _beside(report, made, size, runs)
    _sizes(report, client, store)
    return report


def _make(report: Report, client: Client, store: int, size: province.Size, slices: int) -> Made:
    tallies, strides = Tallies(client), [Strides(client, kind) for kind in KINDS.values()]
    older, begun, summing = list[Version](), Meter(os.getpid(), {"store": store}), 0.0
    asker = _figures(client)
    for seq in province.make(client, size, slices):
        before = time.monotonic()
        tallies.advance(seq)
        for one in strides:
            one.advance()
        summing += time.monotonic() - before
        older.append(asker.version())
    whole = begun.line("rows made in the store", size.records + size.endings + size.deliveries)
    report.lines += [whole, Line("of that, their sums", round(whole.n / max(summing, 1e-9), 1), whole.n, round(summing, 3))]
    return Made(client, store, asker.version(), older)


def _figures(client: Client) -> ClickHouseFigures:
    return ClickHouseFigures(client, "bench", 0.9)


def _pages(made: Made, runs: int) -> list[Asked]:
    draw, months, units = random.Random(1), province.months(), province.units()
    asker, modes, fields, channels = _figures(made.client), ("link", "call", "sms"), province.FIELDS, province.CHANNELS
    steps = iter(range(_PAGES * (runs + len(fields)), 0, -1))

    def at() -> Version:
        """A version some facts later at each question."""
        left = next(steps)
        return {t: {p: max(0, end - left * _COMES.get(t, 0)) for p, end in parts.items()} for t, parts in made.version.items()}

    def page(filters: Callable[[int], Filters], of: Callable[[], list[str] | None] = list) -> Ask:
        return lambda n: asker.figures(filters(n), at(), of())

    questions: dict[str, tuple[Ask, int]] = {
        "version": (lambda _: asker.version(), 1),
        "registry": (lambda _: asker.registry(made.version), 1),
        "whole province by unit and month": (page(lambda _: Filters()), 1),
        "within a field": (page(lambda n: Filters(field=fields[n % len(fields)])), len(fields)),
        "within a channel": (page(lambda n: Filters(channel=channels[n % 3])), 3),  # type: ignore[arg-type] # words of the facts
        "within a mode": (page(lambda n: Filters(mode=modes[n % 3])), 3),  # type: ignore[arg-type] # words of the facts
        "at the desk": (page(lambda _: Filters(place="desk")), 1),
        "by receiving unit": (page(lambda _: Filters(by="receiving")), 1),
        "a question's scale": (page(lambda n: Filters(question=f"{province.QUESTIONNAIRE}:{province.SCALES[n % 3]}")), 3),
        "a field within a mode": (page(lambda n: Filters(field=fields[n % len(fields)], mode="link")), len(fields)),
        "a unit's own, in steps": (page(lambda _: Filters(), lambda: [draw.choice(units)]), 1),
        "a unit's own year, in steps": (page(lambda _: _year(draw.choice(months)), lambda: [draw.choice(units)]), 1),
        "an older version": (lambda _: _figures(made.client).figures(Filters(), draw.choice(made.older), ()), 1),
    }
    return [asked(name, ask, variants, runs, lambda: cpu_seconds(made.store)) for name, (ask, variants) in questions.items()]


def _year(month: str) -> Filters:
    return Filters(month_from=f"{month[:4]}-01", month_to=f"{month[:4]}-12")


def _beside(report: Report, made: Made, size: province.Size, runs: int) -> None:
    """The same aggregates of the answers alone, without endings and invitations."""
    folder = Path(tempfile.mkdtemp(prefix="hailong-bench-parquet-"))
    try:
        flat.make_flat(made.client, size.records)
        report.asked += [_flat(made, way, runs) for way in flat.WAYS]
        written = flat.write_parquet(made.client, size.records, folder)
        report.notes.append(f"Parquet of the same rows: {written / 1e6:,.0f} MB.")
        try:
            ask = flat.duck(folder, MEMORY)
        except RuntimeError as missing:
            report.notes.append(str(missing))
            return
        for way in flat.WAYS:
            name = f"{way}: answers alone, DuckDB on Parquet"
            report.asked.append(asked(name, lambda n, way=way: ask(flat.asked(way, "flat", _field(n))), 1, runs, lambda: 0.0))  # type: ignore[misc] # a default binds the loop's name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _flat(made: Made, way: str, runs: int) -> Asked:
    def ask(n: int) -> Any:
        with translated("asking the flat table"):
            return made.client.query(flat.asked(way, "flat", _field(n))).result_columns

    return asked(f"{way}: answers alone, flat table", ask, 1, runs, lambda: cpu_seconds(made.store))


def _field(n: int) -> str:
    return province.FIELDS[n % len(province.FIELDS)]


def _sizes(report: Report, client: Client, store: int) -> None:
    sql = """
        SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts
        WHERE active AND database = currentDatabase() GROUP BY table HAVING sum(rows) > 0 ORDER BY 3 DESC"""
    with translated("asking how large the tables are"):
        found = client.query(sql).result_rows
    report.notes.append("On disk: " + "; ".join(f"{table} {rows:,} rows, {size / 1e6:,.1f} MB" for table, rows, size in found) + ".")
    report.notes.append(
        f"The store's memory at its peak, making included: {peak_memory(store) / 1e6:,.0f} MB; its limit {MEMORY / 1e6:,.0f} MB."
    )
