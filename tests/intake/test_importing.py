"""Files of upstreams: how they are written, what is refused, and that a second time changes nothing."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from hailong.domain.dossier import ZONE
from hailong.events import DossierClosed
from hailong.ports import Retryable
from producers.importer import LINE_REASONS, ImportOptions, ImportReport, import_file
from producers.mapping import MappingError, load_mapping
from producers.upstream_file import UnreadableFile
from tests.intake.room import NOW, ROOT, KeptLog, item, open_room, written

EXAMPLES = ROOT / "examples"
LATER = datetime(2025, 4, 1, 9, tzinfo=ZONE)
HEADER = "Mã;Nhận;Xong;Nơi;ĐT"
ROWS = ["H28-1;15/01/2025 08:00;20/01/2025 09:00;xa-01;0900000001", "H28-2;15/01/2025;15/01/2025;xa-02;0900000002"]
MAPPING = """
[file]
source = "plain"
[fields.dossier_code]
column = "Mã"
[fields.status_code]
constant = 10
[fields.received_at]
column = "Nhận"
format = ["%d/%m/%Y %H:%M", "%d/%m/%Y"]
[fields.finished_at]
column = "Xong"
format = ["%d/%m/%Y %H:%M", "%d/%m/%Y"]
[fields.receiving_unit_code]
column = "Nơi"
[fields.contact.phone]
column = "ĐT"
"""


class Import:
    """An intake of its own in ``folder`` with a plain mapping."""

    def __init__(self, folder: Path, mapping: str = MAPPING) -> None:
        self.folder = folder
        self.desk, self.ledger, self.log = open_room(folder)
        self.mapping = folder / "mapping.toml"
        self.mapping.write_text(mapping, encoding="utf-8")

    def file(self, content: str | bytes, encoding: str = "utf-8") -> Path:
        path = self.folder / "export.csv"
        path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
        return path

    def run(self, path: Path, mapping: Path | None = None, heard_at: datetime = NOW, **options: object) -> ImportReport:
        return import_file(path, load_mapping(mapping or self.mapping), self.desk, heard_at, ImportOptions(**options))  # type: ignore[arg-type]


def refused(report: ImportReport) -> list[tuple[str, str, str, str]]:
    """The rows of the report of refused lines."""
    assert report.report is not None
    with report.report.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["line", "column", "field", "reason"]
    return [(a, b, c, d) for a, b, c, d in rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1258"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encoding_and_delimiter_are_found(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    room = Import(tmp_path)
    text = end.join([HEADER, *ROWS, ""]).replace(";", delimiter)
    if encoding == "cp1258":
        text = vietnamese_of_windows(text)
    report = room.run(room.file(text, encoding))
    assert (report.lines, report.new, report.refusals) == (2, 2, 0), report
    assert report.delimiter == delimiter


def vietnamese_of_windows(text: str) -> str:
    """Windows-1258 writes a tone mark after its letter, except in the few composed letters it has."""
    tones = "\u0300\u0301\u0303\u0309\u0323"
    letters = (unicodedata.normalize("NFD", letter) for letter in unicodedata.normalize("NFC", text))
    return "".join(
        unicodedata.normalize("NFC", "".join(c for c in x if c not in tones)) + "".join(c for c in x if c in tones) for x in letters
    )


def test_a_day_without_a_time_is_in_order(tmp_path: Path) -> None:
    room = Import(tmp_path)
    room.run(room.file("\n".join([HEADER, ROWS[1]])))
    (fact,) = room.log.facts
    assert isinstance(fact, DossierClosed)
    assert fact.received_on == fact.ended_on == date(2025, 1, 15)


def test_a_refused_line_is_reported_with_its_place_and_the_rest_goes_in(tmp_path: Path) -> None:
    room = Import(tmp_path)
    bad = [
        "H28-3;15/01/2025 08:00;;xa-01;0900000003",
        "H28-4;15/01/2025 08:00;gần đây;xa-01;0900000004",
        ";15/01/2025 08:00;20/01/2025 09:00;xa-01;0900000005",
        "H28-6;15/01/2025 08:00;20/01/2025 09:00",
        "H28-7;15/01/2025 08:00;20/01/2025 09:00;nguoi@nop.example;0900000007",
        "",
        "H28-8;20/01/2025 08:00;15/01/2025 09:00;xa-01;0900000008",
        "H28-1;15/01/2025 08:00;20/01/2025 09:00;xa-09;0900000001",
    ]
    report = room.run(room.file("\n".join([HEADER, ROWS[0], *bad, ROWS[1]])))
    assert refused(report) == [
        ("3", "Xong", "finished_at", "not_ended"),
        ("4", "Xong", "finished_at", "not_a_time"),
        ("5", "Mã", "dossier_code", "missing"),
        ("6", "", "", "not_a_line"),
        ("7", "Nơi", "receiving_unit_code", "not_a_code"),
        ("9", "Xong", "finished_at", "ends_before_start"),
        ("10", "", "", "conflict"),
    ]
    assert (report.lines, report.new, report.conflict, report.refusals, report.complete) == (9, 2, 1, 6, False)
    assert {"not_a_line", "conflict"} == set(LINE_REASONS)
    text = report.report.read_text(encoding="utf-8-sig") if report.report else ""
    assert not [named for named in ("0900", "H28", "nguoi", "gần đây") if named in text + "".join(report.sentences())]


def test_the_same_file_twice_changes_nothing(tmp_path: Path) -> None:
    room = Import(tmp_path)
    path = room.file("\n".join([HEADER, *ROWS]))
    first, second = room.run(path), room.run(path, heard_at=NOW + timedelta(days=1))
    assert (first.new, first.duplicate, second.new, second.duplicate) == (2, 0, 0, 2)
    assert len(room.log.records) == 2


def test_an_unusable_contact_is_dropped_and_counted(tmp_path: Path) -> None:
    room = Import(tmp_path)
    report = room.run(room.file("\n".join([HEADER, "H28-1;15/01/2025;20/01/2025;xa-01;không có"])))
    assert (report.new, report.complete, dict(report.dropped)) == (1, True, {"contact.phone: not_a_number": 1})


def test_a_quote_that_is_never_closed_spoils_its_own_line_only(tmp_path: Path) -> None:
    room = Import(tmp_path)
    rows = [f"H28-{n};15/01/2025;20/01/2025;xa-01;" for n in range(10, 110)]
    rows[3] = 'H28-13;15/01/2025;20/01/2025;"xa-01;'
    report = room.run(room.file("\n".join([HEADER, *rows])))
    assert (report.new, refused(report)) == (99, [("5", "", "", "not_a_line")])


def test_a_cell_may_hold_line_breaks_and_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    room = Import(tmp_path)
    report = room.run(
        room.file("\n".join([HEADER, 'H28-1;15/01/2025;20/01/2025;xa-01;"0900000001\n0900000002"', "H28-2;x;20/01/2025;xa-01;"]))
    )
    assert (report.new, refused(report)) == (1, [("4", "Nhận", "received_at", "not_a_time")])


def test_a_line_without_end_is_refused_without_filling_the_memory(tmp_path: Path) -> None:
    room = Import(tmp_path)
    report = room.run(room.file("\n".join([HEADER, ROWS[0], "x" * 3_000_000, ROWS[1]])))
    assert (report.new, refused(report)) == (2, [("3", "", "", "too_long")])


def test_json_lines_may_be_items_as_the_intake_takes_them(tmp_path: Path) -> None:
    mapping = "\n".join(
        f"[fields.{name}]\ncolumn = {name!r}"
        for name in ("dossier_code", "status_code", "received_at", "finished_at", "receiving_unit_code", "contact.phone", "supplement_days")
    )
    room = Import(tmp_path, mapping)
    path = written(tmp_path / "x.jsonl", [item(1), item(2, supplement_days=1.5), item(3, status_code="10")])
    path.write_text(path.read_text() + "{not json\n[1]\n\n", encoding="utf-8")
    report = room.run(path, source="portal")
    assert (report.new, report.delimiter, report.source) == (3, None, "portal")
    assert refused(report) == [("4", "", "", "not_a_line"), ("5", "", "", "not_a_line")]


UNREAD = "no field of the mapping reads"


def test_a_column_nobody_reads_is_warned_of_once_and_refuses_nothing(tmp_path: Path) -> None:
    room = Import(tmp_path)
    text = "\n".join([f"{HEADER};SĐT;0912345678;", *(f"{row};0900000009;x;" for row in ROWS)])
    report = room.run(room.file(text))
    assert (report.new, report.complete, report.report) == (2, True, None)
    assert report.unread == report.as_json()["unread"] == {"SĐT": 1, "(a name that is no field)": 1}
    warnings = [said for said in report.sentences() if "warning" in said]
    assert len(warnings) == 2
    assert warnings[0] == f"  warning: line 1: {UNREAD} 'SĐT'; did you mean 'ĐT'? Correct it at the source."
    assert not [value for value in ("0912345678", "0900000009") if value in "".join(report.sentences())]


def test_a_column_that_is_to_be_ignored_is_not_warned_of(tmp_path: Path) -> None:
    room = Import(tmp_path, MAPPING.replace("[file]", '[file]\nignore = ["Ngày sinh"]'))
    report = room.run(room.file("\n".join([f"{HEADER};Ngày sinh;Giới tính", *(f"{row};x;y" for row in ROWS)])))
    assert report.unread == {"Giới tính": 1}
    (warning,) = (said for said in report.sentences() if "warning" in said)
    assert "map it, or write it into ignore under [file]" in warning


def test_a_misspelt_key_of_a_json_line_is_warned_of_once_a_file(tmp_path: Path) -> None:
    names = ("dossier_code", "status_code", "received_at", "finished_at", "receiving_unit_code", "contact.phone")
    room = Import(tmp_path, "\n".join(f"[fields.{name}]\ncolumn = {name!r}" for name in names))
    misspelt = [item(n, procedure_code=None, contact={"phon": "0900000001", "0900000002": 1}, adress={"a": {"b": 1}}) for n in (2, 3)]
    path = written(tmp_path / "x.jsonl", [item(1, procedure_code=None), *misspelt, item(4, procedure_code=None, contact=None)])
    report = room.run(path, source="portal")
    assert (report.new, report.complete) == (4, True)
    assert report.unread == {"contact.phon": 2, "(a name that is no field)": 2, "adress": 2}
    said = "".join(report.sentences())
    assert f"line 2: {UNREAD} 'contact.phon'; did you mean 'contact.phone'?" in said
    assert "0900" not in said


def test_a_file_with_no_end_of_unknown_keys_fills_neither_memory_nor_report(tmp_path: Path) -> None:
    room = Import(tmp_path)
    path = written(tmp_path / "x.jsonl", [{f"k{n}-{i}": 1 for i in range(10)} for n in range(40)])
    report = room.run(path)
    assert (len(report.unread), report.unread["(more than 50 names)"]) == (51, 6)


def test_a_large_file_is_read_in_pieces_and_its_progress_is_told(tmp_path: Path) -> None:
    room = Import(tmp_path)
    path = room.file("\n".join([HEADER, *(f"H28-{n};15/01/2025;20/01/2025;xa-01;" for n in range(1_700))]))
    told: list[tuple[int, int]] = []
    report = import_file(path, load_mapping(room.mapping), room.desk, NOW, ImportOptions(), lambda read, lines: told.append((read, lines)))
    assert report.new == 1_700
    assert [lines for _, lines in told] == [500, 1_000, 1_500, 1_700]


class FlakyLog(KeptLog):
    """Away for the first ``times`` batches."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def publish(self, records: object) -> None:
        self.times -= 1
        self.away = self.times >= 0
        super().publish(records)  # type: ignore[arg-type]


