"""``/messages``: every message hailong can send, all languages of a purpose side by side, with segments and price; and, for the quality
office, which arm of an experiment is answered more often."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from dashboard.gate import who_of
from hailong.domain.access import Role
from hailong.domain.arms import FOLLOWED, Report, sentence
from hailong.ports import Permanent, Retryable

Row = Mapping[str, Any]
"""channel, provider, language, purpose, arm, link_free, template_version, approved, subject, text, letters, encoding, segments, price,
price_note, warnings: as ``hailong message preview --json`` prints them."""
Rows = Callable[[], Sequence[Row]]
Turned = Callable[[str], Sequence[tuple[str, str, str]]]
"""As ``web.pages.Pages.turned``."""
Arms = Callable[[date | None, date | None], Report]
"""Of a period of asking, local days; None: as far as it can be told. May raise Retryable or Permanent."""
ROLES: Final[frozenset[Role]] = frozenset({"quality_officer", "administrator"})
"""Who is shown the arms, when they may see all units: the counts are of all."""


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


@dataclass(frozen=True)
class Compared:
    """The part about arms. ``typed``: ``from`` and ``until`` as asked for; ``wrong``: what is wrong with them; ``away``: why the report
    cannot be had now."""

    typed: Mapping[str, str]
    report: Report | None = None
    wrong: str = ""
    away: str = ""


def page(
    rows: Rows, respond: Callable[..., Response], turned: Turned, arms: Arms | None = None
) -> Callable[[Request], Awaitable[Response]]:
    """The handler. ``respond``: request, template and its words → the answer to whoever has signed in."""

    async def show(request: Request) -> Response:
        shown = rows()
        compared = await _compared(request, arms) if arms is not None and _may(request) else None
        kept = urlencode({name: typed for name, typed in compared.typed.items() if typed}) if compared else ""
        said = {"status": 400} if compared and compared.wrong else {}
        return respond(
            request,
            "messages.html",
            **said,
            ways=ways(shown),
            unapproved=sum(not row["approved"] for row in shown),
            compared=compared,
            followed=FOLLOWED.days,
            sentence=sentence,
            turned=turned(f"/messages?{kept}&" if kept else "/messages?"),
        )

    return show


def _may(request: Request) -> bool:
    who = who_of(request)
    return who.role in ROLES and who.scope is None


async def _compared(request: Request, arms: Arms) -> Compared:
    typed = {name: request.query_params.get(name, "").strip() for name in ("from", "until")}
    try:
        first, until = (date.fromisoformat(typed[name]) if typed[name] else None for name in ("from", "until"))
    except ValueError:
        return Compared(typed, wrong="not_a_day")
    if first and until and until < first:
        return Compared(typed, wrong="ends_before_start")
    try:
        return Compared(typed, await asyncio.to_thread(arms, first, until))
    except (Retryable, Permanent) as away:
        return Compared(typed, away=away.reason)
