"""One HTTP request as a question to the engine: what belongs to the protocol, what is a setting, what is a bind."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from aiohttp import BodyPartReader, web

from ops.store import encodings, failures, sessions

MAX_QUERY_BYTES = 16 * 1024 * 1024
# Names in the URL that the protocol uses itself; everything else is a setting of the engine.
_OF_THE_PROTOCOL = frozenset(
    {"query", "user", "password", "database", "default_format", "compress", "decompress", "query_id", "quota_key", "role"}
    | {"session_id", "session_timeout", "session_check", "close_session", "stacktrace", "buffer_size", "wait_end_of_query"}
    | {"client_protocol_version", "readonly", "log_comment"}
)
_OF_A_TABLE = ("_structure", "_types", "_format")


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """A temporary table that came with the request."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass(slots=True)
class Ask:
    """One request. `text` is what the URL and form gave of the query; the body may hold the rest."""

    text: bytes
    query_id: str
    database: str
    default_format: str
    settings: dict[str, str]
    binds: dict[str, str]
    reads_only: bool
    whole_first: bool
    session_id: str
    session_timeout: float
    session_check: bool
    close_session: bool
    accepts: str
    tables: list[ExternalTable] = field(default_factory=list)
    body_read: bool = False


def _on(value: str) -> bool:
    return value.lower() in {"1", "true", "yes"}


def allowed(request: web.Request, password: str) -> None:
    """Raises Refused 516 when a password is asked for and not given (401) or wrong (403). The user's name is free."""
    given = request.headers.get("X-ClickHouse-Key") or request.query.get("password") or _basic(request)
    if given is None:
        raise failures.Refused(failures.AUTHENTICATION_FAILED, "Authentication failed: a password is required", 401)
    if not hmac.compare_digest(given.encode(), password.encode()):
        raise failures.Refused(failures.AUTHENTICATION_FAILED, "Authentication failed: password is incorrect", 403)


def _basic(request: web.Request) -> str | None:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None


async def read(request: web.Request) -> Ask:
    """Reads URL, headers and, if it is one, the form; a plain body is left for body(). Raises Refused."""
    params = {name: value for name, value in request.query.items() if value or name not in _OF_THE_PROTOCOL}
    form, files = await _form(request)
    if _on(params.get("compress", "")):
        raise failures.Refused(
            failures.NOT_IMPLEMENTED, "compress=1 is not spoken by this store; use Accept-Encoding with enable_http_compression=1"
        )
    tables, table_params = _tables(params, form, files)
    settings = {
        name: value
        for name, value in params.items()
        if name not in _OF_THE_PROTOCOL and name not in table_params and not name.startswith("param_")
    }
    query_id = params.get("query_id") or request.headers.get("X-ClickHouse-Query-Id") or str(uuid4())
    compression = _on(settings.get("enable_http_compression", "0"))  # off by default, as in the engine
    return Ask(
        text=b"\n".join(part.encode() for part in (params.get("query", ""), form.get("query", "")) if part),
        query_id=query_id,
        database=params.get("database") or request.headers.get("X-ClickHouse-Database") or "",
        default_format=params.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated",
        settings=settings,
        binds={name[6:]: value for name, value in {**params, **form}.items() if name.startswith("param_")},
        reads_only=request.method in {"GET", "HEAD"} or params.get("readonly", "0") != "0",
        whole_first=_on(params.get("wait_end_of_query", "")),
        session_id=params.get("session_id", ""),
        session_timeout=sessions.timeout_of(params.get("session_timeout", "")),
        session_check=_on(params.get("session_check", "")),
        close_session=_on(params.get("close_session", "")),
        accepts=request.headers.get("Accept-Encoding", "") if compression else "",
        tables=tables,
        body_read=bool(form or files),
    )


async def _form(request: web.Request) -> tuple[dict[str, str], dict[str, bytes]]:
    """Fields and files; URL-encoded bodies are queries (curl -d sends them so), never forms."""
    if not request.content_type.startswith("multipart/"):
        return {}, {}
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise failures.Refused(failures.BAD_ARGUMENTS, "A part of the form has no name; give each part a name")
        data = bytes(await part.read())
        if part.filename is not None:
            files[part.name] = data
        else:
            fields[part.name] = data.decode()
    return fields, files


def _tables(params: Mapping[str, str], form: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[list[ExternalTable], set[str]]:
    """External data: every file of the form, and every field for which the URL gives a structure."""
    sent = {**{name: value.encode() for name, value in form.items() if not name.startswith("param_") and name != "query"}, **files}
    tables = []
    used: set[str] = set()
    for name, data in sent.items():
        used.update(name + suffix for suffix in _OF_A_TABLE)
        structure = params.get(f"{name}_structure") or ", ".join(
            f"_{i} {kind}" for i, kind in enumerate(params.get(f"{name}_types", "").split(","), 1) if kind
        )
        if not structure:
            raise failures.Refused(
                failures.BAD_ARGUMENTS, f"External table {name} has neither {name}_structure nor {name}_types in the URL"
            )
        tables.append(ExternalTable(name, structure, params.get(f"{name}_format", "TabSeparated"), data))
    return tables, used


async def body(request: web.Request) -> AsyncIterator[bytes]:
    """The plain body in pieces, decompressed. Raises Refused for an encoding nobody here speaks, or broken data."""
    chain = encodings.decoders(request.headers.get("Content-Encoding", ""), _on(request.query.get("decompress", "")))
    async for piece in request.content.iter_any():
        data = piece
        for decoder in chain:
            data = decoder.decode(data)
        if data:
            yield data
