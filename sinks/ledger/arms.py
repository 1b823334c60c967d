"""How many of each arm of an experiment were asked and answered: counted here, where arms and answers stand together, and nowhere else.

Only counts leave the ledger. From 30 days after a survey was settled nothing leads from its dossier to its answer any more: before that
happens its arm's counts of the day are added to those that stay. Who had themselves erased is in no count.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hailong.domain.arms import FOLLOWED, Tally
from sinks.ledger import schema as t
from sinks.ledger.base import Base

_MICROSECOND: Final = timedelta(microseconds=1)
_HANDED_OVER: Final = ("handed_over", "delivered")
_TRIED: Final = (*_HANDED_OVER, "unknown", "failed")
_DAY: Final = timedelta(days=1)


_KEPT: Final = tuple(c for c in t.arm_days.c if not c.primary_key)
_Counts = dict[tuple[str, str], Counter[str]]


class ArmsReading(Base):
    """The part of a reader about it."""

    def arms(self, now: datetime, first: date, until: date) -> list[Tally]:
        """Counts of the invitations of the local days ``first`` ≤ d ≤ ``until``, by experiment and arm, erased ones included."""
        begin, end = (datetime.combine(day, time(0), self.tools.zone) for day in (first, until + _DAY))
        asked = (t.slots.c.erased_on.is_(None), t.claims.c.claimed_at >= begin, t.claims.c.claimed_at < end)
        counts = _summed(self.conn.execute(_grouped(now, *asked)))
        kept = sa.select(t.arm_days).where(t.arm_days.c.day >= first, t.arm_days.c.day <= until)
        for row in self.conn.execute(kept):
            counts.setdefault((row.experiment, row.arm), Counter()).update({c.name: row._mapping[c.name] for c in _KEPT})
        return [Tally(experiment, arm, **n) for (experiment, arm), n in sorted(counts.items())]


class ArmsKeeping(Base):
    """The part of a transaction about it."""

    def keep_arms(self, surveys: Sequence[str], now: datetime) -> None:
        """Add these surveys, settled and about to be erased, to what stays of their day of asking."""
        mine = t.claims.c.ref.in_(surveys), t.claims.c.purpose == "invitation"
        days: dict[date, list[str]] = {}
        for ref, at in self.conn.execute(sa.select(t.claims.c.ref, t.claims.c.claimed_at).where(*mine)):
            days.setdefault(at.astimezone(self.tools.zone).date(), []).append(ref)
        rows = []
        for day, refs in sorted(days.items()):
            # Their time is over, also where rules let links run out sooner.
            counts = _summed(self.conn.execute(_grouped(now + FOLLOWED, t.claims.c.ref.in_(refs))))
            rows += [{"day": day, "experiment": e, "arm": a, **{c.name: n[c.name] for c in _KEPT}} for (e, a), n in sorted(counts.items())]
        insert = (postgresql if self.conn.dialect.name == "postgresql" else sqlite).insert(t.arm_days)
        added = {c.name: c + insert.excluded[c.name] for c in _KEPT}
        if rows:
            self.conn.execute(insert.on_conflict_do_update(index_elements=list(t.arm_days.primary_key), set_=added), rows)


def _summed(rows: Iterable[Any]) -> _Counts:
    counts: _Counts = {}
    for drawn, state, over, answered, n in rows:
        for arm in json.loads(drawn).items():
            of_arm = counts.setdefault(arm, Counter())
            for what in _counted_as(state, bool(over), bool(answered)):
                of_arm[what] += n
    return counts


def _counted_as(state: str, over: bool, answered: bool) -> Iterator[str]:
    if state not in _HANDED_OVER:
        yield state
    elif not over:
        yield "open"
    else:
        yield "asked"
        if state == "delivered":
            yield "delivered"
        if answered:
            yield "answered"


def _grouped(now: datetime, *which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """(arms, state, whether it is old enough, whether it was answered in time, how many)."""
    waited = _number(t.answers.c.counted_at) - _number(t.claims.c.claimed_at)
    in_time = sa.and_(t.answers.c.seq.is_not(None), waited <= FOLLOWED // _MICROSECOND)
    mine = sa.and_(t.claims.c.ref == t.slots.c.survey_id, t.claims.c.purpose == "invitation")
    each = (
        sa.select(t.slots.c.arms, t.claims.c.state, _flag(t.claims.c.claimed_at <= now - FOLLOWED, "over"), _flag(in_time, "answered"))
        .join_from(t.slots, t.claims, mine)
        .outerjoin(t.answers, t.answers.c.survey_id == t.slots.c.survey_id)
        .where(t.slots.c.arms != "{}", t.claims.c.state.in_(_TRIED), *which)
        .subquery()
    )
    return sa.select(*each.c, sa.func.count()).group_by(*each.c)


def _number(moment: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    return sa.type_coerce(moment, sa.BigInteger)


def _flag(condition: sa.ColumnElement[bool], name: str) -> sa.Label[int]:
    return sa.case((condition, 1), else_=0).label(name)
