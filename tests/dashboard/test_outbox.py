"""Facts that officers' pages write reach the log right after the commit, and when the broker is back after it was away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from dashboard.app import Publishing, build_dashboard
from dashboard.talking import Talking
from hailong.domain.access import Role
from hailong.events import ContactPreference, SurveyAnswered
from hailong.ports import Retryable
from tests.dashboard.room import START, Fixed, People, Still
from tests.dashboard.talking_room import Room
from tests.survey.twins import MemoryLog, until
from web.outbox import Outbox

pytestmark = pytest.mark.anyio
NEVER, SOON = 3600.0, 0.02
"""Seconds between looks at the outbox."""
SLIP = {"code": "H28-260302-0001", "mine": "no", "language": "vi", "Q0": "4"}


class Broker(MemoryLog):
    """The log as a publisher that is asked whether it is there, and closed."""

    closed = False

    async def check(self) -> None:
        if self.away:
            raise Retryable("log: away", 1.0)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def desk(people: People, broker: Broker, every: float, talking: Talking | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """The site, alive, and somebody at a desk who is signed in."""
    outbox = Outbox(people.ledger, broker, "dashboard", every=every)
    publishing = Publishing(outbox, broker.check, broker.close)
    app = build_dashboard(Still(), list, Fixed(), people.door, talking=talking, publishing=publishing)
    role: Role = "desk"
    people.add("lan", role, "C01")
    cookies = {"hailong": people.session("lan")}
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 40000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", cookies=cookies) as http,
    ):
        yield http


async def opt_out(http: httpx.AsyncClient, number: str = "0912 000 001") -> httpx.Response:
    return await http.post("/opt-out?lang=vi", data={"csrf": "csrf of lan", "contact": number, "door": "desk"})


def choices(broker: Broker) -> list[str]:
    return [fact.choice for fact in broker.facts() if isinstance(fact, ContactPreference)]


async def test_an_opt_out_noted_by_an_officer_is_in_the_log_right_after_the_commit(people: People) -> None:
    broker = Broker()
    async with desk(people, broker, NEVER) as http:
        await until(lambda: not people.ledger.pending())
        assert "Đã ghi nhận" in (await opt_out(http)).text
        await until(lambda: choices(broker) == ["opt_out"])
        await until(lambda: people.ledger.pending() == [])
    assert broker.closed


async def test_an_answer_on_paper_is_in_the_log_right_after_the_commit(people: People) -> None:
    broker, room = Broker(), Room(people)
    survey = room.dossier(SLIP["code"])
    async with desk(people, broker, NEVER, room.talking) as http:
        await until(lambda: people.ledger.pending() == [])
        assert (await http.post("/paper?lang=vi", data={"csrf": "csrf of lan", **SLIP})).status_code == 303
        await until(lambda: any(isinstance(fact, SurveyAnswered) for fact in broker.facts()))
    (answer,) = broker.answers()
    assert (answer.survey_id, answer.mode, answer.answers) == (survey, "paper", {"Q0": 4})


async def test_while_the_broker_is_away_pages_confirm_and_the_facts_follow_when_it_is_back(people: People) -> None:
    broker = Broker(away=True)
    async with desk(people, broker, SOON) as http:
        for number in ("0912 000 001", "0912 000 002"):
            assert "Đã ghi nhận" in (await opt_out(http, number)).text
        ready = (await http.get("/readyz")).json()
        assert (ready["ready"], ready["dependencies"]["log"]) == (True, "log: away")
        waiting = [row.record for row in people.ledger.pending()]
        assert (len(waiting), broker.records) == (2, [])
        broker.away = False
        await until(lambda: people.ledger.pending() == [])
        assert (await http.get("/readyz")).json()["dependencies"]["log"] == "ok"
    assert broker.records == waiting, "once, in order, the same bytes"


async def test_what_a_site_left_is_published_when_it_starts_again(people: People) -> None:
    with people.ledger.begin() as tx:
        tx.opt_out_number("0912 000 001", START, "desk", "lan")
    broker = Broker()
    async with desk(people, broker, NEVER):
        await until(lambda: choices(broker) == ["opt_out"])
