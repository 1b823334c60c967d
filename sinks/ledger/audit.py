"""The audit trail: append-only, each line bound to the one before by its hash, so that a change or a gap is found.

The lines of a transaction are written at its very end: the row that numbers them is locked last and shortly, whatever the
transaction did before, so that two of them cannot wait for each other. Whoever can write the database can also make a whole new
chain or cut its end off; against that stand anchors kept elsewhere (``ops.anchors``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, get_args

import sqlalchemy as sa

from hailong.domain.access import AuditAct, AuditEntry, Break, Chain
from hailong.telemetry import blot
from sinks.ledger import schema as t
from sinks.ledger.base import Base, Tools

ORIGIN: Final = "0" * 64
"""What the first line follows."""
ACTS: Final = frozenset(get_args(AuditAct))
_POSITION: Final = "audit"
_AT_ONCE: Final = 2_000


def line_hash(seq: int, at: datetime, actor: str, act: str, obj: str, detail: str, prev_hash: str) -> str:
    """SHA-256 (hex) over a line and the hash before it. ``detail``: the text as stored. Whoever has the rows can work it out again."""
    micros = (at - t.EPOCH) // timedelta(microseconds=1)
    said = json.dumps(["hailong audit 1", seq, micros, actor, act, obj, detail, prev_hash], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


class AuditReading(Base):
    """Looking at the trail."""

    def audit(self, *, after: int = 0, limit: int = 100, actor: str | None = None, obj: str | None = None) -> list[AuditEntry]:
        """Lines behind ``after``, oldest first."""
        wanted = sa.select(t.audit).where(t.audit.c.seq > after).order_by(t.audit.c.seq).limit(limit)
        wanted = wanted if actor is None else wanted.where(t.audit.c.actor == actor)
        wanted = wanted if obj is None else wanted.where(t.audit.c.object == obj)
        return [_entry(row) for row in self.conn.execute(wanted)]

    def audit_end(self) -> tuple[int, str]:
        """(number, hash) of the last line; (0, ORIGIN) of an empty trail."""
        last = self.conn.execute(sa.select(t.audit.c.seq, t.audit.c.hash).order_by(t.audit.c.seq.desc()).limit(1)).first()
        return (last.seq, last.hash) if last is not None else (0, ORIGIN)

    def verify_audit(self, anchors: Mapping[int, str] | None = None) -> Chain:
        """Walk the whole trail; ``anchors``: number → hash, as kept elsewhere. Names the first line that is not as it was written."""
        before, kept, broken = (0, ORIGIN), dict(anchors or {}), None
        while broken is None and (rows := self._rows(before[0])):
            for row in rows:
                broken = _fault(row, before, kept.pop(row.seq, None))
                if broken is not None:
                    break
                before = row.seq, row.hash
        numbered = self.conn.execute(sa.select(t.positions.c.value).where(t.positions.c.name == _POSITION)).scalar() or 0
        if broken is None and max([numbered, *kept]) > before[0]:
            broken = Break(before[0] + 1, "cut")
        return Chain(*before, broken)

    def _rows(self, after: int) -> list[Any]:
        return list(self.conn.execute(sa.select(t.audit).where(t.audit.c.seq > after).order_by(t.audit.c.seq).limit(_AT_ONCE)))


class Audit(AuditReading):
    """Writing it."""

    def __init__(self, conn: sa.Connection, tools: Tools, writer: str) -> None:
        super().__init__(conn, tools, writer)
        self._said: list[tuple[str, str, str, str]] = []

    def audited(self, actor: str, act: AuditAct, obj: str, detail: Mapping[str, Any] | None = None) -> None:
        """A line of the trail, committed with everything else of this transaction or not at all.

        ``detail`` names nobody of the public: no number, address, dossier code or name; what looks like one is blotted out.
        Raises ValueError for an act that is not in ``AuditAct``.
        """
        if act not in ACTS:
            raise ValueError(f"{act}: no act of the audit trail. Take one of AuditAct (hailong.domain.access), or add it there.")
        said = json.dumps(_clean(detail or {}), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        self._said.append((blot(actor), act, blot(obj), said))

    def write_audit(self) -> None:
        """Append what was said. Called once, by the engine, before the commit."""
        if not self._said:
            return
        seq, _ = self.position(_POSITION)
        prev_hash, at, rows = self._hash_before(seq), self.tools.real_now(), []
        for actor, act, obj, detail in self._said:
            seq += 1
            row = {"seq": seq, "at": at, "actor": actor, "act": act, "object": obj, "detail": detail, "prev_hash": prev_hash}
            prev_hash = line_hash(seq, at, actor, act, obj, detail, prev_hash)
            rows.append({**row, "hash": prev_hash})
        self.conn.execute(sa.insert(t.audit), rows)
        self.set_position(_POSITION, seq)
        self._said = []

    def _hash_before(self, seq: int) -> str:
        """Of the newest line there is: where somebody cut lines off, the trail goes on behind the gap, and verifying names it."""
        newest = sa.select(t.audit.c.hash).where(t.audit.c.seq <= seq).order_by(t.audit.c.seq.desc()).limit(1)
        return self.conn.execute(newest).scalar() or ORIGIN


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(row.seq, row.at, row.actor, row.act, row.object, json.loads(row.detail), row.prev_hash, row.hash)


def _fault(row: Any, before: tuple[int, str], anchored: str | None) -> Break | None:
    """What is wrong with a line, given (number, hash) of the one before."""
    if row.seq != before[0] + 1:
        return Break(before[0] + 1, "missing")
    if line_hash(row.seq, row.at, row.actor, row.act, row.object, row.detail, row.prev_hash) != row.hash:
        return Break(row.seq, "changed")
    if row.prev_hash != before[1]:
        return Break(row.seq, "moved")
    return Break(row.seq, "replaced") if anchored not in (None, row.hash) else None


def _clean(value: Any) -> Any:
    """The same with what looks like a number, address or dossier code blotted out of its strings."""
    if isinstance(value, Mapping):
        return {str(k): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(v) for v in value]
    return blot(value) if isinstance(value, str) else value
