"""Files as upstreams write them → lines with cells: encoding, delimiter and header found, records streamed.

A line that cannot be read is reported as itself; the lines after it are not lost: a quote that is never closed spoils its own line
only.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from charset_normalizer import from_bytes

from hailong.domain.people import clean
from producers.mapping import LineMapping

DELIMITERS: Final = (",", ";", "\t", "|")
_CHUNK: Final = 1 << 20
_SAMPLE: Final = 256 * 1024
_MAX_LINE: Final = 256 * 1024
_MAX_SPAN: Final = 30
"""So many physical lines may one quoted record span; beyond that its quote is taken for a slip."""
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_OF_VIET_NAM: Final = ["cp1258", "cp1252"]


class UnreadableFile(Exception):
    """The file as a whole cannot be read; the message names file, cause and next step."""


@dataclass(frozen=True)
class Line:
    """One record. ``number`` is its first physical line, counted from 1; ``wrong`` says why it has no cells."""

    number: int
    cells: Callable[[str], Any]
    wrong: Literal["not_a_line", "too_long"] | None = None
    keys: Mapping[str, Any] = field(default_factory=dict)
    """What a JSON line holds; empty in CSV, where the header says it for all lines."""


@dataclass(frozen=True)
class Upstream:
    """A file, opened: how it is written and its lines."""

    path: Path
    encoding: str
    delimiter: str | None
    """None: JSON lines."""
    lines: Iterator[Line]
    position: Callable[[], int]
    """Bytes read so far."""
    header: tuple[int, list[str]] = (0, [])
    """Line and columns of the header; empty for JSON lines."""


def _nothing(_: str) -> None:
    return None


def find_encoding(path: Path) -> str:
    """The encoding of a text file: by its mark, else UTF-8 if all of it is, else UTF-16 by its zeros, else Windows-1258 or 1252.

    Raises UnreadableFile when it is empty or cannot be opened.
    """
    try:
        with path.open("rb") as file:
            sample = file.read(_SAMPLE)
            if not sample.strip():
                raise UnreadableFile(f"{path}: is empty; put the upstream's file there again")
            for mark, name in _BOMS:
                if sample.startswith(mark):
                    return name
            if zeros := _zeros(sample):
                return zeros
            if _all_utf8(file, sample):
                return "utf-8"
    except OSError as e:
        raise UnreadableFile(f"{path}: {e.strerror or type(e).__name__}; check the name and the rights of the file") from None
    best = from_bytes(sample, cp_isolation=_OF_VIET_NAM).best()
    return best.encoding if best else "cp1258"


def _zeros(sample: bytes) -> str | None:
    """UTF-16 without a mark: a text of mostly Latin letters has a zero in every other byte."""
    if sample[1::2].count(0) > len(sample) // 8:
        return "utf-16-le"
    return "utf-16-be" if sample[::2].count(0) > len(sample) // 8 else None


def _all_utf8(file: Any, start: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    chunk = start
    try:
        while chunk:
            decoder.decode(chunk)
            chunk = file.read(_CHUNK)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


class _Physical:
    """Physical lines with their numbers; some can be given back. A line over the limit comes as None."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._raw = path.open("rb")
        self._text = io.TextIOWrapper(self._raw, encoding=encoding, errors="replace", newline="")
        self._back: list[tuple[int, str | None]] = []
        self._read = 0

    def next(self) -> tuple[int, str | None] | None:
        """The next line, or None at the end."""
        if self._back:
            return self._back.pop()
        line = self._text.readline(_MAX_LINE)
        if not line:
            return None
        self._read += 1
        if len(line) < _MAX_LINE or line[-1] in "\r\n":
            return self._read, line
        while line and line[-1] not in "\r\n":
            line = self._text.readline(_MAX_LINE)
        return self._read, None

    def give_back(self, lines: list[tuple[int, str | None]]) -> None:
        self._back.extend(reversed(lines))

    def position(self) -> int:
        return self._raw.tell() if not self._raw.closed else -1

    def close(self) -> None:
        self._text.close()


