"""Figures against a naive reading of the same facts: any district, with echoes, at any version, and the same after a rebuild."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from hailong.domain.scoring import Counts, Figures, Filters, Version
from hailong.domain.telling import Newest
from hailong.domain.units import LOCAL
from hailong.events import DossierClosed, DossierReopened, Fact, SurveyCounted, SurveyDelivery
from hailong.settings import Settings
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.connection import connect
from sinks.clickhouse.queries import QUERIES, ClickHouseFigures
from tests.clickhouse.facts import District, closed, counted, delivery, reopened
from tests.clickhouse.room import database

pytestmark = pytest.mark.stack
Cells = dict[tuple[str, str], Counts]
DAY = date(2026, 1, 5)
BLOCK = 32
"""Few records a block, so that a small district has sums of several levels."""
CLOSED, REOPENED, DELIVERY, COUNTED = "dossier.closed.v1", "dossier.reopened.v1", "survey.delivery.v1", "survey.counted.v1"


def naive(topics: dict[str, Sequence[Fact]]) -> Cells:
    """The definitions, read off the facts one by one."""
    cells: defaultdict[tuple[str, str], Counts] = defaultdict(Counts)
    _naive_endings(cells, topics)
    _naive_askings(cells, [f for f in topics.get(DELIVERY, ()) if isinstance(f, SurveyDelivery)])
    _naive_answers(cells, [f for f in topics.get(COUNTED, ()) if isinstance(f, SurveyCounted)])
    return dict(cells)


def _naive_endings(cells: defaultdict[tuple[str, str], Counts], topics: dict[str, Sequence[Fact]]) -> None:
    acts: dict[str, dict[str, DossierClosed]] = defaultdict(dict)
    again: dict[str, dict[str, DossierReopened]] = defaultdict(dict)
    for fact in topics.get(CLOSED, ()):
        if isinstance(fact, DossierClosed):
            acts[fact.dossier_ref].setdefault(fact.event_id, fact)
    for fact in topics.get(REOPENED, ()):
        if isinstance(fact, DossierReopened):
            again[fact.dossier_ref].setdefault(fact.event_id, fact)
    for ref, closings in acts.items():
        endings = [f for f in closings.values() if f.outcome != "supplement_requested"]
        last, last_again = max(f.ended_on for f in closings.values()), max((f.reopened_on for f in again[ref].values()), default=date.min)
        goes_on = last_again > last or (last_again == last and len(again[ref]) >= len(closings))
        if endings and not goes_on:
            first = min(endings, key=lambda f: f.ended_on)
            cells[first.handling_unit, f"{first.ended_on:%Y-%m}"] += Counts(ended=1)


def _naive_askings(cells: defaultdict[tuple[str, str], Counts], facts: Iterable[SurveyDelivery]) -> None:
    states: defaultdict[tuple[str, str, str], set[tuple[str, str | None]]] = defaultdict(set)
    for f in facts:
        if f.purpose == "invitation":
            states[f.about.handling_unit, f.about.month, f.survey_id].add((f.state, f.channel))
    for (unit, month, _), seen in states.items():
        plain = {state for state, _ in seen}
        asked = bool(plain & {"handed_over", "unknown", "delivered"})
        reached = "delivered" in plain or (("handed_over", "email") in seen and "failed" not in plain)
        cells[unit, month] += Counts(asked=int(asked), reached=int(asked and reached))


def _naive_answers(cells: defaultdict[tuple[str, str], Counts], facts: Sequence[SurveyCounted]) -> None:
    erased = {f.survey_id for f in facts if f.kind == "retraction" and f.reason == "erased"}
    for f in facts:
        if f.kind != "answer" or f.survey_id in erased or f.about is None:
            continue
        a, b, c, d, e = (int(f.score == score and f.revision == 0) for score in range(1, 6))
        none = int(f.score is None and f.revision == 0)
        cells[f.about.handling_unit, f.about.month] += Counts((a, b, c, d, e), none, int(f.revision > 0))


def same(found: Cells, wanted: Cells) -> None:
    empty = Counts()
    assert {k: v for k, v in found.items() if v != empty} == {k: v for k, v in wanted.items() if v != empty}


def with_echoes(facts: Sequence[Fact], seed: int) -> list[Fact]:
    """Some facts again, later; their ids tell."""
    draw = random.Random(seed)
    written: list[Fact] = []
    for fact in facts:
        written.append(fact)
        if draw.random() < 0.1:
            written.append(draw.choice(written[-50:]))
    return written


def store(settings: Settings, topics: dict[str, list[Fact]], seed: int = 0) -> ClickHouseFigures:
    """All facts, over two partitions where a topic has several, in batches of any size."""
    archive, draw = Archive(connect(settings), block=BLOCK, stride=BLOCK), random.Random(seed)
    for topic, facts in topics.items():
        parts: list[list[Fact]] = [[], []]
        for fact in facts:
            key = getattr(fact, "dossier_ref", None) or getattr(fact, "survey_id", None) or ""
            parts[0 if topic == COUNTED else hash_of(key) % 2].append(fact)
        for partition, part in enumerate(parts):
            offset = 0
            while offset < len(part):
                size = draw.randrange(200, 2500)
                archive.absorb(topic, partition, list(enumerate(part))[offset : offset + size])
                offset += size
    return ClickHouseFigures(connect(settings), "test", 0.9, BLOCK)


def hash_of(key: str) -> int:
    return sum(map(ord, key))


@pytest.fixture(scope="module")
def district() -> District:
    return District(5, communes=8, days=100, per_day=15)


@pytest.fixture(scope="module")
def stored(address: str, district: District) -> Iterator[ClickHouseFigures]:
    with database(address) as settings:
        yield store(settings, district.topics)


def test_every_query_runs_on_empty_tables(settings: Settings) -> None:
    figures = ClickHouseFigures(connect(settings), "test", 0.9)
    assert figures.figures(Filters()) == Figures(0, figures.version(), None, {})
    assert figures.registry().codes() == []
    assert figures.targets().on((), DAY).value == 0.9
    assert figures.complete()
    assert len({q.name for q in QUERIES}) == len(QUERIES)


@pytest.mark.parametrize("seed", [1, 2])
def test_figures_are_those_of_a_naive_reading_echoes_or_not(settings: Settings, seed: int) -> None:
    district = District(seed, communes=8, days=100, per_day=15)
    topics = {topic: with_echoes(facts, seed) for topic, facts in district.topics.items()}
    figures = store(settings, topics, seed)
    found = figures.figures(Filters())
    same(found.cells, naive(dict(district.topics)))
    assert found.as_of == len(district.topics[COUNTED])
    assert figures.complete()


def test_an_older_version_gives_the_older_figures(stored: ClickHouseFigures, district: District) -> None:
    version: Version = {COUNTED: {0: 200}, CLOSED: {0: 300, 1: 400}}
    found = stored.figures(Filters(), version)
    assert found.as_of == 200
    halves: list[list[Fact]] = [[], []]
    for fact in district.topics[CLOSED]:
        if isinstance(fact, DossierClosed):
            halves[hash_of(fact.dossier_ref) % 2].append(fact)
    same(found.cells, naive({COUNTED: district.topics[COUNTED][:200], CLOSED: halves[0][:300] + halves[1][:400]}))


def test_a_rebuild_with_other_batches_gives_the_same_figures(settings: Settings, stored: ClickHouseFigures, district: District) -> None:
    rebuilt = store(settings, district.topics, 2)
    version = stored.version()
    assert rebuilt.figures(Filters(), version) == stored.figures(Filters(), version)


def test_registry_and_targets_come_back_dated(stored: ClickHouseFigures) -> None:
    registry = stored.registry()
    assert registry.chain("C03", DAY) == ("C03", "D")
    assert registry.name("C03", DAY) == "Xã 03"
    assert stored.targets().on(("C03", "D"), DAY).value == 0.87


def test_nine_then_ten_is_one_ending_and_a_reopened_dossier_is_none(settings: Settings) -> None:
    later = date(2026, 2, 9)
    topics: dict[str, list[Fact]] = {
        CLOSED: [
            closed("a", DAY), closed("a", later, act=2),
            closed("b", DAY), closed("c", DAY), closed("c", later, act=2), closed("d", DAY),
            closed("e", DAY, outcome="supplement_requested"),
        ],
        REOPENED: [reopened("b", DAY), reopened("c", DAY), reopened("d", later)],
    }  # fmt: skip
    found = store(settings, topics).figures(Filters()).cells
    assert {key: cell.ended for key, cell in found.items()} == {("C01", "2026-01"): 2}


def test_who_was_asked_and_who_was_reached(settings: Settings) -> None:
    def way(survey: str, *states: str, channel: str = "sms", purpose: str = "invitation") -> list[Fact]:
        return [delivery(survey, i, state, DAY, channel=channel, purpose=purpose) for i, state in enumerate(states, 1)]  # type: ignore[arg-type] # words of the facts

    topics: dict[str, list[Fact]] = {
        DELIVERY: [
            *way("waiting", "due"),
            *way("refused", "claimed", "failed"),
            *way("unknown", "claimed", "unknown"),
            *way("on its way", "claimed", "handed_over"),
            *way("there", "claimed", "handed_over", "delivered"),
            *way("lost", "claimed", "handed_over", "failed"),
            *way("mailed", "claimed", "handed_over", channel="email"),
            *way("bounced", "claimed", "handed_over", "failed", channel="email"),
            *way("reminded", "claimed", "handed_over", "delivered", purpose="reminder"),
            *way("withdrawn", "withdrawn"),
        ]
    }
    (cell,) = store(settings, topics).figures(Filters()).cells.values()
    assert (cell.asked, cell.reached) == (6, 2)


def test_an_erased_answer_leaves_every_figure_and_a_changed_one_none(settings: Settings) -> None:
    facts: list[Fact] = [
        counted(1, DAY, score=5, survey_id="a"),
        counted(2, DAY, score=1, survey_id="b"),
        counted(3, DAY, kind="retraction", score=5, survey_id="a", reason="changed"),
        counted(4, DAY, score=1, survey_id="a", revision=1),
        counted(5, DAY, kind="retraction", score=1, survey_id="b", reason="erased"),
    ]
    found = store(settings, {COUNTED: facts}).figures(Filters())
    assert found.cells == {("C01", "2026-01"): Counts((0, 0, 0, 0, 1), revised=1)}


def test_what_is_said_at_the_desk_and_what_is_held_stand_beside_the_figure(settings: Settings) -> None:
    desk: dict[str, Any] = {"place": "desk", "mode": "kiosk"}
    facts: list[Fact] = [
        counted(1, DAY, score=5, survey_id="home"),
        counted(2, DAY, score=5, survey_id="k1", **desk),
        counted(3, DAY, score=2, survey_id="k2", **desk),
        counted(4, DAY, kind="held", score=5, survey_id="h1", reason="burst"),
        counted(5, DAY, kind="held", score=5, survey_id="h2", reason="burst"),
        counted(6, DAY, kind="held", score=4, survey_id="h3", reason="burst"),
        counted(7, DAY, score=5, survey_id="h2", reason="released"),
        counted(8, DAY, kind="disposition", survey_id="h3", reason="confirmed"),
        counted(9, DAY, kind="disposition", survey_id="home", reason="finished"),
    ]
    found = store(settings, {COUNTED: facts}).figures(Filters())
    assert found.cells == {("C01", "2026-01"): Counts((0, 0, 0, 0, 2), desk_n=2, desk_satisfied=1, held=1)}


def test_what_had_been_counted_at_a_moment_and_the_newest_since_a_month_began(stored: ClickHouseFigures, district: District) -> None:
    records = [f for f in district.topics[COUNTED] if isinstance(f, SurveyCounted)]
    moment = datetime(2026, 6, 1, tzinfo=LOCAL) if records[-1].counted_at.year > 2025 else datetime(2025, 6, 1, tzinfo=LOCAL)
    before = [f for f in records if f.counted_at < moment]
    seq, cells = stored.answered_between(0, moment)
    assert seq == len(before)
    same({k: msgspec.structs.replace(c, desk_n=0, desk_satisfied=0, held=0) for k, c in cells.items()}, naive({COUNTED: before}))
    sooner, first = stored.answered_between(0, moment - timedelta(days=20))
    again, then = stored.answered_between(sooner, moment)
    assert again == seq > sooner > 0
    same({key: first.get(key, Counts()) + then.get(key, Counts()) for key in {*first, *then}}, cells)
    assert stored.began(stored.version()) == records[0].counted_at
    assert stored.began({}) is None
    for month in ("", "2025-06"):
        found = stored.newest(month, stored.version())
        mine = [f for f in records if f.about and f.about.handling_unit == "C02" and f.about.month == "2025-06"]
        said = [f.score or 0 for f in mine if f.kind == "answer" and not f.revision]
        assert found["C02", "2025-06"] == Newest(tuple(reversed(said[-9:])), sum(f.reason == "erased" for f in mine))
        assert ("2025-05" in {m for _, m in found}) == (month == "")
