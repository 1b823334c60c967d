"""Mail through an SMTP relay, with aiosmtplib.

Connections are kept and reused. Before the command DATA, whatever breaks is "surely not accepted"; from then until the relay's answer it is
"nobody knows" (the library does not tell whether the text had begun to leave), and SMTP has no list to ask.
"""

from __future__ import annotations

import hashlib
import ssl
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Literal

import aiosmtplib

from hailong.events import MessageChannel
from hailong.ports import Barred, Handover, OutgoingMessage, Permanent, Retryable, UnknownOutcome
from surveys.channels.places import Places


class _Policy(policy.EmailPolicy):
    """Folds the subject itself: the standard folding loses spaces of Vietnamese between two encoded words."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        if name.lower() != "subject" or str(value).isascii():
            return super().fold_binary(name, value)
        return f"Subject: {Header(str(value), 'utf-8', header_name='Subject').encode(linesep=self.linesep)}{self.linesep}".encode("ascii")


_POLICY = _Policy(linesep="\r\n", cte_type="7bit")  # relays on the way need not know 8BITMIME
_TOO_BUSY = 421
_OURS = frozenset({530, 534, 535, 538})
"""Replies about our login: every mail would be refused alike, so none may be given up for it."""


@dataclass(frozen=True)
class Relay:
    """Where mail is handed over. ``start_tls`` None: when the relay offers it. ``tls``: from the first byte."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    start_tls: bool | None = None
    tls: bool = False
    tls_context: ssl.SSLContext | None = None


class SmtpMail:
    """The channel ``email`` by an SMTP relay.

    ``sender``: address; ``sender_name``: as shown. ``domain``: right side of the Message-IDs. ``timeout``: seconds that one ``send`` takes
    at most, its waiting for one of the ``connections`` included. ``later``: seconds to wait after a temporary refusal (greylisting).
    ``now``: the time of the Date header.
    """

    name: MessageChannel = "email"
    provider = "smtp"
    can_reconcile = False

    def __init__(
        self,
        *,
        relay: Relay,
        sender: str,
        sender_name: str,
        domain: str,
        now: Callable[[], datetime],
        timeout: float = 20.0,
        connections: int = 4,
        later: float = 300.0,
    ) -> None:
        self._relay, self._domain, self._now, self._timeout, self._later = relay, domain, now, timeout, later
        self._from = Address(sender_name, addr_spec=sender)
        self._places = Places(connections, timeout)
        self._idle: list[aiosmtplib.SMTP] = []

    async def send(self, message: OutgoingMessage) -> Handover:
        """Hand over one mail. Raises Retryable, Permanent, UnknownOutcome; cancelled from outside, the outcome is unknown too."""
        to = _envelope_address(message.to)
        mail = compose(message, self._from, to, self._domain, self._now())
        stage = _Stage()
        try:
            async with self._places.one():
                code = await self._hand_over(to, mail.as_bytes(policy=_POLICY), stage)
        except TimeoutError:  # aiosmtplib's own among them
            raise stage.broken("did not answer in time") from None
        return Handover(self.provider, mail["Message-ID"].strip("<>"), 0, str(code))

    async def find(self, message: OutgoingMessage, since: datetime) -> Handover | None:
        """SMTP keeps no list: raises Permanent, always (``can_reconcile`` is False)."""
        raise Permanent("an SMTP relay cannot be asked what it has accepted")

    async def close(self) -> None:
        """Say goodbye on the idle connections; call it when nothing is being sent."""
        idle, self._idle = self._idle, []
        for connection in idle:
            try:
                await connection.quit(timeout=1.0)
            except (aiosmtplib.SMTPException, OSError):
                connection.close()

    async def _hand_over(self, to: str, octets: bytes, stage: _Stage) -> int:
        """The relay's reply code. A connection that broke is not kept."""
        connection = await self._ready(stage)
        try:
            await connection.rcpt(to)
            stage.text_may_leave = True
            reply = await connection.data(octets)
        except aiosmtplib.SMTPResponseException as refusal:
            self._keep(connection, await _reset(connection, refusal.code))
            if refusal.code < 400:  # aiosmtplib's name for an answer that is none
                raise stage.broken("gave an answer that is none") from None
            raise self._refusal(refusal.code) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            connection.close()
            raise stage.broken("lost the connection" if not isinstance(error, TimeoutError) else "did not answer in time") from None
        except BaseException:  # the time is over, or we are cancelled: the dialogue is in an unknown state
            connection.close()
            raise
        self._keep(connection, alive=True)
        return reply.code

    async def _ready(self, stage: _Stage) -> aiosmtplib.SMTP:
        """A connection on which the relay has just taken our sender; a kept one that has gone stale is replaced."""
        while self._idle:
            connection = self._idle.pop()
            if await self._begun(connection):
                return connection
        connection = await self._connected(stage)
        try:
            await connection.mail(self._from.addr_spec)
        except aiosmtplib.SMTPResponseException as refusal:
            connection.close()
            raise Retryable(
                f"The mail relay refuses our sender (reply {refusal.code}); correct the settings, the mails wait", self._later
            ) from None
        except (aiosmtplib.SMTPException, OSError):
            connection.close()
            raise stage.broken("lost the connection") from None
        except BaseException:
            connection.close()
            raise
        return connection

    async def _begun(self, connection: aiosmtplib.SMTP) -> bool:
        try:
            await connection.mail(self._from.addr_spec)
        except (aiosmtplib.SMTPException, OSError):
            connection.close()
            return False
        except BaseException:
            connection.close()
            raise
        return True

    async def _connected(self, stage: _Stage) -> aiosmtplib.SMTP:
        relay = self._relay
        connection = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            username=relay.username,
            password=relay.password,
            start_tls=relay.start_tls,
            use_tls=relay.tls,
            tls_context=relay.tls_context,
            local_hostname=self._domain,
            timeout=self._timeout,
        )
        try:
            await connection.connect()
        except aiosmtplib.SMTPResponseException as refusal:
            raise self._refusal(refusal.code, about="us") from None
        except (aiosmtplib.SMTPException, OSError):
            raise stage.broken("could not be reached") from None
        return connection

    def _keep(self, connection: aiosmtplib.SMTP, alive: bool) -> None:
        if alive and connection.is_connected:
            self._idle.append(connection)
        else:
            connection.close()

    def _refusal(self, code: int, about: Literal["us", "mail"] = "mail") -> Retryable | Permanent:
        if code in _OURS or (about == "us" and code >= 500):
            return Barred(f"The mail relay refuses our settings (reply {code}); correct them, the mails wait", self._later)
        if code == _TOO_BUSY:
            return Retryable("The mail relay is out of service for a moment (reply 421)", min(self._later, 5.0))
        if code >= 500:
            return Permanent("refused", str(code))
        return Retryable(f"The mail relay cannot take this mail now (reply {code})", self._later)


