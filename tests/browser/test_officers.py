"""Every page and state of the officers' site in a real Chromium: axe-core, nothing sideways, targets, keyboard.

One walk in Vietnamese and daylight belongs to every run; the others, English, the dark and the whole keyboard walk are ``--thorough``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page
from starlette.routing import Route

from hailong.domain.access import Role
from sinks.ledger import migrate
from tests.browser import desks
from tests.browser.checks import axe, keyboard_walk, not_sideways, small_targets, spaced
from tests.browser.citizen import DESKTOP, NARROW, PHONE, ZOOMED, Citizen, Screen
from tests.browser.desks import BELOW, CODE, OVER, SLIP, Bureau, Changing
from tests.dashboard.room import PASSWORD, START

CONTROL: Final = 48
"""Pixels that an officer's controls are high."""
CONTROLS: Final = "button,input:not([type=hidden]):not([type=checkbox]):not([type=radio]),select,textarea"
NO_PAGES: Final = frozenset(
    {
        "/healthz",
        "/readyz",
        "/robots.txt",
        "/api/v1/figures",
        "/api/v1/alerts",
        "/api/v1/alerts/precision",
        "/api/v1/quiet",
        "/api/v1/behind",
    }
)


@dataclass
class Officer(Citizen):
    """Somebody at a desk's screen; a session's cookie is all that may be kept."""

    def faults(self) -> list[str]:
        return [said for said in super().faults() if not said.startswith("set the cookie hailong")]

    def signs_in(self, bureau: Bureau, role: Role, scope: str | None = None) -> None:
        """As if the password had been typed."""
        token = bureau.people.session(bureau.account(role, scope))
        self.context.add_cookies([{"name": "hailong", "value": token, "url": self.home}])

    def signs_out(self) -> None:
        self.context.clear_cookies()

    def goes(self, path: str) -> None:
        self.open(f"{path}{'&' if '?' in path else '?'}lang={self.lang}")

    def fills(self, **fields: str) -> None:
        """Fields by name: typed into, or chosen."""
        for name, value in fields.items():
            found = self.page.locator(f'main [name="{name}"]').first
            if found.evaluate("e => e.tagName") == "SELECT":
                found.select_option(value)
            else:
                found.fill(value)

    def sends(self, action: str, button: str = "button:not([name])", *, unchecked: bool = False) -> None:
        """The form to ``action``, by its button; ``unchecked``: as a browser would that does not look at the fields."""
        pressed = self.page.locator(f'main form[action^="{action}?"] {button}').first
        if unchecked:
            pressed.evaluate("button => { button.form.noValidate = true; }")
        pressed.click()

    def ticks(self, name: str) -> None:
        self.page.locator(f'main [name="{name}"]').first.check()


Walk = Callable[[Officer, Bureau], Iterator[str]]
"""Goes from state to state, and names each while it stands on the screen."""


def outside(officer: Officer, bureau: Bureau) -> Iterator[str]:
    officer.goes("/sign-in")
    yield "sign-in"
    officer.fills(login="lan", password="không đúng")
    officer.sends("/sign-in", "button")
    yield "sign-in-refused"
    officer.goes("/sign-in?done=out")
    yield "sign-in-out"
    officer.fills(login=bureau.account("operator"), password=PASSWORD)
    officer.sends("/sign-in", "button")
    yield "code"
    officer.fills(code="000000")
    officer.sends("/sign-in/code", "button")
    yield "code-refused"
    officer.signs_out()
    token = bureau.link()
    officer.goes(f"/welcome/{token}")
    yield "welcome"
    officer.fills(password="một hai ba bốn", again="một hai ba năm")
    officer.sends("", "button", unchecked=True)
    yield "welcome-weak"
    officer.goes("/welcome/nothing-of-ours")
    yield "welcome-gone"


def figures(officer: Officer, bureau: Bureau) -> Iterator[str]:
    officer.signs_in(bureau, "quality_officer")
    officer.goes("/")
    yield "figures"
    for summary in officer.page.locator("main summary").all():
        summary.click()
    yield "figures-open"
    officer.goes("/?from=2026-03&level=commune&order=support")
    yield "figures-chosen"
    officer.signs_in(bureau, "unit_officer", "C03")
    officer.goes("/")
    yield "figures-few"
    officer.goes("/?level=abc")
    yield "figures-wrong"
    officer.goes("/accounts")
    yield "not-allowed"
    officer.goes("/nowhere")
    yield "not-found"


