"""Earlier surveys by a mapping: counted, kept apart, mended by importing again; bad lines are told by line and cause, the rest is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hailong.events import EarlierStated, UnitChanged
from producers.earlier import REASONS, Earlier, load_series, read_answers, statements
from producers.lists import Places
from producers.mapping import MappingError
from producers.registry import read_units
from producers.stated import Recorder
from producers.upstream_file import UnreadableFile
from sinks.ledger import Ledger, migrate, open_ledger
from tests.contract.build import NOON, tools
from tests.intake.room import ROOT, KeptLog
from tests.intake.test_stated import PLACES, TODAY

SERIES = """
[series]
name = "slips"
source = "phiếu giấy"
scale = ["Kém", "Vừa", "Tốt"]
satisfied = ["Tốt"]
"""
MAPPING = (
    SERIES
    + """
[columns]
unit = "Unit"
month = "Month"
value = "Value"
"""
)
FULL = (
    SERIES
    + """
[columns]
unit = "Unit"
day = "Day"
value = "Value"
question = "Question"
n = "N"
[file]
format = "%d/%m/%Y"
[units]
"UBND một" = "xa-1"
[questions]
"Thái độ" = "attitude"
[values]
"T" = "Tốt"
"""
)


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder / name


def read(folder: Path, text: str, mapping: str = MAPPING) -> Earlier:
    return read_answers(written(folder, "a.csv", text), load_series(written(folder, "m.toml", mapping)), PLACES, TODAY)


def told(rows: list[EarlierStated]) -> list[tuple[str, str, str, str, int]]:
    return [(r.unit, r.month, r.question, r.value, r.n) for r in rows]


def test_lines_are_counted_by_unit_month_and_value(tmp_path: Path) -> None:
    found = read(tmp_path, "Unit,Month,Value,Phone\nxa-1,2024-05,Tốt,0912345678\nxa-1,2024-05,tốt,\nP,2024-05,Kém,\nxa-1,2024-06,Vừa,\n")
    rows = statements(found, [])
    assert told(rows) == [
        ("P", "2024-05", "overall", "Kém", 1), ("xa-1", "2024-05", "overall", "Tốt", 2), ("xa-1", "2024-06", "overall", "Vừa", 1),
    ]  # fmt: skip
    assert {(r.value, r.place, r.places, r.satisfied_from) for r in rows} == {("Kém", 1, 3, 3), ("Vừa", 2, 3, 3), ("Tốt", 3, 3, 3)}
    assert (found.lines, found.refused) == (4, [])
    assert "0912345678" not in str(rows), "a column that is not mapped is not read"


def test_what_the_file_calls_units_questions_values_and_days_is_translated(tmp_path: Path) -> None:
    text = "Day;Unit;Question;Value;N\n31/05/2024;UBND MỘT;thái độ;t;12\n01/05/2024;xa-1;attitude;Tốt;3\n01/06/2024;h28.7;speed;Vừa;0\n"
    rows = statements(read(tmp_path, text, FULL), [])
    assert told(rows) == [("xa-1", "2024-05", "attitude", "Tốt", 15)]


def test_json_lines_do_too(tmp_path: Path) -> None:
    found = read(tmp_path, '{"Unit": "xa-1", "Month": "2024-05", "Value": "Tốt"}\n{"Unit": "xa-1", "Month": "2024-05", "Value": ["Tốt"]}\n')
    assert told(statements(found, [])) == [("xa-1", "2024-05", "overall", "Tốt", 1)]
    assert [(r.number, r.reason) for r in found.refused] == [(2, "missing")]


HEADER = "Day;Unit;Question;Value;N\n"
REFUSED = {
    "01/05/2024;xa-9;attitude;Tốt;1": ("Unit", "unknown_unit"),
    "01/05/2024;Xã Đoàn Kết;attitude;Tốt;1": ("Unit", "ambiguous_unit"),
    "01/05/2024;;attitude;Tốt;1": ("Unit", "missing"),
    "2024-05-01;xa-1;attitude;Tốt;1": ("Day", "not_a_day"),
    "31/04/2024;xa-1;attitude;Tốt;1": ("Day", "not_a_day"),
    "01/03/2026;xa-1;attitude;Tốt;1": ("Day", "not_over"),
    "01/05/2024;xa-1;Chị Lan nói gì;Tốt;1": ("Question", "unknown_question"),
    "01/05/2024;xa-1;attitude;Rất tốt;1": ("Value", "unknown_value"),
    "01/05/2024;xa-1;attitude;5;1": ("Value", "unknown_value"),
    "01/05/2024;xa-1;attitude;Tốt;-1": ("N", "not_a_number"),
    "01/05/2024;xa-1;attitude;Tốt;1,5": ("N", "not_a_number"),
    "01/05/2024;xa-1;attitude;Tốt;": ("N", "missing"),
    "01/05/2024;xa-1": ("", "not_a_line"),
}


def test_a_line_that_cannot_be_used_is_told_and_the_rest_is_taken(tmp_path: Path) -> None:
    found = read(tmp_path, HEADER + "".join(f"{line}\n" for line in REFUSED) + "01/05/2024;xa-1;attitude;Tốt;7\n", FULL)
    assert [(r.column, r.reason) for r in found.refused] == list(REFUSED.values())
    assert [r.number for r in found.refused] == list(range(2, 2 + len(REFUSED)))
    assert {r.reason for r in found.refused} <= REASONS.keys()
    assert told(statements(found, [])) == [("xa-1", "2024-05", "attitude", "Tốt", 7)]


def test_a_month_is_refused_as_a_month(tmp_path: Path) -> None:
    found = read(tmp_path, "Unit,Month,Value\nxa-1,5/2024,Tốt\nxa-1,2024-13,Tốt\nxa-1,2026-03,Tốt\nmoi,2025-06,Tốt\n")
    assert [r.reason for r in found.refused] == ["not_a_month", "not_a_month", "not_over", "unknown_unit"]


def test_a_month_may_be_written_otherwise(tmp_path: Path) -> None:
    found = read(tmp_path, "Unit,Month,Value\nxa-1,05/2024,Tốt\n", MAPPING + '[file]\nformat = "%m/%Y"\n')
    assert told(statements(found, [])) == [("xa-1", "2024-05", "overall", "Tốt", 1)]


WRONG = {
    "name": ('name = "slips"', 'name = "Phiếu"', "series.name: not a short code"),
    "source": ('source = "phiếu giấy"', 'source = " "', "series.source: say"),
    "one value": ('scale = ["Kém", "Vừa", "Tốt"]', 'scale = ["Tốt"]', "series.scale: a scale has 2 to 11 values"),
    "twice": ('"Kém", "Vừa"', '"Vừa", "Vừa"', "series.scale: a scale has"),
    "a person": ('"Kém"', '"chị Lan 0912345678"', "series.scale: value 1 is none"),
    "bar": ('"Kém"', '"K|m"', "series.scale: value 1 is none"),
    "nobody satisfied": ('satisfied = ["Tốt"]', "satisfied = []", "series.satisfied: name some"),
    "all satisfied": ('satisfied = ["Tốt"]', 'satisfied = ["Kém", "Vừa", "Tốt"]', "series.satisfied: name some"),
    "upside down": (
        'satisfied = ["Tốt"]',
        'satisfied = ["Kém"]',
        "series.satisfied: name some, not all, of the scale's values: the highest",
    ),
    "not on it": ('satisfied = ["Tốt"]', 'satisfied = ["Giỏi"]', "series.satisfied"),
    "both": ('month = "Month"', 'month = "Month"\nday = "Day"', "columns: name the column of the month or that of the day"),
    "neither": ('month = "Month"', "", "columns: name the column of the month"),
    "no unit": ('unit = "Unit"', "", "Object missing required field `unit`"),
    "unknown key": ('unit = "Unit"', 'unit = "Unit"\nphone = "P"', "unknown field `phone`"),
    "format": ('value = "Value"', 'value = "Value"\n[file]\nformat = "%A"', "file.format"),
    "values": ('value = "Value"', 'value = "Value"\n[values]\n"5" = "Giỏi"', "values: 1 of its values are not on the scale"),
    "questions": ('value = "Value"', 'value = "Value"\n[questions]\n"5" = "Thái độ"', "questions: a question's code"),
    "not toml": ("[series]", "[series", "Write it as examples/answers/slips.toml does"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mapping_that_is_wrong_says_where_and_what_would_do(tmp_path: Path, case: str) -> None:
    old, new, sentence = WRONG[case]
    assert old in MAPPING
    with pytest.raises(MappingError) as fault:
        load_series(written(tmp_path, "m.toml", MAPPING.replace(old, new, 1)))
    assert "m.toml" in str(fault.value)
    assert sentence in str(fault.value)
    assert "0912345678" not in str(fault.value)


def test_a_file_without_a_mapped_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="has no column 'Month'; did you mean 'Months'"):
        read(tmp_path, "Unit,Months,Value\nxa-1,2024-05,Tốt\n")
    with pytest.raises(UnreadableFile, match="is empty"):
        read(tmp_path, "")


def test_the_source_is_masked(tmp_path: Path) -> None:
    series = load_series(written(tmp_path, "m.toml", MAPPING.replace("phiếu giấy", "anh Tuấn, 0912 345 678")))
    assert series.source == "anh [tên], [số điện thoại]"
    assert series.hidden == {"name": 1, "phone": 1}


# --- written


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    address = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(address)
    opened = open_ledger(address, tools(), "cli")
    yield opened
    opened.close()


def take(ledger: Ledger, log: KeptLog, folder: Path, text: str, mapping: str = MAPPING) -> int:
    found = read(folder, "Unit,Month,Value\n" + text, mapping)
    with ledger.read() as reader:
        rows = statements(found, reader.statements(EarlierStated))
    return Recorder(ledger, log).put(rows, NOON)


def standing(ledger: Ledger) -> dict[tuple[str, str, str], int]:
    with ledger.read() as reader:
        return {(r.series, r.month, r.value): r.n for r in reader.statements(EarlierStated)}


def test_the_same_file_twice_changes_nothing_and_a_mended_one_mends_the_series(ledger: Ledger, tmp_path: Path) -> None:
    log = KeptLog()
    may, june = "xa-1,2024-05,Tốt\nxa-1,2024-05,Kém\n", "xa-1,2024-06,Tốt\n"
    assert [take(ledger, log, tmp_path, may + june) for _ in range(2)] == [2 + 1, 0]
    mended = "xa-1,2024-05,Tốt\nxa-1,2024-05,Tốt\n"
    assert [take(ledger, log, tmp_path, mended) for _ in range(2)] == [2, 0]
    assert standing(ledger) == {("slips", "2024-05", "Tốt"): 2, ("slips", "2024-05", "Kém"): 0, ("slips", "2024-06", "Tốt"): 1}
    assert len(log.facts) == 5


SCALES = {
    "shorter": ('["Kém", "Tốt"]', '["Tốt"]'),
    "longer": ('["Kém", "Vừa", "Tốt", "Giỏi"]', '["Tốt", "Giỏi"]'),
    "other words": ('["Kém", "Vừa", "Giỏi"]', '["Giỏi"]'),
    "satisfied sooner": ('["Kém", "Vừa", "Tốt"]', '["Vừa", "Tốt"]'),
    "another order": ('["Vừa", "Tốt", "Kém"]', '["Kém"]'),
}


@pytest.mark.parametrize("case", SCALES)
def test_another_scale_is_another_series(ledger: Ledger, tmp_path: Path, case: str) -> None:
    log = KeptLog()
    scale, satisfied = SCALES[case]
    mapping = MAPPING.replace('["Kém", "Vừa", "Tốt"]', scale).replace('satisfied = ["Tốt"]', f"satisfied = {satisfied}")
    take(ledger, log, tmp_path, "xa-1,2024-05,Tốt\n")
    with pytest.raises(MappingError, match="two scales are two series"):
        take(ledger, log, tmp_path, "xa-1,2024-05,Kém\n", mapping)
    assert take(ledger, log, tmp_path, "xa-1,2024-05,Kém\n", mapping.replace('"slips"', '"e-slips"')) == 1
    assert {series for series, _, _ in standing(ledger)} == {"slips", "e-slips"}


def test_the_shipped_example_can_be_read() -> None:
    rows = read_units(ROOT / "examples/units/hoa-binh.csv")
    places = Places(UnitChanged(event_id="", registry_id="", seq=0, **{n: getattr(r, n) for n in r.__struct_fields__}) for r in rows)
    mapping = load_series(ROOT / "examples/answers/slips.toml")
    found = read_answers(ROOT / "examples/answers/slips.csv", mapping, places, TODAY)
    assert (found.lines, found.refused, mapping.hidden) == (5, [], {})
    assert {(r.question, r.value): r.n for r in statements(found, [])}[("overall", "Rất hài lòng")] == 60
