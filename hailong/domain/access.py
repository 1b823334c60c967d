"""Who works with hailong and what they may do: accounts, sessions, one-time links, the acts of the audit trail. No I/O."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

Role = Literal["viewer", "desk", "caller", "unit_officer", "quality_officer", "operator", "administrator"]
LinkPurpose = Literal["first", "new", "reset"]
Stage = Literal["half", "full"]
"""``half``: the password was right, the code of the second factor is still asked for."""
Weakness = Literal["short", "long", "login", "monotonous", "common"]

ROLES: Final[tuple[Role, ...]] = ("viewer", "desk", "caller", "unit_officer", "quality_officer", "operator", "administrator")
AT_A_DESK: Final[frozenset[Role]] = frozenset({"desk", "unit_officer"})
"""Whose scope is the unit they work in: they need one. A caller's scope, if there is one, is the unit they must not ask about."""
KEEPS_FACTOR: Final[frozenset[Role]] = frozenset({"operator", "administrator"})
"""Who cannot give up a second factor once it is set up. Going live asks that all of them have one."""
IDLE: Final = timedelta(minutes=30)
LIFE: Final = timedelta(hours=12)
HALF_LIFE: Final = timedelta(minutes=5)
LINK_LIVES: Final = timedelta(hours=24)
FREE_TRIES: Final = 5
FIRST_WAIT: Final = timedelta(seconds=5)
LONGEST_WAIT: Final = timedelta(minutes=15)
PASSWORD_MIN: Final = 12
PASSWORD_MAX: Final = 200
_FEWEST_LETTERS: Final = 5
_COMMON: Final = frozenset((
    "password", "passw0rd", "matkhau", "matkhaucuatoi", "hailong", "khaosat", "hoabinh", "tinhhoabinh",
    "hanhchinhcong", "motcua", "dichvucong", "vietnam", "xinchao", "anhyeuem", "emyeuanh", "iloveyou",
    "admin", "administrator", "quantri", "welcome", "letmein", "changeme", "qwerty", "qwertyuiop",
    "qwertyuiopasdf", "asdfghjkl", "qwertyasdfgh", "1q2w3e4r5t6y", "1qaz2wsx3edc", "abcdefghijkl", "abcdefghijklm", "abc",
    "abcd", "khongbiet",
))  # fmt: skip
"""The commonest, without marks, signs and the digits at the end."""
_RUNS: Final = "1234567890" * 21, "0123456789" * 21, "9876543210" * 21
_TELLS: Final = 8
"""Letters from which on a repetition before digits is what the password consists of."""
_LOGIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")

AuditAct = Literal[
    # the door
    "signed_in", "sign_in_refused", "signed_out", "sessions_ended", "password_set", "factor_set", "factor_removed",
    # accounts
    "account_made", "account_changed", "account_disabled", "account_enabled", "link_made", "link_used",
    # looks
    "vault_seen", "comment_seen", "case_seen", "message_seen", "dead_letter_seen", "dossier_seen", "log_read", "export_asked", "exported",
    # changes
    "alert_changed", "case_changed", "opted_out", "opted_in", "erased", "answer_entered", "answer_judged", "slip_printed", "slip_bound",
    "call_taken", "call_ended", "kiosk_made", "kiosk_enrolled", "kiosk_closed",
    "measure_put", "measure_corrected", "measure_withdrawn",
    "unit_changed", "target_changed", "imported", "rules_changed", "template_changed", "budget_changed", "fake_reported",
    "channel_live", "channel_trial", "channel_off", "message_tested", "test_message_seen", "provider_switched",
    "dead_letter_replayed", "dead_letter_dropped", "source_resumed",
    "key_discarded", "key_made", "backup_taken", "backup_restored", "rebuilt", "chain_verified",
]  # fmt: skip
"""What can stand in the audit trail: a closed list. New acts are added here and nowhere else; one that was written is never renamed."""


