"""The carrier as a process: the wire, the receipts, the page, and kill -9."""

import re
import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from twilio.request_validator import RequestValidator

from tests.carrier.process import ACCOUNT, CarrierProcess, carrier, receiver, run_carrier, until

pytestmark = pytest.mark.stack

TO = "+84912345678"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CarrierProcess]:
    with carrier(tmp_path_factory.mktemp("carrier")) as process:
        yield process


def sms(process: CarrierProcess, to: str = TO, body: str = "Moi Ong/Ba danh gia", **more: str) -> httpx.Response:
    return process.api(data={"To": to, "From": "HCC", "Body": body, **more})


def test_a_message_without_credentials_is_refused_and_noted(shared: CarrierProcess) -> None:
    refused = shared.evidence().refused
    for auth in (None, (ACCOUNT, "wrong"), ("AC" + "f" * 32, shared.token)):
        answer = shared.api(data={"To": TO, "From": "HCC", "Body": "x"}, auth=auth)
        assert (answer.status_code, answer.json()["code"]) == (401, 20003)
    assert [line.code for line in shared.evidence().refused[len(refused) :]] == [20003] * 3


def test_an_accepted_message_is_answered_with_the_whole_resource(shared: CarrierProcess) -> None:
    answer = sms(shared, body="Mời Ông/Bà đánh giá " * 5)
    body = answer.json()
    assert answer.status_code == 201
    assert (body["status"], body["num_segments"], body["account_sid"]) == ("queued", "2", ACCOUNT)
    assert body["date_created"].endswith("+0000")
    until(lambda: shared.api(f"/{body['sid']}").json()["status"] == "delivered")
    assert shared.api(f"/{body['sid']}").json()["date_sent"]


def test_a_refused_message_is_answered_as_by_twilio_and_noted(shared: CarrierProcess) -> None:
    answer = sms(shared, to="+84510000004")
    assert answer.status_code == 400
    assert answer.json().keys() == {"code", "message", "more_info", "status"}
    assert shared.evidence().refused[-1].code == 21610
    assert not shared.accepted("+84510000004")


def test_what_is_not_there_is_404(shared: CarrierProcess) -> None:
    assert shared.api("/SM" + "0" * 32).json()["code"] == 20404
    assert httpx.get(shared.url + "/2010-04-01/Accounts.json", auth=(ACCOUNT, shared.token)).json()["code"] == 20404


def test_the_list_is_paged_newest_first_and_stays_in_step_while_messages_come_in(shared: CarrierProcess) -> None:
    to = "+84912000007"
    sids = [sms(shared, to=to, body=f"so {n}").json()["sid"] for n in range(5)]
    first = shared.api(params={"To": to, "PageSize": 2}).json()
    late = sms(shared, to=to).json()["sid"]
    seen, uri = [m["sid"] for m in first["messages"]], first["next_page_uri"]
    while uri:
        page = httpx.get(shared.url + uri, auth=(ACCOUNT, shared.token)).json()
        seen, uri = seen + [m["sid"] for m in page["messages"]], page["next_page_uri"]
    assert seen == sids[::-1]
    assert shared.api(params={"To": to}).json()["messages"][0]["sid"] == late


def test_the_list_by_date_sent_leaves_out_what_is_not_sent_yet(shared: CarrierProcess) -> None:
    to = "+84912000008"
    shared.order({"kind": "late_receipt", "seconds": 60, "match": {"to": to}})
    late, sent = (sms(shared, to=to).json()["sid"] for _ in range(2))
    until(lambda: shared.api(f"/{sent}").json()["date_sent"])
    found = shared.api(params={"To": to, "DateSent>": "2020-01-01T00:00:00Z"}).json()["messages"]
    assert [m["sid"] for m in found] == [sent]
    assert late in [m["sid"] for m in shared.api(params={"To": to}).json()["messages"]]
    assert not shared.api(params={"To": to, "DateSent<": "2020-01-01"}).json()["messages"]


def test_receipts_are_signed_and_come_for_each_step(shared: CarrierProcess) -> None:
    with receiver() as site:
        url = site.url + "/twilio?x=1"
        sid = sms(shared, StatusCallback=url).json()["sid"]
        until(lambda: len(site.statuses(sid)) == 2)
        assert sorted(site.statuses(sid)) == ["delivered", "sent"]
        for path, form, signature in site.got:
            assert path == "/twilio?x=1"
            assert RequestValidator(shared.token).validate(url, form, signature)


