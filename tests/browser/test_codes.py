"""Codes that lead nowhere, codes that are checked, the public draw, and pages there are none of."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

import pytest
import uvicorn

from hailong.domain import links
from hailong.domain.draw_published import Line, PublishedSeed, line_id
from hailong.ports import Retryable
from surveys.doors.drawing import DrawFound
from surveys.site import build_site
from surveys.wording import office
from tests.browser.checks import look
from tests.browser.citizen import LANGUAGES, Citizen
from tests.browser.conftest import Visit
from tests.browser.office import DESK, NOW, ROOT, Office, free_port
from tests.survey.twins import HandClock, MemoryLedger, MemoryLog, parts
from web.assembly import server
from web.pages import texts

pytestmark = pytest.mark.thorough

Words = dict[str, dict[str, Any]]
both_languages = pytest.mark.parametrize("lang", LANGUAGES)
everybody = pytest.mark.parametrize(
    ("lang", "js"), [("vi", True), pytest.param("en", False, marks=pytest.mark.thorough)], ids=["vi-js", "en-nojs"]
)
"""These pages have no scripts of their own: each language, and each way of having scripts, is tried once."""
UNKNOWN: Final = links.code(b"u" * 32, "nobody", "invitation", "sms")


@pytest.fixture(scope="session")
def shared() -> dict[str, dict[str, Any]]:
    """Language → what every site of ours says."""
    return texts(ROOT / "web" / "texts")


# --- a link


@everybody
def test_a_wrong_code(visit: Visit, words: Words, lang: str, js: bool) -> None:
    citizen = visit(lang=lang, js=js)
    for typed in (UNKNOWN, "not-a-code"):
        assert citizen.open(f"/{typed}").status == 404
        citizen.at(words[lang]["unknown"]["title"])
    look(citizen, "unknown")


@everybody
def test_an_expired_link_says_until_when_and_who_takes_the_answer_now(
    visit: Visit, site: Office, words: Words, lang: str, js: bool
) -> None:
    citizen = visit(lang=lang, js=js)
    assert citizen.open(f"/{site.slip(ended=date(2026, 1, 20)).code}").status == 410
    citizen.at(words[lang]["expired"]["title"])
    citizen.reads(DESK, office().hotline, "2026")
    look(citizen, "expired")


# --- a message


@everybody
def test_a_message_of_ours_is_told_from_a_fake(visit: Visit, site: Office, words: Words, lang: str, js: bool) -> None:
    slip, said = site.slip(), words[lang]["verify"]
    citizen = visit(lang=lang, js=js)
    citizen.open("/verify")
    citizen.at(said["title"])
    look(citizen, "verify")
    citizen.type(said["code"], "x")
    citizen.press(said["check"])
    citizen.reads(said["no_code"]["text"])
    look(citizen, "verify-no-code")
    citizen.type(said["code"], slip.slip_code.lower())
    citizen.page.keyboard.press("Enter")
    citizen.page.get_by_role("heading", name=said["sent"]["title"]).wait_for()
    citizen.reads(said["kinds"]["invitation"])
    look(citizen, "verify-sent")
    citizen.follow(said["another"])
    citizen.type(said["code"], UNKNOWN)
    citizen.press(said["check"])
    citizen.at(said["not_sent"]["title"])
    look(citizen, "verify-not-sent")
    citizen.type(said["report"]["message"], "HCC HOABINH: nộp 500.000 đồng tại http://hoabinh.example")
    citizen.press(said["report"]["button"])
    citizen.at(said["reported"]["title"])
    look(citizen, "verify-reported")


# --- the draw

_OPENING: Final = b"o" * 16
_DAY: Final = date(2026, 3, 10)
_LINE: Final = Line(line_id(_OPENING, "ref-1"), "H28.12", True, "asked", 2, _DAY)
_SEEDS: Final = (
    PublishedSeed(date(2026, 3, 11), "b" * 64, datetime(2026, 3, 11, 9, 30, tzinfo=NOW.tzinfo)),
    PublishedSeed(
        _DAY, "a" * 64, datetime(2026, 3, 9, 12, 0, tzinfo=NOW.tzinfo), "5e" * 32, datetime(2026, 3, 11, 0, 5, tzinfo=NOW.tzinfo)
    ),
)


class Drawn:
    """What may be known of a draw: one line found, one that waits."""

    away = False

    def seeds(self) -> Sequence[PublishedSeed]:
        if self.away:
            raise Retryable("ledger: away", 7.0)
        return _SEEDS

    def lines(self, day: date) -> Sequence[Line] | None:
        return [_LINE, Line("c" * 32, "", False, "personal", 1, _DAY)] if day == _DAY else None

    def find(self, code: str) -> DrawFound | None:
        found = DrawFound(_LINE, _DAY, 0.25, _OPENING.hex(), "ref-1")
        return {"FOUND": found, "WAITS": DrawFound(None, None, None, "", "")}.get(code)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Drawn]]:
    """Address of a site whose store is a twin: the real one needs weeks of decisions to have a list."""
    book, port = Drawn(), free_port()
    made = parts(tmp_path_factory.mktemp("drawn"), MemoryLedger(), MemoryLog(), HandClock(), [0.0], unknown_codes_per_minute=600)
    serving = uvicorn.Server(server(build_site(replace(made, draw=book)), "127.0.0.1", port))
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}", book
    serving.should_exit = True
    thread.join(15)


def _looked_for(citizen: Citizen, words: Words, code: str) -> None:
    said = words[citizen.lang]["draw"]
    citizen.open("/draw")
    citizen.type(said["code"], code)
    citizen.press(said["look"])


@pytest.mark.thorough
@everybody
def test_ones_own_line_of_the_draw(visit: Visit, words: Words, drawn: tuple[str, Drawn], lang: str, js: bool) -> None:
    said, citizen = words[lang]["draw"], visit(drawn[0], lang=lang, js=js)
    citizen.open("/draw")
    look(citizen, "draw")
    for code, state in (("?", "no_code"), ("NOBODY", "unknown"), ("WAITS", "waiting"), ("FOUND", "found")):
        _looked_for(citizen, words, code)
        citizen.reads(said[state]["title"])
        look(citizen, f"draw-{state}")
    citizen.page.get_by_text(said["found"]["check"], exact=True).click()
    citizen.reads(said["found"]["check_text"])
    citizen.page.get_by_role("link", name=said["found"]["list"], exact=True).first.click()
    assert citizen.page.get_by_role("row").count() == 3
    look(citizen, "draw-day")


@both_languages
def test_a_draw_that_cannot_be_read_says_so(visit: Visit, site: Office, words: Words, lang: str) -> None:
    citizen = visit(lang=lang)
    _looked_for(citizen, words, site.slip().dossier_code)  # its ClickHouse is away
    citizen.reads(words[lang]["draw"]["away"]["title"])
    look(citizen, "draw-away")


# --- no page


@everybody
def test_no_such_page_and_no_such_request(visit: Visit, site: Office, shared: Words, lang: str, js: bool) -> None:
    citizen = visit(lang=lang, js=js)
    assert citizen.open("/a/b/c").status == 404
    citizen.at(shared[lang]["errors"]["404"]["title"])
    look(citizen, "error-404")
    citizen.page.set_content(f'<form method="post" action="{site.url}/{UNKNOWN}/why"><button>x</button></form>')
    citizen.press("x")
    citizen.at(shared[lang]["errors"]["405"]["title"])
    look(citizen, "error-405")
