"""``POST /v1/dossiers`` as its callers see it."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette

from hailong import telemetry
from hailong.ports import Retryable
from producers.intake import KeysError, build_intake, load_keys, source_of
from sinks.ledger import Ledger
from tests.intake.room import NOW, KeptLog, item, open_room
from web.assembly import server

KEY, OTHER = "one-stop-secret", "portal-secret"

pytestmark = pytest.mark.stack


class At:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW


@contextmanager
def served(app: Starlette) -> Iterator[httpx.Client]:
    """The site on a free port of loopback."""
    running = uvicorn.Server(server(app, "127.0.0.1", 0))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        while not running.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = running.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
            yield client
    finally:
        running.should_exit = True
        thread.join(20)


class Site:
    """The intake over a real ledger; seconds pass by ``self.seconds``."""

    def __init__(self, folder: Path, rate: float = 1_000.0) -> None:
        self.desk, self.ledger, self.log = open_room(folder)
        self.seconds = 0.0
        keys = {"one-stop#0": hashlib.sha256(KEY.encode()).digest(), "portal#0": hashlib.sha256(OTHER.encode()).digest()}
        self.app = build_intake(self.desk, keys, At(), self.check, requests_per_second=rate, monotonic=lambda: self.seconds)
        self.client: httpx.Client

    @contextmanager
    def up(self) -> Iterator[None]:
        with served(self.app) as self.client:
            yield

    def check(self) -> None:
        if self.log.away:
            raise Retryable("the broker does not answer")

    def post(self, body: Any, key: str | None = KEY, **headers: str) -> httpx.Response:
        sent = (
            {"content-type": "application/json"}
            | ({"authorization": f"Bearer {key}"} if key else {})
            | {k.replace("_", "-"): v for k, v in headers.items()}
        )
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self.client.post("/v1/dossiers", content=content, headers=sent)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    with site.up():
        yield site


def error(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body["error"]) == {"code", "message"}
    return response.status_code, body["error"]["code"]


def test_one_dossier_is_accepted(site: Site) -> None:
    response = site.post(item(1))
    assert response.status_code == 202
    body = response.json()
    (fact,) = site.log.facts
    result = {"index": 0, "status": 202, "event_id": fact.event_id, "duplicate": False, "error": None}
    assert body == {"accepted": 1, "items": [result]}
    again = site.post([item(1)])
    assert (again.status_code, again.json()["items"]) == (202, [result | {"duplicate": True}])


def test_each_item_of_a_list_has_its_own_answer(site: Site) -> None:
    site.post(item(1))
    response = site.post(
        [item(2), item(1, handling_unit_code="xa-09"), item(3, finished_at="20/01/2025"), item(4, contact={"phone": "113"})]
    )
    assert response.status_code == 202
    items = response.json()["items"]
    assert [(i["index"], i["status"], i["error"]) for i in items] == [
        (0, 202, None),
        (1, 409, {"field": None, "reason": "conflict"}),
        (2, 422, {"field": "finished_at", "reason": "not_a_time"}),
        (3, 202, None),
    ]
    assert items[3]["notes"] == ["contact.phone: not_a_number"]
    assert response.json()["accepted"] == 2


def test_when_all_are_bad_the_answer_says_so(site: Site) -> None:
    response = site.post([item(1, status_code=7), 5])
    assert error(response) == (422, "all_refused")
    assert [i["error"]["reason"] for i in response.json()["items"]] == ["withdrawn_by_applicant", "not_an_object"]
    site.post(item(1))
    assert error(site.post(item(1, fee_required=True))) == (409, "conflict")


@pytest.mark.parametrize("key", [None, "wrong", "", KEY + "x"])
def test_without_a_known_key_nothing_is_read(site: Site, key: str | None) -> None:
    response = site.post(b"{not json", key)
    assert error(response) == (401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


def test_each_key_is_a_source_of_its_own(site: Site) -> None:
    assert site.post(item(1)).json()["items"][0]["event_id"] != site.post(item(1), OTHER).json()["items"][0]["event_id"]


def test_only_json_that_is_not_compressed(site: Site) -> None:
    assert error(site.post(item(1), content_type="text/csv")) == (415, "unsupported_media_type")
    assert error(site.post(item(1), content_encoding="gzip")) == (415, "unsupported_media_type")
    assert site.post(item(1), content_type="application/json; charset=utf-8").status_code == 202


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", (400, "not_json")),
        (b'{"dossier_code": "\xff"}', (400, "not_json")),
        (b'{"dossier_code": NaN}', (400, "not_json")),
        (b"[]", (422, "no_items")),
        (b'{"items": [{"dossier_code": "1"}]}', (422, "not_an_item")),
        (b'{"dossier_code": "1", "items": []}', (422, "all_refused")),
        (b"{}", (422, "all_refused")),
        (b"[" + b",".join([b"{}"] * 501) + b"]", (413, "too_large")),
        (b'"' + b"x" * (2 * 1024 * 1024) + b'"', (413, "too_large")),
    ],
)
def test_what_is_no_list_of_dossiers(site: Site, body: bytes, expected: tuple[int, str]) -> None:
    assert error(site.post(body)) == expected


def test_a_body_without_declared_length_is_limited_too(site: Site) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    assert error(site.client.post("/v1/dossiers", content=chunks(), headers=headers)) == (413, "too_large")


def test_500_dossiers_go_in_one_request(site: Site) -> None:
    response = site.post([item(n) for n in range(500)])
    assert (response.json()["accepted"], len(site.log.ids())) == (500, 500)


def test_while_the_broker_is_away_the_source_is_told_to_come_again(site: Site) -> None:
    site.log.away = True
    response = site.post(item(1))
    assert error(response) == (503, "unavailable")
    assert response.headers["retry-after"] == "3"
    ready = site.client.get("/readyz")
    assert (ready.status_code, ready.json()["dependencies"]["ledger"], ready.json()["dependencies"]["kafka"]) == (
        503,
        "ok",
        "the broker does not answer",
    )
    site.log.away = False
    assert site.post(item(1)).json()["items"][0]["duplicate"] is False
    assert len(site.log.records) == 1
    assert site.client.get("/readyz").status_code == 200


def test_while_the_ledger_is_away_too(site: Site, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    site.ledger.close()
    ledger.mkdir()
    response = site.post(item(1))
    assert error(response) == (503, "unavailable")
    assert int(response.headers["retry-after"]) >= 1
    assert site.client.get("/readyz").json()["dependencies"]["ledger"] != "ok"
    assert site.client.get("/healthz").status_code == 200


def test_what_an_earlier_process_left_is_published_at_the_start(tmp_path: Path) -> None:
    desk, _, log = open_room(tmp_path)
    log.away = True
    with pytest.raises(Retryable):
        desk.take([item(1)], "one-stop", NOW)
    site = Site(tmp_path)
    with site.up():
        until_ready(site)
    assert len(site.log.records) == 1


def until_ready(site: Site) -> None:
    for _ in range(200):
        if site.log.records:
            return
        site.client.get("/healthz")


def test_a_source_that_asks_too_often_waits_and_the_others_do_not(tmp_path: Path) -> None:
    site = Site(tmp_path, rate=0.2)
    with site.up():
        assert [site.post(item(n)).status_code for n in range(3)] == [202, 202, 429]
        refused = site.post(item(9))
        assert error(refused) == (429, "too_many_requests")
        assert site.post(item(9), OTHER).status_code == 202
        site.seconds += int(refused.headers["retry-after"])
        assert site.post(item(9)).status_code == 202


def test_a_paused_source_is_told_so(site: Site) -> None:
    pause(site.ledger)
    response = site.post(item(1))
    assert error(response) == (429, "source_paused")
    assert int(response.headers["retry-after"]) > 0
    assert site.post(item(1), OTHER).status_code == 202


def pause(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.pause_source("one-stop", NOW, "more than 100 dead letters within an hour")


def test_other_addresses_and_methods_answer_in_the_same_shape(site: Site) -> None:
    assert error(site.client.get("/elsewhere")) == (404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_refused_method_is_told_which_ones_there_are(site: Site, method: str) -> None:
    refused = site.client.request(method, "/v1/dossiers")
    assert error(refused) == (405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"
    assert site.client.head("/v1/dossiers").headers["allow"] == "POST"
    asked = site.client.post("/readyz")
    assert error(asked) == (405, "method_not_allowed")
    assert set(asked.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_misspelt_field_is_told_of_and_the_item_is_taken(site: Site) -> None:
    sent = item(1, adress="12 Đường Ví Dụ", contact={"phon": "0900000001", "email": "nguoi.nop@cong-dan.example"})
    response = site.post([sent, item(2, contact={"phone": "113", "fax": "1"}), item(3), item(4, status_code=None, statuscode=10)])
    assert response.status_code == 202
    said = [(i["status"], i.get("notes")) for i in response.json()["items"]]
    assert said == [
        (202, ["unknown field: adress", "unknown field: contact.phon"]),
        (202, ["contact.phone: not_a_number", "unknown field: contact.fax"]),
        (202, None),
        (422, ["unknown field: statuscode"]),
    ]
    assert len(site.log.ids()) == 3
    assert not [value for value in ("Ví Dụ", "0900", "nguoi.nop") if value in response.text]


def test_an_item_with_very_many_unknown_fields_has_a_short_answer(site: Site) -> None:
    (result,) = site.post(item(1) | {f"x{n}": n for n in range(100)}).json()["items"]
    assert (result["status"], len(result["notes"]), result["notes"][-1]) == (202, 21, "unknown fields: 80 more")


class Broken(KeptLog):
    """Fails with an error that repeats what was sent."""

    def publish(self, records: object) -> None:
        raise RuntimeError(f"cannot write {records!r} of 0900012345")


def test_nothing_of_a_person_is_logged_or_answered(tmp_path: Path) -> None:
    said = io.StringIO()
    telemetry.configure("intake", "debug", said)
    site = Site(tmp_path)
    person = {"phone": "0900 012 345", "email": "nguoi.nop@cong-dan.example", "fullname": "Nguyễn Thị Ví Dụ"}
    texts = []
    with site.up():
        for wrong in ({}, {"status_code": "mười"}, {"receiving_unit_code": "Nguyễn Thị Ví Dụ 0900012345"}, {"finished_at": "0900012345"}):
            texts.append(site.post(item(1, contact=person, applicant_id="P-77") | wrong).text)
        site.log.away = True
        texts.append(site.post(item(2, contact=person)).text)
        site.desk._publisher = Broken()
        broken = site.post(item(3, contact=person))
        assert error(broken) == (500, "failed")
        texts.append(broken.text)
    log = said.getvalue()
    assert "items taken" in log
    assert "request failed" in log
    for personal in ("0900", "nguoi.nop", "Nguyễn", "H28.12", "P-77", KEY):
        assert personal not in log
        assert not any(personal in text for text in texts)


def test_keys_stand_in_a_file_as_hashes(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    one, two = (hashlib.sha256(k).hexdigest() for k in (b"one", b"two"))
    path.write_text(f'one-stop = "{one}"\nportal = ["{one[::-1]}", "{two}"]\n')
    keys = load_keys(path)
    assert (source_of("Bearer one", keys), source_of("bearer  two ", keys), source_of("Basic one", keys)) == ("one-stop", "portal", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "names no source"), ("x = 5", "SHA-256"), ('x = "secret"', "sha256sum"), ('"Một cửa" = ""', "rename"), ("x = ", "TOML")],
)
def test_a_wrong_file_of_keys_is_told_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(KeysError, match=said) as caught:
        load_keys(path)
    assert "secret" not in str(caught.value)
    with pytest.raises(KeysError, match="cannot be read"):
        load_keys(tmp_path / "none.toml")
