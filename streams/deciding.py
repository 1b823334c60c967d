"""decide: every ending gets its one outcome, now or when its person's turn has come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from hailong.domain import draw as lots
from hailong.domain.asking import Asked, Known, NotAsked, Rested, Verdict, Waiting, decide, reminder_at, turns
from hailong.domain.rulebook import Rules
from hailong.events import DossierClosed, DossierReopened, SurveyDecided
from hailong.ports import Clock, Decision, PendingRecord, Resting, SlotForDecision, Transaction
from streams.guard import Item, Outbox, Refused

PER_TRANSACTION: Final = 20
"""Decisions a transaction: short enough that other writers of the ledger are not kept waiting."""
UNIT_DAYS: Final = 90
"""So many days of endings tell whether a unit is small."""


@dataclass(frozen=True)
class Office:
    """What deciding needs of the installation. ``draw(day, dossier_ref, purpose)`` is in [0, 1), from the seed of that day."""

    registry_id: str
    rules: Callable[[date], Rules]
    draw: Callable[[date, str, str], float]
    channels: Collection[str] = ("sms", "email")
    """That are set up."""


class Decider:
    """The handler of ``dossier.closed`` and ``dossier.reopened``, and the decisions about what has rested."""

    def __init__(self, outbox: Outbox, clock: Clock, office: Office) -> None:
        self._outbox = outbox
        self._clock = clock
        self._office = office
        self._endings: dict[tuple[str, date], int] = {}

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

    async def rested(self) -> int:
        """Decide about everything whose rest is over; the number of dossiers decided or put off again."""
        if not await self._outbox.anything_due(("decide",), self._clock.now(), self._clock.now()):
            return 0
        n, rows = await self._outbox.write(self._decide_rested)
        await self._outbox.publish(rows)
        return n

    # --- endings as they come

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
                if waited in ("undecided", "resting"):
                    tx.put([self._reopened(fact, now)], now)
                if waited is not None:
                    desk.forget(fact.dossier_ref)
            elif isinstance(fact, DossierClosed):
                if fact.dossier_ref not in slots:
                    refused.append(Refused(item, "dossier_ref: the ledger knows no such dossier"))
                elif desk.undecided(fact.dossier_ref):
                    known = self._known(tx, fact, slots[fact.dossier_ref], desk, now)
                    desk.decided(self._decided(fact, slots[fact.dossier_ref], known, self._verdict(fact, known, now), now))
        self._write(tx, desk, now)
        return refused

    def _verdict(self, fact: DossierClosed, known: Known, now: datetime) -> Verdict:
        return decide(fact, known, now, self._office.rules(now.date()), self._draw_of(fact))

    def _draw_of(self, fact: DossierClosed) -> Callable[[str], float]:
        return lambda purpose: self._office.draw(fact.heard_on, fact.dossier_ref, purpose)

    def _known(self, tx: Transaction, fact: DossierClosed, slot: SlotForDecision, desk: _Desk, now: datetime) -> Known:
        return Known(
            reach=tuple(c for c in slot.reach if c in self._office.channels),
            unit_endings=self._unit_endings(tx, slot.unit, now.date()),
            refused=frozenset(slot.refused),
            preferred_channel=slot.preferred,
            opted_out=slot.opted_out,
            asked_at=desk.last_asked(slot),
            test=slot.test,
            minor=slot.minor,
            sensitive=tx.catalogue().sensitive(fact.procedure_code_national, fact.ended_on, now.date()),
        )

    def _unit_endings(self, tx: Transaction, unit: str, today: date) -> int:
        """Counted once a day and unit: the rule that asks for it is about small and large, not about one more or less."""
        key = (unit, today)
        if key not in self._endings:
            if len(self._endings) > 10_000:
                self._endings.clear()
            self._endings[key] = tx.endings_since(unit, today - timedelta(days=UNIT_DAYS))
        return self._endings[key]

    def _write(self, tx: Transaction, desk: _Desk, now: datetime) -> None:
        tx.decide([told.decision for told in desk.told])
        tx.put([self._fact(told, now) for told in desk.told if not isinstance(told.verdict, Waiting)], now)
        desk.told.clear()

    def _decided(self, fact: DossierClosed, slot: SlotForDecision, known: Known, verdict: Verdict, now: datetime, weight: int = 1) -> _Told:
        """The decision to write."""
        made = Decision(slot.dossier_ref, slot.survey_id, slot.contacts, asked=False, weight=weight)
        rules = self._office.rules(now.date())
        if isinstance(verdict, Asked):
            draw = self._draw_of(fact)
            rest = tuple(c for c in rules.channels if c in known.reach and c not in known.refused and c != verdict.channel)
            reminded = reminder_at(verdict.ask_at, verdict.expires_at, rules, draw) is not None
            made = replace(
                made, asked=True, channel=verdict.channel, ask_at=verdict.ask_at, expires_at=verdict.expires_at, next_channels=rest,
                remind_after_days=rules.reminder_after_days if reminded else None, arms=verdict.arms,
            )  # fmt: skip
        elif isinstance(verdict, NotAsked):
            made = replace(made, reason=verdict.reason)
        else:
            made = replace(made, rest_until=verdict.until, ending=fact)
        return _Told(fact, slot, known, verdict, made)

    def _fact(self, told: _Told, now: datetime) -> SurveyDecided:
        fact, verdict = told.fact, told.verdict
        return SurveyDecided(
            event_id=f"decided:{fact.event_id}",
            registry_id=self._office.registry_id,
            dossier_ref=fact.dossier_ref,
            asked=isinstance(verdict, Asked),
            reason=verdict.reason if isinstance(verdict, NotAsked) else None,
            rules_version=self._office.rules(now.date()).version,
            draw=self._office.draw(fact.heard_on, fact.dossier_ref, lots.SAMPLE),
            decided_on=now.date(),
            inputs=told.inputs() | {"rules_digest": self._office.rules(now.date()).digest[:16]},
            seed_day=fact.heard_on,
            arms=dict(verdict.arms) if isinstance(verdict, Asked) else {},
            weight=told.decision.weight,
        )

    def _reopened(self, fact: DossierReopened, now: datetime) -> SurveyDecided:
        """A dossier that goes on before anything was decided about its ending: not asked, until it ends again."""
        return SurveyDecided(
            event_id=f"decided:{fact.event_id}",
            registry_id=self._office.registry_id,
            dossier_ref=fact.dossier_ref,
            asked=False,
            reason="reopened",
            rules_version=self._office.rules(now.date()).version,
            draw=0.0,
            decided_on=now.date(),
        )

    # --- endings that rested

    def _decide_rested(self, tx: Transaction) -> int:
        """Everything that hangs together by a contact is decided at once: one is drawn, and stands for those that could be asked too."""
        now = self._clock.now()
        refs = tx.rested(now, PER_TRANSACTION)
        group = tx.resting_with(refs) if refs else []
        told: list[_Told] = []
        able: dict[str, tuple[Resting, Known, Asked]] = {}
        for one in group:
            known = self._known(tx, one.ending, one.slot, _Desk({}), now)
            verdict = self._verdict(one.ending, known, now)
            if isinstance(verdict, Asked):
                able[one.slot.dossier_ref] = (one, known, verdict)
            elif one.slot.dossier_ref in refs or isinstance(verdict, NotAsked):
                told.append(self._decided(one.ending, one.slot, known, verdict, now))
        told += self._drawn(able, now)
        ended = [t.fact.dossier_ref for t in told if not isinstance(t.verdict, Waiting)]
        tx.end_rest(ended)
        tx.decide([t.decision for t in told])
        tx.put([self._fact(t, now) for t in told if not isinstance(t.verdict, Waiting)], now)
        return len(told)

    def _drawn(self, able: Mapping[str, tuple[Resting, Known, Asked]], now: datetime) -> list[_Told]:
        lot = [Rested(ref, one.slot.contacts, self._office.draw(one.ending.heard_on, ref, lots.REST)) for ref, (one, _, _) in able.items()]
        told = []
        for turn in turns(lot):
            one, known, verdict = able[turn.asked]
            told.append(self._decided(one.ending, one.slot, known, verdict, now, turn.weight))
            for ref in turn.represented:
                other, theirs, _ = able[ref]
                told.append(self._decided(other.ending, other.slot, theirs, NotAsked("represented"), now))
        return told


@dataclass(frozen=True)
class _Told:
    """One decision and what it came from."""

    fact: DossierClosed
    slot: SlotForDecision
    known: Known
    verdict: Verdict
    decision: Decision

    def inputs(self) -> dict[str, Any]:
        """What the rules saw; and whether it was only the number that bound this person, which is what a shared phone costs."""
        said = self.known.inputs()
        if isinstance(self.verdict, NotAsked) and self.verdict.reason in ("recently_asked", "represented"):
            said["bound_by"] = "number" if self.slot.asked_by_number else "person"
        return said


class _Desk:
    """The dossiers of one transaction: what an earlier one of them decides, a later one sees."""

    def __init__(self, slots: dict[str, SlotForDecision]) -> None:
        self.slots = slots
        self.told: list[_Told] = []
        self._done: set[str] = set()
        self._planned: dict[str, datetime] = {}

    def undecided(self, ref: str) -> bool:
        return self.slots[ref].reason == "undecided" and ref not in self._done

    def forget(self, ref: str) -> None:
        self._done.add(ref)

    def last_asked(self, slot: SlotForDecision) -> datetime | None:
        here = [self._planned[c] for c in slot.contacts if c in self._planned]
        return max([*here, *([slot.last_asked_at] if slot.last_asked_at else [])], default=None)

    def decided(self, told: _Told) -> None:
        self.told.append(told)
        self._done.add(told.fact.dossier_ref)
        if told.decision.ask_at is not None:
            self._planned |= dict.fromkeys(told.slot.contacts, told.decision.ask_at)
