"""The citizen's pages as answers: what each template is given. No ledger, no log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from hailong.domain.questionnaire import NOT_APPLICABLE, Page, Question
from hailong.domain.units import LOCAL
from hailong.ports import Invalid
from surveys.form_state import FormState, Sealer
from surveys.wording import CONTACT_DAYS, Office, page_words
from web import language, numbers
from web.pages import DEFAULT, LANGUAGES, Pages

FOLDER: Final = Path(__file__).parent / "pages"
AGAIN: Final = "again"
"""In the address of a form for whoever wants to answer again."""
Picked = Mapping[str, Sequence[str]]
"""Question id → what is ticked in its form."""


class Showing:
    """Renders the pages of one office."""

    def __init__(self, office: Office, sealer: Sealer) -> None:
        self.pages = Pages([FOLDER], [FOLDER / "survey.css"], page_words(), office.name)
        self._office = office
        self._sealer = sealer

    def language(self, request: Request, preferred: str = DEFAULT) -> str:
        """``?lang=``, else what the person prefers (Vietnamese is everybody's default, so it says nothing), else the browser's."""
        said = preferred if preferred in LANGUAGES and preferred != DEFAULT else None
        return language.asked(request, LANGUAGES) or said or self.pages.language(request)

    def form(
        self, code: str, state: FormState, page: Page, *, picked: Picked | None = None, fault: Invalid | None = None, status: int = 200
    ) -> Response:
        """A page of the questionnaire; with ``fault``, what is wrong stands at the top and at its field, and what was picked stays."""
        words = self.pages.words[state.language]
        sealed = self._sealer.seal(state)
        first = f"/{code}?{AGAIN}=1&" if state.again else f"/{code}?"
        address = first if page.number == 1 else f"/{code}/next?f={sealed}&"
        questions = [_asked(q, state, (picked or {}).get(q.id, ()), fault, words) for q in page.questions]
        problem = None if fault is None else _problem(fault, words, questions)
        return self.pages.respond(
            "ask.html",
            state.language,
            status,
            code=code,
            number=page.number,
            questions=questions,
            problem=problem,
            sealed=sealed,
            na=NOT_APPLICABLE,
            desk=state.desk,
            ended_on=state.ended_on,
            again=state.again,
            turned=self.pages.turned(address),
        )

    def thanks(self, code: str, lang: str, sealed: str, *, again: bool) -> Response:
        """Thanks for an answer just kept, ``again``: after one that stood. It never shows what was answered."""
        return self.pages.respond("thanks.html", lang, code=code, again=again, turned=self.pages.turned(f"/{code}/thanks?f={sealed}&"))

    def already(self, code: str, lang: str) -> Response:
        """An answer stands: what that means, what another one would change, and the way to it. It never shows what was answered."""
        again = f"/{code}?{AGAIN}=1&lang={lang}"
        return self.pages.respond("already.html", lang, code=code, again=again, turned=self.pages.turned(f"/{code}?"))

    def stop(self, code: str, lang: str, *, failed: bool = False) -> Response:
        """The page with the one button; with ``failed``, why nothing was noted."""
        away = self.pages.words[lang]["away"]
        problem = {"title": away["stop_title"], "text": self._filled(away["stop"])} if failed else None
        status, headers = (503, {"Retry-After": "60"}) if failed else (200, {})
        turned = self.pages.turned(f"/{code}/stop?")
        return self.pages.respond("stop.html", lang, status, headers, code=code, problem=problem, turned=turned)

    def stopped(self, code: str, lang: str, *, under_way: bool) -> Response:
        """The opt-out is committed."""
        words = self.pages.words[lang]["stop"]
        lines = [words["under_way"] if under_way else words["done"], words["old"].format(days=CONTACT_DAYS, hotline=self._office.hotline)]
        again = {"address": f"/{code}/start?lang={lang}", "text": words["change"]}
        return self._message("stopped", lang, words["done_title"], lines, link=again)

    def start(self, code: str, lang: str, *, failed: bool = False) -> Response:
        """The page with the button for messages again; with ``failed``, why nothing was noted."""
        away = self.pages.words[lang]["away"]
        problem = {"title": away["stop_title"], "text": self._filled(away["start"])} if failed else None
        status, headers = (503, {"Retry-After": "60"}) if failed else (200, {})
        turned = self.pages.turned(f"/{code}/start?")
        return self.pages.respond("start.html", lang, status, headers, code=code, problem=problem, turned=turned)

    def started(self, lang: str) -> Response:
        """The opt-in is committed."""
        words = self.pages.words[lang]["start"]
        return self._message("started", lang, words["done_title"], [words["done"], words["old"].format(days=CONTACT_DAYS)])

    def expired(self, lang: str, expires_at: datetime, desk: str) -> Response:
        """The link's time is over: until when it was, and who can still take the answer. ``expires_at``: aware."""
        words = self.pages.words[lang]["expired"]
        at = expires_at.astimezone(LOCAL)
        whole = at.time() == time()
        day = numbers.day((at - timedelta(days=whole)).date(), lang)
        until = words["until_day" if whole else "until"].format(day=day, time=f"{at.hour}:{at:%M}")
        here = Markup('<span lang="vi">{}</span>').format(desk)
        onward = escape(words["next"]).format(desk=here, hotline=self._office.hotline)
        return self._message("expired", lang, words["title"], [until, onward], 410)

    def unknown(self, lang: str) -> Response:
        """No slot has this code, or it is no code: one answer."""
        words = self.pages.words[lang]["unknown"]
        return self._message("unknown", lang, words["title"], [words["text"], words["next"]], 404)

    def unreadable(self, code: str, lang: str) -> Response:
        """The form is not ours any more."""
        words = self.pages.words[lang]["unreadable"]
        link = {"address": f"/{code}?lang={lang}", "text": words["next"]} if code else None
        return self._message("unreadable", lang, words["title"], [words["text"]], 400, link=link)

    def away(self, lang: str, after: float) -> Response:
        """The ledger cannot be read."""
        words = self.pages.words[lang]["away"]
        headers = {"Retry-After": str(max(1, round(after)))}
        return self._message("away", lang, words["title"], [words["text"]], 503, headers)

    def why(self, code: str | None, lang: str) -> Response:
        """Who asks, why, how long it is kept."""
        turned = self.pages.turned()
        return self.pages.respond("why.html", lang, code=code, hotline=self._office.hotline, contact_days=CONTACT_DAYS, turned=turned)

    def _message(
        self,
        kind: str,
        lang: str,
        title: str,
        lines: Sequence[str],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        link: Mapping[str, str] | None = None,
    ) -> Response:
        said = [line if isinstance(line, Markup) else self._filled(line) for line in lines]
        turned = self.pages.turned() if kind in ("expired", "unknown", "away") else []
        return self.pages.respond("message.html", lang, status, headers, kind=kind, title=title, lines=said, link=link, turned=turned)

    def _filled(self, line: str) -> str:
        return line.format(hotline=self._office.hotline)


def _asked(q: Question, state: FormState, picked: Sequence[str], fault: Invalid | None, words: Mapping[str, Any]) -> dict[str, Any]:
    lang = state.language
    return {
        "id": q.id,
        "kind": q.kind,
        "text": q.worded(lang, state.about.ending),
        "options": [{"id": o.id, "text": o.text[lang], "chosen": o.id in picked} for o in q.options],
        "not_applicable": q.not_applicable and q.not_applicable[lang],
        "na_chosen": NOT_APPLICABLE in picked,
        "error": words["errors"][fault.reason] if fault and fault.field == q.id else None,
    }


def _problem(fault: Invalid, words: Mapping[str, Any], questions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    if fault.reason == "not_saved":
        return {"title": words["away"]["not_saved_title"], "text": words["away"]["not_saved"], "at": ""}
    first = next((q for q in questions if q["error"]), None)
    at = f"{first['id']}-{first['options'][0]['id']}" if first else ""
    return {"title": words["error_title"], "text": words["errors"][fault.reason], "at": at}
