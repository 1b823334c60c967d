"""Every setting, once: name, type, default, help. The only reader of the environment.

``docs/settings.md`` is generated from this table (``hailong settings --markdown``). A setting ``survey_url`` is read from
``HAILONG_SURVEY_URL``; the values of secrets are paths of files, so that no secret stands in an environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

PREFIX: Final = "HAILONG_"
_TRUE: Final = {"1", "true", "yes", "on"}
_FALSE: Final = {"0", "false", "no", "off"}


def _s(default: Any, help_: str) -> Any:
    return field(default=default, metadata={"help": help_})


@dataclass(frozen=True)
class Settings:
    """All settings of a process. Durations carry their unit in the name."""

    registry_id: str = _s("hoa-binh", "permanent id of this installation; key of the registry's facts; never changes")
    data_dir: Path = _s(Path(".hailong/data"), "folder of this installation's own files: spool, slot locks, logs")
    keys_dir: Path = _s(Path(".hailong/keys"), "folder of the keys: vault (one a month), peppers, links, forms; apart from the database")
    kafka: str = _s("127.0.0.1:9092", "bootstrap servers, comma-separated")
    kafka_replication: int = _s(1, "replication factor of the topics when they are created")
    kafka_session_s: int = _s(8, "seconds without a heartbeat after which a worker's partitions go to another one")
    clickhouse_url: str = _s("http://127.0.0.1:8123", "address of ClickHouse")
    clickhouse_user: str = _s("default", "user of ClickHouse")
    clickhouse_password_file: str = _s("", "file with the password of that user; empty: none")
    clickhouse_database: str = _s("hailong", "database of ClickHouse; never `default`")
    clickhouse_engine: str = _s("single", "single | replicated: the engines of the tables")
    ledger: str = _s("sqlite:///.hailong/data/ledger.db", "SQLAlchemy address of the ledger: sqlite or postgresql+psycopg")
    ledger_password_file: str = _s("", "file with the password of the ledger's user, for PostgreSQL; empty: as in the address")
    clock: str = _s("real", "real | offset:SECONDS (real pace, shifted) | file:PATH (governed by the local stack)")
    intake_url: str = _s("http://127.0.0.1:8081", "address of the intake")
    survey_url: str = _s("http://127.0.0.1:8082", "public address of the survey site, as printed in messages")
    dashboard_url: str = _s("http://127.0.0.1:8083", "address of the officers' pages")
    dashboard_loopback_only: bool = _s(False, "officers' pages answer this machine only, signed in or not; the local stack sets it")
    trusted_proxies: str = _s("", "addresses whose X-Forwarded-* headers are believed, comma-separated")
    intake_keys_file: str = _s("", "TOML file: source → SHA-256 (hex) of its bearer key")
    officers_file: str = _s("", "TOML file: unit → addresses of its quality officers; `office` = quality office")
    rules_file: str = _s("", "rulebook (TOML): who is asked, when, how; empty: the shipped one")
    sms_provider: str = _s("twilio", "provider of SMS: twilio | gateway (described by HAILONG_GATEWAY_FILE)")
    twilio_base_url: str = _s("", "address that stands in for Twilio's (the carrier); empty: Twilio itself")
    twilio_account_sid: str = _s("", "account of Twilio")
    twilio_token_file: str = _s("", "file with the auth token of Twilio")
    twilio_sender: str = _s("HCC HOABINH", "registered sender id or messaging service (MG…)")
    receipts_url: str = _s("", "public address providers call back with receipts; empty: the survey site's")
    smtp_host: str = _s("127.0.0.1", "SMTP server")
    smtp_port: int = _s(25, "its port")
    smtp_user: str = _s("", "user at the SMTP server; empty: none")
    smtp_password_file: str = _s("", "file with that user's password")
    smtp_tls: bool = _s(False, "STARTTLS with the SMTP server")
    mail_from: str = _s("khaosat@hoabinh.example", "sender of mails; its domain is in the Message-ID")
    notice_file: str = _s("", "TOML file: language → a sentence above the officers' page; empty: none")
    carrier_url: str = _s("", "address of the carrier, which keeps every message on its page; empty where there is none")
    spread_minutes: int = _s(-1, "for tries: in place of the rulebook's moment.spread_minutes; -1: the rulebook's")
    slot_minutes: int = _s(-1, "for tries: in place of moment.slot_minutes; -1: the rulebook's")
    cap_days: int = _s(-1, "for tries: in place of limits.cap_days; -1: the rulebook's")
    too_old_days: int = _s(-1, "for tries: in place of limits.too_old_days; -1: the rulebook's")
    link_days: int = _s(-1, "for tries: in place of limits.link_days; -1: the rulebook's")
    ask_at_once: bool = _s(False, "for tries: after an electronic result too, without waiting for the next morning")
    any_hour: bool = _s(False, "for tries: people are written to at any hour; refused where a live channel is on")
    daily_budget: int = _s(0, "most đồng that messages may cost in a local day, over all channels; 0: no limit")
    sms_diacritics: bool = _s(False, "SMS in Vietnamese with diacritics: three segments where plain Vietnamese takes one")
    templates_dir: str = _s("", "folder of message templates; empty: the shipped ones")
    prices_file: str = _s("", "price list (TOML) of messages by provider and operator; empty: the shipped example")
    guests_file: str = _s("", "numbers and addresses that may be written to in trial mode and by `message test`, one a line")
    channel_modes: str = _s("", "whom a channel reaches, as sms=trial,email=live: carrier (nobody), trial (guests), live; unnamed: carrier")
    abroad_basis: str = _s(
        "", "legal basis for handing contacts to a provider abroad (Twilio), in words; empty: such a provider is not used"
    )
    provider_rates: str = _s("", "messages a second by provider, as twilio=20,smtp=5; one that is not named has no limit")
    reserves: str = _s("", "reserve provider by channel, as sms=gateway; a channel that is not named has none")
    provider_back_after_s: float = _s(900.0, "seconds that a reserve provider carries a channel before the main one is tried again")
    send_parallel: int = _s(20, "messages of one worker under way at once; also the most open claims it holds")
    send_timeout_s: float = _s(10.0, "time-out of one call to a provider")
    lease_s: float = _s(30.0, "lease of a claim; longer than the call's time-out")
    reconcile_after_s: float = _s(60.0, "seconds after the lease when an open claim is reconciled")
    reconcile_gap_s: float = _s(300.0, "seconds between the two questions to a provider that can list")
    retry_base_s: float = _s(30.0, "wait after the first refusal that may pass; doubles, at most an hour")
    dead_letter_limit: int = _s(100, "dead letters of a source within an hour after which it is paused")
    unknown_codes_per_minute: int = _s(120, "unknown codes the survey site looks up in a minute, over all addresses")
    desk_networks: str = _s("", "networks of the desks (CIDR, comma-separated): first answers from there in office hours are held")
    alert_mails_from: str = _s("", "first day (YYYY-MM-DD) of mails about single alerts; before it they are shown and kept; empty: at once")
    digest_at: str = _s("07:30", "local time of the daily mail to the quality office")
    default_target: float = _s(0.90, "target where none is set (product default)")
    service: str = _s("hailong", "name of this process in logs and metrics")
    log_level: str = _s("info", "debug | info | warning | error")
    proof_break: str = _s("", "for `prove` only: the name of a safeguard that is switched off")
    archive_within_s: float = _s(0.05, "archive waits so long to fill a batch: more is cheaper, less is sooner on the page")
    commit_interval_s: float = _s(1.0, "seconds between two commits of a role's offsets")
    gateway_file: str = _s("", "TOML file that describes the domestic SMS gateway; empty: none")
    gateway_secrets_dir: Path = _s(Path(".hailong/keys/gateway"), "folder of the secret files that the gateway's description names")
    gateway_base_url: str = _s("", "address that stands in for the gateway's (the carrier); empty: as described")
    print_dir: str = _s("", "folder that slips to be printed are written to; empty: the channel print is not set up")
    bounce_maildir: str = _s("", "Maildir folder that returned mails are delivered to; empty: none are read")
    zns_base_url: str = _s("", "address that stands in for Zalo's interface for messages (the carrier); empty: Zalo itself")
    zns_oauth_url: str = _s("", "address that stands in for Zalo's interface for tokens (the carrier); empty: Zalo itself")
    zns_app_id: str = _s("", "application at Zalo that sends template messages; empty: the channel zns is not set up")
    zns_secret_file: str = _s("", "file with that application's secret, for renewing the access token")
    zns_oa_secret_file: str = _s("", "file with the official account's secret that signs Zalo's events; empty: none are taken")
    zns_token_file: Path = _s(Path(".hailong/zns_tokens.json"), "file of Zalo's tokens, which send renews; at first: refresh_token only")

    @property
    def callback_url(self) -> str:
        """Where providers report receipts."""
        return self.receipts_url or self.survey_url


class SettingError(Exception):
    """A setting cannot be read; the message names it, its value's fault and what would do."""


