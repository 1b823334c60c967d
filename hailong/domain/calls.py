"""Calls: what may come of one, when the next try is, and what is told of them all. Pure: moments and rules come in.

Everybody on the list was drawn, and everybody's dossier had ended. Of everybody drawn, the log gets one final disposition: that of the
last try (``Disposition``), or why they left the list without another one (``Left``); until then they are open. So at every moment those
drawn are the final ones and the open ones. In the fact it is the ``reason`` of a ``disposition`` by the mode ``call``, with ``control``:
``final``; ``why`` they were drawn; ``tries`` so far; the ``stratum`` they were drawn in and its ``share``, the probability with which.
Classes as in AAPOR, Standard Definitions: interview, refusal, non-contact, other; not eligible are only those whose dossier goes on after
all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal, get_args

from hailong.domain.hours import Hours
from hailong.ports import Invalid

Disposition = Literal[
    "answered", "refused", "callback_later", "no_answer", "busy", "not_in_service", "wrong_number", "language_barrier", "not_me"
]
"""What a caller may say of a try."""
Left = Literal["answered_elsewhere", "opted_out", "expired", "reopened", "contact_erased"]
"""Why somebody leaves the list without a (further) call: ``answered_elsewhere`` by another door; ``expired``: the link ran out, or the
ending is too long ago."""
Late = Literal["noted", "kept"]
"""What is taken of a page whose entry is nobody's any more: the interview that stands already, the wish not to be asked again."""
Class = Literal["interview", "refusal", "noncontact", "other", "not_eligible"]
Why = Literal["no_answer", "unreachable"]
"""Why somebody may be drawn: asked, and silent since; or out of reach of every message (refused for good, or a landline only)."""

Stratum = Literal["quiet", "other"]
"""Whether the unit that handled the dossier was too quiet to judge, by the newest look that held on the day the draw is of."""

DISPOSITIONS: Final[tuple[Disposition, ...]] = get_args(Disposition)
LEFT: Final[tuple[Left, ...]] = get_args(Left)
CLASS: Final[Mapping[Disposition, Class]] = {
    "answered": "interview", "refused": "refusal", "callback_later": "noncontact", "no_answer": "noncontact", "busy": "noncontact",
    "not_in_service": "noncontact", "wrong_number": "noncontact", "language_barrier": "other", "not_me": "noncontact",
}  # fmt: skip
CLASS_LEFT: Final[Mapping[Left, Class]] = {
    "answered_elsewhere": "interview", "opted_out": "refusal", "expired": "noncontact", "reopened": "not_eligible",
    "contact_erased": "noncontact",
}  # fmt: skip
"""Of the survey as a whole: ``answered_elsewhere`` is an interview, and none of the callers'."""
AGAIN: Final[frozenset[Disposition]] = frozenset({"callback_later", "no_answer", "busy"})
"""After these somebody is tried once more, while tries are left."""
LEASE: Final = timedelta(minutes=15)
"""Real time for which an entry is one caller's."""
AGREED: Final = timedelta(days=14)
"""How far ahead another time may be agreed."""
UNREACHABLE: Final = ("undeliverable", "no_contact")
"""Reasons for not asking that a call may make up for."""
DAYS: Final = 30
"""Whom no message reaches, is not called longer after the end than this; nobody is, after twice as long."""


@dataclass(frozen=True)
class Calling:
    """The rules of calls on a day."""

    share: float = 0.1
    after_days: int = 3
    tries: int = 3
    gap: timedelta = timedelta(hours=27)
    hours: Hours = Hours()


@dataclass(frozen=True)
class Candidate:
    """Somebody who may be drawn. ``heard_on``: the day whose seed draws; ``share``: the probability with which, in their stratum."""

    dossier_ref: str
    survey_id: str
    heard_on: date
    why: Why
    unit: str = ""
    """That handled the dossier."""
    stratum: Stratum = "other"
    share: float = 1.0


@dataclass(frozen=True)
class Try:
    """One call."""

    at: datetime
    disposition: str


@dataclass(frozen=True)
class Entry:
    """What a caller sees of somebody: nothing that names them but the end of their number."""

    survey_id: str
    language: str
    desk: str
    ended_on: date
    why: str
    number: str
    """Masked."""
    tries: tuple[Try, ...]
    lease_until: datetime
    """Real time."""
    started: bool
    """The questionnaire was begun in this try."""

    @property
    def ref(self) -> str:
        return entry_ref(self.survey_id)


@dataclass(frozen=True)
class Waiting:
    """A line of the list."""

    language: str
    why: str
    tries: int
    next_at: datetime


@dataclass(frozen=True)
class Tally:
    """What became of everybody drawn since a day: dispositions of those who are done with, and how many still wait."""

    drawn: int
    waiting: int
    ended: Mapping[str, int]
    unconfirmed: int
    """Said to have answered, of whom no answer was counted."""

    @property
    def called(self) -> int:
        """Done with by calls: the denominator of the rate of interviews."""
        return sum(n for name, n in self.ended.items() if name in CLASS)

    @property
    def classes(self) -> Mapping[str, int]:
        """Class → how many of those who are done with, by whatever door; with ``waiting`` they are everybody drawn."""
        of = {str(reason): name for known in (CLASS, CLASS_LEFT) for reason, name in known.items()}
        return {name: sum(n for reason, n in self.ended.items() if of[reason] == name) for name in get_args(Class)}

    @property
    def interviews(self) -> int:
        return self.ended.get("answered", 0)


def shares(share: float, quiet_part: float) -> dict[Stratum, float]:
    """The probability of being drawn in each stratum, such that about as many are drawn as if ``share`` held for all.

    Half of what the others would get goes to the quiet units, ``quiet_part`` of all endings, until everybody there is called: so the
    others are still drawn, and who does not answer there can be measured. Both are known beforehand and the same for everybody in the
    stratum: what is measured by calls is weighted by them, or taken within units.
    """
    if not 0 < quiet_part < 1 or not 0 < share < 1:
        return {"quiet": share, "other": share}
    quiet = min(1.0, share * (1 + quiet_part) / (2 * quiet_part))
    return {"quiet": quiet, "other": (share - quiet_part * quiet) / (1 - quiet_part)}


def entry_ref(survey_id: str) -> str:
    """What names an entry in a form, so that a form sent late is not taken for another entry."""
    return hashlib.sha256(b"hailong call v1:" + survey_id.encode()).hexdigest()[:16]


def masked(number: str) -> str:
    """A number, of which only the last two digits can be read."""
    return f"••• ••• ••{number[-2:]}"


def next_try(said: Disposition, tries: int, now: datetime, rules: Calling, later: datetime | None = None) -> datetime | None:
    """When somebody is called again after their ``tries``-th call; None: they are done with.

    ``later``: as agreed with them, needed for ``callback_later``. Raises Invalid (``later``) when it is missing, past or out of hours.
    """
    if said == "callback_later" and not (later is not None and now < later <= now + AGREED and rules.hours.is_open(later)):
        raise Invalid("later", "later", f"choose a time within the next {AGREED.days} days at which people are called")
    if said not in AGAIN or tries >= rules.tries:
        return None
    return later if said == "callback_later" else rules.hours.next_open(now + rules.gap)
