"""``/draw``: how it is drawn who is asked, each day's commitment and seed, the lists of closed days, and one's own line by one's code.

The code is typed into a form, never part of an address. Codes of dossiers can be guessed, so every look-up counts, known or not; and
what the line says is what the public list says, no more.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import PurePosixPath
from typing import Final, Protocol

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hailong.domain.draw_published import Line, PublishedSeed, counted
from hailong.domain.units import LOCAL
from hailong.ports import Permanent, Retryable
from surveys.answers.showing import Showing
from surveys.guessing import Guard
from surveys.records import Records
from web.limits import Buckets, TokenBucket, network

PAGE: Final = PurePosixPath("/draw")
LOOKUPS_PER_HOUR: Final = 600
"""Over all addresses; one address has a thirtieth of it."""
SHOWN_LINES: Final = 300
"""So many lines of a list stand on its page; the file has them all."""
_HOUR: Final = 3600.0
_TYPED: Final = 120
_SHORTEST: Final = 4
_COLUMNS: Final = ("line", "unit", "decision", "reason", "weight", "seed_day")


@dataclass(frozen=True)
class DrawFound:
    """What a code leads to. Without ``line``: nothing that is published yet."""

    line: Line | None
    day: date | None
    """Of deciding: on its list the line stands."""
    draw: float | None
    """The dossier's number for sampling, in [0, 1)."""
    opening: str
    """Hex; with ``dossier_ref`` it gives the line's id (hailong.domain.draw_published.line_id)."""
    dossier_ref: str


class Shown(msgspec.Struct, frozen=True):
    """What the page says of a code."""

    state: str
    found: DrawFound | None = None
    typed: str = ""


class DrawBook(Protocol):
    """What the page may know. Synchronous; every method raises Retryable or Permanent."""

    def seeds(self) -> Sequence[PublishedSeed]:
        """The newest days of which anything was published, the newest first."""
        ...

    def lines(self, day: date) -> Sequence[Line] | None:
        """The list of a day; None while the day is not over."""
        ...

    def find(self, code: str) -> DrawFound | None:
        """The line of a dossier by the code of a link, a slip or the dossier; None for an unknown one."""
        ...


class Drawing:
    """The pages. ``monotonic``: seconds of real time."""

    def __init__(self, book: DrawBook, records: Records, showing: Showing, guard: Guard, monotonic: Callable[[], float]) -> None:
        self._book = book
        self._records = records
        self._showing = showing
        self._guard = guard
        self._all = TokenBucket(LOOKUPS_PER_HOUR, _HOUR, monotonic)
        self._each = Buckets(LOOKUPS_PER_HOUR // 30, _HOUR, monotonic)

    def routes(self) -> list[Route]:
        """Its addresses; before those that take any first word for a code."""
        return [
            Route(str(PAGE), self._page, methods=["GET", "POST"], name="draw"),
            Route(str(PAGE / "{name}"), self.day, name="draw-day"),
        ]

    async def _page(self, request: Request) -> Response:
        return await (self.take if request.method == "POST" else self.show)(request)

    async def show(self, request: Request) -> Response:
        """``GET /draw``."""
        return await self._told(request, self._showing.recalled(request, Shown) or Shown("ask"))

    async def take(self, request: Request) -> Response:
        """``POST /draw``: 200 with the line or that there is none; 422 for what is no code, 429, 503."""
        code = await _typed(request)
        if not (_SHORTEST <= len(code) <= _TYPED and code.isprintable()):
            return await self._told(request, Shown("no_code", typed=code[:_TYPED]), 422)
        self._admit(request)
        try:
            found = await self._records.run(lambda: self._book.find(code))
        except (Retryable, Permanent) as away:
            return self._away(request, away)
        if found is None:
            self._guard.unknown(request)
            return await self._told(request, Shown("unknown"))
        return await self._told(request, Shown("found" if found.line else "waiting", found))

    async def day(self, request: Request) -> Response:
        """``GET /draw/DAY`` and ``/draw/DAY.csv``: the list of a closed day; 404 for what is no day or is not over."""
        name = str(request.path_params["name"])
        day = _day(name.removesuffix(".csv"))
        if day is None:
            raise HTTPException(404)
        try:
            lines = await self._records.run(lambda: self._book.lines(day))
        except (Retryable, Permanent) as away:
            return self._away(request, away)
        if lines is None:
            raise HTTPException(404)
        if name.endswith(".csv"):
            filed = {"Content-Disposition": f'attachment; filename="draw-{day}.csv"'}
            return Response(as_csv(lines), headers=filed, media_type="text/csv; charset=utf-8")
        lang, pages = self._showing.language(request), self._showing.pages
        turned, shown = pages.turned(f"{PAGE / str(day)}?"), lines[:SHOWN_LINES]
        return pages.respond("draw_day.html", lang, day=day, lines=shown, n=len(lines), per_reason=counted(lines), turned=turned)

    def _admit(self, request: Request) -> None:
        """Raises HTTPException(429) when nothing is looked up for this address now."""
        self._guard.admit(request)
        mine = self._each.of(network(request))
        if not (mine.take() and self._all.take()):
            raise HTTPException(429, headers={"Retry-After": str(max(mine.wait(), self._all.wait()))})

    def _away(self, request: Request, away: Retryable | Permanent) -> Response:
        after = away.after if isinstance(away, Retryable) else 60.0
        return self._rendered(request, Shown("away"), 503, headers={"Retry-After": str(max(1, round(after)))})

    async def _told(self, request: Request, shown: Shown, status: int = 200) -> Response:
        try:
            seeds = await self._records.run(self._book.seeds)
        except (Retryable, Permanent) as away:
            return self._away(request, away)
        return self._rendered(request, shown, status, [replace(one, committed=one.committed.astimezone(LOCAL)) for one in seeds])

    def _rendered(
        self, request: Request, shown: Shown, status: int, seeds: Sequence[PublishedSeed] = (), headers: Mapping[str, str] | None = None
    ) -> Response:  # fmt: skip
        lang, turned = self._showing.language(request), self._showing.turned(str(PAGE), None if shown.state == "ask" else shown)
        said = {"state": shown.state, "found": shown.found, "typed": shown.typed, "seeds": seeds}
        return self._showing.pages.respond("draw.html", lang, status, headers, **said, turned=turned)


def as_csv(lines: Sequence[Line]) -> str:
    """A day's list as a file; the same words in every language."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for line in lines:
        said = line.as_json()
        writer.writerow(["" if said[column] is None else said[column] for column in _COLUMNS])
    return out.getvalue()


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if text == day.isoformat() else None


async def _typed(request: Request) -> str:
    """What was typed."""
    async with request.form(max_files=0, max_fields=5) as sent:
        value = sent.get("code", "")
    return value.strip() if isinstance(value, str) else ""
