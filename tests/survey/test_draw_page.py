"""``/draw``: seals before their day and numbers after it, the list of a closed day, one's own line by one's code, and nobody else's."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

import httpx
import pytest

from hailong.domain.draw_published import Line, PublishedSeed, line_id
from hailong.ports import Permanent, Retryable
from surveys.doors.drawing import LOOKUPS_PER_HOUR, SHOWN_LINES, DrawFound
from surveys.site import build_site
from tests.survey.twins import ZONE, HandClock, MemoryLedger, MemoryLog, page_of, parts

pytestmark = pytest.mark.anyio
DAY, NEXT = date(2026, 3, 10), date(2026, 3, 11)
OPENING = b"o" * 16
LINE = Line(line_id(OPENING, "ref-1"), "H28.12", True, "asked", 2, DAY)
FOUND = DrawFound(LINE, DAY, 0.25, OPENING.hex(), "ref-1")
CODE, WAITS = "H28.12-260310-0001", "H28.12-260310-0002"
SEEDS = (
    PublishedSeed(NEXT, "b" * 64, datetime(2026, 3, 11, 9, 30, tzinfo=ZONE)),
    PublishedSeed(DAY, "a" * 64, datetime(2026, 3, 9, 12, 0, tzinfo=ZONE), "5e" * 32, datetime(2026, 3, 11, 0, 5, tzinfo=ZONE)),
)


@dataclass
class Book:
    """What may be known, in memory. ``away``: as when ledger or ClickHouse cannot be asked."""

    lists: dict[date, list[Line]] = field(default_factory=lambda: {DAY: [LINE, Line("c" * 32, "", False, "personal", 1, DAY)]})
    asked: list[str] = field(default_factory=list)
    away: Exception | None = None

    def _there(self) -> None:
        if self.away is not None:
            raise self.away

    def seeds(self) -> Sequence[PublishedSeed]:
        self._there()
        return SEEDS

    def lines(self, day: date) -> Sequence[Line] | None:
        self._there()
        return self.lists.get(day)

    def find(self, code: str) -> DrawFound | None:
        self._there()
        self.asked.append(code)
        return {CODE: FOUND, WAITS: DrawFound(None, None, None, "", "")}.get(code)


@dataclass
class Site:
    book: Book
    http: httpx.AsyncClient
    transport: httpx.ASGITransport
    monotonic: list[float]

    async def look(self, code: str, lang: str = "vi") -> httpx.Response:
        return await self.http.post(f"/draw?lang={lang}", data={"code": code})


@asynccontextmanager
async def opened(folder: Path, book: Book | None) -> AsyncIterator[Site]:
    monotonic = [0.0]
    made = parts(folder, MemoryLedger(), MemoryLog(), HandClock(), monotonic, unknown_codes_per_minute=5)
    app = build_site(replace(made, draw=book))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="https://ks.example") as http:
            yield Site(book or Book(), http, transport, monotonic)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(tmp_path, Book()) as made:
        yield made


async def test_the_page_says_what_is_drawn_and_shows_each_days_seal_and_number(site: Site) -> None:
    page = await site.http.get("/draw?lang=vi")
    assert (page.status_code, page_of(page)) == (200, "draw-ask")
    assert re.findall("<h3>(.*?)</h3>", page.text) == ["11/3/2026", "10/3/2026"]
    open_day, closed_day = page.text.partition("<h3>10/3/2026</h3>")[::2]
    assert ("b" * 64 in open_day, "công bố muộn, lúc 9:30" in open_day, "/draw/2026-03-11" in open_day) == (True, True, False)
    assert ("a" * 64 in closed_day, "5e" * 32 in closed_day, 'href="/draw/2026-03-10.csv"' in closed_day) == (True, True, True)
    assert "công bố lúc 12:00 ngày 9/3/2026" in closed_day
    assert "<script" not in page.text
    assert "set-cookie" not in page.headers
    english = await site.http.get("/draw?lang=en")
    assert "Who is asked is drawn by lot" in english.text


async def test_with_the_code_of_their_receipt_people_find_their_line_and_can_check_it(site: Site) -> None:
    page = await site.look(f"  {CODE} ")
    assert (page.status_code, page_of(page), site.book.asked) == (200, "draw-found", [CODE])
    assert "Được hỏi: hồ sơ này được mời đánh giá." in page.text
    assert "thay cho 2 hồ sơ" in page.text
    shown = re.findall("<code>(.*?)</code>", page.text)
    assert shown[:3] == [LINE.id, "ref-1", OPENING.hex()]
    assert line_id(bytes.fromhex(shown[2]), shown[1]) == shown[0]
    assert CODE not in page.text


async def test_a_dossier_without_a_published_line_and_an_unknown_code_are_told_apart(site: Site) -> None:
    assert page_of(await site.look(WAITS, "en")) == "draw-waiting"
    assert page_of(await site.look("NOBODY")) == "draw-unknown"


@pytest.mark.parametrize("typed", ["", "7K", "x" * 121, "ab\x00cd"])
async def test_what_can_be_no_code_is_said_at_the_field_and_never_looked_up(site: Site, typed: str) -> None:
    page = await site.look(typed)
    assert (page.status_code, page_of(page), site.book.asked) == (422, "draw-no_code", [])
    assert 'aria-invalid="true"' in page.text


async def test_codes_that_exist_cost_a_look_up_too_so_that_nobody_walks_through_them(site: Site) -> None:
    each = LOOKUPS_PER_HOUR // 30
    statuses = [(await site.look(CODE)).status_code for _ in range(each + 1)]
    assert statuses == [200] * each + [429]
    site.transport.client = ("203.0.113.8", 4711)
    assert (await site.look(CODE)).status_code == 200
    site.transport.client = ("203.0.113.7", 4711)
    site.monotonic[0] += 3600
    assert (await site.look(CODE)).status_code == 200


async def test_unknown_codes_count_with_those_of_links(site: Site) -> None:
    statuses = [(await site.look(f"NOBODY{n}")).status_code for n in range(7)]
    assert 429 in statuses


async def test_the_list_of_a_closed_day_is_a_page_and_a_file(site: Site) -> None:
    page = await site.http.get(f"/draw/{DAY}?lang=en")
    assert (page.status_code, page_of(page)) == (200, "draw-day")
    assert "Not asked: a private reason: <b>1</b>" in page.text
    assert "offices with few lines" in page.text
    filed = await site.http.get(f"/draw/{DAY}.csv")
    assert filed.headers["content-type"] == "text/csv; charset=utf-8"
    assert list(csv.DictReader(io.StringIO(filed.text))) == [
        {"line": LINE.id, "unit": "H28.12", "decision": "asked", "reason": "asked", "weight": "2", "seed_day": "2026-03-10"},
        {"line": "c" * 32, "unit": "", "decision": "not_asked", "reason": "personal", "weight": "1", "seed_day": "2026-03-10"},
    ]


async def test_a_long_list_is_cut_on_its_page_and_whole_in_its_file(site: Site) -> None:
    site.book.lists[DAY] = [replace(LINE, id=f"{n:032x}") for n in range(SHOWN_LINES + 5)]
    page, filed = await site.http.get(f"/draw/{DAY}"), await site.http.get(f"/draw/{DAY}.csv")
    assert (page.text.count("<tr><td>"), len(filed.text.splitlines())) == (SHOWN_LINES, SHOWN_LINES + 6)


@pytest.mark.parametrize("name", ["2026-03-11", "2026-03-11.csv", "20260310", "2026-02-30", "today", "2026-03-10.csv.csv"])
async def test_what_is_no_day_or_is_not_over_has_no_list(site: Site, name: str) -> None:
    assert (await site.http.get(f"/draw/{name}")).status_code == 404


@pytest.mark.parametrize("away", [Retryable("ClickHouse is not reachable", 7.0), Permanent("no tables")])
async def test_when_the_record_cannot_be_read_a_sentence_says_so(site: Site, away: Exception) -> None:
    site.book.away = away
    for answer in (await site.http.get("/draw"), await site.look(CODE), await site.http.get(f"/draw/{DAY}")):
        assert (answer.status_code, page_of(answer), int(answer.headers["retry-after"]) > 0) == (503, "draw-away", True)


async def test_without_a_book_there_is_no_such_page(tmp_path: Path) -> None:
    async with opened(tmp_path, None) as site:
        assert (await site.http.get("/draw")).status_code == 404
