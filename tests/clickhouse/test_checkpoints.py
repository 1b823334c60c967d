"""Sums over dossiers and surveys against a naive reading: at any version of the topics, whoever wrote them and whatever was interrupted."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, cast, get_args
from unittest.mock import Mock

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from hailong.domain.scoring import Filters, Version
from hailong.events import DeliveryState, DossierClosed, DossierReopened, Fact, SurveyDelivery
from hailong.ports import Retryable
from hailong.settings import Settings
from sinks.clickhouse import checkpoints
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.checkpoints import ASKED, CLOSED, DELIVERY, ENDED, REOPENED, Checkpoints
from sinks.clickhouse.connection import connect
from sinks.clickhouse.queries import ClickHouseFigures
from tests.clickhouse.facts import closed, delivery, reopened
from tests.clickhouse.room import database

pytestmark = pytest.mark.stack
STRIDE = 3
"""So few facts that some thousand make checkpoints of three levels."""
DAY = date(2026, 1, 25)
Log = dict[tuple[str, int], list[Fact]]
Sums = Counter[tuple[str, str, str]]


def log_of(seed: int, facts: int) -> list[tuple[str, int, Fact]]:
    """Acts and messages in the order in which they are archived: few dossiers and surveys, so that most have several; echoes too."""
    draw, written = random.Random(seed), list[tuple[str, int, Fact]]()
    for n in range(facts):
        ref, unit, day = f"d{draw.randrange(facts // 3)}", f"C0{draw.randrange(3)}", DAY + timedelta(days=draw.randrange(12))
        kind, partition = draw.random(), int(ref[1:]) % 3
        if written and kind < 0.05:
            written.append(draw.choice(written[-40:]))
        elif kind < 0.5:
            outcome = "supplement_requested" if draw.random() < 0.2 else "result_returned"
            act = msgspec.structs.replace(closed(ref, day, unit, n, outcome), field=draw.choice(["land", "civil"]))
            written.append((CLOSED, partition, act))
        elif kind < 0.65:
            written.append((REOPENED, partition, reopened(ref, day, n)))
        else:
            state: DeliveryState = draw.choice(get_args(DeliveryState))
            channel: Any = draw.choice(["sms", "email"])
            purpose: Any = draw.choice(["invitation", "invitation", "reminder"])
            told = delivery(f"s{ref}", n, state, DAY, f"C0{partition}", channel, purpose)
            written.append((DELIVERY, partition, told))
    return written


def placed(written: Sequence[tuple[str, int, Fact]]) -> Log:
    log: Log = defaultdict(list)
    for topic, partition, fact in written:
        log[topic, partition].append(fact)
    return log


def naive(log: Log, version: Version, field: str | None = None) -> Sums:
    found: Sums = Counter()
    seen = {place: facts[: version.get(place[0], {}).get(place[1], 0)] for place, facts in log.items()}
    acts: defaultdict[str, list[tuple[int, DossierClosed]]] = defaultdict(list)
    again: defaultdict[str, list[DossierReopened]] = defaultdict(list)
    states: defaultdict[str, list[SurveyDelivery]] = defaultdict(list)
    for (topic, _), facts in seen.items():
        for offset, fact in enumerate(facts):
            if topic == CLOSED:
                acts[cast(DossierClosed, fact).dossier_ref].append((offset, cast(DossierClosed, fact)))
            elif topic == REOPENED:
                again[cast(DossierReopened, fact).dossier_ref].append(cast(DossierReopened, fact))
            else:
                states[cast(SurveyDelivery, fact).survey_id].append(cast(SurveyDelivery, fact))
    for ref, told in acts.items():
        if resumed := again.get(ref):
            last, latest = max(a.ended_on for _, a in told), max(r.reopened_on for r in resumed)
            if latest > last or (latest == last and len({r.event_id for r in resumed}) >= len({a.event_id for _, a in told})):
                continue
        endings = [(a.ended_on, offset, a) for offset, a in told if a.outcome != "supplement_requested"]
        if endings:
            first = min(endings, key=lambda e: e[:2])[2]
            if field in (None, first.field):
                found[first.handling_unit, f"{first.ended_on:%Y-%m}", "ended"] += 1
    for steps in states.values():
        tried = [s for s in steps if s.purpose == "invitation"]
        plain = {s.state for s in tried}
        mailed = {s.state for s in tried if s.channel == "email"}
        if plain & {"handed_over", "unknown", "delivered"} and field in (None, tried[0].about.field):
            at = tried[0].about.handling_unit, tried[0].about.month
            found[*at, "asked"] += 1
            found[*at, "reached"] += "delivered" in plain or ("handed_over" in mailed and "failed" not in mailed)
    return +found


def summed(figures: ClickHouseFigures, version: Version, field: str | None = None) -> Sums:
    cells = figures.figures(Filters(field=field), version).cells
    return +Counter({(*at, what): getattr(cell, what) for at, cell in cells.items() for what in ("ended", "asked", "reached")})


def versions(log: Log, seed: int, n: int) -> Iterator[Version]:
    """Any: partitions of a topic lie where they like, some are not there at all."""
    draw = random.Random(seed)
    for share in (0.0, *(draw.random() for _ in range(n)), 1.0):
        version: Version = defaultdict(dict)
        for (topic, partition), facts in log.items():
            if draw.random() < 0.9 or share == 1.0:
                version[topic][partition] = min(len(facts), int(len(facts) * share * draw.choice([1, 1, 1.1])))
        yield dict(version)


def absorb(archive: Archive, written: Sequence[tuple[str, int, Fact]], seed: int) -> None:
    """In batches of any size, topics and partitions interleaved."""
    draw, at, offsets = random.Random(seed), 0, Counter[tuple[str, int]]()
    while at < len(written):
        size = draw.randrange(1, 60)
        for (topic, partition), facts in placed(written[at : at + size]).items():
            first = offsets[topic, partition]
            archive.absorb(topic, partition, list(enumerate(facts, first)))
            offsets[topic, partition] += len(facts)
        at += size


@pytest.fixture(scope="module")
def written() -> list[tuple[str, int, Fact]]:
    return log_of(20250701, 2400)


@pytest.fixture(scope="module")
def stored(address: str, written: list[tuple[str, int, Fact]]) -> Iterator[Settings]:
    with database(address) as settings:
        absorb(Archive(connect(settings), stride=STRIDE), written, 5)
        yield settings


def figures_of(settings: Settings) -> ClickHouseFigures:
    return ClickHouseFigures(connect(settings), "test", 0.9)


def test_there_are_checkpoints_of_three_levels(stored: Settings) -> None:
    for kind in (ENDED, ASKED):
        at, built = checkpoints.last(connect(stored), kind)
        assert at.number == built[0] > 16
        assert built[1] == built[0] // 16


@pytest.mark.parametrize("field", [None, "land"])
def test_any_version_gives_what_a_naive_reading_gives(stored: Settings, written: list[tuple[str, int, Fact]], field: str | None) -> None:
    log = placed(written)
    for version in versions(log, 9, 25):
        assert summed(figures_of(stored), version, field) == naive(log, version, field)


@pytest.mark.parametrize("step", [1, 4, 40])
def test_whoever_asks_again_adds_what_came_since(
    stored: Settings, written: list[tuple[str, int, Fact]], step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Near and far of the last checkpoint, across some, and back to an older version."""
    figures, draw = figures_of(stored), random.Random(step)
    monkeypatch.setattr(checkpoints, "summed", counting := Mock(wraps=checkpoints.summed))
    for end in [*range(900, 900 + 30 * step, step), 700]:
        log = placed(written[: end + draw.randrange(step)])
        version: Version = defaultdict(dict)
        for (topic, partition), facts in log.items():
            version[topic][partition] = len(facts)
        assert summed(figures, dict(version)) == naive(log, version)
    assert counting.call_count == 4


