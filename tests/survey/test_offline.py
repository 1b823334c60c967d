"""No signal: what was filled in is kept on the phone and sent later by itself, once, with its own time. A real Chromium, a real server."""

from __future__ import annotations

import gzip
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from starlette.applications import Starlette

from surveys import serving
from surveys.site import build_site
from tests.browser import chromium
from tests.survey.twins import MemoryLedger, MemoryLog, parts, slot
from web.assembly import server

KEPT = """() => new Promise(done => {
  const opening = indexedDB.open("hailong", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("kept", {keyPath: "key"});
  opening.onsuccess = () => {
    const all = opening.result.transaction("kept").objectStore("kept").getAll();
    all.onsuccess = () => { opening.result.close(); done(all.result); };
  };
})"""
"""What a phone keeps."""


@dataclass
class ShiftedClock:
    """Real time, and as much later as is asked for."""

    shift: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift


@dataclass
class Site:
    """A survey site on a port of its own, which can be taken away and put back."""

    app: Starlette
    port: int
    ledger: MemoryLedger
    log: MemoryLog
    clock: ShiftedClock
    _running: tuple[uvicorn.Server, threading.Thread] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        one = uvicorn.Server(replace_config(server(self.app, "127.0.0.1", self.port)))
        thread = threading.Thread(target=one.run, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not one.started:
            assert time.monotonic() < deadline, "the site did not start"
            time.sleep(0.01)
        self._running = one, thread

    def stop(self) -> None:
        if self._running is not None:
            one, thread = self._running
            one.should_exit = True
            thread.join(20)
            self._running = None

    def dossier(self, survey_id: str) -> str:
        """The code of a new dossier's link."""
        now = self.clock.now()
        return self.ledger.add(slot(survey_id, expires_at=now + timedelta(days=30), ended_on=now.date()))


def replace_config(config: uvicorn.Config) -> uvicorn.Config:
    """The lifespan is run once; the server may start several times."""
    config.lifespan = "off"
    return config


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ledger, log, clock = MemoryLedger(), MemoryLog(), ShiftedClock()
    made = parts(tmp_path_factory.mktemp("site"), ledger, log, clock, [0.0])  # type: ignore[arg-type]  # a clock is a clock
    one = Site(build_site(replace(made, monotonic=time.monotonic)), port, ledger, log, clock)
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = chromium.find()
    assert found is not None, chromium.MISSING
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=found, args=sandbox) as started:
        yield started


@pytest.fixture
def phone(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 360, "height": 640}, locale="vi-VN")
    context.set_default_timeout(10_000)
    yield context
    context.close()


def question(phone: BrowserContext, site: Site, code: str) -> Page:
    """A new tab at the first question, with its service worker at work."""
    page = phone.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
    page.goto(f"{site.url}/{code}")
    page.get_by_role("link", name="Đúng, tôi đã làm").click()
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    assert complaints == []
    return page


def answer(page: Page, words: str = "Rất hài lòng") -> None:
    page.get_by_text(words, exact=True).click()
    page.get_by_role("button", name="Gửi câu trả lời").click()


def told(page: Page, name: str, within: str = "") -> None:
    """Wait until this sentence, and no other, can be read."""
    expect(page.locator(f"{within}p[data-say={name}]")).to_be_visible()
    expect(page.locator(f"{within}p[data-say]:visible")).to_have_count(1)


def facts(site: Site, survey_id: str) -> list[Any]:
    return [one for one in site.log.answers() if one.survey_id == survey_id]


def test_without_signal_it_is_kept_told_and_sent_once_with_its_own_time(phone: BrowserContext, site: Site) -> None:
    page = question(phone, site, site.dossier("no-signal"))
    phone.set_offline(True)
    answer(page)
    told(page, "kept")
    expect(page.get_by_role("button", name="Gửi câu trả lời")).to_be_disabled()
    (kept,) = page.evaluate(KEPT)
    assert ["Q0", "5"] in kept["fields"]
    early = datetime.fromtimestamp(kept["since"] / 1000, UTC)
    assert facts(site, "no-signal") == []
    phone.set_offline(False)
    expect(page.locator("main")).to_have_attribute("data-page", "ask-3")
    (fact,) = facts(site, "no-signal")
    assert (fact.answers, fact.mode, fact.place) == ({"Q0": 5}, "link", "away")
    assert abs(fact.answered_at - early) <= timedelta(seconds=2)
    assert page.evaluate(KEPT) == []
    assert len([r for r in site.log.records if b"no-signal" in r.value]) == 1


