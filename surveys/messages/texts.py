"""The words of messages: templates in files, rendered in a sandbox, counted before they are sent.

A message to a citizen is made from the version of its template in force on its day (``templates``); there is no placeholder for a
name, a procedure or a dossier. Text leaves as NFC. An SMS is plain Vietnamese (diacritics would triple its segments) unless the
installation chooses otherwise, and must fit into the segments its registered template is allowed. Mails to officers are made here too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
import smsutil
from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound, UndefinedError
from jinja2 import Template as Compiled
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hailong.domain.fields import field_name
from hailong.events import MessageChannel, Purpose
from hailong.ports import Invalid
from surveys.messages.pricing import segments
from surveys.messages.templates import Template, Templates, environment, load
from surveys.wording import TEXTS, Office
from web import numbers
from web.pages import DEFAULT, LANGUAGES

OfficersKind = Literal["alert_raised", "alert_cleared", "doubt_raised", "doubt_cleared", "digest", "charges", "callback", "fake"]
PLAIN: Final = "-plain"
"""Ends the code of a language written without diacritics."""
_QUOTABLE: Final = re.compile(r"(?=.*[A-Z])[A-Z0-9](?:[- ]?[A-Z0-9]){5,11}", re.IGNORECASE)


@dataclass(frozen=True)
class Rendered:
    """A message's words. ``subject`` is empty and ``html`` None for SMS; officers' mails are plain text; ``segments`` is 0 but for SMS."""

    subject: str
    text: str
    html: str | None
    segments: int
    template_version: str = ""
    """Id and version of the template, ``ID@VERSION``; empty for officers' mails."""
    approval: str = ""
    """What the operator or Zalo calls the template; empty while it is not approved."""
    language: str = ""
    """Of the text: ``vi-plain`` where the person's is ``vi`` and the channel counts letters."""
    arm: str = ""
    link_free: bool = False
    data: Mapping[str, str] = field(default_factory=dict)
    """Placeholder → value, for providers that put the text together themselves (ZNS)."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail about an alert is made from. Rates are fractions. More keys in the payload are left aside."""

    unit: str
    unit_name: str
    sentence_vi: str
    sentence_en: str
    target: float
    low: float
    high: float
    url: str = ""
    detector: str = "below"
    field: str | None = None


