"""``import answers``: earlier surveys (slips at the counter, older e-surveys) as counts, by a mapping (TOML).

::

    [series]
    name = "counter-slips"                 # code of the series; it stands beside hailong's own figures and is never added to them
    source = "phiếu giấy tại quầy, 2023"   # who asked, how, where it is written; masked
    scale = ["Không hài lòng", "Hài lòng", "Rất hài lòng"]   # its values, the lowest first
    satisfied = ["Hài lòng", "Rất hài lòng"]                 # which of them that survey counts as satisfied

    [columns]
    unit = "DonVi"                         # code, name or alias of a registered unit
    day = "Ngay"                           # or month = "Thang"
    value = "MucDo"
    question = "TieuChi"                   # left out: all lines are about `overall`
    n = "SoPhieu"                          # left out: each line is one answer

    [file]                                 # all optional
    encoding = "windows-1258"              # else found, as the delimiter
    delimiter = ";"
    skip_lines = 0
    format = "%d/%m/%Y"                    # of day or month; else 2024-05-31, 2024-05

    [units]                                # as the file calls them → code; else the file's own
    "UBND xã A" = "xa-a"
    [questions]
    "Thái độ phục vụ" = "attitude"
    [values]                               # as the file writes them → as [series] does
    "RHL" = "Rất hài lòng"

Only the columns named here are read. A line that cannot be used is reported and the rest is taken. A month of a unit and question is taken
as a whole: what an earlier import said of it, and this file does not say again, becomes 0; so the mended file mends the series.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from hailong.domain.masking import masked
from hailong.domain.people import clean
from hailong.events import EarlierStated
from hailong.ports import Invalid
from producers.lists import MOST, Places, is_code, month_of
from producers.mapping import FieldRule, LineMapping, MappingError, key_lines
from producers.upstream_file import Line, open_upstream

OVERALL: Final = "overall"
"""The question of files that hold a single one."""
MOST_VALUES: Final = 11
REASONS: Final[dict[str, str]] = {
    "missing": "a cell that must be there is empty",
    "not_a_line": "the line has not as many cells as the header, or is not JSON",
    "too_long": "the line is longer than can be read",
    "not_a_day": "not a day as the mapping says",
    "not_a_month": "not a month as the mapping says",
    "not_over": "the month is not over",
    "unknown_unit": "no unit is registered under that code or name in that month",
    "ambiguous_unit": "several units are called so in that month: write the code, or map it in [units]",
    "unknown_question": "not a code of a question: map it in [questions]",
    "unknown_value": "not on the scale: map it in [values]",
    "not_a_number": "not a whole number, 0 or more",
}
"""Why a line is refused. No refusal quotes a cell: a wrong column may hold a name."""
_LABEL: Final = re.compile(r"[^\x00-\x1f|]{1,40}")
_WHOLE: Final = re.compile(r"\d{1,9}")
_COLUMNS: Final = ("unit", "month", "day", "question", "value", "n")
_SAFE_FORMAT: Final = re.compile(r"(?:%[dmYyHMS]|[-/.:T ])+")


class _Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    source: str
    scale: list[str]
    satisfied: list[str]


class _Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    unit: str
    value: str
    month: str | None = None
    day: str | None = None
    question: str | None = None
    n: str | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    encoding: str | None = None
    delimiter: str | None = None
    skip_lines: int = 0
    format: str | None = None


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    series: _Series
    columns: _Columns
    file: _File = _File()
    units: dict[str, str] = {}
    questions: dict[str, str] = {}
    values: dict[str, str] = {}


@dataclass(frozen=True)
class SeriesMapping:
    """A mapping file, read and checked."""

    path: Path
    series: str
    source: str
    hidden: Mapping[str, int]
    """Kind → how much of it was masked in the source."""
    scale: tuple[str, ...]
    """Its values, the lowest first."""
    satisfied_from: int
    """Place, from 1, of the lowest value that survey counts as satisfied."""
    columns: Mapping[str, str]
    """Of ``unit``, ``value``, ``month`` or ``day``, and, where there is one, ``question``, ``n``."""
    tables: Mapping[str, Mapping[str, str]]
    """``unit``, ``question``, ``value`` → what a cell says (case folded) → what it means."""
    lines: LineMapping
    format: str | None = None


@dataclass(frozen=True)
class RefusedLine:
    """A line that was not taken; ``reason`` of ``REASONS``."""

    number: int
    column: str
    reason: str


@dataclass
class Earlier:
    """What a file says: (unit, month, question) → value's label → how often."""

    mapping: SeriesMapping
    lines: int = 0
    cells: dict[tuple[str, str, str], Counter[str]] = field(default_factory=dict)
    refused: list[RefusedLine] = field(default_factory=list)


