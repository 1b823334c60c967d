"""``import optouts FILE``: people who want no more messages, from a list of another system (1022, an operator, an older software).

One person a line, or CSV. Where the first line names columns of numbers or addresses, only these are read; else every cell that is a number
or an address counts. A line with none is refused; the report names line and reason, never what stands in it. The same file twice changes
nothing.
"""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from hailong.domain.people import clean, normal_contact
from producers.upstream_file import DELIMITERS, UnreadableFile, find_encoding

AT_ONCE: Final = 50
"""Lines committed together."""
Wrong = Literal["no_contact", "not_a_contact"]
REASONS: Final[dict[Wrong, str]] = {
    "no_contact": "the line holds no number and no address",
    "not_a_contact": "what stands where a number or address is expected is none, or several in one cell",
}
_COLUMNS: Final = frozenset(
    {"phone", "telephone", "mobile", "msisdn", "email", "mail", "so dien thoai", "dien thoai", "sdt", "di dong", "thu dien tu"}
)
_LONGEST: Final = 10_000


@dataclass(frozen=True)
class Listed:
    """A line of the file: what was read of it, or why nothing was. ``contacts`` name people."""

    number: int
    contacts: tuple[str, ...] = field(default=(), repr=False)
    wrong: Wrong | None = None


@dataclass
class OptOutReport:
    """What became of a file."""

    file: str
    lines: int = 0
    contacts: int = 0
    under_way: int = 0
    """Contacts a message was on its way to: that one may still arrive."""
    refused: Counter[str] = field(default_factory=Counter)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    """(line, reason)."""

    def as_json(self) -> dict[str, Any]:
        """For ``--json``: numbers of lines, never what stands in them."""
        lines = [{"line": number, "reason": reason} for number, reason in self.refusals]
        counts = {"lines": self.lines, "contacts": self.contacts, "under_way": self.under_way, "refused": self.refused.total()}
        return {"file": self.file, **counts, "refusals": lines}


def read_optouts(path: Path) -> Iterator[Listed]:
    """The lines of a file that hold something, but for its header. Raises UnreadableFile."""
    encoding = find_encoding(path)
    try:
        text = path.read_text(encoding, errors="replace").lstrip("\ufeff")
    except OSError as e:
        raise UnreadableFile(f"{path}: {e.strerror or type(e).__name__}; check the name and the rights of the file") from None
    chosen: list[int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        cells = _cells(line)
        if not any(cells):
            continue
        if number == 1 and _is_header(cells):
            chosen = [place for place, name in enumerate(cells) if _plain(name) in _COLUMNS] or None
            continue
        yield _listed(number, cells, chosen)


def _cells(line: str) -> list[str]:
    delimiter = max(DELIMITERS, key=line.count)
    return [clean(cell) for cell in next(csv.reader([line[:_LONGEST]], delimiter=delimiter), [])]


def _is_header(cells: Sequence[str]) -> bool:
    """Words only: no cell holds a digit or an @."""
    return not any("@" in cell or any(c.isdigit() for c in cell) for cell in cells)


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFD", name.casefold().replace("đ", "d").replace("_", " "))
    return " ".join("".join(c for c in letters if not unicodedata.combining(c)).replace("-", "").split())


def _listed(number: int, cells: Sequence[str], chosen: Sequence[int] | None) -> Listed:
    looked = cells if chosen is None else [cells[place] for place in chosen if place < len(cells)]
    read = {cell: normal_contact(cell) for cell in looked if cell}
    found = tuple(dict.fromkeys(contact[1] for contact in read.values() if contact is not None))
    if found and (chosen is None or None not in read.values()):
        return Listed(number, found)
    return Listed(number, found, "not_a_contact" if read and (chosen is not None or _nearly(cells)) else "no_contact")


def _nearly(cells: Sequence[str]) -> bool:
    return any("@" in cell or sum(c.isdigit() for c in cell) > 6 for cell in cells)


def take_optouts(lines: Iterator[Listed], file: str, commit: Callable[[Sequence[str]], int]) -> OptOutReport:
    """Opt out everybody in ``lines``. ``commit`` opts contacts out in one transaction; it returns when they are committed, to how
    many of them a message is on its way.

    Of a refused line with several contacts what could be read is opted out all the same: nobody is asked because a neighbour's cell is
    wrong.
    """
    report = OptOutReport(file)
    while part := list(islice(lines, AT_ONCE)):
        contacts = [contact for line in part for contact in line.contacts]
        report.under_way += commit(contacts)
        report.lines += len(part)
        report.contacts += len(contacts)
        for line in part:
            if line.wrong is not None:
                report.refused[line.wrong] += 1
                report.refusals.append((line.number, line.wrong))
    return report
