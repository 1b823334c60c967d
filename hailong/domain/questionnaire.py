"""Questionnaires as data: read and checked once, then a page of one is shown, a form of it validated, the next page found.

A questionnaire is a TOML file of ids (``surveys/questionnaires/ttp-core-1.toml`` is the example) and, for every language, a TOML file
of words in that language's folder. Ids of questions and options are permanent and stand in the facts; wording may differ by how the
dossier ended. A version that was ever answered is frozen: ``fingerprints`` tell whether it still says the same. Pure: text in, values out.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal

import msgspec

from hailong.events import About, Form, Outcome
from hailong.ports import Invalid

Answer = int | str | bool | None | list[str]
"""By kind: 1–5 or None ("not applicable") of a scale; an option id; the chosen option ids, in the questionnaire's order; True."""
Kind = Literal["scale", "one", "many", "text", "yes"]
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
NOT_APPLICABLE: Final = "na"
"""What a form sends for "not applicable"."""
YES: Final = "yes"
LONGEST: Final = 500
"""Letters of a comment."""
SCALE: Final = ("1", "2", "3", "4", "5")
_STEP: Final = re.compile(r"\.([\w-]+)|\[(\d+)\]")


class QuestionnaireError(Exception):
    """A questionnaire's file is wrong. The message names file, line, field, cause and what would do."""


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question. ``scale``: of five points; ``one``, ``many``: of its options; ``text``: own words; ``yes``: a box, empty at first."""

    id: Id
    kind: Kind
    options: list[Id] = []
    required: bool = False
    not_applicable: bool = False
    endings: list[Outcome] = []
    """Endings for which it has a wording of its own."""


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page is shown where an earlier answer is at most so much (of a scale), or is or holds this option."""

    question: Id
    at_most: Annotated[int, msgspec.Meta(ge=1, le=4)] | None = None
    chosen: Id | None = None

    def holds(self, answers: Mapping[str, Answer]) -> bool:
        value = answers.get(self.question)
        if self.at_most is not None:
            return isinstance(value, int) and not isinstance(value, bool) and value <= self.at_most
        return value == self.chosen or (isinstance(value, list) and self.chosen in value)


class _Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    questions: Annotated[list[Id], msgspec.Meta(min_length=1)]
    forms: Annotated[list[Form], msgspec.Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["full"])
    when: Condition | None = None


