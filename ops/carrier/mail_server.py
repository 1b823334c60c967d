"""The SMTP side: says 250 only when the mail is on the disk."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from aiosmtpd.smtp import SMTP, Envelope, Session

from ops.carrier.bounces import API as BOUNCE
from ops.carrier.bounces import CALLBACK
from ops.carrier.faults import Faults, Order, bend
from ops.carrier.journal import Journal, JournalFailed
from ops.carrier.outcomes import mail_plan, mail_reply
from ops.carrier.receipts import Receipts
from ops.carrier.records import Accepted, Refused

_FAULT_REPLIES = {
    "403": (535, "5.7.8 This account is not active"),
    "429": (450, "4.7.0 Too many mails at once, try again later"),
    "500": (451, "4.3.0 Something broke here, try again later"),
    "503": (421, "4.3.2 Out of service for a while"),
}
_NO_ROOM = "452 4.3.1 There is no room on the disk"
MAX_MAIL = 10 * 1024 * 1024


@dataclass
class MailServer:
    """An aiosmtpd handler and the factory of its connections."""

    journal: Journal
    faults: Faults
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    receipts: Receipts
    back_after: float
    """Seconds until a mail to an address reserved for it comes back."""
    _open: weakref.WeakSet[SMTP] = field(default_factory=weakref.WeakSet)

    def connection(self) -> SMTP:
        """A protocol for one more connection."""
        smtp = SMTP(
            self,
            data_size_limit=MAX_MAIL,
            enable_SMTPUTF8=True,
            hostname="carrier.localhost",
            ident="hailong carrier",
            loop=asyncio.get_running_loop(),
        )
        self._open.add(smtp)
        return smtp

    def cut(self) -> None:
        """Cut every connection."""
        for smtp in list(self._open):
            _cut(smtp)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        reply = mail_reply(address, "rcpt")
        fault = self.faults.for_request("email", address) if reply is None else None
        if fault is not None and fault.kind in _FAULT_REPLIES:
            code, text = _FAULT_REPLIES[fault.kind]
            return await self._refuse(envelope, address, code, text, fault.kind)
        if reply is not None:
            return await self._refuse(envelope, address, reply, f"{reply // 100}.1.1 This address is refused")
        if fault is not None:
            _faults_of(envelope)[address] = fault
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        for address in envelope.rcpt_tos:
            reply = mail_reply(address, "data")
            if reply is not None:
                return await self._refuse(envelope, address, reply, f"{reply // 100}.6.0 This mail is refused")
        faults = _faults_of(envelope)
        fault = next(iter(faults.values()), None)
        if fault is not None and fault.kind == "timeout_before":
            for address in envelope.rcpt_tos:
                await self._refuse(envelope, address, 0, "", fault.kind)
            return await _hold_and_cut(server, fault)
        mails = [self._accepted(envelope, address, faults.get(address)) for address in envelope.rcpt_tos]
        try:
            await self.journal.append(*mails)
        except JournalFailed:
            return _NO_ROOM
        for mail in mails:
            self.receipts.follow(mail.id)
        return await _hold_and_cut(server, fault) if fault else f"250 2.0.0 OK {mails[0].id}"

    async def handle_exception(self, error: Exception) -> str:
        """What broke is told by its type only: texts may name people."""
        return f"451 4.3.0 Something broke here ({type(error).__name__})"

    def _accepted(self, envelope: Envelope, address: str, fault: Order | None) -> Accepted:
        content = envelope.original_content or b""
        steps = mail_plan(address, self.back_after)
        back = bend(steps, self.faults.for_receipts("email", address)) if steps else ()
        return Accepted(
            id=self.new_id(),
            at=self.now(),
            channel="email",
            to=address,
            sender=envelope.mail_from or "",
            raw=content.decode("latin-1"),
            fault=fault.kind if fault else None,
            plan=back,
            callback=CALLBACK if back else None,
            api=BOUNCE if back else "",
        )

    async def _refuse(self, envelope: Envelope, address: str, code: int, text: str, fault: str | None = None) -> str:
        try:
            await self.journal.append(Refused(self.now(), "email", address, envelope.mail_from or "", code, None, fault))
        except JournalFailed:
            return _NO_ROOM
        return f"{code} {text}"


def _faults_of(envelope: Envelope) -> dict[str, Order]:
    """Faults that wait for the end of the text, by recipient; kept on the envelope, which ends with the transaction."""
    faults: dict[str, Order] = envelope.__dict__.setdefault("ordered_faults", {})
    return faults


async def _hold_and_cut(server: SMTP, fault: Order) -> str:
    await asyncio.sleep(fault.seconds)
    _cut(server)
    raise asyncio.CancelledError


def _cut(smtp: SMTP) -> None:
    if smtp.transport is not None:
        smtp.transport.close()
