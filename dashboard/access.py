"""Signing in: what is checked, what is kept, what the trail says. Nothing here knows of HTTP; everything is real time.

A wrong login, a wrong password, a disabled account and one that must wait are told the same and cost the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from dashboard import factor
from dashboard.passwords import Passwords
from hailong.access import PeopleLedger, PeopleTransaction, Seal
from hailong.domain.access import (
    KEEPS_FACTOR,
    LIFE,
    LINK_LIVES,
    Account,
    LinkPurpose,
    OneTimeLink,
    Role,
    Session,
    Stage,
    normal_login,
    wait_after,
    weakness,
)
from hailong.ports import Invalid

_SEEN_EVERY: Final = timedelta(minutes=1)
"""A session's last sight is written at most so often: looking at a page should not cost a write."""


@dataclass(frozen=True)
class Who:
    """Who asks: an account with a session that holds."""

    login: str
    name: str
    role: Role
    scope: str | None
    has_factor: bool
    session: str
    """Hash of the session's token."""
    csrf: str

    @property
    def keeps_factor(self) -> bool:
        return self.role in KEEPS_FACTOR


@dataclass(frozen=True)
class Entered:
    """A password was right. ``stage``: ``half`` when a code is still asked for."""

    token: str
    stage: Stage


def token_hash(token: str) -> str:
    """What is kept of a token: it has 256 random bits, so a plain hash tells nothing about it."""
    return hashlib.sha256(token.encode()).hexdigest()


