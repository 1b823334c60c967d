"""Accounts, for sites and commands: what signing in is made of, and the first administrator's link."""

from __future__ import annotations

import secrets
import time

from dashboard.access import Access
from dashboard.administration import Administration
from dashboard.app import Door
from dashboard.passwords import Passwords
from hailong.domain.access import KEEPS_FACTOR, normal_login
from hailong.ports import Invalid
from hailong.settings import Settings
from ops.clock import real_now
from ops.keyboard import at_the_keyboard
from ops.keys import KeyMissing, Keys
from ops.wiring import Wiring
from sinks.ledger import FactorSeal, Ledger, VaultError
from sinks.ledger.people import PeopleReading


def new_token() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def door(ledger: Ledger, settings: Settings) -> Door:
    """What the officers' site needs for signing in."""
    access = Access(ledger, seal(Keys(settings.keys_dir)), Passwords(), real_now, new_token)
    return Door(access, administration(ledger), settings.dashboard_url, time.monotonic, new_token)


def administration(ledger: Ledger) -> Administration:
    return Administration(ledger, real_now, new_token)


def seal(keys: Keys) -> FactorSeal:
    """The seal of second factors, under the key ``accounts``, which is read when it is first needed."""

    def key() -> bytes:
        try:
            return keys.named("accounts")
        except KeyMissing as e:
            raise VaultError(str(e)) from e

    return FactorSeal(key)


def known_login(people: PeopleReading, typed: str) -> str:
    """The login of an operator or administrator who can sign in. Raises Invalid for anybody else, also for who has set no password yet:
    what is done in a person's name is not done before there is that person."""
    login = normal_login(typed) or ""
    account = people.account(login)
    if account is None or account.disabled_at is not None or account.role not in KEEPS_FACTOR:
        told = "no operator or administrator with this login may sign in; `hailong accounts list` shows who may"
        raise Invalid("unknown", "by", told)
    if account.password is None:
        told = f"{login} has set no password yet. Its owner opens the one-time link first; `hailong accounts reset {login}` makes a new one"
        raise Invalid("invited", "by", told)
    return login


def address(settings: Settings, token: str) -> str:
    """Where a one-time link leads."""
    return f"{settings.dashboard_url.rstrip('/')}/welcome/{token}"


def first_link(settings: Settings) -> tuple[str, str] | None:
    """(login, address of a fresh one-time link) of the first administrator; None when one has set a password. Raises Retryable."""
    ledger = Wiring(settings).ledger("cli")
    try:
        made = administration(ledger).first(at_the_keyboard())
    finally:
        ledger.close()
    return (made[0], address(settings, made[1])) if made else None
