"""A mapping file (TOML): any upstream's columns, codes, dates and zones → items as the intake takes them.

::

    [file]                      # all optional
    source = "permits"          # which source the lines are from
    zone = "Asia/Ho_Chi_Minh"   # of times that do not say theirs
    encoding = "utf-8"          # else found
    delimiter = ";"             # else found
    skip_lines = 0              # lines above the header
    ignore = ["NgaySinh"]       # columns it is right to leave unread; any other one is warned of, once a file

    [fields.dossier_code]
    column = "MaHoSo"

    [fields.received_at]
    column = "NgayTiepNhan"
    format = ["%d/%m/%Y %H:%M", "%d/%m/%Y"]   # or "iso", the default
    time = "00:00"              # of formats without one; ends: 23:59:59

    [fields.submission_channel]
    column = "KenhThucHien"
    map = { "1" = "counter", "2" = "online" }
    default = "counter"         # of an empty cell
    other = "counter"           # of a cell `map` does not know; without it such a line is refused

    [fields.receiving_unit_code]
    template = "{Dept}/{Group}" # or join = ["Dept", "Group"], separator = "/"; or constant = "H28"

    [fields.contact.phone]
    column = "SoDienThoai"

Columns of JSON lines may be paths (``owner.phone``). Every mistake in the file is a MappingError that names file, line, cause and
what would do.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from hailong.domain.dossier import FIELDS, ZONE, refused, shown_name
from hailong.domain.people import clean

_TIMES: Final = {"occurred_at", "received_at", "due_at", "finished_at"}
_WHOLE: Final = {"status_code", "supplement_count"}
_YES_NO: Final = {"fee_required", "paid_online", "test"}
_WORDS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_FILE_KEYS: Final = {"source": str, "zone": str, "encoding": str, "delimiter": str, "skip_lines": int, "ignore": list}
_WANTED: Final = {str: "a text in quotes", int: "a whole number", list: 'a list of columns: ["a", "b"]'}
_FIELD_KEYS: Final = {"column", "format", "zone", "time", "map", "default", "other", "constant", "join", "separator", "template"}
_ORIGINS: Final = ("column", "join", "template", "constant")
_TABLE: Final = re.compile(r"^\s*\[\s*([^\[\]#]+?)\s*\]\s*(?:#.*)?$")
_KEY: Final = re.compile(r"^\s*([\w.\"'-]+)\s*=")

Cell = Callable[[str], Any]
"""Value of a column in the line at hand; None or "" when it is empty."""


class MappingError(Exception):
    """The mapping cannot be used; the message names file, line, cause and next step."""


@dataclass(frozen=True)
class FieldRule:
    """How one field of the item is made."""

    name: str
    columns: tuple[str, ...] = ()
    template: str | None = None
    separator: str = " "
    constant: Any = None
    formats: tuple[str, ...] = ()
    zone: tzinfo = ZONE
    at: time = time(0)
    table: Mapping[str, Any] | None = None
    default: Any = None
    other: Any = None

    @property
    def column(self) -> str:
        """What a report calls the origin of this field."""
        return " + ".join(self.columns)

    def value(self, cell: Cell) -> Any:
        """The field's value in a line, or None. Raises Invalid (never quoting the value)."""
        if not self.columns:
            return self.constant
        raw = cell(self.columns[0]) if len(self.columns) == 1 and self.template is None else self._joined(cell)
        if isinstance(raw, str):
            raw = clean(raw)
        if raw is None or raw == "":
            return self.default
        if self.table is not None:
            raw = self._looked_up(raw)
        return self._typed(raw)

    def _joined(self, cell: Cell) -> str:
        """Columns put together; empty when all of them are."""
        parts = {column: _text(cell(column)) for column in self.columns}
        if not any(parts.values()):
            return ""
        if self.template is None:
            return self.separator.join(part for part in parts.values() if part)
        return _fill(self.template, parts)

    def _looked_up(self, raw: Any) -> Any:
        assert self.table is not None  # noqa: S101  # asked for by the caller
        found = self.table.get(_text(raw).casefold(), self.other)
        if found is None:
            raise refused("unknown_code", self.name)
        return found

    def _typed(self, raw: Any) -> Any:
        if not isinstance(raw, str):
            return str(raw) if self.name in _TEXTS and not isinstance(raw, (dict, list, bool)) else raw
        if self.name in _TIMES:
            return _moment(self, raw)
        if self.name in _WHOLE or self.name == "supplement_days":
            return _number(self.name, raw)
        if self.name in _YES_NO:
            if raw.lower() not in _WORDS:
                raise refused("unknown_code", self.name)
            return _WORDS[raw.lower()]
        return raw


