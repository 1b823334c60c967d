"""You said, we did: what an officer writes about a unit, made ready for citizens before anybody publishes it. No I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from hailong.domain.masking import masked
from hailong.ports import Invalid, Measure

LANGUAGES: Final = ("vi", "en")
"""Vietnamese has to be there; readers of a language that was left out see the Vietnamese."""
FIELDS: Final = tuple(f"{part}_{lang}" for lang in LANGUAGES for part in ("said", "did"))
OLDEST: Final = timedelta(days=730)
"""A day further back than this was mistyped, or is nothing that whoever answered could still notice."""


@dataclass(frozen=True)
class Prepared:
    """What would be published: ``found``: how many numbers, addresses and names of each kind were masked in it."""

    measure: Measure
    found: dict[str, int]


@dataclass(frozen=True)
class Written:
    """A measure as it stands in the ledger."""

    number: int
    measure: Measure
    by: str
    at: datetime
    withdrawn_at: datetime | None
    """Since then citizens do not see it: it was withdrawn, or replaced by a corrected one."""


def prepared(unit: str, day: str, texts: dict[str, str], today: date) -> Prepared:
    """``texts``: the FIELDS as typed; ``day``: YYYY-MM-DD, when it was done, not after ``today``. Preparing it again changes nothing.

    Raises Invalid naming the field: ``missing``, ``half`` (one of two sentences in a language), ``too_long`` (more than
    ``masking.LIMIT`` letters), ``not_a_day``, ``future``, ``long_ago``.
    """
    done_on = _day(day, today)
    found: Counter[str] = Counter()
    kept = {field: _masked(field, texts.get(field, ""), found) for field in FIELDS}
    for lang in LANGUAGES:
        empty = [field for field in (f"said_{lang}", f"did_{lang}") if not kept[field]]
        if empty and (lang == LANGUAGES[0] or len(empty) == 1):
            reason = "missing" if lang == LANGUAGES[0] else "half"
            raise Invalid(reason, empty[0], "write what people said and what was done, each in a sentence or a few")
    said, did = ({lang: kept[f"{part}_{lang}"] for lang in LANGUAGES} for part in ("said", "did"))
    return Prepared(Measure(unit, done_on, said, did), dict(found))


def _masked(field: str, text: str, found: Counter[str]) -> str:
    try:
        said = masked(text)
    except Invalid as wrong:
        raise Invalid(wrong.reason, field, wrong.detail) from wrong
    found.update(said.found)
    return said.text


def _day(typed: str, today: date) -> date:
    try:
        day = date.fromisoformat(typed.strip())
    except ValueError:
        raise Invalid("not_a_day", "day", "write year, month and day as YYYY-MM-DD") from None
    if day > today:
        raise Invalid("future", "day", "only what has been done is published: choose today or an earlier day")
    if day < today - OLDEST:
        raise Invalid("long_ago", "day", f"choose a day of the last {OLDEST.days} days")
    return day
