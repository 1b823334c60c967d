"""Figures and alerts from the log alone, and whether the live ones are the same, bit for bit.

A bare loop over the log feeds what the roles archive and judge stand on: the same ``Archive``, into an empty scratch database beside
the live one, and the same ``Judge``, made anew. Both stores are compared at one *version*, the end of the log as it was when the check
began; what is written meanwhile changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any, Final, TypeVar

import msgspec
from aiokafka.structs import TopicPartition

from hailong.domain.judging import Judge
from hailong.domain.looking import BY
from hailong.domain.scoring import Filters, Version
from hailong.events import AlertChanged, CaseChanged, Fact, QualityLooked, SurveyCounted, decode
from hailong.ports import Invalid, Permanent, Retryable
from hailong.settings import Settings
from ops.log import Log
from ops.looking import Store
from ops.relooking import alerts_of, remade
from ops.scratch import scratch
from ops.wiring import Wiring
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.comparing import counted_faults, rows_differ
from sinks.clickhouse.queries import ClickHouseFigures
from sinks.clickhouse.tables import TABLES

ARCHIVED: Final = tuple(TABLES)
COUNTED: Final = "survey.counted.v1"
ALERT: Final = "alert.changed.v1"
CASE: Final = "case.changed.v1"
LOOKED: Final = "quality.looked.v1"
WITHIN_S: Final = 60.0
"""So long the live roles are given to come to where the log ended when the check began."""
_BLOCK: Final = 50_000
"""Facts of one partition handed to the archive at once; twice as many wait in memory over all partitions."""
_COLLECT_EVERY: Final = 50
"""Blocks."""
SHOWN: Final = 30
"""Differences printed; --json gives all."""
Step = AlertChanged | CaseChanged
T = TypeVar("T")


@dataclass(frozen=True)
class PutAside:
    """A record of the log that is no row: a dead letter of the live role too."""

    topic: str
    partition: int
    offset: int
    reason: str


@dataclass
class Rebuilt:
    """What the log alone gives at ``version``."""

    version: Version
    facts: int = 0
    """Records read."""
    seconds: float = 0.0
    put_aside: list[PutAside] = field(default_factory=list)
    alerts: list[AlertChanged] = field(default_factory=list)
    """The judge's steps, made anew."""
    cases: list[CaseChanged] = field(default_factory=list)
    judge_seq: int = 0
    judge_states: dict[str, bytes] = field(default_factory=dict)
    written: dict[str, Step] = field(default_factory=dict)
    """The judge's steps as they stand in the log, by event id; later echoes dropped."""
    looks: dict[date, QualityLooked] = field(default_factory=dict)
    """Looks at the quality of data as they stand in the log, by day; later echoes dropped."""
    doubts: dict[str, AlertChanged] = field(default_factory=dict)
    """The steps of alerts about it, by event id, likewise."""
    kept: str | None = None
    """The database it stands in, where that was to be kept."""


@dataclass(frozen=True)
class Difference:
    """Something that is not the same live and rebuilt. ``where`` names the place."""

    kind: str
    where: str
    live: str
    rebuilt: str

    def __str__(self) -> str:
        return f"{self.kind}, {self.where}: live {self.live}, from the log {self.rebuilt}"


# --- the rebuild ---------------------------------------------------------------------------------------------------------------


