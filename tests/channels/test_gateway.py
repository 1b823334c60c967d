"""The gateway adapter against the carrier's two gateways: what the contract of all channels does not ask."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hailong.ports import Handover, Receipt, Retryable, UnknownOutcome
from surveys.channels.gateway import GatewaySms
from surveys.channels.gateway_file import Gateway
from surveys.channels.gateway_reports import Call, authentic, receipts_of
from tests.carrier.process import CarrierProcess, carrier, until
from tests.channels.gateways import BY_GET, FORM, JSON, Called, called, described, sms

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CarrierProcess]:
    with carrier(tmp_path_factory.mktemp("carrier")) as process:
        yield process


@pytest.fixture
def process(shared: CarrierProcess) -> CarrierProcess:
    shared.clear_faults()
    return shared


@pytest.fixture
def site() -> Iterator[Called]:
    with called() as site:
        yield site


def run(process: CarrierProcess, text: str, work: Callable[[GatewaySms], Awaitable[Handover]]) -> Handover:
    async def whole() -> Handover:
        channel = GatewaySms(described(text, process.token), now=lambda: datetime.now(UTC), base_url=process.url, timeout=2)
        try:
            return await work(channel)
        finally:
            await channel.close()

    return asyncio.run(whole())


def reports(gateway: Gateway, site: Called) -> list[Receipt]:
    """The receipts that came, each authentic."""
    way = gateway.told.receipts
    assert way is not None
    assert all(authentic(gateway, way, call) for call in site.calls)
    return [receipt for call in site.calls for receipt in receipts_of(gateway, call).receipts]


def test_a_get_whose_answer_is_lost_is_not_sent_again(process: CarrierProcess) -> None:
    first, lost = sms(), sms()
    process.order({"kind": "timeout_after", "seconds": 0.05, "match": {"to": lost.to}})

    async def work(channel: GatewaySms) -> Handover:
        handover = await channel.send(first)
        with pytest.raises(UnknownOutcome):
            await channel.send(lost)
        return handover

    run(process, BY_GET, work)
    assert [len(process.accepted(message.to)) for message in (first, lost)] == [1, 1]


def test_where_the_same_id_is_one_message_a_lost_answer_is_found_and_a_repeat_changes_nothing(process: CarrierProcess) -> None:
    message = sms()
    process.order({"kind": "timeout_after", "seconds": 0.05, "match": {"to": message.to}})

    async def work(channel: GatewaySms) -> Handover:
        with pytest.raises(UnknownOutcome):
            await channel.send(message)
        found = await channel.find(message, datetime.now(UTC))
        again = await asyncio.gather(*(channel.send(message) for _ in range(5)))
        assert found is not None
        assert {handover.provider_id for handover in again} == {found.provider_id}
        return found

    handover = run(process, JSON, work)
    assert [m["id"] for m in process.accepted(message.to)] == [handover.provider_id]


@pytest.mark.parametrize(("text", "error"), [(JSON, Retryable), (FORM, UnknownOutcome)])
def test_a_broken_server_may_be_asked_again_only_where_an_id_is_taken_once(
    process: CarrierProcess, text: str, error: type[Exception]
) -> None:
    message = sms()
    process.order({"kind": "500", "match": {"to": message.to}})

    async def work(channel: GatewaySms) -> Handover:
        with pytest.raises(error):
            await channel.send(message)
        return await channel.send(message)

    run(process, text, work)
    assert len(process.accepted(message.to)) == 1


@pytest.mark.parametrize("text", [JSON, FORM])
def test_a_wrong_secret_waits_for_the_repair(process: CarrierProcess, text: str) -> None:
    async def work() -> None:
        channel = GatewaySms(described(text, "wrong"), now=lambda: datetime.now(UTC), base_url=process.url)
        try:
            with pytest.raises(Retryable, match="settings") as raised:
                await channel.send(sms())
            assert raised.value.after == 300
        finally:
            await channel.close()

    asyncio.run(work())


@pytest.mark.parametrize("text", [JSON, FORM, BY_GET])
def test_receipts_come_authentic_in_the_described_form(process: CarrierProcess, site: Called, text: str) -> None:
    gateway = described(text, process.token)
    site.says = gateway.told.receipts.answer.text if gateway.told.receipts else ""
    address = gateway.address(site.url)
    handover = run(process, text, lambda channel: channel.send(sms(callback=address)))
    failing = run(process, text, lambda channel: channel.send(sms("+84510000103", callback=address)))
    assert handover.receipts
    until(lambda: len(site.calls) == 4)
    told = {(receipt.provider_id, receipt.status, receipt.code) for receipt in reports(gateway, site)}
    name = gateway.provider
    assert {receipt.provider for receipt in reports(gateway, site)} == {name}
    assert told == {
        (handover.provider_id, "sent", None), (handover.provider_id, "delivered", None),
        (failing.provider_id, "sent", None), (failing.provider_id, "failed", "3"),
    }  # fmt: skip


@pytest.mark.parametrize("text", [JSON, FORM])
def test_ordered_faults_lose_and_double_receipts(process: CarrierProcess, site: Called, text: str) -> None:
    lost, doubled = sms(), sms()
    process.order({"kind": "drop_receipt", "match": {"to": lost.to}}, {"kind": "double_receipt", "match": {"to": doubled.to}})
    gateway = described(text, process.token)
    sent = [
        run(process, text, lambda channel, m=message: channel.send(replace(m, callback_url=gateway.address(site.url))))  # type: ignore[misc]
        for message in (lost, doubled)
    ]
    until(lambda: len(site.calls) == 4)
    assert {receipt.provider_id for receipt in reports(gateway, site)} == {sent[1].provider_id}
    until(lambda: process.accepted(lost.to)[0]["state"] == "delivered")


def test_a_receiver_that_does_not_say_ok_gets_it_again(process: CarrierProcess, site: Called) -> None:
    gateway = described(FORM, process.token)
    site.says = "what?"
    run(process, FORM, lambda channel: channel.send(sms("+84510000101", callback=gateway.address(site.url))))
    until(lambda: site.calls)
    site.says = "OK"
    until(lambda: len(site.calls) > 1)
    assert len(set(reports(gateway, site))) == 1


def test_a_report_that_was_touched_on_the_way_is_not_authentic(process: CarrierProcess, site: Called) -> None:
    gateway = described(JSON, process.token)
    run(process, JSON, lambda channel: channel.send(sms("+84510000101", callback=gateway.address(site.url))))
    (call,) = until(lambda: site.calls)
    way = gateway.told.receipts
    assert way is not None
    assert authentic(gateway, way, call)
    touched: list[Call] = [
        replace(call, body=call.body.replace(b"REJECTED", b"DELIVERED")),
        replace(call, headers=call.headers | {"x-example-time": "1"}),
        replace(call, headers={}),
        replace(call, body=b"\xff"),
    ]
    assert not any(authentic(gateway, way, one) for one in touched)


@pytest.mark.parametrize("cut", [False, True])
def test_an_answer_that_comes_in_pieces_is_read_whole_and_half_an_answer_is_unknown(cut: bool) -> None:
    body = b'{"result": {"code": 0}, "message": {"id": "G1", "parts": 1}}'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:20])
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"" if cut else body[20:])
        writer.close()

    async def work() -> Handover:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            channel = GatewaySms(described(JSON), now=lambda: datetime.now(UTC), base_url=url)
            try:
                return await channel.send(sms())
            finally:
                await channel.close()

    if cut:
        with pytest.raises(UnknownOutcome):
            asyncio.run(work())
    else:
        assert asyncio.run(work()).provider_id == "G1"
