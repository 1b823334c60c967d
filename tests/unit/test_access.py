"""Logins, passwords, waits, sessions and codes: the rules of signing in, without a site."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import factor
from hailong.domain.access import (
    HALF_LIFE,
    IDLE,
    LIFE,
    LONGEST_WAIT,
    PASSWORD_MAX,
    PASSWORD_MIN,
    Session,
    normal_login,
    normal_password,
    wait_after,
    weakness,
)

NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)


LONGEST = "".join(map(str, range(200)))[:200]


@pytest.mark.parametrize(
    ("typed", "login"),
    [
        ("lan", "lan"), (" Lan.Nguyen-1_x ", "lan.nguyen-1_x"), ("a", "a"), ("a" * 64, "a" * 64), ("a" * 65, None), ("", None),
        (".lan", None), ("lan.", None), ("lan nguyen", None), ("lan@hoabinh.example", None), ("đào", None), ("lan\n", "lan"),
        ("lan/../x", None),
    ],
)  # fmt: skip
def test_a_login_is_plain_letters(typed: str, login: str | None) -> None:
    assert normal_login(typed) == login


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("mười một chữ", None), ("mười một ch", "short"), (LONGEST, None), (LONGEST + "!", "long"),
        ("toi la LAN day nhe", "login"), ("aaaaaaaaaaaa", "monotonous"), ("abababababab", "monotonous"),
        ("passwordpassword", "common"), ("passwordpassword1", "common"), ("729157291572915", "common"), ("xx8371936572", None),
        ("Password2026!!", "common"), ("123456789012", "common"), ("1234567890123", "common"),
        ("qwertyuiop12", "common"), ("MậtKhẩu12345", "common"), ("mat khau 2026", "common"), ("HaiLong@123456", "common"),
        ("hoabinh123456", "common"), ("xekhachxekhachxe", "common"), ("xe khách sáng sớm", None), ("password đường về", None),
    ],
)  # fmt: skip
def test_a_password_is_long_and_not_the_login(password: str, why: str | None) -> None:
    assert weakness(password, "lan") == why
    assert (PASSWORD_MIN, PASSWORD_MAX) == (12, 200)


@given(st.text())
def test_composing_letters_twice_changes_nothing(typed: str) -> None:
    assert normal_password(normal_password(typed)) == normal_password(typed)


@given(st.integers(0, 10_000))
def test_a_wait_never_gets_shorter_and_never_too_long(failed: int) -> None:
    assert wait_after(failed) <= wait_after(failed + 1) <= LONGEST_WAIT
    assert (wait_after(failed) == timedelta(0)) == (failed < 5)


def test_when_a_session_holds() -> None:
    session = Session("t", "lan", "c", "full", NOW, NOW + timedelta(hours=11, minutes=50))
    assert session.alive(NOW + LIFE - timedelta(seconds=1))
    assert not session.alive(NOW + LIFE)
    idle = Session("t", "lan", "c", "full", NOW, NOW)
    assert idle.alive(NOW + IDLE - timedelta(seconds=1))
    assert not idle.alive(NOW + IDLE)
    half = Session("t", "lan", "c", "half", NOW, NOW + HALF_LIFE)
    assert not half.alive(NOW + HALF_LIFE)


SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.mark.parametrize(("seconds", "fits"), [(0, True), (-30, True), (30, True), (-65, False), (65, False)])
def test_a_phone_may_be_half_a_minute_off(seconds: int, fits: bool) -> None:
    code = pyotp.TOTP(SECRET).at(NOW + timedelta(seconds=seconds))
    assert (factor.step_of(SECRET, code, NOW) is not None) is fits
    assert factor.step_of(SECRET, f" {code[:3]} {code[3:]} ", NOW) == factor.step_of(SECRET, code, NOW)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "٣٣٣٣٣٣"])
def test_what_is_no_code_fits_never(code: str) -> None:
    assert factor.step_of(SECRET, code, NOW) is None


def test_rfc_6238_s_own_example() -> None:
    """Appendix B, SHA-1, the last six of its eight digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        assert factor.step_of(secret, code, datetime.fromtimestamp(seconds, UTC)) == seconds // 30


def test_the_picture_says_what_it_is_and_holds_no_style_or_script() -> None:
    drawn = factor.picture(SECRET, "lan", 'mã "QR" <của> lan')
    assert "&lt;của&gt;" in drawn
    assert "style" not in drawn
    assert "script" not in drawn
    assert factor.grouped("ABCDEFGH") == "ABCD EFGH"
