"""The command line's doors: lazy groups, settings, refusals before anything is started."""

from __future__ import annotations

import json
import re
import socket
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import typer

from hailong.domain.units import LOCAL
from hailong.events import BY_NAME, DossierClosed
from hailong.ports import Contact, Decision, DossierAct
from hailong.settings import load, table
from ops.acceptance.sample import sample
from ops.cli.main import GROUPS, build, main
from ops.clock import ClockFile, real_now
from ops.local import java
from ops.local.broker import LOOPBACK
from ops.local.folder import DataFolder
from ops.local.ports import Ports
from ops.local.refusal import Refusal
from ops.wiring import Wiring
from sinks.ledger import migrate

# kafka-python 3.0.12 reads its schemas with calls that Python 3.11 (not 3.13) calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")


def run(*arguments: str) -> int:
    """The exit code of a command run in this process."""
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    return leaving.value.code if isinstance(leaving.value.code, int) else 1


def names(app: typer.Typer) -> set[str]:
    commands = {one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands}
    return commands | {group.name or "" for group in app.registered_groups}


def test_each_group_registers_the_commands_it_is_listed_with() -> None:
    assert names(build([])) == {command for commands in GROUPS.values() for command in commands}
    for commands in GROUPS.values():
        assert names(build([commands[0]])) == set(commands)
        assert names(build(["--home", "/somewhere", commands[-1], "--help"])) == set(commands)


def test_settings_are_listed_as_json_and_as_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("settings", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in listed] == [name for name, *_ in table()]
    assert set(listed[0]) == {"name", "type", "default", "help"}
    assert run("settings", "--markdown") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(listed)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {5}
    assert run("settings") == 0
    assert "HAILONG_REGIST" in capsys.readouterr().out


