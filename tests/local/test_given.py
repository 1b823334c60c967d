"""Files of the office that are wrong: refused with a sentence before anything goes by them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from hailong import telemetry
from hailong.domain.rulebook import RulebookError
from hailong.settings import SettingError, Settings
from ops import given, setup, worker
from ops.keys import Keys
from ops.local.refusal import Refusal
from ops.local.stack import Stack
from ops.wiring import Wiring
from sinks.ledger import migrate
from surveys.messages.templates import MESSAGES
from tests.local.test_cli import run

DAY = date(2026, 3, 2)
WRONG = [
    ("rules_file", "[[versions", "not TOML"),
    ("rules_file", '[[versions]]\nversion = "1"\nvalid_from = 2020-01-01\nsource = "x"\nodd = 1\n', "odd: no such key"),
    ("rules_file", '[[versions]]\nversion = "1"\nvalid_from = 2090-01-01\nsource = "x"\n', "no rules on"),
    ("rules_file", b"\xff", "HAILONG_RULES_FILE: .*is not UTF-8"),
    ("rules_file", None, "HAILONG_RULES_FILE: .*cannot be read .*Name one that can be"),
    ("templates_dir", None, "HAILONG_TEMPLATES_DIR: .*no file of templates"),
    ("prices_file", "tariffs = 1", "HAILONG_PRICES_FILE: .*Mend it there"),
    ("prices_file", None, "HAILONG_PRICES_FILE: .*cannot be read"),
    ("gateway_file", "x = ", "not TOML"),
    ("gateway_file", None, "HAILONG_GATEWAY_FILE"),
]


def named(folder: Path, content: str | bytes | None) -> str:
    file = folder / "given.toml"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


@pytest.mark.parametrize(("setting", "content", "said"), WRONG)
def test_a_file_that_is_wrong_is_refused_with_its_sentence(setting: str, content: str | bytes | None, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=said):
        given.refuse(Settings(**{setting: named(tmp_path, content)}), DAY)  # type: ignore[arg-type]


def test_a_channel_without_its_text_today_is_refused(tmp_path: Path) -> None:
    for file in MESSAGES.glob("*.toml"):
        text = file.read_text("utf-8")
        written = re.sub(r"valid_from = \d{4}", "valid_from = 2090", text) if file.name.startswith("vi") and ".sms." in file.name else text
        (tmp_path / file.name).write_text(written, "utf-8")
    with pytest.raises(SettingError, match="HAILONG_TEMPLATES_DIR: No invitation for sms in vi-plain or vi is in force on 2026-03-02"):
        given.refuse(Settings(templates_dir=str(tmp_path)), DAY)


def test_what_is_shipped_is_in_order() -> None:
    given.refuse(Settings(), DAY)


HEAD = '[[versions]]\nversion = "{}"\nvalid_from = {}\nsource = "x"\n'
SPLIT = "[versions.experiments.wording]\na = 0.5\n{} = 0.5\n"
NOW = HEAD.format("1", "2020-01-01")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NOW + SPLIT.format("c"), r"version 1: .*arm c has no text for en.sms.toml, invitation\. Add a text with arm = \"c\""),
        (NOW + HEAD.format("2", "2026-06-01") + SPLIT.format("z"), "version 2: .*arm z has no text"),
        (NOW + '[versions.channels]\norder = ["email"]\n' + SPLIT.format("b"), "arm b has no text for any of the channels email"),
    ],
    ids=["now", "later", "no channel"],
)
def test_a_wording_that_nobody_has_written_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=said):
        given.refuse(Settings(rules_file=named(tmp_path, text)), DAY)


def test_wordings_that_are_written_will_do_and_what_is_over_is_not_looked_at(tmp_path: Path) -> None:
    over = HEAD.format("0", "2019-01-01") + SPLIT.format("z")
    link = "[versions.experiments.link]\nlink = 0.5\nlink_free = 0.5\n"
    given.refuse(Settings(rules_file=named(tmp_path, over + NOW + SPLIT.format("b") + link)), DAY)


def test_files_saved_with_a_mark_of_utf_8_are_read(tmp_path: Path) -> None:
    wiring = Wiring(Settings(rules_file=named(tmp_path, "\ufeff" + NOW), officers_file=str(tmp_path / "officers.toml")))
    (tmp_path / "officers.toml").write_text('\ufeffoffice = ["a@x.example"]\n', "utf-8")
    assert wiring.rulebook.in_force(DAY).version == "1"
    assert list(wiring.directory.office()) == ["a@x.example"]


@pytest.fixture
def bad(tmp_path: Path) -> Iterator[Path]:
    """An environment whose rulebook is no TOML."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("HAILONG_RULES_FILE", named(tmp_path, "[[versions"))
        changed.setenv("HAILONG_DATA_DIR", str(tmp_path / "data"))
        changed.setenv("HAILONG_KEYS_DIR", str(tmp_path / "keys"))
        changed.setenv("HAILONG_LEDGER", f"sqlite:///{tmp_path / 'ledger.db'}")
        changed.setattr(telemetry, "configure", lambda *_: None)  # the logging of these tests is left as it is
        yield tmp_path


def test_setup_ends_with_2_and_makes_nothing(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup.main() == 2
    assert capsys.readouterr().err.startswith("given.toml: not TOML")
    assert not (bad / "data").exists()


def test_stuck_and_doctor_say_the_sentence(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    migrate(f"sqlite:///{bad / 'ledger.db'}")
    Keys(bad / "keys").make_missing(DAY)
    assert run("--home", str(bad), "stuck") == 2
    assert capsys.readouterr().err.startswith("given.toml: not TOML")
    assert run("--home", str(bad), "doctor", "--data", str(bad / "d"), "--json") == 1
    found = {one["id"]: one for one in json.loads(capsys.readouterr().out)}
    assert (found["rules"]["ok"], found["messages"]["ok"]) == (False, True)
    assert found["rules"]["found"].startswith("given.toml: not TOML")


def test_a_worker_says_the_sentence(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(*_: object) -> int:
        raise RulebookError("given.toml: it is wrong. Mend it.")

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(worker, "run", broken)
        assert worker.main(["decide"]) == 2
    assert capsys.readouterr().err == "given.toml: it is wrong. Mend it.\n"


@pytest.mark.stack
def test_up_refuses_before_it_starts_anything(bad: Path, port_base: int) -> None:
    stack = Stack(bad / "stack", port_base=port_base, settings=Settings(rules_file=str(bad / "given.toml")))
    with pytest.raises(Refusal, match="not TOML") as refused:
        asyncio.run(stack.start())
    assert refused.value.wrong_use
    assert not list(stack.folder.logs.glob("*"))
