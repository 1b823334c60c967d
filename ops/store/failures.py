"""Errors as a ClickHouse server tells them: code, HTTP status, text. Source of the statuses: ClickHouse's table of
exception codes for its HTTP interface (exceptionCodeToHTTPStatus)."""

from __future__ import annotations

import re
from typing import Final

SYNTAX_ERROR: Final = 62
UNKNOWN_TABLE: Final = 60
UNKNOWN_SETTING: Final = 115
NOT_IMPLEMENTED: Final = 48
READONLY: Final = 164
TOO_MANY_QUERIES: Final = 202
SAME_ID_RUNNING: Final = 216
INVALID_SESSION_TIMEOUT: Final = 374
SESSION_NOT_FOUND: Final = 372
SESSION_IS_LOCKED: Final = 373
CANNOT_DECOMPRESS: Final = 271
ACCESS_DENIED: Final = 497
AUTHENTICATION_FAILED: Final = 516
QUERY_IS_TOO_LARGE: Final = 66
BAD_ARGUMENTS: Final = 36
NETWORK_ERROR: Final = 210
UNKNOWN: Final = 1002

_NAMES: Final = {
    SYNTAX_ERROR: "SYNTAX_ERROR",
    UNKNOWN_TABLE: "UNKNOWN_TABLE",
    UNKNOWN_SETTING: "UNKNOWN_SETTING",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    READONLY: "READONLY",
    TOO_MANY_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    SAME_ID_RUNNING: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
    INVALID_SESSION_TIMEOUT: "INVALID_SESSION_TIMEOUT",
    SESSION_NOT_FOUND: "SESSION_NOT_FOUND",
    SESSION_IS_LOCKED: "SESSION_IS_LOCKED",
    CANNOT_DECOMPRESS: "CANNOT_DECOMPRESS",
    ACCESS_DENIED: "ACCESS_DENIED",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    QUERY_IS_TOO_LARGE: "QUERY_IS_TOO_LARGE",
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    NETWORK_ERROR: "NETWORK_ERROR",
    UNKNOWN: "UNKNOWN_EXCEPTION",
}

_STATUS_CODES: Final[dict[int, frozenset[int]]] = {
    # 400: the request's text or data is wrong
    400: frozenset({6, 10, 15, 25, 26, 27, 36, 38, 41, 43, 44, 53, 62, 72, 117, 167, 168, 223, 276, 321, 427, 441, 675, 676}),
    401: frozenset({194}),
    403: frozenset({192, 193, 497, 516, 612}),
    404: frozenset({46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336, 511}),
    408: frozenset({159}),
    411: frozenset({381}),
    413: frozenset({66}),
    501: frozenset({48}),
    503: frozenset({76, 202, 209, 439}),
}
_STATUS: Final = {code: status for status, codes in _STATUS_CODES.items() for code in codes}

_HEAD = re.compile(r"^.*?(?=Code: \d+\. DB::Exception: )", re.DOTALL)
_TWICE = re.compile(r"^(Code: \d+\. DB::Exception: )(?:Code: \d+\. DB::Exception: )+")
_VERSION_INSIDE = re.compile(r" \(version [^)]*\)")


class Refused(Exception):
    """A request that ends in an error, with ClickHouse's code and the whole text for the client."""

    def __init__(self, code: int, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.text = f"Code: {code}. DB::Exception: {reason} ({_NAMES.get(code, 'UNKNOWN_EXCEPTION')})"
        self.status = status or http_status(code)


def http_status(code: int) -> int:
    """The HTTP status a ClickHouse server gives with this exception code."""
    return _STATUS.get(code, 500)


def from_engine(error: Exception) -> Refused:
    """The engine's exception, its text in the one form clients parse: `Code: N. DB::Exception: … (NAME)`."""
    text = _TWICE.sub(r"\1", _HEAD.sub("", str(error), count=1).strip())
    match = re.match(r"Code: (\d+)\. DB::Exception: ", text)
    refused = Refused(int(match[1]) if match else UNKNOWN, text)
    if match:
        names = re.findall(r"\(([A-Z][A-Z0-9_]{3,})\)", text)
        body = re.sub(r"(?:\.? \([A-Z][A-Z0-9_]{3,}\))+$", "", _VERSION_INSIDE.sub("", text))
        refused.text = f"{body}. ({names[-1]})" if names else body
    return refused


def in_default_database(refused: Refused, sql: bytes) -> Refused:
    """chDB takes an unknown name in the database `default` for a file, which it may not read; a server says 60."""
    if refused.code == ACCESS_DENIED and "READ ON FILE" in refused.text and not re.search(rb"(?i)\bfile\s*\(", sql):
        return Refused(UNKNOWN_TABLE, "Unknown table expression identifier: a table of this query does not exist in database default.")
    return refused


def in_stream(text: str, tag: str) -> bytes:
    """The block that ends a result which has already begun; a client finds it by the tag it got as a header."""
    message = text.encode()
    head = b"\r\n__exception__\r\n" + tag.encode() + b"\r\n"
    return head + message + b"\n" + f"{len(message) + 1} {tag}".encode() + b"\r\n__exception__\r\n"
