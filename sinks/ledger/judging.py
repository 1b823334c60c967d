"""The judge's part of a transaction, the registry of units and targets, dead letters and paused sources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from hailong.events import AlertChanged, Record, TargetChanged, UnitChanged, dead_topic
from hailong.ports import DeadLetter, PendingRecord
from sinks.ledger import schema as t
from sinks.ledger.base import Base, record_of, row_of

DEAD: Final = dead_topic("")
"""So the names of topics of dead letters begin."""


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


def _dead(r: Any) -> DeadLetter:
    return DeadLetter(r.id, r.topic, r.partition, r.offset, r.role, r.source, r.reason, r.attempts, r.at, r.state)
