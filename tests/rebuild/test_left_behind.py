"""Scratch databases and ledgers whose process was killed: the next one takes them away, and nothing else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from hailong.settings import Settings
from ops.local.home import REPOSITORY
from ops.scratch import STALE_AFTER, left_behind, scratch, scratch_name
from sinks.clickhouse.comparing import databases, drop_scratch, make_scratch
from sinks.ledger.scratch import scratch as scratch_ledger
from tests.clickhouse.room import clickhouse
from tests.contract.conftest import postgres  # noqa: F401 (a fixture)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


# --- ClickHouse


def elsewhere(name: str) -> str:
    """The name as another machine would have made it."""
    host = name.split("_")[-2]
    return name.replace(host, f"{int(host, 16) ^ 1:08x}")


def test_the_database_of_a_process_that_lives_is_not_left_behind(dead: int) -> None:
    assert not left_behind(scratch_name("hailong", NOW, os.getpid()), "hailong", NOW)
    assert left_behind(scratch_name("hailong", NOW, dead), "hailong", NOW)


def test_of_another_machine_only_age_tells(dead: int) -> None:
    name = elsewhere(scratch_name("hailong", NOW, dead))
    assert not left_behind(name, "hailong", NOW + STALE_AFTER - timedelta(seconds=1))
    assert left_behind(name, "hailong", NOW + STALE_AFTER + timedelta(seconds=1))
    assert left_behind("hailong_rebuild_20260101_080000_4711", "hailong", NOW), "as they were called before"


@pytest.mark.parametrize(
    "name",
    [
        "hailong",
        "hailong_rebuild_bench",
        "hailong_rebuild_99999999_999999_1",
        "hailong_rebuild_20200101_000000_1_x",
        "hailong_hanoi_rebuild_20200101_000000_1",
        "hanoi_rebuild_20200101_000000_1",
    ],
)
def test_what_is_called_otherwise_is_somebody_elses(name: str) -> None:
    assert not left_behind(name, "hailong", NOW)


def test_what_is_to_be_kept_is_never_left_behind(dead: int) -> None:
    assert not left_behind(scratch_name("hailong", NOW, dead, keep=True), "hailong", NOW + 9 * STALE_AFTER)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as url:
        yield replace(Settings(), clickhouse_url=url, clickhouse_database="hailong_swept")


@pytest.mark.stack
def test_a_rebuild_drops_what_a_killed_one_left(settings: Settings, dead: int) -> None:
    now = datetime.now(UTC)
    names = {who: scratch_name("hailong_swept", now, pid) for who, pid in {"dead": dead, "alive": os.getppid()}.items()}
    for name in names.values():
        make_scratch(settings, name)

    async def rebuild() -> list[str]:
        async with scratch(settings, keep=False) as there:
            return [there.clickhouse_database, *databases(settings, "hailong_swept")]

    made, *meanwhile = asyncio.run(rebuild())
    assert sorted(meanwhile) == sorted([names["alive"], made])
    assert databases(settings, "hailong_swept") == [names["alive"]]
    drop_scratch(replace(settings, clickhouse_database=names["alive"]))


@pytest.mark.stack
def test_a_rebuild_that_is_kept_stays(settings: Settings) -> None:
    async def rebuild(keep: bool) -> str:
        async with scratch(settings, keep=keep) as there:
            return there.clickhouse_database

    kept = asyncio.run(rebuild(True))
    asyncio.run(rebuild(False))
    assert databases(settings, "hailong_swept") == [kept]
    drop_scratch(replace(settings, clickhouse_database=kept))


# --- ledger

HELD = f"""
import sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
from sinks.ledger.scratch import scratch
with scratch(sys.argv[1], sys.argv[2]):
    print("made", flush=True)
    time.sleep(60)
"""


def held(url: str, name: str) -> subprocess.Popen[str]:
    """Another process with a scratch ledger."""
    process = subprocess.Popen([sys.executable, "-c", HELD, url, name], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "made\n"
    return process


def test_a_scratch_file_is_left_alone_while_its_process_lives_and_removed_after(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    (tmp_path / "hailong-ledger-of-mine").mkdir()
    mine = {tmp_path / "hailong-ledger-of-mine"}
    with held(url, "one") as process:
        (theirs,) = set(tmp_path.iterdir()) - mine
        with scratch_ledger(url, "two"):
            assert theirs.exists()
        process.kill()
        process.wait()
        assert theirs.exists()
    with scratch_ledger(url, "two"):
        assert not theirs.exists()
    assert set(tmp_path.iterdir()) == mine


@pytest.mark.stack
def test_a_scratch_schema_is_left_alone_while_its_process_lives_and_dropped_after(postgres: str) -> None:  # noqa: F811
    def schemas() -> list[str]:
        with psycopg.connect(postgres.replace("+psycopg", "")) as admin:
            return [n for (n,) in admin.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'swept%' ORDER BY 1")]

    with psycopg.connect(postgres.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("CREATE SCHEMA swept_by_nobody")
    with held(postgres, "swept_one") as process:
        with scratch_ledger(postgres, "swept_two"):
            assert schemas() == ["swept_by_nobody", "swept_one", "swept_two"]
        process.kill()
        process.wait()
    with scratch_ledger(postgres, "swept_two"):
        assert schemas() == ["swept_by_nobody", "swept_two"]
    assert schemas() == ["swept_by_nobody"]
    with psycopg.connect(postgres.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("DROP SCHEMA swept_by_nobody")
