"""Units and targets coming in: a list is taken whole or not at all, every change is a fact, the same again is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hailong.events import Predecessor, TargetChanged, UnitChanged
from hailong.ports import Invalid, Retryable
from producers.registry import ALWAYS, Registrar, TargetRow, differences, read_targets, read_units
from sinks.ledger import Ledger, migrate, open_ledger
from tests.contract.build import NOON, tools
from tests.intake.room import ROOT, KeptLog

HEADER = "code,name,level,parent,valid_from,valid_to\n"
PROVINCE = "P,Tỉnh,province,,,\n"


def read(folder: Path, text: str, name: str = "units.csv") -> list[tuple[str, str, str | None]]:
    path = folder / name
    path.write_text(text, "utf-8")
    return [(r.code, r.name, r.parent) for r in read_units(path)]


def test_a_csv_and_a_json_list_say_the_same(tmp_path: Path) -> None:
    rows = [("P", "Tỉnh", None), ("C", "Xã", "P")]
    assert read(tmp_path, "\ufeff" + HEADER + PROVINCE + " C , Xã ,commune,P,2025-07-01,\n") == rows
    table = [{"code": "P", "name": "Tỉnh", "level": "province"}, {"code": "C", "name": "Xã", "level": "commune", "parent": "P"}]
    assert read(tmp_path, json.dumps(table), "units.json") == rows
    (first, _) = read_units(tmp_path / "units.csv")
    assert (first.valid_from, first.valid_to) == (ALWAYS, None)


def test_the_shipped_lists_can_be_read() -> None:
    for path in sorted((ROOT / "examples").glob("*/*.csv")):
        if path.read_text("utf-8").startswith("code,name,level,"):
            assert read_units(path)


WRONG = {
    "no column": ("code,name\nP,Tỉnh\n", "level", "missing", "line 1: there is no column level"),
    "empty name": (HEADER + PROVINCE + "C,,commune,P,,\n", "name", "missing", "line 3: name is empty"),
    "short line": (HEADER + PROVINCE + "C\n", "name", "missing", "line 3: name is empty"),
    "after a name over two lines": (HEADER + 'P,"Tỉnh\nHB",province,,,\n' + "C,X,hamlet,P,,\n", "level", "unknown_code", "line 4: level"),
    "level": (HEADER + "P,Tỉnh,kingdom,,,\n", "level", "unknown_code", "line 2: level must be one of centre, commune, department"),
    "day": (HEADER + "P,Tỉnh,province,,1/7/2025,\n", "valid_from", "not_a_day", "line 2: valid_from is not a day like 2025-07-01"),
    "last day": (HEADER + "P,Tỉnh,province,,,2025-02-30\n", "valid_to", "not_a_day", "line 2: valid_to"),
    "ends first": (HEADER + "P,Tỉnh,province,,2025-07-01,2025-07-01\n", "valid_to", "ends_before_start", "line 2: unit P: valid_to"),
    "parent": (HEADER + PROVINCE + "C,Xã,commune,D,,\n", "parent", "unknown_code", "line 3: unit C: its parent D is not in the list"),
    "own parent": (HEADER + "P,Tỉnh,province,P,,\n", "parent", "circle", "line 2: unit P"),
    "circle": (HEADER + PROVINCE + "A,A,district,B,,\nB,B,district,C,,\nC,C,commune,A,,\n", "parent", "circle", "line 3: unit A"),
    "below a circle": (HEADER + "A,A,district,B,,\nB,B,district,A,,\n", "parent", "circle", "line 2: unit A"),
    "circle on some days": (
        HEADER + "A,A,district,B,2025-01-01,2025-07-01\nA,A,district,,2025-07-01,\nB,B,district,A,2025-03-01,\n",
        "parent", "circle", "line 4: unit B",
    ),
    "overlap": (
        HEADER + "P,Tỉnh,province,,2020-01-01,2025-07-02\nP,Tỉnh mới,province,,2025-07-01,\n",
        "valid_from", "overlap", "line 3: unit P: two rows for 2025-07-01",
    ),
    "overlap without an end": (
        HEADER + "P,mới,province,,2025-07-01,\nP,cũ,province,,,\n",
        "valid_from", "overlap", "line 2: unit P: two rows for 2025-07-01",
    ),
    "twice": (HEADER + PROVINCE + PROVINCE, "valid_from", "overlap", "line 3: unit P"),
    "nothing": (HEADER, None, "missing", "units.csv: no units in it"),
    "empty": ("", None, "missing", "units.csv: no units in it"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "column", "reason", "sentence"), WRONG.values(), ids=WRONG)
def test_a_fault_is_named_with_its_line_and_column(tmp_path: Path, text: str, column: str | None, reason: str, sentence: str) -> None:
    with pytest.raises(Invalid) as fault:
        read(tmp_path, text)
    assert (fault.value.field, fault.value.reason) == (column, reason)
    assert fault.value.detail.startswith(sentence)


@pytest.mark.parametrize("text", ["{", '{"code": "P"}', '["P"]', "5", '[{"code": "P"}, null]'])
def test_a_json_list_that_is_none_says_what_to_write(tmp_path: Path, text: str) -> None:
    with pytest.raises(Invalid, match="not_json") as fault:
        read(tmp_path, text, "units.json")
    assert fault.value.detail.endswith("Write an array of objects.")


def test_a_fault_in_json_is_named_by_its_entry(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as fault:
        read(tmp_path, '[{"code": "P", "name": "Tỉnh", "level": "province"}, {"code": "C", "name": "Xã"}]', "units.json")
    assert fault.value.detail == "entry 2: level is empty"


def test_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "units.csv").write_bytes(HEADER.encode() + "P,Tỉnh,province,,,\n".encode("utf-16"))
    with pytest.raises(Invalid, match="not_utf8") as fault:
        read_units(tmp_path / "units.csv")
    assert "Save the list as UTF-8." in fault.value.detail


def test_the_districts_end_and_the_communes_go_under_the_province(tmp_path: Path) -> None:
    text = HEADER + PROVINCE + "D,Huyện,district,P,,2025-07-01\nC,Xã,commune,D,,2025-07-01\nC,Xã,commune,P,2025-07-01,\n"
    assert len(read(tmp_path, text)) == 4


def test_moving_under_each_other_at_different_times_is_no_circle(tmp_path: Path) -> None:
    text = HEADER + "A,A,district,B,,2025-01-01\nA,A,district,,2025-01-01,\nB,B,district,,,2025-01-01\nB,B,district,A,2025-01-01,\n"
    assert len(read(tmp_path, text)) == 4


# --- written


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    address = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(address)
    opened = open_ledger(address, tools(), "cli")
    yield opened
    opened.close()


def put(registrar: Registrar, folder: Path, text: str) -> int:
    path = folder / "units.csv"
    path.write_text(HEADER + text, "utf-8")
    return registrar.put_units(read_units(path), NOON)


def test_there_and_back_are_three_facts_and_the_same_again_none(ledger: Ledger, tmp_path: Path) -> None:
    log = KeptLog()
    registrar = Registrar(ledger, log, "test")
    assert [put(registrar, tmp_path, f"P,{name},province,,,\n") for name in ("A", "A", "B", "A", "A")] == [1, 0, 1, 1, 0]
    facts = [f for f in log.facts if isinstance(f, UnitChanged)]
    assert [f.name for f in facts] == ["A", "B", "A"]
    assert len({f.event_id for f in facts}) == 3
    assert [f.seq for f in facts] == sorted({f.seq for f in facts})
    with ledger.read() as reader:
        assert [u.name for u in reader.units()] == ["A"]


def test_only_what_changed_is_a_fact(ledger: Ledger, tmp_path: Path) -> None:
    log = KeptLog()
    registrar = Registrar(ledger, log, "test")
    assert put(registrar, tmp_path, PROVINCE + "C,Xã,commune,P,,\n") == 2
    assert put(registrar, tmp_path, PROVINCE + "C,Xã,commune,P,,\nD,Xã 2,commune,P,,\n") == 1


def test_what_the_log_did_not_take_waits_in_the_outbox(ledger: Ledger, tmp_path: Path) -> None:
    log = KeptLog()
    log.away = True
    with pytest.raises(Retryable):
        put(Registrar(ledger, log, "test"), tmp_path, PROVINCE)
    assert [p.record.topic for p in ledger.pending()] == ["unit.changed.v1"]


def target(value: float, unit: str | None = None, end: date | None = None, **narrow: Any) -> TargetRow:
    return TargetRow(value=value, unit=unit, valid_from=date(2026, 1, 1), valid_to=end, source="plan", **narrow)


def test_a_target_is_a_fact_once(ledger: Ledger) -> None:
    log = KeptLog()
    registrar = Registrar(ledger, log, "test")
    end = date(2027, 1, 1)
    assert registrar.put_targets([target(0.87)], NOON) == 1
    assert registrar.put_targets([target(0.87)], NOON) == 0
    assert registrar.put_targets([target(0.90, "C", end), target(0.88), target(0.88, field="land")], NOON) == 3
    facts = [f for f in log.facts if isinstance(f, TargetChanged)]
    assert [(f.value, f.unit, f.valid_to, f.field) for f in facts] == [
        (0.87, None, None, None), (0.90, "C", end, None), (0.88, None, None, None), (0.88, None, None, "land"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "end", "field"), [(87, None, "value"), (0, None, "value"), (float("nan"), None, "value"), (0.8, date(2026, 1, 1), "valid_to")]
)
def test_a_target_that_can_hold_never_is_refused(value: float, end: date | None, field: str) -> None:
    with pytest.raises(Invalid) as fault:
        target(value, end=end)
    assert fault.value.field == field


def test_a_list_of_targets_names_the_line_of_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "targets.csv"
    path.write_text("value,valid_from,source,channel\n0.9,2026-01-01,plan,online\n0.9,2026-01-01,plan,pigeon\n", "utf-8")
    with pytest.raises(Invalid) as fault:
        read_targets(path)
    assert fault.value.detail.startswith("line 3: the channel must be one of counter")
    assert [r.channel for r in read_targets(ROOT / "examples" / "targets" / "hoa-binh.csv")] == [None, "online"]


def test_what_an_import_would_change_is_told_and_not_done(ledger: Ledger, tmp_path: Path) -> None:
    log = KeptLog()
    put(Registrar(ledger, log, "test"), tmp_path, PROVINCE + "C,Xã,commune,P,,\n")
    path = tmp_path / "new.csv"
    path.write_text(
        HEADER[:-1] + ",predecessors\n" + PROVINCE + "C,Xã,commune,P,,2025-07-01,\nD,Xã mới,commune,P,2025-07-01,,C:renamed\n", "utf-8"
    )
    rows = read_units(path)
    with ledger.read() as reader:
        found = differences(rows, reader.units())
    assert [(d.code, d.new, sorted(d.fields)) for d in found if not d.new] == [("C", False, ["valid_to"])]
    (new,) = [d for d in found if d.new]
    assert new.fields["predecessors"] == (None, [Predecessor("C", "renamed")])
    assert len(log.facts) == 2


PREDECESSORS = {
    "nobody": ("Q", "its predecessor Q is not in the list before 2025-07-01"),
    "too much": ("C:split:0.7|C:split:0.7", "more than the whole of C goes over"),
    "kind": ("C:eaten", "the kind must be one of merged"),
    "share": ("C:split:half", "the share is not a number"),
    "code": (":split", "a predecessor has no code"),
}


@pytest.mark.parametrize("case", PREDECESSORS)
def test_a_succession_that_cannot_be_is_refused(tmp_path: Path, case: str) -> None:
    said, cause = PREDECESSORS[case]
    text = HEADER[:-1] + f",predecessors\n{PROVINCE[:-1]},\nC,Xã,commune,P,,2025-07-01,\nD,Mới,commune,P,2025-07-01,,{said}\n"
    with pytest.raises(Invalid) as fault:
        read(tmp_path, text)
    assert fault.value.field == "predecessors"
    assert cause in str(fault.value.detail)
    assert str(fault.value.detail).startswith("line 4")


def test_a_code_is_not_given_to_another_unit(tmp_path: Path) -> None:
    text = (
        HEADER[:-1]
        + f",predecessors\n{PROVINCE[:-1]},\nC,A,commune,P,,2025-07-01,\nE,B,commune,P,,2025-07-01,\nC,D,commune,P,2025-07-01,,E\n"
    )
    with pytest.raises(Invalid) as fault:
        read(tmp_path, text)
    assert "its code was another unit's before" in str(fault.value.detail)