def test_the_newest_version_is_the_end_of_every_partition(stored: Settings, written: list[tuple[str, int, Fact]]) -> None:
    found = figures_of(stored).version()
    for (topic, partition), facts in placed(written).items():
        assert found[topic][partition] == len(facts)


def test_without_checkpoints_the_figures_are_the_same(address: str, stored: Settings, written: list[tuple[str, int, Fact]]) -> None:
    with database(address) as settings:
        absorb(Archive(connect(settings)), written, 8)
        assert checkpoints.last(connect(settings), ENDED)[0].number == 0
        for version in versions(placed(written), 4, 5):
            assert summed(figures_of(settings), version) == summed(figures_of(stored), version)


def test_what_was_there_before_is_caught_up_with_in_steps(
    address: str, written: list[tuple[str, int, Fact]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_MOST", 40)
    with database(address) as settings:
        absorb(Archive(connect(settings)), written, 8)
        late = Checkpoints(connect(settings), stride=STRIDE)
        assert late.advance(ENDED) > 3
        assert late.advance(ENDED) == 0
        for version in versions(placed(written), 4, 8):
            assert summed(figures_of(settings), version) == naive(placed(written), version)


class _Dying(Checkpoints):
    """Dies now and then: before it writes, or after what it wrote has arrived."""

    def __init__(self, client: Client, seed: int) -> None:
        super().__init__(client, stride=STRIDE)
        self._draw = random.Random(seed)

    def _insert(self, what: str, sql: str, token: str) -> None:
        if self._draw.random() < 0.2:
            raise Retryable("dies before")
        super()._insert(what, sql, token)
        if self._draw.random() < 0.2:
            raise Retryable("dies after")


@pytest.mark.parametrize("seed", [1, 2])
def test_whoever_dies_anywhere_or_writes_beside_another_changes_nothing(
    address: str, written: list[tuple[str, int, Fact]], seed: int
) -> None:
    with database(address) as settings:
        client, log = connect(settings), placed(written)
        for part, start in enumerate(range(0, len(written), 300)):
            archive, offsets = Archive(client), Counter((t, p) for t, p, _ in written[:start])
            for (topic, partition), facts in placed(written[start : start + 300]).items():
                archive.absorb(topic, partition, list(enumerate(facts, offsets[topic, partition])))
            for who in range(3):
                for kind in (ENDED, ASKED):
                    try:
                        _Dying(client, seed * 1000 + part * 10 + who).advance(kind)
                    except Retryable:
                        continue
        assert checkpoints.last(client, ENDED)[0].number > 3
        for version in versions(log, seed, 8):
            assert summed(figures_of(settings), version) == naive(log, version)
