"""The judge's part of a transaction, the registry of units and targets, what people state, dead letters and paused sources."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, cast

import msgspec
import sqlalchemy as sa

from hailong.domain.procedures import Catalogue
from hailong.events import (
    STATES,
    TOPICS,
    AlertChanged,
    Fact,
    ProcedureChanged,
    Record,
    Statement,
    TargetChanged,
    UnitChanged,
    dead_topic,
)
from hailong.ports import DeadLetter, PendingRecord
from sinks.ledger import schema as t
from sinks.ledger.base import Base, record_of, row_of

DEAD: Final = dead_topic("")
"""So the names of topics of dead letters begin."""
_PROCEDURES: Final = "procedures"
"""The position that says when the catalogue changed last."""
_AT_ONCE: Final = 500
"""Statements looked up by one question."""
_KINDS: Final[dict[type[Fact], str]] = {topic.schema: topic.name.split(".")[0] for topic in TOPICS if topic.schema in STATES}
"""Kind of statement → its rows' kind in the registry, such as ``totals``."""
S = TypeVar("S", bound=Statement)


class Judging(Base):
    """Judge, registry, guard."""

    # --- judge: state and position in one transaction

    def detector_states(self) -> tuple[int, dict[str, bytes]]:
        """(highest seq judged, key → state)."""
        seq, _ = self.position("judged")
        return seq, {r.key: bytes(r.state) for r in self.conn.execute(sa.select(t.detectors))}

    def save_detectors(self, seq: int, states: dict[str, bytes]) -> None:
        """States changed up to ``seq``."""
        self.position("judged")
        self.set_position("judged", seq)
        for key, state in states.items():
            if not self.insert_new(t.detectors, [{"key": key, "state": state}]):
                self.conn.execute(sa.update(t.detectors).where(t.detectors.c.key == key).values(state=state))

    def alert_step(self, fact: AlertChanged) -> bool:
        """Keep a step of an alert; False when that version is there already."""
        text = msgspec.json.encode(fact).decode()
        return self.insert_new(t.alerts, [{"alert_id": fact.alert_id, "version": fact.version, "state": fact.state, "fact": text}]) == 1

    # --- registry

    def _put_registry(self, kind: str, ref: str, fact: UnitChanged | TargetChanged) -> bool:
        here = sa.and_(t.registry.c.kind == kind, t.registry.c.ref == ref)
        before = self.conn.execute(sa.select(t.registry).where(here)).first()
        if before is not None:
            known = msgspec.json.decode(before.fact, type=type(fact))
            if msgspec.structs.replace(known, event_id=fact.event_id, seq=fact.seq) == fact:
                return False
        values = {"seq": fact.seq, "event_id": fact.event_id, "fact": msgspec.json.encode(fact).decode()}
        if not self.insert_new(t.registry, [{"kind": kind, "ref": ref, **values}]):
            self.conn.execute(sa.update(t.registry).where(here).values(**values))
        return True

    def next_registry_seq(self) -> int:
        """The number of the next change of the registry."""
        value, _ = self.position("registry")
        self.set_position("registry", value + 1)
        return value + 1

    def put_unit(self, fact: UnitChanged) -> bool:
        """Write a unit's row (code, valid from); False when it is there with the same content."""
        return self._put_registry("unit", f"{fact.code}@{fact.valid_from.isoformat()}", fact)

    def put_target(self, fact: TargetChanged) -> bool:
        """Write a target's row (scope, valid from); False when it is there with the same content."""
        narrow = "".join(f"/{name}={part}" for name in ("field", "channel", "question") if (part := getattr(fact, name)))
        return self._put_registry("target", f"{fact.unit or '*'}{narrow}@{fact.valid_from.isoformat()}", fact)

    # --- what people state

    def put_statements(self, rows: Sequence[Statement], now: datetime) -> list[Statement]:
        """See ``hailong.ports.Transaction``."""
        if not rows:
            return []
        seq, _ = self.position("registry")  # locked: a second list waits here until this one is in
        changed: list[Statement] = []
        for start in range(0, len(rows), _AT_ONCE):
            part = {_ref(row): row for row in rows[start : start + _AT_ONCE]}
            known = self._stated(type(rows[0]), list(part))
            other = (row for ref, row in part.items() if not _same(known.get(ref), row))
            new = [_numbered(row, self.tools.registry_id, number) for number, row in enumerate(other, start=seq + 1)]
            seq += len(new)
            self._keep_statements(new, known.keys())
            changed += new
        self.set_position("registry", seq)
        if changed and isinstance(changed[0], ProcedureChanged):
            self.position(_PROCEDURES)
            self.set_position(_PROCEDURES, seq)
        self.put(changed, now)
        return changed

    def _stated(self, kind: type[Statement], refs: Sequence[str]) -> dict[str, Statement]:
        here = sa.and_(t.registry.c.kind == _KINDS[kind], t.registry.c.ref.in_(refs))
        rows = self.conn.execute(sa.select(t.registry.c.ref, t.registry.c.fact).where(here))
        return {r.ref: msgspec.json.decode(r.fact, type=kind) for r in rows}

    def _keep_statements(self, facts: Sequence[Statement], known: AbstractSet[str]) -> None:
        rows = [
            {"kind": _KINDS[type(f)], "ref": _ref(f), "seq": f.seq, "event_id": f.event_id, "fact": msgspec.json.encode(f).decode()}
            for f in facts
        ]
        self.insert_new(t.registry, [r for r in rows if r["ref"] not in known])
        if again := [{f"b_{name}": value for name, value in r.items()} for r in rows if r["ref"] in known]:
            self.conn.execute(_RESTATED, again)

    def statements(self, kind: type[S]) -> list[S]:
        """What people stated of this kind, the newest of each thing, in the order it was written."""
        rows = self.conn.execute(sa.select(t.registry.c.fact).where(t.registry.c.kind == _KINDS[kind]).order_by(t.registry.c.seq)).scalars()
        return [msgspec.json.decode(r, type=kind) for r in rows]

    def catalogue(self) -> Catalogue:
        """See ``hailong.ports.Transaction``. Not to be asked for in a transaction that writes procedures."""
        seq = self.conn.execute(_CHANGED_AT).scalar() or 0
        number, kept = self.tools.kept.get(_PROCEDURES, (-1, None))
        if number != seq:
            kept = Catalogue(self.statements(ProcedureChanged))
            self.tools.kept[_PROCEDURES] = (seq, kept)
        return cast(Catalogue, kept)

    # --- dead letters

    def put_dead(
        self, topic: str, partition: int, offset: int, role: str, source: str, reason: str, attempts: int, value: bytes, at: datetime
    ) -> bool:
        """Put a record aside, sealed, here and (through the outbox) in its dead topic; False when it was put aside before.

        A source with more than the limit within an hour is paused until someone resumes it.
        """
        ref, month = f"{topic}:{partition}:{offset}", self.tools.vault.month(at)
        sealed = self.tools.vault.seal(month, value, ref)
        row = {"topic": topic, "partition": partition, "offset": offset, "role": role, "source": source, "reason": reason[:500]}
        more = {"attempts": attempts, "at": at, "state": "waiting", "key_month": month, "sealed": sealed}
        if not self.insert_new(t.dead_letters, [{**row, **more}]):
            return False
        told = {"origin": ref, "role": role, "source": source, "reason": reason, "attempts": str(attempts), "key_month": month}
        headers = tuple((k, v[:500].encode()) for k, v in told.items())
        self.put_records([(f"dead:{ref}", Record(dead_topic(topic), ref.encode(), sealed, headers))])
        self._pause_if_too_many(source, at)
        return True

    def shorten(self, row_id: int) -> PendingRecord | None:
        """See ``Ledger.shorten``."""
        row = self.conn.execute(self.locked(sa.select(t.outbox).where(t.outbox.c.id == row_id))).first()
        if row is None or not row.topic.startswith(DEAD) or not row.value:
            return None
        whole = record_of(row)
        said = f"its {len(whole.value)} sealed bytes are more than the log takes; they stand in the ledger".encode()
        short = Record(whole.topic, whole.key, b"", (*whole.headers, ("shortened", said)))
        self.conn.execute(sa.update(t.outbox).where(t.outbox.c.id == row_id).values(**row_of(row.writer, short, row.event_id)))
        return PendingRecord(row_id, short)

    def _pause_if_too_many(self, source: str, at: datetime) -> None:
        state = self.conn.execute(sa.select(t.sources).where(t.sources.c.source == source)).first()
        since = max([at - timedelta(hours=1), *([state.resumed_at] if state is not None and state.resumed_at else [])])
        recent = sa.and_(t.dead_letters.c.source == source, t.dead_letters.c.at > since)
        n = self.conn.execute(sa.select(sa.func.count()).select_from(t.dead_letters).where(recent)).scalar_one()
        if n > self.tools.dead_letter_limit:
            self.pause_source(source, at, f"more than {self.tools.dead_letter_limit} dead letters within an hour")

    def pause_source(self, source: str, at: datetime, reason: str) -> None:
        """Nothing more is taken from this source until it is resumed; the rest flows."""
        if not self.insert_new(t.sources, [{"source": source, "paused_at": at, "reason": reason}]):
            self.conn.execute(sa.update(t.sources).where(t.sources.c.source == source).values(paused_at=at, reason=reason))

    def resume_source(self, source: str, at: datetime) -> bool:
        """Take from this source again; False when it was not paused."""
        paused = sa.and_(t.sources.c.source == source, t.sources.c.paused_at.is_not(None))
        return self.conn.execute(sa.update(t.sources).where(paused).values(paused_at=None, resumed_at=at, reason=None)).rowcount == 1

    def source_paused(self, source: str) -> str | None:
        """Why a source is paused; None when it is not."""
        paused = sa.and_(t.sources.c.source == source, t.sources.c.paused_at.is_not(None))
        return self.conn.execute(sa.select(t.sources.c.reason).where(paused)).scalar()

    def dead_letters(self, states: Sequence[str] = ("waiting",)) -> list[DeadLetter]:
        """Records put aside, oldest first."""
        rows = self.conn.execute(sa.select(t.dead_letters).where(t.dead_letters.c.state.in_(states)).order_by(t.dead_letters.c.id))
        return [_dead(r) for r in rows]

    def open_dead(self, dead_id: int) -> tuple[DeadLetter, bytes] | None:
        """A dead letter and its original bytes; None for an unknown id. Raises VaultError when its key is gone."""
        r = self.conn.execute(sa.select(t.dead_letters).where(t.dead_letters.c.id == dead_id)).first()
        if r is None:
            return None
        return _dead(r), self.tools.vault.open(r.key_month, bytes(r.sealed), f"{r.topic}:{r.partition}:{r.offset}")

    def settle_dead(self, dead_id: int, state: str) -> bool:
        """``replayed`` or ``dropped``; False when it is not waiting."""
        waiting = sa.and_(t.dead_letters.c.id == dead_id, t.dead_letters.c.state == "waiting")
        return self.conn.execute(sa.update(t.dead_letters).where(waiting).values(state=state)).rowcount == 1


