"""What people enter from elsewhere, as lists: the portal's monthly totals, reference figures, the catalogue of procedures.

A list is checked as a whole (the line of a fault is named) and then written as facts: a statement replaces the one about the same thing by
its ``seq``, and the same list twice changes nothing. What a list leaves out stays as it was.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, get_args

import msgspec

from hailong.domain.masking import masked
from hailong.events import NATION, STATES, EarlierStated, ProcedureChanged, ReferenceStated, ServiceLevel, Statement, TotalsStated
from hailong.ports import Invalid, Ledger, PendingRecord, Publisher
from producers.lists import Places, Row, lines, month_of
from producers.registry import ALWAYS

PER_TRANSACTION: Final = 2_000
"""Statements committed together: a whole list of a province's year, and others wait for it less than a second."""
TOTALS: Final = ("unit", "month", "received", "ended", "overdue", "petitions", "dislikes", "source")
REFERENCES: Final = ("series", "unit", "period", "value", "scale", "source")
PROCEDURES: Final = ("code", "name", "field", "level", "sensitive", "valid_from", "valid_to", "source")
_PERIOD: Final = re.compile(r"(\d{4})(?:-Q([1-4]))?")
_POINTS: Final = re.compile(r"points/([1-9]\d{0,3})")
_NATIONAL: Final = re.compile(r"\d+\.\d{6}")
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9 ._:/()-]{0,63}")
_LEVELS: Final[dict[str, ServiceLevel]] = {level: level for level in get_args(ServiceLevel)}
_YES_NO: Final = {"yes": True, "no": False}
_LONGEST_NAME: Final = 300
_FINDS_A_PERSON: Final = frozenset({"phone", "identity", "number", "email", "dossier"})
S = TypeVar("S", TotalsStated, ReferenceStated, ProcedureChanged, EarlierStated)


@dataclass(frozen=True)
class Listed(Generic[S]):
    """A list that was understood. ``hidden``: kind → how much of it was masked in its sources."""

    rows: list[S]
    hidden: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Changed:
    """What writing a list would do to one statement: ``fields`` → (as it is, as it would be); all of a new one."""

    about: Mapping[str, Any]
    new: bool
    fields: Mapping[str, tuple[Any, Any]]


# --- the lists ------------------------------------------------------------------------------------------------------------------


def read_totals(path: Path, places: Places, today: date) -> Listed[TotalsStated]:
    """The portal's totals, one row a unit and month that is over on ``today``. Raises Invalid naming the line."""

    def made(row: Row) -> TotalsStated:
        month, first, last = row.month("month", today)
        counts: dict[str, Any] = {name: row.whole(name) for name in ("received", "ended", "overdue", "petitions", "dislikes")}
        if counts["overdue"] > counts["ended"]:
            row.refuse("contradiction", "overdue", "is more than ended: of the dossiers that ended, so many were late")
        unit = row.unit(places, first, last)
        return TotalsStated(**_UNNUMBERED, unit=unit, month=month, **counts, source=row.source())

    return _read(path, TOTALS, (), made)


def read_references(path: Path, places: Places, today: date) -> Listed[ReferenceStated]:
    """Figures of other measurements, one row a series, unit and period that has begun by ``today``. Raises Invalid naming the line."""

    def made(row: Row) -> ReferenceStated:
        period, first, last = _period(row, today)
        nation = row.text("unit") == NATION
        return ReferenceStated(
            **_UNNUMBERED,
            series=row.code("series"),
            unit=NATION if nation else row.unit(places, first, last),
            period=period,
            value=_value(row),
            scale=row.text("scale"),
            n=row.whole("n") if row.text("n") else None,
            source=row.source(),
        )

    return _read(path, REFERENCES, ("n",), made)


def read_procedures(path: Path) -> Listed[ProcedureChanged]:
    """The catalogue, one row a procedure and span of days. Raises Invalid naming the line."""

    def made(row: Row) -> ProcedureChanged:
        code, named = row.required("code"), row.required("field")
        if not _NATIONAL.fullmatch(code):
            row.refuse("not_a_code", "code", "is not a national code: the first two parts of a procedure's, such as 1.001612")
        if not _FIELD.fullmatch(named):
            row.refuse("not_a_code", "field", "is not a code of a field as dossiers carry it, such as land")
        first, last = row.day("valid_from") or ALWAYS, row.day("valid_to")
        if last is not None and last <= first:
            row.refuse("ends_before_start", "valid_to", "is not after valid_from")
        return ProcedureChanged(
            **_UNNUMBERED, code=code, name=_name(row), field=named, level=row.choice("level", _LEVELS, "other"),
            sensitive=row.choice("sensitive", _YES_NO), valid_from=first, valid_to=last, source=row.source(),
        )  # fmt: skip

    listed = _read(path, PROCEDURES, (), made)
    _overlaps(listed.rows)
    return listed


