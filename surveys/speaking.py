"""The languages of the citizen's pages: each is a folder under ``texts``, with words, with recordings, or with both.

``language.toml`` names it; ``pages.toml``, ``shared.toml`` and a file for each questionnaire hold its words; ``audio/`` holds a recording
for each sentence of a closed list. Who fills everything in is shown as written; who has every recording is heard, beside the written words
of another language; who has half of either is not offered: nobody meets a screen of two languages.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from hailong.domain import questionnaire
from hailong.domain.questionnaire import Question, Questionnaire
from web import pages
from web.pages import DEFAULT, LANGUAGES, Heard

HERE: Final = Path(__file__).parent
TEXTS: Final = HERE / "texts"
QUESTIONNAIRES: Final = HERE / "questionnaires"
SHARED: Final = Path(pages.__file__).parent / "texts" / f"{DEFAULT}.toml"
ABOUT: Final = "language.toml"
AUDIO: Final = "audio"
KINDS: Final = {".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".opus": "audio/ogg", ".m4a": "audio/mp4", ".wav": "audio/wav"}
"""How a recording's file may end → its content type."""
SAID: Final = {
    "who": "audio.who",
    "who.yes": "who.yes",
    "who.no": "who.no",
    "not_me": "not_me.text",
    "notice": "notice",
    "many": "many_hint",
    "yes": "yes",
    "required": "errors.required",
    "thanks": "thanks.saved",
    "thanks.receipt": "thanks.receipt_use",
}
"""Name of a recording → the key of its sentence in ``pages.toml``."""
CODE: Final = re.compile(r"[a-z]{2,3}")
_PLACES: Final = re.compile(r"\{\w*\}")
_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_GUIDE: Final = """\
# Mỗi dòng là một câu cần thu âm: tên tệp, một dấu tab, câu tiếng Việt. Người nói đọc câu đó bằng tiếng của mình.
# Tệp đặt trong thư mục này, tên như ở dòng, đuôi là một trong: {kinds}. Thu đủ mọi câu thì trang mới có tiếng này.
# One sentence to record a line: file name, tab, Vietnamese sentence, to be said in the language of this folder.
"""


class LanguageError(Exception):
    """A language's folder is wrong. The message names file, cause and what would do."""


class _About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    text: str = DEFAULT
    spoken: bool = False


@dataclass(frozen=True)
class Tongue:
    """A language's folder as it stands. ``filled`` of ``texts`` words, ``recordings`` of ``sentences``; ``gap``: what is missing or wrong.

    ``offered``: ``written``, ``heard``, or empty.
    """

    code: str
    name: str
    text: str
    filled: int
    texts: int
    sentences: int
    offered: str
    gap: str
    recordings: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """A file that is served. ``address``: on the site; it changes with what is in the file."""

    path: Path
    kind: str
    address: str


@dataclass(frozen=True)
class Speaking:
    """What the site offers besides its own two languages, and every recording of any it offers."""

    heard: Mapping[str, Heard] = field(default_factory=dict)
    shared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    recordings: Mapping[tuple[str, str], Recording] = field(default_factory=dict)
    """(language, name of the sentence) → its file."""

    def of(self, language: str) -> dict[str, str]:
        """Sentence → address of its recording in that language."""
        return {name: one.address for (code, name), one in self.recordings.items() if code == language}


def speaking(texts: Path = TEXTS, asked: Path = QUESTIONNAIRES) -> Speaking:
    """What the folders under ``texts`` offer. Raises LanguageError for a ``language.toml`` that cannot be read."""
    offered = [one for one in tongues(texts, asked) if one.offered]
    said = tomllib.loads((texts / DEFAULT / "pages.toml").read_text("utf-8"))["audio"]["heard"]
    return Speaking(
        {one.code: Heard(one.name, one.text, said) for one in offered if one.offered == "heard"},
        {one.code: _shared_of(texts / one.code, one.name) for one in offered if one.offered == "written" and one.code not in LANGUAGES},
        {(one.code, name): _recording(one.code, name, path) for one in offered for name, path in one.recordings.items()},
    )


def written(texts: Path = TEXTS, asked: Path = QUESTIONNAIRES) -> tuple[str, ...]:
    """Languages with all their words: those of the house, and every folder that is filled in."""
    more = (one.code for one in tongues(texts, asked) if one.offered == "written")
    return tuple(dict.fromkeys([*LANGUAGES, *more]))


def tongues(texts: Path = TEXTS, asked: Path = QUESTIONNAIRES) -> list[Tongue]:
    """Every folder with a ``language.toml``, those of the house first. Our own is read once by a process. Raises LanguageError."""
    return _shipped() if (texts, asked) == (TEXTS, QUESTIONNAIRES) else _tongues(texts, asked)


