"""Units and targets coming in: a dated list, checked as a whole, every change a fact.

A list is CSV with a header or JSON (an array of objects) with the columns ``code, name, level, parent, valid_from, valid_to`` (the last
two may be empty: always, for ever), and, where known, ``kind, gso, aliases, predecessors, source``. In a CSV, aliases stand beside each
other as ``Hoà Bình|Hoa Binh``, predecessors as ``code:kind:share|code``: the kind is merged unless said, the share may be left out.
The same list twice changes nothing.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, cast, get_args

import msgspec

from hailong.domain.succession import faults
from hailong.domain.units import Registry
from hailong.events import Predecessor, SubmissionChannel, SuccessionKind, TargetChanged, UnitChanged, UnitLevel
from hailong.ports import Invalid, Ledger, PendingRecord, Publisher
from producers.lists import lines

ALWAYS: Final = date(1900, 1, 1)
_LEVELS: Final = frozenset(get_args(UnitLevel))
_CHANNELS: Final = frozenset(get_args(SubmissionChannel))
_KINDS: Final = frozenset(get_args(SuccessionKind))
_HEADER: Final = "The first line names the columns: code,name,level,parent,valid_from,valid_to."


class UnitRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list of units."""

    code: str
    name: str
    level: UnitLevel
    parent: str | None
    valid_from: date
    valid_to: date | None
    kind: str = ""
    gso: str | None = None
    aliases: list[str] = []
    predecessors: list[Predecessor] = []
    source: str = ""


class TargetRow(msgspec.Struct, frozen=True, kw_only=True):
    """A target (a fraction) from a day on; for all where no unit, field, channel or question is named."""

    value: float
    unit: str | None = None
    field: str | None = None
    channel: SubmissionChannel | None = None
    question: str | None = None
    valid_from: date
    valid_to: date | None = None
    source: str

    def __post_init__(self) -> None:
        if not 0 < self.value < 1:
            raise Invalid("out_of_range", "value", "a target is a fraction between 0 and 1, such as 0.87")
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise Invalid("ends_before_start", "valid_to", "the first day it holds no more must come after its first day")
        if self.channel is not None and self.channel not in _CHANNELS:
            raise Invalid("unknown_code", "channel", f"the channel must be one of {', '.join(sorted(_CHANNELS))}")
        if not self.source:
            raise Invalid("missing", "source", "the source is empty: who set the target, and where it is written")


@dataclass(frozen=True)
class Difference:
    """What importing a list would do to one row of the registry: ``fields`` → (as it is, as it would be); all of a new row."""

    code: str
    valid_from: date
    new: bool
    fields: Mapping[str, tuple[Any, Any]]


def read_units(path: Path) -> list[UnitRow]:
    """The rows of a list. Raises Invalid naming line and column; nothing of a list with a fault is taken."""
    rows = [(where, _row(where, raw)) for where, raw in lines(path, ("code", "name", "level"))]
    if not rows:
        raise Invalid("missing", None, f"{path.name}: no units in it. {_HEADER}")
    _check(rows)
    return [row for _, row in rows]


def read_targets(path: Path) -> list[TargetRow]:
    """The targets of a list with the columns ``value, valid_from, source`` and, where they narrow it, ``unit, field, channel, question,
    valid_to``. Raises Invalid naming the line."""
    rows = [_target(where, raw) for where, raw in lines(path, ("value", "valid_from", "source"))]
    if not rows:
        raise Invalid("missing", None, f"{path.name}: no targets in it")
    return rows


def _target(where: str, raw: Mapping[str, Any]) -> TargetRow:
    def text(name: str) -> str | None:
        return str(raw.get(name) if raw.get(name) is not None else "").strip() or None

    try:
        value = float(text("value") or "")
    except ValueError:
        raise Invalid("not_a_number", "value", f"{where}: value is not a fraction such as 0.87") from None
    first = _day(where, "valid_from", text("valid_from") or "")
    if first is None:
        raise Invalid("missing", "valid_from", f"{where}: valid_from is empty")
    try:
        return TargetRow(
            value=value, unit=text("unit"), field=text("field"), channel=cast(SubmissionChannel | None, text("channel")),
            question=text("question"), valid_from=first, valid_to=_day(where, "valid_to", text("valid_to") or ""),
            source=text("source") or "",
        )  # fmt: skip
    except Invalid as e:
        raise Invalid(e.reason, e.field, f"{where}: {e.detail}") from None


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
        kind=text("kind"),
        gso=text("gso") or None,
        aliases=_aliases(raw.get("aliases")),
        predecessors=_predecessors(where, raw.get("predecessors")),
        source=text("source"),
    )
    if row.valid_to is not None and row.valid_to <= row.valid_from:
        raise Invalid("ends_before_start", "valid_to", f"{where}: unit {row.code}: valid_to is not after valid_from")
    return row


