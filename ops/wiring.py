"""The only place that chooses adapters: settings in, parts out. Nothing is opened before it is asked for."""

from __future__ import annotations

import functools
import hashlib
import hmac
import tomllib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

from hailong.domain import draw as lots
from hailong.domain import links, receipts
from hailong.domain.hours import Hours
from hailong.domain.people import Keyed
from hailong.domain.quality import about_data
from hailong.domain.rulebook import Rulebook, Rules
from hailong.domain.rulebook import load as load_rules
from hailong.domain.units import LOCAL
from hailong.domain.ways import Switching, Way
from hailong.events import AlertChanged, CaseChanged, MessageChannel, Purpose
from hailong.ports import Channel, Claimed, Clock, OutgoingMessage, Receipt
from hailong.settings import SettingError, Settings
from ops.clock import make_clock
from ops.keys import Keys, Peppered
from ops.outboxes import held_name
from ops.reaching import TRIED
from ops.ways import Ways, given, pairs, secret
from producers.publisher import AioPublisher, KafkaPublisher
from sinks.clickhouse.connection import connect
from sinks.ledger import Ledger, Tools, Vault, open_ledger
from streams.deciding import Office
from surveys.messages.texts import Texts

RULES: Final = Path(__file__).parent / "rules" / "rules.toml"
_ALWAYS: Final = Hours(time.min, time.max, frozenset(range(7)), holidays=False)


