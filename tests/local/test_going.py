"""Slips on the way to going live and back: each is refused with what would do, and none looks like success."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hailong.domain.access import Account
from hailong.domain.ways import Way
from hailong.settings import SettingError, Settings, environment, inherited, load, named
from ops import going_live
from ops.local import keys
from ops.local.home import REPOSITORY
from ops.local.refusal import Refusal
from ops.local.stack import Stack
from ops.ways import Ways
from ops.wiring import Wiring
from tests.local.test_running import NOW, RULES, Desk, Office, Outside, live, opened, trail

NEVER_GOES = "a stack on one machine never goes live"
COMING = '[[versions]]\nversion = "hb-2"\nvalid_from = 2090-01-01\nsource = "decision 9"\n'


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with opened(tmp_path) as made:
        yield made


def let_go(office: Office, channel: str, provider: str) -> None:
    with office.ledger.begin() as tx:
        tx.switch(channel, provider, on=True, by="minh", real_now=NOW)


# --- the list


@pytest.mark.parametrize(
    ("rules", "silent"),
    [
        (RULES.partition("[versions.never]")[0], "hb-1"),
        (RULES.partition("procedures =")[0] + "minors = true\n", "hb-1"),
        (RULES + COMING, "hb-2"),
        (RULES + COMING + "[versions.never]\nprocedures = []\n", None),
        (RULES.replace('"2.000488"', ""), None),
    ],
)
def test_silence_about_sensitive_procedures_is_no_decision_and_an_empty_list_is_one(office: Office, rules: str, silent: str | None) -> None:
    Path(office.settings.rules_file).write_text(rules)
    found = office.checks()
    assert list(found) == (["sensitive"] if silent else [])
    assert silent is None or f"version {silent} of the rules" in found["sensitive"].found


def test_officers_mails_leave_once_mail_is_let_go_and_do_not_keep_it_from_going(office: Office) -> None:
    both: dict[str, Any] = {"channel_modes": "sms=live,email=live"}
    checks = going_live.examine(Wiring(replace(office.settings, **both)), office.ledger, ["email"], Outside(office.site))
    assert {c.id: c.ok for c in checks}["officers"]
    assert list(office.checks(**both)) == ["officers"]
    let_go(office, "email", "smtp")
    assert office.checks(**both) == {}


# --- off


def test_switching_off_what_does_not_exist_is_refused_and_names_what_does(office: Office) -> None:
    told = Desk(office).run("live", "smss", "--by", "minh", "--off", code=2)
    assert "there is no channel smss, and nothing was switched off. Channels here are sms, email" in str(told.exception)
    assert trail(office) == []


def test_a_channel_that_is_live_can_be_switched_off_though_it_is_not_set_up_any_more(office: Office) -> None:
    let_go(office, "zns", "zns")
    Desk(office).run("live", "zns", "--by", "minh", "--off")
    assert live(office) == {}


@pytest.mark.parametrize("was_live", [False, True])
def test_switching_off_in_a_trial_says_what_goes_on_and_what_stops_it(office: Office, was_live: bool) -> None:
    if was_live:
        let_go(office, "sms", "twilio")
    told = Desk(office, channel_modes="sms=trial").run("live", "sms", "--by", "minh", "--off", code=1)
    for said in ("sms is in mode trial", "guests go on being written to", "docker compose stop send", "take sms=trial out"):
        assert said in str(told.exception)
    assert live(office) == {}
    assert trail(office) == [("channel_off", "channel:sms", "minh")] * was_live


def test_what_is_off_already_says_what_becomes_of_messages(office: Office) -> None:
    assert "sms is off already: its messages wait." in Desk(office).run("live", "sms", "--by", "minh", "--off").stderr
    told = Desk(office, channel_modes="").run("live", "sms", "--by", "minh", "--off").stderr
    assert "sms is off already: its mode is carrier, so nobody is written to." in told


# --- who says so


@pytest.mark.parametrize(
    "command", [("live", "sms", "--off"), ("provider", "use", "sms", "twilio"), ("provider", "auto", "sms"), ("message", "seen", "t1")]
)
def test_nobody_acts_in_the_name_of_a_person_who_never_signed_in(office: Office, command: tuple[str, ...]) -> None:
    with office.ledger.begin() as tx:
        tx.add_account(Account("hoa", "Hoa", "operator", None, NOW))
    told = Desk(office).run(*command, "--by", "hoa", code=2)
    assert "hoa has set no password yet" in str(told.exception)
    assert "hailong accounts reset hoa" in str(told.exception)
    assert trail(office) == []


# --- providers


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sms_provider": "viettel"}, "HAILONG_SMS_PROVIDER: no provider of sms is called 'viettel'. There is twilio or gateway."),
        ({"reserves": "sms=viettel"}, "HAILONG_RESERVES: no provider of sms is called 'viettel'. There is twilio or gateway."),
        ({"reserves": "email=twilio"}, "HAILONG_RESERVES: no provider of email is called 'twilio'. There is smtp."),
        ({"reserves": "sms=twilio"}, "HAILONG_RESERVES: sms=twilio: it is the main provider already. Name another one"),
    ],
)
def test_a_provider_there_is_not_and_a_reserve_that_is_the_main_one_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError) as refused:
        _ = Ways(Settings(**given), lambda *_: "").by_channel
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("given", "way"),
    [
        ({}, Way("twilio", "gateway-json-example")),
        ({"sms_provider": "gateway"}, Way("gateway-json-example", "twilio")),
    ],
)
def test_a_stack_on_one_machine_has_another_provider_in_reserve(tmp_path: Path, given: dict[str, Any], way: Way) -> None:
    stack = Stack(tmp_path, settings=Settings(**given))
    settings = stack._compose(keys.ensure(tmp_path / "keys"), "real")
    assert Ways(settings, lambda *_: "").by_channel["sms"] == way


def test_a_name_that_does_not_exist_is_refused_and_what_only_the_tests_read_is_passed_over() -> None:
    assert load({"HAILONG_TEST_SHOTS": "shots", "HAILONG_HOME": "/srv"}) == load({})
    with pytest.raises(SettingError, match="HAILONG_SHOTS: no such setting"):
        load({"HAILONG_SHOTS": "shots"})


# --- a stack on one machine


@pytest.mark.parametrize(("set_to", "held"), [({}, True), ({"HAILONG_ANY_HOUR": "false"}, False)])
def test_what_the_person_names_holds_be_it_the_default(tmp_path: Path, set_to: dict[str, str], held: bool) -> None:
    settings = Stack(tmp_path, settings=load(set_to), named=named(set_to))._compose(keys.ensure(tmp_path / "keys"), "real")
    assert (settings.any_hour, settings.ask_at_once, settings.spread_minutes) == (held, True, 2)


def test_it_never_goes_live_and_leaves_nothing_behind(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "data", settings=Settings(channel_modes="email=trial,sms=live"))
    with pytest.raises(Refusal, match=NEVER_GOES) as refused:
        asyncio.run(stack.start())
    assert refused.value.wrong_use
    assert "HAILONG_CHANNEL_MODES has sms=live" in str(refused.value)
    assert 'docs/operations.md, "Going live with one provider"' in str(refused.value)
    assert not (tmp_path / "data").exists()
    with pytest.raises(Refusal, match="HAILONG_CHANNEL_MODES: sms=on: no such mode"):
        asyncio.run(Stack(tmp_path / "data", settings=Settings(channel_modes="sms=on")).start())


def test_nor_in_the_background(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "ops", "up", "--data", str(tmp_path / "data"), "--port-base", "21400", "--detach"]
    told = environment(Settings(channel_modes="sms=live"))
    done = subprocess.run(argv, cwd=REPOSITORY, env=inherited() | told, capture_output=True, text=True, check=False)
    assert (done.returncode, NEVER_GOES in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "data").exists()
