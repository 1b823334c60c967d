"""The gate before every provider: a fresh installation reaches nobody, a trial guests only, and nobody by accident."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hailong.domain.modes import Reach, read_modes
from hailong.events import MessageChannel
from hailong.ports import Handover, OutgoingMessage, Permanent, Receipt, Retryable
from hailong.settings import SettingError, Settings
from ops import worker
from ops.cli.message import _send
from ops.local.refusal import Refusal
from ops.reaching import Gate, Gated, carried, guest_list, outcome, refuse_tries, simulated, tries
from ops.ways import Ways, secret
from tests.contract.build import NOON
from tests.streams.twins import ChannelTwin

CARRIER = "http://127.0.0.1:18403"
LOCAL = Settings(carrier_url=CARRIER, twilio_base_url=CARRIER, smtp_port=18404)


def message(to: str = "+84912345678", channel: MessageChannel = "sms") -> OutgoingMessage:
    return OutgoingMessage("c1", channel, to, "s", "Kính mời", None, "CODE", None, None, "vi")


def no_guest(_channel: str, _to: str | None) -> bool:
    return False


class Door:
    """A twin of a provider behind the gate."""

    def __init__(self, modes: str, *, live: Callable[[str], bool] = lambda _: True, welcome: Any = lambda *_: True, **more: Any) -> None:
        self.twin, self.reported = ChannelTwin(**{"provider": "gateway-x"} | more.pop("twin", {})), list[Receipt]()
        reach = Reach(read_modes(modes), **{"abroad": {"twilio"}} | more)
        self.gated = Gated(self.twin, Gate(reach, welcome, live, self.reported.append))

    def send(self, to: str = "+84912345678") -> Handover:
        return asyncio.run(self.gated.send(message(to, self.twin.name)))


# --- the gate


@pytest.mark.parametrize(
    ("door", "said"),
    [
        (Door(""), "the channel's mode is carrier"),
        (Door("sms=live", live=lambda _: False), "hailong live sms --by LOGIN"),
        (Door("sms=live", tried=["any_hour"]), "Unset them"),
        (Door("sms=trial", twin={"provider": "twilio"}), "HAILONG_ABROAD_BASIS"),
    ],
)
def test_what_may_not_leave_waits_with_its_reason_and_is_neither_sent_nor_asked_about(door: Door, said: str) -> None:
    with pytest.raises(Retryable, match=said):
        door.send()
    with pytest.raises(Retryable, match=said):
        asyncio.run(door.gated.find(message(), NOON))
    assert (door.twin.sent, door.twin.looked_up) == ([], 0)


@pytest.mark.parametrize("door", [Door("", carried={"gateway-x"}), Door("sms=trial"), Door("sms=live")])
def test_what_may_leave_does(door: Door) -> None:
    assert door.send().provider == "gateway-x"
    assert asyncio.run(door.gated.find(message(), NOON)) is not None
    assert [m.to for m in door.twin.sent] == ["+84912345678"]


def test_in_a_trial_whoever_is_no_guest_is_refused_before_the_provider_hears_of_them() -> None:
    door = Door("sms=trial", welcome=no_guest)
    with pytest.raises(Permanent, match="trial"):
        door.send()
    assert asyncio.run(door.gated.find(message(), NOON)) is None
    assert (door.twin.sent, door.twin.looked_up) == ([], 0)


def test_the_ledger_is_asked_whether_a_channel_is_live_and_a_switch_is_heard_within_a_second() -> None:
    asked: list[str] = []

    def live(channel: str) -> bool:
        asked.append(channel)
        return len(asked) == 1

    door = Door("sms=live", live=live)

    async def twice() -> None:
        await door.gated.send(message())
        await door.gated.send(message())
        door.gated._live = (float("-inf"), True)
        with pytest.raises(Retryable):
            await door.gated.send(message())

    asyncio.run(twice())
    assert asked == ["sms", "sms"]


# --- simulated recipients


@pytest.mark.parametrize("to", ["+84510000001", "+15005550001", "a@guest.example", "b@example.com", "c@x.y.test"])
def test_simulated_recipients_never_leave_and_are_refused_when_live(to: str) -> None:
    assert simulated(to)
    channel: MessageChannel = "email" if "@" in to else "sms"
    door = Door(f"{channel}=live", twin={"name": channel, "provider": "gateway-x"})
    with pytest.raises(Permanent, match="simulated_recipient"):
        door.send(to)
    assert door.twin.sent == []


@pytest.mark.parametrize("to", ["+84912345678", "+84510001001", "a@example.vn", "a@myexample.com", "a@notatest"])
def test_real_recipients_are_not_taken_for_simulated_ones(to: str) -> None:
    assert not simulated(to)


@pytest.mark.parametrize(
    ("to", "receipts"),
    [
        ("+84510000300", [("sent", None), ("delivered", None)]),
        ("+84510000105", [("sent", None), ("failed", "30005")]),
        ("+84510000200", [("sent", None)]),
        ("+84510000202", [("sent", None)] * 2 + [("delivered", None)] * 2),
    ],
)
def test_in_a_trial_they_end_as_the_carrier_s_table_says(to: str, receipts: list[tuple[str, str | None]]) -> None:
    door = Door("sms=trial", welcome=no_guest)
    handover = door.send(to)
    assert (handover.segments, handover.receipts) == (1, True)
    assert [(r.status, r.code) for r in door.reported] == receipts
    assert {r.provider_id for r in door.reported} == {handover.provider_id}
    assert asyncio.run(door.gated.find(message(to), NOON)) == handover, "the same for whoever asks later"
    assert door.twin.sent == []


@pytest.mark.parametrize(
    ("to", "error", "code"),
    [
        ("+84510000004", Permanent, "21610"), ("+15005550009", Permanent, "21614"), ("+84510000029", Retryable, "20429"),
        ("refuse-550@a.example", Permanent, "550"), ("later-451@a.example", Retryable, "451"), ("data-554@a.example", Permanent, "554"),
    ],
)  # fmt: skip
def test_refusals_of_the_table_are_refusals(to: str, error: type[Exception], code: str) -> None:
    with pytest.raises(error) as raised:
        outcome(message(to, "email" if "@" in to else "sms"), "p")
    assert code in (getattr(raised.value, "code", None) or str(raised.value))


def test_a_simulated_mail_comes_back() -> None:
    handover, receipts = outcome(message("bounce-511@a.example", "email"), "smtp")
    assert ([(r.status, r.code) for r in receipts], handover.receipts) == ([("failed", "511")], True)
    assert outcome(message("lan@a.example", "email"), "smtp")[1] == []


# --- what the settings say


def test_only_the_carrier_s_own_address_counts_as_the_carrier() -> None:
    assert carried(Settings(), None) == {"print"}
    assert carried(LOCAL, None) == {"print", "twilio", "smtp"}
    assert carried(replace(LOCAL, twilio_base_url="https://api.twilio.com"), None) == {"print", "smtp"}
    assert carried(replace(LOCAL, twilio_base_url="http://127.0.0.1:9"), None) == {"print", "smtp"}
    assert carried(replace(LOCAL, smtp_port=25), None) == {"print", "twilio"}, "a mail server on this machine hands mails on"
    assert carried(replace(LOCAL, smtp_host="relay.example.vn"), None) == {"print", "twilio"}
    assert "zns" not in carried(replace(LOCAL, zns_base_url=CARRIER), None), "its tokens would still come from Zalo"
    assert carried(replace(LOCAL, gateway_base_url=CARRIER), "gateway-x") >= {"gateway-x"}


def test_a_fresh_installation_reaches_nobody(tmp_path: Path) -> None:
    ways = Ways(Settings(), lambda *_: "")
    assert {ways.may_leave(channel, way.main, True) for channel, way in ways.by_channel.items()} == {"no_carrier"}
    assert not ways.only_carrier
    local = Ways(LOCAL, lambda *_: "")
    assert {local.may_leave(channel, way.main, False) for channel, way in local.by_channel.items()} == {None}
    assert local.only_carrier
    (tmp_path / "json-example.token").write_text("secret")
    (tmp_path / "json-example.token").chmod(0o600)
    described = replace(LOCAL, reserves="sms=gateway", gateway_file="examples/gateways/json-example.toml", gateway_secrets_dir=tmp_path)
    assert not Ways(described, lambda *_: "").only_carrier, "its reserve would leave"
    assert Ways(replace(described, gateway_base_url=CARRIER), lambda *_: "").only_carrier


def test_a_trial_welcomes_guests_simulated_recipients_and_officers_only(tmp_path: Path) -> None:
    (tmp_path / "guests.txt").write_text("0912345678\nkhach@hoabinh.vn # agreed\n")
    settings = Settings(channel_modes="sms=trial,email=trial", guests_file=str(tmp_path / "guests.txt"))
    ways = Ways(settings, lambda *_: "", lambda: frozenset({"office@hoabinh.vn"}))
    asked = ["+84912345678", "+84510000001", "khach@hoabinh.vn", "+84987654321", "office@hoabinh.vn", None]
    assert [ways.welcome("email" if "@" in str(to) else "sms", to) for to in asked] == [True, True, True, False, False, False]
    assert ways._welcome_ours_too("email", "office@hoabinh.vn")
    assert not ways._welcome_ours_too("sms", "+84987654321")
    assert ways.welcome("zns", "+84987654321"), "zns is no trial: it is held, or live"
    assert guest_list(Settings()) == frozenset()
    with pytest.raises(SettingError, match="HAILONG_GUESTS_FILE"):
        guest_list(Settings(guests_file=str(tmp_path / "none")))


def test_a_mode_nobody_knows_stops_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HAILONG_CHANNEL_MODES", "sms=on")
        assert worker.main(["send"]) == 2
    assert "HAILONG_CHANNEL_MODES: sms=on: no such mode" in capsys.readouterr().err


@pytest.mark.parametrize(
    "tried",
    [{"any_hour": True}, {"ask_at_once": True}, {"proof_break": "claim"}, {"cap_days": 0}, {"spread_minutes": 0}, {"clock": "offset:60"}],
)
def test_tries_are_refused_where_a_channel_is_live(tried: dict[str, Any]) -> None:
    name = f"HAILONG_{next(iter(tried)).upper()}"
    assert tries(Settings(**tried)) == [name]
    refuse_tries(Settings(**tried, channel_modes="sms=trial"))
    with pytest.raises(SettingError, match=f"{name}.*sms=live"):
        refuse_tries(Settings(**tried, channel_modes="email=trial,sms=live"))


def test_nothing_is_tried_by_default() -> None:
    assert tries(Settings()) == []
    refuse_tries(Settings(channel_modes="sms=live"))


def test_a_secret_that_cannot_be_read_is_named_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"none cannot be read: No such file or directory\. Make it"):
        secret(str(tmp_path / "none"))
    assert secret("") == ""


@pytest.mark.parametrize("order", [Retryable("held: no legal basis is stated"), Permanent("held: no legal basis is stated")])
def test_a_test_message_that_is_refused_says_why_and_not_that_the_stack_is_down(order: Exception) -> None:
    with pytest.raises(Refusal) as refused:
        asyncio.run(_send(ChannelTwin(orders=[order]), message()))
    assert str(refused.value) == "Nothing was sent. held: no legal basis is stated."
