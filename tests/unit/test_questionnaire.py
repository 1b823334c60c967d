"""Questionnaires as data: what a file may say, what a form may send, which page comes next."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.questionnaire import Page, Questionnaire, QuestionnaireError, load, validate
from hailong.events import Outcome
from hailong.ports import Invalid

FILE = Path(__file__).parents[2] / "surveys" / "questionnaires" / "core.toml"
TEXT = FILE.read_text("utf-8")
CORE = load(TEXT, FILE.name)
FIELDS = st.dictionaries(
    st.sampled_from(["Q0", "Q7", "Q8", "form", ""]), st.lists(st.text(max_size=8) | st.sampled_from(["1", "5", "na", "slow", "other"]))
)


def page(number: int) -> Page:
    found = CORE.page(number)
    assert found
    return found


def test_version_1_is_frozen() -> None:
    """Its ids stand in facts. Who changes one of these lines makes a new version instead."""
    assert (CORE.id, CORE.version, CORE.languages) == ("ttp-core", 1, ("vi", "en"))
    assert [[q.id for q in p.questions] for p in CORE.pages] == [["Q0"], ["Q7"]]
    assert [o.id for o in page(1).questions[0].options] == ["1", "2", "3", "4", "5"]
    assert [o.id for o in page(2).questions[0].options] == ["slow", "trips", "papers", "attitude", "charges", "website", "other"]
    when = page(2).when
    assert when
    assert (when.question, when.at_most) == ("Q0", 3)


def test_the_question_is_worded_by_how_the_dossier_ended() -> None:
    question = page(1).questions[0]
    assert question.worded("vi") == "Nhìn chung, Ông/Bà hài lòng ở mức nào với việc giải quyết hồ sơ vừa rồi?"
    assert question.worded("vi", "refused") == "Nhìn chung, Ông/Bà hài lòng ở mức nào với việc tiếp nhận và trả lời hồ sơ vừa rồi?"
    assert question.worded("en", "stopped") != question.worded("en", "result_returned") == question.worded("en", "done_electronic")


@pytest.mark.parametrize("ending", get_args(Outcome))
def test_every_ending_has_a_wording_in_every_language(ending: str) -> None:
    for language in CORE.languages:
        assert all(q.worded(language, ending).endswith("?") for p in CORE.pages for q in p.questions)


@pytest.mark.parametrize(("sent", "answer"), [("1", 1), ("5", 5), ("na", None)])
def test_an_answer_on_the_scale(sent: str, answer: int | None) -> None:
    assert validate(page(1), {"Q0": [sent]}) == {"Q0": answer}


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
    ],
)
def test_what_the_page_does_not_ask_for_is_refused(number: int, form: dict[str, list[str]], reason: str, field: str | None) -> None:
    refused = validate(page(number), form)
    assert isinstance(refused, Invalid)
    assert (refused.reason, refused.field) == (reason, field)


def test_reasons_come_in_the_order_of_the_file_and_none_is_no_answer() -> None:
    assert validate(page(2), {"Q7": ["other", "slow", "other"]}) == {"Q7": ["slow", "other"]}
    assert validate(page(2), {}) == {}


@given(FIELDS, st.sampled_from([1, 2]))
def test_whatever_is_sent_only_options_of_the_page_come_out(form: dict[str, list[str]], number: int) -> None:
    answers = validate(page(number), form)
    if isinstance(answers, Invalid):
        marked = validate(page(number), {field: [f"¤{value}¤" for value in values] for field, values in form.items()})
        assert not isinstance(marked, Invalid) or "¤" not in marked.detail, "a value is quoted"
        return
    for question in page(number).questions:
        given_answer = answers.get(question.id)
        if isinstance(given_answer, list):
            assert given_answer
            assert set(given_answer) <= {o.id for o in question.options}
        else:
            assert given_answer in (None, 1, 2, 3, 4, 5)
    assert set(answers) <= {q.id for q in page(number).questions}


@pytest.mark.parametrize(("score", "number"), [(1, 2), (3, 2), (4, None), (5, None), (None, None)])
def test_only_who_is_not_satisfied_is_asked_for_reasons(score: int | None, number: int | None) -> None:
    following = CORE.next_page({"Q0": score}, after=1)
    assert (following and following.number) == number
    assert CORE.next_page({"Q0": score, "Q7": ["slow"]}, after=2) is None


LONG = """
id = "long"
version = 3
languages = ["vi"]
pages = [
  { number = 1, questions = ["A"] },
  { number = 2, questions = ["B"], when = { question = "A", at_most = 4 } },
  { number = 3, questions = ["C", "D"], when = { question = "B", at_most = 2 } },
]
""" + "".join(
    f"""
[[questions]]
id = "{name}"
kind = "scale"
text = {{ vi = "?" }}
options = [{{ id = "1", text = {{ vi = "1" }} }}, {{ id = "2", text = {{ vi = "2" }} }}, {{ id = "3", text = {{ vi = "3" }} }}, {{ id = "4", text = {{ vi = "4" }} }}, {{ id = "5", text = {{ vi = "5" }} }}]
"""  # noqa: E501  # TOML 1.0 wants an inline table on one line
    for name in "ABCD"
)


def test_pages_are_passed_over_and_a_form_remembers_only_what_is_asked_for_later() -> None:
    long: Questionnaire = load(LONG, "long.toml")
    assert long.next_page({"A": 5}, after=1) is None
    following = long.next_page({"A": 5, "B": 1}, after=1)
    assert following
    assert [q.id for q in following.questions] == ["C", "D"]
    assert long.needed_later(1) == {"A", "B"}
    assert long.needed_later(2) == {"B"}
    assert long.needed_later(3) == frozenset()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 1", 'version = "1"', "core.toml:4: version: Expected `int`"),
        ("[[pages]]", "[[pages", "core.toml: not TOML: .*line 7"),
        ('kind = "many"', 'kind = "few"', r"core.toml:\d+: questions\[1\].kind: Invalid enum value"),
        ('text = { vi = "Khác", en = "Other" }', 'text = { vi = "Khác" }', r":\d+: questions\[1\].options\[6\].text: no wording in en"),
        ('text = { vi = "Khác"', 'text = { fr = "Autre", vi = "Khác"', r"options\[6\].text: wording in fr, which is not among"),
        ("number = 2", "number = 4", "core.toml:12: .*4 where 2 comes next"),
        ('question = "Q0", at_most', 'question = "Q7", at_most', "core.toml:14: .*depends on Q7, which no earlier page asks"),
        ("at_most = 3", "at_most = 5", "at_most: Expected `int` <= 4"),
        ('id = "5"', 'id = "6"', r"questions\[0\].options: a scale has the options 1, 2, 3, 4, 5"),
        ('id = "website"', 'id = "slow"', r"options\[5\].id: a second option slow"),
        ('id = "Q7"', 'id = "Q0"', r"questions\[1\].id: a second question Q0"),
        ('id = "Q7"', 'id = "Q9"', r"pages\[1\].questions: Q7 is no question of this file"),
        ('questions = ["Q7"]', 'questions = ["Q0"]', r"pages\[1\].questions: Q0 is asked twice"),
        ("required = true", "requird = true", "unknown field `requird`"),
        ('endings = ["refused", "stopped"]', 'endings = ["lost"]', r"core.toml:27: .*endings\[0\]: Invalid enum value 'lost'"),
        ('kind = "many"', 'kind = "many"\nrequired = true', "choosing none is an answer"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_is_named_with_its_line(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(QuestionnaireError, match=message):
        load(TEXT.replace(old, new, 1), "core.toml")


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