@pytest.mark.parametrize("year", [2019, 2031])
def test_a_phone_whose_clock_is_years_off_sends_what_it_kept(phone: BrowserContext, site: Site, year: int) -> None:
    page = question(phone, site, site.dossier(f"clock-{year}"))
    page.clock.set_fixed_time(datetime(year, 5, 1, tzinfo=UTC))
    phone.set_offline(True)
    answer(page)
    told(page, "kept")
    phone.set_offline(False)
    expect(page.locator("main")).to_have_attribute("data-page", "ask-3")
    (fact,) = facts(site, f"clock-{year}")
    assert abs(fact.answered_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_site_out_of_reach_is_no_signal_too_and_the_address_bar_has_no_code_then(phone: BrowserContext, site: Site) -> None:
    code = site.dossier("away")
    page = question(phone, site, code)
    page.reload()  # a second page, at which the worker takes the page for such moments along
    page.wait_for_function("caches.keys().then(n => n.length && caches.open(n[0]).then(c => c.keys())).then(kept => kept.length === 2)")
    site.stop()
    try:
        answer(page, "Bình thường")
        told(page, "kept", "section[lang=vi] ")
        told(page, "kept", "section[lang=en] ")
        assert page.url == f"{site.url}/offline"
        assert len(page.evaluate(KEPT)) == 1
        page.goto(f"{site.url}/{code}")
        expect(page.locator("main")).to_have_attribute("data-page", "offline")
    finally:
        site.start()
    page = phone.new_page()  # the tab from before may be on its way to the thanks
    page.goto(f"{site.url}/{code}")
    page.wait_for_function(f"({KEPT})().then(kept => kept.length === 0)")
    assert [fact.answers for fact in facts(site, "away")] == [{"Q0": 3}]
    kept = page.evaluate("caches.keys().then(names => Promise.all(names.map(n => caches.open(n).then(c => c.keys()))))")
    assert len(kept) == 1
    cached = page.evaluate("caches.keys().then(n => caches.open(n[0])).then(c => c.keys()).then(k => k.map(r => r.url))")
    assert sorted(cached) == [f"{site.url}/offline", f"{site.url}{serving.script('offline.js')}"]


def test_what_is_refused_for_good_is_told_and_cleared(phone: BrowserContext, site: Site) -> None:
    page = question(phone, site, site.dossier("late"))
    phone.set_offline(True)
    answer(page)
    told(page, "kept")
    site.clock.shift = timedelta(days=31)
    try:
        phone.set_offline(False)
        told(page, "refused")
    finally:
        site.clock.shift = timedelta()
    assert page.evaluate(KEPT) == []
    assert facts(site, "late") == []


def test_who_shares_the_phone_can_delete_it_and_what_is_too_old_goes_unsent(phone: BrowserContext, site: Site) -> None:
    page = question(phone, site, site.dossier("shared"))
    phone.set_offline(True)
    answer(page)
    page.get_by_role("button", name="Không gửi nữa, xóa khỏi điện thoại").click()
    told(page, "dropped")
    assert page.evaluate(KEPT) == []
    page.get_by_role("button", name="Gửi câu trả lời").click()
    told(page, "kept")
    page.evaluate(f"""({KEPT})().then(kept => new Promise(done => {{ const o = indexedDB.open("hailong", 1); o.onsuccess = () => {{
        const t = o.result.transaction("kept", "readwrite"); t.objectStore("kept").put({{...kept[0], until: 1}});
        t.oncomplete = () => {{ o.result.close(); done(); }} }} }}))""")
    phone.set_offline(False)
    told(page, "refused")
    assert (page.evaluate(KEPT), facts(site, "shared")) == ([], [])


def test_on_the_very_first_page_a_plain_sentence_tells(phone: BrowserContext, site: Site) -> None:
    code = site.dossier("first-page")
    page = question(phone, site, code)
    site.stop()
    try:
        answer(page)
        expect(page.locator("body")).to_contain_text("được giữ trong điện thoại này")
        expect(page.locator("body")).to_contain_text("kept on this phone")
    finally:
        site.start()
    page = phone.new_page()  # the tab from before may be on its way to the thanks
    page.goto(f"{site.url}/{code}")
    page.wait_for_function(f"({KEPT})().then(kept => kept.length === 0)")
    assert [fact.answers for fact in facts(site, "first-page")] == [{"Q0": 5}]


def test_what_comes_first_is_light_and_asks_four_things_at_most(phone: BrowserContext, site: Site) -> None:
    asked: list[Any] = []
    phone.on("requestfinished", lambda request: asked.append(request))
    page = question(phone, site, site.dossier("light"))
    page.wait_for_load_state("networkidle")
    assert len(asked) == 4, "who, question, script, worker"
    assert {r.url.partition("?")[0].rpartition("/")[2] for r in asked} >= {"next", "offline.js", "sw.js"}
    assert sum(sum(r.sizes()[k] for k in ("responseBodySize", "responseHeadersSize")) for r in asked) <= 30_000
    scripts = [page.request.get(f"{site.url}{one}").body() for one in ("/sw.js", "/offline.js", "/kiosk.js")]
    assert sum(len(gzip.compress(one)) for one in scripts) <= 6 * 1024


@pytest.mark.parametrize("name", ["offline.js", "sw.js", "kiosk.js"])
def test_scripts_name_no_other_site_and_make_no_code_of_text(name: str) -> None:
    text = Path(serving.FOLDER / name).read_text("utf-8")
    assert not re.search(r"https?://|eval|innerHTML|document\.write|new Function|localStorage", text)


def test_what_fills_the_hidden_time_in_without_a_script_changes_nothing(phone: BrowserContext, site: Site, browser: Browser) -> None:
    plain = browser.new_context(java_script_enabled=False, locale="vi-VN")
    try:
        page = plain.new_page()
        page.goto(f"{site.url}/{site.dossier('plain')}")
        page.get_by_role("link", name="Đúng, tôi đã làm").click()
        before = datetime.now(UTC)
        answer(page)
        (fact,) = facts(site, "plain")
        assert before <= fact.answered_at <= datetime.now(UTC)
    finally:
        plain.close()
