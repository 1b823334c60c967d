"""Units and targets coming in: a dated list, checked as a whole, every change a fact.

A list is CSV with a header or JSON (an array of objects) with the columns ``code, name, level, parent, valid_from, valid_to`` (the last
two may be empty: always, for ever). The same list twice changes nothing.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, cast, get_args

import msgspec

from hailong.events import TargetChanged, UnitChanged, UnitLevel
from hailong.ports import Invalid, Ledger, PendingRecord, Publisher

ALWAYS: Final = date(1900, 1, 1)
_LEVELS: Final = frozenset(get_args(UnitLevel))


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
    text = path.read_text("utf-8-sig")
    try:
        table: list[Mapping[str, Any]] = (
            msgspec.json.decode(text) if path.suffix.lower() == ".json" else list(csv.DictReader(io.StringIO(text)))
        )
    except msgspec.DecodeError as e:
        raise Invalid("not_json", None, f"{path.name}: {e}. Write an array of objects.") from None
    rows = [_row(n, line) for n, line in enumerate(table, start=2)]
    if not rows:
        raise Invalid(
            "missing", None, f"{path.name}: no units in it. The first line names the columns: code,name,level,parent,valid_from,valid_to."
        )
    _check(rows)
    return rows


def _row(line: int, raw: Mapping[str, Any]) -> UnitRow:
    def text(name: str) -> str:
        return str(raw.get(name) or "").strip()

    for name in ("code", "name", "level"):
        if not text(name):
            raise Invalid("missing", name, f"line {line}: {name} is empty")
    if text("level") not in _LEVELS:
        raise Invalid("unknown_code", "level", f"line {line}: level must be one of {', '.join(sorted(_LEVELS))}")
    return UnitRow(
        code=text("code"),
        name=text("name"),
        level=cast(UnitLevel, text("level")),
        parent=text("parent") or None,
        valid_from=_day(line, "valid_from", text("valid_from")) or ALWAYS,
        valid_to=_day(line, "valid_to", text("valid_to")),
    )


def _day(line: int, name: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid("not_a_day", name, f"line {line}: {name} is not a day like 2025-07-01") from None


def _check(rows: Sequence[UnitRow]) -> None:
    """Each parent is in the list, no unit is its own ancestor, no unit has two rows for one day."""
    parents = {r.code: r.parent for r in rows}
    for r in rows:
        if r.parent is not None and r.parent not in parents:
            raise Invalid("unknown_code", "parent", f"unit {r.code}: its parent {r.parent} is not in the list")
        if r.valid_to is not None and r.valid_to <= r.valid_from:
            raise Invalid("ends_before_start", "valid_to", f"unit {r.code}: valid_to is not after valid_from")
        seen, up = {r.code}, r.parent
        while up is not None:
            if up in seen:
                raise Invalid("circle", "parent", f"unit {r.code}: it is its own ancestor")
            seen.add(up)
            up = parents[up]
    spans = sorted((r.code, r.valid_from, r.valid_to or date.max) for r in rows)
    for (code, _, end), (other, begin, _) in itertools.pairwise(spans):
        if code == other and begin < end:
            raise Invalid("overlap", "valid_from", f"unit {code}: two rows for {begin.isoformat()}")


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
                fields = msgspec.structs.asdict(r)
                seq = tx.next_registry_seq()
                fact = UnitChanged(event_id=f"{self._registry_id}:unit:{seq}", registry_id=self._registry_id, seq=seq, **fields)
                if tx.put_unit(fact):
                    tx.put([fact], now)
                    changed += 1
        self._publish(tx.written)
        return changed

    def put_target(self, value: float, unit: str | None, valid_from: date, valid_to: date | None, source: str, now: datetime) -> bool:
        """Write a target (a fraction) for a unit and all below it, or for all; False when it is there already. Raises Retryable."""
        if not 0 < value < 1:
            raise Invalid("out_of_range", "value", "a target is a fraction between 0 and 1, such as 0.87")
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
