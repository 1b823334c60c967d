"""The survey device at a desk, over a real ledger: enrolled once, opens a question once, and leaves nothing to the next person."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright
from typer.testing import CliRunner, Result

from hailong.domain import receipts, slips
from hailong.events import UnitChanged
from hailong.ports import Contact, DossierAct, Retryable
from hailong.settings import load
from ops.cli.main import build
from ops.kiosks import KioskBook, secret_hash
from ops.local.refusal import Refusal
from ops.wiring import Wiring
from sinks.ledger import Ledger, migrate
from sinks.ledger.kiosks import KioskDevice
from surveys.answers.asking import LEFT_BEHIND
from surveys.answers.form_state import Sealer
from surveys.answers.showing import KIOSK_SLOW_S
from surveys.doors.kiosk import OPENED, WRONG
from surveys.site import Parts, build_site
from tests.browser import chromium
from tests.contract.build import answered, closed
from tests.survey.twins import FORM_KEY, KEY, NOW, HandClock, MemoryLog, page_of, parts, sealed_in
from web.assembly import server

UNIT, TOKEN = "H28.12", "t0ken"
BOUND, FREE, STRANGE = (slips.new_code(bytes([n, n + 1, n + 3, n + 7]) * 8) for n in (1, 9, 14))
WAYS = [f"/kiosk?by={by}" for by in ("ticket", "slip", "dossier")]
DOSSIER, PHONE = "H28.12-260312-0001", "+84912345678"


class Desk:
    """A ledger with a unit, four tickets of today, one of yesterday, a bound slip and a free one, and a device that may be enrolled."""

    def __init__(self, folder: Path) -> None:
        ours = {"DATA_DIR": str(folder), "KEYS_DIR": str(folder / "keys"), "LEDGER": f"sqlite:///{folder / 'ledger.db'}"}
        self.folder = folder
        self.env = {f"HAILONG_{name}": value for name, value in ours.items()} | {"HAILONG_SURVEY_URL": "https://ks.example"}
        self.wiring = Wiring(load(self.env))
        self.wiring.keys.make_missing(NOW.date())
        self.ledger: Ledger = self.wiring.ledger("survey")
        self.log, self.clock, self.monotonic = MemoryLog(), HandClock(), [0.0]

    def fill(self) -> None:
        """As described, from nothing."""
        migrate(self.wiring.settings.ledger)
        unit = UnitChanged(
            event_id="u", registry_id="r", code=UNIT, name="Bộ phận Một cửa", level="commune", valid_from=date(2025, 7, 1), seq=1
        )
        with self.ledger.begin() as tx:
            tx.put_unit(unit)
            tx.register_slips([self.wiring.keyed.slip_hash(code) or "" for code in (BOUND, FREE)], "b", NOW)
            device = KioskDevice("k1", UNIT, "Quầy 1", NOW, "minh", None, None, None)
            tx.make_kiosk(device, secret_hash(TOKEN))
        for n in ("7", "8", "9", "A012"):
            self.end(n)
        self.end("6", at=NOW - timedelta(days=1))
        self.end("5", unit="H28.13")
        self.end("1", dossier=DOSSIER, slip=BOUND)

    def end(self, ticket: str, *, at: datetime = NOW, unit: str = UNIT, dossier: str = "", slip: str | None = None) -> str:
        """A dossier ends; its survey_id."""
        code = dossier or f"D-{unit}-{ticket}"
        ref = self.wiring.keyed.dossier_ref("s", code)
        fact = closed(ref, receiving_unit=unit, handling_unit=unit, ended_on=at.date(), heard_on=at.date(), received_on=at.date())
        contact = Contact(PHONE, None)
        act = DossierAct(fact.event_id, "c", fact, code, at, None, contact, None, "vi", slip_code=slip, ticket_no=ticket)
        with self.ledger.begin() as tx:
            tx.take_act(act, at)
            return tx.slots_for_decision([ref])[ref].survey_id

    def parts(self, **changes: Any) -> Parts:
        made = parts(self.folder, self.ledger, self.log, self.clock, self.monotonic)  # type: ignore[arg-type]  # a ledger is a ledger
        refs = lambda typed: [self.wiring.keyed.dossier_ref("s", typed)]  # noqa: E731
        return replace(made, **{"kiosks": KioskBook(self.ledger), "dossier_codes": refs, **changes})

    def run(self, *arguments: str, code: int = 0) -> Result:
        told = CliRunner().invoke(build(["kiosk"]), ["--home", str(self.folder), "kiosk", *arguments], env=self.env)
        ended = told.exception.exit_code if isinstance(told.exception, Refusal) else told.exit_code
        assert ended == code, told.exception or told.output
        return told


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to be copied."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.fill()
    desk.ledger.close()
    return desk.folder


@pytest.fixture
def desk(tmp_path: Path, filled: Path) -> Desk:
    return Desk(Path(shutil.copytree(filled, tmp_path / "desk")))


@asynccontextmanager
async def at_the(desk: Desk, base: str = "https://ks.example", **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = build_site(desk.parts(**changes))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url=base) as http:
            yield http


@pytest.fixture
async def device(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of an enrolled device."""
    async with at_the(desk) as http:
        assert (await http.post(f"/kiosk/enrol/{TOKEN}")).status_code == 303
        yield http


