"""Lists of what others measured: taken whole or not at all, every change a fact, the same again none, and nobody comes in by them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hailong.events import ProcedureChanged, ReferenceStated, TotalsStated, UnitChanged
from hailong.ports import Invalid, Retryable
from producers.lists import Places
from producers.registry import read_units
from producers.stated import Listed, Recorder, changes, read_procedures, read_references, read_totals
from sinks.ledger import Ledger, migrate, open_ledger
from tests.contract.build import NOON, tools
from tests.intake.room import ROOT, KeptLog, item, open_room

TODAY = date(2026, 3, 2)
TOTALS = "unit,month,received,ended,overdue,petitions,dislikes,source\n"
REFERENCES = "series,unit,period,value,scale,n,source\n"
PROCEDURES = "code,name,field,level,sensitive,valid_from,valid_to,source\n"


def unit(code: str, name: str, first: date = date(2020, 1, 1), last: date | None = None, aliases: list[str] | None = None) -> UnitChanged:
    return UnitChanged(
        event_id=code, registry_id="test", code=code, name=name, level="commune", valid_from=first, valid_to=last, seq=1,
        aliases=aliases or [],
    )  # fmt: skip


PLACES = Places([
    unit("P", "Tỉnh"), unit("xa-1", "Xã Đoàn Kết", aliases=["H28.7"]), unit("xa-2", "Xã Đoàn Kết", last=date(2025, 7, 1)),
    unit("moi", "Xã Mới", date(2025, 7, 1)), unit("giua", "Giữa tháng", date(2025, 7, 5), date(2025, 7, 9)),
])  # fmt: skip


def written(folder: Path, text: str, name: str = "list.csv") -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder / name


def totals(path: Path) -> Listed[TotalsStated]:
    return read_totals(path, PLACES, TODAY)


def named(path: Path) -> Listed[ProcedureChanged]:
    return read_procedures(path)


def references(path: Path) -> Listed[ReferenceStated]:
    return read_references(path, PLACES, TODAY)


def test_a_csv_and_a_json_list_of_totals_say_the_same(tmp_path: Path) -> None:
    line = {"unit": "xa-1", "month": "2026-01", "received": 12, "ended": 10, "overdue": 10, "petitions": 0, "dislikes": 3, "source": "cổng"}
    (from_csv,) = totals(written(tmp_path, "\ufeff" + TOTALS + "xa-1,2026-01,12,10,10,0,3,cổng\n")).rows
    (from_json,) = totals(written(tmp_path, json.dumps([line]), "list.json")).rows
    assert from_csv == from_json
    assert (from_csv.received, from_csv.ended, from_csv.overdue, from_csv.petitions, from_csv.dislikes) == (12, 10, 10, 0, 3)


WRONG: dict[str, tuple[Callable[[Path], Any], str, str, str]] = {
    "unit": (totals, TOTALS + "xa-9,2026-01,1,1,0,0,0,s\n", "unknown_unit", "line 2: unit: no unit is registered"),
    "not yet a unit": (totals, TOTALS + "moi,2025-06,1,1,0,0,0,s\n", "unknown_unit", "line 2: unit: no unit"),
    "no more a unit": (totals, TOTALS + "xa-2,2025-07,1,1,0,0,0,s\n", "unknown_unit", "line 2: unit: no unit"),
    "homonyms": (totals, TOTALS + "Xã Đoàn Kết,2025-06,1,1,0,0,0,s\n", "ambiguous_unit", "line 2: unit: more than one unit"),
    "month": (totals, TOTALS + "xa-1,1/2026,1,1,0,0,0,s\n", "not_a_month", "line 2: month is not a month like 2026-02"),
    "month 13": (totals, TOTALS + "xa-1,2026-13,1,1,0,0,0,s\n", "not_a_month", "line 2: month"),
    "this month": (totals, TOTALS + "xa-1,2026-03,1,1,0,0,0,s\n", "not_over", "line 2: month is not over yet"),
    "below zero": (totals, TOTALS + "xa-1,2026-01,1,1,0,-1,0,s\n", "not_a_number", "line 2: petitions is not a whole number"),
    "half": (totals, TOTALS + "xa-1,2026-01,1.5,1,0,0,0,s\n", "not_a_number", "line 2: received"),
    "no number": (totals, TOTALS + "xa-1,2026-01,,1,0,0,0,s\n", "missing", "line 2: received is empty"),
    "too many": (totals, TOTALS + "xa-1,2026-01,9000000000,1,0,0,0,s\n", "not_a_number", "line 2: received"),
    "more late than ended": (totals, TOTALS + "xa-1,2026-01,9,5,6,0,0,s\n", "contradiction", "line 2: overdue is more than ended"),
    "no source": (totals, TOTALS + "xa-1,2026-01,9,5,5,0,0, \n", "missing", "line 2: source is empty"),
    "long source": (totals, TOTALS + f"xa-1,2026-01,9,5,5,0,0,{'a' * 501}\n", "too_long", "line 2: source the text has 501 letters"),
    "another column": (totals, TOTALS[:-1] + ",phone\nxa-1,2026-01,9,5,5,0,0,s,1\n", "unknown_column", "line 1: no such column as phone"),
    "no column": (totals, "unit,month\nxa-1,2026-01\n", "missing", "line 1: there is no column received"),
    "more cells": (totals, TOTALS + "xa-1,2026-01,9,5,5,0,0,a,b\n", "not_a_line", "line 2: it has more cells"),
    "twice": (totals, TOTALS + 2 * "xa-1,2026-01,9,5,5,0,0,s\n", "twice", "line 3: the list has another row with the same unit, month"),
    "twice by alias": (totals, TOTALS + "xa-1,2026-01,9,5,5,0,0,s\nh28.7,2026-01,9,5,5,0,0,s\n", "twice", "line 3"),
    "nothing": (totals, TOTALS, "missing", "list.csv: no rows in it"),
    "series": (references, REFERENCES + "SIPAS Việt Nam,P,2024,84,percent,,s\n", "not_a_code", "line 2: series is not a short code"),
    "number for a series": (references, REFERENCES + "0912345678,P,2024,84,percent,,s\n", "not_a_code", "line 2: series"),
    "period": (references, REFERENCES + "sipas,P,2024-Q5,84,percent,,s\n", "not_a_period", "line 2: period is not a period like"),
    "coming year": (references, REFERENCES + "sipas,P,2027,84,percent,,s\n", "not_begun", "line 2: period has not begun"),
    "scale": (references, REFERENCES + "sipas,P,2024,84,stars,,s\n", "unknown_code", "line 2: scale must be percent, or points/N"),
    "over the scale": (references, REFERENCES + "q766,P,2024,18.1,points/18,,s\n", "out_of_range", "line 2: value is not between 0 and 18"),
    "over a hundred": (references, REFERENCES + "sipas,P,2024,100.5,percent,,s\n", "out_of_range", "line 2: value is not between 0 and"),
    "nan": (references, REFERENCES + "sipas,P,2024,nan,percent,,s\n", "not_a_number", "line 2: value is not a number"),
    "comma": (references, REFERENCES + 'sipas,P,2024,"83,94",percent,,s\n', "not_a_number", "line 2: value"),
    "n": (references, REFERENCES + "sipas,P,2024,84,percent,many,s\n", "not_a_number", "line 2: n is not a whole number"),
    "unit that was": (references, REFERENCES + "sipas,xa-2,2026,84,percent,,s\n", "unknown_unit", "line 2: unit: no unit"),
    "code": (named, PROCEDURES + "1.001612.000.00.00.H28,Tên,land,,no,,,s\n", "not_a_code", "line 2: code is not a national code"),
    "level": (named, PROCEDURES + "1.001612,Tên,land,4,no,,,s\n", "unknown_code", "line 2: level must be one of full,"),
    "sensitive": (named, PROCEDURES + "1.001612,Tên,land,,maybe,,,s\n", "unknown_code", "line 2: sensitive must be one of yes, no"),
    "not said": (named, PROCEDURES + "1.001612,Tên,land,,,,,s\n", "missing", "line 2: sensitive is empty"),
    "field": (named, PROCEDURES + "1.001612,Tên,đất đai,,no,,,s\n", "not_a_code", "line 2: field is not a code of a field"),
    "a person": (named, PROCEDURES + "1.001612,Bà Lan 0912345678,land,,no,,,s\n", "names_a_person", "line 2: name holds a number"),
    "day": (named, PROCEDURES + "1.001612,Tên,land,,no,1/7/2025,,s\n", "not_a_day", "line 2: valid_from is not a day"),
    "ends first": (named, PROCEDURES + "1.001612,Tên,land,,no,2025-07-01,2025-07-01,s\n", "ends_before_start", "line 2: valid_to"),
    "overlap": (
        named, PROCEDURES + "1.001612,Tên,land,,no,,2026-01-02,s\n1.001612,Tên,civil,,no,2026-01-01,,s\n",
        "overlap", "procedure 1.001612: two rows for 2026-01-01",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_fault_is_named_with_its_line_and_quotes_no_cell(tmp_path: Path, case: str) -> None:
    read, text, reason, sentence = WRONG[case]
    with pytest.raises(Invalid) as fault:
        read(written(tmp_path, text))
    assert fault.value.reason == reason
    assert fault.value.detail.startswith(sentence)
    for secret in ("0912345678", "Lan", "SIPAS Việt Nam", "Đoàn Kết"):
        assert secret not in f"{fault.value} {fault.value.detail}"


def test_a_column_that_may_be_a_name_is_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as fault:
        totals(written(tmp_path, TOTALS[:-1] + ",0912345678\n"))
    assert "0912345678" not in f"{fault.value} {fault.value.detail}"
    with pytest.raises(Invalid, match="unknown_column"):
        totals(written(tmp_path, '[{"unit": "xa-1", "phone": "0912345678"}]', "list.json"))


def test_a_unit_is_known_by_code_name_or_alias_in_the_month(tmp_path: Path) -> None:
    said = ["xa-1", "h28.7", "XÃ ĐOÀN KẾT"]
    rows = [f"{u},2025-{m:02d},1,1,0,0,0,s\n" for m, u in enumerate(said, start=7)] + ["Giữa tháng,2025-07,1,1,0,0,0,s\n"]
    assert [r.unit for r in totals(written(tmp_path, TOTALS + "".join(rows))).rows] == ["xa-1", "xa-1", "xa-1", "giua"]


def test_periods_scales_and_the_nation(tmp_path: Path) -> None:
    text = "sipas,national,2026,83.94,percent,36525,s\nq766,P,2025-Q4,15.7,points/18,,s\n"
    text += "q766,moi,2025-07,0,points/18,,s\npapi,P,2025-Q3,43.5,points/80,,s\n"
    rows = references(written(tmp_path, REFERENCES + text)).rows
    assert [(r.unit, r.period, r.value, r.scale, r.n) for r in rows] == [
        ("national", "2026", 83.94, "percent", 36525), ("P", "2025-Q4", 15.7, "points/18", None), ("moi", "2025-07", 0, "points/18", None),
        ("P", "2025-Q3", 43.5, "points/80", None),
    ]  # fmt: skip


def test_n_may_have_no_column(tmp_path: Path) -> None:
    (row,) = references(written(tmp_path, "series,unit,period,value,scale,source\nsipas,P,2024,84,percent,s\n")).rows
    assert row.n is None


def test_sources_are_masked_and_it_is_told(tmp_path: Path) -> None:
    listed = totals(written(tmp_path, TOTALS + "xa-1,2026-01,1,1,0,0,0,anh Tuấn 0912 345 678 gửi\n"))
    assert listed.rows[0].source == "anh [tên] [số điện thoại] gửi"
    assert listed.hidden == {"name": 1, "phone": 1}


def test_a_hero_in_a_procedures_name_is_left_alone(tmp_path: Path) -> None:
    name = "Tặng danh hiệu Anh hùng Lao động"
    (row,) = read_procedures(written(tmp_path, PROCEDURES + f"1.000001,{name},social,full,no,2025-07-01,,s\n")).rows
    assert (row.name, row.level, row.sensitive, row.valid_from, row.valid_to) == (name, "full", False, date(2025, 7, 1), None)


def test_the_shipped_lists_can_be_read_and_nothing_in_them_is_masked() -> None:
    rows = read_units(ROOT / "examples/units/hoa-binh.csv")
    places = Places(UnitChanged(event_id="", registry_id="", seq=0, **{n: getattr(r, n) for n in r.__struct_fields__}) for r in rows)
    sipas = read_references(ROOT / "examples/references/sipas.csv", places, TODAY)
    assert not sipas.hidden
    assert {(r.period, r.value) for r in sipas.rows if r.series == "sipas-from-2022"} == {("2022", 80.08), ("2023", 82.66), ("2024", 83.94)}
    assert [(r.unit, r.value, r.scale) for r in sipas.rows if r.series == "qd766-satisfaction"] == [("hoa-binh", 18, "points/18")]
    procedures = read_procedures(ROOT / "examples/procedures/hoa-binh.csv")
    assert not procedures.hidden
    assert {p.code for p in procedures.rows if p.sensitive} == {"2.000488", "2.001417", "1.000656", "2.001263"}
    assert not read_totals(ROOT / "examples/totals/invented.csv", places, TODAY).hidden


# --- written


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    address = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(address)
    opened = open_ledger(address, tools(), "cli")
    yield opened
    opened.close()


def test_a_later_statement_replaces_the_former_and_the_same_list_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    log = KeptLog()
    recorder = Recorder(ledger, log)

    def put(overdue: int) -> int:
        text = f"{TOTALS}xa-1,2026-01,9,9,{overdue},0,0,s\nP,2026-01,99,99,1,0,0,s\n"
        return recorder.put(totals(written(tmp_path, text)).rows, NOON)

    assert [put(overdue) for overdue in (3, 3, 4, 3)] == [2, 0, 1, 1]
    facts = [f for f in log.facts if isinstance(f, TotalsStated)]
    assert [(f.unit, f.overdue, f.seq) for f in facts] == [("xa-1", 3, 1), ("P", 1, 2), ("xa-1", 4, 3), ("xa-1", 3, 4)]
    assert len({f.event_id for f in facts}) == 4
    assert {r.key for r in log.records} == {b"test"}
    assert ledger.pending() == []


def test_what_the_log_did_not_take_waits_in_the_outbox(ledger: Ledger, tmp_path: Path) -> None:
    log = KeptLog()
    log.away = True
    rows = totals(written(tmp_path, TOTALS + "xa-1,2026-01,9,9,3,0,0,s\n")).rows
    with pytest.raises(Retryable):
        Recorder(ledger, log).put(rows, NOON)
    assert [p.record.topic for p in ledger.pending()] == ["totals.stated.v1"]


def test_what_a_list_would_change_is_told_and_not_done(ledger: Ledger, tmp_path: Path) -> None:
    log = KeptLog()
    Recorder(ledger, log).put(read_procedures(written(tmp_path, PROCEDURES + "1.001612,Tên,land,,no,,,s\n")).rows, NOON)
    rows = read_procedures(written(tmp_path, PROCEDURES + "1.001612,Tên,land,,yes,,,s\n1.000001,Tên,civil,,no,,,s\n")).rows
    with ledger.read() as reader:
        found = changes(rows, reader.statements(ProcedureChanged))
    assert [(c.about["code"], c.new) for c in found] == [("1.001612", False), ("1.000001", True)]
    assert found[0].fields == {"sensitive": (False, True)}
    assert "seq" not in found[1].fields
    assert len(log.facts) == 1


# --- at the intake


def test_an_ending_without_a_field_gets_the_catalogues_and_the_answer_says_so(tmp_path: Path) -> None:
    desk, ledger, log = open_room(tmp_path)
    text = PROCEDURES + "1.001612,Tên,trade,,no,,2025-01-20,s\n1.001612,Tên,business,,no,2025-01-20,,s\n"
    items = [item(1), item(2, field_code="other"), item(3, field_code="land"), item(4, procedure_code=None)]
    before = desk.take(items[:1], "one-stop", NOON)
    Recorder(ledger, KeptLog()).put(read_procedures(written(tmp_path, text)).rows, NOON)
    old = item(5, finished_at="2025-01-19T09:14:00+07:00")
    after = desk.take([*items, old], "one-stop", NOON)
    assert [getattr(f, "field", None) for f in log.facts] == ["other", "business", "land", "other", "trade"]
    noted = [r.as_json().get("notes", []) for r in (*before, *after)]
    assert noted == [[], [], ["field_code: from_the_catalogue"], [], [], ["field_code: from_the_catalogue"]]
    again = desk.take([*items, old], "one-stop", NOON)
    assert [(r.status, r.duplicate, r.filled) for r in again] == [(202, True, ())] * 5, "a catalogue makes no act another one"
    assert len(log.facts) == 5
    ledger.close()