_UNNUMBERED: Final[dict[str, Any]] = {"event_id": "", "registry_id": "", "seq": 0}
"""Of a statement before the ledger has numbered it."""


def _read(path: Path, columns: Sequence[str], more: Sequence[str], made: Callable[[Row], S]) -> Listed[S]:
    hidden: Counter[str] = Counter()
    rows: dict[tuple[Any, ...], S] = {}
    for where, cells in lines(path, columns, more):
        statement = made(Row(where, cells, hidden))
        if rows.setdefault(_about(statement), statement) is not statement:
            raise Invalid(
                "twice", None, f"{where}: the list has another row with the same {', '.join(STATES[type(statement)])}. Leave one."
            )
    if not rows:
        raise Invalid("missing", None, f"{path.name}: no rows in it. The first line names the columns: {','.join(columns)}")
    return Listed(list(rows.values()), dict(hidden))


def _about(row: Statement) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in STATES[type(row)])


def _period(row: Row, today: date) -> tuple[str, date, date]:
    """As written, its first and last day."""
    text = row.required("period")
    days = month_of(text)
    if days is None and (match := _PERIOD.fullmatch(text)) and 1990 <= int(match[1]) <= 2100:
        year, quarter = int(match[1]), int(match[2] or 0)
        first, months = date(year, 3 * quarter - 2 if quarter else 1, 1), 3 if quarter else 12
        after = date(year + 1, 1, 1) if first.month + months > 12 else date(year, first.month + months, 1)
        days = first, after - timedelta(days=1)
    if days is None:
        row.refuse("not_a_period", "period", "is not a period like 2024, 2024-Q3 or 2024-07")
    if days[0] > today:
        row.refuse("not_begun", "period", "has not begun")
    return text, *days


def _value(row: Row) -> float:
    scale, value = row.required("scale"), row.number("value")
    match = _POINTS.fullmatch(scale)
    if scale != "percent" and match is None:
        row.refuse("unknown_code", "scale", "must be percent, or points/N such as points/18")
    most = int(match[1]) if match else 100
    if not 0 <= value <= most:
        row.refuse("out_of_range", "value", f"is not between 0 and {most}, which its scale says")
    return value


def _name(row: Row) -> str:
    """Of a procedure: as the catalogue writes it, for "Anh hùng" is no person there; but no number or address stands in a name."""
    name = row.required("name")
    if len(name) > _LONGEST_NAME:
        row.refuse("too_long", "name", f"has more than {_LONGEST_NAME} letters")
    if _FINDS_A_PERSON & masked(name).found.keys():
        row.refuse("names_a_person", "name", "holds a number or an address: this column is for the procedure's name")
    return name


def _overlaps(rows: Iterable[ProcedureChanged]) -> None:
    before: ProcedureChanged | None = None
    for row in sorted(rows, key=lambda r: (r.code, r.valid_from)):
        if before is not None and before.code == row.code and (before.valid_to is None or row.valid_from < before.valid_to):
            raise Invalid("overlap", "valid_from", f"procedure {row.code}: two rows for {row.valid_from}. End the former there (valid_to).")
        before = row


# --- against what is there, and into it -----------------------------------------------------------------------------------------


def changes(rows: Sequence[S], stated: Iterable[S]) -> list[Changed]:
    """What writing ``rows`` would change of what was stated."""
    there = {_about(one): _fields(one) for one in stated}
    found = []
    for row in rows:
        old, fields = there.get(_about(row)), _fields(row)
        other = {name: (old[name] if old else None, value) for name, value in fields.items() if not old or old[name] != value}
        if other:
            found.append(Changed({name: fields[name] for name in STATES[type(row)]}, old is None, other))
    return found


def _fields(row: Statement) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(row).items() if name not in _UNNUMBERED}


class Recorder:
    """Writes statements: the ledger first, then the facts. ``ledger`` writes as ``cli``."""

    def __init__(self, ledger: Ledger, publisher: Publisher) -> None:
        self._ledger = ledger
        self._publisher = publisher

    def put(self, rows: Sequence[Statement], now: datetime) -> int:
        """Write statements of one kind; the number of those that were new or another. Raises Retryable: the same list again goes on."""
        changed = 0
        for start in range(0, len(rows), PER_TRANSACTION):
            with self._ledger.begin() as tx:
                changed += len(tx.put_statements(rows[start : start + PER_TRANSACTION], now))
            self._publish(tx.written)
        return changed

    def _publish(self, rows: Sequence[PendingRecord]) -> None:
        if rows:
            self._publisher.publish([r.record for r in rows])
            self._ledger.published([r.id for r in rows])