class Rebuilding:
    """The roles archive and judge over records of the log. Reading goes on while the block before is being stored."""

    def __init__(self, archive: Archive, judge: Judge, rebuilt: Rebuilt) -> None:
        self._archive = archive
        self._judge = judge
        self._rebuilt = rebuilt
        self._waiting: dict[TopicPartition, list[tuple[int, Fact]]] = defaultdict(list)
        self._n = 0
        self._blocks = 0
        self._storing: asyncio.Task[None] | None = None

    async def take(self, part: TopicPartition, records: Sequence[Any]) -> None:
        """Records of one partition, in order."""
        facts = self._decoded(part, records)
        self.heed(part.topic, (fact for _, fact in facts))
        self._waiting[part] += facts
        self._n += len(facts)
        self._rebuilt.facts += len(records)
        if len(self._waiting[part]) >= _BLOCK:
            await self._store(part)
        while self._n > 2 * _BLOCK:
            await self._store(max(self._waiting, key=lambda p: len(self._waiting[p])))

    def _decoded(self, part: TopicPartition, records: Sequence[Any]) -> list[tuple[int, Fact]]:
        topic, facts = part.topic, []
        for record in records:
            try:
                facts.append((record.offset, decode(topic, record.value)))
            except ValueError as e:
                self._put_aside(part, record.offset, str(e))
        return facts

    def _put_aside(self, part: TopicPartition, offset: int, reason: str) -> None:
        self._rebuilt.put_aside.append(PutAside(part.topic, part.partition, offset, reason))

    def heed(self, topic: str, facts: Iterable[Fact], upto: int | None = None) -> None:
        """What the judge makes of counted records (up to number ``upto``), and what it has written into the log before."""
        if topic == COUNTED:
            for fact in facts:
                if isinstance(fact, SurveyCounted) and (upto is None or fact.seq <= upto):
                    self._judged(fact)
            return
        for fact in facts if topic in (ALERT, CASE, LOOKED) else ():
            if isinstance(fact, QualityLooked):
                self._rebuilt.looks.setdefault(fact.day, fact)
            elif isinstance(fact, (AlertChanged, CaseChanged)) and _by_judge(fact):
                self._rebuilt.written.setdefault(fact.event_id, fact)
            elif isinstance(fact, AlertChanged) and fact.by == BY:
                self._rebuilt.doubts.setdefault(fact.event_id, fact)

    def _judged(self, fact: SurveyCounted) -> None:
        try:
            steps = self._judge.apply(fact)
        except Invalid:
            return  # a dead letter of the judge; its number is taken
        self._rebuilt.alerts += [s for s in steps if isinstance(s, AlertChanged)]
        self._rebuilt.cases += [s for s in steps if isinstance(s, CaseChanged)]

    async def _store(self, part: TopicPartition) -> None:
        facts = self._waiting.pop(part, [])
        self._n -= len(facts)
        await self._stored()
        if facts:
            self._blocks += 1
            if self._blocks % _COLLECT_EVERY == 0:
                gc.collect()
            self._storing = asyncio.create_task(asyncio.to_thread(self._absorb, part, facts))

    async def _stored(self) -> None:
        storing, self._storing = self._storing, None
        if storing is not None:
            await storing

    async def finish(self) -> None:
        """Store the rest."""
        for part in list(self._waiting):
            await self._store(part)
        await self._stored()

    def _absorb(self, part: TopicPartition, facts: list[tuple[int, Fact]]) -> None:
        """As the guard does it: what passes is waited for; a record that cannot be stored is put aside, alone."""
        try:
            _patiently(lambda: self._archive.absorb(part.topic, part.partition, facts))
            return
        except Retryable:
            raise
        except Exception as e:
            why = type(e).__name__
        _patiently(lambda: self._archive.absorbed([part.topic]))  # the store itself must be in order: raises when it is not
        if len(facts) == 1:
            self._put_aside(part, facts[0][0], f"it cannot be stored ({why})")
            return
        middle = len(facts) // 2
        self._absorb(part, facts[:middle])
        self._absorb(part, facts[middle:])

    def settle(self) -> None:
        """Note where the judge stands."""
        self._rebuilt.judge_seq = self._judge.seq
        self._rebuilt.judge_states |= self._judge.changed()


def _by_judge(fact: Step) -> bool:
    return isinstance(fact, CaseChanged) or fact.by == "judge"


def _patiently(work: Callable[[], T]) -> T:
    for wait in (0.5, 1.0, 2.0, 4.0, 8.0):
        try:
            return work()
        except Retryable as e:
            time.sleep(max(wait, e.after))
    return work()


async def rebuild(settings: Settings, into: str, until: Version | None = None) -> Rebuilt:
    """Read every archived topic to ``until`` (None: to its end now) into the database ``into``, which exists and is empty.

    Raises Retryable (broker or ClickHouse away), Permanent (facts were deleted from the log, the database is not there).
    """
    log = Log(settings.kafka)
    rebuilt = Rebuilt(await log.end(ARCHIVED) if until is None else until)
    await _read_into(log, replace(settings, clickhouse_database=into), rebuilt)
    return rebuilt