async def enter(http: httpx.AsyncClient, **typed: str) -> httpx.Response:
    """Type and press; what is shown then."""
    sent = await http.post("/kiosk?lang=vi", data=typed)
    assert sent.status_code == 303, "nothing of what was typed stays in the browser"
    return await http.get(sent.headers["location"])


async def send(http: httpx.AsyncClient, page: httpx.Response, **fields: str) -> httpx.Response:
    sent = await http.post("/in", data={"form": sealed_in(page), **fields})
    return await http.get(sent.headers["location"]) if sent.status_code == 303 else sent


# --- the device


@pytest.mark.anyio
async def test_a_strange_browser_gets_a_sentence_and_no_form(desk: Desk) -> None:
    async with at_the(desk) as http:
        page = await http.get("/kiosk")
        assert (page.status_code, page_of(page), "<form" in page.text) == (403, "kiosk-strange", False)
        assert (await http.post("/kiosk", data={"ticket": "7"})).headers["location"] == "/kiosk"
        http.cookies.set("kiosk", "guessed")
        assert (await http.get("/kiosk")).status_code == 403


@pytest.mark.anyio
@pytest.mark.parametrize("base", ["https://ks.example", "http://ks.example"])
async def test_an_address_enrols_one_browser_and_its_cookie_goes_nowhere_else(desk: Desk, base: str) -> None:
    async with at_the(desk, base) as http:
        for _ in range(2):
            assert page_of(await http.get(f"/kiosk/enrol/{TOKEN}")) == "kiosk-enrol", "looking uses nothing up"
        done = await http.post(f"/kiosk/enrol/{TOKEN}")
        cookie = done.headers["set-cookie"]
        assert (done.status_code, done.headers["location"]) == (303, "/kiosk")
        assert {"HttpOnly", "SameSite=strict", "Path=/kiosk"} <= set(cookie.split("; "))
        assert ("Secure" in cookie) == base.startswith("https")
        assert TOKEN not in cookie
        start = await http.get("/kiosk")
        assert (start.status_code, page_of(start)) == (200, "kiosk-start")
        assert re.findall(r'class="button" href="(/kiosk\?by=\w+)', start.text) == WAYS
        other = await http.post(f"/kiosk/enrol/{TOKEN}")
        assert (other.status_code, page_of(other), "<form" in other.text) == (410, "kiosk-void", False)
        assert (await http.get("/kiosk/enrol/other")).status_code == 410
        question = await enter(http, ticket="7")
        assert "cookie" not in question.request.headers


@pytest.mark.anyio
async def test_an_address_of_yesterday_and_a_closed_device_open_nothing(desk: Desk) -> None:
    async with at_the(desk) as http:
        desk.clock.at = NOW + timedelta(hours=24)
        assert (await http.post(f"/kiosk/enrol/{TOKEN}")).status_code == 410
        desk.clock.at = NOW
        await http.post(f"/kiosk/enrol/{TOKEN}")
        with desk.ledger.begin() as tx:
            tx.close_kiosk("k1", "minh", NOW)
        assert (await http.get("/kiosk")).status_code == 403
        assert (await http.post("/kiosk", data={"ticket": "7"})).headers["location"] == "/kiosk"


