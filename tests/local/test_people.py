"""`hailong accounts` and `hailong audit`, and the anchors that the timer drops, on a ledger without a stack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ops.anchors import EVERY, Anchors
from ops.cli.main import build
from ops.local.refusal import Refusal
from sinks.ledger import Ledger, Vault, migrate, open_ledger
from tests.contract.build import tools

NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)


class Desk:
    """A command line whose settings name a ledger in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'ledger.db'}"
        migrate(self.url)
        keys = folder / "keys"
        keys.mkdir()
        for name in ("identity", "draw", "links"):
            (keys / f"{name}.key").write_bytes(b"k" * 32)

    def run(self, *arguments: str, code: int = 0) -> Result:
        env = {
            "HAILONG_LEDGER": self.url, "HAILONG_DATA_DIR": str(self.folder), "HAILONG_KEYS_DIR": str(self.folder / "keys"),
            "HAILONG_DASHBOARD_URL": "https://can-bo.example/",
        }  # fmt: skip
        told = CliRunner().invoke(build(arguments), ["--home", str(self.folder), *arguments], env=env)
        if isinstance(told.exception, Refusal):
            assert told.exception.exit_code == code, told.exception
        else:
            assert told.exit_code == code, told.exception
        return told

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def sql(self, *statements: str) -> None:
        """As somebody does who owns the database."""
        ledger = open_ledger(self.url, tools(), "test")
        with ledger.begin() as tx:
            for one in statements:
                tx.conn.exec_driver_sql(one)
        ledger.close()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_from_nobody_to_the_first_administrator(desk: Desk) -> None:
    assert desk.json("accounts", "list") == []
    made = desk.json("accounts", "first")
    assert made["login"] == "admin"
    assert made["link"].startswith("https://can-bo.example/welcome/")
    again = desk.json("accounts", "first")
    assert again["link"] != made["link"], "until somebody has a password, a new link takes the place of the old one"
    desk.sql("UPDATE accounts SET password = 'set'")
    assert "There is an administrator already" in str(desk.run("accounts", "first", code=1).exception)
    assert desk.json("accounts", "first", "--again")["login"] == "admin"
    assert desk.json("accounts", "first", "--again", "--login", "Minh")["login"] == "minh"
    (admin, minh) = desk.json("accounts", "list")
    assert (admin["role"], admin["state"], minh["role"], minh["state"]) == ("administrator", "active", "administrator", "invited")


def test_a_link_stands_on_stdout_alone_and_in_no_trail(desk: Desk) -> None:
    told = desk.run("accounts", "first")
    assert len(told.stdout.splitlines()) == 1
    token = told.stdout.strip().rpartition("/")[2]
    assert token not in desk.run("audit", "list", "--json").stdout
    assert all(token.encode() not in file.read_bytes() for file in desk.folder.rglob("*") if file.is_file())