class _Where(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    submission_channel: list[str] = []
    ending: list[str] = []
    field: list[str] = []


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    version: Annotated[int, msgspec.Meta(ge=1)]
    pages: Annotated[list[_Page], msgspec.Meta(min_length=1)]
    questions: Annotated[list[Question], msgspec.Meta(min_length=1)]
    after: Id | None = None
    where: _Where = _Where()


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one question says in one language."""

    text: str
    endings: dict[str, str] = {}
    options: dict[str, str] = {}
    hint: str = ""


@dataclass(frozen=True)
class Words:
    """What a questionnaire says in one language."""

    language: str
    scale: tuple[str, ...]
    not_applicable: str
    said: Mapping[str, Said]

    def question(self, question: Question, ending: str | None = None) -> str:
        """The question, as said for that ending."""
        said = self.said[question.id]
        return said.endings.get(ending or "", said.text)

    def option(self, question: Question, option: str) -> str:
        """An option's words; of a scale its point's."""
        return self.scale[int(option) - 1] if question.kind == "scale" else self.said[question.id].options[option]


@dataclass(frozen=True)
class Page:
    """One screen, with its questions."""

    number: int
    questions: tuple[Question, ...]
    when: Condition | None = None
    forms: tuple[Form, ...] = ("full",)


@dataclass(frozen=True)
class Questionnaire:
    """A version of a questionnaire, checked. ``after``: asked when that other one is finished; ``where``: field of ``About`` → values."""

    id: str
    version: int
    pages: tuple[Page, ...]
    after: str | None = None
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    words: Mapping[str, Words] = field(default_factory=dict)
    source: str = ""

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages it has words in."""
        return tuple(self.words)

    def speaking(self, *words: Words) -> Questionnaire:
        """The same with words."""
        return replace(self, words={**self.words, **{w.language: w for w in words}})

    def page(self, number: int) -> Page | None:
        """The page with that number."""
        return next((p for p in self.pages if p.number == number), None)

    def next_page(self, answers: Mapping[str, Answer], after: int, form: Form = "full") -> Page | None:
        """The first page after number ``after`` whose condition holds for ``answers``; None: there is no more."""
        return next((p for p in self._shown(answers, form) if p.number > after), None)

    def page_before(self, answers: Mapping[str, Answer], number: int, form: Form = "full") -> Page | None:
        """The page that was shown before page ``number``; None: it is the first."""
        return next((p for p in reversed(self._shown(answers, form)) if p.number < number), None)

    def place(self, answers: Mapping[str, Answer], number: int, form: Form = "full") -> int:
        """The how-manieth page number ``number`` is, from 1."""
        return sum(p.number <= number for p in self._shown(answers, form))

    def left(self, answers: Mapping[str, Answer], after: int, form: Form = "full") -> int:
        """How many pages come after number ``after``, as far as the answers tell."""
        return sum(p.number > after for p in self._shown(answers, form))

    def most_left(self, after: int, form: Form = "full") -> int:
        """How many pages may come after number ``after``, whatever is answered."""
        return sum(p.number > after and form in p.forms for p in self.pages)

    def _shown(self, answers: Mapping[str, Answer], form: Form) -> list[Page]:
        return [p for p in self.pages if form in p.forms and (p.when is None or p.when.holds(answers))]

    def open_to(self, done: Sequence[str], form: Form = "full") -> Page | None:
        """The first page of which no question is ``done``: where somebody goes on who comes back.

        A conditional page is one for everybody who is done with no unconditional page after it, whether or not it was shown, or answered,
        before: else its being there or missing would tell whoever opens the link what was answered.
        """
        pages = [p for p in self.pages if form in p.forms]
        reached = max((p.number for p in pages if p.when is None and _any_of(p, done)), default=0)
        return next((p for p in pages if (p.number > reached if p.when else not _any_of(p, done))), None)

    def not_knowing(self, answers: Mapping[str, Answer]) -> Questionnaire:
        """The same for a form that does not know what was answered before it: a page that hangs on none of ``answers`` is asked."""
        return replace(self, pages=tuple(p if p.when and p.when.question in answers else replace(p, when=None) for p in self.pages))

    def asked_about(self, about: About) -> bool:
        """Whether it is asked about such a dossier."""
        return all(getattr(about, name) in values for name, values in self.where.items())

    def fingerprints(self) -> dict[str, str]:
        """Part (``ids``, or a language) → 64 hex digits that change when anything of it does."""
        parts: dict[str, Any] = {"ids": [self.id, self.version, [_plain(p) for p in self.pages], self.after, dict(self.where)]}
        parts |= {one: [w.scale, w.not_applicable, w.said] for one, w in self.words.items()}
        return {name: hashlib.sha256(msgspec.json.encode(part, order="deterministic")).hexdigest() for name, part in parts.items()}


def _any_of(page: Page, done: Sequence[str]) -> bool:
    return any(q.id in done for q in page.questions)


def _plain(page: Page) -> list[Any]:
    return [page.number, page.questions, page.when, page.forms]


# --- what a form sent -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """What a form holds: answers for the log, and texts, which only the ledger may keep."""

    answers: dict[str, Answer] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.answers or self.texts)


def validate(page: Page, form: Mapping[str, Sequence[str]]) -> Given | Invalid:
    """A form (field → values) against its page → what was given (unanswered questions left out), or the first thing wrong.

    Reasons: ``unexpected_field``, ``not_an_option``, ``more_than_one``, ``required``, ``too_long``. Details never repeat what was sent.
    """
    known = {q.id for q in page.questions}
    if any(name not in known for name in form):
        return Invalid("unexpected_field", None, f"The form has a field that page {page.number} does not ask for.")
    given = Given()
    for question in page.questions:
        values = [v for v in form.get(question.id, ()) if v.strip()]
        if not values:
            if question.required:
                return Invalid("required", question.id, f"{question.id} needs an answer.")
            continue
        if len(values) > 1 and question.kind != "many":
            return Invalid("more_than_one", question.id, f"{question.id} takes one answer.")
        answer = _READERS[question.kind](question, values)
        if isinstance(answer, Invalid):
            return answer
        if question.kind == "text":
            given.texts[question.id] = str(answer)
        else:
            given.answers[question.id] = answer
    return given


def _no_option(question: Question) -> Invalid:
    return Invalid("not_an_option", question.id, f"{question.id} has no such option.")


