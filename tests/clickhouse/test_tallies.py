"""Sums over blocks against a naive reading: at any version, within any filter, however often a block is built."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.scoring import Filters
from hailong.events import CountedKind, Fact, Mode, SurveyCounted
from hailong.settings import Settings
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.connection import connect
from sinks.clickhouse.queries import ClickHouseFigures
from sinks.clickhouse.tallies import BLOCK, FAN, KINDS, LEVELS, Tallies, count_built, cover
from tests.clickhouse.facts import about, counted
from tests.clickhouse.room import database

pytestmark = [pytest.mark.stack, pytest.mark.thorough]
SMALL = 8
DAY = date(2026, 1, 5)
COUNTED = "survey.counted.v1"
PLACES: dict[Mode, str] = {"link": "away", "call": "away", "kiosk": "desk", "paper": "desk"}


def records(n: int, seed: int) -> list[Fact]:
    """Answers, details, retractions and held ones of four communes, as the count role writes them."""
    draw = random.Random(seed)
    out: list[Fact] = []
    waiting: list[tuple[dict[str, Any], int | None]] = []
    while len(out) < n:
        survey, mode = f"s{len(out)}", draw.choice(sorted(PLACES))
        told: dict[str, Any] = {"survey_id": survey, "mode": mode, "place": PLACES[mode], "questionnaire": "ttp-core"}
        one = about(f"C0{draw.randrange(4)}", f"2026-0{draw.randrange(1, 4)}")
        told["about"] = type(one)(**{f: getattr(one, f) for f in one.__struct_fields__} | {
            "field": draw.choice(["land", "civil"]), "receiving_unit": f"C0{draw.randrange(4)}",
        })  # fmt: skip
        score = draw.choice([1, 2, 3, 4, 5, 5, None])

        def add(kind: CountedKind, told: dict[str, Any] = told, **more: Any) -> None:
            out.append(counted(len(out) + 1, DAY + timedelta(days=len(out) // 50), kind=kind, **told, **more))

        if draw.random() < 0.1:
            add("held", score=score, reason="burst")
            waiting.append((told, score))
            continue
        add("answer", score=score)
        if draw.random() < 0.4:
            add("detail", answers={"Q1": draw.choice([1, 4, 5, None]), "Q7": draw.sample(["slow", "trips"], draw.randrange(1, 3))})
        if draw.random() < 0.1:
            add("detail", answers={"Q1": 2}, revision=1)
            add("retraction", score=score, reason="changed")
            add("answer", score=3, revision=1)
            changed = 1
        else:
            changed = 0
        if draw.random() < 0.1:
            add("retraction", score=score, revision=changed, reason="erased")
        if waiting and draw.random() < 0.1:
            earlier, its_score = waiting.pop(0)
            add("answer", told=earlier, score=its_score, reason="released") if draw.random() < 0.5 else add(
                "disposition", told=earlier, reason=draw.choice(["confirmed", "withdrawn"])
            )
    return out


def naive(facts: Sequence[Fact], filters: Filters) -> Counter[tuple[str, str, str]]:
    """(unit, month, what) → how many, read off the facts one by one."""
    told = [cast(SurveyCounted, f) for f in facts]
    erased = {f.survey_id for f in told if f.kind == "retraction" and f.reason == "erased"}
    found: Counter[tuple[str, str, str]] = Counter()
    out_of_holding = {f.survey_id for f in told if f.reason in ("released", "confirmed", "withdrawn")}
    for f in told:
        a = f.about
        if a is None or (filters.field and a.field != filters.field) or (filters.mode and f.mode != filters.mode):
            continue
        unit = a.handling_unit if filters.by == "handling" else a.receiving_unit
        # Beside the headline stands what was held and changed anywhere; the desk's own series has only its own.
        beside = filters.place == "away" or f.place == "desk"
        if f.kind == "held" and f.survey_id not in out_of_holding and beside:
            found[unit, a.month, "held"] += 1
        if f.kind == "answer" and f.survey_id not in erased and (beside if f.revision else f.place == filters.place):
            found[unit, a.month, "revised" if f.revision else f"{f.place} {f.score}"] += 1
    return found


def flat(figures: ClickHouseFigures, filters: Filters, seq: int) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for (unit, month), c in figures.figures(filters, {COUNTED: {0: seq}}).cells.items():
        here = {f"{filters.place} {score}": n for score, n in enumerate(c.scores, start=1)}
        here |= {f"{filters.place} None": c.not_applicable, "revised": c.revised, "held": c.held}
        found.update({(unit, month, what): n for what, n in here.items()})
    return +found


@pytest.fixture(scope="module")
def facts() -> list[Fact]:
    return records(SMALL * FAN * FAN + 300, 11)


@pytest.fixture(scope="module")
def stored(address: str, facts: list[Fact]) -> Iterator[Settings]:
    with database(address) as settings:
        archive, draw, at = Archive(connect(settings), block=SMALL), random.Random(3), 0
        while at < len(facts):
            size = draw.randrange(1, 400)
            archive.absorb(COUNTED, 0, list(enumerate(facts))[at : at + size])
            at += size
        yield settings


def figures_of(settings: Settings) -> ClickHouseFigures:
    return ClickHouseFigures(connect(settings), "test", 0.9, SMALL)


def test_blocks_of_several_levels_are_there(stored: Settings, facts: list[Fact]) -> None:
    for kind in KINDS:
        assert count_built(connect(stored), kind) == [len(facts) // (SMALL * FAN**level) for level in range(LEVELS)]
        assert count_built(connect(stored), kind)[2] == 1


@pytest.mark.parametrize("filters", [
    Filters(), Filters(place="desk"), Filters(field="land"), Filters(mode="call"), Filters(by="receiving", field="civil"),
])  # fmt: skip
def test_any_version_within_any_filter(stored: Settings, facts: list[Fact], filters: Filters) -> None:
    figures, draw = figures_of(stored), random.Random(5)
    for seq in (0, 1, SMALL * FAN, *(draw.randrange(len(facts)) for _ in range(6)), len(facts)):
        assert flat(figures, filters, seq) == naive(facts[:seq], filters)


def test_a_scale_beside_the_first_question(stored: Settings, facts: list[Fact]) -> None:
    for seq in (SMALL * FAN + 5, len(facts)):
        told = [cast(SurveyCounted, f) for f in facts[:seq]]
        erased = {f.survey_id for f in told if f.reason == "erased"}
        said = Counter(
            str(f.answers["Q1"]) for f in told
            if f.kind == "detail" and not f.revision and f.place == "away" and f.survey_id not in erased and "Q1" in f.answers
        )  # fmt: skip
        found = figures_of(stored).figures(Filters(question="ttp-core:Q1"), {COUNTED: {0: seq}}).cells.values()
        assert Counter({str(s): sum(c.scores[s - 1] for c in found) for s in (1, 4, 5)}) == Counter({s: said[s] for s in ("1", "4", "5")})
        assert sum(c.not_applicable for c in found) == said["None"]


def test_a_block_that_is_built_again_is_there_once(address: str, facts: list[Fact]) -> None:
    with database(address) as settings:
        Archive(connect(settings), block=SMALL).absorb(COUNTED, 0, list(enumerate(facts))[:100])
        before = flat(figures_of(settings), Filters(), 100)
        again = Tallies(connect(settings), block=SMALL)
        for kind in KINDS:
            again._build(kind, 0, 3)
        assert flat(figures_of(settings), Filters(), 100) == before
        assert again.advance(100) == 0


@pytest.mark.parametrize("seq", [0, 1, BLOCK - 1, BLOCK, BLOCK * FAN + 1, 100_000_000, BLOCK * FAN**4])
def test_the_cover_is_exactly_the_first_records(seq: int) -> None:
    for lag in (0, 3):
        built = [max(0, seq // (BLOCK * FAN**level) - lag) for level in range(LEVELS)]
        binds, at = cover(seq, built), 0
        for level in reversed(range(LEVELS)):
            first, end, size = binds[f"from{level}"], binds[f"to{level}"], BLOCK * FAN**level
            if end > first:
                assert first * size == at
                at = end * size
        assert at == binds["tail"] <= seq
        if not lag:
            assert seq - binds["tail"] < BLOCK


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 3))
def test_the_cover_of_a_span_is_each_of_its_records_once(start: int, more: int, lag: int) -> None:
    seq, block = start + more, 3
    binds = cover(seq, [max(0, seq // (block * FAN**level) - lag) for level in range(LEVELS)], block, start)
    covered = Counter(n for n in range(1, seq + 1) if start < n <= binds["head"] or binds["tail"] < n)
    for level in range(LEVELS):
        size = block * FAN**level
        for first, end in (("up", "top"), ("from", "to")):
            covered.update(range(binds[f"{first}{level}"] * size + 1, binds[f"{end}{level}"] * size + 1))
    assert covered == Counter(range(start + 1, seq + 1))
