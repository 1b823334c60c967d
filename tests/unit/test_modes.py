"""Whom a channel may reach: nobody, until somebody says otherwise."""

from __future__ import annotations

import pytest

from hailong.domain.modes import HELD, ModeError, Reach, WhyHeld, read_modes


@pytest.mark.parametrize(
    ("text", "modes"),
    [("", {}), ("sms=trial", {"sms": "trial"}), (" sms = live , email=carrier,", {"sms": "live", "email": "carrier"})],
)
def test_modes_are_read(text: str, modes: dict[str, str]) -> None:
    assert read_modes(text) == modes


@pytest.mark.parametrize(
    ("text", "said"), [("fax=live", "no such channel"), ("sms=on", "Modes are carrier, trial, live"), ("sms=live,sms=trial", "twice")]
)
def test_what_cannot_be_read_says_what_would_do(text: str, said: str) -> None:
    with pytest.raises(ModeError, match=said):
        read_modes(text)


@pytest.mark.parametrize(
    ("modes", "provider", "live", "more", "why"),
    [
        ("", "twilio", True, {}, "no_carrier"),
        ("", "twilio", False, {"carried": {"twilio"}}, None),
        ("email=live", "twilio", True, {}, "no_carrier"),
        ("sms=trial", "twilio", False, {}, "no_basis_abroad"),
        ("sms=trial", "twilio", False, {"basis": "  "}, "no_basis_abroad"),
        ("sms=trial", "twilio", False, {"basis": "a contract"}, None),
        ("sms=trial", "gateway-x", False, {}, None),
        ("sms=live", "gateway-x", False, {}, "not_live"),
        ("sms=live", "gateway-x", True, {}, None),
        ("sms=live", "twilio", True, {}, "no_basis_abroad"),
        ("sms=live", "gateway-x", False, {"carried": {"gateway-x"}}, "not_live"),
        ("sms=live", "gateway-x", True, {"tried": ["any_hour"]}, "tries"),
        ("sms=trial", "gateway-x", True, {"tried": ["any_hour"]}, None),
    ],
)
def test_what_is_not_allowed_waits(modes: str, provider: str, live: bool, more: dict[str, object], why: WhyHeld | None) -> None:
    reach = Reach(read_modes(modes), abroad={"twilio"}, **more)  # type: ignore[arg-type]
    assert reach.held("sms", provider, live) == why
    assert why is None or HELD[why]
