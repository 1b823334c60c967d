"""The citizen's pages as answers: what each template is given. No ledger, no log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from hailong.domain import receipts
from hailong.domain.doors import SLIP_HELD, place_of
from hailong.domain.questionnaire import NOT_APPLICABLE, Page, Question, Questionnaire, Words
from hailong.domain.units import LOCAL
from hailong.ports import Invalid
from surveys import serving, speaking
from surveys.answers.form_state import FormState, Sealer
from surveys.wording import CONTACT_DAYS, TEXTS, Office, page_words
from web import language, numbers
from web.pages import DEFAULT, Pages

FOLDER: Final = Path(__file__).parent.parent / "pages"
AGAIN: Final = "again"
"""In the address of a form for whoever wants to answer again."""
KIOSK_IDLE_S: Final = 20
KIOSK_SLOW_S: Final = 60
"""Seconds untouched after which a survey device shows its first screen again; the latter without scripts."""
Picked = Mapping[str, Sequence[str]]
"""Question id → what is ticked in its form."""


class Showing:
    """Renders the pages of one office."""

    def __init__(self, office: Office, sealer: Sealer, receipt_for: Callable[[str], str], texts: Path = TEXTS) -> None:
        """``receipt_for``: survey_id → the code of its receipt; ``texts``: the folder of the languages."""
        self.speaking = speaking.speaking(texts)
        shared, heard = self.speaking.shared, self.speaking.heard
        self.pages = Pages([FOLDER], [FOLDER / "survey.css"], page_words(texts), office.name, shared, heard)
        self._scripted = serving.scripted(self.pages)
        self._office = office
        self._sealer = sealer
        self._receipt_for = receipt_for

    def language(self, request: Request, preferred: str = DEFAULT) -> str:
        """``?lang=``, else what the person prefers (Vietnamese is everybody's default, so it says nothing), else the browser's."""
        said = preferred if preferred in self.pages.words and preferred != DEFAULT else None
        return language.asked(request, self.pages.words) or said or self.pages.language(request)

    def who(self, code: str, state: FormState, first: int) -> Response:
        """Whether the right person holds the phone: asked first, and neutrally; ``first``: number of the page behind "yes"."""
        onward = self._sealer.seal(msgspec.structs.replace(state, page=first))
        return self.pages.respond(
            "who.html",
            state.language,
            code=code,
            state=state,
            onward=f"/{code}/next?f={onward}",
            sealed=self._sealer.seal(state),
            heard=self.speaking.of(state.language),
            turned=self.pages.turned(f"/{code}?"),
        )

    def not_me(self, lang: str) -> Response:
        """Somebody else holds the phone: nothing is named."""
        words = self.pages.words[lang]["not_me"]
        return self._message("not-me", lang, words["title"], [words["text"]])

    def form(
        self,
        code: str,
        state: FormState,
        asked: Questionnaire,
        page: Page,
        *,
        back: str = "",
        picked: Picked | None = None,
        fault: Invalid | None = None,
        status: int = 200,
    ) -> Response:
        """A page of the questionnaire; with ``fault``, what is wrong stands at the top and at its field, and what was picked stays.

        ``back``: the sealed state of the page before, where there is one.
        """
        words, sealed = self.pages.words[state.language], self._sealer.seal(state)
        if state.mode == "kiosk" and fault is None:
            picked, back = None, ""  # whoever stands there now may be somebody else
        said = asked.words[self.pages.written[state.language]]
        questions = [_asked(asked, q, said, state, (picked or {}).get(q.id, ()), fault, words) for q in page.questions]
        left = asked.left(state.seen, page.number, state.form)
        if page.number == asked.pages[0].number:
            left = asked.most_left(page.number, state.form)
        place, keep_until = asked.place(state.seen, page.number, state.form), _keep_until(state)
        return self.pages.respond(
            "ask.html",
            state.language,
            status,
            **self.carried(state.language, "kiosk.js" if state.mode == "kiosk" else "offline.js" if keep_until else ""),
            keep_until=keep_until,
            shown=_millis(state.shown_at),
            code=code,
            number=page.number if asked.after is None else f"{asked.id}-{page.number}",
            questions=questions,
            problem=None if fault is None else _problem(fault, words, questions),
            sealed=sealed,
            na=NOT_APPLICABLE,
            state=state,
            first=page.number == 1 and asked.after is None,
            begins=page.number == 1,
            left=left,
            place=place,
            back=f"/{code}/next?f={back}" if back else "",
            turned=self.pages.turned(f"/{code}/next?f={sealed}&"),
        )

    def thanks(self, code: str, state: FormState, lang: str, sealed: str, more: tuple[str, int] | None) -> Response:
        """Thanks for an answer just kept, and its receipt. It never shows what was answered. ``more``: another questionnaire, and how long
        it is."""
        receipt = receipts.shown(self._receipt_for(state.survey_id)) if state.survey_id else ""
        onward = {"address": f"/{code}/next?f={more[0]}", "n": more[1]} if more else None
        turned = self.pages.turned(f"/{code}/thanks?f={sealed}&")
        carried = self.carried(lang, "kiosk.js" if state.mode == "kiosk" else "")
        return self.pages.respond(
            "thanks.html",
            lang,
            **carried,
            shown=_millis(state.shown_at),
            code=code,
            state=state,
            receipt=receipt,
            more=onward,
            turned=turned,
        )

    def carried(self, lang: str, script: str = "", *, leaves: bool = True) -> dict[str, Any]:
        """What a page has besides words: its recordings, its script and what that may do; ``leaves``: a survey device's page that goes back
        by itself."""
        kiosk = script == "kiosk.js"
        return {
            "headers": self._scripted if script else {},
            "heard": self.speaking.of(lang),
            "scripts": [serving.script(script)] if script else [],
            "back_after": KIOSK_SLOW_S if kiosk and leaves else 0,
            "idle": KIOSK_IDLE_S,
        }

    def already(self, code: str, state: FormState, onward: FormState | None, again: str = "") -> Response:
        """An answer stands: what that means, what another one would change, and the way to it (``again``: not by a link); or how to go on
        with the rest (``onward``).

        It never shows what was answered.
        """
        lang, turned = state.language, [] if again else self.pages.turned(f"/{code}?")
        again = again or f"/{code}?{AGAIN}=1&lang={lang}"
        rest = f"/{code}/next?f={self._sealer.seal(onward)}" if onward is not None else ""
        return self.pages.respond("already.html", lang, code=code, again=again, rest=rest, turned=turned)

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

    def expired(self, lang: str, expires_at: datetime, desk: str, said: str = "expired") -> Response:
        """The time to answer is over: until when it was, and who can still take the answer. ``expires_at``: aware; ``said``: the words,
        ``over`` where there is no link.
        """
        words = self.pages.words[lang][said]
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

    def accessibility(self, lang: str) -> Response:
        """What works for whom, and what is missing."""
        return self.pages.respond("accessibility.html", lang, hotline=self._office.hotline, turned=self.pages.turned("/accessibility?"))

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


def _keep_until(state: FormState) -> str:
    """Until when the phone of who fills a form in may keep it unsent; empty for a device of the office."""
    if state.helper or place_of(state.mode) == "desk":
        return ""
    return (state.expires_at or state.shown_at + SLIP_HELD).astimezone(UTC).isoformat(timespec="seconds")


def _millis(at: datetime) -> int:
    return int(1000 * at.timestamp())


def _asked(
    asked: Questionnaire, q: Question, said: Words, state: FormState, picked: Sequence[str], fault: Invalid | None, words: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "id": q.id,
        "kind": q.kind,
        "text": said.question(q, state.about.ending),
        "sound": speaking.question_name(asked, q, state.about.ending),
        "hint": said.said[q.id].hint or (words["many_hint"] if q.kind == "many" else ""),
        "hint_sound": f"{speaking.question_name(asked, q)}.hint" if said.said[q.id].hint else "many",
        "options": [
            {"id": o, "text": said.option(q, o), "chosen": o in picked, "sound": speaking.option_name(asked, q, o)} for o in q.options
        ],
        "not_applicable": said.not_applicable if q.not_applicable else "",
        "na_chosen": NOT_APPLICABLE in picked,
        "given": "".join(picked) if q.kind in ("text", "yes") else "",
        "error": words["errors"][fault.reason] if fault and fault.field == q.id else None,
        "error_sound": fault.reason if fault else "",
    }


def _problem(fault: Invalid, words: Mapping[str, Any], questions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    if fault.reason == "not_saved":
        return {"title": words["away"]["not_saved_title"], "text": words["away"]["not_saved"], "at": ""}
    first = next((q for q in questions if q["error"]), None)
    at = "" if first is None else "-".join([first["id"], *(o["id"] for o in first["options"][:1])])
    return {"title": words["error_title"], "text": words["errors"][fault.reason], "at": at}