def _scale(question: Question, values: Sequence[str]) -> Answer | Invalid:
    if values[0] == NOT_APPLICABLE and question.not_applicable:
        return None
    return int(values[0]) if values[0] in SCALE else _no_option(question)


def _one(question: Question, values: Sequence[str]) -> Answer | Invalid:
    return values[0] if values[0] in question.options else _no_option(question)


def _many(question: Question, values: Sequence[str]) -> Answer | Invalid:
    return [o for o in question.options if o in values] if set(values) <= set(question.options) else _no_option(question)


def _text(question: Question, values: Sequence[str]) -> Answer | Invalid:
    text = values[0].replace("\r\n", "\n").strip()
    if len(text) > LONGEST:
        return Invalid("too_long", question.id, f"{question.id} takes {LONGEST} letters.")
    return text


def _yes(question: Question, values: Sequence[str]) -> Answer | Invalid:
    return True if values[0] == YES else _no_option(question)


_READERS: Final[dict[str, Callable[[Question, Sequence[str]], Answer | Invalid]]] = {
    "scale": _scale,
    "one": _one,
    "many": _many,
    "text": _text,
    "yes": _yes,
}


# --- files ----------------------------------------------------------------------------------------------------------------------


def load(text: str, name: str) -> Questionnaire:
    """The ids of a file → the questionnaire, without words. ``name`` stands in messages. Raises QuestionnaireError."""
    read = _read(text, name, _File)
    for path, cause in _faults(read):
        raise _wrong(text, name, path, cause)
    by_id = {q.id: _completed(q) for q in read.questions}
    pages = tuple(Page(p.number, tuple(by_id[q] for q in p.questions), p.when, tuple(p.forms)) for p in read.pages)
    where = {key: values for key, values in msgspec.to_builtins(read.where).items() if values}
    return Questionnaire(read.id, read.version, pages, read.after, where, source=name)


def words(text: str, name: str, language: str, of: Questionnaire) -> Words:
    """The words of a file, checked against the questionnaire they are of. Raises QuestionnaireError for anything missing or too much."""
    table = _read(text, name, dict[str, Any])
    scale, none = table.pop("scale", []), table.pop("not_applicable", "")
    try:
        said = {key: msgspec.convert(value, Said) for key, value in table.items()}
        points = tuple(msgspec.convert(scale, list[str]))
    except msgspec.ValidationError as e:
        cause, _, path = str(e).partition(" - at ")
        raise _wrong(text, name, path.strip("`") or "$", cause) from None
    found = Words(language, points, str(none), said)
    for path, cause in _words_faults(of, found):
        raise _wrong(text, name, path, cause)
    return found


def _read(text: str, name: str, shape: Any) -> Any:
    try:
        return msgspec.convert(tomllib.loads(text), shape)
    except tomllib.TOMLDecodeError as e:
        raise QuestionnaireError(f"{name}: not TOML: {e}. Mend the syntax there.") from None
    except msgspec.ValidationError as e:
        cause, _, path = str(e).partition(" - at ")
        raise _wrong(text, name, path.strip("`") or "$", cause) from None


def _completed(question: Question) -> Question:
    return msgspec.structs.replace(question, options=list(SCALE)) if question.kind == "scale" else question


def _faults(read: _File) -> Iterator[tuple[str, str]]:
    """(path, cause) of what the types cannot say."""
    ids = [q.id for q in read.questions]
    for i, question in enumerate(read.questions):
        if question.id in ids[:i]:
            yield f"$.questions[{i}].id", f"a second question {question.id}. Ids are unique"
        yield from _question_faults(question, f"$.questions[{i}]")
    kinds = {q.id: q for q in read.questions}
    seen: list[str] = []
    for i, page in enumerate(read.pages):
        where = f"$.pages[{i}]"
        if page.number != i + 1:
            yield f"{where}.number", f"{page.number} where {i + 1} comes next. Pages are numbered from 1"
        if page.when:
            yield from _condition_faults(page.when, kinds.get(page.when.question), seen, f"{where}.when")
        for asked in page.questions:
            if asked not in ids or asked in seen:
                yield f"{where}.questions", f"{asked} is {'asked twice' if asked in seen else 'no question of this file'}"
            seen.append(asked)
    for unasked in sorted(set(ids) - set(seen)):
        yield f"$.questions[{ids.index(unasked)}]", f"{unasked} stands on no page. Name it in a page's questions"


