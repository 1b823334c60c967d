"""The draw made again: decisions as the log has them, held against the seeds that were published, the rules and the facts. Pure.

What the log alone cannot confirm (an address, an opt-out, when somebody was last asked) is taken from the decision's inputs and
counted, so that everybody sees how far the proof goes. See docs/decisions/0009-draw.md.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal

from hailong.domain import draw as lots
from hailong.domain.asking import Asked, Known, Verdict, Waiting, arms, decide
from hailong.domain.hours import midnight
from hailong.domain.rulebook import RulebookError, Rules
from hailong.events import DossierClosed, SurveyDecided

What = Literal["decision", "draw", "arms", "seed_day", "rules_version", "rules_digest", "inputs", "ending", "unit_endings", "turns"]
SeedState = Literal["confirmed", "pending", "never_committed", "several_commitments", "not_revealed", "does_not_fit", "committed_too_late"]
FAULTS: Final[Mapping[SeedState, str]] = {
    "never_committed": "no commitment of this day's seed is in the log, so nobody can tell whether it was fixed before",
    "several_commitments": "the log has several commitments of this day's seed",
    "not_revealed": "the day is over and its seed is not in the log",
    "does_not_fit": "the seed in the log is not the one that was committed to",
    "committed_too_late": "a decision that uses the seed stands in the log before its commitment",
}
UNCONFIRMED: Final[Mapping[str, str]] = {
    "reach": "whether there was an address: decides no_contact",
    "refused": "the channels the person does not want: decides no_channel",
    "opted_out": "whether the person had opted out: decides opted_out",
    "asked_on": "the day the person or the number was last asked: decides recently_asked",
    "test": "whether it was a test dossier: decides test",
    "minor": "whether the person is a minor: decides minor",
    "together": "which endings hung together by a contact: decides represented, and the weight of an asking",
}
"""Input → what it decides; the log alone cannot confirm it."""
_DECIDES: Final = {
    "no_contact": "reach", "no_channel": "refused", "opted_out": "opted_out", "recently_asked": "asked_on", "test": "test",
    "minor": "minor", "represented": "together",
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A decision, and the fact it is about: the ending or, for ``reopened``, None where that dossier's going on is in the log."""

    decided: SurveyDecided
    ending: DossierClosed | None
    reopening: bool = False
    """Whether the log has the reopening that the decision names."""


@dataclass(frozen=True)
class Difference:
    """Something a decision says that does not follow."""

    dossier_ref: str
    decided_on: date
    what: What
    says: str
    follows: str


@dataclass(frozen=True)
class Commitment:
    """A commitment as the log has it. ``written``: the broker's timestamp; ``at``: the installation's clock."""

    commitment: str
    written: datetime
    at: datetime


@dataclass(frozen=True)
class SeedRecords:
    """Everything the log has of a day's seed. ``first_use``: the broker's timestamp of the first decision that uses it."""

    day: date
    commitments: tuple[Commitment, ...]
    seeds: tuple[str, ...]
    """Hex."""
    first_use: datetime | None = None

    def state(self, over: bool) -> SeedState:
        """Whether the seed may be used. ``over``: the moment for revealing it has passed."""
        said = {c.commitment for c in self.commitments}
        if not said:
            return "never_committed"
        if len(said) > 1:
            return "several_commitments"
        if self.first_use is not None and min(c.written for c in self.commitments) > self.first_use:
            return "committed_too_late"
        if not self.seeds:
            return "not_revealed" if over else "pending"
        return "confirmed" if all(self._fits(seed, next(iter(said))) for seed in self.seeds) else "does_not_fit"

    def _fits(self, seed: str, said: str) -> bool:
        try:
            return lots.commitment(self.day, bytes.fromhex(seed)) == said
        except ValueError:
            return False

    @property
    def late(self) -> bool:
        """Whether the first commitment came when the day had begun."""
        return bool(self.commitments) and min(c.at for c in self.commitments) >= midnight(self.day)


