"""The officers' site as a browser meets it: every page, over a real ledger in which something waits on each of them."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import uvicorn
from starlette.applications import Starlette

from dashboard.administration import Wanted
from dashboard.app import build_dashboard
from dashboard.operations import Carrier, Cost, Looked, Money
from hailong.domain.access import AT_A_DESK, Role
from hailong.domain.alert_sentences import Evidence, listed, sentences
from hailong.domain.arms import Report, Tally, experiments
from hailong.domain.looking import look
from hailong.events import AlertChanged
from ops import messages, questionnaires
from ops.stuck import states
from ops.waiting import OfficeLists
from ops.ways import PRICES
from surveys.messages.previewing import Setting
from surveys.messages.pricing import prices
from surveys.messages.texts import Texts
from surveys.wording import library, office
from tests.browser.office import free_port
from tests.contract.build import act, answered, take
from tests.dashboard.behind_room import province
from tests.dashboard.room import START, People
from tests.dashboard.talking_room import SURVEY, Room
from tests.unit.test_looking import MONDAY, sources
from web.access import template
from web.assembly import server

SLIP: Final = "SLIPCODE"
CODE: Final = "H28-260302-0001"
SCAN: Final = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFElEQVR4nGP4//8/AzbAhFV0WEkAAGLLAw1qXk9dAAAAAElFTkSuQmCC")
"""A small picture."""
NAMES: Final = {"C01": "Xã Thượng Cốc", "C02": "Xã Mường Thàng", "C03": "Phường Tân Hòa", "D1": "Huyện Lạc Sơn", "D2": "Thành phố"}
SEEN: Final = Evidence(
    n=40, satisfied=26, expected=34.8, target=0.87, estimate=0.72, low=0.58, high=0.83, years=31.0, since=date(2026, 2, 12),
    until=date(2026, 3, 29), opened=date(2026, 3, 10),
)  # fmt: skip
BELOW, OVER = "a" * 32, "b" * 32
"""Alerts: one that stands, one that is over."""


@dataclass
class Running:
    """What ``/operations`` shows: every state there is, standing still where it can."""

    room: Room

    def look(self) -> Looked:
        with self.room.people.ledger.read() as reader:
            found = states(reader, Path("/nonexistent"), START, START)
        money = Money(1_234_000, 2_000_000)
        every = [type(s)(s.id, 12 if s.number is not None else None, s.number is not None) for s in found]
        return Looked(START, every, [self._sms()], money, NAMES)

    def _sms(self) -> Carrier:
        return Carrier(
            channel="sms", mode="live", held=None, live_since=START - timedelta(days=3), live_by="minh", main="twilio",
            reserve="gateway-x", now="gateway-x", since=START - timedelta(hours=2), why="by_hand", by="minh", taken=1234, refused=2,
            slow=1, rate=20.0, turns=7.9, cost_today=1_234_000,
        )  # fmt: skip

    def costs(self) -> tuple[str, list[Cost]]:
        return "2026-04", [Cost(date(2026, 4, day), unit, "sms", 10, 12, 9600) for day in (1, 2) for unit in ("C01", "C02")]


def report(first: date | None, until: date | None) -> Report:
    """Of an experiment with wordings, one arm larger than the other."""
    arms = (
        Tally("wording", "a", asked=1250, delivered=1201, answered=450, open=310, unknown=4, failed=31),
        Tally("wording", "b", asked=1244, delivered=1190, answered=380, open=305, failed=29),
        Tally("channel", "sms", asked=2485, answered=826), Tally("channel", "email", asked=9, answered=4),
    )  # fmt: skip
    return Report(first or date(2026, 3, 5), until or date(2026, 4, 2), (), experiments(arms))


@dataclass
class Bureau:
    """The site's parts. ``url``: where it listens."""

    room: Room
    url: str
    _accounts: set[str] = field(default_factory=set)

    @property
    def people(self) -> People:
        return self.room.people

    def app(self) -> Starlette:
        """With every page there is."""
        made_with = Setting(prices(PRICES), {"sms": "twilio", "email": "smtp", "zns": "zns"}, SURVEY, 30)
        texts = Texts(office())
        figures = province()
        return build_dashboard(
            figures, self.alerts,
            self.room.clock, self.people.door, notice={"vi": "Câu trả lời ở đây là mô phỏng.", "en": "Answers here are simulated."},
            letters=lambda: messages.rows(texts, made_with, START.date()), arms=report, running=Running(self.room),
            asked=lambda form, ending: questionnaires.rows(library(), "short" if form == "short" else "full", ending),
            waiting=(OfficeLists(self.people.ledger), lambda code: NAMES.get(code, code)), talking=self.room.talking,
            measures=self.people.ledger, alerting=self.people.ledger, behind=(figures, figures),
        )  # fmt: skip

    def account(self, role: Role, scope: str | None = None) -> str:
        """The login of an account of a role; at a desk it needs a unit."""
        scope = scope or ("C01" if role in AT_A_DESK else None)
        login = f"{role}-{scope or 'all'}".lower().replace("_", "-")
        if login not in self._accounts:
            factor = self.people.seal.seal(b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", login) if role == "operator" else None
            self.people.add(login, role, scope, factor=factor)
            self._accounts.add(login)
        return login

    def link(self) -> str:
        """The token of a one-time link."""
        return self.people.administration.add("moi", Wanted("Người mới", "viewer", None), "lan")

    def alerts(self) -> list[dict[str, Any]]:
        with self.people.ledger.read() as reader:
            return listed(reader.alerts(history=True))

    def alarm(self) -> None:
        """Alerts about service, one that stands and one that is over, and what a look at the data found."""
        with self.people.ledger.begin() as tx:
            for alert_id, version, state in ((BELOW, 1, "raised"), (OVER, 1, "raised"), (OVER, 2, "cleared")):
                tx.alert_step(step(alert_id, version, state))
            made = look(sources(), MONDAY, START, "test", None)
            tx.keep_look(made.fact, [msgspec.structs.replace(one, at=START) for one in made.steps], START)

    def fill(self) -> None:
        """Something waits on every page: a held answer, a wish to be called back, words, calls, a slip to be entered again."""
        people, now = self.people, self.room.clock.at
        take(people.ledger, act("d1", "+84912000007", receiving_unit="C01", handling_unit="C01"), now=now)
        with people.ledger.begin() as tx:
            wishing = tx.slots_for_decision(["d1"])["d1"].survey_id
            tx.count(answered("held-1", 5, signs=["burst"]), now)
            tx.count(answered("held-2", 5, signs=["desk_network"]), now)
            tx.count(answered(wishing, 2), now)
            tx.count(answered(wishing, 2, "b", event_id="b", answers={"Q9": True}), now)
            tx.keep_feedback("C01", "Chờ lâu, chỉ có một quầy mở vào sáng thứ hai.", 0, START.date())
            tx.keep_feedback(None, "Cảm ơn [tên] đã hướng dẫn tận tình.", 1, START.date())
        self.alarm()
        self.room.called("H28-1-001")
        self.room.dossier(CODE, slip=SLIP, phone="+84912000002")
        self.room.dossier("H28-260302-0002", phone="+84912000003", slip="SLIPTWO2", receiving_unit="C02", handling_unit="C02")
        self.room.drawn = 0.0
        self.enter("SLIPTWO2", "C02", SCAN)

    def enter(self, code: str, unit: str, scan: bytes) -> None:
        """A paper slip, entered by a desk."""
        doors: Any = self.room.talking.doors
        doors.submit_paper(doors.find(code), {"Q0": ["4"]}, "vi", self.account("desk", unit), unit, scan)


def step(alert_id: str, version: int, state: Any) -> AlertChanged:
    """Of an alert about service."""
    vi, en = sentences(state, "below", "Xã 01", None, SEEN)
    said: Any = {name: value for name, value in vars(SEEN).items() if name != "opened"}
    return AlertChanged(
        event_id=f"{alert_id}:{version}", registry_id="test", alert_id=alert_id, version=version, state=state, kind="below", unit="C01",
        at=START - timedelta(days=4 - version), by="judge", evidence_seq=41, sentence_vi=vi, sentence_en=en, **said,
    )  # fmt: skip


class Changing:
    """An application that can be exchanged while its server runs."""

    def __init__(self) -> None:
        self.app = Starlette()
        self.opened: set[str] = set()
        """Templates of the addresses that pages were asked for since it was exchanged."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        if scope["type"] == "http" and scope["method"] == "GET":
            self.opened.add(template(scope))


@contextmanager
def served() -> Iterator[tuple[Changing, str]]:
    """A server for one site after the other; its address."""
    changing, port = Changing(), free_port()
    running = uvicorn.Server(server(changing, "127.0.0.1", port))  # type: ignore[arg-type]
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 20
        while not running.started and time.monotonic() < until:
            time.sleep(0.01)
        assert running.started, f"the officers' site does not listen on port {port}"
        yield changing, f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join(10)


@contextmanager
def opened(folder: Path, blank: Path, site: Changing, url: str) -> Iterator[Bureau]:
    """The site over a new ledger in which something waits everywhere."""
    made = Bureau(Room(People(folder, blank)), url)
    made.fill()
    site.app, site.opened = made.app(), set()
    try:
        yield made
    finally:
        made.people.ledger.close()
