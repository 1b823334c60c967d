"""The carrier as Zalo: answers, tokens, events, and kill -9. The events satisfy the site's own check of signatures."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hailong.ports import Rating, Receipt
from ops.carrier.__main__ import ZNS_APP
from surveys.channels.zns_events import ZnsEvents
from tests.carrier.process import CarrierProcess, Receiver, carrier, receiver, until

pytestmark = pytest.mark.stack

MARK = "7KQ2MX9P7KQ2MX9P7KQ2MX9P7K"


class Zalo:
    """A carrier whose events go to a receiver, and a token for it."""

    def __init__(self, process: CarrierProcess, site: Receiver) -> None:
        self.process, self.site = process, site
        self.refresh = "first"
        self.renew()

    def renew(self, **changed: str) -> dict[str, Any]:
        form = {"refresh_token": self.refresh, "app_id": ZNS_APP, "grant_type": "refresh_token", **changed}
        secret = (self.process.data / "zns_secret").read_text().strip()
        answer = self.process.request("POST", "/v4/oa/access_token", data=form, headers={"secret_key": secret}).json()
        if "access_token" in answer:
            self.access, self.refresh = answer["access_token"], answer["refresh_token"]
        return dict(answer)

    def send(self, phone: str = "84987654321", **changed: Any) -> dict[str, Any]:
        sent = {"phone": phone, "template_id": "301234", "template_data": {"code": MARK}, "tracking_id": MARK, **changed}
        answer = self.process.request("POST", "/message/template", json=sent, headers={"access_token": self.access})
        return dict(answer.json())

    def rate(self, message_id: str, **tap: Any) -> httpx.Response:
        return self.process.request("POST", f"/zns/{message_id}/rate", json=tap)

    def heard(self) -> list[Any]:
        """What the site makes of the events, each of them signed."""
        events = ZnsEvents(ZNS_APP, (self.process.data / "zns_oa_secret").read_text().strip())
        told = list(self.site.events)
        assert all(events.verify(body, signature) for body, signature in told)
        return [events.parse(body) for body, _ in told]

    def of(self, message_id: str) -> list[dict[str, Any]]:
        told = [json.loads(body) for body, _ in self.site.events]
        return [event for event in told if event["message"]["msg_id"] == message_id]


@pytest.fixture(scope="module")
def site() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture(scope="module")
def zalo(site: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zalo]:
    with carrier(tmp_path_factory.mktemp("carrier"), "--zns-webhook", site.url + "/receipts/zns") as process:
        yield Zalo(process, site)


def test_an_accepted_message_is_answered_noted_and_reported(zalo: Zalo) -> None:
    answer = zalo.send("84987000001")
    assert (answer["error"], answer["message"]) == (0, "Success")
    (accepted,) = zalo.process.accepted("+84987000001")
    assert answer["data"]["msg_id"] == accepted["id"]
    until(lambda: Receipt("zns", accepted["id"], "delivered", None) in zalo.heard())
    assert zalo.process.accepted("+84987000001")[0]["state"] == "delivered"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"phone": "0987654321"}, -108),
        ({"phone": "84510000118"}, 0),
        ({"phone": "84510000002"}, -118),
        ({"template_id": "x"}, -109),
        ({"template_id": "99000131"}, -131),
        ({"template_data": {}}, -111),
        ({"tracking_id": "x" * 49}, -132),
        ({"template_data": "x"}, -132),
    ],
)
def test_what_is_wrong_is_answered_by_its_code_and_noted(zalo: Zalo, changed: dict[str, Any], error: int) -> None:
    before = len(zalo.process.evidence().refused)
    assert zalo.send(**changed)["error"] == error
    assert [refused.code for refused in zalo.process.evidence().refused[before:]] == ([error] if error else [])


def test_without_a_good_token_nothing_is_taken(zalo: Zalo) -> None:
    access, zalo.access = zalo.access, "wrong"
    assert zalo.send("84987000002")["error"] == -124
    zalo.access = access
    zalo.process.request("DELETE", "/zns/tokens")
    assert zalo.send("84987000002")["error"] == -124
    assert zalo.process.accepted("+84987000002") == []
    zalo.renew()
    assert zalo.send("84987000002")["error"] == 0


def test_a_refresh_token_is_good_once(zalo: Zalo) -> None:
    used = zalo.refresh
    assert zalo.renew()["expires_in"] == "90000"
    assert zalo.renew(refresh_token=used)["error"] == -14014
    assert zalo.renew(app_id="another")["error"] == -14014
    assert "access_token" in zalo.renew()


def test_a_message_that_never_arrives_is_reported_to_nobody(zalo: Zalo) -> None:
    message_id = zalo.send("84510000105")["data"]["msg_id"]
    until(lambda: zalo.process.accepted("+84510000105")[0]["state"] == "undelivered")
    assert zalo.of(message_id) == []


def test_a_tap_on_the_stars_is_reported_with_what_was_written(zalo: Zalo) -> None:
    message_id = zalo.send("84987000003")["data"]["msg_id"]
    assert zalo.rate(message_id, rate=2, note="Chờ lâu", feedbacks=["Chậm"]).status_code == 202
    (event,) = until(lambda: [e for e in zalo.of(message_id) if e["event_name"] == "user_feedback"])
    assert (event["message"]["rate"], event["message"]["note"], event["message"]["tracking_id"]) == (2, "Chờ lâu", MARK)
    assert [(r.token, r.score) for r in zalo.heard() if isinstance(r, Rating)][-1] == (MARK, 2)
    for wrong in ({"rate": 0}, {"rate": 6}, {"rate": "x"}, {}):
        assert zalo.rate(message_id, **wrong).status_code == 400
    assert zalo.rate("ZN0", rate=5).status_code == 404


def test_a_rating_can_be_lost_and_doubled(zalo: Zalo) -> None:
    lost, doubled = (zalo.send(f"8498700001{n}")["data"]["msg_id"] for n in range(2))
    zalo.process.order(
        {"kind": "drop_receipt", "match": {"to": "+84987000010"}}, {"kind": "double_receipt", "match": {"to": "+84987000011"}}
    )
    assert [zalo.rate(message_id, rate=5).status_code for message_id in (lost, doubled)] == [202, 202]
    until(lambda: len([e for e in zalo.of(doubled) if e["event_name"] == "user_feedback"]) == 2)
    acts = {r.act for r in zalo.heard() if isinstance(r, Rating) and r.score == 5}
    assert len(acts) == 1
    assert [e["event_name"] for e in zalo.of(lost)] in ([], ["user_received_message"])


def test_the_page_shows_the_message_and_takes_the_tap(zalo: Zalo) -> None:
    message_id = zalo.send("84987000004")["data"]["msg_id"]
    page = zalo.process.request("GET", f"/messages/{message_id}").text
    assert "Tin Zalo" in page
    assert "301234" in page
    assert MARK in page
    assert page.count('name="rate"') == 5
    answer = zalo.process.request("POST", f"/zns/{message_id}/rate", data={"rate": "4"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/messages/{message_id}")
    assert "Zalo message" in zalo.process.request("POST", "/", params={"lang": "en"}, data={"q": "84987000004"}).text


def test_a_kill_loses_neither_a_rating_nor_the_tokens(tmp_path: Path) -> None:
    with receiver() as site, carrier(tmp_path, "--zns-webhook", site.url + "/receipts/zns") as process:
        zalo = Zalo(process, site)
        message_id = zalo.send()["data"]["msg_id"]
        until(lambda: zalo.of(message_id))
        site.stop()
        zalo.rate(message_id, rate=3)
        process.kill()
        site.start()
        process.start()
        until(lambda: [e for e in zalo.of(message_id) if e["event_name"] == "user_feedback"])
        assert zalo.send()["error"] == 0
        assert "access_token" in zalo.renew()
