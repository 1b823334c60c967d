"""``hailong questionnaire``: what is asked, in every language and form."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final, cast, get_args

import typer

from hailong.domain.questionnaire import QuestionnaireError
from hailong.events import Form, Outcome
from ops import questionnaires
from ops.cli.door import Json, print_json
from ops.local.refusal import Refusal
from surveys.wording import library

_SIGNS: Final = {"scale": "( )", "one": "( )", "many": "[ ]", "yes": "[ ]", "text": "…"}


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(questionnaire)


def questionnaire(
    form: Annotated[str, typer.Option(help="full, or short: at the kiosk, by telephone")] = "full",
    ending: Annotated[str, typer.Option(help="how the dossier ended: wording differs")] = "result_returned",
    language: Annotated[str | None, typer.Option(help="only this language")] = None,
    as_json: Json = False,
) -> None:
    """Every question, with its options and conditions, as people see it."""
    for name, given, known in (("--form", form, get_args(Form)), ("--ending", ending, get_args(Outcome))):
        if given not in known:
            raise Refusal(f"{name} {given}: not known. There are {', '.join(known)}.", wrong_use=True)
    try:
        rows = questionnaires.rows(library(), cast(Form, form), ending)
    except QuestionnaireError as fault:
        raise Refusal(str(fault), wrong_use=True) from fault
    if language is not None and any(language not in row["languages"] for row in rows):
        raise Refusal(f"--language {language}: not spoken. There are {', '.join(rows[0]['languages'])}.", wrong_use=True)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        for lang in [language] if language else row["languages"]:
            sys.stdout.write(_shown(row, lang))


def _shown(row: dict[str, Any], lang: str) -> str:
    where = ", ".join(f"{field} = {' or '.join(values)}" for field, values in row["where"].items())
    after = f", after {row['after']}" + (f" where {where}" if where else "") if row["after"] else ""
    lines = [f"{row['id']} version {row['version']} · {lang}{after}"]
    for page in row["pages"]:
        for q in page["questions"]:
            marks = " ".join(filter(None, ("required" if q["required"] else "", f"only if {page['when']}" if page["when"] else "")))
            lines += ["", f"  {page['number']}. {q['id']}{f' ({marks})' if marks else ''}: {q['text'][lang]}"]
            lines += [f"     {q['hint'][lang]}"] if q["hint"][lang] else []
            lines += [f"     {_SIGNS[q['kind']]} {o[lang]}" for o in q["options"]]
    return "\n".join(lines) + "\n\n"
