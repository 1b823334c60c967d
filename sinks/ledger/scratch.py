"""An empty ledger beside the live one, for trying a database: a schema of its own in PostgreSQL, a file of its own for SQLite.

Each is locked as long as its process lives, by the file system or by the database itself; what a killed process left behind is not, and
the next one takes it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from hailong.ports import Permanent, Retryable
from sinks.ledger.engine import migrate

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PREFIX: Final = "hailong-ledger-"
_LOCK: Final = "lock"
_MARK: Final = "hailong: a scratch ledger; it may be dropped when nobody holds the advisory lock of its name"
_KEY: Final = "hashtextextended('hailong scratch ' || {name}, 0)"
_MARKED: Final = f"SELECT nspname FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') = '{_MARK}'"  # noqa: S608 - our own words
_TAKE: Final = sa.text(f"SELECT pg_try_advisory_lock({_KEY.format(name=':name')})")
_GIVE: Final = sa.text(f"SELECT pg_advisory_unlock({_KEY.format(name=':name')})")


@contextmanager
def scratch(url: str, name: str, password: str | None = None) -> Iterator[str]:
    """The address of a migrated, empty ledger ``name``, gone afterwards. Takes away first what killed processes left of theirs.

    Raises Retryable when the database is away, Permanent when it refuses.
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
    with _schema(address, name, password) as made:
        migrate(made, password)
        yield made


# --- SQLite


@contextmanager
def _folder_beside(address: sa.URL) -> Iterator[Path]:
    """A folder in that of the live file, so that its very disk is tried; where there is none yet, in the nearest one above."""
    live = Path(address.database or "").absolute()
    there = next(folder for folder in live.parents if folder.is_dir())
    for left in there.glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=there))
    except OSError as e:
        raise Permanent(f"the ledger's folder {there} cannot be written ({e.strerror}).") from e
    try:
        with (folder / f"{_LOCK}.new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / f"{_LOCK}.new").rename(folder / _LOCK)  # it is never seen without being held
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_if_left(folder: Path) -> None:
    """Unless its process holds the lock. A folder without a lock file was only just made, or is not ours."""
    with contextlib.suppress(OSError):  # held, gone, or another user's: then it is not for us to remove
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(lock)


# --- PostgreSQL


@contextmanager
def _schema(address: sa.URL, name: str, password: str | None) -> Iterator[str]:
    """A schema under an advisory lock of the session that made it: the database gives the lock back when that process dies."""
    engine = sa.create_engine(address.set(password=password) if password else address, isolation_level="AUTOCOMMIT")
    try:
        with _translated("connect"):
            session = engine.connect()
        with session:
            _sweep(session)
            with _translated("CREATE SCHEMA"):
                session.execute(_TAKE, {"name": name})
                # Both in one: a schema without its mark would stay for good.
                session.exec_driver_sql(f'CREATE SCHEMA "{name}"; COMMENT ON SCHEMA "{name}" IS \'{_MARK}\'')
            try:
                options = {**address.query, "options": f"-csearch_path={name}"}
                yield address.set(query=options).render_as_string(hide_password=False)
            finally:
                with _translated("DROP SCHEMA"), engine.connect() as conn:
                    conn.exec_driver_sql(f'DROP SCHEMA "{name}" CASCADE')
    finally:
        engine.dispose()


def _sweep(session: sa.Connection) -> None:
    """Drop the schemas of dead processes: marked as ours, their lock free."""
    with _translated("DROP SCHEMA"):
        for name in session.exec_driver_sql(_MARKED).scalars().all():
            if session.execute(_TAKE, {"name": name}).scalar_one():
                with contextlib.suppress(sa.exc.ProgrammingError):  # another user's: not for us to drop
                    session.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
                session.execute(_GIVE, {"name": name})


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as e:
        raise Retryable(f"the ledger's database cannot be reached ({type(e.orig).__name__}).") from e
    except sa.exc.DBAPIError as e:
        raise Permanent(f"the ledger's database refuses `{doing}` ({type(e.orig).__name__}).") from e
