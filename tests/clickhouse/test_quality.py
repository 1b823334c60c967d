"""Counts for the quality of data against a naive reading of the same facts, with echoes, at any version."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hailong.domain.quality import monday, week_name
from hailong.domain.quality_seen import Fees, Said, Seen, Steps
from hailong.domain.units import LOCAL
from hailong.events import DossierClosed, DossierReopened, Fact, SurveyCounted, SurveyDecided, SurveyDelivery
from hailong.settings import Settings
from ops.cli.main import main
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.connection import connect
from sinks.clickhouse.quality import DECIDED, LEFT_OUT, QUERIES, ClickHouseQuality
from sinks.clickhouse.queries import CLOSED, COUNTED, DELIVERY, REOPENED, ClickHouseFigures
from tests.clickhouse.facts import REGISTRY, about, closed, counted, delivery, reopened
from tests.clickhouse.room import database

pytestmark = pytest.mark.stack
START = date(2026, 1, 1)
UNITS = ("C01", "C02", "C03")
FIELDS = ("land", "civil")
Topics = dict[str, list[Fact]]


def some_facts(seed: int, dossiers: int = 400) -> Topics:
    """Dossiers of three months with everything that can happen to them."""
    draw, topics = random.Random(seed), {name: list[Fact]() for name in (CLOSED, REOPENED, DECIDED, DELIVERY, COUNTED)}
    for n in range(dossiers):
        a_dossier(draw, topics, f"d{n}", START + timedelta(days=n * 80 // dossiers))
    return topics


def a_dossier(draw: random.Random, topics: Topics, ref: str, day: date) -> None:
    handling, receiving = draw.choice(UNITS), draw.choice(UNITS)
    of, channel = draw.choice(FIELDS), draw.choice(("counter", "online"))
    ending = msgspec.structs.replace(
        closed(ref, day, handling), receiving_unit=receiving, field=of, submission_channel=channel,
        heard_on=day + timedelta(draw.randrange(9)), fee_required=draw.random() < 0.3, paid_online=draw.choice((True, False, None)),
    )  # fmt: skip
    topics[CLOSED].append(ending)
    if draw.random() < 0.1:
        again = {"event_id": f"closed:{ref}:2", "ended_on": day + timedelta(3), "heard_on": day + timedelta(3)}
        topics[CLOSED].append(msgspec.structs.replace(ending, **again))
    if draw.random() < 0.05:
        topics[REOPENED].append(reopened(ref, day + timedelta(draw.choice((0, 9)))))
    asked = draw.random() < 0.7
    reason = None if asked else draw.choice(("no_contact", "sampled_out", "recently_asked", "opted_out", "test", "too_old", "no_hour"))
    topics[DECIDED].append(decided(draw, ref, day, asked, reason))
    if draw.random() < 0.05:
        topics[DECIDED].append(
            SurveyDecided(
                event_id=f"decided:{ref}:2", registry_id=REGISTRY, dossier_ref=ref, asked=False, reason="reopened", rules_version="1",
                draw=0.0, decided_on=day + timedelta(12),
            )
        )  # fmt: skip
    said = msgspec.structs.replace(
        about(handling, f"{day:%Y-%m}"), receiving_unit=receiving, field=of, submission_channel=channel,
        timeliness=draw.choice(("early", "on_time", "overdue", "unknown")),
    )  # fmt: skip
    if asked:
        an_invitation(draw, topics, f"s{ref}", day, said)


def decided(draw: random.Random, ref: str, day: date, asked: bool, reason: str | None) -> SurveyDecided:
    inputs: dict[str, Any] = {"reach": [] if reason == "no_contact" else ["sms"], "asked_on": None}
    if reason == "recently_asked":
        inputs["bound_by"] = draw.choice(("number", "person"))
    return SurveyDecided(
        event_id=f"decided:{ref}", registry_id=REGISTRY, dossier_ref=ref, asked=asked, reason=reason, rules_version="1", draw=draw.random(),
        decided_on=day + timedelta(draw.randrange(9)), inputs=inputs,
    )  # fmt: skip


def an_invitation(draw: random.Random, topics: Topics, survey: str, day: date, said: Any) -> None:
    ways = (
        ("handed_over", "delivered"),
        ("handed_over", "failed"),
        ("failed",),
        ("unknown",),
        ("claimed",),
        ("failed", "handed_over", "delivered"),
    )
    channel = draw.choice(("sms", "email"))
    for seq, state in enumerate(draw.choices(ways, (6, 1, 1, 1, 1, 1))[0], 1):
        topics[DELIVERY].append(msgspec.structs.replace(delivery(survey, seq, state, day, channel=channel), about=said))  # type: ignore[arg-type] # words
    if draw.random() < 0.5:
        an_answer(draw, topics[COUNTED], survey, day + timedelta(draw.randrange(20)), said)


def an_answer(draw: random.Random, log: list[Fact], survey: str, day: date, said: Any) -> None:
    told: dict[str, Any] = {"survey_id": survey, "about": said, "place": draw.choice(("away", "away", "desk"))}
    score = draw.randint(1, 5)
    log.append(counted(len(log) + 1, day, score=score, **told))
    if score < 4:
        reasons = draw.sample(("slow", "charges", "trips"), draw.randint(0, 2))
        log.append(counted(len(log) + 1, day, kind="detail", answers={"Q7": reasons}, **told))
    if draw.random() < 0.1:
        log.append(counted(len(log) + 1, day, kind="answer", score=6 - score, revision=1, **told))
    if draw.random() < 0.05:
        log.append(counted(len(log) + 1, day, kind="retraction", score=score, reason="erased", **told))


def store(settings: Settings, topics: Topics) -> ClickHouseQuality:
    """All facts, over two partitions where a topic has several."""
    client = connect(settings)
    archive = Archive(client)
    for topic, facts in topics.items():
        for partition, part in enumerate(halved(facts) if topic != COUNTED else (facts,)):
            archive.absorb(topic, partition, list(enumerate(part)))
    return ClickHouseQuality(client, ClickHouseFigures(client, "test", 0.9))


def halved(facts: Sequence[Fact]) -> tuple[list[Fact], list[Fact]]:
    """By their key."""
    parts: tuple[list[Fact], list[Fact]] = ([], [])
    for fact in facts:
        key = str(getattr(fact, "dossier_ref", "") or getattr(fact, "survey_id", ""))
        parts[sum(map(ord, key)) % 2].append(fact)
    return parts


def with_echoes(facts: Sequence[Fact], seed: int) -> list[Fact]:
    """Some facts again, later; their ids tell."""
    draw, written = random.Random(seed), list[Fact]()
    for fact in facts:
        written.append(fact)
        if draw.random() < 0.1:
            written.append(draw.choice(written[-50:]))
    return written


# --- naive


def firsts(topics: Topics) -> list[DossierClosed]:
    """The first ending of every dossier that does not go on."""
    acts: dict[str, dict[str, DossierClosed]] = defaultdict(dict)
    again: dict[str, dict[str, DossierReopened]] = defaultdict(dict)
    for fact in topics[CLOSED]:
        assert isinstance(fact, DossierClosed)
        acts[fact.dossier_ref].setdefault(fact.event_id, fact)
    for fact in topics[REOPENED]:
        assert isinstance(fact, DossierReopened)
        again[fact.dossier_ref].setdefault(fact.event_id, fact)
    kept = []
    for ref, endings in acts.items():
        last, going_on = max(f.ended_on for f in endings.values()), max((f.reopened_on for f in again[ref].values()), default=date.min)
        if not (going_on > last or (going_on == last and len(again[ref]) >= len(endings))):
            kept.append(min(endings.values(), key=lambda f: f.ended_on))
    return kept


def answers(topics: Topics) -> list[SurveyCounted]:
    facts = [f for f in topics[COUNTED] if isinstance(f, SurveyCounted)]
    erased = {f.survey_id for f in facts if f.reason == "erased"}
    return [f for f in facts if f.kind == "answer" and not f.revision and f.survey_id not in erased]


def weeks(pairs: Iterable[tuple[str, date]]) -> dict[str, dict[date, int]]:
    found: dict[str, dict[date, int]] = {}
    for (unit, week), n in Counter((unit, monday(day)) for unit, day in pairs).items():
        found.setdefault(unit, {})[week] = n
    return found


def naive_steps(topics: Topics, by: str) -> dict[tuple[str, str], Steps]:
    cells: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    endings = {
        f.dossier_ref: f
        for f in sorted((f for f in topics[CLOSED] if isinstance(f, DossierClosed)), key=lambda f: f.ended_on, reverse=True)
    }
    last = {f.dossier_ref: f for f in sorted((f for f in topics[DECIDED] if isinstance(f, SurveyDecided)), key=lambda f: f.decided_on)}
    for ref, f in last.items():
        if "reach" in f.inputs and f.reason != "test":
            cell = cells[getattr(endings[ref], f"{by}_unit"), f"{endings[ref].ended_on:%Y-%m}"]
            cell["decided"] += 1
            cell["without_contact"] += not f.inputs["reach"]
            cell["same_number"] += f.inputs.get("bound_by") == "number"
            cell["to_ask"] += f.reason not in LEFT_OUT
            cell["to_be_asked"] += f.asked
    away = {f.survey_id for f in answers(topics) if f.place == "away"}
    for (unit, month, survey), states in invitations(topics, by).items():
        plain, cell = {state for state, _ in states}, cells[unit, month]
        asked = bool(plain & {"handed_over", "unknown", "delivered"})
        reached = asked and ("delivered" in plain or (("handed_over", "email") in states and ("failed", "email") not in states))
        cell["tried"] += bool(plain - {"claimed"})
        cell["undeliverable"] += "failed" in plain and not reached
        cell["asked"] += asked
        cell["reached"] += reached
        cell["answered"] += reached and survey in away
    return {cell: made for cell, n in cells.items() if (made := Steps(**n)) != Steps()}


def invitations(topics: Topics, by: str) -> dict[tuple[str, str, str], set[tuple[str, str | None]]]:
    found: dict[tuple[str, str, str], set[tuple[str, str | None]]] = {}
    for f in topics[DELIVERY]:
        assert isinstance(f, SurveyDelivery)
        found.setdefault((getattr(f.about, f"{by}_unit"), f.about.month, f.survey_id), set()).add((f.state, f.channel))
    return found


def naive_said(topics: Topics) -> dict[tuple[str, str, str, str], Said]:
    gave = {f.survey_id: set(f.answers["Q7"]) for f in topics[COUNTED] if isinstance(f, SurveyCounted) and f.kind == "detail"}
    cells: dict[tuple[str, str, str, str], Said] = {}
    for f in answers(topics):
        if f.place == "away" and f.about:
            key = (f.about.handling_unit, f.about.month, f.about.field, f.about.submission_channel)
            was, reasons = cells.get(key, Said()), gave.get(f.survey_id, set())
            in_time = f.about.timeliness in ("early", "on_time")
            added = (1, in_time, in_time and "slow" in reasons, "charges" in reasons)
            cells[key] = Said(*(a + int(b) for a, b in zip(asdict(was).values(), added, strict=True)))
    return cells


def naive_fees(topics: Topics) -> dict[tuple[str, str, str, str], Fees]:
    cells: dict[tuple[str, str, str, str], Fees] = {}
    for f in firsts(topics):
        key = (f.handling_unit, f"{f.ended_on:%Y-%m}", f.field, f.submission_channel)
        was = cells.get(key, Fees())
        cells[key] = replace(was, ended=was.ended + 1, at_the_desk=was.at_the_desk + int(f.fee_required and not f.paid_online))
    return cells


def same(found: Seen, topics: Topics) -> None:
    assert found.endings == weeks((f.handling_unit, f.heard_on) for f in firsts(topics))
    counted_on = ((f.about.handling_unit, f.counted_at.astimezone(LOCAL).date()) for f in answers(topics) if f.about)
    assert found.counted == weeks(counted_on)
    assert found.handling == naive_steps(topics, "handling")
    assert found.receiving == naive_steps(topics, "receiving")
    assert found.said == naive_said(topics)
    assert found.fees == naive_fees(topics)
    heard = Counter((f.handling_unit, f"{f.ended_on:%Y-%m}") for f in firsts(topics))
    assert {(unit, month): n for unit, months in found.heard.items() for month, n in months.items() if n} == dict(heard)


@pytest.fixture(scope="module")
def topics() -> Topics:
    return some_facts(7)


@pytest.fixture(scope="module")
def stored(address: str, topics: Topics) -> Iterator[ClickHouseQuality]:
    with database(address) as settings:
        written = {topic: facts if topic == COUNTED else with_echoes(facts, 7) for topic, facts in topics.items()}
        yield store(settings, written)


def test_every_query_runs_on_empty_tables(settings: Settings) -> None:
    client = connect(settings)
    seen = ClickHouseQuality(client, ClickHouseFigures(client, "test", 0.9)).seen(START)
    assert seen == Seen({}, {}, {}, {}, {}, {}, {}, {})
    assert len({query.name for query in QUERIES}) == len(QUERIES)


def test_counts_are_those_of_a_naive_reading_echoes_or_not(stored: ClickHouseQuality, topics: Topics) -> None:
    same(stored.seen(START), topics)


def test_an_older_version_gives_the_older_counts(settings: Settings, topics: Topics) -> None:
    quality = store(settings, topics)
    halves = {topic: halved(facts) for topic, facts in topics.items() if topic != COUNTED}
    ends = {topic: {0: len(parts[0]) // 2, 1: len(parts[1]) // 3} for topic, parts in halves.items()}
    version = ends | {COUNTED: {0: 60}}
    older: Topics = {topic: list(parts[0][: ends[topic][0]]) + list(parts[1][: ends[topic][1]]) for topic, parts in halves.items()}
    older[COUNTED] = topics[COUNTED][:60]
    known = {f.dossier_ref for f in older[CLOSED] if isinstance(f, DossierClosed)}
    older[DECIDED] = [f for f in older[DECIDED] if isinstance(f, SurveyDecided) and f.dossier_ref in known]
    same(quality.seen(START, version), older)
    assert quality.seen(START, version) == quality.seen(START, version)


def test_nothing_before_the_month_asked_for(stored: ClickHouseQuality) -> None:
    seen = stored.seen(date(2026, 2, 14))
    months = {month for _, month in (*seen.handling, *seen.receiving, *seen.figures)} | {fine[1] for fine in (*seen.said, *seen.fees)}
    assert months == {"2026-02", "2026-03"}
    assert min(week for each in seen.endings.values() for week in each) == monday(date(2026, 2, 1))


def test_the_command_tells_what_is_found(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A unit that sent ten a week and falls silent; five others go on."""
    first = date(2025, 3, 3)
    topics: Topics = {CLOSED: []}
    for week, code, n in product(range(40), ("C01", "C02", "C03", "C04", "C05", "C06"), range(10)):
        day = first + timedelta(weeks=week, days=n % 5)
        if code != "C02" or week < 36:
            topics[CLOSED].append(closed(f"{code}-{week}-{n}", day, code))
    with database(address) as settings:
        store(settings, topics)
        with monkeypatch.context() as environment:
            environment.setenv("HAILONG_CLICKHOUSE_URL", settings.clickhouse_url)
            environment.setenv("HAILONG_CLICKHOUSE_DATABASE", settings.clickhouse_database)
            asked = ["--home", str(tmp_path), "quality", "--week", week_name(first + timedelta(weeks=39))]
            with pytest.raises(SystemExit) as leaving:
                main([*asked, "--json"])
            document = json.loads(capsys.readouterr().out)
            with pytest.raises(SystemExit):
                main([*asked, "--lang", "en"])
            told = capsys.readouterr()
    assert leaving.value.code in (0, None)
    (found,) = document["findings"]
    assert (found["unit"], found["kind"], found["evidence"]["weeks"]) == ("C02", "silence", 4)
    assert found["p"] <= found["raised_at"] < 1e-4
    assert "C02: up to the end of week" in told.out
    assert "at most 1 false raise for 170 units in a year" in told.err.replace("\n", " ")
