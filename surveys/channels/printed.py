"""The channel ``print``: nothing leaves. Each message becomes a slip in a folder, which the desk prints and hands to the person."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import unicodedata
from datetime import datetime
from pathlib import Path

from hailong.events import MessageChannel
from hailong.ports import Handover, OutgoingMessage, Permanent, Retryable

_LATER = 60.0
_MOST = 100_000


class PrintedSlips:
    """Writes ``FOLDER/ID.txt``, readable by this user only; its id is that of the claim, so another try writes nothing."""

    name: MessageChannel = "print"
    provider = "print"
    can_reconcile = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: OutgoingMessage) -> Handover:
        """Return when the slip is on the disk. Raises Retryable when it cannot be written, Permanent when there is nothing to print."""
        if not message.text.strip() or len(message.text) > _MOST:
            raise Permanent("empty_text" if not message.text.strip() else "text_too_long")
        slip = slip_id(message.claim_id)
        try:
            await asyncio.to_thread(_write, self._folder, slip, text_of(message).encode())
        except OSError as error:
            raise Retryable(f"A slip could not be written ({error.strerror}); make the folder HAILONG_PRINT_DIR writable", _LATER) from None
        return Handover(self.provider, slip, 0, "written")

    async def find(self, message: OutgoingMessage, since: datetime) -> Handover | None:
        """Whether the slip was written. Raises Retryable when the folder cannot be read."""
        slip = slip_id(message.claim_id)
        try:
            there = await asyncio.to_thread(_exists, self._folder, slip)
        except OSError as error:
            raise Retryable(f"The slips could not be read ({error.strerror}); look at the folder HAILONG_PRINT_DIR", _LATER) from None
        return Handover(self.provider, slip, 0, "written") if there else None

    async def close(self) -> None:
        """Nothing is held open."""


def slip_id(claim_id: str) -> str:
    """The slip's name: always the same for a claim, a name on any disk, and it tells nothing."""
    return hashlib.sha256(claim_id.encode()).hexdigest()[:32]


def text_of(message: OutgoingMessage) -> str:
    """What is printed, in NFC: the subject as a heading, an empty line, the text."""
    heading = " ".join(message.subject.split())
    said = f"{heading}\n\n{message.text.strip()}\n" if heading else f"{message.text.strip()}\n"
    return unicodedata.normalize("NFC", said)


def _write(folder: Path, slip: str, octets: bytes) -> None:
    """Whole or not at all, and on the disk before it is confirmed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    whole, part = folder / f"{slip}.txt", folder / f".{slip}.{secrets.token_hex(4)}.part"
    if whole.exists():
        return
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        part.replace(whole)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)  # else the name may be lost with the power
    finally:
        os.close(held)


def _exists(folder: Path, slip: str) -> bool:
    """``Path.exists`` would take a folder without rights for one without the slip."""
    try:
        (folder / f"{slip}.txt").stat()
    except FileNotFoundError:
        return False
    return True
