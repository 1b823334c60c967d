"""Mails that came back: delivery reports (RFC 3464) out of a Maildir folder, turned into receipts.

Our mail server delivers what comes to the sender's address into the folder; nothing is fetched from here. A report names the person it
could not reach, so it is removed as soon as its receipt is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import policy
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Final, Literal

from hailong.ports import Receipt, Retryable

_parser = BytesParser(policy=policy.compat32)  # the newer policies raise on headers that foreign servers write
_STATUS: Final = re.compile(r"([245])\.\d{1,3}\.\d{1,3}")
_MOST: Final = 5 * 1024 * 1024
Word = Literal["failed", "delayed", "other"]


@dataclass(frozen=True)
class Read:
    """What a mail is: a final failure (then with its receipt), a delay or another report that changes nothing, or no report at all."""

    word: Word
    receipt: Receipt | None = None


@dataclass(frozen=True)
class Swept:
    """What one sweep found; ``other`` mails (answers of people, of machines) stay in the folder, marked as seen."""

    failed: int = 0
    delayed: int = 0
    other: int = 0


def read(octets: bytes, domain: str, provider: str = "smtp") -> Read:
    """What a mail reports of a message with an id of ours under ``domain``. Never raises: what cannot be read is ``other``."""
    mail = _parser.parsebytes(octets)
    if mail.get_content_type() != "multipart/report" or not mail.is_multipart():
        return Read("other")
    parts = list(mail.walk())
    ours = _message_id(parts, domain)
    reports = [block for part in parts if part.get_content_type() == "message/delivery-status" for block in _blocks(part)]
    if ours is None or not reports:
        return Read("other")
    for report in reports:
        # "failed" is final whatever its status: 4.4.7 says that the server has given up trying
        if _field(report, "Action").lower() == "failed":
            status = _STATUS.search(_field(report, "Status"))
            return Read("failed", Receipt(provider, ours, "failed", status[0] if status else None))
    return Read("delayed")


def sweep(folder: Path, domain: str, keep: Callable[[Receipt], None], limit: int = 500) -> Swept:
    """Take up to ``limit`` mails out of the Maildir ``folder``: ``keep`` (which commits) first, then the mail is removed.

    May be repeated, and by two at once: a receipt that is kept twice is kept once. Raises Retryable, also what ``keep`` raises.
    """
    found = {"failed": 0, "delayed": 0, "other": 0}
    try:
        for file in _new(folder, limit):
            mail = read(_octets(file), domain)
            if mail.receipt is not None:
                keep(mail.receipt)
            found[mail.word] += 1
            _put_away(file, seen=mail.word == "other")
    except OSError as error:
        said = f"The returned mails in {folder} cannot be taken ({error.strerror}); look at HAILONG_BOUNCE_MAILDIR"
        raise Retryable(said, 60.0) from None
    return Swept(**found)


def _new(folder: Path, limit: int) -> Iterator[Path]:
    """Unseen mails, oldest name first: ``new``, and ``cur`` where another program has looked without reading."""
    seen = [file for file in (folder / "cur").iterdir() if "S" not in file.name.partition(":2,")[2]]
    names = sorted((folder / "new").iterdir()) + sorted(seen)
    yield from [file for file in names if not file.name.startswith(".") and file.is_file()][:limit]


def _octets(file: Path) -> bytes:
    with file.open("rb") as mail:
        return mail.read(_MOST)


def _put_away(file: Path, *, seen: bool) -> None:
    try:
        if seen:
            file.rename(file.parent.parent / "cur" / f"{file.name.partition(':2,')[0]}:2,S")
        else:
            file.unlink()
    except FileNotFoundError:
        return  # another one was quicker


def _blocks(report: Message) -> list[Message]:
    payload = report.get_payload()
    return [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []


def _message_id(parts: list[Message], domain: str) -> str | None:
    """The id of the mail that came back, if it is one of ours; the report's own stands in its first part and is not looked at."""
    ours = re.compile(rf"<([0-9a-f]{{32}})@{re.escape(domain)}>", re.IGNORECASE)
    for part in parts[1:]:
        if part.get_content_type() == "text/rfc822-headers":
            headers = part.get_payload(decode=True)
            said = _line(headers.decode("latin-1"), "message-id") if isinstance(headers, bytes) else ""
        else:
            said = _field(part, "Message-ID")
        if found := ours.search(said):
            return f"{found[1].lower()}@{domain}"
    return None


def _line(headers: str, name: str) -> str:
    unfolded = re.sub(r"\r?\n[ \t]+", " ", headers)
    return next((line for line in unfolded.splitlines() if line.lower().startswith(f"{name}:")), "")


def _field(message: Message, name: str) -> str:
    return str(message.get(name, "")).strip()