def behind(officer: Officer, bureau: Bureau) -> Iterator[str]:
    officer.signs_in(bureau, "quality_officer")
    officer.goes("/behind")
    yield "behind"
    for summary in officer.page.locator("main summary").all():
        summary.click()
    yield "behind-open"
    officer.goes("/behind?unit=C02&was=2025-01&now=2026-03&months=3")
    yield "behind-unit"
    officer.signs_in(bureau, "viewer", "C03")
    officer.goes("/behind?from=2024-01&to=2024-02")
    yield "behind-none"
    officer.signs_in(bureau, "viewer")
    officer.goes("/behind")
    yield "behind-steps"
    officer.goes("/behind?was=2026-03&now=2026-02")
    yield "behind-wrong"


def accounts(officer: Officer, bureau: Bureau) -> Iterator[str]:
    officer.signs_in(bureau, "administrator")
    officer.goes("/account?done=password")
    yield "account"
    officer.fills(old="không đúng", password="một hai ba bốn", again="một hai ba bốn")
    officer.sends("/account/password")
    yield "account-wrong"
    officer.goes("/account")
    officer.page.locator('main form[action^="/account/factor/begin"] [name="old"]').fill(PASSWORD)
    officer.sends("/account/factor/begin")
    yield "factor"
    officer.fills(code="000000")
    officer.sends("/account/factor", "button")
    yield "factor-refused"
    officer.goes("/accounts?done=changed")
    for summary in officer.page.locator("main summary").all():
        summary.click()
    yield "accounts"
    new = officer.page.locator('main form[action^="/accounts?"]')
    new.locator('[name="login"]').fill("lan nguyễn")
    new.locator('[name="name"]').fill("Lan")
    new.locator("button").click()
    yield "accounts-wrong"
    new.locator('[name="login"]').fill("lan.nguyen")
    new.locator("button").click()
    yield "link"


def stopping(officer: Officer, bureau: Bureau) -> Iterator[str]:
    officer.signs_in(bureau, "caller")
    officer.goes("/opt-out")
    yield "opt-out"
    officer.fills(contact="chín không")
    officer.sends("/opt-out")
    yield "opt-out-wrong"
    officer.fills(contact="0912 000 009")
    officer.sends("/opt-out")
    yield "opt-out-done"


def waiting(officer: Officer, bureau: Bureau) -> Iterator[str]:
    officer.signs_in(bureau, "quality_officer")
    officer.goes("/held")
    yield "held"
    for _ in range(2):
        officer.sends("/held", 'button[value="confirmed"]')
    yield "held-none"
    officer.goes("/call-backs")
    yield "call-backs"
    officer.sends("/call-backs", 'button[name="show"]')
    yield "call-backs-number"
    officer.fills(outcome="solved")
    officer.sends("/call-backs")
    yield "call-backs-none"
    officer.goes("/feedback")
    yield "feedback"
    officer.goes("/questionnaire")
    yield "questionnaire"
    officer.goes("/questionnaire?form=short&ending=refused")
    yield "questionnaire-short"
    officer.goes("/messages")
    yield "messages"
    officer.goes("/messages?from=abc")
    yield "messages-wrong"


def alerting(officer: Officer, bureau: Bureau) -> Iterator[str]:
    officer.signs_in(bureau, "quality_officer")
    officer.goes("/alerts")
    yield "alerts"
    data = next(one["id"] for one in bureau.alerts() if one["about"] == "data" and one["unit"])
    officer.goes(f"/alerts/{data}")
    yield "alert-data"
    officer.goes(f"/alerts/{BELOW}")
    yield "alert"
    with bureau.people.ledger.begin() as tx:
        tx.close_alert(BELOW, "confirmed", 1, "minh", START)
    officer.sends(f"/alerts/{BELOW}", 'button[value="not_found"]')
    yield "alert-stale"
    officer.sends(f"/alerts/{BELOW}", 'button[value="confirmed"]')
    yield "alert-closed"
    officer.goes("/alerts")
    officer.page.locator("main summary").click()
    yield "alerts-judged"
    officer.goes("/quiet")
    yield "quiet"
    officer.signs_in(bureau, "viewer")
    officer.goes(f"/alerts/{OVER}")
    yield "alert-looker"


