"""A folder that takes what is dropped into it, once it is whole."""

from __future__ import annotations

import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hailong.domain.dossier import ZONE
from hailong.ports import Retryable
from producers.dropfolder import DropFolder, FolderError
from producers.importer import ImportOptions
from tests.intake.room import NOW, open_room
from tests.intake.test_importing import HEADER, MAPPING, ROWS

WHOLE = "\n".join([HEADER, *ROWS])


class Folder:
    """A drop folder with a default mapping."""

    def __init__(self, tmp_path: Path) -> None:
        self.desk, self.ledger, self.log = open_room(tmp_path)
        self.root = tmp_path / "drop"
        self.drop = self.opened()
        (self.root / "default.toml").write_text(MAPPING, encoding="utf-8")

    def opened(self, now: datetime = NOW) -> DropFolder:
        return DropFolder(self.root, self.desk, now, ImportOptions(patience_s=0, sleep=lambda _: None))

    def put(self, name: str = "export.csv", text: str = WHOLE) -> Path:
        path = self.root / "in" / name
        path.write_text(text, encoding="utf-8")
        return path

    def there(self, folder: str) -> list[str]:
        return sorted(p.name for p in (self.root / folder).iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_file_is_taken_when_it_no_longer_grows(folder: Folder) -> None:
    path = folder.put(text=WHOLE[:40])
    assert folder.drop.sweep(NOW) == []
    path.write_text(WHOLE, encoding="utf-8")
    assert folder.drop.sweep(NOW) == []
    (swept,) = folder.drop.sweep(NOW)
    assert swept.report is not None
    assert swept.report.new == 2
    assert (folder.there("in"), folder.there("done"), folder.there("refused")) == ([], ["20250121T090000-export.csv"], [])
    assert stat.S_IMODE((folder.root / "done" / "20250121T090000-export.csv").stat().st_mode) == 0o600


def test_a_file_renamed_from_part_is_taken_at_once(folder: Folder) -> None:
    path = folder.put("export.csv.part")
    assert folder.drop.sweep(NOW) == []
    assert folder.drop.sweep(NOW) == []
    path.rename(path.with_suffix(""))
    (swept,) = folder.drop.sweep(NOW)
    assert swept.file == "export.csv"
    assert len(folder.log.records) == 2


def test_refused_lines_are_reported_beside(folder: Folder) -> None:
    folder.put(text=WHOLE + "\nH28-3;x;20/01/2025;xa-01;0900000003")
    folder.drop.sweep(NOW)
    (swept,) = folder.drop.sweep(NOW)
    assert swept.report is not None
    assert (swept.report.new, swept.report.refusals) == (2, 1)
    assert folder.there("refused") == ["20250121T090000-export.csv.refused.csv"]
    assert folder.there("done") == ["20250121T090000-export.csv"]


def test_a_column_nobody_reads_is_told_of_beside(folder: Folder) -> None:
    folder.put(text="\n".join([f"{HEADER};So_Phong", *(f"{row};12" for row in ROWS)]))
    folder.drop.sweep(NOW)
    (swept,) = folder.drop.sweep(NOW)
    assert swept.report is not None
    assert swept.report.new == 2
    (warnings,) = folder.there("refused")
    assert warnings == "20250121T090000-export.csv.warnings.txt"
    assert "So_Phong" in (folder.root / "refused" / warnings).read_text(encoding="utf-8")


@pytest.mark.parametrize(("text", "said"), [("", "is empty"), ("no;such;columns\n1;2;3", "has no column")])
def test_a_file_that_cannot_be_read_is_refused_with_its_reason(folder: Folder, text: str, said: str) -> None:
    folder.put(text=text)
    folder.drop.sweep(NOW)
    (swept,) = folder.drop.sweep(NOW)
    assert said in (swept.fault or "")
    assert folder.there("refused") == ["20250121T090000-export.csv", "20250121T090000-export.csv.reason.txt"]
    assert said in (folder.root / "refused" / "20250121T090000-export.csv.reason.txt").read_text(encoding="utf-8")
    assert folder.drop.sweep(NOW) == []


def test_a_mapping_of_the_files_own_name_comes_first(folder: Folder) -> None:
    (folder.root / "in" / "other.toml").write_text(MAPPING.replace('"plain"', '"other"'), encoding="utf-8")
    folder.put("other.csv")
    folder.drop.sweep(NOW)
    (swept,) = folder.drop.sweep(NOW)
    assert swept.report is not None
    assert swept.report.source == "other"
    (folder.root / "default.toml").unlink()
    folder.put("unknown.csv")
    folder.drop.sweep(NOW)
    (unknown,) = folder.drop.sweep(NOW)
    assert "has no mapping; put unknown.toml or default.toml" in (unknown.fault or "")


def test_a_crash_between_import_and_move_is_harmless(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    folder.put()
    folder.drop.sweep(NOW)
    with monkeypatch.context() as patch:
        patch.setattr(DropFolder, "_move", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.drop.sweep(NOW)
    again = folder.opened()
    again.sweep(NOW)
    (swept,) = again.sweep(NOW)
    assert swept.report is not None
    assert (swept.report.new, swept.report.duplicate, len(folder.log.records)) == (0, 2, 2)


def test_while_the_broker_is_away_the_file_stays(folder: Folder) -> None:
    folder.put()
    folder.drop.sweep(NOW)
    folder.log.away = True
    with pytest.raises(Retryable):
        folder.drop.sweep(NOW)
    assert folder.there("in") == ["export.csv"]
    folder.log.away = False
    assert len(folder.drop.sweep(NOW)) == 1
    assert len(folder.log.ids()) == 2


def test_while_the_source_is_paused_the_file_stays(folder: Folder) -> None:
    folder.put()
    folder.drop.sweep(NOW)
    with folder.ledger.begin() as tx:
        tx.pause_source("plain", NOW, "too many dead letters")
    with pytest.raises(Retryable, match="is paused"):
        folder.drop.sweep(NOW)
    assert folder.there("in") == ["export.csv"]


def test_no_file_since_yesterday_is_an_alarm(folder: Folder) -> None:
    assert folder.drop.alarm(NOW + timedelta(days=1)) is None
    said = folder.drop.alarm(NOW + timedelta(days=2))
    assert said is not None
    assert "none came since 2025-01-21" in said
    folder.put()
    folder.drop.sweep(NOW)
    folder.drop.sweep(NOW + timedelta(days=2))
    late = datetime(2025, 1, 24, 23, 59, tzinfo=ZONE)
    assert folder.opened(late).alarm(late) is None
    assert "the last one came on 2025-01-23" in (folder.drop.alarm(late + timedelta(minutes=1)) or "")


def test_files_are_not_kept_longer_than_contacts(folder: Folder) -> None:
    folder.put()
    folder.drop.sweep(NOW)
    folder.drop.sweep(NOW)
    folder.drop.sweep(NOW + timedelta(days=30))
    assert len(folder.there("done")) == 1
    folder.drop.sweep(NOW + timedelta(days=30, seconds=1))
    assert folder.there("done") == []


def test_links_and_hidden_files_are_left_alone(folder: Folder, tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere.csv"
    secret.write_text(WHOLE, encoding="utf-8")
    (folder.root / "in" / "link.csv").symlink_to(secret)
    folder.put(".hidden.csv")
    assert [folder.drop.sweep(NOW) for _ in range(3)] == [[], [], []]


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    desk, _, _ = open_room(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="give this user the right"):
        DropFolder(tmp_path / "file" / "drop", desk, NOW)
