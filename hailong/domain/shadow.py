"""The other 90 %: what the national portal would say of dossiers received, computed apart so that both can be seen, and why they differ.
Pure.

Decision 766/QD-TTg (23-06-2022), metric 5.4, DOSSIER_RECEIVING_SATISFACTION: r = 100 % - (overdue dossiers % + dossiers with a petition or
a dislike %), 6 points from r = 90 % on, in proportion below, 0 without dossiers. The formula was fitted to published figures by others and
is not claimed to be the legal one (domain.md 1.2). It is no satisfaction of people asked: never mixed with a figure of answers, never
under its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

POINTS: Final = 6.0
FULL: Final = 0.90
"""r from which on all points are given."""

Of = Literal["ended", "received"]


@dataclass(frozen=True)
class Totals:
    """The portal's own numbers of a unit and month, as imported; dossiers, none negative."""

    received: int = 0
    ended: int = 0
    overdue: int = 0
    petitions: int = 0
    dislikes: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.received + other.received,
            self.ended + other.ended,
            self.overdue + other.overdue,
            self.petitions + other.petitions,
            self.dislikes + other.dislikes,
        )


@dataclass(frozen=True)
class Shadow:
    """The index of a unit and period. ``low``, ``high``: r as a fraction, since totals do not say how many dossiers have both a petition
    and a dislike: none of them (low), or all that could (high). Points 0-6 for each."""

    low: float
    high: float
    points_low: float
    points_high: float
    dossiers: int


def shadow(totals: Totals, of: Of = "ended") -> Shadow | None:
    """From totals of any number of months. ``of``: which dossiers the percentages are of; the sources do not say, so the caller chooses and
    shows it. None without a dossier: the portal gives 0 points then, which says nothing of the unit."""
    dossiers = totals.ended if of == "ended" else totals.received
    if not dossiers:
        return None
    apart, together = totals.petitions + totals.dislikes, max(totals.petitions, totals.dislikes)
    low, high = (_r(totals.overdue, min(complained, dossiers), dossiers) for complained in (apart, together))
    return Shadow(low, high, points(low), points(high), dossiers)


def points(r: float) -> float:
    """min(6, 6 r ÷ 0.90), never below 0."""
    return max(0.0, min(POINTS, POINTS * r / FULL))


def _r(overdue: int, complained: int, dossiers: int) -> float:
    """A dossier that is overdue and complained about counts twice: so the formula says."""
    return max(0.0, (dossiers - overdue - complained) / dossiers)