@dataclass(frozen=True)
class Account:
    """One who may sign in. ``login`` is permanent: an account is disabled, never deleted, so that the trail keeps its meaning."""

    login: str
    name: str
    role: Role
    scope: str | None
    """Code of the unit whose subtree may be seen; None: all."""
    created_at: datetime
    password: str | None = None
    """Argon2id, encoded; None until the one-time link was used."""
    factor: bytes | None = None
    """Secret of the second factor, sealed; None: none."""
    factor_pending: bytes | None = None
    """One that was shown and not confirmed yet."""
    factor_step: int = 0
    """The newest time step whose code was taken: a code is good once."""
    failed: int = 0
    wait_until: datetime | None = None
    disabled_at: datetime | None = None

    def waits(self, now: datetime) -> bool:
        """Whether it is refused for now, whatever is typed."""
        return self.wait_until is not None and now < self.wait_until


@dataclass(frozen=True)
class Session:
    """A browser that is signed in. Of its token only the hash is known; times are real time."""

    token_hash: str
    login: str
    csrf: str
    stage: Stage
    created_at: datetime
    seen_at: datetime

    def alive(self, now: datetime) -> bool:
        """Whether it still holds."""
        if self.stage == "half":
            return now < self.created_at + HALF_LIFE
        return now < self.created_at + LIFE and now < self.seen_at + IDLE


@dataclass(frozen=True)
class OneTimeLink:
    """A way to set a password, once. Of its token only the hash is known; times are real time."""

    token_hash: str
    login: str
    purpose: LinkPurpose
    made_by: str
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class AuditEntry:
    """One line of the audit trail; ``hash`` covers all of it and the line before."""

    seq: int
    at: datetime
    """Real time."""
    actor: str
    """A login, ``cli:USER`` (the command line), or the name of a role."""
    act: str
    object: str
    detail: dict[str, Any]
    prev_hash: str
    hash: str


@dataclass(frozen=True)
class Break:
    """Where the audit trail stops being what was written.

    ``missing``: a line is gone; ``changed``: it says something else than was written; ``moved``: it does not follow the one before;
    ``cut``: lines at the end are gone; ``replaced``: the trail is whole but not the one that was anchored.
    """

    seq: int
    kind: Literal["missing", "changed", "moved", "cut", "replaced"]


@dataclass(frozen=True)
class Chain:
    """What a walk along the trail found."""

    length: int
    newest: str
    """Hash of its last line."""
    broken: Break | None


def normal_login(typed: str) -> str | None:
    """A login as it is kept: lower-case letters, digits, ``.``, ``_``, ``-``; None for what cannot be one."""
    login = typed.strip().lower()
    return login if _LOGIN.fullmatch(login) else None


def wait_after(failed: int) -> timedelta:
    """How long an account is closed after so many wrong tries in a row: five are free, then 5 s, doubling, at most 15 minutes."""
    if failed < FREE_TRIES:
        return timedelta(0)
    return min(LONGEST_WAIT, FIRST_WAIT * (1 << min(failed - FREE_TRIES, 10)))


def normal_password(typed: str) -> str:
    """The same letters however a keyboard composes their marks (NFC)."""
    return unicodedata.normalize("NFC", typed)


def weakness(password: str, login: str) -> Weakness | None:
    """Why a password will not do; None when it will. Length is what counts (NIST SP 800-63B §5.1.1)."""
    if len(password) < PASSWORD_MIN:
        return "short"
    if len(password) > PASSWORD_MAX:
        return "long"
    if login in password.lower():
        return "login"
    if len(set(password)) < _FEWEST_LETTERS:
        return "monotonous"
    return "common" if _is_common(password.lower()) else None


def _is_repeated(text: str) -> bool:
    return any(text == (text[:n] * len(text))[: len(text)] for n in range(1, len(text) // 2 + 1))


def _is_common(password: str) -> bool:
    """One of the commonest, whatever digits and signs are put at its end; or one shorter word again and again, the last perhaps cut."""
    plain = "".join(c for c in unicodedata.normalize("NFD", password.replace("đ", "d")) if c.isalnum())
    word = plain.rstrip("0123456789")
    if _is_repeated(password) or (len(word) >= _TELLS and _is_repeated(word)):
        return True
    return plain in _COMMON or word in _COMMON or (not word and any(run.startswith(plain) for run in _RUNS))