def test_a_failed_message_says_why(shared: CarrierProcess) -> None:
    with receiver() as site:
        sid = sms(shared, to="+84510000103", StatusCallback=site.url).json()["sid"]
        until(lambda: "undelivered" in site.statuses(sid))
        assert [form.get("ErrorCode") for _, form, _ in site.got if form["MessageStatus"] == "undelivered"] == ["30003"]
    assert shared.api(f"/{sid}").json()["error_code"] == 30003


def test_a_receiver_that_breaks_or_is_away_gets_its_receipts_later(shared: CarrierProcess) -> None:
    with receiver() as site:
        site.answers = [500, 503]
        site.stop()
        sids = [sms(shared, to=f"+849120001{n:02d}", StatusCallback=site.url).json()["sid"] for n in range(20)]
        until(lambda: all(shared.api(f"/{sid}").json()["status"] == "delivered" for sid in sids))
        site.start()
        until(lambda: all({"sent", "delivered"} <= set(site.statuses(sid)) for sid in sids))
        until(lambda: httpx.get(shared.url + "/healthz").json()["messages"] and shared_is_quiet(shared, sids))
        assert len(site.got) == 42  # the two it broke on came again


def shared_is_quiet(process: CarrierProcess, sids: list[str]) -> bool:
    told = [line.id for line in process.evidence().told]
    return all(told.count(sid) == 2 for sid in sids)


def test_ordered_receipt_faults_drop_and_double(shared: CarrierProcess) -> None:
    with receiver() as site:
        shared.order(
            {"kind": "drop_receipt", "match": {"to": "+84912000201"}},
            {"kind": "double_receipt", "match": {"to": "+84912000202"}},
        )
        dropped, doubled = (sms(shared, to=f"+8491200020{n}", StatusCallback=site.url).json()["sid"] for n in (1, 2))
        until(lambda: len(site.statuses(doubled)) == 4)
        until(lambda: shared.api(f"/{dropped}").json()["status"] == "delivered")
        assert site.statuses(dropped) == []


def test_a_kill_between_accepting_and_reporting_loses_neither(tmp_path: Path) -> None:
    with receiver() as site, carrier(tmp_path, "--sent-after", "2", "--delivered-after", "2.2") as process:
        sids = [sms(process, to=f"+849120003{n:02d}", StatusCallback=site.url).json()["sid"] for n in range(10)]
        process.kill()
        assert [message["id"] for message in process.evidence().messages] == sids
        assert not site.got
        process.start()
        until(lambda: all({"sent", "delivered"} <= set(site.statuses(sid)) for sid in sids))
        assert [message["id"] for message in httpx.get(process.url + "/messages.json").json()] == sids[::-1]


def test_a_kill_while_the_receiver_is_away_loses_no_receipt(tmp_path: Path) -> None:
    with receiver() as site, carrier(tmp_path) as process:
        site.stop()
        sid = sms(process, StatusCallback=site.url).json()["sid"]
        until(lambda: process.api(f"/{sid}").json()["status"] == "delivered")
        process.kill()
        site.start()
        process.start()
        until(lambda: {"sent", "delivered"} <= set(site.statuses(sid)))


def test_a_mail_is_on_the_disk_when_the_server_says_so(tmp_path: Path) -> None:
    with carrier(tmp_path) as process:
        with smtplib.SMTP("127.0.0.1", process.smtp_port) as relay:
            relay.sendmail("ks@example.vn", ["a@example.vn", "b@example.vn"], "Subject: x\r\n\r\nMoi Ong/Ba\r\n.dot\r\n")
            process.kill()
            relay.close()
        assert [(m["to"], m["body"]) for m in process.evidence().messages] == [
            ("a@example.vn", "Moi Ong/Ba\n.dot\n"),
            ("b@example.vn", "Moi Ong/Ba\n.dot\n"),
        ]


def test_the_page_shows_messages_and_never_runs_them(shared: CarrierProcess) -> None:
    with smtplib.SMTP("127.0.0.1", shared.smtp_port) as relay:
        mail = (
            'Subject: <script>alert(1)</script>\r\nContent-Type: text/html\r\n\r\n<p onclick="x">Chao</p></iframe><script>alert(2)</script>'
        )
        relay.sendmail("ks@example.vn", ["trang@example.vn"], mail)
    listed = httpx.post(shared.url + "/", data={"q": "trang@"})
    assert '<html lang="vi">' in listed.text
    assert "Người nhận" in listed.text
    assert "script-src" not in listed.headers["content-security-policy"]
    assert "default-src 'none'" in listed.headers["content-security-policy"]
    message = shared.accepted("trang@example.vn")[0]
    page = httpx.get(f"{shared.url}/messages/{message['id']}", params={"lang": "en"}).text
    assert "Recipient" in page
    assert "<script" not in listed.text + page
    assert 'sandbox="allow-popups' in page
    assert "srcdoc=" in page


