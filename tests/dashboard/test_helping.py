"""``/assist`` and ``/paper``: found by a code, nothing shown but desk and day, who entered is kept, and a slip counts once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hailong.domain.people import normal_phone
from tests.dashboard.room import Browser
from tests.dashboard.talking_room import Room, led_to, room

CODE = "H28-260302-0001"
SLIP = "SLIPCODE"
SCAN = b"\x89PNG\r\n\x1a\n" + b"the slip"


@pytest.fixture
def here(tmp_path: Path, blank: Path) -> Iterator[Room]:
    made = room(tmp_path, blank)
    yield made
    made.people.ledger.close()


@pytest.fixture
def survey(here: Room) -> str:
    return here.dossier(CODE, slip=SLIP)


@pytest.fixture
def desk(here: Room, survey: str) -> Browser:
    browser = here.browser("desk", "C01")
    browser.get("/assist?lang=en")
    return browser


def acts(here: Room, actor: str) -> list[tuple[str, str]]:
    return [(act, obj) for who, act, obj in here.people.trail() if who == actor]


def enter(browser: Browser, scan: bytes = b"", **more: Any) -> httpx.Response:
    """The slip, filled in: satisfied, one tick left out, a comment."""
    browser.get("/paper?lang=en")
    csrf = browser.page.text.partition('name="csrf" value="')[2].partition('"')[0]
    fields = {
        "csrf": csrf,
        "code": CODE,
        "mine": "no",
        "language": "vi",
        "Q0": "4",
        "Q1": "na",
        "Q6": "2",
        "Q8": "cảm ơn cô Nguyễn Thị Hoa",
    }
    files = {"scan": ("phieu.png", scan, "image/png")} if scan else {"scan": ("", b"", "application/octet-stream")}
    return browser._go("POST", "/paper?lang=en", data=fields | more, files=files)


# --- help at the desk


@pytest.mark.parametrize("code", [CODE, f"  {CODE} ", SLIP])
def test_a_code_shows_desk_and_day_and_nothing_else(here: Room, desk: Browser, survey: str, code: str) -> None:
    page = desk.submit("/assist", code=code)
    assert "Was the person at Xã 01 on 24 March 2026?" in page.text
    assert survey not in page.text
    assert normal_phone("+84912000001").e164 not in page.text  # type: ignore[union-attr]
    assert acts(here, "desk-c01") == [("dossier_seen", f"survey:{survey}")]


def test_the_questionnaire_opens_once_it_is_said_that_the_work_is_not_ones_own(here: Room, desk: Browser, survey: str) -> None:
    desk.submit("/assist", code=CODE)
    refused = desk.submit("/assist/begin")
    assert (refused.status_code, "If you did, ask a colleague" in refused.text) == (422, True)
    desk.submit("/assist/begin", mine="no")
    state = led_to(desk)
    assert (state.survey_id, state.mode, state.form, state.helper) == (survey, "assisted", "full", "desk-c01")
    with here.people.ledger.begin() as tx:
        rows = [tuple(r) for r in tx.conn.exec_driver_sql('SELECT mode, "by" FROM helped')]
    assert rows == [("assisted", "desk-c01")]


def test_whoever_calls_in_is_away_from_the_desk(here: Room, survey: str) -> None:
    caller = here.browser("caller")
    caller.get("/assist?lang=en")
    caller.submit("/assist", code=CODE)
    caller.submit("/assist/begin", mine="no")
    state = led_to(caller)
    assert (state.mode, state.form) == ("call", "short")


@pytest.mark.parametrize(("role", "scope", "may"), [("desk", "C01", True), ("desk", "C02", False), ("unit_officer", "D1", True),
                                                    ("caller", "C01", False), ("caller", "D2", True), ("caller", None, True)])  # fmt: skip
def test_a_desk_helps_with_its_own_and_a_caller_never_with_their_units(
    here: Room, survey: str, role: Any, scope: str | None, may: bool
) -> None:
    browser = here.browser(role, scope)
    browser.get("/assist?lang=en")
    page = browser.submit("/assist", code=CODE)
    assert (page.status_code == 200) is may
    assert ("Xã 01" in page.text) is may


def test_unknown_codes_and_those_of_other_desks_are_told_alike_and_are_limited(here: Room, survey: str) -> None:
    browser = here.browser("desk", "C02")
    browser.get("/assist?lang=en")
    told = [browser.submit("/assist", code=code).text.replace(code, "") for code in (CODE, "H28-260302-9999")]
    assert told[0] == told[1]
    for _ in range(8):
        assert browser.submit("/assist", code="H28-000000-0000").status_code == 422
    last = browser.submit("/assist", code="H28-000000-0000")
    assert (last.status_code, "Too many codes" in last.text, "retry-after" in last.headers) == (429, True, True)
    assert acts(here, "desk-c02") == [("dossier_seen", "dossier:not found")] * 10


def test_where_an_answer_stands_there_is_no_way_in(here: Room, desk: Browser, survey: str) -> None:
    late = desk.submit("/assist", code=CODE)
    here.answer(survey)
    refused = desk.submit("/assist/begin", mine="no")
    assert (refused.status_code, len(refused.history)) == (409, 0)
    desk.page = late
    page = desk.submit("/assist", code=CODE)
    assert "one stands already" in page.text
    assert "/assist/begin" not in page.text


# --- paper


def test_a_slip_is_counted_once_as_paper_and_its_comment_is_masked(here: Room, desk: Browser, survey: str) -> None:
    assert "its answer counted" in enter(desk).text
    rows = [msgspec.json.decode(p.record.value) for p in here.people.ledger.pending() if p.record.topic == "survey.answered.v1"]
    assert [(r["page"], r["answers"], r.get("finished", False)) for r in rows] == [
        (1, {"Q0": 4}, False), (3, {"Q1": None}, False), (8, {"Q6": "2"}, True),
    ]  # fmt: skip
    assert {(r["mode"], r["place"], r["form"], r["survey_id"], r["nonce"]) for r in rows} == {("paper", "desk", "full", survey, "nonce0")}
    with here.people.ledger.begin() as tx:
        assert tx.conn.exec_driver_sql("SELECT text FROM comments").scalar() == "cảm ơn cô [tên]"
        assert tx.conn.exec_driver_sql("SELECT answers FROM papers").scalar() == "{}"
    again = enter(desk)
    assert (again.status_code, "entered already" in again.text) == (422, True)


def test_what_went_wrong_is_kept_only_where_the_questionnaire_asks_it(here: Room, desk: Browser, survey: str) -> None:
    enter(desk, Q0="2", Q7=["slow", "trips"])
    first, second = [msgspec.json.decode(p.record.value) for p in here.people.ledger.pending() if p.record.topic == "survey.answered.v1"][
        :2
    ]
    assert (first["answers"], second["answers"]) == ({"Q0": 2}, {"Q7": ["slow", "trips"]})


def test_an_answer_that_stands_refuses_the_slip_with_the_reason(here: Room, desk: Browser, survey: str) -> None:
    here.answer(survey)
    said = enter(desk)
    assert (said.status_code, "stands already" in said.text) == (422, True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"Q0": ""}, "first question has no answer"), ({"Q0": "9"}, "none of the choices"), ({"mine": ""}, "did not handle"),
        ({"code": "H28-000000-0000"}, "leads to no dossier"), ({"Q8": "x" * 501}, "more than 500"), ({"Q99": "1"}, "not one of this page"),
    ],
)  # fmt: skip
def test_what_cannot_be_entered_is_said_and_what_was_ticked_stays(here: Room, desk: Browser, fields: dict[str, Any], said: str) -> None:
    page = enter(desk, **fields)
    assert page.status_code == 422
    assert said in page.text
    assert 'name="Q6" value="2" checked' in page.text
    with here.people.ledger.read() as reader:
        assert reader.paper_tally(here.clock.at).papers == 0


@pytest.mark.parametrize("scan", [b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n" + b"x" * (2 * 1024 * 1024)])
def test_a_scan_is_a_picture_or_a_pdf_of_two_megabytes(here: Room, desk: Browser, scan: bytes) -> None:
    assert "no JPEG, PNG or PDF" in enter(desk, scan).text


def test_only_the_page_that_takes_a_file_takes_much(here: Room, desk: Browser) -> None:
    assert desk.post("/assist?lang=en", {"csrf": "x", "code": "x" * 20_000}).status_code == 413


def test_a_drawn_slip_is_entered_again_by_another_unit_from_its_scan(here: Room, desk: Browser, survey: str) -> None:
    here.drawn = 0.01
    assert "its answer counted" in enter(desk, SCAN).text
    assert "No slip waits" in desk.get("/paper/again?lang=en").text
    other = here.browser("desk", "C03")
    assert 'href="/paper/again/1?lang=en"' in other.get("/paper/again?lang=en").text
    page = other.get("/paper/again/1?lang=en")
    assert 'src="data:image/png;base64,' in page.text
    assert "Xã 01, entered on 2 April 2026" in page.text
    assert " checked" not in page.text.replace('value="" checked', "")  # nothing of the first entry
    done = other.submit("/paper/again/1", Q0="5", Q6="2", Q1="na")
    assert "33.3% of answers entered twice differ" in done.text
    assert "n = 3 answers on 1 slips" in done.text
    assert "No slip waits" in other.get("/paper/again?lang=en").text
    assert ("vault_seen", f"survey:{survey}") in acts(here, "desk-c03")


def test_a_drawn_slip_without_a_scan_is_kept_and_found_by_its_code(here: Room, desk: Browser, survey: str) -> None:
    here.drawn = 0.01
    assert "keep it for 30 days" in enter(desk).text
    other = here.browser("caller")
    assert "There is no scan" in other.get("/paper/again/1?lang=en").text
    assert other.submit("/paper/again/1", Q0="4", code="H28-000000-0000").status_code == 422
    other.submit("/paper/again/1", Q0="4", Q6="2", Q1="na", code=CODE)
    assert "0.0% of answers entered twice differ" in other.page.text


def test_the_judged_desk_and_who_entered_it_never_enter_it_again(here: Room, desk: Browser, survey: str) -> None:
    here.drawn = 0.01
    enter(desk, SCAN)
    for browser in (desk, here.browser("unit_officer", "D1")):
        assert browser.get("/paper/again/1?lang=en").url.path == "/paper/again"


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_pages_are_whole_in_both_languages(here: Room, desk: Browser, survey: str, lang: str) -> None:
    here.drawn = 0.01
    enter(desk, SCAN)
    pages = [desk.get(f"/assist?lang={lang}"), desk.submit("/assist", code=CODE), desk.get(f"/paper?lang={lang}")]
    other = here.browser("desk", "C03")
    pages += [other.get(f"/paper/again?lang={lang}"), other.get(f"/paper/again/1?lang={lang}")]
    for page in pages:
        assert f'<html lang="{lang}">' in page.text
        assert "<script" not in page.text
        assert 'style="' not in page.text
        for tag in ("form", "section", "label", "fieldset", "ul", "p"):
            assert page.text.count(f"<{tag}>") + page.text.count(f"<{tag} ") == page.text.count(f"</{tag}>")
