"""``/calls``: who may call, that a number is shown once and written down, and what every result does to the list."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hailong.domain.calls import DISPOSITIONS
from hailong.events import SurveyAnswered
from tests.dashboard.room import Browser
from tests.dashboard.talking_room import PHONE, Room, led_to, room
from tests.survey.twins import opened, page_of


@pytest.fixture
def here(tmp_path: Path, blank: Path) -> Iterator[Room]:
    made = room(tmp_path, blank)
    yield made
    made.people.ledger.close()


@pytest.fixture
def caller(here: Room) -> Browser:
    """A caller with somebody on the page."""
    here.called()
    browser = here.browser("caller")
    browser.get("/calls?lang=en")
    browser.submit("/calls/take")
    return browser


def trail(here: Room) -> list[str]:
    return [act for actor, act, _ in here.people.trail() if actor.startswith("caller")]


def test_who_may_see_which_page(here: Room) -> None:
    seen = {
        "/calls": {"caller", "quality_officer", "administrator"},
        "/assist": {"caller", "desk", "unit_officer"},
        "/paper": {"caller", "desk", "unit_officer", "quality_officer", "administrator"},
        "/paper/again": {"caller", "desk", "unit_officer"},
    }
    for role, browser in here.everybody().items():
        front = browser.get("/account?lang=vi").text
        for path, roles in seen.items():
            assert browser.get(f"{path}?lang=vi").status_code == (200 if role in roles else 403), (role, path)
            if path != "/paper/again":
                assert (f'href="{path}?lang=vi"' in front) is (role in roles), (role, path)


@pytest.mark.parametrize("step", ["take", "number", "start", "disposition"])
def test_only_callers_call(here: Room, step: str) -> None:
    here.called()
    for role, browser in here.everybody().items():
        if role != "caller":
            page = browser.get("/account?lang=en").text
            csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
            assert browser.post(f"/calls/{step}", {"csrf": csrf}).status_code == 403
    assert "call_taken" not in [act for _, act, _ in here.people.trail()]


def test_a_form_of_another_site_takes_nothing(here: Room) -> None:
    here.called()
    assert here.browser("caller").post("/calls/take", {"csrf": "another"}).status_code == 403


def test_nothing_names_the_person_before_the_number_is_asked_for(caller: Browser) -> None:
    assert "••• ••• ••01" in caller.page.text
    for named in (PHONE, "912000001", "H28-1-001", "id00000"):
        assert named not in caller.page.text


def test_the_number_is_shown_on_one_page_and_the_look_is_written_down(here: Room, caller: Browser) -> None:
    shown = caller.submit("/calls/number")
    assert f'href="tel:{PHONE}"' in shown.text
    assert "912" not in str(shown.url)
    assert shown.headers["cache-control"] == "no-store"
    assert PHONE not in caller.get("/calls?lang=en").text
    assert trail(here) == ["call_taken", "vault_seen"]


def test_the_script_is_in_the_language_of_the_person(caller: Browser) -> None:
    """The page is English, the person is Vietnamese."""
    page = unescape(caller.page.text)
    assert "Tôi gọi từ Trung tâm." in page
    assert "người vừa làm thủ tục tại Xã 01, kết thúc ngày 24/3/2026" in page
    assert '<blockquote class="script" lang="vi">' in page


def test_the_questionnaire_begins_by_a_sealed_address_in_the_callers_name(here: Room, caller: Browser) -> None:
    caller.submit("/calls/start")
    state = led_to(caller)
    assert (state.mode, state.form, state.helper, state.page, state.code_hash) == ("call", "short", "caller-all", 1, "")
    assert (state.desk, state.language, state.nonce) == ("Xã 01", "vi", "nonce0")
    assert trail(here) == ["call_taken", "answer_entered"]
    assert "was begun in this call" in caller.get("/calls?lang=en").text


def test_the_survey_site_takes_the_address_and_counts_the_answer_as_one_of_a_call(here: Room, caller: Browser, tmp_path: Path) -> None:
    caller.submit("/calls/start")
    address = urlsplit(caller.page.history[-1].headers["location"])

    async def answered() -> list[SurveyAnswered]:
        async with opened(tmp_path) as site:
            page = await site.get(f"{address.path}?{address.query}")
            assert (page.status_code, page_of(page)) == (200, "ask-1")
            await site.send(page, "in", Q0="2")
            return site.log.answers()

    (fact,) = asyncio.run(answered())
    assert (fact.survey_id, fact.mode, fact.place, fact.form, fact.answers) == ("id000001", "call", "away", "short", {"Q0": 2})


def test_a_form_may_lead_to_the_survey_site_and_nowhere_else(caller: Browser) -> None:
    assert "form-action 'self' https://khao-sat.example;" in caller.page.headers["content-security-policy"]


@pytest.mark.parametrize("said", [one for one in DISPOSITIONS if one not in ("answered", "callback_later")])
def test_every_result_is_kept_and_the_entry_leaves(here: Room, caller: Browser, said: str) -> None:
    done = caller.submit("/calls/disposition", disposition=said)
    assert done.status_code == 200
    assert "The result is saved" in done.text
    assert "••01" not in done.text
    assert trail(here) == ["call_taken", "call_ended"]
    with here.people.ledger.read() as reader:
        assert reader.due_counts()["disposition"] == 1


def test_another_time_is_agreed_within_the_hours(here: Room, caller: Browser) -> None:
    for later in ("", "2026-04-02T20:00", "2026-04-01T10:00", "nonsense"):
        said = caller.submit("/calls/disposition", disposition="callback_later", later=later)
        assert (said.status_code, 'href="#later"' in said.text, "••01" in said.text) == (422, True, True)
    caller.submit("/calls/disposition", disposition="callback_later", later="2026-04-02T15:30")
    assert "will be called once more" in caller.page.text
    assert "15:30 on 2 April 2026" in caller.page.text
    here.clock.at += timedelta(hours=7)
    caller.get("/calls?lang=en")
    again = caller.submit("/calls/take")
    assert "Asked to be called at another time" in again.text
    assert "Call 2 of at most 3" in again.text


def test_interviewed_needs_the_questionnaire(here: Room, caller: Browser) -> None:
    assert caller.submit("/calls/disposition", disposition="answered").status_code == 422
    caller.get("/calls?lang=en")
    caller.submit("/calls/start")
    caller.get("/calls?lang=en")
    assert caller.submit("/calls/disposition", disposition="answered").status_code == 200
    assert "100.0%" in caller.page.text
    assert "1 were noted as interviewed" in caller.page.text


def test_a_refusal_may_end_all_messages(here: Room, caller: Browser) -> None:
    caller.submit("/calls/disposition", disposition="refused", opt_out="1")
    assert trail(here)[:2] == ["call_taken", "call_ended"]
    assert "opted_out" in trail(here)


def test_outside_the_hours_nobody_is_called_but_what_came_of_a_call_is_kept(here: Room, caller: Browser) -> None:
    here.clock.at += timedelta(hours=9)
    for step in ("number", "start"):
        caller.get("/calls?lang=en")
        said = caller.submit(f"/calls/{step}")
        assert (said.status_code, PHONE in said.text) == (409, False)
    caller.get("/calls?lang=en")
    assert caller.submit("/calls/disposition", disposition="no_answer").status_code == 200
    assert "Calling begins again on 3 April 2026 at 08:00" in caller.page.text
    assert "/calls/take" not in caller.page.text
    csrf = caller.page.text.partition('name="csrf" value="')[2].partition('"')[0]
    assert caller.post("/calls/take", {"csrf": csrf}).status_code == 409


def test_who_answers_meanwhile_is_gone_before_the_number_is_shown(here: Room, caller: Browser) -> None:
    here.answer("id000001")
    said = caller.submit("/calls/number")
    assert (said.status_code, PHONE in said.text) == (409, False)
    assert "vault_seen" not in trail(here)


def test_a_form_sent_late_does_not_touch_another_entry(here: Room, caller: Browser) -> None:
    late = caller.page
    here.called("H28-1-002", phone="+84912000002")
    here.people.pass_(minutes=16)
    first = here.browser("caller", "D2")
    first.get("/calls?lang=en")
    first.submit("/calls/take")
    caller.get("/calls?lang=en")
    caller.submit("/calls/take")
    assert "••02" in caller.page.text
    caller.page = late
    assert caller.submit("/calls/disposition", disposition="refused").status_code == 409
    assert "call_ended" not in trail(here)


def test_after_an_interview_the_page_says_so_once(here: Room, caller: Browser) -> None:
    caller.submit("/calls/start")
    here.answer("id000001", mode="call")
    assert "The interview is noted" in caller.get("/calls?lang=en").text
    assert "The interview is noted" not in caller.get("/calls?lang=en").text


def test_interviewed_is_no_fault_when_the_answer_was_counted_first(here: Room, caller: Browser) -> None:
    caller.submit("/calls/start")
    caller.get("/calls?lang=en")
    here.answer("id000001", mode="call")
    said = caller.submit("/calls/disposition", disposition="answered")
    assert (said.status_code, "The interview is noted" in said.text) == (200, True)
    assert trail(here).count("call_ended") == 1


def test_a_wish_on_a_page_left_open_is_kept(here: Room, caller: Browser) -> None:
    late = caller.page
    here.people.pass_(minutes=16)
    other = here.browser("caller", "D2")
    other.get("/calls?lang=en")
    other.submit("/calls/take")
    caller.page = late
    said = caller.submit("/calls/disposition", disposition="refused", opt_out="1")
    assert (said.status_code, "The wish not to be asked again was saved" in said.text) == (409, True)
    assert "opted_out" in trail(here)
    assert "call_ended" not in trail(here)


def test_a_caller_of_the_unit_that_is_judged_never_sees_the_entry(here: Room) -> None:
    here.called(receiving_unit="C03", handling_unit="C01")
    for scope, ready in (("C01", False), ("C03", False), ("D1", False), ("C02", True)):
        page = here.browser("caller", scope).get("/calls?lang=en").text
        assert ("1 can be called now" in page) is ready, scope


def test_lookers_see_figures_and_no_way_to_call(here: Room) -> None:
    here.called()
    page = here.browser("quality_officer").get("/calls?lang=vi").text
    assert "Đã rút thăm 1 người, còn phải gọi 1 người" in page
    assert "/calls/take" not in page


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_pages_are_whole_in_both_languages(here: Room, caller: Browser, lang: str) -> None:
    for page in (caller.get(f"/calls?lang={lang}"), here.browser("administrator").get(f"/calls?lang={lang}")):
        assert f'<html lang="{lang}">' in page.text
        assert "<script" not in page.text
        assert 'style="' not in page.text
        for tag in ("form", "section", "label", "fieldset", "ul", "dl"):
            assert page.text.count(f"<{tag}") == page.text.count(f"</{tag}>")
