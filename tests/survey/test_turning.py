"""Turning a page into another language: it stays the page it is, and what was sent to get it is not sent again."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from hailong.domain import receipts
from hailong.domain.draw_published import Line, PublishedSeed
from hailong.ports import ReceiptState, SentMessage
from surveys.answers.form_state import SHOWN_FOR
from surveys.doors.drawing import DrawFound
from surveys.site import build_site
from tests.survey.twins import CODE, DIALLED, NOW, USED, VI, HandClock, MemoryLedger, MemoryLog, page_of, parts, sealed_in, slot

pytestmark = pytest.mark.anyio
DRAWN = DrawFound(Line("c" * 32, "H28.12", False, "asked", 2, date(2026, 3, 10)), date(2026, 3, 10), 0.25, "0f" * 16, "ref-1")


class Book:
    """A message was sent about one code; one line of the draw is found. Every asking is noted."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def sent_about(self, code: str) -> Sequence[SentMessage] | None:
        self.asked.append(code)
        return [SentMessage(date(2026, 3, 10), "sms", "invitation")] if code == "7KQ2MX9P" else None

    def slip_is_ours(self, code: str) -> bool:
        return False

    def report_fake(self, at: datetime, text_hash: str) -> None:
        self.asked.append(text_hash)

    def seeds(self) -> Sequence[PublishedSeed]:
        return []

    def lines(self, day: date) -> Sequence[Line] | None:
        return None

    def find(self, code: str) -> DrawFound | None:
        self.asked.append(code)
        return DRAWN if code == "FOUND" else None


@dataclass
class Site:
    ledger: MemoryLedger
    log: MemoryLog
    clock: HandClock
    book: Book
    http: httpx.AsyncClient

    async def post(self, path: str, **fields: str) -> httpx.Response:
        return await self.http.post(f"{path}?lang=vi", data=fields)

    def done(self) -> tuple[int, int, int]:
        """How much was looked up and recorded by now."""
        return len(self.book.asked), self.ledger.looked_up, len(self.log.records)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Site]:
    ledger, log, clock, book = MemoryLedger(), MemoryLog(), HandClock(), Book()
    ledger.add(slot())
    ledger.add(slot("used", answered=True))
    made = replace(parts(folder, ledger, log, clock, [0.0], unknown_codes_per_minute=600), sent=book, fakes=book, draw=book)
    app = build_site(made)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="https://ks.example") as http:
            yield Site(ledger, log, clock, book, http)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(tmp_path) as made:
        yield made


def english(page: httpx.Response) -> str:
    """The address of a page in English."""
    found = re.search(r'<nav[^>]*>.*?href="([^"]+)"[^>]*>English<', page.text)
    assert found, f"{page_of(page)} has no language to turn to"
    return str(page.url.join(html.unescape(found[1])))


async def turned(site: Site, page: httpx.Response, said: str) -> httpx.Response:
    """The page in English: the same one, and nothing was looked up or recorded for it."""
    before = site.done()
    other = await site.http.get(english(page))
    assert (page_of(other), '<html lang="en"' in other.text) == (page_of(page), True)
    assert said in other.text
    assert site.done() == before
    assert page_of(await site.http.get(re.sub(r"lang=en$", "lang=vi", str(other.url)))) == page_of(page)
    return other


# --- pages that answer a form


@pytest.mark.parametrize(
    ("path", "fields", "page", "said"),
    [
        ("/verify", {"code": "7KQ2MX9P"}, "verify-sent", "Invitation, sent on 10 March 2026 by SMS"),
        ("/verify", {"code": "ZZZZZZZZ"}, "verify-not_sent", f"For questions call {DIALLED}."),
        ("/verify", {"code": "?!"}, "verify-no_code", 'value="?!"'),
        ("/verify/report", {"message": "x"}, "verify-reported", "Noted, thank you"),
        ("/code", {"slip": "ABC"}, "enter-length", 'name="slip"'),
        ("/code", {"dossier": "UNKNOWN-1", "digits": "123"}, "enter-refused", f"Call {DIALLED} to answer by phone."),
        ("/feedback", {"words": "Tốt"}, "feedback-kept", "Thank you, your feedback has been kept"),
        ("/feedback", {"words": "lâu " * 200}, "feedback-too_long", 'name="words"'),
        ("/receipt", {"code": "HL-222"}, "receipt-length", 'value="HL-222"'),
        ("/draw", {"code": "FOUND"}, "draw-found", "Drawn with the number of</dt><dd>10 March 2026"),
        ("/draw", {"code": "NOBODY"}, "draw-unknown", "This code was not found"),
        (f"/{CODE}/stop", {}, "stopped", f"please also call {DIALLED} to be sure"),
        (f"/{CODE}/start", {}, "started", "From now on you may get survey messages again."),
        (f"/{CODE}", {"form": "changed"}, "unreadable", "Open the question again"),
        ("/verify/nowhere", {}, "error", "<h1>"),
    ],
)
async def test_the_page_after_a_form(site: Site, path: str, fields: dict[str, str], page: str, said: str) -> None:
    answer = await site.post(path, **fields)
    assert page_of(answer) == page
    other = await turned(site, answer, said)
    assert not any(value in str(other.url) for value in fields.values() if len(value) > 2), "nothing of it can be read in the address"


