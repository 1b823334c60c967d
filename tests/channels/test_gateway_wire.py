"""What goes to a gateway, and what its answers mean."""

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hailong.ports import Permanent, Retryable, UnknownOutcome
from surveys.channels.gateway_wire import (
    Incoming,
    Outgoing,
    Taken,
    client_id,
    found,
    message_words,
    question_for,
    request_for,
    retry_after,
    taken,
)
from tests.channels.gateways import BY_GET, FORM, JSON, described, sms

NOW = datetime(2026, 3, 12, 2, 0, tzinfo=UTC)
OWN = "0" * 32


def request(description: str, base_url: str = "", **changes: Any) -> tuple[dict[str, str], Outgoing]:
    gateway = described(description)
    words = message_words(sms("+84912345678", **changes), gateway.told.send.brand, NOW)
    return words, request_for(gateway, words, base_url)


def judged(text: str, status: int, body: str, header: str | None = None) -> Taken:
    return taken(described(text), Incoming(status, body.encode(), header), OWN, NOW)


# --- requests


def test_json_fields_are_filled_at_any_depth_and_keep_their_letters() -> None:
    words, sent = request(JSON, text='Mời Ông/Bà: {text} "x"', callback="https://ks.example/r")
    assert json.loads(sent.body) == {
        "client_id": words["id"],
        "brand": "HCC HOABINH",
        "content": 'Mời Ông/Bà: {text} "x"',
        "callback_url": "https://ks.example/r",
        "recipient": {"msisdn": "84912345678"},
    }
    assert sent.headers["Authorization"] == "Bearer geheim"
    assert sent.url == "https://sms.json-example.invalid/json-example/v1/messages"


def test_a_form_has_the_national_number_the_alphabet_and_the_login() -> None:
    words, sent = request(FORM, text="Mời & mời")
    assert (sent.method, sent.headers["Content-Type"].partition(";")[0]) == ("POST", "application/x-www-form-urlencoded")
    assert parse_qs(sent.body.decode()) == {
        "phone": ["0912345678"], "brandname": ["HCC HOABINH"], "message": ["Mời & mời"], "unicode": ["1"], "ref": [words["id"]],
        "username": ["hcc"], "password": ["geheim"],
    }  # fmt: skip


def test_a_get_carries_all_of_it_in_the_address_and_the_base_replaces_the_host() -> None:
    _, sent = request(BY_GET, "http://127.0.0.1:1/under/")
    parts = urlsplit(sent.url)
    assert (parts.netloc, parts.path, sent.body) == ("127.0.0.1:1", "/under/form-example/send", b"")
    assert parse_qs(parts.query)["phone"] == ["0912345678"]
    assert parse_qs(parts.query)["unicode"] == ["0"]


def test_text_is_nfc_and_the_id_stays_the_same_and_tells_nothing() -> None:
    message = sms(text="Mo\u031b\u0300i")
    words = message_words(message, "", NOW)
    assert words["text"] == "M\u1eddi"
    assert words["id"] == client_id(message.claim_id)
    assert message.claim_id not in words["id"]


@pytest.mark.parametrize("to", ["+15005550001", "0912345678", "", "+84912345678;+84912345679"])
def test_what_is_no_number_of_the_country_is_refused_before_anything_is_sent(to: str) -> None:
    message = sms()
    with pytest.raises(Permanent, match="invalid_number"):
        message_words(type(message)(**{**vars(message), "to": to}), "", NOW)


PROOFS = {
    'kind = "basic"\nuser = "u"': {"Authorization": "Basic " + base64.b64encode(b"u:geheim").decode()},
    'kind = "header"\nname = "X-Key"\nprefix = "Key "': {"X-Key": "Key geheim"},
}


@pytest.mark.parametrize("proof", PROOFS)
def test_other_proofs_stand_in_headers(proof: str) -> None:
    _, sent = request(JSON.replace('kind = "bearer"', proof, 1))
    assert PROOFS[proof].items() <= sent.headers.items()


def test_a_signature_covers_what_is_described() -> None:
    proof = 'kind = "hmac-sha256"\nheader = "X-Sign"\nprefix = "v1="\nencoding = "base64"\ntime_header = "X-Time"'
    proof += '\nsigned = "{method} {path} {time} {body}"'
    _, sent = request(JSON.replace('kind = "bearer"', proof, 1))
    text = f"POST /json-example/v1/messages {int(NOW.timestamp())} ".encode() + sent.body
    assert sent.headers["X-Sign"] == "v1=" + base64.b64encode(hmac.digest(b"geheim", text, hashlib.sha256)).decode()
    assert sent.headers["X-Time"] == str(int(NOW.timestamp()))


def test_a_signature_may_stand_among_the_fields() -> None:
    proof = 'kind = "hmac-sha256"\nfield = "sign"\nsigned = "{phone84}|{id}"\nsecret_file = "f"\n\n[[auth]]\nkind = "fields"'
    words, sent = request(FORM.replace('kind = "fields"', proof, 1))
    expected = hmac.new(b"geheim", f"84912345678|{words['id']}".encode(), hashlib.sha256).hexdigest()
    assert parse_qs(sent.body.decode())["sign"] == [expected]


