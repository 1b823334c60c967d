"""Numbers and addresses as people write them, and the hashes that stand for them."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.people import Keyed, normal_mail, normal_phone

KEY = bytes(range(32))
keyed = Keyed(KEY)


@pytest.mark.parametrize(
    "raw",
    ["0900012345", "0900 012 345", "0900.012.345", "+84 900 012345", "84900012345", "0084900012345", "900012345", " (0900) 012-345 "],
)
def test_a_mobile_number_has_one_form_however_it_is_written(raw: str) -> None:
    phone = normal_phone(raw)
    assert phone is not None
    assert (phone.e164, phone.kind) == ("+84900012345", "mobile")


def test_a_fixed_line_is_told_apart() -> None:
    phone = normal_phone("0218 385 1234")
    assert phone is not None
    assert phone.kind == "fixed"


@pytest.mark.parametrize("raw", ["", "1022", "số nhà 5", "01234567890", "0900012345 ext. 7", "9" * 300, "+84", "không có"])
def test_what_is_no_number_is_none(raw: str) -> None:
    assert normal_phone(raw) is None


def test_of_several_numbers_the_first_mobile_one_is_taken() -> None:
    phone = normal_phone("0218 385 1234; 0900 012 345 / 0900 012 346")
    assert phone is not None
    assert phone.e164 == "+84900012345"


def test_a_foreign_number_keeps_its_country() -> None:
    phone = normal_phone("+1 650 253 0000")
    assert phone is not None
    assert phone.e164 == "+16502530000"


@given(st.integers(0, 99_999))
def test_normalising_twice_changes_nothing(n: int) -> None:
    once = normal_phone(f"0900 0{n:05d}")
    assert once is not None
    assert normal_phone(once.e164) == once


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_none(raw: str) -> None:
    phone = normal_phone(raw)
    assert phone is None or phone.e164.startswith("+")


def test_the_domain_of_a_mail_is_lower_cased_and_its_letters_composed() -> None:
    assert normal_mail(" Nguoi.Nop@CONG-DAN.Example ") == "Nguoi.Nop@cong-dan.example"
    decomposed = unicodedata.normalize("NFD", "a@cộng-đồng.example")
    assert normal_mail(decomposed) == unicodedata.normalize("NFC", decomposed)


@pytest.mark.parametrize(
    "raw", ["", "a@b", "a b@c.example", "nguyễn@thu.example", "@c.example", "a@c.example\nBcc: b@c.example", "x" * 260]
)
def test_what_no_mail_server_takes_is_none(raw: str) -> None:
    assert normal_mail(raw) is None


def test_hashes_depend_on_the_key_and_on_what_they_stand_for() -> None:
    other = Keyed(bytes(reversed(KEY)))
    assert keyed.dossier_ref("a", "1") != other.dossier_ref("a", "1")
    assert keyed.dossier_ref("a", "1") != keyed.person_hash("a", "1")
    assert keyed.contact_hash("phone", "x") != keyed.contact_hash("email", "x")


@given(st.lists(st.text(max_size=8), min_size=2, max_size=2, unique=True), st.text(max_size=8))
def test_moving_a_letter_from_one_part_to_the_next_gives_another_hash(parts: list[str], tail: str) -> None:
    a, b = parts
    if (a, b + tail) != (a + b, tail):
        assert keyed.dossier_ref(a, b + tail) != keyed.dossier_ref(a + b, tail)


def test_one_mailbox_is_one_contact_whatever_its_case() -> None:
    assert keyed.contact_hash("email", "A@c.example") == keyed.contact_hash("email", "a@c.example")


@pytest.mark.parametrize(
    ("drawn", "typed"),
    [
        ("A012", ["a012", "A-012", "A 012", "A12", " a.0012 ", "Ａ０１２", "A–012"]),
        ("7", ["0007", " 7 ", "07"]),
        ("Đ05", ["đ5", "Đ-05"]),
        ("B1-07", ["b107", "B1 07"]),
        ("000", ["0"]),
    ],
)
def test_a_queue_number_is_the_same_however_it_is_typed(drawn: str, typed: list[str]) -> None:
    day = date(2026, 3, 10)
    stands = keyed.ticket_hash("X1", day, drawn)
    assert {keyed.ticket_hash("X1", day, one) for one in typed} == {stands}


def test_other_queue_numbers_stay_other_ones() -> None:
    day, drawn = date(2026, 3, 10), ["A012", "B012", "12", "A120", "A0120", "A102", "Đ12", "D13", "0", "", "-", "1A2"]
    assert len({keyed.ticket_hash("X1", day, one) for one in drawn}) == len(drawn) - 1, "A120 and A0120 alone are one"
    assert (
        keyed.ticket_hash("X2", day, "A012") != keyed.ticket_hash("X1", day, "A012") != keyed.ticket_hash("X1", date(2026, 3, 11), "A012")
    )


def test_hashes_are_pinned() -> None:
    """A release that changed them would ask everybody again."""
    assert keyed.dossier_ref("one-stop", "H28.12-250115-0042") == "5382d8d32af1ddda1c10a268838a6d4d"
    assert keyed.contact_hash("phone", "+84900012345") == "7a18ef1a074b0f8e395e2badae5dc599"


def test_a_short_key_is_refused_and_a_long_one_is_not() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Keyed(b"short")
    assert Keyed(b"x" * 100).person_hash("a", "b") != Keyed(b"x" * 101).person_hash("a", "b")