Endings = Callable[[str, date], tuple[int, int]]
"""(unit, day of deciding) → fewest and most endings of 90 days the ledger can have counted, by the facts."""


@dataclass
class Redraw:
    """Holds decisions day by day against what follows from the facts. ``seeds``: those that may be used."""

    rules: Callable[[date], Rules]
    seeds: Mapping[date, bytes]
    endings: Endings
    decisions: int = 0
    recomputed: int = 0
    differences: list[Difference] = field(default_factory=list)
    without_seed: Counter[date] = field(default_factory=Counter)
    """Seed day → decisions that could not be made again for want of a seed that may be used."""
    unit_endings: Counter[str] = field(default_factory=Counter)
    """``compared``; ``outside``: of these, counts that the facts do not bear out, whether or not it changes anything."""
    unconfirmed: Counter[str] = field(default_factory=Counter)
    """Input → decisions that rest on it."""

    def day(self, told: Sequence[Told]) -> None:
        """All decisions of one local day."""
        self.decisions += len(told)
        for one in told:
            self.differences += self._one(one)
            self._count_unconfirmed(one.decided)
        self.differences += self._turns([one for one in told if one.ending is not None])

    # --- one decision

    def _one(self, told: Told) -> list[Difference]:
        said = told.decided
        if said.reason == "reopened" and said.seed_day is None:
            self.recomputed += told.reopening
            return [] if told.reopening else [_differs(said, "ending", "the dossier goes on", "no such fact in the log")]
        if told.ending is None:
            return [_differs(said, "ending", said.event_id.removeprefix("decided:"), "no such ending in the log")]
        if said.seed_day != told.ending.heard_on:
            return [_differs(said, "seed_day", said.seed_day, told.ending.heard_on)]
        seed = self.seeds.get(told.ending.heard_on)
        if seed is None:
            self.without_seed[told.ending.heard_on] += 1
            return []
        self.recomputed += 1
        return list(self._made_again(said, told.ending, seed))

    def _made_again(self, said: SurveyDecided, ending: DossierClosed, seed: bytes) -> Iterator[Difference]:
        number = _numbers(seed, said.dossier_ref)
        if said.draw != number(lots.SAMPLE):
            yield _differs(said, "draw", said.draw, number(lots.SAMPLE))
        rules = self._rules(said.decided_on)
        version = rules.version if rules else "no rules were in force"
        if rules is None or version != said.rules_version:
            yield _differs(said, "rules_version", said.rules_version, version)
            return
        if said.inputs.get("rules_digest") != rules.digest[:16]:
            yield _differs(said, "rules_digest", said.inputs.get("rules_digest"), rules.digest[:16])
        try:
            known = Known.of(said.inputs)
            verdict = decide(ending, known, midnight(said.decided_on), rules, number)
            follows = arms(rules, number)
        except (KeyError, TypeError, ValueError):
            yield _differs(said, "inputs", "something that cannot be read", "inputs as `decide` writes them")
            return
        yield from _compared(said, verdict, follows)
        yield from self._endings(said, ending.receiving_unit, known, rules)

    def _rules(self, day: date) -> Rules | None:
        try:
            return self.rules(day)
        except RulebookError:
            return None

    def _endings(self, said: SurveyDecided, unit: str, known: Known, rules: Rules) -> Iterator[Difference]:
        """The count is of the ledger at a moment of the day; the facts give its bounds. Only what changes the share is a difference."""
        fewest, most = self.endings(unit, said.decided_on)
        self.unit_endings["compared"] += 1
        if fewest <= known.unit_endings <= most:
            return
        self.unit_endings["outside"] += 1
        nearest = fewest if known.unit_endings < fewest else most
        if rules.share_of(unit, nearest) != rules.share_of(unit, known.unit_endings):
            yield _differs(said, "unit_endings", known.unit_endings, f"{fewest} to {most}")

    def _count_unconfirmed(self, said: SurveyDecided) -> None:
        if said.weight > 1:
            self.unconfirmed["together"] += 1
        if (rests_on := _DECIDES.get(said.reason or "")) is not None:
            self.unconfirmed[rests_on] += 1

    # --- those who had rested

    def _turns(self, told: Sequence[Told]) -> Iterator[Difference]:
        """Which endings hung together does not stand in the log. But all of a group are decided on one day, and the lowest draw is
        asked: every represented one needs an asking with a lower draw and a place left in its weight.
        """
        found = [(self._rest_draw(one), one.decided) for one in told if one.decided.weight > 1 or one.decided.reason == "represented"]
        if any(draw is None for draw, _ in found):
            return  # their seed is missing, which is named elsewhere
        places: list[float] = []
        for draw, said in found:
            places += [draw or 0.0] * (said.weight - 1) if said.asked else []
        places.sort()
        for draw, said in sorted(((draw or 0.0, said) for draw, said in found if not said.asked), key=lambda x: (x[0], x[1].dossier_ref)):
            # The lowest first: a place that is lower for it is lower for all that follow, so any such place will do.
            at = bisect.bisect_left(places, draw) - 1
            if at < 0:
                yield _differs(said, "turns", "represented", "no asking of that day with a lower draw has a place left")
            else:
                del places[at]
        if places:
            asked = [said for _, said in found if said.asked]
            yield _differs(
                asked[0], "turns", f"weights of {len(asked)} askings of that day", f"{len(places)} endings fewer than represented"
            )

    def _rest_draw(self, told: Told) -> float | None:
        seed = self.seeds.get(told.ending.heard_on) if told.ending else None
        return None if seed is None else lots.number(seed, told.decided.dossier_ref, lots.REST)