_TEXTS: Final = FIELDS - _WHOLE - _YES_NO - {"supplement_days", "submission_channel"}


@dataclass(frozen=True)
class LineMapping:
    """A mapping file, read and checked."""

    path: Path
    rules: tuple[FieldRule, ...]
    lines: Mapping[str, int]
    """Key path → line of the file, for messages."""
    source: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    skip_lines: int = 0
    ignore: tuple[str, ...] = ()
    """Columns that are left unread without a warning."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column the mapping reads, once, in order."""
        return tuple(dict.fromkeys(column for rule in self.rules for column in rule.columns))

    def item(self, cell: Cell) -> dict[str, Any]:
        """A line → an item as the intake takes it. Raises Invalid with the field."""
        made: dict[str, Any] = {}
        contact: dict[str, Any] = {}
        for rule in self.rules:
            value = rule.value(cell)
            if value is None:
                continue
            if rule.name.startswith("contact."):
                contact[rule.name.removeprefix("contact.")] = value
            else:
                made[rule.name] = value
        return made | {"contact": contact} if contact else made

    def column_of(self, field: str | None) -> str:
        """The column(s) a field comes from; empty when it has none."""
        return next((rule.column for rule in self.rules if rule.name == field), "")

    def missing_column(self, column: str, near: Sequence[str], file: Path) -> MappingError:
        """The error for a column the file does not have. ``near``: columns of the file that are written alike."""
        rule = next(rule for rule in self.rules if column in rule.columns)
        hint = f"did you mean {near[0]!r}?" if near else "the first line of the file must name its columns"
        return MappingError(f"{_at(self.path, self.lines, f'fields.{rule.name}')}: {file.name} has no column {column!r}; {hint}")


class Unread:
    """Collects what a file holds that its mapping neither reads nor ignores: a misspelt key is told of, once, instead of vanishing."""

    MOST: Final = 50
    """So many names are kept of one file."""

    def __init__(self, mapping: LineMapping) -> None:
        self._known = {*mapping.columns, *mapping.ignore}
        self._branches = {column[:i] for column in self._known for i, letter in enumerate(column) if letter == "."}
        self.lines: dict[str, int] = {}
        """Name (as ``shown_name`` shows it, nested ones as paths) → the line it came in first."""

    def see(self, names: Mapping[str, Any], line: int, above: str = "") -> None:
        """Look at the columns of a header, or the keys of a JSON line. Values are not kept."""
        for name, value in names.items():
            path = above + name
            if path in self._known or not name:
                continue
            if path in self._branches and isinstance(value, dict | None):
                self.see(value or {}, line, f"{path}.")
            else:
                shown = shown_name(path) if len(self.lines) < self.MOST else f"(more than {self.MOST} names)"
                self.lines.setdefault(shown, line)


def load_mapping(path: Path) -> LineMapping:
    """Read and check a mapping file. Raises MappingError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise MappingError(f"{path}: cannot be read as UTF-8 text ({type(e).__name__}). Name a mapping file (TOML)") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise MappingError(f"{path}: not TOML: {e}") from None
    reader = _Reader(path, key_lines(text))
    return reader.mapping(document)


def key_lines(text: str) -> dict[str, int]:
    """Path of each table and key of a TOML text → its line, counted from 1. Enough for messages; not a parser."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _TABLE.match(line):
            table = _bare(match.group(1))
            lines.setdefault(table, number)
        elif match := _KEY.match(line):
            lines.setdefault(f"{table}.{_bare(match.group(1))}".lstrip("."), number)
    return lines


def _bare(path: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in path.split("."))


def _at(path: Path, lines: Mapping[str, int], key: str) -> str:
    """``file:line`` of the nearest key that has a line."""
    while key not in lines and "." in key:
        key = key.rpartition(".")[0]
    return f"{path}:{lines[key]}" if key in lines else str(path)


