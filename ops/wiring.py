"""The only place that chooses adapters: settings in, parts out. Nothing is opened before it is asked for."""

from __future__ import annotations

import hashlib
import hmac
import tomllib
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

from hailong.domain import links
from hailong.domain.eligibility import Rules
from hailong.domain.people import Keyed
from hailong.events import AlertChanged, CaseChanged, MessageChannel, Purpose
from hailong.ports import Channel, Claimed, Clock, OutgoingMessage
from hailong.settings import Settings
from ops.clock import make_clock
from ops.keys import Keys
from producers.publisher import AioPublisher, KafkaPublisher
from sinks.clickhouse.connection import connect
from sinks.ledger import Ledger, Tools, Vault, open_ledger
from surveys.channels.mail_smtp import Relay, SmtpMail
from surveys.channels.sms_twilio import API, TwilioSms
from surveys.texts import OfficersKind, Texts
from surveys.wording import office

SENSITIVE: Final = Path(__file__).parent / "rules" / "sensitive_procedures.txt"
_UNIT_OF_DRAW: Final = 2**53


def real_now() -> datetime:
    """Real time, for leases and for what providers are asked."""
    return datetime.now(UTC)


def secret(path: str) -> str:
    """The content of a secret's file; empty for no file."""
    return Path(path).read_text().strip() if path else ""