@contextlib.contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Facts make no circles, but a collection looks through all that wait: 5 µs a fact, twice what decoding costs."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


async def _read_into(log: Log, there: Settings, rebuilt: Rebuilt) -> Rebuilding:
    began = time.monotonic()
    archive = Archive(Wiring(there).clickhouse(), there.clickhouse_engine)
    work = Rebuilding(archive, Judge(there.default_target), rebuilt)
    with _collecting_seldom():
        async for part, records in log.read(rebuilt.version):
            await work.take(part, records)
        await work.finish()
    work.settle()
    rebuilt.seconds = time.monotonic() - began
    return work


# --- the check -----------------------------------------------------------------------------------------------------------------


async def check(settings: Settings, *, keep: bool = False, within_s: float = WITHIN_S) -> list[Difference]:
    """Rebuild into a scratch database and compare with the live figures, rows, alerts, cases and judge; empty: all is the same.

    Raises Retryable when a part is away or the live archive or judge does not catch up within ``within_s``, Permanent as ``rebuild``.
    """
    return (await examine(settings, keep=keep, within_s=within_s))[1]


async def examine(settings: Settings, *, keep: bool = False, within_s: float = WITHIN_S) -> tuple[Rebuilt, list[Difference]]:
    """As ``check``; what was rebuilt, too."""
    async with scratch(settings, keep=keep) as there:
        log = Log(settings.kafka)
        rebuilt = Rebuilt(await log.end(ARCHIVED), kept=there.clickhouse_database if keep else None)
        work = await _read_into(log, there, rebuilt)
        live = _Live(settings, log, time.monotonic() + within_s)
        await live.has_archived(rebuilt.version)
        found = await asyncio.to_thread(_stores_differ, settings, there, rebuilt)
        found += await _judges_differ(log, live, work, rebuilt)
        return rebuilt, found + await asyncio.to_thread(_looks_differ, settings, there, rebuilt)


@dataclass(frozen=True)
class _Judged:
    """What the ledger holds of the judge's work, up to the counted record ``seq``."""

    seq: int
    states: dict[str, bytes]
    alerts: list[AlertChanged]


class _Live:
    """The live roles, asked until they have come far enough or the time is over."""

    def __init__(self, settings: Settings, log: Log, deadline: float) -> None:
        wiring = Wiring(settings)
        self._archive = Archive(wiring.clickhouse(), settings.clickhouse_engine)
        self._ledger = wiring.ledger("rebuild")
        self._log = log
        self._deadline = deadline

    async def _until(self, wanting: Callable[[], Awaitable[str]], next_step: str) -> None:
        """Ask until ``wanting`` wants nothing more. Raises Retryable, saying what it wants still."""
        while said := await wanting():
            if time.monotonic() > self._deadline:
                raise Retryable(f"{said}. {next_step}", 10.0)
            await asyncio.sleep(0.25)

    async def has_archived(self, version: Version) -> None:
        """Wait until the archive has taken all of ``version``: stored it, or acknowledged it without (echoes, dead letters)."""

        async def behind() -> str:
            stored = await asyncio.to_thread(self._archive.absorbed, ARCHIVED)
            done = await self._log.acknowledged("hailong-archive")
            for topic, parts in version.items():
                for number, end in parts.items():
                    at = max(stored.get((topic, number), 0), done.get(TopicPartition(topic, number), 0))
                    if at < end:
                        return f"The live archive has taken {at} of {end} records of {topic}, partition {number}"
            return ""

        await self._until(behind, "See that the role archive runs (`hailong status`) and check again.")

    async def has_judged(self, seq: int) -> _Judged:
        """The judge's work in the ledger, once it has reached counted record ``seq``."""
        found = await asyncio.to_thread(self._judged)

        async def behind() -> str:
            nonlocal found
            if found.seq < seq:
                found = await asyncio.to_thread(self._judged)
            return f"The live judge has taken {found.seq} of {seq} counted records" if found.seq < seq else ""

        await self._until(behind, "See that the role judge runs (`hailong status`) and check again.")
        return found

    def _judged(self) -> _Judged:
        with self._ledger.begin() as tx:
            seq, states = tx.detector_states()
        with self._ledger.read() as reader:
            alerts = [a for a in reader.alerts(history=True) if _by_judge(a) and a.evidence_seq <= seq]
        return _Judged(seq, states, alerts)

    async def has_written(self, work: Rebuilding, after: Version, expected: Mapping[str, Step], rebuilt: Rebuilt) -> None:
        """Wait until the log holds every step of the judge: it commits first, then publishes. What never comes is a difference."""
        while not expected.keys() <= rebuilt.written.keys() and time.monotonic() < self._deadline:
            await asyncio.sleep(0.25)
            now = await self._log.end((ALERT, CASE))
            await _heed(self._log, work, now, after)
            after = now


