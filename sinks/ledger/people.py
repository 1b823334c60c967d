"""Accounts, sessions and one-time links as rows; and the seal of second factors. What they mean is for ``dashboard.access``.

Nothing here can be used by who steals the database: passwords are hashed by Argon2id, tokens by SHA-256 (they are 256 random bits),
secrets of second factors are sealed under a key that lies elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from hailong.domain.access import KEEPS_FACTOR, Account, OneTimeLink, Session
from hailong.ports import Permanent
from sinks.ledger import schema as t
from sinks.ledger.audit import Audit, AuditReading
from sinks.ledger.vault import Vault, VaultError

_STRANGERS: Final = "unknown_logins"


class PeopleReading(AuditReading):
    """Looking."""

    def account(self, login: str) -> Account | None:
        """One account."""
        return self._account(sa.select(t.accounts).where(t.accounts.c.login == login))

    def _account(self, statement: sa.Select[Any]) -> Account | None:
        row = self.conn.execute(statement).first()
        return Account(**row._mapping) if row is not None else None

    def accounts(self) -> list[Account]:
        """All, by login."""
        return [Account(**row._mapping) for row in self.conn.execute(sa.select(t.accounts).order_by(t.accounts.c.login))]

    def without_factor(self) -> list[str]:
        """Logins that may sign in and should have a second factor before anything goes live, and have none."""
        return [a.login for a in self.accounts() if a.role in KEEPS_FACTOR and a.disabled_at is None and a.factor is None]

    def session(self, token_hash: str) -> tuple[Session, Account] | None:
        """A session with its account, alive or not."""
        both = sa.select(t.sessions).where(t.sessions.c.token_hash == token_hash)
        row = self.conn.execute(both).first()
        account = self.account(row.login) if row is not None else None
        return (Session(**row._mapping), account) if row is not None and account is not None else None

    def sessions_of(self, login: str) -> list[Session]:
        """Sessions of an account, the latest seen first."""
        mine = sa.select(t.sessions).where(t.sessions.c.login == login).order_by(t.sessions.c.seen_at.desc())
        return [Session(**row._mapping) for row in self.conn.execute(mine)]

    def link(self, token_hash: str, real_now: datetime) -> OneTimeLink | None:
        """A one-time link that can still be used."""
        row = self.conn.execute(sa.select(t.invitations).where(*_usable(token_hash, real_now))).first()
        return OneTimeLink(**{k: v for k, v in row._mapping.items() if k != "used_at"}) if row is not None else None


class People(PeopleReading, Audit):
    """Writing."""

    def lock_account(self, login: str) -> Account | None:
        """One account, nobody else's to change until the end of the transaction."""
        return self._account(self.locked(sa.select(t.accounts).where(t.accounts.c.login == login)))

    def lock_administrators(self) -> list[Account]:
        """Administrators who may sign in; none of them changes until the end of the transaction."""
        chosen = sa.select(t.accounts).where(t.accounts.c.role == "administrator", t.accounts.c.disabled_at.is_(None))
        rows = self.conn.execute(self.locked(chosen.order_by(t.accounts.c.login)))
        return [Account(**row._mapping) for row in rows]

    def add_account(self, account: Account) -> bool:
        """False when the login is taken."""
        return self.insert_new(t.accounts, [asdict(account)]) == 1

    def save_account(self, account: Account) -> None:
        """Replace an account as a whole; lock it first."""
        self.conn.execute(sa.update(t.accounts).where(t.accounts.c.login == account.login).values(**asdict(account)))

    def add_session(self, session: Session) -> None:
        self.insert_new(t.sessions, [asdict(session)])

    def touch_session(self, token_hash: str, real_now: datetime) -> None:
        """It was seen now."""
        self.conn.execute(sa.update(t.sessions).where(t.sessions.c.token_hash == token_hash).values(seen_at=real_now))

    def end_session(self, token_hash: str) -> None:
        self.conn.execute(sa.delete(t.sessions).where(t.sessions.c.token_hash == token_hash))

    def end_sessions(self, login: str, keep: str = "") -> int:
        """End all of an account but ``keep`` (a token's hash); how many."""
        mine = sa.delete(t.sessions).where(t.sessions.c.login == login, t.sessions.c.token_hash != keep)
        return self.conn.execute(mine).rowcount

    def drop_old_sessions(self, made_before: datetime) -> None:
        """Forget sessions that can no longer hold."""
        self.conn.execute(sa.delete(t.sessions).where(t.sessions.c.created_at < made_before))

    def add_link(self, link: OneTimeLink) -> None:
        """A new link; earlier ones of the same account are void."""
        self.conn.execute(sa.delete(t.invitations).where(t.invitations.c.login == link.login))
        self.insert_new(t.invitations, [asdict(link)])

    def void_links(self, login: str) -> None:
        self.conn.execute(sa.delete(t.invitations).where(t.invitations.c.login == login))

    def use_link(self, token_hash: str, real_now: datetime) -> OneTimeLink | None:
        """Use a link up; None when it was used, is void or too old. Of two at once only one gets it."""
        link = self.link(token_hash, real_now)
        used = sa.update(t.invitations).where(*_usable(token_hash, real_now)).values(used_at=real_now)
        return link if link is not None and self.conn.execute(used).rowcount == 1 else None

    def count_stranger(self) -> None:
        """Somebody tried a login that nobody has. Costs what a wrong password costs, so that the time tells nothing."""
        self.set_position(_STRANGERS, self.position(_STRANGERS)[0] + 1)


def _usable(token_hash: str, real_now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (t.invitations.c.token_hash == token_hash, t.invitations.c.used_at.is_(None), t.invitations.c.expires_at > real_now)


class FactorSeal:
    """Seals secrets of second factors under one key (hailong.ports.Seal). ``key`` gives it, or raises VaultError."""

    _NAME: Final = "accounts"

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._vault = Vault(lambda _name: key())

    def seal(self, secret: bytes, login: str) -> bytes:
        """Raises Permanent when the key cannot be read."""
        try:
            return self._vault.seal(self._NAME, secret, login)
        except VaultError as e:
            raise Permanent(str(e)) from e

    def open(self, sealed: bytes, login: str) -> bytes:
        """Raises Permanent when it does not open."""
        try:
            return self._vault.open(self._NAME, sealed, login)
        except VaultError as e:
            raise Permanent(f"a second factor does not open: {e}") from e
