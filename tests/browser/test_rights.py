"""Who asks and why; no more messages, and messages again: each page by finger and keyboard, with scripts and without."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.checks import look
from tests.browser.citizen import LANGUAGES
from tests.browser.conftest import Visit
from tests.browser.office import Office

Words = dict[str, dict[str, Any]]
both_languages = pytest.mark.parametrize("lang", LANGUAGES)
everybody = pytest.mark.parametrize(
    ("lang", "js"), [("vi", True), pytest.param("en", False, marks=pytest.mark.thorough)], ids=["vi-js", "en-nojs"]
)
"""These pages have no scripts of their own: each language, and each way of having scripts, is tried once."""


@everybody
def test_no_more_messages_and_messages_again(visit: Visit, site: Office, words: Words, lang: str, js: bool) -> None:
    slip, said = site.slip(), words[lang]
    citizen = visit(lang=lang, js=js)
    citizen.open(f"/{slip.code}/stop")
    citizen.at(said["stop"]["title"])
    assert site.may_write_to(slip), "looking changes nothing"
    look(citizen, "stop")
    citizen.press(said["stop"]["button"])
    citizen.reads(said["stop"]["done"])
    assert not site.may_write_to(slip)
    look(citizen, "stopped")
    citizen.follow(said["stop"]["change"])
    look(citizen, "start")
    citizen.press(said["start"]["button"])
    citizen.reads(said["start"]["done"])
    assert site.may_write_to(slip)
    look(citizen, "started")


@everybody
def test_from_the_question_to_why_and_back_by_keyboard(visit: Visit, site: Office, words: Words, lang: str, js: bool) -> None:
    slip, said = site.slip(), words[lang]
    citizen = visit(lang=lang, js=js)
    citizen.open(f"/{slip.code}/why")
    citizen.at(said["why"]["title"])
    for part in said["why"]["parts"]:
        assert citizen.page.get_by_role("heading", level=2, name=part["title"], exact=True).is_visible()
    stops = look(citizen, "why")
    assert f'link "{said["why"]["back"]}"' in [stop.said for stop in stops]
    citizen.page.get_by_role("link", name=said["why"]["back"]).focus()
    citizen.page.keyboard.press("Enter")
    citizen.page.wait_for_url(f"**/{slip.code}?*")
    citizen.follow(said["why_link"])
    citizen.at(said["why"]["title"])


@both_languages
def test_stopping_from_the_question_by_keyboard(visit: Visit, site: Office, words: Words, lang: str) -> None:
    slip, said = site.slip(), words[lang]
    citizen = visit(lang=lang, js=False)
    citizen.open(f"/{slip.code}/why")
    citizen.follow(said["why"]["back"])
    citizen.page.get_by_role("link", name=said["stop_link"]).focus()
    citizen.page.keyboard.press("Enter")
    citizen.page.get_by_role("button", name=said["stop"]["button"]).focus()
    citizen.page.keyboard.press("Space")
    citizen.page.get_by_role("heading", name=said["stop"]["done_title"]).wait_for()
    assert not site.may_write_to(slip)


@both_languages
def test_the_home_page_says_who_asks(visit: Visit, words: Words, lang: str) -> None:
    citizen = visit(lang=lang)
    assert citizen.open("/").status == 200
    citizen.at(words[lang]["why"]["title"])
    look(citizen, "home")