def calling(officer: Officer, bureau: Bureau) -> Iterator[str]:
    officer.signs_in(bureau, "quality_officer")
    officer.goes("/calls")
    yield "calls-looker"
    officer.signs_in(bureau, "caller")
    officer.goes("/calls")
    yield "calls"
    officer.sends("/calls/take")
    yield "calls-entry"
    officer.sends("/calls/number")
    yield "calls-number"
    officer.sends("/calls/disposition", unchecked=True)
    yield "calls-wrong"
    officer.page.locator('[name="disposition"][value="no_answer"]').check()
    officer.sends("/calls/disposition")
    yield "calls-again"


def helping(officer: Officer, bureau: Bureau) -> Iterator[str]:
    officer.signs_in(bureau, "desk")
    officer.goes("/assist")
    yield "assist"
    officer.fills(code="H28-000000-0000")
    officer.sends("/assist")
    yield "assist-wrong"
    officer.fills(code=CODE)
    officer.sends("/assist")
    yield "assist-found"
    officer.sends("/assist/begin", unchecked=True)
    yield "assist-mine"
    officer.goes("/paper")
    yield "paper"
    officer.fills(code=SLIP)
    officer.sends("/paper", unchecked=True)
    yield "paper-wrong"
    officer.page.locator('[name="Q0"][value="4"]').check()
    officer.ticks("mine")
    officer.sends("/paper")
    yield "paper-done"
    officer.goes("/assist")
    officer.fills(code=CODE)
    officer.sends("/assist")
    yield "assist-over"
    officer.goes("/paper/again")
    yield "paper-again"
    officer.page.locator("main li a").first.click()
    yield "paper-again-scan"
    officer.signs_in(bureau, "desk", "C03")
    officer.goes("/paper/again")
    officer.page.locator("main li a").last.click()
    yield "paper-again-no-scan"
    officer.signs_in(bureau, "quality_officer")
    officer.goes("/paper")
    yield "paper-looker"


def telling(officer: Officer, bureau: Bureau) -> Iterator[str]:
    officer.signs_in(bureau, "unit_officer", "D1")
    officer.goes("/did")
    yield "did-none"
    officer.sends("/did", "button", unchecked=True)
    yield "did-wrong"
    words = {"said_vi": "Chờ lâu vào sáng thứ hai, chỉ có một quầy mở.", "did_vi": "Từ 1/4 mở thêm một quầy; hỏi chị Lan 0912 345 678."}
    officer.fills(unit="C01", **words)
    officer.sends("/did", "button")
    yield "did-ready"
    officer.sends("/did", 'button[value="publish"]')
    yield "did-published"
    officer.page.locator("main article summary").click()
    officer.page.locator('main article a[href*="correct="]').click()
    yield "did-correct"
    officer.page.locator("main form summary").click()
    officer.fills(said_en="Long waits on Monday mornings.", did_en="One more desk since 1 April.")
    officer.sends("/did", "button")
    yield "did-ready-corrected"
    officer.sends("/did", 'button[value="publish"]')
    for summary in officer.page.locator("main summary").all():
        summary.click()
    yield "did-open"
    officer.sends("/did", 'button[value="withdraw"]')
    yield "did-withdrawn"


def operations(officer: Officer, bureau: Bureau) -> Iterator[str]:
    officer.signs_in(bureau, "operator")
    officer.goes("/operations")
    yield "operations"


