"""What ClickHouse tells of decisions and seeds: for making the draw again, for the public list, for one dossier's way.

Rows repeat: a fact is the first row of its id. Days are bound as text: a ``Date32`` is written in more than one way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from hailong.domain.redraw import Told
from hailong.events import DossierClosed, SurveyDecided
from sinks.clickhouse.connection import translated
from sinks.clickhouse.queries import Query

Place = tuple[str, int, int]
"""(topic, partition, offset) of a record of the log."""
_DECIDED: Final = "event_id, dossier_ref, asked, reason, rules_version, draw, decided_on, inputs, seed_day, arms, weight"
_CLOSED: Final = (
    "event_id, dossier_ref, source, outcome, status_code, procedure_code_national, receiving_unit, handling_unit, result_channel, "
    "received_on, ended_on, heard_on, applicant_type, submitted_by"
)
_ON: Final = "decided_on = toDate32({day:String})"
DAYS: Final = Query(
    "days of deciding",
    """
    SELECT DISTINCT decided_on FROM decided
    WHERE decided_on >= toDate32({first:String}) AND decided_on < toDate32({after:String}) ORDER BY decided_on
    """,
)
DECIDED: Final = Query(
    "decisions of a day",
    f"SELECT {_DECIDED} FROM decided WHERE {_ON} ORDER BY _partition, _offset LIMIT 1 BY event_id",  # noqa: S608 - our own names
)
ENDINGS: Final = Query(
    "endings that were decided about on a day",
    f"""
    SELECT {_CLOSED} FROM closed
    WHERE dossier_key IN (SELECT sipHash64(dossier_ref) FROM decided WHERE {_ON}) LIMIT 1 BY event_id
    """,  # noqa: S608 - our own names
)
REOPENINGS: Final = Query(
    "reopenings that were decided about on a day",
    f"""
    SELECT DISTINCT event_id, dossier_ref FROM reopened
    WHERE dossier_ref IN (SELECT dossier_ref FROM decided WHERE {_ON} AND reason = 'reopened')
    """,  # noqa: S608 - our own names
)
UNITS: Final = Query(
    "first endings by unit and day",
    """
    SELECT receiving_unit, ended, heard, count() FROM (
        SELECT receiving_unit, min(ended_on) AS ended, min(heard_on) AS heard FROM closed
        WHERE ended_on >= toDate32({since:String}) GROUP BY dossier_key, receiving_unit
    ) GROUP BY receiving_unit, ended, heard
    """,
)
SEEDS: Final = Query(
    "seeds",
    """
    SELECT day, commitment, seed, _partition, _offset FROM seed
    WHERE day >= toDate32({first:String}) AND day <= toDate32({last:String}) ORDER BY day, _partition, _offset
    """,
)
FIRST_USES: Final = Query(
    "first uses of seeds",
    """
    SELECT seed_day, _partition, min(_offset) FROM decided
    WHERE seed_day >= toDate32({first:String}) AND seed_day <= toDate32({last:String}) GROUP BY seed_day, _partition
    """,
)
DECISIONS_OF: Final = Query(
    "decisions about a dossier",
    f"""
    SELECT {_DECIDED}, receiving_unit FROM (
        SELECT {_DECIDED}, _partition, _offset FROM decided
        WHERE dossier_ref = {{dossier_ref:String}} AND decided_on >= toDate32({{since:String}})
        ORDER BY _partition, _offset LIMIT 1 BY event_id
    ) AS d
    LEFT JOIN (
        SELECT any(receiving_unit) AS receiving_unit, concat('decided:', event_id) AS decided_id FROM closed
        WHERE dossier_key = sipHash64({{dossier_ref:String}}) GROUP BY event_id
    ) AS c ON c.decided_id = d.event_id
    ORDER BY _partition, _offset
    """,  # noqa: S608 - our own names
)
ENDINGS_OF: Final = Query(
    "endings of a dossier",
    f"SELECT {_CLOSED} FROM closed WHERE dossier_key = sipHash64({{dossier_ref:String}}) LIMIT 1 BY event_id",  # noqa: S608 - our own names
)
STEPS: Final = Query(
    "steps of the messages of a survey",
    """
    SELECT purpose, state, at, channel, provider, code, reason FROM delivery
    WHERE survey_id = {survey_id:String} ORDER BY purpose, seq, _offset LIMIT 1 BY event_id
    """,
)
CHANGES: Final = Query(
    "changes of providers",
    """
    SELECT channel, before, provider, reason, at FROM provider
    WHERE at >= parseDateTime64BestEffort({since:String}, 6, 'UTC') ORDER BY at, channel, version, _offset LIMIT 1 BY event_id
    """,
)
QUERIES: Final = (DAYS, DECIDED, ENDINGS, REOPENINGS, UNITS, SEEDS, FIRST_USES, DECISIONS_OF, ENDINGS_OF, STEPS, CHANGES)


@dataclass(frozen=True)
class SeedRow:
    """A record about a day's seed."""

    day: date
    commitment: str
    seed: str
    """Hex; empty in a commitment."""
    place: Place