class Access:
    """Sessions, passwords, second factors. ``new_token`` gives 256 random bits as text. Every method may raise Retryable."""

    def __init__(
        self, ledger: PeopleLedger, seal: Seal, passwords: Passwords, real_now: Callable[[], datetime], new_token: Callable[[], str]
    ) -> None:
        self.ledger = ledger
        self.now = real_now
        self._seal = seal
        self._passwords = passwords
        self._new_token = new_token

    # --- sessions

    def sign_in(self, login: str, password: str) -> Entered | None:
        """Begin a session; None for whatever is wrong."""
        name, now = normal_login(login) or "", self.now()
        with self.ledger.read() as reader:
            account = reader.account(name)
        # Outside any transaction: a check takes a core for some 50 ms, and SQLite has one writer.
        fits = self._passwords.fits(account.password if account else None, password)
        fresh = self._passwords.hash(password) if fits and account and self._passwords.stale(account.password or "") else None
        with self.ledger.begin() as tx:
            tx.drop_old_sessions(now - LIFE)
            found = tx.lock_account(name)
            if found is None:
                tx.count_stranger()
                return None
            if found.waits(now) or found.disabled_at is not None:
                tx.audited(name, "sign_in_refused", f"account:{name}", {"why": "disabled" if found.disabled_at else "waits"})
                return None
            if not fits or account is None or found.password != account.password:
                self._failed(tx, found, "password")
                return None
            return self._enter(tx, replace(found, password=fresh or found.password))

    def _enter(self, tx: PeopleTransaction, account: Account) -> Entered:
        """After the right password. Wrong tries are forgotten only when nothing more is asked."""
        if account.factor is not None:
            tx.save_account(account)
            return Entered(self._begin(tx, account.login, "half"), "half")
        tx.save_account(replace(account, failed=0, wait_until=None))
        tx.audited(account.login, "signed_in", f"account:{account.login}", {"factor": False})
        return Entered(self._begin(tx, account.login, "full"), "full")

    def _begin(self, tx: PeopleTransaction, login: str, stage: Stage) -> str:
        token, now = self._new_token(), self.now()
        tx.add_session(Session(token_hash(token), login, self._new_token(), stage, now, now))
        return token

    def _failed(self, tx: PeopleTransaction, account: Account, what: str) -> None:
        failed = account.failed + 1
        wait = wait_after(failed)
        tx.save_account(replace(account, failed=failed, wait_until=self.now() + wait if wait else None))
        detail = {"why": what, "in_a_row": failed, "wait_s": int(wait.total_seconds())}
        tx.audited(account.login, "sign_in_refused", f"account:{account.login}", detail)

    def second(self, token: str, code: str) -> str | None:
        """The code after the password: a new token, or None."""
        with self.ledger.begin() as tx:
            half = self._half(token)
            account = tx.lock_account(half.login) if half else None
            if half is None or account is None or account.factor is None or account.disabled_at or account.waits(self.now()):
                return None
            if (step := self._fresh_step(account, account.factor, code)) is None:
                self._failed(tx, account, "code")
                return None
            tx.end_session(half.token_hash)
            tx.save_account(replace(account, failed=0, wait_until=None, factor_step=step))
            tx.audited(account.login, "signed_in", f"account:{account.login}", {"factor": True})
            return self._begin(tx, account.login, "full")

    def _fresh_step(self, account: Account, sealed: bytes, code: str) -> int | None:
        """The step of a code that is right and was not used before."""
        step = factor.step_of(self._seal.open(sealed, account.login).decode(), code, self.now())
        return step if step is not None and step > account.factor_step else None

    def half(self, token: str) -> str | None:
        """The CSRF token of a session that waits for its code; None when there is none."""
        found = self._half(token)
        return found.csrf if found else None

    def _half(self, token: str) -> Session | None:
        with self.ledger.read() as reader:
            found = reader.session(token_hash(token))
        return found[0] if found and found[0].stage == "half" and found[0].alive(self.now()) else None

    def who(self, token: str) -> Who | None:
        """Who has this session; None when it does not hold (any more)."""
        with self.ledger.read() as reader:
            found = reader.session(token_hash(token))
        if found is None:
            return None
        session, account = found
        now = self.now()
        if session.stage != "full" or not session.alive(now) or account.disabled_at is not None:
            return None
        if now - session.seen_at >= _SEEN_EVERY:
            with self.ledger.begin() as tx:
                tx.touch_session(session.token_hash, now)
        has_factor = account.factor is not None
        return Who(account.login, account.name, account.role, account.scope, has_factor, session.token_hash, session.csrf)

    def sign_out(self, who: Who) -> None:
        with self.ledger.begin() as tx:
            tx.end_session(who.session)
            tx.audited(who.login, "signed_out", f"account:{who.login}")

    def end_others(self, who: Who) -> int:
        """End the other sessions of an account; how many."""
        with self.ledger.begin() as tx:
            ended = tx.end_sessions(who.login, keep=who.session)
            tx.audited(who.login, "sessions_ended", f"account:{who.login}", {"sessions": ended})
            return ended

    # --- passwords

    def link(self, token: str) -> OneTimeLink | None:
        """A one-time link that still holds; looking at it does not use it."""
        with self.ledger.read() as reader:
            return reader.link(token_hash(token), self.now())

    def set_password(self, token: str, password: str) -> str | None:
        """Use a one-time link; the login, or None when it does not hold (any more). Raises Invalid for a weak password, link unused."""
        link = self.link(token)
        if link is None:
            return None
        stored = self._strong(password, link.login)
        with self.ledger.begin() as tx:
            if tx.use_link(link.token_hash, self.now()) is None or (account := tx.lock_account(link.login)) is None:
                return None
            tx.save_account(replace(account, password=stored, failed=0, wait_until=None))
            tx.end_sessions(link.login)
            tx.audited(link.login, "link_used", f"account:{link.login}", {"purpose": link.purpose, "made_by": link.made_by})
            tx.audited(link.login, "password_set", f"account:{link.login}")
            return link.login

    def change_password(self, who: Who, old: str, new: str) -> None:
        """Raises Invalid (``old``: ``wrong``; ``password``: as ``weakness``)."""
        account = self._proved(who, old)
        stored = self._strong(new, who.login)
        with self.ledger.begin() as tx:
            found = tx.lock_account(who.login)
            if found is None or found.password != account.password:
                raise Invalid("wrong", "old")
            tx.save_account(replace(found, password=stored, failed=0, wait_until=None))
            ended = tx.end_sessions(who.login, keep=who.session)
            tx.audited(who.login, "password_set", f"account:{who.login}", {"sessions": ended})

    def _strong(self, password: str, login: str) -> str:
        why = weakness(password, login)
        if why is not None:
            raise Invalid(why, "password")
        return self._passwords.hash(password)

    def _proved(self, who: Who, password: str) -> Account:
        """The account once more, its password typed again: an unwatched screen is not enough. Raises Invalid."""
        with self.ledger.read() as reader:
            account = reader.account(who.login)
        fits = self._passwords.fits(account.password if account else None, password)
        if account is None or account.waits(self.now()):
            raise Invalid("wrong", "old")
        if not fits:
            with self.ledger.begin() as tx:
                self._failed(tx, tx.lock_account(who.login) or account, "password")
            raise Invalid("wrong", "old")
        return account

    # --- the second factor

    def begin_factor(self, who: Who, password: str) -> None:
        """Make a new secret; it holds once a code of it was typed. Raises Invalid."""
        self._proved(who, password)
        sealed = self._seal.seal(factor.new_secret().encode(), who.login)
        with self.ledger.begin() as tx:
            if (account := tx.lock_account(who.login)) is not None:
                tx.save_account(replace(account, factor_pending=sealed))

    def pending_factor(self, who: Who) -> str | None:
        """The secret that waits for its first code."""
        with self.ledger.read() as reader:
            account = reader.account(who.login)
        sealed = account.factor_pending if account else None
        return self._seal.open(sealed, who.login).decode() if sealed is not None else None

    def confirm_factor(self, who: Who, code: str) -> bool:
        """From now on its codes are asked for; other sessions end."""
        with self.ledger.begin() as tx:
            account = tx.lock_account(who.login)
            if account is None or account.factor_pending is None or account.waits(self.now()):
                return False
            step = factor.step_of(self._seal.open(account.factor_pending, who.login).decode(), code, self.now())
            if step is None:
                return False
            tx.save_account(replace(account, factor=account.factor_pending, factor_pending=None, factor_step=step))
            ended = tx.end_sessions(who.login, keep=who.session)
            tx.audited(who.login, "factor_set", f"account:{who.login}", {"sessions": ended})
            return True

    def remove_factor(self, who: Who, password: str) -> None:
        """Raises Invalid: ``old`` for a wrong password, ``factor`` for a role that keeps it."""
        if who.keeps_factor:
            raise Invalid("kept", "factor")
        self._proved(who, password)
        with self.ledger.begin() as tx:
            if (account := tx.lock_account(who.login)) is not None:
                tx.save_account(replace(account, factor=None, factor_pending=None))
                tx.audited(who.login, "factor_removed", f"account:{who.login}")


def new_link(tx: PeopleTransaction, login: str, purpose: LinkPurpose, by: str, token: str, now: datetime) -> None:
    """A one-time link of an account; earlier ones are void. Its address is shown once, to whoever made it."""
    tx.add_link(OneTimeLink(token_hash(token), login, purpose, by, now, now + LINK_LIVES))
    tx.audited(by, "link_made", f"account:{login}", {"purpose": purpose})