def test_the_page_finds_a_recipient_as_people_write_numbers(shared: CarrierProcess) -> None:
    sms(shared, to="+84912999888")
    assert "+84912999888" in httpx.post(shared.url + "/", data={"q": "0912 999 888"}).text
    assert "Không có tin nào" in httpx.post(shared.url + "/", data={"q": "0912999000"}).text
    assert httpx.get(shared.url + "/messages/SM0").status_code == 404


def test_a_number_that_is_searched_for_stands_in_no_address(shared: CarrierProcess) -> None:
    for n in range(52):
        sms(shared, to="+84912777888", body=f"so {n}.")
    for lang, newest in (("", "Mới nhất"), ("?lang=en", "Newest")):
        found = httpx.post(f"{shared.url}/{lang}", data={"q": "0912777888"}).text
        older = re.search(r'name="before" value="(\d+)"', found)
        assert older
        assert ("so 51.<" in found, "so 1.<" in found) == (True, False)
        last = httpx.post(f"{shared.url}/{lang}", data={"q": "0912777888", "before": older[1]}).text
        assert ("so 1.<" in last, "so 51.<" in last, newest in last) == (True, False, True)
        for page in (found, last, httpx.get(f"{shared.url}/{lang}", params={"q": "0912777888", "before": "9"}).text):
            addresses = re.findall(r'(?:href|action)="([^"]*)"', page)
            assert addresses
            assert not any("777888" in address for address in addresses)
            assert '<form role="search" action="/' in page
            assert re.search(r'<form role="search" action="[^"]*" method="post">', page)


def test_the_json_can_be_followed_from_any_point(shared: CarrierProcess) -> None:
    last = httpx.get(shared.url + "/messages.json", params={"limit": 1}).json()[0]["n"]
    sids = [sms(shared, to=f"+849120004{n:02d}").json()["sid"] for n in range(3)]
    follow = httpx.get(shared.url + "/messages.json", params={"after": last, "channel": "sms"}).json()
    assert [m["id"] for m in follow] == sids
    assert {"id", "at", "channel", "to", "from", "subject", "body", "html", "segments", "state", "headers"} <= follow[0].keys()
    assert httpx.get(shared.url + "/messages.json", params={"after": last, "channel": "email"}).json() == []
    assert httpx.get(shared.url + "/messages.json", params={"channel": "pigeon"}).status_code == 400


def test_an_unreadable_fault_order_is_refused_with_its_reason(shared: CarrierProcess) -> None:
    answer = httpx.post(shared.url + "/faults", json=[{"kind": "meteor"}])
    assert answer.status_code == 400
    assert "meteor" in answer.json()["error"]


def test_it_stops_in_time_even_while_holding_a_connection(tmp_path: Path) -> None:
    with carrier(tmp_path) as process:
        process.order({"kind": "timeout_after", "seconds": 60})

        def held() -> None:
            with pytest.raises(httpx.HTTPError):
                sms(process)

        waiting = threading.Thread(target=held)
        waiting.start()
        until(lambda: process.accepted(TO))
        began = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - began < 30, "it waited for the connection"
        waiting.join(5)


def test_what_keeps_it_from_starting_is_said_in_a_sentence(tmp_path: Path) -> None:
    def refusal(*arguments: str) -> str:
        child = run_carrier(*arguments)
        _, said = child.communicate(timeout=10)
        assert child.returncode == 2
        assert len(said.splitlines()) == 1
        return said

    (tmp_path / "file").write_text("")
    (tmp_path / "empty").write_text("\n")
    free = ("--http-port", "0", "--smtp-port", "0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port}" in refusal("--data", str(tmp_path / "a"), "--http-port", port, "--smtp-port", "0")
        assert "--smtp-port" in refusal("--data", str(tmp_path / "a"), "--http-port", "0", "--smtp-port", port)
    assert "--data" in refusal("--data", str(tmp_path / "file" / "below"), *free)
    assert "is empty" in refusal("--data", str(tmp_path / "b"), *free, "--auth-token-file", str(tmp_path / "empty"))
    with carrier(tmp_path / "c"):
        assert "in use by another carrier" in refusal("--data", str(tmp_path / "c"), *free)
