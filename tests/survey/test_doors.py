"""No more messages, providers' receipts, and everything that is sent wrongly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hailong.events import ContactPreference, encode
from hailong.ports import Receipt
from tests.survey.twins import CODE, NOW, UNKNOWN, VI, Installation, code_of, opened, page_of, sealed_in, unsealed, until

pytestmark = pytest.mark.anyio

# --- no more messages


async def test_one_button_and_it_is_committed_before_the_page_confirms(site: Installation) -> None:
    page = await site.get(f"/{CODE}/stop{VI}")
    assert page.text.count("<button") == 1
    assert site.ledger.opted_out == {}
    done = await site.http.post(f"/{CODE}/stop{VI}")
    assert (done.status_code, page_of(done)) == (200, "stopped")
    assert "sẽ không nhận tin nhắn khảo sát nữa" in done.text
    assert site.ledger.opted_out == {"s-1": "link"}
    await until(lambda: any(isinstance(f, ContactPreference) for f in site.log.facts()), seconds=2)
    await until(lambda: not site.ledger.outbox)


async def test_an_opt_out_left_in_the_outbox_by_a_crash_reaches_the_log(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        fact = ContactPreference(
            event_id="e", registry_id="hoa-binh", contact_hash="ab", pepper_version=1, choice="opt_out", at=NOW, door="link"
        )
        site.log.away = True
        site.ledger.outbox[1] = encode(fact, NOW)
        site.log.away = False
        await until(lambda: [f.event_id for f in site.log.facts()] == ["e"])


async def test_a_mail_programs_own_button_works_on_the_same_address(site: Installation) -> None:
    done = await site.http.post(f"/{CODE}/stop", data={"List-Unsubscribe": "One-Click"})
    assert done.status_code == 200
    assert site.ledger.opted_out == {"s-1": "one_click"}


async def test_an_unknown_code_is_told_the_same(site: Installation) -> None:
    for lang in ("vi", "en"):
        known, unknown = [await site.http.post(f"/{code}/stop?lang={lang}") for code in (CODE, UNKNOWN)]
        assert (known.status_code, unsealed(known)) == (unknown.status_code, unsealed(unknown).replace(UNKNOWN, CODE))
        assert len(known.content) == len(unknown.content), "nor does what is sealed tell"
        pages = [(await site.get(f"/{code}/stop?lang={lang}")).text.replace(code, "") for code in (CODE, UNKNOWN)]
        assert pages[0] == pages[1]


MEANT = ["ABCDEFGHJKM", "HL-7KQ2-93", "0O1I", CODE[:-1], f"{CODE}X", "2" * 26]


@pytest.mark.parametrize("code", MEANT)
@pytest.mark.parametrize("page", ["stop", "start"])
async def test_whatever_could_be_meant_as_a_code_is_told_the_same_first_and_again(site: Installation, code: str, page: str) -> None:
    kept = code.replace("-", "")
    for away in (False, True):
        site.ledger.away = away
        known = await site.http.post(f"/{CODE}/{page}{VI}")
        assert known.status_code == (503 if away else 200)
        for _ in range(2):
            told = await site.http.post(f"/{code}/{page}{VI}")
            assert (told.status_code, unsealed(told).replace(kept, CODE)) == (known.status_code, unsealed(known))
        before, after = [await site.get(f"/{c}/{page}{VI}") for c in (CODE, code)]
        assert (after.status_code, after.text.replace(kept, CODE)) == (200, before.text)
    assert site.ledger.looked_up == 3, "looked up alike"
    assert set(site.ledger.opted_out) <= {"s-1"}


async def test_messages_again_only_by_the_person_s_own_link_and_an_unknown_code_is_told_the_same(site: Installation) -> None:
    await site.http.post(f"/{CODE}/stop{VI}")
    assert f'href="/{CODE}/start?lang=vi"' in (await site.get(f"/{CODE}/stop{VI}")).text
    page = await site.get(f"/{CODE}/start{VI}")
    assert (page_of(page), page.text.count("<button"), site.ledger.opted_out) == ("start", 1, {"s-1": "link"})
    site.ledger.away = True
    assert (await site.http.post(f"/{CODE}/start{VI}")).status_code == 503
    site.ledger.away = False
    known, unknown = [await site.http.post(f"/{code}/start{VI}") for code in (CODE, UNKNOWN)]
    assert (page_of(known), known.status_code) == ("started", 200)
    assert (unsealed(known), len(known.content)) == (unsealed(unknown), len(unknown.content))
    assert site.ledger.opted_out == {}
    assert (await site.http.post("/..../start")).status_code == 404


async def test_guessing_codes_on_the_stop_page_is_limited_too(site: Installation) -> None:
    answers = [(await site.http.post(f"/{code_of(f'guess-{i}')}/stop")).status_code for i in range(30)]
    assert answers.count(200) == 20
    assert answers[-1] == 429


@pytest.mark.parametrize(("asked_again", "words"), [(3, "sẽ không nhận tin nhắn khảo sát nữa"), (10_000, "có thể vẫn đến nơi")])
async def test_a_message_under_way_is_waited_for_and_then_told_of(site: Installation, asked_again: int, words: str) -> None:
    site.ledger.under_way = asked_again
    done = await site.http.post(f"/{CODE}/stop{VI}")
    assert words in done.text
    assert site.ledger.opted_out == {"s-1": "link"}


async def test_without_the_ledger_nothing_is_confirmed(site: Installation) -> None:
    site.ledger.away = True
    answer = await site.http.post(f"/{CODE}/stop{VI}")
    assert answer.status_code == 503
    assert "chưa được ghi nhận" in answer.text
    assert answer.text.count("<button") == 1


# --- receipts


async def test_a_signed_receipt_is_stored_under_its_public_address(site: Installation) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    signed = {"X-Twilio-Signature": "sig:https://ks.example/receipts/twilio?a=b"}
    answer = await site.http.post("http://10.0.0.1/receipts/twilio?a=b", data=form, headers=signed)
    assert answer.status_code == 204
    assert site.ledger.receipts == [Receipt("twilio", "SM1", "delivered", None)]


async def test_receipts_that_are_unsigned_of_nobody_or_of_no_news_are_not_stored(site: Installation) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    signed = {"X-Twilio-Signature": "sig:https://ks.example/receipts/twilio"}
    assert (await site.http.post("/receipts/twilio", data=form)).status_code == 403
    assert (await site.http.post("/receipts/nobody", data=form, headers=signed)).status_code == 404
    assert (await site.http.post("/receipts/twilio", data=form | {"MessageStatus": "queued"}, headers=signed)).status_code == 204
    assert (await site.get("/receipts/twilio")).status_code == 405
    site.ledger.away = True
    away = await site.http.post("/receipts/twilio", data=form, headers=signed)
    assert (away.status_code, away.headers["retry-after"]) == (503, "7")
    assert site.ledger.receipts == []


# --- errors


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/a/b/c", 404, "Không tìm thấy trang"),
        ("DELETE", f"/{CODE}", 405, "không nhận yêu cầu"),
        ("POST", f"/{CODE}/why", 405, "không nhận yêu cầu"),
    ],
)
async def test_errors_are_sentences(site: Installation, method: str, path: str, status: int, words: str) -> None:
    answer = await site.http.request(method, path)
    assert answer.status_code == status
    assert words in answer.text
    assert 'data-page="error"' in answer.text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", f"/{CODE}", {"GET", "HEAD", "POST"}),
        ("PUT", f"/{CODE}/stop", {"GET", "HEAD", "POST"}),
        ("POST", f"/{CODE}/why", {"GET", "HEAD"}),
        ("POST", f"/{CODE}/next", {"GET", "HEAD"}),
        ("POST", f"/{CODE}/thanks", {"GET", "HEAD"}),
        ("POST", "/", {"GET", "HEAD"}),
        ("DELETE", "/notice", {"GET", "HEAD"}),
        ("GET", "/receipts/twilio", {"POST"}),
    ],
)
async def test_a_refused_method_is_told_which_ones_there_are(site: Installation, method: str, path: str, allowed: set[str]) -> None:
    answer = await site.http.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (405, "text/html; charset=utf-8")
    assert set(answer.headers["allow"].split(", ")) == allowed


async def test_a_program_gets_one_shape_of_error(site: Installation) -> None:
    answer = await site.get("/a/b/c", accept="application/json")
    assert answer.json()["error"]["status"] == 404
    refused = await site.http.delete(f"/{CODE}", headers={"accept": "application/json"})
    assert set(refused.json()["error"]) == {"status", "reason", "detail"}
    assert refused.headers["allow"] in refused.json()["error"]["detail"]
    assert CODE not in refused.text


@pytest.mark.parametrize("declared", [True, False])
async def test_too_much_is_refused(site: Installation, declared: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"Q0=" + b"1" * 1_000 + b"&"

    body = {"content": b"Q0=" + b"1" * 20_000} if declared else {"content": chunks()}
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await site.http.post(f"/{CODE}", headers=headers, **body)
    assert answer.status_code == 413
    assert "Nội dung gửi quá lớn" in answer.text


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/x-www-form-urlencoded", b"form=%ff%fe&Q0=%80&&&=;"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=Q0; filename=a\r\n\r\n1\r\n--x--"),
        ("multipart/form-data", b"nonsense"),
        ("application/json", b'{"Q0": 1}'),
        ("application/x-www-form-urlencoded", b"&".join(b"Q0=1" for _ in range(100))),
    ],
)
async def test_forms_no_browser_sends_are_refused_without_a_fault_of_ours(site: Installation, kind: str, content: bytes) -> None:
    answer = await site.http.post(f"/{CODE}", content=content, headers={"content-type": kind})
    assert answer.status_code == 400
    assert site.log.records == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fields=st.dictionaries(st.text(max_size=6) | st.sampled_from(["Q0", "Q7"]), st.text(max_size=6) | st.sampled_from(["1", "6", "na"])))
async def test_whatever_is_sent_with_a_good_form_nothing_unasked_is_recorded(site: Installation, fields: dict[str, str]) -> None:
    page = await site.ask(CODE, "?again=1")
    answer = await site.http.post(f"/{CODE}", data={**fields, "form": sealed_in(page)})
    good = set(fields) - {"form"} == {"Q0"} and fields["Q0"] in ("1", "2", "3", "4", "5", "na")
    assert answer.status_code == (303 if good else 422)
    assert all(set(f.answers) == {"Q0"} and f.answers["Q0"] in (None, 1, 2, 3, 4, 5) for f in site.log.answers())