async def _heed(log: Log, work: Rebuilding, until: Version, after: Version, upto: int | None = None) -> None:
    async for part, records in log.read(until, after):
        work.heed(part.topic, [fact for record in records if (fact := _fact(part.topic, record.value)) is not None], upto)


def _fact(topic: str, value: bytes) -> Fact | None:
    try:
        return decode(topic, value)
    except ValueError:
        return None


def _stores_differ(settings: Settings, there: Settings, rebuilt: Rebuilt) -> list[Difference]:
    version = rebuilt.version
    live, made = Wiring(settings).clickhouse(), Wiring(there).clickhouse()
    found = [
        Difference("rows", f"{d.topic}, partition {d.partition}, first at offset {d.offset}", f"{d.here} rows", f"{d.there} rows")
        for d in rows_differ(live, made, version)
    ]
    faults = [counted_faults(client, version[COUNTED].get(0, 0)) for client in (live, made)]
    if any(faults):
        found.append(Difference("completeness", COUNTED, *("; ".join(told) or "complete" for told in faults)))
    of = [ClickHouseFigures(client, settings.registry_id, settings.default_target) for client in (live, made)]
    sides = [_figures(figures, version) for figures in of]
    found += _unlike("figures", *sides)
    return found


def _figures(store: ClickHouseFigures, version: Version) -> dict[str, str]:
    """Every figure there is, by place: each unit and month, the newest answers of each unit, units, targets, the version."""
    figures = store.figures(Filters(), version)
    found = {f"unit {unit}, month {month}": str(counts) for (unit, month), counts in figures.cells.items()}
    newest = store.newest("", version)
    found |= {f"unit {unit}, month {month}, newest answers": str(answers) for (unit, month), answers in newest.items()}
    found["as of"] = f"{figures.as_of} ({figures.counted_at})"
    found["units"] = store.registry(version).dump().decode()
    found["targets"] = store.targets(version).dump().decode()
    return found


async def _judges_differ(log: Log, live: _Live, work: Rebuilding, rebuilt: Rebuilt) -> list[Difference]:
    before = {topic: rebuilt.version[topic] for topic in (COUNTED, ALERT, CASE)}
    sooner = await log.end((ALERT, CASE))  # the judge commits before it publishes: what is in the log now, the ledger will tell
    judged = await live.has_judged(rebuilt.judge_seq)
    await _heed(log, work, await log.end((COUNTED,)), before, judged.seq)
    work.settle()
    await _heed(log, work, sooner, before)
    steps: list[Step] = [*rebuilt.alerts, *rebuilt.cases]
    expected = {step.event_id: step for step in steps}
    surplus = rebuilt.written.keys() - expected.keys()
    await live.has_written(work, sooner, expected, rebuilt)
    written = [step for key, step in rebuilt.written.items() if key in expected or key in surplus]
    found = _unlike("alerts in the ledger", _steps(judged.alerts), _steps(rebuilt.alerts))
    found += _unlike("alerts and cases in the log", _steps(written), _steps(expected.values()))
    if judged.seq != rebuilt.judge_seq:
        found.append(Difference("judge", "counted records taken", str(judged.seq), str(rebuilt.judge_seq)))
    live_states, made = ({key: state.hex() for key, state in states.items()} for states in (judged.states, rebuilt.judge_states))
    return found + _unlike("judge's state", live_states, made)


