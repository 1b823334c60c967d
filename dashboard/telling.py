"""Figures as they may be told to whoever is not the quality office: exact counts of the store, made into parcels.

What a month was when it closed is worked out again from the counted records until then, so no copy of it is kept anywhere but in memory;
the same log gives the same closed months.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from typing import Any, Protocol

from hailong.domain.scoring import STEP, Counts, Figures, Filters, Version
from hailong.domain.telling import Audience, Book, Closing, Newest, closes_at, closing_months, left_out, told


class ToldStore(Protocol):
    """Exact counts. Every method may raise Retryable or Permanent; one version gives the same counts for ever."""

    def figures(self, filters: Filters, version: Version | None = None) -> Figures: ...
    def began(self, version: Version) -> datetime | None: ...
    def answered_between(self, start: int, moment: datetime) -> tuple[int, dict[tuple[str, str], Counts]]: ...
    def newest(self, month: str, version: Version) -> dict[tuple[str, str], Newest]: ...


@dataclass(frozen=True)
class Told:
    """Figures for an audience. ``exact``: what they are made of, never shown: how many answers are left out follows from it."""

    figures: Figures
    exact: Figures
    book: Book

    def left_out(self, shown: Figures, filters: Filters) -> int:
        """How many answers of what ``shown`` holds are in none of its figures, rounded up to whole steps."""
        held = {key: cell for key, cell in self.exact.cells.items() if key in shown.cells}
        return left_out(held, shown.cells, filters)


class Telling:
    """Keeps what has closed: a closed month is asked for once."""

    def __init__(self, store: ToldStore, step: int = STEP) -> None:
        """``step``: by how many answers open months move; with less than ``STEP`` single answers can be seen."""
        self._store = store
        self._step = step
        self._closings: dict[str, Closing] = {}
        self._book = Book()
        self._lock = Lock()

    def figures(self, filters: Filters, version: Version, audience: Audience) -> Told:
        """The figures of units as they were, for ``units`` or ``public``. Raises Retryable, Permanent."""
        whole = Filters(filters.month_from, filters.month_to)
        exact = self._store.figures(whole, version)
        book = self._closed(exact.counted_at, version)
        newest = None if audience == "public" else self._store.newest(book.open_from, version)
        return Told(replace(exact, cells=told(exact.cells, book, newest, whole, self._step)), exact, book)

    def _closed(self, until: datetime | None, version: Version) -> Book:
        """Months are closed up to the last counted record: then nothing can come any more that was counted before."""
        began = self._store.began(version)
        if until is None or began is None:
            return Book()
        months = closing_months(began, until)
        with self._lock:
            before = Closing("", 0, {})
            for month in months:
                if month not in self._closings:
                    as_of, came = self._store.answered_between(before.as_of, closes_at(month))
                    cells = dict(before.cells) | {key: before.cells.get(key, Counts()) + cell for key, cell in came.items()}
                    self._closings[month] = Closing(month, as_of, cells)
                before = self._closings[month]
            if [closing.month for closing in self._book.closings] != months:
                self._book = Book.of([self._closings[month] for month in months])
            return self._book


def told_json(book: Book, audience: Audience) -> dict[str, Any]:
    """What a document of figures says of its audience: which months are closed, as of which record, and what was corrected since."""
    return {
        "audience": audience,
        "closed": [{"month": c.month, "on": c.on.isoformat(), "as_of": c.as_of} for c in book.closings],
        "corrections": [
            {"unit": parcel.unit, "months": list(parcel.months), "edition": number, "on": edition.on.isoformat(), "reason": edition.reason}
            for parcel in book.away
            for number, edition in enumerate(parcel.editions[1:], 2)
        ],
    }
