"""A room for calls, help and paper: the officers' site over a real ledger and real doors, with people who were drawn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.applications import Starlette

from dashboard.app import build_dashboard
from dashboard.talking import Talking
from hailong.domain.access import AT_A_DESK, ROLES, Role
from hailong.domain.calls import Calling
from hailong.domain.people import Keyed
from hailong.domain.rulebook import Rules
from ops.doors import OfficeDoors
from streams.calling import calling_of
from surveys.answers.form_state import FormState, Sealer
from surveys.wording import library
from tests.contract.build import act, answered, claim, decide, settle, take
from tests.dashboard.room import START, Browser, People, Still
from tests.survey.twins import FORM_KEY

SURVEY = "https://khao-sat.example"
PHONE = "+84912000001"
KEYED = Keyed(b"k" * 32)
SEALER = Sealer([FORM_KEY])
LIBRARY = library()
ASKED = START - timedelta(days=5)


@dataclass
class HandClock:
    at: datetime = START

    def now(self) -> datetime:
        return self.at


@dataclass
class Room:
    """``drawn``: what the draw of paper says."""

    people: People
    clock: HandClock = field(default_factory=HandClock)
    drawn: float = 0.9
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        numbers = count()
        doors = OfficeDoors(
            self.people.ledger, SEALER, LIBRARY, KEYED, self.clock, "test", SURVEY, lambda _day, _ref, _purpose: self.drawn,
            lambda: f"nonce{next(numbers)}",
        )  # fmt: skip
        rules = replace(calling_of(Rules()), share=1.0)
        self.talking = Talking(
            self.people.ledger, doors, self.clock, lambda: self.people.now, lambda _: rules, {"vi": "Trung tâm", "en": "The Centre"},
            SURVEY, lambda: self.people.now.timestamp(),
        )  # fmt: skip
        self.app = build_dashboard(Still(), list, self.clock, self.people.door, talking=self.talking)

    def dossier(self, code: str, phone: str | None = PHONE, slip: str | None = None, **more: Any) -> str:
        """A dossier that was asked about five days ago; its survey."""
        ref = KEYED.dossier_ref("s", code)
        where: dict[str, Any] = {"receiving_unit": "C01", "handling_unit": "C01", "ended_on": date(2026, 3, 24)} | more
        given = replace(act(ref, phone, f"a@{code[-3:]}.ex", **where), slip_code=slip)
        take(self.people.ledger, given, now=ASKED)
        (survey,) = decide(self.people.ledger, ref, ask_at=ASKED)
        settle(self.people.ledger, "handed_over", *claim(self.people.ledger, ASKED), now=ASKED)
        return survey

    def called(self, code: str = "H28-1-001", **more: Any) -> str:
        """One who was drawn to be called."""
        survey = self.dossier(code, **more)
        now, rules = self.clock.at, Calling(after_days=3)
        with self.people.ledger.begin() as tx:
            assert tx.add_calls(tx.call_candidates(rules, now.date(), now, "", 9), rules, now.date(), now, 30)
        return survey

    def answer(self, survey: str, **more: Any) -> None:
        with self.people.ledger.begin() as tx:
            tx.count(answered(survey, 4, **more), self.clock.at)

    def browser(self, role: Role, scope: str | None = None) -> Browser:
        login = f"{role}-{scope or 'all'}".lower().replace("_", "-")
        self.people.add(login, role, scope)
        return self.people.browser(self.app, login)

    def everybody(self) -> dict[Role, Browser]:
        return {role: self.browser(role, "C01" if role in AT_A_DESK else None) for role in ROLES}


def room(folder: Path, blank: Path) -> Room:
    return Room(People(folder, blank))


def led_to(browser: Browser) -> FormState:
    """The form behind the sealed address the last answer redirected to."""
    address = urlsplit(browser.page.history[-1].headers["location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{SURVEY}/in/next"
    return SEALER.open(parse_qs(address.query)["f"][0])
