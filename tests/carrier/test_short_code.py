"""The carrier as the two gateways pass on what people write; the site's own adapter believes and reads it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ops.carrier.records import Accepted
from ops.carrier.short_code import LONGEST, way_to
from surveys.channels.gateway_reports import Said, authentic, said
from tests.carrier.process import CarrierProcess, carrier
from tests.channels.gateways import FORM, JSON, Called, called, described

pytestmark = pytest.mark.stack

ANNA = "+84912345678"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CarrierProcess]:
    with carrier(tmp_path_factory.mktemp("carrier")) as running:
        yield running


@pytest.fixture
def site() -> Iterator[Called]:
    with called() as made:
        yield made


def heard(process: CarrierProcess, site: Called, text: str = JSON) -> list[Said]:
    """What the site makes of the calls, each of them authentic."""
    gateway = described(text, process.token)
    way = gateway.told.inbound
    assert way is not None
    calls = [call for call in site.calls if "/inbound/" in call.path]
    assert all(authentic(gateway, way, call) for call in calls)
    return [said(gateway, call) for call in calls]


def sent(process: CarrierProcess, site: Called) -> str:
    """A message by Twilio whose receipts go to the site; its id."""
    told = {"To": ANNA, "From": "HCC", "Body": "Moi Ong/Ba danh gia", "StatusCallback": f"{site.url}/receipts/twilio"}
    return str(process.api(data=told).json()["sid"])


def page(process: CarrierProcess, message: str, lang: str = "vi") -> str:
    return process.request("GET", f"/messages/{message}?lang={lang}").text


def test_what_the_recipient_writes_reaches_the_site_and_the_reply_is_shown_also_after_a_restart(
    process: CarrierProcess, site: Called
) -> None:
    message = sent(process, site)
    site.says = json.dumps({"reply": {"content": "HCC HOABINH: Cam on <b>"}})
    answer = process.request("POST", f"/messages/{message}/reply?lang=en", data={"text": "7kq2 hài lòng"})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/messages/{message}?lang=en")
    (one,) = heard(process, site)
    assert (one.sender, one.text, one.stop) == (ANNA, "7kq2 hài lòng", False)
    process.kill()
    process.start()
    for shown in (page(process, message), page(process, message, "en")):
        assert "7kq2 hài lòng" in shown
        assert "HCC HOABINH: Cam on &lt;b&gt;" in shown
    assert len(process.evidence().messages) == 1, "what a gateway sends back is no message of ours"


def test_the_older_gateway_asks_by_get_and_sends_on_what_it_is_told(process: CarrierProcess, site: Called) -> None:
    told = {"gateway": "form-example", "url": f"{site.url}/inbound/gateway/form-example/{process.token}", "sender": ANNA, "text": "4"}
    site.says = "REPLY|m1|Cam on | Ong/Ba"
    assert process.request("POST", "/inbound", json={**told, "id": "m1"}).json() == {"status": 200, "reply": "Cam on | Ong/Ba"}
    site.says = "OK"
    assert process.request("POST", "/inbound", json={**told, "id": "m2"}).json() == {"status": 200, "reply": ""}
    assert [(one.id, one.sender, one.text) for one in heard(process, site, FORM)] == [("m1", ANNA, "4"), ("m2", ANNA, "4")]


def test_until_it_is_taken_it_comes_again_as_the_same_message(process: CarrierProcess, site: Called) -> None:
    site.answers = [503, 429]
    told = {"gateway": "form-example", "url": f"{site.url}/inbound/gateway/form-example/{process.token}", "sender": ANNA, "text": "4"}
    assert process.request("POST", "/inbound", json=told).json() == {"status": 200, "reply": ""}
    assert len(site.calls) == 3
    assert len({one.id for one in heard(process, site, FORM)}) == 1


@pytest.mark.parametrize("told", [{}, {"gateway": "nobody", "url": "http://x", "sender": ANNA, "text": "4"}])
def test_what_cannot_be_passed_on_is_refused(process: CarrierProcess, site: Called, told: dict[str, Any]) -> None:
    assert process.request("POST", "/inbound", json=told).status_code == 400
    assert process.request("POST", "/messages/nobody/reply", data={"text": "4"}).status_code == 404
    assert process.request("POST", f"/messages/{sent(process, site)}/reply", data={"text": "x" * (LONGEST + 1)}).status_code == 400


@pytest.mark.parametrize(
    ("api", "callback", "way"),
    [
        ("", "https://ks.example/receipts/twilio", ("json-example", "https://ks.example/inbound/gateway/json-example")),
        ("json-example", "http://h:1/a/receipts/gateway/json-example", ("json-example", "http://h:1/a/inbound/gateway/json-example")),
        ("form-example", "http://h:1/receipts/gateway/form-example/s", ("form-example", "http://h:1/inbound/gateway/form-example/s")),
        ("", None, None),
        ("", "https://ks.example/elsewhere", None),
    ],
)
def test_a_reply_goes_where_the_receipts_go(api: str, callback: str | None, way: tuple[str, str] | None) -> None:
    message = Accepted("m", datetime(2026, 3, 12, tzinfo=UTC), "sms", ANNA, "HCC", callback=callback, api=api)
    assert way_to(message) == way
