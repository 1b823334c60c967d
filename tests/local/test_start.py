"""bin/hailong on machines that lack one thing or another. A small house stands in for the repository; Python and pip are real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.local.home import REPOSITORY

pytestmark = pytest.mark.stack

TOOLS = ("sh", "dirname", "readlink", "cut", "cat", "mkdir", "rm", "mv", "sleep", "sha256sum", "shasum", "touch")
OPS = "import sys; print('ops was called with', *sys.argv[1:])"
JARS = "import sys; sys.stderr.write('jars: ' + ' '.join(sys.argv[1:]) + chr(10))"


@dataclass(frozen=True)
class House:
    """A folder laid out like the repository, with nothing to install, and a search path with only what is put on it."""

    root: Path
    path: Path

    def put(self, name: str, script: str) -> None:
        (self.path / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.path / name).chmod(0o755)

    def start(self, *arguments: str, command: Path | None = None, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        everything = {"PATH": str(self.path), "HOME": str(self.root), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.root)} | env
        argv = [str(command or self.root / "bin" / "hailong"), *arguments]
        return subprocess.run(argv, env=everything, cwd=cwd or self.root, capture_output=True, text=True, timeout=60)


@pytest.fixture
def house(tmp_path: Path) -> House:
    root, path = tmp_path / "a house", tmp_path / "path"
    for folder in (root / "bin", root / "ops" / "local", path):
        folder.mkdir(parents=True)
    shutil.copy(REPOSITORY / "bin" / "hailong", root / "bin")
    shutil.copy(REPOSITORY / "ops" / "local" / "environment.sh", root / "ops" / "local")
    (root / "ops" / "__main__.py").write_text(OPS)
    (root / "ops" / "local" / "jars.py").write_text(JARS)
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (root / lock).write_text("# nothing\n")
    for tool in TOOLS:
        if found := shutil.which(tool):
            (path / tool).symlink_to(found)
    return House(root, path)


Put = Callable[[str], None]


@pytest.fixture
def whole_python(house: House) -> Put:
    """Puts the Python of these tests on the path under a name."""
    return lambda name: house.put(name, f'exec "{Path(sys.executable).resolve()}" "$@"')


@pytest.fixture
def python(house: House) -> Put:
    """The same, parted from its venv module as on Debian; pip is there. (Ten times faster than to put a pip into each environment.)"""
    parted = '[ "$1 $2" = "-m venv" ] && [ "$3" != --without-pip ] && exit 1'
    return lambda name: house.put(name, f'{parted}\nexec "{sys.executable}" "$@"')


def test_the_first_start_makes_the_environment_and_the_second_finds_it(house: House, whole_python: Put, tmp_path: Path) -> None:
    house.put("python3.13", "echo 'pyenv: no such version' >&2; exit 127")
    house.put("python3.12", 'echo "3.9"')
    whole_python("python3")
    first = house.start("status", "--json")
    home = house.root / ".hailong"
    assert first.returncode == 0, first.stderr
    assert first.stdout == f"ops was called with --home {home} status --json\n"
    assert "Making the environment" in first.stderr
    assert f"jars: fetch {home}/kafka/jars" in first.stderr

    link = tmp_path / "hl"
    link.symlink_to(house.root / "bin" / "hailong")
    (tmp_path / "elsewhere" / "ops").mkdir(parents=True)  # must not shadow ours
    (tmp_path / "elsewhere" / "ops" / "__main__.py").write_text("print('a stranger')")
    second = house.start("doctor", command=link, cwd=tmp_path / "elsewhere")
    assert (second.returncode, second.stdout, second.stderr) == (0, f"ops was called with --home {home} doctor\n", "")

    (house.root / "requirements.lock").write_text("# something else\n")
    third = house.start()
    assert third.returncode == 0
    assert "Making the environment" not in third.stderr
    assert "jars: fetch" in third.stderr, "a changed lock installs again"
    assert house.start().stderr == ""


@pytest.mark.thorough
def test_an_environment_for_development_will_do_and_a_half_made_one_is_made_anew(house: House, python: Put) -> None:
    python("python3")
    assert house.start().returncode == 0
    venv = house.root / ".venv"
    stamp = venv / "hailong.stamp"
    stamp.write_text(stamp.read_text().replace("requirements.lock", "requirements-dev.lock"))
    assert house.start().stderr == ""

    (venv / "hailong.making").touch()
    (venv / "rubbish").touch()
    again = house.start()
    assert again.returncode == 0
    assert "Making the environment" in again.stderr
    assert not (venv / "rubbish").exists()


@pytest.mark.thorough
def test_two_first_starts_at_once_make_one_environment(house: House, python: Put) -> None:
    python("python3")
    env = {"PATH": str(house.path), "HOME": str(house.root), "PIP_NO_INDEX": "1"}
    argv = [str(house.root / "bin" / "hailong")]
    both = [subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sum("Making the environment" in text for text in told) == 1
    assert sum("waiting for it" in text for text in told) == 1
    assert not (house.root / ".venv.lock").exists()


def test_a_lock_whose_holder_died_is_pushed_aside(house: House, python: Put) -> None:
    python("python3")
    dead = subprocess.Popen(["true"])
    dead.wait()
    (house.root / ".venv.lock").mkdir()
    (house.root / ".venv.lock" / "pid").write_text(f"{dead.pid}\n")
    begun = time.monotonic()
    assert house.start().returncode == 0
    assert time.monotonic() - begun < 120, "it waited for the dead"


def test_no_python_that_is_new_enough(house: House) -> None:
    house.put("python3", 'echo "3.9"')
    told = house.start()
    assert told.returncode == 1
    assert told.stderr == (
        "hailong needs Python 3.11 or newer, and none was found; too old: python3 (3.9). Install one (Debian, Ubuntu: apt-get install "
        "python3 python3-venv), or let HAILONG_PYTHON name one, and start again.\n"
    )
    assert not (house.root / ".venv").exists()


def test_a_python_without_its_venv_module(house: House) -> None:
    house.put("python3", 'case $1 in -c) echo 3.11 ;; *) echo "No module named venv" >&2; exit 1 ;; esac')
    told = house.start()
    assert told.returncode == 1
    assert "its module venv is not whole. Install it (Debian, Ubuntu: apt-get install python3.11-venv)" in told.stderr
    assert not (house.root / ".venv").exists()


@pytest.mark.thorough
def test_no_network_and_not_set_up(house: House, python: Put) -> None:
    python("python3")
    (house.root / "requirements.lock").write_text(f"unheard-of-package==1.0 --hash=sha256:{'0' * 64}\n")
    told = house.start()
    assert told.returncode == 1
    assert "is not set up yet, and the packages it is made of could not be fetched: no network" in told.stderr
    assert "Connect this machine for the first start" in told.stderr

    (house.root / "requirements.lock").write_text("# nothing\n")
    assert house.start().returncode == 0, "begins anew"


@pytest.mark.thorough
def test_a_lock_that_cannot_be_installed_leaves_an_environment_that_stood(house: House, python: Put) -> None:
    python("python3")
    assert house.start().returncode == 0
    (house.root / ".venv" / "kept").touch()
    (house.root / "requirements.lock").write_text(f"unheard-of-package==1.0 --hash=sha256:{'0' * 64}\n")
    assert house.start().returncode == 1
    (house.root / "requirements.lock").write_text("# nothing\n")
    assert house.start().returncode == 0
    assert (house.root / ".venv" / "kept").exists()


def test_a_folder_one_may_not_write_in(house: House, python: Put) -> None:
    python("python3")
    (house.root / "not a folder").touch()
    told = house.start(HAILONG_HOME=str(house.root / "not a folder" / "home"))
    assert told.returncode == 1
    assert "no right to write there. Give this user that right, or let HAILONG_HOME name a folder of your own" in told.stderr


def test_a_home_and_a_python_of_ones_own(house: House, python: Put, tmp_path: Path) -> None:
    house.put("python3.13", 'echo "3.9"')
    python("mine")
    home = tmp_path / "home of my own"
    told = house.start(HAILONG_HOME=str(home), HAILONG_PYTHON=str(house.path / "mine"))
    assert told.stdout == f"ops was called with --home {home}\n"
    assert os.access(home / ".venv" / "bin" / "python", os.X_OK)
    assert not (house.root / ".venv").exists()