# --- the ways in


@pytest.mark.anyio
@pytest.mark.parametrize(
    "typed",
    [
        {"ticket": "7"},
        {"ticket": " 0007 "},
        {"ticket": "a012"},
        {"ticket": "A-12"},
        {"ticket": "A 0 12"},
        {"slip": BOUND.lower()},
        {"dossier": DOSSIER, "digits": "678"},
    ],
    ids=str,
)
async def test_each_way_opens_the_short_form_and_its_answer_is_one_at_the_desk(desk: Desk, device: httpx.AsyncClient, typed: Any) -> None:
    page = await enter(device, **typed)
    assert page_of(page) == "ask-1"
    thanks = await send(device, page, Q0="5")
    assert page_of(thanks) == "thanks"
    (fact,) = desk.log.answers()
    assert (fact.mode, fact.place, fact.form, fact.answers, fact.finished) == ("kiosk", "desk", "short", {"Q0": 5}, True)
    assert receipts.shown(receipts.receipt(KEY, fact.nonce)) in thanks.text


@pytest.mark.anyio
async def test_a_number_with_a_letter_can_be_typed_on_any_keyboard(device: httpx.AsyncClient) -> None:
    (field,) = re.findall(r'<input id="ticket"[^>]*>', (await device.get("/kiosk?by=ticket")).text)
    assert "inputmode" not in field
    assert "pattern" not in field


@pytest.mark.anyio
async def test_who_is_not_content_is_asked_why_and_nothing_more(desk: Desk, device: httpx.AsyncClient) -> None:
    page = await send(device, await enter(device, ticket="7"), Q0="2")
    assert page_of(page) == "ask-2"
    assert "&lt;" not in page.text
    assert page_of(await send(device, page, Q7="slow")) == "thanks"
    assert [fact.answers for fact in desk.log.answers()] == [{"Q0": 2}, {"Q7": ["slow"]}]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("by", "typed"),
    [
        ("ticket", {"ticket": "6"}),
        ("ticket", {"ticket": "5"}),
        ("ticket", {"ticket": "77"}),
        ("ticket", {"ticket": ""}),
        ("ticket", {"ticket": "7" * 100}),
        ("slip", {"slip": STRANGE}),
        ("slip", {"slip": BOUND[:-1]}),
        ("dossier", {"dossier": DOSSIER, "digits": "679"}),
        ("dossier", {"dossier": "UNKNOWN-1", "digits": "678"}),
        ("dossier", {"dossier": DOSSIER}),
    ],
)
async def test_what_leads_nowhere_is_said_and_not_shown_again(device: httpx.AsyncClient, by: str, typed: dict[str, str]) -> None:
    page = await enter(device, **typed)
    assert page_of(page) == f"kiosk-{by}-{by}"
    assert "value=" not in page.text
    assert not any(value and value in str(page.url) for value in typed.values())


@pytest.mark.anyio
@pytest.mark.parametrize("typed", [{"ticket": "7"}, {"slip": FREE}], ids=str)
async def test_a_number_or_slip_answers_once(desk: Desk, device: httpx.AsyncClient, typed: dict[str, str]) -> None:
    thanks = await send(device, await enter(device, **typed), Q0="4")
    assert page_of(thanks) == "thanks"
    again = await enter(device, **typed)
    assert (page_of(again), "again=" in again.text, "<form" in again.text) == ("kiosk-answered", False, False)
    held = 0 if "ticket" in typed else 1
    assert len(desk.log.answers()) == 1 - held


@pytest.mark.anyio
async def test_an_answer_by_another_door_is_one_too(desk: Desk, device: httpx.AsyncClient) -> None:
    survey_id = desk.end("42")
    with desk.ledger.begin() as tx:
        tx.count(answered(survey_id, 4, answered_at=NOW), NOW)
    assert page_of(await enter(device, ticket="42")) == "kiosk-answered"


@pytest.mark.anyio
async def test_one_device_opens_no_more_than_a_row_of_people_could(desk: Desk, device: httpx.AsyncClient) -> None:
    for _ in range(WRONG):
        assert page_of(await enter(device, ticket="77")) == "kiosk-ticket-ticket"
    assert page_of(await enter(device, ticket="7")) == "kiosk-ticket-many"
    desk.monotonic[0] += 3600
    for _ in range(OPENED):
        assert page_of(await enter(device, ticket="7")) == "ask-1"
    assert page_of(await enter(device, ticket="7")) == "kiosk-ticket-many"


