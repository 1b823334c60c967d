"""Accounts of others: made, changed, disabled, given a new link. For the administrators' page and the command line alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from dashboard.access import new_link
from hailong.access import PeopleLedger, PeopleTransaction
from hailong.domain.access import AT_A_DESK, ROLES, Account, LinkPurpose, Role, normal_login
from hailong.ports import Invalid

_NAME_MAX: Final = 80
FIRST: Final = "admin"
"""Login of the first administrator where none is named."""


@dataclass(frozen=True)
class Wanted:
    """What an account shall be, as typed."""

    name: str
    role: str
    scope: str | None


class Administration:
    """``new_token`` gives 256 random bits as text. Every method may raise Retryable, and Invalid naming the field:

    ``login``: ``unknown``, ``taken``, ``not_a_login``, ``self``, ``last_administrator``; ``name``: ``missing``, ``long``; ``role``:
    ``unknown``; ``scope``: ``missing``, ``unknown``.
    """

    def __init__(self, ledger: PeopleLedger, real_now: Callable[[], datetime], new_token: Callable[[], str]) -> None:
        self._ledger = ledger
        self._now = real_now
        self._new_token = new_token

    def accounts(self) -> list[Account]:
        """All, by login."""
        with self._ledger.read() as reader:
            return reader.accounts()

    def add(self, login: str, wanted: Wanted, by: str) -> str:
        """A new account; the token of its one-time link."""
        name = normal_login(login)
        if name is None:
            raise Invalid("not_a_login", "login", "write letters, digits, dots, _ or -, beginning and ending with a letter or digit")
        role = self._checked(wanted)
        with self._ledger.begin() as tx:
            if not tx.add_account(Account(name, wanted.name.strip(), role, wanted.scope, self._now())):
                raise Invalid("taken", "login", f"there is an account {name} already; choose another login")
            tx.audited(by, "account_made", f"account:{name}", {"role": role, "scope": wanted.scope})
            return self._link(tx, name, "new", by)

    def change(self, login: str, wanted: Wanted, by: str) -> None:
        """Another name, role or scope; its sessions end when rights change."""
        role = self._checked(wanted)
        with self._ledger.begin() as tx:
            account = self._found(tx, login)
            if account.role == "administrator" != role:
                self._stays_administrated(tx, account, by)
            new = replace(account, name=wanted.name.strip(), role=role, scope=wanted.scope)
            if new == account:
                return
            tx.save_account(new)
            if (new.role, new.scope) != (account.role, account.scope):
                tx.end_sessions(login)
            before = {"role": account.role, "scope": account.scope}
            tx.audited(by, "account_changed", f"account:{login}", {"from": before, "to": {"role": role, "scope": new.scope}})

    def disable(self, login: str, by: str) -> None:
        """It cannot sign in any more; its sessions and links end now."""
        with self._ledger.begin() as tx:
            account = self._found(tx, login)
            if account.role == "administrator":
                self._stays_administrated(tx, account, by)
            elif account.login == by:
                raise Invalid("self", "login", "nobody disables their own account; ask another administrator")
            tx.save_account(replace(account, disabled_at=account.disabled_at or self._now()))
            tx.void_links(login)
            ended = tx.end_sessions(login)
            tx.audited(by, "account_disabled", f"account:{login}", {"sessions": ended})

    def enable(self, login: str, by: str) -> None:
        """It may sign in again, with the password it had."""
        with self._ledger.begin() as tx:
            tx.save_account(replace(self._found(tx, login), disabled_at=None, failed=0, wait_until=None))
            tx.audited(by, "account_enabled", f"account:{login}")

    def reset(self, login: str, by: str, *, without_factor: bool = False) -> str:
        """A link to set a new password; the token. The old password holds no more, and sessions end now.

        ``without_factor``: the second factor goes too (a phone was lost).
        """
        if login == by:
            raise Invalid("self", "login", "for your own password and second factor use your account's page")
        with self._ledger.begin() as tx:
            account = self._found(tx, login)
            new = replace(account, password=None, failed=0, wait_until=None)
            if without_factor and account.factor is not None:
                new = replace(new, factor=None, factor_pending=None)
                tx.audited(by, "factor_removed", f"account:{login}")
            tx.save_account(new)
            tx.end_sessions(login)
            return self._link(tx, login, "reset", by)

    def first(self, by: str, *, login: str | None = None, again: bool = False) -> tuple[str, str] | None:
        """(login, token) of a link for the first administrator; None when there is an administrator who has set a password.

        ``again``: in any case, for an installation whose administrators are all locked out.
        """
        wanted = normal_login(login or FIRST)
        if wanted is None:
            raise Invalid("not_a_login", "login", "write 1 to 64 letters, digits, dots, _ or -")
        with self._ledger.begin() as tx:
            there = tx.lock_administrators()
            if any(a.password is not None for a in there) and not again:
                return None
            chosen = wanted if login or not there else there[0].login
            account = tx.lock_account(chosen)
            if account is None:
                tx.add_account(Account(chosen, chosen, "administrator", None, self._now()))
                tx.audited(by, "account_made", f"account:{chosen}", {"role": "administrator", "scope": None})
            elif account.role != "administrator" or account.disabled_at is not None:
                tx.save_account(replace(account, role="administrator", scope=None, disabled_at=None))
                tx.audited(by, "account_changed", f"account:{chosen}", {"to": {"role": "administrator", "scope": None}})
            return chosen, self._link(tx, chosen, "first", by)

    # --- what must hold

    def _link(self, tx: PeopleTransaction, login: str, purpose: LinkPurpose, by: str) -> str:
        token = self._new_token()
        new_link(tx, login, purpose, by, token, self._now())
        return token

    def _checked(self, wanted: Wanted) -> Role:
        if wanted.role not in ROLES:
            raise Invalid("unknown", "role", f"one of {', '.join(ROLES)}")
        if not wanted.name.strip():
            raise Invalid("missing", "name", "write the name that the pages shall show")
        if len(wanted.name.strip()) > _NAME_MAX:
            raise Invalid("long", "name", f"at most {_NAME_MAX} letters")
        if wanted.role in AT_A_DESK and wanted.scope is None:
            raise Invalid("missing", "scope", "whoever works at a desk needs a unit")
        if wanted.scope is not None:
            with self._ledger.read() as reader:
                if wanted.scope not in {unit.code for unit in reader.units()}:
                    raise Invalid("unknown", "scope", "there is no such unit; `hailong import units` brings them")
        return wanted.role

    def _found(self, tx: PeopleTransaction, login: str) -> Account:
        account = tx.lock_account(login)
        if account is None:
            raise Invalid("unknown", "login", "there is no such account")
        return account

    def _stays_administrated(self, tx: PeopleTransaction, account: Account, by: str) -> None:
        """Somebody else must be left who can sign in and administer."""
        if account.login == by:
            raise Invalid("self", "login", "nobody takes the office from themselves; ask another administrator")
        if not any(a.login != account.login and a.password is not None for a in tx.lock_administrators()):
            raise Invalid("last_administrator", "login", "somebody else must be left who can sign in and administer")
