"""The words of messages: templates in files, rendered in a sandbox, counted before they are sent.

A template sees only what is listed here; there is no placeholder for a name, a procedure or a dossier. Text leaves as NFC. An SMS is
plain Vietnamese (diacritics would triple its segments) and must fit into the segments its registered template is allowed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

import msgspec
import smsutil
from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound, UndefinedError, select_autoescape
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hailong.events import MessageChannel
from hailong.ports import Invalid
from surveys.wording import TEXTS, Office
from web import numbers
from web.pages import DEFAULT, LANGUAGES

OfficersKind = Literal["alert_raised", "alert_cleared", "digest", "charges"]
SMS_SEGMENTS: Final = 1
"""Segments an invitation's registered template may have."""


@dataclass(frozen=True)
class Rendered:
    """A message's words. ``subject`` is empty and ``html`` None for SMS; officers' mails are plain text; ``segments`` is 0 for mail."""

    subject: str
    text: str
    html: str | None
    segments: int


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail about an alert is made from. Rates are fractions. More keys in the payload are left aside."""

    unit: str
    unit_name: str
    sentence_vi: str
    sentence_en: str
    n: int
    satisfied: int
    target: float
    low: float
    high: float
    since: date
    until: date
    url: str = ""


class AlertLine(msgspec.Struct, frozen=True, kw_only=True):
    """An alert in the daily mail."""

    unit_name: str
    sentence_vi: str
    sentence_en: str

    def sentence(self, language: str) -> str:
        return self.sentence_en if language == "en" else self.sentence_vi


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of hailong in the daily mail: whether it works, else what is the matter."""

    name: str
    ok: bool
    note: str = ""


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """What the daily mail is made from."""

    on: date
    raised: list[AlertLine]
    cleared: list[AlertLine]
    open: int
    answers: int
    dead_letters: int
    parts: list[Part]
    url: str = ""


class Charges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the confidential mail is made from: unit and day. Anything more is refused."""

    unit: str
    unit_name: str
    on: date


_PAYLOADS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "alert_raised": Alert,
    "alert_cleared": Alert,
    "digest": Digest,
    "charges": Charges,
}


def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(TEXTS),
        undefined=StrictUndefined,
        autoescape=select_autoescape(enabled_extensions=("html",), default=False),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=numbers.number, percent=numbers.percent, interval=numbers.interval, day=numbers.day)
    return made


def segments(text: str) -> int:
    """SMS segments a text takes (GSM 03.38 at 160/153 letters, UCS-2 at 70/67), after NFC."""
    return len(smsutil.split(unicodedata.normalize("NFC", text)).parts)


class Texts:
    """Renders messages of one office."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._env = _environment()

    def invitation(self, channel: MessageChannel, language: str, *, url: str, stop_url: str, until: date) -> Rendered:
        """An invitation to answer ``url`` up to and with the day ``until``. A language we have no words in falls back to Vietnamese.

        Raises Invalid: ``placeholder_missing``, ``too_many_segments``, ``not_gsm`` (something would make the carrier count threefold).
        """
        lang = _spoken(language)
        words = {"url": url, "stop_url": stop_url, "until": until, "language": lang, "office": self._office.name[lang]}
        words |= {"brand": self._office.brand, "hotline": self._office.hotline}
        if not url or (channel == "email" and not stop_url):
            raise Invalid("placeholder_missing", "url" if not url else "stop_url", "A message without its link is not sent.")
        if channel == "sms":
            return _fitting(self._render(f"{lang}/invitation.sms.txt", words))
        subject, text = self._mail(f"{lang}/invitation.email.txt", words)
        return Rendered(subject, text, self._render(f"{lang}/invitation.email.html", words | {"subject": subject}), 0)

    def officers(self, kind: OfficersKind, language: str, payload: Mapping[str, Any]) -> Rendered:
        """A mail to officers. ``payload``: as the struct of its kind says (dates as ISO text or dates).

        Raises Invalid: ``placeholder_missing`` (a field is missing, of the wrong type, or, for ``charges``, one too many),
        ``unknown_kind``.
        """
        shape = _PAYLOADS.get(kind)
        if shape is None:
            raise Invalid("unknown_kind", "kind", f"No mail of the kind {kind!r}. There are {', '.join(sorted(_PAYLOADS))}.")
        lang = _spoken(language)
        try:
            read = msgspec.convert(dict(payload), shape)
        except msgspec.ValidationError as error:
            raise Invalid("placeholder_missing", kind, f"{kind}: {str(error).partition(chr(39))[0]}") from None
        words = {name: getattr(read, name) for name in read.__struct_fields__} | {"language": lang}
        if isinstance(read, Alert):
            words["sentence"] = read.sentence_en if lang == "en" else read.sentence_vi
        subject, text = self._mail(f"{lang}/{kind}.txt", words)
        return Rendered(subject, text, None, 0)

    def _mail(self, template: str, words: Mapping[str, Any]) -> tuple[str, str]:
        """Subject (the first line) and body (after an empty one)."""
        subject, _, body = self._render(template, words).partition("\n")
        return subject.strip(), body.strip() + "\n"

    def _render(self, template: str, words: Mapping[str, Any]) -> str:
        try:
            return unicodedata.normalize("NFC", self._env.get_template(template).render(**words))
        except UndefinedError as error:
            raise Invalid("placeholder_missing", template, str(error)) from None
        except TemplateNotFound:
            raise Invalid("template_missing", template, f"{template}: no such file. Put it beside the others.") from None


def _spoken(language: str) -> str:
    return language if language in LANGUAGES else DEFAULT


def _fitting(text: str) -> Rendered:
    said = " ".join(text.split())
    if not smsutil.is_valid_gsm(said):
        raise Invalid("not_gsm", "text", "An SMS holds a letter outside GSM-7, which would triple its price. Take it out.")
    count = segments(said)
    if count > SMS_SEGMENTS:
        raise Invalid("too_many_segments", "text", f"{len(said)} letters make {count} segments, not {SMS_SEGMENTS}. Shorten the address.")
    return Rendered("", said, None, count)
