"""The gate before every page: who asks, whether they may, and whether a form is ours.

A page is reached through ``page`` or ``api`` only; what stands outside the gate (signing in, health) is listed in ``OUTSIDE``, and a
test holds the site's routes against that list.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.access import Access, Who
from dashboard.refusing import Foreign, foreign, stale, unavailable
from hailong.domain.access import ROLES, Role
from hailong.ports import Permanent, Retryable
from web.pages import Pages

Endpoint = Callable[[Request], Awaitable[Response]]
OUTSIDE: Final = frozenset({"/healthz", "/readyz", "/robots.txt", "/sign-in", "/sign-in/code", "/welcome/{token}"})
"""Addresses that ask for no session."""
EVERYBODY: Final[frozenset[Role]] = frozenset(ROLES)
_SESSION: Final = "hailong"
_FORM: Final = "hailong-form"
_FIELDS: Final = 60


class Gate:
    """``loopback_only``: whoever does not come from this very machine by its own name gets 403, signed in or not."""

    def __init__(self, access: Access, pages: Pages, *, loopback_only: bool, new_token: Callable[[], str]) -> None:
        self.access = access
        self.pages = pages
        self.talks = False
        """Whether there are calls, help at the desk and paper here."""
        self.tells = False
        """Whether "you said, we did" is written here."""
        self.alarms = False
        """Whether alerts have pages of their own here."""
        self.compares = False
        """Whether there is a page of what stands behind the figures."""
        self.wrote: Callable[[], None] = _nothing
        """Called after every form of who is signed in: what it wrote may have facts that are to be published."""
        self._loopback_only = loopback_only
        self._new_token = new_token

    # --- pages

    def page(self, endpoint: Endpoint, roles: frozenset[Role] = EVERYBODY, *, files: int = 0) -> Endpoint:
        """A page for whoever has signed in and one of these roles; others are led to the sign-in. Its forms carry the session's token.

        ``files``: so many may stand in its forms (``upload``).
        """

        async def guarded(request: Request) -> Response:
            who = await self._who(request)
            if who is None:
                return self.to("/sign-in", request)
            _allow(who, roles)
            request.state.who, request.state.files = who, files
            if request.method != "POST":
                return await endpoint(request)
            await self._ours(request, who.csrf)
            answer = await endpoint(request)
            self.wrote()
            return answer

        return guarded

    def api(self, endpoint: Endpoint, roles: frozenset[Role] = EVERYBODY) -> Endpoint:
        """The same for programs: 401 without a session."""

        async def guarded(request: Request) -> Response:
            who = await self._who(request)
            if who is None:
                detail = "Nobody is signed in. Sign in on the officers' site and send its cookie."
                raise HTTPException(401, detail, {"WWW-Authenticate": 'Cookie realm="hailong"'})
            _allow(who, roles)
            request.state.who = who
            return await endpoint(request)

        return guarded

    def outside(self, endpoint: Endpoint) -> Endpoint:
        """A page for whoever is not signed in yet. Its forms carry a token that stands in a cookie of this site, too."""

        async def guarded(request: Request) -> Response:
            self._admit(request)
            if request.method == "POST":
                await self._ours(request, request.cookies.get(self._name(request, _FORM), ""))
            return await endpoint(request)

        return guarded

    async def _ours(self, request: Request, csrf: str) -> None:
        """403 for a form that another site sends, or that is of another session."""
        from_elsewhere = request.headers.get("sec-fetch-site", "same-origin") != "same-origin"
        if from_elsewhere or not _same(await self.sent(request), csrf):
            raise stale(self.pages.words)

    async def _who(self, request: Request) -> Who | None:
        self._admit(request)
        token = self.token(request)
        return await self.ask(self.access.who, token) if token else None

    async def ask(self, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Something of the ledger's, in a thread. Raises a 503 when it is away."""
        try:
            return await asyncio.to_thread(work, *arguments, **named)
        except (Retryable, Permanent) as away:
            raise unavailable(away) from away

    # --- what a page needs

    async def sent(self, request: Request) -> dict[str, str]:
        """The fields of a form; of one that stands there several times the last."""
        return {name: values[-1] for name, values in (await self.many(request)).items()}

    async def many(self, request: Request) -> dict[str, list[str]]:
        """The fields of a form, each with all its values."""
        if not hasattr(request.state, "sent"):
            request.state.sent, request.state.upload = {}, b""
            async with request.form(max_files=getattr(request.state, "files", 0), max_fields=_FIELDS) as form:
                for name, value in form.multi_items():
                    if isinstance(value, str):
                        request.state.sent.setdefault(name, []).append(value)
                    else:
                        request.state.upload = await value.read()
        sent: dict[str, list[str]] = request.state.sent
        return sent

    async def upload(self, request: Request) -> bytes:
        """The file of a form; empty when there is none."""
        await self.many(request)
        uploaded: bytes = request.state.upload
        return uploaded

    def shown(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        """A page for who is signed in."""
        lang, who = self.pages.language(request), who_of(request)
        there: dict[str, Any] = {"talks": self.talks, "tells": self.tells, "alarms": self.alarms}
        there |= {"compares": self.compares, "path": request.url.path}
        return self.pages.respond(template, lang, status, who=who, csrf=who.csrf, **there, **context)

    def shown_outside(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        """A page for who is not; with a fresh token of its form."""
        kept = request.cookies.get(self._name(request, _FORM), "")
        csrf = kept if len(kept) > 30 else self._new_token()
        said = self.pages.respond(template, self.pages.language(request), status, who=None, csrf=csrf, **context)
        self._put(request, said, _FORM, csrf)
        return said

    def to(self, address: str, request: Request, **query: str) -> Response:
        """303 to another page of ours, in the same language."""
        said = {"lang": self.pages.language(request), **query}
        return RedirectResponse(f"{address}?{'&'.join(f'{k}={v}' for k, v in said.items())}", 303)

    # --- cookies

    def token(self, request: Request) -> str:
        """The session's token, or nothing."""
        return request.cookies.get(self._name(request, _SESSION), "")

    def keep(self, request: Request, answer: Response, token: str) -> None:
        """From now on the browser sends this token."""
        self._put(request, answer, _SESSION, token)

    def forget(self, request: Request, answer: Response) -> None:
        secure = request.url.scheme == "https"
        answer.delete_cookie(self._name(request, _SESSION), path="/", secure=secure, httponly=True, samesite="lax")

    def _put(self, request: Request, answer: Response, name: str, value: str) -> None:
        secure = request.url.scheme == "https"
        answer.set_cookie(self._name(request, name), value, path="/", secure=secure, httponly=True, samesite="lax")

    def _name(self, request: Request, name: str) -> str:
        """With ``__Host-`` a browser takes it from this very host over TLS only."""
        return f"__Host-{name}" if request.url.scheme == "https" else name

    # --- this machine only

    def _admit(self, request: Request) -> None:
        """Where the site is meant for this machine only: by its own name (a foreign page may point its name here), past no proxy."""
        if not self._loopback_only:
            return
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        cause: Foreign | None = "proxy" if "x-forwarded-for" in request.headers or "forwarded" in request.headers else None
        if request.client is None or not _is_loopback(request.client.host):
            cause = "peer"
        elif not (host == "localhost" or _is_loopback(host)):
            cause = "host"
        if cause is not None:
            raise foreign(cause, host, (request.scope.get("server") or ("", 80))[1] or 80, self.pages.words)


def _nothing() -> None:
    """Where nothing is published."""


def who_of(request: Request) -> Who:
    """Who asks; only behind the gate."""
    who: Who = request.state.who
    return who


def _allow(who: Who, roles: frozenset[Role]) -> None:
    if who.role not in roles:
        raise HTTPException(403)


def _same(sent: Mapping[str, str], csrf: str) -> bool:
    return bool(csrf) and hmac.compare_digest(sent.get("csrf", "").encode(), csrf.encode())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
