"""Lists people write: CSV with a header, or JSON (an array of objects), read a row at a time with what is wrong in it named by its place.

No message quotes a cell: a wrong column may hold a name. The only free text is the source, which is masked; everything else is a code, a
number or a day, so nobody can come in by a list.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from hailong.domain.dossier import shown_name
from hailong.domain.masking import masked
from hailong.domain.people import clean
from hailong.domain.units import Registry
from hailong.events import UnitChanged
from hailong.ports import Invalid

MOST: Final = 1_000_000_000
"""No count of a province's dossiers or people is larger."""
_CODE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_WHOLE: Final = re.compile(r"\d{1,15}")
_LONG_NUMBER: Final = re.compile(r"\d{9}")
_APART: Final = re.compile(r"[._-]")
T = TypeVar("T")


def lines(path: Path, columns: Sequence[str], more: Collection[str] | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(where it stands, cells by column) of each row of a list.

    ``columns`` must be there, ``more`` may be, and no other; with None, any other. Raises Invalid naming the line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as e:
        raise Invalid("not_utf8", None, f"{path.name}: byte {e.start} is not UTF-8. Save the list as UTF-8.") from None
    if path.suffix.lower() == ".json":
        yield from _entries(path.name, text, None if more is None else [*columns, *more])
        return
    table = csv.DictReader(io.StringIO(text))
    names = table.fieldnames
    for name in columns:
        if names is not None and name not in names:
            raise Invalid("missing", name, f"line 1: there is no column {name}. The first line names the columns: {','.join(columns)}, …")
    if more is not None and names is not None:
        _known("line 1", names, [*columns, *more])
    for raw in table:
        if None in raw:
            raise Invalid(
                "not_a_line", None, f"line {table.line_num}: it has more cells than the first line has columns; put quotes round them"
            )
        yield f"line {table.line_num}", raw


def _entries(name: str, text: str, known: Collection[str] | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        entries = msgspec.json.decode(text, type=list[dict[str, Any]])
    except msgspec.DecodeError as e:
        raise Invalid("not_json", None, f"{name}: {e}. Write an array of objects.") from None
    for n, raw in enumerate(entries, start=1):
        if known is not None:
            _known(f"entry {n}", raw, known)
        yield f"entry {n}", raw


def _known(where: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise Invalid(
                "unknown_column", shown_name(name), f"{where}: no such column as {shown_name(name)}; there are {', '.join(known)}"
            )


def month_of(text: str) -> tuple[date, date] | None:
    """First and last day of ``YYYY-MM``; None when it is written otherwise."""
    match = _MONTH.fullmatch(text)
    if match is None or not 1990 <= int(match[1]) <= 2100:
        return None
    first = date(int(match[1]), int(match[2]), 1)
    return first, date(first.year + first.month // 12, first.month % 12 + 1, 1) - timedelta(days=1)


def is_code(text: str) -> bool:
    """Whether it names a series or a question: small letters, digits, ``.``, ``-``, ``_``, up to 40, and no number of a person's."""
    return _CODE.fullmatch(text) is not None and not _LONG_NUMBER.search(_APART.sub("", text))


class Places:
    """The units as registered: what a cell calls one, in a span of days."""

    def __init__(self, rows: Iterable[UnitChanged]) -> None:
        self._registry = Registry(rows)

    def unit(self, text: str, first: date, last: date) -> str:
        """The code of the unit that ``text`` (its code, else its name or an alias) means on some day from ``first`` to ``last``.

        Raises Invalid("unknown_unit"), Invalid("ambiguous_unit") for homonyms, of which the codes are named.
        """
        there = {r.code for r in self._registry.rows() if r.valid_from <= last and (r.valid_to is None or first < r.valid_to)}
        found = [text] if text in there else [code for code in self._registry.named(text) if code in there]
        if len(found) > 1:
            raise Invalid("ambiguous_unit", "unit", f"more than one unit is called so then: {', '.join(found)}. Write its code.")
        if not found:
            span = f"{first:%Y-%m}" if first.replace(day=1) == last.replace(day=1) else f"{first} to {last}"
            raise Invalid(
                "unknown_unit", "unit", f"no unit is registered under that code or name in {span}. `hailong import units` brings it in."
            )
        return found[0]


@dataclass
class Row:
    """One row of a list: its cells, checked as they are asked for. Every method raises Invalid naming place and column."""

    where: str
    cells: Mapping[str, Any]
    hidden: Counter[str] = field(default_factory=Counter)
    """Kind → how much of it was masked in sources; counted on."""

    def text(self, name: str) -> str:
        """Of a cell, cleaned; empty where there is nothing."""
        raw = self.cells.get(name)
        return "" if raw is None else clean(str(raw))

    def required(self, name: str) -> str:
        return self.text(name) or self.refuse("missing", name, "is empty")

    def whole(self, name: str) -> int:
        """A number of dossiers or people, at least 0."""
        text = self.required(name)
        if not _WHOLE.fullmatch(text) or int(text) > MOST:
            self.refuse("not_a_number", name, "is not a whole number, 0 or more, such as 120")
        return int(text)

    def number(self, name: str) -> float:
        """Any number that is one."""
        try:
            value = float(self.required(name))
        except ValueError:
            value = float("nan")
        return value if abs(value) < MOST else self.refuse("not_a_number", name, "is not a number such as 83.94")

    def day(self, name: str) -> date | None:
        """None where the cell is empty."""
        text = self.text(name)
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            return self.refuse("not_a_day", name, "is not a day like 2025-07-01")

    def month(self, name: str, today: date) -> tuple[str, date, date]:
        """A month that is over: as written, its first and its last day."""
        text = self.required(name)
        days = month_of(text)
        if days is None:
            return self.refuse("not_a_month", name, "is not a month like 2026-02")
        if days[1] >= today:
            self.refuse("not_over", name, "is not over yet: enter it when it is")
        return text, *days

    def code(self, name: str) -> str:
        text = self.required(name)
        return (
            text if is_code(text) else self.refuse("not_a_code", name, "is not a short code like sipas-2022: small letters, digits, . - _")
        )

    def choice(self, name: str, allowed: Mapping[str, T], default: str | None = None) -> T:
        """What ``allowed`` makes of the cell."""
        text = self.text(name) or default or self.required(name)
        if text not in allowed:
            self.refuse("unknown_code", name, f"must be one of {', '.join(allowed)}")
        return allowed[text]

    def source(self) -> str:
        """Who says so and where; numbers, addresses and names in it are masked."""
        text = self.required("source")
        try:
            kept = masked(text)
        except Invalid as e:
            return self.refuse(e.reason, "source", e.detail or "is too long")
        self.hidden.update(kept.found)
        return kept.text

    def unit(self, places: Places, first: date, last: date) -> str:
        """See ``Places.unit``."""
        try:
            return places.unit(self.required("unit"), first, last)
        except Invalid as e:
            raise Invalid(
                e.reason, "unit", e.detail if (e.detail or "").startswith(self.where) else f"{self.where}: unit: {e.detail}"
            ) from None

    def refuse(self, reason: str, name: str, cause: str) -> NoReturn:
        """This row cannot be taken: ``cause`` goes on a sentence that begins with the column."""
        raise Invalid(reason, name, f"{self.where}: {name} {cause}")
