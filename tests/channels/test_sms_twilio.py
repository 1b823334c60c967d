"""What is Twilio's own: its codes, its list, its receipts."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hailong.ports import Handover, OutgoingMessage, Permanent, Receipt, Retryable, UnknownOutcome
from ops.carrier.receipts import signature
from surveys.channels.sms_twilio import TwilioReceipts, TwilioSms, parse_callback, retry_after, verify_callback
from tests.carrier.process import ACCOUNT, CarrierProcess, carrier, receiver, until

TOKEN = "7KQ2MX9P"
FORM = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+84912345678"}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CarrierProcess]:
    with carrier(tmp_path_factory.mktemp("carrier")) as running:
        yield running


def message(to: str = "+84987654321", token: str = TOKEN, callback: str | None = None, text: str = "") -> OutgoingMessage:
    return OutgoingMessage(
        "claim-1", "sms", to, "", text or f"HCC: moi danh gia https://ks.example.vn/{token}", None, token, callback, None, "vi"
    )


def sms(process: CarrierProcess, *, token: str = "", sender: str = "HCC") -> TwilioSms:
    return TwilioSms(account_sid=ACCOUNT, auth_token=token or process.token, sender=sender, base_url=process.url, timeout=1.0)


def send(channel: TwilioSms, *messages: OutgoingMessage) -> list[Handover]:
    async def all_in_turn() -> list[Handover]:
        try:
            return [await channel.send(one) for one in messages]
        finally:
            await channel.close()

    return asyncio.run(all_in_turn())


def find(channel: TwilioSms, one: OutgoingMessage, since: datetime) -> Handover | None:
    async def once() -> Handover | None:
        try:
            return await channel.find(one, since)
        finally:
            await channel.close()

    return asyncio.run(once())


@pytest.mark.stack
@pytest.mark.parametrize(
    ("to", "reason", "code"),
    [
        ("+84510000001", "invalid_number", "21211"),
        ("+84510000002", "no_route", "21612"),
        ("+84510000003", "region_not_enabled", "21408"),
        ("+84510000004", "opted_out", "21610"),
        ("+84510000009", "not_a_mobile_number", "21614"),
    ],
)
def test_a_definite_no_has_a_word_and_twilios_code(process: CarrierProcess, to: str, reason: str, code: str) -> None:
    with pytest.raises(Permanent) as refused:
        send(sms(process), message(to))
    assert (refused.value.reason, refused.value.code) == (reason, code)


@pytest.mark.stack
def test_a_code_nobody_knows_is_refused_for_good(process: CarrierProcess) -> None:
    with pytest.raises(Permanent) as refused:
        send(sms(process), message(callback="nowhere"))
    assert (refused.value.reason, refused.value.code) == ("refused", "21609")


@pytest.mark.stack
@pytest.mark.parametrize("settings", [{"token": "wrong"}, {"sender": "+15005550007"}, {"sender": "name far too long"}])
def test_wrong_settings_of_ours_cost_no_citizen_the_message(process: CarrierProcess, settings: dict[str, str]) -> None:
    with pytest.raises(Retryable, match="settings") as put_off:
        send(sms(process, **settings), message())
    assert put_off.value.after >= 60
    assert "wrong" not in str(put_off.value)


@pytest.mark.stack
@pytest.mark.parametrize("kind", ["500", "503"])
def test_a_server_error_may_have_accepted_it(process: CarrierProcess, kind: str) -> None:
    process.order({"kind": kind, "match": {"to": "+84987000001"}})
    with pytest.raises(UnknownOutcome):
        send(sms(process), message("+84987000001"))


@pytest.mark.stack
def test_a_messaging_service_stands_in_for_the_sender(process: CarrierProcess) -> None:
    service = "MG" + "a" * 32
    (handover,) = send(sms(process, sender=service), message("+84987000002"))
    assert process.api(f"/{handover.provider_id}").json()["messaging_service_sid"] == service


@pytest.mark.stack
def test_the_text_goes_out_composed(process: CarrierProcess) -> None:
    decomposed = "Mo\u031b\u0300i O\u0302ng/Ba\u0300"
    send(sms(process), message("+84987000003", text=decomposed))
    assert process.accepted("+84987000003")[0]["body"] == "M\u1eddi \u00d4ng/B\u00e0"


@pytest.mark.stack
def test_what_was_accepted_without_an_answer_is_found_by_its_token(process: CarrierProcess) -> None:
    to, since = "+84987000004", datetime.now(UTC)
    process.order(
        {"kind": "timeout_after", "seconds": 20, "match": {"to": to}}, {"kind": "late_receipt", "seconds": 60, "match": {"to": to}}
    )
    with pytest.raises(UnknownOutcome):
        send(sms(process), message(to))
    found = find(sms(process), message(to), since)
    assert found is not None
    assert found.provider_id == process.accepted(to)[0]["id"]  # still queued: it has no date of sending


@pytest.mark.stack
def test_what_was_not_accepted_is_not_found(process: CarrierProcess) -> None:
    to, since = "+84987000005", datetime.now(UTC)
    process.order({"kind": "timeout_before", "seconds": 20, "match": {"to": to}})
    with pytest.raises(UnknownOutcome):
        send(sms(process), message(to))
    send(sms(process), message(to, token="another"))
    assert find(sms(process), message(to), since) is None


@pytest.mark.stack
def test_it_is_found_behind_many_others_and_not_before_its_time(process: CarrierProcess) -> None:
    to, since = "+84987000006", datetime.now(UTC)
    send(sms(process), message(to), *(message(to, token=f"other{n}") for n in range(60)))
    assert find(sms(process), message(to), since) is not None
    assert find(sms(process), message(to), since + timedelta(hours=1)) is None


@pytest.mark.stack
def test_a_list_that_cannot_be_read_is_no_answer_at_all(process: CarrierProcess) -> None:
    with pytest.raises(Retryable):
        find(sms(process, token="wrong"), message(), datetime.now(UTC))


@pytest.mark.stack
def test_receipts_satisfy_the_signature_and_tell_the_rank(process: CarrierProcess) -> None:
    with receiver() as site:
        (handover,) = send(sms(process), message("+84510000105", callback=site.url + "/twilio/status"))
        until(lambda: len(site.got) == 2)
        receipts = TwilioReceipts(process.token, site.url)
        assert all(receipts.verify(path, form, sign) for path, form, sign in site.got)
        assert [parse_callback(form) for _, form, _ in site.got] == [
            Receipt("twilio", handover.provider_id, "sent", None),
            Receipt("twilio", handover.provider_id, "failed", "30005"),
        ]


@pytest.mark.stack
def test_the_sdk_logs_nothing_of_a_message(process: CarrierProcess, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        send(sms(process), message())
        find(sms(process), message(), datetime.now(UTC))
    assert "987654321" not in caplog.text
    assert "7KQ2MX9P" not in caplog.text


@pytest.mark.stack
def test_the_carriers_refusal_names_the_number_as_twilios_does(process: CarrierProcess) -> None:
    """Else the tests of what errors tell would pass on any adapter."""
    answer = process.api(data={"To": "+84510000004", "From": "HCC", "Body": "x"})
    assert "+84510000004" in answer.json()["message"]


def test_a_signature_is_checked_against_the_public_address() -> None:
    receipts = TwilioReceipts("secret", "https://ks.example.vn/")
    sign = signature("secret", "https://ks.example.vn/twilio/status?a=1", FORM)
    assert receipts.verify("/twilio/status?a=1", FORM, sign)
    assert not receipts.verify("/twilio/status", FORM, sign)
    assert not receipts.verify("/twilio/status?a=1", FORM | {"MessageStatus": "failed"}, sign)
    assert not verify_callback("secret", "http://10.0.0.1/twilio/status?a=1", FORM, sign)
    assert not receipts.verify("/twilio/status?a=1", FORM, "")


@pytest.mark.parametrize(
    ("status", "ours"),
    [("sent", "sent"), ("delivered", "delivered"), ("undelivered", "failed"), ("failed", "failed"), ("queued", None), ("new", None)],
)
def test_statuses_become_ours(status: str, ours: str | None) -> None:
    receipt = parse_callback(FORM | {"MessageStatus": status})
    assert (receipt.status if receipt else None) == ours


def test_a_form_that_is_no_callback_is_none() -> None:
    assert parse_callback({}) is None
    assert parse_callback({"MessageStatus": "sent"}) is None


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("0", 0), ("-3", 0), ("1e9", 3600), ("nan", 2), ("soon", 2), (None, 2)])
def test_retry_after_is_kept_within_reason(header: str | None, seconds: float) -> None:
    assert retry_after(header) == seconds
