"""The catalogue of procedures: dated rows by national code, asked for a local day. Pure.

Two rules read it, and both are told of where they decide:

- *The field.* A dossier that comes without a field (or with ``other``) gets the one of the catalogue for the day it ended, once, as it is
  taken in. A field the source named stands: nobody is overruled. A list that comes later changes no dossier that is in already.
- *Sensitive.* What the catalogue calls sensitive on the day the dossier ended or on the day it is decided about is never asked about, as if
  it stood in the rulebook's ``never.procedures``, with the same reason. It only adds: neither a ``no`` nor a procedure the catalogue does
  not know takes one out of the rulebook. Of two days the safer counts, because what a message would betray does not become harmless when
  the catalogue drops the procedure. What the catalogue said is kept in the decision's inputs, so the decision can be made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

import msgspec

from hailong.events import DossierClosed, ProcedureChanged

NO_FIELD: Final = "other"


class Catalogue:
    """Procedures by code and day. Of rows that overlap, the one that begins last holds."""

    def __init__(self, rows: Iterable[ProcedureChanged] = ()) -> None:
        self._rows: dict[str, dict[date, ProcedureChanged]] = {}
        for row in rows:
            self.put(row)

    def put(self, row: ProcedureChanged) -> None:
        """Take a row; the same (code, valid_from) again replaces the older ``seq``."""
        of_code = self._rows.setdefault(row.code, {})
        known = of_code.get(row.valid_from)
        if known is None or row.seq >= known.seq:
            of_code[row.valid_from] = row

    def on(self, code: str | None, day: date) -> ProcedureChanged | None:
        """The procedure as it was on ``day``; None where the catalogue does not know it."""
        rows = self._rows.get(code or "", {}).values()
        there = [r for r in rows if r.valid_from <= day and (r.valid_to is None or day < r.valid_to)]
        return max(there, key=lambda r: r.valid_from, default=None)

    def sensitive(self, code: str | None, *days: date) -> bool:
        """Whether it is sensitive on one of ``days``."""
        return any(row.sensitive for day in days if (row := self.on(code, day)) is not None)

    def rows(self) -> Iterator[ProcedureChanged]:
        """Every row, by code and day."""
        for code in sorted(self._rows):
            yield from (self._rows[code][first] for first in sorted(self._rows[code]))


def with_field(fact: DossierClosed, catalogue: Catalogue) -> DossierClosed:
    """The ending with the catalogue's field, where it came without one and the catalogue knows its procedure; else as it is."""
    if fact.field != NO_FIELD:
        return fact
    row = catalogue.on(fact.procedure_code_national, fact.ended_on)
    return fact if row is None or row.field == NO_FIELD else msgspec.structs.replace(fact, field=row.field)
