"""What README and docs say can be done: commands that exist, options they have, links that lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
import yaml

from ops.cli.main import build

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:bin/hailong|python -m ops) ([a-z][^`\n#]*)")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _spans(page: Path) -> Iterator[str]:
    """What stands in code: blocks, and words between single quotes of code."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def _commands() -> list[tuple[str, str]]:
    return [(_name(page), m.group(1).strip()) for page in PAGES for span in _spans(page) for m in _COMMAND.finditer(span)]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{_name(page)}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.M)
            assert anchor in map(_anchor, headings), f"{_name(page)}: {target}"


def test_the_pages_name_commands_at_all() -> None:
    assert len(_commands()) > 15
    assert ("README.md", "demo") in _commands()


@pytest.mark.parametrize(("page", "command"), _commands())
def test_commands_of_the_pages_exist_with_their_options(page: str, command: str) -> None:
    words = shlex.split(command.split("|")[0] if " | " in command else command)
    words = words[: words.index(">")] if ">" in words else words
    if "deadletters" in words and len(words) == 1:
        return
    at = typer.main.get_command(build([]))
    while words and (inner := getattr(at, "commands", {}).get(words[0])) is not None:
        at, words = inner, words[1:]
    assert not getattr(at, "commands", {}) or getattr(at, "invoke_without_command", False), f"{page}: {command}: no such command"
    known = {option for parameter in at.params for option in (*parameter.opts, *parameter.secondary_opts)}
    used = {word for word in words if word.startswith("--")}
    assert used <= known, f"{page}: {command}: {used - known}"


def test_the_picture_is_well_formed_and_reads_in_the_dark_too() -> None:
    picture = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(picture)  # noqa: S314 (our own file)
    assert "prefers-color-scheme: dark" in picture
    assert "<title" in picture


def test_modules_the_shell_lines_start_exist() -> None:
    for page in PAGES:
        for module in re.findall(r"(?:-m,? )(ops(?:\.\w+)*)", page.read_text(encoding="utf-8")):
            path = ROOT.joinpath(*module.split("."))
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"{_name(page)}: {module}"


def test_the_workflow_calls_what_exists() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    runs = [step["run"].split()[0] for step in steps if "run" in step]
    assert {".ci/run", "bin/test"} <= set(runs)
    assert all((ROOT / run).exists() for run in runs if "/" in run)
    assert all(re.search(r"@v\d+\.\d+\.\d+$", step["uses"]) for step in steps if "uses" in step)
