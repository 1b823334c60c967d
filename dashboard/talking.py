"""What calls, help at the desk and paper share: the ledger and the doors as their pages need them, and whose dossiers are whose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal, Protocol

from dashboard.access import Who
from dashboard.scope import codes_within
from hailong.domain.access import AT_A_DESK, AuditAct, Role
from hailong.domain.calls import Calling, Disposition, Entry, Late, Tally, Waiting
from hailong.domain.papers import PaperTally, ToEnter
from hailong.domain.units import LOCAL, Registry
from hailong.events import UnitChanged
from hailong.ports import Clock, SlotForAnswer

HelpMode = Literal["call", "assisted", "paper"]
HELPS: Final[frozenset[Role]] = frozenset({"caller", *AT_A_DESK})
"""Who enters answers for others."""


class TalkReader(Protocol):
    """Looking. ``barred``: units that judge whoever looks."""

    def units(self) -> list[UnitChanged]: ...
    def slot_by_survey(self, survey_id: str) -> SlotForAnswer | None: ...
    def waiting_calls(self, now: datetime, real_now: datetime, barred: Collection[str], limit: int) -> tuple[list[Waiting], int]: ...
    def call_tally(self, since: date) -> Tally: ...
    def paper_tally(self, now: datetime) -> PaperTally: ...
    def papers_to_enter(self, now: datetime, by: str, by_unit: str | None, barred: Collection[str], limit: int) -> list[ToEnter]: ...


class TalkTransaction(Protocol):
    """Doing, with the trail."""

    def audited(self, actor: str, act: AuditAct, obj: str, detail: Mapping[str, Any] | None = None) -> None: ...
    def take_call(self, by: str, now: datetime, real_now: datetime, barred: Collection[str]) -> Entry | None: ...
    def own_call(self, by: str, now: datetime, real_now: datetime, barred: Collection[str], *, late: bool = False) -> Entry | None: ...
    def held_call(self, by: str) -> str | None: ...
    def end_late(self, by: str, ref: str, said: Disposition, now: datetime, *, opt_out: bool = False) -> Late | None: ...
    def reveal_number(self, by: str, survey_id: str, real_now: datetime) -> str | None: ...
    def end_try(
        self, by: str, entry: Entry, said: Disposition, now: datetime, rules: Calling, *, later: datetime | None = None,
        opt_out: bool = False,
    ) -> datetime | None: ...  # fmt: skip
    def helped(self, survey_id: str, mode: HelpMode, by: str, now: datetime) -> None: ...
    def paper_again(
        self, paper_id: int, by: str, by_unit: str | None, barred: Collection[str], now: datetime
    ) -> tuple[ToEnter, str, bytes] | None: ...
    def entered_again(
        self, paper_id: int, by: str, by_unit: str | None, barred: Collection[str], answers: Mapping[str, Any], questions: Sequence[str],
        now: datetime,
    ) -> tuple[int, int]: ...  # fmt: skip


class TalkLedger(Protocol):
    """Every method raises Retryable when the ledger is away."""

    def begin(self) -> AbstractContextManager[TalkTransaction]: ...
    def read(self) -> AbstractContextManager[TalkReader]: ...


@dataclass(frozen=True)
class Asked:
    """A question as plain data. ``options``: (value, words), none for own words."""

    id: str
    kind: str
    text: str
    hint: str
    required: bool
    conditional: bool = False
    """Asked only where answers before lead to it."""
    options: Sequence[tuple[str, str]] = ()


class Doors(Protocol):
    """The way into the questionnaire. Every method may raise Retryable."""

    def find(self, code: str) -> str | None:
        """A dossier's or a slip's code → the survey; None for an unknown one."""
        ...

    def open_door(self, survey_id: str, mode: Literal["call", "assisted"], login: str) -> str | None:
        """The sealed address at which an answer is entered; None when none is awaited (any more)."""
        ...

    def questions(self, language: str) -> Sequence[Asked]:
        """Everything a paper slip asks."""
        ...

    def answers(self, form: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
        """A filled-in form → question → answer, without own words. Raises Invalid."""
        ...

    def submit_paper(
        self, survey_id: str, form: Mapping[str, Sequence[str]], language: str, login: str, unit: str | None, scan: bytes
    ) -> bool:
        """Enter a slip; whether it was drawn to be entered again. Raises Invalid."""
        ...


@dataclass(frozen=True)
class Talking:
    """``rules``: of calls on a local day; ``asker``: language → who calls; ``survey``: origin of the survey site, where forms lead."""

    ledger: TalkLedger
    doors: Doors
    clock: Clock
    real_now: Callable[[], datetime]
    rules: Callable[[date], Calling]
    asker: Mapping[str, str]
    survey: str
    monotonic: Callable[[], float]

    def own_units(self, who: Who, reader: TalkReader) -> frozenset[str]:
        """The units of an account's scope: their own for who works at a desk, those that must not be asked about for a caller."""
        if who.scope is None:
            return frozenset()
        return codes_within(who.scope, Registry(reader.units()), self.clock.now().astimezone(LOCAL).date())

    def barred(self, who: Who) -> frozenset[str]:
        """Units about whose dossiers this account hears nothing: it is judged by them."""
        with self.ledger.read() as reader:
            return self.own_units(who, reader)

    def may_help(self, who: Who, slot: SlotForAnswer) -> bool:
        """At a desk: with what was handed in there. On the telephone: with what has nothing to do with the caller's own unit."""
        with self.ledger.read() as reader:
            mine = self.own_units(who, reader)
        if who.role in AT_A_DESK:
            return slot.about.receiving_unit in mine
        return mine.isdisjoint({slot.about.receiving_unit, slot.about.handling_unit})
