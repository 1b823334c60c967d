"""What became of everybody, in the words of survey research, so that rates can be held beside those of other surveys. Pure.

Classes and formulas: AAPOR, Standard Definitions: Final Dispositions of Case Codes and Outcome Rates for Surveys (10th edition, 2023).
Everybody on hailong's list has an ending, so who is in the sample is eligible: UH and UO, AAPOR's unknown eligibility, hold here those
nothing was tried on and those of whom nobody knows whether anything arrived. In all of the rates below they stand in the same denominators
as non-contacts. Where a disposition could be two classes, it has the one that flatters hailong less.

"Started" is the first form that was sent (POST); nothing is ever called opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from hailong.domain import calls
from hailong.domain.shares import Share
from hailong.events import DeliveryState

Class = Literal["I", "P", "R", "O", "NC", "UO", "UH"]
"""Interview, partial, refusal (and break-off), other, non-contact, unknown other, unknown; the strongest first."""
Outside = Literal["not_eligible", "not_selected"]
"""In no rate: nobody to be asked (the dossier goes on, or the rules leave such people out); or the draw fell on others."""
Doing = Literal["finished", "started", "opted_out", "not_me"]
"""What the person did with the survey."""

CLASSES: Final[tuple[Class, ...]] = get_args(Class)

DONE: Final[Mapping[Doing, Class]] = {"finished": "I", "started": "P", "opted_out": "R", "not_me": "NC"}
"""``started``: the first page, which has the one question that counts, came in, and the rest did not."""
SILENT: Final[Mapping[DeliveryState, Class | None]] = {
    "due": None, "claimed": None, "handed_over": "NC", "delivered": "NC", "failed": "NC", "unknown": "UO", "withdrawn": "UH",
    "expired": "UH",
}  # fmt: skip
"""Of who did nothing: the state of their last message when the link ran out; None is no end. A message withdrawn because the dossier goes
on is counted by that reason (``NOT_ASKED``), not here."""
NOT_ASKED: Final[Mapping[str, Class | Outside]] = {
    "test": "not_eligible",
    "not_ended": "not_eligible",
    "ends_before_start": "not_eligible",
    "too_old": "UH",
    "applicant_type": "not_eligible",
    "submitted_by": "not_eligible",
    "minor": "not_eligible",
    "sensitive_procedure": "not_eligible",
    "no_contact": "NC",
    "no_channel": "R",
    "opted_out": "R",
    "sampled_out": "not_selected",
    "recently_asked": "not_selected",
    "represented": "not_selected",
    "no_hour": "UH",
    "reopened": "not_eligible",
    "contact_erased": "UH",
    "expired": "UH",
    "answered": "P",
    "undeliverable": "NC",
    "trial": "not_selected",
}
"""By ``asking.REASONS``. Whoever answered by another door before the message was sent has done at least the first page."""
CALLED: Final[Mapping[calls.Disposition, Class]] = {
    "answered": "I", "refused": "R", "callback_later": "NC", "no_answer": "NC", "busy": "NC", "not_in_service": "NC", "wrong_number": "NC",
    "language_barrier": "O", "not_me": "NC",
}  # fmt: skip
"""The same as ``calls.CLASS`` in AAPOR's letters."""
LEFT: Final[Mapping[calls.Left, Class | Outside]] = {
    "answered_elsewhere": "P", "opted_out": "R", "expired": "NC", "reopened": "not_eligible", "contact_erased": "NC",
}  # fmt: skip
"""Of who left the list of calls before one came about."""


@dataclass(frozen=True)
class Dispositions:
    """How many dossiers have each class as their final one."""

    I: int = 0  # noqa: E741 - AAPOR's letter
    P: int = 0
    R: int = 0
    O: int = 0  # noqa: E741 - AAPOR's letter
    NC: int = 0
    UO: int = 0
    UH: int = 0
    not_eligible: int = 0
    not_selected: int = 0

    @property
    def sample(self) -> int:
        """Everybody eligible and selected: the denominator of response, refusal and contact."""
        return self.I + self.P + self.R + self.O + self.NC + self.UO + self.UH


@dataclass(frozen=True)
class Rates:
    """Outcome rates of a sample as shares; each with its counts and Wilson's interval."""

    rr1: Share
    """Response rate 1, the lowest: I ÷ ((I + P) + (R + NC + O) + (UH + UO))."""
    rr2: Share
    """Response rate 2: (I + P) ÷ the same. The share that is in the headline: the first question is enough for it."""
    coop1: Share
    """Cooperation rate 1: I ÷ ((I + P) + R + O)."""
    ref1: Share
    """Refusal rate 1: R ÷ ((I + P) + (R + NC + O) + (UH + UO))."""
    con1: Share
    """Contact rate 1: ((I + P) + R + O) ÷ ((I + P) + R + O + NC + (UH + UO)). Silence after a delivered message is no contact."""


def final(found: Iterable[Class | Outside | None]) -> Class | Outside | None:
    """The one class of a dossier of all that is known of it (message, page, calls): that nobody was to be asked decides, then the strongest
    of ``CLASSES``, then that the draw fell on others. None while nothing has come to an end.
    """
    known = set(found)
    order: tuple[Class | Outside, ...] = ("not_eligible", *CLASSES, "not_selected")
    return next((name for name in order if name in known), None)


@dataclass(frozen=True)
class Seen:
    """What the log says of one survey. ``state``: the last of its invitation, None when there is none; ``withdrawn``: why its invitation or
    reminder was not sent; ``call``: the final disposition of a call, or why there was none any more."""

    state: DeliveryState | None = None
    withdrawn: tuple[str, ...] = ()
    doing: tuple[Doing, ...] = ()
    call: str | None = None


def of_survey(seen: Seen) -> Class | Outside | None:
    """Its final class; None while nothing has come to an end. A reason nobody knows counts as unknown, which is in every denominator."""
    found: list[Class | Outside | None] = [DONE[one] for one in seen.doing]
    found += [NOT_ASKED.get(why, "UH") for why in seen.withdrawn]
    if seen.state is not None and not (seen.state == "withdrawn" and seen.withdrawn):
        found.append(SILENT[seen.state])
    if seen.call is not None:
        ends: Mapping[str, Class | Outside] = {**{str(k): v for k, v in CALLED.items()}, **{str(k): v for k, v in LEFT.items()}}
        found.append(ends.get(seen.call, "UH"))
    return final(found)


def counted(finals: Mapping[Class | Outside, int]) -> Dispositions:
    """Numbers by class as one record."""
    return Dispositions(**{str(name): n for name, n in finals.items()})


def rates(d: Dispositions) -> Rates:
    """AAPOR's RR1, RR2, COOP1, REF1 and CON1."""
    contacted = d.I + d.P + d.R + d.O
    sample = d.sample
    return Rates(Share(d.I, sample), Share(d.I + d.P, sample), Share(d.I, contacted), Share(d.R, sample), Share(contacted, sample))
