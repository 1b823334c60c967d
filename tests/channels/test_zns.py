"""What is Zalo's own: its codes, the token that is renewed, its events."""

import asyncio
import hashlib
import json
import stat
from collections.abc import Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hailong.ports import Handover, Invalid, OutgoingMessage, Permanent, Rating, Receipt, Retryable, TemplateCall, UnknownOutcome
from surveys.channels.zns import ZnsChannel
from surveys.channels.zns_events import ZnsEvents
from tests.carrier.process import CarrierProcess, carrier

TOKEN = "7KQ2MX9P7KQ2MX9P7KQ2MX9P7K"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TO = "+84987654321"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CarrierProcess]:
    with carrier(tmp_path_factory.mktemp("carrier")) as running:
        yield running


def message(to: str = TO, template: str = "301234", **data: str) -> OutgoingMessage:
    filled = TemplateCall(template, {"code": TOKEN, **data}) if template else None
    return OutgoingMessage("claim-1", "zns", to, "", "", None, TOKEN, None, None, "vi", filled)


def zalo(process: CarrierProcess, **changed: Any) -> ZnsChannel:
    return ZnsChannel(**{**process.zns(), "now": lambda: datetime.now(UTC), "timeout": 1.0, **changed})


def send(channel: ZnsChannel, *messages: OutgoingMessage) -> list[Handover]:
    async def all_in_turn() -> list[Handover]:
        try:
            return [await channel.send(one) for one in messages]
        finally:
            await channel.close()

    return asyncio.run(all_in_turn())


def end_tokens(process: CarrierProcess) -> None:
    process.request("DELETE", "/zns/tokens").raise_for_status()


# --- messages


@pytest.mark.stack
def test_zalo_gets_the_number_the_template_and_the_mark(process: CarrierProcess) -> None:
    send(zalo(process), message("+84987000001", until="Mo\u031b\u0300i"))
    (accepted,) = process.accepted("+84987000001")
    assert (accepted["channel"], accepted["template"]) == ("zns", "301234")
    assert accepted["body"] == f"code: {TOKEN}\nuntil: M\u1eddi"
    assert f'"tracking":"{TOKEN}"' in (process.data / "journal.jsonl").read_text()


@pytest.mark.stack
@pytest.mark.parametrize(
    ("to", "reason", "code"),
    [
        ("+84510000001", "invalid_number", "-108"),
        ("+84510000002", "no_zalo_account", "-118"),
        ("+84510000003", "cannot_receive", "-119"),
        ("+84510000004", "opted_out", "-141"),
        ("+84510000006", "cannot_receive", "-114"),
    ],
)
def test_a_definite_no_has_a_word_and_zalos_code(process: CarrierProcess, to: str, reason: str, code: str) -> None:
    with pytest.raises(Permanent) as refused:
        send(zalo(process), message(to))
    assert (refused.value.reason, refused.value.code) == (reason, code)


@pytest.mark.stack
def test_a_code_nobody_knows_is_refused_for_good(process: CarrierProcess) -> None:
    with pytest.raises(Permanent) as refused:
        send(zalo(process), message(template="99000777"))
    assert (refused.value.reason, refused.value.code) == ("refused", "-777")


@pytest.mark.stack
@pytest.mark.parametrize(("code", "after"), [("32", 2), ("144", 3600), ("133", 3600), ("131", 300), ("115", 300), ("1351", 300)])
def test_what_is_no_fault_of_the_recipient_costs_nobody_the_message(process: CarrierProcess, code: str, after: float) -> None:
    with pytest.raises(Retryable, match=f"code -{code}") as put_off:
        send(zalo(process), message(template=f"99000{code}"))
    assert put_off.value.after == after


@pytest.mark.stack
def test_a_fault_of_zalos_own_does_not_tell_whether_it_was_taken(process: CarrierProcess) -> None:
    with pytest.raises(UnknownOutcome):
        send(zalo(process), message(template="99000100"))


@pytest.mark.stack
@pytest.mark.parametrize("kind", ["500", "503"])
def test_a_server_error_may_have_accepted_it(process: CarrierProcess, kind: str) -> None:
    process.order({"kind": kind, "match": {"to": "+84987000002"}})
    with pytest.raises(UnknownOutcome):
        send(zalo(process), message("+84987000002"))


