"""``/receipt``: a receipt proves that an answer is counted and can have it erased; what was answered nobody learns."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
import structlog

from hailong import telemetry
from hailong.domain import receipts
from hailong.ports import ReceiptState
from tests.survey.twins import CODE, KEY, ZONE, Installation, opened, page_of, slot

pytestmark = pytest.mark.anyio
COUNTED, HELD, ERASED, NOBODYS = (receipts.receipt(KEY, one) for one in ("counted", "held", "erased", "nobody"))
LATE = datetime(2026, 3, 11, 23, 30, tzinfo=ZONE)
"""Still the same day there, the 11th in UTC too only by the hour."""


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Installation]:
    async with opened(tmp_path, slot()) as made:
        for code, state in ((COUNTED, "counted"), (HELD, "held"), (ERASED, "erased")):
            made.ledger.counted[receipts.receipt_hash(code)] = ReceiptState(state, state, LATE)  # type: ignore[arg-type]
        yield made


@pytest.fixture
def spoken() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    telemetry.configure("survey", "debug", stream)
    yield stream
    structlog.reset_defaults()


async def check(site: Installation, typed: str, lang: str = "vi", **more: str) -> httpx.Response:
    return await site.http.post(f"/receipt?lang={lang}", data={"code": typed, **more})


async def test_the_page_asks_for_the_code_and_looks_nothing_up(site: Installation) -> None:
    for lang in ("vi", "en"):
        page, head = await site.get(f"/receipt?lang={lang}"), await site.http.head(f"/receipt?lang={lang}")
        assert (page.status_code, page_of(page), head.status_code) == (200, "receipt-ask", 200)
        assert re.findall(r'<input[^>]* name="(\w+)"', page.text) == ["code"]
        assert int(page.headers["content-length"]) < 4_000, "over the wire, compressed"
    assert site.ledger.looked_up == 0


@pytest.mark.parametrize("typed", [receipts.shown(COUNTED), COUNTED.lower(), f"hl {COUNTED[:5]} {COUNTED[5:]}"])
async def test_a_counted_answer_is_told_with_its_local_day_and_not_what_it_was(site: Installation, typed: str) -> None:
    page = await check(site, typed)
    assert (page.status_code, page_of(page)) == (200, "receipt-counted")
    assert "Được tính ngày 11/3/2026." in page.text.replace("\u00a0", " ")
    assert receipts.shown(COUNTED) in page.text
    english = await check(site, typed, "en")
    assert "Counted on 11 March 2026." in english.text.replace("\u00a0", " ")
    for word in ("hài lòng", "Q0", "satisfied"):
        assert word not in re.sub(r'\bm=[^"&]+', "", page.text + english.text)  # sealed letters may spell anything


async def test_held_and_erased_answers_are_told(site: Installation) -> None:
    held, erased = await check(site, HELD), await check(site, ERASED)
    assert (page_of(held), page_of(erased)) == ("receipt-held", "receipt-erased")
    assert "không bị mất" in held.text
    assert 'value="erase"' in held.text
    assert 'value="erase"' not in erased.text


async def test_an_unknown_and_a_mistyped_one_are_told_in_the_same_words_and_the_sign_is_named(site: Installation) -> None:
    unknown = await check(site, NOBODYS)
    looked_up = site.ledger.looked_up
    wrong = COUNTED[:-1] + ("2" if COUNTED[-1] != "2" else "3")
    mistyped, short = await check(site, wrong), await check(site, COUNTED[:-1])
    assert site.ledger.looked_up == looked_up == 1
    states = ["receipt-unknown", "receipt-sign", "receipt-length"]
    assert [(p.status_code, page_of(p)) for p in (unknown, mistyped, short)] == [(422, s) for s in states]
    titles = {re.search("<p><b>(.*?)</b></p>", p.text)[1] for p in (unknown, mistyped, short)}  # type: ignore[index]
    assert titles == {"Không tìm thấy câu trả lời với mã này"}
    assert "ít nhất một ký tự gõ nhầm" in mistyped.text
    for page in (unknown, mistyped, short):
        assert 'aria-invalid="true" aria-describedby="code-hint code-error"' in page.text


async def test_erasing_takes_two_steps_and_says_what_it_does(site: Installation) -> None:
    asked = await check(site, COUNTED, "en", step="erase")
    assert page_of(asked) == "receipt-sure"
    assert "no longer part of results worked out from then on" in asked.text
    assert "erased at once" in asked.text
    assert site.ledger.counted[receipts.receipt_hash(COUNTED)].state == "counted"
    kept = await check(site, COUNTED, "en", step="")
    assert page_of(kept) == "receipt-counted"
    done = await check(site, COUNTED, "en", step="sure")
    assert (done.status_code, page_of(done)) == (200, "receipt-erased_now")
    assert site.ledger.counted[receipts.receipt_hash(COUNTED)].state == "erased"
    assert page_of(await check(site, COUNTED, "en", step="sure")) == "receipt-erased", "pressed twice"


async def test_nobody_erases_what_is_unknown(site: Installation) -> None:
    assert page_of(await check(site, NOBODYS, step="sure")) == "receipt-unknown"


async def test_guesses_are_limited(tmp_path: Path) -> None:
    async with opened(tmp_path, unknown_codes_per_minute=4) as site:
        assert [(await check(site, NOBODYS)).status_code for _ in range(6)] == [422] * 4 + [429] * 2


async def test_while_the_ledger_is_away_nothing_is_claimed(site: Installation) -> None:
    site.ledger.away = True
    for step, state in (("", "away"), ("erase", "away"), ("sure", "erase_away")):
        page = await check(site, COUNTED, step=step)
        assert (page.status_code, page_of(page), page.headers["retry-after"]) == (503, f"receipt-{state}", "7")
        assert f'value="{receipts.shown(COUNTED)}"' in page.text


async def test_the_receipt_of_the_thanks_page_is_the_one_that_is_found(site: Installation) -> None:
    page = await site.ask(CODE)
    answer = await site.send(page, CODE, Q0="4", finish="1")
    thanks = await site.get(answer.headers["location"])
    code = re.search(r"HL-\w{3}-\w{3}-\w{4}", thanks.text)
    assert code
    assert page_of(await check(site, code[0])) == "receipt-unknown", "until it is counted"
    site.ledger.counted[receipts.receipt_hash(receipts.receipt(KEY, site.log.answers()[0].nonce))] = ReceiptState("s-1", "counted", LATE)
    assert page_of(await check(site, code[0])) == "receipt-counted"


async def test_no_receipt_is_logged(site: Installation, spoken: io.StringIO) -> None:
    for typed in (COUNTED, NOBODYS, COUNTED[:-1]):
        await check(site, receipts.shown(typed), step="sure")
        assert typed not in spoken.getvalue()
        assert receipts.shown(typed) not in spoken.getvalue()
    assert '"/receipt"' in spoken.getvalue()
