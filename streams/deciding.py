"""decide: every ending gets its one outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from hailong.domain.eligibility import Rules, Verdict, decide
from hailong.events import DossierClosed, DossierReopened, SurveyDecided
from hailong.ports import Clock, Decision, PendingRecord, SlotForDecision, Transaction
from streams.guard import Item, Outbox, Refused

PER_TRANSACTION: Final = 20
"""Decisions a transaction: short enough that other writers of the ledger are not kept waiting."""


class Decider:
    """The handler of ``dossier.closed`` and ``dossier.reopened``. ``draw`` is a keyed hash of a dossier_ref, in [0, 1)."""

    def __init__(self, outbox: Outbox, clock: Clock, rules: Rules, registry_id: str, draw: Callable[[str], float]) -> None:
        self._outbox = outbox
        self._clock = clock
        self._rules = rules
        self._registry_id = registry_id
        self._draw = draw

    async def __call__(self, batch: Sequence[Item]) -> Sequence[Refused]:
        refused: list[Refused] = []
        written: list[PendingRecord] = []
        try:
            for start in range(0, len(batch), PER_TRANSACTION):
                part = batch[start : start + PER_TRANSACTION]
                more, rows = await self._outbox.write(lambda tx, part=part: self._apply(tx, part))  # type: ignore[misc]
                refused += more
                written += rows
        except Exception:
            await self._outbox.publish(written)  # what was committed before the one that failed: nobody else would publish it soon
            raise
        await self._outbox.publish(written)
        return refused

    def _apply(self, tx: Transaction, part: Sequence[Item]) -> list[Refused]:
        now = self._clock.now()
        refs = {i.fact.dossier_ref for i in part if isinstance(i.fact, DossierClosed)}
        slots = tx.slots_for_decision(sorted(refs))
        desk = _Desk(slots)
        refused: list[Refused] = []
        for item in part:
            fact = item.fact
            if isinstance(fact, DossierReopened):
                self._write(tx, desk, now)  # a dossier decided a moment ago must be found waiting
                waited = tx.reopen(fact.dossier_ref, fact.event_id)
                if waited == "undecided":
                    tx.put([self._reopened(fact, now)], now)
                if waited is not None:
                    desk.forget(fact.dossier_ref)
            elif isinstance(fact, DossierClosed):
                if fact.dossier_ref not in slots:
                    refused.append(Refused(item, "dossier_ref: the ledger knows no such dossier"))
                elif desk.undecided(fact.dossier_ref):
                    draw = self._draw(fact.dossier_ref)
                    desk.decided(fact, self._verdict(fact, desk, now, draw), draw)
        self._write(tx, desk, now)
        return refused

    def _write(self, tx: Transaction, desk: _Desk, now: datetime) -> None:
        tx.decide(desk.decisions)
        tx.put([self._fact(*told, now) for told in desk.told], now)
        desk.decisions.clear()
        desk.told.clear()

    def _reopened(self, fact: DossierReopened, now: datetime) -> SurveyDecided:
        """A dossier that goes on before anything was decided about its ending: not asked, until it ends again."""
        return SurveyDecided(
            event_id=f"decided:{fact.event_id}",
            registry_id=self._registry_id,
            dossier_ref=fact.dossier_ref,
            asked=False,
            reason="reopened",
            rules_version=self._rules.version,
            draw=self._draw(fact.dossier_ref),
            decided_on=now.date(),
        )

    def _verdict(self, fact: DossierClosed, desk: _Desk, now: datetime, draw: float) -> Verdict:
        slot = desk.slots[fact.dossier_ref]
        return decide(fact, slot, now, draw, desk.last_asked(slot), self._rules)

    def _fact(
        self, fact: DossierClosed, slot: SlotForDecision, verdict: Verdict, draw: float, last: datetime | None, now: datetime
    ) -> SurveyDecided:
        return SurveyDecided(
            event_id=f"decided:{fact.event_id}",
            registry_id=self._registry_id,
            dossier_ref=slot.dossier_ref,
            asked=verdict.asked,
            reason=verdict.reason,
            rules_version=self._rules.version,
            draw=draw,
            decided_on=now.date(),
            inputs={"reach": list(slot.reach), "opted_out": slot.opted_out, "asked_before_on": last.date().isoformat() if last else None},
        )


class _Desk:
    """The dossiers of one transaction: what an earlier one of them decides, a later one sees."""

    def __init__(self, slots: dict[str, SlotForDecision]) -> None:
        self.slots = slots
        self.decisions: list[Decision] = []
        self.told: list[tuple[DossierClosed, SlotForDecision, Verdict, float, datetime | None]] = []
        self._done: set[str] = set()
        self._planned: dict[str, datetime] = {}

    def undecided(self, ref: str) -> bool:
        return self.slots[ref].reason == "undecided" and ref not in self._done

    def forget(self, ref: str) -> None:
        self._done.add(ref)

    def last_asked(self, slot: SlotForDecision) -> datetime | None:
        here = [self._planned[c] for c in slot.contacts if c in self._planned]
        return max([*here, *([slot.last_asked_at] if slot.last_asked_at else [])], default=None)

    def decided(self, fact: DossierClosed, verdict: Verdict, draw: float) -> None:
        slot = self.slots[fact.dossier_ref]
        self.told.append((fact, slot, verdict, draw, self.last_asked(slot)))
        self._done.add(fact.dossier_ref)
        if verdict.asked and verdict.ask_at is not None:
            self._planned |= dict.fromkeys(slot.contacts, verdict.ask_at)
        self.decisions.append(
            Decision(
                slot.dossier_ref,
                slot.survey_id,
                slot.contacts,
                verdict.asked,
                verdict.reason,
                verdict.channel,
                verdict.ask_at,
                verdict.expires_at,
            )
        )