def test_doctor_finds_nothing_wrong_with_free_ports_and_names_a_taken_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, port_base: int
) -> None:
    where = ("--data", str(tmp_path / "data"), "--port-base", str(port_base))
    run("doctor", *where, "--json")
    findings = {finding["id"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert set(findings) == {"python", "java", "jars", "writable home", "writable data", "room", "ports", "rules", "messages", "prices"}
    assert findings["ports"]["ok"]
    assert findings["java"]["ok"]
    with closing(socket.create_server((LOOPBACK, port_base + 2))):
        assert run("doctor", *where) == 1
    told = capsys.readouterr().out
    assert f"NO  ports          taken by another program: {port_base + 2} (store). Stop it" in told
    assert not (tmp_path / "data").exists(), "a look leaves nothing behind"


def test_doctor_names_lacking_jars(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("--home", str(tmp_path), "doctor", "--data", str(tmp_path)) == 1
    assert re.search(r"NO  jars +46 of 46 lack in .*`bin/hailong up` fetches them once \(45 MB\)", capsys.readouterr().out)


WRONG = [
    (["up", "--clock", "noon"], "--clock noon: cannot be read"),
    (["up", "--port-base", "65530"], "--port-base 65530: a stack needs eight ports between 1024 and 65535"),
    (["up", "--workers", "send=none"], "--workers send=none: write ROLE=N, the role one of decide, send"),
    (["up", "--workers", "count=2"], "--workers count=2: count has one worker"),
    (["down", "--data", "/nowhere/at/all"], "There is no data folder /nowhere/at/all"),
    (["dance"], "No such command 'dance'"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_use_is_told_in_a_sentence_and_ends_with_2(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.out == ""


def test_an_unknown_setting_is_told_by_name_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HAILONG_SURVEY_URI", "http://x")
        assert run("status") == 2
    assert capsys.readouterr().err == "HAILONG_SURVEY_URI: no such setting. `hailong settings` lists them.\n"


def test_a_port_that_is_taken_is_named_with_what_it_is_for(port_base: int) -> None:
    ports = Ports.from_base(port_base)
    ports.check()
    with (
        closing(socket.create_server((LOOPBACK, port_base + 6))),
        pytest.raises(Refusal, match=rf"Port {port_base + 6} on 127.0.0.1, wanted for survey"),
    ):
        ports.check()


def fake_java(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_first_java_that_runs_and_is_new_enough_is_taken(tmp_path: Path) -> None:
    broken = fake_java(tmp_path, "broken", "exit 1")
    old = fake_java(tmp_path, "old", """echo 'java version "1.8.0_402"' >&2""")
    good = fake_java(tmp_path, "good", """echo 'openjdk version "21.0.4" 2024-07-16' >&2""")
    assert java.choose([tmp_path / "absent", broken, old, good]) == java.Java(good, 21)
    with pytest.raises(Refusal) as refused:
        java.choose([broken, old])
    assert str(refused.value) == (
        "No Java 17 or newer is to be had, and Kafka, the log of facts, runs on it. "
        f"Looked at: {broken} (does not run), {old} (version 8). "
        "Install a Java runtime (Debian, Ubuntu: default-jre-headless) or set JAVA_HOME to one, and start again."
    )


def test_java_home_comes_before_the_path_and_the_environments_own_is_last(tmp_path: Path) -> None:
    on_path = fake_java(tmp_path, "java", "exit 0")
    found = java.candidates({"JAVA_HOME": "/opt/java", "PATH": str(tmp_path)})
    assert found[:2] == [Path("/opt/java/bin/java"), on_path]
    (bundled,) = java.candidates({})
    assert (java.probe(bundled) or pytest.fail("the environment's own Java does not run")).version >= java.OLDEST


# --- whose data


NEED_DATA = {
    "status": [], "down": [], "figures": [], "outcomes": [], "alerts": [], "outbox": [], "rebuild": [], "setup": [],
    "sql": ["SELECT 1"], "doctor": ["--acceptance"], "import units": [__file__], "import dossiers": [__file__, "--mapping", __file__],
    "import targets": ["0.9", "--valid-from", "2026-01-01"], "deadletters list": [], "deadletters show": ["1"],
    "deadletters replay": ["1"], "deadletters drop": ["1"], "deadletters resume": ["one-stop"],
}  # fmt: skip


@pytest.mark.parametrize("command", NEED_DATA)
def test_a_data_folder_that_is_not_there_is_wrong_use_for_every_command(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command.split(), *NEED_DATA[command], "--data", str(tmp_path / "none")) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"There is no data folder {tmp_path / 'none'}")
    assert "with --data" in told.err
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [c for c in NEED_DATA if c != "down"])
def test_a_data_folder_on_which_no_stack_runs_falls_short_for_every_command(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command.split(), *NEED_DATA[command], "--data", str(tmp_path)) == 1
    assert capsys.readouterr().err == (f"No stack runs on the data folder {tmp_path}. Start one with `bin/hailong up --data {tmp_path}`.\n")


# --- status


def a_stack(folder: Path, port_base: int, clock: str, days_per_second: float | None) -> DataFolder:
    """What a running stack tells of itself; none of its parts runs."""
    made = DataFolder(folder)
    made.claim()
    addresses = dict.fromkeys(("intake", "survey", "dashboard", "carrier", "store"), "http://127.0.0.1:1")
    told = {"kafka": f"{LOOPBACK}:{port_base}", "keys": "intake.key", "state": "up", "parts": []}
    made.write_state(addresses | told | {"clock": clock, "days_per_second": days_per_second, "settings": {}})
    return made


def test_status_tells_the_time_of_the_installation_in_words(tmp_path: Path, port_base: int, capsys: pytest.CaptureFixture[str]) -> None:
    start = datetime(2026, 3, 2, 9, 14, tzinfo=LOCAL)
    ClockFile(tmp_path / "clock", start)
    file = f"file:{tmp_path / 'clock'}"
    offset = f"offset:{(start - real_now()).total_seconds() + 20:.3f}"
    today = real_now().astimezone(LOCAL)
    days = {f"{day:%Y-%m-%d}" for day in (today, today + timedelta(minutes=5))}
    for clock, pace, words in (
        (offset, None, "2026-03-02 09:14, shifted"),
        (file, 1.2, "2026-03-02 09:14, governed, 1.2 days a second"),
        ("real", None, "real"),
    ):
        folder = a_stack(tmp_path, port_base, clock, pace)
        assert run("status", "--data", str(tmp_path)) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("clock")]
        assert line.endswith(words)
        assert "offset:" not in line
        assert line.split()[1] in ({"2026-03-02"} if clock != "real" else days)
        assert run("status", "--data", str(tmp_path), "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert told["clock"] == clock
        now = datetime.fromisoformat(told["now"])
        assert now.utcoffset() == timedelta(hours=7)
        assert clock == "real" or abs(now - start) < timedelta(minutes=1)
        folder.release()


# --- outbox


class Post:
    """A ledger with one message under way, without any stack; ``environment`` names it to the commands."""

    PHONE = "+84901234567"

    def __init__(self, folder: Path, **settings: str) -> None:
        ours = {"DATA_DIR": str(folder), "KEYS_DIR": str(folder / "keys"), "LEDGER": f"sqlite:///{folder / 'ledger.db'}"}
        self.environment = {f"HAILONG_{name}": value for name, value in ours.items()} | settings
        wiring = Wiring(load(self.environment))
        now = datetime(2026, 3, 2, 10, tzinfo=LOCAL)  # an hour in which messages go out, whenever this runs
        wiring.keys.make_missing(now.date())
        migrate(wiring.settings.ledger)
        ledger = wiring.ledger("test")
        with ledger.begin() as tx:
            tx.take_act(self._act(now), now)
            survey = tx.slots_for_decision(["d1"])["d1"]
            tx.decide([Decision("d1", survey.survey_id, survey.contacts, True, None, "sms", now, now + timedelta(days=30))])
        with ledger.begin() as tx:
            assert len(tx.claim_due(now, now, now + timedelta(seconds=30), 1, "w")) == 1
        ledger.close()

    def _act(self, now: datetime) -> DossierAct:
        fact = sample(BY_NAME["dossier.closed.v1"], 1, now, full=True)
        assert isinstance(fact, DossierClosed)
        fact = msgspec.structs.replace(fact, event_id="closed:d1", dossier_ref="d1")
        return DossierAct(fact.event_id, "content", fact, "code", now, None, Contact(self.PHONE, None), None, "vi")

    def ask(self, home: Path, *arguments: str) -> int:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in self.environment.items():
                environment.setenv(name, value)
            return run("--home", str(home), "outbox", *arguments)


CARRIER = {
    "HAILONG_SMTP_HOST": LOOPBACK, "HAILONG_SMTP_PORT": "2525", "HAILONG_CARRIER_URL": "http://127.0.0.1:1",
    "HAILONG_TWILIO_BASE_URL": "http://127.0.0.1:1",
}  # fmt: skip
TRIAL = {"HAILONG_CHANNEL_MODES": "sms=trial", "HAILONG_ABROAD_BASIS": "the contract of a test"}


@pytest.mark.parametrize("whole", [True, False])
def test_outbox_shows_messages_whole_only_where_they_stay_and_says_which(
    whole: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "guests.txt").write_text(Post.PHONE)
    post = Post(tmp_path, **(CARRIER if whole else TRIAL | {"HAILONG_GUESTS_FILE": str(tmp_path / "guests.txt")}))
    assert post.ask(tmp_path / "home", "--json") == 0
    told = capsys.readouterr()
    (message,) = json.loads(told.out)
    assert set(message) == {"id", "at", "channel", "to", "subject", "body", "link", "state"}
    assert (message["to"] == Post.PHONE) is whole
    assert bool(message["link"]) is whole
    assert (message["link"] in message["body"]) or not whole
    assert ("shown whole" in told.err, "masked" in told.err) == (whole, not whole)
    assert "quality office and operations" in told.err

    assert post.ask(tmp_path / "home") == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert message["to"] in row
    assert row.endswith(" ".join(message["body"].split())), "the whole text, though stdout is 80 columns wide at most"
    assert (Post.PHONE in row) is whole


def test_the_help_of_outbox_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("outbox", "--help") == 0
    said = " ".join(capsys.readouterr().out.replace("│", "").split())
    assert "Where messages stay on this machine (a local stack) they are shown whole" in said
    assert "while a channel is live, addresses are masked and links left out" in said
    assert "(default: HOME/data)" in said, "square brackets would be taken for markup and not shown"