@pytest.mark.parametrize("to", ["", "0987654321", "+84 987", "+84987654321x", "nguoi@example.vn"])
def test_a_number_nobody_can_have_is_refused_before_anything_is_sent(tmp_path: Path, to: str) -> None:
    with pytest.raises(Permanent, match="invalid_number") as refused:
        send(nowhere(tmp_path), message(to))
    assert not to or to not in str(refused.value)


@pytest.mark.parametrize("template", [None, TemplateCall("", {})])
def test_without_a_template_the_messages_wait_for_one(tmp_path: Path, template: TemplateCall | None) -> None:
    bare = OutgoingMessage("claim-1", "zns", TO, "", "text", None, TOKEN, None, None, "vi", template)
    with pytest.raises(Retryable, match="HAILONG_ZNS_TEMPLATE"):
        send(nowhere(tmp_path), bare)


def test_zalo_cannot_be_asked_afterwards(tmp_path: Path) -> None:
    channel = nowhere(tmp_path)
    assert not channel.can_reconcile
    with pytest.raises(Permanent):
        asyncio.run(channel.find(message(), NOW))


def nowhere(folder: Path) -> ZnsChannel:
    return ZnsChannel(app_id="1", secret="s", token_file=folder / "none.json", now=lambda: NOW)


# --- answers that are none


@asynccontextmanager
async def standing_in(handler: Any, path: str) -> Any:
    """A server for one address; its own."""
    site = web.Application()
    site.add_routes([web.post(path, handler)])
    runner = web.AppRunner(site)
    await runner.setup()
    port = web.TCPSite(runner, "127.0.0.1", 0)
    await port.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def with_good_token(folder: Path) -> Path:
    path = folder / "tokens.json"
    path.write_text(json.dumps({"refresh_token": "r", "access_token": "a", "expires_at": (NOW + timedelta(hours=1)).isoformat()}))
    return path


@pytest.mark.stack
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, '{"error": 0, "message": "Success"}', UnknownOutcome),
        (200, '{"error": 0, "data": {"msg_id": ""}}', UnknownOutcome),
        (200, "<html>busy</html>", UnknownOutcome),
        (200, '{"message": "Success"}', UnknownOutcome),
        (200, '{"error": "-118"}', Permanent),
        (302, "", Retryable),
        (403, "<html>no</html>", Retryable),
        (400, '{"error": -118}', Permanent),
        (400, "", Permanent),
        (504, '{"error": -118}', UnknownOutcome),
    ],
)
def test_answers_that_are_none_are_taken_at_their_most_careful(tmp_path: Path, status: int, body: str, kind: type[Exception]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers={"Location": "/elsewhere"} if status == 302 else {})

    async def attempt() -> None:
        async with standing_in(answer, "/message/template") as url:
            channel = ZnsChannel(app_id="1", secret="s", token_file=with_good_token(tmp_path), now=lambda: NOW, base_url=url)
            with pytest.raises(kind):
                await channel.send(message())
            await channel.close()

    asyncio.run(attempt())


# --- the token


@pytest.mark.stack
def test_a_token_that_is_no_longer_taken_is_renewed_and_the_message_goes_once(process: CarrierProcess) -> None:
    send(zalo(process), message())
    before = kept(process)
    end_tokens(process)
    send(zalo(process), message("+84987000003"))
    after = kept(process)
    assert len(process.accepted("+84987000003")) == 1
    assert before["refresh_token"] != after["refresh_token"]
    assert before["access_token"] != after["access_token"]
    assert stat.S_IMODE((process.data / "zns_tokens.client.json").stat().st_mode) == 0o600


@pytest.mark.stack
def test_a_token_about_to_end_is_renewed_before_it_is_used(process: CarrierProcess) -> None:
    send(zalo(process), message())
    before, refused = kept(process), len(process.evidence().refused)
    send(zalo(process, now=lambda: datetime.now(UTC) + timedelta(hours=24, minutes=58)), message("+84987000004"))
    assert kept(process)["refresh_token"] != before["refresh_token"]
    assert len(process.evidence().refused) == refused  # the old one was not tried


