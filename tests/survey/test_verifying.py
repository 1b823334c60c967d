"""``/verify``: a message is told from a fake by its code, without saying to whom or about what; a fake is reported."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from hailong import telemetry
from hailong.domain import links, receipts
from hailong.ports import Retryable, SentMessage
from surveys.doors.verifying import REPORTS_PER_MINUTE, text_hash
from surveys.site import build_site
from surveys.wording import office, page_words
from tests.survey.twins import CODE, DIALLED, NOW, HandClock, MemoryLedger, MemoryLog, page_of, parts, unsealed

pytestmark = pytest.mark.anyio
SLIP = "7KQ2MX9P"
UNSENT = "8HJ3NY4R"
FREE, BOUND = "SLPFREE2", "SLPBND22"
"""Slips that we printed and wrote to nobody about: one leads to no dossier, the other to one."""
SENT = (SentMessage(date(2026, 3, 10), "sms", "invitation"), SentMessage(date(2026, 3, 17), "zns", "reminder"))


@dataclass
class Book:
    """What was sent and what was reported, in memory. ``away``: as when the database cannot be reached."""

    known: dict[str, Sequence[SentMessage]] = field(default_factory=lambda: {SLIP: SENT, CODE: SENT[:1], UNSENT: (), BOUND: ()})
    printed: set[str] = field(default_factory=lambda: {SLIP, FREE, BOUND})
    asked: list[str] = field(default_factory=list)
    reports: list[tuple[datetime, str]] = field(default_factory=list)
    away: bool = False

    def sent_about(self, code: str) -> Sequence[SentMessage] | None:
        if self.away:
            raise Retryable("ledger: away", 7.0)
        self.asked.append(code)
        return self.known.get(code)

    def slip_is_ours(self, code: str) -> bool:
        return code in self.printed

    def report_fake(self, at: datetime, text_hash: str) -> None:
        if self.away:
            raise Retryable("ledger: away", 7.0)
        self.reports.append((at, text_hash))


@dataclass
class Site:
    book: Book
    http: httpx.AsyncClient
    transport: httpx.ASGITransport
    monotonic: list[float]
    counters: CollectorRegistry

    async def check(self, typed: str, lang: str = "vi") -> httpx.Response:
        return await self.http.post(f"/verify?lang={lang}", data={"code": typed})

    async def report(self, message: str = "", lang: str = "vi") -> httpx.Response:
        return await self.http.post(f"/verify/report?lang={lang}", data={"message": message})

    def reported(self) -> float | None:
        return self.counters.get_sample_value("hailong_fake_reports_total")


@asynccontextmanager
async def opened(folder: Path, book: Book | None) -> AsyncIterator[Site]:
    monotonic, counters = [0.0], CollectorRegistry()
    made = parts(folder, MemoryLedger(), MemoryLog(), HandClock(), monotonic, unknown_codes_per_minute=5)
    app = build_site(replace(made, sent=book, fakes=book, counters=counters))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="https://ks.example") as http:
            yield Site(book or Book(), http, transport, monotonic, counters)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(tmp_path, Book()) as made:
        yield made


async def test_the_page_asks_for_a_code_and_has_the_button_for_fakes(site: Site) -> None:
    for lang, button in (("vi", "Báo tin giả"), ("en", "Report a fake message")):
        page = await site.http.get(f"/verify?lang={lang}")
        assert (page.status_code, page_of(page)) == (200, "verify-ask")
        assert f">{button}</button>" in page.text
        assert re.findall(r'name="(\w+)"', page.text.partition("<form")[2]) == ["code", "message"]
        assert int(page.headers["content-length"]) < 4_000, "over the wire, compressed"
        assert "set-cookie" not in page.headers
    assert (site.book.asked, site.book.reports) == ([], [])


@pytest.mark.parametrize("typed", [SLIP, "7kq2mx9p", "7KQ2-MX9P", " 7kq2 mx9p ", "7ＫＱ２ＭＸ９Ｐ"])
async def test_a_code_of_a_slip_tells_days_and_ways_and_nothing_else(site: Site, typed: str) -> None:
    page = await site.check(typed)
    assert (page.status_code, page_of(page)) == (200, "verify-sent")
    assert re.findall("<li>(.*?)</li>", page.text) == [
        "Lời mời đánh giá, gửi ngày 10/3/2026 bằng tin nhắn SMS",
        "Lời nhắc, gửi ngày 17/3/2026 bằng tin nhắn Zalo",
    ]
    assert SLIP not in page.text
    english = await site.check(typed, "en")
    assert "Invitation, sent on 10 March 2026 by SMS" in english.text
    assert site.book.asked == [SLIP, SLIP]


async def test_the_code_of_a_message_verifies_too(site: Site) -> None:
    assert page_of(await site.check(f"{CODE[:4]}-{CODE[4:]}")) == "verify-sent"


async def test_an_unknown_code_and_one_nobody_was_written_to_about_are_answered_alike(site: Site) -> None:
    nobody, unsent = await site.check("ZZZZZZZZ"), await site.check(UNSENT)
    assert page_of(nobody) == "verify-not_sent"
    assert unsealed(nobody) == unsealed(unsent)
    assert len(nobody.content) == len(unsent.content), "nor does what is sealed in it tell them apart"
    said, other = ({k: v for k, v in one.headers.items() if k != "content-length"} for one in (nobody, unsent))
    assert (nobody.status_code, said) == (unsent.status_code, other)
    assert "xin đừng mở liên kết" in nobody.text


@pytest.mark.parametrize(
    ("lang", "genuine", "warned"),
    [
        ("vi", "Đúng là mã của phiếu do chúng tôi in", "xin đừng mở liên kết"),
        ("en", "Yes, this is the code of a slip that we printed", "please do not open its link"),
    ],
)
async def test_a_slip_of_ours_is_said_to_be_ours_and_a_message_about_it_not(site: Site, lang: str, genuine: str, warned: str) -> None:
    free, bound = await site.check(f"{FREE[:4]}-{FREE[4:]}".lower(), lang), await site.check(BOUND, lang)
    assert (free.status_code, page_of(free)) == (200, "verify-slip")
    assert f"<h1>{genuine}</h1>" in free.text
    assert warned in free.text
    assert FREE not in free.text
    assert unsealed(free) == unsealed(bound)
    assert len(free.content) == len(bound.content), "whether it leads to a dossier is not told"


async def test_where_a_message_was_sent_the_slip_is_said_to_be_ours_beside_it(site: Site) -> None:
    said = WORDS["vi"]["verify"]["sent"]["slip"]
    assert said in (await site.check(SLIP)).text
    assert said not in (await site.check(CODE)).text, "the code of a message is no slip's"


async def test_who_holds_slips_of_ours_has_not_guessed(site: Site) -> None:
    for _ in range(8):
        assert page_of(await site.check(FREE)) == "verify-slip"
    assert page_of(await site.check("ZZZZZZZZ")) == "verify-not_sent"


@pytest.mark.parametrize("typed", ["", "7K", "x" * 27, "0912 345 678 !", "https://ks.example/ABC", "Đ" * 8, "7" * 500])
async def test_what_is_no_code_is_said_at_the_field_and_never_looked_up(site: Site, typed: str) -> None:
    page = await site.check(typed)
    assert (page.status_code, page_of(page)) == (422, "verify-no_code")
    assert '<a href="#code">' in page.text
    assert site.book.asked == []


async def test_unknown_codes_are_limited_over_all_addresses(site: Site) -> None:
    for n in range(5):
        site.transport.client = (f"198.51.100.{n}", 1)
        assert (await site.check(f"WRONG{n}")).status_code == 200
    site.transport.client = ("198.51.100.0", 1)
    refused = await site.check(SLIP)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    site.transport.client = ("203.0.113.9", 1)
    assert page_of(await site.check(SLIP)) == "verify-sent", "who did not guess is not shut out"
    site.monotonic[0] += 60
    site.transport.client = ("198.51.100.0", 1)
    assert page_of(await site.check(SLIP)) == "verify-sent"


@pytest.fixture
def spoken() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    telemetry.configure("survey", "info", stream)
    yield stream
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()


async def test_a_report_keeps_a_hash_counts_and_logs_and_nothing_of_the_text(site: Site, spoken: io.StringIO) -> None:
    pasted = "HCC: gọi 0912345678 nộp 500.000đ, Nguyễn Văn A https://bad.example/x"
    page = await site.report(pasted)
    assert (page.status_code, page_of(page)) == (200, "verify-reported")
    assert site.book.reports == [(NOW, text_hash(pasted))]
    assert site.reported() == 1
    assert "fake message reported" in spoken.getvalue()
    for personal in ("0912345678", "Nguyễn", "bad.example"):
        assert personal not in spoken.getvalue() + page.text


async def test_an_empty_report_counts_too_and_a_flood_is_stopped(site: Site) -> None:
    statuses = []
    for n in range(REPORTS_PER_MINUTE + 5):
        site.transport.client = (f"198.51.100.{n}", 1)
        statuses.append((await site.report()).status_code)
    assert statuses == [200] * REPORTS_PER_MINUTE + [429] * 5
    assert len(site.book.reports) == REPORTS_PER_MINUTE == site.reported()
    site.monotonic[0] += 60
    one = [(await site.report()).status_code for _ in range(12)]
    assert one == [200] * 10 + [429] * 2, "one address"


async def test_while_the_ledger_is_away_nothing_is_claimed_noted(site: Site) -> None:
    site.book.away = True
    for answer, state in ((await site.check(SLIP), "verify-away"), (await site.report("x"), "verify-report_away")):
        assert (answer.status_code, page_of(answer), answer.headers["retry-after"]) == (503, state, "7")
        assert "1022" in answer.text
    assert site.reported() == 0


async def test_without_its_parts_there_is_no_such_page(tmp_path: Path) -> None:
    async with opened(tmp_path, None) as site:
        assert (await site.http.get("/verify")).status_code == 404


@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_plain_code_or_none(typed: str) -> None:
    code = links.typed(typed)
    assert code is None or (re.fullmatch("[A-Z0-9]{4,26}", code) and links.typed(code) == code)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_messages_of_one_wave_have_one_hash_and_no_number_can_be_tried_out(one: int, other: int) -> None:
    assert text_hash(f"Goi {one} nop  phi A{one}B") == text_hash(f"goi {other} nop phi a{other}b")
    assert text_hash("Goi 1 nop phi") != text_hash("Goi 1 nop thue")


# --- replies of ours, which have no code

WORDS = page_words()
BRAND = office().brand
RECEIPT = receipts.shown(receipts.receipt(b"k" * 32, "survey"))
OURS = [
    (lang, said.format(brand=BRAND, codes="7KQ2 (10/3), B3NNX (9/12)", receipt=RECEIPT))
    for lang in ("vi", "en")
    for said in WORDS[lang]["sms"].values()
]


@pytest.mark.parametrize(("lang", "text"), OURS)
async def test_the_words_of_a_reply_are_known_for_ours_with_when_we_say_them(site: Site, lang: str, text: str) -> None:
    page = await site.check(f" {text.replace(' ', '  ').lower()}\n", lang)
    assert (page.status_code, page_of(page)) == (200, "verify-reply")
    said = WORDS[lang]["verify"]["reply"]
    assert f"<h1>{said['title']}</h1>" in page.text
    assert f"{DIALLED}." in page.text, "words prove nothing: who wrote nothing is told to call"
    assert site.book.asked == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: f"{text} http://hoabinh.example",
        lambda text: text.replace("1-5", "1-6").replace("1 rat", "tai khoan, 1 rat"),
        lambda text: text.replace("(10/3)", "(goi 0912345678)"),
        lambda text: text.replace(BRAND, "HCC HOABlNH"),
        lambda text: text + " " * 600 + "x",
    ],
)
async def test_anything_else_in_them_is_not_ours(site: Site, change: Callable[[str], str]) -> None:
    text = WORDS["vi"]["sms"]["which"].format(brand=BRAND, codes="7KQ2 (10/3)")
    assert page_of(await site.check(text)) == "verify-reply"
    assert page_of(await site.check(change(text))) == "verify-no_code"


async def test_a_receipt_that_is_none_is_no_reply_of_ours(site: Site) -> None:
    text = WORDS["vi"]["sms"]["thanks"].format(brand=BRAND, receipt=RECEIPT)
    assert page_of(await site.check(text)) == "verify-reply"
    last = "2" if RECEIPT[-1] != "2" else "3"
    assert page_of(await site.check(text[:-1] + last)) == "verify-no_code"


async def test_a_reply_of_ours_is_reported_only_by_who_insists(site: Site) -> None:
    text = WORDS["vi"]["sms"]["score"].format(brand=BRAND)
    page = await site.report(text)
    assert (page_of(page), site.book.reports) == ("verify-reply", [])
    assert f'name="message" value="{text}"' in page.text
    done = await site.http.post("/verify/report?lang=vi", data={"message": text, "sure": "1"})
    assert (page_of(done), len(site.book.reports)) == ("verify-reported", 1)
