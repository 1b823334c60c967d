"""Questionnaires as data: read and checked once, then a page of one is shown, a form of it validated, the next page found.

The file is TOML (``surveys/questionnaires/core.toml`` is the example). Ids of questions and options are permanent and stand in the
facts; wording may differ by how the dossier ended. Pure: text in, values out.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from hailong.events import Outcome
from hailong.ports import Invalid

Answer = int | None | list[str]
"""1–5 or None ("not applicable") of a scale; the chosen option ids, in the questionnaire's order, of a multiple choice."""
Words = dict[str, str]
"""Language → wording."""
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
NOT_APPLICABLE: Final = "na"
"""What a form sends for "not applicable"."""
_SCALE: Final = ("1", "2", "3", "4", "5")
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")


class QuestionnaireError(Exception):
    """A questionnaire's file is wrong. The message names file, line, field, cause and what would do."""


class Option(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that can be chosen."""

    id: Id
    text: Words


class Wording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another wording of a question, where the dossier ended so."""

    endings: list[Outcome]
    text: Words


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question. ``scale``: one of five points; ``many``: any number of options."""

    id: Id
    kind: Literal["scale", "many"]
    text: Words
    options: Annotated[list[Option], msgspec.Meta(min_length=2)]
    required: bool = False
    not_applicable: Words | None = None
    wordings: list[Wording] = []

    def worded(self, language: str, ending: str | None = None) -> str:
        """The question in a language, as said for that ending."""
        return next((w.text for w in self.wordings if ending in w.endings), self.text)[language]


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page is shown where an earlier answer is at most so much ("not applicable" and no answer are not)."""

    question: Id
    at_most: Annotated[int, msgspec.Meta(ge=1, le=4)]

    def holds(self, answers: Mapping[str, Answer]) -> bool:
        value = answers.get(self.question)
        return isinstance(value, int) and value <= self.at_most


class _Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    questions: Annotated[list[Id], msgspec.Meta(min_length=1)]
    when: Condition | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    version: Annotated[int, msgspec.Meta(ge=1)]
    languages: Annotated[list[Id], msgspec.Meta(min_length=1)]
    pages: Annotated[list[_Page], msgspec.Meta(min_length=1)]
    questions: Annotated[list[Question], msgspec.Meta(min_length=1)]


@dataclass(frozen=True)
class Page:
    """One screen, with its questions."""

    number: int
    questions: tuple[Question, ...]
    when: Condition | None


@dataclass(frozen=True)
class Questionnaire:
    """A version of a questionnaire, checked."""

    id: str
    version: int
    languages: tuple[str, ...]
    pages: tuple[Page, ...]

    def page(self, number: int) -> Page | None:
        """The page with that number."""
        return next((p for p in self.pages if p.number == number), None)

    def next_page(self, answers: Mapping[str, Answer], after: int) -> Page | None:
        """The first page after number ``after`` whose condition holds for ``answers``; None: there is no more."""
        return next((p for p in self.pages if p.number > after and (p.when is None or p.when.holds(answers))), None)

    def needed_later(self, after: int) -> frozenset[str]:
        """The questions on which a page after the next ones may depend: what a form must remember, and nothing else."""
        return frozenset(p.when.question for p in self.pages if p.number > after and p.when)


def load(text: str, name: str) -> Questionnaire:
    """The text of a file → the questionnaire. ``name`` stands in messages. Raises QuestionnaireError."""
    try:
        read = msgspec.convert(tomllib.loads(text), _File)
    except tomllib.TOMLDecodeError as e:
        raise QuestionnaireError(f"{name}: not TOML: {e}. Mend the syntax there.") from None
    except msgspec.ValidationError as e:
        cause, _, path = str(e).partition(" - at ")
        raise _wrong(text, name, path.strip("`") or "$", cause) from None
    for path, cause in _faults(read):
        raise _wrong(text, name, path, cause)
    by_id = {q.id: q for q in read.questions}
    pages = tuple(Page(p.number, tuple(by_id[q] for q in p.questions), p.when) for p in read.pages)
    return Questionnaire(read.id, read.version, tuple(read.languages), pages)


def validate(page: Page, form: Mapping[str, Sequence[str]]) -> dict[str, Answer] | Invalid:
    """A form (field → values) against its page → the answers given (unanswered questions left out), or the first thing wrong.

    Reasons: ``unexpected_field``, ``not_an_option``, ``more_than_one``, ``required``. Details never repeat what was sent.
    """
    known = {q.id for q in page.questions}
    if any(field not in known for field in form):
        return Invalid("unexpected_field", None, f"The form has a field that page {page.number} does not ask for.")
    answers: dict[str, Answer] = {}
    for question in page.questions:
        values = [v for v in form.get(question.id, ()) if v]
        if not values:
            if question.required:
                return Invalid("required", question.id, f"{question.id} needs an answer.")
            continue
        answer = _READERS[question.kind](question, values)
        if isinstance(answer, Invalid):
            return answer
        answers[question.id] = answer
    return answers


def _scale(question: Question, values: Sequence[str]) -> Answer | Invalid:
    if len(values) > 1:
        return Invalid("more_than_one", question.id, f"{question.id} takes one answer.")
    if values[0] == NOT_APPLICABLE and question.not_applicable is not None:
        return None
    if values[0] not in _SCALE:
        return Invalid("not_an_option", question.id, f"{question.id} has no such option.")
    return int(values[0])


def _many(question: Question, values: Sequence[str]) -> Answer | Invalid:
    options = [o.id for o in question.options]
    if not set(values) <= set(options):
        return Invalid("not_an_option", question.id, f"{question.id} has no such option.")
    return [o for o in options if o in values]


_READERS: Final[dict[str, Callable[[Question, Sequence[str]], Answer | Invalid]]] = {"scale": _scale, "many": _many}


def _faults(read: _File) -> Iterator[tuple[str, str]]:
    """(path, cause) of what the types cannot say."""
    ids = [q.id for q in read.questions]
    for i, question in enumerate(read.questions):
        if question.id in ids[:i]:
            yield f"$.questions[{i}].id", f"a second question {question.id}. Ids are unique"
        yield from _question_faults(question, f"$.questions[{i}]", read.languages)
    seen: list[str] = []
    for i, page in enumerate(read.pages):
        where = f"$.pages[{i}]"
        if page.number != i + 1:
            yield f"{where}.number", f"{page.number} where {i + 1} comes next. Pages are numbered from 1"
        if page.when and page.when.question not in seen:
            yield f"{where}.when", f"depends on {page.when.question}, which no earlier page asks"
        for asked in page.questions:
            if asked not in ids or asked in seen:
                yield f"{where}.questions", f"{asked} is {'asked twice' if asked in seen else 'no question of this file'}"
            seen.append(asked)
    for unasked in sorted(set(ids) - set(seen)):
        yield f"$.questions[{ids.index(unasked)}]", f"{unasked} stands on no page. Name it in a page's questions"


def _question_faults(question: Question, where: str, languages: Sequence[str]) -> Iterator[tuple[str, str]]:
    ids = [o.id for o in question.options]
    if question.kind == "scale" and tuple(ids) != _SCALE:
        yield f"{where}.options", "a scale has the options 1, 2, 3, 4, 5 in this order"
    if question.kind == "many" and question.not_applicable:
        yield f"{where}.not_applicable", "only a scale has 'not applicable'; leave it out here"
    if question.kind == "many" and question.required:
        yield f"{where}.required", "choosing none is an answer to a multiple choice; leave it out here"
    words = [(f"{where}.text", question.text), (f"{where}.not_applicable", question.not_applicable)]
    words += [(f"{where}.wordings[{i}].text", w.text) for i, w in enumerate(question.wordings)]
    words += [(f"{where}.options[{i}].text", o.text) for i, o in enumerate(question.options)]
    for path, said in words:
        if said is not None:
            yield from _words_faults(path, said, languages)
    for i, option in enumerate(ids):
        if option in ids[:i]:
            yield f"{where}.options[{i}].id", f"a second option {option}. Ids are unique within a question"


def _words_faults(path: str, said: Words, languages: Sequence[str]) -> Iterator[tuple[str, str]]:
    for language in languages:
        if not said.get(language, "").strip():
            yield path, f"no wording in {language}. Every language of the file needs one"
    for language in sorted(set(said) - set(languages)):
        yield path, f"wording in {language}, which is not among the file's languages"


def _wrong(text: str, name: str, path: str, cause: str) -> QuestionnaireError:
    field = path.removeprefix("$").lstrip(".") or "the file"
    return QuestionnaireError(f"{name}:{_line_of(text, path)}: {field}: {cause.rstrip('.')}. Mend it there.")


def _line_of(text: str, path: str) -> int:
    """The line (from 1) where ``path`` ($.questions[1].text) is written; of the table around it where the key itself is missing."""
    lines, at, prefix = text.splitlines(), 0, ""
    for key, index in _STEP.findall(path):
        if key:
            prefix = f"{prefix}.{key}" if prefix else key
            own = re.compile(rf"\s*(\[{re.escape(prefix)}\]|{re.escape(key)}\s*=)")
            at = next((i for i in range(at, len(lines)) if own.match(lines[i]) or (i > at and _leaves(lines[i], prefix))), at)
            at = at if own.match(lines[at]) else _start(lines, at)
        else:
            headers = [i for i in range(at, len(lines)) if lines[i].strip() == f"[[{prefix}]]"]
            at = headers[int(index)] if int(index) < len(headers) else at
    return at + 1


def _leaves(line: str, prefix: str) -> bool:
    """Whether a header leaves the table in which ``prefix`` could stand."""
    return line.startswith("[") and not line.strip("[] \n").startswith(prefix.rpartition(".")[0] or "\0")


def _start(lines: Sequence[str], at: int) -> int:
    return next((i for i in range(min(at, len(lines) - 1), -1, -1) if lines[i].startswith("[[")), 0)
