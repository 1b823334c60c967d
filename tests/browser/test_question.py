"""The questions and their answers, as people act: by what stands on the screen, by finger or keyboard, with scripts or without."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from tests.browser.checks import choices_stand_out, keyboard_walk, look, tree, weight
from tests.browser.citizen import DESKTOP, LANGUAGES, PHONE, Citizen
from tests.browser.conftest import Visit
from tests.browser.office import DESK, Office, Slip

Words = dict[str, dict[str, Any]]
SCALE: Final = {
    "vi": ("Rất không hài lòng", "Không hài lòng", "Bình thường", "Hài lòng", "Rất hài lòng"),
    "en": ("Very dissatisfied", "Dissatisfied", "Neutral", "Satisfied", "Very satisfied"),
}
NOT_APPLICABLE: Final = {"vi": "Không áp dụng", "en": "Not applicable"}
RECEIPT: Final = re.compile(r"\bHL-\w{3}-\w{3}-\w{4}\b")
MOST_BYTES: Final = 30_000
MOST_REQUESTS: Final = 4

both_languages = pytest.mark.parametrize("lang", LANGUAGES)
in_turn = pytest.mark.parametrize(
    ("lang", "js"),
    [("vi", True), ("en", False), *(pytest.param(*one, marks=pytest.mark.thorough) for one in (("vi", False), ("en", True)))],
    ids=["vi-js", "en-nojs", "vi-nojs", "en-js"],
)
"""Each language and each way once; every language in every way in --thorough."""
both_ways = pytest.mark.parametrize("js", [pytest.param(True, marks=pytest.mark.thorough), False], ids=["js", "nojs"])
everybody = pytest.mark.parametrize(("lang", "js"), [("vi", True), ("en", False)], ids=["vi-js", "en-nojs"])
looked_at = pytest.mark.parametrize(
    ("lang", "js"), [("vi", True), pytest.param("en", False, marks=pytest.mark.thorough)], ids=["vi-js", "en-nojs"]
)


def reach(citizen: Citizen, words: Words, asked: Words, code: str) -> None:
    """Follow the link of the message and say that one was there."""
    citizen.open(f"/{code}")
    citizen.follow(words[citizen.lang]["who"]["yes"])
    citizen.at(asked[citizen.lang]["Q0"]["text"])


def answer(citizen: Citizen, words: Words, score: int) -> None:
    """The first question."""
    citizen.choose(SCALE[citizen.lang][score - 1])
    citizen.press(words[citizen.lang]["send"])


def told(site: Office, slip: Slip) -> list[dict[str, Any]]:
    """The answers that were kept, page by page."""
    return [dict(fact.answers) for fact in site.answers(slip) if fact.answers]


# --- the whole way


@in_turn
def test_satisfied_and_stopping_there(visit: Visit, site: Office, words: Words, asked: Words, lang: str, js: bool) -> None:
    slip, said = site.slip(), words[lang]
    citizen = visit(lang=lang, js=js, touch=True)
    reach(citizen, words, asked, slip.code)
    assert not any(citizen.chosen(name) for name in (*SCALE[lang], NOT_APPLICABLE[lang]))
    citizen.reads(DESK)
    answer(citizen, words, 5)
    citizen.at(asked[lang]["Q1"]["text"])
    citizen.reads(said["first_saved"])
    assert told(site, slip) == [{"Q0": 5}], "the first answer is kept before anything else is asked"
    citizen.press(said["finish"])
    citizen.at(said["thanks"]["title"])
    citizen.reads(said["thanks"]["saved"])
    assert told(site, slip) == [{"Q0": 5}]
    assert {(fact.language, fact.mode) for fact in site.answers(slip)} == {(lang, "link")}


@everybody
def test_dissatisfied_and_every_question_to_the_end(visit: Visit, site: Office, words: Words, asked: Words, lang: str, js: bool) -> None:
    slip, said, about = site.slip(), words[lang], asked[lang]
    citizen = visit(lang=lang, js=js, touch=True)
    reach(citizen, words, asked, slip.code)
    answer(citizen, words, 2)
    citizen.at(about["Q7"]["text"])
    for reason in ("slow", "attitude"):
        citizen.choose(about["Q7"]["options"][reason])
    citizen.press(said["onward"])
    for question, score in (("Q1", 4), ("Q2", 3), ("Q3", 1), ("Q4", 2), ("Q5", 5)):
        citizen.at(about[question]["text"])
        citizen.choose(SCALE[lang][score - 1])
        citizen.press(said["onward"])
    citizen.at(about["Q6"]["text"])
    citizen.choose(about["Q6"]["options"]["3"])
    citizen.press(said["onward"])
    citizen.at(about["Q8"]["text"])
    citizen.type(about["Q8"]["text"], "Chờ lâu quá")
    citizen.press(said["onward"])
    citizen.at(about["Q9"]["text"])
    citizen.press(said["send_more"])
    citizen.at(said["thanks"]["title"])
    assert RECEIPT.search(citizen.text)
    shown = (*SCALE[lang], about["Q7"]["options"]["slow"], about["Q6"]["options"]["3"], "Chờ lâu")
    assert not any(word in citizen.text for word in shown), "the thanks never show what was answered"
    first, reasons, *scores = told(site, slip)
    assert (first, reasons) == ({"Q0": 2}, {"Q7": ["slow", "attitude"]})
    assert {q: a for one in scores for q, a in one.items() if q < "Q6"} == {"Q1": 4, "Q2": 3, "Q3": 1, "Q4": 2, "Q5": 5}
    assert "Chờ lâu" not in str(site.answers(slip)), "what was written never goes to the log"


@everybody
def test_on_a_shared_phone_it_was_not_me(visit: Visit, site: Office, words: Words, lang: str, js: bool) -> None:
    slip, said = site.slip(), words[lang]
    citizen = visit(lang=lang, js=js)
    citizen.open(f"/{slip.code}")
    citizen.reads(DESK)
    look(citizen, "who")
    citizen.press(said["who"]["no"])
    citizen.at(said["not_me"]["title"])
    assert DESK not in citizen.text
    look(citizen, "not-me")
    assert told(site, slip) == []


@looked_at
def test_every_state_can_be_seen_read_and_reached(visit: Visit, site: Office, words: Words, asked: Words, lang: str, js: bool) -> None:
    said, about = words[lang], asked[lang]
    citizen = visit(lang=lang, js=js)
    reach(citizen, words, asked, site.slip().code)
    look(citizen, "ask", pictures=("dark", "forced"))
    citizen.press(said["send"])
    citizen.reads(said["errors"]["required"])
    look(citizen, "ask-nothing-chosen")
    answer(citizen, words, 1)
    citizen.at(about["Q7"]["text"])
    look(citizen, "ask-why")
    for question in ("Q7", "Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q8"):
        citizen.at(about[question]["text"])
        if question in ("Q1", "Q6", "Q8"):
            look(citizen, f"ask-{question}")
        citizen.press(said["onward"])
    citizen.at(about["Q9"]["text"])
    look(citizen, "ask-Q9")
    citizen.press(said["send_more"])
    citizen.at(said["thanks"]["title"])
    look(citizen, "thanks")


@in_turn
def test_by_keyboard_alone(visit: Visit, site: Office, words: Words, asked: Words, lang: str, js: bool) -> None:
    slip, said = site.slip(), words[lang]
    citizen = visit(lang=lang, js=js, screen=DESKTOP)
    keys = citizen.page.keyboard
    citizen.open(f"/{slip.code}")
    for key in ("Tab", "Enter", "Tab", "Enter"):  # past the head, to the first choice, take it
        keys.press(key, delay=40)
    citizen.at(asked[lang]["Q0"]["text"])
    for key in ("Tab", "Enter", "Tab", "ArrowDown"):
        keys.press(key, delay=40)
    assert citizen.chosen(SCALE[lang][1])
    keys.press("Enter", delay=40)
    citizen.at(asked[lang]["Q7"]["text"])
    names = [stop.said for stop in keyboard_walk(citizen.page)]
    assert names.index(f'button "{said["onward"]}"') < names.index(f'button "{said["finish"]}"')
    citizen.option(asked[lang]["Q7"]["options"]["slow"]).focus()
    keys.press("Space", delay=40)
    keys.press("Enter", delay=40)
    citizen.at(asked[lang]["Q1"]["text"])
    assert told(site, slip) == [{"Q0": 2}, {"Q7": ["slow"]}]


@both_languages
def test_what_a_screen_reader_says(visit: Visit, site: Office, words: Words, asked: Words, lang: str) -> None:
    citizen = visit(lang=lang, js=False)
    reach(citizen, words, asked, site.slip().code)
    head, _, rest = tree(citizen.page).partition("- main:")
    assert head.count("- banner:") == 1
    assert f'- group "{asked[lang]["Q0"]["text"]}":' in rest
    assert re.findall(r'- radio "([^"]+)"', rest) == [*SCALE[lang], NOT_APPLICABLE[lang]]
    assert rest.index(f'button "{words[lang]["send"]}"') > rest.index(NOT_APPLICABLE[lang])
    assert "img" not in rest, "the faces say nothing that the words do not"
    assert words[lang]["trap"] not in rest
    assert citizen.page.locator("html").get_attribute("lang") == lang
    assert citizen.page.title().startswith(asked[lang]["Q0"]["text"])


@both_languages
def test_the_first_question_and_its_button_stand_on_a_small_screen_whole(
    visit: Visit, site: Office, words: Words, asked: Words, lang: str
) -> None:
    citizen = visit(lang=lang, js=False, screen=PHONE)
    reach(citizen, words, asked, site.slip().code)
    button = citizen.page.get_by_role("button", name=words[lang]["send"], exact=True).bounding_box()
    assert button is not None
    assert button["y"] + button["height"] <= PHONE.height
    citizen.choose(SCALE[lang][1])
    choices_stand_out(citizen.page)
    answer(citizen, words, 1)
    citizen.at(asked[lang]["Q7"]["text"])
    citizen.choose(asked[lang]["Q7"]["options"]["slow"])
    choices_stand_out(citizen.page)


# --- on the way


@both_ways
def test_nothing_chosen_is_told_at_the_top_and_at_the_question(visit: Visit, site: Office, words: Words, asked: Words, js: bool) -> None:
    slip, said = site.slip(), words["vi"]
    citizen = visit(js=js)
    reach(citizen, words, asked, slip.code)
    citizen.press(said["send"])
    alert = citizen.page.get_by_role("alert")
    assert said["error_title"] in alert.inner_text()
    assert citizen.page.title().startswith(f"{said['error_mark']}: ")
    alert.get_by_role("link").click()
    citizen.page.keyboard.press("Space")
    assert citizen.chosen(SCALE["vi"][0]), "the link of the message leads to the first choice"
    assert told(site, slip) == []


@both_ways
def test_pressed_twice_is_one_answer(visit: Visit, site: Office, words: Words, asked: Words, js: bool) -> None:
    slip = site.slip()
    citizen = visit(js=js, touch=True)
    reach(citizen, words, asked, slip.code)
    citizen.choose(SCALE["vi"][4])
    citizen.page.get_by_role("button", name=words["vi"]["send"], exact=True).dblclick()
    citizen.at(asked["vi"]["Q1"]["text"])
    assert told(site, slip) == [{"Q0": 5}]


@both_ways
def test_back_keeps_what_was_chosen_and_another_choice_is_a_change(
    visit: Visit, site: Office, words: Words, asked: Words, js: bool
) -> None:
    slip, said = site.slip(), words["vi"]
    citizen = visit(js=js)
    reach(citizen, words, asked, slip.code)
    answer(citizen, words, 4)
    citizen.at(asked["vi"]["Q1"]["text"])
    citizen.choose(SCALE["vi"][2])
    citizen.press(said["onward"])
    citizen.at(asked["vi"]["Q2"]["text"])
    citizen.follow(said["back"])
    citizen.at(asked["vi"]["Q1"]["text"])
    assert citizen.chosen(SCALE["vi"][2])
    citizen.follow(said["back"])
    citizen.at(asked["vi"]["Q0"]["text"])
    assert citizen.chosen(SCALE["vi"][3])
    answer(citizen, words, 1)
    citizen.at(asked["vi"]["Q7"]["text"])
    assert [one for one in told(site, slip) if "Q0" in one] == [{"Q0": 4}, {"Q0": 1}]


@both_ways
def test_the_browsers_back_and_the_same_answer_again(visit: Visit, site: Office, words: Words, asked: Words, js: bool) -> None:
    slip = site.slip()
    citizen = visit(js=js)
    reach(citizen, words, asked, slip.code)
    answer(citizen, words, 4)
    citizen.at(asked["vi"]["Q1"]["text"])
    citizen.page.go_back()
    citizen.at(asked["vi"]["Q0"]["text"])
    answer(citizen, words, 4)
    citizen.at(asked["vi"]["Q1"]["text"])
    assert {str(one) for one in told(site, slip)} == {"{'Q0': 4}"}


def test_the_other_language_on_the_way_keeps_one_form(visit: Visit, site: Office, words: Words, asked: Words) -> None:
    slip = site.slip()
    citizen = visit(lang="vi")
    reach(citizen, words, asked, slip.code)
    citizen.choose(SCALE["vi"][1])
    citizen.press("English")
    citizen.at(asked["en"]["Q0"]["text"])
    assert citizen.chosen(SCALE["en"][1]), "what was chosen goes along"
    citizen.page.keyboard.press("Tab")
    citizen.option(SCALE["en"][1]).press("Enter")  # sends, and turns into no other language
    citizen.at(asked["en"]["Q7"]["text"])
    citizen.press("Tiếng Việt")
    citizen.at(asked["vi"]["Q7"]["text"])
    assert [(fact.answers, fact.language) for fact in site.answers(slip)] == [({"Q0": 2}, "en")]


def test_who_prefers_english_is_asked_in_it_on_any_phone(visit: Visit, site: Office, words: Words) -> None:
    citizen = visit(lang="vi")
    citizen.open(f"/{site.slip(language='en').code}")
    citizen.follow(words["en"]["who"]["yes"])


@everybody
def test_a_refused_dossier_is_asked_about_in_its_own_words(
    visit: Visit, site: Office, words: Words, asked: Words, lang: str, js: bool
) -> None:
    citizen = visit(lang=lang, js=js)
    citizen.open(f"/{site.slip(outcome='refused').code}")
    citizen.follow(words[lang]["who"]["yes"])
    citizen.at(asked[lang]["Q0"]["endings"]["refused"])


# --- afterwards


@looked_at
def test_already_answered_never_shows_the_answer_and_goes_on_or_begins_again(
    visit: Visit, site: Office, words: Words, asked: Words, lang: str, js: bool
) -> None:
    slip, said = site.slip(already=5), words[lang]
    citizen = visit(lang=lang, js=js)
    citizen.open(f"/{slip.code}")
    citizen.at(said["already"]["title"])
    assert not any(word in citizen.text for word in SCALE[lang])
    look(citizen, "already")
    citizen.follow(said["already"]["rest_link"])
    citizen.at(asked[lang]["Q7"]["text"])  # whatever was chosen first: the page must not tell it
    citizen.press(said["finish"])
    citizen.at(said["thanks"]["title"])
    citizen.open(f"/{slip.code}")
    citizen.follow(said["already"]["link"])
    citizen.at(asked[lang]["Q0"]["text"])
    assert not any(citizen.chosen(name) for name in SCALE[lang])
    look(citizen, "ask-again")
    answer(citizen, words, 1)
    citizen.press(said["finish"])
    citizen.reads(said["thanks"]["saved_again"])
    look(citizen, "thanks-again")


@both_languages
def test_the_first_pages_are_light(visit: Visit, site: Office, words: Words, asked: Words, lang: str) -> None:
    citizen, slip = visit(lang=lang, screen=PHONE), site.slip()
    citizen.open(f"/{slip.code}")
    for _ in ("who", "question"):
        cost = weight(citizen)
        assert 1_000 < cost.bytes <= MOST_BYTES
        assert 1 <= cost.requests <= MOST_REQUESTS
        citizen.requests.clear()
        reach(citizen, words, asked, slip.code)