def _looks_differ(settings: Settings, there: Settings, rebuilt: Rebuilt) -> list[Difference]:
    store = Store(Wiring(there).clickhouse, there)
    pairs = list(remade(store, [rebuilt.looks[day] for day in sorted(rebuilt.looks)], rebuilt.version))
    said, follows = (
        {f.event_id: msgspec.json.encode(f).decode() for f in facts} for facts in ([a for a, _ in pairs], [b.fact for _, b in pairs])
    )
    in_log, expected = alerts_of(pairs, rebuilt.doubts)
    with Wiring(settings).ledger("rebuild").read() as reader:
        kept = {step.event_id: step for step in reader.alerts(history=True) if step.by == BY}
    in_ledger, _ = alerts_of(pairs, kept)
    found = _unlike("looks at the quality of data", said, follows)
    found += _unlike("alerts about data in the log", _steps(in_log), _steps(expected))
    return found + _unlike("alerts about data in the ledger", _steps(in_ledger), _steps(expected))


def _steps(steps: Iterable[Step]) -> dict[str, str]:
    return {_place(step): msgspec.json.encode(step).decode() for step in steps}


def _place(step: Step) -> str:
    ref = step.alert_id if isinstance(step, AlertChanged) else step.case_id
    return f"{ref}, version {step.version}, {step.state}"


def _unlike(kind: str, live: Mapping[str, str], rebuilt: Mapping[str, str]) -> list[Difference]:
    places = sorted(live.keys() | rebuilt.keys())
    return [
        Difference(kind, place, live.get(place, "none"), rebuilt.get(place, "none"))
        for place in places
        if live.get(place) != rebuilt.get(place)
    ]


# --- the command ---------------------------------------------------------------------------------------------------------------


def run(settings: Settings, *, compare: bool, keep: bool = False, as_json: bool = False) -> int:
    """The command ``rebuild``: 0 when it was done (and, with ``compare``, nothing differs), 1 otherwise. Prints what it found."""
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # it writes a stack for every block it cannot make
    try:
        rebuilt, found = asyncio.run(examine(settings, keep=keep) if compare else _only(settings, keep=keep))
    except (Retryable, Permanent) as e:
        sys.stderr.write(f"The rebuild cannot be done: {e.reason}\n")
        return 1
    document = {
        "facts": rebuilt.facts,
        "seconds": round(rebuilt.seconds, 3),
        "version": rebuilt.version,
        "alerts": len(rebuilt.alerts),
        "looks": len(rebuilt.looks),
        "cases": len(rebuilt.cases),
        "put_aside": [asdict(p) for p in rebuilt.put_aside],
        "compared": compare,
        "kept": rebuilt.kept,
        "differences": [asdict(d) for d in found],
    }
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n" if as_json else _text(rebuilt, found, compare=compare))
    return 1 if found else 0


async def _only(settings: Settings, *, keep: bool) -> tuple[Rebuilt, list[Difference]]:
    async with scratch(settings, keep=keep) as there:
        rebuilt = await rebuild(settings, there.clickhouse_database)
        rebuilt.kept = there.clickhouse_database if keep else None
        return rebuilt, []


def _text(rebuilt: Rebuilt, found: Sequence[Difference], *, compare: bool) -> str:
    lines = [
        f"{rebuilt.facts} facts read in {rebuilt.seconds:.1f} s; {len(rebuilt.alerts)} steps of alerts, {len(rebuilt.cases)} of cases; "
        f"{len(rebuilt.put_aside)} records put aside as dead letters."
    ]
    if compare:
        lines.append(f"{len(found)} differences between live and rebuilt." if found else "Live and rebuilt are the same, bit for bit.")
    lines += [f"  {difference}" for difference in found[:SHOWN]]
    lines += [f"  … and {len(found) - SHOWN} more; --json shows all."] if len(found) > SHOWN else []
    lines += [f"Kept as the database {rebuilt.kept}. Drop it when you have done with it."] if rebuilt.kept else []
    return "\n".join(lines) + "\n"
