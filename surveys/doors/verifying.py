"""``/verify``: whether hailong sent a message about a code, when and by which way; and the button for reporting one that it did not send.

The code is typed into a form, never part of an address. An unknown code and a dossier nobody was written to about are answered alike.
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

from prometheus_client import CollectorRegistry, Counter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hailong import telemetry
from hailong.domain import links
from hailong.ports import Clock, FakeReports, Retryable, SentMessages
from surveys.answers.showing import Showing
from surveys.guessing import Guard
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
        self._all = TokenBucket(REPORTS_PER_MINUTE, 60, monotonic)
        self._each = Buckets(max(1, REPORTS_PER_MINUTE // 6), 60, monotonic)
        self._reported = Counter("hailong_fake_reports", "messages people reported as not ours", registry=counters)

    async def show(self, request: Request) -> Response:
        """``GET /verify``."""
        return self._page(request, "ask")

    async def take(self, request: Request) -> Response:
        """``POST /verify``: 200 with what was sent or that nothing was; 422 for what is no code, 429, 503."""
        typed = (await _field(request, "code"))[:_TYPED]
        code = links.typed(typed)
        if code is None:
            return self._page(request, "no_code", 422, typed=typed)
        self._guard.admit(request)
        try:
            found = await self._records.run(lambda: self._sent.sent_about(code))
        except Retryable as away:
            return self._page(request, "away", 503, away)
        if found is None:
            self._guard.unknown(request)
        lang = self._showing.language(request)
        words = self._showing.pages.words[lang]["verify"]
        lines = [(words["kinds"][one.kind], words["channels"][one.channel], one.on) for one in found or ()]
        return self._page(request, "sent" if lines else "not_sent", lines=lines)

    async def report(self, request: Request) -> Response:
        """``POST /verify/report``: 200 once kept, 429, 503."""
        pasted = await _field(request, "message")
        if not (self._each.of(network(request)).take() and self._all.take()):
            raise HTTPException(429, headers={"Retry-After": str(max(self._all.wait(), self._each.of(network(request)).wait()))})
        at, digest = self._clock.now(), text_hash(pasted[:_PASTED])
        try:
            await self._records.run(lambda: self._fakes.report_fake(at, digest))
        except Retryable as away:
            return self._page(request, "report_away", 503, away)
        self._noted(at, digest)
        return self._page(request, "reported")

    def _noted(self, at: datetime, digest: str) -> None:
        self._reported.inc()
        log.warning("fake message reported", at=at.isoformat(), digest=digest)

    def _page(
        self,
        request: Request,
        state: str,
        status: int = 200,
        away: Retryable | None = None,
        lines: Sequence[tuple[str, str, date]] = (),
        typed: str = "",
    ) -> Response:
        headers = {"Retry-After": str(max(1, round(away.after)))} if away else {}
        lang = self._showing.language(request)
        pages = self._showing.pages
        said = {"brand": self._office.brand, "hotline": self._office.hotline}
        return pages.respond(
            "verify.html", lang, status, headers, state=state, lines=lines, typed=typed, said=said, turned=pages.turned(f"{PAGE}?")
        )


async def _field(request: Request, name: str) -> str:
    async with request.form(max_files=0, max_fields=5) as sent:
        value = sent.get(name, "")
    return value if isinstance(value, str) else ""
