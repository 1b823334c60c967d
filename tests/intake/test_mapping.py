"""Mapping files: what they can say, and what they say when they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.dossier import FIELDS
from hailong.ports import Invalid
from producers.mapping import LineMapping, MappingError, key_lines, load_mapping
from tests.intake.room import ROOT

CODE = '[fields.dossier_code]\ncolumn = "A"\n'
END = '[fields.finished_at]\ncolumn = "D"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.toml"


def loaded(file: Path, text: str, code: str = CODE) -> LineMapping:
    file.write_text(code + text, encoding="utf-8")
    return load_mapping(file)


def made(mapping: LineMapping, **cells: Any) -> dict[str, Any]:
    return mapping.item(cells.get)


@pytest.mark.parametrize(
    ("text", "cells", "expected"),
    [
        ('[fields.status_code]\ncolumn = "S"', {"S": "10"}, {"status_code": 10}),
        ('[fields.status_code]\ncolumn = "S"', {"S": 10}, {"status_code": 10}),
        ("[fields.status_code]\nconstant = 10", {}, {"status_code": 10}),
        ('[fields.status_code]\ncolumn = "S"\nmap = { "Đã trả" = 10 }', {"S": "  ĐÃ TRẢ "}, {"status_code": 10}),
        ('[fields.field_code]\ncolumn = "F"\nmap = { "đất" = "land" }\nother = "other"', {"F": "lúa"}, {"field_code": "other"}),
        ('[fields.field_code]\ncolumn = "F"\ndefault = "other"', {"F": "  "}, {"field_code": "other"}),
        ('[fields.field_code]\ncolumn = "F"', {"F": ""}, {}),
        ('[fields.receiving_unit_code]\ntemplate = "{D}/{G}"', {"D": "x", "G": "1"}, {"receiving_unit_code": "x/1"}),
        ('[fields.receiving_unit_code]\njoin = ["D", "G"]\nseparator = "-"', {"D": "x", "G": ""}, {"receiving_unit_code": "x"}),
        ('[fields.receiving_unit_code]\ntemplate = "{D}/{G}"\ndefault = "none"', {"D": "", "G": ""}, {"receiving_unit_code": "none"}),
        ('[fields.supplement_days]\ncolumn = "D"', {"D": "1,5"}, {"supplement_days": 1.5}),
        ('[fields.paid_online]\ncolumn = "P"', {"P": "TRUE"}, {"paid_online": True}),
        ('[fields.contact.phone]\ncolumn = "P"', {"P": 900012345}, {"contact": {"phone": "900012345"}}),
        ('[fields.due_at]\ncolumn = "D"\nformat = "%d.%m.%Y"', {"D": "20.01.2025"}, {"due_at": "2025-01-20"}),
        ('[fields.received_at]\ncolumn = "D"', {"D": "2025-01-20"}, {"received_at": "2025-01-20T00:00:00+07:00"}),
        ('[fields.finished_at]\ncolumn = "D"', {"D": "2025-01-20"}, {"finished_at": "2025-01-20T23:59:59+07:00"}),
        ('[fields.finished_at]\ncolumn = "D"\ntime = "17:00"', {"D": "2025-01-20"}, {"finished_at": "2025-01-20T17:00:00+07:00"}),
        ('[fields.finished_at]\ncolumn = "D"', {"D": "2025-01-20T08:00:00Z"}, {"finished_at": "2025-01-20T08:00:00+00:00"}),
        (END + 'zone = "Europe/Amsterdam"', {"D": "2025-07-20 08:00"}, {"finished_at": "2025-07-20T08:00:00+02:00"}),
        (END + 'format = ["%d/%m/%y", "%H:%M %d/%m/%y"]', {"D": "9:05 20/01/25"}, {"finished_at": "2025-01-20T09:05:00+07:00"}),
    ],
)
def test_a_line_becomes_an_item(file: Path, text: str, cells: dict[str, Any], expected: dict[str, Any]) -> None:
    assert made(loaded(file, text), A="c-1", **cells) == {"dossier_code": "c-1"} | expected


@pytest.mark.parametrize(
    ("text", "cells", "reason"),
    [
        ('[fields.status_code]\ncolumn = "S"', {"S": "mười"}, "wrong_type"),
        ('[fields.field_code]\ncolumn = "S"\nmap = { "x" = "y" }', {"S": "z"}, "unknown_code"),
        ('[fields.paid_online]\ncolumn = "S"', {"S": "có"}, "unknown_code"),
        ('[fields.finished_at]\ncolumn = "S"', {"S": "hôm qua"}, "not_a_time"),
        ('[fields.finished_at]\ncolumn = "S"\nformat = "%d/%m/%Y"', {"S": "31/02/2025"}, "not_a_time"),
    ],
)
def test_a_cell_that_does_not_fit_is_refused_by_its_field(file: Path, text: str, cells: dict[str, Any], reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        made(loaded(file, text), A="c-1", **cells)
    assert caught.value.reason == reason
    assert caught.value.field == text.partition("]")[0].removeprefix("[fields.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[fields.dossier_code\n", "m.toml: not TOML: Expected ']'"),
        ("", "no field is mapped"),
        ('[fields.field_code]\ncolumn = "A"\n', "dossier_code is not mapped"),
        (CODE + '\n[fields.colour]\ncolumn = "C"\n', "m.toml:4: fields.colour: no such field"),
        (CODE + '[fields.contact.fax]\ncolumn = "C"\n', "m.toml:3: fields.contact.fax: no such field"),
        (CODE + 'colum = "B"\n', "m.toml:3: fields.dossier_code.colum: unknown"),
        (CODE + 'constant = "B"\n', "m.toml:1: fields.dossier_code: needs exactly one of column"),
        (CODE + "[fields.field_code]\n", "m.toml:3: fields.field_code: needs exactly one of"),
        (CODE + 'other = "x"\n', "m.toml:3: fields.dossier_code.other: says what a cell becomes that `map`"),
        (CODE + 'format = "%d"\n', "m.toml:3: fields.dossier_code.format: is for times"),
        (CODE + '[fields.due_at]\ncolumn = "D"\nformat = "dd/mm"\n', "m.toml:5: fields.due_at.format: must be"),
        (CODE + '[fields.due_at]\ncolumn = "D"\nzone = "Mars"\n', "m.toml:5: fields.due_at.zone: no such time zone"),
        (CODE + '[fields.due_at]\ncolumn = "D"\ntime = "noon"\n', "m.toml:5: fields.due_at.time: must be a time of day"),
        (CODE + "map = []\n", "m.toml:3: fields.dossier_code.map: must be a table"),
        (CODE + "default = []\n", "m.toml:3: fields.dossier_code.default: must be a single value"),
        ('[fields.dossier_code]\ntemplate = "{A"\n', "m.toml:2: fields.dossier_code.template: braces"),
        ('[fields.dossier_code]\ntemplate = "x"\n', "m.toml:2: fields.dossier_code.template: names no column"),
        ("[fields.dossier_code]\njoin = 5\n", "m.toml:2: fields.dossier_code.join: must be a list"),
        ("[fields.dossier_code]\ncolumn = 5\n", "m.toml:2: fields.dossier_code.column: must be a text"),
        ('[fields]\ndossier_code = "A"\n', "m.toml:2: fields.dossier_code: must be a table"),
        ('[file]\nsep = ";"\n' + CODE, "m.toml:2: file.sep: unknown"),
        ('[file]\ndelimiter = ";;"\n' + CODE, "m.toml:2: file.delimiter: must be one character"),
        ('[file]\nencoding = "viscii9"\n' + CODE, "m.toml:2: file.encoding: unknown"),
        ('[file]\nskip_lines = "1"\n' + CODE, "m.toml:2: file.skip_lines: must be a whole number"),
        ('[file]\nignore = "A"\n' + CODE, "m.toml:2: file.ignore: must be a list of columns"),
        ("[file]\nignore = [1]\n" + CODE, "m.toml:2: file.ignore: must be a list of columns"),
        ('[file]\nzone = "Nowhere/Else"\n' + CODE, "m.toml:2: file.zone: no such time zone"),
        ("[columns]\n" + CODE, "m.toml:1: columns: unknown table"),
    ],
)
def test_a_wrong_mapping_is_told_with_its_line(file: Path, text: str, said: str) -> None:
    with pytest.raises(MappingError) as caught:
        loaded(file, text, code="")
    assert said in str(caught.value)


def test_a_mapping_that_is_not_there_is_told(file: Path) -> None:
    with pytest.raises(MappingError, match=r"cannot be read"):
        load_mapping(file)


def test_every_mapping_that_ships_is_right_and_maps_fields_of_ours_only() -> None:
    shipped = sorted((ROOT / "examples").glob("*/mapping.toml"))
    assert len(shipped) >= 3
    for path in shipped:
        assert {rule.name for rule in load_mapping(path).rules} <= FIELDS


words = st.text("abcxyz", min_size=1, max_size=6)


@given(st.dictionaries(words, st.dictionaries(words, st.integers(), min_size=1, max_size=3), min_size=1, max_size=4))
def test_the_line_of_every_key_is_found(tables: dict[str, dict[str, int]]) -> None:
    lines: list[str] = []
    where: dict[str, int] = {}
    for table, entries in tables.items():
        lines += ["", f"[{table}]  # comment"]
        where[table] = len(lines)
        for key, value in entries.items():
            lines.append(f"{key} = {value}")
            where[f"{table}.{key}"] = len(lines)
    assert key_lines("\n".join(lines)) == where
