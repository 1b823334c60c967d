"""``/accounts``: the accounts of all, for administrators. Logins stand in forms, never in addresses."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard.administration import Administration, Wanted
from dashboard.gate import Gate, who_of
from dashboard.view import collated
from hailong.domain.access import KEEPS_FACTOR, ROLES, Account, Role
from hailong.ports import Invalid

_ADMINISTRATORS: Final[frozenset[Role]] = frozenset({"administrator"})


class Managing:
    """The handlers. ``address``: of this site, as links name it."""

    def __init__(self, gate: Gate, administration: Administration, address: str) -> None:
        self._gate = gate
        self._administration = administration
        self._address = address.rstrip("/")

    def routes(self) -> list[Route]:
        routes = [Route("/accounts", self._gate.page(self.accounts, _ADMINISTRATORS), methods=["GET", "POST"], name="accounts")]
        for name, handler in (("change", self.change), ("disable", self.disable), ("enable", self.enable), ("reset", self.reset)):
            guarded = self._gate.page(handler, _ADMINISTRATORS)
            routes.append(Route(f"/accounts/{name}", guarded, methods=["POST"], name=f"accounts-{name}"))
        return routes

    async def accounts(self, request: Request) -> Response:
        """``/accounts``: GET shows them, POST adds one and shows its link, once."""
        if request.method == "GET":
            return await self._page(request)
        sent = await self._gate.sent(request)
        try:
            token = await self._gate.ask(self._administration.add, sent.get("login", ""), _wanted(sent), who_of(request).login)
        except Invalid as wrong:
            return await self._page(request, 422, wrong, sent)
        return self._link(request, sent.get("login", "").strip().lower(), token)

    async def change(self, request: Request) -> Response:
        """``/accounts/change``: name, role, scope."""
        sent = await self._gate.sent(request)
        return await self._done(request, "changed", self._administration.change, sent.get("login", ""), _wanted(sent))

    async def disable(self, request: Request) -> Response:
        """``/accounts/disable``."""
        sent = await self._gate.sent(request)
        return await self._done(request, "disabled", self._administration.disable, sent.get("login", ""))

    async def enable(self, request: Request) -> Response:
        """``/accounts/enable``."""
        sent = await self._gate.sent(request)
        return await self._done(request, "enabled", self._administration.enable, sent.get("login", ""))

    async def reset(self, request: Request) -> Response:
        """``/accounts/reset``: a new link, shown once."""
        sent = await self._gate.sent(request)
        without, login = sent.get("without_factor") == "1", sent.get("login", "")
        try:
            token = await self._gate.ask(self._administration.reset, login, who_of(request).login, without_factor=without)
        except Invalid as wrong:
            return await self._page(request, 422, wrong)
        return self._link(request, login, token)

    async def _done(self, request: Request, done: str, work: Any, *arguments: Any) -> Response:
        try:
            await self._gate.ask(work, *arguments, who_of(request).login)
        except Invalid as wrong:
            return await self._page(request, 422, wrong)
        return self._gate.to("/accounts", request, done=done)

    def _link(self, request: Request, login: str, token: str) -> Response:
        return self._gate.shown(request, "link.html", login=login, address=f"{self._address}/welcome/{token}")

    async def _page(
        self, request: Request, status: int = 200, wrong: Invalid | None = None, typed: dict[str, str] | None = None
    ) -> Response:
        """``typed``: what stands in the form for a new account."""
        accounts, units = await self._gate.ask(self._read)
        words = self._gate.pages.words[self._gate.pages.language(request)]["access"]["accounts"]["wrong"]
        return self._gate.shown(
            request,
            "accounts.html",
            status,
            accounts=accounts,
            units=units,
            unit_names=dict(units),
            roles=ROLES,
            wrong=words[f"{wrong.field}.{wrong.reason}"] if wrong else "",
            typed=typed or {},
            done=request.query_params.get("done", ""),
            keeps_factor=KEEPS_FACTOR,
        )

    def _read(self) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
        """Accounts with their state, and (code, name) of every unit ever registered."""
        with self._gate.access.ledger.read() as reader:
            accounts, rows = reader.accounts(), reader.units()
        now = self._gate.access.now()
        names = {row.code: row.name for row in rows}
        return [_shown(a, now) for a in accounts], sorted(names.items(), key=lambda unit: collated(unit[1]))


def _wanted(sent: dict[str, str]) -> Wanted:
    return Wanted(sent.get("name", ""), sent.get("role", ""), sent.get("scope") or None)


def _shown(account: Account, now: datetime) -> dict[str, Any]:
    state = "disabled" if account.disabled_at is not None else "invited" if account.password is None else "active"
    fields = {"login": account.login, "name": account.name, "role": account.role, "scope": account.scope}
    return {**fields, "state": state, "factor": account.factor is not None, "waits": account.waits(now)}
