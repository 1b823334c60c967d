"""Which fact goes into which column of which table. The types stand here too, so that no insert has to ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Final

import msgspec
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name

Getter = Callable[[Sequence[Any]], list[Any]]

_ENCODE: Final = msgspec.json.Encoder(order="deterministic").encode
_ABOUT: Final = ("receiving_unit", "handling_unit", "field", "submission_channel", "ending", "timeliness", "month")
LABEL: Final = "LowCardinality(String)"
MOMENT: Final = "DateTime64(6, 'UTC')"


@dataclass(frozen=True)
class Column:
    """A column and how it is read off facts."""

    name: str
    type: str
    read: Getter


def _plain(name: str, type_: str) -> Column:
    get = attrgetter(name)
    return Column(name, type_, lambda facts: list(map(get, facts)))


def _or(name: str, type_: str, empty: object) -> Column:
    """Where the fact says None the table says ``empty``."""
    get = attrgetter(name)
    return Column(name, type_, lambda facts: [empty if (v := get(f)) is None else v for f in facts])


def _json(name: str) -> Column:
    get = attrgetter(name)
    return Column(name, "String", lambda facts: [_ENCODE(v).decode() if (v := get(f)) else "" for f in facts])


def _about(name: str) -> Column:
    get = attrgetter(name)
    return Column(name, LABEL, lambda facts: ["" if f.about is None else get(f.about) for f in facts])


def _columns(spec: str) -> tuple[Column, ...]:
    """``name type`` separated by ``;``. A ``?`` after the name: None becomes the empty value of the type."""
    made = []
    for part in filter(None, (p.strip() for p in spec.split(";"))):
        name, type_ = part.split(" ", 1)
        type_ = {"label": LABEL, "moment": MOMENT}.get(type_, type_)
        if type_ == "json":
            made.append(_json(name))
        elif name.endswith("?"):
            made.append(_or(name[:-1], type_, 0 if type_.startswith("UInt") else ""))
        else:
            made.append(_plain(name, type_))
    return tuple(made)


def _weight() -> Column:
    """Endings an answer stands for; 0 for records about none."""
    return Column("weight", "UInt16", lambda facts: [0 if f.about is None else f.about.weight for f in facts])


@dataclass(frozen=True)
class Table:
    """The table of one topic."""

    topic: str
    name: str
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> list[str]:
        return ["_topic", "_partition", "_offset", *(c.name for c in self.columns)]

    def column_types(self) -> list[ClickHouseType]:
        return [_type(t) for t in (LABEL, "UInt16", "UInt64", *(c.type for c in self.columns))]

    def block(self, partition: int, rows: Sequence[tuple[int, Any]]) -> list[list[Any]]:
        """Rows as columns. ``rows``: (offset, fact)."""
        facts = [fact for _, fact in rows]
        place: list[list[Any]] = [[self.topic] * len(rows), [partition] * len(rows), [offset for offset, _ in rows]]
        return place + [column.read(facts) for column in self.columns]


@cache
def _type(name: str) -> ClickHouseType:
    return get_from_name(name)


_CLOSED = _columns(
    "event_id String; dossier_ref String; source label; outcome label; status_code UInt8; procedure_code? label;"
    "procedure_code_national? label; field label; service_level label; receiving_unit label; handling_unit label; unit_level label;"
    "submission_channel label; result_channel label; received_on Date32; due_on Nullable(Date32);"
    "ended_on Date32; heard_on Date32; supplement_count UInt16; supplement_days Float64; timeliness label;"
    "fee_required Bool; paid_online Nullable(Bool); applicant_type label; submitted_by label"
)
_DELIVERY = _columns(
    "event_id String; survey_id String; purpose label; seq UInt16; state label; at moment; channel? label; provider? label; code? label;"
    "reason? label; segments UInt16; cost Int64"
)
_COUNTED = _columns(
    "event_id String; seq UInt64; kind label; counted_at moment; survey_id? String; revision UInt16; questionnaire? label;"
    "questionnaire_version? UInt16; mode? label; language? label; score Nullable(UInt8); answers json; reason? label; control json;"
    "place? label"
)
_ALERT = _columns(
    "event_id String; alert_id String; version UInt32; state label; kind label; unit label; at moment; by label; note? String;"
    "evidence_seq UInt64; n UInt32; satisfied UInt32; target Float64; low Float64; high Float64; since Date32; until Date32;"
    "sentence_vi String; sentence_en String; field? label; expected Nullable(Float64); estimate Nullable(Float64);"
    "years Nullable(Float64); table_month? label; doubt json"
)
TABLES: Final[dict[str, Table]] = {
    table.topic: table
    for table in (
        Table("dossier.closed.v1", "closed", _CLOSED),
        Table(
            "dossier.reopened.v1",
            "reopened",
            _columns("event_id String; dossier_ref String; source label; status_code UInt8; reopened_on Date32"),
        ),
        Table(
            "survey.decided.v1",
            "decided",
            _columns(
                "event_id String; dossier_ref String; asked Bool; reason? label; rules_version label; draw Float64;"
                "decided_on Date32; inputs json; seed_day Nullable(Date32); arms json; weight UInt16"
            ),
        ),
        Table("survey.delivery.v1", "delivery", _DELIVERY + tuple(map(_about, _ABOUT)) + (_weight(),)),
        Table("survey.counted.v1", "counted", _COUNTED + tuple(map(_about, _ABOUT)) + (_weight(),)),
        Table(
            "contact.preference.v1",
            "preference",
            _columns("event_id String; contact_hash String; pepper_version UInt16; choice label; at moment; door label"),
        ),
        Table("alert.changed.v1", "alert", _ALERT),
        Table(
            "case.changed.v1",
            "case",
            _columns(
                "event_id String; case_id String; version UInt32; state label; kind label; confidential Bool;"
                "unit label; on Date32; at moment"
            ),
        ),
        Table(
            "unit.changed.v1",
            "unit",
            _columns(
                "event_id String; code String; name String; level label; parent? String; valid_from Date32;"
                "valid_to Nullable(Date32); seq UInt64; kind String; gso? String; aliases json; predecessors json; source String"
            ),
        ),
        Table(
            "target.changed.v1",
            "target",
            _columns(
                "event_id String; value Float64; unit? String; valid_from Date32; valid_to Nullable(Date32); source String; seq UInt64;"
                "field? label; channel? label; question? label"
            ),
        ),
        Table("draw.seed.v1", "seed", _columns("event_id String; day Date32; commitment String; seed? String")),
        Table(
            "provider.changed.v1",
            "provider",
            _columns("event_id String; channel label; provider label; before label; version UInt32; reason String; by label; at moment"),
        ),
        Table(
            "totals.stated.v1",
            "total",
            _columns(
                "event_id String; unit String; month label; received UInt64; ended UInt64; overdue UInt64; petitions UInt64;"
                "dislikes UInt64; source String; seq UInt64"
            ),
        ),
        Table(
            "reference.stated.v1",
            "reference",
            _columns(
                "event_id String; series label; unit String; period label; value Float64; scale label; n Nullable(UInt64);"
                "source String; seq UInt64"
            ),
        ),
        Table(
            "procedure.changed.v1",
            "procedure",
            _columns(
                "event_id String; code String; name String; field label; level label; sensitive Bool; valid_from Date32;"
                "valid_to Nullable(Date32); source String; seq UInt64"
            ),
        ),
        Table(
            "earlier.stated.v1",
            "earlier",
            _columns(
                "event_id String; series label; unit String; month label; question label; value label; place UInt8; places UInt8;"
                "satisfied_from UInt8; n UInt64; source String; seq UInt64"
            ),
        ),
        Table(
            "quality.looked.v1",
            "looked",
            _columns(
                "event_id String; day Date32; at moment; version json; judged json; standing json; quiet json; quiet_from Date32;"
                "quiet_part Float64"
            ),
        ),
    )
}
"""Of every topic that is archived. ``survey.answered.v1`` is not: what counts stands in ``survey.counted.v1``."""
