"""What commands share: whose settings hold, the parts with faults as sentences, the two ways to speak."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from hailong import settings as house
from hailong import telemetry
from hailong.domain.rulebook import RulebookError
from hailong.domain.units import LOCAL
from hailong.ports import Invalid, Permanent, Retryable
from hailong.settings import Settings
from ops.local.folder import DataFolder
from ops.local.refusal import Refusal
from ops.wiring import Wiring
from producers.desk import SourcePaused
from producers.mapping import MappingError
from producers.upstream_file import UnreadableFile
from sinks.ledger import VaultError

_TOLD: Final = Console(stderr=True)
Data = Annotated[Path | None, typer.Option(help="data folder of a local stack (default: HOME/data); else the environment's settings hold")]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]


def settings_of(ctx: typer.Context, data: Path | None) -> Settings:
    """Those of the local stack in the data folder that is named or, if there is one, in the usual one; else the environment's.

    Raises Refusal: the folder named is not there (wrong use), or no stack runs on it.
    """
    folder = DataFolder(data or ctx.obj.home / "data")
    if data is None and not folder.state_file.exists():
        return ctx.obj.settings  # type: ignore[no-any-return]
    return house.load(folder.state()["settings"])


@contextmanager
def wired(ctx: typer.Context, data: Path | None) -> Iterator[Wiring]:
    """The parts, with faults of the outside as sentences."""
    settings = settings_of(ctx, data)
    telemetry.configure("cli", "warning")
    try:
        yield Wiring(settings)
    except (Retryable, Permanent) as e:
        raise Refusal(f"{e.reason.rstrip('.')}. Is the stack running? `hailong status` tells.") from e
    except Invalid as e:
        raise Refusal(f"{e}: {e.detail}", wrong_use=True) from e
    except (UnreadableFile, MappingError, RulebookError, house.SettingError) as e:
        raise Refusal(str(e), wrong_use=True) from e
    except (SourcePaused, VaultError) as e:
        raise Refusal(str(e)) from e


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """Times as ISO 8601 with offset, local; what else JSON does not know as its text."""
    if isinstance(value, datetime):
        return (value.astimezone(LOCAL) if value.tzinfo else value).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def say(text: str) -> None:
    _TOLD.print(text, highlight=False, markup=False, soft_wrap=True)


def day_of(option: str, typed: str) -> date:
    """The day an option names. Raises Refusal."""
    try:
        return date.fromisoformat(typed)
    except ValueError:
        raise Refusal(f"{option} {typed}: is no day. Write it as 2026-03-02.", wrong_use=True) from None


def existing(path: Path) -> Path:
    if not path.is_file():
        raise Refusal(f"{path}: no such file. Name one that can be read.", wrong_use=True)
    return path