WALKS: Final[dict[Walk, frozenset[str]]] = {
    outside: frozenset({"/sign-in", "/sign-in/code", "/welcome/{token}"}),
    figures: frozenset({"/"}),
    behind: frozenset({"/behind"}),
    accounts: frozenset({"/account", "/account/factor", "/accounts"}),
    stopping: frozenset({"/opt-out"}),
    waiting: frozenset({"/held", "/call-backs", "/feedback", "/questionnaire", "/messages"}),
    alerting: frozenset({"/alerts", "/alerts/{id:str}", "/quiet"}),
    calling: frozenset({"/calls"}),
    helping: frozenset({"/assist", "/paper", "/paper/again", "/paper/again/{paper:int}"}),
    telling: frozenset({"/did"}),
    operations: frozenset({"/operations"}),
}
"""Where each comes by."""
every_walk = pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.__name__)


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blank") / "blank.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Changing, str]]:
    """One server for all of them."""
    with desks.served() as made:
        yield made


@pytest.fixture
def bureau(tmp_path: Path, blank: Path, server: tuple[Changing, str]) -> Iterator[Bureau]:
    with desks.opened(tmp_path, blank, *server) as made:
        yield made


def visiting(
    browser: Browser, home: str, shots: Path | None, lang: str, dark: bool, walk: Walk, bureau: Bureau
) -> Iterator[tuple[str, Officer]]:
    """The states of a walk, one after the other; afterwards AssertionError for whatever ``Citizen.faults`` names."""
    context = browser.new_context(
        viewport={"width": PHONE.width, "height": PHONE.height}, locale="vi-VN" if lang == "vi" else "en-GB",
        timezone_id="Asia/Ho_Chi_Minh", color_scheme="dark" if dark else "light", base_url=home,
    )  # fmt: skip
    context.set_default_timeout(10_000)
    try:
        officer = Officer(context.new_page(), home, lang, True, shots)
        context.route(lambda url: not url.startswith((f"{home}/", "data:", "about:")), officer._stop)
        context.on("console", officer._said)
        officer.page.on("pageerror", officer._broke)
        for name in walk(officer, bureau):
            yield name, officer
        assert not (faults := officer.faults()), "\n".join(faults)
    finally:
        context.close()


def sized(page: Page, screen: Screen) -> None:
    page.set_viewport_size({"width": screen.width, "height": screen.height})


def inspect(officer: Officer, name: str, *, dark: bool = False) -> None:
    """What must hold of every state, at every run."""
    page = officer.page
    sized(page, PHONE)
    axe(page)
    assert not (small := small_targets(page, CONTROL, CONTROLS)), "\n".join([name, *small])
    officer.shot(f"office-{name}-{officer.lang}{'-dark' if dark else ''}-phone")
    sized(page, NARROW)
    not_sideways(page)
    sized(page, DESKTOP)
    not_sideways(page)
    officer.shot(f"office-{name}-{officer.lang}{'-dark' if dark else ''}-desktop")


@pytest.mark.parametrize(
    ("lang", "dark"),
    [("vi", False), *(pytest.param(*one, marks=pytest.mark.thorough) for one in (("en", False), ("vi", True), ("en", True)))],
    ids=lambda value: value if isinstance(value, str) else "dark" if value else "light",
)
@pytest.mark.parametrize(
    "walk",
    [walk if walk is figures else pytest.param(walk, marks=pytest.mark.thorough) for walk in WALKS],
    ids=lambda walk: walk.__name__,
)
def test_pages_can_be_used_by_everybody(
    browser: Browser, bureau: Bureau, server: tuple[Changing, str], shots: Path | None, walk: Walk, lang: str, dark: bool
) -> None:
    for name, officer in visiting(browser, bureau.url, shots, lang, dark, walk, bureau):
        inspect(officer, name, dark=dark)
    assert WALKS[walk] <= server[0].opened


def test_every_page_of_the_site_is_on_a_walk(bureau: Bureau) -> None:
    pages = {one.path for one in bureau.app().routes if isinstance(one, Route) and "GET" in (one.methods or ())}
    assert pages - NO_PAGES == frozenset().union(*WALKS.values())


@pytest.mark.thorough
@every_walk
def test_every_state_by_keyboard_zoomed_and_with_the_readers_own_spacing(browser: Browser, bureau: Bureau, walk: Walk) -> None:
    for _name, officer in visiting(browser, bureau.url, None, "vi", False, walk, bureau):
        sized(officer.page, PHONE)
        keyboard_walk(officer.page)
        sized(officer.page, ZOOMED)
        not_sideways(officer.page)
        spaced(officer.page)
