"""The checks themselves find what is wrong: each is shown a page with one fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import chromium
from tests.browser.checks import SUNNY, axe, contrast, keyboard_walk, not_sideways, small_targets, spaced, tree
from tests.browser.citizen import NARROW, PHONE, Citizen, Screen, visiting
from tests.browser.office import Office

pytestmark = pytest.mark.thorough

GOOD = '<html lang="vi"><title>a</title><main><h1>Tiêu đề</h1>{}</main></html>'
RING = "<style>:focus-visible {{ outline: 3px solid #00594a }}</style>"


@pytest.fixture(scope="module")
def nobody(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Citizen]]:
    """Visitors of no site, with scripts and without, for all faults of this file."""
    with ExitStack() as visits:
        shots = tmp_path_factory.mktemp("none")
        yield {js: visits.enter_context(visiting(browser, "http://127.0.0.1:9", shots, js=js)) for js in (True, False)}


def shown(citizen: Citizen, body: str, screen: Screen = PHONE) -> Page:
    citizen.page.emulate_media(color_scheme="light")
    citizen.sized(screen)
    citizen.page.goto("about:blank")
    citizen.page.set_content(GOOD.format(body))
    return citizen.page


@pytest.mark.parametrize("js", [True, False])
@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ('<img src="data:,">', "image-alt"),
        ("<input type=text>", "label"),
        ('<p style="color:#999">mờ quá</p>', "color-contrast"),
        (
            '<button style="width:9px;height:9px;padding:0;border:0">a</button><button style="width:9px;padding:0;border:0">b</button>',
            "target",
        ),
    ],
)
def test_axe_finds(nobody: dict[bool, Citizen], body: str, rule: str, js: bool) -> None:
    page = shown(nobody[js], body)
    with pytest.raises(AssertionError, match=rule):
        axe(page)


def test_bright_sun_asks_for_more(nobody: dict[bool, Citizen]) -> None:
    page = shown(nobody[True], '<button style="background:#fff;color:#767676">Gửi</button>')
    axe(page)
    axe(page, sunny="legend")
    with pytest.raises(AssertionError, match="color-contrast-enhanced"):
        axe(page, sunny=SUNNY)
    page.emulate_media(color_scheme="dark")
    contrast(page)
    page.evaluate("() => { document.querySelector('button').style.color = '#999' }")
    with pytest.raises(AssertionError, match="color-contrast"):
        contrast(page)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="#x"></a><a href="#y">y</a>', "no name"),
        ('<button style="outline:0">a</button>', "focus ring has a contrast of 0"),
        ('<button style="outline:3px solid #eee">a</button>', "focus ring has a contrast of 1"),
        ('<button style="position:absolute;left:-99px">a</button>', "not in sight"),
        ('<button>a</button><div style="position:fixed;inset:0;background:#fff">x</div>', "covered"),
        ('<div style="display:flex;flex-direction:column-reverse"><button>a</button><button>b</button></div>', "comes after"),
        ('<button>a</button><button tabindex="1">b</button>', "tabindex"),
    ],
)
def test_the_keyboard_walk_finds(nobody: dict[bool, Citizen], body: str, fault: str) -> None:
    page = shown(nobody[False], RING.format() + body)
    with pytest.raises(AssertionError, match=fault):
        keyboard_walk(page)


def test_the_keyboard_walk_takes_a_group_of_radio_buttons_as_one(nobody: dict[bool, Citizen]) -> None:
    rows = "".join(f'<p><label><input type="radio" name="q" value="{n}">{n}</label></p>' for n in range(5))
    page = shown(nobody[True], f"{RING.format()}{rows}<p><button>Gửi</button></p>")
    assert [stop.said for stop in keyboard_walk(page)] == ['radio "0"', 'button "Gửi"']


@pytest.mark.parametrize(
    "body", ['<p style="width:400px">rộng</p>', '<p style="overflow:hidden;width:9px;white-space:nowrap">bị cắt mất</p>']
)
def test_what_sticks_out_is_found(nobody: dict[bool, Citizen], body: str) -> None:
    page = shown(nobody[True], body, NARROW)
    with pytest.raises(AssertionError, match="at 320 px"):
        not_sideways(page)


def test_what_breaks_under_the_readers_own_spacing_is_found(nobody: dict[bool, Citizen]) -> None:
    page = shown(nobody[True], '<p style="white-space:nowrap;font:16px monospace">một hàng chữ vừa đủ</p>', NARROW)
    page.evaluate("() => { const p = document.querySelector('p'); p.style.width = p.style.maxWidth = '100%'; p.style.fontSize = '24px' }")
    not_sideways(page)
    with pytest.raises(AssertionError, match="at 320 px"):
        spaced(page)


def test_small_targets_are_named_and_links_in_sentences_are_not(nobody: dict[bool, Citizen]) -> None:
    body = '<button style="height:20px">a</button><p>một câu dài với <a href="#x">liên kết</a></p>'
    (said,) = small_targets(shown(nobody[True], body), 48)
    assert "<button" in said


def test_the_tree_says_roles_and_names(nobody: dict[bool, Citizen]) -> None:
    assert '- heading "Tiêu đề" [level=1]' in tree(shown(nobody[True], ""))


# --- nobody but the site


def test_whoever_reaches_others_is_stopped_and_told_of(browser: Browser, site: Office, shots: Path | None) -> None:
    def visit() -> None:
        with visiting(browser, site.url, shots) as citizen:
            shown(citizen, '<img src="http://tracker.example/x.gif" alt="">')
            citizen.page.wait_for_load_state("networkidle")

    with pytest.raises(AssertionError, match=r"reached http://tracker\.example/x\.gif"):
        visit()


def test_names_are_never_looked_up(browser: Browser) -> None:
    page = browser.new_page()  # without the routes of a visit
    with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://localhost.example/")
    page.close()


@pytest.mark.parametrize(
    ("script", "said"), [("document.cookie = 'a=b'", "set the cookie a"), ("setTimeout(() => { throw new Error('hỏng') })", "hỏng")]
)
def test_cookies_and_broken_scripts_are_told_of(browser: Browser, site: Office, shots: Path | None, script: str, said: str) -> None:
    def visit() -> None:
        with visiting(browser, site.url, shots) as citizen:
            citizen.open("/verify")
            citizen.page.evaluate(script)
            citizen.page.evaluate("() => new Promise(done => setTimeout(done, 20))")

    with pytest.raises(AssertionError, match=said):
        visit()


# --- the browser


def test_an_installed_chromium_is_taken_before_a_downloaded_one(tmp_path: Path) -> None:
    downloaded = _program(tmp_path / "cache/chromium_headless_shell-1200/chrome-linux/headless_shell")
    newer = _program(tmp_path / "cache/chromium-1201/chrome-linux64/chrome")
    there = {"PATH": str(tmp_path / "bin"), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "cache")}
    assert chromium.find(there, tmp_path / "none") in (downloaded, newer)
    installed = _program(tmp_path / "bin/google-chrome")
    assert chromium.find(there, tmp_path / "none") == installed
    assert chromium.find({"PATH": "", "HOME": str(tmp_path)}, tmp_path / "none") is None


def test_without_any_the_package_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chromium.main({"PATH": str(tmp_path), "HOME": str(tmp_path)}, tmp_path) == 2
    assert "apt-get install chromium" in capsys.readouterr().err
    _program(tmp_path / "chromium")
    assert chromium.main({"PATH": str(tmp_path)}, tmp_path) == 0


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path