@pytest.mark.stack
def test_workers_that_need_a_new_token_at_once_renew_it_once(process: CarrierProcess) -> None:
    """The carrier takes a refresh token once: two renewals with the same one would leave somebody without."""
    send(zalo(process), message())
    end_tokens(process)

    async def worker(number: int) -> int:
        channel = zalo(process, timeout=5.0)
        handovers = await asyncio.gather(*(channel.send(message(f"+8498711{number}{n:03d}")) for n in range(10)))
        await channel.close()
        return len(handovers)

    async def together() -> list[int]:
        return await asyncio.gather(*(worker(number) for number in range(4)))

    assert asyncio.run(together()) == [10] * 4
    assert len([m for m in process.evidence().messages if m["to"].startswith("+8498711")]) == 40


@pytest.mark.stack
@pytest.mark.parametrize("before", ["without a token", "with one that is refused"])
def test_a_renewal_outlives_the_message_that_wanted_it(tmp_path: Path, before: str) -> None:
    path = with_good_token(tmp_path)
    if before == "without a token":
        path.write_text('{"refresh_token": "r"}')

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": -216})

    async def attempt() -> None:
        asked, answering = asyncio.Event(), asyncio.Event()

        async def renew(request: web.Request) -> web.Response:
            assert (await request.post())["refresh_token"] == "r"
            asked.set()
            await answering.wait()
            return web.json_response({"access_token": "a2", "refresh_token": "r2", "expires_in": "90000"})

        async with standing_in(renew, "/v4/oa/access_token") as oauth, standing_in(refuse, "/message/template") as url:
            channel = ZnsChannel(app_id="1", secret="s", token_file=path, now=lambda: NOW, base_url=url, oauth_url=oauth, timeout=0.3)
            with pytest.raises(Retryable, match="nothing was sent"):
                await channel.send(message())
            assert asked.is_set()
            answering.set()
            await channel.close()

    asyncio.run(attempt())
    assert json.loads(path.read_bytes()) == {"refresh_token": "r2", "access_token": "a2", "expires_at": "2026-03-03T10:00:00Z"}


@pytest.mark.stack
def test_a_renewal_whose_answer_was_lost_is_told_with_the_way_out(tmp_path: Path) -> None:
    with carrier(tmp_path) as own:
        own.order({"kind": "timeout_after", "seconds": 0.05, "match": {"channel": "zns", "to": "tokens"}})
        with pytest.raises(Retryable, match="could not be renewed"):
            send(zalo(own), message())
        with pytest.raises(Retryable, match=r"allow the application again.*HAILONG_ZNS_TOKEN_FILE") as put_off:
            send(zalo(own), message())
        assert put_off.value.after >= 60
        assert own.evidence().messages == ()


@pytest.mark.stack
@pytest.mark.parametrize(("kind", "after"), [("429", 9.0), ("503", 9.0), ("500", 2.0)])
def test_a_provider_of_tokens_that_is_busy_costs_nothing(tmp_path: Path, kind: str, after: float) -> None:
    with carrier(tmp_path) as own:
        own.order({"kind": kind, "retry_after": 9, "match": {"channel": "zns", "to": "tokens"}})
        with pytest.raises(Retryable) as put_off:
            send(zalo(own), message())
        assert put_off.value.after == after
        assert len(send(zalo(own), message())) == 1


@pytest.mark.stack
def test_a_renewal_in_vain_is_not_tried_again_by_every_message(process: CarrierProcess, tmp_path: Path) -> None:
    asked = []

    async def refuse(request: web.Request) -> web.Response:
        asked.append(await request.post())
        return web.json_response({"error": -14014, "error_name": "Invalid refresh token"})

    async def attempts() -> None:
        path = tmp_path / "tokens.json"
        path.write_text('{"refresh_token": "r1"}')
        async with standing_in(refuse, "/v4/oa/access_token") as url:
            channel = ZnsChannel(app_id="1", secret="s", token_file=path, now=lambda: NOW, oauth_url=url)
            for _ in range(5):
                with pytest.raises(Retryable, match="code -14014"):
                    await channel.send(message())
            await channel.close()

    asyncio.run(attempts())
    assert len(asked) == 1


@pytest.mark.stack
def test_a_wrong_secret_is_told_and_not_shown(process: CarrierProcess, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"refresh_token": "geheim-refresh"}')
    with pytest.raises(Retryable, match="HAILONG_ZNS_SECRET_FILE") as put_off:
        send(zalo(process, secret="geheim", token_file=tokens), message())
    assert "geheim" not in repr(put_off.value) + repr(put_off.value.__dict__)