# --- the mapping ----------------------------------------------------------------------------------------------------------------


def load_series(path: Path) -> SeriesMapping:
    """Read and check a mapping. Raises MappingError naming file, key, cause and what would do."""
    try:
        text = path.read_text("utf-8-sig")
        read = msgspec.toml.decode(text, type=_Document)
    except (OSError, UnicodeDecodeError) as e:
        raise MappingError(f"{path}: cannot be read as UTF-8 text ({type(e).__name__}). Name a mapping file (TOML)") from None
    except msgspec.DecodeError as e:
        raise MappingError(f"{path}: {e}. Write it as examples/answers/slips.toml does") from None
    for key, cause in _faults(read):
        raise MappingError(f"{path}: {key}: {cause}")
    columns = {name: clean(column) for name in _COLUMNS if (column := getattr(read.columns, name)) is not None}
    kept = masked(read.series.source)
    rules = tuple(FieldRule(name, (column,)) for name, column in columns.items())
    file = LineMapping(path, rules, key_lines(text), None, read.file.encoding, read.file.delimiter, read.file.skip_lines)
    return SeriesMapping(
        path=path,
        series=read.series.name,
        source=kept.text,
        hidden=kept.found,
        scale=tuple(map(clean, read.series.scale)),
        satisfied_from=len(read.series.scale) - len(set(read.series.satisfied)) + 1,
        columns=columns,
        tables={"unit": _folded(read.units), "question": _folded(read.questions), "value": _folded(read.values)},
        lines=file,
        format=read.file.format,
    )


def _folded(table: Mapping[str, str]) -> dict[str, str]:
    return {clean(said).casefold(): clean(means) for said, means in table.items()}


def _faults(read: _Document) -> Iterator[tuple[str, str]]:
    """(key, cause and next step) of what the types cannot say."""
    scale, satisfied = read.series.scale, read.series.satisfied
    if not is_code(read.series.name):
        yield "series.name", "not a short code like counter-slips: small letters, digits, . - _"
    if not read.series.source.strip() or len(read.series.source) > 400:
        yield "series.source", "say in up to 400 letters who asked, how, and where it is written"
    if not 2 <= len(scale) <= MOST_VALUES or len(set(map(clean, scale))) < len(scale):
        yield "series.scale", f"a scale has 2 to {MOST_VALUES} values, each once, the lowest first"
    if bad := [label for label in scale if not _LABEL.fullmatch(clean(label)) or masked(label).found]:
        yield "series.scale", f"value {scale.index(bad[0]) + 1} is none: up to 40 letters without | and without numbers or names of people"
    if not satisfied or not set(satisfied) < set(scale) or scale[-len(set(satisfied)) :] != [v for v in scale if v in satisfied]:
        yield "series.satisfied", "name some, not all, of the scale's values: the highest ones, written as in scale"
    if (read.columns.month is None) == (read.columns.day is None):
        yield "columns", "name the column of the month or that of the day, one of the two"
    if read.file.format is not None and not _SAFE_FORMAT.fullmatch(read.file.format):
        yield "file.format", "is no format of a day or month, such as %d/%m/%Y or %m/%Y"
    if unknown := [means for means in read.values.values() if clean(means) not in map(clean, scale)]:
        yield "values", f"{len(unknown)} of its values are not on the scale; write them as in series.scale"
    if any(not is_code(means) for means in read.questions.values()):
        yield "questions", "a question's code has small letters, digits, . - _ only, such as attitude"


# --- the file -------------------------------------------------------------------------------------------------------------------


def read_answers(path: Path, mapping: SeriesMapping, places: Places, today: date) -> Earlier:
    """Count the answers of a file by unit, month, question and value; months must be over on ``today``.

    Raises UnreadableFile; MappingError where a column the mapping names is not there.
    """
    found = Earlier(mapping)
    counting = _Counting(mapping, places, today)
    for line in open_upstream(path, mapping.lines).lines:
        found.lines += 1
        try:
            cell, label, n = counting.read(line)
        except Invalid as e:
            found.refused.append(RefusedLine(line.number, mapping.columns.get(e.field or "", ""), e.reason))
        else:
            found.cells.setdefault(cell, Counter())[label] += n
    return found


