"""``/did``: you said, we did."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from hailong.ports import Measure
from surveys.doors.coming import SHOWN
from tests.survey.twins import CODE, Installation, opened, page_of, slot

pytestmark = pytest.mark.anyio
UNIT, NAME = "H28.3", "Xã 3 (ví dụ)"


def measure(day: int, unit: str = UNIT, name: str = NAME) -> Measure:
    said, did = {"vi": f"Chờ lâu {day}", "en": f"Long waits {day}"}, {"vi": "Thêm <quầy>", "en": "Another <desk>"}
    return Measure(unit, date(2026, 3, day), said, did, name)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Installation]:
    async with opened(tmp_path, slot()) as made:
        made.ledger.units = {UNIT: NAME, "H28.4": "Xã 4 (ví dụ)"}
        yield made


async def test_newest_first_in_the_readers_language(site: Installation) -> None:
    site.ledger.did = [measure(1), measure(9), measure(5, "H28.5", "Xã 5")]
    page = await site.get(f"/did/{UNIT}?lang=en")
    assert (page.status_code, page_of(page)) == (200, "did-some")
    assert re.findall(r"Long waits \d", page.text) == ["Long waits 9", "Long waits 1"]
    assert "Another &lt;desk&gt;" in page.text
    assert f'<span class="quiet" lang="vi">{NAME}</span>' in page.text
    everywhere = await site.get("/did?lang=vi")
    assert re.findall(r"Chờ lâu \d", everywhere.text) == ["Chờ lâu 9", "Chờ lâu 5", "Chờ lâu 1"]
    assert 'href="/did/H28.5?lang=vi">Xã 5</a>' in everywhere.text


async def test_what_was_not_written_in_english_stands_there_in_vietnamese(site: Installation) -> None:
    only = {"vi": "Chờ lâu", "en": ""}, {"vi": "Thêm quầy", "en": ""}
    site.ledger.did = [Measure(UNIT, date(2026, 3, 1), *only, NAME)]
    page = await site.get(f"/did/{UNIT}?lang=en")
    assert '<p lang="vi">Chờ lâu</p>' in page.text
    assert '<p lang="vi">Thêm quầy</p>' in page.text
    assert "<p>Chờ lâu</p>" in (await site.get(f"/did/{UNIT}?lang=vi")).text


async def test_nothing_yet_is_a_sentence(site: Installation) -> None:
    unit, all_ = await site.get("/did/H28.4?lang=vi"), await site.get("/did?lang=en")
    assert (page_of(unit), page_of(all_)) == ("did-none", "did-none")
    assert "Nơi này chưa công bố việc đã làm" in unit.text
    assert "No office has published yet" in all_.text


async def test_no_unit_is_no_page_and_a_long_list_is_cut(site: Installation) -> None:
    assert (await site.get("/did/H99.9")).status_code == 404
    site.ledger.did = [measure(1 + n % 28) for n in range(SHOWN + 5)]
    assert (await site.get(f"/did/{UNIT}")).text.count("<section") == SHOWN


async def test_the_thanks_page_leads_there_without_the_ledger(site: Installation) -> None:
    page = await site.ask(CODE)
    answer = await site.send(page, CODE, Q0="4", finish="1")
    site.ledger.away = True
    thanks = await site.get(answer.headers["location"])
    assert thanks.status_code == 200
    assert f'href="/did/{UNIT}?lang=vi"' in thanks.text
    site.ledger.away = False
    assert page_of(await site.get(f"/did/{UNIT}?lang=vi")) == "did-none"


async def test_head_writes_nothing_and_away_is_said(site: Installation) -> None:
    assert (await site.http.head("/did")).status_code == 200
    site.ledger.away = True
    for path in ("/did", f"/did/{UNIT}"):
        page = await site.get(path)
        assert (page.status_code, page_of(page), page.headers["retry-after"]) == (503, "did-away", "7")
