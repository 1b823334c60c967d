"""Pages of a sentence or two, said in any language: what they say is kept apart from its words.

A page that answers a form cannot be asked for again, and turning it into another language must not send the form again. So its
addresses carry what it said, sealed, for half an hour (``Sealer.seal_shown``); ``/told`` shows the pages that have no address of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final

import msgspec
from markupsafe import Markup, escape

from hailong.domain.units import LOCAL
from surveys.wording import CONTACT_DAYS, Office
from web import numbers

PAGE: Final = "/told"
FIELD: Final = "m"
"""In an address: what a page said."""


class Message(msgspec.Struct, frozen=True):
    """A page of sentences: which, and what is put into them."""

    kind: str
    code: str = ""
    under_way: bool = False
    until: datetime | None = None
    desk: str = ""
    said: str = "expired"
    """``expired`` or ``over``: of a link, or of a dossier."""
    status: int = 200
    device: bool = False
    """It is shown on a survey device."""


class Already(msgspec.Struct, frozen=True):
    """An answer stands. ``rest``, ``again``: addresses without language; ``rest`` is empty when there is nothing to go on with."""

    code: str
    again: str
    rest: str


class Said(msgspec.Struct, frozen=True):
    """A message in the words of one language."""

    title: str
    lines: Sequence[str]
    link: Mapping[str, str] | None = None


def hotline(office: Office, *, device: bool = False) -> Markup:
    """The number for questions; a link that dials it, where somebody can."""
    number = escape(office.hotline)
    return number if device else Markup('<a class="tel" href="tel:{}">{}</a>').format("".join(office.hotline.split()), number)


def told(message: Message, lang: str, words: Mapping[str, Any], errors: Mapping[str, Any], written: str, office: Office) -> Said:
    """``words``: what the site's pages say; ``errors``: status → title and text; ``written``: the language of the words."""
    number = hotline(office, device=message.device)
    if message.kind == "expired" and message.until is not None:
        return _expired(message, words[message.said], message.until, written, number)
    if message.kind == "error":
        said = errors.get(str(message.status)) or errors["500"]
        return Said(said["title"], [said["text"]])
    said = words[{"not-me": "not_me", "stopped": "stop", "started": "start"}.get(message.kind, message.kind)]
    filled = {"hotline": number, "days": CONTACT_DAYS}
    names: dict[str, tuple[str, list[str]]] = {
        "stopped": ("done_title", ["under_way" if message.under_way else "done", "old"]),
        "started": ("done_title", ["done", "old"]),
        "unknown": ("title", ["text", "next"]),
        "erased": ("title", ["text", "next"]),
    }
    title, lines = names.get(message.kind, ("title", ["text"]))
    return Said(said[title], [escape(said[line]).format(**filled) for line in lines], _link(message, said, lang))


def _link(message: Message, said: Mapping[str, Any], lang: str) -> dict[str, str] | None:
    if message.kind == "stopped":
        return {"address": f"/{message.code}/start?lang={lang}", "text": said["change"]}
    if message.kind == "unreadable" and message.code:
        return {"address": f"/{message.code}?lang={lang}", "text": said["next"]}
    return None


def _expired(message: Message, words: Mapping[str, Any], until: datetime, written: str, number: Markup) -> Said:
    """Until when it was, and who can still take the answer."""
    at = until.astimezone(LOCAL)
    whole = at.time() == time()
    day = numbers.day((at - timedelta(days=whole)).date(), written)
    first = words["until_day" if whole else "until"].format(day=day, time=numbers.clock(at))
    here = Markup('<span lang="vi">{}</span>').format(message.desk)
    return Said(words["title"], [first, escape(words["next"]).format(desk=here, hotline=number)])