def _numbers(seed: bytes, dossier_ref: str) -> Callable[[str], float]:
    return lambda purpose: lots.number(seed, dossier_ref, purpose)


def _compared(said: SurveyDecided, verdict: Verdict, follows: Mapping[str, str]) -> Iterator[Difference]:
    says, should = "asked" if said.asked else str(said.reason), _word(verdict)
    # Who is represented could have been asked: it is the turn that fell on another.
    if says != should and not (says == "represented" and should == "asked"):
        yield _differs(said, "decision", says, should)
    elif said.asked and said.arms != dict(follows):
        yield _differs(said, "arms", _listed(said.arms), _listed(follows))


def _word(verdict: Verdict) -> str:
    if isinstance(verdict, Waiting):
        return f"waiting until {verdict.until.date()}"
    return "asked" if isinstance(verdict, Asked) else verdict.reason


def _listed(pairs: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={arm}" for name, arm in sorted(pairs.items())) or "none"


def _differs(said: SurveyDecided, what: What, says: object, follows: object) -> Difference:
    return Difference(said.dossier_ref, said.decided_on, what, str(says), str(follows))


# --- endings of a unit ----------------------------------------------------------------------------------------------------------


def bounds(rows: Iterable[tuple[str, date, date, int]], days: int) -> Endings:
    """From (unit, ended on, heard on, number): how many endings of the last ``days`` days could be known on a day, fewest and most.

    Fewest: heard of before that day; most: heard of by its end.
    """
    per_unit: dict[str, list[tuple[date, date, int]]] = {}
    for unit, ended, heard, n in rows:
        per_unit.setdefault(unit, []).append((ended, heard, n))
    known: dict[tuple[str, date], tuple[int, int]] = {}

    def counted(unit: str, day: date) -> tuple[int, int]:
        if (unit, day) not in known:
            since = date.fromordinal(day.toordinal() - days)
            within = [(heard, n) for ended, heard, n in per_unit.get(unit, ()) if ended >= since]
            known[unit, day] = sum(n for heard, n in within if heard < day), sum(n for heard, n in within if heard <= day)
        return known[unit, day]

    return counted


def as_json(difference: Difference) -> dict[str, Any]:
    """As ``hailong draw verify --json`` has it."""
    return {**difference.__dict__, "decided_on": difference.decided_on.isoformat()}