async def test_whose_phone_it_is_not(site: Site) -> None:
    who = await site.http.get(f"/{CODE}{VI}")
    await turned(site, await site.http.post(f"/{CODE}", data={"form": sealed_in(who), "not_me": "1"}), "there is nothing more to do")


async def test_the_receipt_and_the_two_steps_to_erase(site: Site) -> None:
    sent = await site.http.post(f"/{CODE}", data={"form": sealed_in(await question(site)), "Q0": "5", "finish": "1"})
    thanks = await site.http.get(sent.headers["location"])
    (receipt,) = re.findall(r'<b class="code">([^<]+)<', thanks.text)
    assert receipt in (await turned(site, thanks, "Your answer has been saved.")).text
    site.ledger.counted[receipts.receipt_hash(receipts.parse(receipt) or "")] = ReceiptState("s-1", "counted", NOW)
    for fields, page, said in (
        ({}, "receipt-counted", "Counted on 12 March 2026."),
        ({"step": "erase"}, "receipt-sure", "Erase it for good"),
    ):
        answer = await site.post("/receipt", code=receipt, **fields)
        assert page_of(answer) == page
        assert receipt in (await turned(site, answer, said)).text


async def filled_in(site: Site, page: httpx.Response, **fields: object) -> httpx.Response:
    """A form with these fields pressed to be in English, and where that leads."""
    (reason,) = re.findall(r'name="wrong" value="([^"]+)"', page.text) or [""]
    data = {"form": sealed_in(page), "at": "600", "wrong": reason, "turn": "en", **fields}
    before = site.done()
    answer = await site.http.post(f"/{CODE}", data=data)
    if answer.status_code == 303:
        answer = await site.http.get(answer.headers["location"])
    assert '<html lang="en"' in answer.text
    assert site.done() == before
    return answer


async def question(site: Site) -> httpx.Response:
    who = await site.http.get(f"/{CODE}{VI}")
    return await site.http.get(html.unescape(re.findall(r'rel="next" href="([^"]+)"', who.text)[0]))


async def test_what_was_wrong_with_an_answer_and_what_was_chosen(site: Site) -> None:
    form = await question(site)
    none = await site.http.post(f"/{CODE}", data={"form": sealed_in(form)})
    assert "Please choose one answer." in (await filled_in(site, none)).text
    two = await site.http.post(f"/{CODE}", data={"form": sealed_in(form), "Q0": ["2", "4"]})
    other = await filled_in(site, two, Q0=["2", "4"])
    assert "This question takes one answer only." in other.text
    assert re.findall(r'value="(\d)" checked', other.text) == ["2", "4"]
    sent = await site.http.post(f"/{CODE}", data={"form": sealed_in(other), "Q0": "4", "finish": "1"})
    assert sent.status_code == 303
    assert [fact.answers for fact in site.log.answers()] == [{"Q0": 4}]


async def test_what_is_chosen_and_not_sent_yet_goes_along_and_nothing_is_told_to_be_wrong(site: Site) -> None:
    form = await question(site)
    other = await filled_in(site, form, Q0="2")
    assert re.findall(r'value="(\d)" checked', other.text) == ["2"]
    assert 'class="problem"' not in other.text
    assert 'class="problem"' not in (await filled_in(site, form)).text
    strange = await filled_in(site, form, Q0=["x" * 9000, "3"])
    assert re.findall(r'value="([^"]+)" checked', strange.text) == ["3"], "only what the page asks for stands in the address"