class Away(KioskBook):
    """The ledger is away for everything but knowing the device."""

    def by_ticket(self, unit: str, ticket: str, now: datetime) -> Any:
        raise Retryable("ledger: away", 7.0)

    def may_enrol(self, token: str, now: datetime) -> bool:
        raise Retryable("ledger: away", 7.0)


@pytest.mark.anyio
async def test_without_the_ledger_it_says_so_and_when_to_come_back(desk: Desk) -> None:
    async with at_the(desk, kiosks=Away(desk.ledger)) as http:
        await http.post(f"/kiosk/enrol/{TOKEN}")
        assert page_of(await enter(http, ticket="7")) == "kiosk-ticket-away"
        page = await http.get("/kiosk/enrol/x")
        assert (page.status_code, page_of(page), page.headers["retry-after"]) == (503, "kiosk-away", "7")


@pytest.mark.anyio
async def test_a_dossier_too_old_is_said_to_be_and_an_unbound_slip_waits(desk: Desk, device: httpx.AsyncClient) -> None:
    survey_id = desk.end("43")
    with desk.ledger.begin() as tx:
        tx.expire(survey_id, NOW)
    desk.clock.at = NOW + timedelta(minutes=1)
    page = await enter(device, slip=FREE)
    assert "Về hồ sơ đi cùng phiếu này" in page.text
    assert "receipt" not in (await send(device, page, Q0="5")).text


# --- nothing of the one before


@pytest.mark.anyio
async def test_every_page_leaves_by_itself_and_none_leads_away(device: httpx.AsyncClient) -> None:
    start, field = await device.get("/kiosk"), await device.get("/kiosk?by=ticket")
    question = await enter(device, ticket="7")
    reasons = await send(device, question, Q0="1")
    thanks = await send(device, reasons, Q7="slow")
    for page in (field, question, reasons, thanks, await enter(device, ticket="7"), await enter(device, ticket="77")):
        assert f'content="{KIOSK_SLOW_S};url=/kiosk"' in page.text, page_of(page)
        assert "data-left=" in page.text
    assert "http-equiv" not in start.text, "nothing changes where nobody is"
    for page in (start, field, question, reasons, thanks):
        assert ' data-mode="kiosk">' in page.text
        assert "/kiosk.js?v=" in page.text
        assert "offline.js" not in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        away = [href for href in re.findall(r'href="(/[^"]*)"', page.text) if not href.startswith(("/kiosk", "/in/"))]
        assert away == [], page_of(page)


@pytest.mark.anyio
async def test_messages_and_errors_leave_by_themselves_too_and_have_a_way_back(desk: Desk, device: httpx.AsyncClient) -> None:
    question = await enter(device, ticket="7")
    unreadable = await device.post("/in?kiosk", data={"form": "changed"})
    nowhere, methodless = await device.get("/kiosk/no/such"), await device.request("DELETE", "/kiosk")
    turned = await device.get("/in/next?kiosk&f=changed&lang=en")
    sealer = Sealer([FORM_KEY])
    over = msgspec.structs.replace(sealer.open(sealed_in(question)), expires_at=NOW)
    late = await device.post("/in?kiosk", data={"form": sealer.seal(over), "Q0": "5"})
    assert [page_of(page) for page in (unreadable, turned, late)] == ["unreadable", "unreadable", "expired"]
    told = html.unescape(re.findall(r'href="(/told\?[^"]+lang=en)"', late.text)[0])
    for page in (question, unreadable, turned, late, await device.get(told), nowhere, methodless):
        assert f'<noscript><meta http-equiv="refresh" content="{KIOSK_SLOW_S};url=/kiosk"></noscript>' in page.text, page.url
        assert re.search(r'class="button second" href="/kiosk">(Về màn hình đầu|Back to the first screen)<', page.text), page.url
        assert "data-left=" in page.text
        assert "/kiosk.js?v=" in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "tel:" not in page.text, "nobody dials on a survey device"
    elsewhere = await device.get("/no/such/page")
    assert "/kiosk" not in elsewhere.text