def test_an_import_outlives_a_short_outage_and_counts_each_line_once(tmp_path: Path) -> None:
    room = Import(tmp_path)
    room.desk._publisher = FlakyLog(3)
    waited: list[float] = []
    report = room.run(room.file("\n".join([HEADER, *ROWS])), sleep=waited.append)
    assert (report.new, report.duplicate, len(waited)) == (2, 0, 3)


def test_an_import_gives_up_when_the_broker_stays_away(tmp_path: Path) -> None:
    room = Import(tmp_path)
    room.log.away = True
    clock = iter(range(0, 1000, 20))
    with pytest.raises(Retryable):
        room.run(room.file("\n".join([HEADER, *ROWS])), sleep=lambda _: None, monotonic=lambda: float(next(clock)))
    room.log.away = False
    assert room.run(room.file("\n".join([HEADER, *ROWS]))).new == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"   \n", "empty"),
        ("Mã;Nhận;Xong;Nơi;SĐT\n".encode(), "has no column 'ĐT'; did you mean 'SĐT'?"),
        ("H28-1;15/01/2025;20/01/2025;Nguyễn Văn Ví Dụ;0900000001\n".encode(), "must name its columns"),
        ("Mã;Nhận;Xong;Nơi;ĐT;ĐT\n".encode(), "twice"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_as_a_whole_in_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    room = Import(tmp_path)
    with pytest.raises((UnreadableFile, MappingError), match=r".") as caught:
        room.run(room.file(content))
    assert said in str(caught.value)
    assert "0900000001" not in str(caught.value)
    assert room.log.records == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"nowhere\.csv: No such file"):
        Import(tmp_path).run(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("place", ["export.csv/none/r.csv", "."])
def test_a_report_that_cannot_be_written_refuses_the_file_before_anything_is_taken(tmp_path: Path, place: str) -> None:
    room = Import(tmp_path)
    path = room.file("\n".join([HEADER, *ROWS, "H28-3;?;?;xa-02;0900000003"]))
    with pytest.raises(UnreadableFile, match=r"so nothing was taken\. Name another one with --report"):
        room.run(path, report=tmp_path / place)
    assert room.log.facts == []
    assert room.run(path).new == 2


# --- the mappings that ship ----------------------------------------------------------------------------------------------------


def test_the_one_stop_mapping_reads_its_sample(tmp_path: Path) -> None:
    room = Import(tmp_path)
    report = room.run(EXAMPLES / "one-stop" / "sample.csv", EXAMPLES / "one-stop" / "mapping.toml", LATER, report=tmp_path / "r.csv")
    assert refused(report) == [
        ("6", "NgayKetThucXuLy", "finished_at", "not_ended"),
        ("7", "TrangThai", "status_code", "withdrawn_by_applicant"),
    ]
    facts = [f for f in room.log.facts if isinstance(f, DossierClosed)]
    assert [(f.outcome, f.timeliness, f.field, f.submission_channel, f.receiving_unit, f.handling_unit) for f in facts] == [
        ("result_returned", "early", "business", "online", "xa-01", "lac-son"),
        ("result_returned", "on_time", "civil", "counter", "xa-01", "xa-01"),
        ("result_returned", "overdue", "land", "counter", "xa-02", "lac-son"),
        ("stopped", "overdue", "business", "online", "xa-02", "lac-son"),
        ("done_electronic", "early", "civil", "postal", "xa-03", "xa-03"),
    ]
    assert facts[0].procedure_code_national == "1.001612"
    assert dict(report.dropped) == {"contact.phone: not_a_number": 1}


def test_an_invented_foreign_upstream_needs_a_mapping_only(tmp_path: Path) -> None:
    room = Import(tmp_path)
    report = room.run(
        EXAMPLES / "foreign" / "sample.csv",
        EXAMPLES / "foreign" / "mapping.toml",
        LATER,
        report=tmp_path / "r.csv",
    )
    assert refused(report) == [
        ("6", "Closed as", "outcome", "unknown_code"),
        ("7", "Opened + Opened at", "received_at", "not_a_time"),
    ]
    facts = [f for f in room.log.facts if isinstance(f, DossierClosed)]
    assert [(f.outcome, f.receiving_unit, f.field, f.submission_channel, f.ended_on, f.fee_required) for f in facts] == [
        ("done_electronic", "riverside/main", "pets", "online", date(2025, 3, 8), True),
        ("result_returned", "riverside/annex", "construction", "counter", date(2025, 3, 21), True),
        ("refused", "riverside/annex", "construction", "postal", date(2025, 3, 6), False),
        ("result_returned", "riverside/main", "other", "online", date(2025, 3, 5), False),
    ]
    assert len({f.dossier_ref for f in facts}) == 4
    assert [f.timeliness for f in facts][1:3] == ["overdue", "early"]


PERMITS = ROOT.parent / "shared" / "data" / "receipt_dossiers.csv"
EXPECTED = {"not_ended": 105, "ends_before_start": 2}


def permits(tmp_path: Path) -> Path:
    """The public data set where it is at hand, else a file of the same shape with the same faults."""
    if PERMITS.exists():
        return PERMITS
    columns = "case:concept:name,case:channel,case:department,case:group,case:responsible,case:startdate,case:enddate,case:deadline,email"
    channels, groups = ("Internet", "Desk", "Post", "e-mail", "Intern"), ("", "Group 2", "Group 5", "Group 8")
    rows = []
    for n in range(1_434):
        start = datetime(2011, 1, 3, 1, 6, 40, 20_000, tzinfo=ZONE) + timedelta(hours=6 * n)
        end = "" if n < 105 else str(start - timedelta(hours=1) if n < 107 else start + timedelta(days=n % 40))
        who = f"case-{n},{channels[n % 5]},General,{groups[n % 4]},Resource01"
        rows.append(f"{who},{start},{end},{start + timedelta(days=14)},case-{n}@citizen.example")
    path = tmp_path / "permits.csv"
    path.write_text("\n".join([columns, *rows]), encoding="utf-8")
    return path


def test_the_permit_desks_dossiers_go_in_with_a_mapping_written_for_them(tmp_path: Path) -> None:
    room = Import(tmp_path)
    mapping = EXAMPLES / "permits" / "mapping.toml"
    report = room.run(permits(tmp_path), mapping, as_if_on_time=True, report=tmp_path / "r.csv")
    assert (report.lines, report.new, dict(report.refused), report.conflict) == (1_434, 1_327, EXPECTED, 0)
    assert Counter(reason for *_, reason in refused(report)) == EXPECTED
    facts = [f for f in room.log.facts if isinstance(f, DossierClosed)]
    assert all(f.heard_on == f.ended_on for f in facts)
    units = {f.handling_unit for f in facts}
    assert "No group" in units
    with (mapping.parent / "units.csv").open(encoding="utf-8") as file:
        assert units <= {row["code"] for row in csv.DictReader(file)}
    again = room.run(permits(tmp_path), mapping, as_if_on_time=True, report=tmp_path / "r2.csv")
    assert (again.new, again.duplicate, again.refusals) == (0, 1_327, 107)
    assert json.dumps(report.as_json())
