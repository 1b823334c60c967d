"""The operations guide in both languages: the same sections, the same commands, and commands that exist as they are written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from hailong import settings
from ops.cli.main import build

ROOT = Path(__file__).parents[2]
GUIDES = ("operations.md", "operations.vi.md")
SERVICES = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"])
APP = typer.main.get_command(build([]))
_FENCE = "```"
_COMMAND = re.compile(r"(?:bin/hailong|python -m ops) ([a-z][^#<>|]*)")
_SERVICE = re.compile(r"docker compose (?:exec|stop|start)(?: -T)? ([a-z]+)")


class Section:
    """A heading and what stands under it: prose, and lines of code without their remarks."""

    def __init__(self, heading: str) -> None:
        self.level = len(heading) - len(heading.lstrip("#"))
        self.step = re.findall(r"^#+ (\d+)\. ", heading)
        self.prose = ""
        self.code: list[str] = []

    @property
    def shape(self) -> tuple[int, list[str]]:
        """What a heading has in common with its translation: the level and, of a step, the number."""
        return self.level, self.step

    @property
    def rows(self) -> int:
        return len(re.findall(r"^\|", self.prose, re.M))

    @property
    def points(self) -> int:
        return len(re.findall(r"^(?:- |\d+\. )", self.prose, re.M))


def _sections(guide: str) -> list[Section]:
    found, inside = [Section("")], False
    for line in (ROOT / "docs" / guide).read_text(encoding="utf-8").splitlines():
        if line.startswith(_FENCE):
            inside = not inside
        elif inside:
            found[-1].code.append(line.partition(" #")[0].rstrip())
        elif line.startswith("#"):
            found.append(Section(line))
        else:
            found[-1].prose += f"{line}\n"
    return found


def _spans(section: Section) -> Iterator[str]:
    """Code: lines of blocks, and what stands between single quotes of code, over line ends."""
    yield from section.code
    yield from (" ".join(one.split()) for one in re.findall(r"`([^`]+)`", section.prose))


def _commands(guide: str) -> list[str]:
    return [m.group(1).strip() for section in _sections(guide) for span in _spans(section) for m in _COMMAND.finditer(span)]


EN, VI = map(_sections, GUIDES)
COMMANDS = sorted({command for guide in GUIDES for command in _commands(guide)})


def _fault(app: Any, words: Sequence[str]) -> str | None:
    """What is wrong with a command line; None when the tree of commands has it with these options and so many words."""
    at, rest = app, list(words)
    while rest and rest[0] in (inner := getattr(at, "commands", {})):
        at = inner[rest.pop(0)]
    if getattr(at, "commands", {}) and not getattr(at, "invoke_without_command", False):
        return f"no such command: {' '.join(words)}"
    options = {name: p for p in at.params if p.param_type_name == "option" for name in (*p.opts, *p.secondary_opts)}
    placed = 0
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            placed += 1
        elif word not in options:
            return f"no such option: {word}"
        elif not options[word].is_flag and (not rest or rest.pop(0).startswith("--")):
            return f"{word} wants a value"
    return _misplaced(at, placed)


def _misplaced(command: Any, placed: int) -> str | None:
    wanted = [p for p in command.params if p.param_type_name == "argument"]
    least = sum(p.required for p in wanted)
    # Prose may name a command alone; with words behind it, it is to be whole.
    return None if placed <= len(wanted) and (placed >= least or not placed) else f"{placed} words, {least} to {len(wanted)} are wanted"


def test_both_have_the_same_sections_in_the_same_order() -> None:
    assert [s.shape for s in EN] == [s.shape for s in VI]
    assert len(EN) > 30


def test_both_say_the_same_commands_and_settings_in_their_blocks() -> None:
    for place, (one, other) in enumerate(zip(EN, VI, strict=True)):
        assert one.code == other.code, f"section {place}"


def test_tables_and_lists_are_equally_long() -> None:
    for place, (one, other) in enumerate(zip(EN, VI, strict=True)):
        assert (one.rows, one.points) == (other.rows, other.points), f"section {place}: {one.prose[:60]}"


def test_both_name_the_same_commands_and_settings_in_prose() -> None:
    for names in (_COMMAND, re.compile(r"HAILONG_[A-Z_]+"), _SERVICE):
        said = [{name for s in guide for span in _spans(s) for name in names.findall(span)} for guide in (EN, VI)]
        assert said[0] == said[1], said[0] ^ said[1]


def test_the_guides_name_commands_at_all() -> None:
    assert len(COMMANDS) > 40
    assert {"doctor --go-live --channel sms", "stuck", "live sms --off --by LOGIN"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_exists_as_it_is_written(command: str) -> None:
    assert _fault(APP, shlex.split(command)) is None


@pytest.mark.parametrize(
    "wrong", ["lives sms", "live sms --stop", "provider use sms --by LOGIN", "stuck now", "costs --month --json", "accounts"]
)
def test_one_that_does_not_is_found(wrong: str) -> None:
    assert _fault(APP, shlex.split(wrong)) is not None


@pytest.mark.parametrize("guide", GUIDES)
def test_services_and_settings_exist(guide: str) -> None:
    text = (ROOT / "docs" / guide).read_text(encoding="utf-8")
    assert set(_SERVICE.findall(text)) <= SERVICES
    known = {name for name, *_ in settings.table()}
    assert set(re.findall(r"HAILONG_[A-Z_]+[A-Z]", text)) <= known


@pytest.mark.parametrize("guide", [EN, VI])
def test_what_the_guides_write_into_env_is_passed_on(guide: list[Section]) -> None:
    """Compose hands a part only what its file names: a setting beyond that would be written in vain."""
    written = {m.group(1) for s in guide for line in s.code if (m := re.match(r"([A-Z_]+)=", line))}
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert written <= set(re.findall(r"^(\w+)=", example, re.M))
    assert {"HAILONG_SMS_PROVIDER", "HAILONG_GATEWAY_FILE", "HAILONG_CHANNEL_MODES"} <= written
    said = {m for s in guide for span in _spans(s) for m in re.findall(r"^(HAILONG_[A-Z_]+)=(?!FILE)", span)}
    assert said - {"HAILONG_RULES_FILE"} <= set(re.findall(r"^(\w+)=", example, re.M))
