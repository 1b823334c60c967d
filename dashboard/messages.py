"""``/messages``: every message hailong can send, all languages of a purpose side by side, with segments and price."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

Row = Mapping[str, Any]
"""channel, provider, language, purpose, arm, link_free, template_version, approved, subject, text, letters, encoding, segments, price,
price_note, warnings: as ``hailong message preview --json`` prints them."""
Rows = Callable[[], Sequence[Row]]
Turned = Callable[[str], Sequence[tuple[str, str, str]]]
"""As ``web.pages.Pages.turned``."""


@dataclass(frozen=True)
class Beside:
    """The languages of one message. ``arm`` is shown where the channel has more than one wording."""

    purpose: str
    link_free: bool
    arm: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Way:
    """The messages of one channel."""

    channel: str
    provider: str
    wordings: int
    messages: Sequence[Beside]


def _message(row: Row) -> tuple[str, bool, str]:
    return row["purpose"], row["link_free"], row["arm"]


def ways(rows: Sequence[Row]) -> list[Way]:
    """Rows, in the order they come, by channel and by message."""
    found = []
    for channel, of_channel in groupby(rows, key=lambda row: row["channel"]):
        listed = list(of_channel)
        beside = [Beside(*key, list(same)) for key, same in groupby(listed, key=_message)]
        found.append(Way(channel, listed[0]["provider"], len({row["arm"] for row in listed}), beside))
    return found


def page(rows: Rows, respond: Callable[..., Response], turned: Turned) -> Callable[[Request], Awaitable[Response]]:
    """The handler. ``respond``: request, template and its words → the answer to whoever has signed in."""

    async def show(request: Request) -> Response:
        shown = rows()
        unapproved = sum(not row["approved"] for row in shown)
        return respond(request, "messages.html", ways=ways(shown), unapproved=unapproved, turned=turned("/messages?"))

    return show
