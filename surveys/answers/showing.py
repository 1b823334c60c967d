"""The citizen's pages as answers: what each template is given. No ledger, no log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from markupsafe import escape
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hailong.domain import receipts
from hailong.domain.doors import SLIP_HELD, place_of
from hailong.domain.questionnaire import NOT_APPLICABLE, Page, Question, Questionnaire, Words
from hailong.ports import Clock, Invalid
from surveys import serving, speaking
from surveys.answers.form_state import DEVICE, FormState, Sealer, Shown
from surveys.answers.telling import FIELD, Already, Message, hotline, told
from surveys.answers.telling import PAGE as TOLD
from surveys.wording import CONTACT_DAYS, TEXTS, Office, page_words
from web import language
from web.pages import DEFAULT, Pages

FOLDER: Final = Path(__file__).parent.parent / "pages"
AGAIN: Final = "again"
"""In the address of a form for whoever wants to answer again."""
KIOSK: Final = "/kiosk"
KIOSK_IDLE_S: Final = 20
KIOSK_SLOW_S: Final = 60
"""Seconds untouched after which a survey device shows its first screen again; the latter without scripts."""
Picked = Mapping[str, Sequence[str]]
"""Question id → what is ticked in its form."""
Turned = Sequence[tuple[str, str, str]]
"""As ``web.pages.Pages.turned``."""


class Unsent(msgspec.Struct, frozen=True):
    """What a page of a form was filled in with when it was turned into another language, without own words; ``wrong``: what it was told is
    wrong."""

    nonce: str
    page: int
    picked: dict[str, list[str]]
    wrong: str = ""


class Showing:
    """Renders the pages of one office."""

    def __init__(self, office: Office, sealer: Sealer, receipt_for: Callable[[str], str], clock: Clock, texts: Path = TEXTS) -> None:
        """``receipt_for``: a form's nonce → the code of its receipt; ``texts``: the folder of the languages."""
        self.speaking = speaking.speaking(texts)
        shared, heard = self.speaking.shared, self.speaking.heard
        self.pages = Pages([FOLDER], [FOLDER / "survey.css"], page_words(texts), office.name, shared, heard, self._around)
        self._scripted = serving.scripted(self.pages)
        self._office = office
        self._sealer = sealer
        self._receipt_for = receipt_for
        self._clock = clock

    def language(self, request: Request, preferred: str = DEFAULT) -> str:
        """``?lang=``, else what the person prefers (Vietnamese is everybody's default, so it says nothing), else the browser's.

        A survey device's own says nothing about who stands before it.
        """
        if on_device(request):
            return language.asked(request, self.pages.words) or DEFAULT
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
        return self._message(Message("not-me"), lang)

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
        place, keep_for = asked.place(state.seen, page.number, state.form), _keep_for(state)
        return self.pages.respond(
            "ask.html",
            state.language,
            status,
            **self.carried(state.language, "kiosk.js" if state.mode == "kiosk" else "offline.js" if keep_for else ""),
            keep_for=keep_for,
            shown=_millis(state.real_at or state.shown_at),
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
            turned=self.pages.turned(f"/{code}/next?{state.mark}f={sealed}&"),
        )

    def turn(self, code: str, state: FormState, page: Page, picked: Picked, wrong: str) -> Response:
        """To the page in the state's language, with what was picked; own words are in no address."""
        known = {q.id: {*q.options, NOT_APPLICABLE, "yes"} for q in page.questions if q.kind != "text"}
        kept = {q: [value for value in picked.get(q, ()) if value in values] for q, values in known.items()}
        unsent = self._sealer.seal_shown(Unsent(state.nonce, page.number, kept, wrong), self._clock.now())
        address = f"/{code}/next?{state.mark}f={self._sealer.seal(state)}&{FIELD}={unsent}&lang={state.language}"
        return RedirectResponse(address, 303)

    def unsent(self, request: Request, state: FormState) -> Unsent | None:
        """What this page of this form was filled in with when it was turned into this language."""
        unsent = self.recalled(request, Unsent) if state.mode != "kiosk" else None
        return unsent if unsent is not None and (unsent.nonce, unsent.page) == (state.nonce, state.page) else None

    def thanks(self, code: str, state: FormState, lang: str, sealed: str, more: tuple[str, int] | None) -> Response:
        """Thanks for an answer just kept, and its receipt, for whoever gave the first answer with this very form, and nobody else: an
        officer who entered it, or whoever came by another door since, could erase it. It never shows what was answered. ``more``: another
        questionnaire, and how long it is."""
        mine = not (state.again or state.resumed or state.helper)  # ``again`` also where another form was first
        receipt = receipts.shown(self._receipt_for(state.nonce)) if mine else ""
        onward = {"address": f"/{code}/next?f={more[0]}", "n": more[1]} if more else None
        turned = self.pages.turned(f"/{code}/thanks?{state.mark}f={sealed}&")
        carried = self.carried(lang, "kiosk.js" if state.mode == "kiosk" else "")
        return self.pages.respond(
            "thanks.html",
            lang,
            **carried,
            shown=_millis(state.real_at or state.shown_at),
            code=code,
            state=state,
            receipt=receipt,
            more=onward,
            turned=turned,
        )

    def receipt_hash(self, state: FormState) -> str:
        """As the ledger keeps it of the form that gave the first answer."""
        return receipts.receipt_hash(self._receipt_for(state.nonce))

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
        rest = f"/{code}/next?f={self._sealer.seal(onward)}" if onward is not None else ""
        stands = Already(code, again or f"/{code}?{AGAIN}=1", rest)
        return self._already(stands, state.language, [] if again else self.pages.turned(f"/{code}?"))

    def _already(self, stands: Already, lang: str, turned: Turned = ()) -> Response:
        turned = turned or self.turned(TOLD, stands)
        return self.pages.respond("already.html", lang, code=stands.code, again=stands.again, rest=stands.rest, turned=turned)

    def stop(self, code: str, lang: str, *, failed: bool = False) -> Response:
        """The page with the one button; with ``failed``, why nothing was noted."""
        away = self.pages.words[lang]["away"]
        problem = {"title": away["stop_title"], "text": escape(away["stop"]).format(hotline=hotline(self._office))} if failed else None
        status, headers = (503, {"Retry-After": "60"}) if failed else (200, {})
        turned = self.pages.turned(f"/{code}/stop?")
        return self.pages.respond("stop.html", lang, status, headers, code=code, problem=problem, turned=turned)

    def stopped(self, code: str, lang: str, *, under_way: bool) -> Response:
        """The opt-out is committed."""
        return self._message(Message("stopped", code, under_way=under_way), lang)

    def start(self, code: str, lang: str, *, failed: bool = False) -> Response:
        """The page with the button for messages again; with ``failed``, why nothing was noted."""
        away = self.pages.words[lang]["away"]
        problem = {"title": away["stop_title"], "text": away["start"]} if failed else None
        status, headers = (503, {"Retry-After": "60"}) if failed else (200, {})
        turned = self.pages.turned(f"/{code}/start?")
        return self.pages.respond("start.html", lang, status, headers, code=code, problem=problem, turned=turned)

    def started(self, lang: str) -> Response:
        """The opt-in is committed."""
        return self._message(Message("started"), lang)

    def expired(self, lang: str, expires_at: datetime, desk: str, said: str = "expired", *, device: bool = False) -> Response:
        """The time to answer is over: until when it was, and who can still take the answer. ``expires_at``: aware; ``said``: the words,
        ``over`` where there is no link; ``device``: on a survey device.
        """
        return self._message(Message("expired", until=expires_at, desk=desk, said=said, device=device), lang, 410)

    def erased(self, lang: str, *, device: bool = False) -> Response:
        """The answer was erased at the person's wish: nothing is asked any more, and nothing taken."""
        return self._message(Message("erased", device=device), lang, 410)

    def unknown(self, lang: str) -> Response:
        """No slot has this code, or it is no code: one answer."""
        return self._message(Message("unknown"), lang, 404, turned=self.pages.turned())

    def unreadable(self, code: str, lang: str, *, device: bool = False) -> Response:
        """The form is not ours any more."""
        return self._message(Message("unreadable", code, device=device), lang, 400)

    def away(self, lang: str, after: float) -> Response:
        """The ledger cannot be read."""
        return self._message(Message("away"), lang, 503, {"Retry-After": str(max(1, round(after)))})

    def why(self, code: str | None, lang: str) -> Response:
        """Who asks, why, how long it is kept."""
        turned = self.pages.turned()
        return self.pages.respond("why.html", lang, code=code, hotline=hotline(self._office), contact_days=CONTACT_DAYS, turned=turned)

    def accessibility(self, lang: str) -> Response:
        """What works for whom, and what is missing."""
        return self.pages.respond("accessibility.html", lang, hotline=hotline(self._office), turned=self.pages.turned("/accessibility?"))

    # --- in another language, without sending anything again

    def turned(self, address: str, shown: msgspec.Struct | None = None) -> list[tuple[str, str, str]]:
        """The addresses of a page in every language; ``shown``: what the page of an answered form said. Own words and
        the number of a dossier stand in no address, not even sealed."""
        sealed = f"{FIELD}={self._sealer.seal_shown(_unwritten(shown), self._clock.now())}&" if shown is not None else ""
        return self.pages.turned(f"{address}?{sealed}")

    def recalled(self, request: Request, kind: type[Shown]) -> Shown | None:
        """What the page said that is asked for in another language, while it may be."""
        return self._sealer.open_shown(kind, request.query_params.get(FIELD, ""), self._clock.now())

    def tell(self, request: Request) -> Response:
        """``GET /told?m=…``: a page without an address of its own, in another language; too late, the first page."""
        lang = self.language(request)
        if (message := self.recalled(request, Message)) is not None:
            return self._message(message, lang)
        if (stands := self.recalled(request, Already)) is not None:
            return self._already(stands, lang)
        return RedirectResponse(f"/?lang={lang}", 303)

    def _message(
        self, message: Message, lang: str, status: int = 200, headers: Mapping[str, str] | None = None, turned: Turned = ()
    ) -> Response:  # fmt: skip
        """``turned``: the addresses of a page that can be asked for again."""
        said = told(message, lang, self.pages.words[lang], self.pages.errors[lang]["errors"], self.pages.written[lang], self._office)
        carried = self.carried(lang, "kiosk.js" if message.device else "")
        carried["headers"] = {**carried["headers"], **(headers or {})}
        turned = turned or self.turned(TOLD, message)
        return self.pages.respond(
            "message.html", lang, status, **carried, kind=message.kind, said=said, device=message.device, turned=turned
        )

    def _around(self, request: Request, status: int) -> dict[str, Any]:
        """What the page of an error has besides its sentence."""
        device, lang = on_device(request), self.language(request)
        if request.method in ("GET", "HEAD"):
            kept = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "lang"])
            turned = self.pages.turned(f"?{kept}&" if kept else "?")
        else:
            turned = self.turned(TOLD, Message("error", status=status, device=device))
        carried = self.carried(lang, "kiosk.js" if device else "")
        return carried | {"lang": lang, "device": device, "turned": turned}


