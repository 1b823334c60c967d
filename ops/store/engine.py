"""chDB as the store uses it: one engine for the folder, one handle per request or session.

A handle costs 0.4 ms and holds its own database, settings and temporary tables (measured, chDB 4.4); it may be used from any
thread, one call at a time. The engine is not fork-safe: nothing here forks.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chdb

from ops.store import failures, statements

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.]*$")

# fsync: an acknowledged insert survives a power cut, not only a kill.
_CONFIG = """<clickhouse>
  <user_directories>
    <users_xml><path>{users}</path></users_xml>
    <local_directory><path>{folder}/access/</path></local_directory>
  </user_directories>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
  <mark_cache_size>{cache}</mark_cache_size>
  <merge_tree><fsync_after_insert>1</fsync_after_insert><fsync_part_directory>1</fsync_part_directory></merge_tree>
</clickhouse>
"""
# SQL of a client must not read or write the files of the account the store runs under. The profile takes back what chDB, as an
# embedded engine, sets otherwise than a server.
_USERS = """<clickhouse>
  <profiles><default>
    <implicit_select>0</implicit_select><allow_introspection_functions>0</allow_introspection_functions>
  </default></profiles>
  <users><default>
    <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
    <grants><query>GRANT ALL ON *.* WITH GRANT OPTION</query><query>REVOKE FILE ON *.*</query></grants>
  </default></users>
  <quotas><default></default></quotas>
</clickhouse>
"""


class CannotOpen(Exception):
    """The folder cannot be opened; the text says what, why and what to do."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows and bytes of one statement, as X-ClickHouse-Summary tells them; elapsed in nanoseconds."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    elapsed_ns: int = 0


def quoted(text: str) -> str:
    """A string literal of ClickHouse."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(text: str) -> str:
    """A quoted identifier of ClickHouse."""
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _assignments(values: Mapping[str, str]) -> str:
    for name in values:
        if not _NAME.match(name):
            raise failures.Refused(failures.UNKNOWN_SETTING, f"Unknown setting {name!r}.")
    return ", ".join(f"{name} = {quoted(value)}" for name, value in values.items())


class Handle:
    """One connection to the engine. Calls raise failures.Refused with the engine's code."""

    def __init__(self, connection: str) -> None:
        self._engine: Any = chdb.connect(connection)  # type: ignore[no-untyped-call]  # chDB's own annotations end here

    def run(self, sql: str | bytes, binds: Mapping[str, str] | None = None) -> tuple[bytes, Counts]:
        """Runs one statement to its end; the whole result in memory."""
        try:
            result = self._engine.query(sql, "TabSeparated", params=dict(binds or {}))
        except RuntimeError as error:
            raise failures.from_engine(error) from error
        return bytes(result.bytes()), _counts(result)

    def use(self, database: str) -> None:
        """Raises Refused(81) when there is no such database."""
        self.run(f"USE {identifier(database)}")

    def set(self, values: Mapping[str, str]) -> None:
        """Raises Refused(115) for a setting the engine does not know."""
        if values:
            self.run(f"SET {_assignments(values)}")

    def unset(self, names: Iterable[str]) -> None:
        """Back to the engine's defaults."""
        if names := list(names):
            self.run("SET " + ", ".join(f"{name} = DEFAULT" for name in names))

    def bind(self, values: Mapping[str, str]) -> None:
        """Query parameters for the statements that take none with the call (inserts of data)."""
        self.set({f"param_{name}": value for name, value in values.items()})

    def blocks(self, sql: bytes, binds: Mapping[str, str]) -> Blocks:
        """A result block by block, in Native: the format whose blocks stand for themselves."""
        try:
            return Blocks(self._engine.send_query(sql, "Native", params=dict(binds)))
        except RuntimeError as error:
            raise failures.from_engine(error) from error

    def insert(self, head: str | bytes, data_format: str) -> Insert:
        """An INSERT whose data follows in pieces; until it is finished the handle can do nothing else."""
        try:
            return Insert(self._engine.send_insert(head, data_format))
        except RuntimeError as error:
            raise failures.from_engine(error) from error

    def close(self) -> None:
        """Frees the handle; the last one closes the engine and unlocks the folder."""
        self._engine.close()