class Wiring:
    """The parts of one process, made from its settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # --- time, keys

    @property
    def time_lapse(self) -> bool:
        """Whether the clock waits for everybody: then whoever dawdles makes a slow year."""
        return self.settings.clock.startswith("file:")

    @cached_property
    def clock(self) -> Clock:
        return make_clock(self.settings.clock)

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.settings.keys_dir)

    @cached_property
    def keyed(self) -> Keyed:
        return Keyed(self.keys.named("identity"))

    @cached_property
    def peppered(self) -> Peppered:
        return Peppered(self.keys)

    def seed(self, day: date) -> bytes:
        """The seed of a day's draws, from a key outside the database: nobody who has the database alone can know tomorrow's."""
        return hmac.digest(self.keys.named("draw"), b"hailong day seed v1:" + day.isoformat().encode(), hashlib.sha256)

    def draw(self, day: date, dossier_ref: str, purpose: str) -> float:
        """The number of a dossier first heard of on ``day``, for a purpose, in [0, 1)."""
        return lots.number(self._seed(day), dossier_ref, purpose)

    @cached_property
    def _seed(self) -> Callable[[date], bytes]:
        return functools.lru_cache(maxsize=512)(self.seed)

    def code_for(self, survey_id: str, purpose: str, channel: str) -> str:
        """The code of a link; the same every time."""
        return links.code(self.keys.named("links"), survey_id, cast(Purpose, purpose), cast(MessageChannel, channel))

    def receipt_for(self, nonce: str) -> str:
        """The receipt of the answer that a form gave; the same every time."""
        return receipts.receipt(self.keys.named("links"), nonce)

    # --- stores and log

    @cached_property
    def tools(self) -> Tools:
        s = self.settings
        return Tools(
            registry_id=s.registry_id,
            vault=Vault(self.keys.month),
            contact_hash=self.peppered.newest,
            older_hashes=self.peppered.older,
            pepper_version=self.peppered.version,
            code_hash=_code_hash,
            new_id=lambda: uuid.uuid4().hex,
            code_for=self.code_for,
            is_open=self.is_open,
            next_open=self.next_open,
            may_leave=lambda channel, provider, live: self.out.may_leave(channel, provider, live),
            welcome=lambda channel, to: self.out.welcome(channel, to),
            price=lambda channel, provider, language, to: self.out.price(self._day(self.clock.now()))(channel, provider, language, to),
            slip_hash=self.keyed.slip_hash,
            tail_hash=self.keyed.tail_hash,
            ticket_hash=self.keyed.ticket_hash,
            receipt_hash=lambda nonce: receipts.receipt_hash(self.receipt_for(nonce)),
            cap_days=lambda at: self.rules(self._day(at)).cap_days,
            ways=self.ways,
            switching=Switching(back_after_s=s.provider_back_after_s),
            rates=pairs("HAILONG_PROVIDER_RATES", s.provider_rates, float),
            saved_s=0.2,  # a provider that counts by the second sees at most a fifth more in its first one
            daily_budget=s.daily_budget,
            zone=LOCAL,
            reconcile_gap_s=s.reconcile_gap_s,
            dead_letter_limit=s.dead_letter_limit,
        )

    def ledger(self, writer: str) -> Ledger:
        """The ledger, with an outbox of this process's own, called ``writer`` and something nobody else is called."""
        return self.held_ledger(f"{writer}:{self._process}")

    def lasting_ledger(self, writer: str) -> Ledger:
        """The same for a site: started again in the same place, it finds its outbox."""
        return self.held_ledger(held_name(self.settings.data_dir / "run" / "outboxes", writer, self._process))

    @cached_property
    def _process(self) -> str:
        return uuid.uuid4().hex[:16]

    def held_ledger(self, writer: str) -> Ledger:
        """The ledger, with the outbox of ``writer``, a name this process holds: no other one may have it now."""
        return open_ledger(self.settings.ledger, self.tools, writer, secret(self.settings.ledger_password_file) or None)

    def publisher(self, name: str) -> KafkaPublisher:
        return KafkaPublisher(self.settings.kafka, client_id=name)

    def aio_publisher(self, name: str) -> AioPublisher:
        return AioPublisher(self.settings.kafka, client_id=name)

    def clickhouse(self, *, without_database: bool = False) -> Any:
        return connect(self.settings, without_database=without_database)

    # --- rules

    @cached_property
    def rulebook(self) -> Rulebook:
        """The rules as data. Raises RulebookError for a file that is wrong, SettingError for one that cannot be read."""
        path = Path(self.settings.rules_file) if self.settings.rules_file else RULES
        return load_rules(given("HAILONG_RULES_FILE", path, lambda: path.read_text("utf-8-sig")), path.name)

    def rules(self, day: date) -> Rules:
        """The rules in force on a local day; where settings for tries replace something, the version says so."""
        return self._rules(self.rulebook.in_force(day))

    @cached_property
    def _rules(self) -> Callable[[Rules], Rules]:
        s = self.settings
        tried: dict[str, Any] = {name: v for name in TRIED if (v := getattr(s, name)) >= 0}
        tried |= {"after_electronic": "at_once"} if s.ask_at_once else {}
        tried |= {"hours": _ALWAYS, "call_hours": _ALWAYS} if s.any_hour else {}
        return lambda rules: replace(rules, version=f"{rules.version}+tried", **tried) if tried else rules

    @cached_property
    def office(self) -> Office:
        """What deciding goes by."""
        return Office(self.settings.registry_id, self.rules, self.draw, frozenset(self.ways))

    def is_open(self, at: datetime) -> bool:
        """Whether a message may be handed over at a moment: a provider may take as long to accept it as a call may last, and must not
        do so outside the hours."""
        hours = self.rules(self._day(at)).hours
        return hours.is_open(at) and hours.is_open(at + self._call)

    def next_open(self, at: datetime) -> datetime:
        """The first such moment from ``at`` on."""
        hours = self.rules(self._day(at)).hours
        first = hours.next_open(at)
        return first if hours.is_open(first + self._call) else hours.next_open(first + self._call)

    @property
    def _call(self) -> timedelta:
        return timedelta(seconds=self.settings.send_timeout_s)

    def _day(self, at: datetime) -> date:
        return at.astimezone(LOCAL).date()

    # --- ways to people

    @cached_property
    def out(self) -> Ways:
        """The ways to people."""
        return Ways(self.settings, self.code_for, lambda: self.directory.everyone)

    @property
    def texts(self) -> Texts:
        return self.out.texts

    @property
    def ways(self) -> dict[str, Way]:
        """Channel → who carries it."""
        return self.out.by_channel

    def channels(self, ledger: Ledger) -> dict[str, Channel]:
        """The ways out, by provider; each asks the ledger whether its channel is live."""

        def live(channel: str) -> bool:
            with ledger.read() as reader:
                return channel in reader.live_channels()

        def report(receipt: Receipt) -> None:
            with ledger.begin() as tx:
                tx.store_receipt(receipt, self.clock.now())

        return self.out.open(live, report)

    def compose(self, c: Claimed) -> OutgoingMessage:
        """A claimed message as its channel takes it."""
        return self.out.compose(c)

    # --- officers

    @cached_property
    def directory(self) -> Directory:
        return Directory(tomllib.loads(Path(self.settings.officers_file).read_text("utf-8-sig")) if self.settings.officers_file else {})

    @cached_property
    def alert_mails_from(self) -> date | None:
        """The first day on which officers get mails about alerts. Raises SettingError."""
        try:
            return date.fromisoformat(self.settings.alert_mails_from) if self.settings.alert_mails_from else None
        except ValueError:
            raise SettingError("HAILONG_ALERT_MAILS_FROM: not a day. Write it as YYYY-MM-DD, or leave it empty.") from None

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
            unit = {"unit": fact.unit, "unit_name": name(fact.unit) if fact.unit else ""}
            if isinstance(fact, CaseChanged):
                return {"kind": fact.kind, **unit, "on": fact.on.isoformat()}
            said = {"sentence_vi": fact.sentence_vi, "sentence_en": fact.sentence_en}
            state = "raised" if fact.state == "raised" else "cleared"
            if about_data(fact):
                return {"kind": f"doubt_{state}", **unit, **said, "url": alert_page(self.settings.dashboard_url, fact.alert_id)}
            about = {"detector": fact.kind, "field": fact.field}
            figures = {"target": fact.target, "low": fact.low, "high": fact.high}
            url = alert_page(self.settings.dashboard_url, fact.alert_id)
            return {"kind": f"alert_{state}", **unit, **about, **figures, **said, "url": url}

        return words


class Directory:
    """Addresses of quality officers: unit → addresses, ``"*"`` for the others, ``office`` for the quality office."""

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        self._table = table

    def office(self) -> Sequence[str]:
        return self._table.get("office", ())

    @cached_property
    def everyone(self) -> frozenset[str]:
        """Every address."""
        return frozenset(address for addresses in self._table.values() for address in addresses)

    def of(self, unit: str, confidential: bool) -> Sequence[str]:
        """Who is told about a unit; what is confidential goes to the quality office only."""
        return self.office() if confidential else self._table.get(unit, self._table.get("*", ()))


def alert_page(site: str, alert_id: str) -> str:
    """The officers' page of an alert; empty where their site has no address."""
    return f"{site.rstrip('/')}/alerts/{alert_id}" if site else ""


def _code_hash(code: str) -> str:
    """The ledger's look-up key of a code; what is no code has one that none matches."""
    return links.code_hash(code) if links.parse(code) else ""
