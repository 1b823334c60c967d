"""The tables: from nothing, again, half way, changed, and newer than the program."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import sinks.clickhouse.migrations
from hailong.ports import Permanent, Retryable
from hailong.settings import Settings
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.checkpoints import ASKED, ENDED
from sinks.clickhouse.connection import connect, ping
from sinks.clickhouse.migrations import migrate, migrations, statements
from sinks.clickhouse.tables import TABLES
from sinks.clickhouse.tallies import KINDS
from tests.clickhouse.room import database, rows

pytestmark = pytest.mark.stack
FOLDER = Path(sinks.clickhouse.migrations.__file__).parent


def test_from_nothing_each_once(address: str) -> None:
    with database(address, empty=True) as settings:
        client = connect(settings, without_database=True)
        names = [m.name for m in migrations()]
        assert migrate(client, settings, dry_run=True) == names
        assert rows(client, f"SELECT count() FROM system.databases WHERE name = '{settings.clickhouse_database}'") == [(0,)]
        assert migrate(client, settings) == names
        assert migrate(client, settings) == []
        assert migrate(client, settings, dry_run=True) == []


def test_every_column_of_every_table_is_there_with_the_type_it_is_written_with(settings: Settings) -> None:
    client = connect(settings)
    for table in TABLES.values():
        sql = f"SELECT name, type FROM system.columns WHERE database = '{settings.clickhouse_database}' AND table = '{table.name}'"
        there = {str(name): str(type_) for name, type_ in rows(client, sql)}
        wanted = dict(zip(table.column_names, [t.name for t in table.column_types()], strict=True))
        assert {name: there.get(name) for name in wanted} == wanted


def test_a_migration_that_broke_off_is_finished(address: str) -> None:
    with database(address, empty=True) as settings:
        client = connect(settings, without_database=True)
        names = {"database": settings.clickhouse_database, "engine": "MergeTree", "settings": "fsync_after_insert = 1"}
        client.command(f"CREATE DATABASE {settings.clickhouse_database}")
        for statement in statements(migrations()[0].text, names)[:3]:
            client.command(statement)
        assert migrate(client, settings) == [m.name for m in migrations()]
        assert Archive(connect(settings)).absorbed(list(TABLES)) == {}


def test_a_migration_changed_after_it_was_applied_is_refused(settings: Settings, tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "migrations")
    first = next(folder.glob("0001_*.sql"))
    first.write_text(first.read_text("utf-8") + "\n-- changed\n", "utf-8")
    with pytest.raises(Permanent, match="was changed after it was applied"):
        migrate(connect(settings, without_database=True), settings, folder=folder)


def test_a_newer_migration_is_applied_and_an_older_program_refuses_the_database(settings: Settings, tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "migrations")
    number = len(migrations()) + 1
    (folder / f"{number:04d}_more.sql").write_text("ALTER TABLE $database.unit ADD COLUMN IF NOT EXISTS note String;\n", "utf-8")
    client = connect(settings, without_database=True)
    assert migrate(client, settings, folder=folder) == [f"{number:04d}_more"]
    assert rows(
        connect(settings), "SELECT count() FROM system.columns WHERE table = 'unit' AND name = 'note' AND database = currentDatabase()"
    ) == [(1,)]
    with pytest.raises(Permanent, match="Run the newer program"):
        migrate(client, settings)


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_late.sql").write_text("SELECT 1;\n", "utf-8")
    with pytest.raises(Permanent, match="gap"):
        migrations(tmp_path)


@pytest.mark.parametrize("name", ["default", "a-b", ""])
def test_a_database_that_cannot_be_used_is_named(address: str, name: str) -> None:
    settings = replace(Settings(), clickhouse_url=address, clickhouse_database=name)
    with pytest.raises(Permanent, match="HAILONG_CLICKHOUSE_DATABASE"):
        migrate(connect(settings, without_database=True), settings)


def test_an_unknown_engine_is_named(settings: Settings) -> None:
    with pytest.raises(Permanent, match="single or replicated"):
        migrate(connect(settings, without_database=True), replace(settings, clickhouse_engine="cloud"))


def test_the_replicated_form_names_no_path_of_a_table() -> None:
    names = {"database": "h", "engine": "ReplicatedMergeTree", "settings": "fsync_after_insert = 1"}
    texts = [text for m in migrations() for text in statements(m.text, names) if text.lstrip().startswith("CREATE TABLE")]
    assert len(texts) == len(TABLES) + len(KINDS) + 2 * len((ENDED, ASKED))
    assert all("ENGINE = ReplicatedMergeTree ORDER BY" in text and "PARTITION" not in text for text in texts)


def test_without_the_migrations_the_message_says_so(address: str) -> None:
    with database(address, empty=True) as settings, pytest.raises(Permanent, match="migrations have not been applied"):
        connect(settings)


def test_a_clickhouse_that_is_away_is_worth_another_try() -> None:
    with pytest.raises(Retryable, match="HAILONG_CLICKHOUSE_URL"):
        connect(replace(Settings(), clickhouse_url="http://127.0.0.1:9"), without_database=True)


def test_ping_answers(settings: Settings) -> None:
    ping(connect(settings))
