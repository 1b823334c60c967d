"""The way to ClickHouse: one client, and the one place where its errors become ours."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, Error, ProgrammingError
from urllib3.exceptions import HTTPError

from hailong.ports import Permanent, Retryable
from hailong.settings import Settings

PASSING: Final = frozenset(
    {
        3,  # UNEXPECTED_END_OF_FILE: the connection broke within the body
        159,  # TIMEOUT_EXCEEDED
        160,  # TOO_SLOW
        164,  # READONLY: also a server that is going down or a replica without its keeper
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE: someone makes room; nothing is lost meanwhile
        252,  # TOO_MANY_PARTS
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        999,  # KEEPER_EXCEPTION
    }
)
"""Codes of ClickHouse's src/Common/ErrorCodes.cpp after which the same request may succeed."""
_TOO_FAST: Final = frozenset({202, 241, 243, 252})
NO_DATABASE: Final = 81
NO_TABLE: Final = 60
_READONLY: Final = 164
_TABLE: Final = re.compile(r"(?:table expression identifier|[Tt]able(?! expression)) ['`\"]?([A-Za-z_][\w.]*)")
"""The table, as ClickHouse names it in its sentence on one that is not there."""
_OURS: Final = (ProgrammingError, DataError)
"""Wrong use of the client. Every other error without a code of ClickHouse's comes from the way to it: network, proxy, start."""
REFUSED_USER: Final = frozenset({192, 193, 194, 497, 516})
_SAID_BY_US: Final = (
    "clickhouse_connect.driver._backend",
    "clickhouse_connect.driver.httputil",
    "clickhouse_connect.driver.streaming",
    "urllib3.connectionpool",
)
"""Loggers that tell of a broken way, with traces and addresses, before they raise what ``translated`` makes one sentence of."""


def connect(settings: Settings, *, without_database: bool = False) -> Client:
    """A client that many threads may use at once (no session).

    ``without_database``: for the migrations, which make it. Raises Retryable when ClickHouse is away, Permanent when it refuses us.
    """
    for name in _SAID_BY_US:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    where = urlsplit(settings.clickhouse_url)
    password = Path(settings.clickhouse_password_file).read_text().strip() if settings.clickhouse_password_file else ""
    with translated(f"connecting to ClickHouse at {where.hostname}:{where.port}"):
        return clickhouse_connect.get_client(
            host=where.hostname,
            port=where.port or (8443 if where.scheme == "https" else 8123),
            secure=where.scheme == "https",
            username=settings.clickhouse_user,
            password=password,
            database="__default__" if without_database else settings.clickhouse_database,
            autogenerate_session_id=False,
            connect_timeout=5,
            send_receive_timeout=60,
            client_name="hailong",
            query_retries=0,
        )


def ping(client: Client) -> None:
    """Return when ClickHouse answers a question. Raises Retryable, Permanent."""
    with translated("asking ClickHouse whether it is there"):
        client.query("SELECT 1")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Errors of ClickHouse and of the way to it → Retryable or Permanent, naming what was being done. Never quotes data."""
    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as e:
        raise _translate(e, doing) from e


@contextmanager
def asked_by_hand() -> Iterator[None]:
    """Errors of a statement that a person typed and that may only read → Permanent where the statement is at fault, else as above."""
    try:
        with translated("asking ClickHouse"):
            yield
    except (Retryable, Permanent) as fault:
        cause = fault.__cause__
        code = cause.code if isinstance(cause, Error) else None
        if code == _READONLY:
            raise Permanent("Only statements that read are taken here. Begin with SELECT, SHOW or DESCRIBE", str(code)) from cause
        if code == NO_TABLE:
            found = _TABLE.search(str(cause))
            named = f"There is no table {found.group(1)}" if found else "A table of the query does not exist"
            raise Permanent(f"{named}. `SHOW TABLES` lists those there are", str(code)) from cause
        if code == NO_DATABASE:
            raise Permanent("A database of the query does not exist. `SHOW DATABASES` lists those there are", str(code)) from cause
        raise


def _translate(error: Exception, doing: str) -> Retryable | Permanent:
    code = error.code if isinstance(error, Error) else None
    name = error.name if isinstance(error, Error) and error.name else type(error).__name__
    if code in PASSING:
        return Retryable(f"{doing}: ClickHouse says {name} ({code}); it is tried again.", 5.0 if code in _TOO_FAST else 1.0)
    if code is None and not isinstance(error, _OURS):
        return Retryable(f"{doing}: ClickHouse is not reachable ({name}). See that it runs at the address in HAILONG_CLICKHOUSE_URL.")
    if code in (NO_DATABASE, NO_TABLE):
        return Permanent(f"{doing}: {name} ({code}). The migrations have not been applied to this database; apply them first.", str(code))
    if code in REFUSED_USER:
        return Permanent(f"{doing}: ClickHouse refuses the user ({code}). Set HAILONG_CLICKHOUSE_USER and its password file.", str(code))
    return Permanent(f"{doing}: ClickHouse refuses it, {name} ({code}). Its own log says more.", str(code) if code is not None else None)
