"""The registry of units and the targets: dated rows, asked for a local day. Units come and go and move under other parents
(2025-07-01 ended all districts), so a code means something only together with a day."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Protocol, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from hailong.events import TargetChanged, UnitChanged

LOCAL: Final = ZoneInfo("Asia/Ho_Chi_Minh")
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_UNITS: Final = msgspec.json.Decoder(list[UnitChanged])
_TARGETS: Final = msgspec.json.Decoder(list[TargetChanged])


class _Dated(Protocol):
    @property
    def valid_from(self) -> date: ...
    @property
    def valid_to(self) -> date | None: ...
    @property
    def seq(self) -> int: ...


_Row = TypeVar("_Row", bound=_Dated)


def _replace(rows: list[_Row], row: _Row) -> None:
    """A row takes the place of the one with the same first day unless that one is newer."""
    for i, old in enumerate(rows):
        if old.valid_from == row.valid_from:
            if row.seq >= old.seq:
                rows[i] = row
            return
    rows.append(row)
    rows.sort(key=lambda r: r.valid_from)


def _on(rows: list[_Row], day: date) -> _Row | None:
    for row in reversed(rows):
        if row.valid_from <= day and (row.valid_to is None or day < row.valid_to):
            return row
    return None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold().strip()


class Registry:
    """Units by code and day."""

    def __init__(self, rows: Iterable[UnitChanged] = ()) -> None:
        self._rows: dict[str, list[UnitChanged]] = {}
        for row in rows:
            self.put(row)

    def put(self, row: UnitChanged) -> None:
        """Take a row; the same (code, valid_from) again replaces the older ``seq``."""
        _replace(self._rows.setdefault(row.code, []), row)

    def on(self, code: str, day: date) -> UnitChanged | None:
        """The unit as it was on ``day``."""
        return _on(self._rows.get(code, []), day)

    def codes(self) -> list[str]:
        """Every code ever registered, sorted."""
        return sorted(self._rows)

    def latest(self, code: str, day: date) -> UnitChanged | None:
        """The unit on ``day``, else as it was last known: what a page names an old unit by."""
        rows = self._rows.get(code)
        return self.on(code, day) or (rows[-1] if rows else None)

    def in_month(self, code: str, month: str) -> UnitChanged | None:
        """The unit that ``code`` meant in a month ``YYYY-MM``: on its first day, else on its last, else as it was last known."""
        first = date.fromisoformat(f"{month}-01")
        last = date(first.year + first.month // 12, first.month % 12 + 1, 1) - timedelta(days=1)
        return self.on(code, first) or self.latest(code, last)

    def rows(self) -> Iterator[UnitChanged]:
        """Every row, by code and day."""
        for code in sorted(self._rows):
            yield from self._rows[code]

    def named(self, text: str) -> list[str]:
        """Codes of the units that ``text`` may mean: their code, name or an alias, written in any case and any form of Unicode. Several
        for homonyms; sorted."""
        wanted = _plain(text)
        return sorted({r.code for r in self.rows() if wanted in map(_plain, (r.code, r.name, *r.aliases))})

    def name(self, code: str, day: date) -> str:
        """Its name on ``day``; the code for a unit nobody registered."""
        row = self.latest(code, day)
        return row.name if row else code

    def chain(self, code: str, day: date) -> tuple[str, ...]:
        """The unit and its ancestors on ``day``, nearest first. A circle in the registry ends the chain."""
        chain = [code]
        while (row := self.on(chain[-1], day)) is not None and row.parent and row.parent not in chain:
            chain.append(row.parent)
        return tuple(chain)

    def dump(self) -> bytes:
        """Every row, in one fixed order."""
        return _ENCODER.encode(list(self.rows()))

    @classmethod
    def load(cls, data: bytes) -> Registry:
        """What ``dump`` wrote."""
        return cls(_UNITS.decode(data))


@dataclass(frozen=True)
class Target:
    """A target in force; ``source`` says who set it."""

    value: float
    source: str
    of_field: bool = False
    """It names the field it is for."""


Scope = tuple[str | None, str | None, str | None, str | None]
"""Unit, field, channel of submission, question; None = all of them, of the questions the first."""


class Targets:
    """Targets by scope and day. The nearest scope holds: first by unit (the unit, its ancestors, everybody), then one that names field
    and channel, the field, the channel, none of them; then the product's default. A question other than the first has only targets
    that name it, or the default."""

    def __init__(self, default: float, rows: Iterable[TargetChanged] = ()) -> None:
        self._default = Target(default, "default")
        self._rows: dict[Scope, list[TargetChanged]] = {}
        for row in rows:
            self.put(row)

    def put(self, row: TargetChanged) -> None:
        """Take a row; the same (scope, valid_from) again replaces the older ``seq``."""
        _replace(self._rows.setdefault((row.unit, row.field, row.channel, row.question), []), row)

    def on(
        self, chain: tuple[str, ...], day: date, field: str | None = None, channel: str | None = None, question: str | None = None
    ) -> Target:
        """The target in force on ``day`` for the first of ``chain`` (a unit and its ancestors, see ``Registry.chain``)."""
        narrow = dict.fromkeys([(field, channel), (field, None), (None, channel), (None, None)])
        for unit in (*chain, None):
            for of_field, of_channel in narrow:
                row = _on(self._rows.get((unit, of_field, of_channel, question), []), day)
                if row is not None:
                    return Target(row.value, row.source, of_field is not None)
        return self._default

    def rows(self) -> Iterator[TargetChanged]:
        """Every row, by scope and day."""
        for scope in sorted(self._rows, key=lambda s: tuple(part or "" for part in s)):
            yield from self._rows[scope]

    def dump(self) -> bytes:
        """Every row, in one fixed order."""
        return _ENCODER.encode(list(self.rows()))

    @classmethod
    def load(cls, data: bytes, default: float) -> Targets:
        """What ``dump`` wrote."""
        return cls(default, _TARGETS.decode(data))
