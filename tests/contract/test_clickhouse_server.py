"""Everything hailong asks of a ClickHouse, on the store or on any real server (HAILONG_TEST_CLICKHOUSE=http://…); the ledger's likewise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path

import pytest

from hailong.events import TOPICS, decode, encode
from hailong.settings import Settings, environment, inherited
from ops.acceptance import Step
from ops.acceptance.clickhouse import QUERIES, examine_clickhouse, facts_of
from ops.acceptance.ledger import STEPS, examine_ledger
from ops.acceptance.sample import sample
from ops.local.home import REPOSITORY
from sinks.clickhouse import migrations, queries
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.connection import connect
from sinks.clickhouse.tables import TABLES
from tests.clickhouse.room import clickhouse, database
from tests.events.build import FACTS
from tests.events.test_events import golden

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as url:
        yield url


def failed(steps: list[Step]) -> list[Step]:
    return [step for step in steps if not step.ok]


# --- ClickHouse


@pytest.mark.stack
def test_a_clickhouse_does_everything_that_is_asked_of_it(server: str) -> None:
    name = "hailong_acceptance_test"
    steps = list(examine_clickhouse(replace(Settings(), clickhouse_url=server), name, NOW))
    assert failed(steps) == []
    told = {step.name for step in steps}
    assert {f"question: {q.name}" for q in QUERIES} <= told
    assert {f"facts of {topic}, each once" for topic in TABLES} <= told
    client = connect(replace(Settings(), clickhouse_url=server), without_database=True)
    assert client.command(f"EXISTS DATABASE {name}") == 0
    client.close()


@pytest.mark.stack
def test_the_golden_facts_of_every_topic_are_stored_as_they_are(server: str) -> None:
    by_topic = {encode(f, NOW).topic: f for f in FACTS}
    with database(server) as settings:
        client = connect(settings)
        archive = Archive(client)
        for topic, table in TABLES.items():
            fact = decode(topic, golden(topic))
            assert fact == by_topic[topic]
            if topic == queries.COUNTED:
                fact = type(fact)(**{f: getattr(fact, f) for f in fact.__struct_fields__} | {"seq": 1})
            assert archive.absorb(topic, 0, [(0, fact)]) == 1
            found = client.query(f"SELECT * FROM {table.name}")
            row = dict(zip(found.column_names, found.result_rows[0], strict=True))
            said = {f: v for f in fact.__struct_fields__ if isinstance(v := getattr(fact, f), str | int | float | bool | date)}
            plain = {name: value for name, value in said.items() if name != "registry_id"}
            assert set(plain) <= set(row)
            moments = {name for name, value in plain.items() if isinstance(value, datetime)}
            assert {name: row[name].replace(tzinfo=UTC) if name in moments else row[name] for name in plain} == plain
        client.close()


@pytest.mark.stack
def test_a_server_that_forgets_what_it_was_given_is_noticed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its window of insert tokens an insert that is repeated is stored twice: the step must fail, or it proves nothing."""
    monkeypatch.setitem(migrations._ENGINES, "single", ("MergeTree", "non_replicated_deduplication_window = 0"))
    steps = examine_clickhouse(replace(Settings(), clickhouse_url=server), "hailong_acceptance_forgets", NOW)
    wrong = failed(list(islice(steps, 2 + len(TABLES))))
    steps.close()
    assert {f"facts of {topic}, each once" for topic in TABLES} <= {step.name for step in wrong}
    assert "stored twice" in wrong[0].said
    assert "HAILONG_CLICKHOUSE_ENGINE" in wrong[0].said


# --- ledger


def test_a_ledger_keeps_every_promise(address: str) -> None:
    steps = list(examine_ledger(replace(Settings(), ledger=address), "hailong_acceptance_test", NOW))
    assert failed(steps) == []
    assert len(steps) == len(STEPS) + 2
    again = list(examine_ledger(replace(Settings(), ledger=address), "hailong_acceptance_test", NOW))
    assert failed(again) == [], "the first time left something behind"


# --- both, and what is told when they are away


def acceptance(settings: Settings, *arguments: str) -> tuple[int, str]:
    """Exit code and words of the command, as ``hailong doctor --acceptance`` runs it."""
    argv = [sys.executable, "-m", "ops.acceptance", *arguments]
    ran = subprocess.run(argv, cwd=REPOSITORY, env=inherited() | environment(settings), capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout or ran.stderr


@pytest.mark.thorough
@pytest.mark.stack
def test_what_is_away_is_told_and_the_rest_is_examined_all_the_same(tmp_path: Path) -> None:
    away = Settings(clickhouse_url="http://127.0.0.1:9", kafka="127.0.0.1:9", ledger=f"sqlite:///{tmp_path / 'ledger.db'}")
    code, said = acceptance(away)
    lines = said.splitlines()
    wrong = [line for line in lines if line.startswith("NO ")]
    assert code == 1
    assert len(wrong) == 2, said
    assert "HAILONG_CLICKHOUSE_URL" in wrong[0]
    assert "HAILONG_KAFKA" in wrong[1]
    assert len([line for line in lines if line.startswith("ok  ledger")]) == len(STEPS) + 2
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_cannot_be_read_ends_with_a_sentence(tmp_path: Path) -> None:
    code, said = acceptance(Settings(clock="noon", ledger=f"sqlite:///{tmp_path / 'ledger.db'}"), "--json")
    assert code == 2
    assert said.startswith("HAILONG_CLOCK")


@pytest.mark.stack
@pytest.mark.parametrize("url", ["postgresql+psycopg://nobody@127.0.0.1:9/none?connect_timeout=2", "sqlite:////proc/nowhere/ledger.db"])
def test_a_ledger_that_cannot_be_used_is_told(url: str) -> None:
    (step,) = examine_ledger(replace(Settings(), ledger=url), "hailong_acceptance_test", NOW)
    assert (step.ok, step.name) == (False, "schema")
    assert "HAILONG_LEDGER" in step.said


# --- the facts it is tried with


@pytest.mark.parametrize("topic", TOPICS, ids=lambda t: t.name)
def test_a_sample_says_every_field_or_only_those_that_must_be(topic: object) -> None:
    full, least = (sample(topic, 3, NOW, full=f) for f in (True, False))  # type: ignore[arg-type]
    assert None not in [getattr(full, name) for name in full.__struct_fields__]
    assert decode(encode(full, NOW).topic, encode(full, NOW).value) == full
    assert decode(encode(least, NOW).topic, encode(least, NOW).value) == least


def test_samples_of_a_topic_are_facts_of_their_own() -> None:
    assert len({fact.event_id for _, fact in facts_of("survey.counted.v1", NOW)}) == 6
    assert len(QUERIES) > 15
