"""An empty ledger beside the live one, for trying a database: a schema of its own in PostgreSQL, a file of its own for SQLite."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from hailong.ports import Permanent, Retryable
from sinks.ledger.engine import migrate

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@contextmanager
def scratch(url: str, name: str, password: str | None = None) -> Iterator[str]:
    """The address of a migrated, empty ledger ``name``, gone afterwards. Raises Retryable when the database is away, Permanent
    when it refuses.
    """
    if not _NAME.fullmatch(name):
        raise Permanent(f"`{name}` cannot name a scratch ledger. Use small letters, digits and _.")
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        with _folder_beside(address) as folder:
            made = f"sqlite:///{folder}/{name}.db"
            migrate(made)
            yield made
        return
    engine = sa.create_engine(address.set(password=password) if password else address)
    try:
        _command(engine, f'CREATE SCHEMA "{name}"')
        try:
            options = {**address.query, "options": f"-csearch_path={name}"}
            made = address.set(query=options).render_as_string(hide_password=False)
            migrate(made, password)
            yield made
        finally:
            _command(engine, f'DROP SCHEMA "{name}" CASCADE')
    finally:
        engine.dispose()


def _folder_beside(address: sa.URL) -> tempfile.TemporaryDirectory[str]:
    """A folder in that of the live file, so that its very disk is tried; where there is none yet, in the nearest one above."""
    live = Path(address.database or "").absolute()
    there = next(folder for folder in live.parents if folder.is_dir())
    try:
        return tempfile.TemporaryDirectory(prefix="hailong-ledger-", dir=there)
    except OSError as e:
        raise Permanent(f"the ledger's folder {there} cannot be written ({e.strerror}).") from e


def _command(engine: sa.Engine, statement: str) -> None:
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql(statement)
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as e:
        raise Retryable(f"the ledger's database cannot be reached ({type(e.orig).__name__}).") from e
    except sa.exc.DBAPIError as e:
        raise Permanent(f"the ledger's database refuses `{statement.split(maxsplit=2)[0]} SCHEMA` ({type(e.orig).__name__}).") from e