@pytest.mark.parametrize("content", [None, "", "refresh", '{"access_token": "a"}'])
def test_a_token_file_that_is_not_there_or_not_one_is_told(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokens.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Retryable, match=r"tokens\.json.*HAILONG_ZNS_TOKEN_FILE"):
        send(ZnsChannel(app_id="1", secret="s", token_file=path, now=lambda: NOW), message())


@pytest.mark.stack
def test_no_pair_is_asked_for_that_the_disk_would_not_take(process: CarrierProcess) -> None:
    send(zalo(process), message())
    end_tokens(process)
    before, in_the_way = kept(process), process.data / "zns_tokens.client.json.new"
    in_the_way.mkdir()
    with pytest.raises(Retryable, match="cannot be written"):
        send(zalo(process), message())
    in_the_way.rmdir()
    assert kept(process) == before
    assert len(send(zalo(process), message())) == 1


def kept(process: CarrierProcess) -> dict[str, str]:
    tokens: dict[str, str] = json.loads((process.data / "zns_tokens.client.json").read_bytes())
    return tokens


# --- events

SECRET = "oa-secret"
EVENTS = ZnsEvents("4711", SECRET)
DELIVERED = {"event_name": "user_received_message", "message": {"delivery_time": "1", "msg_id": "ZN1", "tracking_id": TOKEN}}
TAPPED = {
    "event_name": "user_feedback",
    "message": {"msg_id": "ZN1", "tracking_id": TOKEN, "rate": 4, "submit_time": "1616673095659", "note": "Tốt", "feedbacks": ["x"]},
}


def body(event: dict[str, Any], app_id: str = "4711") -> bytes:
    return json.dumps({**event, "app_id": app_id, "timestamp": "1616673095700"}, ensure_ascii=False).encode()


def signed(octets: bytes, secret: str = SECRET, app_id: str = "4711") -> str:
    return "mac=" + hashlib.sha256(app_id.encode() + octets + b"1616673095700" + secret.encode()).hexdigest()


def test_an_event_is_believed_only_with_its_signature() -> None:
    octets = body(TAPPED)
    assert EVENTS.verify(octets, signed(octets))
    assert not EVENTS.verify(octets.replace(b'"rate": 4', b'"rate": 5'), signed(octets))
    assert not EVENTS.verify(octets, signed(octets, "other"))
    assert not EVENTS.verify(octets, "")
    assert not EVENTS.verify(octets, "mac=é")
    assert not EVENTS.verify(b"no json", signed(b"no json"))
    assert not EVENTS.verify(body(TAPPED, "4712"), signed(body(TAPPED, "4712"), app_id="4712"))
    assert not ZnsEvents("4711", "").verify(octets, signed(octets, ""))


def test_a_number_for_a_time_is_signed_as_it_is_written() -> None:
    octets = b'{"app_id": "4711", "timestamp": 1616673095700, "event_name": "x"}'
    assert EVENTS.verify(octets, signed(octets))


def test_a_received_message_is_a_receipt_if_it_is_one_of_ours() -> None:
    assert EVENTS.parse(body(DELIVERED)) == Receipt("zns", "ZN1", "delivered", None)
    assert EVENTS.parse(body({"event_name": "user_received_message", "message": {"msg_id": "ZN1"}})) is None


def test_a_rating_is_its_score_and_one_act_however_often_it_is_told() -> None:
    rating = EVENTS.parse(body(TAPPED))
    assert isinstance(rating, Rating)
    assert (rating.token, rating.score) == (TOKEN, 4)
    assert EVENTS.parse(body(TAPPED)) == rating
    again = EVENTS.parse(body({**TAPPED, "message": {**TAPPED["message"], "submit_time": "1616673095660"}}))  # type: ignore[dict-item]
    assert isinstance(again, Rating)
    assert again.act != rating.act


def test_what_was_written_beside_a_rating_is_dropped() -> None:
    assert "Tốt" not in repr(EVENTS.parse(body(TAPPED)))


def test_other_events_are_nothing_and_broken_ones_are_said_to_be() -> None:
    assert EVENTS.parse(body({"event_name": "follow"})) is None
    assert EVENTS.parse(body({})) is None
    for broken in ({"event_name": "user_feedback"}, {**TAPPED, "message": {"rate": "many"}}, {**DELIVERED, "message": "x"}):
        with pytest.raises(Invalid, match="unreadable_event"):
            EVENTS.parse(body(broken))
