"""Who is called, made again: the number of each dossier, the stratum of its unit by the list in force on its day, and the share there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from hailong.domain import draw as lots
from hailong.domain.calls import Candidate
from hailong.domain.rulebook import Rules
from hailong.events import QualityLooked
from streams.calling import in_stratum


@dataclass(frozen=True)
class Difference:
    """What a drawing says of somebody, and what follows from seed, list and rules."""

    dossier_ref: str
    drawn_on: date
    what: str
    says: str
    follows: str


@dataclass
class CallsRedrawn:
    """Everybody drawn to be called, made again. ``drawn``: stratum → how many; ``before``: drawn when there were no strata."""

    drawn: Counter[str] = field(default_factory=Counter)
    before: int = 0
    differences: list[Difference] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        differences = [{**vars(one), "drawn_on": one.drawn_on.isoformat()} for one in self.differences]
        return {
            "passed": not differences,
            "drawn": dict(sorted(self.drawn.items())),
            "before_strata": self.before,
            "differences": differences,
        }


def redrawn(
    drawn: Iterable[tuple[Candidate, date]],
    look: Callable[[date], QualityLooked | None],
    rules: Callable[[date], Rules],
    draw: Callable[[date, str, str], float],
) -> CallsRedrawn:
    """``look(day)``: the list of quiet units in force on a day; ``draw(day, dossier_ref, purpose)``: the number."""
    made = CallsRedrawn()
    for one, drawn_on in drawn:
        again = in_stratum(one, rules(drawn_on).call_share, look(one.heard_on))
        if one.share:
            made.drawn[one.stratum] += 1
        else:
            made.before += 1
        number = draw(one.heard_on, one.dossier_ref, lots.CALL)
        made.differences += [Difference(one.dossier_ref, drawn_on, *said) for said in _unlike(one, again, number)]
    return made


def _unlike(one: Candidate, again: Candidate, number: float) -> Iterator[tuple[str, str, str]]:
    share = one.share or again.share
    if one.share and one.stratum != again.stratum:
        yield "stratum", one.stratum, again.stratum
    if one.share and one.share != again.share:
        yield "share", f"{one.share:.6f}", f"{again.share:.6f}"
    if number >= share:
        yield "drawn", f"below {share:.6f}", f"{number:.6f}"
