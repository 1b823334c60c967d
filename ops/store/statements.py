"""What the store must know of a statement before the engine sees it: its verb, its format, where an INSERT's data begins.

The engine parses SQL; this only finds clauses at the outermost level, skipping quotes, comments and brackets
(lexical rules: ClickHouse documentation, "Syntax"). Works on bytes, because data in any format may follow in the same body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_TOKEN = re.compile(
    rb"""
      (?P<skip>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
    | (?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`|(?P<tag>\$\w*\$).*?(?P=tag))
    | (?P<word>[A-Za-z_][\w$]*)
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<end>;)
    | (?P<other>[0-9][\w.]*|.)
    """,
    re.VERBOSE | re.DOTALL,
)
# A cut through the name of a format must not be taken for the whole name.
_ENOUGH_BEHIND_FORMAT = 4096
_WITH_RESULT = frozenset({"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS"})

_INPUT = re.compile(rb"(?is)\binput\s*\(\s*'((?:[^'\\]|\\.|'')*)'\s*\)")

Kind = Literal["rows", "insert", "insert_input", "other", "several", "empty"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, located in the text it was read from (offsets in bytes).

    kind: `rows` returns a result that may be large; `insert` is followed by data; `insert_input` too, and reads it through
    input(); `several` is more than one statement; `other` is everything else.
    format_at..format_end is the FORMAT clause or -1; end is where the statement ends, before `;` and comments.
    data_at is where an INSERT's data begins, -1 if not (yet) found.
    """

    kind: Kind
    verb: str = ""
    format: str = ""
    format_at: int = -1
    format_end: int = -1
    end: int = 0
    data_at: int = -1
    touches_files: bool = False


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int
    depth: int


def _tokens(text: bytes) -> Iterator[_Token]:
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if kind == "tag":
            kind = "quoted"
        if kind == "skip":
            continue
        if kind == "close":
            depth -= 1
        word = match[0].decode("latin-1").upper() if kind == "word" else ""
        yield _Token(kind, word, match.start(), match.end(), depth)
        if kind == "open":
            depth += 1


def read(text: bytes, whole: bool = True) -> Statement:
    """Reads the statement at the start of `text`; `whole=False` when more of it may follow (then an INSERT's data_at may stay -1)."""
    tokens = _tokens(text)
    first = next((token for token in tokens if token.kind != "open"), None)
    if first is None or first.kind == "end":
        return Statement("empty")
    if first.text == "INSERT":
        return _read_insert(text, tokens, whole)
    return _read_plain(text, first)


def _read_plain(text: bytes, first: _Token) -> Statement:
    top = [token for token in _tokens(text) if token.depth == 0]
    stop = next((i for i, token in enumerate(top) if token.kind == "end"), len(top))
    if any(token.kind != "end" for token in top[stop:]):
        return Statement("several", first.text)
    top = top[:stop]
    words = {token.text for token in top}
    rows = first.text in _WITH_RESULT and "INSERT" not in words
    # The last top-level token may be a bracket whose inside lies deeper: its own end still ends the statement.
    statement = Statement("rows" if rows else "other", first.text, end=top[-1].end if top else 0, touches_files="OUTFILE" in words)
    for i in range(len(top) - 2, -1, -1):
        behind = top[i + 2] if i + 2 < len(top) else None
        if top[i].text == "FORMAT" and top[i + 1].kind == "word" and (behind is None or behind.text == "SETTINGS"):
            return _with_format(text, statement, top[i], top[i + 1])
    return statement


def _with_format(text: bytes, statement: Statement, clause: _Token, name: _Token) -> Statement:
    return Statement(
        statement.kind,
        statement.verb,
        text[name.start : name.end].decode("latin-1"),
        clause.start,
        name.end,
        statement.end,
        touches_files=statement.touches_files,
    )


def _read_insert(text: bytes, tokens: Iterator[_Token], whole: bool) -> Statement:
    """Walks to FORMAT or VALUES. The target is stepped over first, so that a table may be called `format`."""
    selects = reads_input = False
    token = _target(tokens)
    last: _Token | None = None
    while token is not None:
        following = next(tokens, None)
        if token.text == "SELECT" or (token.text in {"WITH", "WATCH"} and token.depth == 0):
            selects = True
        elif token.text == "INPUT" and following is not None and following.kind == "open":
            reads_input = True
        elif token.text == "INFILE" and token.depth == 0:
            return Statement("other", "INSERT", touches_files=True)
        elif token.text == "VALUES" and token.depth == 0 and not selects:
            return Statement("insert", "INSERT", "Values", token.start, token.end, token.start, token.end)
        elif token.text == "FORMAT" and token.depth == 0 and following is not None and following.kind == "word":
            if not selects or reads_input:
                return _insert_with_data(text, token, following, reads_input and selects, whole)
        elif token.kind == "end" and token.depth == 0 and following is not None and following.kind != "end":
            return Statement("several", "INSERT")
        last, token = token, following
    return Statement("other", "INSERT", end=last.end if last else 0)


def _target(tokens: Iterator[_Token]) -> _Token | None:
    """Steps over INTO [TABLE | FUNCTION] and the target's name; gives the first token after it."""
    token = next(tokens, None)
    while token is not None and token.text in {"INTO", "TABLE", "FUNCTION"}:
        token = next(tokens, None)
    depth = token.depth if token else 0
    if token is not None and token.kind == "open":  # {name:Identifier}
        while token is not None and not (token.kind == "close" and token.depth == depth):
            token = next(tokens, None)
    token = next(tokens, None)
    while token is not None and token.kind == "other":  # database.table
        next(tokens, None)
        token = next(tokens, None)
    return token


def _insert_with_data(text: bytes, clause: _Token, name: _Token, reads_input: bool, whole: bool) -> Statement:
    """Data begins after the format's name and one line end; SETTINGS may stand on the same line."""
    line_end = text.find(b"\n", name.end)
    known = whole or line_end >= 0 or len(text) - name.end > _ENOUGH_BEHIND_FORMAT
    rest = text[name.end : line_end if line_end >= 0 else len(text)]
    blanks = len(rest) - len(rest.lstrip(b" \t\f\r"))
    data_at = name.end + blanks
    if re.match(rb"(?i)settings\b", rest.lstrip()):
        data_at = line_end if line_end >= 0 else len(text)
    if text[data_at : data_at + 1] == b"\n":
        data_at += 1
    return Statement(
        "insert_input" if reads_input else "insert",
        "INSERT",
        text[name.start : name.end].decode("latin-1"),
        clause.start,
        name.end,
        clause.start,
        data_at if known else -1,
    )


def insert_head(text: bytes, statement: Statement) -> bytes:
    """The INSERT without FORMAT and data, with SETTINGS kept wherever they stood."""
    behind = text[statement.format_end : statement.data_at].strip() if statement.format != "Values" else b""
    return (text[: statement.format_at].rstrip() + b" " + behind).strip()


def into_file(text: bytes, statement: Statement, path: str, default_format: str) -> bytes:
    """A query whose result the engine writes into `path` in its format (a pipe is a path too: nothing is held in memory)."""
    into = f" INTO OUTFILE '{path}' APPEND ".encode()
    if statement.format_at >= 0:
        return text[: statement.format_at] + into + text[statement.format_at : statement.end]
    return text[: statement.end] + into + b"FORMAT " + default_format.encode()


def input_table(head: bytes) -> tuple[str, str, bytes]:
    """INSERT … SELECT … FROM input('structure'): a table's name, its structure, and the statement reading from that table."""
    match = _INPUT.search(head)
    if match is None:
        raise ValueError("input() without a literal structure")
    structure = re.sub(r"\\(.)|''", lambda quoted: quoted[1] or "'", match[1].decode())
    return "_input", structure, head[: match.start()] + b"_input" + head[match.end() :]


def kill_by_given_id(text: bytes) -> bytes:
    """KILL QUERY names ids that clients gave; the engine has its own, and keeps the given one as log_comment."""
    return re.sub(rb"(?i)\bquery_id\b", b"Settings['log_comment']", text)