@functools.cache
def _shipped() -> list[Tongue]:
    return _tongues(TEXTS, QUESTIONNAIRES)


def _tongues(texts: Path, asked: Path) -> list[Tongue]:
    codes = sorted(path.parent.name for path in texts.glob(f"*/{ABOUT}"))
    if not codes:
        return []
    model, names = _model(texts, asked), sentences(texts, asked)
    order = [*(one for one in LANGUAGES if one in codes), *(one for one in codes if one not in LANGUAGES)]
    return [_tongue(texts / code, model, names) for code in order]


def _tongue(folder: Path, model: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> Tongue:
    about = _about(folder / ABOUT)
    if folder.name in LANGUAGES:  # its shared words stand elsewhere
        model = {name: table for name, table in model.items() if name != "shared.toml"}
    filled, n, gap = _filled(folder, model)
    found = _files(folder / AUDIO, names)
    heard = about.spoken and len(found) == len(names)
    offered = "written" if not gap else "heard" if heard else ""
    if not offered and about.spoken:
        gap = f"{gap}; {len(names) - len(found)} sentences are not recorded"
    return Tongue(folder.name, about.name, about.text, filled, n, len(names), offered, gap, found)


def _about(path: Path) -> _About:
    try:
        read = msgspec.toml.decode(path.read_bytes(), type=_About)
    except msgspec.DecodeError as e:
        raise LanguageError(f"{path.parent.name}/{path.name}: {e}. Mend it there.") from None
    if not CODE.fullmatch(path.parent.name) or not read.name.strip():
        raise LanguageError(f"{path.parent.name}/{path.name}: a folder is called by the code of ISO 639, and its language has a name.")
    if read.text not in LANGUAGES:
        raise LanguageError(f"{path.parent.name}/{path.name}: text: {read.text} is not written here. Take one of {', '.join(LANGUAGES)}.")
    return read


def _filled(folder: Path, model: Mapping[str, Mapping[str, Any]]) -> tuple[int, int, str]:
    """(words filled in, words there are, the first thing missing or wrong)."""
    filled, n, gaps = 0, 0, []
    for name, table in model.items():
        theirs = _leaves(_table(folder / name))
        for key, ours in _leaves(table).items():
            n += 1
            given = theirs.pop(key, "")
            filled += bool(given.strip())
            if not given.strip():
                gaps.append(f"{name}: {key} is empty")
            elif sorted(_PLACES.findall(given)) != sorted(_PLACES.findall(ours)):
                gaps.append(f"{name}: {key} needs {' '.join(_PLACES.findall(ours)) or 'no placeholder'}, as in Vietnamese")
        gaps += [f"{name}: {key} is no key of ours" for key in theirs]
    return filled, n, gaps[0] if gaps else ""


def _table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as e:
        raise LanguageError(f"{path.parent.name}/{path.name}: not TOML: {e}. Mend the syntax there.") from None


def _leaves(value: Any, at: str = "") -> dict[str, str]:
    """Path → text, of everything that is text."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in _leaves(inner, f"{at}.{key}" if at else key).items()}
    if isinstance(value, list):
        return {k: v for i, inner in enumerate(value) for k, v in _leaves(inner, f"{at}[{i}]").items()}
    return {at: str(value)}


def _model(texts: Path, asked: Path) -> dict[str, dict[str, Any]]:
    """File → what it says in Vietnamese: what every other language has to fill in."""
    shared = tomllib.loads(SHARED.read_text("utf-8"))
    del shared["name"]  # stands in language.toml
    names = ["pages.toml", *(f"{one.id}-{one.version}.toml" for one in _questionnaires(asked))]
    return {name: tomllib.loads((texts / DEFAULT / name).read_text("utf-8")) for name in names} | {"shared.toml": shared}


def _shared_of(folder: Path, name: str) -> dict[str, Any]:
    return _table(folder / "shared.toml") | {"name": name}


def _questionnaires(asked: Path) -> list[Questionnaire]:
    return [questionnaire.load(path.read_text("utf-8"), path.name) for path in sorted(asked.glob("*.toml"))]


# --- recordings


def question_name(of: Questionnaire, question: Question, ending: str = "") -> str:
    """The recording of a question, as asked for that ending."""
    return f"{of.id}-{of.version}.{question.id}" + (f".{ending}" if ending in question.endings else "")


def option_name(of: Questionnaire, question: Question, option: str) -> str:
    """The recording of an answer to choose."""
    return f"scale.{option}" if question.kind == "scale" else f"{of.id}-{of.version}.{question.id}.{option}"


NOT_APPLICABLE: Final = "scale.na"


def sentences(texts: Path = TEXTS, asked: Path = QUESTIONNAIRES) -> dict[str, str]:
    """Name → Vietnamese sentence, of everything there can be a recording of. Raises LanguageError for one name with two sentences."""
    said = _leaves(tomllib.loads((texts / DEFAULT / "pages.toml").read_text("utf-8")))
    found = {name: said[key] for name, key in SAID.items()}
    for of in _questionnaires(asked):
        path = texts / DEFAULT / f"{of.id}-{of.version}.toml"
        words = questionnaire.words(path.read_text("utf-8"), f"{DEFAULT}/{path.name}", DEFAULT, of)
        for name, sentence in _sentences(of, words):
            if found.setdefault(name, sentence) != sentence:
                raise LanguageError(f"{DEFAULT}/{path.name}: {name} is said in another way elsewhere. A recording has one sentence.")
    return found


def _sentences(of: Questionnaire, words: questionnaire.Words) -> Iterator[tuple[str, str]]:
    for question in (q for page in of.pages for q in page.questions):
        for ending in ("", *question.endings):
            yield question_name(of, question, ending), words.question(question, ending)
        if words.said[question.id].hint:
            yield f"{question_name(of, question)}.hint", words.said[question.id].hint
        for option in question.options:
            yield option_name(of, question, option), words.option(question, option)
        if question.not_applicable:
            yield NOT_APPLICABLE, words.not_applicable


def _files(folder: Path, names: Mapping[str, str]) -> dict[str, Path]:
    """Sentence → its file, in the order of the sentences; where there are several, the first of ``KINDS``."""
    tried = ((name, folder / f"{name}{ending}") for name in names for ending in KINDS)
    found: dict[str, Path] = {}
    for name, path in tried:
        if name not in found and path.is_file() and path.stat().st_size:
            found[name] = path
    return found


def _recording(language: str, name: str, path: Path) -> Recording:
    mark = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return Recording(path, KINDS[path.suffix], f"/audio/{language}/{name}?v={mark}")


# --- what a translator fills in


def made(code: str, name: str, texts: Path = TEXTS, asked: Path = QUESTIONNAIRES) -> dict[str, str]:
    """File → its text, of a language's folder: what is filled in stays, everything else is empty, under its Vietnamese sentence.

    Raises LanguageError for a code that is none, or of a language of the house.
    """
    if not CODE.fullmatch(code) or code in LANGUAGES:
        raise LanguageError(f"{code}: is no code of a language to add. ISO 639 has two or three small letters for it.")
    folder = texts / code
    known = _about(folder / ABOUT) if (folder / ABOUT).is_file() else _About(name, spoken=True)
    about = f"name = {_quoted(known.name)}\ntext = {_quoted(known.text)}\nspoken = {str(known.spoken).lower()}\n"
    files = {file: "\n".join(_lines(table, _table(folder / file))).strip() + "\n" for file, table in _model(texts, asked).items()}
    told = _GUIDE.format(kinds=", ".join(KINDS)) + "".join(f"{one}\t{said}\n" for one, said in sentences(texts, asked).items())
    return {ABOUT: about, **files, f"{AUDIO}/SENTENCES.txt": told}


def _lines(ours: Mapping[str, Any], theirs: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """A table: first what is text, then the tables in it."""
    for key, value in ours.items():
        if not _is_table(value):
            yield from _entry(key, value, theirs.get(key))
    for key, value in ours.items():
        if not _is_table(value):
            continue
        path, given = f"{at}{_key(key)}", theirs.get(key)
        if isinstance(value, dict):
            inner = list(_lines(value, given if isinstance(given, dict) else {}, f"{path}."))
            own = any(not _is_table(one) for one in value.values())
            yield from ["", f"[{path}]", *inner] if own else inner
            continue
        for i, one in enumerate(value):
            yield from ["", f"[[{path}]]", *_lines(one, _at(given, i, {}), f"{path}.")]


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))


def _at(given: Any, i: int, other: Any) -> Any:
    return given[i] if isinstance(given, list) and i < len(given) and isinstance(given[i], type(other)) else other


def _entry(key: str, value: Any, given: Any) -> Iterator[str]:
    if isinstance(value, list):
        yield f"{_key(key)} = ["
        for i, one in enumerate(value):
            yield from (*_comment(one, "  "), f"  {_quoted(_at(given, i, ''))},")
        yield "]"
        return
    yield from (*_comment(value), f"{_key(key)} = {_quoted(given if isinstance(given, str) else '')}")


def _comment(text: Any, indent: str = "") -> Sequence[str]:
    return [f"{indent}# {line}".rstrip() for line in str(text).splitlines()]


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
