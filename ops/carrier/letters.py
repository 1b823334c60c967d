"""A mail taken apart for reading."""

from __future__ import annotations

from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

_parser = BytesParser(policy=policy.default)


@dataclass(frozen=True)
class Letter:
    """``headers`` in their order, decoded; ``text`` and ``html`` are the preferred parts, empty where there is none."""

    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]


def parse(raw: str) -> Letter:
    """``raw``: the mail's octets, one character each. What cannot be decoded is shown as a replacement character."""
    message = _parser.parsebytes(raw.encode("latin-1"))
    if not isinstance(message, EmailMessage):
        raise TypeError("The mail parser gave no EmailMessage; the parser's policy must be email.policy.default.")
    headers = tuple((name, str(value)) for name, value in message.items())
    return Letter(str(message.get("Subject", "")), _part(message, "plain"), _part(message, "html"), headers)


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    octets = part.get_payload(decode=True)
    if not isinstance(octets, bytes):
        return ""
    try:
        return octets.decode(part.get_content_charset("utf-8"), "replace").replace("\r\n", "\n")
    except LookupError:  # a character set nobody knows
        return octets.decode("utf-8", "replace").replace("\r\n", "\n")
