"""``/did``: who may write about which unit, what is seen before anything is published, and that nothing is ever deleted."""

from __future__ import annotations

from typing import get_args

import httpx
import pytest
from starlette.applications import Starlette

from dashboard.app import build_dashboard
from hailong.domain.access import AT_A_DESK, Role
from tests.dashboard.room import Browser, Fixed, Form, People, Still

SAID, DID = "Chờ lâu vào sáng thứ hai", "Từ 1/4 mở thêm một quầy"


@pytest.fixture
def app(people: People) -> Starlette:
    return build_dashboard(Still(), list, Fixed(), people.door, measures=people.ledger)


def officer(people: People, app: Starlette, role: Role = "unit_officer", scope: str | None = "D1") -> Browser:
    login = f"{role}-{scope}".lower().replace("_", "-")
    people.add(login, role, scope)
    return people.browser(app, login)


def preview(browser: Browser, lang: str = "vi", **fields: str) -> httpx.Response:
    """Open the page, fill in its first form, look."""
    browser.get(f"/did?lang={lang}")
    return browser.submit("/did", step="preview", **{"unit": "C01", "day": "2026-04-01", "said_vi": SAID, "did_vi": DID} | fields)


def publish(browser: Browser, **fields: str) -> httpx.Response:
    preview(browser, **fields)
    return browser.submit("/did", step="publish")


def seen(people: People, unit: str = "C01") -> list[tuple[str, str]]:
    """By citizens."""
    with people.ledger.read() as reader:
        return [(one.said["vi"], one.did["vi"]) for one in reader.measures(unit, 10)]


def first_number(browser: Browser) -> str:
    return next(fields["number"] for _, fields in Form(browser.get("/did?lang=vi").text).forms if "number" in fields)


@pytest.mark.parametrize("role", get_args(Role))
def test_unit_and_quality_officers_write_and_nobody_else(people: People, app: Starlette, role: Role) -> None:
    browser = officer(people, app, role, "C01" if role in AT_A_DESK else None)
    front, may = browser.get("/?lang=vi").text, role in ("unit_officer", "quality_officer")
    assert (browser.get("/did").status_code, 'href="/did?lang=vi"' in front) == ((200, True) if may else (403, False))


def test_nothing_is_published_before_it_was_looked_at(people: People, app: Starlette) -> None:
    browser = officer(people, app)
    page = preview(browser, did_vi="Gọi chị Lan 0912 345 678 để được giúp")
    assert "Gọi chị [tên] [số điện thoại] để được giúp" in page.text
    assert "0912" not in page.text
    assert "Đã che: số điện thoại:\u00a01 · tên người:\u00a01." in page.text
    assert "<script" not in page.text
    assert seen(people) == []
    assert "Đã đăng." in browser.submit("/did", step="publish").text
    assert seen(people) == [(SAID, "Gọi chị [tên] [số điện thoại] để được giúp")]
    assert people.trail() == [("unit-officer-d1", "measure_put", "unit:C01")]


def test_what_is_sent_past_the_preview_is_masked_all_the_same(people: People, app: Starlette) -> None:
    browser = officer(people, app)
    preview(browser)
    browser.submit("/did", step="publish", did_vi="Gọi 0912 345 678")
    assert seen(people) == [(SAID, "Gọi [số điện thoại]")]


