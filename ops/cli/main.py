"""Builds the command line from its groups, importing only the one that is asked for, so that `hailong status` waits for no other's imports.

A group is a module with ``register(app)``; it stands in GROUPS with the names of its commands (a test holds the two together).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer

from hailong.settings import SettingError, Settings, load
from ops.local.home import HOME
from ops.local.refusal import Refusal

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "ops.cli.stack": ("up", "down", "status", "settings", "doctor"),
    "ops.cli.data": ("import", "outcomes", "outbox", "rebuild", "sql", "setup"),
    "ops.cli.behind": ("figures", "moved", "outlook", "funnel", "dispositions"),
    "ops.cli.alerts": ("alerts",),
    "ops.cli.quality": ("quality",),
    "ops.cli.coverage": ("coverage",),
    "ops.cli.draw": ("draw",),
    "ops.cli.letters": ("deadletters",),
    "ops.cli.message": ("message",),
    "ops.cli.questionnaire": ("questionnaire",),
    "ops.cli.people": ("accounts", "audit"),
    "ops.cli.rights": ("rights",),
    "ops.cli.slips": ("slips",),
    "ops.cli.kiosk": ("kiosk",),
    "ops.cli.languages": ("languages",),
    "ops.cli.running": ("live", "provider", "stuck", "costs"),
    "ops.cli.why": ("why",),
    "ops.cli.proof": ("prove",),
    "ops.cli.bench": ("bench",),
    "ops.cli.demo": ("demo",),
}
"""Module → its commands."""
_INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Door:
    """What every command is given as ``ctx.obj``: where the jars are, and the settings of this process."""

    home: Path
    settings: Settings


def build(arguments: Sequence[str]) -> typer.Typer:
    """The application, with the one group that ``arguments`` ask for, or with all when that cannot be told (help, a slip of the pen)."""
    app = typer.Typer(name="hailong", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback(help="Learns, dossier by dossier, whether people are satisfied with their public service desks.")(_door)
    asked = [module for module, commands in GROUPS.items() if _command(arguments) in commands]
    for module in asked or GROUPS:
        import_module(module).register(app)
    return app


def _door(
    ctx: typer.Context,
    home: Annotated[Path, typer.Option(help="folder of the broker's jars; bin/hailong passes HAILONG_HOME")] = HOME,
) -> None:
    if ctx.resilient_parsing:
        return
    ctx.obj = Door(home.expanduser().absolute(), load())


def _command(arguments: Sequence[str]) -> str | None:
    """The first argument that is neither an option of ours nor its value."""
    rest = iter(arguments)
    for argument in rest:
        if argument == "--home":
            next(rest, None)
        elif not argument.startswith("-"):
            return argument
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code: 0 done, 1 falls short, 2 wrong use."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        build(given)(args=given, prog_name="hailong")
    except Refusal as refusal:
        sys.stderr.write(f"{refusal}\n")
        sys.exit(refusal.exit_code)
    except SettingError as fault:
        sys.stderr.write(f"{fault}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