@dataclass
class _Stage:
    """How far a handover has come."""

    text_may_leave: bool = False

    def broken(self, how: str) -> Retryable | UnknownOutcome:
        """What a breakdown means now."""
        if self.text_may_leave:
            return UnknownOutcome(f"The mail relay {how} after DATA")
        return Retryable(f"The mail relay {how}; nothing was accepted", 2.0)


def message_id(claim_id: str, domain: str) -> str:
    """The Message-ID of a claim: always the same, and it tells nothing of the claim."""
    return f"<{hashlib.sha256(claim_id.encode()).hexdigest()[:32]}@{domain}>"


def compose(message: OutgoingMessage, sender: Address, to: str, domain: str, now: datetime) -> EmailMessage:
    """The mail, in NFC, text first and HTML as its alternative. Raises Permanent when a header cannot be made from it."""
    mail = EmailMessage(policy=_POLICY)
    try:
        mail["From"] = sender
        mail["To"] = Address(addr_spec=to)
        mail["Subject"] = _nfc(" ".join(message.subject.split()))
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = message_id(message.claim_id, domain)
        mail["Auto-Submitted"] = "auto-generated"
        mail["Content-Language"] = message.language
        if message.unsubscribe_url:
            mail["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail.set_content(_nfc(message.text))
        if message.html is not None:
            mail.add_alternative(_nfc(message.html), subtype="html")
    except (ValueError, IndexError) as error:  # email's parsers raise both
        raise Permanent(f"no mail can be made of this message ({type(error).__name__})") from None
    return mail


def _envelope_address(address: str) -> str:
    """The address in ASCII, its domain in IDNA. Raises Permanent when that is impossible."""
    local, at, domain = _nfc(address).rpartition("@")
    try:
        plain = f"{local}@{domain.encode('idna').decode('ascii')}"
        plain.encode("ascii")
        if not at or not local or not domain or any(character.isspace() or not character.isprintable() for character in plain):
            raise ValueError
    except ValueError:
        raise Permanent("invalid_address") from None
    return plain


async def _reset(connection: aiosmtplib.SMTP, code: int) -> bool:
    """Whether the connection can be used for another mail after a refusal."""
    if code < 400 or code == _TOO_BUSY or not connection.is_connected:
        return False
    try:
        await connection.rset()
    except (aiosmtplib.SMTPException, OSError):
        return False
    return True


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
