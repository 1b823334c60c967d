"""The pages before the gate: sign-in, the code after it, the one-time link; and signing out."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard.gate import Gate, who_of
from hailong.domain.units import LOCAL
from hailong.ports import Invalid
from web.limits import Buckets, TokenBucket, network
from web.pages import Refused

_WRONG_A_NETWORK: Final = 30
"""An office behind one address may be many people; only wrong tries count."""
_WRONG_IN_ALL: Final = 600
_PERIOD_S: Final = 300.0


class Signing:
    """``monotonic`` gives seconds of real time."""

    def __init__(self, gate: Gate, monotonic: Callable[[], float]) -> None:
        self._gate = gate
        self._access = gate.access
        self._words = {lang: words["access"] for lang, words in gate.pages.words.items()}
        self._networks = Buckets(_WRONG_A_NETWORK, _PERIOD_S, monotonic)
        self._all = TokenBucket(_WRONG_IN_ALL, _PERIOD_S, monotonic)

    def routes(self) -> list[Route]:
        gate = self._gate
        return [
            Route("/sign-in", gate.outside(self.sign_in), methods=["GET", "POST"], name="sign-in"),
            Route("/sign-in/code", gate.outside(self.code), methods=["GET", "POST"], name="sign-in-code"),
            Route("/welcome/{token}", gate.outside(self.welcome), methods=["GET", "POST"], name="welcome"),
            Route("/sign-out", gate.page(self.sign_out), methods=["POST"], name="sign-out"),
        ]

    async def sign_in(self, request: Request) -> Response:
        """``/sign-in``: login and password."""
        if request.method == "GET":
            return self._sign_in(request)
        self._patiently(request)
        sent = await self._gate.sent(request)
        entered = await self._gate.ask(self._access.sign_in, sent.get("login", ""), sent.get("password", ""))
        if entered is None:
            self._was_wrong(request)
            return self._sign_in(request, 422, refused=True, login=sent.get("login", ""))
        answer = self._gate.to("/" if entered.stage == "full" else "/sign-in/code", request)
        self._gate.keep(request, answer, entered.token)
        return answer

    def _sign_in(self, request: Request, status: int = 200, **said: Any) -> Response:
        context = {"refused": False, "login": "", "done": request.query_params.get("done", "")} | said
        return self._gate.shown_outside(request, "sign_in.html", status, plain=_in_the_open(request), **context)

    async def code(self, request: Request) -> Response:
        """``/sign-in/code``: the second factor, for a session that waits for it."""
        token = self._gate.token(request)
        if not token or await self._gate.ask(self._access.half, token) is None:
            return self._gate.to("/sign-in", request)
        if request.method == "GET":
            return self._gate.shown_outside(request, "code.html", refused=False)
        self._patiently(request)
        sent = await self._gate.sent(request)
        full = await self._gate.ask(self._access.second, token, sent.get("code", ""))
        if full is None:
            self._was_wrong(request)
            return self._gate.shown_outside(request, "code.html", 422, refused=True)
        answer = self._gate.to("/", request)
        self._gate.keep(request, answer, full)
        return answer

    async def welcome(self, request: Request) -> Response:
        """``/welcome/{token}``: a password by one-time link. Looking does not use the link up; the token stands in no log."""
        token = request.path_params["token"]
        link = await self._gate.ask(self._access.link, token)
        if link is None:
            self._patiently(request)
            self._was_wrong(request)
            return self._gate.shown_outside(request, "gone.html", 410)
        name = await self._gate.ask(self._name, link.login)
        context = {"login": link.login, "name": name, "until": link.expires_at.astimezone(LOCAL)}
        if request.method == "GET":
            return self._gate.shown_outside(request, "welcome.html", weak=None, **context)
        sent = await self._gate.sent(request)
        if sent.get("password", "") != sent.get("again", ""):
            return self._gate.shown_outside(request, "welcome.html", 422, weak="differs", **context)
        try:
            login = await self._gate.ask(self._access.set_password, token, sent.get("password", ""))
        except Invalid as weak:
            return self._gate.shown_outside(request, "welcome.html", 422, weak=weak.reason, **context)
        if login is None:
            return self._gate.shown_outside(request, "gone.html", 410)
        answer = self._gate.to("/sign-in", request, done="password")
        self._gate.forget(request, answer)
        return answer

    def _name(self, login: str) -> str:
        with self._access.ledger.read() as reader:
            account = reader.account(login)
        return account.name if account else login

    async def sign_out(self, request: Request) -> Response:
        """``/sign-out``."""
        await self._gate.ask(self._access.sign_out, who_of(request))
        answer = self._gate.to("/sign-in", request, done="out")
        self._gate.forget(request, answer)
        return answer

    # --- how often

    def _patiently(self, request: Request) -> None:
        """429 after too many wrong tries from one network, or from everywhere."""
        for bucket in (self._networks.of(network(request)), self._all):
            if bucket.level() < 1:
                minutes = max(1, bucket.wait() // 60)
                said = {
                    lang: {"title": words["sign_in"]["many_title"], "text": words["sign_in"]["many"].format(minutes=minutes)}
                    for lang, words in self._words.items()
                }
                raise Refused(429, said, {"Retry-After": str(bucket.wait())})

    def _was_wrong(self, request: Request) -> None:
        self._networks.of(network(request)).take()
        self._all.take()


def _in_the_open(request: Request) -> bool:
    """Whether a password would cross a network that others can read."""
    host = request.client.host if request.client else ""
    try:
        return request.url.scheme != "https" and not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return request.url.scheme != "https"