@dataclass(frozen=True)
class Step:
    """A step of a message to a citizen. ``provider``, ``code``, ``reason``: empty where the fact says nothing."""

    purpose: str
    state: str
    at: datetime
    channel: str
    provider: str
    code: str
    reason: str


@dataclass(frozen=True)
class Change:
    """Another provider carries a channel from a moment on; ``reason`` as the ledger has it."""

    channel: str
    before: str
    provider: str
    reason: str
    at: datetime


class Draws:
    """Decisions and seeds out of ClickHouse. Every method raises Retryable or Permanent."""

    def __init__(self, client: Client, registry_id: str) -> None:
        """``client`` without a session: pages ask from many threads."""
        self._client = client
        self._registry_id = registry_id

    def _rows(self, query: Query, **binds: Any) -> list[tuple[Any, ...]]:
        with translated(f"asking ClickHouse for {query.name}"):
            return [tuple(row) for row in self._client.query(query.sql, parameters=binds).result_rows]

    def days(self, first: date, after: date) -> list[date]:
        """Days from ``first`` to before ``after`` on which anything was decided."""
        return [day for (day,) in self._rows(DAYS, first=first.isoformat(), after=after.isoformat())]

    def told(self, day: date) -> list[Told]:
        """Every decision of a day with the fact it is about."""
        bind = {"day": day.isoformat()}
        endings = {ending.event_id: ending for ending in map(self._ending, self._rows(ENDINGS, **bind))}
        reopenings = set(self._rows(REOPENINGS, **bind))
        told = []
        for decided in map(self._decision, self._rows(DECIDED, **bind)):
            cause = decided.event_id.removeprefix("decided:")
            ending = endings.get(cause)
            mine = ending if ending is not None and ending.dossier_ref == decided.dossier_ref else None
            told.append(Told(decided, mine, (cause, decided.dossier_ref) in reopenings))
        return told

    def endings(self, since: date) -> list[tuple[str, date, date, int]]:
        """(receiving unit, ended on, heard on, dossiers), each dossier once, of those that ended since."""
        return [(unit, ended, heard, int(n)) for unit, ended, heard, n in self._rows(UNITS, since=since.isoformat())]

    def seeds(self, days: Sequence[date]) -> list[SeedRow]:
        """Every record about the seeds of these days, in the order of the log."""
        wanted = set(days)
        rows = self._rows(SEEDS, first=min(days).isoformat(), last=max(days).isoformat()) if days else []
        return [SeedRow(day, said, seed, ("draw.seed.v1", int(p), int(o))) for day, said, seed, p, o in rows if day in wanted]

    def first_uses(self, days: Sequence[date]) -> list[tuple[date, Place]]:
        """(seed day, place) of the first decision in each partition that uses a seed of these days."""
        wanted = set(days)
        rows = self._rows(FIRST_USES, first=min(days).isoformat(), last=max(days).isoformat()) if days else []
        return [(day, ("survey.decided.v1", int(p), int(o))) for day, p, o in rows if day in wanted]

    def decisions_of(self, dossier_ref: str, since: date) -> list[tuple[SurveyDecided, str]]:
        """Decisions about a dossier, the oldest first, with its receiving unit. ``since``: a day before the first of them."""
        earliest = since - timedelta(days=1)
        rows = self._rows(DECISIONS_OF, dossier_ref=dossier_ref, since=earliest.isoformat())
        return [(self._decision(row[:-1]), str(row[-1])) for row in rows]

    def endings_of(self, dossier_ref: str) -> list[DossierClosed]:
        """Every ending of a dossier."""
        return [self._ending(row) for row in self._rows(ENDINGS_OF, dossier_ref=dossier_ref)]

    def steps(self, survey_id: str) -> list[Step]:
        """What became of the messages of a survey: invitation, then reminder, in order."""
        rows = self._rows(STEPS, survey_id=survey_id)
        return [Step(purpose, state, at.replace(tzinfo=UTC), *rest) for purpose, state, at, *rest in rows]

    def changes(self, since: datetime) -> list[Change]:
        """Every change of a channel's provider from ``since`` (aware) on, the oldest first."""
        rows = self._rows(CHANGES, since=since.astimezone(UTC).isoformat())
        return [Change(channel, before, provider, reason, at.replace(tzinfo=UTC)) for channel, before, provider, reason, at in rows]

    def _decision(self, row: Sequence[Any]) -> SurveyDecided:
        names = _names(_DECIDED)
        said = dict(zip(names, row, strict=True))
        said |= {"inputs": _read(said["inputs"]), "arms": _read(said["arms"]), "reason": said["reason"] or None}
        return SurveyDecided(registry_id=self._registry_id, **said)

    def _ending(self, row: Sequence[Any]) -> DossierClosed:
        said = dict(zip(_names(_CLOSED), row, strict=True))
        said["procedure_code_national"] = said["procedure_code_national"] or None
        return DossierClosed(registry_id=self._registry_id, **said)


def _names(columns: str) -> Iterable[str]:
    return columns.split(", ")


def _read(text: str) -> Any:
    return msgspec.json.decode(text) if text else {}
