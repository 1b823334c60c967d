"""The catalogue: which row holds on a day, whose field a dossier gets, what is sensitive."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from hailong.domain.asking import Asked, Known, NotAsked, checks, decide
from hailong.domain.procedures import Catalogue, with_field
from hailong.domain.rulebook import Rules
from hailong.events import ProcedureChanged
from tests.contract.build import closed

CODE = "1.001612"
OLD, NEW = date(2020, 1, 1), date(2026, 1, 1)


def row(first: date = OLD, last: date | None = None, seq: int = 1, **changes: Any) -> ProcedureChanged:
    fields: dict[str, Any] = {"code": CODE, "name": "Đăng ký hộ kinh doanh", "field": "business", "source": "danh mục"} | changes
    return ProcedureChanged(event_id=f"p{seq}", registry_id="test", valid_from=first, valid_to=last, seq=seq, **fields)


@pytest.mark.parametrize(
    ("day", "field"),
    [(date(2019, 12, 31), None), (OLD, "business"), (date(2025, 12, 31), "business"), (NEW, "trade"), (date(2026, 6, 1), None)],
)
def test_the_row_of_the_day_holds(day: date, field: str | None) -> None:
    catalogue = Catalogue([row(NEW, date(2026, 6, 1), 2, field="trade"), row(OLD, NEW, 1)])
    found = catalogue.on(CODE, day)
    assert (found.field if found else None) == field


def test_of_rows_that_overlap_the_later_one_holds_and_a_newer_one_replaces_its_own_day_only() -> None:
    catalogue = Catalogue([row(OLD, None, 1), row(NEW, None, 2, field="trade"), row(OLD, None, 3, field="tax")])
    catalogue.put(row(NEW, None, 1, field="older"))
    assert [r.field for r in catalogue.rows()] == ["tax", "trade"]
    assert [getattr(catalogue.on(CODE, day), "field", None) for day in (OLD, NEW)] == ["tax", "trade"]
    assert catalogue.on(None, NEW) is None
    assert catalogue.on("2.000001", NEW) is None


@pytest.mark.parametrize(
    ("said", "code", "got"),
    [("other", CODE, "business"), ("land", CODE, "land"), ("other", "2.000001", "other"), ("other", None, "other")],
)
def test_only_a_dossier_without_a_field_gets_the_catalogues(said: str, code: str | None, got: str) -> None:
    assert with_field(closed("d", field=said, procedure_code_national=code), Catalogue([row()])).field == got


def test_the_field_is_that_of_the_day_it_ended() -> None:
    catalogue = Catalogue([row(OLD, NEW), row(NEW, None, 2, field="trade")])
    ends = (date(2025, 12, 31), NEW)
    found = [with_field(closed("d", field="other", procedure_code_national=CODE, ended_on=day), catalogue).field for day in ends]
    assert found == ["business", "trade"]


def test_sensitive_on_one_of_the_days_is_enough() -> None:
    catalogue = Catalogue([row(OLD, NEW, sensitive=True), row(NEW, None, 2)])
    days = [(OLD,), (NEW,), (OLD, NEW), (NEW, OLD), ()]
    assert [catalogue.sensitive(CODE, *ds) for ds in days] == [True, False, True, True, False]
    assert not catalogue.sensitive(None, OLD)


NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
KNOWN = Known(reach=("sms",), unit_endings=10)
BOOK = Rules(procedures=frozenset({"2.000488"}))


@pytest.mark.parametrize(
    ("code", "sensitive", "reason"),
    [
        (CODE, False, None),
        (CODE, True, "sensitive_procedure"),
        ("2.000488", False, "sensitive_procedure"),  # the catalogue takes nothing out of the rulebook
        ("2.000488", True, "sensitive_procedure"),
        (None, False, None),
    ],
)
def test_the_catalogue_adds_to_the_rulebook_with_its_reason_and_the_inputs_tell(
    code: str | None, sensitive: bool, reason: str | None
) -> None:
    fact = closed("d", procedure_code_national=code)
    known = Known(reach=("sms",), unit_endings=10, sensitive=sensitive)
    found = decide(fact, known, NOW, BOOK, lambda _: 0.5)
    assert found == NotAsked(reason) if reason else isinstance(found, Asked)
    again = Known.of(known.inputs())
    assert again == known
    assert checks(fact, again, NOW, BOOK, lambda _: 0.5) == checks(fact, known, NOW, BOOK, lambda _: 0.5)


def test_inputs_written_before_there_was_a_catalogue_are_read() -> None:
    assert "sensitive" not in KNOWN.inputs()
    assert not Known.of(KNOWN.inputs()).sensitive
