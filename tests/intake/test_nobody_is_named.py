"""What a source writes into a code or its own name must not carry a person into the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from hailong.events import decode
from hailong.ports import Invalid
from tests.intake.room import NOW, item, open_room

PERSONAL = ["0912 345 678", "0912.345.678", "09-12/34:56 78", "Nguyễn Văn An", "An 12-3-1980", "an@dan.example"]
CODES = ["H28.12", "000.00.53.H48", "Group 2", "No group", "xa-07", "X01"]


@pytest.mark.parametrize("field", ["field_code", "handling_unit_code", "receiving_unit_code", "procedure_code"])
@pytest.mark.parametrize("value", PERSONAL)
def test_what_looks_like_a_person_is_no_code(tmp_path: Path, field: str, value: str) -> None:
    desk, _, _ = open_room(tmp_path)
    (result,) = desk.take([item() | {field: value}], "one-stop", NOW)
    assert (result.status, result.reason, result.field) == (422, "not_a_code", field)


@pytest.mark.parametrize("value", CODES)
def test_codes_of_the_field_are_codes(tmp_path: Path, value: str) -> None:
    desk, _, _ = open_room(tmp_path)
    (result,) = desk.take([item() | {"handling_unit_code": value}], "one-stop", NOW)
    assert result.status == 202


@pytest.mark.parametrize("source", ["Nguyen 0912345678", "An", "", "a" * 33])
def test_a_source_is_named_by_a_code(tmp_path: Path, source: str) -> None:
    desk, _, _ = open_room(tmp_path)
    with pytest.raises(Invalid):
        desk.take([item()], source, NOW)


def test_a_record_nested_without_end_is_undecodable_and_no_more() -> None:
    with pytest.raises(ValueError, match=r"survey.answered.v1"):
        decode("survey.answered.v1", b"[" * 100_000)