def _aliases(raw: Any) -> list[str]:
    names = raw if isinstance(raw, list) else str(raw or "").split("|")
    return [name for one in names if (name := unicodedata.normalize("NFC", str(one)).strip())]


def _predecessors(where: str, raw: Any) -> list[Predecessor]:
    """From ``code:kind:share|code``, or from a list of objects."""
    if not isinstance(raw, list):
        parts = [one.strip().split(":") for one in str(raw or "").split("|") if one.strip()]
        raw = [dict(zip(("code", "kind", "share"), part, strict=False)) for part in parts]
    found = []
    for one in raw:
        given = one if isinstance(one, dict) else {}
        code, kind, share = (str(given.get(key) if given.get(key) is not None else "").strip() for key in ("code", "kind", "share"))
        if not code:
            raise Invalid("missing", "predecessors", f"{where}: a predecessor has no code; write code:kind:share|code")
        if kind and kind not in _KINDS:
            raise Invalid("unknown_code", "predecessors", f"{where}: {code}: the kind must be one of {', '.join(sorted(_KINDS))}")
        try:
            part = float(share) if share else None
        except ValueError:
            raise Invalid("not_a_number", "predecessors", f"{where}: {code}: the share is not a number such as 0.4") from None
        found.append(Predecessor(code, cast(SuccessionKind, kind or "merged"), part))
    return found


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
    facts = {id(row): _fact(row, "", n) for n, (_, row) in enumerate(rows)}
    registry = Registry(facts.values())
    wrong = {(fact.code, fact.valid_from): cause for fact, cause in faults(facts.values())}
    for where, row in rows:
        if cause := wrong.get((row.code, row.valid_from)):
            raise Invalid("unknown_code", "predecessors", f"{where}: unit {row.code}: {cause}")
    for where, row in rows:
        # A circle exists on some day only if it exists on the day the last of its rows begins.
        last = registry.on(registry.chain(row.code, row.valid_from)[-1], row.valid_from)
        if last is not None and last.parent:
            raise Invalid("circle", "parent", f"{where}: unit {row.code}: it is its own ancestor, or below one that is")


def _fact(row: UnitRow, registry_id: str, seq: int) -> UnitChanged:
    fields = msgspec.structs.asdict(row)
    return UnitChanged(event_id=f"{registry_id}:unit:{seq}", registry_id=registry_id, seq=seq, **fields)


def differences(rows: Sequence[UnitRow], registered: Iterable[UnitChanged]) -> list[Difference]:
    """What importing ``rows`` would change of the ``registered`` ones."""
    there = {(u.code, u.valid_from): msgspec.structs.asdict(u) for u in registered}
    found = []
    for row in rows:
        old, fields = there.get((row.code, row.valid_from)), msgspec.structs.asdict(row)
        changed = {name: (old[name] if old else None, value) for name, value in fields.items() if not old or old[name] != value}
        if changed:
            found.append(Difference(row.code, row.valid_from, old is None, changed))
    return found


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

    def put_targets(self, rows: Sequence[TargetRow], now: datetime) -> int:
        """Write targets; the number of those that were new or changed. Raises Retryable."""
        changed = 0
        with self._ledger.begin() as tx:
            for r in rows:
                seq = tx.next_registry_seq()
                id_, fields = f"{self._registry_id}:target:{seq}", msgspec.structs.asdict(r)
                fact = TargetChanged(event_id=id_, registry_id=self._registry_id, seq=seq, **fields)
                if tx.put_target(fact):
                    tx.put([fact], now)
                    changed += 1
        self._publish(tx.written)
        return changed

    def _publish(self, rows: Sequence[PendingRecord]) -> None:
        if rows:
            self._publisher.publish([r.record for r in rows])
            self._ledger.published([r.id for r in rows])