class _Reader:
    """Checks one document; every complaint carries its line."""

    def __init__(self, path: Path, lines: Mapping[str, int]) -> None:
        self.path = path
        self.lines = lines

    def wrong(self, key: str, cause: str) -> MappingError:
        return MappingError(f"{_at(self.path, self.lines, key)}: {key}: {cause}")

    def mapping(self, document: dict[str, Any]) -> LineMapping:
        if unknown := sorted(set(document) - {"file", "fields"}):
            raise self.wrong(unknown[0], "unknown table; a mapping has [file] and [fields.NAME]")
        file = self._file(document.get("file", {}))
        tables = document.get("fields")
        if not isinstance(tables, dict) or not tables:
            raise self.wrong("fields", "no field is mapped; write at least [fields.dossier_code]")
        zone = self._zone("file.zone", file["zone"]) if "zone" in file else ZONE
        rules = tuple(self._rule(name, table, zone) for name, table in self._named(tables))
        if "dossier_code" not in {rule.name for rule in rules}:
            raise self.wrong("fields", "dossier_code is not mapped; write [fields.dossier_code]")
        kept = {name: value for name, value in file.items() if name != "zone"}
        return replace(LineMapping(self.path, rules, self.lines), **kept)

    def _file(self, file: Any) -> dict[str, Any]:
        if not isinstance(file, dict):
            raise self.wrong("file", "must be a table: [file]")
        for key, value in file.items():
            if key not in _FILE_KEYS:
                raise self.wrong(f"file.{key}", f"unknown; [file] knows {', '.join(_FILE_KEYS)}")
            if not isinstance(value, _FILE_KEYS[key]):
                raise self.wrong(f"file.{key}", f"must be {_WANTED[_FILE_KEYS[key]]}")
        if not all(isinstance(column, str) for column in file.get("ignore", [])):
            raise self.wrong("file.ignore", f"must be {_WANTED[list]}")
        if len(file.get("delimiter", ",")) != 1:
            raise self.wrong("file.delimiter", "must be one character")
        if "encoding" in file and not _known_encoding(file["encoding"]):
            raise self.wrong("file.encoding", "unknown; write utf-8, utf-16, windows-1258 or leave it out")
        return file | {"ignore": tuple(clean(column) for column in file.get("ignore", []))}

    def _named(self, tables: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        named: list[tuple[str, Any]] = [(name, table) for name, table in tables.items() if name != "contact"]
        contact = tables.get("contact", {})
        named += [(f"contact.{name}", table) for name, table in contact.items()] if isinstance(contact, dict) else [("contact", contact)]
        for name, table in named:
            if name not in FIELDS:
                raise self.wrong(f"fields.{name}", f"no such field; there are {', '.join(sorted(FIELDS))}")
            if not isinstance(table, dict):
                raise self.wrong(f"fields.{name}", f"must be a table: [fields.{name}]")
        return named

    def _rule(self, name: str, table: dict[str, Any], zone: tzinfo) -> FieldRule:
        key = f"fields.{name}"
        if unknown := sorted(set(table) - _FIELD_KEYS):
            raise self.wrong(f"{key}.{unknown[0]}", f"unknown; a field knows {', '.join(sorted(_FIELD_KEYS))}")
        origins = [origin for origin in _ORIGINS if origin in table]
        if len(origins) != 1:
            raise self.wrong(key, f"needs exactly one of {', '.join(_ORIGINS)}")
        template = self._text(key, table, "template")
        return FieldRule(
            name=name,
            columns=self._columns(key, table, template),
            template=template,
            separator=self._text(key, table, "separator") or " ",
            constant=self._scalar(key, table, "constant"),
            formats=self._formats(key, name, table),
            zone=self._zone(f"{key}.zone", table["zone"]) if "zone" in table else zone,
            at=self._time_of_day(key, name, table),
            table=self._table(key, table),
            default=self._scalar(key, table, "default"),
            other=self._scalar(key, table, "other"),
        )

    def _text(self, key: str, table: dict[str, Any], name: str) -> str | None:
        value = table.get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(f"{key}.{name}", "must be a text in quotes")
        return value

    def _scalar(self, key: str, table: dict[str, Any], name: str) -> Any:
        value = table.get(name)
        if isinstance(value, (dict, list)):
            raise self.wrong(f"{key}.{name}", "must be a single value")
        if name == "other" and value is not None and "map" not in table:
            raise self.wrong(f"{key}.other", "says what a cell becomes that `map` does not know; there is no map")
        return value

    def _columns(self, key: str, table: dict[str, Any], template: str | None) -> tuple[str, ...]:
        if template is not None:
            return self._placeholders(key, template)
        if "join" in table:
            joined = table["join"]
            if not isinstance(joined, list) or not joined or not all(isinstance(c, str) for c in joined):
                raise self.wrong(f"{key}.join", 'must be a list of columns: ["a", "b"]')
            return tuple(clean(column) for column in joined)
        column = self._text(key, table, "column")
        return (clean(column),) if column else ()

    def _placeholders(self, key: str, template: str) -> tuple[str, ...]:
        try:
            columns = tuple(dict.fromkeys(clean(name) for _, name, _, _ in string.Formatter().parse(template) if name is not None))
        except ValueError:
            raise self.wrong(f"{key}.template", 'braces do not match; write "{Column}-{Other column}"') from None
        if not columns or not all(columns):
            raise self.wrong(f"{key}.template", 'names no column; write "{Column}", or use constant')
        return columns

    def _formats(self, key: str, name: str, table: dict[str, Any]) -> tuple[str, ...]:
        if "format" not in table:
            return ("iso",) if name in _TIMES else ()
        formats = table["format"] if isinstance(table["format"], list) else [table["format"]]
        if name not in _TIMES:
            raise self.wrong(f"{key}.format", f"is for times: {', '.join(sorted(_TIMES))}")
        for form in formats:
            if not isinstance(form, str) or (form != "iso" and "%" not in form):
                raise self.wrong(f"{key}.format", 'must be "iso" or a pattern like "%d/%m/%Y %H:%M"')
        return tuple(formats)

    def _time_of_day(self, key: str, name: str, table: dict[str, Any]) -> time:
        try:
            # A day without a time: received at its first moment, ended at its last, so that a dossier of one day is in order.
            return time.fromisoformat(table.get("time", "00:00" if name == "received_at" else "23:59:59"))
        except (TypeError, ValueError):
            raise self.wrong(f"{key}.time", 'must be a time of day: "08:00"') from None

    def _zone(self, key: str, value: Any) -> tzinfo:
        try:
            return ZoneInfo(value)
        except Exception:
            raise self.wrong(key, 'no such time zone; write one like "Asia/Ho_Chi_Minh"') from None

    def _table(self, key: str, table: dict[str, Any]) -> dict[str, Any] | None:
        entries = table.get("map")
        if entries is None:
            return None
        if not isinstance(entries, dict) or not entries:
            raise self.wrong(f"{key}.map", 'must be a table: { "theirs" = "ours" }')
        return {clean(theirs).casefold(): ours for theirs, ours in entries.items()}


def _known_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except LookupError:
        return False
    return True


def _text(raw: Any) -> str:
    return clean(raw) if isinstance(raw, str) else "" if raw is None else str(raw)


def _fill(template: str, parts: Mapping[str, str]) -> str:
    pieces = string.Formatter().parse(template)
    return "".join(literal + (parts[clean(name)] if name is not None else "") for literal, name, _, _ in pieces)


def _number(field: str, raw: str) -> int | float:
    try:
        return float(raw.replace(",", ".")) if field == "supplement_days" else int(raw)
    except ValueError:
        raise refused("wrong_type", field) from None


def _moment(rule: FieldRule, raw: str) -> str:
    """A time in one of the rule's formats → ISO 8601 with its offset."""
    for form in rule.formats:
        try:
            at = datetime.fromisoformat(raw) if form == "iso" else datetime.strptime(raw, form)  # noqa: DTZ007  # the zone is added below
        except ValueError:
            continue
        if not _has_time(form, raw):
            if rule.name == "due_at":  # an appointed day is a day in every zone
                return at.date().isoformat()
            at = datetime.combine(at.date(), rule.at)
        return (at if at.tzinfo else at.replace(tzinfo=rule.zone)).isoformat()
    raise refused("not_a_time", rule.name)


def _has_time(form: str, raw: str) -> bool:
    return len(raw) > len("2025-01-20") if form == "iso" else any(part in form for part in ("%H", "%I", "%X", "%c", "%T"))
