"""``/account``: what everybody may change about their own account."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard import factor
from dashboard.gate import Gate, who_of
from hailong.domain.access import Session
from hailong.domain.units import LOCAL
from hailong.ports import Invalid


class Own:
    """The handlers."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._access = gate.access

    def routes(self) -> list[Route]:
        page = self._gate.page
        return [
            Route("/account", page(self.account), name="account"),
            Route("/account/password", page(self.password), methods=["POST"], name="account-password"),
            Route("/account/sessions", page(self.sessions), methods=["POST"], name="account-sessions"),
            Route("/account/factor", page(self.factor), methods=["GET", "POST"], name="account-factor"),
            Route("/account/factor/begin", page(self.begin_factor), methods=["POST"], name="account-factor-begin"),
            Route("/account/factor/remove", page(self.remove_factor), methods=["POST"], name="account-factor-remove"),
        ]

    async def account(self, request: Request) -> Response:
        """``/account``."""
        return await self._page(request)

    async def _page(self, request: Request, status: int = 200, weak: str | None = None, at: str = "") -> Response:
        """``weak``: what was wrong; ``at``: in which form."""
        who = who_of(request)
        sessions, scope = await self._gate.ask(self._about, request)
        done = request.query_params.get("done", "")
        said = {"weak": weak, "at": at, "done": done, "sessions": sessions, "scope": scope}
        return self._gate.shown(request, "account.html", status, here=who.session, **said)

    def _about(self, request: Request) -> tuple[list[dict[str, Any]], str | None]:
        who = who_of(request)
        with self._access.ledger.read() as reader:
            rows = [s for s in reader.sessions_of(who.login) if s.stage == "full" and s.alive(self._access.now())]
            named = next((u.name for u in reversed(reader.units()) if u.code == who.scope), who.scope)
        sessions = [
            {"here": s.token_hash == who.session, "since": s.created_at.astimezone(LOCAL), "seen": s.seen_at.astimezone(LOCAL)}
            for s in rows
        ]
        return sessions, named

    async def password(self, request: Request) -> Response:
        """``/account/password``."""
        sent = await self._gate.sent(request)
        if sent.get("password", "") != sent.get("again", ""):
            return await self._page(request, 422, "differs", "password")
        try:
            await self._gate.ask(self._access.change_password, who_of(request), sent.get("old", ""), sent.get("password", ""))
        except Invalid as weak:
            return await self._page(request, 422, weak.reason, "password")
        return self._gate.to("/account", request, done="password")

    async def sessions(self, request: Request) -> Response:
        """``/account/sessions``: end the others."""
        await self._gate.ask(self._access.end_others, who_of(request))
        return self._gate.to("/account", request, done="sessions")

    async def begin_factor(self, request: Request) -> Response:
        """``/account/factor/begin``: a new secret, to be confirmed."""
        sent = await self._gate.sent(request)
        try:
            await self._gate.ask(self._access.begin_factor, who_of(request), sent.get("old", ""))
        except Invalid as weak:
            return await self._page(request, 422, weak.reason, "factor")
        return self._gate.to("/account/factor", request)

    async def factor(self, request: Request) -> Response:
        """``/account/factor``: the picture, then its first code."""
        who = who_of(request)
        if request.method == "POST":
            sent = await self._gate.sent(request)
            if await self._gate.ask(self._access.confirm_factor, who, sent.get("code", "")):
                return self._gate.to("/account", request, done="factor")
        secret = await self._gate.ask(self._access.pending_factor, who)
        if secret is None:
            return self._gate.to("/account", request)
        words = self._gate.pages.words[self._gate.pages.language(request)]["access"]["factor"]
        drawn = factor.picture(secret, who.login, words["picture"])
        refused = request.method == "POST"
        status = 422 if refused else 200
        return self._gate.shown(request, "factor.html", status, picture=drawn, secret=factor.grouped(secret), refused=refused)

    async def remove_factor(self, request: Request) -> Response:
        """``/account/factor/remove``."""
        sent = await self._gate.sent(request)
        try:
            await self._gate.ask(self._access.remove_factor, who_of(request), sent.get("old", ""))
        except Invalid as wrong:
            return await self._page(request, 422, wrong.reason, "factor")
        return self._gate.to("/account", request, done="unfactor")


def _shown(session: Session, here: str) -> dict[str, Any]:
    times = {"since": session.created_at.astimezone(LOCAL), "seen": session.seen_at.astimezone(LOCAL)}
    return {"here": session.token_hash == here, **times}
