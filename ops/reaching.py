"""Safe by default: how far each channel's messages may go, and the gate before every provider that holds it to that.

``hailong.domain.modes`` says what the modes mean. The ledger asks at every claim, in the claim's own transaction; the gate here asks once
more at the last moment, whoever calls: a message that may not leave is never handed over.

**Simulated recipients** never leave in the modes trial and live; their outcomes are those of the carrier (``ops.carrier.outcomes``, where
every number stands): ``+84510000NNN`` (NNN refuses, fails or delivers), Twilio's ``+1500555000N``, and every address under a name that
can be nobody's (RFC 2606: ``.example``, ``.test``, ``.invalid``, ``.localhost``, ``example.com``, ``.net``, ``.org``), such as
``refuse-550@guest.example``. In a trial they end as the table says; in live mode they are refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from hailong.domain.modes import HELD, Mode, ModeError, Reach, read_modes
from hailong.domain.people import normal_mail, normal_phone
from hailong.ports import Channel, Handover, OutgoingMessage, Permanent, Receipt, Retryable
from hailong.settings import SettingError, Settings
from ops.carrier import outcomes
from ops.carrier.records import PlannedStep
from surveys.channels.sms_twilio import PERMANENT
from surveys.messages.pricing import segments

TWILIO, SMTP, ZNS, PRINT = "twilio", "smtp", "zns", "print"
ABROAD: Final = frozenset({TWILIO})
"""Providers that take contacts out of the country."""
TRIED: Final = ("spread_minutes", "slot_minutes", "cap_days", "too_old_days", "link_days")
"""Settings for tries that hold when they are not negative."""
_SWITCHED: Final = ("any_hour", "ask_at_once", "proof_break")
_MAIL_PORTS: Final = frozenset({25, 465, 587})
"""Of real mail servers: one of these on this machine hands mails on."""
_NOBODYS: Final = (".example", ".test", ".invalid", ".localhost", "example.com", "example.net", "example.org")
_TWILIOS_TESTS: Final = "+1500555000"
_WAIT_S: Final = 300.0
_FRESH_S: Final = 1.0
_RANK: Final[Mapping[str, Literal["sent", "delivered", "failed"]]] = {
    "sent": "sent", "delivered": "delivered", "failed": "failed", "undelivered": "failed",
}  # fmt: skip


# --- what the settings say


def tries(s: Settings) -> list[str]:
    """Settings for tries that are set, as the environment names them; none may be where people are written to."""
    numbers = [name for name in TRIED if getattr(s, name) >= 0]
    switched = [name for name in _SWITCHED if getattr(s, name)]
    return [f"HAILONG_{name.upper()}" for name in (*numbers, *switched)] + (["HAILONG_CLOCK"] if s.clock != "real" else [])


def modes_of(s: Settings) -> dict[str, Mode]:
    """Channel → mode. Raises SettingError."""
    try:
        return read_modes(s.channel_modes)
    except ModeError as fault:
        raise SettingError(f"HAILONG_CHANNEL_MODES: {fault} Write it as sms=trial,email=live.") from fault


def reach_of(s: Settings, gateway: str | None) -> Reach:
    """How far messages may go. ``gateway``: provider that the gateway's description names. Raises SettingError."""
    return Reach(modes_of(s), carried(s, gateway), ABROAD, s.abroad_basis, tries(s))


def carried(s: Settings, gateway: str | None) -> frozenset[str]:
    """Providers whose address is the carrier's; slips to be printed stay on this machine anyway."""
    carrier = _place(s.carrier_url)
    addresses = {TWILIO: [s.twilio_base_url], ZNS: [s.zns_base_url, s.zns_oauth_url], gateway: [s.gateway_base_url]}
    found = {name for name, urls in addresses.items() if name and carrier and all(_place(url) == carrier for url in urls)}
    if carrier and s.smtp_host.lower() == carrier[0] and s.smtp_port not in _MAIL_PORTS:
        found.add(SMTP)
    return frozenset(found | {PRINT})


def _place(url: str) -> tuple[str, int | None] | None:
    """Host and port of an address; None for none."""
    parts = urlsplit(url)
    return (parts.hostname, parts.port) if parts.hostname else None


def refuse_tries(s: Settings) -> None:
    """Raises SettingError when a channel is meant for people and a setting for tries is set."""
    modes, set_ = modes_of(s), tries(s)
    if set_ and "live" in modes.values():
        channel = next(c for c, mode in modes.items() if mode == "live")
        raise SettingError(f"{set_[0]}: it is for tries, and HAILONG_CHANNEL_MODES has {channel}=live. Unset it, or set {channel}=trial.")


# --- who may be written to


def normal(typed: str) -> str | None:
    """A number as E.164 or an address, or None when it is neither."""
    if "@" in typed:
        return normal_mail(typed)
    phone = normal_phone(typed)
    return phone.e164 if phone else None


def guests(path: Path) -> frozenset[str]:
    """Who agreed to receive tests: numbers and addresses of a file, one a line, ``#`` begins a comment.

    Raises ValueError naming the line that is neither.
    """
    found = set()
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        said = line.partition("#")[0].strip()
        if not said:
            continue
        guest = normal(said)
        if guest is None:
            raise ValueError(f"{path.name}:{number}: neither a telephone number nor a mail address. Mend the line.")
        found.add(guest)
    return frozenset(found)


