"""``hailong languages``: what the survey pages speak and what is missing; what a translator fills in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from ops.cli.door import Json, print_json, say
from ops.cli.tables import print_table
from ops.local.refusal import Refusal
from surveys.speaking import ABOUT, TEXTS, LanguageError, Tongue, made, tongues
from web.pages import LANGUAGES

_OFFERED: Final = {"written": "yes, written", "heard": "yes, heard", "": "no"}
Folder = Annotated[Path, typer.Option("--in", help="folder of the languages [default: the installation's]", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(no_args_is_help=True, help="Languages of the survey pages: list, make a folder to fill in, renew those there are.")
    for name, command in (("list", listed), ("make", make), ("renew", renew)):
        group.command(name)(command)
    app.add_typer(group, name="languages")


def listed(folder: Folder = TEXTS, as_json: Json = False) -> None:
    """Words filled in, sentences recorded, and whether it is offered or why not."""
    found = _found(folder)
    if as_json:
        print_json([_document(one) for one in found])
        return
    rows = [
        [one.code, one.name, f"{one.filled} of {one.texts}", f"{len(one.recordings)} of {one.sentences}", _OFFERED[one.offered], one.gap]
        for one in found
    ]
    print_table(("code", "name", "words", "recordings", "offered", "first gap"), rows)


def _document(one: Tongue) -> dict[str, object]:
    return {
        "code": one.code, "name": one.name, "filled": one.filled, "texts": one.texts, "recordings": len(one.recordings),
        "sentences": one.sentences, "offered": one.offered or None, "gap": one.gap or None,
    }  # fmt: skip


def _found(folder: Path) -> list[Tongue]:
    try:
        return tongues(folder)
    except LanguageError as e:
        raise Refusal(str(e)) from e


def make(
    code: Annotated[str, typer.Argument(help="two or three letters (ISO 639), such as mtq")],
    name: Annotated[str, typer.Option(help="what the language is called on the page")],
    folder: Folder = TEXTS,
) -> None:
    """A folder for a language: every text empty under its Vietnamese sentence, and the list of sentences to record."""
    if (folder / code / ABOUT).is_file():
        raise Refusal(f"{code}: is there already. `hailong languages renew` brings it up to date and keeps what was filled in.")
    if not name.strip():
        raise Refusal("--name: is empty. Give the language's own name.", wrong_use=True)
    n = _write(code, name.strip(), folder)
    say(f"{n} files are in {folder / code}. Fill in what is empty, or put the recordings into audio; the list tells what is missing.")


def renew(folder: Folder = TEXTS) -> None:
    """Bring every folder up to date with the Vietnamese texts; what was filled in stays."""
    codes = [one.code for one in _found(folder) if one.code not in LANGUAGES]
    for code in codes:
        _write(code, code, folder)
    say(f"Up to date: {', '.join(codes) or 'there is no language besides those of the house'}.")


def _write(code: str, name: str, folder: Path) -> int:
    try:
        files = made(code, name, folder)
        for file, text in files.items():
            path = folder / code / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    except LanguageError as e:
        raise Refusal(str(e), wrong_use=True) from e
    except OSError as e:
        raise Refusal(f"{folder / code}: cannot be written ({e.strerror}). Name a folder of yours with --in.") from e
    return len(files)