class _Counting:
    """Reads lines of one file."""

    def __init__(self, mapping: SeriesMapping, places: Places, today: date) -> None:
        self._mapping = mapping
        self._places = places
        self._today = today
        self._labels = {label.casefold(): label for label in mapping.scale}
        self._units: dict[tuple[str, str], str] = {}

    def read(self, line: Line) -> tuple[tuple[str, str, str], str, int]:
        """((unit, month, question), value, n). Raises Invalid with the kind of column and a reason of ``REASONS``."""
        if line.wrong:
            raise Invalid(line.wrong)
        month, first, last = self._month(line)
        unit = self._unit(self._cell(line, "unit"), month, first, last)
        question = self._cell(line, "question") if "question" in self._mapping.columns else OVERALL
        if not is_code(question):
            raise Invalid("unknown_question", "question")
        label = self._labels.get(self._cell(line, "value").casefold())
        if label is None:
            raise Invalid("unknown_value", "value")
        return (unit, month, question), label, self._number(line)

    def _cell(self, line: Line, name: str) -> str:
        """Of a column, as its table means it."""
        raw = line.cells(self._mapping.columns[name])
        text = "" if raw is None or isinstance(raw, (dict, list)) else clean(str(raw))
        if not text:
            raise Invalid("missing", name)
        return self._mapping.tables.get(name, {}).get(text.casefold(), text)

    def _month(self, line: Line) -> tuple[str, date, date]:
        name = "month" if "month" in self._mapping.columns else "day"
        text = self._cell(line, name)
        try:
            if self._mapping.format is not None:
                text = datetime.strptime(text, self._mapping.format).date().isoformat()[: 7 if name == "month" else 10]  # noqa: DTZ007 - a day
            month = date.fromisoformat(text).isoformat()[:7] if name == "day" else text
        except ValueError:
            raise Invalid(f"not_a_{name}", name) from None
        days = month_of(month)
        if days is None:
            raise Invalid(f"not_a_{name}", name)
        if days[1] >= self._today:
            raise Invalid("not_over", name)
        return month, *days

    def _unit(self, text: str, month: str, first: date, last: date) -> str:
        """Looked up once a month and name."""
        if (text, month) not in self._units:
            self._units[text, month] = self._places.unit(text, first, last)
        return self._units[text, month]

    def _number(self, line: Line) -> int:
        if "n" not in self._mapping.columns:
            return 1
        text = self._cell(line, "n")
        if not _WHOLE.fullmatch(text) or int(text) > MOST:
            raise Invalid("not_a_number", "n")
        return int(text)


# --- into statements ------------------------------------------------------------------------------------------------------------


def statements(found: Earlier, stated: Iterable[EarlierStated]) -> list[EarlierStated]:
    """What a file states, given what was stated before: of each of its cells every value that occurs or did.

    Raises MappingError where the series was brought in with another scale: that is another series.
    """
    mapping = found.mapping
    before: dict[tuple[str, str, str], set[str]] = {}
    for one in stated:
        if one.series == mapping.series:
            _same_scale(mapping, one)
            before.setdefault((one.unit, one.month, one.question), set()).add(one.value)
    return [
        EarlierStated(
            event_id="", registry_id="", seq=0, series=mapping.series, unit=cell[0], month=cell[1], question=cell[2], value=label,
            place=place, places=len(mapping.scale), satisfied_from=mapping.satisfied_from, n=counts[label], source=mapping.source,
        )
        for cell, counts in sorted(found.cells.items())
        for place, label in enumerate(mapping.scale, start=1)
        if counts[label] or label in before.get(cell, ())
    ]  # fmt: skip


def _same_scale(mapping: SeriesMapping, known: EarlierStated) -> None:
    same = (known.places, known.satisfied_from) == (len(mapping.scale), mapping.satisfied_from)
    if not same or mapping.scale[known.place - 1] != known.value:
        raise MappingError(
            f"{mapping.path}: series.scale: series {mapping.series} was brought in with another scale, and two scales are two series. "
            f"Give this one another name"
        )


def report(found: Earlier) -> dict[str, Any]:
    """For ``--json``: numbers of lines, never what stands in them."""
    lines = [{"line": r.number, "column": r.column, "reason": r.reason} for r in found.refused]
    return {"series": found.mapping.series, "lines": found.lines, "refused": len(lines), "refusals": lines}