def _condition_faults(when: Condition, on: Question | None, seen: Sequence[str], where: str) -> Iterator[tuple[str, str]]:
    if on is None or when.question not in seen:
        yield where, f"depends on {when.question}, which no earlier page asks"
    elif (when.at_most is None) == (when.chosen is None):
        yield where, "needs either at_most or chosen"
    elif when.at_most is not None and on.kind != "scale":
        yield where, f"at_most of {when.question}, which is no scale. Use chosen"
    elif when.chosen is not None and when.chosen not in on.options:
        yield where, f"{when.question} has no option {when.chosen}"


def _question_faults(question: Question, where: str) -> Iterator[tuple[str, str]]:
    ids = question.options
    if question.kind in ("one", "many") and len(ids) < 2:
        yield f"{where}.options", "two options or more are needed to choose from"
    if question.kind not in ("one", "many") and ids:
        yield f"{where}.options", f"a question of kind {question.kind} has no options of its own; leave them out"
    if question.kind != "scale" and question.not_applicable:
        yield f"{where}.not_applicable", "only a scale has 'not applicable'; leave it out here"
    if question.kind in ("many", "yes") and question.required:
        yield f"{where}.required", "choosing none is an answer here; leave it out"
    for option in ids:
        if ids.count(option) > 1:
            yield f"{where}.options", f"a second option {option}. Ids are unique within a question"


def _words_faults(of: Questionnaire, found: Words) -> Iterator[tuple[str, str]]:
    questions = {q.id: q for p in of.pages for q in p.questions}
    scales = [q for q in questions.values() if q.kind == "scale"]
    if scales and (len(found.scale) != len(SCALE) or not all(s.strip() for s in found.scale)):
        yield "$.scale", "the five points of the scale are needed, from the worst to the best"
    if any(q.not_applicable for q in scales) and not found.not_applicable.strip():
        yield "$.not_applicable", "words for 'not applicable' are needed"
    for missing in sorted(set(questions) - set(found.said)):
        yield "$", f"{missing} is missing. Every question needs its words"
    for name, said in found.said.items():
        if name not in questions:
            yield f"$.{name}", f"{of.id} version {of.version} has no question {name}"
            continue
        question = questions[name]
        if not said.text.strip():
            yield f"$.{name}.text", "is empty"
        options = [] if question.kind == "scale" else question.options
        yield from _same(f"$.{name}.options", said.options, options, "option")
        yield from _same(f"$.{name}.endings", said.endings, question.endings, "ending")


def _same(path: str, said: Mapping[str, str], wanted: Sequence[str], what: str) -> Iterator[tuple[str, str]]:
    for one in wanted:
        if not said.get(one, "").strip():
            yield path, f"no words for the {what} {one}"
    for one in sorted(set(said) - set(wanted)):
        yield path, f"words for {one}, which is no {what} here"


def _wrong(text: str, name: str, path: str, cause: str) -> QuestionnaireError:
    where = path.removeprefix("$").lstrip(".") or "the file"
    return QuestionnaireError(f"{name}:{_line_of(text, path)}: {where}: {cause.rstrip('.')}. Mend it there.")


def _line_of(text: str, path: str) -> int:
    """The line (from 1) where ``path`` ($.questions[1].text) is written; of the table around it where the key itself is missing."""
    lines, at, prefix = text.splitlines(), 0, ""
    for key, index in _STEP.findall(path):
        if key:
            prefix = f"{prefix}.{key}" if prefix else key
            header = next((i for i in range(at, len(lines)) if lines[i].strip() == f"[{prefix}]"), None)
            if header is not None:
                at = header
                continue
            own = re.compile(rf"\s*(\[{re.escape(prefix)}\]|\"?{re.escape(key)}\"?\s*=)")
            at = next((i for i in range(at, len(lines)) if own.match(lines[i]) or (i > at and _leaves(lines[i], prefix))), at)
            at = at if not lines or own.match(lines[at]) else _start(lines, at)
        else:
            headers = [i for i in range(at, len(lines)) if lines[i].strip() == f"[[{prefix}]]"]
            at = headers[int(index)] if int(index) < len(headers) else at
    return at + 1


def _leaves(line: str, prefix: str) -> bool:
    """Whether a header leaves the table in which ``prefix`` could stand."""
    return line.startswith("[") and not line.strip("[] \n").startswith(prefix.rpartition(".")[0] or "\0")


def _start(lines: Sequence[str], at: int) -> int:
    return next((i for i in range(min(at, len(lines) - 1), -1, -1) if lines[i].startswith("[")), 0)