def test_from_the_preview_one_can_go_back_to_the_words(people: People, app: Starlette) -> None:
    browser = officer(people, app)
    preview(browser)
    page = browser.submit("/did", step="change")
    assert f">{SAID}</textarea>" in page.text
    assert 'value="2026-04-01"' in page.text
    assert '<option value="C01" selected>' in page.text
    assert seen(people) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"did_vi": " "}, "Hãy viết cả điều người dân nói"),
        ({"day": "2026-04-03"}, "Ngày này chưa đến"),
        ({"day": "2/4"}, "Hãy chọn ngày"),
        ({"unit": "C03"}, "Hãy chọn một đơn vị"),
        ({"said_vi": "a" * 501}, "dài hơn 500 chữ cái"),
        ({"said_en": "Long waits"}, "mới có một nửa"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(people: People, app: Starlette, fields: dict[str, str], said: str) -> None:
    browser = officer(people, app)
    page = preview(browser, **fields)
    assert (page.status_code, said in page.text) == (422, True)
    assert ("Chờ lâu vào sáng thứ hai</textarea>" in page.text) is ("said_vi" not in fields)
    assert seen(people, "C03") == seen(people) == []


def test_the_longest_texts_there_can_be_fit(people: People, app: Starlette) -> None:
    long = "ổ" * 500
    page = publish(officer(people, app), said_vi=long, did_vi=long, said_en=long, did_en=long)
    assert page.status_code == 200
    assert seen(people) == [(long, long)]


@pytest.mark.parametrize(
    ("role", "scope", "may"),
    [
        ("unit_officer", "C01", True),
        ("unit_officer", "D1", True),
        ("unit_officer", "C02", False),
        ("quality_officer", "D1", True),
        ("quality_officer", "D2", False),
    ],
)
def test_only_units_of_the_scope_are_offered_listed_and_changed(
    people: People, app: Starlette, role: Role, scope: str | None, may: bool
) -> None:
    author = officer(people, app, "quality_officer", None)
    publish(author)
    number, browser = first_number(author), officer(people, app, role, scope)
    page = browser.get("/did?lang=vi").text
    assert ('<option value="C01"' in page, SAID in page) == (may, may)
    assert (f">{SAID}</textarea>" in browser.get(f"/did?lang=vi&correct={number}").text) is may
    browser.get("/did?lang=vi")
    answer = browser.submit("/did", step="withdraw", number=number)
    assert (answer.status_code, seen(people)) == ((200, []) if may else (422, [(SAID, DID)]))


def test_a_correction_takes_the_place_of_what_stood_and_both_are_kept(people: People, app: Starlette) -> None:
    browser = officer(people, app)
    publish(browser)
    browser.get(f"/did?lang=vi&correct={first_number(browser)}")
    browser.submit("/did", step="preview", did_vi="Mở thêm hai quầy")
    assert "Đăng bản sửa" in browser.page.text
    page = browser.submit("/did", step="publish")
    assert "Đã đăng bản sửa." in page.text
    assert seen(people) == [(SAID, "Mở thêm hai quầy")]
    assert "Đã rút lại hoặc đã thay (1)" in page.text
    assert DID in page.text
    assert [act for _, act, _ in people.trail()] == ["measure_put", "measure_corrected"]


def test_what_was_withdrawn_meanwhile_is_not_corrected(people: People, app: Starlette) -> None:
    one, other = officer(people, app), officer(people, app, "quality_officer", None)
    publish(one)
    number = first_number(one)
    one.get(f"/did?lang=vi&correct={number}")
    other.get("/did?lang=vi")
    assert "Đã rút lại." in other.submit("/did", step="withdraw", number=number).text
    page = one.submit("/did", step="preview", did_vi="Mở thêm hai quầy")
    assert (page.status_code, "không còn hiện nữa" in page.text) == (422, True)
    assert seen(people) == []
    with people.ledger.read() as reader:
        assert [w.measure.did["vi"] for w in reader.written_measures(None, 10)] == [DID]


def test_the_same_form_sent_twice_publishes_once(people: People, app: Starlette) -> None:
    browser = officer(people, app)
    preview(browser)
    ready = browser.page
    for _ in range(2):
        browser.page = ready
        assert browser.submit("/did", step="publish").status_code == 200
    assert seen(people) == [(SAID, DID)]


def test_another_step_and_a_foreign_form_are_refused(people: People, app: Starlette) -> None:
    browser = officer(people, app)
    browser.get("/did?lang=vi")
    assert browser.submit("/did", step="delete").status_code == 422
    assert browser.post("/did?lang=vi", {"step": "publish"}).status_code == 403


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_what_was_typed_is_text_and_never_markup(people: People, app: Starlette, lang: str) -> None:
    browser = officer(people, app)
    page = preview(browser, lang, said_vi="<b>chờ</b>", said_en="<i>waits</i>", did_en="a desk")
    assert "&lt;b&gt;chờ" in page.text
    assert "&lt;i&gt;waits" in page.text
    listed = browser.submit("/did", step="publish").text
    assert ("&lt;i&gt;waits" if lang == "en" else "&lt;b&gt;chờ") in listed
    assert "<b>chờ" not in listed
