"""Questionnaires as data: what a file may say, what a form may send, which page comes next."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.questionnaire import Answer, Given, Page, Questionnaire, QuestionnaireError, load, validate, words
from hailong.events import Outcome
from hailong.ports import Invalid

SURVEYS = Path(__file__).parents[2] / "surveys"
FILE = SURVEYS / "questionnaires" / "ttp-core-1.toml"
TEXT = FILE.read_text("utf-8")
BARE = load(TEXT, FILE.name)
SAID = {one: (SURVEYS / "texts" / one / FILE.name).read_text("utf-8") for one in ("vi", "en")}
CORE = BARE.speaking(*(words(text, f"{one}/{FILE.name}", one, BARE) for one, text in SAID.items()))
FROZEN = {"ids": "899a15909c65", "vi": "61ce24052f90", "en": "f1d06308b1ec"}
FIELDS = st.dictionaries(
    st.sampled_from(["Q0", "Q7", "Q8", "form", ""]), st.lists(st.text(max_size=8) | st.sampled_from(["1", "5", "na", "slow", "other"]))
)


def page(number: int) -> Page:
    found = CORE.page(number)
    assert found
    return found


def test_version_1_is_frozen() -> None:
    """Its ids stand in facts, its words are what was measured. Who changes one of these makes a new version instead."""
    assert (CORE.id, CORE.version, CORE.languages) == ("ttp-core", 1, ("vi", "en"))
    asked = [[q.id for q in p.questions] for p in CORE.pages]
    assert asked == [["Q0"], ["Q7"], ["Q1"], ["Q2"], ["Q3"], ["Q4"], ["Q5"], ["Q6"], ["Q8"], ["Q9"]]
    assert page(1).questions[0].options == ["1", "2", "3", "4", "5"]
    assert page(2).questions[0].options == ["slow", "trips", "papers", "attitude", "charges", "website", "other"]
    when = page(2).when
    assert when
    assert (when.question, when.at_most) == ("Q0", 3)
    assert [p.number for p in CORE.pages if "short" in p.forms] == [1, 2]
    assert {part: digest[:12] for part, digest in CORE.fingerprints().items()} == FROZEN


def test_a_fingerprint_changes_with_every_word_and_id_and_with_nothing_else() -> None:
    changed = SAID["en"].replace("Very satisfied", "Most satisfied")
    other = BARE.speaking(words(SAID["vi"], "x", "vi", BARE), words(changed, "x", "en", BARE)).fingerprints()
    mine = CORE.fingerprints()
    assert [part for part in mine if mine[part] != other[part]] == ["en"]
    reworded = load(TEXT.replace("at_most = 3", "at_most = 2"), "x").fingerprints()
    assert reworded["ids"] != mine["ids"]
    assert load("# a remark\n" + TEXT, "y").fingerprints()["ids"] == mine["ids"]


def test_the_question_is_worded_by_how_the_dossier_ended() -> None:
    question, vi, en = page(1).questions[0], CORE.words["vi"], CORE.words["en"]
    assert vi.question(question) == "Nhìn chung, Ông/Bà hài lòng ở mức nào với việc giải quyết hồ sơ vừa rồi?"
    assert vi.question(question, "refused") == "Nhìn chung, Ông/Bà hài lòng ở mức nào với việc tiếp nhận và trả lời hồ sơ vừa rồi?"
    assert en.question(question, "stopped") != en.question(question, "result_returned") == en.question(question, "done_electronic")


@pytest.mark.parametrize("ending", get_args(Outcome))
def test_every_ending_has_a_wording_in_every_language(ending: str) -> None:
    for said in CORE.words.values():
        assert all(said.question(q, ending).endswith("?") for p in CORE.pages for q in p.questions)


@pytest.mark.parametrize(("sent", "answer"), [("1", 1), ("5", 5), ("na", None)])
def test_an_answer_on_the_scale(sent: str, answer: int | None) -> None:
    assert validate(page(1), {"Q0": [sent]}) == Given({"Q0": answer})


@pytest.mark.parametrize(
    ("number", "form", "reason", "field"),
    [
        (1, {}, "required", "Q0"),
        (1, {"Q0": [""]}, "required", "Q0"),
        (1, {"Q0": ["6"]}, "not_an_option", "Q0"),
        (1, {"Q0": ["٣"]}, "not_an_option", "Q0"),
        (1, {"Q0": ["1", "5"]}, "more_than_one", "Q0"),
        (1, {"Q0": ["1"], "Q7": ["slow"]}, "unexpected_field", None),
        (2, {"Q0": ["1"]}, "unexpected_field", None),
        (2, {"Q7": ["na"]}, "not_an_option", "Q7"),
        (2, {"Q7": ["slow", "bribe"]}, "not_an_option", "Q7"),
        (8, {"Q6": ["5"]}, "not_an_option", "Q6"),
        (8, {"Q6": ["1", "2"]}, "more_than_one", "Q6"),
        (9, {"Q8": ["x" * 501]}, "too_long", "Q8"),
        (9, {"Q8": ["a", "b"]}, "more_than_one", "Q8"),
        (10, {"Q9": ["no"]}, "not_an_option", "Q9"),
    ],
)
def test_what_the_page_does_not_ask_for_is_refused(number: int, form: dict[str, list[str]], reason: str, field: str | None) -> None:
    refused = validate(page(number), form)
    assert isinstance(refused, Invalid)
    assert (refused.reason, refused.field) == (reason, field)


def test_reasons_come_in_the_order_of_the_file_and_none_is_no_answer() -> None:
    assert validate(page(2), {"Q7": ["other", "slow", "other"]}) == Given({"Q7": ["slow", "other"]})
    assert validate(page(2), {}) == Given()


@given(FIELDS, st.sampled_from([1, 2]))
def test_whatever_is_sent_only_options_of_the_page_come_out(form: dict[str, list[str]], number: int) -> None:
    answers = validate(page(number), form)
    if isinstance(answers, Invalid):
        marked = validate(page(number), {field: [f"¤{value}¤" for value in values] for field, values in form.items()})
        assert not isinstance(marked, Invalid) or "¤" not in marked.detail, "a value is quoted"
        return
    for question in page(number).questions:
        given_answer = answers.answers.get(question.id)
        if isinstance(given_answer, list):
            assert given_answer
            assert set(given_answer) <= set(question.options)
        else:
            assert given_answer in (None, 1, 2, 3, 4, 5)
    assert {*answers.answers, *answers.texts} <= {q.id for q in page(number).questions}


def test_own_words_and_a_ticked_box() -> None:
    assert validate(page(9), {"Q8": ["  Chờ lâu\r\nquá "]}) == Given({}, {"Q8": "Chờ lâu\nquá"})
    assert validate(page(10), {"Q9": ["yes"]}) == Given({"Q9": True})
    assert validate(page(10), {}) == Given()


@pytest.mark.parametrize(("score", "number"), [(1, 2), (3, 2), (4, 3), (5, 3), (None, 3)])
def test_only_who_is_not_satisfied_is_asked_for_reasons(score: int | None, number: int) -> None:
    following = CORE.next_page({"Q0": score}, after=1)
    assert following
    assert following.number == number
    short = CORE.next_page({"Q0": score}, after=1, form="short")
    assert (short and short.number) == (2 if number == 2 else None)
    assert CORE.next_page({"Q0": score}, after=10) is None


def test_pages_before_places_and_how_many_are_left() -> None:
    low: dict[str, Answer] = {"Q0": 2}
    high: dict[str, Answer] = {"Q0": 5}
    assert [p.number if (p := CORE.page_before(high, n)) else None for n in (1, 3, 4)] == [None, 1, 3]
    assert CORE.page_before(low, 3) == page(2)
    assert (CORE.place(low, 3), CORE.left(low, 3)) == (3, 7)
    assert (CORE.place(high, 3), CORE.left(high, 3)) == (2, 7)
    assert CORE.left(low, 1, "short") == 1


def test_who_comes_back_goes_on_at_the_first_page_that_tells_nothing() -> None:
    assert CORE.open_to(["Q0"]) == CORE.open_to(["Q0", "Q7"]) == page(2), "asked of everybody, so that it tells no mark"
    assert CORE.open_to(["Q0", "Q1"]) == page(4)
    assert CORE.open_to(["Q0", "Q7", "Q1", "Q2"]) == page(5)
    assert CORE.open_to([q.id for p in CORE.pages for q in p.questions]) is None


MULTI = TEXT.replace('when = { question = "Q0", at_most = 3 }', 'when = { question = "Q0", at_most = 3 }', 1).replace(
    'questions = ["Q2"]', 'questions = ["Q2"]\nwhen = { question = "Q7", chosen = "slow" }', 1
)


def test_a_page_may_hang_on_a_chosen_option() -> None:
    made: Questionnaire = load(MULTI, "m.toml")
    assert made.left({"Q0": 1, "Q7": ["slow"]}, 3) == made.left({"Q0": 1, "Q7": ["trips"]}, 3) + 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 1", 'version = "1"', "core.toml:4: version: Expected `int`"),
        ("[[pages]]", "[[pages", "core.toml: not TOML: .*line 6"),
        ('kind = "many"', 'kind = "few"', r"core.toml:\d+: questions\[1\].kind: Invalid enum value"),
        ("number = 2", "number = 4", r"core.toml:12: .*4 where 2 comes next"),
        ('question = "Q0", at_most', 'question = "Q7", at_most', "core.toml:15: .*depends on Q7, which no earlier page asks"),
        ("at_most = 3", "at_most = 5", "at_most: Expected `int` <= 4"),
        ("at_most = 3", 'at_most = 3, chosen = "1"', "needs either at_most or chosen"),
        ("at_most = 3", 'chosen = "9"', "Q0 has no option 9"),
        ('"website", "other"', '"slow", "other"', r"questions\[1\].options: a second option slow"),
        ('id = "Q7"', 'id = "Q0"', r"questions\[1\].id: a second question Q0"),
        ('id = "Q7"', 'id = "Q9"', r"questions\[9\].id: a second question Q9"),
        ('questions = ["Q7"]', 'questions = ["Q0"]', r"pages\[1\].questions: Q0 is asked twice"),
        ("required = true", "requird = true", "unknown field `requird`"),
        ('endings = ["refused", "stopped"]', 'endings = ["lost"]', r"core.toml:54: .*endings\[0\]: Invalid enum value 'lost'"),
        ('kind = "many"', 'kind = "many"\nrequired = true', "choosing none is an answer"),
        ('kind = "text"', 'kind = "text"\noptions = ["a", "b"]', "has no options of its own"),
        ('kind = "one"\noptions = ["1", "2", "3", "4"]', 'kind = "one"\noptions = ["1"]', "two options or more"),
        ('forms = ["full", "short"]', 'forms = []', "forms"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_is_named_with_its_line(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(QuestionnaireError, match=message):
        load(TEXT.replace(old, new, 1), "core.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"Rất hài lòng"]', "]", r"vi/core:1: scale: the five points"),
        ('not_applicable = "Không áp dụng"', 'not_applicable = ""', r"vi/core:2: not_applicable: words"),
        ('slow = "Chậm"', 'slow = ""', r"vi/core:42: Q7.options: no words for the option slow"),
        ('slow = "Chậm"', 'quick = "Nhanh"', r"Q7.options: (no words for the option slow|words for quick)"),
        ('[Q8]\ntext = "', '[Q8]\ntext = "" # ', r"vi/core:\d+: Q8.text: is empty"),
        ("[Q8]", "[Q88]", r"Q8 is missing"),
        ("refused = ", "lost = ", r"Q0.endings: no words for the ending refused"),
        ("hint = ", "hnt = ", r"unknown field `hnt`"),
        ("[Q1]", "[Q1", "vi/core: not TOML"),
    ],
)
def test_a_mistake_in_the_words_is_named_with_its_line(old: str, new: str, message: str) -> None:
    assert old in SAID["vi"]
    with pytest.raises(QuestionnaireError, match=message):
        words(SAID["vi"].replace(old, new, 1), "vi/core", "vi", BARE)


@given(st.text(max_size=200))
def test_any_text_gives_a_questionnaire_or_a_sentence(text: str) -> None:
    with pytest.raises(QuestionnaireError, match=r"any\.toml"):
        load(text, "any.toml")


@given(st.integers(0, TEXT.count("\n") - 1))
def test_a_file_with_any_line_missing_gives_a_questionnaire_or_a_sentence(line: int) -> None:
    lines = TEXT.splitlines()
    try:
        load("\n".join(lines[:line] + lines[line + 1 :]), "core.toml")
    except QuestionnaireError as error:
        assert str(error).startswith("core.toml")  # noqa: PT017  # either outcome is right; this is what the second must look like