def test_accounts_are_added_disabled_and_given_new_links(desk: Desk) -> None:
    assert desk.json("accounts", "add", "Lan", "--role", "viewer", "--name", "Lan Nguyễn")["login"] == "lan"
    desk.run("accounts", "disable", "lan")
    assert desk.json("accounts", "list")[0]["state"] == "disabled"
    desk.run("accounts", "enable", "lan")
    desk.run("accounts", "reset", "lan", "--without-factor")
    acts = [(line["act"], line["object"]) for line in desk.json("audit", "list")]
    assert acts == [
        (act, "account:lan") for act in ("account_made", "link_made", "account_disabled", "account_enabled", "link_made")
    ]  # fmt: skip
    assert desk.json("audit", "list", "--after", "4", "--object", "account:lan")[0]["seq"] == 5
    assert all(line["actor"].startswith("cli:") for line in desk.json("audit", "list"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("accounts", "add", "a b", "--role", "viewer"), "not_a_login"),
        (("accounts", "add", "lan", "--role", "king"), "one of viewer"),
        (("accounts", "add", "lan", "--role", "unit_officer"), "needs a unit"),
        (("accounts", "add", "lan", "--role", "viewer", "--scope", "X9"), "no such unit"),
        (("accounts", "disable", "nobody"), "no such account"),
        (("accounts", "first", "--login", "không"), "not_a_login"),
        (("audit", "verify", "--anchor", "x"), "NUMBER:HASH"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    assert said in str(desk.run(*arguments, code=2).exception)


def test_a_whole_trail_is_verified_and_anchored(desk: Desk) -> None:
    for login in ("lan", "minh"):
        desk.run("accounts", "add", login, "--role", "viewer")
    told = desk.json("audit", "verify")
    assert (told["passed"], told["lines"], told["anchors"], told["broken"]) == (True, 4, 0, None)
    assert Anchors(desk.folder).read() == {4: told["newest"]}
    assert desk.json("audit", "verify", "--anchor", f"4:{told['newest']}")["anchors"] == 1
    assert "whole: 4 lines" in desk.run("audit", "verify").stdout


def test_a_cut_end_is_found_by_the_anchor_and_named(desk: Desk) -> None:
    for login in ("lan", "minh"):
        desk.run("accounts", "add", login, "--role", "viewer")
    desk.run("audit", "verify")
    desk.sql("DROP TRIGGER audit_stays_delete", "DELETE FROM audit WHERE seq > 2", "UPDATE positions SET value = 2 WHERE name = 'audit'")
    told = desk.json("audit", "verify", code=1)
    assert (told["passed"], told["broken"]) == (False, {"seq": 3, "kind": "cut"})
    assert "the end is gone, from line 3 on" in desk.run("audit", "verify", code=1).stdout
    (desk.folder / "run" / "audit-anchors").unlink()
    assert desk.json("audit", "verify")["passed"], "without an anchor nothing tells that there was more"
    assert not desk.json("audit", "verify", "--anchor", f"4:{'0' * 64}", code=1)["passed"], "one from the timer's log does"


# --- anchors


@pytest.fixture
def ledger(desk: Desk) -> Iterator[Ledger]:
    opened = open_ledger(desk.url, tools(), "test")
    yield opened
    opened.close()


def say(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.audited("lan", "case_seen", "case:1")


def test_an_anchor_an_hour_while_the_trail_grows(ledger: Ledger, tmp_path: Path) -> None:
    anchors = Anchors(tmp_path)
    assert not anchors.drop(ledger, NOW), "nothing to keep"
    say(ledger)
    assert not anchors.drop(ledger, NOW + timedelta(seconds=59))
    assert anchors.drop(ledger, NOW + timedelta(seconds=60))
    say(ledger)
    assert not anchors.drop(ledger, NOW + EVERY)
    assert anchors.drop(ledger, NOW + EVERY + timedelta(seconds=60))
    assert not anchors.drop(ledger, NOW + 3 * EVERY)
    with ledger.read() as reader:
        assert reader.verify_audit(anchors.read()).broken is None
    assert set(anchors.read()) == {1, 2}


def test_an_anchor_is_never_replaced_by_a_later_one(tmp_path: Path) -> None:
    anchors = Anchors(tmp_path)
    assert anchors.keep(3, "a" * 64, NOW)
    assert not anchors.keep(3, "b" * 64, NOW)
    with anchors.path.open("a") as file:
        file.write(f"3 {'b' * 64} x\n4 {'c' * 10}")
    assert anchors.read() == {3: "a" * 64}


def test_a_look_at_a_dead_letter_stands_in_the_trail_before_it_is_shown(desk: Desk) -> None:
    (desk.folder / "keys" / "vault").mkdir()
    (desk.folder / "keys" / "vault" / "2026-05.key").write_bytes(b"k" * 32)
    ledger = open_ledger(desk.url, tools(vault=Vault(lambda _: b"k" * 32)), "test")
    with ledger.begin() as tx:
        tx.put_dead("dossier.closed.v1", 0, 7, "decide", "one-stop", "not JSON", 1, b"{poison", NOW)
    ledger.close()
    assert b"{poison" in desk.run("deadletters", "show", "1").stdout_bytes
    desk.run("deadletters", "drop", "1")
    desk.run("deadletters", "drop", "1", code=2)
    said = [(line["act"], line["object"]) for line in desk.json("audit", "list")]
    assert said == [("dead_letter_seen", "dead_letter:1"), ("dead_letter_dropped", "dead_letter:1")]