@pytest.mark.anyio
async def test_a_page_of_somebody_before_is_not_shown_again(desk: Desk, device: httpx.AsyncClient) -> None:
    """By real time: the clock of a demonstration stands still, or runs through a day in a second."""
    question = await enter(device, ticket="7")
    desk.monotonic[0] += LEFT_BEHIND.total_seconds() - 1
    thanks = await send(device, question, Q0="5")
    assert page_of(thanks) == "thanks", "who took long is thanked"
    desk.monotonic[0] += KIOSK_SLOW_S
    desk.clock.at += timedelta(days=1)
    assert page_of(await device.get(str(thanks.url))) == "thanks"
    desk.monotonic[0] += LEFT_BEHIND.total_seconds()
    for page in (question, thanks):
        again = await device.get(str(page.url))
        assert (again.status_code, again.headers["location"]) == (303, "/kiosk")
    gone = await device.get("/in/thanks?kiosk&f=changed")
    assert (gone.status_code, gone.headers["location"]) == (303, "/kiosk")


@pytest.mark.anyio
async def test_who_goes_back_finds_an_empty_form(device: httpx.AsyncClient) -> None:
    question = await enter(device, ticket="7")
    reasons = await send(device, question, Q0="1")
    assert "/next?f=" not in reasons.text.partition("<main")[2], "no way back"
    assert " checked" not in (await device.get(str(question.url))).text
    wrong = await send(device, question)
    assert (wrong.status_code, "Vui lòng chọn" in wrong.text) == (422, True)
    assert 'autocomplete="off"' in question.text


# --- the command


def test_the_command_makes_an_address_lists_and_closes(desk: Desk) -> None:
    made = json.loads(desk.run("enrol", "--unit", UNIT, "--name", " Quầy 2 ", "--json").stdout)
    assert (made["unit"], made["name"]) == (UNIT, "Quầy 2")
    token = made["address"].removeprefix("https://ks.example/kiosk/enrol/")
    assert len(token) >= 22
    assert token not in "".join(repr(line) for line in trail(desk))
    assert desk.run("enrol", "--unit", UNIT, "--name", "x").stdout.startswith("https://ks.example/kiosk/enrol/")
    book, now = KioskBook(desk.ledger), desk.wiring.clock.now()
    assert book.enrol(token, "secret", now)
    rows = {row["id"]: row["state"] for row in json.loads(desk.run("list", "--json").stdout)}
    assert rows[made["id"]] == "enrolled"
    assert rows["k1"] == "too late", "its address is of March"
    desk.run("close", made["id"])
    assert book.device("secret", now) is None
    assert "no open device" in str(desk.run("close", made["id"], code=1).exception)
    assert "closed" in desk.run("list").stdout
    assert "no such unit" in str(desk.run("enrol", "--unit", "X9", "--name", "x", code=2).exception)
    assert "--name" in str(desk.run("enrol", "--unit", UNIT, "--name", " ", code=2).exception)


def trail(desk: Desk) -> list[Any]:
    with desk.ledger.read() as reader:
        return list(reader.audit())


# --- in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = chromium.find()
    assert found is not None, chromium.MISSING
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=found, args=sandbox) as started:
        yield started