def guest_list(s: Settings) -> frozenset[str]:
    """Of the setting; nobody where none is named. Raises SettingError."""
    if not s.guests_file:
        return frozenset()
    try:
        return guests(Path(s.guests_file))
    except (OSError, ValueError) as fault:
        told = fault.strerror if isinstance(fault, OSError) else str(fault)
        raise SettingError(f"HAILONG_GUESTS_FILE: {told}. Name a file with one number or address a line.") from fault


def simulated(to: str) -> bool:
    """Whether a number or address can be nobody's and has a fixed outcome."""
    if "@" not in to:
        return to.startswith((outcomes.RESERVED_BLOCK, _TWILIOS_TESTS))
    domain = to.rpartition("@")[2].lower()
    return any(domain == name.removeprefix(".") or domain.endswith("." + name.removeprefix(".")) for name in _NOBODYS)


# --- fixed outcomes


def outcome(message: OutgoingMessage, provider: str) -> tuple[Handover, list[Receipt]]:
    """What a provider would do with a message to a simulated recipient, and report. Raises Permanent, Retryable."""
    _refuse(message)
    provider_id = f"simulated-{hashlib.sha256(message.claim_id.encode()).hexdigest()[:32]}"
    steps = outcomes.mail_plan(message.to, 0) if message.channel == "email" else outcomes.plan(message.to, 0, 0)
    receipts = [_receipt(provider, provider_id, step) for step in steps for _ in range(step.posts)]
    return Handover(provider, provider_id, segments(message.text) if message.channel == "sms" else 0, None, bool(receipts)), receipts


def _receipt(provider: str, provider_id: str, step: PlannedStep) -> Receipt:
    return Receipt(provider, provider_id, _RANK[step.status], str(step.code) if step.code else None)


def _refuse(message: OutgoingMessage) -> None:
    if message.channel == "email":
        reply = outcomes.mail_reply(message.to, "rcpt") or outcomes.mail_reply(message.to, "data")
        status, code, reason = (reply, str(reply), "refused") if reply else (0, "", "")
    else:
        problem = outcomes.check({"To": message.to, "From": "HAILONG", "Body": message.text or " "})
        status, code = (problem.status, str(problem.code)) if problem else (0, "")
        reason = PERMANENT.get(problem.code, "refused") if problem else ""
    if status == 429 or (400 <= status < 500 and message.channel == "email"):
        raise Retryable(f"a simulated recipient refuses for now ({code})", 60.0)
    if status:
        raise Permanent(reason, code)


# --- the gate


@dataclass(frozen=True)
class Gate:
    """What every provider's gate asks. ``live``: whether a channel's record of going live stands (reads the ledger; raises Retryable);
    ``report``: takes a receipt in, as the receipts' door does."""

    reach: Reach
    welcome: Callable[[str, str | None], bool]
    live: Callable[[str], bool]
    report: Callable[[Receipt], None]


class Gated:
    """A channel behind the gate (hailong.ports.Channel)."""

    def __init__(self, inner: Channel, gate: Gate) -> None:
        self.name = inner.name
        self.provider = inner.provider
        self.can_reconcile = inner.can_reconcile
        self._inner = inner
        self._gate = gate
        self._mode = gate.reach.mode(inner.name)
        self._live: tuple[float, bool] = (float("-inf"), False)

    async def send(self, message: OutgoingMessage) -> Handover:
        """Raises Retryable while nothing of this channel may leave, Permanent ``trial`` for whoever is no guest; else as the channel."""
        await self._admit()
        if self._mode != "carrier" and simulated(message.to):
            return await self._simulate(message)
        if not self._gate.welcome(self.name, message.to):
            raise Permanent("trial")
        return await self._inner.send(message)

    async def find(self, message: OutgoingMessage, since: datetime) -> Handover | None:
        """As the channel. Raises Retryable while nothing may leave: a question, too, tells the provider whom it is about."""
        await self._admit()
        if self._mode != "carrier" and simulated(message.to):
            return outcome(message, self.provider)[0] if self._mode == "trial" else None
        return await self._inner.find(message, since) if self._gate.welcome(self.name, message.to) else None

    async def close(self) -> None:
        await self._inner.close()

    async def _admit(self) -> None:
        why = self._gate.reach.held(self.name, self.provider, self._mode == "live" and await self._is_live())
        if why is not None:
            raise Retryable(f"{self.provider}: {HELD[why].replace('CHANNEL', self.name)}", _WAIT_S)

    async def _is_live(self) -> bool:
        now, (asked, live) = asyncio.get_running_loop().time(), self._live
        if now - asked > _FRESH_S:
            live = await asyncio.to_thread(self._gate.live, self.name)
            self._live = now, live
        return live

    async def _simulate(self, message: OutgoingMessage) -> Handover:
        if self._mode == "live":
            raise Permanent("simulated_recipient")
        handover, receipts = outcome(message, self.provider)
        for receipt in receipts:
            await asyncio.to_thread(self._gate.report, receipt)
        return handover
