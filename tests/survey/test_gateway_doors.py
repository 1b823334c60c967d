"""Where domestic gateways call the site: receipts and messages to the short code, with the real ledger."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from hailong.ports import Receipt, Retryable
from sinks.ledger import Ledger, migrate, open_ledger
from surveys.answers.spool import Spool
from surveys.inbound.gateway_doors import GatewayDoors
from surveys.inbound.replying import StopNumber
from surveys.records import Records
from surveys.site import build_site
from tests.channels.gateways import FORM, JSON, SECRET, described
from tests.contract.build import act, tools
from tests.survey.twins import NOW, HandClock, MemoryLedger, MemoryLog, parts, replying, slot

pytestmark = pytest.mark.anyio

SHORT_CODE = f"/inbound/gateway/form-example/{SECRET}"
REPORT = f"/receipts/gateway/form-example/{SECRET}"


@functools.cache
def empty_ledger() -> bytes:
    """A migrated ledger without rows, as a file."""
    with tempfile.TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/ledger.db")
        return Path(folder, "ledger.db").read_bytes()


class Room:
    """The doors over a real ledger."""

    def __init__(self, folder: Path, stop: StopNumber | None) -> None:
        (folder / "ledger.db").write_bytes(empty_ledger())
        self.ledger: Ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}", tools(), "test")
        self.counters = CollectorRegistry()
        clock, gateways, records = HandClock(), [described(JSON), described(FORM)], Records(self.ledger)
        replies = replying(Spool(folder / "spool", "w"), records, MemoryLog(), clock, self.counters)
        doors = GatewayDoors(gateways, records, replies, clock, self.counters, stop)
        transport = httpx.ASGITransport(Starlette(routes=list(doors.routes())))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://site")

    def receipts(self) -> list[tuple[Any, ...]]:
        with self.ledger.begin() as tx:
            found = tx.conn.execute(sa.text("SELECT provider, provider_id, status, code FROM receipts ORDER BY id"))
            return [tuple(row) for row in found]

    def counted(self, what: str, outcome: str, gateway: str = "form-example") -> float:
        return self.counters.get_sample_value(f"hailong_gateway_{what}_total", {"gateway": gateway, "outcome": outcome}) or 0

    async def says(self, text: str, smsid: str = "m1", sender: str = "84912345678") -> httpx.Response:
        return await self.http.get(SHORT_CODE, params={"from": sender, "content": text, "smsid": smsid})


@asynccontextmanager
async def room(folder: Path, stop: StopNumber | None = None) -> AsyncIterator[Room]:
    made = Room(folder, stop)
    try:
        yield made
    finally:
        await made.http.aclose()
        made.ledger.close()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Room]:
    async with room(tmp_path) as made:
        yield made


def signed(body: bytes, time: str = "1773280800") -> dict[str, str]:
    mac = hmac.new(SECRET.encode(), time.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Example-Time": time, "X-Example-Signature": f"sha256={mac}"}


# --- receipts


async def test_a_report_is_stored_and_answered_as_the_gateway_wants_it(here: Room) -> None:
    answer = await here.http.get(REPORT, params={"msgid": "GF1", "status": "3", "err": "5"})
    assert (answer.status_code, answer.text) == (200, "OK")
    body = json.dumps({"message_id": "GJ1", "status": "DELIVERED"}).encode()
    answer = await here.http.post("/receipts/gateway/json-example", content=body, headers=signed(body))
    assert (answer.status_code, answer.content) == (204, b"")
    assert here.receipts() == [("gateway-form-example", "GF1", "failed", "5"), ("gateway-json-example", "GJ1", "delivered", None)]


async def test_a_report_that_comes_twice_is_stored_once(here: Room) -> None:
    for _ in range(2):
        assert (await here.http.get(REPORT, params={"msgid": "GF1", "status": "2"})).status_code == 200
    assert here.receipts() == [("gateway-form-example", "GF1", "delivered", None)]


async def test_what_says_nothing_new_is_answered_and_counted(here: Room) -> None:
    for status in ("1", "77"):
        assert (await here.http.get(REPORT, params={"msgid": "GF1", "status": status})).text == "OK"
    assert here.receipts() == []
    assert (here.counted("receipts", "no_news"), here.counted("receipts", "not_described")) == (1, 1)


async def test_a_code_that_could_be_a_number_is_not_kept(here: Room) -> None:
    await here.http.get(REPORT, params={"msgid": "GF1", "status": "3", "err": "0912345678"})
    assert here.receipts() == [("gateway-form-example", "GF1", "failed", None)]


async def test_whoever_cannot_prove_it_is_not_believed(here: Room) -> None:
    body = json.dumps({"message_id": "GJ1", "status": "DELIVERED"}).encode()
    told = {"msgid": "GF1", "status": "2"}
    assert (await here.http.get("/receipts/gateway/form-example", params=told)).status_code == 403
    assert (await here.http.get("/receipts/gateway/form-example/wrong", params=told)).status_code == 403
    assert (await here.http.post("/receipts/gateway/json-example", content=body)).status_code == 403
    assert (await here.http.post("/receipts/gateway/json-example", content=body + b" ", headers=signed(body))).status_code == 403
    assert (await here.http.post(f"/receipts/gateway/json-example/{SECRET}", content=body, headers=signed(body))).status_code == 403
    assert (await here.http.get("/receipts/gateway/nobody/x", params=told)).status_code == 404
    assert (await here.http.get(f"/inbound/gateway/nobody/{SECRET}")).status_code == 404
    assert (await here.http.post("/inbound/gateway/json-example", content=body)).status_code == 403
    assert (await here.http.post(f"/inbound/gateway/json-example/{SECRET}", content=body, headers=signed(body))).status_code == 403
    assert (await here.http.post(REPORT, params=told)).status_code == 405
    assert here.receipts() == []


@pytest.mark.parametrize(
    "params", [{}, {"msgid": "GF1"}, {"status": "2"}, {"msgid": "x y", "status": "2"}, {"msgid": "x" * 200, "status": "2"}]
)
async def test_an_authentic_call_that_is_no_report_is_refused(here: Room, params: dict[str, str]) -> None:
    assert (await here.http.get(REPORT, params=params)).status_code == 400
    assert here.receipts() == []


async def test_several_reports_in_one_call_are_all_stored(tmp_path: Path) -> None:
    text = JSON.replace("[receipts]\n", '[receipts]\nlist = "data.reports"\n', 1)
    async with room(tmp_path) as here:
        records, clock, counters = Records(here.ledger), HandClock(), CollectorRegistry()
        replies = replying(Spool(tmp_path / "other", "w"), records, MemoryLog(), clock, counters)
        doors = GatewayDoors([described(text)], records, replies, clock, counters)
        http = httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=list(doors.routes()))), base_url="http://site")
        reports = [{"message_id": f"GJ{n}", "status": "DELIVERED"} for n in range(3)]
        for told, status in (({"data": {"reports": reports}}, 204), ({"data": {"reports": "x"}}, 400), ([], 400)):
            body = json.dumps(told).encode()
            assert (await http.post("/receipts/gateway/json-example", content=body, headers=signed(body))).status_code == status
        await http.aclose()
        assert [row[1] for row in here.receipts()] == ["GJ0", "GJ1", "GJ2"]


# --- messages to the short code


async def test_a_message_nobody_understands_is_counted_once_and_nothing_of_it_is_kept(here: Room) -> None:
    for _ in range(3):
        answer = await here.says("Toi la Nguyen Van A, 5 diem")
        assert (answer.status_code, answer.text) == (200, "OK")
    await here.says("Toi la Nguyen Van A, 5 diem", "m2")
    assert (here.counted("inbound", "not_understood"), here.counted("inbound", "repeated")) == (2, 2)
    with here.ledger.begin() as tx:
        rows = [tuple(row) for row in tx.conn.execute(sa.text("SELECT kind, ref, state, payload FROM due ORDER BY id"))]
        assert rows == [("inbound", f"gateway-form-example:{smsid}", "done", "{}") for smsid in ("m1", "m2")]
        assert tx.next_due() is None  # nobody waits for it


STOPS = (
    "TC", "tc", " Từ chối ", "tu  choi.", "STOP!", "TU CHOI 7KQ2", "tc 7kq2", "STOP 7KQ2", "7KQ2-HF4M9X tc", "HL TC", "ＴＣ", "hủy",
    "dạ em xin từ chối ạ",
)  # fmt: skip
NO_STOPS = ("từ chối trả hồ sơ", "TU CHOI 2NAM", "tc 5", "tc thang3", "chi Huy", "tốt", "dung hen", "7KQ2", "...", "", "STOP IT")


async def test_a_stop_word_opts_its_sender_out_before_the_gateway_is_told_ok(tmp_path: Path) -> None:
    stopped: list[str] = []
    async with room(tmp_path, lambda _tx, number: stopped.append(number)) as here:
        for n, word in enumerate(STOPS):
            for sender in (f"8491234{n:04d}", f"091234{n:04d}"):
                assert (await here.says(word, f"m{n}", sender)).text == "OK"
        assert stopped == [f"+8491234{n:04d}" for n in range(len(STOPS))]
        assert (here.counted("inbound", "stopped"), here.counted("inbound", "repeated")) == (len(STOPS), len(STOPS))


async def test_what_is_not_surely_a_stop_word_stops_nobody(tmp_path: Path) -> None:
    stopped: list[str] = []
    async with room(tmp_path, lambda _tx, number: stopped.append(number)) as here:
        for n, text in enumerate(NO_STOPS):
            assert (await here.says(text, f"m{n}")).text == "OK"
        assert stopped == []
        assert here.counted("inbound", "not_understood") == len(NO_STOPS)


async def test_a_stop_word_reaches_the_ledger_and_nobody_is_written_to_at_that_number(tmp_path: Path) -> None:
    async with room(tmp_path, lambda tx, number: tx.opt_out_number(number, NOW, "sms")) as here:
        with here.ledger.begin() as tx:
            tx.take_act(act("d1", "+84912345678"), NOW)
        assert (await here.says("TC")).text == "OK"
        with here.ledger.begin() as tx:
            assert tx.slots_for_decision(["d1"])["d1"].opted_out
        assert b"84912345678" not in b"".join(p.record.value for p in here.ledger.pending())


async def test_a_stop_that_cannot_be_committed_is_not_confirmed_and_works_when_it_comes_again(tmp_path: Path) -> None:
    stopped: list[str] = []
    away = [True]

    def stop(_tx: object, number: str) -> None:
        if away[0]:
            raise Retryable("ledger: away", 9.0)
        stopped.append(number)

    async with room(tmp_path, stop) as here:
        answer = await here.says("TC")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "9")
        away[0] = False
        assert (await here.says("TC")).text == "OK"
        assert stopped == ["+84912345678"]


async def test_a_stop_word_is_not_confirmed_where_it_cannot_be_obeyed(here: Room) -> None:
    assert (await here.says("TC")).status_code == 503
    assert here.counted("inbound", "stop_refused") == 1


async def test_a_stop_word_from_nobody_is_only_counted(tmp_path: Path) -> None:
    stopped: list[str] = []
    async with room(tmp_path, lambda _tx, number: stopped.append(number)) as here:
        assert (await here.says("TC", sender="VIETTEL")).text == "OK"
        assert stopped == []
        assert here.counted("inbound", "not_understood") == 1


@pytest.mark.parametrize("params", [{}, {"smsid": "m1"}, {"content": "TC"}, {"smsid": "", "content": "TC"}])
async def test_a_call_that_is_no_message_is_refused(here: Room, params: dict[str, str]) -> None:
    assert (await here.http.get(SHORT_CODE, params={"from": "84912345678", **params})).status_code == 400
    assert (await here.http.get("/inbound/gateway/form-example/wrong", params=params)).status_code == 403


async def test_the_survey_site_has_the_doors_of_its_gateways(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    app = build_site(replace(parts(tmp_path, ledger, MemoryLog(), HandClock(), [0.0]), gateways=[described(FORM)]))
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://site") as http:
        told = {"msgid": "GF1", "status": "2"}
        assert (await http.get(REPORT, params=told)).text == "OK"
        assert ledger.receipts == [Receipt("gateway-form-example", "GF1", "delivered", None)]
        ledger.away = True
        away = await http.get(REPORT, params=told)
        assert (away.status_code, away.headers["Retry-After"]) == (503, "7")
        ledger.away = False
        assert (await http.get("/receipts/gateway/form-example/wrong", params=told)).status_code == 403
        assert (await http.get("/receipts/gateway/nobody", params=told)).status_code == 404


async def test_a_reply_reaches_the_log_of_the_survey_site_and_is_answered(tmp_path: Path) -> None:
    ledger, log = MemoryLedger(numbers={"+84912345678": ["s-1"]}), MemoryLog()
    ledger.add(slot())
    app = build_site(replace(parts(tmp_path, ledger, log, HandClock(), [0.0]), gateways=[described(FORM)]))
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://site") as http:
        answer = await http.get(SHORT_CODE, params={"from": "84912345678", "content": "rat hai long", "smsid": "m1"})
        assert answer.text.startswith("REPLY|m1|HCC HOABINH: Cam on")
        (fact,) = log.answers()
        assert (fact.survey_id, fact.answers, fact.mode) == ("s-1", {"Q0": 5}, "sms")
