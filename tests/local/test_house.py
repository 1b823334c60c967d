"""What holds the rooms apart and import-linter cannot see."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.local.home import REPOSITORY

ROOMS = ("hailong", "web", "producers", "streams", "surveys", "sinks", "dashboard", "ops")
PURE = {"msgspec", "holidays", "phonenumbers", "scipy", "structlog", "prometheus_client", "tzdata", "email_validator"}
"""What the language and the rules may stand on, besides the standard library (email_validator: its syntax check, which asks no network)."""


def sources(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    for room in rooms:
        for path in sorted((REPOSITORY / room).rglob("*.py")):
            yield str(path.relative_to(REPOSITORY)), ast.parse(path.read_text(encoding="utf-8"))


def environment_reads(tree: ast.Module) -> Iterator[int]:
    """Lines that read or write the process's environment, however the module was imported."""
    from_os = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in from_os and isinstance(node.value, ast.Name) and node.value.id == "os":
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "os" and from_os & {alias.name for alias in node.names}:
            yield node.lineno


def inner_imports(tree: ast.Module) -> Iterator[int]:
    """Lines of imports inside functions."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield node.lineno


def foreign_imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, top-level package) of imports that are neither ours nor the standard library's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        else:
            continue
        for top in {name.partition(".")[0] for name in names} - set(ROOMS) - set(sys.stdlib_module_names):
            yield node.lineno, top


def test_only_settings_reads_the_environment() -> None:
    found = [f"{path}:{line}" for path, tree in sources(*ROOMS) for line in environment_reads(tree) if path != "hailong/settings.py"]
    assert found == []


def test_imports_stand_at_the_top() -> None:
    found = [f"{path}:{line}" for path, tree in sources(*ROOMS) for line in inner_imports(tree)]
    assert found == []


def test_the_rules_stand_on_few_pure_libraries() -> None:
    found = [f"{path}:{line} {top}" for path, tree in sources("hailong") for line, top in foreign_imports(tree) if top not in PURE]
    assert found == []


def test_every_room_is_listed_for_packaging_and_contracts() -> None:
    rooms = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")} - {"tests", "bench"}
    assert rooms == set(ROOMS)
    contracts = (REPOSITORY / ".importlinter").read_text(encoding="utf-8")
    assert set(contracts.split("root_packages =")[1].split("include_external")[0].split()) == set(ROOMS)


READS = {
    "import os\nos.environ['A']": 1,
    "import os\ndef f():\n    return os.getenv('A')": 1,
    "from os import environ": 1,
    "import os\nos.getpid()": 0,
}
INNER = {"def f():\n    import json": 1, "async def f():\n    from a import b": 1, "import json": 0}


@pytest.mark.parametrize(("source", "lines"), READS.items())
def test_a_read_of_the_environment_is_seen(source: str, lines: int) -> None:
    assert len(list(environment_reads(ast.parse(source)))) == lines


@pytest.mark.parametrize(("source", "lines"), INNER.items())
def test_an_inner_import_is_seen(source: str, lines: int) -> None:
    assert len(list(inner_imports(ast.parse(source)))) == lines


def test_the_repository_is_where_it_is_thought_to_be() -> None:
    assert (REPOSITORY / "pyproject.toml").is_file()
    assert Path(__file__).is_relative_to(REPOSITORY)
