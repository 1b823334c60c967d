"""Units and targets coming in: a dated list, checked as a whole, every change a fact.

A list is CSV with a header or JSON (an array of objects) with the columns ``code, name, level, parent, valid_from, valid_to`` (the last
two may be empty: always, for ever). The same list twice changes nothing.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, cast, get_args

import msgspec

from hailong.domain.units import Registry
from hailong.events import TargetChanged, UnitChanged, UnitLevel
from hailong.ports import Invalid, Ledger, PendingRecord, Publisher

ALWAYS: Final = date(1900, 1, 1)
_LEVELS: Final = frozenset(get_args(UnitLevel))
_HEADER: Final = "The first line names the columns: code,name,level,parent,valid_from,valid_to."


class UnitRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list of units."""

    code: str
    name: str
    level: UnitLevel
    parent: str | None
    valid_from: date
    valid_to: date | None


def read_units(path: Path) -> list[UnitRow]:
    """The rows of a list. Raises Invalid naming line and column; nothing of a list with a fault is taken."""
    rows = [(where, _row(where, raw)) for where, raw in _lines(path)]
    if not rows:
        raise Invalid("missing", None, f"{path.name}: no units in it. {_HEADER}")
    _check(rows)
    return [row for _, row in rows]


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(where it stands, columns) of each unit."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as e:
        raise Invalid("not_utf8", None, f"{path.name}: byte {e.start} is not UTF-8. Save the list as UTF-8.") from None
    if path.suffix.lower() == ".json":
        yield from _entries(path.name, text)
        return
    table = csv.DictReader(io.StringIO(text))
    for name in ("code", "name", "level"):
        if table.fieldnames is not None and name not in table.fieldnames:
            raise Invalid("missing", name, f"line 1: there is no column {name}. {_HEADER}")
    for raw in table:
        yield f"line {table.line_num}", raw


def _entries(name: str, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        entries = msgspec.json.decode(text, type=list[dict[str, Any]])
    except msgspec.DecodeError as e:
        raise Invalid("not_json", None, f"{name}: {e}. Write an array of objects.") from None
    for n, raw in enumerate(entries, start=1):
        yield f"entry {n}", raw


def _row(where: str, raw: Mapping[str, Any]) -> UnitRow:
    def text(name: str) -> str:
        return str(raw.get(name) or "").strip()

    for name in ("code", "name", "level"):
        if not text(name):
            raise Invalid("missing", name, f"{where}: {name} is empty")
    if text("level") not in _LEVELS:
        raise Invalid("unknown_code", "level", f"{where}: level must be one of {', '.join(sorted(_LEVELS))}")
    row = UnitRow(
        code=text("code"),
        name=text("name"),
        level=cast(UnitLevel, text("level")),
        parent=text("parent") or None,
        valid_from=_day(where, "valid_from", text("valid_from")) or ALWAYS,
        valid_to=_day(where, "valid_to", text("valid_to")),
    )
    if row.valid_to is not None and row.valid_to <= row.valid_from:
        raise Invalid("ends_before_start", "valid_to", f"{where}: unit {row.code}: valid_to is not after valid_from")
    return row


def _day(where: str, name: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid("not_a_day", name, f"{where}: {name} is not a day like 2025-07-01") from None


def _check(rows: Sequence[tuple[str, UnitRow]]) -> None:
    """Each parent is in the list, no unit has two rows for one day, no unit is its own ancestor on any day."""
    by_code: dict[str, list[tuple[str, UnitRow]]] = {}
    for where, row in rows:
        by_code.setdefault(row.code, []).append((where, row))
    for where, row in rows:
        if row.parent is not None and row.parent not in by_code:
            raise Invalid("unknown_code", "parent", f"{where}: unit {row.code}: its parent {row.parent} is not in the list")
    for same in by_code.values():
        for (_, one), (where, two) in itertools.pairwise(sorted(same, key=lambda r: r[1].valid_from)):
            if one.valid_to is None or two.valid_from < one.valid_to:
                raise Invalid("overlap", "valid_from", f"{where}: unit {two.code}: two rows for {two.valid_from.isoformat()}")
    registry = Registry(_fact(row, "", n) for n, (_, row) in enumerate(rows))
    for where, row in rows:
        # A circle exists on some day only if it exists on the day the last of its rows begins.
        last = registry.on(registry.chain(row.code, row.valid_from)[-1], row.valid_from)
        if last is not None and last.parent:
            raise Invalid("circle", "parent", f"{where}: unit {row.code}: it is its own ancestor, or below one that is")


def _fact(row: UnitRow, registry_id: str, seq: int) -> UnitChanged:
    fields = msgspec.structs.asdict(row)
    return UnitChanged(event_id=f"{registry_id}:unit:{seq}", registry_id=registry_id, seq=seq, **fields)


class Registrar:
    """Writes units and targets: the ledger first, then the facts. ``ledger`` writes as ``cli``."""

    def __init__(self, ledger: Ledger, publisher: Publisher, registry_id: str) -> None:
        self._ledger = ledger
        self._publisher = publisher
        self._registry_id = registry_id

    def put_units(self, rows: Sequence[UnitRow], now: datetime) -> int:
        """Write a list; the number of rows that were new or changed. Raises Retryable."""
        changed = 0
        with self._ledger.begin() as tx:
            for r in rows:
                fact = _fact(r, self._registry_id, tx.next_registry_seq())
                if tx.put_unit(fact):
                    tx.put([fact], now)
                    changed += 1
        self._publish(tx.written)
        return changed

    def put_target(self, value: float, unit: str | None, valid_from: date, valid_to: date | None, source: str, now: datetime) -> bool:
        """Write a target (a fraction) for a unit and all below it, or for all; False when it is there already. Raises Retryable."""
        if not 0 < value < 1:
            raise Invalid("out_of_range", "value", "a target is a fraction between 0 and 1, such as 0.87")
        if valid_to is not None and valid_to <= valid_from:
            raise Invalid("ends_before_start", "valid_to", "the first day it holds no more must come after its first day")
        with self._ledger.begin() as tx:
            seq = tx.next_registry_seq()
            fact = TargetChanged(
                event_id=f"{self._registry_id}:target:{seq}", registry_id=self._registry_id, value=value, unit=unit,
                valid_from=valid_from, valid_to=valid_to, source=source, seq=seq,
            )  # fmt: skip
            new = tx.put_target(fact)
            if new:
                tx.put([fact], now)
        self._publish(tx.written)
        return new

    def _publish(self, rows: Sequence[PendingRecord]) -> None:
        if rows:
            self._publisher.publish([r.record for r in rows])
            self._ledger.published([r.id for r in rows])
