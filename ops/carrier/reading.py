"""The carrier's page for people, and the same messages as JSON."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ops.carrier.journal import Journal
from ops.carrier.letters import Letter, parse
from ops.carrier.records import Accepted, ChannelName
from ops.carrier.register import Entry, Register
from ops.carrier.short_code import LONGEST, way_to
from ops.carrier.words import MARKS, WORDS, Language

_HERE = Path(__file__).parent / "templates"
_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
_LINK = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]]")
_PER_PAGE = 50
_MOST = 10_000
_EXCERPT = 120
_AT_A_TIME = 10
_HEADERS = {
    # style-src inline and data images are for the mails themselves, which are shown in a sandboxed frame and inherit this policy
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_FRAME_HEAD = '<base target="_blank"><style>body{font:16px/1.55 system-ui,sans-serif;margin:16px;color:#1d2327;background:#fff}</style>'


def linked(text: str) -> Markup:
    """``text`` escaped, its http(s) addresses made clickable."""
    parts, end = [], 0
    for found in _LINK.finditer(text):
        href = escape(found[0])
        parts += [escape(text[end : found.start()]), Markup('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>').format(href)]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def local_time(moment: datetime) -> str:
    """12/3/2026 14:02:09, in Vietnam."""
    there = moment.astimezone(_ZONE)
    return f"{there.day}/{there.month}/{there.year} {there:%H:%M:%S}"


def message_json(message: Accepted, entry: Entry) -> dict[str, Any]:
    """A message as ``/messages.json`` and ``evidence.read`` give it. ``n`` counts from 1 in the order of acceptance."""
    letter = parse(message.raw) if message.channel == "email" else Letter("", message.body, "", ())
    return {
        "id": message.id,
        "n": entry.n,
        "at": message.at.isoformat(),
        "channel": message.channel,
        "to": message.to,
        "from": message.sender,
        "subject": letter.subject,
        "body": letter.text,
        "html": letter.html,
        "segments": message.segments,
        "state": entry.state,
        "code": entry.code,
        "fault": message.fault,
        "headers": letter.headers,
        "template": message.template,
        "clock": message.clock and message.clock.isoformat(),
        "api": message.api or ("twilio" if message.channel == "sms" else ""),
    }


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    id: str
    at: str
    channel: ChannelName
    to: str
    excerpt: str
    state: str
    code: int | None


class Reading:
    """The handlers."""

    def __init__(self, journal: Journal, register: Register) -> None:
        self._journal, self._register = journal, register
        self._templates = Environment(
            loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.filters["linked"] = linked
        self._style = (_HERE / "style.css").read_text(encoding="utf-8")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.page),
            web.post("/", self.page),
            web.get("/messages/{id}", self.message),
            web.get("/messages.json", self.json),
            web.get("/style.css", self.style),
            web.get("/healthz", self.health),
            web.get("/readyz", self.health),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """The list; what is searched for comes in the body, for a number has no place in an address."""
        sent = await request.post() if request.method == "POST" else {}
        q, before = str(sent.get("q", "")).strip(), _number(str(sent.get("before", request.query.get("before", ""))))
        entries = list(islice(self._search(q, before), _PER_PAGE + 1))
        rows = [self._row(entry) for entry in entries[:_PER_PAGE]]
        older = entries[_PER_PAGE - 1].n if len(entries) > _PER_PAGE else None
        return self._html("list.html", request, q=q, before=before, rows=rows, older=older, total=len(self._register))

    async def message(self, request: web.Request) -> web.Response:
        entry = self._register.get(request.match_info["id"])
        if entry is None:
            return self._html("missing.html", request, status=404)
        message = self._read(entry)
        shown = message_json(message, entry)
        frame = _FRAME_HEAD + shown["html"] if shown["html"] else ""
        links = list(dict.fromkeys(_LINK.findall(shown["body"] + " " + shown["html"].replace("&amp;", "&"))))
        at, rated = local_time(message.at), self._register.rated(entry.id)
        wrote = [(local_time(one.at), one) for one in self._register.written(entry.id)]
        return self._html(
            "message.html", request, m=shown, at=at, rated=rated, encoding=message.encoding, frame=frame, links=links,
            can_answer=way_to(message) is not None, wrote=wrote, longest=LONGEST,
        )  # fmt: skip

    async def json(self, request: web.Request) -> web.Response:
        """``?channel=&to=&after=&limit=``: with ``after`` (an ``n``) the next ones, oldest first; without, the newest first."""
        query, limit = request.query, min(_number(request.query.get("limit")) or 100, _MOST)
        channel, to, after = query.get("channel", ""), query.get("to", ""), _number(query.get("after"))
        if channel and channel not in get_args(ChannelName):
            return web.json_response({"error": f"channel must be one of {', '.join(get_args(ChannelName))}"}, status=400)
        entries: Iterable[Entry] = self._register.before() if after is None else self._register.after(after)
        chosen = (entry for entry in entries if channel in ("", entry.channel) and to in ("", entry.to))
        body = []
        for entry in list(islice(chosen, limit)):
            body.append(message_json(self._read(entry), entry))
            if len(body) % _AT_A_TIME == 0:  # taking mails apart takes a millisecond each; senders must not wait for all of them
                await asyncio.sleep(0)
        return web.Response(
            body=msgspec.json.encode(body), content_type="application/json", charset="utf-8", headers={"Cache-Control": "no-store"}
        )

    async def style(self, _: web.Request) -> web.Response:
        return web.Response(text=self._style, content_type="text/css", headers={"Cache-Control": "max-age=300"})

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "ok": True,
                "messages": len(self._register),
                "refused": self._register.refused,
                "open": len(self._register.open) + len(self._register.ratings),
            }
        )

    def _search(self, q: str, before: int | None) -> Iterator[Entry]:
        wanted = q.lower().replace(" ", "")
        wanted = "+84" + wanted[1:] if wanted.startswith("0") and wanted.isdecimal() else wanted
        return (entry for entry in self._register.before(before) if wanted in entry.to.lower())

    def _read(self, entry: Entry) -> Accepted:
        return self._journal.read(entry.offset, entry.length)

    def _row(self, entry: Entry) -> Row:
        message = self._read(entry)
        text = parse(message.raw).subject if message.channel == "email" else message.body
        excerpt = text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"
        return Row(entry.id, local_time(entry.at), entry.channel, entry.to, excerpt, entry.state, entry.code)

    def _html(self, template: str, request: web.Request, status: int = 200, **values: Any) -> web.Response:
        lang: Language = "en" if request.query.get("lang") == "en" else "vi"
        here = {name: value for name, value in request.query.items() if name == "before"}
        text = self._templates.get_template(template).render(
            **values, lang=lang, w=WORDS[lang], marks=MARKS, path=request.path, here=here, keep={"lang": "en"} if lang == "en" else {}
        )
        return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 16 else None