class Wiring:
    """The parts of one process, made from its settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # --- time, keys

    @cached_property
    def clock(self) -> Clock:
        return make_clock(self.settings.clock)

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.settings.keys_dir)

    @cached_property
    def keyed(self) -> Keyed:
        return Keyed(self.keys.named("identity"))

    def draw(self, dossier_ref: str) -> float:
        """The draw of a dossier, in [0, 1): from the installation's key, so that nobody chooses it."""
        digest = hmac.digest(self.keys.named("draw"), dossier_ref.encode(), hashlib.sha256)
        return int.from_bytes(digest[:7], "big") % _UNIT_OF_DRAW / _UNIT_OF_DRAW

    def code_for(self, survey_id: str, purpose: str, channel: str) -> str:
        """The code of a link; the same every time."""
        return links.code(self.keys.named("links"), survey_id, cast(Purpose, purpose), cast(MessageChannel, channel))

    # --- stores and log

    @cached_property
    def tools(self) -> Tools:
        s = self.settings
        return Tools(
            registry_id=s.registry_id,
            vault=Vault(self.keys.month),
            contact_hash=self.keyed.contact_hash,
            code_hash=_code_hash,
            new_id=lambda: uuid.uuid4().hex,
            code_for=self.code_for,
            cap_days=s.cap_days,
            reconcile_gap_s=s.reconcile_gap_s,
            dead_letter_limit=s.dead_letter_limit,
        )

    def ledger(self, writer: str) -> Ledger:
        """The ledger, with the outbox of ``writer``."""
        return open_ledger(self.settings.ledger, self.tools, writer, secret(self.settings.ledger_password_file) or None)

    def publisher(self, name: str) -> KafkaPublisher:
        return KafkaPublisher(self.settings.kafka, client_id=name)

    def aio_publisher(self, name: str) -> AioPublisher:
        return AioPublisher(self.settings.kafka, client_id=name)

    def clickhouse(self, *, without_database: bool = False) -> Any:
        return connect(self.settings, without_database=without_database)

    # --- rules

    @cached_property
    def rules(self) -> Rules:
        s = self.settings
        path = Path(s.sensitive_file) if s.sensitive_file else SENSITIVE
        codes = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
        return Rules(
            too_old_days=s.too_old_days,
            cap_days=s.cap_days,
            spread_minutes=s.spread_minutes,
            slot_minutes=s.slot_minutes,
            link_days=s.link_days,
            sensitive=frozenset(code for code in codes if code),
        )

    # --- ways to people

    @cached_property
    def texts(self) -> Texts:
        return Texts(office())

    def channels(self) -> dict[str, Channel]:
        """The ways out, by name."""
        s = self.settings
        sms = TwilioSms(
            account_sid=s.twilio_account_sid,
            auth_token=secret(s.twilio_token_file),
            sender=s.twilio_sender,
            base_url=s.twilio_base_url or API,
            timeout=s.send_timeout_s,
            parallel=s.send_parallel,
        )
        mail = SmtpMail(
            relay=Relay(
                s.smtp_host, s.smtp_port, s.smtp_user or None, secret(s.smtp_password_file) or None, start_tls=None if s.smtp_tls else False
            ),
            sender=s.mail_from,
            sender_name=office().name["vi"],
            domain=s.mail_from.rpartition("@")[2],
            now=real_now,
            timeout=s.send_timeout_s,
            connections=s.send_parallel,
            later=s.retry_base_s,
        )
        return {"sms": sms, "email": mail}

    def compose(self, c: Claimed) -> OutgoingMessage:
        """A claimed message as its channel takes it."""
        return self._officers(c) if c.kind == "officers" else self._invitation(c)

    def _invitation(self, c: Claimed) -> OutgoingMessage:
        code = self.code_for(c.ref, c.kind, c.channel)
        url = f"{self.settings.survey_url.rstrip('/')}/{code}"
        until = c.expires_at or c.claimed_at + timedelta(days=self.settings.link_days)
        text = self.texts.invitation(
            c.channel, c.language, url=url, stop_url=f"{url}/stop", until=until.astimezone(self.clock.now().tzinfo).date()
        )
        to = c.contact and (c.contact.phone if c.channel == "sms" else c.contact.email)
        callback = f"{self.settings.callback_url.rstrip('/')}/receipts/twilio" if c.channel == "sms" else None
        return OutgoingMessage(
            c.claim_id, c.channel, to or "", text.subject, text.text, text.html, code, callback, f"{url}/stop", c.language
        )

    def _officers(self, c: Claimed) -> OutgoingMessage:
        words = {k: v for k, v in c.payload.items() if k not in ("to", "kind", "language")}
        text = self.texts.officers(cast(OfficersKind, c.payload["kind"]), c.language, words)
        return OutgoingMessage(c.claim_id, "email", c.address or "", text.subject, text.text, text.html, c.claim_id, None, None, c.language)

    # --- officers

    @cached_property
    def directory(self) -> Directory:
        return Directory(tomllib.loads(Path(self.settings.officers_file).read_text("utf-8")) if self.settings.officers_file else {})

    def officers_ref(self, step: str, address: str) -> str:
        """The id of an officers' message: the step it tells and whom, without naming them."""
        return f"{step}:{self.keyed.contact_hash('email', address)[:12]}"

    def unit_names(self, ledger: Ledger) -> Callable[[str], str]:
        """A unit's newest name, or its code."""

        def name(code: str) -> str:
            with ledger.read() as reader:
                return next((u.name for u in reversed(reader.units()) if u.code == code), code)

        return name

    def words_of(self, name: Callable[[str], str]) -> Callable[[AlertChanged | CaseChanged], Mapping[str, Any]]:
        """What an officers' mail about an alert or a case is made from."""

        def words(fact: AlertChanged | CaseChanged) -> Mapping[str, Any]:
            unit = {"unit": fact.unit, "unit_name": name(fact.unit)}
            if isinstance(fact, CaseChanged):
                return {"kind": "charges", **unit, "on": fact.on.isoformat()}
            kind = "alert_raised" if fact.state == "raised" else "alert_cleared"
            figures = {"n": fact.n, "satisfied": fact.satisfied, "target": fact.target, "low": fact.low, "high": fact.high}
            days = {"since": fact.since.isoformat(), "until": fact.until.isoformat(), "url": self.settings.dashboard_url}
            return {"kind": kind, **unit, **figures, **days, "sentence_vi": fact.sentence_vi, "sentence_en": fact.sentence_en}

        return words


class Directory:
    """Addresses of quality officers: unit → addresses, ``"*"`` for the others, ``office`` for the quality office."""

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        self._table = table

    def office(self) -> Sequence[str]:
        return self._table.get("office", ())

    def of(self, unit: str, confidential: bool) -> Sequence[str]:
        """Who is told about a unit; what is confidential goes to the quality office only."""
        return self.office() if confidential else self._table.get(unit, self._table.get("*", ()))


def _code_hash(code: str) -> str:
    """The ledger's look-up key of a code; what is no code has one that none matches."""
    return links.code_hash(code) if links.parse(code) else ""
