"""A person at a browser: what is on the screen, what went over the wire, and whom else the page tried to reach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, Response, Route, expect

LOCALES: Final = {"vi": "vi-VN", "en": "en-GB"}
LANGUAGES: Final = tuple(LOCALES)
_OWN: Final = ("data:", "blob:", "about:")
_STATUS: Final = "Failed to load resource: the server responded"


@dataclass(frozen=True)
class Screen:
    """Size in CSS pixels."""

    name: str
    width: int
    height: int


PHONE: Final = Screen("phone", 360, 640)
DESKTOP: Final = Screen("desktop", 1280, 800)
NARROW: Final = Screen("narrow", 320, 640)
ZOOMED: Final = Screen("zoomed", 320, 256)
"""1280 × 1024 at 400 % (WCAG 1.4.10)."""


@dataclass
class Citizen:
    """One person with one tab."""

    page: Page
    home: str
    """Address of the site; nothing else may be reached."""
    lang: str
    js: bool
    shots: Path | None
    """Folder of the pictures."""
    reached: list[str] = field(default_factory=list)
    """Whom the pages tried to reach besides the site."""
    complaints: list[str] = field(default_factory=list)
    """Errors of scripts, and what the content security policy refused."""
    requests: list[Request] = field(default_factory=list)
    """Since the last ``open``."""

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    def open(self, path: str) -> Response:
        """Type an address."""
        self.requests.clear()
        answer = self.page.goto(self.home + path)
        assert answer is not None
        return answer

    def press(self, name: str | re.Pattern[str]) -> None:
        """The button of that name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        """The link of that name."""
        self.page.get_by_role("link", name=name, exact=True).click()

    def choose(self, name: str) -> None:
        """A radio button or checkbox, by touching its row."""
        self.page.get_by_text(name, exact=True).click()

    def chosen(self, name: str) -> bool:
        return self.option(name).is_checked()

    def option(self, name: str) -> Locator:
        """The radio button or checkbox of that name."""
        return self.page.get_by_role("radio", name=name, exact=True).or_(self.page.get_by_role("checkbox", name=name, exact=True))

    def type(self, label: str, text: str) -> None:
        """Into the field of that label."""
        self.page.get_by_label(label, exact=True).fill(text)

    def at(self, *headings: str) -> str:
        """Wait for the page whose one heading is among these; the heading."""
        named = re.compile("|".join(f"^\\s*{re.escape(heading)}\\s*$" for heading in headings))
        expect(self.page.get_by_role("heading", level=1)).to_have_text([named])
        return self.page.get_by_role("heading", level=1).inner_text()

    def reads(self, *texts: str) -> None:
        """Wait until all of these stand in the main part of the page."""
        for text in texts:
            expect(self.page.get_by_role("main")).to_contain_text(text)

    @property
    def text(self) -> str:
        """Everything that can be read in the main part of the page, as it stands."""
        return self.page.get_by_role("main").inner_text()

    def sized(self, screen: Screen) -> None:
        self.page.set_viewport_size({"width": screen.width, "height": screen.height})

    def shot(self, name: str) -> Path | None:
        """A picture of the whole page, where somebody wants to look at it."""
        if self.shots is None:
            return None
        path = self.shots / f"{name}.png"
        self.page.screenshot(path=path, full_page=True, animations="disabled")
        return path

    def faults(self) -> list[str]:
        """What no visit may do: reach others, break, set cookies, send referrers."""
        said = [f"reached {url}" for url in self.reached] + self.complaints
        said += [f"set the cookie {cookie.get('name')}" for cookie in self.context.cookies()]
        return said + [f"sent a referrer to {r.url}" for r in self.requests if r.headers.get("referer")]

    # --- what the browser tells

    def _asked(self, request: Request) -> None:
        self.requests.append(request)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_STATUS):
            self.complaints.append(message.text)

    def _broke(self, error: Exception) -> None:
        self.complaints.append(str(error))

    def _stop(self, route: Route) -> None:
        self.reached.append(route.request.url)
        route.abort()


@contextmanager
def visiting(
    browser: Browser, home: str, shots: Path | None, *, lang: str = "vi", screen: Screen = PHONE, js: bool = True, touch: bool = False
) -> Iterator[Citizen]:
    """A person with a fresh browser. Afterwards: AssertionError for whatever ``Citizen.faults`` names."""
    context = browser.new_context(
        viewport={"width": screen.width, "height": screen.height},
        locale=LOCALES[lang],
        timezone_id="Asia/Ho_Chi_Minh",
        java_script_enabled=js,
        has_touch=touch,
        base_url=home,
    )
    context.set_default_timeout(10_000)
    try:
        citizen = Citizen(context.new_page(), home, lang, js, shots)
        context.route(lambda url: not url.startswith((f"{home}/", *_OWN)), citizen._stop)
        context.on("request", citizen._asked)
        context.on("console", citizen._said)
        citizen.page.on("pageerror", citizen._broke)
        yield citizen
        faults = citizen.faults()
        assert not faults, "\n".join(faults)
    finally:
        context.close()
