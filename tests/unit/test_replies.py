"""Replies by SMS: scored when certain, asked back when not, never read wrong."""

from __future__ import annotations

import csv
import unicodedata
from pathlib import Path
from typing import Final, Literal, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hailong.domain import links
from hailong.domain.replies import MOST_LETTERS, AskBack, NotOurs, Reply, Score, Why, parse

CODE: Final = "7KQ2HF4M9XYZ"
OTHER: Final = "B3NNP8RT2WXV"
CODES: Final = st.text(alphabet=links.ALPHABET, min_size=12, max_size=12)
SCORES: Final = st.integers(1, 5)
WORDS: Final = {
    1: ("1", "rất không hài lòng", "rat ko hai long", "mức 1", "1 điểm", "1/5"),
    2: ("2", "không hài lòng", "chưa hài lòng", "số hai", "2 sao"),
    3: ("3", "bình thường", "ba điểm", "3 trên 5"),
    4: ("4", "hài lòng", "bốn sao", "điểm 4"),
    5: ("5", "rất hài lòng", "5/5", "năm điểm"),
}
POLITE: Final = st.sampled_from(["", "ạ", "cảm ơn", "HL", "nhé", "..", "!"])


class Row(NamedTuple):
    """``score``: what a careful person would write down ("ask": would ask; "none": would leave it); ``code``: and for which dossier."""

    text: str
    codes: list[str]
    score: str
    code: str

    @property
    def right(self) -> Score | None:
        return Score(int(self.score), self.code) if self.score.isdecimal() else None


def _rows() -> list[Row]:
    with (Path(__file__).parent / "data" / "replies.csv").open(encoding="utf-8", newline="") as file:
        return [Row(row["text"], row["codes"].split(), row["score"], row["code"]) for row in csv.DictReader(file)]


ROWS: Final = _rows()


def _holds(row: Row, reply: Reply) -> bool:
    """Parsed right, or asked back; a stop word is not answered by a question."""
    if row.score == "none":
        return reply == NotOurs()
    return isinstance(reply, AskBack) or (row.right is not None and reply == row.right)


def test_of_the_noisy_replies_none_is_scored_wrongly_and_nearly_all_are_scored_or_asked_back() -> None:
    replies = [(row, parse(row.text, row.codes)) for row in ROWS]
    assert len(ROWS) >= 200
    assert [(row.text, reply) for row, reply in replies if isinstance(reply, Score) and reply != row.right] == []
    assert sum(_holds(row, reply) for row, reply in replies) >= 0.98 * len(ROWS)


def test_most_of_what_a_person_would_score_is_scored_at_once() -> None:
    scorable = [row for row in ROWS if row.right is not None]
    at_once = [row for row in scorable if parse(row.text, row.codes) == row.right]
    assert len(scorable) >= 100
    assert len(at_once) >= 0.7 * len(scorable)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("4", "which"),
        ("rất hài lòng", "which"),
        ("7kq2 b3nn 4", "which"),
        ("7kq2 9", "range"),
        ("0", "range"),
        ("8/10", "range"),
        ("1 5", "two_scores"),
        ("1 hài lòng", "two_scores"),
        ("1 lần 5 phút", "two_scores"),
        ("7kq2", "unclear"),
        ("alo ai đấy", "unclear"),
        ("x" * (MOST_LETTERS + 1), "unclear"),
    ],
)
def test_what_is_asked_back_says_why(text: str, reason: Why) -> None:
    assert parse(text, [CODE, OTHER]) == AskBack(reason)


def test_the_code_comes_back_as_it_was_given() -> None:
    assert parse("7kq2 4", ["7kq2-hf4m-9xyz", OTHER]) == Score(4, "7kq2-hf4m-9xyz")


def test_one_dossier_told_twice_is_one_open_invitation() -> None:
    assert parse("4", [CODE, CODE]) == Score(4, CODE)


def test_without_an_open_invitation_nothing_is_asked() -> None:
    assert parse("5", []) == parse("rất hài lòng", ["no code"]) == NotOurs()


@pytest.mark.parametrize(
    "text", ["không hài lòng", "khong hai long", "ko hai long", "k hai long", "khoong haif longf", "chưa hài lòng", "not satisfied"]
)
def test_not_satisfied_is_never_satisfied(text: str) -> None:
    assert parse(text, [CODE]) == Score(2, CODE)


@pytest.mark.parametrize(
    "around", ["{} lắm", "{} không", "{}?", "gì mà {}", "không, {}", "không phải {}", "{} :(", "cán bộ bảo {}", "{} 😡", "{} nhưng chậm"]
)
@pytest.mark.parametrize("words", ["hài lòng", "rất hài lòng", "không hài lòng", "5"])
def test_one_more_word_and_it_is_asked_back(around: str, words: str) -> None:
    assert isinstance(parse(around.format(words), [CODE]), AskBack)


@given(st.text(max_size=400), st.lists(st.text(max_size=30), max_size=4))
def test_no_text_breaks_it_and_scores_are_of_five_points(text: str, codes: list[str]) -> None:
    reply = parse(text, [*codes, CODE])
    assert not isinstance(reply, Score) or (reply.score in range(1, 6) and reply.code in [*codes, CODE])


@given(
    st.lists(st.sampled_from([*"12345 067kq2hl.-/:()?", "hai", "long", "khong", "rất", "7kq2", "điểm", "cảm ơn"]), max_size=14).map("".join)
)
def test_no_text_of_the_usual_pieces_breaks_it(text: str) -> None:
    reply = parse(text, [CODE])
    assert not isinstance(reply, Score) or reply.code == CODE


def _told(score: int, code: str, data: st.DataObject) -> str:
    quoted = code[: data.draw(st.integers(4, 12))]
    parts = [data.draw(st.sampled_from(WORDS[score])), data.draw(st.sampled_from([quoted, quoted.lower()])), data.draw(POLITE)]
    return " ".join(data.draw(st.permutations(parts)))


@given(SCORES, CODES, st.data())
def test_score_and_code_are_read_in_any_order_among_polite_words_or_asked_back(score: int, code: str, data: st.DataObject) -> None:
    """Asked back, where the digit may be the code's next sign."""
    reply = parse(_told(score, code, data), [code])
    assert reply == Score(score, code) or isinstance(reply, AskBack)


@given(SCORES, st.text(alphabet="ABCDEFGHJMNPQRSTUVWXYZ", min_size=12, max_size=12), st.data())
def test_where_no_sign_of_the_code_can_be_the_score_nothing_is_asked_back(score: int, code: str, data: st.DataObject) -> None:
    assert parse(_told(score, code, data), [code]) == Score(score, code)


@given(SCORES, SCORES, CODES, st.data())
def test_two_scores_are_never_one(one: int, other: int, code: str, data: st.DataObject) -> None:
    assume(one != other)
    parts = [data.draw(st.sampled_from(WORDS[score])) for score in (one, other)]
    between = data.draw(st.sampled_from([" ", ", ", "\n", ". ", " - ", " / ", f" {code[:4]} "]))
    assert isinstance(parse(between.join(parts), [code]), AskBack)


@given(CODES, st.integers(4, 12), st.sampled_from(["", " ", "-", "."]))
def test_a_score_is_never_read_out_of_a_code(code: str, length: int, between: str) -> None:
    """However it is spaced; also with its first sign missing."""
    assert isinstance(parse(between.join(code[:length]), [code]), AskBack)
    assert isinstance(parse(code[1:length], [code]), AskBack)


@given(CODES, SCORES, st.data())
def test_a_code_with_one_wrong_sign_is_not_that_code(code: str, score: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 3))
    wrong = data.draw(st.sampled_from([sign for sign in links.ALPHABET + "01OIL" if sign != code[place]]))
    typed = code[:place] + wrong + code[place + 1 : 4]
    assert not isinstance(parse(f"{typed} {score}", [code]), Score)


Noise = Literal["upper", "lower", "nfd", "wide", "spaces"]


def _noisy(text: str, noise: Noise) -> str:
    match noise:
        case "upper":
            return text.upper()
        case "lower":
            return text.lower()
        case "nfd":
            return unicodedata.normalize("NFD", text)
        case "wide":
            return "".join(chr(ord(sign) + 0xFEE0) if sign.isascii() and sign.isalnum() else sign for sign in text)
        case "spaces":
            return f"  {text.replace(' ', '  ')} "


def _bare(text: str) -> str:
    letters = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return "".join(sign for sign in letters if not unicodedata.combining(sign))


@pytest.mark.parametrize("noise", ["upper", "lower", "nfd", "wide", "spaces"])
def test_case_spaces_width_and_decomposition_change_nothing(noise: Noise) -> None:
    changed = [row.text for row in ROWS if parse(_noisy(row.text, noise), row.codes) != parse(row.text, row.codes)]
    assert changed == []


def test_a_score_stays_without_its_diacritics() -> None:
    """The other way round a mark may tell that it is another word: "hài lòng à" asks where "hai long a" is polite."""
    scored = [(row, reply) for row in ROWS if isinstance(reply := parse(row.text, row.codes), Score)]
    assert [row.text for row, reply in scored if parse(_bare(row.text), row.codes) != reply] == []


@given(SCORES, st.sampled_from(["upper", "lower", "nfd", "wide", "spaces"]), st.data())
def test_noise_does_not_change_a_certain_reply(score: int, noise: Noise, data: st.DataObject) -> None:
    text = f"{data.draw(POLITE)} {data.draw(st.sampled_from(WORDS[score]))} 7kq2 {data.draw(POLITE)}"
    assert (
        parse(text, [CODE, OTHER]) == parse(_noisy(text, noise), [CODE, OTHER]) == parse(_bare(text), [CODE, OTHER]) == Score(score, CODE)
    )


@pytest.mark.parametrize("text", ["4.4", "5-5", "1/1", "5,5", "3 / 5", "1:1", "5/5/2026", "5/5/5"])
def test_figures_that_hang_together_are_no_score(text: str) -> None:
    assert isinstance(parse(text, [CODE]), AskBack)


def test_only_the_beginning_of_a_code_names_it() -> None:
    assert parse("hf4m 1", [CODE]) == AskBack("unclear")


def test_a_secret_is_not_shown() -> None:
    assert CODE not in repr(Score(4, CODE))