def _parse(name: str, raw: str, default: Any) -> Any:
    if isinstance(default, bool):
        if raw.lower() in _TRUE | _FALSE:
            return raw.lower() in _TRUE
        raise SettingError(f"{PREFIX}{name.upper()}: neither yes nor no. Write true or false.")
    try:
        if isinstance(default, int):
            return int(raw)
        if isinstance(default, float):
            return float(raw)
    except ValueError:
        kind = "whole number" if isinstance(default, int) else "number"
        raise SettingError(f"{PREFIX}{name.upper()}: not a {kind}. Set it to one, or unset it for {default}.") from None
    return Path(raw) if isinstance(default, Path) else raw


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment (or ``environ``). Raises SettingError, also for a name nobody knows."""
    env = os.environ if environ is None else environ
    defaults = {f.name: f.default for f in fields(Settings)}
    given = {k[len(PREFIX) :].lower(): v for k, v in env.items() if k.startswith(PREFIX)}
    given = {k: v for k, v in given.items() if k not in OUTSIDE and not k.startswith(TESTS)}
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise SettingError(f"{PREFIX}{unknown[0].upper()}: no such setting. `hailong settings` lists them.")
    return Settings(**{k: _parse(k, v, defaults[k]) for k, v in given.items()})


def named(environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """Settings that the environment (or ``environ``) gives a value, be it the default's."""
    env = os.environ if environ is None else environ
    return frozenset(f.name for f in fields(Settings) if env.get(f"{PREFIX}{f.name.upper()}"))


OUTSIDE: Final = {"home", "python"}
"""HAILONG_ names read by the start script, not by a process."""
TESTS: Final = "test_"
"""So begins what only the tests read."""


def environment(settings: Settings) -> dict[str, str]:
    """The environment that gives a child process these settings (only what differs from the defaults)."""
    base = Settings()
    return {
        f"{PREFIX}{f.name.upper()}": str(getattr(settings, f.name))
        for f in fields(Settings)
        if getattr(settings, f.name) != getattr(base, f.name)
    }


def inherited() -> dict[str, str]:
    """This process's environment without any setting of hailong, for child processes."""
    return {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}


def table() -> list[tuple[str, str, Any, str]]:
    """(environment name, type, default, help) of every setting, for the generated page."""
    return [(f"{PREFIX}{f.name.upper()}", type(f.default).__name__, f.default, f.metadata["help"]) for f in fields(Settings)]
