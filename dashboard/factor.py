"""The second factor: six digits of an application on the officer's phone (TOTP, RFC 6238), and the picture that sets it up."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Final

import pyotp
import segno
from markupsafe import Markup

ISSUER: Final = "hailong"
STEP_S: Final = 30
_DRIFT: Final = (0, -1, 1)
"""A phone may be one step early or late."""


def new_secret() -> str:
    """A secret, base32, 160 bits."""
    return pyotp.random_base32()


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step whose code this is; None when it is none of those that hold ``now``."""
    typed = "".join(code.split())
    step = int(now.timestamp()) // STEP_S
    totp = pyotp.TOTP(secret, interval=STEP_S)
    fits = [step + drift for drift in _DRIFT if hmac.compare_digest(totp.generate_otp(step + drift), typed)] if typed.isascii() else []
    return fits[0] if fits else None


def grouped(secret: str) -> str:
    """For typing it by hand: in groups of four."""
    return " ".join(secret[i : i + 4] for i in range(0, len(secret), 4))


def picture(secret: str, login: str, said: str) -> Markup:
    """The QR code as inline SVG: dark on light in both colour schemes, or phones do not read it. ``said``: for who cannot see it."""
    address = pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=login, issuer_name=ISSUER)
    drawn = segno.make(address, error="m").svg_inline(
        scale=1, border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True, title=said
    )
    return Markup(drawn)  # noqa: S704 (segno escapes the title; the rest is geometry)
