"""Zalo's events at the survey site: a tap on the stars is an answer to Q0 like one from the page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from hailong.ports import Receipt
from surveys.channels.zns_events import SIGNATURE_HEADER, ZnsEvents
from surveys.inbound.ratings import HEADER
from surveys.site import build_site
from tests.survey.twins import CODE, ENGLISH, NOW, OLD, UNKNOWN, HandClock, MemoryLedger, MemoryLog, about, parts, slot, until

pytestmark = pytest.mark.anyio

EVENTS = ZnsEvents("4711", "oa-secret")


@dataclass
class Site:
    """The survey site as Zalo reaches it."""

    ledger: MemoryLedger
    log: MemoryLog
    spool_folder: Path
    counters: CollectorRegistry
    http: httpx.AsyncClient

    async def event(self, name: str, signature: str | None = None, **message: Any) -> httpx.Response:
        content = {"event_name": name, "app_id": "4711", "timestamp": "1616673095700", "message": message}
        body = json.dumps(content, ensure_ascii=False).encode()
        mac = hashlib.sha256(b"4711" + body + b"1616673095700" + b"oa-secret").hexdigest()
        headers = {SIGNATURE_HEADER: f"mac={mac}" if signature is None else signature, "Content-Type": "application/json"}
        return await self.http.post("/receipts/zns", content=body, headers=headers)

    async def tap(self, rate: Any = 4, code: str = CODE, submitted: str = "1616673095659", **more: Any) -> httpx.Response:
        return await self.event("user_feedback", msg_id="ZN1", tracking_id=code, rate=rate, submit_time=submitted, **more)

    def became(self, word: str) -> float:
        return self.counters.get_sample_value("hailong_survey_zalo_events_total", {"became": word}) or 0


@asynccontextmanager
async def site_with(folder: Path, door: ZnsEvents | None) -> AsyncIterator[Site]:
    ledger, log, counters = MemoryLedger(), MemoryLog(), CollectorRegistry()
    for one in (slot(), slot("old", expires_at=NOW - timedelta(seconds=1)), slot("english", language="en")):
        ledger.add(one)
    made = replace(parts(folder, ledger, log, HandClock(), [0.0]), zalo=door, counters=counters)
    app = build_site(made)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("203.0.113.7", 4711)), base_url="https://ks.example") as http,
    ):
        yield Site(ledger, log, folder / "spool", counters, http)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_with(tmp_path, EVENTS) as made:
        yield made


async def test_a_rating_is_the_answer_to_q0(site: Site) -> None:
    assert (await site.tap(4)).status_code == 200
    (fact,) = site.log.answers()
    assert (fact.survey_id, fact.answers, fact.page) == ("s-1", {"Q0": 4}, 1)
    assert (fact.mode, fact.language, fact.answered_at, fact.about) == ("zns", "vi", NOW, about())
    assert (fact.questionnaire, fact.questionnaire_version) == ("ttp-core", 1)
    assert site.became("rating") == 1


async def test_the_language_is_the_one_the_message_was_in(site: Site) -> None:
    await site.tap(code=ENGLISH)
    assert site.log.answers()[0].language == "en"


async def test_an_event_that_comes_twice_counts_once_and_another_tap_does_not(site: Site) -> None:
    for _ in range(2):
        assert (await site.tap(4)).status_code == 200
    assert len(site.log.records) == 2
    assert len(site.log.answers()) == 1
    await site.tap(2, submitted="1616673099999")
    assert [fact.answers["Q0"] for fact in site.log.answers()] == [4, 2]
    assert len({fact.nonce for fact in site.log.answers()}) == 2


async def test_while_the_log_is_away_it_is_acknowledged_from_the_spool(site: Site) -> None:
    site.log.away = True
    assert (await site.tap()).status_code == 200
    site.log.away = False
    await until(lambda: len(site.log.answers()) == 1)


@pytest.mark.parametrize("what", ["ledger", "log and spool"])
async def test_what_cannot_be_kept_is_not_acknowledged(site: Site, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "ledger":
        site.ledger.away = True
    else:
        site.log.away = True

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("os.pwrite", full)
        answer = await site.tap()
    assert (answer.status_code, site.log.records) == (503, [])
    assert int(answer.headers["retry-after"]) >= 1
    assert site.became("put_off") == 1


@pytest.mark.parametrize("code", [UNKNOWN, "", "no code", "x" * 500])
async def test_a_rating_of_nobody_we_know_is_acknowledged_and_counted(site: Site, code: str) -> None:
    assert (await site.tap(code=code)).status_code == 200
    assert (site.log.records, site.became("unknown")) == ([], 1)


async def test_a_rating_after_the_links_time_is_no_answer(site: Site) -> None:
    assert (await site.tap(code=OLD)).status_code == 200
    assert (site.log.records, site.became("expired")) == ([], 1)


@pytest.mark.parametrize(
    ("rate", "word"), [(0, "not_an_option"), (6, "not_an_option"), ("many", "unreadable_event"), (None, "unreadable_event")]
)
async def test_a_rating_outside_the_scale_is_counted_and_does_not_come_again(site: Site, rate: Any, word: str) -> None:
    assert (await site.tap(rate)).status_code == 200
    assert (site.log.records, site.became(word)) == ([], 1)


async def test_what_was_written_beside_it_stays_nowhere(site: Site) -> None:
    site.log.away = True
    await site.tap(note="Ông Bình thu thêm", feedbacks=["Thái độ"])
    site.log.away = False
    await until(lambda: bool(site.log.records))
    assert "thu thêm" not in site.log.records[0].value.decode()
    assert site.log.answers()[0].answers == {"Q0": 4}


async def test_what_zalo_did_not_sign_is_refused(site: Site) -> None:
    for signature in ("", "mac=", "mac=" + "0" * 64):
        assert (await site.event("user_feedback", signature, msg_id="ZN1", tracking_id=CODE, rate=5, submit_time="1")).status_code == 403
    assert (await site.http.post("/receipts/zns", content=b"\xff\xfe")).status_code == 403
    assert (await site.http.get("/receipts/zns")).status_code == 405
    assert site.log.records == []


async def test_a_delivery_is_a_receipt_and_other_events_are_nothing(site: Site) -> None:
    assert (await site.event("user_received_message", msg_id="ZN1", tracking_id=CODE, delivery_time="1")).status_code == 200
    assert site.ledger.receipts == [Receipt("zns", "ZN1", "delivered", None)]
    assert (await site.event("user_send_text", text="0912345678")).status_code == 200
    assert (len(site.ledger.receipts), site.became("not_ours")) == (1, 1)


async def test_a_receipt_while_the_ledger_is_away_comes_again(site: Site) -> None:
    site.ledger.away = True
    answer = await site.event("user_received_message", msg_id="ZN1", tracking_id=CODE, delivery_time="1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


async def test_where_there_is_no_zalo_there_is_no_such_address(tmp_path: Path) -> None:
    async with site_with(tmp_path, None) as site:
        assert (await site.tap()).status_code == 404


def test_one_name_for_the_header_of_the_signature() -> None:
    assert HEADER == SIGNATURE_HEADER