def test_the_status_is_asked_by_our_id() -> None:
    sent = question_for(described(JSON), OWN, NOW, "http://127.0.0.1:1")
    assert (sent.method, sent.url) == ("GET", f"http://127.0.0.1:1/json-example/v1/messages/{OWN}")
    with pytest.raises(Permanent):
        question_for(described(FORM), OWN, NOW)


# --- answers


def told(code: Any, **more: Any) -> str:
    return json.dumps({"result": {"code": code}, **more})


def test_an_acceptance_tells_id_segments_and_code() -> None:
    assert judged(JSON, 202, told(0, message={"id": "G1", "parts": 3})) == Taken("G1", 3, "0")
    assert judged(FORM, 200, "0|G-2|1\n") == Taken("G-2", 1, "0")


@pytest.mark.parametrize("message", [{}, {"id": None}, {"id": "x y"}, {"id": "x" * 200}, {"id": {"a": 1}}])
def test_an_acceptance_without_a_readable_id_goes_by_ours(message: dict[str, Any]) -> None:
    assert judged(JSON, 202, told("0", message=message)) == Taken(OWN, 0, "0")


@pytest.mark.parametrize(
    ("text", "status", "body", "reason", "code"),
    [
        (JSON, 400, told(103), "opted_out", "103"),
        (JSON, 200, told(101), "invalid_number", "101"),
        (JSON, 400, told(999), "refused", "999"),
        (JSON, 429, told(103), "opted_out", "103"),  # what is described goes before what the status says
        (JSON, 422, "<html>", "refused", "422"),
        (JSON, 400, told("0912345678"), "refused", "400"),
        (JSON, 400, told("khong gui cho 0912345678"), "refused", "400"),
        (FORM, 200, "-12|not a mobile", "not_a_mobile_number", "-12"),
        (FORM, 400, "bad", "refused", "400"),
    ],
)
def test_refusals_are_permanent_and_never_tell_more_than_a_code(text: str, status: int, body: str, reason: str, code: str) -> None:
    with pytest.raises(Permanent) as raised:
        judged(text, status, body)
    assert (raised.value.reason, raised.value.code) == (reason, code)


@pytest.mark.parametrize(
    ("text", "status", "body", "header", "after"),
    [
        (JSON, 429, told(0, message={"id": "G1"}), "7", 7),
        (JSON, 429, "", None, 2),
        (JSON, 400, told(120), "30", 30),
        (JSON, 400, told(120), None, 2),
        (FORM, 200, "-20|full", None, 5),
        (JSON, 503, "", "Thu, 12 Mar 2026 02:01:00 GMT", 60),
        (FORM, 503, "", "9", 9),
        (JSON, 500, "", None, 2),
        (JSON, 400, told(110), None, 300),
        (JSON, 401, "", None, 300),
        (FORM, 404, "", None, 300),
        (FORM, 200, "-1|login", None, 300),
    ],
)
def test_not_now_and_our_own_faults_wait(text: str, status: int, body: str, header: str | None, after: float) -> None:
    with pytest.raises(Retryable) as raised:
        judged(text, status, body, header)
    assert raised.value.after == after


@pytest.mark.parametrize(
    ("text", "status", "body"),
    [
        (JSON, 200, told(0, message={"id": "G1"})),  # the right code with a status nobody described
        (JSON, 202, told(7)),
        (JSON, 202, "<html>welcome</html>"),
        (JSON, 202, "{" * 100_000),
        (JSON, 202, "[" * 60_000),
        (JSON, 302, ""),
        (FORM, 200, "thank you"),
        (FORM, 200, "0912345678 da gui"),
        (FORM, 500, ""),  # it may have taken the message before it broke, and takes the same id twice
        (FORM, 503, ""),
    ],
)
def test_whatever_leaves_it_open_is_unknown(text: str, status: int, body: str) -> None:
    with pytest.raises(UnknownOutcome) as raised:
        judged(text, status, body)
    assert "0912345678" not in raised.value.reason


def test_a_json_without_codes_is_taken_when_it_names_an_id() -> None:
    named = JSON.replace('code = "result.code"  ', "#", 1)
    text = re.sub(r'accepted = \["0"\] +#', "#", named, count=1)
    assert judged(text, 202, '{"message": {"id": 12345}}') == Taken("12345", 0, None)
    with pytest.raises(UnknownOutcome):
        judged(text, 202, '{"message": {}}')


def test_a_status_tells_taken_never_heard_or_nothing() -> None:
    gateway = described(JSON)
    assert found(gateway, Incoming(200, told(0, message={"id": "G1", "parts": 1}).encode()), OWN, NOW) == Taken("G1", 1, "0")
    assert found(gateway, Incoming(404, b""), OWN, NOW) is None
    for answer in (Incoming(200, b"?"), Incoming(500, b""), Incoming(401, b"")):
        with pytest.raises(Retryable):
            found(gateway, answer, OWN, NOW)


WAITS = [("0", 0), ("-5", 0), ("1e9", 3600), ("nan", None), ("inf", None), ("soon", None), (None, None)]


@pytest.mark.parametrize(("header", "seconds"), WAITS)
def test_retry_after_is_a_bounded_number_or_nothing(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds
