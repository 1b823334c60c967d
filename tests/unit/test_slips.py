"""Codes of slips: a wrong sign and a swap always show; what was typed is read as people type, and never guessed."""

from __future__ import annotations

import secrets
from collections import Counter

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hailong.domain import slips
from hailong.domain.links import ALPHABET, LENGTHS
from hailong.domain.people import Keyed

CODES = (
    st.binary(min_size=slips.RANDOM_BYTES, max_size=slips.RANDOM_BYTES)
    .filter(lambda b: sum(x & 31 < 31 for x in b) >= 7)
    .map(slips.new_code)
)


def test_a_code_has_eight_signs_and_is_read_back() -> None:
    code = slips.new_code(bytes(range(32)))
    assert code == "2345678J"
    assert slips.shown(code) == "2345-678J"
    assert slips.parse(slips.shown(code)) == code


@given(CODES)
def test_every_code_made_is_one(code: str) -> None:
    assert len(code) == slips.LENGTH
    assert set(code) <= set(ALPHABET)
    assert slips.parse(code) == code
    assert slips.fault(code) is None


@given(CODES, st.integers(0, 7), st.sampled_from(ALPHABET))
def test_one_wrong_sign_is_always_found(code: str, place: int, sign: str) -> None:
    assume(code[place] != sign)
    wrong = code[:place] + sign + code[place + 1 :]
    assert slips.parse(wrong) is None
    assert slips.fault(wrong) == "check"


@given(CODES, st.integers(0, 7), st.integers(0, 7))
def test_two_signs_that_changed_places_are_always_found(code: str, one: int, other: int) -> None:
    assume(code[one] != code[other])
    signs = list(code)
    signs[one], signs[other] = signs[other], signs[one]
    assert slips.fault("".join(signs)) == "check"


def test_all_single_errors_and_all_swaps_of_a_few_codes() -> None:
    for _ in range(20):
        code = slips.new_code(secrets.token_bytes(slips.RANDOM_BYTES))
        wrong = {code[:i] + sign + code[i + 1 :] for i in range(8) for sign in ALPHABET} - {code}
        swapped = {code[:i] + code[i + 1] + code[i] + code[i + 2 :] for i in range(7)} - {code}
        assert len(wrong) == 8 * 30
        assert {slips.fault(one) for one in wrong | swapped} == {"check"}


def test_a_sign_that_the_alphabet_lacks_is_skipped_so_that_all_are_equally_likely() -> None:
    every = [slips.new_code(bytes([first, *range(7)]))[0] for first in range(256)]
    assert Counter(every) == dict.fromkeys(ALPHABET, 8) | {"2": 16}, "31 is skipped: then the next byte, 0, is the first sign"
    with pytest.raises(ValueError, match="Give 32"):
        slips.new_code(bytes([31] * 40))


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("2345-678J", None), (" 2345 678j ", None), ("2 3 4 5–6 7 8 j", None), ("２３４５６７８Ｊ", None),
        ("", "length"), ("2345-678", "length"), ("2345-678JH", "length"), ("2" * 400, "length"), ("23", "length"),
        ("2345-67BJ", "check"), ("3245-678J", "check"),
        ("2345-67OJ", "letters"), ("0345-678J", "letters"), ("2345?678J", "letters"), ("đ345-678J", "letters"), ("I345", "letters"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(written: str, wrong: str | None) -> None:
    assert slips.fault(written) == wrong


@given(st.text(max_size=40) | st.text(ALPHABET + ALPHABET.lower() + " -–·.", min_size=6, max_size=14))
@example("2345\t678j")
@example("2345·678j")
@example("2345\N{SOFT HYPHEN}678j")
@example("2345\u0085678j")
def test_fault_and_parse_always_agree(written: str) -> None:
    code = slips.parse(written)
    assert (slips.fault(written) is None) == (code is not None)
    if code is not None:
        keyed = Keyed(b"k" * 32)
        assert keyed.slip_hash(written) == keyed.slip_hash(code), "the ledger knows it however it was typed"


@given(CODES)
def test_case_spaces_and_hyphens_do_not_matter(code: str) -> None:
    typed = "".join(f"{c.lower()}{'' if i % 3 else '- '}" for i, c in enumerate(code))
    assert slips.parse(typed) == code


def test_a_slips_code_is_never_taken_for_a_links() -> None:
    assert slips.LENGTH not in LENGTHS.values()