async def test_what_was_unticked_stays_unticked(site: Site) -> None:
    """It is told as taken back once the form is sent, not before."""
    bad = await site.http.post(f"/{CODE}", data={"form": sealed_in(await question(site)), "Q0": "1"})
    reasons = await site.http.get(bad.headers["location"])
    asked = re.search(r'type="checkbox" id="[^"]+" name="(\w+)" value="(\w+)"', reasons.text)
    assert asked
    ticked = await site.http.post(f"/{CODE}", data={"form": sealed_in(reasons), asked[1]: asked[2]})
    back = re.search(r'class="back"><a href="([^"]+)"', (await site.http.get(ticked.headers["location"])).text)
    assert back
    again = await site.http.get(html.unescape(back[1]))
    assert re.findall(r'value="(\w+)" checked', again.text) == [asked[2]]
    other = await filled_in(site, again)
    assert '" checked' not in other.text
    assert (await site.http.post(f"/{CODE}", data={"form": sealed_in(other)})).status_code == 303
    assert [fact.answers for fact in site.log.answers()] == [{"Q0": 1}, {asked[1]: [asked[2]]}, {asked[1]: []}]


async def test_what_was_filled_in_shows_on_its_own_page_and_form_only(site: Site) -> None:
    form = await question(site)
    turned = await site.http.post(f"/{CODE}", data={"form": sealed_in(form), "turn": "en", "Q0": "2"})
    (unsent,) = re.findall(r"&m=([^&]+)", turned.headers["location"])
    (another,) = re.findall(r'rel="next" href="([^"]+)"', (await site.http.get(f"/{CODE}{VI}")).text)
    assert '" checked' not in (await site.http.get(html.unescape(another) + f"&m={unsent}")).text
    site.clock.at = NOW + SHOWN_FOR
    assert '" checked' not in (await site.http.get(turned.headers["location"])).text


# --- pages with an address


async def test_a_used_link_and_a_page_there_is_not(site: Site) -> None:
    for path, said in ((f"/{USED}{VI}", "This dossier already has an answer"), ("/no/such?x=1&lang=vi", "<h1>")):
        page = await site.http.get(path)
        assert (await site.http.get(english(page))).text.count(said) >= 1
    assert "x=1&lang=en" in english(page)


# --- what is sealed


async def test_it_can_be_turned_for_half_an_hour_and_only_at_its_own_page(site: Site) -> None:
    address = english(await site.post("/verify", code="7KQ2MX9P"))
    sealed = address.partition("?m=")[2]
    for elsewhere in ("/receipt", "/code", "/feedback", "/draw"):
        assert page_of(await site.http.get(f"{elsewhere}?m={sealed}")).endswith("-ask")
    for changed in (sealed[:-20] + "&lang=en", "x" * 9000, ""):
        assert page_of(await site.http.get(f"/verify?m={changed}")) == "verify-ask"
    site.clock.at = NOW + SHOWN_FOR - timedelta(seconds=1)
    assert page_of(await site.http.get(address)) == "verify-sent"
    site.clock.at = NOW + SHOWN_FOR
    assert page_of(await site.http.get(address)) == "verify-ask"
    told = await site.http.get("/told?m=x&lang=en")
    assert (told.status_code, told.headers["location"]) == (303, "/?lang=en")


RECEIPT = r'<b class="code">([^<]+)<'


async def test_the_receipt_is_for_whoever_gave_the_first_answer_with_that_form(site: Site) -> None:
    """Else a desk with the dossier's code could erase what it does not like."""

    async def first(form: httpx.Response) -> str:
        page = await site.http.get(html.unescape(re.findall(r'rel="next" href="([^"]+)"', form.text)[0]))
        sent = await site.http.post(f"/{CODE}", data={"form": sealed_in(page), "Q0": "1", "finish": "1"})
        return (await site.http.get(sent.headers["location"])).text

    one, other = await site.http.get(f"/{CODE}{VI}"), await site.http.get(f"/{CODE}{VI}")
    mine, theirs = re.findall(RECEIPT, await first(one)), re.findall(RECEIPT, await first(other))
    assert (len(mine), theirs) == (1, []), "a form opened before and sent later has no hold on the first answer"
    again = await site.http.get(f"/{CODE}?again=1&lang=vi")
    sent = await site.http.post(f"/{CODE}", data={"form": sealed_in(again), "Q0": "5", "finish": "1"})
    assert re.findall(RECEIPT, (await site.http.get(sent.headers["location"])).text) == []
