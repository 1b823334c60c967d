"""Mails that come back: a report as in RFC 3464 for addresses reserved for it, put into a Maildir folder as a mail server would."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.parser import BytesHeaderParser
from email.utils import format_datetime
from pathlib import Path

import aiohttp

from ops.carrier.records import Accepted

API = "bounce"
"""``Accepted.api`` of such mails: their receipt is a mail."""
CALLBACK = "maildir:"
_SERVER = "carrier.localhost"
_ACTIONS = {"failed": "failed", "sent": "delayed"}


@dataclass(frozen=True)
class Bounces:
    """Writes reports into ``folder``."""

    folder: Path
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    async def tell(self, _: aiohttp.ClientSession, message: Accepted, status: str, code: int | None) -> int:
        """One report, whole when it is seen; 250. Raises OSError."""
        await asyncio.to_thread(self._write, report(message, _ACTIONS[status], code or 500, self.now()))
        return 250

    def prepare(self) -> None:
        """Make the folder a Maildir. Raises OSError."""
        for name in ("tmp", "new", "cur"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def _write(self, mail: bytes) -> None:
        name = f"{int(self.now().timestamp())}.{self.new_id()}.{_SERVER}"
        with os.fdopen(os.open(self.folder / "tmp" / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(mail)
            file.flush()
            os.fsync(file.fileno())
        (self.folder / "tmp" / name).rename(self.folder / "new" / name)


def report(message: Accepted, action: str, code: int, now: datetime) -> bytes:
    """The report about an accepted mail; ``code`` 511 is the status 5.1.1."""
    original = BytesHeaderParser().parsebytes(message.raw.encode("latin-1"))
    status, boundary = ".".join(str(code)), f"=_{message.id}"
    head = [
        f"From: Mail Delivery Subsystem <MAILER-DAEMON@{_SERVER}>",
        f"To: {message.sender}",
        "Subject: " + ("Undelivered Mail Returned to Sender" if action == "failed" else "Delayed Mail (still being retried)"),
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{message.id}.{action}@{_SERVER}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"',
    ]
    about = [f"Reporting-MTA: dns; {_SERVER}", f"Arrival-Date: {format_datetime(message.at)}", ""]
    about += [f"Final-Recipient: rfc822; {message.to}", f"Action: {action}", f"Status: {status}"]
    about += [f"Diagnostic-Code: smtp; {code} this address is reserved for reports", ""]
    kept = [f"{name}: {original[name]}" for name in ("From", "To", "Date", "Message-ID") if original[name]]
    parts = [
        ["Content-Type: text/plain; charset=us-ascii", "", "This is the mail system of a machine without one."],
        ["Content-Type: message/delivery-status", "", *about],
        ["Content-Type: text/rfc822-headers", "", *kept],
    ]
    body = [line for part in parts for line in (f"--{boundary}", *part, "")]
    return "\r\n".join([*head, "", *body, f"--{boundary}--", ""]).encode("latin-1", "replace")
