"""``/verify``: whether hailong sent a message about a code, when and by which way; and the button for reporting one that it did not send.

The code is typed into a form, never part of an address. An unknown code and a dossier nobody was written to about are answered alike;
of a slip that we printed that is said, alike for one that leads to a dossier and one that leads to none.
A text that answers a message to the short code has no code to look up: its words are known, and that is said, with when they are ours.
Of a reported message only a hash is kept, alike for messages that differ in figures and codes only, so that a wave of them shows as one.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hailong import telemetry
from hailong.domain import links
from hailong.events import MessageChannel
from hailong.ports import Clock, FakeReports, Retryable, SentMessages
from surveys.answers.showing import Showing
from surveys.answers.telling import hotline
from surveys.guessing import Guard
from surveys.inbound.own_texts import LONGEST, OwnTexts
from surveys.records import Records
from surveys.wording import Office
from web.limits import Buckets, TokenBucket, network

PAGE: Final = PurePosixPath("/verify")
REPORT: Final = PAGE / "report"
REPORTS_PER_MINUTE: Final = 60
"""Over all addresses; one address has a sixth of it."""
_PASTED: Final = 2000
_TYPED: Final = 120
_VARYING: Final = re.compile(r"\w*\d\w*")
log = telemetry.log("verify")


def text_hash(pasted: str) -> str:
    """64 hex digits of a message's words: without case, and with everything that holds a digit (numbers, codes, sums) alike.

    So it groups the messages of one wave, and holds nothing that trying out telephone numbers could find again.
    """
    words = _VARYING.sub("#", unicodedata.normalize("NFKC", pasted).casefold())
    return hashlib.sha256(b"hailong fake v1:" + " ".join(words.split()).encode()).hexdigest()


class Shown(msgspec.Struct, frozen=True):
    """What the page says. ``lines``: purpose, channel, day of what was sent; ``typed``: what stands in the field; ``slip``: of ours."""

    state: str
    lines: Sequence[tuple[str, MessageChannel, date]] = ()
    typed: str = ""
    slip: bool = False


class Verifying:
    """The page and its two buttons. ``monotonic``: seconds of real time, for the limit on reports."""

    def __init__(
        self,
        sent: SentMessages,
        fakes: FakeReports,
        records: Records,
        showing: Showing,
        office: Office,
        guard: Guard,
        clock: Clock,
        monotonic: Callable[[], float],
        counters: CollectorRegistry,
    ) -> None:
        self._sent = sent
        self._fakes = fakes
        self._records = records
        self._showing = showing
        self._office = office
        self._guard = guard
        self._clock = clock
        self._own = OwnTexts(showing.pages.words.values(), office.brand)
        self._all = TokenBucket(REPORTS_PER_MINUTE, 60, monotonic)
        self._each = Buckets(max(1, REPORTS_PER_MINUTE // 6), 60, monotonic)
        self._reported = Counter("hailong_fake_reports", "messages people reported as not ours", registry=counters)

    async def show(self, request: Request) -> Response:
        """``GET /verify``."""
        return self._page(request, self._showing.recalled(request, Shown) or Shown("ask"))

    async def take(self, request: Request) -> Response:
        """``POST /verify``: 200 with what was sent or that nothing was; 422 for what is no code, 429, 503."""
        pasted = await _field(request, "code")
        if self._own.has(pasted):
            return self._page(request, Shown("reply", typed=pasted))
        typed = pasted[:_TYPED]
        code = links.typed(typed)
        if code is None:
            return self._page(request, Shown("no_code", typed=typed), 422)
        self._guard.admit(request)
        try:
            found, slip = await self._records.run(lambda: (self._sent.sent_about(code), self._sent.slip_is_ours(code)))
        except Retryable as away:
            return self._page(request, Shown("away"), 503, away)
        if found is None and not slip:
            self._guard.unknown(request)
        lines = [(one.kind, one.channel, one.on) for one in found or ()]
        return self._page(request, Shown("sent" if lines else "slip" if slip else "not_sent", lines, slip=slip))

    async def report(self, request: Request) -> Response:
        """``POST /verify/report``: 200 once kept, or once told that such words are ours, 429, 503."""
        async with request.form(max_files=0, max_fields=5) as sent:
            pasted, sure = str(sent.get("message", "")), bool(sent.get("sure"))
        if self._own.has(pasted) and not sure:
            return self._page(request, Shown("reply", typed=pasted))
        if not (self._each.of(network(request)).take() and self._all.take()):
            raise HTTPException(429, headers={"Retry-After": str(max(self._all.wait(), self._each.of(network(request)).wait()))})
        at, digest = self._clock.now(), text_hash(pasted[:_PASTED])
        try:
            await self._records.run(lambda: self._fakes.report_fake(at, digest))
        except Retryable as away:
            return self._page(request, Shown("report_away"), 503, away)
        self._noted(at, digest)
        return self._page(request, Shown("reported"))

    def _noted(self, at: datetime, digest: str) -> None:
        self._reported.inc()
        log.warning("fake message reported", at=at.isoformat(), digest=digest)

    def _page(self, request: Request, shown: Shown, status: int = 200, away: Retryable | None = None) -> Response:
        headers = {"Retry-After": str(max(1, round(away.after)))} if away else {}
        lang, pages = self._showing.language(request), self._showing.pages
        said = {"brand": self._office.brand, "hotline": hotline(self._office)}
        turned = self._showing.turned(str(PAGE), None if shown.state == "ask" else shown)
        return pages.respond(
            "verify.html", lang, status, headers, state=shown.state, lines=shown.lines, typed=shown.typed, slip=shown.slip, longest=LONGEST,
            said=said, turned=turned,
        )  # fmt: skip


async def _field(request: Request, name: str) -> str:
    async with request.form(max_files=0, max_fields=5) as sent:
        value = sent.get(name, "")
    return value if isinstance(value, str) else ""