def open_upstream(path: Path, mapping: LineMapping) -> Upstream:
    """Find out how a file is written and open it. JSON lines when its first line is an object, CSV otherwise.

    Raises UnreadableFile; MappingError when a column the mapping names is not there.
    """
    encoding = mapping.encoding or find_encoding(path)
    try:
        physical = _Physical(path, encoding)
    except OSError as e:
        raise UnreadableFile(f"{path}: {e.strerror or type(e).__name__}; check the name and the rights of the file") from None
    try:
        for _ in range(mapping.skip_lines):
            physical.next()
        number, first = physical.next() or (0, None)
        if first is None:
            raise UnreadableFile(
                f"{path}: its first line is missing or longer than {_MAX_LINE} characters; is it a CSV file or JSON lines?"
            )
        if first.startswith("sep=") and (after := physical.next()):  # a spreadsheet's own hint
            number, first = after[0], after[1] or ""
        if first.lstrip("\ufeff").lstrip().startswith("{"):
            physical.give_back([(number, first)])
            return Upstream(path, encoding, None, _json_lines(physical), physical.position)
        delimiter = mapping.delimiter or find_delimiter(first, mapping)
        header = _header(path, first, delimiter, mapping)
    except BaseException:
        physical.close()
        raise
    return Upstream(path, encoding, delimiter, _csv_lines(physical, header, delimiter), physical.position, (number, header))


def find_delimiter(header: str, mapping: LineMapping) -> str:
    """The delimiter under which the header has most of the mapping's columns."""

    def known(delimiter: str) -> int:
        return len({clean(name) for name in _cells(header, delimiter)} & set(mapping.columns))

    return max(DELIMITERS, key=known)


def _header(path: Path, line: str, delimiter: str, mapping: LineMapping) -> list[str]:
    names = [clean(name.lstrip("\ufeff")) for name in _cells(line, delimiter)]
    for column in mapping.columns:
        if names.count(column) > 1:
            raise UnreadableFile(f"{path}: has the column {column!r} twice; leave one in the file")
        if column not in names:
            # Only a near miss is quoted: a file without a header has a person in its first line.
            raise mapping.missing_column(column, difflib.get_close_matches(column, names, n=1, cutoff=0.8), path)
    return names


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _csv_lines(physical: _Physical, header: list[str], delimiter: str) -> Iterator[Line]:
    places = {name: i for i, name in enumerate(header)}
    try:
        while (found := physical.next()) is not None:
            number, text = found
            if text is None:
                yield Line(number, _nothing, "too_long")
                continue
            row = _record(physical, number, text, delimiter, len(header))
            if row is None:
                yield Line(number, _nothing, "not_a_line")
            elif any(row):
                yield Line(number, _Row(places, row))
    finally:
        physical.close()


class _Row:
    """Cells of a CSV record by column."""

    __slots__ = ("places", "row")

    def __init__(self, places: dict[str, int], row: list[str]) -> None:
        self.places = places
        self.row = row

    def __call__(self, column: str) -> str:
        return self.row[self.places[column]]


def _record(physical: _Physical, number: int, text: str, delimiter: str, width: int) -> list[str] | None:
    """The record that starts with ``text``; None when it is not one. Lines it does not need are given back."""
    if text.count('"') % 2 == 0:
        return _fitting(text, delimiter, width)
    taken: list[tuple[int, str | None]] = []
    whole = text
    while len(taken) < _MAX_SPAN and (found := physical.next()) is not None:
        taken.append(found)
        if found[1] is None:
            break
        whole += found[1]
        if found[1].count('"') % 2 and (row := _fitting(whole, delimiter, width)):
            return row
    physical.give_back(taken)
    return _fitting(text, delimiter, width)


def _fitting(text: str, delimiter: str, width: int) -> list[str] | None:
    """The cells, when there are as many as columns (empty ones at the end may be missing or too many)."""
    try:
        row = _cells(text.rstrip("\r\n"), delimiter)
    except csv.Error:
        return None
    if len(row) > width and not any(row[width:]):
        return row[:width]
    if not row:
        return [""] * width
    return row if len(row) == width else None


def _json_lines(physical: _Physical) -> Iterator[Line]:
    try:
        while (found := physical.next()) is not None:
            number, text = found
            if text is None:
                yield Line(number, _nothing, "too_long")
            elif text := text.lstrip("\ufeff").strip():
                yield _json_line(number, text)
    finally:
        physical.close()


def _json_line(number: int, text: str) -> Line:
    try:
        item = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return Line(number, _nothing, "not_a_line")
    if not isinstance(item, dict):
        return Line(number, _nothing, "not_a_line")
    return Line(number, lambda column: _by_path(item, column), keys=item)


def _by_path(item: dict[str, Any], column: str) -> Any:
    """A key as it stands, else a path through nested objects."""
    if column in item:
        return item[column]
    value: Any = item
    for part in column.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
