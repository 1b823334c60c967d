"""Printed slips: which codes were given out, and to which dossier one leads. Of a code only its keyed hash is known here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from hailong.ports import Invalid
from sinks.ledger import schema as t
from sinks.ledger.base import Base
from sinks.ledger.entering import Entering

Binding = Literal["bound", "already", "unknown", "taken", "has_another"]
_AT_ONCE = 1_000
"""Hashes in one question: databases take so many values, not any number."""


@dataclass(frozen=True)
class SlipBatch:
    """What became of the slips that were printed together. ``bound``: they lead to a dossier, or did until it was erased; ``held``: unbound
    ones with an answer that waits for the dossier."""

    batch: str
    made_at: datetime
    made: int
    bound: int
    held: int

    @property
    def unbound(self) -> int:
        return self.made - self.bound


class Slipping(Entering):
    """The part of a transaction that is about slips."""

    def register_slips(self, hashes: Collection[str], batch: str, now: datetime) -> int:
        """Take note of the codes of a batch; how many of them were new."""
        return self.insert_new(t.slips, [{"slip_hash": one, "batch": batch, "made_at": now, "held_until": None} for one in hashes])

    def bind_slip(self, slip_code: str, dossier_ref: str, now: datetime) -> Binding:
        """From now on the slip leads to the dossier; a dossier has at most one, a slip at most one. What came in by it becomes its answers.

        ``already``: it did before; ``unknown``: no slip of ours; ``taken``: it leads to another dossier, or did until that was erased;
        ``has_another``: the dossier has another slip. Raises Invalid for a dossier that is not known, or whose contact was erased: nothing
        may lead to it any more.
        """
        mine = self.tools.slip_hash(slip_code)
        slip = None if mine is None else self.conn.execute(self.locked(sa.select(t.slips).where(t.slips.c.slip_hash == mine))).first()
        slot = self.conn.execute(self.locked(sa.select(t.slots).where(t.slots.c.dossier_ref == dossier_ref))).first()
        if slot is None or slot.erased_on is not None:
            raise Invalid(
                "unknown", "dossier", "No slip can be bound to this dossier: it is not known, or what named the person was erased"
            )
        if slip is None:
            return "unknown"
        if slot.slip_hash is not None:
            return "already" if slot.slip_hash == mine else "has_another"
        if slip.erased_on is not None or known(self, [slip.slip_hash], bound=True):
            return "taken"
        self.conn.execute(sa.update(t.slots).where(t.slots.c.dossier_ref == dossier_ref).values(slip_hash=mine))
        self.release_slip(slip.slip_hash, slot, now)
        return "bound"


def known(reader: Base, hashes: Sequence[str], *, bound: bool = False) -> set[str]:
    """Those of these hashes that are of a printed slip or one that intake named; ``bound``: that lead to a dossier."""
    columns = [t.slots.c.slip_hash] if bound else [t.slots.c.slip_hash, t.slips.c.slip_hash]
    parts = [hashes[at : at + _AT_ONCE] for at in range(0, len(hashes), _AT_ONCE)]
    return {one for column in columns for part in parts for one in reader.conn.execute(sa.select(column).where(column.in_(part))).scalars()}


def batches(reader: Base, now: datetime) -> list[SlipBatch]:
    """Every batch, the newest first. A slip whose dossier was erased leads nowhere, and counts as bound: it is used."""
    leads = sa.or_(t.slips.c.erased_on.is_not(None), sa.exists().where(t.slots.c.slip_hash == t.slips.c.slip_hash))
    waiting = sa.exists().where(t.slip_answers.c.slip_hash == t.slips.c.slip_hash, t.slip_answers.c.keep_until > now)
    waits = sa.and_(waiting, ~leads)
    first = sa.func.min(t.slips.c.made_at, type_=t.slips.c.made_at.type)
    each = sa.select(t.slips.c.batch, first, sa.func.count(), _number(leads), _number(waits)).group_by(t.slips.c.batch)
    return [SlipBatch(*row) for row in reader.conn.execute(each.order_by(first.desc(), t.slips.c.batch))]


def _number(which: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((which, 1), else_=0)), 0)
