"""The command line's doors: lazy groups, settings, refusals before anything is started."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import typer

from hailong.settings import table
from ops.cli.main import GROUPS, build, main
from ops.local import java
from ops.local.broker import LOOPBACK
from ops.local.folder import DataFolder
from ops.local.home import REPOSITORY
from ops.local.ports import Ports
from ops.local.refusal import Refusal

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
    assert set(findings) == {"python", "java", "jars", "writable home", "writable data", "room", "ports"}
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


def test_a_folder_is_claimed_once_and_free_again_when_its_holder_dies(tmp_path: Path) -> None:
    program = f"""
import sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
from pathlib import Path
from ops.local.folder import DataFolder
folder = DataFolder(Path({str(tmp_path)!r}))
folder.claim()
print("claimed", flush=True)
time.sleep(60)
"""
    folder = DataFolder(tmp_path)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "claimed\n"
        assert folder.owner() == holder.pid
        with pytest.raises(Refusal, match=rf"is in use by another stack \(process {holder.pid}\)\. Stop that one with"):
            folder.claim()
        holder.kill()
    assert folder.owner() is None
    folder.claim()
    assert folder.owner() == os.getpid()
    folder.release()
    assert folder.owner() is None


def test_no_right_to_write_is_told_with_the_folder_and_the_next_step(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    data = closed / "data" if os.getuid() else Path("/sys/hailong-data")  # where not even root may write
    sentence = rf"The data folder {data} cannot be used: .+ Give this user the right to write there, or choose another folder with --data\."
    with pytest.raises(Refusal, match=sentence):
        DataFolder(data).claim()


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