def on_device(request: Request) -> bool:
    """Whether the address is one of a survey device's."""
    path = request.url.path
    return path == KIOSK or path.startswith(f"{KIOSK}/") or DEVICE in request.query_params


def _keep_for(state: FormState) -> str:
    """For how many seconds from its showing the phone of whoever fills a form in may keep it unsent, as ``+n``; empty for a device of the
    office."""
    if state.helper or place_of(state.mode) == "desk":
        return ""
    left = (state.expires_at or state.shown_at + SLIP_HELD) - state.shown_at
    return f"+{max(0, int(left.total_seconds()))}"


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
        "words": _words(q, state),
        "given": "".join(picked) if q.kind in ("text", "yes") else "",
        "error": words["errors"][fault.reason] if fault and fault.field == q.id else None,
        "error_sound": fault.reason if fault else "",
    }


def _words(question: Question, state: FormState) -> str:
    """What is known of own words written before: that there are some (``kept``), that there may be (``may``), or nothing."""
    if question.kind != "text":
        return ""
    return "kept" if state.seen.get(question.id) is True else "may" if state.again or state.resumed else ""


def _problem(fault: Invalid, words: Mapping[str, Any], questions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    if fault.reason == "not_saved":
        return {"reason": fault.reason, "title": words["away"]["not_saved_title"], "text": words["away"]["not_saved"], "at": ""}
    first = next((q for q in questions if q["error"]), None)
    at = "" if first is None else "-".join([first["id"], *(o["id"] for o in first["options"][:1])])
    return {"reason": fault.reason, "title": words["error_title"], "text": words["errors"][fault.reason], "at": at}


_WRITTEN: Final = {"given": {}, "words": ""}
"""The number of a dossier, own words. Codes that hailong gave out itself stand in addresses as they are."""


def _unwritten(shown: msgspec.Struct) -> msgspec.Struct:
    """The same page, with empty fields."""
    return msgspec.structs.replace(shown, **{name: empty for name, empty in _WRITTEN.items() if name in shown.__struct_fields__})
