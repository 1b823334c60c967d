"""What the citizen's side says, read from files once: a language is a folder, an office is a file, a questionnaire is a file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from hailong.domain import questionnaire
from hailong.domain.questionnaire import Questionnaire, QuestionnaireError, Words
from hailong.events import About
from surveys import speaking
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
    """Language → what the pages say, of every language that has all its words. Raises ValueError where one of the house lacks some."""
    return pages.texts(folder, speaking.written(folder), "pages.toml")


@dataclass(frozen=True)
class Library:
    """Every questionnaire of the installation, by id and version; ``current`` is the one asked about a dossier."""

    current: Questionnaire
    known: dict[tuple[str, int], Questionnaire]

    def following(self, finished: str, about: About, done: Collection[str] = ()) -> Questionnaire | None:
        """The questionnaire asked after another one about such a dossier, newest version; None: there is none, or it is ``done``."""
        found = [q for q in self.known.values() if q.after == finished and q.id not in done and q.asked_about(about)]
        return max(found, key=lambda q: (q.version, q.id), default=None)

    def fingerprints(self) -> list[tuple[str, int, str, str]]:
        """(id, version, part, fingerprint) of everything that may be asked."""
        return [(q.id, q.version, part, digest) for q in self.known.values() for part, digest in q.fingerprints().items()]


def library(
    folder: Path = HERE / "questionnaires", current: str = "ttp-core", texts: Path = TEXTS, languages: Sequence[str] | None = None
) -> Library:
    """The questionnaires of a folder, with their words in every written language (``texts/LANGUAGE/ID-VERSION.toml``).

    Raises QuestionnaireError: unreadable, words missing, twice the same version, none called ``current``, after one that is not there.
    """
    known: dict[tuple[str, int], Questionnaire] = {}
    languages = languages or speaking.written(texts, folder)
    for path in sorted(folder.glob("*.toml")):
        read = questionnaire.load(path.read_text("utf-8"), path.name)
        if (read.id, read.version) in known:
            raise QuestionnaireError(f"{path.name}: {read.id} version {read.version} stands in another file too. Give it a new version.")
        known[read.id, read.version] = read.speaking(
            *(_words(texts / one / f"{read.id}-{read.version}.toml", one, read) for one in languages)
        )
    ids = {name for name, _ in known}
    for one in known.values():
        if one.after is not None and one.after not in ids:
            raise QuestionnaireError(f"{one.source}: after: no questionnaire {one.after}. Put its file there, or take the line out.")
    versions = [version for name, version in known if name == current]
    if not versions:
        raise QuestionnaireError(f"{folder.name}: no questionnaire {current}. Put its file there.")
    return Library(known[current, max(versions)], known)


def _words(path: Path, language: str, of: Questionnaire) -> Words:
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise QuestionnaireError(f"{name}: no such file. Every language has the words of every questionnaire.")
    return questionnaire.words(path.read_text("utf-8"), name, language, of)
