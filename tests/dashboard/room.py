"""A room for the officers' site: a real ledger with accounts, figures that stand still, and a browser."""

from __future__ import annotations

import asyncio
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher
from starlette.applications import Starlette

from dashboard.access import Access, token_hash
from dashboard.administration import Administration
from dashboard.app import Door
from dashboard.passwords import Passwords
from hailong.domain.access import Account, Role, Session
from hailong.domain.scoring import Counts, Figures, Filters, Version
from hailong.domain.telling import Newest
from hailong.domain.units import LOCAL, Registry, Targets
from sinks.ledger import FactorSeal, Ledger, open_ledger
from tests.clickhouse.facts import unit
from tests.contract.build import tools

START = datetime(2026, 4, 2, 9, tzinfo=LOCAL)
PASSWORD = "một câu dài dễ nhớ"
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""As cheap as it gets: what is tested is not how long it takes."""
DISTRICT = [unit("D1", "Huyện Một", level="district"), unit("D2", "Huyện Hai", level="district"), unit("C01", "Xã 01", "D1"),
            unit("C02", "Xã 02", "D1"), unit("C03", "Xã 03", "D2")]  # fmt: skip


@dataclass(frozen=True)
class Fixed:
    """A clock that stands."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at


class Settled(ABC):
    """A store whose months are all closed, as far as its last record goes."""

    @abstractmethod
    def figures(self, filters: Filters, version: Version | None = None) -> Figures: ...

    def began(self, version: Version) -> datetime | None:
        return START - timedelta(days=365)

    def answered_between(self, start: int, moment: datetime) -> tuple[int, dict[tuple[str, str], Counts]]:
        return 1, {} if start else self.figures(Filters()).cells

    def newest(self, month: str, version: Version) -> dict[tuple[str, str], Newest]:
        return {}


@dataclass
class Still(Settled):
    """Figures that stand still: so many satisfied and dissatisfied answers a unit, all of one month, which is closed."""

    answers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    rows: list[Any] = field(default_factory=lambda: list(DISTRICT))

    def version(self) -> Version:
        return {"survey.counted.v1": {0: 1}}

    def figures(self, filters: Filters, version: Version | None = None) -> Figures:
        cells = {
            (code, "2026-01"): Counts(scores=(bad, 0, 0, 0, good), ended=good + bad, asked=good + bad, reached=good + bad)
            for code, (good, bad) in self.answers.items()
        }
        return Figures(41, self.version(), START, cells)

    def registry(self, version: Version | None = None) -> Registry:
        return Registry(self.rows)

    def targets(self, version: Version | None = None) -> Targets:
        return Targets(0.9)


class People:
    """Accounts on a real ledger; real time moves only by ``pass_``."""

    def __init__(self, folder: Path, blank: Path) -> None:
        """``blank``: a migrated, empty ledger, to be copied."""
        url = f"sqlite:///{shutil.copy(blank, folder / 'people.db')}"
        self.now = START
        self._numbers = count()
        self.ledger: Ledger = open_ledger(url, tools(real_now=lambda: self.now), "test")
        self.passwords = Passwords(HASHER)
        self.seal = FactorSeal(lambda: b"k" * 32)
        self.access = Access(self.ledger, self.seal, self.passwords, lambda: self.now, self.token)
        self.administration = Administration(self.ledger, lambda: self.now, self.token)
        self.door = Door(self.access, self.administration, "https://can-bo.example", lambda: self.now.timestamp(), self.token)
        with self.ledger.begin() as tx:
            for row in DISTRICT:
                tx.put_unit(row)

    def token(self) -> str:
        return f"token-{next(self._numbers):04d}-that-is-as-long-as-a-real-one-would-be"

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)

    def add(self, login: str, role: Role = "viewer", scope: str | None = None, password: str | None = PASSWORD, **fields: Any) -> Account:
        stored = self.passwords.hash(password) if password else None
        account = Account(login, f"Tên của {login}", role, scope, self.now, password=stored, **fields)
        with self.ledger.begin() as tx:
            assert tx.add_account(account)
        return account

    def session(self, login: str) -> str:
        """The token of a session, as if somebody had signed in."""
        token = self.token()
        with self.ledger.begin() as tx:
            tx.add_session(Session(token_hash(token), login, f"csrf of {login}", "full", self.now, self.now))
        return token

    def browser(self, app: Starlette, login: str) -> Browser:
        """Somebody who has signed in."""
        browser = Browser(app)
        browser.cookies.set("hailong", self.session(login), domain="127.0.0.1")
        return browser

    def of(self, login: str) -> Account:
        with self.ledger.read() as reader:
            found = reader.account(login)
        assert found is not None
        return found

    def trail(self) -> list[tuple[str, str, str]]:
        with self.ledger.read() as reader:
            assert reader.verify_audit().broken is None
            return [(e.actor, e.act, e.object) for e in reader.audit(limit=1000)]


class Form(HTMLParser):
    """The forms of a page: action → its fields as they stand."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self._select = self._area = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((a.get("action", ""), {}))
        elif tag == "input" and a.get("type") != "checkbox" and "name" in a and self.forms:
            self.forms[-1][1][a["name"]] = a.get("value", "")
        elif tag == "select" and self.forms:
            self._select = a["name"]
            self.forms[-1][1][self._select] = ""
        elif tag == "textarea" and self.forms:
            self._area = a["name"]
            self.forms[-1][1][self._area] = ""
        elif tag == "option" and self._select and "selected" in a:
            self.forms[-1][1][self._select] = a["value"]

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1][1][self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""


class Browser:
    """Somebody at a browser that keeps cookies, follows redirects and sends forms as they stand on the page."""

    def __init__(self, app: Starlette, base: str = "http://127.0.0.1", peer: str = "127.0.0.1") -> None:
        self.app = app
        self.base = base
        self.peer = peer
        self.cookies = httpx.Cookies()
        self.page = httpx.Response(200, text="")

    def get(self, address: str, **headers: str) -> httpx.Response:
        return self._go("GET", address, headers=headers)

    def post(self, address: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        return self._go("POST", address, data=fields, headers=headers)

    def submit(self, to: str, of: str | None = None, **fields: str) -> httpx.Response:
        """Send the page's form whose action begins with ``to`` (that of the account ``of``), with these fields filled in."""
        for action, standing in Form(self.page.text).forms:
            if action.partition("?")[0] == to and of in (None, standing.get("login")):
                return self.post(str(self.page.url.join(action)), standing | fields)
        raise AssertionError(f"no form to {to} on {self.page.url}")

    def sign_in(self, login: str, password: str = PASSWORD) -> httpx.Response:
        self.get("/sign-in?lang=vi")
        (standing,) = [fields for action, fields in Form(self.page.text).forms if action.startswith("/sign-in")]
        return self.post("/sign-in?lang=vi", standing | {"login": login, "password": password})

    def _go(self, method: str, address: str, **options: Any) -> httpx.Response:
        self.page = asyncio.run(self._send(method, address, **options))
        return self.page

    async def _send(self, method: str, address: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(self.peer, 40000))
        async with httpx.AsyncClient(transport=transport, base_url=self.base, cookies=self.cookies, follow_redirects=True) as client:
            answer = await client.request(method, address, **options)
            self.cookies = client.cookies
        return answer
