"""The two files detectors are held against: answers in their order, and the truth by unit. Read strictly, written as they are read."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ops.alerting.province import FIELDS, Province
from ops.local.refusal import Refusal

ANSWERS: Final = ("day", "unit", "field", "satisfied")
TRUTH: Final = ("unit", "from_day", "to_day", "level", "kind")
RAISES: Final = ("detector", "unit", "raised_day", "cleared_day")
_LAST_DAY: Final = 36_500


class Answer(NamedTuple):
    """One line of answers; ``failed``: not satisfied."""

    day: int
    unit: str
    field: str
    failed: bool


class Stretch(NamedTuple):
    """One line of truth: the probability of being satisfied from a day up to, without, another."""

    from_day: int
    to_day: int
    level: float
    kind: str


Truth = dict[str, list[Stretch]]


class _Line:
    """A line under examination: its cells, and where a fault is told to be."""

    def __init__(self, path: Path, number: int, cells: Sequence[str], columns: Sequence[str]) -> None:
        self._where = f"{path}, line {number}"
        if len(cells) != len(columns):
            raise self.fault(f"{len(cells)} cells, there should be {len(columns)} ({','.join(columns)})")
        self._cells = dict(zip(columns, cells, strict=True))

    def fault(self, cause: str) -> Refusal:
        return Refusal(f"{self._where}: {cause}. Mend the file and run it again.", wrong_use=True)

    def text(self, column: str) -> str:
        value = self._cells[column]
        if not value.strip():
            raise self.fault(f"{column} is empty")
        return value

    def day(self, column: str) -> int:
        value = self._cells[column]
        if not (value.isascii() and value.isdigit() and int(value) <= _LAST_DAY):
            raise self.fault(f"{column} is {value!r}, not a day from 0 to {_LAST_DAY}")
        return int(value)

    def share(self, column: str) -> float:
        value = self._cells[column]
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number <= 1:
            raise self.fault(f"{column} is {value!r}, not a share from 0 to 1")
        return number


def read_truth(path: Path) -> Truth:
    """The stretches of every unit, in the order of days. Raises Refusal: file, line, cause."""
    truth: Truth = {}
    for number, cells in _lines(path, TRUTH):
        line = _Line(path, number, cells, TRUTH)
        stretch = Stretch(line.day("from_day"), line.day("to_day"), line.share("level"), line.text("kind"))
        if stretch.to_day <= stretch.from_day:
            raise line.fault(f"to_day {stretch.to_day} is not after from_day {stretch.from_day}")
        before = truth.setdefault(line.text("unit"), [])
        if before and stretch.from_day != before[-1].to_day:
            raise line.fault(f"unit {line.text('unit')} goes on with day {stretch.from_day} where day {before[-1].to_day} was to come")
        before.append(stretch)
    if not truth:
        raise Refusal(f"{path}: holds no line of truth. Write one for every unit.", wrong_use=True)
    return truth


def read_answers(path: Path, truth: Truth) -> list[Answer]:
    """All answers, in their order. Raises Refusal: file, line, cause; also when a day falls, or has no truth."""
    answers: list[Answer] = []
    spans = {unit: (stretches[0].from_day, stretches[-1].to_day) for unit, stretches in truth.items()}
    last = 0
    for number, cells in _lines(path, ANSWERS):
        line = _Line(path, number, cells, ANSWERS)
        day, unit, satisfied = line.day("day"), line.text("unit"), line.text("satisfied")
        if satisfied not in ("0", "1"):
            raise line.fault(f"satisfied is {satisfied!r}, not 0 or 1")
        if day < last:
            raise line.fault(f"day {day} comes after day {last}: answers stand in the order of days")
        if unit not in spans:
            raise line.fault(f"unit {unit} does not stand in the truth")
        if not spans[unit][0] <= day < spans[unit][1]:
            raise line.fault(f"day {day} of unit {unit} lies outside its truth (days {spans[unit][0]} to {spans[unit][1] - 1})")
        last = day
        answers.append(Answer(day, unit, line.text("field"), satisfied == "0"))
    if not answers:
        raise Refusal(f"{path}: holds no answer. `hailong alerts generate` makes some.", wrong_use=True)
    return answers


def _lines(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            heading = next(rows, [])
            if tuple(heading) != tuple(columns):
                raise Refusal(f"{path}, line 1: is {','.join(heading)!r}, not the heading {','.join(columns)!r}.", wrong_use=True)
            for row in rows:
                yield rows.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise Refusal(f"{path}: cannot be read ({e}). Name a CSV file in UTF-8.", wrong_use=True) from e


def answers_of(province: Province) -> Iterator[Answer]:
    """The province's answers as a file would give them."""
    for a in province.answers():
        yield Answer(a.day, str(a.unit), FIELDS[a.field], not a.satisfied)


def truth_of(province: Province) -> Truth:
    """The province's truth as a file would give it."""
    truth: Truth = {}
    for s in province.truth():
        truth.setdefault(str(s.unit), []).append(Stretch(s.from_day, s.to_day, s.level, s.kind))
    return truth


def write_answers(path: Path, answers: Iterable[Answer]) -> int:
    """How many were written."""
    lines = [(a.day, a.unit, a.field, int(not a.failed)) for a in answers]
    _write(path, ANSWERS, lines)
    return len(lines)


def write_truth(path: Path, truth: Truth) -> None:
    _write(path, TRUTH, ((unit, s.from_day, s.to_day, f"{s.level:.9g}", s.kind) for unit, stretches in truth.items() for s in stretches))


def write_raises(path: Path, lines: Iterable[tuple[str, str, int, int | None]]) -> None:
    """(detector, unit, day raised, day cleared or None while on)."""
    _write(path, RAISES, (("" if cell is None else cell for cell in line) for line in lines))


def _write(path: Path, columns: Sequence[str], lines: Iterable[Iterable[object]]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(columns)
            out.writerows(lines)
    except OSError as e:
        raise Refusal(f"{path}: cannot be written ({e.strerror}). Name another place.", wrong_use=True) from e
