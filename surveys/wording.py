"""What the citizen's side says, read from files once: a language is a folder, an office is a file, a questionnaire is a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from hailong.domain import questionnaire
from hailong.domain.questionnaire import Questionnaire, QuestionnaireError
from web import pages

HERE: Final = Path(__file__).parent
TEXTS: Final = HERE / "texts"
CONTACT_DAYS: Final = 30
"""Days after a survey is settled in which the contact is erased (design: promise 7)."""


class Office(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who asks: registered sender, telephone number for questions, name by language."""

    brand: str
    hotline: str
    name: dict[str, str]


def office(path: Path = TEXTS / "office.toml") -> Office:
    """The office of a file. Raises ValueError naming the file and what is wrong."""
    try:
        read = msgspec.toml.decode(path.read_bytes(), type=Office)
    except msgspec.DecodeError as e:
        raise ValueError(f"{path.name}: {e}. Mend it there.") from None
    missing = sorted(set(pages.LANGUAGES) - set(read.name))
    if missing:
        raise ValueError(f"{path.name}: name.{missing[0]} is missing. Every language needs it.")
    return read


def page_words(folder: Path = TEXTS) -> dict[str, dict[str, Any]]:
    """Language → what the pages say. Raises ValueError for a half-translated language."""
    return pages.texts(folder, name="pages.toml")


@dataclass(frozen=True)
class Library:
    """Every questionnaire of the installation, by id and version; ``current`` is the one asked about a dossier."""

    current: Questionnaire
    known: dict[tuple[str, int], Questionnaire]


def library(folder: Path = HERE / "questionnaires", current: str = "ttp-core") -> Library:
    """The questionnaires of a folder. Raises QuestionnaireError: unreadable, twice the same version, none called ``current``."""
    known: dict[tuple[str, int], Questionnaire] = {}
    for path in sorted(folder.glob("*.toml")):
        read = questionnaire.load(path.read_text("utf-8"), path.name)
        if (read.id, read.version) in known:
            raise QuestionnaireError(f"{path.name}: {read.id} version {read.version} stands in another file too. Give it a new version.")
        known[read.id, read.version] = read
    versions = [version for name, version in known if name == current]
    if not versions:
        raise QuestionnaireError(f"{folder.name}: no questionnaire {current}. Put its file there.")
    return Library(known[current, max(versions)], known)