class DoubtTold(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail about the quality of data is made from. ``unit``: empty for all units together."""

    unit: str
    unit_name: str
    sentence_vi: str
    sentence_en: str
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
    """What a confidential mail is made from (charges, a wish to be called back): unit and day. Anything more is refused."""

    unit: str
    unit_name: str
    on: date


class Fake(msgspec.Struct, frozen=True, kw_only=True):
    """What the mail about a reported fake is made from: its day and a mark of its words. ``last``: no more mails that day."""

    on: date
    mark: str
    last: bool
    url: str = ""


_PAYLOADS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "alert_raised": Alert,
    "alert_cleared": Alert,
    "doubt_raised": DoubtTold,
    "doubt_cleared": DoubtTold,
    "digest": Digest,
    "charges": Charges,
    "callback": Charges,
    "fake": Fake,
}


def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(TEXTS),
        undefined=StrictUndefined,
        autoescape=False,  # officers' mails are plain text; citizens' HTML is made by templates.environment
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=numbers.number, percent=numbers.percent, interval=numbers.interval, day=numbers.day, field=field_name)
    return made


def quotable(slip_code: str | None) -> bool:
    """Whether a slip's code can stand in a message instead of a link: 6 to 12 letters and digits.

    A shorter one, or one of digits only, could be hit by guessing; a longer one is hardly a slip's (a dossier code may never stand here).
    """
    return slip_code is not None and len(slip_code) <= 12 and _QUOTABLE.fullmatch(slip_code) is not None


class Texts:
    """Renders messages of one office."""

    def __init__(self, office: Office, templates: Templates | None = None, *, plain_sms: bool = True) -> None:
        """``templates``: those of the house by default; ``plain_sms``: SMS without diacritics, a third of the price."""
        self._office = office
        self.templates = templates or load()
        self._plain_sms = plain_sms
        self._env = _environment()
        # compiled once: a worker makes the same few messages a hundred times a second
        self._plain, self._html = (lru_cache(256)(environment(html=html).from_string) for html in (False, True))

    def message(
        self,
        purpose: Purpose,
        channel: MessageChannel,
        language: str,
        *,
        url: str,
        stop_url: str,
        until: date,
        on: date,
        arm: str = "a",
        link_free: bool = False,
        slip_code: str | None = None,
    ) -> Rendered:
        """A message to answer ``url`` up to and with the day ``until``, in the words in force on the local day ``on``.

        A language without words falls back to Vietnamese; an arm without a text of its own to arm a; ``link_free`` to the link where the
        slip's code is unknown or not ``quotable``: the result says which it became.
        Raises Invalid: ``template_missing``, ``placeholder_missing``, ``too_many_segments``, ``not_gsm`` (a letter that makes the
        carrier count threefold).
        """
        if not url or (channel == "email" and not stop_url):
            raise Invalid("placeholder_missing", "url" if not url else "stop_url", "A message without its link is not sent.")
        quoted = slip_code if quotable(slip_code) else None
        found = self.templates.find(channel, purpose, self._spoken(language, channel), arm, link_free and quoted is not None, on)
        return self.render(found, url=url, stop_url=stop_url, until=until, slip_code=quoted)

    def render(self, template: Template, *, url: str, stop_url: str, until: date, slip_code: str | None = None) -> Rendered:
        """A message in the words of one template. Raises Invalid as ``message`` does."""
        said = {
            "brand": self._office.brand, "hotline": self._office.hotline, "office": self._name(template.language),
            "url": url, "stop_url": stop_url, "until": numbers.day(until, template.language), "slip_code": slip_code or "",
        }  # fmt: skip
        data = {name: unicodedata.normalize("NFC", said[name]) for name in sorted(template.placeholders)}
        text = self._fill(self._plain, template.text, data).strip()
        if template.channel == "sms":
            text = _fitting(text, template)
        html = self._fill(self._html, template.html, data) if template.html is not None else None
        return Rendered(
            subject=" ".join(self._fill(self._plain, template.subject, data).split()),
            text=text if template.channel in ("sms", "zns") else text + "\n",
            html=html,
            segments=segments(text) if template.channel == "sms" else 0,
            template_version=template.ref,
            approval=template.approval,
            language=template.language,
            arm=template.arm,
            link_free=template.link_free,
            data=data,
        )

    def _fill(self, compiled: Callable[[str], Compiled], source: str, data: Mapping[str, str]) -> str:
        return unicodedata.normalize("NFC", compiled(source).render(**data))

    def _name(self, language: str) -> str:
        """The office's name as that language writes it; without diacritics where it has none."""
        name = self._office.name.get(language.removesuffix(PLAIN), self._office.name[DEFAULT])
        return _bare(name) if language.endswith(PLAIN) else name

    def most_segments(self, channel: MessageChannel, language: str, on: date) -> int:
        """The most segments any text in force to somebody of that language may take; 0 where no letters are charged."""
        spoken = self._spoken(language, channel)
        found = [t for t in self.templates.in_force(on) if t.channel == channel == "sms" and t.language in spoken]
        used = {t.slot[2:]: t for t in sorted(found, key=lambda t: -spoken.index(t.language))}  # the first language that has it
        return max((t.segments for t in used.values()), default=0)

    def _spoken(self, language: str, channel: MessageChannel) -> list[str]:
        """The languages to look for words in, in order."""
        plain = channel == "sms" and self._plain_sms
        wished = list(dict.fromkeys((language, language.removesuffix(PLAIN), DEFAULT)))
        return [one for base in wished for one in ((base + PLAIN, base) if plain and not base.endswith(PLAIN) else (base,))]

    def officers(self, kind: OfficersKind, language: str, payload: Mapping[str, Any]) -> Rendered:
        """A mail to officers. ``payload``: as the struct of its kind says (dates as ISO text or dates).

        Raises Invalid: ``placeholder_missing`` (a field is missing, of the wrong type, or, for ``charges``, one too many),
        ``unknown_kind``.
        """
        shape = _PAYLOADS.get(kind)
        if shape is None:
            raise Invalid("unknown_kind", "kind", f"No mail of the kind {kind!r}. There are {', '.join(sorted(_PAYLOADS))}.")
        lang = language if language in LANGUAGES else DEFAULT
        try:
            read = msgspec.convert(dict(payload), shape)
        except msgspec.ValidationError as error:
            raise Invalid("placeholder_missing", kind, f"{kind}: {str(error).partition(chr(39))[0]}") from None
        words = {name: getattr(read, name) for name in read.__struct_fields__} | {"language": lang}
        if isinstance(read, (Alert, DoubtTold)):
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


def _bare(text: str) -> str:
    """Without diacritics."""
    letters = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _fitting(text: str, template: Template) -> str:
    said = " ".join(text.split())
    if template.segments == 1 and template.language.endswith(PLAIN) and not smsutil.is_valid_gsm(said):
        raise Invalid("not_gsm", "text", "An SMS holds a letter outside GSM-7, which would triple its price. Take it out.")
    count = segments(said)
    if count > template.segments:
        told = f"{len(said)} letters make {count} segments, not {template.segments}. Shorten the address."
        raise Invalid("too_many_segments", "text", told)
    return said
