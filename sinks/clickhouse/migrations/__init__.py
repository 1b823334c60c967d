"""The tables, as numbered SQL files, and what applies them: forward only, each once, never one that was changed after it shipped.

A migration may be interrupted anywhere: its statements are written so that applying them again finishes it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from clickhouse_connect.driver.client import Client

from hailong.ports import Permanent
from hailong.settings import Settings
from sinks.clickhouse.connection import translated

_FOLDER: Final = Path(__file__).parent
_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_DURABLE: Final = "fsync_after_insert = 1, fsync_part_directory = 1"
_ENGINES: Final = {
    "single": ("MergeTree", f"{_DURABLE}, non_replicated_deduplication_window = 1000"),
    "replicated": ("ReplicatedMergeTree", f"{_DURABLE}, replicated_deduplication_window = 1000"),
}
# A Replicated database carries table definitions to every replica; its tables need no path of their own.
_DATABASES: Final = {"single": "", "replicated": " ENGINE = Replicated('/clickhouse/databases/$database', '{shard}', '{replica}')"}
_APPLIED: Final = """
CREATE TABLE IF NOT EXISTS $database.migration (
    number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = $engine ORDER BY number SETTINGS $settings"""


@dataclass(frozen=True)
class Migration:
    """One file."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations(folder: Path = _FOLDER) -> list[Migration]:
    """Every migration there is, in order. Raises Permanent when the numbers are not 1, 2, 3…"""
    files = sorted(p for p in folder.iterdir() if _NAME.fullmatch(p.name))
    found = [Migration(int(p.name[:4]), p.stem, p.read_text(encoding="utf-8")) for p in files]
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise Permanent(f"{folder.name}: the numbers of the migrations have a gap or a double. Number them 0001, 0002, …")
    return found


def migrate(client: Client, settings: Settings, dry_run: bool = False, folder: Path = _FOLDER) -> list[str]:
    """Make the database and bring it to the newest migration; the names of those applied now (``dry_run``: that would be).

    ``client`` must be one made without a database. Raises Permanent for a wrong setting, a changed migration or a database that is
    newer than this program; Retryable when ClickHouse is away.
    """
    names = _names(settings)
    known = migrations(folder)
    with translated(f"applying the migrations to database {names['database']}"):
        done = _applied(client, names["database"])
        for number, (name, checksum) in done.items():
            _check(known, number, name, checksum)
        waiting = [m for m in known if m.number not in done]
        if not dry_run:
            _apply(client, names, waiting)
    return [m.name for m in waiting]


def _names(settings: Settings) -> dict[str, str]:
    database = settings.clickhouse_database
    if database == "default" or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", database):
        raise Permanent(
            f"HAILONG_CLICKHOUSE_DATABASE: `{database}` cannot be used. Choose a name of letters, digits and _ other than default."
        )
    if settings.clickhouse_engine not in _ENGINES:
        raise Permanent(f"HAILONG_CLICKHOUSE_ENGINE: `{settings.clickhouse_engine}` is not known. Set it to single or replicated.")
    engine, table_settings = _ENGINES[settings.clickhouse_engine]
    made = Template(_DATABASES[settings.clickhouse_engine]).substitute(database=database)
    return {"database": database, "engine": engine, "settings": table_settings, "made": made}


def _applied(client: Client, database: str) -> dict[int, tuple[str, str]]:
    there = client.query(
        "SELECT count() FROM system.tables WHERE database = {database:String} AND name = 'migration'", parameters={"database": database}
    )
    if there.result_rows[0][0] == 0:
        return {}
    rows = client.query(f"SELECT number, any(name), any(checksum) FROM {database}.migration GROUP BY number ORDER BY number").result_rows  # noqa: S608 - checked name
    return {number: (name, checksum) for number, name, checksum in rows}


def _check(known: list[Migration], number: int, name: str, checksum: str) -> None:
    if number > len(known):
        raise Permanent(f"The database holds migration {name}, which this program does not know. Run the newer program.")
    if known[number - 1].checksum != checksum:
        raise Permanent(f"Migration {name} was changed after it was applied. Restore the file and put the change into a new migration.")


def _apply(client: Client, names: dict[str, str], waiting: list[Migration]) -> None:
    client.command(f"CREATE DATABASE IF NOT EXISTS {names['database']}{names['made']}")
    client.command(Template(_APPLIED).substitute(names))
    for migration in waiting:
        for statement in statements(migration.text, names):
            client.command(statement)
        client.insert(
            "migration",
            [[migration.number, migration.name, migration.checksum]],
            column_names=["number", "name", "checksum"],
            column_type_names=["UInt32", "String", "String"],
            database=names["database"],
        )


def statements(text: str, names: dict[str, str]) -> list[str]:
    """The statements of a file, placeholders filled in, comments gone."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    parts = "\n".join(lines).split(";\n")
    return [Template(part).substitute(names).strip().rstrip(";") for part in parts if part.strip()]