# On the hot way: built once.
_CHANGED_AT: Final = sa.select(t.positions.c.value).where(t.positions.c.name == _PROCEDURES)
_RESTATED: Final = (
    sa.update(t.registry)
    .where(t.registry.c.kind == sa.bindparam("b_kind"), t.registry.c.ref == sa.bindparam("b_ref"))
    .values(seq=sa.bindparam("b_seq"), event_id=sa.bindparam("b_event_id"), fact=sa.bindparam("b_fact"))
)


def _ref(row: Statement) -> str:
    """What a statement is about, as one text: no part of it holds the separator (see producers.lists)."""
    return "|".join(str(getattr(row, name)) for name in STATES[type(row)])


def _numbered(row: Statement, registry_id: str, seq: int) -> Statement:
    return msgspec.structs.replace(row, event_id=f"{registry_id}:{_KINDS[type(row)]}:{seq}", registry_id=registry_id, seq=seq)


def _same(known: Statement | None, row: Statement) -> bool:
    return (
        known is not None and msgspec.structs.replace(row, event_id=known.event_id, registry_id=known.registry_id, seq=known.seq) == known
    )


def _dead(r: Any) -> DeadLetter:
    return DeadLetter(r.id, r.topic, r.partition, r.offset, r.role, r.source, r.reason, r.attempts, r.at, r.state)
