"""``/assist`` and ``/paper``: staff enter an answer for somebody who stands at the desk, is on the telephone, or has written it on a slip.

Who enters is kept. Whose dossier it is stands on no page: only desk and day. A code that leads nowhere, one of another desk's and one that
is nobody's are told the same, and so many wrong ones are enough.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, Literal

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashboard.access import Who
from dashboard.gate import Gate, who_of
from dashboard.talking import HELPS, Talking
from hailong.domain.access import Role
from hailong.domain.papers import AGAIN_SHARE, LARGEST, SCAN_DAYS, kind_of
from hailong.domain.scoring import wilson
from hailong.ports import Invalid, SlotForAnswer
from web.assembly import by_method
from web.limits import Buckets
from web.pages import Refused

PAPER_LOOKERS: Final[frozenset[Role]] = frozenset({*HELPS, "quality_officer", "administrator"})
LARGE: Final = frozenset({"/paper"})
"""Pages whose forms may carry a file."""
_WRONG: Final = 10
_PERIOD_S: Final = 600.0
_LISTED: Final = 50
_OURS: Final = ("csrf", "code", "mine", "language", "scan")


class HelpPages:
    """The handlers."""

    def __init__(self, gate: Gate, talking: Talking) -> None:
        self._gate = gate
        self._talking = talking
        self._words = {lang: words["helping"] for lang, words in gate.pages.words.items()}
        self._wrong = Buckets(_WRONG, _PERIOD_S, talking.monotonic)

    def routes(self) -> list[Route]:
        page = self._gate.page
        paper = by_method(page(self.paper, PAPER_LOOKERS), page(self.enter, HELPS, files=1))
        return [
            Route("/assist", page(self.assist, HELPS), methods=["GET", "POST"], name="assist"),
            Route("/assist/begin", page(self.begin, HELPS), methods=["POST"], name="assist-begin"),
            Route("/paper", paper, methods=["GET", "POST"], name="paper"),
            Route("/paper/again", page(self.waiting, HELPS), name="paper-again"),
            Route("/paper/again/{paper:int}", page(self.again, HELPS), methods=["GET", "POST"], name="paper-again-one"),
        ]  # fmt: skip

    # --- with somebody at the desk or on the telephone

    async def assist(self, request: Request) -> Response:
        """``/assist``: GET asks for the code, POST shows desk and day."""
        if request.method == "GET":
            return self._assist(request)
        code = (await self._gate.sent(request)).get("code", "")
        slot = await self._slot(request, code, "assist")
        return self._assist(request, 422 if slot is None else 200, slot=slot, code=code, wrong="" if slot is not None else "unknown")

    async def begin(self, request: Request) -> Response:
        """``POST /assist/begin``: to the questionnaire, once it is said that the dossier is not one's own."""
        sent, who = await self._gate.sent(request), who_of(request)
        code = sent.get("code", "")
        slot = await self._slot(request, code, "assist")
        if slot is None:
            return self._assist(request, 422, code=code, wrong="unknown")
        if sent.get("mine") != "no":
            return self._assist(request, 422, slot=slot, code=code, wrong="mine")
        mode = _mode(who)
        address = await self._gate.ask(self._talking.doors.open_door, slot.survey_id, mode, who.login)
        if address is None:
            return self._assist(request, 409, slot=slot, code=code, wrong="over")
        await self._gate.ask(self._helped, slot.survey_id, mode, who.login)
        return RedirectResponse(address, 303)

    def _helped(self, survey_id: str, mode: Literal["call", "assisted"], login: str) -> None:
        with self._talking.ledger.begin() as tx:
            tx.helped(survey_id, mode, login, self._talking.clock.now())

    def _assist(
        self, request: Request, status: int = 200, *, slot: SlotForAnswer | None = None, code: str = "", wrong: str = ""
    ) -> Response:
        over = slot is not None and (slot.answered or self._over(slot))
        mode, turned = _mode(who_of(request)), self._gate.pages.turned("/assist?")
        return self._gate.shown(request, "assist.html", status, slot=slot, over=over, code=code, wrong=wrong, mode=mode, turned=turned)

    def _over(self, slot: SlotForAnswer) -> bool:
        return slot.expires_at is not None and slot.expires_at <= self._talking.clock.now()

    # --- finding

    async def _slot(self, request: Request, code: str, door: str) -> SlotForAnswer | None:
        """The slot a code leads to, if this account may help with it. Raises 429 after too many that lead nowhere."""
        who = who_of(request)
        bucket = self._wrong.of(who.login)
        if bucket.level() < 1:
            minutes = max(1, bucket.wait() // 60)
            said = {lang: {"title": w["many_title"], "text": w["many"].format(minutes=minutes)} for lang, w in self._words.items()}
            raise Refused(429, said, {"Retry-After": str(bucket.wait())})
        slot: SlotForAnswer | None = await self._gate.ask(self._find, who, code, door)
        if slot is None:
            bucket.take()
        return slot

    def _find(self, who: Who, code: str, door: str) -> SlotForAnswer | None:
        talking = self._talking
        survey_id = talking.doors.find(code) if code.strip() and len(code) <= 80 else None
        slot = None
        if survey_id is not None:
            with talking.ledger.read() as reader:
                slot = reader.slot_by_survey(survey_id)
        mine = slot is not None and talking.may_help(who, slot)
        seen = f"survey:{survey_id}" if mine else "dossier:not found"
        with talking.ledger.begin() as tx:
            tx.audited(who.login, "dossier_seen", seen, {"door": door, "found": mine})
        return slot if mine else None

    # --- paper

    async def paper(self, request: Request) -> Response:
        """``GET /paper``: the slip to fill in, and how often two entries of one slip differ."""
        done = request.query_params.get("done", "")
        return await self._paper(request, done=done if done in ("entered", "keep", "again") else "")

    async def enter(self, request: Request) -> Response:
        """``POST /paper``: 422 with what is wrong; what was ticked stays, but a file has to be chosen again."""
        who, form = who_of(request), dict(await self._gate.many(request))
        sent = {name: form.pop(name, [""])[-1] for name in _OURS}
        scan = await self._gate.upload(request)
        try:
            again = await self._enter(request, who, sent, form, scan)
        except Invalid as wrong:
            return await self._paper(request, 422, wrong=wrong, sent=sent, form=form)
        return self._gate.to("/paper", request, done="keep" if again and not scan else "entered")

    async def _enter(self, request: Request, who: Who, sent: Mapping[str, str], form: dict[str, list[str]], scan: bytes) -> bool:
        if scan and (kind_of(scan) is None or len(scan) > LARGEST):
            raise Invalid("scan", "scan", "a JPEG, PNG or PDF of at most 2 MB")
        slot = await self._slot(request, sent["code"], "paper")
        if slot is None:
            raise Invalid("unknown", "code", "no such dossier")
        if sent["mine"] != "no":
            raise Invalid("mine", "mine", "say that the dossier is not your own")
        language = "en" if sent["language"] == "en" else "vi"
        doors = self._talking.doors
        again: bool = await self._gate.ask(doors.submit_paper, slot.survey_id, form, language, who.login, who.scope, scan)
        return again

    async def _paper(
        self, request: Request, status: int = 200, *, wrong: Invalid | None = None, done: str = "", sent: Mapping[str, str] | None = None,
        form: Mapping[str, list[str]] | None = None,
    ) -> Response:  # fmt: skip
        who = who_of(request)
        tally, waits = await self._gate.ask(self._tally, who)
        return self._gate.shown(
            request, "paper.html", status, questions=self._talking.doors.questions(self._gate.pages.language(request)), tally=tally,
            interval=wilson(tally.differs, tally.asked), waits=waits, wrong=wrong, done=done, sent=sent or {}, picked=form or {},
            may_enter=who.role in HELPS, share=AGAIN_SHARE, days=SCAN_DAYS, turned=self._gate.pages.turned("/paper?"),
        )  # fmt: skip

    def _tally(self, who: Who) -> tuple[Any, int]:
        now = self._talking.clock.now()
        with self._talking.ledger.read() as reader:
            waits = (
                reader.papers_to_enter(now, who.login, who.scope, self._talking.own_units(who, reader), _LISTED)
                if who.role in HELPS
                else []
            )
            return reader.paper_tally(now), len(waits)

    # --- paper, once more

    async def waiting(self, request: Request) -> Response:
        """``GET /paper/again``: slips of other desks that wait to be entered once more."""
        rows = await self._gate.ask(self._waiting, who_of(request))
        names = await self._gate.ask(self._names)
        return self._gate.shown(
            request, "paper_again.html", rows=rows, names=names, one=None, turned=self._gate.pages.turned("/paper/again?")
        )

    def _waiting(self, who: Who) -> list[Any]:
        with self._talking.ledger.read() as reader:
            barred = self._talking.own_units(who, reader)
            return reader.papers_to_enter(self._talking.clock.now(), who.login, who.scope, barred, _LISTED)

    async def again(self, request: Request) -> Response:
        """``/paper/again/N``: GET shows the scan and an empty slip, never what was entered first; POST compares and forgets."""
        who, paper = who_of(request), request.path_params["paper"]
        found = await self._gate.ask(self._again, who, paper)
        if found is None:
            return self._gate.to("/paper/again", request)
        if request.method == "GET":
            return await self._slip(request, *found)
        form = dict(await self._gate.many(request))
        sent = {name: form.pop(name, [""])[-1] for name in _OURS}
        try:
            if not found[0].scanned and await self._code_of(request, sent["code"]) != found[1]:
                raise Invalid("unknown", "code", "another slip")
            answers = await self._gate.ask(self._talking.doors.answers, form)
            await self._gate.ask(self._entered, who, paper, answers)
        except Invalid as wrong:
            return await self._slip(request, *found, status=422, wrong=wrong, sent=sent, form=form)
        return self._gate.to("/paper", request, done="again")

    async def _code_of(self, request: Request, code: str) -> str | None:
        """The survey of a slip that lies before whoever enters it again: of any desk but their own."""
        bucket = self._wrong.of(who_of(request).login)
        found: str | None = await self._gate.ask(self._talking.doors.find, code) if bucket.level() >= 1 else None
        if found is None:
            bucket.take()
        return found

    def _again(self, who: Who, paper: int) -> Any:
        barred = self._talking.barred(who)
        with self._talking.ledger.begin() as tx:
            return tx.paper_again(paper, who.login, who.scope, barred, self._talking.clock.now())

    def _entered(self, who: Who, paper: int, answers: Mapping[str, Any]) -> None:
        barred = self._talking.barred(who)
        questions = [q.id for q in self._talking.doors.questions("vi") if q.kind != "text"]
        with self._talking.ledger.begin() as tx:
            tx.entered_again(paper, who.login, who.scope, barred, answers, questions, self._talking.clock.now())

    def _names(self) -> dict[str, str]:
        """Unit → its newest name."""
        with self._talking.ledger.read() as reader:
            return {unit.code: unit.name for unit in reader.units()}

    async def _slip(
        self, request: Request, one: Any, _survey: str, scan: bytes, *, status: int = 200, wrong: Invalid | None = None,
        sent: Mapping[str, str] | None = None, form: Mapping[str, list[str]] | None = None,
    ) -> Response:  # fmt: skip
        names = await self._gate.ask(self._names)
        shown = f"data:{kind_of(scan)};base64,{base64.b64encode(scan).decode()}" if scan else ""
        return self._gate.shown(
            request, "paper_again.html", status, rows=[], names=names, one=one, scan=shown, pdf=kind_of(scan) == "application/pdf",
            wrong=wrong, questions=self._talking.doors.questions(self._gate.pages.language(request)), sent=sent or {}, picked=form or {},
            turned=self._gate.pages.turned(f"/paper/again/{one.id}?"),
        )  # fmt: skip


def _mode(who: Who) -> Literal["call", "assisted"]:
    """Whoever calls in stands away from the desk; who is helped there, at it."""
    return "call" if who.role == "caller" else "assisted"