class Blocks:
    """A running query; fetch until None."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self._counts = Counts()
        self._rows = 0
        self.ended = False

    def fetch(self) -> bytes | None:
        """The next block. Raises Refused when the query fails, also after blocks were given out."""
        try:
            block = self._result.fetch()
        except RuntimeError as error:
            self.ended = True
            raise failures.from_engine(error) from error
        if block is None:
            self.ended = True
            return None
        self._counts = _counts(block)
        self._rows += int(block.rows_read())
        return bytes(block.bytes())

    @property
    def counts(self) -> Counts:
        last = self._counts
        return Counts(last.read_rows, last.read_bytes, result_rows=self._rows, elapsed_ns=last.elapsed_ns)

    def cancel(self) -> None:
        """Ends the query; harmless after its end."""
        self._result.cancel()


class Insert:
    """A running INSERT. What is not finished is not promised."""

    def __init__(self, inserter: Any) -> None:
        self._inserter = inserter

    def append(self, data: bytes) -> None:
        """Raises Refused when the engine cannot parse or write the data."""
        try:
            if data:
                self._inserter.append(data)
        except RuntimeError as error:
            raise failures.from_engine(error) from error

    def finish(self, data: bytes = b"") -> Counts:
        """Takes the last of the data and commits. After it returns the rows survive a kill and a power cut."""
        try:
            self.append(data)
            result = self._inserter.finish()
        except RuntimeError as error:
            raise failures.from_engine(error) from error
        rows, size = int(result.rows_written), int(result.bytes_written)
        return Counts(rows, size, rows, size, elapsed_ns=int(result.elapsed * 1e9))

    def cancel(self) -> None:
        """Gives up; rows of blocks already written stay, as on a server."""
        self._inserter.cancel()


def _counts(result: Any) -> Counts:
    return Counts(
        read_rows=int(result.storage_rows_read()),
        read_bytes=int(result.storage_bytes_read()),
        written_rows=int(result.rows_written()),
        written_bytes=int(result.bytes_written()),
        result_rows=int(result.rows_read()),
        elapsed_ns=int(result.elapsed() * 1e9),
    )


class Engine:
    """The engine of one folder. Raises CannotOpen with a sentence for people."""

    def __init__(self, folder: Path, memory: int) -> None:
        self.folder = folder
        self._connection = f"{folder}?config-file={_write_config(folder, memory)}"
        if _locked(folder):
            raise CannotOpen(
                f"The data folder {folder} is in use by another store{_holder(folder)}. "
                "Use that one, or stop it first, or choose another --data."
            )
        try:
            self._keeper = Handle(self._connection)
            self.version, self.timezone = self._about()
        except (RuntimeError, failures.Refused) as error:
            raise CannotOpen(
                f"The data folder {folder} cannot be opened: {error}. Look at its rights and free space, or restore it from a backup."
            ) from error

    def handle(self) -> Handle:
        """A new handle, in database `default` with default settings."""
        return Handle(self._connection)

    def alive(self) -> None:
        """Raises Refused when the engine does not answer SELECT 1."""
        self._keeper.run("SELECT 1")

    def kill(self, query_id: str) -> None:
        """Asks the engine to end the query that carries this id."""
        handle = self.handle()
        try:
            handle.run(f"KILL QUERY WHERE Settings['log_comment'] = {quoted(query_id)} ASYNC")
        finally:
            handle.close()

    def close(self) -> None:
        self._keeper.close()

    def _about(self) -> tuple[str, str]:
        version, zone = self._keeper.run("SELECT version(), timezone()")[0].decode().split()
        return version, zone


def _write_config(folder: Path, memory: int) -> Path:
    config, users = folder / "store.xml", folder / "store-users.xml"
    if re.search(r"[?&<>#%]", str(folder)):
        raise CannotOpen(f"The data folder's path {folder} contains one of ? & < > # %, which chDB cannot take. Choose another path.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        users.write_text(_USERS)
        config.write_text(_CONFIG.format(users=users, folder=folder, memory=memory, cache=memory // 8))
        config.chmod(0o600)
    except OSError as error:
        raise CannotOpen(
            f"The data folder {folder} cannot be written: {error.strerror}. "
            "Give this account the right to write there, or choose another --data."
        ) from error
    return config


def _locked(folder: Path) -> bool:
    """Whether an engine holds the folder. Asked first, because chDB itself says it on stderr only."""
    try:
        with (folder / "status").open() as status:
            fcntl.flock(status, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _holder(folder: Path) -> str:
    try:
        match = re.search(r"PID: (\d+)", (folder / "status").read_text())
    except OSError:
        return ""
    return f" (process {match[1]})" if match else ""


def query_into(
    handle: Handle, text: bytes, statement: statements.Statement, default_format: str, binds: Mapping[str, str], pipe: int
) -> Counts:
    """Runs a query whose result the engine writes into the pipe; closes this end of it, so that the reader sees the end."""
    try:
        sql = statements.into_file(text, statement, f"/dev/fd/{pipe}", default_format)
        return handle.run(sql, binds=binds)[1]
    finally:
        os.close(pipe)
