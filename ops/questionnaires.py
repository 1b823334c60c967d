"""Questionnaires as they are asked: for the command, the officers' page, and the check that nothing answered has changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hailong.domain.questionnaire import Page, Question, Questionnaire, Words
from hailong.events import Form
from hailong.ports import Permanent
from sinks.ledger.engine import Ledger
from surveys.wording import Library


def rows(library: Library, form: Form = "full", ending: str = "result_returned") -> list[dict[str, Any]]:
    """``[{id, version, after, where, languages, pages: [{number, when, questions: [{id, kind, required, text, hint, options}]}]}]``.

    ``text``, ``hint`` and each option: language → words, as said for that form and ending.
    """
    asked = sorted(library.known.values(), key=lambda q: (q.after is not None, q.id, q.version))
    return [_whole(one, form, ending) for one in asked]


def _whole(one: Questionnaire, form: Form, ending: str) -> dict[str, Any]:
    pages = [_page(page, one.words, ending) for page in one.pages if form in page.forms]
    head = {"id": one.id, "version": one.version, "after": one.after, "where": dict(one.where), "languages": list(one.languages)}
    return head | {"pages": pages}


def _page(page: Page, words: Mapping[str, Words], ending: str) -> dict[str, Any]:
    when = page.when
    said = None if when is None else f"{when.question} ≤ {when.at_most}" if when.at_most is not None else f"{when.question} = {when.chosen}"
    return {"number": page.number, "when": said, "questions": [_question(q, words, ending) for q in page.questions]}


def _question(q: Question, words: Mapping[str, Words], ending: str) -> dict[str, Any]:
    options = [{"id": o, **{lang: w.option(q, o) for lang, w in words.items()}} for o in q.options]
    if q.not_applicable:
        options.append({"id": "na", **{lang: w.not_applicable for lang, w in words.items()}})
    return {
        "id": q.id,
        "kind": q.kind,
        "required": q.required,
        "text": {lang: w.question(q, ending) for lang, w in words.items()},
        "hint": {lang: w.said[q.id].hint for lang, w in words.items()},
        "options": options,
    }


def frozen(library: Library, ledger: Ledger, now: datetime) -> None:
    """Hold the library against what was answered before. Raises Permanent naming what changed, Retryable when the ledger is away."""
    with ledger.begin() as tx:
        differ = tx.freeze(library.fingerprints(), now)
    if differ:
        name, version, part = differ[0]
        what = "its questions, options or conditions" if part == "ids" else f"its words in {part}"
        place = f"questionnaires/{name}-{version}.toml" if part == "ids" else f"texts/{part}/{name}-{version}.toml"
        raise Permanent(
            f"{place}: version {version} of {name} was answered already, and {what} are not what they were: figures would mix two "
            f"questions. Put the file back, or make version {version + 1} in files of its own"
        )