@pytest.fixture
def served(desk: Desk) -> Iterator[str]:
    """The site on a port of its own."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    one = uvicorn.Server(server(build_site(desk.parts()), "127.0.0.1", port))
    thread = threading.Thread(target=one.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not one.started:
        assert time.monotonic() < deadline, "the site did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    one.should_exit = True
    thread.join(20)


def at_question(page: Page, ticket: str) -> None:
    page.get_by_role("link", name="Số thứ tự lấy hôm nay").click()
    page.get_by_label("Số thứ tự").fill(ticket)
    page.get_by_role("button", name="Mở câu hỏi").click()
    expect(page.locator("main")).to_have_attribute("data-page", "ask-1")


def test_it_goes_back_by_itself_and_the_next_person_finds_nothing(browser: Browser, served: str, desk: Desk) -> None:
    context = browser.new_context(viewport={"width": 1080, "height": 1920}, locale="en-GB")
    page = context.new_page()
    page.clock.install()
    page.set_default_timeout(10_000)
    page.goto(f"{served}/kiosk/enrol/{TOKEN}?lang=vi")
    page.get_by_role("button", name="Ghi danh máy này").click()
    main, left = page.locator("main"), page.get_by_role("timer")
    expect(main).to_have_attribute("data-page", "kiosk-start")
    expect(left).to_have_count(0)
    at_question(page, "7")
    expect(left).to_contain_text("20 giây")
    page.clock.run_for(15_000)
    expect(left).to_contain_text("5 giây")
    page.get_by_text("Rất hài lòng", exact=True).click()
    page.clock.run_for(1_000)
    expect(left).to_contain_text("19 giây")
    page.get_by_role("button", name="Gửi câu trả lời").click()
    expect(main).to_have_attribute("data-page", "thanks")
    receipt = page.locator("b.code").inner_text()
    desk.monotonic[0] += 40  # the installation's clock stands still
    page.clock.run_for(21_000)
    expect(main).to_have_attribute("data-page", "kiosk-start")
    assert receipt not in page.content()
    page.go_back()
    expect(main).to_have_attribute("data-page", "kiosk-start")
    assert (len(context.cookies()), page.url) == (1, f"{served}/kiosk")
    page.go_back()
    expect(main).to_have_attribute("data-page", re.compile("kiosk-"))
    page.goto(f"{served}/kiosk")
    at_question(page, "8")
    expect(page.locator(":checked")).to_have_count(0)
    page.clock.run_for(21_000)
    expect(main).to_have_attribute("data-page", "kiosk-start")
    assert len(desk.log.answers()) == 1
    context.close()


def test_going_back_shows_nobody_a_page_that_was_left_however_soon(browser: Browser, served: str) -> None:
    context = browser.new_context(viewport={"width": 1080, "height": 1920})
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.goto(f"{served}/kiosk/enrol/{TOKEN}?lang=vi")
    page.get_by_role("button", name="Ghi danh máy này").click()
    main = page.locator("main")
    at_question(page, "7")
    page.get_by_text("Rất không hài lòng", exact=True).click()
    page.get_by_role("button", name="Gửi câu trả lời").click()
    expect(main).to_have_attribute("data-page", "ask-2")
    page.go_back()
    expect(main).to_have_attribute("data-page", "kiosk-start")
    assert page.url == f"{served}/kiosk"
    page.reload()
    expect(main).to_be_visible()
    context.close()


def test_a_message_goes_back_by_itself_and_by_its_button(browser: Browser, served: str, desk: Desk) -> None:
    context = browser.new_context(viewport={"width": 1080, "height": 1920})
    page = context.new_page()
    page.clock.install()
    page.set_default_timeout(10_000)
    page.goto(f"{served}/kiosk/enrol/{TOKEN}?lang=vi")
    page.get_by_role("button", name="Ghi danh máy này").click()
    main, left = page.locator("main"), page.get_by_role("timer")
    for address, shown in (("/kiosk/no/such", "error"), ("/in/next?kiosk&f=changed", "unreadable")):
        expect(main).to_have_attribute("data-page", "kiosk-start")
        page.goto(served + address)
        expect(main).to_have_attribute("data-page", shown)
        expect(left).to_contain_text("20 giây")
        page.clock.run_for(21_000)
    expect(main).to_have_attribute("data-page", "kiosk-start")
    cookies = context.cookies()
    context.close()
    scriptless = browser.new_context(viewport={"width": 1280, "height": 800}, java_script_enabled=False)
    scriptless.add_cookies(cookies)  # type: ignore[arg-type]  # as they came
    page = scriptless.new_page()
    page.goto(f"{served}/kiosk/no/such")
    page.get_by_role("link", name="Về màn hình đầu").click()
    expect(page.locator("main")).to_have_attribute("data-page", "kiosk-start")
    at_question(page, "8")
    button = page.get_by_role("button", name="Gửi câu trả lời").bounding_box()
    assert button is not None
    assert button["y"] + button["height"] <= 800, "no answer lies below the edge of a low screen"
    page.get_by_role("link", name="Về màn hình đầu").click()
    expect(page.locator("main")).to_have_attribute("data-page", "kiosk-start")
    scriptless.close()
